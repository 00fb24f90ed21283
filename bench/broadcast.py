"""Broadcasts: messages a second, and what agents' replies feel of one that runs.

Router, notifier and scheduler are processes; the provider is a stand-in in this one. A reply is
timed from the command to the provider's call, first without and then beside a broadcast on the
same account, in one run.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from bench.ingest import started as serving
from libs.common import subjects
from libs.common.armed import arm_again
from libs.common.broadcasts import pace_of, started
from libs.common.bus.client import Bus, open_bus
from libs.common.commands import Actor, Done, SendMessage
from libs.common.directory import AccountEntry, seal_context
from libs.common.documents import (
    ACCOUNTS,
    COLLECTIONS,
    CONTACTS,
    DIRECTORY,
    IDENTITIES,
    SESSIONS,
    SYSTEM,
    AccountDocument,
    Assignee,
    Contact,
    DirectoryEntry,
    Identity,
    Session,
)
from libs.common.embedded import embedded_nats
from libs.common.events import TextPart
from libs.common.ids import partition_of
from libs.common.later import BROADCASTS, RECIPIENTS, Audience, Broadcast
from libs.common.policy import Member, Policy
from libs.common.seal import Sealer, new_key_setting
from libs.common.simulate.stub import Stub, running_stub
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import ACCOUNTS_KV, POLICY_KV

WORKSPACE, SHOP, CHANNEL = "bench", "bench-line", "line"
PEOPLE = 1000
REPLIES = 100
TALKS = 10
EVERY_S = 0.08
SERVICES = ("router", "notifier", "scheduler")
_LONGEST_S = 120.0


class Floor:
    """A workspace with one account, followers, and sessions that an agent has."""

    def __init__(self, bus: Bus, store: Store, stub: Stub) -> None:
        self.bus = bus
        self.store = store
        self.stub = stub

    async def fill(self, sealer: Sealer) -> None:
        """Store all, and let the services know."""
        entry = DirectoryEntry(
            id=f"workspace:{WORKSPACE}", workspace=SYSTEM, kind="workspace", targets=(WORKSPACE,)
        )
        await self.store.insert(DIRECTORY, entry)
        policy = Policy(members=(Member(id="amy", name="Amy"),))
        await self.bus.kv_put(POLICY_KV, WORKSPACE, msgspec.json.encode(policy))
        secrets = {"channel_secret": "s", "access_token": "t"}
        account = AccountEntry(
            workspace=WORKSPACE,
            slug=SHOP,
            channel=CHANNEL,
            external_id="U1",
            api_base=self.stub.base(SHOP),
            sealed={
                name: sealer.seal(value, seal_context(WORKSPACE, SHOP, name))
                for name, value in secrets.items()
            },
        )
        await self.bus.kv_put(ACCOUNTS_KV, SHOP, msgspec.json.encode(account))
        document = AccountDocument(id=SHOP, workspace=WORKSPACE, channel=CHANNEL, external_id="U1")
        await self.store.insert(ACCOUNTS, document)
        for start in range(0, PEOPLE, 500):
            numbers = range(start, min(start + 500, PEOPLE))
            await self.store.insert_many(CONTACTS, [_contact(n) for n in numbers])
            await self.store.insert_many(IDENTITIES, [_identity(n) for n in numbers])
        await self.store.insert_many(SESSIONS, [_session(n) for n in range(TALKS)])

    async def broadcast(self) -> Broadcast:
        """Start a broadcast to all."""
        now = _now()
        draft = Broadcast(
            id="brd_bench",
            workspace=WORKSPACE,
            name="bench",
            author="amy",
            audience=Audience(),
            parts=(TextPart(text="news"),),
            created_at=now,
            updated_at=now,
        )
        ready = started(draft, now) or draft
        return await arm_again(
            self.bus, self.store, BROADCASTS, await self.store.insert(BROADCASTS, ready)
        )

    async def replies(self, name: str) -> list[float]:
        """Reply at a steady pace; return the seconds until each was with the provider, sorted."""
        sent_at: dict[str, float] = {}
        asked = []
        for number in range(REPLIES):
            text = f"{name} {number}"
            sent_at[text] = time.time()
            asked.append(asyncio.create_task(self._reply(number % TALKS, text)))
            await asyncio.sleep(EVERY_S)
        await asyncio.gather(*asked)
        async with asyncio.timeout(_LONGEST_S):
            while True:
                items = self.stub.sent(SHOP)
                there = {i.text: i.at.timestamp() for i in items if i.text in sent_at}
                if len(there) == REPLIES:
                    return sorted(at - sent_at[text] for text, at in there.items())
                await asyncio.sleep(0.05)

    async def done(self) -> None:
        """Wait for the end of the broadcast."""
        async with asyncio.timeout(_LONGEST_S):
            while True:
                found = await self.store.get(BROADCASTS, WORKSPACE, "brd_bench")
                if found is not None and found.state == "done":
                    return
                await asyncio.sleep(0.1)

    async def _reply(self, talk: int, text: str) -> None:
        command = SendMessage(
            workspace=WORKSPACE,
            session=f"ses_{talk}",
            actor=Actor(kind="agent", id="amy", name="Amy"),
            key=text,
            deadline=_now() + timedelta(seconds=30),
            parts=(TextPart(text=text),),
        )
        partition = partition_of(WORKSPACE, command.session, "")
        subject = subjects.command(partition, WORKSPACE, "send")
        data = await self.bus.request(subject, msgspec.json.encode(command), timeout_s=30)
        msgspec.json.decode(data, type=Done)


def _now() -> datetime:
    return datetime.now(UTC)


def _contact(number: int) -> Contact:
    return Contact(id=f"con_{number}", workspace=WORKSPACE, first_seen_at=_now())


def _identity(number: int) -> Identity:
    return Identity(
        id=f"idn_{number}",
        workspace=WORKSPACE,
        account=SHOP,
        channel=CHANNEL,
        visitor=f"U{number}",
        contact=f"con_{number}",
        first_seen_at=_now(),
    )


def _session(number: int) -> Session:
    now = _now()
    return Session(
        id=f"ses_{number}",
        workspace=WORKSPACE,
        account=SHOP,
        channel=CHANNEL,
        visitor=f"U{number}",
        contact=f"con_{number}",
        list="assigned",
        open_key=f"{SHOP}|U{number}",
        owner="amy",
        assignees=(Assignee(agent="amy", since=now, name="Amy"),),
        assignee_ids=("amy",),
        created_at=now,
        updated_at=now,
        window_at=now,
        last_inbound_at=now,
    )


@asynccontextmanager
async def _floor(folder: Path) -> AsyncIterator[Floor]:
    async with AsyncExitStack() as opened:
        url = await opened.enter_async_context(embedded_nats(folder / "nats", sync_always=False))
        store_url = f"sqlite:///{folder / 'bench.db'}"
        stub = await opened.enter_async_context(running_stub())
        bus = await opened.enter_async_context(open_bus(url, name="bench", publish_timeout_s=30))
        store = await opened.enter_async_context(open_store(store_url, COLLECTIONS))
        key = new_key_setting()
        floor = Floor(bus, store, stub)
        await floor.fill(Sealer.from_setting(key))
        for name in SERVICES:
            environ = {
                "RELAYDESK_NATS_URL": url,
                "RELAYDESK_STORE_URL": store_url,
                "RELAYDESK_SECRET_KEY": key,
                "RELAYDESK_LOG_LEVEL": "warning",
                "RELAYDESK_PORT_FILE": str(folder / f"{name}.json"),
            }
            module = ["-m", f"services.{name}"]
            await opened.enter_async_context(serving(name, module, environ, folder))
        await asyncio.sleep(3.0)  # until they have their partitions
        yield floor


def _said(late_s: list[float]) -> str:
    p50, p99 = late_s[len(late_s) // 2], late_s[len(late_s) * 99 // 100]
    return f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, last {late_s[-1] * 1000:.0f} ms"


async def main() -> None:
    """Print the rate and the replies' times."""
    print(f"\n## Broadcast to {PEOPLE:,}, {REPLIES} replies of agents beside it, one account\n")
    with tempfile.TemporaryDirectory() as name:
        async with _floor(Path(name)) as floor:
            await floor.replies("warm")
            alone = await floor.replies("alone")
            print(f"replies alone:              {_said(alone)}")
            began = time.perf_counter()
            broadcast = await floor.broadcast()
            await asyncio.sleep(1.5)
            beside = await floor.replies("beside")
            still = await floor.store.count(
                RECIPIENTS, WORKSPACE, {"broadcast": broadcast.id, "state": "pending"}, limit=PEOPLE
            )
            print(f"replies beside a broadcast: {_said(beside)}; {still:,} waited still")
            await floor.done()
            took_s = time.perf_counter() - began
            rate = PEOPLE / took_s
            asked = pace_of(broadcast, CHANNEL) / 60
            print(f"broadcast: {rate:,.0f} messages a second; its pace is {asked:,.0f}")
