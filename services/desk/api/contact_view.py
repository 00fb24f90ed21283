"""A contact as people see it: facts, tags, where they can be met, their newest sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.contact_facts import age_on, today_of
from libs.common.documents import Contact, Gender, Identity, ListName, Tag
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.tags import TagView, view
from services.desk.contact_list import ContactFound
from services.desk.policy_store import etag
from services.desk.tagging import tags_by_id

CONTACT_SESSIONS = 20

Id = Annotated[Plain, Meta(min_length=1, max_length=100)]


class IdentityView(msgspec.Struct, frozen=True, kw_only=True):
    """The contact as one account knows them."""

    account: str
    channel: str
    visitor: str
    name: str
    username: str
    first_seen_at: datetime


class ContactSession(msgspec.Struct, frozen=True, kw_only=True):
    """One of the contact's sessions.

    Attributes:
        last_inbound_at: When the contact wrote last in it; null: never.
        end_reason: Why it ended; empty while it is open.
    """

    id: str
    list: ListName
    account: str
    channel: str
    created_at: datetime
    updated_at: datetime
    last_inbound_at: datetime | None
    ended_at: datetime | None
    end_reason: str


class ContactRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person as a list shows them.

    Attributes:
        birthday: `YYYY-MM-DD`, or `--MM-DD` without the year; empty: not known.
        age: In whole years by `birthday`, as it is today where they are; null: not known.
        zone: Their time zone (IANA); empty: not known.
        ref: Your own id of the person; null: none.
        fields: The workspace's own facts by name, as text.
        set_by: Of `name`, `phone`, `email` and `language`: the agents who set them; channels do not
            change those.
        channels: Where they can be met.
        merged_into: The contact that this one is part of; null: it stands for itself.
    """

    id: str
    name: str
    phone: str
    email: str
    gender: Gender
    birthday: str
    age: int | None
    language: str
    zone: str
    ref: str | None
    tags: tuple[TagView, ...]
    fields: dict[str, str]
    set_by: dict[str, str]
    channels: tuple[str, ...]
    first_seen_at: datetime
    merged_into: str | None


class ContactView(ContactRow, frozen=True, kw_only=True):
    """A person, their identities, and their newest sessions (at most 20)."""

    identities: tuple[IdentityView, ...]
    sessions: tuple[ContactSession, ...]


async def shown(call: Call, found: Contact, status: int = 200) -> Reply:
    """Answer with the contact as far as the caller may see it."""
    store, workspace, scope = call.desk.store, found.workspace, call.who.scope
    identities = tuple(
        one
        for one in await store.identities(workspace, found.id)
        if scope.account(one.channel, one.account)
    )
    sessions = await store.sessions_of_contact(workspace, found.id, limit=CONTACT_SESSIONS)
    tags = await tags_of(call, [found])
    known = row(ContactFound(found, identities), tags, call.desk.now())
    body = ContactView(
        **msgspec.structs.asdict(known),
        identities=tuple(map(_identity, identities)),
        sessions=tuple(
            msgspec.convert(session, ContactSession, from_attributes=True)
            for session in sessions
            if scope.session(session)
        ),
    )
    return Reply(status=status, body=body, headers=etag(found))


async def tags_of(call: Call, found: Sequence[Contact]) -> dict[str, Tag]:
    """Return the tags that these contacts have, by id."""
    ids = {tag for one in found for tag in one.tags}
    return await tags_by_id(call.desk.store.port, call.who.workspace, ids)


def row(found: ContactFound, tags: Mapping[str, Tag], now: datetime) -> ContactRow:
    """Return the contact as a list shows it."""
    one = found.contact
    held = sorted((tags[tag] for tag in one.tags if tag in tags), key=lambda tag: tag.name_key)
    by_email = {"email": one.email_by} if one.email_by else {}
    return ContactRow(
        id=one.id,
        name=one.name,
        phone=one.phone,
        email=one.email,
        gender=one.gender,
        birthday=one.birthday,
        age=age_on(one.birthday, today_of(one, now)),
        language=one.language,
        zone=one.zone,
        ref=one.ref,
        tags=tuple(map(view, held)),
        fields=dict(sorted(one.fields.items())),
        set_by={**one.set_by, **by_email},
        channels=tuple(sorted({identity.channel for identity in found.identities})),
        first_seen_at=one.first_seen_at,
        merged_into=one.merged_into,
    )


def _identity(found: Identity) -> IdentityView:
    return IdentityView(
        account=found.account,
        channel=found.channel,
        visitor=found.visitor,
        name=found.profile.name,
        username=found.profile.username,
        first_seen_at=found.first_seen_at,
    )
