"""The list of contacts: one page of those who fit a filter, each page served by an index.

By what is asked one index is walked: an exact key, words, tags, channels, a language, the time of
the first sight, else ids. The walk looks at a bounded number of contacts; what else is asked is
looked at in those.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from libs.common.contact_keys import email_key, phone_key
from libs.common.documents import CONTACTS, IDENTITIES, Contact, Identity
from libs.common.errors import InvalidInputError
from libs.common.merged import present
from libs.common.store.api import All, Cursor, In, Page, Range, Store, Value, Where, cursor
from libs.common.words import query_words
from services.desk.scope import WHOLE, Scope
from services.desk.search import Sought, contacts_found

SCAN_LIMIT = 2000
"""Contacts one request looks at; beyond, it answers a short page with a cursor."""
COUNT_LIMIT = 1000
"""Contacts are counted up to here."""
_MOST_ROWS = 1000
_MOST_TAGS = 20
_STEP = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LAST = "\U0010ffff"
"""Behind every id."""


class ContactFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Contacts who fit all of it; what is empty or None does not count.

    Attributes:
        tags: Ids, any or all of them.
        channels: They have an identity on one of these.
        has_email, has_phone: Whether one is known.
        seen_from, seen_before: First seen at or after, and before.
        ref, email, phone: Exactly; addresses and numbers whatever their spelling.
        words: Words that they are known by, as somebody types them.
        newest: In the order of the first sight, the newest first; else by id.
        scope: What the caller sees.
    """

    tags: tuple[str, ...] = ()
    match: Literal["any", "all"] = "any"
    channels: tuple[str, ...] = ()
    language: str = ""
    has_email: bool | None = None
    has_phone: bool | None = None
    seen_from: datetime | None = None
    seen_before: datetime | None = None
    ref: str = ""
    email: str = ""
    phone: str = ""
    words: str = ""
    newest: bool = False
    scope: Scope = WHOLE

    @property
    def exact(self) -> bool:
        """Whether they are found by a key."""
        return bool(self.ref or self.email or self.phone)

    @property
    def by_time(self) -> bool:
        """Whether the walk is by the time of the first sight."""
        if self.exact:
            return False
        if self.words:
            return True
        if self.tags:
            return False
        ranged = self.seen_from is not None or self.seen_before is not None
        return self.newest or (ranged and not self.channels and not self.language)


class ContactFound(msgspec.Struct, frozen=True):
    """A contact and who they are on each account."""

    contact: Contact
    identities: tuple[Identity, ...]


class ContactPage(msgspec.Struct, frozen=True):
    """Contacts in order; `next` is the place to go on behind, None at the end."""

    rows: tuple[ContactFound, ...]
    next: str | None


class _Step(msgspec.Struct, frozen=True):
    """What a walk met next, and the place behind it; None: there is no more."""

    found: Sequence[Contact]
    next: str | None


async def page_of_contacts(
    store: Store, workspace: str, wanted: ContactFilter, *, after: str, limit: int
) -> ContactPage:
    """Return one page behind the place *after* (empty: the first); who was merged is left out.

    Raises:
        InvalidInputError: *after* is no place of this list.
    """
    rows: list[ContactFound] = []
    scanned = 0
    while True:
        step = await _next(store, workspace, wanted, after, limit + 1)
        rows += await _fitting(store, workspace, wanted, step.found)
        scanned += len(step.found)
        if len(rows) > limit:
            return ContactPage(tuple(rows[:limit]), _place(wanted, rows[limit - 1].contact))
        if step.next is None:
            return ContactPage(tuple(rows), None)
        after = step.next
        if scanned >= SCAN_LIMIT:
            return ContactPage(tuple(rows), after)


async def count_contacts(store: Store, workspace: str, wanted: ContactFilter) -> tuple[int, bool]:
    """Return how many fit, up to `COUNT_LIMIT`, and whether that is all of them."""
    counted, after = 0, ""
    for _ in range(1 + COUNT_LIMIT // _STEP):
        page = await page_of_contacts(store, workspace, wanted, after=after, limit=_STEP - 1)
        counted += len(page.rows)
        if page.next is None:
            return min(counted, COUNT_LIMIT), counted <= COUNT_LIMIT
        after = page.next
    return min(counted, COUNT_LIMIT), False


async def identities_of(
    store: Store, workspace: str, contacts: Sequence[Contact]
) -> dict[str, list[Identity]]:
    """Return the identities by contact (at most 500)."""
    by_contact: dict[str, list[Identity]] = defaultdict(list)
    where: Where = {"contact": In(tuple(contact.id for contact in contacts))}
    after: Cursor | None = None
    while contacts:
        page = Page(order="contact", after=after, limit=_MOST_ROWS)
        found = await store.find(IDENTITIES, workspace, where, page)
        for identity in found:
            by_contact[identity.contact].append(identity)
        if len(found) < _MOST_ROWS:
            break
        after = cursor(IDENTITIES, "contact", found[-1])
    return by_contact


# --- walks -------------------------------------------------------------------------------------


async def _next(
    store: Store, workspace: str, wanted: ContactFilter, after: str, limit: int
) -> _Step:
    """Return the next contacts of the walk, each once, and whether there are more."""
    if wanted.exact:
        return await _by_key(store, workspace, wanted, after)
    if wanted.words:
        return await _by_words(store, workspace, wanted, after, limit)
    if wanted.by_time:
        return await _by_time(store, workspace, wanted, after, limit)
    if wanted.tags:
        first = wanted.tags if wanted.match == "any" else wanted.tags[:1]
        walks = [_held(store, workspace, wanted, tag, after, limit) for tag in first]
        return _united(await asyncio.gather(*walks), limit)
    if wanted.channels:
        return await _by_channel(store, workspace, wanted, after, limit)
    order, lead = ("language", (wanted.language,)) if wanted.language else ("id", ())
    behind = (*lead, after) if after else None
    page = Page(order=order, after=behind, limit=limit)
    return _united([await store.find(CONTACTS, workspace, _narrowed(wanted), page)], limit)


def _united(walks: Sequence[Sequence[Contact]], limit: int) -> _Step:
    """Return what several walks by id met, up to where all of them have come."""
    merged = {contact.id: contact for walk in walks for contact in walk}
    ends = [walk[-1].id for walk in walks if len(walk) == limit]
    horizon = min(ends, default=None)  # behind it, a walk that has not ended may have more
    known = sorted(one for one in merged if horizon is None or one <= horizon)
    return _Step([merged[one] for one in known], horizon)


async def _held(  # a query and its page
    store: Store, workspace: str, wanted: ContactFilter, tag: str, after: str, limit: int
) -> list[Contact]:
    page = Page(order="tag", after=(tag, after) if after else None, limit=limit)
    held: Value | All = tag if wanted.match == "any" else All(wanted.tags[:_MOST_TAGS])
    return await store.find(CONTACTS, workspace, {**_narrowed(wanted), "tags": held}, page)


async def _by_channel(
    store: Store, workspace: str, wanted: ContactFilter, after: str, limit: int
) -> _Step:
    async def walk(channel: str) -> list[str]:
        behind = (channel, after, _LAST) if after else None
        page = Page(order="channel", after=behind, limit=limit)
        found = await store.find(IDENTITIES, workspace, {"channel": channel}, page)
        return [identity.contact for identity in found]

    walks = await asyncio.gather(*(walk(channel) for channel in dict.fromkeys(wanted.channels)))
    horizon = min((ids[-1] for ids in walks if len(ids) == limit), default=None)
    known = sorted({one for ids in walks for one in ids if horizon is None or one <= horizon})
    found = await store.get_many(CONTACTS, workspace, known) if known else {}
    return _Step([found[one] for one in known if one in found], horizon)


async def _by_time(
    store: Store, workspace: str, wanted: ContactFilter, after: str, limit: int
) -> _Step:
    behind = _time_of(after) if after else None
    page = Page(order="seen", descending=True, after=behind, limit=limit)
    found = await store.find(CONTACTS, workspace, _narrowed(wanted), page)
    return _Step(found, _place(wanted, found[-1]) if len(found) == limit else None)


async def _by_words(
    store: Store, workspace: str, wanted: ContactFilter, after: str, limit: int
) -> _Step:
    sought = Sought(
        asked=query_words(wanted.words), since=wanted.seen_from, until=wanted.seen_before
    )
    if sought.asked.empty:  # of signs alone: nobody has these words
        return _Step((), None)
    behind = _time_of(after) if after else None
    walked = await contacts_found(store, workspace, sought, after=behind, limit=limit)
    return _Step(walked.rows, None if walked.next is None else _time_place(*walked.next))


async def _by_key(store: Store, workspace: str, wanted: ContactFilter, after: str) -> _Step:
    """Return who has the key: few, of whom one page holds all."""
    keys = {
        "ref": ("ref", wanted.ref),
        "email": ("email_key", email_key(wanted.email)),
        "phone": ("phone_key", phone_key(wanted.phone)),
    }
    order = next(name for name in keys if getattr(wanted, name))
    field, value = keys[order]
    if value is None:
        return _Step((), None)
    page = Page(order=order, limit=_MOST_ROWS)
    found = await store.find(CONTACTS, workspace, {field: value}, page)
    now = {one.id: one for one in [await present(store, contact) for contact in found]}
    return _Step([now[one] for one in sorted(now) if one > after], None)


def _narrowed(wanted: ContactFilter) -> dict[str, Value | All | In | Range]:
    """Return what the store may leave out of the walk; `_fits` says the same and more."""
    where: dict[str, Value | All | In | Range] = {}
    if wanted.language:
        where["language"] = wanted.language
    if wanted.has_email:
        where["email_key"] = Range()
    if wanted.has_phone:
        where["phone_key"] = Range()
    if wanted.seen_from is not None or wanted.seen_before is not None:
        where["first_seen_at"] = Range(ge=wanted.seen_from, lt=wanted.seen_before)
    return where


def _place(wanted: ContactFilter, contact: Contact) -> str:
    """Return the place behind *contact* in the list."""
    return _time_place(contact.first_seen_at, contact.id) if wanted.by_time else contact.id


def _time_place(at: datetime, id_: str) -> str:
    return f"{(at - _EPOCH) // _MICROSECOND}|{id_}"


def _time_of(place: str) -> tuple[datetime, str]:
    """Return what `_place` wrote.

    Raises:
        InvalidInputError: It is of another list.
    """
    micros, bar, id_ = place.partition("|")
    try:
        return _EPOCH + int(micros) * _MICROSECOND, id_ if bar else ""
    except (ValueError, OverflowError):
        raise InvalidInputError(
            "cursor: this is no cursor of this list; take `next` from its last answer.",
            field="cursor",
            allowed="the `next` of an answer",
        ) from None


# --- looking at each ---------------------------------------------------------------------------


async def _fitting(
    store: Store, workspace: str, wanted: ContactFilter, found: Sequence[Contact]
) -> list[ContactFound]:
    fitting = [one for one in found if _fits(one, wanted)]
    rows: list[ContactFound] = []
    for start in range(0, len(fitting), _STEP):
        some = fitting[start : start + _STEP]
        known = await identities_of(store, workspace, some)
        rows += [
            ContactFound(one, tuple(known.get(one.id, ())))
            for one in some
            if _is_placed(known.get(one.id, ()), wanted)
        ]
    return rows


def _is_placed(identities: Sequence[Identity], wanted: ContactFilter) -> bool:
    """Tell whether they are on a channel asked for, and in scope."""
    if wanted.channels and not any(one.channel in wanted.channels for one in identities):
        return False
    return wanted.scope.contact([(one.channel, one.account) for one in identities])


def _fits(contact: Contact, wanted: ContactFilter) -> bool:
    """Tell whether the contact's own facts fit."""
    return (
        contact.merged_into is None and _is_tagged(contact, wanted) and _is_known(contact, wanted)
    )


def _is_tagged(contact: Contact, wanted: ContactFilter) -> bool:
    held, tags = set(contact.tags), set(wanted.tags)
    return not tags or (tags <= held if wanted.match == "all" else bool(tags & held))


def _is_known(contact: Contact, wanted: ContactFilter) -> bool:
    facts = (
        not wanted.language or contact.language == wanted.language,
        wanted.has_email in {None, bool(contact.email)},
        wanted.has_phone in {None, bool(contact.phone)},
        wanted.seen_from is None or contact.first_seen_at >= wanted.seen_from,
        wanted.seen_before is None or contact.first_seen_at < wanted.seen_before,
        not wanted.email or email_key(contact.email) == email_key(wanted.email),
        not wanted.phone or phone_key(contact.phone) == phone_key(wanted.phone),
        not (wanted.words and wanted.exact) or query_words(wanted.words).found_in(contact.words),
    )
    return all(facts)
