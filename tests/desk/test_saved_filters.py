"""Filters that agents keep, and what a login shows first (B23)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.desk.world import Answer, World

MINE = {"name": "Mine on LINE", "query": {"channel": ["line"], "assignee": ["me"]}}
VIP = {"name": "VIP", "query": {"tag": ["vip"], "list": ["unassigned"]}, "shared": True}
FIRST = {"with": ["agent"]}


async def kept(world: World, body: dict[str, Any], who: str = "amy", key: str = "") -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await world.call("POST", "/filters", who, body=body, headers=headers)


async def names(world: World, who: str) -> list[str]:
    return [one["name"] for one in (await world.get("/filters", who))["items"]]


async def test_b23_a_fresh_agent_is_shown_conversations_with_agents_until_they_choose(
    world: World,
) -> None:
    found = await world.get("/me")
    assert (found["default_filter"], {k: v for k, v in found["inbox"].items() if v}) == (
        "agent",
        {**FIRST, "snoozed": "false"},
    )
    body = {"query": {"channel": ["line"], "with": ["bot"]}}
    put = await world.call("PUT", "/inbox/default", "amy", body=body)
    assert (put.status, put.headers["ETag"]) == (200, '"1"')
    changed = await world.get("/me")
    assert (changed["default_filter"], changed["inbox"]["channel"]) == ("bot", ["line"])
    assert (await world.get("/me", "bob"))["inbox"]["with"] == ["agent"]
    back = await world.call("PUT", "/inbox/default", "amy", body={})
    assert back.json["query"]["with"] == ["agent"]
    stale = await world.call("PUT", "/inbox/default", "amy", body=body, headers={"If-Match": '"1"'})
    assert stale.status == 412
    assert [e.action for e in await world.audited()] == ["inbox.default"] * 2


async def test_b23_a_kept_filter_may_be_what_a_login_shows_until_it_is_deleted(
    world: World,
) -> None:
    made = (await kept(world, MINE)).json
    await world.call("PUT", "/inbox/default", "amy", body={"filter": made["id"]})
    assert (await world.get("/me"))["inbox"]["assignee"] == ["me"]
    assert (await world.get("/inbox/default"))["filter"] == made["id"]
    assert (await world.call("DELETE", f"/filters/{made['id']}", "amy")).status == 204
    assert (await world.get("/me"))["inbox"]["with"] == ["agent"]


async def test_own_filters_are_ones_own_and_shared_ones_everybodys_and_leads_to_change(
    world: World,
) -> None:
    mine = (await kept(world, MINE)).json
    shared = (await kept(world, VIP, "lena")).json
    assert await names(world, "amy") == ["Mine on LINE", "VIP"]
    assert await names(world, "rita") == ["VIP"]
    assert await names(world, "zoe") == []
    path = f"/filters/{mine['id']}"
    assert (await world.call("GET", path, "bob")).status == 404
    assert (await world.call("PATCH", path, "lena", body={"name": "x"})).status == 404
    assert (await world.call("DELETE", path, "zoe")).status == 404
    path = f"/filters/{shared['id']}"
    assert (await world.call("PATCH", path, "amy", body={"name": "x"})).status == 403
    assert (await world.call("DELETE", path, "amy")).status == 403
    assert (await kept(world, VIP, "amy")).status == 403
    done = await world.call("PATCH", path, "adam", body={"name": "Very important"})
    assert (done.status, done.json["name"], done.json["query"]["tag"]) == (
        200,
        "Very important",
        ["vip"],
    )
    stale = await world.call("DELETE", path, "lena", headers={"If-Match": '"1"'})
    assert stale.status == 412
    assert (await world.call("DELETE", path, "lena")).status == 204
    actions = [entry.action for entry in await world.audited()]
    assert actions == ["filter.create", "filter.create", "filter.patch", "filter.delete"]


async def test_a_repeat_of_a_key_makes_nothing_new(world: World) -> None:
    made = await kept(world, MINE, key="k1")
    again = await kept(world, MINE, key="k1")
    other = await kept(world, {**MINE, "name": "Other"}, key="k1")
    assert (made.status, again.status, other.status) == (201, 200, 409)
    assert again.json == made.json
    assert again.headers["Idempotent-Replayed"] == "true"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown channel": ({"name": "x", "query": {"channel": ["fax"]}}, "query.channel"),
    "an unknown account": ({"name": "x", "query": {"account": ["nope"]}}, "query.account"),
    "an unknown list": ({"name": "x", "query": {"list": ["closed"]}}, "query.list.0"),
    "an unknown filter": ({"name": "x", "query": {"colour": "red"}}, "query.colour"),
    "a blank name": ({"name": " ", "query": {}}, "name"),
    "too many values": ({"name": "x", "query": {"tag": ["t"] * 51}}, "query.tag"),
}


@pytest.mark.parametrize(("body", "field"), WRONG.values(), ids=WRONG)
async def test_what_is_no_filter_is_refused_by_name(
    world: World, body: dict[str, Any], field: str
) -> None:
    answer = await kept(world, body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field)
    assert answer.json["facts"]["allowed"]


async def test_what_a_login_shows_is_one_thing_that_the_agent_may_use(world: World) -> None:
    other = (await kept(world, MINE, "bob")).json["id"]
    for body in ({"filter": other}, {"filter": "none"}, {"filter": other, "query": {}}):
        answer = await world.call("PUT", "/inbox/default", "amy", body=body)
        assert (answer.status, answer.json["facts"]["field"]) == (422, "filter")


async def test_there_are_only_so_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.desk.api.saved_filters.MOST", 1)
    assert (await kept(world, MINE)).status == 201
    assert (await kept(world, MINE)).json["code"] == "too_many"
    assert (await kept(world, MINE, "bob")).status == 201
