"""Accounts, agents and contacts: B20, and what is never shown."""

from __future__ import annotations

import msgspec

from libs.common.documents import ACCOUNTS
from tests.desk.world import CONNECTED, PEOPLE, SECRET, World, password_hash


async def test_b20_every_connected_account_is_listed_with_its_address_and_no_secret(
    world: World,
) -> None:
    answer = await world.call("GET", "/channels", "rita")
    found = {account["channel"]: account for account in answer.json["items"]}
    assert sorted(found) == sorted(CONNECTED)
    assert found["messenger"]["webhook_path"] == "/webhooks/meta/shared-app"
    assert found["line"]["webhook_path"] == f"/webhooks/line/{world.slug('line')}"
    assert found["web"]["external_id"] == f"ext-{world.slug('web')}"
    sealed = await world.store.get(ACCOUNTS, world.workspace, world.slug("line"))
    assert sealed is not None
    assert sealed.sealed["secret"].encode() not in answer.body
    assert (await world.call("GET", "/accounts", "rita")).body == answer.body


async def test_a_disconnected_account_is_shown_as_such(world: World) -> None:
    stored = await world.store.get(ACCOUNTS, world.workspace, world.slug("line"))
    assert stored is not None
    await world.store.replace(ACCOUNTS, msgspec.structs.replace(stored, enabled=False))
    found = {a["slug"]: a["enabled"] for a in (await world.get("/accounts"))["items"]}
    assert found[world.slug("line")] is False
    assert list(found.values()).count(True) == 5


async def test_agents_are_listed_to_choose_assignees_from(world: World) -> None:
    found = (await world.get("/agents", "rita"))["items"]
    assert {agent["name"]: agent["role"] for agent in found} == {
        name.title(): role for name, role in PEOPLE.items()
    }


async def test_a_contact_shows_identities_and_sessions(world: World) -> None:
    session = await world.writes("hello")
    found = await world.get(f"/contacts/{session.contact}", "rita")
    assert found["name"] == "Visitor U1"
    [identity] = found["identities"]
    assert (identity["account"], identity["visitor"]) == (world.slug("line"), "U1")
    assert [s["id"] for s in found["sessions"]] == [session.id]


async def test_i13_no_answer_holds_a_password_hash_a_sealed_secret_or_a_token(world: World) -> None:
    session = await world.writes("hello")
    await world.call("PATCH", "/settings", "olga", body={"auto_hosting": False})
    bodies = b""
    for path in (
        "/me",
        "/accounts",
        "/agents",
        "/settings",
        "/audit",
        "/sessions",
        f"/sessions/{session.id}",
        f"/contacts/{session.contact}",
        "/trace/e-U1-hello",
    ):
        bodies += (await world.call("GET", path, "olga")).body
    sealed = await world.store.get(ACCOUNTS, world.workspace, world.slug("line"))
    assert sealed is not None
    secrets = [SECRET, sealed.sealed["secret"], password_hash(), "password", "secret_hash", "rdk_"]
    assert [text for text in secrets if text.encode() in bodies] == []
