"""What is overdue goes through a narrow gate; what is on time does not wait for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.bus.delivery import Delivery
from libs.common.events import Timer, TimerKind
from services.scheduler.pacing import LATE_S, LEAST, MANY, SHARES, Gate, Paced

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def timer(kind: TimerKind, late_s: float) -> Timer:
    return Timer(kind=kind, workspace="acme", ref="r", due=NOW - timedelta(seconds=late_s))


def delivery(pending: int = 0) -> Delivery:
    return Delivery(
        subject="due.0.k.r",
        data=b"",
        headers={},
        sequence=1,
        attempt=1,
        partition=0,
        pending=pending,
        reply="",
    )


class Crowd:
    """Many timers that come at the same moment and take a while each."""

    def __init__(self, paced: Paced) -> None:
        self._paced = paced
        self.running: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.done: list[str] = []

    async def one(self, kind: TimerKind, late_s: float, pending: int, takes_s: float) -> None:
        async with self._paced.turn(timer(kind, late_s), delivery(pending)):
            self.running[kind] = self.running.get(kind, 0) + 1
            self.most[kind] = max(self.most.get(kind, 0), self.running[kind])
            await asyncio.sleep(takes_s)
            self.running[kind] -= 1
            self.done.append(kind)


GATED: dict[str, tuple[TimerKind, float, int, bool]] = {
    "on time, all at once": ("scheduled", 0.0, 0, False),
    "late within what is allowed": ("scheduled", LATE_S, 0, False),
    "late": ("scheduled", LATE_S + 0.1, 0, True),
    "on time, with many behind it": ("scheduled", 0.0, MANY + 1, True),
    "an idle end, late": ("idle_end", 60.0, 0, True),
    "a tick of a broadcast, which has its own pace": ("broadcast", 60.0, 5000, False),
    "hours, late": ("hours", 60.0, 0, False),
}


@pytest.mark.parametrize(("kind", "late_s", "pending", "gated"), GATED.values(), ids=GATED)
async def test_c04_who_goes_through_the_gate(
    kind: TimerKind, late_s: float, pending: int, *, gated: bool
) -> None:
    crowd = Crowd(Paced(lambda: NOW, 0.0, asyncio.get_running_loop().time))
    await asyncio.gather(*(crowd.one(kind, late_s, pending, 0.06) for _ in range(12)))
    assert (crowd.most[kind] < 12) == gated
    assert len(crowd.done) == 12


async def test_c04_a_backlog_of_one_kind_holds_up_no_other() -> None:
    """A person's scheduled message passes a thousand idle ends, and so does a late one."""
    crowd = Crowd(Paced(lambda: NOW, 40.0, asyncio.get_running_loop().time))
    ends = [asyncio.create_task(crowd.one("idle_end", 60.0, 0, 0.001)) for _ in range(1000)]
    await asyncio.sleep(0.1)
    await asyncio.wait_for(crowd.one("scheduled", 0.0, 0, 0.001), 0.1)
    await asyncio.wait_for(crowd.one("scheduled", 60.0, 0, 0.001), 0.1)
    assert crowd.done.count("idle_end") < 20
    for end in ends:
        end.cancel()
    await asyncio.gather(*ends, return_exceptions=True)


async def test_c04_no_more_in_a_second_than_is_set() -> None:
    loop = asyncio.get_running_loop()
    gate = Gate(32, 100.0, loop.time)
    began = loop.time()

    async def one() -> None:
        async with gate.turn():
            pass

    await asyncio.gather(*(one() for _ in range(31)))
    assert 0.29 <= loop.time() - began < 3.0


MOST = float(SHARES["scheduled"])
WIDTHS: dict[str, tuple[float, float, float]] = {
    "wider while answers come at once, up to its share": (0.01, MOST, MOST),
    "narrower while they are slow, but never shut": (0.3, LEAST, LEAST),
}


@pytest.mark.parametrize(("takes_s", "least", "most"), WIDTHS.values(), ids=WIDTHS)
async def test_c04_the_gate_goes_by_how_long_the_routers_take(
    takes_s: float, least: float, most: float
) -> None:
    clock = [0.0]
    gate = Gate(SHARES["scheduled"], 0.0, lambda: clock[0])
    for _ in range(1000):
        async with gate.turn():
            clock[0] += takes_s
    assert least <= gate.width <= most


async def test_c04_many_that_are_slow_together_narrow_the_gate_once() -> None:
    """A pause of the machine makes all slow that run: that is one reason, not thirty."""
    clock = [0.0]
    gate = Gate(32, 0.0, lambda: clock[0])
    gate.width = 30.0
    release = asyncio.Event()

    async def slow() -> None:
        async with gate.turn():
            await release.wait()

    running = [asyncio.create_task(slow()) for _ in range(30)]
    await asyncio.sleep(0.01)
    clock[0] = 5.0
    release.set()
    await asyncio.gather(*running)
    assert gate.width == 24.0
