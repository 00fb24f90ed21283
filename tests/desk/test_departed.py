"""Who may no longer answer has no sessions: they return to the queue, at once or soon after."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from libs.common.documents import AGENTS
from services.desk import departed
from services.desk.app import mending
from tests.desk.world import World

GONE: dict[str, dict[str, Any]] = {
    "disabled": {"disabled": True},
    "may only read": {"role": "read_only"},
}


async def assigned(world: World, visitor: str, *names: str) -> str:
    session = await world.writes("hello", visitor=visitor)
    body = {"assignees": [f"agt-{name}" for name in names]}
    assert (await world.do("assignees", session.id, "lena", body)).status == 200
    return session.id


async def where(world: World, session: str) -> tuple[str, tuple[str, ...]]:
    found = await world.session(session)
    return found.list, found.assignee_ids


@pytest.mark.parametrize("change", GONE.values(), ids=GONE)
async def test_sessions_of_who_may_not_answer_any_more_return_to_the_queue(
    world: World, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(departed, "PAGE", 2)
    alone = [await assigned(world, f"U{n}", "amy") for n in range(3)]
    both = await assigned(world, "U7", "amy", "bob")
    others = await assigned(world, "U8", "bob")
    ended = await assigned(world, "U9", "amy")
    assert (await world.do("end", ended, "amy")).status == 200
    answer = await world.call("PATCH", "/agents/agt-amy", "adam", body=change)
    assert answer.status == 200, answer.body
    assert [await where(world, one) for one in alone] == [("unassigned", ())] * 3
    assert await where(world, both) == ("assigned", ("agt-bob",))
    assert await where(world, others) == ("assigned", ("agt-bob",))
    assert (await world.session(ended)).list == "ended"
    lines = (await world.get(f"/sessions/{alone[0]}/messages", "lena"))["items"]
    assert any("removed by Adam" in part.get("text", "") for m in lines for part in m["parts"])
    told = [entry for entry in await world.audited() if entry.action == "agent.sessions_returned"]
    assert [(e.object, e.actor, e.after) for e in told] == [
        ("agent:agt-amy", "agent:agt-adam", '{"sessions":4}')
    ]
    again = await world.call("PATCH", "/agents/agt-amy", "adam", body=change)
    assert again.status == 200
    assert sum(e.action == "agent.sessions_returned" for e in await world.audited()) == 1


async def test_another_change_of_an_agent_takes_no_session(world: World) -> None:
    session = await assigned(world, "U1", "amy")
    assert (await world.call("PATCH", "/agents/agt-amy", "adam", body={"limit": 3})).status == 200
    assert await where(world, session) == ("assigned", ("agt-amy",))


async def test_what_desk_left_when_it_died_midway_is_given_back_by_the_reconciler(
    world: World,
) -> None:
    session = await assigned(world, "U1", "amy")
    theirs = await world.store.get(AGENTS, world.workspace, "agt-amy")
    assert theirs is not None
    theirs.disabled = True
    await world.store.replace(AGENTS, theirs)
    async with mending(world.store, world.bus, every_s=0.1), asyncio.timeout(10):
        while await where(world, session) != ("unassigned", ()):
            pass  # each look gives the others their turn
        while not await world.audited():
            pass
    [told] = await world.audited()
    assert (told.action, told.actor) == ("agent.sessions_returned", "system:desk")
