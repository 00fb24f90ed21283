"""`relaydesk up`: all five services as child processes on one port, with what they need.

Without servers named in the environment it starts the real nats-server from its wheel and keeps
the store in an SQLite file below the data folder. A service that dies is started again.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import uvloop

from libs.common.cli import demo as demos
from libs.common.cli.admin import apply_file, create_token, fill_old, migrate
from libs.common.cli.front import front, port_number
from libs.common.config import PREFIX, SERVICES, refuse_unknown
from libs.common.credentials import parse_token
from libs.common.documents import COLLECTIONS, TOKENS
from libs.common.embedded import embedded_nats, storage_limit
from libs.common.errors import SettingsError
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 9.0
STABLE_AFTER_S = 10.0
PUBLIC = frozenset({"ingest", "desk"})


def add_parser(commands: Any) -> None:
    """Add the sub-command."""
    parser = commands.add_parser("up", help="run everything on this machine")
    port = os.environ.get("RELAYDESK_PORT", "8080")
    parser.add_argument("--port", type=port_number, default=port)
    parser.add_argument(
        "--data-dir", type=Path, default=Path(os.environ.get("RELAYDESK_DATA_DIR", ".relaydesk"))
    )
    parser.add_argument("--demo", action="store_true", help="with a demo workspace")
    parser.set_defaults(run=lambda args: uvloop.run(_up(args)))


async def _up(args: argparse.Namespace) -> int:
    refuse_unknown(os.environ)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    data_dir = args.data_dir.resolve()
    _make_folder(data_dir)
    async with AsyncExitStack() as opened:
        opened.enter_context(_locked(data_dir))
        settings = await _servers(opened, data_dir)
        await migrate(settings)
        await fill_old(settings, again=False)  # before an import could take who is there for new
        services = {name: Service(name, data_dir, settings) for name in SERVICES}
        port = await opened.enter_async_context(
            front("127.0.0.1", args.port, lambda: _origins(services))
        )
        base_url = f"http://127.0.0.1:{port}"
        settings.setdefault("RELAYDESK_PUBLIC_URL", base_url)  # before the services start
        demo = await _demo(opened, data_dir, base_url, settings) if args.demo else None
        _write_running(data_dir, settings)
        watch = [asyncio.create_task(service.keep(stop)) for service in services.values()]
        opened.push_async_callback(_finish, watch, stop)
        return await _serve(base_url, demo, services.values(), stop)


async def _serve(
    base_url: str, demo: demos.Demo | None, services: Collection[Service], stop: asyncio.Event
) -> int:
    """Say when all is ready, then wait for the end."""
    ready = asyncio.create_task(_all_ready(services))
    ended = asyncio.create_task(stop.wait())
    await asyncio.wait({ready, ended}, return_when=asyncio.FIRST_COMPLETED)
    if ended.done():
        ready.cancel()
        return 0
    if not ready.result():
        late = ", ".join(service.name for service in services if not service.ready)
        print(f"not ready after {READY_WITHIN_S:.0f} s: {late}", file=sys.stderr)
        ended.cancel()
        return 1
    print(f"relaydesk ready {base_url}", flush=True)
    for line in demos.summary(demo) if demo else ():
        print(line, flush=True)
    await ended
    return 0


def _make_folder(data_dir: Path) -> None:
    """Make the data folder.

    Raises:
        SettingsError: It cannot be made or written to.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (data_dir / "lock").touch()
    except OSError as error:
        raise SettingsError(
            f"cannot write to the data folder {data_dir}: {error.strerror}"
        ) from None


async def _servers(opened: AsyncExitStack, data_dir: Path) -> dict[str, str]:
    """Return the settings of the children; starts NATS unless the environment names one."""
    settings = {k: v for k, v in os.environ.items() if k.startswith(PREFIX)}
    for own in ("PORT", "ADMIN_PORT", "DATA_DIR", "PORT_FILE"):
        settings.pop(PREFIX + own, None)
    settings.setdefault("RELAYDESK_SECRET_KEY", _secret_key(data_dir))
    settings.setdefault("RELAYDESK_STORE_URL", f"sqlite:///{data_dir / 'relaydesk.db'}")
    settings.setdefault("RELAYDESK_SPOOL_DIR", str(data_dir / "spool"))
    if "RELAYDESK_NATS_URL" not in settings:
        url = await opened.enter_async_context(embedded_nats(data_dir / "nats"))
        settings["RELAYDESK_NATS_URL"] = url
        limit = storage_limit(data_dir / "nats")
        settings.setdefault("RELAYDESK_JETSTREAM_LIMIT_BYTES", str(limit))
    return settings


def _secret_key(data_dir: Path) -> str:
    """Return the key kept in the data folder; made at the first start, for its owner alone."""
    path = data_dir / "secret.key"
    if not path.exists():
        draft = path.with_suffix(".tmp")
        draft.touch(mode=0o600)
        draft.write_text(new_key_setting())
        draft.replace(path)
    return path.read_text().strip()


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    with (data_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(f"another `relaydesk up` uses {data_dir}") from None
        yield


def _write_running(data_dir: Path, settings: dict[str, str]) -> None:
    """Tell the other commands how to reach the servers; it holds the key: for its owner alone."""
    draft = data_dir / "running.json.tmp"
    draft.touch(mode=0o600)
    draft.write_bytes(msgspec.json.encode(settings))
    draft.replace(data_dir / "running.json")


class Service:
    """One child process: started, watched, started again when it dies."""

    def __init__(self, name: str, data_dir: Path, settings: dict[str, str]) -> None:
        self.name = name
        self.ports: dict[str, int] = {}
        self.ready = False
        self._port_file = data_dir / f"{name}.ports.json"
        self._log = data_dir / f"{name}.log"
        self._settings = settings

    async def keep(self, stop: asyncio.Event) -> None:
        """Run the service until *stop*; then end it gracefully."""
        delay_s = 0.2
        while not stop.is_set():
            started = time.monotonic()
            async with self._running() as process:
                watch = asyncio.create_task(self._watch_ports(process))
                ended = asyncio.create_task(process.wait())
                asked = asyncio.create_task(stop.wait())
                await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
                for task in (watch, ended, asked):
                    task.cancel()
            self.ports, self.ready = {}, False
            if stop.is_set():
                return
            print(f"{self.name} ended ({process.returncode}), starting again", file=sys.stderr)
            delay_s = 0.2 if time.monotonic() - started > STABLE_AFTER_S else min(delay_s * 2, 5.0)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay_s)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        self._port_file.unlink(missing_ok=True)
        environ = {k: v for k, v in os.environ.items() if not k.startswith(PREFIX)}
        environ |= self._settings
        environ["RELAYDESK_PORT_FILE"] = str(self._port_file)
        environ["RELAYDESK_PARENT_PID"] = str(os.getpid())
        environ["RELAYDESK_ADMIN_PORT"] = "0"
        if self.name in PUBLIC:
            environ["RELAYDESK_PORT"] = "0"
            environ.setdefault("RELAYDESK_TRUSTED_PROXIES", "127.0.0.1")  # our own front
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", f"services.{self.name}"),
                env=environ,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the parent, which ends its children
            )
        try:
            yield process
        finally:
            await _end(process)

    async def _watch_ports(self, process: asyncio.subprocess.Process) -> None:
        while process.returncode is None:
            if not self.ports and self._port_file.exists():
                self.ports = msgspec.json.decode(self._port_file.read_bytes(), type=dict[str, int])
            self.ready = await self._asks_ready()
            await asyncio.sleep(1.0 if self.ready else 0.1)

    async def _asks_ready(self) -> bool:
        if "admin" not in self.ports:
            return False
        url = f"http://127.0.0.1:{self.ports['admin']}/readyz"
        timeout = aiohttp.ClientTimeout(total=2.0)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http, http.get(url) as answer:
                return answer.status == 200  # noqa: PLR2004 (OK)
        except (aiohttp.ClientError, TimeoutError):
            return False


def _origins(services: dict[str, Service]) -> dict[str, str]:
    """Return where the public services answer now; one that is down is missing."""
    return {
        name: f"http://127.0.0.1:{service.ports['port']}"
        for name, service in services.items()
        if "port" in service.ports
    }


async def _all_ready(services: Collection[Service]) -> bool:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if all(service.ready for service in services):
            return True
        await asyncio.sleep(0.05)
    return False


async def _finish(watch: list[asyncio.Task[None]], stop: asyncio.Event) -> None:
    stop.set()
    await asyncio.gather(*watch, return_exceptions=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_WITHIN_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _demo(
    opened: AsyncExitStack, data_dir: Path, base_url: str, settings: dict[str, str]
) -> demos.Demo:
    """Start the provider stub, write the demo workspace and demo.json."""
    stub, sink = await opened.enter_async_context(_stub(data_dir, base_url))
    found = demos.plan(data_dir, base_url, stub, sink)
    if "RELAYDESK_SMTP_URL" not in settings:
        settings["RELAYDESK_SMTP_URL"] = sink.replace("smtp:", "smtp+plain:", 1)
        settings.setdefault("RELAYDESK_MAIL_FROM", demos.MAIL_FROM)
    await apply_file(settings, demos.workspace_file(found))
    async with open_store(settings["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
        for agent in found.agents:
            known = parse_token(agent.token) if agent.token else None
            if known and await store.get(TOKENS, found.workspace, known.token_id):
                continue
            agent.token, _ = await create_token(
                store, found.workspace, agent.email, name="demo", days=3650
            )
    demos.write(data_dir, found)
    return found


@asynccontextmanager
async def _stub(data_dir: Path, base_url: str) -> AsyncIterator[tuple[str, str]]:
    """Run the provider stub and the mail sink as a child; yields their addresses."""
    port_file = data_dir / "stub.ports.json"
    port_file.unlink(missing_ok=True)
    with (data_dir / "stub.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "libs.common.cli.main", "simulate", "provider", "--port", "0"),
            *("--port-file", str(port_file), "--echo-to", base_url),
            *("--data-dir", str(data_dir), "--parent-pid", str(os.getpid())),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(200):
            if port_file.exists():
                found = msgspec.json.decode(port_file.read_bytes(), type=dict[str, int])
                yield f"http://127.0.0.1:{found['port']}", f"smtp://127.0.0.1:{found['smtp']}"
                return
            if process.returncode is not None:
                break
            await asyncio.sleep(0.05)
        raise SettingsError(f"the provider stub did not start; see {data_dir / 'stub.log'}")
    finally:
        await _end(process)
