"""A contact's scheduled messages go out as they were due, one after the other.

Timers of one moment come in any order: of several that the visitor's message lets go at once, and
after an outage. So whoever fires one looks for those of the same contact and account that should
have gone before it, and lets these go first, by itself: nobody waits for a timer, and to be fired
twice has the effect of once. In one process a contact's messages take turns; what a scheduler
elsewhere has claimed just now is waited for, for some seconds at most.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakValueDictionary

from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.store.api import Page, Store
from services.scheduler.verdicts import QUIET
from services.scheduler.whereto import target

UNDER_WAY = timedelta(seconds=3)
"""How long another scheduler may be at one that it has claimed: a router's time for an answer."""
STUCK = timedelta(seconds=5)
"""How long one that comes to nothing keeps back those behind it."""
_MOST: Final = 200
"""As many as a contact may have."""
_BEHIND_IDS: Final = "~"
_LOOK_S: Final = 0.05
_REMEMBERED: Final = 1000


class Turns:
    """Whose turn it is in this process."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str, str], asyncio.Lock] = WeakValueDictionary()
        self._failing: dict[str, datetime] = {}

    def of(self, doc: ScheduledMessage) -> asyncio.Lock:
        """Return what is to be held by whoever sends to the contact of *doc*."""
        key = doc.workspace, doc.contact, doc.account
        return self._locks.setdefault(key, asyncio.Lock())

    def is_stuck(self, ref: str, now: datetime) -> bool:
        """Note that *ref* came to nothing; tell whether that is so for too long to wait for it."""
        if len(self._failing) >= _REMEMBERED:
            self._failing.clear()
        return now - self._failing.setdefault(ref, now) > STUCK

    def done(self, ref: str) -> None:
        """Forget that *ref* came to nothing."""
        self._failing.pop(ref, None)


async def earlier(store: Store, doc: ScheduledMessage, now: datetime) -> list[ScheduledMessage]:
    """Return what should have gone before *doc*, which is about to go; the first one first.

    What waits for the visitor, for its quiet hours to end, or for a router that failed at it, keeps
    nothing back.

    Raises:
        StoreUnavailableError: The store is away.
    """
    after = (doc.contact, doc.due_at, _BEHIND_IDS)
    page = Page(order="contact", descending=True, after=after, limit=_MOST)
    where = {"contact": doc.contact, "state": "pending"}
    found = await store.find(SCHEDULED, doc.workspace, where, page)
    before = [one for one in found if _rank(one) < _rank(doc) and _may_go(one, doc, now)]
    if any(one.held for one in before):
        there = await target(store, doc.workspace, doc.account, doc.visitor, doc.id)
        held = there.session.held if there.session is not None else ()
        before = [one for one in before if not one.held or one.id not in held]
    return sorted(before, key=_rank)


async def left_by_others(
    store: Store, doc: ScheduledMessage, now: datetime
) -> ScheduledMessage | None:
    """Wait while another scheduler is at *doc*; return it if it has not gone then.

    Raises:
        StoreUnavailableError: The store is away.
    """
    left: ScheduledMessage | None = doc
    for _ in range(round(UNDER_WAY.total_seconds() / _LOOK_S)):
        if left is None or left.state != "pending":
            return None
        if left.claimed_at is None or now - left.claimed_at > UNDER_WAY:
            return left
        await asyncio.sleep(_LOOK_S)
        left = await store.get(SCHEDULED, doc.workspace, doc.id)
    return left


def _may_go(one: ScheduledMessage, doc: ScheduledMessage, now: datetime) -> bool:
    if one.account != doc.account or one.faulty_since is not None:
        return False
    if one.held and one.reason != QUIET:
        return True
    return (one.fires_at or one.due_at) <= now


def _rank(doc: ScheduledMessage) -> tuple[datetime, datetime, datetime, str]:
    """Of those that quiet hours have moved to the same time the one wanted first goes first."""
    return doc.due_at, doc.wanted_at or doc.due_at, doc.created_at, doc.id
