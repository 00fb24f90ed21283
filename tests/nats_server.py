"""Fixtures: the real NATS server, one for the session, or one's own to kill and pause.

`nats_url` is the session's server (streams are shared: use own subjects, or purge).
`nats_process` is a server of the test's own, started; `sync` is the default 2 minutes, because
these tests kill the process, not the machine.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.common.embedded import server_binary, server_config


class NatsProcess:
    """One nats-server on its own directory and port, which it keeps over restarts."""

    def __init__(self, data_dir: Path, *, sync_always: bool = False) -> None:
        self._dir = data_dir
        self._sync_always = sync_always
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.max_file_bytes = 0
        """Storage that the next start may use; 0: what the disk has."""

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start (again) and return once it greets."""
        self._dir.mkdir(parents=True, exist_ok=True)
        config = self._dir / "nats.conf"
        config.write_text(self._config())
        with (self._dir / "nats.log").open("ab") as output:
            self._process = subprocess.Popen(
                [server_binary(), "--config", config],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + 20
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                tail = (self._dir / "nats.log").read_text()[-2000:]
                raise RuntimeError(f"nats-server did not start: {tail}")
            time.sleep(0.02)

    def _config(self) -> str:
        text = server_config(self._dir, self._port, sync_always=self._sync_always)
        if self.max_file_bytes:
            text = re.sub(r"max_file: \d+", f"max_file: {self.max_file_bytes}", text)
        return text

    @property
    def disk(self) -> Path:
        """Where JetStream keeps its files."""
        return self._dir / "jetstream"

    def lose_data(self) -> None:
        """Empty the stopped server's disk."""
        shutil.rmtree(self.disk)

    def save(self, copy: Path) -> None:
        """Copy the stopped server's disk."""
        shutil.copytree(self.disk, copy)

    def restore(self, copy: Path) -> None:
        """Put a copy in the place of the stopped server's disk."""
        self.lose_data()
        shutil.copytree(copy, self.disk)

    def _ready(self) -> bool:
        told = self._dir / f"{server_binary().name}_{self.pid}.ports"
        try:
            self._port = int(json.loads(told.read_bytes())["nats"][0].rsplit(":", 1)[1])
            with socket.create_connection(("127.0.0.1", self._port), timeout=1) as link:
                return link.recv(4) == b"INFO"
        except (OSError, ValueError, LookupError):
            return False

    def kill(self) -> None:
        """SIGKILL: nothing is flushed by the process itself."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM: a clean shutdown."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: connections stand, nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        while Path(f"/proc/{self.pid}/stat").read_text().rsplit(") ", 1)[1][0] != "T":
            time.sleep(0.001)  # the signal takes its time on a busy machine

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@pytest.fixture(scope="session")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that all tests of the session share."""
    server = NatsProcess(tmp_path_factory.mktemp("nats"))
    server.start()
    yield server.url
    server.kill()  # nobody reads its disk again


@pytest.fixture
def nats_process(tmp_path: Path) -> Iterator[NatsProcess]:
    """A started server of this test's own."""
    server = NatsProcess(tmp_path / "nats")
    server.start()
    yield server
    server.stop()
