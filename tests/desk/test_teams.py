"""Teams and calendars over the API: who refers to them, and what other workspaces see of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.documents import POLICIES, PolicyDocument
from libs.common.policies import policy_of
from libs.common.policy import Team
from services.desk.api.openapi import openapi_document
from tests.desk.world import Answer, World

MONDAYS = {"days": [0], "opens": "09:00", "closes": "17:00"}
OFFICE = {"zone": "Europe/Berlin", "spans": [MONDAYS]}
NOT_SAID: dict[str, dict[str, Any]] = {
    "/calendars/office": {"name": "", "holidays": []},
    "/teams/vip": {},
}
"""What an answer shows all the same."""


async def put(world: World, path: str, body: Any, who: str = "lena") -> Answer:
    return await world.call("PUT", path, who, body=body)


async def test_teams_and_calendars_are_made_listed_replaced_and_deleted(world: World) -> None:
    for path, body, more in (
        ("/calendars/office", OFFICE, {"away_text": "Back on Monday."}),
        ("/teams/vip", {"calendar": "office"}, {"name": "Key accounts"}),
    ):
        made = await put(world, path, body)
        assert (made.status, made.json["warnings"]) == (201, [])
        again = await put(world, path, {**body, **more})
        assert again.status == 200
        shown = await world.get(path, "lena")
        whole = {**NOT_SAID[path], "id": path.rpartition("/")[2], **body, **more}
        assert shown == again.json["item"] == whole
        listed = await world.call("GET", path.rpartition("/")[0], "lena")
        assert listed.json == {"items": [shown], "next": None}
        assert listed.headers["ETag"] == again.headers["ETag"]
    stored = await policy_of(world.store, world.workspace)
    assert [team.name for team in stored.teams] == ["Key accounts"]
    for path in ("/teams/vip", "/calendars/office"):
        assert (await world.call("DELETE", path, "lena")).status == 204
        assert (await world.call("GET", path, "lena")).status == 404
    told = [entry.action for entry in await world.audited()]
    assert told == ["calendar.put"] * 2 + ["team.put"] * 2 + ["team.delete", "calendar.delete"]


WITH_DEFAULTS: dict[str, tuple[str, Any, Any]] = {
    "a team of which nothing is said": (
        "/teams/vip", {}, {"id": "vip", "name": "", "calendar": ""},
    ),
    "a calendar with a holiday": (
        "/calendars/c", {"spans": [MONDAYS], "holidays": [{"date": "2026-12-25"}]},
        {
            "id": "c", "name": "", "zone": "UTC", "spans": [MONDAYS], "away_text": "",
            "holidays": [{"date": "2026-12-25", "name": "", "spans": []}],
        },
    ),
    "a rule with its conditions and actions": (
        "/rules/a",
        {"conditions": [{"if": "hours"}], "actions": [{"do": "notify", "agents": ["agt-amy"]}]},
        {
            "id": "a", "name": "", "on": "opened", "enabled": True, "stop": True,
            "conditions": [{"if": "hours", "negate": False, "calendar": "", "open": True}],
            "actions": [{"do": "notify", "agents": ["agt-amy"], "team": ""}],
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "whole"), WITH_DEFAULTS.values(), ids=WITH_DEFAULTS.keys()
)
async def test_answers_show_every_field_whatever_the_request_left_out(
    world: World, path: str, body: Any, whole: Any
) -> None:
    assert (await put(world, path, body)).json["item"] == whole
    assert await world.get(path, "lena") == whole
    assert (await world.get(path.rpartition("/")[0], "lena"))["items"] == [whole]
    kind = path.split("/")[1].capitalize()[:-1]
    assert sorted(openapi_document()["components"]["schemas"][kind]["required"]) == sorted(whole)


USES: dict[str, tuple[str, str, str, Any, str]] = {
    "a rule assigns to it": (
        "/teams/vip", "PUT", "/rules/a", {"actions": [{"do": "team", "team": "vip"}]},
        "rules.a.actions.0.team",
    ),
    "a rule falls back to it": (
        "/teams/vip", "PUT", "/rules/a",
        {"actions": [{"do": "agent", "agent": "agt-amy", "else_team": "vip"}]},
        "rules.a.actions.0.else_team",
    ),
    "a rule alerts it": (
        "/teams/vip", "PUT", "/rules/a", {"actions": [{"do": "notify", "team": "vip"}]},
        "rules.a.actions.0.team",
    ),
    "an agent is in it": (
        "/teams/vip", "PATCH", "/agents/agt-amy", {"teams": ["vip"]}, "members.agt-amy.teams.0",
    ),
    "a team has its hours": (
        "/calendars/office", "PUT", "/teams/vip", {"calendar": "office"}, "teams.vip.calendar",
    ),
    "a rule asks for its hours": (
        "/calendars/office", "PUT", "/rules/a",
        {"conditions": [{"if": "hours", "calendar": "office"}],
         "actions": [{"do": "tag", "tag": "x"}]},
        "rules.a.conditions.0.calendar",
    ),
    "the workspace has its hours": (
        "/calendars/office", "PATCH", "/settings", {"calendar": "office"}, "settings.calendar",
    ),
}  # fmt: skip


async def test_leads_read_the_record_of_what_they_keep_and_of_nothing_else(world: World) -> None:
    await put(world, "/teams/vip", {})
    page = await world.get("/audit", "lena", object="team:vip")
    assert [entry["action"] for entry in page["items"]] == ["team.put"]
    for other, status in (
        ("/audit", 422),
        ("/audit?object=agent:agt-amy", 403),
        ("/audit?object=workspace:acme", 403),
    ):
        assert (await world.call("GET", other, "lena")).status == status
        assert (await world.call("GET", other, "adam")).status == 200


async def test_what_something_refers_to_cannot_be_deleted(world: World) -> None:
    found = {}
    for name, (part, method, path, body, _) in USES.items():
        await put(world, "/calendars/office", OFFICE)
        await put(world, "/teams/vip", {})
        used = await world.call(method, path, "olga", body=body)
        assert used.status < 300, (name, used.body)
        refused = await world.call("DELETE", part, "lena")
        found[name] = (refused.status, refused.json["code"], refused.json["facts"]["used_by"])
        assert (await world.call("GET", part, "lena")).status == 200
        undo: dict[str, Any] = {"/agents/agt-amy": {"teams": []}, "/settings": {"calendar": ""}}
        if path in undo:
            await world.call("PATCH", path, "olga", body=undo[path])
        else:
            await world.call("DELETE", path, "olga")
        assert (await world.call("DELETE", part, "lena")).status == 204
    assert found == {name: (409, "in_use", place) for name, (*_, place) in USES.items()}


WRONG: dict[str, tuple[str, Any, str]] = {
    "hours that are nowhere": ("/teams/a", {"calendar": "x"}, "calendar"),
    "a field that no team has": ("/teams/a", {"members": []}, "members"),
    "a team with U+0000": ("/teams/a", {"name": "\0"}, "name"),
    "a name without an end": ("/teams/a", {"name": "x" * 201}, "name"),
    "an id in capitals": ("/teams/VIP", {}, "id"),
    "an id that begins with a hyphen": ("/teams/-a", {}, "id"),
    "a zone on the moon": ("/calendars/a", {**OFFICE, "zone": "Moon/Sea"}, "zone"),
    "a zone that is a path": ("/calendars/a", {**OFFICE, "zone": "../../etc/passwd"}, "zone"),
    "no hours at all": ("/calendars/a", {}, "spans"),
    "an eighth day": ("/calendars/a", {"spans": [{**MONDAYS, "days": [7]}]}, "spans.0.days.0"),
    "no day": ("/calendars/a", {"spans": [MONDAYS, {**MONDAYS, "days": []}]}, "spans.1.days"),
    "a 25th hour": ("/calendars/a", {"spans": [{**MONDAYS, "opens": "25:00"}]}, "spans.0.opens"),
    "a span without length": (
        "/calendars/a", {"spans": [{**MONDAYS, "closes": "09:00"}]}, "spans.0.closes",
    ),
    "a field that no span has": (
        "/calendars/a", {"spans": [{**MONDAYS, "closed": True}]}, "spans.0.closed",
    ),
    "a holiday that is no day": (
        "/calendars/a", {**OFFICE, "holidays": [{"date": "2026-02-30"}]}, "holidays.0.date",
    ),
    "a holiday that is no date": (
        "/calendars/a", {**OFFICE, "holidays": [{"date": "x"}]}, "holidays.0.date",
    ),
    "more spans than anybody needs": ("/calendars/a", {"spans": [MONDAYS] * 51}, "spans"),
    "more holidays than days": (
        "/calendars/a", {**OFFICE, "holidays": [{"date": "2026-12-25"}] * 401}, "holidays",
    ),
}  # fmt: skip


async def test_wrong_teams_and_calendars_are_refused_by_place(world: World) -> None:
    found = {}
    for name, (path, body, _) in WRONG.items():
        answer = await put(world, path, body)
        facts = answer.json.get("facts", {})
        found[name] = (answer.status, facts.get("field"), bool(facts.get("allowed")))
    assert found == {name: (422, field, True) for name, (_, _, field) in WRONG.items()}
    assert await world.store.get(POLICIES, world.workspace, world.workspace) is None


async def test_there_are_at_most_200_teams(world: World) -> None:
    full = PolicyDocument(
        id=world.workspace,
        workspace=world.workspace,
        teams=tuple(Team(id=f"t{n}") for n in range(200)),
    )
    await world.store.insert(POLICIES, full)
    refused = await put(world, "/teams/more", {})
    assert (refused.status, refused.json["facts"]["allowed"]) == (422, "at most 200 teams")
    assert (await put(world, "/teams/t7", {"name": "Seven"})).status == 200


async def test_a_policy_too_large_to_publish_is_refused_before_it_is_stored(world: World) -> None:
    away = {**OFFICE, "away_text": "é" * 4_000}
    made = (await put(world, "/calendars/c0", away)).json["item"]
    stored = await world.store.get(POLICIES, world.workspace, world.workspace)
    assert stored is not None
    [one] = stored.calendars
    many = tuple(msgspec.structs.replace(one, id=f"c{n}") for n in range(110))
    await world.store.replace(POLICIES, msgspec.structs.replace(stored, calendars=many))
    refused = await put(world, "/calendars/last", made | {"id": "last"})
    assert (refused.status, refused.json["facts"]["field"]) == (422, "body")
    assert "calendars take" in refused.json["detail"]
    assert (await world.call("GET", "/calendars/last", "lena")).status == 404


async def test_i12_a_team_of_another_workspace_is_as_unknown_as_one_that_is_nowhere(
    world: World,
) -> None:
    assert (await put(world, "/teams/vip", {"name": "Theirs"}, "zoe")).status == 201
    for method, path, body in (
        ("GET", "/teams/{}", None),
        ("DELETE", "/teams/{}", None),
        ("PUT", "/rules/a", {"actions": [{"do": "team", "team": "{}"}]}),
        ("PATCH", "/agents/agt-amy", {"teams": ["{}"]}),
    ):
        seen = set()
        for team in ("vip", "pip"):
            text = msgspec.json.encode(body).decode().replace("{}", team) if body else ""
            answer = await world.call(
                method, path.replace("{}", team), "olga", raw=text.encode() or None
            )
            seen.add((answer.status, answer.body.replace(team.encode(), b"?")))
        assert len(seen) == 1, (method, path)
        assert next(iter(seen))[0] in {404, 422}
    assert (await put(world, "/teams/vip", {"name": "Ours"})).status == 201
    assert (await world.get("/teams/vip", "zoe"))["name"] == "Theirs"
    assert [e.action for e in await world.audited(world.other)] == ["team.put"]
