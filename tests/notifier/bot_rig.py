"""A whole installation around webhook bots: real services on real NATS and SQLite, in one loop.

Outside are the provider stub, which shows what the customer sees, and the bot stub.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from libs.common import subjects
from libs.common.bots.secrets import fresh_secret, seal_secret
from libs.common.bus.client import Bus, open_bus
from libs.common.commands import Actor, Answer, ClaimSession, SetBot
from libs.common.config import DeskSettings, NotifierSettings, RouterSettings, SchedulerSettings
from libs.common.directory import AccountEntry, seal_context
from libs.common.documents import (
    ATTACHMENTS,
    BOTS,
    COLLECTIONS,
    DIRECTORY,
    SESSIONS,
    SYSTEM,
    WORKSPACES,
    Attachment,
    Bot,
    DirectoryEntry,
    Session,
    Settings,
    Workspace,
)
from libs.common.events import Fact, Inbound, MessageReceived, TextPart
from libs.common.ids import partition_of
from libs.common.policies import publish_policy
from libs.common.seal import Sealer, new_key_setting
from libs.common.simulate.stub import Stub, running_stub
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from libs.common.subjects import ACCOUNTS_KV, EVENTS
from services.desk import app as desk
from services.notifier import app as notifier
from services.router import app as router
from services.scheduler import app as scheduler
from tests.bot_stub import BotStub
from tests.notifier.rig import until
from tests.simulate.accounts import account

_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
DEADLINE_S = 5
TIMEOUT_S = 2.0
"""How long a bot has for one call here."""


class Town:
    """The stage: the stores, both stubs, and the workspaces that were founded."""

    def __init__(self, store: Store, bus: Bus, provider: Stub, bots: BotStub, key: str) -> None:
        self.store = store
        self.bus = bus
        self.provider = provider
        self.bots = bots
        self.sealer = Sealer.from_setting(key)
        self.desk_url = ""
        self.settings: NotifierSettings
        self._numbers = itertools.count(1)

    async def found(self, **more: Any) -> Office:
        """Return a new workspace with a LINE account, whose sessions a webhook bot hosts."""
        name = f"bots-{next(self._numbers)}"
        office = Office(self, name)
        await office.furnish(**more)
        return office


class Office:
    """A workspace, its one account and its one bot, all of the same name."""

    def __init__(self, town: Town, name: str) -> None:
        self.town = town
        self.name = name
        self.url = town.bots.url(name)
        self._numbers = itertools.count(1)

    async def furnish(
        self, *, settings: Settings | None = None, url: str = "", channel: str = "line"
    ) -> None:
        town = self.town
        chosen = settings or Settings(bot_deadline_s=DEADLINE_S)
        entry = DirectoryEntry(
            id=f"workspace:{self.name}", workspace=SYSTEM, kind="workspace", targets=(self.name,)
        )
        await town.store.insert(DIRECTORY, entry)
        await town.store.insert(
            WORKSPACES, Workspace(id=self.name, workspace=self.name, settings=chosen)
        )
        secret = town.bots.secrets[self.name] = fresh_secret()
        self.bot = await town.store.insert(
            BOTS,
            Bot(
                id=self.name,
                workspace=self.name,
                name="Robo",
                kind="webhook",
                url=url or self.url,
                sealed=seal_secret(town.sealer, self.name, self.name, secret),
            ),
        )
        await self._connect(channel)
        await publish_policy(town.store, town.bus, self.name)
        await asyncio.sleep(0.2)  # until the watches have brought it

    async def _connect(self, channel: str) -> None:
        town = self.town
        of = account(channel, slug=self.name, api_base=town.provider.base(self.name))
        self.channel = channel
        entry = AccountEntry(
            workspace=self.name,
            slug=self.name,
            channel=channel,
            external_id=of.external_id,
            api_base=of.api_base,
            sealed={
                name: town.sealer.seal(value, seal_context(self.name, self.name, name))
                for name, value in of.secrets.items()
            },
        )
        await town.bus.kv_put(ACCOUNTS_KV, self.name, msgspec.json.encode(entry))

    async def keeps_file(self, file_id: str, **more: Any) -> None:
        """Store the document of an upload, as people make one."""
        file = Attachment(
            id=file_id,
            workspace=self.name,
            direction="out",
            state="stored",
            created_at=datetime.now(UTC),
            **more,
        )
        await self.town.store.insert(ATTACHMENTS, file)

    # --- what happens

    async def writes(self, text: str, *, visitor: str = "U1", ago: timedelta = timedelta()) -> None:
        """Let the customer write, as ingest publishes it."""
        number = next(self._numbers)
        now = datetime.now(UTC)
        event = MessageReceived(
            event_id=f"e-{self.name}-{number}",
            visitor=visitor,
            occurred_at=now - ago,
            message_id=f"m{number}",
            parts=(TextPart(text=text),),
        )
        inbound = Inbound(
            workspace=self.name,
            channel=self.channel,
            account=self.name,
            ingest_id="i1",
            received_at=now,
            event=event,
        )
        subject = subjects.inbound(self.name, self.channel, self.name, visitor)
        await self.town.bus.publish(subject, msgspec.json.encode(inbound), msg_id=event.event_id)

    async def claims(self, agent: str = "ada") -> None:
        """Let a person take the session over."""
        await self.does(ClaimSession, agent)

    async def switches_bot(self, *, on: bool) -> None:
        """Let a person press the robot button."""
        await self.does(SetBot, "ada", on=on)

    async def does(self, kind: Any, agent: str, **more: Any) -> Answer:
        session = await self.session()
        command = kind(
            workspace=self.name,
            session=session.id,
            actor=Actor(kind="agent", id=agent, name=agent.title()),
            key=f"k{next(self._numbers)}",
            deadline=datetime.now(UTC) + timedelta(seconds=10),
            **more,
        )
        partition = partition_of(session.workspace, session.account, session.visitor)
        verb = str(kind.__struct_config__.tag)
        subject = subjects.command(partition, self.name, verb)
        data = await self.town.bus.request(subject, msgspec.json.encode(command), timeout_s=5)
        answer = _answer.decode(data)
        assert type(answer).__name__ == "Done", answer
        return answer

    async def asks_again(self) -> None:
        """Deliver each fact that asks the bot once more, as a broker may."""
        for stored in await self.town.bus.read(EVENTS, f"ev.{self.name}.bot.asked.*"):
            await self.town.bus.publish(
                stored.subject, stored.data, msg_id=f"again-{next(self._numbers)}-{self.name}"
            )

    # --- what is seen

    @property
    def calls(self) -> list[Any]:
        """What the bot was asked."""
        return self.town.bots.calls[self.name]

    @property
    def shown(self) -> list[str]:
        """What the customer was shown."""
        return self.town.provider.shown(self.name)

    async def sessions(self) -> list[Session]:
        return await self.town.store.find(SESSIONS, self.name, {}, Page(order="updated", limit=100))

    async def session(self) -> Session:
        [session] = await self.sessions()
        return session

    async def facts(self, kind: str) -> list[Fact]:
        found = await self.town.bus.read(EVENTS, f"ev.{self.name}.{kind}.*")
        return [msgspec.json.decode(message.data, type=Fact) for message in found]

    async def handed_off(self, *, within_s: float = 30) -> Session:
        """Wait until a human is asked; return the session as it is then."""

        async def waits() -> Session | None:
            found = await self.sessions()
            return found[0] if found and found[0].list == "unassigned" else None

        return await until(waits, "a hand-off", within_s=within_s)

    async def handoff(self) -> str:
        """Return why a human was asked, once."""
        return (await self.alert()).because

    async def alert(self) -> Fact:
        """Return the one fact that a human was asked."""

        async def asked() -> list[Fact]:
            return await self.facts("session.handoff")

        [fact] = await until(asked, "the fact of a hand-off")
        return fact

    async def told(self, count: int, *, within_s: float = 30) -> list[str]:
        """Wait until the customer was shown so many messages."""

        async def enough() -> bool:
            return len(self.shown) >= count

        await until(enough, f"{count} messages, there are {self.shown}", within_s=within_s)
        return self.shown

    async def called(self, count: int = 1, *, within_s: float = 30) -> None:
        """Wait until the bot was called so often."""

        async def enough() -> bool:
            return len(self.calls) >= count

        await until(enough, f"{count} calls of the bot", within_s=within_s)


@asynccontextmanager
async def open_town(
    nats_url: str, folder: Path, *, notifies: bool = True, local: bool = True
) -> AsyncIterator[Town]:
    """Run an installation until the block ends; without *notifies* no notifier runs yet."""
    key = new_key_setting()
    store_url = f"sqlite:///{folder / 'relaydesk.db'}"
    common: dict[str, Any] = {"nats_url": nats_url, "secret_key": key, "store_url": store_url}
    ports = folder / "desk.ports.json"
    async with AsyncExitStack() as opened:
        provider = await opened.enter_async_context(running_stub())
        bots = await opened.enter_async_context(BotStub().running())
        bus = await opened.enter_async_context(open_bus(nats_url, name="test"))
        store = await opened.enter_async_context(open_store(store_url, COLLECTIONS))
        town = Town(store, bus, provider, bots, key)
        port_of_desk = DeskSettings(**common, port=0, port_file=str(ports))
        await opened.enter_async_context(_serving(desk.serve, port_of_desk))
        await opened.enter_async_context(_serving(router.serve, RouterSettings(**common)))
        await opened.enter_async_context(_serving(scheduler.serve, SchedulerSettings(**common)))

        async def listening() -> bool:
            return ports.exists()

        await until(listening, "desk's port", within_s=20)
        town.desk_url = f"http://127.0.0.1:{msgspec.json.decode(ports.read_bytes())['port']}"
        town.settings = NotifierSettings(
            **common, public_url=town.desk_url, provider_timeout_s=TIMEOUT_S, local_bots=local
        )
        if notifies:
            await opened.enter_async_context(_serving(notifier.serve, town.settings))
        yield town


@asynccontextmanager
async def _serving(
    serve: Callable[[Any, asyncio.Event], Awaitable[None]], settings: Any
) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.ensure_future(serve(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 15)
