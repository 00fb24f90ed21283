"""Router processes on a real NATS server and one SQLite file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import msgspec

from tests.forge import Child, start

ROOT = Path(__file__).parents[2]
START_S = 30.0
STOP_S = 10.0
"""SIGTERM drains and exits 0 within this (I17)."""


class Process:
    """One router process; it can be killed and started again."""

    module = "services.router"

    def __init__(self, name: str, folder: Path, environ: dict[str, str]) -> None:
        self._ports = folder / f"{name}.ports.json"
        self._log = folder / f"{name}.log"
        self._environ = {
            **{k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")},
            **environ,
            "RELAYDESK_PORT_FILE": str(self._ports),
        }
        self._process: Child | None = None

    def start(self) -> None:
        """Start, and return once it is ready."""
        self._ports.unlink(missing_ok=True)
        with self._log.open("ab") as log:
            self._process = start(self.module, environ=self._environ, output=log)
        deadline = time.monotonic() + START_S
        while self.ready()[0] != 200:
            if self._process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.module} did not get ready: {self.log()[-2000:]}")
            time.sleep(0.05)

    @property
    def ports(self) -> Path:
        """Where it writes the ports it has bound."""
        return self._ports

    def ready(self) -> tuple[int, dict[str, bool]]:
        """Return the answer of /readyz: the status, and each check."""
        try:
            port = msgspec.json.decode(self._ports.read_bytes())["admin"]
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                return answer.status, msgspec.json.decode(answer.read())["checks"]
        except HTTPError as error:
            return error.code, msgspec.json.decode(error.read())["checks"]
        except (OSError, URLError):
            return 0, {}

    def log(self) -> str:
        return self._log.read_text()

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(STOP_S)

    def stop(self) -> int:
        """SIGTERM; return the exit code."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except TimeoutError:
            self._process.kill()
            self._process.wait(STOP_S)
            raise
