"""Places: never more than the limit, and at rest as many as sessions owned, whoever crashes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import COLLECTIONS, LOADS, SESSIONS, Session
from libs.common.policy import Case, Member, Policy, Standing
from libs.common.rules.strategies import choose
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.switches import Settings, Strategy
from services.router import seats
from services.router.crew import Crew
from services.router.seats import LEASE, Place, Seats, left
from tests.router.rig import ACCOUNT, WORKSPACE, at

AGENTS = ("amy", "bob", "cem")
Step = Callable[["Bench"], Awaitable[object]]


class Bench:
    """Places of a workspace, with a clock in the test's hand and a list of what was told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = at(0)
        self.present = {"amy": "online", "bob": "online"}
        self.freed: list[str] = []
        self.seats = self.another()

    def another(self) -> Seats:
        """Return the places as another process sees them."""
        return Seats(
            self.store,
            self._clock,
            state=lambda _workspace, agent: self.present.get(agent, ""),
            freed=self.freed.append,
        )

    def _clock(self) -> datetime:
        return self.now

    async def take(self, session: str, rev: int = 1, limit: int | None = 2, **more: Any) -> bool:
        return await self.seats.take(Place(WORKSPACE, "amy", session, rev), limit=limit, **more)

    async def own(self, session: str, owner: str = "amy", **fields: Any) -> Session:
        """Store an assigned session."""
        made = Session(
            id=session,
            workspace=WORKSPACE,
            account=ACCOUNT,
            channel="line",
            visitor=session,
            contact="c1",
            list=fields.pop("list", "assigned"),
            open_key=session,
            created_at=at(0),
            updated_at=at(0),
            owner=owner,
            **fields,
        )
        return await self.store.insert(SESSIONS, made)

    async def held(self, agent: str = "amy") -> list[str]:
        load = await self.store.get(LOADS, WORKSPACE, agent)
        return [held.session for held in load.held] if load else []

    async def load(self, agent: str = "amy", limit: int = 2) -> int:
        """Return how many sessions the rules see."""
        policy = Policy(members=(Member(id=agent, limit=limit),))
        [standing] = await self.seats.standings(WORKSPACE, policy)
        return standing.load


@pytest.fixture
async def bench(store_url: str) -> AsyncIterator[Bench]:
    """On each engine."""
    async with open_store(store_url, COLLECTIONS) as store:
        yield Bench(store)


async def test_a_limit_is_kept_and_a_person_exceeds_it(bench: Bench) -> None:
    assert [await bench.take(s) for s in ("s1", "s2", "s3")] == [True, True, False]
    assert await bench.take("s3", limit=None)
    assert await bench.held() == ["s1", "s2", "s3"]
    assert not await bench.take("s4", limit=0)


async def test_a_place_is_taken_once_for_a_session_however_often(bench: Bench) -> None:
    assert [await bench.take("s1", limit=1), await bench.take("s1", limit=1)] == [True, True]
    assert await bench.held() == ["s1"]


async def test_many_at_once_take_no_more_than_there_are(bench: Bench) -> None:
    seats = [bench.another() for _ in range(3)]
    places = [Place(WORKSPACE, "amy", f"s{n}", 1) for n in range(12)]
    taken = await asyncio.gather(
        *(seats[n % 3].take(place, limit=5) for n, place in enumerate(places))
    )
    assert sum(taken) == len(await bench.held()) == 5


async def test_a_lost_write_gives_its_place_back_and_tells_so(bench: Bench) -> None:
    await bench.own("s1", "bob")
    await bench.take("s1", rev=1)
    await bench.seats.release(Place(WORKSPACE, "amy", "s1", 1))
    assert (await bench.held(), bench.freed) == ([], [WORKSPACE])


KEPT: dict[str, tuple[str, int]] = {
    "another's write gave it to the same agent": ("amy", 2),
    "another is about to give it to the same agent": ("bob", 3),
}


@pytest.mark.parametrize(("owner", "rev"), KEPT.values(), ids=KEPT)
async def test_a_lost_write_leaves_a_place_where(bench: Bench, owner: str, rev: int) -> None:
    stored = await bench.own("s1", "bob")
    stored.owner = owner
    await bench.store.replace(SESSIONS, stored)  # revision 2
    await bench.take("s1", rev=rev)
    await bench.seats.release(Place(WORKSPACE, "amy", "s1", 2))
    assert (await bench.held(), bench.freed) == (["s1"], [])


async def test_who_loses_a_session_loses_the_place_unless_it_came_back(bench: Bench) -> None:
    gone = await bench.own("s1", "bob")
    await bench.take("s1", rev=1)
    await bench.seats.vacate(gone, "amy")
    assert await bench.held() == []
    await bench.take("s1", rev=2)
    await bench.seats.vacate(gone, "amy")  # said once more: the second place is for a later write
    assert await bench.held() == ["s1"]


async def test_places_that_no_session_backs_are_found_when_the_agent_is_full(bench: Bench) -> None:
    await bench.own("s1")
    await bench.own("s2", "bob")
    await bench.own("s3", list="ended")
    for session in ("s1", "s2", "s3"):
        await bench.take(session, limit=None)
    assert await bench.load(limit=3) == 3  # their writes may be on their way
    bench.now += LEASE
    assert await bench.load(limit=4) == 3  # not full: nobody is kept from anything
    assert await bench.load(limit=3) == 1
    assert await bench.held() == ["s1"]


async def test_a_write_that_is_still_to_come_keeps_its_place_for_a_while_only(bench: Bench) -> None:
    """Then its session is written once, so that the write, should it come yet, is refused."""
    stored = await bench.own("s1", "bob")
    await bench.take("s1", rev=2)
    assert await bench.load(limit=1) == 1
    bench.now += LEASE
    assert await bench.load(limit=1) == 0
    refused = await bench.store.replace_many(SESSIONS, [stored])
    assert refused == {"s1": "stale_revision"}


async def test_a_session_that_was_never_opened_keeps_no_place_for_long(bench: Bench) -> None:
    await bench.take("s1", rev=1)
    assert await bench.load(limit=1) == 1
    bench.now += LEASE
    assert await bench.load(limit=1) == 0


async def test_places_in_doubt_are_settled_though_nobody_is_full(bench: Bench) -> None:
    await bench.own("s1", "bob")
    place = Place(WORKSPACE, "amy", "s1", 2)
    await bench.seats.take(place, limit=9)
    bench.seats.doubt(place)
    await bench.seats.settle()
    assert await bench.held() == ["s1"]
    bench.now += LEASE
    await bench.seats.settle()
    assert await bench.held() == []


async def test_at_the_start_places_become_those_of_the_sessions_owned(bench: Bench) -> None:
    for session, owner in (("s1", "amy"), ("s2", "amy"), ("s3", "bob")):
        await bench.own(session, owner)
    await bench.take("s1")
    await bench.take("s3")
    await bench.seats.repair(WORKSPACE, ["amy", "bob"])
    assert (sorted(await bench.held("amy")), await bench.held("bob")) == (["s1", "s2"], ["s3"])


async def test_at_the_start_sessions_are_read_in_pages_and_added_with_one_write_each(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seats, "_PAGE", 3)
    owned = [f"s{number}" for number in range(7)]
    for session in owned:
        await bench.own(session)
    await bench.own("other", "cem")
    await bench.seats.repair(WORKSPACE, ["amy", "bob"])
    load = await bench.store.get(LOADS, WORKSPACE, "amy")
    assert load is not None
    assert sorted(held.session for held in load.held) == owned
    assert load.rev == 3
    assert await bench.held("cem") == []
    await bench.seats.repair(WORKSPACE, ["amy", "bob"])
    again = await bench.store.get(LOADS, WORKSPACE, "amy")
    assert again == load


async def test_what_left_is_not_remembered(bench: Bench) -> None:
    session = await bench.own("s1")
    await bench.take("s1")
    await bench.seats.repair(WORKSPACE, ["amy"])
    ended = await bench.store.replace(SESSIONS, msgspec.structs.replace(session, list="ended"))
    assert sum(map(len, bench.seats._backed.values())) == 1
    await bench.seats.vacate(ended, "amy")
    assert bench.seats._backed == {}


@pytest.mark.parametrize("strategy", ["round_robin", "least_loaded"])
def test_who_got_the_session_before_a_batch_is_in_turn_after_the_others(strategy: Strategy) -> None:
    """All that a batch gives, it gives at one moment."""
    standings = tuple(Standing(id=n, online=True, load=0, idle_since=at(0)) for n in AGENTS)
    policy = Policy(
        members=tuple(Member(id=n, limit=9) for n in AGENTS), settings=Settings(strategy=strategy)
    )
    crew = Crew(policy, standings)
    given = []
    for number in range(6):
        case = Case(trigger="queued", session=f"s{number}", channel="line", account=ACCOUNT)
        owner, _ = choose(case, policy, crew.standings, at(5))
        crew.give(case.session, owner, at(1 if number == 0 else 5))
        given.append(owner)
    assert given == ["amy", "bob", "cem"] * 2


async def test_a_turn_is_later_than_all_turns_before(bench: Bench) -> None:
    await bench.take("s1", turn=True)
    first = await bench.store.get(LOADS, WORKSPACE, "amy")
    bench.now += timedelta(milliseconds=1)
    await bench.take("s2", turn=True)
    second = await bench.store.get(LOADS, WORKSPACE, "amy")
    assert first is not None
    assert second is not None
    assert first.turn < second.turn


async def test_standings_tell_who_is_there_and_leave_out_who_gets_nothing(bench: Bench) -> None:
    bench.present = {"amy": "online", "bob": "away"}
    await bench.take("s1")
    members = tuple(Member(id=n, limit=k) for n, k in (("amy", 2), ("bob", 2), ("cem", 0)))
    found = await bench.seats.standings(WORKSPACE, Policy(members=members))
    assert [(s.id, s.online, s.away, s.load) for s in found] == [
        ("amy", True, False, 1),
        ("bob", False, True, 0),
    ]


async def test_an_ended_session_is_left_by_its_owner(bench: Bench) -> None:
    session = await bench.own("s1", list="ended")
    assert left(session) == set()  # nothing is said of it
