"""Gathering the recipients of a broadcast: page by page, each contact once, on from any crash."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.audience import slice_of
from libs.common.broadcasts import recipient_of
from libs.common.later import BROADCASTS, RECIPIENTS, Broadcast
from libs.common.store.api import Store

ALL = 100_000_000


async def gather(store: Store, broadcast: Broadcast, zone: str, now: datetime) -> Broadcast:
    """Store the recipients of the next page of contacts, and note in *broadcast* how far it is.

    The rows come first: a crash before the note reads the page again, and rows that are there
    already are left as they are.

    Args:
        store: Where it all is.
        broadcast: As it was read.
        zone: The workspace's, for contacts whose own is not known.
        now: The clock.

    Raises:
        StaleRevisionError: Somebody changed the broadcast; look at it again.
        StoreUnavailableError: The store is away.
    """
    # who "wrote lately" is judged by one moment, however long gathering takes
    at = broadcast.started_at or now
    found = await slice_of(store, broadcast.workspace, broadcast.audience, broadcast.cursor, at)
    rows = [recipient_of(broadcast, one, zone, now) for one in found.reached]
    there = await store.insert_many(RECIPIENTS, rows) if rows else {}
    total = broadcast.total + len(rows) - len(there)
    if not found.cursor:  # a page that was read twice was not counted twice
        mine = {"broadcast": broadcast.id}
        total = await store.count(RECIPIENTS, broadcast.workspace, mine, limit=ALL)
    noted = msgspec.structs.replace(
        broadcast, cursor=found.cursor, gathered=not found.cursor, total=total
    )
    return await store.replace(BROADCASTS, noted)
