"""What the live tests of idle ends share: workspaces with many old sessions, and how they ended."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.bus.client import Bus
from libs.common.documents import DIRECTORY, SESSIONS, SYSTEM, DirectoryEntry, ListName, Session
from libs.common.events import Fact
from libs.common.policy import Policy
from libs.common.store.api import Page, Store
from libs.common.subjects import EVENTS, POLICY_KV
from libs.common.switches import IdleRule, Settings, Termination

OLD = timedelta(days=30)


def idle(idle_s: int, **more: Any) -> IdleRule:
    """Return a rule for every channel."""
    return IdleRule(idle_s=idle_s, **more)


class Floor:
    """A workspace of the test's own."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self.bus = bus
        self.store = store
        self.workspace = f"w{uuid.uuid4().hex[:8]}"
        self.policy = Policy()

    async def furnish(self) -> None:
        """Make the workspace known."""
        entry = DirectoryEntry(
            id=f"workspace:{self.workspace}",
            workspace=SYSTEM,
            kind="workspace",
            targets=(self.workspace,),
        )
        await self.store.insert(DIRECTORY, entry)
        await self.set()

    async def set(self, *rules: IdleRule, on: bool = False, **more: Any) -> datetime:
        """Set the policy as the settings do; return since when idle time counts."""
        since = datetime.now(UTC)
        termination = Termination(rules=rules, **{"per_minute": 6000, "since": since, **more})
        settings = Settings(auto_termination=on, termination=termination, auto_hosting=False)
        self.policy = msgspec.structs.replace(self.policy, settings=settings)
        await self.bus.kv_put(POLICY_KV, self.workspace, msgspec.json.encode(self.policy))
        return since

    async def old(
        self, count: int, list_: ListName = "unassigned", channel: str = "messenger"
    ) -> list[str]:
        """Store sessions in which nothing has happened for a month; return their ids."""
        made = [self._old(number, list_, channel) for number in range(count)]
        for place in range(0, count, 500):
            assert await self.store.insert_many(SESSIONS, made[place : place + 500]) == {}
        return [session.id for session in made]

    def _old(self, number: int, list_: ListName, channel: str) -> Session:
        at = datetime.now(UTC) - OLD
        account, visitor = f"{self.workspace}-{channel}".replace("_", "-"), f"{list_}{number}"
        return Session(
            id=f"ses_{uuid.uuid4().hex}",
            workspace=self.workspace,
            account=account,
            channel=channel,
            visitor=visitor,
            contact=f"con_{visitor}",
            list=list_,
            open_key=f"{account}|{visitor}",
            bot=list_ == "bot_hosted",
            owner="amy" if list_ == "assigned" else None,
            assignee_ids=("amy",) if list_ == "assigned" else (),
            created_at=at,
            updated_at=at,
            spoke="visitor",
            idle_since=at,
        )

    async def ended(self) -> list[Session]:
        """Return all that have ended so far."""
        page = Page(order="list", limit=1000)
        found: list[Session] = []
        while True:
            rows = await self.store.find(SESSIONS, self.workspace, {"list": "ended"}, page)
            found += rows
            if len(rows) < page.limit:
                return found
            last = rows[-1]
            page = msgspec.structs.replace(page, after=("ended", last.updated_at, last.id))

    async def count(self) -> int:
        """Return how many have ended so far."""
        return await self.store.count(SESSIONS, self.workspace, {"list": "ended"}, limit=100_000)

    async def all_ended(self, count: int, within_s: float) -> list[Session]:
        """Return those that have ended once there are so many."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + within_s
        while await self.count() < count:
            assert loop.time() < ends, f"{await self.count()} of {count} ended"
            await asyncio.sleep(0.1)
        return await self.ended()

    async def told(self) -> Counter[str]:
        """Return how often each session was said to have ended by itself."""
        subject = f"ev.{self.workspace}.session.ended.*"
        read = await self.bus.read(EVENTS, subject, limit=100_000)
        facts = [msgspec.json.decode(message.data, type=Fact) for message in read]
        return Counter(fact.session for fact in facts if fact.because == "auto_terminated")


def fastest(ended: Sequence[datetime], window_s: float) -> int:
    """Return the most that ended within any stretch of so many seconds."""
    ordered = sorted(ended)
    first = most = 0
    for last, at in enumerate(ordered):
        while (at - ordered[first]).total_seconds() > window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


def ended_at(session: Session) -> datetime:
    """Return when a session ended."""
    assert session.ended_at is not None
    return session.ended_at
