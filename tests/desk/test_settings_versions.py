"""The versions of the switches: each change with author, time, before, after (A20 to A22)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.documents import AUDIT, AuditEntry, Settings, Workspace
from libs.common.ids import derive_id
from tests.desk.world import Answer, World

VERSIONED: dict[str, tuple[str, Any, Any]] = {
    "test_a20 the way to visitors who left": (
        "offline_visitors",
        {"method": "plugin", "after_s": 60, "quiet_s": 60},
        {"method": "email", "after_s": 60, "quiet_s": 60},
    ),
    "test_a21 the confirmation of an end": ("end_session_confirm", True, False),
    "test_a22 our name": (
        "remove_branding",
        {"widget": True, "email": False},
        {"widget": False, "email": False},
    ),
}


async def patch(world: World, body: Any, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.call("PATCH", "/settings", "adam", body=body, headers=named)


async def restore(world: World, body: Any, who: str = "adam", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.call("POST", "/settings/restore", who, body=body, headers=named)


async def history(world: World, query: str = "") -> list[Any]:
    found = await world.get(f"/settings/history{query}", "adam")
    items: list[Any] = found["items"]
    return items


async def versioned(world: World, name: str, value: Any, default: Any) -> None:
    """Show that one switch has versions, and goes back to any without the others."""
    assert (await patch(world, {name: value})).status == 200
    assert (await patch(world, {"show_read": False})).status == 200
    [version] = await history(world, f"?switch={name}")
    assert (version["actor"], version["action"]) == ("agent:agt-adam", "settings.patch")
    assert version["changes"] == [{"switch": name, "before": default, "after": value}]
    assert [one["changes"][0]["switch"] for one in await history(world)] == ["show_read", name]
    back = {"version": version["id"], "moment": "before", "switches": [name]}
    answer = await restore(world, back)
    assert (answer.status, answer.json[name]) == (200, default)
    assert answer.json["show_read"] is False
    forth = await restore(world, {"version": version["id"], "switches": [name]})
    assert (forth.json[name], forth.json["show_read"]) == (value, False)
    actions = [one["action"] for one in await history(world, f"?switch={name}")]
    assert actions == ["settings.restore", "settings.restore", "settings.patch"]


async def test_a20_the_way_to_visitors_who_left_is_versioned(world: World) -> None:
    await versioned(world, *VERSIONED["test_a20 the way to visitors who left"])


async def test_a21_the_confirmation_of_an_end_is_versioned(world: World) -> None:
    await versioned(world, *VERSIONED["test_a21 the confirmation of an end"])


async def test_a22_where_our_name_is_not_shown_is_versioned(world: World) -> None:
    await versioned(world, *VERSIONED["test_a22 our name"])


async def test_the_whole_of_a_version_comes_back_and_only_if_nobody_was_faster(
    world: World,
) -> None:
    first = await patch(world, {"end_session_confirm": True, "zone": "Asia/Bangkok"})
    [version] = await history(world)
    await patch(world, {"end_session_confirm": False, "bot_messages": 3})
    late = await restore(world, {"version": version["id"]}, If_Match=first.headers["ETag"])
    assert (late.status, late.json["code"]) == (412, "changed_meanwhile")
    answer = await restore(world, {"version": version["id"]})
    assert answer.json == first.json
    assert await world.get("/settings") == first.json


async def test_what_a_file_set_is_a_version_too(world: World) -> None:
    before = Workspace(id=world.workspace, workspace=world.workspace, name="A")
    after = msgspec.structs.replace(before, settings=Settings(end_session_confirm=True))
    entry = AuditEntry(
        id=derive_id("aud", "x"),
        workspace=world.workspace,
        at=world.desk.now(),
        actor="system:config",
        action="config.apply",
        object=f"workspace:{world.workspace}",
        before=msgspec.json.encode(before).decode(),
        after=msgspec.json.encode(after).decode(),
    )
    await world.store.insert(AUDIT, entry)
    [version] = await history(world)
    assert version["changes"] == [{"switch": "end_session_confirm", "before": False, "after": True}]
    answer = await restore(world, {"version": entry.id})
    assert answer.json["end_session_confirm"] is True


async def test_pages_of_the_history_follow_each_other(world: World) -> None:
    for number in range(1, 6):
        await patch(world, {"bot_messages": number})
    seen, query = [], "?limit=2"
    while True:
        page = await world.get(f"/settings/history{query}", "adam")
        seen += [one["changes"][0]["after"] for one in page["items"]]
        if page["next"] is None:
            break
        query = f"?limit=2&cursor={page['next']}"
    assert seen == [5, 4, 3, 2, 1]


REFUSED: dict[str, tuple[Any, int, str]] = {
    "no such version": ({"version": "aud_nowhere"}, 404, "not_found"),
    "no such switch": ({"version": "VERSION", "switches": ["colour"]}, 422, "invalid"),
    "no such moment": ({"version": "VERSION", "moment": "then"}, 422, "invalid"),
    "an unknown field": ({"version": "VERSION", "when": 1}, 422, "invalid"),
    "hours that are gone": ({"version": "GONE"}, 422, "invalid"),
}


@pytest.mark.parametrize(("body", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_wrong_restoration_says_why(
    world: World, body: dict[str, Any], status: int, code: str
) -> None:
    await patch(world, {"bot_messages": 7})
    [version] = await history(world)
    gone = AuditEntry(
        id="aud_gone",
        workspace=world.workspace,
        at=world.desk.now(),
        actor="agent:x",
        action="settings.patch",
        object=f"workspace:{world.workspace}",
        before=msgspec.json.encode(Settings()).decode(),
        after=msgspec.json.encode(Settings(calendar="gone")).decode(),
    )
    await world.store.insert(AUDIT, gone)
    named = {"VERSION": version["id"], "GONE": gone.id}
    answer = await restore(world, {**body, "version": named.get(body["version"], body["version"])})
    assert answer.status == status, answer.body
    assert answer.json["code"].startswith(code)
    assert (await world.get("/settings"))["bot_messages"] == 7


async def test_i12_the_versions_of_another_workspace_are_not_there(world: World) -> None:
    await patch(world, {"bot_messages": 7})
    [version] = await history(world)
    assert (await world.get("/settings/history", "zoe"))["items"] == []
    answer = await restore(world, {"version": version["id"]}, "zoe")
    assert answer.status == 404
