"""Who an item of WhatsApp speaks of: the BSUID first, then the phone number."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.common.channels.whatsapp import wire
from libs.common.errors import MalformedPayloadError
from libs.common.events import Profile
from libs.common.providers.envelope import open_item
from libs.common.providers.normal import Id, ident, text


class People(msgspec.Struct, frozen=True):
    """The contacts that accompany the items, found by id and never by position."""

    by_user: dict[str, wire.Contact]
    by_phone: dict[str, wire.Contact]

    def visitor(self, user_id: Id, phone: Id) -> str:
        """Return the person's key: BSUID, else the BSUID of that phone's contact, else phone."""
        number = ident(phone)
        return ident(user_id) or ident(self._contact("", number).user_id) or number

    def alias(self, user_id: Id, phone: Id) -> str:
        """Return the person's phone number where `visitor` is another id; else empty."""
        visitor = self.visitor(user_id, phone)
        number = ident(phone) or ident(self._contact(visitor, "").wa_id)
        return number if visitor != number else ""

    def profile(self, user_id: Id, phone: Id) -> Profile:
        """Return what the contacts tell about the person; the number stays with the profile."""
        contact = self._contact(ident(user_id), ident(phone))
        profile = contact.profile or wire.WireProfile()
        return Profile(
            name=text(profile.name),
            username=text(profile.username).removeprefix("@"),
            phone=ident(phone) or ident(contact.wa_id),
        )

    def only(self) -> wire.Contact:
        """Return the contact if there is just one, else an empty one."""
        known = list((self.by_user or self.by_phone).values())
        return known[0] if len(known) == 1 else wire.Contact()

    def _contact(self, user_id: str, phone: str) -> wire.Contact:
        return self.by_user.get(user_id) or self.by_phone.get(phone) or wire.Contact()


NOBODY = People({}, {})


def people_of(contacts: Iterable[msgspec.Raw]) -> People:
    """Index the contacts of a value; one that cannot be read costs only its name."""
    people = People({}, {})
    for raw in contacts:
        try:
            contact = open_item(wire.contact, raw)
            user_id, phone = ident(contact.user_id), ident(contact.wa_id)
        except MalformedPayloadError:
            continue
        if user_id:
            people.by_user[user_id] = contact
        if phone:
            people.by_phone[phone] = contact
    return people
