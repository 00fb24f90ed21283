"""The pace that replicas share: never above what is set, all of it where there is enough to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.later import METERS
from libs.common.store.open import open_store
from services.scheduler.meter import Grant, Paced, book, booked, burst_of, granted, take
from tests.router.processes import ROOT

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def s(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


TAKEN: dict[str, tuple[datetime | None, int, int, Grant]] = {
    "the first is free at once, the next a second later": (None, 60, 5, Grant(1, s(1))),
    "before its time there is none": (s(0.5), 60, 5, Grant(0, s(0.5))),
    "at its time there is one": (s(0), 60, 5, Grant(1, s(1))),
    "after a long pause a second's worth, no more": (s(-3600), 600, 99, Grant(10, s(0.1))),
    "no more than is wanted": (s(-3600), 600, 3, Grant(3, s(-0.6))),
    "slower than one a second: one, then a pause": (s(-3600), 6, 9, Grant(1, s(10))),
    "an uneven pace is rounded against us": (
        None,
        7,
        1,
        Grant(1, NOON + timedelta(microseconds=8_571_429)),
    ),
    "who wants none gets none": (s(-9), 60, 0, Grant(0, s(-9))),
}


@pytest.mark.parametrize(("next_at", "per_minute", "want", "expected"), TAKEN.values(), ids=TAKEN)
def test_taking(next_at: datetime | None, per_minute: int, want: int, expected: Grant) -> None:
    assert granted(next_at, per_minute, want, NOON) == expected


BOOKED: dict[str, tuple[datetime | None, int, int, list[datetime], datetime]] = {
    "one after the other": (None, 60, 3, [s(0), s(1), s(2)], s(3)),
    "behind those that are booked": (s(100), 60, 2, [s(100), s(101)], s(102)),
    "after a pause, a second's worth at once": (
        s(-99),
        180,
        4,
        [s(0), s(0), s(0), s(0) + timedelta(microseconds=333_334)],
        s(0) + timedelta(microseconds=666_667),
    ),
}


@pytest.mark.parametrize(
    ("next_at", "per_minute", "n", "times", "after"), BOOKED.values(), ids=BOOKED
)
def test_booking(
    next_at: datetime | None, per_minute: int, n: int, times: list[datetime], after: datetime
) -> None:
    got, then = booked(next_at, per_minute, n, NOON)
    assert [abs(a - b) <= timedelta(microseconds=1) for a, b in zip(got, times, strict=True)] == [
        True
    ] * n
    assert abs(then - after) <= timedelta(microseconds=1)


@given(
    per_minute=st.integers(1, 6000),
    asks=st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(1, 200)), max_size=60),
)
def test_whoever_asks_when_it_never_gives_more_than_is_set(
    per_minute: int, asks: list[tuple[int, int]]
) -> None:
    """In no stretch of time more than its share and one second's worth."""
    at, next_at, got = NOON, None, list[tuple[datetime, int]]()
    for pause_us, want in asks:
        at += timedelta(microseconds=pause_us)
        grant = granted(next_at, per_minute, want, at)
        if grant.n:
            next_at = grant.next_at
            got.append((at, grant.n))
    for first, (began, _) in enumerate(got):
        total = 0
        for ended, n in got[first:]:
            total += n
            seconds = (ended - began) / timedelta(seconds=1)
            assert total <= seconds * per_minute / 60 + burst_of(per_minute) + 1e-6


async def test_calls_at_the_same_time_share_it(store_url: str) -> None:
    async with open_store(store_url, (METERS,)) as store:
        grants = await asyncio.gather(*(take(store, "w", "m", 600, 3, NOON) for _ in range(10)))
        assert sum(grant.n for grant in grants) == burst_of(600)
        other = await take(store, "w2", "m", 600, 3, NOON)
        assert other.n == 3
        times = await asyncio.gather(*(book(store, "w", Paced("b", 60), 2, NOON) for _ in range(5)))
        assert sorted(at for pair in times for at in pair) == [s(n) for n in range(10)]
        anew = Paced("b", 6, of="another pace")
        assert await book(store, "w", anew, 2, NOON) == [s(0), s(10)]
        assert await book(store, "w", anew, 1, NOON) == [s(20)]


def test_two_processes_share_it_exactly(store_url: str) -> None:
    per_minute, seconds = 3000, 3.0
    command = [sys.executable, "-m", "tests.scheduler.metering", store_url]
    began = time.monotonic()
    running = [
        subprocess.Popen(
            [*command, str(per_minute), str(seconds)], cwd=ROOT, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    got = [int(process.communicate(timeout=60)[0]) for process in running]
    took_s = time.monotonic() - began
    assert min(got) > 0
    assert sum(got) <= took_s * per_minute / 60 + burst_of(per_minute)
    assert sum(got) >= seconds * per_minute / 60 * 0.9
