"""A mailer on a real SQLite store and a real SMTP server; and a stage with NATS for alerts."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from libs.common import subjects
from libs.common.alerts import ATTENTION, Alert, Attention, Watch
from libs.common.bus.ask import ApiError
from libs.common.bus.client import Bus, open_bus
from libs.common.config import NotifierSettings
from libs.common.directory import watched
from libs.common.documents import (
    AGENTS,
    COLLECTIONS,
    MESSAGES,
    SESSIONS,
    Agent,
    Message,
    Session,
)
from libs.common.events import TextPart
from libs.common.mail_server import MailServer, read_server
from libs.common.mails import Mail
from libs.common.policy import Policy
from libs.common.seal import Sealer, new_key_setting
from libs.common.simulate.kept_mail import KeptMail
from libs.common.simulate.mail_sink import MailSink, running_sink
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import POLICY_KV
from libs.common.switches import Settings
from services.notifier.mail import mailing_alerts
from services.notifier.mail_line import Line
from services.notifier.mailer import Mailer
from tests.forge import Awaited, begin
from tests.notifier.rig import until

FROM = "Relaydesk <alerts@example.com>"
ADA = "ada@example.org"


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at

    def later(self, **by: float) -> None:
        self.at += timedelta(**by)


def server_at(url: str) -> MailServer:
    found = read_server(url, FROM)
    assert found is not None
    return found


def mail(**changes: Any) -> Mail:
    given: dict[str, Any] = {
        "key": "m1",
        "workspace": "acme",
        "kind": "alert",
        "to": ADA,
        "to_name": "Ada",
        "subject": "Hello",
        "text": "Plain.\n",
        "html": "<p>Rich.</p>",
        **changes,
    }
    return Mail(**given)


class Post:
    """Everything a mail passes through."""

    def __init__(self, store: Store, sink: MailSink, clock: Clock) -> None:
        self.store = store
        self.sink = sink
        self.clock = clock
        self.lines: list[Line] = []

    def mailer(self, *, url: str = "", timeout_s: float = 5.0) -> Mailer:
        """Return a mailer with connections of its own, as another process has them."""
        line = Line(server_at(url or self.sink.url), timeout_s=timeout_s)
        self.lines.append(line)
        return Mailer(self.store, line, now=self.clock)


@asynccontextmanager
async def posting(empty_store: Path, folder: Path) -> AsyncIterator[Post]:
    """Open the store and the sink."""
    path = folder / "relaydesk.db"
    shutil.copy(empty_store, path)
    async with open_store(f"sqlite:///{path}", COLLECTIONS) as store, running_sink() as sink:
        post = Post(store, sink, Clock())
        try:
            yield post
        finally:
            for line in post.lines:
                await line.close()


class Stage:
    """A workspace with two agents, whose alerts and sessions are the test's to make."""

    def __init__(self, settings: NotifierSettings, bus: Bus, store: Store, sink: MailSink) -> None:
        self.settings = settings
        self.bus = bus
        self.store = store
        self.sink = sink
        self.workspace = "acme"
        self._sequence = 0

    async def agent(self, name: str, **more: Any) -> None:
        agent = Agent(
            id=name,
            workspace=self.workspace,
            **{
                "name": name.title(),
                "email": f"{name}@example.org",
                "email_key": f"{name}@example.org",
                "role": "agent",
                **more,
            },
        )
        await self.store.insert(AGENTS, agent)

    async def waits(self, session: str, agent: str = "ada", **more: Any) -> Alert:
        """Have a session with three messages wait for an agent; return the alert."""
        at = datetime.now(UTC)
        alert = Alert(
            id=f"{session}:1:{agent}",
            workspace=self.workspace,
            agent=agent,
            at=at,
            expires_at=at + timedelta(minutes=15),
            session=session,
            channel="line",
            contact_name="Vera",
            url=f"/#/sessions/{session}",
            **{"trigger": "unassigned.message", "list": "unassigned", "count": 3, **more},
        )
        await self.store.insert(
            SESSIONS,
            Session(
                id=session,
                workspace=self.workspace,
                account="acme-line",
                channel="line",
                visitor=session,
                contact="c1",
                list="unassigned",
                open_key=session,
                created_at=at,
                updated_at=at,
                inbound=3,
                reads={},
            ),
        )
        watch = Watch(agent=agent, alert=alert.id, trigger=alert.trigger, since=at, last=at)
        await self.store.insert(
            ATTENTION,
            Attention(id=session, workspace=self.workspace, watches=(watch,), updated_at=at),
        )
        for number in (1, 2, 3):
            await self.says(session, number, f"words {number}")
        return alert

    async def says(self, session: str, number: int, text: str, **more: Any) -> None:
        """Store a message of the visitor."""
        self._sequence += 1
        at = datetime.now(UTC)
        message = Message(
            id=f"{session}-m{number}",
            workspace=self.workspace,
            account="acme-line",
            session=session,
            visitor=session,
            occurred_at=at,
            received_at=at,
            number=number,
            sequence=self._sequence,
            **{
                "provider_ids": (f"{session}-p{number}",),
                "key": f"{session}-{number}",
                "kind": "message",
                "timeline": session,
                "direction": "in",
                "sender": "visitor",
                "sender_name": "Vera",
                "parts": (TextPart(text=text),),
                **more,
            },
        )
        await self.store.insert(MESSAGES, message)

    async def publish(self, *alerts: Alert) -> None:
        """Put alerts onto the stream, as the engine does."""
        for alert in alerts:
            await self.bus.publish(
                subjects.alert("email", alert.workspace, alert.agent),
                msgspec.json.encode(alert),
                msg_id=f"{alert.id}:{alert.n}:email",
            )

    async def change(self, session: str, **changes: Any) -> None:
        found = await self.store.get(SESSIONS, self.workspace, session)
        assert found is not None
        await self.store.replace(SESSIONS, msgspec.structs.replace(found, **changes))

    async def policy(self, **settings: Any) -> None:
        policy = Policy(settings=Settings(**settings))
        await self.bus.kv_put(POLICY_KV, self.workspace, msgspec.json.encode(policy))

    async def mailed(self, count: int, *, within_s: float = 10) -> list[KeptMail]:
        """Wait until the server has so many mails; return them."""

        async def enough() -> list[KeptMail] | None:
            return list(self.sink.mails) if len(self.sink.mails) >= count else None

        return await until(enough, f"{count} mails", within_s=within_s)

    async def settled(self, durable: str = "emails-0") -> None:
        """Wait until no alert waits for the sink `email`."""

        async def idle() -> bool:
            try:
                asked = await self.bus.asker.api(f"CONSUMER.INFO.ALERTS.{durable}")
            except ApiError:  # it is being made
                return False
            return (asked["num_pending"], asked["num_ack_pending"]) == (0, 0)

        await until(idle, "an idle consumer")


@asynccontextmanager
async def staged_mail(
    nats_url: str, empty_store: Path, folder: Path, **settings: Any
) -> AsyncIterator[Stage]:
    """Open bus, store and sink for a workspace with Ada and Bob; nothing is mailed yet."""
    path = folder / "relaydesk.db"
    shutil.copy(empty_store, path)
    async with (
        open_bus(nats_url, name="test") as bus,
        open_store(f"sqlite:///{path}", COLLECTIONS) as store,
        running_sink() as sink,
    ):
        chosen = NotifierSettings(
            nats_url=nats_url,
            secret_key=new_key_setting(),
            store_url=f"sqlite:///{path}",
            **{
                "public_url": "https://desk.example",
                "smtp_url": sink.url,
                "mail_from": FROM,
                **settings,
            },
        )
        stage = Stage(chosen, bus, store, sink)
        for name in ("ada", "bob"):
            await stage.agent(name)
        yield stage


@asynccontextmanager
async def mailing_replica(stage: Stage) -> AsyncIterator[None]:
    """Run the sink `email` alone in this loop."""
    stop = asyncio.Event()
    sealer = Sealer.from_setting(stage.settings.secret_key)
    async with watched(stage.bus, sealer) as directory:
        await directory.complete.wait()
        async with mailing_alerts(stage.settings, (stage.bus, stage.store, directory), stop):
            try:
                yield
            finally:
                stop.set()


@asynccontextmanager
async def mailing_process(stage: Stage, folder: Path, name: str) -> AsyncIterator[Awaited]:
    """Run a whole notifier as a process of its own."""
    settings = stage.settings
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    environ |= {
        "RELAYDESK_NATS_URL": settings.nats_url,
        "RELAYDESK_STORE_URL": settings.store_url,
        "RELAYDESK_SECRET_KEY": settings.secret_key,
        "RELAYDESK_PUBLIC_URL": settings.public_url,
        "RELAYDESK_SMTP_URL": settings.smtp_url,
        "RELAYDESK_MAIL_FROM": settings.mail_from,
        "RELAYDESK_SMTP_TIMEOUT_S": str(settings.smtp_timeout_s),
    }
    with (folder / f"{name}.log").open("ab") as output:
        process = begin("services.notifier", environ=environ, output=output)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
