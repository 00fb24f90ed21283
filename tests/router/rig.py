"""A router without its processes: the real handlers on a real store, and a bus that remembers.

The bus stands in for JetStream at the edge: it keeps what is published once per message id.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common import subjects
from libs.common.bus.delivery import Ack, Delivery, Outcome, PubAck
from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.channels.web.wire import VisitorMessage
from libs.common.commands import (
    Actor,
    AddNote,
    Answer,
    AssignSession,
    ClaimSession,
    Command,
    Done,
    EndSession,
    MarkRead,
    OpenSession,
    Refused,
    RetrySend,
    SendMessage,
    SetBot,
)
from libs.common.documents import (
    COLLECTIONS,
    CONTACTS,
    DIRECTORY,
    IDENTITIES,
    MESSAGES,
    SESSIONS,
    SYSTEM,
    DirectoryEntry,
    Message,
    Session,
    Settings,
)
from libs.common.errors import BusUnavailableError, PermanentError
from libs.common.events import (
    Fact,
    Inbound,
    InboundEvent,
    MessageReceived,
    Profile,
    SendRequest,
    TextPart,
)
from libs.common.policy import Policy
from libs.common.store.api import In, Page, Store
from libs.common.store.open import open_store
from libs.common.timeline import Related
from services.router.assigner import Assigner, Bell
from services.router.batch import Batch
from services.router.bots import Bots
from services.router.execute import Executor
from services.router.handle import Handler
from services.router.mirror import Mirror
from services.router.outbox import Outbox, Publishes
from services.router.rooms import Rooms
from services.router.seats import Seats

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WORKSPACE = "acme"
ACCOUNT = "acme-line"
HOSTED = Settings()
UNHOSTED = Settings(auto_hosting=False)

_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def at(seconds: float) -> datetime:
    """Return a time of the story, in seconds after its start."""
    return T0 + timedelta(seconds=seconds)


def said(
    text: str, seconds: float = 0, *, visitor: str = "U1", key: str = "", **more: Any
) -> MessageReceived:
    """Return what a visitor wrote."""
    return MessageReceived(
        event_id=key or f"e-{visitor}-{text}",
        visitor=visitor,
        occurred_at=at(seconds),
        message_id=f"m-{key or text}",
        parts=(TextPart(text=text),),
        profile=more.pop("profile", Profile(name="Vera")),
        **more,
    )


def event(kind: type[InboundEvent], key: str, seconds: float, /, **fields: Any) -> InboundEvent:
    """Return an event of the visitor U1, or of another named in *fields*."""
    visitor = fields.pop("visitor", "U1")
    return kind(event_id=key, visitor=visitor, occurred_at=at(seconds), **fields)


def arrived(
    event: InboundEvent,
    *,
    channel: str = "line",
    account: str = ACCOUNT,
    workspace: str = WORKSPACE,
    received_at: datetime | None = None,
) -> Inbound:
    """Return *event* as ingest publishes it: received half a second after it occurred."""
    return Inbound(
        workspace=workspace,
        channel=channel,
        account=account,
        ingest_id="in-1",
        received_at=received_at or event.occurred_at + timedelta(seconds=0.5),
        event=event,
    )


def delivery(inbound: Inbound | bytes, sequence: int, attempt: int = 1) -> Delivery:
    """Return a delivery of INBOUND."""
    data = inbound if isinstance(inbound, bytes) else msgspec.json.encode(inbound)
    return Delivery(
        subject="in.0.acme.line.acme-line",
        data=data,
        headers={},
        sequence=sequence,
        attempt=attempt,
        partition=0,
        pending=0,
        reply="",
    )


class MemoryBus:
    """Keeps what is published, once per message id; `away` and `refuses` keep nothing."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, bytes]] = {}
        self.published = 0
        self.away = False
        self.refuses = False

    def publish_soon(
        self,
        subject: str,
        data: bytes,
        *,
        msg_id: str,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 (the port's)
    ) -> asyncio.Future[PubAck]:
        future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
        if self.away:
            future.set_exception(BusUnavailableError("away"))
            return future
        if self.refuses:
            future.set_exception(PermanentError("too large"))
            return future
        duplicate = msg_id in self.kept
        self.kept.setdefault(msg_id, (subject, data))
        self.published += 1
        future.set_result(PubAck(sequence=len(self.kept), duplicate=duplicate))
        return future

    def facts(self, *kinds: str) -> list[Fact]:
        """Return the facts said so far, in order."""
        found = [
            msgspec.json.decode(data, type=Fact)
            for subject, data in self.kept.values()
            if subject.startswith("ev.")
        ]
        return [fact for fact in found if not kinds or fact.type in kinds]

    def sends(self) -> list[SendRequest]:
        """Return the sends said so far, in order."""
        return [
            msgspec.json.decode(data, type=SendRequest)
            for subject, data in self.kept.values()
            if subject.startswith("out.")
        ]

    def shown(self) -> list[tuple[str, VisitorMessage]]:
        """Return what web visitors see, each with its subject, in order."""
        return [
            (subject, msgspec.json.decode(data, type=VisitorMessage))
            for subject, data in self.kept.values()
            if subject.startswith("visitor.")
        ]


class Rig:
    """One router's worth of handlers, with the clock and the switches in the test's hand."""

    def __init__(self, store: Store, bus: MemoryBus, settings: Settings) -> None:
        self.store = store
        self.bus = bus
        self.says: Publishes = bus
        self.settings = settings
        self.policy = Policy(settings=settings)
        """All but the switches, which are `settings`."""
        self.present: dict[str, str] = {}
        self.serves_queue = False
        """Whether what puts a session into the queue, or frees a place, has it served at once."""
        self.accounts: dict[str, Account] = {}
        self.channels = dict(CHANNELS)
        self.siblings: dict[str, str] = {}
        self.now = at(60)
        self.patience = timedelta(seconds=5)
        """How long an answer to a command is waited for, by that clock."""
        self.sequence = 0
        self._keys = 0
        self.restart()

    def restart(self) -> None:
        """Forget everything a process would forget."""
        bell = Bell()
        self.seats = Seats(self.store, self._clock, state=self._state, freed=bell)
        self.outbox = Outbox(self.store, self.says, self._clock, seats=self.seats, queued=bell)
        self.rooms = Rooms(
            self._rules,
            self.seats,
            bots=Bots(self.store),
            account=self.accounts.get,
            channels=self.channels,
        )
        batch = Batch(self.store, self.outbox, self.rooms, self._clock, sibling=self._sibling)
        self.handler = Handler(batch, self.outbox, self._clock, Mirror(self.says))
        self.executor = Executor(self.store, self.outbox, self.rooms, self._clock)
        self.assigner = Assigner(self.store, self.outbox, self.rooms, self._clock)
        if self.serves_queue:
            bell.on_ring.append(self.assigner.queued)

    def twin(self) -> Rig:
        """Return another process on the same store and bus."""
        return self.process(self.store, self.bus)

    def process(self, store: Store, says: Publishes) -> Rig:
        """Return another process, which sees the same store and bus in its own way."""
        made = Rig(store, self.bus, self.settings)
        made.says = says
        made.policy, made.present = self.policy, self.present
        made.serves_queue = self.serves_queue
        made.accounts, made.channels = self.accounts, self.channels
        made.siblings = self.siblings
        made.now = self.now
        made.sequence = self.sequence
        made.restart()
        return made

    def _clock(self) -> datetime:
        return self.now

    def _sibling(self, slug: str) -> str:
        return self.siblings.get(slug, "")

    def _state(self, _workspace: str, agent: str) -> str:
        return self.present.get(agent, "")

    def _rules(self, _workspace: str) -> Policy:
        """Return the policy, the same object until it changes."""
        if self.policy.settings != self.settings:
            self.policy = msgspec.structs.replace(self.policy, settings=self.settings)
        return self.policy

    # --- events

    def number(self, events: Iterable[InboundEvent | Inbound | bytes]) -> list[Delivery]:
        """Give *events* their places in the stream."""
        found = []
        for event in events:
            self.sequence += 1
            inbound = event if isinstance(event, Inbound | bytes) else arrived(event)
            found.append(delivery(inbound, self.sequence))
        return found

    async def take(self, *events: InboundEvent | Inbound | bytes) -> list[Delivery]:
        """Deliver *events* in one batch and see them acknowledged."""
        deliveries = self.number(events)
        assert await self.deliver(deliveries) == [Ack()] * len(deliveries)
        return deliveries

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        return await self.handler(deliveries)

    # --- commands

    async def ask(self, command: Command) -> Answer:
        """Ask as desk does."""
        verb = str(command.__struct_config__.tag)
        subject = subjects.command(0, command.workspace, verb)
        answer = await self.executor.handle(subject, msgspec.json.encode(command))
        return _answer.decode(answer)

    async def done(self, command: Command) -> Done:
        answer = await self.ask(command)
        assert isinstance(answer, Done), answer
        return answer

    async def refused(self, command: Command) -> Refused:
        answer = await self.ask(command)
        assert isinstance(answer, Refused), answer
        return answer

    def head(self, session: str, agent: str | Actor, key: str = "") -> dict[str, Any]:
        """Return what every command carries."""
        self._keys += 1
        actor = (
            agent if isinstance(agent, Actor) else Actor(kind="agent", id=agent, name=agent.title())
        )
        return {
            "workspace": WORKSPACE,
            "session": session,
            "actor": actor,
            "key": key or f"k{self._keys}",
            "deadline": self.now + self.patience,
        }

    def machine(self, kind: str, name: str) -> Actor:
        """Return a bot, an automation or a schedule."""
        return Actor(kind=kind, id=name, name=name)

    def send(
        self, session: str, agent: str | Actor, text: str, key: str = "", **more: Any
    ) -> SendMessage:
        parts = (TextPart(text=text),) if text else ()
        return SendMessage(**self.head(session, agent, key), parts=parts, **more)

    def retry(self, session: str, agent: str | Actor, message: str, key: str = "") -> RetrySend:
        return RetrySend(**self.head(session, agent, key), message=message)

    def open(self, session: str, agent: str, key: str = "", **more: Any) -> OpenSession:
        return OpenSession(**self.head(session, agent, key), **more)

    def claim(self, session: str, agent: str, key: str = "") -> ClaimSession:
        return ClaimSession(**self.head(session, agent, key))

    def assign(self, session: str, agent: str, *assignees: str, key: str = "") -> AssignSession:
        names = {name: name.title() for name in assignees}
        return AssignSession(**self.head(session, agent, key), assignees=assignees, names=names)

    def bot(self, session: str, agent: str, *, on: bool, key: str = "") -> SetBot:
        return SetBot(**self.head(session, agent, key), on=on)

    def end(self, session: str, agent: str, key: str = "", **more: Any) -> EndSession:
        return EndSession(**self.head(session, agent, key), **more)

    def note(
        self, session: str, agent: str, text: str, key: str = "", mentions: tuple[str, ...] = ()
    ) -> AddNote:
        return AddNote(**self.head(session, agent, key), text=text, mentions=mentions)

    def read(self, session: str, agent: str, up_to: int | None = None) -> MarkRead:
        return MarkRead(**self.head(session, agent), up_to=up_to)

    # --- what is stored

    async def sessions(self, *lists: str) -> list[Session]:
        """Return the sessions, oldest change first."""
        wanted = In(lists or ("bot_hosted", "unassigned", "assigned", "ended"))
        page = Page(order="list", limit=1000)
        found = await self.store.find(SESSIONS, WORKSPACE, {"list": wanted}, page)
        return sorted(found, key=lambda session: (session.created_at, session.id))

    async def only(self) -> Session:
        """Return the one session there is."""
        [session] = await self.sessions()
        return session

    async def entries(self, session: str) -> list[Message]:
        """Return the session's entries by number."""
        page = Page(order="session", limit=1000)
        return await self.store.find(MESSAGES, WORKSPACE, {"session": session}, page)

    async def messages(self, ids: Iterable[str]) -> list[Message]:
        """Return these entries."""
        return list((await self.store.get_many(MESSAGES, WORKSPACE, list(ids))).values())

    async def timeline(self, session: str) -> list[Message]:
        """Return what the timeline shows, in display order."""
        page = Page(order="timeline", limit=1000)
        return await self.store.find(MESSAGES, WORKSPACE, {"timeline": session}, page)

    async def related(self, wanted: Related) -> list[Message]:
        """Return what a page needs besides, as desk finds it."""
        asked = [("target", "target", value) for value in wanted.targets]
        asked += [("provider", "provider_ids", value) for value in wanted.provider_ids]
        found: list[Message] = []
        for order, field, value in asked:
            where = {"account": ACCOUNT, field: value}
            found += await self.store.find(
                MESSAGES, WORKSPACE, where, Page(order=order, limit=1000)
            )
        return found

    async def everything(self) -> dict[str, list[Any]]:
        """Return every document that the router writes, as plain values."""
        await self.outbox.flush()
        found = {
            "sessions": await self.sessions(),
            "messages": await self.store.find(
                MESSAGES,
                WORKSPACE,
                {"account": In((ACCOUNT, "acme-web"))},
                Page(order="key", limit=1000),
            ),
            "contacts": await self.store.find(
                CONTACTS, WORKSPACE, {}, Page(order="seen", limit=1000)
            ),
            "identities": await self.store.find(
                IDENTITIES, WORKSPACE, {}, Page(order="contact", limit=1000)
            ),
        }
        return {name: msgspec.to_builtins(docs) for name, docs in found.items()}


@asynccontextmanager
async def rig_on(url: str, settings: Settings = HOSTED) -> AsyncIterator[Rig]:
    """Yield a rig on a fresh store."""
    async with open_store(url, COLLECTIONS) as store:
        known = DirectoryEntry(
            id=f"workspace:{WORKSPACE}", workspace=SYSTEM, kind="workspace", targets=(WORKSPACE,)
        )
        await store.insert_many(DIRECTORY, [known])
        yield Rig(store, MemoryBus(), settings)
