"""The engine of alerts on real NATS and SQLite; what the router would say is said by the test."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from libs.common import subjects
from libs.common.alerts import ATTENTION, Alert, Attention, Preferences
from libs.common.bus.client import Bus, open_bus
from libs.common.directory import Directory, watched
from libs.common.documents import COLLECTIONS, SESSIONS, LastMessage, Session
from libs.common.errors import StaleRevisionError
from libs.common.events import Fact, FactType
from libs.common.policy import Member, Policy, Present
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import ALERTS, POLICY_KV, PREFERENCES_KV, PRESENCE_KV
from libs.common.switches import Alerting, Settings
from services.notifier.alerting import alerting
from tests.notifier.rig import until

T = TypeVar("T")

MEMBERS = (
    Member(id="ada", name="Ada", role="owner"),
    Member(id="bob", name="Bob"),
    Member(id="cleo", name="Cleo"),
)
_numbers = itertools.count(1)


def now() -> datetime:
    return datetime.now(UTC)


class Desk:
    """A workspace whose sessions, people and facts are the test's to make."""

    def __init__(self, bus: Bus, store: Store, workspace: str) -> None:
        self.bus = bus
        self.store = store
        self.workspace = workspace
        self._numbers = itertools.count(1)

    async def found(self, alerts: Alerting | None = None, members: Any = MEMBERS) -> None:
        """Publish the policy."""
        settings = Settings(alerts=alerts or Alerting(escalation=()))
        policy = Policy(settings=settings, members=members)
        await self.bus.kv_put(POLICY_KV, self.workspace, msgspec.json.encode(policy))

    async def prefers(self, agent: str, **chosen: Any) -> None:
        preferences = Preferences(id=agent, workspace=self.workspace, **chosen)
        key = f"{self.workspace}.{agent}"
        await self.bus.kv_put(PREFERENCES_KV, key, msgspec.json.encode(preferences))

    async def is_online(self, agent: str) -> None:
        key = f"{self.workspace}.{agent}"
        await self.bus.kv_put(PRESENCE_KV, key, msgspec.json.encode(Present(since=now())))

    async def opens(self, name: str, **more: Any) -> Session:
        """Store a session without a message yet."""
        at = now()
        session = Session(
            id=name,
            workspace=self.workspace,
            account="line-1",
            channel="line",
            visitor=name,
            contact="con_1",
            open_key=name,
            created_at=at,
            updated_at=at,
            **{"list": "unassigned", "contact_name": "Vera", **more},
        )
        return await self.store.insert(SESSIONS, session)

    async def changes(self, name: str, change: Callable[[Session], None]) -> Session:
        while True:
            session = await self.store.get(SESSIONS, self.workspace, name)
            assert session is not None
            change(session)
            try:
                return await self.store.replace(SESSIONS, session)
            except StaleRevisionError:
                continue

    async def writes(self, name: str, count: int = 1, text: str = "hello") -> list[Fact]:
        """Let the visitor write so many messages, and publish the facts."""
        at = now()
        found: list[int] = []

        def change(session: Session) -> None:
            found[:] = [session.inbound + n + 1 for n in range(count)]
            session.inbound += count
            session.heard_at = at
            session.last_message = LastMessage(
                id=f"m{session.inbound}", at=at, direction="in", sender="visitor", excerpt=text
            )

        session = await self.changes(name, change)
        facts = [
            self.fact(session, "message.stored", actor="visitor", inbound=number, at=at)
            for number in found
        ]
        await self.says(*facts)
        return facts

    async def reads(self, name: str, agent: str) -> None:
        def change(session: Session) -> None:
            session.reads = {**session.reads, agent: session.inbound}

        session = await self.changes(name, change)
        await self.says(self.fact(session, "session.read", actor=f"agent:{agent}"))

    async def claims(self, name: str, agent: str) -> None:
        def change(session: Session) -> None:
            session.list, session.owner, session.assignee_ids = "assigned", agent, (agent,)

        session = await self.changes(name, change)
        actor = f"agent:{agent}"
        await self.says(
            self.fact(session, "session.moved", actor=actor),
            self.fact(session, "session.assigned", actor=actor, joined=(agent,)),
        )

    def fact(self, session: Session, kind: FactType, **more: Any) -> Fact:
        return Fact(
            fact_id=f"{self.workspace}:{session.id}:{session.rev}:{next(self._numbers)}",
            type=kind,
            workspace=self.workspace,
            session=session.id,
            list=session.list,
            assignees=session.assignee_ids,
            **{"at": now(), **more},
        )

    async def says(self, *facts: Fact) -> None:
        await asyncio.gather(
            *(
                self.bus.publish_soon(
                    subjects.fact(fact.workspace, fact.type, fact.session),
                    msgspec.json.encode(fact),
                    msg_id=fact.fact_id,
                )
                for fact in facts
            )
        )

    # --- what is seen

    async def alerts(self, sink: str = "*", agent: str = "*") -> list[Alert]:
        """Return what was published, in order."""
        found: list[Alert] = []
        start = 1
        while True:
            page = await self.bus.read(
                ALERTS,
                subjects.alert(sink, self.workspace, agent),
                from_sequence=start,
                limit=500,
            )
            found += [msgspec.json.decode(one.data, type=Alert) for one in page]
            if len(page) < 500:
                return found
            start = page[-1].sequence + 1

    async def told(self, count: int, *, sink: str = "*", agent: str = "*") -> list[Alert]:
        """Wait until so many were published; return them."""

        async def enough() -> list[Alert] | None:
            found = await self.alerts(sink, agent)
            return found if len(found) >= count else None

        return await until(enough, f"{count} alerts by {sink} to {agent}", within_s=15)

    async def attention(self, name: str) -> Attention | None:
        return await self.store.get(ATTENTION, self.workspace, name)


@asynccontextmanager
async def open_desk(nats_url: str, folder: Path, **policy: Any) -> AsyncIterator[Desk]:
    """Open bus and store for a workspace of its own; no engine runs yet."""
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(open_bus(nats_url, name="test"))
        url = f"sqlite:///{folder / 'relaydesk.db'}"
        store = await opened.enter_async_context(open_store(url, COLLECTIONS))
        desk = Desk(bus, store, f"alerts-{next(_numbers)}")
        await desk.found(**policy)
        yield desk


@asynccontextmanager
async def engine(desk: Desk) -> AsyncIterator[Directory]:
    """Run the engine until the block ends."""
    stop = asyncio.Event()
    sealer = Sealer.from_setting(new_key_setting())
    async with watched(desk.bus, sealer) as directory:
        await directory.complete.wait()
        async with alerting(desk.bus, desk.store, directory, now, stop):
            try:
                yield directory
            finally:
                stop.set()


async def later(seconds: float) -> None:
    """Let time pass in which nothing is to happen."""
    await asyncio.sleep(seconds)


async def within(work: Callable[[], Awaitable[T | None]], what: str) -> T:
    return await until(work, what, within_s=15)


def ago(seconds: float) -> datetime:
    return now() - timedelta(seconds=seconds)
