"""One gate an account: who may go in, and when."""

from __future__ import annotations

import asyncio
import time

import pytest

from libs.common.channel import Pace
from services.notifier import metrics
from services.notifier.gates import Gates, StoppingError


class Crowd:
    """Many that want through a gate, and how many are inside at once."""

    def __init__(self, gates: Gates, account: str) -> None:
        self.gates = gates
        self.account = account
        self.inside = 0
        self.most = 0
        self.done: list[int] = []

    async def go(self, number: int, seconds: float = 0.02) -> None:
        async with self.gates.inside(self.account):
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(seconds)
            self.inside -= 1
        self.done.append(number)


async def test_at_most_eight_of_an_account_at_once_and_in_their_order() -> None:
    crowd = Crowd(Gates(), "a")
    await asyncio.gather(*(crowd.go(number) for number in range(30)))
    assert crowd.most == 8
    assert crowd.done == list(range(30))


async def test_a_full_gate_keeps_no_other_account_waiting() -> None:
    gates = Gates(widest=2)
    slow, quick = Crowd(gates, "slow"), Crowd(gates, "quick")
    waiting = [asyncio.create_task(slow.go(number, seconds=30)) for number in range(10)]
    await asyncio.sleep(0)
    await quick.go(0, seconds=0)
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_pause_keeps_all_out_until_its_later_end() -> None:
    gates = Gates()
    before = metrics.PAUSED_ACCOUNTS._value.get()
    gates.of("a").pause(0.3)
    gates.of("a").pause(0.05)
    assert metrics.PAUSED_ACCOUNTS._value.get() == before + 1
    began = time.monotonic()
    crowd = Crowd(gates, "a")
    await asyncio.gather(*(crowd.go(number, seconds=0) for number in range(3)))
    assert time.monotonic() - began > 0.29
    assert metrics.PAUSED_ACCOUNTS._value.get() == before


async def test_after_trouble_one_tests_the_water_and_each_success_lets_one_more_in() -> None:
    gates = Gates()
    gates.of("a").narrow()
    crowd = Crowd(gates, "a")
    await asyncio.gather(*(crowd.go(number) for number in range(4)))
    assert crowd.most == 1
    gates.of("a").widen()
    gates.of("a").widen()
    await asyncio.gather(*(crowd.go(number) for number in range(6)))
    assert crowd.most == 3


async def test_closing_turns_away_who_waits_and_who_comes_but_nobody_inside() -> None:
    gates = Gates(widest=1)
    crowd = Crowd(gates, "a")
    inside = asyncio.create_task(crowd.go(0, seconds=0.1))
    waiting = asyncio.create_task(crowd.go(1))
    sleeping = asyncio.create_task(gates.sleep(60))
    await asyncio.sleep(0.01)
    gates.close()
    for task in (waiting, sleeping):
        with pytest.raises(StoppingError):
            await task
    with pytest.raises(StoppingError):
        await crowd.go(2)
    await inside
    assert crowd.done == [0]


async def test_one_that_is_cancelled_while_waiting_takes_no_place() -> None:
    gates = Gates(widest=1)
    crowd = Crowd(gates, "a")
    inside = asyncio.create_task(crowd.go(0, seconds=0.05))
    await asyncio.sleep(0.01)
    gone = asyncio.create_task(crowd.go(1))
    last = asyncio.create_task(crowd.go(2))
    await asyncio.sleep(0.01)
    gone.cancel()
    await inside
    await asyncio.wait_for(last, 1)
    assert crowd.done == [0, 2]


async def test_one_at_first_and_more_with_each_success() -> None:
    gates = Gates(first=1)
    crowd = Crowd(gates, "a")
    await asyncio.gather(*(crowd.go(number) for number in range(3)))
    assert crowd.most == 1
    gates.of("a").widen()
    await asyncio.gather(*(crowd.go(number) for number in range(4)))
    assert crowd.most == 2


async def test_no_faster_than_the_pace_beyond_its_burst() -> None:
    gates, pace = Gates(), Pace(per_second=20, burst=4)
    loop = asyncio.get_running_loop()
    began: list[float] = []

    async def go() -> None:
        async with gates.inside("a", pace=pace):
            began.append(loop.time() - start)

    start = loop.time()
    await asyncio.gather(*(go() for _ in range(12)))
    assert began[3] < 0.04, "the burst at once"
    assert began[-1] > 0.39, "eight more at 20 a second"


async def test_further_calls_of_one_inside_are_on_credit_that_others_wait_for() -> None:
    gates, pace = Gates(), Pace(per_second=20, burst=1)
    async with gates.inside("a", pace=pace) as gate:
        waits = [gate.further_s() for _ in range(3)]
    assert waits == pytest.approx([0.05, 0.1, 0.15], abs=0.02)
    assert not gate.spare()
    began = time.monotonic()
    async with gates.inside("a", pace=pace):
        assert time.monotonic() - began > 0.1


async def test_sessions_of_an_account_take_turns() -> None:
    gates = Gates(widest=1)
    order: list[str] = []

    async def session(name: str, messages: int) -> None:
        for _ in range(messages):
            async with gates.inside("a"):
                order.append(name)
                await asyncio.sleep(0)

    await asyncio.gather(session("busy", 6), session("one", 1), session("two", 1))
    assert {"one", "two"} <= set(order[:4]), order
