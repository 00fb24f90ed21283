"""What agents below admin see of a workspace, and what API tokens open; who changed what."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import AGENTS, DECISIONS, SESSIONS, TOKENS, Agent
from libs.common.policies import member
from libs.common.policy import Case, Policy, Standing
from libs.common.rules.strategies import choose
from libs.common.store.api import Page
from libs.common.switches import Settings
from libs.common.termination import TERMINATED
from services.desk.api.table import ROUTES
from services.desk.token_scopes import needed, opens
from tests.desk.world import NOW, Answer, World, agent_of

# --- channels, accounts, teams -------------------------------------------------------------------


async def limit(world: World, name: str, **limits: Any) -> Answer:
    return await world.call("PATCH", f"/agents/agt-{name}", "adam", body=limits)


UNKNOWN = {
    "a channel that there is not": ({"channels": ["pigeon"]}, "channels.0"),
    "another workspace's account": ({"accounts": ["{other}"]}, "accounts.0"),
}


@pytest.mark.parametrize(("body", "field"), UNKNOWN.values(), ids=UNKNOWN)
async def test_d24_a_scope_names_what_there_is(
    world: World, body: dict[str, Any], field: str
) -> None:
    if "accounts" in body:
        body = {"accounts": [world.slug("line", world.other)]}
    answer = await limit(world, "amy", **body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field)


async def test_d24_an_agent_sees_acts_on_and_is_given_only_what_is_in_scope(world: World) -> None:
    line = await world.writes("by line", visitor="L")
    web = await world.writes("by web", channel="web", visitor="W")
    assert (await limit(world, "amy", channels=["line"])).status == 200
    for path in ("", "/messages", "/why"):
        assert (await world.call("GET", f"/sessions/{line.id}{path}", "amy")).status == 200
        near = await world.call("GET", f"/sessions/{web.id}{path}", "amy")
        unknown = await world.call("GET", f"/sessions/nowhere{path}", "amy")
        assert (near.status, near.body) == (404, unknown.body)
    assert (await world.do("claim", web.id)).status == 404
    shown = [row["id"] for row in (await world.get("/sessions"))["items"]]
    assert shown == [line.id]
    refused = await world.do("assignees", web.id, "bob", {"assignees": ["agt-amy"]})
    assert (refused.status, refused.json["facts"]["field"]) == (422, "assignees.0")
    assert "Amy does not see" in refused.json["detail"]
    assert (await world.do("assignees", line.id, "bob", {"assignees": ["agt-amy"]})).status == 200


async def test_d24_an_admin_sees_all_whatever_their_scope_says(world: World) -> None:
    web = await world.writes("by web", channel="web", visitor="W")
    assert (await limit(world, "adam", channels=["line"])).status == 200
    assert (await world.call("GET", f"/sessions/{web.id}", "adam")).status == 200


MEMBERS = {
    "another channel": ({"channels": ("web",)}, "out_of_scope"),
    "another account": ({"accounts": ("acme-web",)}, "out_of_scope"),
    "its channel": ({"channels": ("line",)}, ""),
    "its account": ({"accounts": ("acme-line",)}, ""),
    "another channel, but an admin": ({"channels": ("web",), "role": "admin"}, ""),
}


@pytest.mark.parametrize(("limits", "excluded"), MEMBERS.values(), ids=MEMBERS)
def test_d24_nobody_is_given_automatically_what_they_do_not_see(
    limits: dict[str, Any], excluded: str
) -> None:
    agent = msgspec.structs.replace(agent_of("amy", "agent", "acme"), limit=5, **limits)
    policy = Policy(settings=Settings(auto_assign=True), members=(member(agent),))
    case = Case(trigger="queued", session="s", channel="line", account="acme-line")
    here = Standing(id=agent.id, online=True, load=0, idle_since=NOW)
    chosen, [looked] = choose(case, policy, [here], NOW)
    assert (chosen, looked.excluded) == ("" if excluded else agent.id, excluded)


# --- API tokens ----------------------------------------------------------------------------------


async def login_of(world: World, name: str) -> str:
    """Return whose login *name* has: people make tokens, not tokens."""
    agent = await world.store.get(AGENTS, world.workspace, f"agt-{name}")
    assert isinstance(agent, Agent)
    key = f"{name}'s login"
    until = datetime.now(UTC) + timedelta(hours=1)
    world.tokens[key] = await world.token(agent, kind="session", expires_at=until)
    return key


async def make(world: World, who: str, **body: Any) -> Answer:
    body = {"name": "CRM", "expires_in_days": 30, **body}
    return await world.call("POST", "/tokens", who, body=body)


async def test_d24_a_token_is_shown_once_scoped_listed_and_revoked(world: World) -> None:
    amy = await login_of(world, "amy")
    made = await make(world, amy, scopes=["sessions:read", "sessions:read"])
    assert made.status == 201, made.body
    token = made.json["token"]
    assert token["scopes"] == ["sessions:read"]
    world.tokens["crm"] = made.json["secret"]
    await world.get("/sessions", "crm")
    await world.get("/me", "crm")
    shut = await world.call("GET", "/contacts", "crm")
    assert (shut.status, shut.json["facts"]) == (403, {"scope": "contacts:read"})
    listed = (await world.get("/tokens", amy))["items"]
    [shown] = [one for one in listed if one["id"] == token["id"]]
    assert shown["last_used_at"] is not None
    assert made.json["secret"].encode() not in msgspec.json.encode(listed)
    stolen = await world.call("DELETE", f"/tokens/{token['id']}", "bob")
    unknown = await world.call("DELETE", "/tokens/nowhere", "bob")
    assert (stolen.status, stolen.body) == (404, unknown.body)
    assert (await world.call("DELETE", f"/tokens/{token['id']}", "adam")).status == 204
    assert (await world.call("GET", "/me", "crm")).status == 401


async def test_d24_admins_see_everybodys_tokens_and_nobody_else_does(world: World) -> None:
    everybody = (await world.get("/tokens", "adam", agent="all"))["items"]
    assert {one["agent"] for one in everybody} >= {"agt-amy", "agt-olga"}
    first = await world.get("/tokens", "adam", agent="all", limit=1)
    rest = await world.get("/tokens", "adam", agent="all", cursor=first["next"])
    assert [*first["items"], *rest["items"]] == everybody
    assert (await world.call("GET", "/tokens", "lena", query=[("agent", "agt-amy")])).status == 404


REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "that never ends": ({"expires_in_days": None}, 422),
    "that lives too long": ({"expires_in_days": 366}, 422),
    "of a scope for nothing": ({"scopes": ["pigeons:read"]}, 422),
    "of a scope in other words": ({"scopes": ["sessions:delete"]}, 422),
    "without a name": ({"name": " "}, 422),
}


@pytest.mark.parametrize(("body", "status"), REFUSED.values(), ids=REFUSED)
async def test_d24_no_token_is_made(world: World, body: dict[str, Any], status: int) -> None:
    assert (await make(world, await login_of(world, "amy"), **body)).status == status


async def test_d24_a_token_makes_no_tokens_and_never_passes_its_agents_role(world: World) -> None:
    by_token = await make(world, "amy")
    assert (by_token.status, by_token.json["code"]) == (409, "not_a_login")
    made = await make(world, await login_of(world, "amy"), scopes=["*:write"])
    world.tokens["all"] = made.json["secret"]
    shut = await world.call("GET", "/invitations", "all")
    assert (shut.status, shut.json["facts"]) == (403, {"needs": "admin"})


async def test_d24_a_token_with_scopes_gives_nobody_a_role(world: World) -> None:
    scopes = ["invitations:write", "agents:write"]
    made = await make(world, await login_of(world, "olga"), scopes=scopes)
    world.tokens["some"] = made.json["secret"]
    invited = {"email": "eve@example.org", "role": "owner"}
    refused = [
        await world.call("POST", "/invitations", "some", body=invited),
        await world.call("PATCH", "/agents/agt-amy", "some", body={"role": "owner"}),
    ]
    assert [(one.status, one.json["code"]) for one in refused] == [(409, "not_a_login")] * 2
    renamed = await world.call("PATCH", "/agents/agt-amy", "some", body={"name": "Amy A."})
    assert renamed.status == 200


async def test_d24_using_a_token_writes_next_to_nothing(world: World) -> None:
    await world.get("/me")
    where = {"kind": "api", "agent": "agt-amy"}
    [before] = await world.store.find(TOKENS, world.workspace, where, Page(order="kind"))
    for _ in range(3):
        await world.get("/me")
    [after] = await world.store.find(TOKENS, world.workspace, where, Page(order="kind"))
    assert after == before


def test_d24_a_scope_is_of_the_first_part_of_a_path() -> None:
    found = {route.name: needed(route) for route in ROUTES}
    assert found["send"] == "sessions:write"
    assert found["session"] == "sessions:read"
    assert found["me"] == ""
    assert opens(("*:read",), "sessions:read")
    assert opens(("sessions:write",), "sessions:read")
    assert not opens(("*:read", "sessions:read"), "sessions:write")


# --- limited leads and teams ---------------------------------------------------------------------


async def scheduled(world: World, session: str) -> str:
    """Return the id of a message that is scheduled in *session*."""
    at = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    body = {"session": session, "at": at, "name": "n", "text": "of the other team"}
    key = {"Idempotency-Key": f"scheduled-{session}"}
    made = await world.call("POST", "/scheduled-messages", "olga", body=body, headers=key)
    assert made.status == 201, made.body
    return str(made.json["id"])


async def test_d24_what_is_scheduled_in_a_session_is_seen_by_who_sees_the_session(
    world: World,
) -> None:
    session = await world.writes("hello", visitor="T")
    id_ = await scheduled(world, session.id)
    path = f"/scheduled-messages/{id_}"
    assert (await world.call("GET", path, "amy")).status == 200
    await world.store.replace(
        SESSIONS, msgspec.structs.replace(await world.session(session.id), team="vip")
    )
    assert (await limit(world, "amy", team_only=True)).status == 200
    assert (await world.get("/scheduled-messages"))["items"] == []
    for method, place in (("GET", path), ("POST", f"{path}/cancel")):
        assert (await world.call(method, place, "amy")).status == 404, place
    [record] = await world.store.find(
        DECISIONS, world.workspace, {"session": session.id}, Page(order="session")
    )
    assert (await world.call("GET", f"/decisions/{record.id}", "adam")).status == 200
    assert (await limit(world, "lena", team_only=True)).status == 200
    assert (await world.call("GET", f"/decisions/{record.id}", "lena")).status == 404
    assert (await world.call("GET", path, "bob")).status == 200


async def test_d24_a_limited_lead_finds_nothing_of_others_in_the_record_or_by_simulation(
    world: World,
) -> None:
    session = await world.writes("hello", visitor="W", channel="web")
    id_ = await scheduled(world, session.id)

    async def read(about: str) -> int:
        return (await world.call("GET", "/audit", "lena", query=[("object", about)])).status

    async def simulated() -> int:
        return (await world.call("POST", "/rules/simulate", "lena", body={"days": 1})).status

    kinds = (f"scheduled:{id_}", "broadcast:brd_1", "job:job_1", "rule:vip")
    assert [await read(one) for one in kinds] == [200] * 4
    assert await simulated() == 200
    assert (await limit(world, "lena", channels=["line"])).status == 200
    assert [await read(one) for one in kinds] == [403, 403, 403, 200]
    assert await simulated() == 403


async def test_d24_a_limited_lead_counts_and_takes_back_ends_of_sessions_in_scope_alone(
    world: World,
) -> None:
    rule = {"idle_s": 3600, "last": ["visitor", "agent"], "lists": ["bot_hosted", "unassigned"]}
    await world.writes("still open", channel="web", visitor="O")
    ended = await world.writes("ended by itself", channel="web", visitor="E")
    now = datetime.now(UTC)
    found = await world.session(ended.id)
    over = msgspec.structs.replace(
        found, list="ended", end_reason=TERMINATED, ended_at=now, updated_at=now, open_key=None
    )
    await world.store.replace(SESSIONS, over)
    assert (await limit(world, "lena", channels=["line"])).status == 200

    async def counted(who: str) -> tuple[int, int]:
        body = {"settings": {"termination": {"rules": [rule]}}}
        seen = await world.call("POST", "/termination/preview", who, body=body)
        undone = await world.call("POST", "/termination/undo", who, body={})
        assert (seen.status, undone.status) == (200, 200), (seen.body, undone.body)
        counts = (undone.json[name] for name in ("restored", "another_open", "too_late", "failed"))
        return seen.json["looked_at"], sum(counts)

    assert await counted("lena") == (0, 0)
    assert await counted("adam") == (1, 1)


# --- the record ----------------------------------------------------------------------------------


async def test_d24_changes_are_found_by_author_action_object_and_time_and_exported(
    world: World,
) -> None:
    start = datetime.now(UTC)
    await limit(world, "amy", priority=3)
    await world.call("PATCH", "/agents/agt-bob", "olga", body={"name": "=1+1"})
    await world.call("PATCH", "/settings", "olga", body={"auto_assign": True})

    async def found(**query: str) -> list[str]:
        items = (await world.get("/audit", "adam", **query))["items"]
        return [f"{one['actor']} {one['action']} {one['object']}" for one in items]

    amy = "agent:agt-adam agent.patch agent:agt-amy"
    bob = "agent:agt-olga agent.patch agent:agt-bob"
    assert await found(action="agent.patch") == [bob, amy]
    assert await found(actor="agent:agt-adam") == [amy]
    assert await found(actor="agent:agt-olga", action="agent.patch") == [bob]
    assert await found(object="agent:agt-bob", actor="agent:agt-adam") == []
    assert await found(since=datetime.now(UTC).isoformat()) == []
    assert amy in await found(since=start.isoformat(), until=datetime.now(UTC).isoformat())
    late = await world.call("GET", "/audit", "adam", query=[("since", "2026-01-01T00:00:00")])
    assert (late.status, late.json["facts"]["field"]) == (422, "since")
    sheet = await world.call("GET", "/audit/export", "adam", query=[("action", "agent.patch")])
    assert sheet.status == 200
    rows = list(csv.DictReader(io.StringIO(sheet.body.decode("utf-8-sig"))))
    assert [row["object"] for row in rows] == ["agent:agt-bob", "agent:agt-amy"]
    assert (await world.call("GET", "/audit/export", "lena")).status == 403
