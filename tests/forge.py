"""Service processes without the second that each spends on its imports.

`start("services.router", ...)` is `python -m services.router` by another way: one process for each
pytest worker, the forge, has imported what the services import, and forks what is asked for. It
has neither a thread nor an event loop, a connection or a random state of its own, so the child is
where a fresh interpreter is after its imports. It runs the module's `__main__` itself, has its own
memory, environment, output and signals, and ends as ever; it is a child of the worker.

The command line itself is run by tests/e2e/test_restart.py (`relaydesk up` and its services),
tests/scheduler/test_process.py, tests/desk/test_app.py and tests/house/test_clocks.py.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import gc
import importlib
import os
import runpy
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "libs.common.lifecycle",
    "libs.common.cli.main",
    *(f"services.{name}.app" for name in ("ingest", "router", "desk", "notifier", "scheduler")),
)
FORKS = sys.platform == "linux"
"""Elsewhere an orphan cannot become the worker's child: the interpreter is started as usual."""
LOOK_S = 0.005
ASKED_BYTES = 1 << 18
_PR_SET_CHILD_SUBREAPER = 36


class Order(msgspec.Struct):
    """What to run: a module with arguments, in an environment."""

    module: str
    args: tuple[str, ...]
    environ: dict[str, str]


class _Child:
    """A started process, which its starter alone waits for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None
        self._one = threading.Lock()

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None: it runs."""
        with self._one:
            if self._code is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                self._code = os.waitstatus_to_exitcode(status) if pid else None
            return self._code

    def send_signal(self, number: signal.Signals) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Child(_Child):
    """As `subprocess.Popen` has it."""

    def wait(self, within_s: float) -> int:
        """Return the exit code.

        Raises:
            TimeoutError: It still runs.
        """
        deadline = time.monotonic() + within_s
        while (code := self.returncode) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} still runs after {within_s} s")
            time.sleep(LOOK_S)
        return code


class Awaited(_Child):
    """As `asyncio.subprocess.Process` has it."""

    async def wait(self) -> int:
        """Return the exit code."""
        while (code := self.returncode) is None:  # noqa: ASYNC110 (a process sets no event)
            await asyncio.sleep(LOOK_S)
        return code


def start(module: str, *args: str, environ: dict[str, str], output: IO[bytes]) -> Child:
    """Run a module as the main one; both its outputs go to a file."""
    return Child(_start(Order(module, args, environ), output.fileno()))


def begin(module: str, *args: str, environ: dict[str, str], output: IO[bytes]) -> Awaited:
    """Do as `start`; the child is waited for in an event loop."""
    return Awaited(_start(Order(module, args, environ), output.fileno()))


def _start(order: Order, output: int) -> int:
    if FORKS:
        return _forge().forged(order, output)
    return os.posix_spawn(  # from the project's root, where pytest runs
        sys.executable,
        [sys.executable, "-m", order.module, *order.args],
        order.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, output, fd) for fd in (1, 2)],
    )


class Forge:
    """The asker's side of the forge; several threads may ask."""

    def __init__(self, link: socket.socket, pid: int) -> None:
        self._link = link
        self._pid = pid
        self._one = threading.Lock()

    def forged(self, order: Order, output: int) -> int:
        """Return the id of a new child of this process."""
        with self._one, _adopting():
            socket.send_fds(self._link, [msgspec.json.encode(order)], [output])
            said = self._link.recv(64)
        if not said:
            raise RuntimeError(f"the forge {self._pid} has ended")
        return int(said)

    def close(self) -> None:
        self._link.close()
        os.waitpid(self._pid, 0)


_forges: list[Forge] = []
_first = threading.Lock()


def _forge() -> Forge:
    with _first:
        return _forges[0] if _forges else _keep(_kindled())


def _keep(forge: Forge) -> Forge:
    _forges.append(forge)
    atexit.register(forge.close)
    return forge


def _kindled() -> Forge:
    ours, theirs = _pair()
    with theirs:
        theirs.set_inheritable(True)
        command = [sys.executable, __file__, str(theirs.fileno())]
        return Forge(ours, os.posix_spawn(sys.executable, command, os.environ))


def divide() -> None:
    """Make a copy of this process its forge: for one that was forged, before it begins."""
    ours, theirs = _pair()
    if pid := os.fork():
        theirs.close()
        _keep(Forge(ours, pid))
    else:
        ours.close()
        _work(theirs)
        sys.exit()


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


@contextmanager
def _adopting() -> Iterator[None]:
    """Let orphans among this process' descendants become its own children."""
    _prctl(1)
    try:
        yield
    finally:
        _prctl(0)


def _prctl(adopt: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, adopt, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _serve(link: socket.socket) -> Order | None:
    """Fork a child for each order until the worker ends; return the order in the child."""
    while True:
        said, passed, _, _ = socket.recv_fds(link, ASKED_BYTES, 1)
        if not said:
            return None
        if _fork():
            link.send(str(os.getpid()).encode())
            _take_on(link, passed[0])
            return msgspec.json.decode(said, type=Order)
        os.close(passed[0])


def _fork() -> bool:
    """Return True in the child, False in the forge.

    Between them is a process that ends at once: so the child, which returns when that has ended,
    is an orphan, and the worker has adopted it.
    """
    if between := os.fork():
        os.waitpid(between, 0)
        return False
    between = os.getpid()
    if os.fork():
        os._exit(0)
    while os.getppid() == between:
        time.sleep(0.0002)
    return True


def _take_on(link: socket.socket, output: int) -> None:
    link.close()
    for fd in (1, 2):
        os.dup2(output, fd)
    os.close(output)


def _main() -> None:
    sys.path[0] = str(ROOT)
    for name in IMPORTED:
        importlib.import_module(name)
    if len([*Path("/proc/self/task").iterdir()]) != 1:
        raise RuntimeError("a fork would lose a thread that an import has started")
    gc.collect()
    gc.freeze()
    _work(socket.socket(fileno=int(sys.argv[1])))


def _work(link: socket.socket) -> None:
    """Be a forge; in a child, be what was ordered."""
    order = _serve(link)
    if order is None:
        return
    os.environ.clear()
    os.environ.update(order.environ)
    sys.argv = [order.module, *order.args]
    runpy.run_module(order.module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
