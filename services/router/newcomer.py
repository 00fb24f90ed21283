"""Who writes for the first time: their identity and contact. Pure."""

from __future__ import annotations

import msgspec

from libs.common.contact_keys import keyed
from libs.common.documents import Contact, Identity
from libs.common.events import (
    ContactChanged,
    IdentityChanged,
    Inbound,
    InboundEvent,
    InteractionReceived,
    MessageReceived,
    Profile,
)
from libs.common.ids import derive_id
from services.router.entry import order_time
from services.router.fold import introduced, name_of, visitor_of


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """The identity and contact of a visitor without a session; both may exist already.

    `alias` is the identity under the other id of the person, where the event told one.
    """

    identity: Identity
    contact: Contact
    alias: Identity | None = None


def newcomer_of(inbound: Inbound, *, strays: bool = False) -> Newcomer:
    """Return the identity and contact of the event's visitor, by ids that a repeat finds again."""
    visitor, event = inbound.event.visitor, inbound.event
    profile = _profile_of(event)
    names = (inbound.workspace, inbound.account, visitor)
    contact = Contact(
        id=derive_id("con", *names),
        workspace=inbound.workspace,
        name=name_of(profile),
        phone=profile.phone,
        email=profile.email,
        language=profile.language,
        first_seen_at=inbound.received_at,
    )
    identity = Identity(
        id=derive_id("idn", *names),
        workspace=inbound.workspace,
        account=inbound.account,
        channel=inbound.channel,
        visitor=visitor,
        contact=contact.id,
        profile=profile,
        first_seen_at=inbound.received_at,
        strays=strays,
        was=(event.alias,) if event.alias else (),
    )
    return Newcomer(identity=identity, contact=keyed(contact), alias=_alias_of(inbound, identity))


def _profile_of(event: InboundEvent) -> Profile:
    if isinstance(event, MessageReceived):
        return visitor_of(event)
    if isinstance(event, ContactChanged | IdentityChanged):
        return event.profile
    return introduced(event) if isinstance(event, InteractionReceived) else Profile()


def _alias_of(inbound: Inbound, identity: Identity) -> Identity | None:
    """Return the identity under the other id, which leads to *identity*."""
    alias = inbound.event.alias
    if not alias:
        return None
    return msgspec.structs.replace(
        identity,
        id=derive_id("idn", inbound.workspace, inbound.account, alias),
        visitor=alias,
        strays=False,
        was=(),
        became=identity.visitor,
        became_at=order_time(inbound.event.occurred_at, inbound.received_at),
    )
