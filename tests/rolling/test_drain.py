"""What a replica says and does between SIGTERM and its end, as a process."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from libs.common.cli.admin import migrate
from libs.common.lifecycle import SAME_S
from libs.common.seal import new_key_setting
from tests.nats_server import NatsProcess
from tests.rolling.fleet import SERVICES, Replica

DRAIN_S = 2.0
PATHS = {"ingest": "/webhooks/line/nobody", "desk": "/api/v1/me"}


class Draining:
    """A replica of each service, each with two seconds to drain."""

    def __init__(self, replicas: dict[str, Replica], http: aiohttp.ClientSession) -> None:
        self.replicas = replicas
        self.http = http

    async def ready(self, one: Replica) -> int:
        url = f"http://127.0.0.1:{one.admin_port}/readyz"
        async with self.http.get(url) as answer:
            return answer.status


@pytest_asyncio.fixture
async def draining(tmp_path: Path, nats_process: NatsProcess) -> AsyncIterator[Draining]:
    settings = {
        "RELAYDESK_NATS_URL": nats_process.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'relaydesk.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
    }
    await migrate(settings)
    async with running(tmp_path, settings) as found:
        yield found


@asynccontextmanager
async def running(folder: Path, settings: dict[str, str]) -> AsyncIterator[Draining]:
    replicas = {
        service: Replica(service, 0, folder, settings, drain_s=DRAIN_S) for service in SERVICES
    }
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        try:
            for one in replicas.values():
                await one.start()
            await asyncio.gather(*(one.ready(http) for one in replicas.values()))
            yield Draining(replicas, http)
        finally:
            for one in replicas.values():
                one.kill()


async def test_i17_a_public_service_serves_on_while_it_says_that_it_is_not_ready(
    draining: Draining,
) -> None:
    for service, path in PATHS.items():
        one = draining.replicas[service]
        url = f"http://127.0.0.1:{one.port}{path}"
        async with draining.http.get(url) as before:
            assert before.headers.get("Connection", "") != "close"
        assert one.process is not None
        began = time.monotonic()
        one.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        assert await draining.ready(one) == 503
        async with aiohttp.ClientSession() as newcomer, newcomer.get(url) as answer:
            assert answer.status == before.status, "new connections are served as before"
            assert answer.headers["Connection"] == "close"
        async with draining.http.get(url) as answer:
            assert answer.headers["Connection"] == "close"
        assert await asyncio.wait_for(one.process.wait(), 10) == 0
        assert DRAIN_S <= time.monotonic() - began <= 10.0
        with pytest.raises(aiohttp.ClientConnectionError):
            await draining.http.get(url)


async def test_i17_a_service_without_a_public_port_does_not_wait(draining: Draining) -> None:
    for service in ("router", "notifier", "scheduler"):
        assert await draining.replicas[service].stop() < DRAIN_S


async def test_i17_whoever_asks_twice_does_not_wait(draining: Draining) -> None:
    for service in PATHS:
        process = draining.replicas[service].process
        assert process is not None
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await asyncio.sleep(SAME_S + 0.2)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 128 + signal.SIGTERM
        assert time.monotonic() - began < DRAIN_S


async def test_i17_a_signal_to_the_group_and_by_the_parent_is_one(draining: Draining) -> None:
    one = draining.replicas["ingest"]
    assert one.process is not None
    one.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    one.process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(one.process.wait(), 10) == 0


@pytest.mark.parametrize("drain_s", [0.0, 8.0])
async def test_i17_a_client_that_never_ends_its_request_keeps_nobody(
    drain_s: float, tmp_path: Path, nats_process: NatsProcess
) -> None:
    settings = {
        "RELAYDESK_NATS_URL": nats_process.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'relaydesk.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
    }
    await migrate(settings)
    replicas = [Replica(name, 0, tmp_path, settings, drain_s=drain_s) for name in PATHS]
    async with aiohttp.ClientSession() as http:
        try:
            for one in replicas:
                await one.start()
            await asyncio.gather(*(one.ready(http) for one in replicas))
            writers = [await _half_a_request(one) for one in replicas]
            await asyncio.gather(*(one.stop() for one in replicas))
            for writer in writers:
                writer.close()
        finally:
            for one in replicas:
                one.kill()


async def _half_a_request(one: Replica) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", one.port)
    path = {"ingest": "/webhooks/line/nobody", "desk": "/api/v1/login"}[one.service]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    return writer
