"""Broadcasts in the store, as desk reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from libs.common.errors import NotFoundError
from libs.common.later import (
    BROADCASTS,
    RECIPIENTS,
    Broadcast,
    BroadcastState,
    Recipient,
    RecipientState,
)
from libs.common.store.api import In, Page, Store, Where

_LOOKED_AT = 1000
"""Broadcasts under way that are looked at; nobody has so many."""
Position = tuple[datetime, str]
"""Where a broadcast stands: (created_at, id)."""


async def broadcast_of(store: Store, workspace: str, broadcast_id: str) -> Broadcast:
    """Return a broadcast.

    Raises:
        NotFoundError: This workspace has no such broadcast.
    """
    found = await store.get(BROADCASTS, workspace, broadcast_id)
    if found is None:
        raise NotFoundError("There is no such broadcast.")
    return found


async def newest_broadcasts(
    store: Store,
    workspace: str,
    states: Sequence[BroadcastState],
    *,
    after: Position | None,
    limit: int,
) -> list[Broadcast]:
    """Return broadcasts in one of *states* (none: any), newest first."""
    if not states:
        page = Page(order="created", descending=True, after=after, limit=limit)
        return await store.find(BROADCASTS, workspace, {}, page)
    walks = await asyncio.gather(
        *(_in_state(store, workspace, state, after, limit) for state in dict.fromkeys(states))
    )
    rows = {row.id: row for walk in walks for row in walk}  # one may move from state to state
    return sorted(rows.values(), key=place_of, reverse=True)[:limit]


async def choosing_by(store: Store, workspace: str, tag: str) -> list[Broadcast]:
    """Return broadcasts that were started and are still to choose recipients by *tag* (its id)."""
    waiting: tuple[BroadcastState, ...] = ("scheduled", "running", "paused")
    found = await newest_broadcasts(store, workspace, waiting, after=None, limit=_LOOKED_AT)
    named = (one for one in found if tag in (*one.audience.tags, *one.audience.without))
    return [one for one in named if not one.gathered]


async def has_recipients(store: Store, broadcast: Broadcast, account: str) -> bool:
    """Tell whether it has any recipient on this account."""
    where: Where = {"broadcast": broadcast.id, "account": account}
    return await store.count(RECIPIENTS, broadcast.workspace, where, limit=1) > 0


def place_of(broadcast: Broadcast) -> Position:
    """Return where it stands in every list."""
    return broadcast.created_at, broadcast.id


async def recipients_of(
    store: Store,
    broadcast: Broadcast,
    states: Sequence[RecipientState],
    *,
    after: str,
    limit: int,
) -> list[Recipient]:
    """Return recipients in one of *states* (none: any), in the order of their ids."""
    where: Where = {"broadcast": broadcast.id}
    if states:
        where = {**where, "state": In(tuple(dict.fromkeys(states)))}
    page = Page(order="broadcast", after=(broadcast.id, after) if after else None, limit=limit)
    return await store.find(RECIPIENTS, broadcast.workspace, where, page)


async def counts_of(store: Store, broadcast: Broadcast) -> dict[str, int]:
    """Return how many recipients are in each state."""
    where = {"broadcast": broadcast.id}
    return await store.group_count(RECIPIENTS, broadcast.workspace, where, by="state")


async def _in_state(
    store: Store, workspace: str, state: str, after: Position | None, limit: int
) -> list[Broadcast]:
    behind = None if after is None else (state, *after)
    page = Page(order="state", descending=True, after=behind, limit=limit)
    return await store.find(BROADCASTS, workspace, {"state": state}, page)
