"""A workspace file as the API sees it (D13): all of an apply, or nothing, whoever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.applied import CONFIGS, standing
from libs.common.documents import POLICIES, TAGS, WORKSPACES
from libs.common.policies import publish_policy
from libs.common.policy import Policy
from libs.common.subjects import POLICY_KV
from libs.common.workspace import WorkspaceWriter
from libs.common.workspace_file import read_workspace_file
from services.desk import settled as settled_module
from services.desk.api.route import Call, Principal, Reply
from services.desk.api.table import ROUTES
from services.desk.app import mending
from services.desk.metrics import APPLIED_AGE, DRIFT
from services.desk.settled import measure_drift, settled
from tests.desk.world import World, open_world
from tests.dying import DyingStore, KilledError


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """A desk of each test's own: some change what belongs to no workspace."""
    async with open_world(nats_url, ready_url) as made:
        yield made


FILE = """
workspace: {workspace}
settings: {{end_session_confirm: true}}
teams: [{{id: sales}}]
tags: [{{name: VIP}}]
folders: [{{id: hello, name: Greetings}}]
standard_messages: [{{id: hi, title: Hi, folder: hello, text: Hello}}]
"""


def writer(world: World, store: Any) -> WorkspaceWriter:
    return WorkspaceWriter(store, world.desk.sealer, actor="test", now=world.desk.now())


def file_of(world: World, text: str = FILE) -> Any:
    return read_workspace_file(text.format(workspace=world.workspace).encode())


async def broken_off(world: World, lives: int = 4) -> None:
    """Leave an apply whose process died behind: its journal stands, most of it is not done."""
    dying: Any = DyingStore(world.store, lives)
    try:
        await writer(world, dying).apply(file_of(world))
    except KilledError:
        assert await standing(world.store, world.workspace) is None
        return
    raise AssertionError("it was not killed")


async def test_d13_whoever_asks_sees_all_of_an_apply_whose_process_was_killed(
    world: World,
) -> None:
    await broken_off(world)
    assert await world.store.get(POLICIES, world.workspace, world.workspace) is None  # half of it
    assert [one["id"] for one in (await world.get("/teams", "lena"))["items"]] == ["sales"]
    assert (await world.get("/settings"))["end_session_confirm"] is True
    assert [one["name"] for one in (await world.get("/tags"))["items"]] == ["VIP"]
    entry = await world.bus.kv_get(POLICY_KV, world.workspace)
    assert entry is not None
    assert entry.value is not None
    policy = msgspec.json.decode(entry.value, type=Policy)
    assert (policy.settings.end_session_confirm, len(policy.teams)) == (True, 1)


async def test_d13_nobody_waits_for_long_for_an_apply_and_it_is_finished_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await broken_off(world)
    monkeypatch.setattr(settled_module, "PATIENCE_S", 0.0)
    answers = await asyncio.gather(*(world.call("GET", "/tags", "amy") for _ in range(3)))
    assert {answer.status for answer in answers} == {503}
    assert answers[0].headers["Retry-After"] == "2"
    assert (await world.call("GET", "/sessions", "amy")).status == 200
    await asyncio.wait_for(world.desk.finishing[world.workspace], 20)
    assert [one["name"] for one in (await world.get("/tags"))["items"]] == ["VIP"]


async def test_d13_an_edit_comes_behind_an_apply_whose_process_was_killed(world: World) -> None:
    await broken_off(world)
    answer = await world.call("PATCH", "/settings", "adam", body={"end_session_confirm": False})
    assert answer.status == 200
    [first, second] = [
        one for one in await world.audited() if one.object == f"workspace:{world.workspace}"
    ]
    assert {first.action, second.action} == {"config.apply", "settings.patch"}
    assert (await world.get("/settings"))["end_session_confirm"] is False
    assert len((await world.get("/teams", "lena"))["items"]) == 1


async def test_d13_nothing_is_published_while_an_apply_is_half_done_and_desk_finishes_it(
    world: World,
) -> None:
    await publish_policy(world.store, world.bus, world.workspace)
    await broken_off(world)
    assert not await publish_policy(world.store, world.bus, world.workspace)
    done = asyncio.Event()
    async with mending(world.store, world.bus, every_s=60, done=done):
        await asyncio.wait_for(done.wait(), 20)
    assert await standing(world.store, world.workspace)
    entry = await world.bus.kv_get(POLICY_KV, world.workspace)
    assert entry is not None
    assert entry.value is not None
    assert msgspec.json.decode(entry.value, type=Policy).settings.end_session_confirm


async def test_d13_what_was_read_while_an_apply_came_in_between_is_read_again(
    world: World,
) -> None:
    looks: list[tuple[bool, int]] = []

    async def handler(_call: Call) -> Reply:
        workspace = await world.store.get(WORKSPACES, world.workspace, world.workspace)
        assert workspace is not None
        if not looks:
            await writer(world, world.store).apply(file_of(world))
        tags = await world.store.count(TAGS, world.workspace, {})
        looks.append((workspace.settings.end_session_confirm, tags))
        return Reply()

    [route] = [one for one in ROUTES if one.name == "settings"]
    call = Call(
        desk=world.desk,
        principal=Principal(
            workspace=world.workspace,
            agent="agt-adam",
            name="Adam",
            role="admin",
            by="bearer",
            token_id="t",
            kind="api",
        ),
        params={},
        headers={},
        remote="",
    )
    await settled(msgspec.structs.replace(route, handler=handler), call)
    assert looks == [(False, 1), (True, 1)]


async def test_d13_drift_is_a_gauge(world: World) -> None:
    now = world.desk.now()
    await measure_drift(world.store, now)
    assert DRIFT._value.get() == 0
    await writer(world, world.store).apply(file_of(world))
    await measure_drift(world.store, now)
    assert DRIFT._value.get() == 0
    await world.call("PATCH", "/settings", "adam", body={"end_session_confirm": False})
    assert (await world.call("DELETE", "/teams/sales", "lena")).status == 204
    record = await world.store.get(CONFIGS, world.workspace, world.workspace)
    assert record is not None
    assert record.applied_at is not None
    await measure_drift(world.store, record.applied_at + timedelta(seconds=90))
    assert DRIFT._value.get() == 3  # the switch, the team, and the list of teams
    assert APPLIED_AGE._value.get() == 90
