"""Contacts: who writes, and what of it is unread."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.documents import ListName
from services.desk.api.route import Call, Reply
from services.desk.filters import OPEN
from services.desk.inbox import SCAN_LIMIT

CONTACT_SESSIONS = 20


class IdentityView(msgspec.Struct, frozen=True, kw_only=True):
    """The contact as one account knows them."""

    account: str
    channel: str
    visitor: str
    name: str
    username: str
    first_seen_at: datetime


class ContactSession(msgspec.Struct, frozen=True, kw_only=True):
    """One of the contact's sessions."""

    id: str
    list: ListName
    account: str
    channel: str
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None


class ContactView(msgspec.Struct, frozen=True, kw_only=True):
    """A person, their identities, and their newest sessions (at most 20)."""

    id: str
    name: str
    phone: str
    email: str
    language: str
    first_seen_at: datetime
    identities: tuple[IdentityView, ...]
    sessions: tuple[ContactSession, ...]


class Unread(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's unread visitor messages in open sessions; `total` is the sum of `accounts`.

    `complete` is false when more sessions are open than one request counts (2,000); then the
    newest are counted.
    """

    total: Annotated[int, Meta(ge=0)]
    accounts: dict[str, int]
    complete: bool


async def contact(call: Call) -> Reply:
    """Show a contact.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    store, workspace = call.desk.store, call.who.workspace
    found = await store.contact(workspace, call.params["id"])
    identities = await store.identities(workspace, found.id)
    sessions = await store.sessions_of_contact(workspace, found.id, limit=CONTACT_SESSIONS)
    return Reply(
        body=ContactView(
            id=found.id,
            name=found.name,
            phone=found.phone,
            email=found.email,
            language=found.language,
            first_seen_at=found.first_seen_at,
            identities=tuple(
                IdentityView(
                    account=identity.account,
                    channel=identity.channel,
                    visitor=identity.visitor,
                    name=identity.profile.name,
                    username=identity.profile.username,
                    first_seen_at=identity.first_seen_at,
                )
                for identity in identities
            ),
            sessions=tuple(
                msgspec.convert(session, ContactSession, from_attributes=True)
                for session in sessions
            ),
        )
    )


async def unread(call: Call) -> Reply:
    """Count what the caller has not read, an account each."""
    me = call.who.agent
    sessions = await call.desk.store.open_sessions(call.who.workspace, OPEN)
    counts: Counter[str] = Counter()
    for session in sessions:
        counts[session.account] += max(0, session.inbound - session.reads.get(me, 0))
    return Reply(
        body=Unread(
            total=counts.total(),
            accounts={slug: n for slug, n in sorted(counts.items()) if n},
            complete=len(sessions) < SCAN_LIMIT,
        )
    )
