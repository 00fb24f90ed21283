"""The queue on real routers: what makes room for a waiting session gives it away at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.commands import Done, OpenSession, Refused
from libs.common.policy import (
    AssignToTeam,
    Calendar,
    Member,
    Rule,
    SetPriority,
    Span,
    Team,
    TextHas,
)
from libs.common.switches import ChannelSettings, Settings, Strategy
from tests.nats_server import NatsProcess
from tests.router.floor import AUTO, Floor, floor_on, team_of

Wake = Callable[[Floor], Awaitable[object]]


@pytest.fixture
async def floor(nats_process: NatsProcess, ready_url: str) -> AsyncIterator[Floor]:
    async with floor_on(nats_process.url, ready_url) as made:
        yield made


async def test_a07_two_two_none_and_the_fifth_waits_until_one_ends(
    nats_process: NatsProcess, store_url: str
) -> None:
    """On each engine."""
    async with floor_on(nats_process.url, store_url) as floor:
        await floor.change(members=team_of(amy=2, bob=2, cem=0))
        await floor.present("amy", "bob", "cem")
        await floor.write("v1", "v2", "v3", "v4", "v5")

        async def settled() -> bool:
            return Counter((await floor.owners()).values()) == {"amy": 2, "bob": 2, "": 1}

        await floor.until(settled, "two, two, none, and one waits")
        sessions = await floor.sessions()
        [waiting] = [s for s in sessions.values() if s.list == "unassigned"]
        ended = next(s for s in sessions.values() if s.owner == "bob")
        await floor.done(floor.end(ended.id))
        took = await floor.until_owned(**{waiting.visitor: "bob"})
        assert took < 1.0
        await floor.until_at_rest(("amy", "bob", "cem"))

        async def told() -> bool:
            records = await floor.decisions(waiting.id)
            decided = [(r.case.trigger, r.decision.because) for r in records]
            return decided == [("opened", "nobody_free"), ("queued", "auto_assign")]

        await floor.until(told, "why it waited, and why bob has it")


async def someone_ends_one(floor: Floor) -> None:
    await floor.done(floor.end((await floor.sessions())["first"].id))


async def someone_releases_one(floor: Floor) -> None:
    """Bob gets what amy may not get back; amy's place is for who waited longest."""
    await floor.present("bob")
    await floor.done(floor.remove((await floor.sessions())["first"].id, "amy"))


async def the_lead_moves_one(floor: Floor) -> None:
    await floor.done(floor.assign((await floor.sessions())["first"].id, "lead"))


def closed_now() -> Calendar:
    day = (datetime.now(UTC) + timedelta(days=3)).weekday()
    return Calendar(id="hours", spans=(Span(days=(day,), opens="09:00", closes="10:00"),))


FULL: dict[str, Any] = {"members": team_of(amy=1, bob=0)}
WAKES: dict[str, tuple[dict[str, Any], Wake]] = {
    "a session ends": (FULL, someone_ends_one),
    "an owner is removed": ({"members": team_of(amy=1, bob=1)}, someone_releases_one),
    "a lead gives a session to somebody else": (FULL, the_lead_moves_one),
    "an agent comes online": (
        {"members": team_of(amy=1, bob=1)},
        lambda floor: floor.present("bob"),
    ),
    "a limit is raised": (FULL, lambda floor: floor.change(members=team_of(amy=2))),
    "auto-assign is turned on": (
        {"members": team_of(amy=2), "settings": Settings(auto_hosting=False)},
        lambda floor: floor.change(settings=AUTO),
    ),
    "a channel may assign": (
        {"members": team_of(amy=2), "settings": Settings(auto_hosting=False)},
        lambda floor: floor.change(
            settings=Settings(
                auto_hosting=False, channels={"line": ChannelSettings(auto_assign=True)}
            )
        ),
    ),
    "hours are changed": (
        {
            "members": team_of(amy=2),
            "calendars": (closed_now(),),
            "settings": Settings(auto_hosting=False, auto_assign=True, calendar="hours"),
        },
        lambda floor: floor.change(calendars=()),
    ),
}


@pytest.mark.parametrize(("policy", "wake"), WAKES.values(), ids=WAKES)
async def test_the_queue_is_woken_when(floor: Floor, policy: dict[str, Any], wake: Wake) -> None:
    """Within a second, without anything else happening."""
    await floor.change(**policy)
    await floor.present("amy")
    await floor.write("first")
    await floor.until(floor.sessions, "the first session")
    await floor.write("second")

    async def queued() -> bool:
        found = await floor.sessions()
        return "second" in found and found["second"].list == "unassigned"

    await floor.until(queued, "the second waits")
    await asyncio.sleep(0.4)  # whatever the opening woke has been
    assert (await floor.owners())["second"] == ""
    await wake(floor)

    async def owned() -> bool:
        return (await floor.owners()).get("second", "") != ""

    assert await floor.until(owned, "the second is given") < 1.0
    await floor.until_at_rest(("amy", "bob", "lead"))


async def test_the_queue_is_served_by_priority_and_then_by_age(floor: Floor) -> None:
    urgent = Rule(
        id="urgent",
        conditions=(TextHas(words=("urgent",)),),
        actions=(SetPriority(priority=5),),
        stop=False,
    )
    await floor.change(members=team_of(amy=3), rules=(urgent,))
    for visitor, text in (("v1", "hello"), ("v2", "urgent"), ("v3", "hello"), ("v4", "urgent")):
        await floor.write(visitor, text=text)
        await floor.until_owned(**{visitor: ""})
    await floor.present("amy")
    await floor.until_owned(v2="amy", v4="amy", v1="amy", v3="")
    since = {v: s.assignees[0].since for v, s in (await floor.sessions()).items() if s.assignees}
    assert sorted(since, key=lambda visitor: since[visitor]) == ["v2", "v4", "v1"]


MEMBERS = (
    Member(id="amy", limit=5, priority=1),
    Member(id="bob", limit=5, priority=9),
    Member(id="cem", limit=5),
)
STRATEGIES: dict[Strategy, Counter[str]] = {
    "least_loaded": Counter(amy=2, bob=2, cem=2),
    "round_robin": Counter(amy=2, bob=2, cem=2),
    "priority": Counter(bob=5, amy=1),
}


@pytest.mark.parametrize(("strategy", "shares"), STRATEGIES.items(), ids=STRATEGIES)
async def test_six_sessions_in_one_batch_are_shared_by(
    floor: Floor, strategy: Strategy, shares: Counter[str]
) -> None:
    await floor.present("amy", "bob", "cem")
    await floor.change(
        members=MEMBERS,
        settings=Settings(auto_hosting=False, auto_assign=True, strategy=strategy),
    )
    await asyncio.sleep(1.0)  # everybody is seen
    await asyncio.gather(*(floor.write(f"v{n}") for n in range(6)))

    async def shared() -> bool:
        return Counter((await floor.owners()).values()) == shares

    try:
        await floor.until(shared, "shared out", 10)
    except AssertionError:
        raise AssertionError(Counter((await floor.owners()).values())) from None
    await floor.until_at_rest(("amy", "bob", "cem"))


async def test_sticky_gives_a_returning_contact_to_the_last_owner(floor: Floor) -> None:
    await floor.change(
        members=MEMBERS,
        settings=Settings(auto_hosting=False, auto_assign=True, strategy="sticky", reopen="queue"),
    )
    await floor.present("cem")
    await floor.write("v1")
    await floor.until_owned(v1="cem")
    first = (await floor.sessions())["v1"].id
    await floor.present("amy", "bob")
    await floor.done(floor.end(first))
    await floor.until_at_rest(("amy", "bob", "cem"))
    await floor.write("v1")

    async def again() -> bool:
        session = (await floor.sessions())["v1"]
        return session.id != first and session.owner == "cem"

    await floor.until(again, "it is cem's again")


async def test_a_team_is_waited_for_while_others_have_room(floor: Floor) -> None:
    billing = Rule(
        id="bills",
        conditions=(TextHas(words=("bill",)),),
        actions=(AssignToTeam(team="billing"),),
    )
    members = (Member(id="amy", limit=5), Member(id="bob", limit=5, teams=("billing",)))
    await floor.change(members=members, teams=(Team(id="billing"),), rules=(billing,))
    await floor.present("amy")
    await floor.write("v1", text="my bill")
    await floor.until_owned(v1="")
    await floor.write("v2")
    await floor.until_owned(v1="", v2="amy")
    await floor.present("bob")
    assert await floor.until_owned(v1="bob") < 1.0


async def test_b16_who_was_removed_gets_it_back_only_when_the_time_is_over(floor: Floor) -> None:
    """Nothing happens in between: the queue waits for that moment by itself."""
    settings = Settings(auto_hosting=False, auto_assign=True, removed_for_s=2)
    await floor.change(members=team_of(amy=2), settings=settings)
    await floor.present("amy")
    await floor.write("v1")
    await floor.until_owned(v1="amy")
    removed = await floor.done(floor.remove((await floor.sessions())["v1"].id, "amy"))
    until = removed.session.removed["amy"]
    await floor.until_owned(v1="amy")
    [assignee] = (await floor.sessions())["v1"].assignees
    assert timedelta(0) <= assignee.since - until < timedelta(seconds=1)


async def test_agents_who_leave_with_full_hands_keep_their_sessions_and_get_none(
    floor: Floor,
) -> None:
    await floor.change(members=team_of(amy=2, bob=3))
    await floor.present("amy")
    await floor.write("v1", "v2")
    await floor.until_owned(v1="amy", v2="amy")
    await floor.gone("amy")
    await floor.write("v3")
    await floor.until_owned(v1="amy", v2="amy", v3="")
    await floor.done(floor.end((await floor.sessions())["v1"].id))
    await asyncio.sleep(0.4)
    assert await floor.owners() == {"v2": "amy", "v3": ""}
    await floor.present("bob", state="away")
    await asyncio.sleep(0.4)
    assert await floor.owners() == {"v2": "amy", "v3": ""}
    await floor.present("bob")
    await floor.until_owned(v2="amy", v3="bob")
    await floor.until_at_rest(("amy", "bob"))


async def test_a06_of_fifty_who_open_at_once_one_gets_it_and_no_place_leaks(
    nats_process: NatsProcess, ready_url: str
) -> None:
    async with floor_on(nats_process.url, ready_url, routers=2) as floor:
        agents = [f"agent{n}" for n in range(50)]
        settings = Settings(auto_hosting=False, reopen="queue")
        await floor.change(members=team_of(**dict.fromkeys(agents, 1)), settings=settings)
        await floor.write("v1")
        await floor.until_owned(v1="")
        session = (await floor.sessions())["v1"].id
        opening = [
            OpenSession(**floor.head(session, agent), expect="unassigned") for agent in agents
        ]
        answers = await asyncio.gather(*map(floor.ask, opening))
        [winner] = [answer for answer in answers if isinstance(answer, Done)]
        refused = [answer for answer in answers if isinstance(answer, Refused)]
        assert Counter(answer.code for answer in refused) == {"already_taken": 49}
        await floor.until_at_rest(agents)
        assert await floor.places(agents) == {winner.session.owner: {session}}


async def test_switches_changed_in_mid_stream_count_from_the_next_session(floor: Floor) -> None:
    """Each session is decided wholly by one policy: by the one before, or by the one after."""
    await floor.change(members=team_of(amy=1000), settings=Settings(auto_hosting=False))
    await floor.present("amy")
    await asyncio.sleep(0.3)
    for n in range(40):
        hosted, auto = bool(n & 1), bool(n & 2)
        await floor.change(settings=Settings(auto_hosting=hosted, auto_assign=auto))
        await floor.write(f"v{n}")

    async def all_there() -> bool:
        return len(await floor.sessions()) == 40

    await floor.until(all_there, "all sessions")
    await floor.change(settings=AUTO)

    async def none_waits() -> bool:
        lists = Counter(session.list for session in (await floor.sessions()).values())
        return not lists["unassigned"]

    await floor.until(none_waits, "what waited is assigned")
    await floor.until_at_rest(("amy",))
    for session in (await floor.sessions()).values():
        first = (await floor.decisions(session.id))[0].decision
        assert first.list in {"bot_hosted", "assigned", "unassigned"}
        assert (session.list == "bot_hosted") == (first.list == "bot_hosted")
