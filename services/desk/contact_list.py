"""The list of contacts: one page of those who have the tags and can be reached on the channels."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import msgspec

from libs.common.documents import CONTACTS, IDENTITIES, Contact, Identity
from libs.common.store.api import Cursor, In, Page, Store, Where, cursor

SCAN_LIMIT = 2000
"""Contacts one request looks at; beyond, it answers a short page with a cursor."""
_MOST_ROWS = 1000


class ContactFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Contacts who have any or all of *tags* (ids), and an identity on one of *channels*."""

    tags: tuple[str, ...] = ()
    match: Literal["any", "all"] = "any"
    channels: tuple[str, ...] = ()


class ContactFound(msgspec.Struct, frozen=True):
    """A contact and who they are on each account."""

    contact: Contact
    identities: tuple[Identity, ...]


class ContactPage(msgspec.Struct, frozen=True):
    """Contacts by id; `next` is the id to go on behind, None at the end."""

    rows: tuple[ContactFound, ...]
    next: str | None


async def page_of_contacts(
    store: Store, workspace: str, wanted: ContactFilter, *, after: str, limit: int
) -> ContactPage:
    """Return one page; who was merged into another has no identity any more, and is left out."""
    rows: list[ContactFound] = []
    scanned = 0
    while True:
        found, more = await _next(store, workspace, wanted, after, limit + 1)
        rows += await _fitting(store, workspace, wanted, found)
        scanned += len(found)
        if len(rows) > limit:
            return ContactPage(tuple(rows[:limit]), rows[limit - 1].contact.id)
        if not more:
            return ContactPage(tuple(rows), None)
        after = found[-1].id
        if scanned >= SCAN_LIMIT:
            return ContactPage(tuple(rows), after)


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


async def _next(
    store: Store, workspace: str, wanted: ContactFilter, after: str, limit: int
) -> tuple[list[Contact], bool]:
    """Return the next contacts by id, each once, and whether there are more."""
    leads = wanted.tags[:1] if wanted.match == "all" else wanted.tags
    if not leads:
        page = Page(order="id", after=(after,) if after else None, limit=limit)
        found = await store.find(CONTACTS, workspace, {}, page)
        return found, len(found) == limit
    walks = await asyncio.gather(*(_held(store, workspace, tag, after, limit) for tag in leads))
    merged = {contact.id: contact for walk in walks for contact in walk}
    ends = [walk[-1].id for walk in walks if len(walk) == limit]
    horizon = min(ends, default=None)  # behind it, a walk that has not ended may have more
    known = sorted(one for one in merged if horizon is None or one <= horizon)
    return [merged[one] for one in known], horizon is not None


async def _held(store: Store, workspace: str, tag: str, after: str, limit: int) -> list[Contact]:
    page = Page(order="tag", after=(tag, after) if after else None, limit=limit)
    return await store.find(CONTACTS, workspace, {"tags": tag}, page)


async def _fitting(
    store: Store, workspace: str, wanted: ContactFilter, found: Sequence[Contact]
) -> list[ContactFound]:
    if wanted.match == "all":
        found = [one for one in found if set(wanted.tags) <= set(one.tags)]
    known = await identities_of(store, workspace, found)
    return [
        ContactFound(one, tuple(known[one.id]))
        for one in found
        if one.id in known
        and (not wanted.channels or any(i.channel in wanted.channels for i in known[one.id]))
    ]
