"""The real thing: router processes on real NATS and one store."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.commands import (
    Actor,
    Answer,
    ClaimSession,
    Command,
    Done,
    OpenSession,
    Refused,
    SendScheduled,
)
from libs.common.documents import (
    COLLECTIONS,
    DIRECTORY,
    MESSAGES,
    SESSIONS,
    SYSTEM,
    DirectoryEntry,
    Message,
    Session,
    Settings,
)
from libs.common.errors import RetryableError
from libs.common.events import Fact, Inbound, MessageReceived, SendRequest, TextPart
from libs.common.ids import partition_of
from libs.common.policy import Policy
from libs.common.seal import new_key_setting
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from libs.common.subjects import DEAD, EVENTS, OUTBOUND, POLICY_KV
from tests.nats_server import NatsProcess
from tests.router.processes import Process

ACCOUNT = "acme-line"
_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


class Site:
    """Two router processes, and a test's own connections to what they stand on."""

    def __init__(self, routers: list[Process], bus: Bus, store: Store, workspace: str) -> None:
        self.routers = routers
        self.bus = bus
        self.store = store
        self.workspace = workspace

    async def switch(self, settings: Settings) -> None:
        """Set the workspace's switches, and wait until the watchers have them."""
        value = msgspec.json.encode(Policy(settings=settings))
        await self.bus.kv_put(POLICY_KV, self.workspace, value)
        await asyncio.sleep(0.3)

    async def publish(self, number: int, visitors: int, start: int = 0) -> None:
        """Put messages on INBOUND, as ingest does; the visitors take turns."""
        await asyncio.gather(
            *(self._publish(f"U{n % visitors}", n) for n in range(start, start + number))
        )

    async def _publish(self, visitor: str, number: int) -> None:
        event = MessageReceived(
            event_id=f"{self.workspace}-{number}",
            visitor=visitor,
            occurred_at=datetime.now(UTC),
            message_id=f"m{number}",
            parts=(TextPart(text=str(number)),),
        )
        inbound = Inbound(
            workspace=self.workspace,
            channel="line",
            account=ACCOUNT,
            ingest_id="i1",
            received_at=datetime.now(UTC),
            event=event,
        )
        subject = subjects.inbound(self.workspace, "line", ACCOUNT, visitor)
        await self.bus.publish(subject, msgspec.json.encode(inbound), msg_id=event.event_id)

    async def ask(self, command: Command, timeout_s: float = 10) -> Answer:
        """Ask as desk does."""
        verb = str(command.__struct_config__.tag)
        subject = subjects.command(0, self.workspace, verb)
        data = await self.bus.request(subject, msgspec.json.encode(command), timeout_s=timeout_s)
        return _answer.decode(data)

    def head(self, session: str, agent: str) -> dict[str, Any]:
        return {
            "workspace": self.workspace,
            "session": session,
            "actor": Actor(kind="agent", id=agent, name=agent.title()),
            "key": uuid.uuid4().hex,
            "deadline": datetime.now(UTC) + timedelta(seconds=10),
        }

    async def sessions(self) -> list[Session]:
        page = Page(order="updated", limit=1000)
        return await self.store.find(SESSIONS, self.workspace, {}, page)

    async def entries(self) -> list[Message]:
        where = {"account": ACCOUNT}
        return await self.store.find(MESSAGES, self.workspace, where, Page(order="key", limit=1000))

    async def facts(self) -> list[Fact]:
        subject = f"ev.{self.workspace}.>"
        found = await self.bus.read(EVENTS, subject, limit=5000)
        return [msgspec.json.decode(message.data, type=Fact) for message in found]

    async def until(
        self, found: Callable[[], Awaitable[bool]], what: str, within_s: float = 30.0
    ) -> None:
        deadline = time.monotonic() + within_s
        while not await found():
            assert time.monotonic() < deadline, f"{what}: {self.routers[0].log()[-1500:]}"
            await asyncio.sleep(0.05)

    async def until_counted(self, number: int) -> None:
        """Wait until the sessions count this many messages."""

        async def counted() -> bool:
            return sum(session.inbound for session in await self.sessions()) >= number

        await self.until(counted, f"{number} messages counted")


@pytest.fixture(scope="module")
def environ(
    tmp_path_factory: pytest.TempPathFactory, empty_store: Path
) -> Iterator[dict[str, str]]:
    """NATS and a store for this module's processes."""
    folder = tmp_path_factory.mktemp("routers")
    path = folder / "store.db"
    path.write_bytes(empty_store.read_bytes())
    nats = NatsProcess(folder / "nats")
    nats.start()
    yield {
        "RELAYDESK_NATS_URL": nats.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{path}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_LOG_LEVEL": "warning",
    }
    nats.stop()


@pytest.fixture(scope="module")
def routers(
    tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]
) -> Iterator[list[Process]]:
    """Two ready router processes."""
    folder = tmp_path_factory.mktemp("logs")
    made = [Process(f"router{n}", folder, environ) for n in range(2)]
    for process in made:
        process.start()
    yield made
    assert [process.stop() for process in made] == [0, 0]


@pytest.fixture
async def site(routers: list[Process], environ: dict[str, str]) -> AsyncIterator[Site]:
    """The processes, with a workspace of the test's own."""
    workspace = f"w{uuid.uuid4().hex[:8]}"
    async with (
        open_bus(environ["RELAYDESK_NATS_URL"], name="test") as bus,
        open_store(environ["RELAYDESK_STORE_URL"], COLLECTIONS) as store,
    ):
        known = DirectoryEntry(
            id=f"workspace:{workspace}", workspace=SYSTEM, kind="workspace", targets=(workspace,)
        )
        await store.insert(DIRECTORY, known)
        yield Site(routers, bus, store, workspace)


async def test_readiness_says_what_it_stands_on(site: Site) -> None:
    for router in site.routers:
        assert router.ready() == (
            200,
            {"serving": True, "bus": True, "store": True, "directory": True},
        )


async def test_a02_a05_the_switch_decides_from_one_message_to_the_next(site: Site) -> None:
    await site.publish(1, 1)
    await site.until_counted(1)
    await site.switch(Settings(auto_hosting=False))
    await site._publish("other", 2)
    await site.until_counted(2)
    assert {(s.visitor, s.list) for s in await site.sessions()} == {
        ("U0", "bot_hosted"),
        ("other", "unassigned"),
    }


async def test_a06_of_fifty_who_open_at_once_one_gets_it(site: Site) -> None:
    """Through both processes at once: each request goes to either of them."""
    await site.switch(Settings(auto_hosting=False))
    await site.publish(1, 1)
    await site.until_counted(1)
    [session] = await site.sessions()
    answers = await asyncio.gather(
        *(
            site.ask(OpenSession(**site.head(session.id, f"agent{n}"), expect="unassigned"))
            for n in range(50)
        )
    )
    [winner] = [answer for answer in answers if isinstance(answer, Done)]
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    owner = winner.session.owner
    assert len(refused) == 49
    assert {(r.code, r.facts["owner"]) for r in refused} == {("already_taken", owner)}
    moved = [fact for fact in await site.facts() if fact.type == "session.moved"]
    assert [(fact.previous_list, fact.list, fact.owner) for fact in moved] == [
        ("unassigned", "assigned", owner)
    ]


async def test_i10_poison_is_buried_and_its_neighbours_are_not(site: Site) -> None:
    visitor = "U0"
    partition = partition_of(site.workspace, ACCOUNT, visitor)
    subject = f"in.{partition}.{site.workspace}.line.{ACCOUNT}"
    await site.publish(3, 1)
    await site.bus.publish(subject, b'{"not": "an event"}', msg_id=uuid.uuid4().hex)
    await site.publish(3, 1, start=3)
    await site.until_counted(6)

    async def buried() -> bool:
        found = await site.bus.read(DEAD, f"dead.router.{subject}")
        return [message.headers["Relaydesk-Reason"] for message in found] == ["malformed"]

    await site.until(buried, "the poison on DEAD")


async def test_an_unknown_session_is_answered_at_once(site: Site) -> None:
    answer = await site.ask(ClaimSession(**site.head("ses_none", "amy")))
    assert isinstance(answer, Refused)
    assert (answer.code, answer.status) == ("not_found", 404)


async def test_a4_routers_killed_under_load_lose_and_double_nothing(site: Site) -> None:
    """600 messages of 30 visitors while each process is killed and started again."""
    publishing = asyncio.create_task(publish_slowly(site, 600, 30))
    for router in site.routers:
        await asyncio.sleep(0.3)
        await asyncio.to_thread(router.kill)
        await asyncio.to_thread(router.start)
    await publishing
    await site.until_counted(600)

    async def settled() -> bool:
        return all(session.outbox_since is None for session in await site.sessions())

    await site.until(settled, "every outbox empty")
    sessions = await site.sessions()
    assert Counter(session.visitor for session in sessions) == Counter(f"U{n}" for n in range(30))
    assert {(session.inbound, session.entries) for session in sessions} == {(20, 20)}
    entries = await site.entries()
    assert len(entries) == 600
    for session in sessions:
        own = [entry for entry in entries if entry.session == session.id]
        assert sorted(entry.number for entry in own) == list(range(1, 21))
    stored = Counter(f.message for f in await site.facts() if f.type == "message.stored")
    assert (len(stored), max(stored.values())) == (600, 1)


async def test_b25_routers_killed_while_they_send_what_is_due_send_each_once(site: Site) -> None:
    """To 60 visitors with a session and 60 without; who gets no answer asks again, as is."""
    await site.publish(60, 60)
    await site.until_counted(60)
    opened = {session.visitor: session for session in await site.sessions()}
    sending = asyncio.gather(*(send_due(site, f"U{n}", opened.get(f"U{n}")) for n in range(120)))
    for router in site.routers:
        await asyncio.sleep(0.15)
        await asyncio.to_thread(router.kill)
        await asyncio.to_thread(router.start)
    await sending

    async def settled() -> bool:
        return all(session.outbox_since is None for session in await site.sessions())

    await site.until(settled, "every outbox empty")
    sent = [entry for entry in await site.entries() if entry.origin]
    assert Counter(entry.visitor for entry in sent) == Counter(f"U{n}" for n in range(120))
    found = await site.bus.read(OUTBOUND, f"out.*.{ACCOUNT}.>", limit=5000)
    requests = [msgspec.json.decode(each.data, type=SendRequest) for each in found]
    asked = Counter(r.message_id for r in requests if r.workspace == site.workspace)
    assert asked == Counter(entry.id for entry in sent)


async def send_due(site: Site, visitor: str, session: Session | None) -> None:
    """Ask until there is an answer."""
    await asyncio.sleep(int(visitor[1:]) % 60 / 30)
    while True:
        command = SendScheduled(
            workspace=site.workspace,
            session=session.id if session else f"ses_{site.workspace}_{visitor}",
            actor=Actor(kind="schedule", id=f"sch-{visitor}", name="Ann"),
            key=visitor,
            deadline=datetime.now(UTC) + timedelta(seconds=2),
            parts=(TextPart(text="your parcel"),),
            origin=f"scheduled:sch-{visitor}",
            account=ACCOUNT,
            channel="line",
            visitor=visitor,
            contact=session.contact if session else "con1",
            over=session is None,
        )
        try:
            answer = await site.ask(command, timeout_s=2)
        except RetryableError:
            await asyncio.sleep(0.05)
            continue
        if isinstance(answer, Done):
            return
        assert answer.status >= 500, answer


async def publish_slowly(site: Site, number: int, visitors: int) -> None:
    for start in range(0, number, 20):
        await site.publish(20, visitors, start)
        await asyncio.sleep(0.1)


async def test_i17_a_stop_finishes_and_hands_over(site: Site) -> None:
    logged = len(site.routers[0].log())
    publishing = asyncio.create_task(publish_slowly(site, 200, 20))
    await asyncio.sleep(0.3)
    began = time.monotonic()
    assert await asyncio.to_thread(site.routers[0].stop) == 0
    assert time.monotonic() - began < 10
    await publishing
    await site.until_counted(200)  # the other has taken over
    await asyncio.to_thread(site.routers[0].start)
    assert len(await site.entries()) == 200
    assert '"level":"error"' not in site.routers[0].log()[logged:]
