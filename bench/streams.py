"""Open streams of alerts on one desk: what each takes at rest, and how fast they tell.

Every stream is of an agent of its own, who is thereby present. The desk is the real process on core
0; nats-server, and the readers here, share core 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import random
import re
import select
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.ingest import Server, pinned, started
from libs.common import subjects
from libs.common.alerts import Alert
from libs.common.bus.client import Bus, open_bus
from libs.common.cli.admin import apply_file, migrate
from libs.common.credentials import new_secret, secret_hash, token_text
from libs.common.documents import AGENTS, COLLECTIONS, TOKENS, AccessToken, Agent
from libs.common.embedded import embedded_nats
from libs.common.errors import BusUnavailableError
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from libs.common.workspace_file import WorkspaceFile

STREAMS = 5_000
WORKSPACES = 50
REST_S = 30.0
"""Two heartbeats."""
SINGLE = 1_000
SINGLE_PER_S = 200.0
SLOW_SHARE = 0.05
SLOW_ALERTS = 100
"""Told beforehand to each reader who takes nothing: they fill what may wait for them."""
OPENING = 200
IN_FLIGHT = 64
CONFIRMED_WITHIN_S = 10.0
TRIES = 10
_TAIL = 80
_ID = re.compile(rb'"id":"bench:(\d+)"')
_OPEN_WITHIN_S = 300.0
_SILENT_S = 60.0
"""Without anything coming, after which it is given up: a busy machine may be slow, but goes on."""


def _workspace(number: int) -> str:
    return f"bench-{number % WORKSPACES:02d}"


def _agent(number: int) -> str:
    return f"agt-{number:05d}"


class _Readers:
    """The pages: plain sockets in one epoll; some of them take nothing once they are open."""

    def __init__(self, port: int, tokens: Sequence[str]) -> None:
        self._port = port
        self._tokens = tokens
        self._poll = select.epoll()
        self._open: dict[int, socket.socket] = {}
        self._numbers: dict[int, int] = {}
        self._tails: dict[int, bytes] = {}
        self.cut = 0
        """Streams that the desk has ended, though their readers read."""

    def open(self) -> None:
        for first in range(0, len(self._tokens), OPENING):
            some = range(first, min(first + OPENING, len(self._tokens)))
            waiting = {self._connect(number) for number in some}
            while waiting:
                for fileno, _ in self._poll.poll():
                    data = self._open[fileno].recv(65536)
                    if not data.startswith(b"HTTP/1.1 200") and fileno in waiting:
                        raise ConnectionError(data[:300])
                    waiting.discard(fileno)

    def _connect(self, number: int) -> int:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        sock.connect(("127.0.0.1", self._port))
        head = (
            "GET /api/v1/alerts/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {self._tokens[number]}\r\n\r\n"
        )
        sock.sendall(head.encode())
        fileno = sock.fileno()
        self._open[fileno], self._numbers[fileno] = sock, number
        self._poll.register(fileno, select.EPOLLIN)
        return fileno

    def stall(self, count: int) -> None:
        """Take nothing more on the first *count*."""
        for fileno, number in self._numbers.items():
            if number < count:
                self._poll.unregister(fileno)

    def arrivals(self, wait_s: float) -> Iterator[tuple[int, float]]:
        """Yield (number of the alert, when it came) of what has come."""
        for fileno, _ in self._poll.poll(wait_s):
            data = b""
            with contextlib.suppress(ConnectionError):
                data = self._open[fileno].recv(262144)
            if not data:
                self._poll.unregister(fileno)
                self.cut += 1
                continue
            seen = self._tails.get(fileno, b"") + data
            end = 0
            for found in _ID.finditer(seen):
                yield int(found[1]), time.time()
                end = found.end()
            self._tails[fileno] = seen[max(end, len(seen) - _TAIL) :]


def _read(port: int, tokens: Sequence[str], told: Connection) -> None:
    """Be the pages, in a process of their own: tell the parent what arrived when it asks."""
    pinned(1)()
    readers = _Readers(port, tokens)
    readers.open()
    gc.collect()
    gc.freeze()
    told.send("open")
    arrived: list[tuple[int, float]] = []
    while True:
        arrived.extend(readers.arrivals(0.05))
        while told.poll():
            asked = told.recv()
            if asked == "end":
                return
            if isinstance(asked, int):
                readers.stall(asked)
            told.send((arrived, readers.cut))
            arrived = []


class _Rig(msgspec.Struct):
    """The desk, the bus, and the pages."""

    desk: Server
    bus: Bus
    pages: Connection
    numbers: int = 0

    async def tell(self, agents: Sequence[int], *, per_s: float = 0.0) -> tuple[list[float], float]:
        """Tell each of *agents* one alert; return how long each took, and all of them (s)."""
        began = heard = time.time()
        expected = await self.publish(agents, per_s=per_s)
        came: dict[int, float] = {}
        cut = 0
        while expected.keys() - came.keys() and time.time() - heard < _SILENT_S:
            await asyncio.sleep(0.2)
            self.pages.send("more")
            arrived, cut = await asyncio.to_thread(self.pages.recv)
            came.update(arrived)
            heard = time.time() if arrived else max(heard, *expected.values())
        missing = len(expected.keys() - came.keys())
        if missing or cut:
            raise RuntimeError(
                f"{missing} of {len(expected)} alerts have not come; {cut} streams were cut"
            )
        took = [came[number] - at for number, at in expected.items()]
        return took, max(came[number] for number in expected) - began

    async def publish(self, agents: Sequence[int], *, per_s: float = 0.0) -> dict[int, float]:
        """Publish an alert for each, at Poisson times or all at once; return when each was."""
        published: dict[int, float] = {}
        room = asyncio.Semaphore(IN_FLIGHT)

        async def one(agent: int) -> None:
            async with room:
                self.numbers += 1
                alert = _alert(self.numbers, agent)
                published[self.numbers] = time.time()
                subject = subjects.alert("browser", alert.workspace, alert.agent)
                data = msgspec.json.encode(alert)
                await self._confirmed(subject, data, alert.id)

        due = time.time()
        async with asyncio.TaskGroup() as tasks:
            for agent in agents:
                if per_s:
                    due += random.expovariate(per_s)
                    await asyncio.sleep(max(0.0, due - time.time()))
                tasks.create_task(one(agent))
        return published

    async def _confirmed(self, subject: str, data: bytes, msg_id: str) -> None:
        for _ in range(TRIES):
            with contextlib.suppress(BusUnavailableError):
                await self.bus.publish(subject, data, msg_id=msg_id)
                return
            await asyncio.sleep(1.0)  # where others use the disk, a confirmation may be late
        raise RuntimeError(f"{msg_id} could not be published")


def _alert(number: int, agent: int) -> Alert:
    now = datetime.now(UTC)
    return Alert(
        id=f"bench:{number}",
        workspace=_workspace(agent),
        agent=_agent(agent),
        trigger="assigned.message",
        at=now,
        expires_at=now + timedelta(minutes=15),
        session=f"ses-{number}",
        list="assigned",
        channel="messenger",
        account="bench-page",
        contact_name="A visitor with a name",
        excerpt="x" * 120,
        sound="chime",
        volume=70,
        url=f"/#/sessions/ses-{number}",
    )


def _resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    return 0


async def _people(url: str) -> list[str]:
    """Make agents and their tokens; return the tokens' texts."""
    texts = []
    async with open_store(url, COLLECTIONS) as store:
        for first in range(0, STREAMS, 500):
            some = [_person(number) for number in range(first, min(first + 500, STREAMS))]
            for number in range(WORKSPACES):
                mine = [one for one in some if one.agent.workspace == _workspace(number)]
                refused = await store.insert_many(AGENTS, [one.agent for one in mine])
                refused |= await store.insert_many(TOKENS, [one.token for one in mine])
                if refused:
                    raise RuntimeError(refused)
            texts += [one.text for one in some]
    return texts


class _Person(NamedTuple):
    agent: Agent
    token: AccessToken
    text: str


def _person(number: int) -> _Person:
    workspace, secret = _workspace(number), new_secret()
    email = f"{_agent(number)}@bench.example"
    agent = Agent(
        id=_agent(number),
        workspace=workspace,
        name=f"Agent {number}",
        email=email,
        email_key=email,
        role="agent",
    )
    token = AccessToken(
        id=f"t{number:05d}",
        workspace=workspace,
        agent=agent.id,
        kind="api",
        secret_hash=secret_hash(secret),
        created_at=datetime.now(UTC),
    )
    return _Person(agent, token, token_text(workspace, token.id, secret))


def _told(name: str, took: Sequence[float], whole_s: float) -> None:
    ordered = sorted(took)
    p99 = ordered[int(0.99 * len(ordered))]
    print(
        f"  {name}: p50 {statistics.median(took) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, "
        f"all {len(took)} within {whole_s:.1f} s"
    )


async def _measure(rig: _Rig, before_kib: int, opened_s: float) -> None:
    agents = list(range(STREAMS))
    print(f"streams: {STREAMS} open, {STREAMS / opened_s:.0f} a second; {_load()}")
    await asyncio.sleep(REST_S / 2)
    cpu, began = rig.desk.cpu_s(), time.monotonic()
    await asyncio.sleep(REST_S)
    busy = (rig.desk.cpu_s() - cpu) / (time.monotonic() - began)
    each = (_resident_kib(rig.desk.pid) - before_kib) / STREAMS
    print(f"  at rest: {each:.1f} KiB each, {busy:.0%} of one core")
    slow = int(STREAMS * SLOW_SHARE)
    for name, told in (("", agents), (f" beside {slow} who take nothing", agents[slow:])):
        if name:
            await _stall(rig, slow)
        single = random.choices(told, k=SINGLE)
        took, whole = await rig.tell(single, per_s=SINGLE_PER_S)
        _told(f"{SINGLE_PER_S:.0f} alerts a second{name}", took, whole)
        random.shuffle(told)
        _told(f"one to each at once{name}", *await rig.tell(told))
    each = (_resident_kib(rig.desk.pid) - before_kib) / STREAMS
    print(f"  afterwards: {each:.1f} KiB each, at most {rig.desk.peak_mib():.0f} MiB in all")
    print(f"  {_load()}")


def _load() -> str:
    """Return how busy the machine was in the last minute, with us."""
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


async def _stall(rig: _Rig, slow: int) -> None:
    rig.pages.send(slow)
    await asyncio.to_thread(rig.pages.recv)
    await rig.publish([agent for _ in range(SLOW_ALERTS) for agent in range(slow)])
    await rig.tell([STREAMS - 1])  # all before it was told


async def main() -> None:
    """Print the figures."""
    os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})  # inherited by nats-server
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        async with embedded_nats(folder / "nats") as url:
            settings = {
                "RELAYDESK_NATS_URL": url,
                "RELAYDESK_SECRET_KEY": new_key_setting(),
                "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'bench.db'}",
                "RELAYDESK_PORT": "0",
                "RELAYDESK_PORT_FILE": str(folder / "desk.json"),
            }
            await migrate(settings)
            for number in range(WORKSPACES):
                await apply_file(settings, WorkspaceFile(workspace=_workspace(number)))
            tokens = await _people(settings["RELAYDESK_STORE_URL"])
            async with (
                started("desk", ["-m", "services.desk"], settings, folder) as desk,
                open_bus(url, name="bench", publish_timeout_s=CONFIRMED_WITHIN_S) as bus,
            ):
                await _run(desk, bus, tokens)


async def _run(desk: Server, bus: Bus, tokens: Sequence[str]) -> None:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    await asyncio.sleep(2.0)
    before = _resident_kib(desk.pid)
    pages = spawn.Process(target=_read, args=(desk.port, tokens, there), daemon=True)
    began = time.monotonic()
    pages.start()
    try:
        if await asyncio.to_thread(_within, here) != "open":
            raise RuntimeError("the streams could not be opened")
        await _measure(_Rig(desk, bus, here), before, time.monotonic() - began)
    finally:
        pages.terminate()
        pages.join()


def _within(pages: Connection) -> object:
    return pages.recv() if pages.poll(_OPEN_WITHIN_S) else None
