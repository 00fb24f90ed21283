"""One action on many sessions, each answered by itself; and the single ones besides."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import WORKSPACES, Session, Settings
from libs.common.events import Fact
from libs.common.subjects import EVENTS
from services.desk.api import bulk as bulking
from services.desk.api.act import CONFIRM_TTL
from tests.desk.world import Answer, World, serving


async def several(world: World, count: int = 3) -> list[Session]:
    return [await world.writes("hello", visitor=f"U{n}") for n in range(count)]


async def bulk(world: World, who: str = "amy", key: str = "", **body: Any) -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await world.call("POST", "/sessions/bulk", who, body=body, headers=headers)


async def facts(world: World, kind: str) -> list[Fact]:
    read = await world.bus.read(EVENTS, f"ev.{world.workspace}.{kind}.*")
    return [msgspec.json.decode(message.data, type=Fact) for message in read]


def lists(answer: Answer) -> list[str]:
    return [item["session"]["list"] for item in answer.json["items"]]


ACTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "claim": ({}, {"list": "assigned"}),
    "assign": ({"assignees": ["agt-bob"]}, {"list": "assigned"}),
    "remove": ({"agents": ["agt-bob"]}, {"list": "bot_hosted"}),
    "end": ({}, {"list": "ended"}),
    "bot": ({"on": False}, {"list": "unassigned", "bot": False}),
    "handoff": ({}, {"list": "unassigned"}),
    "tag": ({"add": ["vip"]}, {"tags": ["vip"]}),
    "read": ({}, {"unread": 0}),
}


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_action_is_done_to_each(world: World, action: str) -> None:
    arguments, expected = ACTIONS[action]
    ids = [session.id for session in await several(world)]
    answer = await bulk(world, ids=ids, action=action, **arguments)
    assert (answer.status, answer.json["done"]) == (200, 3), answer.body
    assert [item["id"] for item in answer.json["items"]] == ids
    for item in answer.json["items"]:
        assert {name: item["session"][name] for name in expected} == expected


async def test_one_that_cannot_be_done_holds_up_no_other(world: World) -> None:
    one, two, three = await several(world)
    await world.do("claim", two.id, "bob")
    strange = await world.writes("hi", workspace=world.other)
    ids = [one.id, two.id, "ses_none", strange.id, three.id]
    answer = await bulk(world, ids=ids, action="claim")
    codes = [(item["problem"] or {}).get("code") for item in answer.json["items"]]
    assert codes == [None, "already_taken", "not_found", "not_found", None]
    assert answer.json["done"] == 2
    unknown, foreign = (answer.json["items"][place]["problem"] for place in (2, 3))
    assert unknown == foreign  # the wall
    assert (await world.session(strange.id, world.other)).owner is None


async def test_the_key_of_the_call_stands_for_each_command(world: World) -> None:
    ids = [session.id for session in await several(world)]
    first = await bulk(world, key="k1", ids=ids, action="claim")
    again = await bulk(world, key="k1", ids=ids, action="claim")
    assert lists(first) == lists(again) == ["assigned"] * 3
    assert len(await facts(world, "session.assigned")) == 3
    other = await bulk(world, key="k1", ids=ids, action="tag", add=["vip"])
    codes = {item["problem"]["code"] for item in other.json["items"]}
    assert codes == {"idempotency_conflict"}


async def test_of_two_who_claim_the_same_at_once_each_session_has_one_owner(world: World) -> None:
    ids = [session.id for session in await several(world, 12)]
    one, two = await asyncio.gather(
        bulk(world, "amy", ids=ids, action="claim"), bulk(world, "bob", ids=ids, action="claim")
    )
    assert one.json["done"] + two.json["done"] == 12
    owners = {id_: (await world.session(id_)).owner for id_ in ids}
    for answer, owner in ((one, "agt-amy"), (two, "agt-bob")):
        done = {item["id"] for item in answer.json["items"] if item["done"]}
        assert done == {id_ for id_, found in owners.items() if found == owner}


async def ask_to_confirm(world: World) -> None:
    found = await world.store.get(WORKSPACES, world.workspace, world.workspace)
    assert found is not None
    switches = Settings(end_session_confirm=True)
    world.switches[world.workspace] = switches
    await world.store.replace(WORKSPACES, msgspec.structs.replace(found, settings=switches))


async def test_a21_one_token_confirms_the_end_of_all(world: World) -> None:
    await ask_to_confirm(world)
    ids = [session.id for session in await several(world)]
    asked = await bulk(world, ids=ids, action="end")
    assert (asked.status, asked.json["code"]) == (409, "confirmation_required")
    assert asked.json["facts"]["summary"].startswith("End 3 sessions?")
    token = asked.json["facts"]["token"]
    for others, who in ((ids[:2], "amy"), (ids, "bob")):
        refused = await bulk(world, who, ids=others, action="end", confirm=token)
        assert (refused.status, refused.json["code"]) == (409, "confirmation_required")
    ended = await bulk(world, ids=list(reversed(ids)), action="end", confirm=token)
    assert lists(ended) == ["ended"] * 3


async def test_a21_an_expired_token_of_all_is_asked_for_again(world: World) -> None:
    await ask_to_confirm(world)
    ids = [session.id for session in await several(world)]
    token = (await bulk(world, ids=ids, action="end")).json["facts"]["token"]
    later = world.desk.now() + CONFIRM_TTL + timedelta(seconds=1)
    async with serving(msgspec.structs.replace(world.desk, now=lambda: later)) as port:
        url = f"http://127.0.0.1:{port}/api/v1/sessions/bulk"
        body = {"ids": ids, "action": "end", "confirm": token}
        again = await world.call("POST", url, "amy", body=body)
    assert (again.status, again.json["code"]) == (409, "confirmation_required")
    assert [(await world.session(id_)).list for id_ in ids] == ["bot_hosted"] * 3


WRONG = {
    "no ids": ({"ids": [], "action": "claim"}, "ids"),
    "too many": ({"ids": [f"s{n}" for n in range(bulking.MOST + 1)], "action": "claim"}, "ids"),
    "one twice": ({"ids": ["a", "b", "a"], "action": "claim"}, "ids.2"),
    "an unknown action": ({"ids": ["a"], "action": "delete"}, "action"),
    "an argument of another action": (
        {"ids": ["a"], "action": "claim", "on": True},
        "on",
    ),
    "assign without whom": ({"ids": ["a"], "action": "assign"}, "assignees"),
    "assign to nobody we know": (
        {"ids": ["a"], "action": "assign", "assignees": ["agt-zoe"]},
        "assignees.0",
    ),
    "bot without the switch": ({"ids": ["a"], "action": "bot"}, "on"),
    "a bot that is not there": (
        {"ids": ["a"], "action": "bot", "on": True, "bot": "bot-none"},
        "bot",
    ),
    "a tag that comes and goes": (
        {"ids": ["a"], "action": "tag", "add": ["x"], "take": ["x"]},
        "take.0",
    ),
    "a blank tag": ({"ids": ["a"], "action": "tag", "add": [" "]}, "add.0"),
}


@pytest.mark.parametrize(("body", "field"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_as_a_whole(
    world: World, body: dict[str, Any], field: str
) -> None:
    answer = await bulk(world, **body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.body


# --- single actions --------------------------------------------------------------------------


async def test_b16_removing_one_of_two_leaves_the_other_and_the_last_returns_it(
    world: World,
) -> None:
    [session] = await several(world, 1)
    await world.do("assignees", session.id, "lena", {"assignees": ["agt-amy", "agt-bob"]})
    path = f"/sessions/{session.id}/assignees/agt-amy"
    left = await world.call("DELETE", path, "lena")
    assert (left.status, left.json["owner"]["id"]) == (200, "agt-bob")
    gone = await world.do("remove", session.id, "lena", {"agents": ["agt-bob"]})
    assert (gone.json["list"], gone.json["assignees"]) == ("unassigned", [])
    assert gone.json["waiting_since"]
    shown = await world.get(f"/sessions/{session.id}")
    assert {"agt-bob"} <= set(shown["removed"])


async def test_a17_an_agent_hands_a_hosted_session_over(world: World) -> None:
    [session] = await several(world, 1)
    moved = await world.do("handoff", session.id, "bob")
    assert (moved.status, moved.json["list"], moved.json["bot"]) == (200, "unassigned", False)
    [fact] = await facts(world, "session.handoff")
    assert (fact.session, fact.because) == (session.id, "agent_asked")
    found = await world.get(f"/sessions/{session.id}/why")
    assert "handoff" in [one["trigger"] for one in found["decisions"]]


async def test_tags_come_and_go_once(world: World) -> None:
    [session] = await several(world, 1)
    path = f"/sessions/{session.id}/tags"
    for _ in range(2):
        done = await world.call("PUT", path, "amy", body={"add": ["vip", "late"]})
        assert done.json["tags"] == ["vip", "late"]
    done = await world.call("PUT", path, "amy", body={"take": ["late", "none"]})
    assert done.json["tags"] == ["vip"]
    assert len(await facts(world, "session.tagged")) == 2


def bot_body() -> dict[str, Any]:
    entry = {"id": "a", "keywords": ["x"], "answers": ["y"]}
    return {"name": "Helper", "kind": "faq", "faq": [entry]}


async def test_b11_the_switch_takes_no_bot_that_cannot_answer(world: World) -> None:
    [session] = await several(world, 1)
    bot = (await world.call("POST", "/bots", "lena", body=bot_body())).json
    refused = await world.do("bot", session.id, "amy", {"on": True, "bot": "bot-none"})
    assert (refused.status, refused.json["facts"]["field"]) == (422, "bot")
    off = {**bot_body(), "enabled": False}
    assert (await world.call("PUT", f"/bots/{bot['id']}", "lena", body=off)).status == 200
    refused = await world.do("bot", session.id, "amy", {"on": True, "bot": bot["id"]})
    assert (refused.status, refused.json["facts"]["field"]) == (422, "bot")
