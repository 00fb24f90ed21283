"""A whole installation as processes: `relaydesk up --demo` in a folder of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from tests.forge import Awaited, begin

READY_WITHIN_S = 60.0
Up = asyncio.subprocess.Process | Awaited


class Stack:
    """A running installation and its demo people; every wait is bounded."""

    def __init__(self, process: Up, data_dir: Path, http: aiohttp.ClientSession) -> None:
        self.process = process
        self.data_dir = data_dir
        self.http = http
        self.demo: dict[str, Any] = msgspec.json.decode((data_dir / "demo.json").read_bytes())
        self.base_url: str = self.demo["base_url"]

    def account(self, channel: str) -> dict[str, str]:
        found: dict[str, str] = next(a for a in self.demo["accounts"] if a["channel"] == channel)
        return found

    def agent(self, role: str) -> dict[str, str]:
        found: dict[str, str] = next(a for a in self.demo["agents"] if a["role"] == role)
        return found

    async def api(
        self,
        method: str,
        path: str,
        *,
        role: str = "agent",
        body: Any = None,
        key: str = "",
    ) -> tuple[int, Any]:
        """Call the REST API as the first agent of *role*; return status and decoded body."""
        headers = {"Authorization": f"Bearer {self.agent(role)['token']}"}
        if key:
            headers["Idempotency-Key"] = key
        url = f"{self.base_url}/api/v1{path}"
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            raw = await answer.read()
            return answer.status, msgspec.json.decode(raw) if raw else None

    async def sent(self, account: str) -> list[dict[str, Any]]:
        """Return what the provider stub received for an account."""
        url = f"{self.demo['provider_stub']}/_sent?account={account}"
        async with self.http.get(url) as answer:
            items: list[dict[str, Any]] = (await answer.json())["items"]
            return items

    def ports(self, service: str) -> dict[str, int]:
        """Return the present ports of a service by name, and its `pid`."""
        told = (self.data_dir / f"{service}.ports.json").read_bytes()
        return msgspec.json.decode(told, type=dict[str, int])

    def pid(self, service: str) -> int:
        """Return the present process id of a service."""
        return self.ports(service)["pid"]

    async def metrics(self, service: str) -> str:
        """Return a service's metrics page."""
        ports = msgspec.json.decode((self.data_dir / f"{service}.ports.json").read_bytes())
        async with self.http.get(f"http://127.0.0.1:{ports['admin']}/metrics") as answer:
            return await answer.text()


async def until(found: Callable[[], Awaitable[Any]], what: str, *, within_s: float = 30.0) -> Any:
    """Ask *found* again and again; return its first true answer.

    Raises:
        AssertionError: Not within the time; says *what* was awaited and the last answer.
    """
    deadline = time.monotonic() + within_s
    last: Any = None
    while time.monotonic() < deadline:
        last = await found()
        if last:
            return last
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {within_s} s: {what}; last answer {last!r}")


@asynccontextmanager
async def running(data_dir: Path, *, typed: bool = False, **environ: str) -> AsyncIterator[Stack]:
    """Start an installation, wait for its ready line, end it by SIGTERM.

    *typed*: by the command itself, as people do; it takes some ten seconds of imports longer.
    """
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    data_dir.mkdir(parents=True, exist_ok=True)
    command = ("up", "--demo", "--port", "0", "--data-dir", str(data_dir))
    told = data_dir / "up.log"
    with told.open("wb") as output:
        if typed:
            process: Up = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "libs.common.cli.main", *command),
                env={**clean, **environ},
                stdout=output,
                stderr=output,
            )
        else:
            process = begin(
                "tests.e2e.forged_up", *command, environ={**clean, **environ}, output=output
            )

    async def ready() -> bool:
        assert process.returncode is None, told.read_text()[-2000:]
        return "relaydesk ready http://" in told.read_text()

    try:
        await until(ready, "the ready line", within_s=READY_WITHIN_S)
        timeout = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            yield Stack(process, data_dir, http)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 20)
