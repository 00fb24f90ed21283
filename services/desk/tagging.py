"""Tags and contacts in the store: names by id, and taking a deleted tag off whoever holds it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.common.contact_keys import keyed
from libs.common.documents import CONTACTS, TAGS, Tag
from libs.common.rules.folding import fold
from libs.common.store.api import Page, Store

MOST_TAGS = 1000
"""Tags of a workspace."""
PAGE = 200
PAGES_AT_ONCE = 25
"""Pages of contacts from which one look takes a deleted tag; the next look takes the others."""


def name_key(name: str) -> str:
    """Return what names are compared by: `VIP` and ` vip` are one."""
    return fold(name)


def buried(tag: Tag, now: datetime) -> Tag:
    """Return the tag as it is kept until nobody holds it; its name is free again.

    No folded name has an end of line in it, so the key cannot be one.
    """
    return msgspec.structs.replace(tag, name_key=f"\n{tag.id}", deleted_since=now)


async def all_tags(store: Store, workspace: str) -> list[Tag]:
    """Return every tag that is not deleted, by name."""
    found: list[Tag] = []
    page = Page(order="name", limit=MOST_TAGS)
    while rows := await store.find(TAGS, workspace, {}, page):
        found += [tag for tag in rows if tag.deleted_since is None]
        if len(rows) < MOST_TAGS:
            break
        page = msgspec.structs.replace(page, after=(rows[-1].name_key,))
    return found


async def tags_by_id(store: Store, workspace: str, ids: Iterable[str]) -> dict[str, Tag]:
    """Return those of the tags that there are."""
    wanted = sorted(set(ids))
    found = await store.get_many(TAGS, workspace, wanted) if wanted else {}
    return {tag.id: tag for tag in found.values() if tag.deleted_since is None}


async def detach(store: Store, workspace: str, tag: Tag) -> bool:
    """Take a deleted tag off its contacts, page by page; tell whether it is off all of them.

    Whoever writes a contact at the same time wins, and the contact is met again.
    """
    for _ in range(PAGES_AT_ONCE):
        found = await store.find(
            CONTACTS, workspace, {"tags": tag.id}, Page(order="tag", limit=PAGE)
        )
        without = [
            keyed(
                msgspec.structs.replace(
                    one, tags=tuple(held for held in one.tags if held != tag.id)
                )
            )
            for one in found
        ]
        refused = await store.replace_many(CONTACTS, without) if without else {}
        if len(found) < PAGE and not refused:
            await store.delete(TAGS, workspace, tag.id)
            return True
    return False


async def detach_all(store: Store, workspace: str) -> None:
    """Do so for every tag that was deleted and is still held by somebody."""
    page = Page(order="deleted", limit=PAGE)
    for tag in await store.find(TAGS, workspace, {}, page):
        await detach(store, workspace, tag)
