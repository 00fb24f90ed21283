"""Who a contact is by now: the one it was merged into, and who was merged into it."""

from __future__ import annotations

from libs.common.documents import CONTACTS, Contact
from libs.common.store.api import Page, Store

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


async def made_of(store: Store, workspace: str, contact: str) -> list[str]:
    """Return *contact* and the ids of all that were merged into it, and into those."""
    found = dict.fromkeys((contact,))
    asked: list[str] = [contact]
    while asked and len(found) < MOST:
        page = Page(order="merged", limit=MOST)
        rows = await store.find(CONTACTS, workspace, {"merged_into": asked.pop()}, page)
        fresh = [one.id for one in rows if one.id not in found]
        asked += fresh
        found |= dict.fromkeys(fresh)
    return list(found)
