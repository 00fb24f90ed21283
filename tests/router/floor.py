"""A floor of agents: whole routers in this process, on a real NATS server and a real store."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common import presence, subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.commands import (
    Actor,
    Answer,
    AssignSession,
    ClaimSession,
    Command,
    Done,
    EndSession,
    RemoveAssignees,
)
from libs.common.directory import watched
from libs.common.documents import (
    COLLECTIONS,
    DECISIONS,
    DIRECTORY,
    LOADS,
    SESSIONS,
    SYSTEM,
    DecisionRecord,
    DirectoryEntry,
    Session,
)
from libs.common.events import Inbound, MessageReceived, TextPart
from libs.common.policy import Member, Policy, Present
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from libs.common.subjects import POLICY_KV
from libs.common.switches import Settings
from services.router.app import Clock, route

ACCOUNT = "acme-line"
AUTO = Settings(auto_hosting=False, auto_assign=True)

_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def real_now() -> datetime:
    return datetime.now(UTC)


def team_of(**limits: int) -> tuple[Member, ...]:
    """Return members by name and limit."""
    return tuple(Member(id=name, name=name.title(), limit=limit) for name, limit in limits.items())


class Floor:
    """A workspace of the test's own, with what its people and visitors do."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self.bus = bus
        self.store = store
        self.workspace = f"w{uuid.uuid4().hex[:8]}"
        self.policy = Policy(settings=AUTO)
        self.limits: dict[str, int] = {}

    # --- people

    async def change(self, **parts: Any) -> None:
        """Change parts of the policy, as desk publishes it."""
        self.policy = msgspec.structs.replace(self.policy, **parts)
        await self.bus.kv_put(POLICY_KV, self.workspace, msgspec.json.encode(self.policy))

    async def present(self, *agents: str, state: str = "online") -> None:
        """Let *agents* be online, or away."""
        here = Present(state=state, since=datetime.now(UTC))  # type: ignore[arg-type]
        for agent in agents:
            await presence.keep(self.bus, self.workspace, agent, here)

    async def gone(self, *agents: str) -> None:
        """Let *agents* be offline."""
        for agent in agents:
            await presence.leave(self.bus, self.workspace, agent)

    async def ask(self, command: Command) -> Answer:
        """Ask as desk does."""
        verb = str(command.__struct_config__.tag)
        subject = subjects.command(0, self.workspace, verb)
        data = await self.bus.request(subject, msgspec.json.encode(command), timeout_s=20)
        return _answer.decode(data)

    async def done(self, command: Command) -> Done:
        answer = await self.ask(command)
        assert isinstance(answer, Done), answer
        return answer

    def head(self, session: str, agent: str) -> dict[str, Any]:
        return {
            "workspace": self.workspace,
            "session": session,
            "actor": Actor(kind="agent", id=agent, name=agent.title()),
            "key": uuid.uuid4().hex,
            "deadline": datetime.now(UTC) + timedelta(seconds=20),
        }

    def claim(self, session: str, agent: str) -> ClaimSession:
        return ClaimSession(**self.head(session, agent))

    def end(self, session: str, agent: str = "lead") -> EndSession:
        return EndSession(**self.head(session, agent))

    def assign(self, session: str, *agents: str) -> AssignSession:
        return AssignSession(**self.head(session, "lead"), assignees=agents)

    def remove(self, session: str, *agents: str) -> RemoveAssignees:
        return RemoveAssignees(**self.head(session, "lead"), agents=agents)

    # --- visitors

    async def write(self, *visitors: str, text: str = "hello", channel: str = "line") -> None:
        """Let each visitor write, one after the other."""
        for visitor in visitors:
            event = MessageReceived(
                event_id=uuid.uuid4().hex,
                visitor=visitor,
                occurred_at=datetime.now(UTC),
                message_id=uuid.uuid4().hex,
                parts=(TextPart(text=text),),
            )
            inbound = Inbound(
                workspace=self.workspace,
                channel=channel,
                account=ACCOUNT,
                ingest_id="i1",
                received_at=datetime.now(UTC),
                event=event,
            )
            subject = subjects.inbound(self.workspace, channel, ACCOUNT, visitor)
            await self.bus.publish(subject, msgspec.json.encode(inbound), msg_id=event.event_id)

    # --- what is stored

    async def sessions(self) -> dict[str, Session]:
        """Return the newest session of each visitor."""
        page = Page(order="updated", limit=1000)
        found = await self.store.find(SESSIONS, self.workspace, {}, page)
        return {s.visitor: s for s in sorted(found, key=lambda session: session.created_at)}

    async def owners(self) -> dict[str, str]:
        """Return who has the session of each visitor; empty: it waits."""
        found = await self.sessions()
        return {v: s.owner or "" for v, s in found.items() if s.list in {"assigned", "unassigned"}}

    async def decisions(self, session: str) -> list[DecisionRecord]:
        page = Page(order="session", limit=100)
        return await self.store.find(DECISIONS, self.workspace, {"session": session}, page)

    async def places(self, agents: Sequence[str]) -> dict[str, set[str]]:
        """Return for which sessions each agent's places are taken."""
        found = await self.store.get_many(LOADS, self.workspace, list(agents))
        return {a: {h.session for h in load.held} for a, load in found.items() if load.held}

    async def owned(self) -> dict[str, set[str]]:
        """Return which sessions each agent owns."""
        page = Page(order="list", limit=1000)
        found: dict[str, set[str]] = {}
        for session in await self.store.find(SESSIONS, self.workspace, {"list": "assigned"}, page):
            found.setdefault(session.owner or "", set()).add(session.id)
        return found

    async def until(
        self, holds: Callable[[], Awaitable[object]], what: str, within_s: float = 20.0
    ) -> float:
        """Wait until it *holds*; return the seconds that it took."""
        began = time.monotonic()
        while not await holds():
            assert time.monotonic() - began < within_s, what
            await asyncio.sleep(0.01)
        return time.monotonic() - began

    async def until_owned(self, **owners: str) -> float:
        """Wait until these visitors' sessions are with these agents; "" is waiting."""

        async def so() -> bool:
            found = await self.owners()
            return all(found.get(visitor) == owner for visitor, owner in owners.items())

        try:
            return await self.until(so, "")
        except AssertionError:
            raise AssertionError(f"wanted {owners}, have {await self.owners()}") from None

    async def until_at_rest(self, agents: Sequence[str], within_s: float = 30.0) -> None:
        """Wait until places and owned sessions are the same."""

        async def same() -> bool:
            return await self.places(agents) == await self.owned()

        await self.until(same, "places are the owned sessions", within_s)


class Watch:
    """Looks at who owns how many, until it is told to stop."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self.stop = asyncio.Event()
        self.most: Counter[str] = Counter()

    async def run(self) -> None:
        while not self.stop.is_set():
            for agent, sessions in (await self._floor.owned()).items():
                self.most[agent] = max(self.most[agent], len(sessions))
            await asyncio.sleep(0.02)


@asynccontextmanager
async def router(nats_url: str, store_url: str, now: Clock = real_now) -> AsyncIterator[None]:
    """Run a whole router in this process, by the clock *now*, until the block ends."""
    stop = asyncio.Event()
    async with (
        open_bus(nats_url, name="router") as bus,
        open_store(store_url, COLLECTIONS) as store,
        watched(bus, Sealer.from_setting(new_key_setting())) as directory,
    ):
        await directory.complete.wait()
        task = asyncio.create_task(route(bus, store, directory, stop, now))
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait_for(task, 20)


@asynccontextmanager
async def floor_on(
    nats_url: str, store_url: str, routers: int = 1, now: Clock = real_now
) -> AsyncIterator[Floor]:
    """Yield a floor with *routers* of its own, whose clock is *now*."""
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(open_bus(nats_url, name="test"))
        store = await opened.enter_async_context(open_store(store_url, COLLECTIONS))
        floor = Floor(bus, store)
        await floor.change()
        known = DirectoryEntry(
            id=f"workspace:{floor.workspace}",
            workspace=SYSTEM,
            kind="workspace",
            targets=(floor.workspace,),
        )
        await store.insert(DIRECTORY, known)
        for _ in range(routers):
            await opened.enter_async_context(router(nats_url, store_url, now))
        yield floor
