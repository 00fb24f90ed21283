"""The sessions of a visitor on an account: the one that counts now, and those before it.

What is scheduled goes there, and what people are told about it is judged by the same one.
"""

from __future__ import annotations

from libs.common.documents import SESSIONS, Session
from libs.common.store.api import Page, Store


async def current_session(
    store: Store, workspace: str, account: str, visitor: str
) -> Session | None:
    """Return the visitor's open session, else the newest; None: there never was one.

    The open one counts, even where a later one has ended.

    Raises:
        StoreUnavailableError: The store is away.
    """
    page = Page(order="open", limit=1)
    found = await store.find(SESSIONS, workspace, {"open_key": f"{account}|{visitor}"}, page)
    if not found:
        found = await newest_sessions(store, workspace, account, visitor, 1)
    return found[0] if found else None


async def newest_sessions(
    store: Store, workspace: str, account: str, visitor: str, count: int
) -> list[Session]:
    """Return the visitor's sessions, the newest first.

    Raises:
        StoreUnavailableError: The store is away.
    """
    page = Page(order="visitor", descending=True, limit=count)
    return await store.find(SESSIONS, workspace, {"account": account, "visitor": visitor}, page)
