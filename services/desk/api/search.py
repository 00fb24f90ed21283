"""Search: contacts and messages of the caller's workspace, inside what the caller sees."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from libs.common.documents import Contact, Direction, Identity, Message
from libs.common.errors import InvalidInputError
from libs.common.store.api import Document
from libs.common.words import query_words, spans
from services.desk.api.cursor import sequence_cursor, time_cursor, write_cursor
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.search_messages import MessageHit, asked_place, shown
from services.desk.api.sessions import CHANNEL_NAMES, Cursor, Name
from services.desk.api.visible import places_of
from services.desk.contact_list import identities_of
from services.desk.search import Known, Sought, contacts_found, messages_found
from services.desk.search_walk import CONTACT_GROUND, MESSAGE_GROUND, Place, Walked

D = TypeVar("D", bound=Document)
H = TypeVar("H", "ContactHit", "MessageHit")
Moment = Annotated[datetime, Meta(tz=True)]
Kind = Literal["contacts", "messages"]
KINDS: tuple[Kind, ...] = ("contacts", "messages")
_ROUNDS = 4
"""Pages that one request looks at, where some rows are out of scope or have changed."""
_MOST_ACCOUNTS = 500


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Words and filters compose by AND; `q` or one of the filters is needed.

    Contacts are filtered by `from` and `to` by when they were first seen, messages by their time.
    Messages are filtered by `phone`, `email` and `tag` of their contact. `direction` is of messages
    alone.
    """

    q: Annotated[
        str,
        Meta(
            description="Words, all of which must be there; the last may be unfinished. A phone "
            "number in any spelling, an address, a reference"
        ),
    ] = ""
    kind: Annotated[tuple[Kind, ...], Meta(description="What to search for; without it both")] = ()
    phone: Annotated[Plain, Meta(max_length=60, description="In any spelling")] = ""
    email: Annotated[Plain, Meta(max_length=254)] = ""
    tag: Annotated[tuple[Name, ...], Meta(description="Ids of tags that the contact has")] = ()
    channel: Annotated[tuple[Name, ...], Meta(description="Kinds of channel")] = ()
    account: Annotated[tuple[Name, ...], Meta(description="Slugs of accounts")] = ()
    since: Annotated[Moment | None, Meta(description="From then on (RFC 3339, with a zone)")] = (
        msgspec.field(name="from", default=None)
    )
    until: Annotated[Moment | None, Meta(description="Before then")] = msgspec.field(
        name="to", default=None
    )
    direction: Annotated[
        Direction | None, Meta(description="Of messages: from the visitor, or to them")
    ] = None
    cursor: Annotated[
        Cursor, Meta(description="The `next` of one group; `kind` must name that one alone")
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=100, description="Rows of each group")] = 20


class ContactHit(msgspec.Struct, frozen=True, kw_only=True):
    """A contact. `ranges`: where in the name stands what was found, in characters."""

    id: str
    name: str
    phone: str
    email: str
    ref: str | None
    tags: tuple[str, ...]
    channels: tuple[str, ...]
    first_seen_at: datetime
    ranges: tuple[tuple[int, int], ...]


class ContactHits(msgspec.Struct, frozen=True, kw_only=True):
    """Contacts, who was first seen last first.

    A page may hold fewer than `limit`, even none: `next` tells whether there may be more.
    """

    items: tuple[ContactHit, ...] = ()
    next: str | None = None


class MessageHits(msgspec.Struct, frozen=True, kw_only=True):
    """Messages, newest first.

    A page may hold fewer than `limit`, even none: `next` tells whether there may be more.
    """

    items: tuple[MessageHit, ...] = ()
    next: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, by kind; a kind that was not asked for is empty."""

    contacts: ContactHits
    messages: MessageHits


async def search(call: Call) -> Reply:
    """Search contacts and messages.

    Raises:
        InvalidInputError: Nothing is asked for, an unknown channel, a cursor of two kinds.
    """
    query: SearchQuery = call.query
    kinds = query.kind or KINDS
    _check(query, kinds)
    sought = Sought(
        asked=query_words(query.q),
        known=Known(phone=query.phone, email=query.email, tags=query.tag),
        since=query.since,
        until=query.until,
    )
    if query.q and sought.asked.empty:  # of signs alone: nothing has these words
        return Reply(body=Found(contacts=ContactHits(), messages=MessageHits()))
    contacts, messages = await asyncio.gather(
        _contacts(call, sought, kinds), _messages(call, sought, kinds)
    )
    return Reply(body=Found(contacts=contacts, messages=messages))


def _check(query: SearchQuery, kinds: Sequence[Kind]) -> None:
    """Refuse what means nothing.

    Raises:
        InvalidInputError: Names the parameter.
    """
    filters = (query.phone, query.email, query.tag, query.channel, query.account)
    if not (query.q or query.since or query.until or query.direction or any(filters)):
        raise _wrong("q", "nothing is asked for", "words, or one of the filters")
    for place, name in enumerate(query.channel):
        if name not in CHANNEL_NAMES:
            raise _wrong(f"channel.{place}", "no such channel", ", ".join(CHANNEL_NAMES))
    if query.cursor and len(set(kinds)) > 1:
        raise _wrong("kind", "a cursor goes on in one group", " or ".join(KINDS))


def _wrong(field: str, words: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {words}; allowed: {allowed}.", field=field, allowed=allowed)


async def _filled(
    look: Callable[[Place | None], Awaitable[Walked[D]]],
    show: Callable[[Sequence[D]], Awaitable[Mapping[str, H]]],
    place: Callable[[D], Place],
    after: Place | None,
    limit: int,
) -> tuple[tuple[H, ...], str | None]:
    """Return the rows that can be shown, up to *limit*, and where to go on.

    What is out of scope, or is not any more what was found, is left out; at most `_ROUNDS` pages
    are looked at.
    """
    rows: list[H] = []
    for _ in range(_ROUNDS):
        found = await look(after)
        shown = await show(found.rows)
        for row in found.rows:
            if row.id not in shown:
                continue
            rows.append(shown[row.id])
            if len(rows) == limit:
                more = found.next is not None or row is not found.rows[-1]
                return tuple(rows), write_cursor(*place(row)) if more else None
        after = found.next
        if after is None:
            break
    return tuple(rows), None if after is None else write_cursor(*after)


# --- contacts ----------------------------------------------------------------------------------


async def _contacts(call: Call, sought: Sought, kinds: Sequence[Kind]) -> ContactHits:
    query: SearchQuery = call.query
    if "contacts" not in kinds:
        return ContactHits()
    port, workspace = call.desk.store.port, call.who.workspace

    async def look(after: Place | None) -> Walked[Contact]:
        return await contacts_found(port, workspace, sought, after=after, limit=query.limit)

    async def show(rows: Sequence[Contact]) -> dict[str, ContactHit]:
        known = await identities_of(port, workspace, rows)
        return {
            row.id: _contact_hit(row, known[row.id], sought)
            for row in rows
            if _sees(call, known[row.id])
        }

    after: Place | None = time_cursor(query.cursor)
    items, more = await _filled(look, show, CONTACT_GROUND.place, after, query.limit)
    return ContactHits(items=items, next=more)


def _sees(call: Call, identities: Sequence[Identity]) -> bool:
    """Tell whether the caller sees a contact, who is on what was asked for."""
    query: SearchQuery = call.query
    places = places_of(identities)
    if not call.who.scope.contact(places):
        return False
    if not query.channel and not query.account:
        return True
    return any(asked_place(query, *place) for place in places)


def _contact_hit(row: Contact, identities: Sequence[Identity], sought: Sought) -> ContactHit:
    return ContactHit(
        id=row.id,
        name=row.name,
        phone=row.phone,
        email=row.email,
        ref=row.ref,
        tags=row.tags,
        channels=tuple(sorted({identity.channel for identity in identities})),
        first_seen_at=row.first_seen_at,
        ranges=spans(row.name, sought.asked),
    )


# --- messages ----------------------------------------------------------------------------------


async def _messages(call: Call, sought: Sought, kinds: Sequence[Kind]) -> MessageHits:
    query: SearchQuery = call.query
    if "messages" not in kinds:
        return MessageHits()
    accounts = await seen_accounts(call)
    if accounts == ():
        return MessageHits()
    sought = msgspec.structs.replace(sought, accounts=accounts)
    port, workspace = call.desk.store.port, call.who.workspace

    async def look(after: Place | None) -> Walked[Message]:
        return await messages_found(port, workspace, sought, after=after, limit=query.limit)

    async def show(rows: Sequence[Message]) -> dict[str, MessageHit]:
        return await shown(call, sought, rows)

    after: Place | None = sequence_cursor(query.cursor)
    items, more = await _filled(look, show, MESSAGE_GROUND.place, after, query.limit)
    return MessageHits(items=items, next=more)


async def seen_accounts(call: Call) -> tuple[str, ...] | None:
    """Return the accounts whose messages may be shown; None: all, or too many to name.

    The query of *call* is a `SearchQuery`.
    """
    query: SearchQuery = call.query
    scope = call.who.scope
    if not (query.channel or query.account or scope.channels or scope.accounts):
        return None
    every = await call.desk.store.accounts(call.who.workspace)
    meant = [
        one.id
        for one in every
        if scope.account(one.channel, one.id) and asked_place(query, one.channel, one.id)
    ]
    return tuple(meant) if len(meant) <= _MOST_ACCOUNTS else None
