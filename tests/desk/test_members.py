"""Agents over the API: what each takes, who may change whom, and what ends with a disabled one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import msgspec

from libs.common.documents import AGENTS, LOADS, TOKENS, Agent, Held, Load
from libs.common.policies import policy_of
from libs.common.policy import Policy
from libs.common.store.api import Page
from libs.common.subjects import POLICY_KV
from tests.desk.world import PASSWORD, Answer, World

TAKES = {"limit": 3, "teams": ["vip"], "skills": ["tax"], "languages": ["th"], "priority": 2}


async def patch(world: World, name: str, body: Any, who: str = "adam", **headers: str) -> Answer:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return await world.call("PATCH", f"/agents/agt-{name}", who, body=body, headers=named)


async def test_a07_an_agent_gets_a_limit_team_and_skills_and_keeps_the_rest(world: World) -> None:
    assert (await world.call("PUT", "/teams/vip", "lena", body={})).status == 201
    before = await world.get("/agents/agt-amy", "adam")
    answer = await patch(world, "amy", TAKES)
    assert (answer.status, answer.json) == (200, before | TAKES)
    after = await world.call("GET", "/agents/agt-amy", "adam")
    assert (after.json, after.headers["ETag"]) == (answer.json, answer.headers["ETag"])
    assert answer.json in (await world.get("/agents", "adam"))["items"]
    found = await world.bus.kv_get(POLICY_KV, world.workspace)
    assert found is not None
    assert found.value is not None
    policy = msgspec.json.decode(found.value, type=Policy)
    assert policy == await policy_of(world.store, world.workspace)
    [amy] = [member for member in policy.members if member.id == "agt-amy"]
    assert (amy.limit, amy.teams, amy.skills, amy.priority) == (3, ("vip",), ("tax",), 2)
    [_, entry] = await world.audited()
    assert (entry.actor, entry.action) == ("agent:agt-adam", "agent.patch")
    told = {name: msgspec.json.decode(entry.after)[name] for name in TAKES}
    assert told == TAKES
    assert "password" not in entry.after + entry.before
    assert "@" not in entry.after + entry.before


async def test_how_many_sessions_an_agent_has_is_shown(world: World) -> None:
    now = datetime.now(UTC)
    held = (Held(session="s1", since=now), Held(session="s2", since=now))
    load = Load(id="agt-amy", workspace=world.workspace, held=held, idle_since=now)
    await world.store.insert(LOADS, load)
    shown = {agent["id"]: agent["load"] for agent in (await world.get("/agents"))["items"]}
    assert (shown["agt-amy"], shown["agt-bob"]) == (2, 0)
    assert (await world.get("/agents/agt-amy"))["load"] == 2


async def test_who_is_there_is_shown(world: World) -> None:
    assert (await world.get("/agents/agt-amy"))["presence"] == ""
    kept = await world.call("PUT", "/presence", "amy", body={"state": "away"})
    assert kept.status == 200
    async with asyncio.timeout(30):
        while (await world.get("/agents/agt-amy"))["presence"] != "away":
            pass  # each request gives the watch its turn
    assert (await world.get("/agents/agt-bob"))["presence"] == ""


RANKS: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "an admin makes an agent a lead": ("adam", "amy", {"role": "lead"}, 200, ""),
    "an admin makes an agent an admin": ("adam", "amy", {"role": "admin"}, 200, ""),
    "an admin demotes another admin": ("adam", "amy", {"role": "agent"}, 200, ""),
    "an admin cannot make an owner": ("adam", "amy", {"role": "owner"}, 403, "owner"),
    "an admin cannot make themselves owner": ("adam", "adam", {"role": "owner"}, 403, "owner"),
    "an admin cannot demote an owner": ("adam", "olga", {"role": "agent"}, 403, "owner"),
    "an admin cannot disable an owner": ("adam", "olga", {"disabled": True}, 403, "owner"),
    "an admin cannot even limit an owner": ("adam", "olga", {"limit": 1}, 403, "owner"),
    "a lead changes nobody": ("lena", "amy", {"limit": 9}, 403, "admin"),
    "an agent does not change themselves": ("amy", "amy", {"limit": 9}, 403, "admin"),
    "the last owner cannot step down": ("olga", "olga", {"role": "admin"}, 409, "last_owner"),
    "the last owner cannot be disabled": ("olga", "olga", {"disabled": True}, 409, "last_owner"),
    "an owner makes another owner": ("olga", "adam", {"role": "owner"}, 200, ""),
    "one of two owners steps down": ("olga", "olga", {"role": "admin"}, 200, ""),
}


async def test_d24_nobody_reaches_above_themselves_and_an_owner_is_left(world: World) -> None:
    found = {}
    for name, (who, whom, body, _, _) in RANKS.items():
        answer = await patch(world, whom, body, who)
        told = answer.json.get("facts", {}).get("needs") or answer.json.get("code", "")
        found[name] = (answer.status, told)
    assert found == {name: (status, told) for name, (*_, status, told) in RANKS.items()}


async def test_of_two_owners_who_demote_each_other_one_is_left(world: World) -> None:
    await world.hire("otto", "owner", world.workspace)
    answers = await asyncio.gather(
        patch(world, "otto", {"role": "agent"}, "olga"),
        patch(world, "olga", {"role": "agent"}, "otto"),
    )
    assert {answer.status for answer in answers} <= {200, 401, 403, 409}
    roles = [agent["role"] for agent in (await world.get("/agents", "rita"))["items"]]
    assert "owner" in roles
    assert roles.count("owner") == 2 - [answer.status for answer in answers].count(200)


async def test_of_two_owners_who_step_down_at_once_by_other_desks_one_is_left(
    world: World, monkeypatch: Any
) -> None:
    """The other one steps down just when this one was looked at, before it is written."""
    await world.hire("otto", "owner", world.workspace)
    store = world.desk.store.port
    replace = store.replace

    async def slower(collection: Any, document: Any) -> Any:
        if collection is AGENTS and document.id == "agt-olga":
            monkeypatch.undo()
            otto = await store.get(AGENTS, world.workspace, "agt-otto")
            assert otto is not None
            await store.replace(AGENTS, msgspec.structs.replace(otto, role="agent"))
        return await replace(collection, document)

    monkeypatch.setattr(store, "replace", slower)
    answer = await patch(world, "olga", {"role": "agent"}, "olga")
    assert (answer.status, answer.json["code"]) == (409, "last_owner")
    assert (await world.get("/agents/agt-olga", "rita"))["role"] == "owner"
    assert await world.audited() == []


async def test_disabling_ends_logins_and_tokens_for_good(world: World) -> None:
    body = {"email": world.email("amy"), "password": PASSWORD}
    assert (await world.call("POST", "/login", body=body)).status == 200
    await world.call(
        "PUT", "/rules/a", "lena", body={"actions": [{"do": "agent", "agent": "agt-amy"}]}
    )
    answer = await patch(world, "amy", {"disabled": True})
    assert (answer.status, answer.json["disabled"]) == (200, True)
    assert (await world.call("GET", "/me", "amy")).status == 401
    page = Page(order="agent")
    assert await world.store.find(TOKENS, world.workspace, {"agent": "agt-amy"}, page) == []
    assert await world.store.find(TOKENS, world.workspace, {"agent": "agt-bob"}, page) != []
    policy = await policy_of(world.store, world.workspace)
    assert "agt-amy" not in {member.id for member in policy.members}
    assert (await world.call("POST", "/login", body=body)).status == 401
    assert (await patch(world, "amy", {"disabled": False})).status == 200
    assert (await world.call("GET", "/me", "amy")).status == 401
    assert (await world.call("POST", "/login", body=body)).status == 200
    other = await world.call(
        "PUT", "/rules/b", "lena", body={"actions": [{"do": "tag", "tag": "x"}]}
    )
    assert other.status == 201


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a limit below nothing": ({"limit": -1}, "limit"),
    "a limit without an end": ({"limit": 1001}, "limit"),
    "a limit that is none": ({"limit": None}, "limit"),
    "a team that is not there": ({"teams": ["nope"]}, "teams.0"),
    "a role nobody has": ({"role": "god"}, "role"),
    "a blank name": ({"name": "  "}, "name"),
    "no name": ({"name": ""}, "name"),
    "a name with U+0000": ({"name": "a\0"}, "name"),
    "a blank skill": ({"skills": ["tax", " "]}, "skills"),
    "a skill that is an operator": ({"skills": [{"$ne": ""}]}, "skills.0"),
    "too many skills": ({"skills": ["x"] * 51}, "skills"),
    "a priority above all": ({"priority": 101}, "priority"),
    "an address": ({"email": "x@y.example"}, "email"),
    "a password": ({"password_hash": "x"}, "password_hash"),
    "a workspace": ({"workspace": "zeta"}, "workspace"),
    "a version": ({"rev": 7}, "rev"),
}


async def test_wrong_fields_are_refused_by_name_and_change_nothing(world: World) -> None:
    before = await world.get("/agents/agt-amy")
    found = {}
    for name, (body, _) in WRONG.items():
        answer = await patch(world, "amy", {"limit": 7, **body})
        found[name] = (answer.status, answer.json.get("facts", {}).get("field"))
    assert found == {name: (422, field) for name, (_, field) in WRONG.items()}
    assert await world.get("/agents/agt-amy") == before
    assert await world.audited() == []


async def test_a_change_based_on_an_old_version_is_refused_and_none_is_not_kept(
    world: World,
) -> None:
    tag = (await world.call("GET", "/agents/agt-amy", "adam")).headers["ETag"]
    same = await patch(world, "amy", {"limit": 0}, If_Match=tag)
    assert (same.status, same.headers["ETag"]) == (200, tag)
    assert (await patch(world, "amy", {"limit": 1}, If_Match=tag)).status == 200
    assert (await patch(world, "amy", {"limit": 2}, If_Match=tag)).status == 412
    assert (await patch(world, "amy", {"skills": ["a", "a", "b"]})).json["skills"] == ["a", "b"]
    assert len(await world.audited()) == 2


async def test_i12_an_agent_of_another_workspace_is_not_there(world: World) -> None:
    answers = [await patch(world, name, {"limit": 1}) for name in ("zoe", "zac")]
    assert {(answer.status, answer.body) for answer in answers} == {(404, answers[0].body)}
    zoe = await world.store.get(AGENTS, world.other, "agt-zoe")
    assert isinstance(zoe, Agent)
    assert (zoe.limit, zoe.rev) == (0, 1)


async def test_admins_see_the_addresses_of_all_and_everybody_their_own(world: World) -> None:
    async def seen(who: str) -> dict[str, str]:
        items = (await world.get("/agents", who))["items"]
        return {one["id"]: one["email"] for one in items if one["email"]}

    assert await seen("amy") == {"agt-amy": world.email("amy")}
    assert (await seen("adam"))["agt-bob"] == world.email("bob")
    assert (await world.get("/agents/agt-bob", "lena"))["email"] == ""
