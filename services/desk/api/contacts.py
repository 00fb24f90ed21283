"""Contacts: who they are, what people note of them, and the tags they are sorted by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.awaited import valid_address
from libs.common.documents import CONTACTS, Contact, Identity, ListName, Tag
from libs.common.errors import InvalidInputError, NotFoundError
from libs.common.wallclock import ZONE, zone_named
from services.desk.api.cursor import id_cursor, write_id_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import CHANNEL_NAMES, Cursor, Limit, Name
from services.desk.api.tags import TagView, view
from services.desk.audited import entry, retried, write
from services.desk.contact_list import ContactFilter, ContactFound, page_of_contacts
from services.desk.policy_store import etag
from services.desk.tagging import tags_by_id

TAGGED = "contact.tags"
"""How the record of changes calls tags that were given and taken."""
CONTACT_SESSIONS = 20
MOST_TAGS = 100
MOST_FIELDS = 100
FIELD_NAME = "1 to 60 characters of one line, without { } and |"
_FIELD_NAME_MOST = 60
_FIELD_MOST = 1000

Id = Annotated[Plain, Meta(min_length=1, max_length=100)]
Fact = Annotated[Plain, Meta(max_length=_FIELD_MOST)]


class ContactQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters compose by AND; `match` tells whether one of the tags will do, or all must be."""

    tag: Annotated[tuple[Name, ...], Meta(description="Ids of tags")] = ()
    match: Literal["any", "all"] = "any"
    channel: Annotated[tuple[Name, ...], Meta(description="Kinds of channel")] = ()
    cursor: Cursor = ""
    limit: Limit = 50


class ContactPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays.

    Attributes:
        zone: Time zone, a name of the IANA list; empty: not known, the workspace's is taken.
        fields: Facts of your own by name; null removes one, names not given stay.
        email: Where they read email; what they say in a chat does not change it. Empty: not known
            to people, what they say next holds.
    """

    email: Annotated[Plain, Meta(max_length=254)] | UnsetType = UNSET
    zone: Annotated[Plain, Meta(max_length=64)] | UnsetType = UNSET
    fields: Annotated[dict[str, Fact | None], Meta(max_length=MOST_FIELDS)] | UnsetType = UNSET


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


class ContactRow(msgspec.Struct, frozen=True, kw_only=True):
    """A person as a list shows them.

    Attributes:
        zone: Their time zone (IANA); empty: not known.
        fields: The workspace's own facts by name.
        channels: Where they can be met.
    """

    id: str
    name: str
    phone: str
    email: str
    language: str
    zone: str
    tags: tuple[TagView, ...]
    fields: dict[str, str]
    channels: tuple[str, ...]
    first_seen_at: datetime


class ContactView(ContactRow, frozen=True, kw_only=True):
    """A person, their identities, and their newest sessions (at most 20)."""

    identities: tuple[IdentityView, ...]
    sessions: tuple[ContactSession, ...]


class ContactList(msgspec.Struct, frozen=True, kw_only=True):
    """Contacts by id; a page may hold fewer than `limit`, `next` tells whether there are more."""

    items: tuple[ContactRow, ...]
    next: str | None


async def contacts(call: Call) -> Reply:
    """List contacts.

    Raises:
        InvalidInputError: An unknown tag or kind of channel.
    """
    query: ContactQuery = call.query
    await known_tags(call, query.tag, "tag")
    for name in query.channel:
        if name not in CHANNEL_NAMES:
            raise _wrong("channel", f"{name!r} is no channel", ", ".join(CHANNEL_NAMES))
    page = await page_of_contacts(
        call.desk.store.port,
        call.who.workspace,
        ContactFilter(tags=query.tag, match=query.match, channels=query.channel),
        after=id_cursor(query.cursor),
        limit=query.limit,
    )
    tags = await _tags_of(call, [found.contact for found in page.rows])
    return Reply(
        body=ContactList(
            items=tuple(_row(found, tags) for found in page.rows),
            next=write_id_cursor(page.next) if page.next else None,
        )
    )


async def contact(call: Call) -> Reply:
    """Show a contact; `ETag` names the version.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    return await _shown(call, await _contact(call))


async def patch(call: Call) -> Reply:
    """Change what people note of a contact.

    Raises:
        NotFoundError: No such contact in this workspace.
        InvalidInputError: No address, an unknown zone, or a field's name that cannot be one.
        RefusalError: 412, `If-Match` names another version; 409, too many fields.
    """
    body: ContactPatch = call.body
    if isinstance(body.zone, str) and body.zone and zone_named(body.zone) is None:
        raise _wrong(
            "zone", "this is no zone of the IANA list", f"a name such as {ZONE}, or nothing"
        )
    address = _address(body)
    given = {} if isinstance(body.fields, UnsetType) else body.fields
    for name in given:
        _check_field_name(name)

    def edit(before: Contact) -> Contact:
        zone = before.zone if isinstance(body.zone, UnsetType) else body.zone
        merged = {**before.fields, **given}
        fields = {name: value for name, value in merged.items() if value is not None}
        if len(fields) > MOST_FIELDS:
            raise _too_many("fields", f"at most {MOST_FIELDS} fields")
        after = msgspec.structs.replace(before, zone=zone, fields=fields)
        if address is None:
            return after
        by = call.who.agent if address else ""
        if before.email_by and address == before.email:
            by = before.email_by
        return msgspec.structs.replace(after, email=address, email_by=by)

    return await _changed(call, "contact.patch", edit)


async def add_tag(call: Call) -> Reply:
    """Give a contact a tag; one that it has already stays.

    Raises:
        NotFoundError: No such contact, or tag, in this workspace.
        RefusalError: 409 `too_many`.
    """
    tag = call.params["tag"]
    if tag not in await tags_by_id(call.desk.store.port, call.who.workspace, [tag]):
        raise NotFoundError("There is no such tag.")
    return await _changed(call, TAGGED, lambda before: retagged(before, (tag,), ()))


async def take_tag(call: Call) -> Reply:
    """Take a tag off a contact; one that is not there, or not any more, is off already.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    taken = (call.params["tag"],)
    return await _changed(call, TAGGED, lambda before: retagged(before, (), taken))


async def known_tags(call: Call, ids: Sequence[str], field: str) -> dict[str, Tag]:
    """Return the tags.

    Raises:
        InvalidInputError: One is not known; names its place.
    """
    found = await tags_by_id(call.desk.store.port, call.who.workspace, ids)
    for place, one in enumerate(ids):
        if one not in found:
            raise _wrong(f"{field}.{place}", "there is no such tag", "ids of `GET /tags`")
    return found


def retagged(before: Contact, add: Sequence[str], take: Sequence[str]) -> Contact:
    """Return the contact with the tags added and taken.

    Raises:
        RefusalError: 409, they would be too many.
    """
    held = dict.fromkeys((*before.tags, *add))
    tags = tuple(tag for tag in held if tag not in take)
    if len(tags) > max(MOST_TAGS, len(before.tags)):
        raise _too_many("tags", f"at most {MOST_TAGS} tags of one contact")
    return msgspec.structs.replace(before, tags=tags)


# --- inside ------------------------------------------------------------------------------------


async def _contact(call: Call) -> Contact:
    return await call.desk.store.contact(call.who.workspace, call.params["id"])


async def _changed(call: Call, action: str, edit: Callable[[Contact], Contact]) -> Reply:
    """Change the contact; the router writes it, too, so whoever is second does it again.

    The record has what people set of a contact, not what is known of them otherwise.
    """

    async def step(before: Contact) -> Contact:
        after = edit(before)
        if after == before:
            return before
        record = entry(call, action, f"contact:{before.id}", _recorded(before), _recorded(after))
        return await write(call, CONTACTS, after, record)

    read: Callable[[], Awaitable[Contact]] = lambda: _contact(call)  # noqa: E731
    return await _shown(call, await retried(call, read, step))


def _recorded(found: Contact) -> dict[str, Any]:
    email = found.email if found.email_by else ""
    return {"email": email, "zone": found.zone, "fields": found.fields, "tags": found.tags}


def _address(body: ContactPatch) -> str | None:
    """Return the address that is to be set, empty to forget it; None: it stays.

    Raises:
        InvalidInputError: It is none.
    """
    if isinstance(body.email, UnsetType):
        return None
    address = valid_address(body.email) if body.email else ""
    if body.email and not address:
        raise _wrong("email", "this is no email address", "one such as eve@example.org, or nothing")
    return address


async def _shown(call: Call, found: Contact) -> Reply:
    store, workspace = call.desk.store, found.workspace
    identities = tuple(await store.identities(workspace, found.id))
    sessions = await store.sessions_of_contact(workspace, found.id, limit=CONTACT_SESSIONS)
    row = _row(ContactFound(found, identities), await _tags_of(call, [found]))
    view = ContactView(
        **msgspec.structs.asdict(row),
        identities=tuple(map(_identity, identities)),
        sessions=tuple(
            msgspec.convert(session, ContactSession, from_attributes=True) for session in sessions
        ),
    )
    return Reply(body=view, headers=etag(found))


async def _tags_of(call: Call, found: Sequence[Contact]) -> dict[str, Tag]:
    ids = {tag for one in found for tag in one.tags}
    return await tags_by_id(call.desk.store.port, call.who.workspace, ids)


def _row(found: ContactFound, tags: Mapping[str, Tag]) -> ContactRow:
    one = found.contact
    held = sorted((tags[tag] for tag in one.tags if tag in tags), key=lambda tag: tag.name_key)
    return ContactRow(
        id=one.id,
        name=one.name,
        phone=one.phone,
        email=one.email,
        language=one.language,
        zone=one.zone,
        tags=tuple(map(view, held)),
        fields=dict(sorted(one.fields.items())),
        channels=tuple(sorted({identity.channel for identity in found.identities})),
        first_seen_at=one.first_seen_at,
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


def _check_field_name(name: str) -> None:
    if (
        not name.strip()
        or len(name) > _FIELD_NAME_MOST
        or name != name.strip()
        or not name.isprintable()
        or set("{}|") & set(name)
    ):
        raise _wrong(f"fields.{name[:_FIELD_NAME_MOST]}", "this cannot be a name", FIELD_NAME)


def _too_many(field: str, allowed: str) -> RefusalError:
    return RefusalError(409, "too_many", f"{field}: {allowed}.", field=field, allowed=allowed)


def _wrong(field: str, words: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {words}; allowed: {allowed}.", field=field, allowed=allowed)
