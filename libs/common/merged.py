"""Who a contact is by now: the one it was merged into, and who was merged into it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from libs.common.documents import CONTACTS, Contact
from libs.common.store.api import Page, Store, cursor

HOPS = 16
"""Merges in a row that are followed."""
MOST = 100
"""Contacts that one may be made of."""


async def present(store: Store, contact: Contact) -> Contact:
    """Return the contact that *contact* has become part of, however often; else itself."""
    for _ in range(HOPS):
        if contact.merged_into is None:
            break
        found = await store.get(CONTACTS, contact.workspace, contact.merged_into)
        if found is None:
            break
        contact = found
    return contact


async def made_of(
    store: Store, workspace: str, contact: str, *, most: int | None = MOST
) -> list[str]:
    """Return *contact* and the ids of all that were merged into it, and into those.

    About *most*, as more are merged by channels alone; None: all there are.
    """
    found = dict.fromkeys((contact,))
    asked: list[str] = [contact]
    while asked and (most is None or len(found) < most):
        async for part in _parts(store, workspace, asked.pop(), to_the_end=most is None):
            if part not in found:
                asked.append(part)
                found[part] = None
    return list(found)


async def _parts(
    store: Store, workspace: str, contact: str, *, to_the_end: bool
) -> AsyncIterator[str]:
    page = Page(order="merged", limit=MOST)
    while True:
        rows = await store.find(CONTACTS, workspace, {"merged_into": contact}, page)
        for one in rows:
            yield one.id
        if len(rows) < MOST or not to_the_end:
            return
        page = msgspec.structs.replace(page, after=cursor(CONTACTS, "merged", rows[-1]))
