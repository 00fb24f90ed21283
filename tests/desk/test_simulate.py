"""The simulator over the API (D05): real records, bounded work, and nothing changed."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import DECISIONS, DecisionRecord
from libs.common.policy import Case, Policy, Standing
from libs.common.rules.decide import decide
from libs.common.switches import Settings
from services.desk.api import simulate as simulating
from services.desk.api.problem import RefusalError
from tests.desk.world import Answer, World, serving


async def run(world: World, who: str = "lena", **body: Any) -> Answer:
    return await world.call("POST", "/rules/simulate", who, body=body)


async def a_day(world: World) -> None:
    """Three visitors write; one is claimed, one handed off, one ended."""
    for n in range(3):
        await world.writes("hello", visitor=f"U{n}", channel="messenger" if n else "line")
    rows = (await world.get("/sessions"))["items"]
    for verb, row in zip(("claim", "handoff", "end"), rows, strict=True):
        assert (await world.do(verb, row["id"])).status == 200
    await world.writes("hello again", visitor="U9", channel="web")
    await world.outbox.flush()


async def test_d05_the_current_settings_reproduce_what_happened(world: World) -> None:
    await a_day(world)
    found = (await run(world, days=1)).json
    assert (found["same"], found["differences"], found["complete"]) == (True, 0, True)
    assert found["would"] == found["happened"]
    assert (found["sessions"], found["decisions"]) == (4, 5)
    assert found["happened"]["lists"] == {
        "assigned": 1,
        "bot_hosted": 4,
        "ended": 1,
        "unassigned": 1,
    }
    assert found["happened"]["agents"]["agt-amy"]["sessions"] == 1


async def test_d05_other_settings_are_compared_and_nothing_is_changed(world: World) -> None:
    await a_day(world)
    before = (await world.get("/sessions", list_="bot_hosted,unassigned,assigned,ended"))["items"]
    found = (await run(world, settings={"auto_hosting": False})).json
    assert not found["same"]
    assert found["would"]["lists"]["unassigned"] == 4
    assert "bot_hosted" not in found["would"]["lists"]
    assert found["happened"]["lists"]["bot_hosted"] == 4
    assert found["examples"][0]["was"]["because"] == "auto_hosting"
    assert found["examples"][0]["would"]["because"] == "auto_hosting_off"
    after = (await world.get("/sessions", list_="bot_hosted,unassigned,assigned,ended"))["items"]
    assert after == before
    assert (await world.get("/settings"))["auto_hosting"] is True
    assert await world.audited() == []


async def test_d05_idle_sessions_are_counted_by_the_rules_that_are_proposed(world: World) -> None:
    session = await world.writes("hello", channel="messenger")
    stored = await world.session(session.id)
    later = world.desk.now() + timedelta(hours=2)
    assert stored.last_inbound_at is not None
    on = {"auto_termination": True, "termination": {"rules": [{"idle_s": 3600}]}}
    answer = (await run(world, settings=on)).json
    assert answer["would"]["terminations"] == {}

    async with serving(msgspec.structs.replace(world.desk, now=lambda: later)) as port:
        url = f"http://127.0.0.1:{port}/api/v1/rules/simulate"
        for idle_s, expected in ((None, {"bot_hosted": 1}), (9000, {})):
            body = {"settings": on, "idle_s": idle_s}
            found = (await world.call("POST", url, "lena", body=body)).json
            assert found["would"]["terminations"] == expected


REFUSED = {
    "too many days": ({"days": 31}, "days"),
    "no day": ({"days": 0}, "days"),
    "a rule without an action": (
        {"rules": [{"id": "r", "actions": []}]},
        "rules.0.actions",
    ),
    "a team that is not there": (
        {"rules": [{"id": "r", "actions": [{"do": "team", "team": "x"}]}]},
        "rules.0.actions.0.team",
    ),
    "an unknown field": ({"week": 1}, "week"),
}


@pytest.mark.parametrize(("body", "field"), REFUSED.values(), ids=REFUSED)
async def test_d05_what_cannot_be_simulated_is_refused(
    world: World, body: dict[str, Any], field: str
) -> None:
    answer = await run(world, **body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.body


def records(world: World, count: int, agents: int) -> list[DecisionRecord]:
    policy = Policy(settings=Settings(auto_hosting=False))
    now = world.desk.now() - timedelta(days=1)
    standings = tuple(
        Standing(id=f"agt-{n}", online=True, load=1, idle_since=now) for n in range(agents)
    )
    made = []
    for n in range(count):
        case = Case(trigger="opened", session=f"ses_{n}", channel="line", account="a")
        at = now + timedelta(seconds=n)
        made.append(
            DecisionRecord(
                id=f"dec_{n}",
                workspace=world.workspace,
                session=case.session,
                at=at,
                case=case,
                standings=standings,
                decision=decide(case, policy, (), at),
            )
        )
    return made


async def keep(world: World, made: list[DecisionRecord]) -> None:
    for start in range(0, len(made), 500):
        assert await world.store.insert_many(DECISIONS, made[start : start + 500]) == {}


async def test_d05_it_holds_up_nobody_and_only_one_runs_at_a_time(world: World) -> None:
    await keep(world, records(world, 2000, 100))
    gaps: list[float] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0)
            gaps.append(time.perf_counter() - began)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    first = asyncio.create_task(run(world, settings={"auto_hosting": False}))
    await asyncio.sleep(0.1)
    second = await run(world)
    answer = await first
    took_s = time.perf_counter() - began
    done.set()
    await watching
    assert (answer.status, answer.json["decisions"]) == (200, 2000)
    assert (second.status, second.json["code"]) == (409, "busy")
    assert sorted(gaps)[-3] < took_s / 5  # all but what a busy machine may take away


async def holds(turns: simulating.Turns, workspace: str, until: asyncio.Event) -> None:
    async with turns.taken(workspace):
        await until.wait()


async def test_g13_simulations_of_one_workspace_do_not_shut_out_those_of_others() -> None:
    turns, done = simulating.Turns(at_once=2, wait_s=5), asyncio.Event()
    running = [asyncio.create_task(holds(turns, name, done)) for name in ("a", "b", "c", "d")]
    await asyncio.sleep(0)
    with pytest.raises(RefusalError, match="is running"):
        await holds(turns, "a", done)
    with pytest.raises(RefusalError, match="is running"):
        await holds(turns, "c", done)  # which waits for its turn
    running[3].cancel()
    done.set()
    results = await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), 20)
    assert [type(result) for result in results] == [type(None)] * 3 + [asyncio.CancelledError]
    await asyncio.wait_for(asyncio.gather(*(holds(turns, name, done) for name in "abcd")), 20)


async def test_a_turn_that_comes_to_who_has_just_left_goes_to_the_next() -> None:
    turns, done = simulating.Turns(at_once=1, wait_s=5), asyncio.Event()
    async with turns.taken("a"):
        waiting = asyncio.create_task(holds(turns, "b", done))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    waiting.cancel()  # its turn is there, and it has not seen it
    done.set()
    await asyncio.wait_for(holds(turns, "c", done), 20)


async def test_who_gets_no_turn_in_time_is_told_so_and_leaves_the_line() -> None:
    turns, done = simulating.Turns(at_once=1, wait_s=0.01), asyncio.Event()
    first = asyncio.create_task(holds(turns, "a", done))
    await asyncio.sleep(0)
    with pytest.raises(RefusalError, match="others are running"):
        await holds(turns, "b", done)
    done.set()
    await first
    await holds(turns, "b", done)


@pytest.mark.parametrize(("name", "value"), [("MOST_RECORDS", 150), ("MOST_S", -1.0)])
async def test_d05_it_goes_no_further_than_it_may(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: float
) -> None:
    made = records(world, 250, 1)
    await keep(world, made)
    monkeypatch.setattr(simulating, name, value)
    found = (await run(world)).json
    assert found["complete"] is False
    assert found["decisions"] == (100 if name == "MOST_RECORDS" else 0)
    assert found["until"] < made[-1].at.isoformat()


async def test_g13_each_workspace_simulates_its_own_days(world: World) -> None:
    await a_day(world)
    found = (await run(world, "zoe")).json
    assert (found["decisions"], found["sessions"], found["complete"]) == (0, 0, True)
