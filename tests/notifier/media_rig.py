"""Visitors' files on real NATS, SQLite and a folder; a provider that serves what it is told."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractResolver

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.channel import (
    Account,
    Channel,
    HttpCall,
    MediaExchange,
    Parsed,
    Sent,
    Token,
    TokenExchange,
)
from libs.common.documents import ATTACHMENTS, MESSAGES, Attachment, Message
from libs.common.errors import NotSentError
from libs.common.events import ContentPart, Fact, MediaPart
from libs.common.files.api import Files, attachment_id
from libs.common.files.open import open_files
from libs.common.http import open_door
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Store
from libs.common.store.open import open_store
from services.notifier.media import fetching
from services.notifier.media_fetch import Means
from services.notifier.tokens import Tokens
from tests.notifier.rig import until

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]
WORKSPACE = "acme"


class Provider:
    """Serves files by path; what was asked for is in `asked`, how much ran at once in `most`."""

    def __init__(self) -> None:
        self.plays: dict[str, list[Serve]] = {}
        self.asked: list[str] = []
        self.headers: list[str] = []
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self.base = ""

    def serve(self, path: str, *plays: Serve) -> str:
        """Answer *path* by one play after the other, the last one for ever; return its URL."""
        self.plays[path] = list(plays)
        return f"{self.base}/{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path.lstrip("/")
        self.asked.append(path)
        self.headers.append(request.headers.get("Authorization", ""))
        plays = self.plays.get(path, [status(404)])
        play = plays.pop(0) if len(plays) > 1 else plays[0]
        group = path.partition("/")[0]
        for key in (group, ""):
            self._now[key] += 1
            self.most[key] = max(self.most[key], self._now[key])
        try:
            return await play(request)
        finally:
            for key in (group, ""):
                self._now[key] -= 1


def body(data: bytes, *, code: int = 200, delay_s: float = 0.0) -> Serve:
    async def play(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(delay_s)
        return web.Response(status=code, body=data)

    return play


def status(code: int, **headers: str) -> Serve:
    async def play(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=code, headers=headers)

    return play


def stream(piece: bytes, count: int, *, pause_s: float = 0.0, first: bytes = b"") -> Serve:
    """Answer without a length, piece by piece."""

    async def play(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(first or piece)
        for _ in range(count):
            await asyncio.sleep(pause_s)
            await answer.write(piece)
        await answer.write_eof()
        return answer

    return play


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application()
    app.router.add_get("/{path:.*}", provider.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield provider
    finally:
        await runner.cleanup()


def channel(name: str, **more: object) -> Channel:
    def send(_account: Account, _message: object):  # type: ignore[no-untyped-def]
        yield from ()
        return Sent()

    return Channel(
        name=name,
        endpoint=name,
        secrets=(),
        verify=lambda _account, _request: None,
        parse=lambda _account, _request: Parsed(),
        send=send,
        **more,  # type: ignore[arg-type]
    )


def looked_up(account: Account, part: MediaPart, token: str) -> MediaExchange:
    """Ask where a file is, then fetch it there with the token."""
    reply = yield HttpCall(url=f"{account.api_base}/where/{part.media_id}", method="GET")
    if reply.status == 202:
        raise NotSentError("not ready")
    return HttpCall(
        url=reply.body.decode(), method="GET", headers={"Authorization": f"Bearer {token}"}
    )


def token(account: Account) -> TokenExchange:
    reply = yield HttpCall(url=f"{account.api_base}/token", method="GET")
    return Token(value=reply.body.decode(), expires_in_s=7200)


CHANNELS = {
    "plain": channel("plain"),
    "looked": channel("looked", media=looked_up, media_life_s=3600.0),
    "tokened": channel("tokened", media=looked_up, token=token),
}


class MediaRig:
    """What a test holds in its hands."""

    def __init__(self, bus: Bus, store: Store, files: Files, provider: Provider) -> None:
        self.bus = bus
        self.store = store
        self.files = files
        self.provider = provider
        self.accounts: dict[str, Account] = {}
        self.sealer = Sealer.from_setting(new_key_setting())
        self.later = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later

    def connect(self, channel: str, slug: str = "") -> Account:
        slug = slug or f"{channel}-{uuid.uuid4().hex[:6]}"
        self.accounts[slug] = Account(
            workspace=WORKSPACE,
            slug=slug,
            channel=channel,
            external_id=slug,
            api_base=self.provider.base,
        )
        return self.accounts[slug]

    async def message(self, of: Account, *parts: ContentPart) -> str:
        """Store a visitor's message and say so, as the router does."""
        message = await self.stored_message(of, *parts)
        await self.tell(message)
        return message.id

    async def stored_message(self, of: Account, *parts: ContentPart) -> Message:
        message_id = f"msg_{uuid.uuid4().hex[:12]}"
        now = self.now()
        return await self.store.insert(
            MESSAGES,
            Message(
                id=message_id,
                workspace=of.workspace,
                account=of.slug,
                key=message_id,
                session="ses_1",
                visitor="v1",
                kind="message",
                direction="in",
                occurred_at=now,
                received_at=now,
                parts=parts,
            ),
        )

    async def tell(self, message: Message, *, again: int = 0) -> None:
        fact = Fact(
            fact_id=f"{message.id}:{again}",
            type="message.stored",
            workspace=message.workspace,
            session=message.session,
            at=self.now(),
            message=message.id,
            media=sum(isinstance(part, MediaPart) for part in message.parts),
        )
        subject = subjects.fact(message.workspace, "message.stored", message.session)
        await self.bus.publish(subject, msgspec.json.encode(fact), msg_id=fact.fact_id)

    async def file(self, message_id: str, part: int = 0) -> Attachment | None:
        return await self.store.get(
            ATTACHMENTS, WORKSPACE, attachment_id(WORKSPACE, message_id, part)
        )

    async def settled(self, message_id: str, part: int = 0, *, within_s: float = 30) -> Attachment:
        """Wait until a file is stored or failed."""

        async def found() -> Attachment | None:
            doc = await self.file(message_id, part)
            return doc if doc and doc.state != "pending" else None

        return await until(found, f"an end of {message_id}/{part}", within_s=within_s)

    async def tried(self, message_id: str, times: int = 1) -> Attachment:
        """Wait until a try has failed that will be followed by another."""

        async def found() -> Attachment | None:
            doc = await self.file(message_id)
            waits = doc and doc.tries >= times and doc.fetch_at and doc.fetch_at > self.now()
            is_lease = waits and doc and doc.rev % 2 == 0  # a claim is the 2nd, 4th, ... write
            return doc if waits and not is_lease else None

        return await until(found, f"a failed try of {message_id}")

    async def content(self, doc: Attachment) -> bytes:
        return b"".join([piece async for piece in self.files.read(doc.workspace, doc.id)])

    @asynccontextmanager
    async def working(
        self,
        *,
        max_bytes: int = 1 << 20,
        download_s: float = 5.0,
        resolver: AbstractResolver | None = None,
        store: Store | None = None,
        files: Files | None = None,
    ) -> AsyncIterator[asyncio.Event]:
        """Run a worker; yields what stops it."""
        stop = asyncio.Event()
        async with open_door(resolver) as door:
            means = Means(
                door=door,
                files=files or self.files,
                tokens=Tokens(self.bus, self.sealer, now=self.now),
                channels=CHANNELS,
                account=self.accounts.get,
                max_bytes=max_bytes,
                call_s=1.0,
                download_s=download_s,
            )
            async with fetching(
                self.bus, store or self.store, means, lambda: [WORKSPACE], self.now, stop
            ):
                try:
                    yield stop
                finally:
                    stop.set()


@asynccontextmanager
async def media_rig(nats_url: str, folder: Path) -> AsyncIterator[MediaRig]:
    """Open bus, store, folder and provider."""
    async with AsyncExitStack() as opened:
        store_url = f"sqlite:///{folder / 'relaydesk.db'}"
        bus = await opened.enter_async_context(open_bus(nats_url, name="test"))
        store = await opened.enter_async_context(open_store(store_url, [MESSAGES, ATTACHMENTS]))
        files = await opened.enter_async_context(open_files("", store_url))
        provider = await opened.enter_async_context(providing())
        yield MediaRig(bus, store, files, provider)


async def for_s(seconds: float, holds: Callable[[], bool]) -> None:
    """Assert that something stays true for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert holds()
        await asyncio.sleep(0.05)
