"""The service as a process, its readiness, and the directory it keeps mended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest
from prometheus_client import REGISTRY

from libs.common.documents import ACCOUNTS, WORKSPACES, Settings
from libs.common.seal import new_key_setting
from libs.common.subjects import ACCOUNTS_KV, POLICY_KV
from services.desk.app import mending
from tests.desk.world import PASSWORD, World, open_world
from tests.nats_server import NatsProcess


@asynccontextmanager
async def desk_process(
    folder: Path, nats_url: str, store_url: str, **more: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Path]]:
    ports = folder / "ports.json"
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")} | {
        "RELAYDESK_NATS_URL": nats_url,
        "RELAYDESK_STORE_URL": store_url,
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_PORT": "0",
        "RELAYDESK_ADMIN_PORT": "0",
        "RELAYDESK_PORT_FILE": str(ports),
        **more,
    }
    with (folder / "desk.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.desk", env=environ, stdout=log, stderr=log
        )
    try:
        yield process, ports
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def when(condition: object, within_s: float = 60.0) -> None:
    """Wait until *condition()*, sync or not, holds."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = condition()  # type: ignore[operator]  # a function by contract
        if await found if asyncio.iscoroutine(found) else found:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to be")


async def test_the_process_serves_is_ready_and_ends_with_zero(
    tmp_path: Path, nats_process: NatsProcess, sqlite_url: str
) -> None:
    async with (
        open_world(nats_process.url, sqlite_url) as world,
        desk_process(tmp_path, nats_process.url, sqlite_url) as (process, ports),
        aiohttp.ClientSession() as http,
    ):
        await when(ports.exists)
        bound = msgspec.json.decode(ports.read_bytes(), type=dict[str, int])
        admin = f"http://127.0.0.1:{bound['admin']}"

        async def ready() -> bool:
            async with http.get(f"{admin}/readyz") as answer:
                return answer.status == 200

        await when(ready)
        url = f"http://127.0.0.1:{bound['port']}/api/v1"
        body = {"email": world.email("amy"), "password": PASSWORD}
        login = await world.call("POST", f"{url}/login", body=body)
        assert login.status == 200
        session = await world.writes("hello")
        found = await world.call("GET", f"{url}/sessions/{session.id}", "amy")
        assert found.json["id"] == session.id
        async with http.get(f"{admin}/metrics") as answer:
            text = await answer.text()
        assert 'relaydesk_desk_logins_total{outcome="ok"} 1.0' in text
        nats_process.stop()

        async def unready() -> bool:
            return not await ready()

        await when(unready)
        nats_process.start()
        await when(ready)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0
    log = (tmp_path / "desk.log").read_text()
    lines = [msgspec.json.decode(line) for line in log.splitlines()]
    assert {line["service"] for line in lines} == {"desk"}
    assert PASSWORD not in log
    assert login.json["token"] not in log


async def test_i17_requests_that_were_begun_are_answered_before_it_ends(
    tmp_path: Path, nats_process: NatsProcess, sqlite_url: str
) -> None:
    async with (
        open_world(nats_process.url, sqlite_url) as world,
        desk_process(tmp_path, nats_process.url, sqlite_url) as (process, ports),
    ):
        await when(ports.exists)
        port = msgspec.json.decode(ports.read_bytes(), type=dict[str, int])["port"]
        url = f"http://127.0.0.1:{port}/api/v1/login"
        body = {"email": world.email("amy"), "password": PASSWORD}  # each takes three hashes
        begun = [asyncio.create_task(world.call("POST", url, body=body)) for _ in range(6)]
        await asyncio.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        assert [(await task).status for task in begun] == [200] * 6
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_without_nats_it_lives_is_not_ready_and_can_be_ended(
    tmp_path: Path, sqlite_url: str
) -> None:
    log = tmp_path / "desk.log"
    async with desk_process(tmp_path, "nats://127.0.0.1:9", sqlite_url) as (process, ports):
        await when(lambda: "bus.connection_error" in log.read_text())
        assert process.returncode is None
        assert not ports.exists()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_the_directory_is_brought_to_what_the_store_says_and_kept_there(
    nats_process: NatsProcess, sqlite_url: str
) -> None:
    async with open_world(nats_process.url, sqlite_url) as world:
        lost, wrong = world.slug("line"), world.slug("web")
        await world.bus.kv_put(ACCOUNTS_KV, wrong, b"{}")
        await world.bus.kv_put(ACCOUNTS_KV, "gone", b"{}")
        done = asyncio.Event()
        async with mending(world.store, world.bus, every_s=0.1, done=done):
            async with asyncio.timeout(10):
                await done.wait()
            assert await world.bus.kv_get(ACCOUNTS_KV, lost) is not None

            async def mended() -> bool:
                return len(await world.bus.kv_keys(ACCOUNTS_KV)) == 7

            await when(mended)
            found = await world.bus.kv_get(ACCOUNTS_KV, lost)
            assert found is not None
            assert found.value is not None
            assert msgspec.json.decode(found.value)["workspace"] == world.workspace
            # a crash between the store's write and the bucket's
            stored = await world.store.get(WORKSPACES, world.workspace, world.workspace)
            assert stored is not None
            switched = msgspec.structs.replace(stored, settings=Settings(auto_hosting=False))
            await world.store.replace(WORKSPACES, switched)

            async def healed() -> bool:
                entry = await world.bus.kv_get(POLICY_KV, world.workspace)
                return entry is not None and b'"auto_hosting":false' in (entry.value or b"")

            await when(healed)
            await world.store.delete(ACCOUNTS, world.workspace, lost)

            async def taken_out() -> bool:
                return await world.bus.kv_get(ACCOUNTS_KV, lost) is None

            await when(taken_out)
            await world.connect(world.workspace, "line")  # connected again after its removal

            async def back() -> bool:
                return await world.bus.kv_get(ACCOUNTS_KV, lost) is not None

            await when(back)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"relaydesk_desk_{name}", labels) or 0.0


async def test_what_is_counted_carries_names_of_the_table_and_never_of_the_caller(
    world: World,
) -> None:
    def counts() -> tuple[float, ...]:
        return (
            sample("requests_total", route="session", method="GET", status="4xx"),
            sample("requests_total", route="unmatched", method="other", status="4xx"),
            sample("request_seconds_count", route="session"),
            sample("logins_total", outcome="wrong"),
            sample("commands_total", verb="claim", outcome="done"),
            sample("commands_total", verb="claim", outcome="refused"),
        )

    before = counts()
    session = await world.writes("hello")
    await world.call("GET", "/sessions/hostile-name", "amy")
    await world.call("PROPFIND", "/hostile-name", "amy")
    await world.call("POST", "/login", body={"email": "hostile-name", "password": "x"})
    await world.do("claim", session.id)
    await world.do("claim", session.id, "bob")
    after = counts()
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 1, 1, 1, 1, 1]
    names = [str(s.labels) for metric in REGISTRY.collect() for s in metric.samples]
    assert not [name for name in names if "hostile-name" in name]


@pytest.mark.parametrize("name", ["RELAYDESK_SECRET_KEY", "RELAYDESK_PROT"])
async def test_h2_a_wrong_setting_ends_it_with_the_variables_name(
    tmp_path: Path, name: str
) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")} | {
        "RELAYDESK_NATS_URL": "nats://127.0.0.1:9",
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'x.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        name: "no-key-at-all",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.desk",
        env=environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 15)
    assert process.returncode == 2
    assert name.encode() in output
    assert b"no-key-at-all" not in output
