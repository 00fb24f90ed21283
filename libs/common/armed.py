"""Arming the timer of a document that goes out later, before its write.

A timer without its document does nothing when it fires, and one that is too early for it is armed
again by whoever it fires for. So nothing has to be noted and mended: who makes a document, or lets
it fire earlier, arms it first and writes it then; who moves it to later only writes. Whatever
crashes in between, what is armed is never later than what is written.

What fires at once would fire before its write: it is armed for a little later first, and for its
time right after.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, Protocol, TypeVar

from libs.common import timers
from libs.common.bus.delivery import PubAck
from libs.common.errors import RetryableError
from libs.common.events import Timer, TimerKind
from libs.common.later import BROADCASTS, SCHEDULED, Broadcast, ScheduledMessage
from libs.common.store.api import Collection, Store

log = logging.getLogger(__name__)

KINDS: Mapping[str, TimerKind] = {SCHEDULED.name: "scheduled", BROADCASTS.name: "broadcast"}
"""By the name of a collection, the kind of timer that its documents have."""
WRITTEN_IN = timedelta(seconds=5)
"""How long a write takes at most, else it is armed once more after it."""
_TRIES = 4

L = TypeVar("L", ScheduledMessage, Broadcast)


class Publishes(Protocol):
    """What arming needs of the bus."""

    async def publish(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> PubAck:
        """See `Bus.publish`."""
        ...


class Change(NamedTuple, Generic[L]):
    """A write that is to be armed: what stands, None where nothing does, and what is to be."""

    collection: Collection[L]
    before: L | None
    after: L


async def written(
    bus: Publishes,
    store: Store,
    change: Change[L],
    write: Callable[[], Awaitable[L]],
    now: Callable[[], datetime],
) -> L:
    """Do *write*, which makes the *change* under the guard of its revision, with its timer armed.

    Raises:
        BusUnavailableError: It cannot be armed; nothing is written.
        Exception: What *write* raises; nothing is armed later than what stands.
    """
    first, again = _plan(change, now())
    await publish(bus, _timer(change.collection, change.after, first))
    try:
        doc = await write()
    except Exception:
        if first is not None:  # another one's earlier time may have been replaced by ours
            await _as_it_stands(bus, store, change)
        raise
    if again or (first is not None and now() + WRITTEN_IN / 2 > first):
        await _as_it_stands(bus, store, change)
    return doc


async def arm_again(bus: Publishes, store: Store, collection: Collection[L], doc: L) -> L:
    """Arm the timer of *doc*, which is written; return the document as it is then.

    Where somebody wrote an earlier time meanwhile, that is armed: of two who arm at the same time
    the later must not be the last.

    Raises:
        BusUnavailableError: It is perhaps not armed.
        StoreUnavailableError: Likewise.
    """
    for _ in range(_TRIES):
        await publish(bus, timer_of(collection, doc, 0))
        newest = await store.get(collection, doc.workspace, doc.id)
        if newest is None or not _is_sooner(newest, doc):
            return newest or doc
        doc = newest
    return doc


def timer_of(collection: Collection[L], doc: L, number: int) -> Timer | None:
    """Return the timer of *doc*, None where it needs none; of what is held it is due at once.

    What is held is armed by the router too, the moment the visitor writes, and a later time must
    not take that one's place; to be looked at once too often does no harm.
    """
    return _timer(collection, doc, _due(doc), number)


async def publish(bus: Publishes, timer: Timer | None) -> None:
    """Publish *timer*, if there is one; without a revision it takes the place of any before.

    Raises:
        BusUnavailableError: It is perhaps not armed.
    """
    if timer is not None:
        subject, data, headers = timers.message(timer)
        await bus.publish(subject, data, msg_id="", headers=headers)


def _plan(change: Change[L], now: datetime) -> tuple[datetime | None, bool]:
    """Return for when to arm it before the write, if at all, and whether to do so after it, too.

    Of what has a time already, others may arm another one meanwhile; what is new only we know.
    """
    due, before = change.after.fires_at, change.before
    was = before.fires_at if before is not None else None
    if due is None or due == was:
        return None, False
    first = max(due, now + WRITTEN_IN)
    if was is None:
        return first, before is not None or first != due
    return (first if first < was else None), due < was or first != due


async def _as_it_stands(bus: Publishes, store: Store, change: Change[L]) -> None:
    """Arm what is written; who cannot leaves it to what is armed, and to the reconciler."""
    collection, doc = change.collection, change.after
    try:
        stored = await store.get(collection, doc.workspace, doc.id)
        if stored is not None:
            await arm_again(bus, store, collection, stored)
    except RetryableError as error:
        log.warning("timer.unarmed", extra={"kind": KINDS[collection.name], "reason": error.code})


def _timer(
    collection: Collection[L], doc: L, due: datetime | None, number: int = 0
) -> Timer | None:
    if due is None:
        return None
    kind = KINDS[collection.name]
    return Timer(kind=kind, workspace=doc.workspace, ref=doc.id, due=due, rev=number)


def _is_sooner(newest: ScheduledMessage | Broadcast, armed: ScheduledMessage | Broadcast) -> bool:
    due, was = newest.fires_at, armed.fires_at
    return due is not None and (was is None or due < was)


def _due(doc: ScheduledMessage | Broadcast) -> datetime | None:
    held = isinstance(doc, ScheduledMessage) and doc.held
    return doc.due_at if held and doc.fires_at is not None else doc.fires_at
