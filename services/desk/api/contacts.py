"""Contacts: the list, one of them, and the tags they are sorted by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.contact_keys import language_tag, phone_key
from libs.common.documents import Contact
from libs.common.errors import InvalidInputError, NotFoundError
from services.desk.api.contact_edit import MOST_TAGS, changed, too_many
from services.desk.api.contact_view import ContactRow, row, shown, tags_of
from services.desk.api.cursor import id_cursor, write_id_cursor
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import CHANNEL_NAMES, Cursor, Limit, Name
from services.desk.api.tags import known_tags
from services.desk.api.visible import contact_of
from services.desk.contact_list import ContactFilter, count_contacts, page_of_contacts
from services.desk.tagging import tags_by_id

TAGGED = "contact.tags"
"""How the record of changes calls tags that were given and taken."""

Text = Annotated[Plain, Meta(max_length=254)]
When = Annotated[datetime, Meta(tz=True)]


class ContactQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters compose by AND.

    `match` tells whether one of the tags will do, or all must be. `ref`, `email` and `phone` are
    exact, whatever the spelling of an address or number. `order` `newest` goes by `first_seen_at`,
    as `q` always does; with an exact value, or tags without `q`, the order is always that of ids.
    `total` asks how many there are.
    """

    q: Annotated[
        Plain,
        Meta(
            max_length=500,
            description="Words that they are known by: of names, addresses, numbers, `ref`, fields",
        ),
    ] = ""
    tag: Annotated[tuple[Name, ...], Meta(description="Ids of tags")] = ()
    match: Literal["any", "all"] = "any"
    channel: Annotated[tuple[Name, ...], Meta(description="Kinds of channel")] = ()
    language: Annotated[Plain, Meta(max_length=64)] = ""
    has_email: bool | None = None
    has_phone: bool | None = None
    first_seen_from: When | None = None
    first_seen_before: When | None = None
    ref: Annotated[Plain, Meta(max_length=100)] = ""
    email: Text = ""
    phone: Annotated[Plain, Meta(max_length=40)] = ""
    order: Literal["id", "newest"] = "id"
    total: bool = False
    cursor: Cursor = ""
    limit: Limit = 50


class ContactTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How many fit; not `complete`: there are that many or more, counted is up to 1,000."""

    count: int
    complete: bool


class ContactList(msgspec.Struct, frozen=True, kw_only=True):
    """Contacts; a page may hold fewer than `limit`, `next` tells whether there are more."""

    items: tuple[ContactRow, ...]
    next: str | None
    total: ContactTotal | None = None


async def contacts(call: Call) -> Reply:
    """List contacts; who was merged into another is left out.

    Raises:
        InvalidInputError: An unknown tag or kind of channel, or what is no number.
    """
    query: ContactQuery = call.query
    wanted = await filter_of(call, query)
    port, workspace = call.desk.store.port, call.who.workspace
    place = id_cursor(query.cursor)
    page = await page_of_contacts(port, workspace, wanted, after=place, limit=query.limit)
    tags = await tags_of(call, [found.contact for found in page.rows])
    total = None
    if query.total:
        count, complete = await count_contacts(port, workspace, wanted)
        total = ContactTotal(count=count, complete=complete)
    now = call.desk.now()
    return Reply(
        body=ContactList(
            items=tuple(row(found, tags, now) for found in page.rows),
            next=write_id_cursor(page.next) if page.next else None,
            total=total,
        )
    )


async def filter_of(call: Call, query: ContactQuery) -> ContactFilter:
    """Return whom *query* asks for, of those that the caller sees.

    Raises:
        InvalidInputError: An unknown tag or kind of channel, or what is no number.
    """
    await known_tags(call, query.tag, "tag")
    for name in query.channel:
        if name not in CHANNEL_NAMES:
            raise _wrong("channel", f"{name!r} is no channel", ", ".join(CHANNEL_NAMES))
    if query.phone and phone_key(query.phone) is None:
        raise _wrong("phone", "this is no number", "a number of at least 5 digits")
    return ContactFilter(
        tags=query.tag,
        match=query.match,
        channels=query.channel,
        language=language_tag(query.language),
        has_email=query.has_email,
        has_phone=query.has_phone,
        seen_from=query.first_seen_from,
        seen_before=query.first_seen_before,
        ref=query.ref,
        email=query.email,
        phone=query.phone,
        words=query.q,
        newest=query.order == "newest",
        scope=call.who.scope,
    )


async def contact(call: Call) -> Reply:
    """Show a contact; `ETag` names the version.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    return await shown(call, await contact_of(call))


async def add_tag(call: Call) -> Reply:
    """Give a contact a tag; one that it has already stays.

    Raises:
        NotFoundError: No such contact, or tag, in this workspace.
        RefusalError: 409 `too_many`.
    """
    tag = call.params["tag"]
    if tag not in await tags_by_id(call.desk.store.port, call.who.workspace, [tag]):
        raise NotFoundError("There is no such tag.")
    return await changed(call, TAGGED, lambda before: retagged(before, (tag,), ()))


async def take_tag(call: Call) -> Reply:
    """Take a tag off a contact; one that is not there, or not any more, is off already.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    taken = (call.params["tag"],)
    return await changed(call, TAGGED, lambda before: retagged(before, (), taken))


def retagged(before: Contact, add: Sequence[str], take: Sequence[str]) -> Contact:
    """Return the contact with the tags added and taken.

    Raises:
        RefusalError: 409, they would be too many.
    """
    held = dict.fromkeys((*before.tags, *add))
    tags = tuple(tag for tag in held if tag not in take)
    if len(tags) > max(MOST_TAGS, len(before.tags)):
        raise too_many("tags", f"at most {MOST_TAGS} tags of one contact")
    return msgspec.structs.replace(before, tags=tags)


def _wrong(field: str, words: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {words}; allowed: {allowed}.", field=field, allowed=allowed)
