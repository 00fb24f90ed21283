"""Who is there: said by heartbeat or by an open stream, and lapsing by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import KvEntry
from libs.common.errors import BusUnavailableError
from libs.common.policy import Present
from libs.common.presence import LAPSE_S, Presences, State, keep, leave, watched_presence
from libs.common.subjects import PRESENCE_KV
from services.desk import presence as attendance
from tests.desk.listening import listening, second_desk
from tests.desk.world import World, open_world


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """A desk of each test's own: some change what belongs to no workspace."""
    async with open_world(nats_url, ready_url) as made:
        yield made


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def entry(agent: str, state: str | None, revision: int = 1, workspace: str = "acme") -> KvEntry:
    value = None if state is None else msgspec.json.encode({"state": state, "since": NOW})
    return KvEntry(key=f"{workspace}.{agent}", value=value, revision=revision)


def watching() -> tuple[Presences, Clock, list[str]]:
    clock = Clock()
    presences = Presences(clock)
    told: list[str] = []
    presences.on_change.append(told.append)
    return presences, clock, told


# --- what was seen -------------------------------------------------------------------------------

SEEN: dict[str, tuple[list[tuple[str | None, float]], str, int]] = {
    "nobody was seen": ([], "", 0),
    "online": ([("online", 0)], "online", 1),
    "away": ([("away", 0)], "away", 1),
    "renewed is no change": ([("online", 0), ("online", 30), ("online", 30)], "online", 1),
    "just before it lapses": ([("online", LAPSE_S - 1)], "online", 1),
    "lapsed without a marker": ([("online", LAPSE_S)], "", 2),
    "renewed in time": ([("online", LAPSE_S - 1), ("online", LAPSE_S - 1)], "online", 1),
    "back after a lapse": ([("online", LAPSE_S + 1), ("online", 0)], "online", 2),
    "away after online": ([("online", 1), ("away", 0)], "away", 2),
    "left": ([("online", 1), (None, 0)], "", 2),
    "a person's own word that they are not there": ([("online", 1), ("offline", 0)], "", 2),
    "not there from the beginning": ([("offline", 0)], "", 0),
    "a state that is not known changes nothing": ([("online", 1), ("asleep", 0)], "online", 1),
    "gone twice is gone once": ([("online", 1), (None, 0), (None, 0)], "", 2),
}


@pytest.mark.parametrize(("steps", "state", "changes"), SEEN.values(), ids=SEEN)
def test_presence_is_what_was_said_last_unless_it_has_lapsed(
    steps: list[tuple[str | None, float]], state: str, changes: int
) -> None:
    presences, clock, told = watching()
    for number, (said, then_waits) in enumerate(steps, 1):
        presences.put(entry("amy", said, number))
        clock.now += then_waits
    presences.sweep()
    assert presences.state("acme", "amy") == state
    assert told == ["acme"] * changes
    assert {agent: one.state for agent, one in presences.of("acme").items()} == (
        {"amy": state} if state else {}
    )


def test_a_lapse_shows_before_it_is_swept() -> None:
    presences, clock, told = watching()
    presences.put(entry("amy", "online"))
    clock.now += LAPSE_S
    assert presences.state("acme", "amy") == ""
    assert presences.of("acme") == {}
    assert told == ["acme"]
    presences.sweep()
    presences.sweep()
    assert told == ["acme", "acme"]


def test_workspaces_are_apart() -> None:
    presences, _clock, told = watching()
    presences.put(entry("amy", "online"))
    presences.put(entry("amy", "away", workspace="zeta"))
    assert (presences.state("acme", "amy"), presences.state("zeta", "amy")) == ("online", "away")
    assert (presences.count("online"), presences.count("away")) == (1, 1)
    assert told == ["acme", "zeta"]


async def test_every_watcher_sees_it_at_once_and_one_that_comes_later_too(nats_url: str) -> None:
    workspace = f"w-{time.time_ns()}"
    async with open_bus(nats_url, name="presence-test") as bus, watched_presence(bus) as first:
        changed = asyncio.Event()
        first.on_change.append(lambda name: changed.set() if name == workspace else None)
        states: tuple[State, ...] = ("online", "away")
        for state in states:
            changed.clear()
            await keep(bus, workspace, "amy", Present(state=state, since=NOW))
            await asyncio.wait_for(changed.wait(), 20)
            assert first.state(workspace, "amy") == state
        async with watched_presence(bus) as later:
            await asyncio.wait_for(later.complete.wait(), 30)
            assert later.of(workspace) == {"amy": Present(state="away", since=NOW)}
        changed.clear()
        await leave(bus, workspace, "amy")
        await asyncio.wait_for(changed.wait(), 20)
        assert first.state(workspace, "amy") == ""


def test_the_bucket_forgets_after_a_minute() -> None:
    assert PRESENCE_KV.ttl_s == LAPSE_S == 60


# --- by heartbeat --------------------------------------------------------------------------------


async def states(world: World, who: str = "lena") -> dict[str, str]:
    """Return the agents who are not offline."""
    items = (await world.get("/presence", who))["items"]
    return {item["name"]: item["state"] for item in items if item["state"] != "offline"}


async def until(found: Callable[[], Awaitable[Any]], expected: Any, within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while await found() != expected:  # noqa: ASYNC110 (over HTTP)
            await asyncio.sleep(0.02)


async def say(world: World, who: str, state: Any) -> Any:
    return await world.call("PUT", "/presence", who, body={"state": state})


async def test_who_says_to_be_there_is_seen_until_they_say_otherwise(world: World) -> None:
    assert await states(world) == {}
    answer = await say(world, "amy", "online")
    assert answer.status == 200
    assert (answer.json["state"], answer.json["lapses_s"]) == ("online", 60)
    since = answer.json["since"]
    assert (await say(world, "bob", "away")).status == 200
    assert await states(world) == {"Amy": "online", "Bob": "away"}
    assert (await say(world, "amy", "online")).json["since"] == since
    assert (await say(world, "amy", "away")).json["since"] > since
    assert (await say(world, "bob", "offline")).status == 200
    assert await states(world) == {"Amy": "away"}


async def test_everybody_is_listed_and_only_of_the_own_workspace(world: World) -> None:
    await say(world, "zoe", "online")
    await say(world, "amy", "online")
    items = (await world.get("/presence", "rita"))["items"]
    assert [item["name"] for item in items] == ["Adam", "Amy", "Bob", "Lena", "Olga", "Rita"]
    amy = items[1]
    assert (amy["agent"], amy["role"], amy["state"]) == ("agt-amy", "agent", "online")
    assert {item["since"] for item in items if item["name"] != "Amy"} == {None}
    assert await states(world, "zoe") == {"Zoe": "online"}


WRONG: dict[str, tuple[Any, str]] = {
    "another state": ({"state": "busy"}, "state"),
    "no state": ({}, "state"),
    "a number": ({"state": 1}, "state"),
    "another's": ({"state": "online", "agent": "agt-bob"}, "agent"),
}


@pytest.mark.parametrize(("body", "field"), WRONG.values(), ids=WRONG)
async def test_what_is_no_presence_is_refused_by_name(world: World, body: Any, field: str) -> None:
    answer = await world.call("PUT", "/presence", "amy", body=body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field)
    assert await states(world) == {}


# --- by a stream ---------------------------------------------------------------------------------


@pytest.fixture
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what takes seconds take tenths."""
    monkeypatch.setattr(attendance, "GRACE_S", 0.3)
    monkeypatch.setattr(attendance, "RENEW_EVERY_S", 0.2)
    monkeypatch.setattr(attendance, "LOOK_EVERY_S", 0.05)


@pytest.mark.usefixtures("brisk")
async def test_who_has_a_stream_open_is_online_until_a_while_after_its_end(world: World) -> None:
    async with listening(world, "amy"):
        await until(lambda: states(world), {"Amy": "online"})
        before = await world.bus.kv_get(PRESENCE_KV, f"{world.workspace}.agt-amy")
        assert before is not None
        await asyncio.sleep(0.6)
        after = await world.bus.kv_get(PRESENCE_KV, f"{world.workspace}.agt-amy")
        assert after is not None
        assert after.revision > before.revision  # it is renewed
        assert after.value == before.value  # and there since the beginning
    assert await states(world) == {"Amy": "online"}
    await until(lambda: states(world), {})
    assert await world.bus.kv_get(PRESENCE_KV, f"{world.workspace}.agt-amy") is None


@pytest.mark.usefixtures("brisk")
async def test_a_page_that_is_loaded_again_was_never_away(world: World) -> None:
    changes: list[str] = []
    for _ in range(4):
        async with listening(world, "amy"):
            await until(lambda: states(world), {"Amy": "online"})
            world.desk.live.presences.on_change.append(changes.append)
        await asyncio.sleep(0.1)
    assert world.workspace not in changes  # the desk hears of other tests' people as well


@pytest.mark.usefixtures("brisk")
async def test_of_two_streams_on_two_desks_the_last_to_end_ends_presence(world: World) -> None:
    async with second_desk(world) as (_, base):
        for first, second in (("", base), (base, "")):
            async with listening(world, "amy", base=first):
                async with listening(world, "amy", base=second):
                    await until(lambda: states(world), {"Amy": "online"})
                await asyncio.sleep(0.8)  # longer than the grace
                assert await states(world) == {"Amy": "online"}
            await until(lambda: states(world), {})


@pytest.mark.usefixtures("brisk")
async def test_what_was_lost_is_put_back_while_a_stream_is_open(world: World) -> None:
    async with listening(world, "amy"):
        await until(lambda: states(world), {"Amy": "online"})
        gone = asyncio.Event()
        presences = world.desk.live.presences
        presences.on_change.append(
            lambda name: gone.set() if not presences.state(name, "agt-amy") else None
        )
        await leave(world.bus, world.workspace, "agt-amy")
        await asyncio.wait_for(gone.wait(), 20)
        await until(lambda: states(world), {"Amy": "online"}, 2)


@pytest.mark.usefixtures("brisk")
async def test_a_bug_in_renewing_one_agent_lets_nobody_else_lapse(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    async def broken(bus: Bus, workspace: str, agent: str, present: Present) -> KvEntry:
        tried.append(agent)
        if agent == "agt-amy":
            raise RuntimeError("a bug")
        return await keep(bus, workspace, agent, present)

    async with listening(world, "amy"), listening(world, "bob"):
        await until(lambda: states(world), {"Amy": "online", "Bob": "online"})
        monkeypatch.setattr(attendance, "keep", broken)
        async with asyncio.timeout(30):
            while tried.count("agt-amy") < 2 or tried.count("agt-bob") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


class Strained:
    """`keep` of a busy server: it confirms a few in time, and of too many at once none."""

    def __init__(self, copes_with: int) -> None:
        self.copes_with = copes_with
        self.said: set[str] = set()
        self._busy = self._most = 0

    async def keep(self, _bus: Bus, workspace: str, agent: str, present: Present) -> KvEntry:
        self._busy += 1
        self._most = max(self._most, self._busy)
        await asyncio.sleep(0.02)
        late = self._most > self.copes_with
        self._busy -= 1
        if not self._busy:
            self._most = 0
        if late:
            raise BusUnavailableError("not confirmed within 1.0 s")
        self.said.add(agent)
        return entry(agent, present.state, workspace=workspace)


@pytest.mark.usefixtures("brisk")
async def test_a_bus_that_confirms_of_too_many_at_once_none_in_time_loses_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, many = Strained(1000), 1000
    monkeypatch.setattr(attendance, "keep", bus.keep)
    attends = attendance.Attendance(world.bus, Presences(), lambda: NOW)
    async with AsyncExitStack() as stack:
        everybody = (attendance.Who("acme", f"agt-{number}") for number in range(many))
        opened = (attends.attending(who, anew=False) for who in everybody)
        await asyncio.gather(*map(stack.enter_async_context, opened))
        bus.copes_with = 200
        bus.said.clear()
        running = asyncio.create_task(attends.run())
        try:
            async with asyncio.timeout(30):
                while len(bus.said) < many:  # noqa: ASYNC110 (nobody tells)
                    await asyncio.sleep(0.02)
        finally:
            running.cancel()


async def test_the_end_of_a_stream_takes_away_no_word_of_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "GRACE_S", 0.1)
    monkeypatch.setattr(attendance, "LOOK_EVERY_S", 0.05)
    async with listening(world, "amy"), second_desk(world) as (_, base):
        await until(lambda: states(world), {"Amy": "online"})
        url = f"{base}/api/v1/presence"  # a heartbeat, by way of another desk
        answer = await world.call("PUT", url, "amy", body={"state": "online"})
        assert answer.status == 200
    await asyncio.sleep(2.0)  # until it shows that the reader is gone, and the grace is over
    assert await states(world) == {"Amy": "online"}


SAID = {
    "away stays away": ("away", "away"),
    "offline stays offline": ("offline", "offline"),
    "online is online": ("online", "online"),
}


@pytest.mark.usefixtures("brisk")
@pytest.mark.parametrize(("said", "seen"), SAID.values(), ids=SAID)
async def test_what_a_person_says_of_themselves_stands_while_the_stream_is_open(
    world: World, said: str, seen: str
) -> None:
    expected = {} if seen == "offline" else {"Amy": seen}
    async with second_desk(world) as (_, base), listening(world, "amy", base=base) as page:
        await until(lambda: states(world), {"Amy": "online"})
        await say(world, "amy", said)
        await asyncio.sleep(0.6)
        assert await states(world) == expected
        last = page.last
        async with listening(world, "amy", last=last):  # it reconnects
            assert await states(world) == expected
        if said == "offline":
            async with listening(world, "amy"):  # a page is opened
                await until(lambda: states(world), {"Amy": "online"})


@pytest.mark.usefixtures("brisk")
async def test_who_only_reads_is_told_but_not_there(world: World) -> None:
    async with listening(world, "rita"):
        await asyncio.sleep(0.2)
        assert await states(world) == {}


async def test_the_metrics_tell_how_many_are_there(world: World) -> None:
    await say(world, "amy", "online")
    await say(world, "bob", "away")
    await say(world, "adam", "offline")
    states: tuple[State, ...] = ("online", "away")
    for state in states:
        count = world.desk.live.presences.count(state)  # with those of other tests
        told = REGISTRY.get_sample_value("relaydesk_desk_agents_present", {"state": state})
        assert told == count
        assert count >= 1
