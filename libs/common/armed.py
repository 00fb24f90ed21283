"""Arming the timer of a document that goes out later, right after its write.

The write itself says `unarmed_since`, so that a crash before the timer is armed is seen: the
scheduler's sweep arms it then. Once it is armed, the mark is taken off by a write of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
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
    """Arm the timer of *doc* for `fires_at`, and return the document without `unarmed_since`.

    Where somebody wrote it meanwhile, the newest is armed, so that of two who arm at the same time
    the older does not stand. Never raises because the bus or the store is away: the write that was
    to be armed holds, and the scheduler's sweep arms it within seconds. *doc* is returned then.
    """
    number = doc.rev
    try:
        for _ in range(_TRIES):
            await publish(bus, collection, doc, number)
            settled, newest = await _settle(store, collection, doc)
            if settled or newest is None:
                return newest or doc
            doc, number = newest, 0  # an id of its own is not to be swallowed as a repeat
    except RetryableError as error:
        log.warning("timer.unarmed", extra={"kind": KINDS[collection.name], "reason": error.code})
    return doc


async def publish(bus: Publishes, collection: Collection[L], doc: L, number: int) -> None:
    """Publish the timer of *doc*, if it has one; with the *number* 0 in place of any before.

    Raises:
        BusUnavailableError: It is perhaps not armed.
    """
    if doc.fires_at is None:
        return
    timer = Timer(
        kind=KINDS[collection.name],
        workspace=doc.workspace,
        ref=doc.id,
        due=doc.fires_at,
        rev=number,
    )
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
