"""The queue is walked in its order, and costs what is needed differently, not all who wait."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import timedelta
from typing import Any

import pytest

from libs.common.documents import SESSIONS, Session
from libs.common.policy import Member, Policy, Team
from libs.common.store.api import Collection, D, Page, Store
from libs.common.switches import Settings
from services.router.draft import Draft
from services.router.transition import place
from services.router.waiting import Waiting
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, at, rig_on, said

AUTO = Settings(auto_hosting=False, auto_assign=True, reopen="queue")


class Counting:
    """A store that counts the sessions it has found."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.found = 0
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def find(
        self, collection: Collection[D], workspace: str, where: Mapping[str, Any], page: Page
    ) -> list[D]:
        rows = await self._store.find(collection, workspace, where, page)
        if collection.name == SESSIONS.name:
            self.found += len(rows)
            self.asked += 1
        return rows


def waiting(number: int, team: str = "", priority: int = 0, **more: Any) -> Session:
    """Return a session that waits since so many seconds after the story's beginning."""
    name = f"s{number:05d}"
    base = Session(
        id=name,
        workspace=WORKSPACE,
        account=ACCOUNT,
        channel="line",
        visitor=name,
        contact="c1",
        list="bot_hosted",
        open_key=name,
        created_at=at(0),
        updated_at=at(0),
        team=team,
        priority=priority,
        **more,
    )
    draft = Draft(base)
    place(draft, at(number), "unassigned")
    made = draft.finish(at(number))
    made.outbox_since, made.wakes = None, False
    return made


async def walked(store: Any, skipping: Container[str] = ()) -> list[str]:
    """Return the ids in the order of a walk that leaves out these teams once they are met."""
    walk = Waiting(store, WORKSPACE)
    found = []
    while (session := await walk.next()) is not None:
        if session.team in skipping:
            walk.skip(session)
        else:
            found.append(session.id)
    return found


@pytest.fixture
async def rig(ready_url: str) -> Any:
    async with rig_on(ready_url, AUTO) as made:
        yield made


async def test_all_are_met_by_priority_and_then_by_age(rig: Rig) -> None:
    rows = [
        waiting(n, team=("a", "b", "")[n % 3], priority=(0, 5, 0, 0, -2)[n % 5]) for n in range(250)
    ]
    await rig.store.insert_many(SESSIONS, rows)
    wanted = [row.id for row in sorted(rows, key=lambda row: (-row.priority, row.id))]
    assert await walked(rig.store) == wanted
    kept = {row.id for row in rows if row.team != "b"}
    assert await walked(rig.store, {"b"}) == [one for one in wanted if one in kept]


async def test_one_that_is_met_under_two_needs_is_no_fault(rig: Rig) -> None:
    one = waiting(1)
    walk = Waiting(rig.store, WORKSPACE)
    walk._push(one)
    walk._push(one)
    assert [await walk._merged(), await walk._merged()] == [one, one]


LONG = 1500


async def test_a07_a_long_queue_that_nobody_here_can_take_is_not_read_through(rig: Rig) -> None:
    rows = [waiting(n, team="billing") for n in range(LONG)]
    rows += [waiting(LONG + n, team="sales") for n in range(3)]
    await rig.store.insert_many(SESSIONS, rows)
    members = (
        Member(id="amy", limit=5, teams=("sales",)),
        Member(id="bob", limit=5, teams=("billing",)),
    )
    teams = (Team(id="sales"), Team(id="billing"))
    rig.policy = Policy(settings=AUTO, members=members, teams=teams)
    rig.settings = AUTO
    rig.present = {"amy": "online"}
    rig.assigner._store = counting = Counting(rig.store)
    for _ in range(3):  # each wake costs the same
        counting.found = counting.asked = 0
        await rig.assigner.look(WORKSPACE)
        assert counting.found < 30
        assert counting.asked < 10
    owners = {s.id: s.owner for s in await rig.sessions("assigned")}
    assert owners == {f"s{LONG + n:05d}": "amy" for n in range(3)}
    rig.present = {"amy": "online", "bob": "online"}
    await rig.assigner.look(WORKSPACE)
    mine = sorted(s.id for s in await rig.sessions("assigned") if s.owner == "bob")
    assert mine == [f"s{n:05d}" for n in range(5)]


async def test_b16_who_was_removed_from_one_gets_the_next_of_the_same_kind(rig: Rig) -> None:
    removed = {"amy": at(10_000)}
    rows = [waiting(n, removed=removed) for n in range(30)]
    rows.append(waiting(30, removed={"amy": at(1)}))
    await rig.store.insert_many(SESSIONS, rows)
    rig.policy = Policy(settings=AUTO, members=(Member(id="amy", limit=5),))
    rig.settings, rig.present = AUTO, {"amy": "online"}
    rig.now = at(200)
    moment = await rig.assigner.look(WORKSPACE)
    assert [s.id for s in await rig.sessions("assigned")] == ["s00030"]
    assert moment == removed["amy"] + timedelta(milliseconds=1)


async def test_d17_an_owner_by_the_queue_is_watched_from_that_moment(rig: Rig) -> None:
    settings = Settings(auto_hosting=False, auto_assign=True, reopen="queue", silent_owner_s=60)
    rig.policy = Policy(settings=settings, members=(Member(id="amy", limit=5),))
    rig.settings = settings
    await rig.take(said("hello"))
    rig.present = {"amy": "online"}
    await rig.assigner.look(WORKSPACE)
    [session] = await rig.sessions("assigned")
    assert session.awaiting_since is not None
    assert session.due["silent_owner"] == session.awaiting_since + timedelta(seconds=60)
