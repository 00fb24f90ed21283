"""Timers: arming, arming again, how late what is due is with the router, and what the server needs.

The router is a stand-in that answers at once, in the same process; the server is the real one.
Then what many that are due at once cost those who write meanwhile, see `overdue`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from bench import overdue
from libs.common import subjects, timers
from libs.common.bus.client import Bus, open_bus
from libs.common.commands import AnyCommand, Done, FireTimer
from libs.common.documents import Session
from libs.common.embedded import embedded_nats
from libs.common.events import Timer
from services.scheduler.app import fire_due

ARMED = 100_000
SPREAD = 5_000
SPREAD_S = 5.0
AT_ONCE = 3_000
IN_FLIGHT = 512
_LEAD_S = 2.0
_LONGEST_S = 30.0

_command: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


def _timer(name: str, due: datetime, rev: int = 1) -> Timer:
    return Timer(kind="silent_owner", workspace="bench", session=name, due=due, rev=rev)


async def _arm(bus: Bus, armed: Sequence[Timer]) -> float:
    """Return timers per second."""
    waiting = iter(armed)

    async def worker() -> None:
        for timer in waiting:
            subject, data, headers = timers.message(timer)
            await bus.publish(subject, data, msg_id="", headers=headers)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return len(armed) / (time.perf_counter() - began)


class _Router:
    """Answers each command, and notes by how much it came after what was due."""

    def __init__(self) -> None:
        self.late_s: list[float] = []
        now = datetime.now(UTC)
        session = Session(
            id="s",
            workspace="bench",
            account="a",
            channel="web",
            visitor="v",
            contact="c",
            list="assigned",
            open_key="a|v",
            created_at=now,
            updated_at=now,
        )
        self._done = msgspec.json.encode(Done(session=session))

    async def answer(self, _subject: str, data: bytes) -> bytes:
        command = _command.decode(data)
        if isinstance(command, FireTimer):
            self.late_s.append((datetime.now(UTC) - command.due).total_seconds())
        return self._done

    async def heard(self, count: int) -> list[float]:
        """Wait for so many; return how late they were, sorted."""
        async with asyncio.timeout(_LONGEST_S):
            while len(self.late_s) < count:
                await asyncio.sleep(0.02)
        found, self.late_s = sorted(self.late_s), []
        return found


@asynccontextmanager
async def _firing(bus: Bus, router: _Router) -> AsyncIterator[None]:
    stop = asyncio.Event()
    end = await bus.serve(subjects.COMMANDS, queue="router", handle=router.answer)
    work = asyncio.create_task(fire_due(bus, stop))
    try:
        yield
    finally:
        stop.set()
        await work
        await end()


def _lateness(late_s: Sequence[float]) -> str:
    p50, p99 = late_s[len(late_s) // 2], late_s[len(late_s) * 99 // 100]
    return f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, last {late_s[-1] * 1000:.0f} ms"


async def _due(bus: Bus, router: _Router, count: int, spread_s: float, name: str) -> list[float]:
    """Arm *count* timers due within *spread_s* seconds; return how late they came."""
    first = datetime.now(UTC) + timedelta(seconds=_LEAD_S)
    step = timedelta(seconds=spread_s / count)
    await _arm(bus, [_timer(f"{name}{n}", first + n * step) for n in range(count)])
    return await router.heard(count)


def _server_mib() -> float:
    """Return what the server that this process started holds in memory."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, _, rest = (folder / "stat").read_text().rpartition(")")
            if int(rest.split()[1]) == os.getpid() and "nats-server" in name:
                return int((folder / "statm").read_text().split()[1]) * 4096 / 2**20
    return 0.0


async def main() -> None:
    """Print the rates."""
    print(f"\n## Timers, {IN_FLIGHT} in flight, default sync, one scheduler\n")
    with tempfile.TemporaryDirectory() as folder:
        async with (
            embedded_nats(Path(folder), sync_always=False) as url,
            open_bus(url, name="bench", publish_timeout_s=30) as bus,
        ):
            far = datetime.now(UTC) + timedelta(days=1)
            armed = await _arm(bus, [_timer(f"f{n}", far) for n in range(ARMED)])
            again = await _arm(bus, [_timer(f"f{n}", far, rev=2) for n in range(ARMED)])
            print(f"armed: {armed:,.0f} a second; armed again: {again:,.0f} a second")
            print(f"the server's memory with {ARMED:,} armed: {_server_mib():,.0f} MiB")
            router = _Router()
            async with _firing(bus, router):
                spread = await _due(bus, router, SPREAD, SPREAD_S, "spread")
                print(f"{SPREAD:,} due over {SPREAD_S:.0f} s, late: {_lateness(spread)}")
                at_once = await _due(bus, router, AT_ONCE, 0.0, "once")
                rate = len(at_once) / at_once[-1]
                print(
                    f"{AT_ONCE:,} due at one moment, late: {_lateness(at_once)}: "
                    f"{rate:,.0f} a second"
                )
    await overdue.main()
