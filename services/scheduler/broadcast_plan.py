"""Which recipients of a broadcast are next, and when it is to be looked at again.

Of each account few are under way, over all broadcasts, however many it may send in a second: where
the services have more to do, outcomes come later and the broadcast slows down, not conversations.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from libs.common.broadcasts import pace_of, quiet_until
from libs.common.later import RECIPIENTS, Broadcast, Recipient, RecipientState
from libs.common.store.api import Page, Range, Store, Where
from services.scheduler.broadcast_send import contacts_of
from services.scheduler.meter import burst_of, take

FEWEST, MOST = 4, 32
"""Bounds of what is under way at one account."""
_JUST = timedelta(microseconds=1)


class Plan(NamedTuple):
    """Who is next; `next_at` is when the pace has room again (None: nobody waits for it)."""

    rows: tuple[Recipient, ...]
    next_at: datetime | None


def bound_of(per_minute: int) -> int:
    """Return how many of an account may be under way at once."""
    return min(max(burst_of(per_minute), FEWEST), MOST)


async def planned(store: Store, broadcast: Broadcast, zone: str, now: datetime) -> Plan:
    """Take places in the pace of each account for those who are due; who has one is to be sent to.

    *zone* is the workspace's, for whose own is not known.

    Raises:
        StoreUnavailableError: The store is away; places may be lost.
    """
    rows: list[Recipient] = []
    times: list[datetime] = []
    async for first in _accounts(store, broadcast):
        found = await _of_account(store, broadcast, first, zone, now)
        rows += found.rows
        times += [found.next_at] if found.next_at is not None else []
    return Plan(tuple(rows), min(times, default=None))


async def in_state(
    store: Store, broadcast: Broadcast, state: RecipientState, limit: int
) -> list[Recipient]:
    """Return the first recipients that stand in *state*, by when they are due."""
    where = {"broadcast": broadcast.id, "state": state}
    page = Page(order="state", limit=limit)
    return await store.find(RECIPIENTS, broadcast.workspace, where, page)


async def _of_account(
    store: Store, broadcast: Broadcast, first: Recipient, zone: str, now: datetime
) -> Plan:
    workspace, account = broadcast.workspace, first.account
    per_minute = pace_of(broadcast, first.channel)
    bound = bound_of(per_minute)
    where: Where = {
        "broadcast": broadcast.id,
        "account": account,
        "state": "pending",
        "due_at": Range(lt=now + _JUST),
    }
    rows = await store.find(RECIPIENTS, workspace, where, Page(order="lane", limit=bound))
    if not rows:
        return Plan((), None)
    busy = {"account": account, "state": "sending"}
    room = bound - await store.count(RECIPIENTS, workspace, busy, limit=bound)
    if room <= 0:
        return Plan((), now)
    rows = await _awake(store, broadcast, rows, zone, now)
    want = min(room, len(rows))
    grant = await take(store, workspace, f"broadcast:{account}", per_minute, want, now)
    return Plan(tuple(rows[: grant.n]), grant.next_at)


async def _awake(
    store: Store, broadcast: Broadcast, rows: list[Recipient], zone: str, now: datetime
) -> list[Recipient]:
    """Put off those whose quiet hours have begun since they were due; return the others."""
    if broadcast.quiet_hours is None:
        return rows
    contacts = await contacts_of(store, rows)
    late: list[Recipient] = []
    for row in rows:
        contact = contacts.get(row.contact)
        at = quiet_until(broadcast, contact.zone if contact else "", zone, now)
        if at > now:
            late.append(msgspec.structs.replace(row, due_at=at, updated_at=now))
    if late:
        await store.replace_many(RECIPIENTS, late)
    put_off = {row.id for row in late}
    return [row for row in rows if row.id not in put_off]


async def _accounts(store: Store, broadcast: Broadcast) -> AsyncIterator[Recipient]:
    """Yield a recipient of each account, by one look for each."""
    after: str | None = None
    while True:
        where: Where = {"broadcast": broadcast.id, "account": Range(ge=after)}
        page = Page(order="lane", limit=1)
        found = await store.find(RECIPIENTS, broadcast.workspace, where, page)
        if not found:
            return
        yield found[0]
        after = f"{found[0].account}-"  # behind it, and before any longer slug
