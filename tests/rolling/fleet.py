"""Two replicas of each service as processes behind `relaydesk front`, to be restarted one by one.

The workspace is the demo's, so that what the stories of tests/e2e say and do works here as well.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec

from libs.common.cli import demo as demos
from libs.common.cli.admin import apply_file, create_token, fill_old, migrate
from libs.common.documents import COLLECTIONS
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from tests.e2e.stack import Stack, Up, until
from tests.forge import begin
from tests.nats_server import NatsProcess

DRAIN_S = 1.5
READY_WITHIN_S = 45.0
ENDS_WITHIN_S = 10.0
SERVICES = ("ingest", "router", "notifier", "scheduler", "desk")
PUBLIC = frozenset({"ingest", "desk"})


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Replica:
    """A process of a service that keeps its ports and its folder over restarts."""

    def __init__(
        self,
        service: str,
        number: int,
        folder: Path,
        settings: Mapping[str, str],
        *,
        drain_s: float = DRAIN_S,
    ) -> None:
        self.service = service
        self.name = f"{service}-{number}"
        self.port, self.admin_port = free_port(), free_port()
        self.log = folder / f"{self.name}.log"
        self.process: Up | None = None
        self.source: Path | None = None
        """Another version of the project, to run instead of this one."""
        self._settings = {
            **settings,
            "RELAYDESK_ADMIN_PORT": str(self.admin_port),
            "RELAYDESK_DRAIN_S": str(drain_s),
        }
        if service == "ingest":
            self._settings["RELAYDESK_SPOOL_DIR"] = str(folder / f"spool-{number}")
            self._settings["RELAYDESK_TRUSTED_PROXIES"] = "127.0.0.1"
        if service in PUBLIC:
            self._settings["RELAYDESK_PORT"] = str(self.port)

    @property
    def origin(self) -> str:
        """How the front is told of it."""
        return f"http://127.0.0.1:{self.port}#{self.admin_port}"

    async def start(self) -> None:
        """Start the process."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
        environ = {**clean, **self._settings}
        module = f"services.{self.service}"
        with self.log.open("ab") as output:
            if self.source is None:
                self.process = begin(module, environ=environ, output=output)
                return
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-c", RUN, str(self.source), module),
                env=environ,
                cwd=self.source,
                stdout=output,
                stderr=output,
            )

    async def ready(self, http: aiohttp.ClientSession) -> None:
        """Wait until it says that it is ready."""

        async def says_so() -> bool:
            assert self.process is not None
            assert self.process.returncode is None, self.log.read_text()[-2000:]
            try:
                async with http.get(f"http://127.0.0.1:{self.admin_port}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await until(says_so, f"{self.name} ready", within_s=READY_WITHIN_S)

    async def stop(self) -> float:
        """Ask it to end; return the seconds that it took.

        Raises:
            AssertionError: It did not end in time, or not with 0.
        """
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), ENDS_WITHIN_S + 5)
        took = time.monotonic() - began
        assert code == 0, f"{self.name} ended with {code}: {self.log.read_text()[-2000:]}"
        assert took <= ENDS_WITHIN_S, f"{self.name} took {took:.1f} s"
        return took

    async def restart(self, http: aiohttp.ClientSession) -> float:
        """End it, start it, and wait until it is ready; return the seconds that ending took."""
        took = await self.stop()
        await self.start()
        await self.ready(http)
        return took

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()


RUN = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); "
    "runpy.run_module(sys.argv[2], run_name='__main__', alter_sys=True)"
)


class Fleet:
    """All replicas, and the workspace seen through the front."""

    def __init__(self, replicas: list[Replica], stack: Stack, settings: dict[str, str]) -> None:
        self.replicas = replicas
        self.stack = stack
        self.settings = settings

    def of(self, service: str) -> list[Replica]:
        """Return the replicas of a service."""
        return [one for one in self.replicas if one.service == service]

    def logs(self) -> list[dict[str, object]]:
        """Return what all replicas have logged."""
        lines = [line for one in self.replicas for line in one.log.read_text().splitlines()]
        return [msgspec.json.decode(line) for line in lines if line.startswith("{")]


@asynccontextmanager
async def fleet(
    folder: Path, nats: NatsProcess, *, each: int = 2, later: Path | None = None
) -> AsyncIterator[Fleet]:
    """Run *each* replicas of every service until the block ends; all but the first of *later*."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "RELAYDESK_NATS_URL": nats.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'relaydesk.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_FILES_URL": f"file://{folder / 'files'}",
    }
    front_port = free_port()
    base_url = f"http://127.0.0.1:{front_port}"
    replicas = [
        Replica(service, number, folder, {**settings, "RELAYDESK_PUBLIC_URL": base_url})
        for number in range(each)
        for service in SERVICES
    ]
    async with AsyncExitStack() as opened:
        await migrate(settings)
        await fill_old(settings, again=False)
        stub = await opened.enter_async_context(_stub(folder, base_url))
        await _demo(folder, base_url, stub, settings)
        for one in replicas:
            one.source = None if one.name.endswith("-0") else later
            opened.callback(one.kill)
            await one.start()
        front = await opened.enter_async_context(_front(folder, front_port, replicas))
        http = await opened.enter_async_context(
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15))
        )
        await asyncio.gather(*(one.ready(http) for one in replicas))
        await asyncio.sleep(0.6)  # the front has seen it as well
        yield Fleet(replicas, Stack(front, folder, http), settings)


@asynccontextmanager
async def _child(folder: Path, name: str, *command: str) -> AsyncIterator[Up]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    with (folder / f"{name}.log").open("wb") as output:
        process = begin("libs.common.cli.main", *command, environ=clean, output=output)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), 15)


@asynccontextmanager
async def _stub(folder: Path, base_url: str) -> AsyncIterator[str]:
    ports = folder / "stub.ports.json"
    command = ("simulate", "provider", "--port", "0", "--port-file", str(ports))
    options = ("--echo-to", base_url, "--data-dir", str(folder))
    async with _child(folder, "stub", *command, *options):

        async def there() -> bool:
            return ports.exists()

        await until(there, "the provider stub")
        yield f"http://127.0.0.1:{msgspec.json.decode(ports.read_bytes())['port']}"


@asynccontextmanager
async def _front(folder: Path, port: int, replicas: list[Replica]) -> AsyncIterator[Up]:
    named = [
        text
        for one in replicas
        if one.service in PUBLIC
        for text in (f"--{one.service}", one.origin)
    ]
    async with _child(folder, "front", "front", "--port", str(port), *named) as process:
        yield process


async def _demo(folder: Path, base_url: str, stub: str, settings: dict[str, str]) -> None:
    found = demos.plan(folder, base_url, stub, "")
    await apply_file(settings, demos.workspace_file(found))
    async with open_store(settings["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
        for agent in found.agents:
            agent.token, _ = await create_token(
                store, found.workspace, agent.email, name="demo", days=1
            )
    demos.write(folder, found)
