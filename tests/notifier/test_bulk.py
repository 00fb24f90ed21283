"""A broadcast's messages wait behind all others: at the gate alone, and in a running sender."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import pytest_asyncio

from libs.common.channel import Account, Pace
from libs.common.simulate.stub import Scripted, running_stub
from services.notifier.gates import Gate, Gates, StoppingError, Turn
from tests.notifier.rig import Rig, notifying, staged, until

Step = tuple[str, str]
"""("bulk" | "one", name) comes to the gate; ("lift" | "leave" | "gone", name) happens to it."""

ORDERS: dict[str, tuple[int, Sequence[Step], list[str]]] = {
    "bulk waits behind whoever came later": (
        1,
        [("one", "a"), ("bulk", "b"), ("one", "c"), ("leave", "a"), ("leave", "c")],
        ["a", "c", "b"],
    ),
    "bulk is first come, first served among itself": (
        1,
        [("bulk", "a"), ("bulk", "b"), ("bulk", "c"), ("leave", "a"), ("leave", "b")],
        ["a", "b", "c"],
    ),
    "bulk takes no more than half of the places": (
        4,
        [("bulk", "a"), ("bulk", "b"), ("bulk", "c"), ("one", "d"), ("one", "e")],
        ["a", "b", "d", "e"],
    ),
    "a place that bulk gives back is bulk's again": (
        4,
        [("bulk", "a"), ("bulk", "b"), ("bulk", "c"), ("leave", "a")],
        ["a", "b", "c"],
    ),
    "a place that another gives back lets no further bulk in": (
        4,
        [("one", "a"), ("bulk", "b"), ("bulk", "c"), ("bulk", "d"), ("leave", "a")],
        ["a", "b", "c"],
    ),
    "bulk has the only place where nobody else wants it": (1, [("bulk", "a")], ["a"]),
    "one that is lifted waits with the others, behind those that wait": (
        1,
        [
            *(("one", "a"), ("bulk", "b"), ("bulk", "c"), ("one", "d"), ("lift", "c")),
            *(("one", "e"), ("leave", "a"), ("leave", "d"), ("leave", "c"), ("leave", "e")),
        ],
        ["a", "d", "c", "e", "b"],
    ),
    "one that is lifted takes a place of the others": (
        4,
        [("bulk", "a"), ("bulk", "b"), ("bulk", "c"), ("lift", "c")],
        ["a", "b", "c"],
    ),
    "lifting whom nobody knows changes nothing": (
        1,
        [("one", "a"), ("bulk", "b"), ("lift", "x"), ("one", "c"), ("leave", "a")],
        ["a", "c"],
    ),
    "one that is gone takes no place": (
        1,
        [("one", "a"), ("bulk", "b"), ("bulk", "c"), ("gone", "b"), ("leave", "a")],
        ["a", "c"],
    ),
}


class Door:
    """A gate, and who came through it in which order."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.let_in: list[str] = []
        self._turns: dict[str, Turn] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def take(self, step: Step) -> None:
        what, name = step
        if what == "leave":
            self.gate.leave(self._turns[name])
        elif what == "lift":
            self.gate.lift(name)
        elif what == "gone":
            self._tasks[name].cancel()
        else:
            self._tasks[name] = asyncio.create_task(self._come(name, bulk=what == "bulk"))
        await asyncio.sleep(0.001)

    async def end(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _come(self, name: str, *, bulk: bool) -> None:
        self._turns[name] = await self.gate.enter(name if bulk else "")
        self.let_in.append(name)


@pytest.mark.parametrize(("width", "steps", "let_in"), ORDERS.values(), ids=ORDERS)
async def test_the_order_at_the_gate(width: int, steps: Sequence[Step], let_in: list[str]) -> None:
    door = Door(Gate(width, width))
    for step in steps:
        await door.take(step)
    assert door.let_in == let_in
    await door.end()


async def test_half_of_the_burst_is_kept_for_the_others() -> None:
    door = Door(Gate(64, 64, Pace(per_second=0.01, burst=10)))
    for number in range(8):
        await door.take(("bulk", f"b{number}"))
    assert door.let_in == ["b0", "b1", "b2", "b3", "b4"]
    for number in range(6):
        await door.take(("one", f"o{number}"))
    assert door.let_in[5:] == ["o0", "o1", "o2", "o3", "o4"], "then the tokens are used up"
    await door.end()


@pytest.mark.parametrize("burst", [1, 2, 3, 8])
async def test_bulk_alone_goes_at_the_whole_pace(burst: int) -> None:
    gates, pace = Gates(), Pace(per_second=50, burst=burst)
    loop = asyncio.get_running_loop()
    began = loop.time()

    async def go(number: int) -> None:
        async with gates.inside("a", pace=pace, bulk=f"ses_{number}"):
            pass

    await asyncio.gather(*(go(number) for number in range(20 + burst)))
    assert 0.38 < loop.time() - began < 1.0


async def test_a_token_that_is_nearer_is_not_waited_for_as_long_as_bulk_would() -> None:
    gates, pace = Gates(), Pace(per_second=20, burst=20)
    gate = gates.of("a", pace)
    for _ in range(20):
        gate.further_s()
    loop = asyncio.get_running_loop()
    bulk = asyncio.create_task(gate.enter("ses_1"))  # in 0.55 s, when half of the burst is back
    await asyncio.sleep(0.01)
    began = loop.time()
    gate.leave(await gate.enter())
    assert loop.time() - began < 0.2
    bulk.cancel()


async def test_waiting_bulk_is_turned_away_by_a_stop() -> None:
    gates = Gates(widest=1)
    gate = gates.of("a")
    await gate.enter()
    waiting = asyncio.create_task(gate.enter("ses_1"))
    await asyncio.sleep(0.001)
    gates.close()
    with pytest.raises(StoppingError):
        await waiting


async def test_waiting_bulk_lets_a_token_be_spared_as_before() -> None:
    gate = Gates().of("a", Pace(per_second=0.01, burst=4))
    bulk = [asyncio.create_task(gate.enter(f"ses_{number}")) for number in range(3)]
    await asyncio.sleep(0.001)
    assert [gate.spare() for _ in range(3)] == [True, True, False]
    for task in bulk:
        task.cancel()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("bulk")
    async with running_stub() as stub, staged(nats_url, folder, stub) as found, notifying(found):
        yield found


SLOW = [Scripted(delay_s=0.08)] * 400


async def broadcast(rig: Rig, of: Account, people: int) -> list[str]:
    """Queue a bulk message for each of *people*, in sessions of their own."""
    return [
        await rig.send(of, f"news {n}", session=f"ses_{of.slug}_{n}", visitor=f"v{n}", bulk=True)
        for n in range(people)
    ]


async def shown(rig: Rig, of: Account, count: int) -> None:
    async def enough() -> bool:
        return len(rig.stub.shown(of.slug)) >= count

    await until(enough, f"{count} messages shown", within_s=20)


@pytest.mark.asyncio(loop_scope="module")
async def test_b25_a_reply_behind_200_of_a_broadcast_is_the_next_to_go_out(rig: Rig) -> None:
    of = await rig.connect("line", "bulk-reply")
    rig.stub.script(of.slug, *SLOW)
    await broadcast(rig, of, 200)
    await shown(rig, of, 10)
    before = len(rig.stub.shown(of.slug))
    reply = await rig.send(of, "my answer", session="ses_other", visitor="someone")
    report = await rig.report(of, reply)
    assert report.status == "sent"
    place = rig.stub.shown(of.slug).index("my answer")
    assert place < 100, "the broadcast was still going on"
    assert place - before <= 8, "behind those alone that were under way already"
    await shown(rig, of, 201)


@pytest.mark.asyncio(loop_scope="module")
async def test_b25_a_reply_behind_a_broadcast_in_its_own_session_takes_that_along(rig: Rig) -> None:
    of = await rig.connect("line", "bulk-own")
    rig.stub.script(of.slug, *SLOW)
    await broadcast(rig, of, 150)
    await shown(rig, of, 5)
    last = {"session": f"ses_{of.slug}_149", "visitor": "v149"}
    reply = await rig.send(of, "my answer", **last)
    await rig.report(of, reply)
    seen = rig.stub.shown(of.slug)
    assert seen.index("news 149") < seen.index("my answer"), "the order inside a session stands"
    assert len(seen) < 60, "and both went before the rest of the broadcast"


@pytest.mark.asyncio(loop_scope="module")
async def test_b25_a_lift_counts_for_bulk_that_comes_to_its_turn_later(rig: Rig) -> None:
    of = await rig.connect("line", "bulk-two")
    rig.stub.script(of.slug, *SLOW)
    own = {"session": f"ses_{of.slug}_own", "visitor": "own"}
    await broadcast(rig, of, 60)
    for text in ("first news", "second news"):
        await rig.send(of, text, bulk=True, **own)
    await rig.send(of, "my answer", **own)
    await broadcast(rig, of, 60)
    await shown(rig, of, 123)
    seen = rig.stub.shown(of.slug)
    places = [seen.index(text) for text in ("first news", "second news", "my answer")]
    assert places == sorted(places)
    assert places[-1] < 50, "all three before most of the broadcast"


@pytest.mark.asyncio(loop_scope="module")
async def test_b25_a_broadcast_that_is_stuck_at_its_account_delays_no_other(rig: Rig) -> None:
    stuck = await rig.connect("line", "bulk-stuck")
    well = await rig.connect("line", "bulk-well")
    too_fast = {"message": "The API rate limit has been exceeded."}
    rig.stub.script(stuck.slug, Scripted(status=429, body=too_fast, headers={"Retry-After": "600"}))
    await broadcast(rig, stuck, 600)
    message = await rig.send(well, "hello")
    report = await rig.report(well, message)
    assert report.status == "sent"
    assert rig.stub.shown(stuck.slug) == []
