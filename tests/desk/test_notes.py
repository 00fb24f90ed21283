"""Notes that mention colleagues: kept, shown to agents, refused where somebody is not here."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest

from libs.common.documents import AGENTS
from libs.common.events import Fact
from libs.common.subjects import EVENTS, OUTBOUND, VISITORS
from tests.desk.world import Answer, World


async def note(world: World, session: str, who: str = "amy", key: str = "", **body: Any) -> Answer:
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return await world.call(
        "POST", f"/sessions/{session}/notes", who, body={"text": "look", **body}, headers=headers
    )


async def mentions(world: World, session: str) -> list[Fact]:
    found = await world.bus.read(EVENTS, f"ev.{world.workspace}.session.mention.{session}")
    return [msgspec.json.decode(message.data, type=Fact) for message in found]


async def test_a_note_is_kept_once_shown_to_agents_and_tells_whom_it_mentions(world: World) -> None:
    session = await world.writes("hello", channel="web")
    answers = [
        await note(world, session.id, key="k", mentions=["agt-bob", "agt-rita"]) for _ in range(2)
    ]
    assert [answer.status for answer in answers] == [201, 200]
    entry = answers[0].json
    assert (entry["kind"], entry["text"], entry["sender"]["name"]) == ("note", "look", "Amy")
    timeline = (await world.get(f"/sessions/{session.id}/messages", "bob"))["items"]
    assert [item["id"] for item in timeline if item["kind"] == "note"] == [entry["id"]]
    [fact] = await mentions(world, session.id)
    assert (fact.message, fact.notify) == (entry["id"], ("agt-bob", "agt-rita"))


async def test_the_visitor_gets_nothing_of_a_note(world: World) -> None:
    session = await world.writes("hello", channel="web")
    where = f"visitor.{world.workspace}.{session.account}.*"
    before = await world.bus.read(VISITORS, where)
    assert (await note(world, session.id, mentions=["agt-bob"])).status == 201
    assert await world.bus.read(OUTBOUND, f"out.*.{session.account}.{session.id}") == []
    after = await world.bus.read(VISITORS, where)
    assert after == before
    assert not any(b"look" in message.data for message in after)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "who is unknown": ({"mentions": ["agt-nobody"]}, "mentions.0"),
    "who is of another workspace": ({"mentions": ["agt-bob", "agt-zoe"]}, "mentions.1"),
    "who is disabled": ({"mentions": ["agt-gone"]}, "mentions.0"),
    "the same one twice": ({"mentions": ["agt-bob", "agt-bob"]}, "mentions.1"),
    "a blank text": ({"text": " "}, "text"),
    "no text at all": ({"text": None}, "text"),
    "more than 20": ({"mentions": [f"agt-{n}" for n in range(21)]}, "mentions"),
    "a field that notes do not have": ({"template": "x"}, "template"),
}


@pytest.mark.parametrize(("body", "field"), REFUSED.values(), ids=REFUSED)
async def test_a_wrong_note_is_refused_with_the_field_named(
    world: World, body: dict[str, Any], field: str
) -> None:
    gone = await world.hire("gone", "agent", world.workspace, login=False)
    await world.store.replace(AGENTS, msgspec.structs.replace(gone, disabled=True))
    session = await world.writes("hello")
    answer = await note(world, session.id, **body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.json
    assert await mentions(world, session.id) == []


async def test_a_note_of_another_workspaces_session_is_not_found(world: World) -> None:
    session = await world.writes("hello")
    assert (await note(world, session.id, "zoe")).status == 404


async def test_who_only_reads_keeps_no_notes(world: World) -> None:
    session = await world.writes("hello")
    assert (await note(world, session.id, "rita")).status == 403
