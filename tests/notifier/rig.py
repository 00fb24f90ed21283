"""A notifier on real NATS and SQLite, with the provider stub as the whole outside world."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aiohttp
import msgspec

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.channel import Account
from libs.common.config import NotifierSettings
from libs.common.directory import AccountEntry, seal_context
from libs.common.documents import (
    ATTACHMENTS,
    MESSAGES,
    SENDS,
    SESSIONS,
    Attachment,
    SendAttempt,
    Session,
)
from libs.common.errors import BusUnavailableError
from libs.common.events import (
    Inbound,
    MediaKind,
    SendReported,
    SendRequest,
    TextPart,
    Thread,
)
from libs.common.files.open import open_files
from libs.common.health import Seen, together
from libs.common.seal import Sealer, new_key_setting
from libs.common.simulate.stub import Stub
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import ACCOUNTS_KV, HEALTH_KV, INBOUND
from services.notifier.app import serve
from tests.forge import Awaited, begin
from tests.simulate.accounts import account

T = TypeVar("T")


class Rig:
    """The stage: bus, store, stub, and the accounts that were connected."""

    def __init__(self, settings: NotifierSettings, bus: Bus, store: Store, stub: Stub) -> None:
        self.settings = settings
        self.bus = bus
        self.store = store
        self.stub = stub
        self._sealer = Sealer.from_setting(settings.secret_key)
        self._number = 0

    async def connect(
        self, channel: str, slug: str, *, api_base: str = "", **changes: Any
    ) -> Account:
        """Put an account into the directory; its calls go to the stub."""
        of = account(channel, slug=slug, api_base=api_base or self.stub.base(slug))
        of = msgspec.structs.replace(of, **changes)
        entry = AccountEntry(
            workspace=of.workspace,
            slug=of.slug,
            channel=channel,
            external_id=of.external_id,
            name=of.name,
            app=of.app,
            api_base=of.api_base,
            features=of.features,
            templates=of.templates,
            sealed={
                name: self._sealer.seal(value, seal_context(of.workspace, of.slug, name))
                for name, value in of.secrets.items()
            },
        )
        await self.bus.kv_put(ACCOUNTS_KV, slug, msgspec.json.encode(entry))
        await asyncio.sleep(0.1)  # until the watch has brought it
        return of

    async def disconnect(self, of: Account) -> None:
        """Take an account out of the directory."""
        await self.bus.kv_delete(ACCOUNTS_KV, of.slug)

    async def send(self, of: Account, *texts: str, **more: Any) -> str:
        """Queue a message as the router does; return its id."""
        self._number += 1
        message_id = f"msg_{of.slug}_{self._number}"
        request = SendRequest(
            message_id=message_id,
            workspace=of.workspace,
            channel=of.channel,
            account=of.slug,
            queued_at=datetime.now(UTC),
            sender="agent:ada",
            **{
                "parts": tuple(TextPart(text=text) for text in texts),
                "session": f"ses_{of.slug}",
                "visitor": "visitor-1",
                "thread": THREAD,
                **more,
            },
        )
        subject = subjects.outbound(
            request.workspace, request.account, request.visitor, request.session
        )
        await self.bus.publish(subject, msgspec.json.encode(request), msg_id=message_id)
        return message_id

    async def talk(self, of: Account, session: str, **more: Any) -> None:
        """Store a session, as the router keeps it."""
        now = datetime.now(UTC)
        kept = Session(
            id=session,
            workspace=of.workspace,
            account=of.slug,
            channel=of.channel,
            visitor="visitor-1",
            contact="con_1",
            list="assigned",
            open_key=session,
            created_at=now,
            updated_at=now,
            **more,
        )
        await self.store.insert(SESSIONS, kept)

    async def attach(
        self,
        of: Account,
        content: bytes,
        mime_type: str = "image/png",
        *,
        name: str = "a.png",
        kind: MediaKind = "image",
    ) -> str:
        """Store a file as an upload does; return its id."""
        self._number += 1
        file_id = f"att_{of.slug}_{self._number}"

        async def chunks() -> AsyncIterator[bytes]:
            yield content

        async with open_files(self.settings.files_url, self.settings.store_url) as files:
            await files.put(of.workspace, file_id, chunks())
        attachment = Attachment(
            id=file_id,
            workspace=of.workspace,
            direction="out",
            state="stored",
            kind=kind,
            name=name,
            mime_type=mime_type,
            size_bytes=len(content),
            created_at=datetime.now(UTC),
        )
        await self.store.insert(ATTACHMENTS, attachment)
        return file_id

    async def health(self, of: Account) -> Seen | None:
        """Return what all senders have written about an account."""
        keys = [key for key in await self.bus.kv_keys(HEALTH_KV) if key.startswith(f"{of.slug}.")]
        entries = [await self.bus.kv_get(HEALTH_KV, key) for key in keys]
        seen = [msgspec.json.decode(e.value, type=Seen) for e in entries if e and e.value]
        return together(seen)

    async def reports(self, of: Account) -> list[SendReported]:
        """Return what was reported for an account, in order."""
        subject = f"in.*.{of.workspace}.{of.channel}.{of.slug}"
        stored = await self.bus.read(INBOUND, subject)
        found = [msgspec.json.decode(message.data, type=Inbound).event for message in stored]
        return [event for event in found if isinstance(event, SendReported)]

    async def report(self, of: Account, message_id: str, *, within_s: float = 30) -> SendReported:
        """Wait for the outcome of a message."""

        async def found() -> SendReported | None:
            reports = await self.reports(of)
            return next((r for r in reports if r.message_id == message_id), None)

        return await until(found, f"a report of {message_id}", within_s=within_s)

    async def attempt(self, of: Account, message_id: str) -> SendAttempt | None:
        """Return the sender's mark."""
        return await self.store.get(SENDS, of.workspace, message_id)


class Staged(Protocol):
    """What a process of its own is started from."""

    @property
    def settings(self) -> NotifierSettings:
        """Its settings."""


PROVIDER_TIMEOUT_S = 10.0
"""No call to the stub takes that long, on a loaded machine either; who means a time-out says so."""

THREAD = Thread(post="1001_55", comment="55_900")


async def until(found: Callable[[], Awaitable[T | None]], what: str, *, within_s: float = 30) -> T:
    """Ask until there is an answer."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        with suppress(BusUnavailableError):  # our own connection, where the test stopped the server
            answer = await found()
            if answer:
                return answer
        await asyncio.sleep(0.03)
    raise AssertionError(f"not within {within_s} s: {what}")


@asynccontextmanager
async def staged(nats_url: str, folder: Path, stub: Stub, **settings: Any) -> AsyncIterator[Rig]:
    """Open bus and store; no notifier runs yet."""
    chosen = NotifierSettings(
        nats_url=nats_url,
        secret_key=new_key_setting(),
        store_url=f"sqlite:///{folder / 'relaydesk.db'}",
        **{"provider_timeout_s": PROVIDER_TIMEOUT_S, "send_tries": 3, **settings},
    )
    async with (
        open_bus(nats_url, name="test") as bus,
        open_store(chosen.store_url, [SENDS, SESSIONS, ATTACHMENTS, MESSAGES]) as store,
    ):
        yield Rig(chosen, bus, store, stub)


@asynccontextmanager
async def notifying(rig: Rig) -> AsyncIterator[asyncio.Event]:
    """Run a notifier in this loop; yields what stops it."""
    stop = asyncio.Event()
    task = asyncio.create_task(serve(rig.settings, stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 12)


class Process:
    """A notifier as a process of its own."""

    def __init__(self, process: Awaited, port: int, log: Path) -> None:
        self.process = process
        self._port = port
        self.log = log

    async def admin(self, path: str) -> int:
        """Return the status of an admin endpoint."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self._port}{path}") as answer,
        ):
            return answer.status

    async def metrics(self) -> str:
        """Return the metrics page."""
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://127.0.0.1:{self._port}/metrics") as answer,
        ):
            return await answer.text()

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def terminate(self) -> tuple[int, float]:
        """SIGTERM; return the exit code and the seconds it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(self.process.wait(), 15)
        return code, time.monotonic() - began


@asynccontextmanager
async def spawned(rig: Staged, folder: Path, name: str) -> AsyncIterator[Process]:
    """Start a notifier process and wait until it has bound its admin port."""
    port_file = folder / f"{name}.ports.json"
    port_file.unlink(missing_ok=True)
    settings = rig.settings
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    environ |= {
        "RELAYDESK_NATS_URL": settings.nats_url,
        "RELAYDESK_STORE_URL": settings.store_url,
        "RELAYDESK_SECRET_KEY": settings.secret_key,
        "RELAYDESK_PROVIDER_TIMEOUT_S": str(settings.provider_timeout_s),
        "RELAYDESK_SEND_TRIES": str(settings.send_tries),
        "RELAYDESK_PUBLIC_URL": settings.public_url,
        "RELAYDESK_SMTP_URL": settings.smtp_url,
        "RELAYDESK_MAIL_FROM": settings.mail_from,
        "RELAYDESK_PUSH_HOSTS": settings.push_hosts,
        "RELAYDESK_LOCAL_BOTS": str(settings.local_bots).lower(),
        "RELAYDESK_LOCAL_WEBHOOKS": str(settings.local_webhooks).lower(),
        "RELAYDESK_PORT_FILE": str(port_file),
    }
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = begin("services.notifier", environ=environ, output=output)
    try:

        async def bound() -> bool:
            assert process.returncode is None, log.read_text()[-2000:]
            return port_file.exists()

        await until(bound, "the notifier's admin port", within_s=20)
        yield Process(process, msgspec.json.decode(port_file.read_bytes())["admin"], log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
