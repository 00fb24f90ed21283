"""What the tests of timers share: scheduler processes, a stand-in for the routers, due times."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from libs.common import subjects, timers
from libs.common.bus.client import Bus
from libs.common.bus.delivery import PubAck
from libs.common.commands import AnyCommand, Done, FireTimer, Refused
from libs.common.documents import Session
from libs.common.events import Timer
from libs.common.seal import new_key_setting
from tests.router.processes import Process

WORKSPACE = "acme"
_command: msgspec.json.Decoder[AnyCommand] = msgspec.json.Decoder(AnyCommand)


class Scheduler(Process):
    """One scheduler process; it can be killed and started again."""

    module = "services.scheduler"


def scheduler(name: str, folder: Path, nats_url: str, **more: str) -> Scheduler:
    """Return a scheduler process with *more* settings, not started yet."""
    return Scheduler(
        name,
        folder,
        {
            "RELAYDESK_NATS_URL": nats_url,
            "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'store.db'}",
            "RELAYDESK_SECRET_KEY": new_key_setting(),
            **more,
        },
    )


@asynccontextmanager
async def running(*processes: Process) -> AsyncIterator[None]:
    """Start all at the same time; stop what still runs at the end."""
    try:
        await asyncio.gather(*(asyncio.to_thread(process.start) for process in processes))
        yield
    finally:
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in processes))


def in_s(seconds: float) -> datetime:
    """Return the time in so many seconds."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def timer(session: str, due: datetime, rev: int = 1) -> Timer:
    """Return a timer as a session's write arms it."""
    return Timer(kind="silent_owner", workspace=WORKSPACE, session=session, due=due, rev=rev)


async def arm(bus: Bus, *armed: Timer) -> list[PubAck]:
    """Publish them as the router's outbox does."""
    said = []
    for one in armed:
        subject, data, headers = timers.message(one)
        said.append(bus.publish_soon(subject, data, msg_id="", headers=headers))
    return await asyncio.gather(*said)


class Sessions:
    """Stands in for routers and store: `due` by session, as one compare-and-set each.

    `acted` counts by session; `late_s` has the seconds after what was due; `asked` counts requests.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._chance = random.Random(14)  # noqa: S311 (no secret)
        self.due: dict[str, datetime] = {}
        self.gone: set[str] = set()
        self.acted: Counter[str] = Counter()
        self.late_s: dict[str, float] = {}
        self.asked = 0
        self.slow_s = 0.0
        self.dies = 0.0
        """Share of the commands whose answer is lost: the router was killed behind its write."""

    async def arm(self, *armed: Timer) -> None:
        """Note what is due, as the session's write does, and let the server know."""
        self.due |= {one.session: one.due for one in armed}
        await arm(self._bus, *armed)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[None]:
        """Answer commands."""
        end = await self._bus.serve(subjects.COMMANDS, queue="router", handle=self._answer)
        try:
            yield
        finally:
            await end()

    async def _answer(self, _subject: str, data: bytes) -> bytes:
        command = _command.decode(data)
        assert isinstance(command, FireTimer)
        self.asked += 1
        await asyncio.sleep(self.slow_s)
        if command.session in self.gone:
            refused = Refused(code="not_found", status=404, detail="no such session")
            return msgspec.json.encode(refused)
        now = datetime.now(UTC)
        due = self.due.get(command.session)
        if due is not None and due <= now:
            del self.due[command.session]
            self.acted[command.session] += 1
            self.late_s[command.session] = (now - due).total_seconds()
            if self._chance.random() < self.dies:
                return b"nobody answers"
        elif due is not None:
            await arm(self._bus, timer(command.session, due, rev=self.asked + 1000))
        return msgspec.json.encode(Done(session=session_of(command.session)))


def session_of(id_: str) -> Session:
    """Return some session of that id, as an answer carries one."""
    return Session(
        id=id_,
        workspace=WORKSPACE,
        account="a",
        channel="line",
        visitor="v",
        contact="c",
        list="assigned",
        open_key="a|v",
        created_at=datetime.now(UTC),
        updated_at=datetime.now(UTC),
    )


def late(values: Sequence[float]) -> str:
    """Say how late they were, for a failure."""
    ordered = sorted(values)
    return f"p50 {ordered[len(ordered) // 2]:.3f} s, last {ordered[-1]:.3f} s"
