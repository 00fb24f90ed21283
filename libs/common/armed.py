"""Arming the timer of a document that goes out later, right after its write.

The write itself says `unarmed_since`, so that a crash before the timer is armed is seen: the
scheduler's sweep arms it then. Once it is armed, the mark is taken off by a write of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from libs.common import timers
from libs.common.bus.delivery import PubAck
from libs.common.errors import RetryableError, StaleRevisionError
from libs.common.events import Timer, TimerKind
from libs.common.later import BROADCASTS, SCHEDULED, Broadcast, ScheduledMessage
from libs.common.store.api import Collection, Store

log = logging.getLogger(__name__)

KINDS: Mapping[str, TimerKind] = {SCHEDULED.name: "scheduled", BROADCASTS.name: "broadcast"}
"""By the name of a collection, the kind of timer that its documents have."""
_TRIES = 4

L = TypeVar("L", ScheduledMessage, Broadcast)


class Publishes(Protocol):
    """What arming needs of the bus."""

    async def publish(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> PubAck:
        """See `Bus.publish`."""
        ...


async def arm(bus: Publishes, store: Store, collection: Collection[L], doc: L) -> L:
    """Arm the timer of *doc* right after its write; return the document without `unarmed_since`.

    Never raises because the bus or the store is away: the write that was to be armed holds, and the
    scheduler's sweep arms it within seconds. *doc* is returned then.
    """
    try:
        return await _arm(bus, store, collection, doc, doc.rev)
    except RetryableError as error:
        log.warning("timer.unarmed", extra={"kind": KINDS[collection.name], "reason": error.code})
    return doc


async def arm_again(bus: Publishes, store: Store, collection: Collection[L], doc: L) -> L:
    """Arm the timer of *doc* though it may have been armed at this revision already.

    Raises:
        BusUnavailableError: It is perhaps not armed.
        StoreUnavailableError: Likewise.
    """
    return await _arm(bus, store, collection, doc, 0)


async def _arm(bus: Publishes, store: Store, collection: Collection[L], doc: L, number: int) -> L:
    """Arm until what is armed is what stands; raises as `arm_again`.

    Where somebody wrote it meanwhile, the newest is armed: of two who arm at the same time the
    older must not be the last.
    """
    for _ in range(_TRIES):
        await publish(bus, timer_of(collection, doc, number))
        settled, newest = await _settle(store, collection, doc)
        if settled or newest is None:
            return newest or doc
        doc, number = newest, 0  # a message id of its revision would be swallowed as a repeat
    return doc


def timer_of(collection: Collection[L], doc: L, number: int) -> Timer | None:
    """Return the timer of *doc*, None where it needs none; of what is held it is due at once.

    What is held is armed by the router too, the moment the visitor writes, and a later time must
    not take that one's place; to be looked at once too often does no harm.
    """
    due = _due(doc)
    if due is None:
        return None
    kind = KINDS[collection.name]
    return Timer(kind=kind, workspace=doc.workspace, ref=doc.id, due=due, rev=number)


async def publish(bus: Publishes, timer: Timer | None) -> None:
    """Publish *timer*, if there is one; without a revision it takes the place of any before.

    Raises:
        BusUnavailableError: It is perhaps not armed.
    """
    if timer is not None:
        subject, data, headers = timers.message(timer)
        await bus.publish(subject, data, msg_id="", headers=headers)


async def _settle(store: Store, collection: Collection[L], doc: L) -> tuple[bool, L | None]:
    """Take the mark off; tell whether what was armed is what stands, and what that is."""
    if doc.unarmed_since is not None:
        try:
            clean = msgspec.structs.replace(doc, unarmed_since=None)
            return True, await store.replace(collection, clean)
        except StaleRevisionError:
            pass
    newest = await store.get(collection, doc.workspace, doc.id)
    if newest is None:
        return True, None
    return newest.unarmed_since is None and newest.fires_at == doc.fires_at, newest


def _due(doc: ScheduledMessage | Broadcast) -> datetime | None:
    held = isinstance(doc, ScheduledMessage) and doc.held
    return doc.due_at if held and doc.fires_at is not None else doc.fires_at
