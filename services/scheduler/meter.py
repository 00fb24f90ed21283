"""The pace of something, exact over all replicas: at most so many in a minute.

A generic cell rate: the stored document holds when the next one may be, and is moved on by
compare-and-set, so that no two replicas give the same place. What was not used is lost but for one
second's worth. In a process the calls of one name wait for each other, and replicas rarely race.

Source: the generic cell rate algorithm of ITU-T I.371.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar
from weakref import WeakValueDictionary

import msgspec

from libs.common.errors import StaleRevisionError, StoreUnavailableError, UniqueConflictError
from libs.common.later import METERS, Meter
from libs.common.store.api import Store

_MINUTE_US = 60_000_000
_TRIES = 50
"""Each lost try is another replica's success, so that many in a row is not contention any more."""

T = TypeVar("T")


class Grant(NamedTuple):
    """How many may be now, and when the next one may be after them."""

    n: int
    next_at: datetime


_locks: WeakValueDictionary[tuple[int, str, str], asyncio.Lock] = WeakValueDictionary()


def burst_of(per_minute: int, least: int = 1) -> int:
    """Return how many may come at once after a pause: one second's worth, *least* at least."""
    return max(least, per_minute // 60)


def granted(
    next_at: datetime | None, per_minute: int, want: int, now: datetime, least: int = 1
) -> Grant:
    """Return how many of *want* may be now, where the next one may be at *next_at*. Pure."""
    first = _first(next_at, per_minute, now, least)
    if first > now or want <= 0:
        return Grant(0, next_at or first)
    passed_us = (now - first) // timedelta(microseconds=1)
    n = min(want, passed_us * per_minute // _MINUTE_US + 1)
    return Grant(n, first + _spread(n, per_minute))


def booked(
    next_at: datetime | None, per_minute: int, count: int, now: datetime
) -> tuple[list[datetime], datetime]:
    """Return the times of the next *count*, none in the past, and of the one after. Pure."""
    first = _first(next_at, per_minute, now)
    times = [max(now, first + _spread(n, per_minute)) for n in range(count)]
    return times, first + _spread(count, per_minute)


class Paced(NamedTuple):
    """A pace: of what, how fast, and what it was set for; for another `of` it begins anew.

    With a `least` burst of 2, who comes a moment late does not slow down those behind.
    """

    name: str
    per_minute: int
    of: str = ""
    least: int = 1


async def take(
    store: Store, workspace: str, name: str, per_minute: int, want: int, now: datetime
) -> Grant:
    """Take up to *want* places that are free now; what is granted is gone, used or not.

    Raises:
        StoreUnavailableError: The store is away; places may be lost, never given twice.
    """
    return await take_of(store, workspace, Paced(name, per_minute), want, now)


async def take_of(store: Store, workspace: str, paced: Paced, want: int, now: datetime) -> Grant:
    """Take as `take` does, of a pace that may be set anew; raises as that."""

    def move(found: Meter) -> tuple[Grant, Meter | None]:
        grant = granted(_set(found, paced), paced.per_minute, want, now, paced.least)
        after = msgspec.structs.replace(found, next_at=grant.next_at, of=paced.of)
        return grant, after if grant.n else None

    return await _moved(store, workspace, paced.name, move)


async def book(
    store: Store, workspace: str, paced: Paced, count: int, now: datetime
) -> list[datetime]:
    """Reserve the next *count* places, however far ahead, and return their times.

    Raises:
        StoreUnavailableError: As `take`.
    """

    def move(found: Meter) -> tuple[list[datetime], Meter | None]:
        times, next_at = booked(_set(found, paced), paced.per_minute, count, now)
        return times, msgspec.structs.replace(found, next_at=next_at, of=paced.of)

    return await _moved(store, workspace, paced.name, move)


_NEVER = datetime.min.replace(tzinfo=UTC)


def _set(meter: Meter, paced: Paced) -> datetime | None:
    return None if meter.next_at == _NEVER or meter.of != paced.of else meter.next_at


async def _moved(
    store: Store, workspace: str, name: str, move: Callable[[Meter], tuple[T, Meter | None]]
) -> T:
    """Move the meter on as *move* says; its None leaves the meter as it is."""
    async with _lock(workspace, name):
        for _ in range(_TRIES):
            found = await store.get(METERS, workspace, name)
            answer, after = move(found or Meter(id=name, workspace=workspace, next_at=_NEVER))
            if after is None or await _written(store, after):
                return answer
    raise StoreUnavailableError(f"meter {name} is being moved too often")


async def _written(store: Store, meter: Meter) -> bool:
    try:
        if meter.rev:
            await store.replace(METERS, meter)
        else:
            await store.insert(METERS, meter)
    except (StaleRevisionError, UniqueConflictError):
        return False
    return True


def _lock(workspace: str, name: str) -> asyncio.Lock:
    key = (id(asyncio.get_running_loop()), workspace, name)
    lock = _locks.get(key)
    if lock is None:
        lock = _locks[key] = asyncio.Lock()
    return lock


def _first(next_at: datetime | None, per_minute: int, now: datetime, least: int = 1) -> datetime:
    """Return the first place: at most one burst of what was not used is left."""
    earliest = now - _spread(burst_of(per_minute, least) - 1, per_minute)
    return earliest if next_at is None else max(next_at, earliest)


def _spread(count: int, per_minute: int) -> timedelta:
    """Return how long *count* of them take, rounded up: never a place too many."""
    return timedelta(microseconds=-(-count * _MINUTE_US // per_minute))
