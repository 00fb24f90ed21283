"""The scheduler as a process: it lives without NATS, says what is missing, and ends when told."""

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

from libs.common.seal import new_key_setting
from tests.e2e.stack import until

NOWHERE = "nats://127.0.0.1:9"


@asynccontextmanager
async def scheduler(folder: Path, nats_url: str) -> AsyncIterator[tuple[int, int]]:
    """Run the service; yields its process id and admin port."""
    port_file = folder / "ports.json"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    environ = {
        "RELAYDESK_NATS_URL": nats_url,
        "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'store.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_PORT_FILE": str(port_file),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.scheduler", env={**clean, **environ}
    )
    try:

        async def listening() -> bool:
            return port_file.exists()

        await until(listening, "the bound ports")
        yield process.pid, msgspec.json.decode(port_file.read_bytes())["admin"]
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
        assert time.monotonic() - began < 10.0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(port: int) -> tuple[int, dict[str, bool]]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/readyz") as answer,
    ):
        return answer.status, (await answer.json())["checks"]


async def test_i16_without_nats_it_lives_is_not_ready_and_ends_when_told(tmp_path: Path) -> None:
    async with scheduler(tmp_path, NOWHERE) as (_pid, port):
        status, checks = await ready(port)
        assert (status, checks["bus"], checks["serving"]) == (503, False, True)


async def test_with_both_servers_it_becomes_ready(tmp_path: Path, nats_url: str) -> None:
    async with scheduler(tmp_path, nats_url) as (_pid, port):

        async def is_ready() -> bool:
            return (await ready(port))[0] == 200

        await until(is_ready, "readiness")
        assert (await ready(port))[1] == {
            "serving": True,
            "bus": True,
            "store": True,
            "directory": True,
        }
