"""The whole way: a router and a scheduler as processes, real NATS and one store."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.commands import Actor, AnyCommand, ClaimSession, Done, EndSession, SendMessage
from libs.common.documents import (
    COLLECTIONS,
    DIRECTORY,
    MESSAGES,
    SESSIONS,
    SYSTEM,
    DirectoryEntry,
    Session,
)
from libs.common.events import Fact, Inbound, MessageReceived, TextPart
from libs.common.policy import Member, Policy
from libs.common.seal import new_key_setting
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from libs.common.subjects import EVENTS, POLICY_KV
from libs.common.switches import Settings
from tests.nats_server import NatsProcess
from tests.router.processes import ROOT, Process
from tests.scheduler.rig import Scheduler

PATIENCE_S = 2
MEMBERS = (Member(id="amy", name="Amy"), Member(id="lea", role="lead"))


class Floor:
    """A workspace of the test's own, with one visitor's session."""

    def __init__(self, bus: Bus, store: Store, store_url: str) -> None:
        self.bus = bus
        self.store = store
        self.store_url = store_url
        self.workspace = f"w{uuid.uuid4().hex[:8]}"
        self.policy = Policy(members=MEMBERS)

    async def opened(self, **settings: Any) -> Session:
        """Set the switches and let a visitor write; return their session, which waits."""
        entry = DirectoryEntry(
            id=f"workspace:{self.workspace}",
            workspace=SYSTEM,
            kind="workspace",
            targets=(self.workspace,),
        )
        await self.store.insert(DIRECTORY, entry)
        switches = Settings(auto_hosting=False, silent_owner_s=PATIENCE_S, **settings)
        self.policy = msgspec.structs.replace(self.policy, settings=switches)
        await self.bus.kv_put(POLICY_KV, self.workspace, msgspec.json.encode(self.policy))
        await asyncio.sleep(0.3)
        await self.writes("hello")
        return await self.session(lambda session: session.inbound == 1)

    async def writes(self, text: str) -> None:
        event = MessageReceived(
            event_id=f"{self.workspace}-{text}",
            visitor="U1",
            occurred_at=datetime.now(UTC),
            message_id=f"m-{text}",
            parts=(TextPart(text=text),),
        )
        inbound = Inbound(
            workspace=self.workspace,
            channel="line",
            account=f"{self.workspace}-line",
            ingest_id="i1",
            received_at=datetime.now(UTC),
            event=event,
        )
        subject = subjects.inbound(self.workspace, "line", inbound.account, "U1")
        await self.bus.publish(subject, msgspec.json.encode(inbound), msg_id=event.event_id)

    async def session(self, wanted: Callable[[Session], bool], within_s: float = 30.0) -> Session:
        """Return the session once it is as wanted."""
        async with asyncio.timeout(within_s):
            while True:
                page = Page(order="updated", limit=10)
                found = await self.store.find(SESSIONS, self.workspace, {}, page)
                if found and wanted(found[0]):
                    return found[0]
                await asyncio.sleep(0.05)

    def command(self, kind: type[AnyCommand], session: Session, **more: Any) -> AnyCommand:
        return kind(
            workspace=self.workspace,
            session=session.id,
            actor=Actor(kind="agent", id="amy", name="Amy"),
            key=uuid.uuid4().hex,
            deadline=datetime.now(UTC) + timedelta(seconds=10),
            **more,
        )

    async def done(self, command: AnyCommand) -> Session:
        verb = str(command.__struct_config__.tag)
        subject = subjects.command(0, self.workspace, verb)
        data = await self.bus.request(subject, msgspec.json.encode(command), timeout_s=10)
        return msgspec.json.decode(data, type=Done).session

    async def facts(self, *kinds: str) -> list[Fact]:
        """Return what the silence of an owner has brought so far."""
        found = await self.bus.read(EVENTS, f"ev.{self.workspace}.>", limit=500)
        facts = [msgspec.json.decode(message.data, type=Fact) for message in found]
        return [f for f in facts if f.because == "silent_owner" and (not kinds or f.type in kinds)]

    async def told(self, within_s: float = 30.0) -> Fact:
        """Return the first of those facts."""
        async with asyncio.timeout(within_s):
            while True:
                if found := await self.facts():
                    return found[0]
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """NATS and a store for this module's processes."""
    folder = tmp_path_factory.mktemp("live")
    nats = NatsProcess(folder / "nats")
    nats.start()
    yield {
        "RELAYDESK_NATS_URL": nats.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'store.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_LOG_LEVEL": "warning",
    }
    nats.stop()


@pytest.fixture(scope="module")
def router(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("logs")
    router, scheduler = Process("router", folder, environ), Scheduler("one", folder, environ)
    router.start()
    scheduler.start()
    yield router
    assert [router.stop(), scheduler.stop()] == [0, 0]


@pytest.fixture
async def floor(router: Process, environ: dict[str, str]) -> AsyncIterator[Floor]:
    assert router.ready()[0] == 200
    url = environ["RELAYDESK_STORE_URL"]
    async with (
        open_bus(environ["RELAYDESK_NATS_URL"], name="test", publish_timeout_s=5.0) as bus,
        open_store(url, COLLECTIONS) as store,
    ):
        yield Floor(bus, store, url)


def _any(_session: Session) -> bool:
    return True


async def _nothing(_floor: Floor, _session: Session) -> None:
    """The owner is silent."""


async def _reply(floor: Floor, session: Session) -> None:
    await floor.done(floor.command(SendMessage, session, parts=(TextPart(text="hi"),)))


async def _end(floor: Floor, session: Session) -> None:
    await floor.done(floor.command(EndSession, session))


Act = Callable[[Floor, Session], Awaitable[None]]
LIVES: dict[str, tuple[str, Act, list[tuple[str, tuple[str, ...]]], str]] = {
    "remind": ("remind", _nothing, [("session.notice", ("amy",))], "assigned"),
    "alert_lead": ("alert_lead", _nothing, [("session.notice", ("lea",))], "assigned"),
    "reassign": (
        "reassign",
        _nothing,
        [("session.moved", ()), ("session.assigned", ()), ("session.handoff", ())],
        "unassigned",
    ),
    "queue": ("queue", _nothing, [("session.moved", ()), ("session.assigned", ())], "unassigned"),
    "a reply before it wins": ("queue", _reply, [], "assigned"),
    "the end before it wins": ("queue", _end, [], "ended"),
}


@pytest.mark.parametrize(("action", "act", "expected", "list_"), LIVES.values(), ids=LIVES)
async def test_d17_live_at_its_time_and_once(
    floor: Floor, action: Any, act: Act, expected: list[tuple[str, tuple[str, ...]]], list_: str
) -> None:
    session = await floor.opened(silent_owner=action)
    owned = await floor.done(floor.command(ClaimSession, session))
    due = owned.due["silent_owner"]
    assert owned.awaiting_since is not None
    assert due == owned.awaiting_since + timedelta(seconds=PATIENCE_S)
    await act(floor, owned)
    if expected:
        await floor.writes("still there?")  # the same stretch
        late_s = ((await floor.told()).at - due).total_seconds()
        assert 0.0 <= late_s <= 1.0
    await asyncio.sleep(max((due - datetime.now(UTC)).total_seconds(), 0.0) + 1.0)
    assert [(fact.type, fact.notify) for fact in await floor.facts()] == expected
    after = await floor.session(_any)
    assert (after.list, after.due) == (list_, {})
    where, page = {"timeline": after.id}, Page(order="timeline", limit=20)
    entries = await floor.store.find(MESSAGES, floor.workspace, where, page)
    told = [entry.what for entry in entries if entry.sender_id == "timer"]
    moved = ["unassigned"] if list_ == "unassigned" else ["silent_owner"]
    assert told == (moved if expected else [])


async def test_killed_between_the_write_and_its_words_a_timer_is_armed_by_the_sweeper(
    floor: Floor,
) -> None:
    """No reconciler is needed: what is to be armed is in the write that made it due."""
    session = await floor.opened(silent_owner="remind")
    claim = floor.command(ClaimSession, session)
    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.scheduler.dies", floor.store_url],
        input=msgspec.json.encode((floor.policy, claim)),
        cwd=ROOT,
        timeout=30,
        check=False,
    )
    assert died.returncode == -9
    left = await floor.session(_any)
    assert (left.owner, len(left.timers), await floor.facts()) == ("amy", 1, [])
    assert await floor.bus.read(subjects.TIMERS, f"timer.*.{session.id}") == []
    assert (await floor.told()).notify == ("amy",)
    await asyncio.sleep(1.0)
    assert len(await floor.facts()) == 1
