"""A webhook bot as its maker would run it: a web server of its own that answers as it is told.

Each bot has a path of its own, `stub.url(name)`. What it is to do with the next calls is planned
with `plan`; the last plan holds for all further calls. It checks signatures as the protocol asks.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from libs.common.admin import listening
from libs.common.errors import BadSignatureError
from libs.common.signing import sign, verify

HUGE = b'{"messages": [{"text": "' + b"x" * 600_000 + b'"}]}'


class Later(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is posted to `reply_url`; `id` repeats, else each has its own."""

    body: dict[str, Any]
    after_s: float = 0.0
    times: int = 1
    id: str = ""


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with one call.

    Attributes:
        body: JSON, or bytes as they are; None: an empty body.
        delay_s: Seconds before the answer.
        hang: No answer at all.
        drop: Cut the connection instead of answering.
        later: Posted afterwards.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}
    delay_s: float = 0.0
    hang: bool = False
    drop: bool = False
    later: tuple[Later, ...] = ()


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it came; `id` is its `webhook-id`, `data` what it asks."""

    id: str
    at: datetime
    headers: Mapping[str, str]
    signed: bool
    data: dict[str, Any]

    @property
    def text(self) -> str:
        """What the visitor wrote."""
        return "".join(part.get("text", "") for part in self.data["message"]["parts"])


class BotStub:
    """The bots and what they saw."""

    def __init__(self) -> None:
        self.base = ""
        self.calls: defaultdict[str, list[Call]] = defaultdict(list)
        self.answers: defaultdict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        """By bot: the status and body that each later answer got."""
        self.secrets: dict[str, str] = {}
        self.peak: Counter[str] = Counter()
        """By bot: the most calls that were under way at once."""
        self._under_way: Counter[str] = Counter()
        self._plans: defaultdict[str, deque[Play]] = defaultdict(deque)
        self._posting: set[asyncio.Task[None]] = set()
        self._hanging = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None

    def url(self, name: str) -> str:
        """Return where the bot *name* is called."""
        return f"{self.base}/{name}"

    def plan(self, name: str, *plays: Play) -> None:
        """Plan the next calls of a bot."""
        self._plans[name] = deque(plays)

    async def called(self, request: web.Request) -> web.StreamResponse:
        """Take a call."""
        name, body = request.match_info["name"], await request.read()
        headers = {key.lower(): value for key, value in request.headers.items()}
        call = Call(
            id=headers.get("webhook-id", ""),
            at=datetime.now(UTC),
            headers=headers,
            signed=self._is_signed(name, headers, body),
            data=msgspec.json.decode(body)["data"],
        )
        self.calls[name].append(call)
        plans = self._plans[name]
        play = (plans.popleft() if len(plans) > 1 else plans[0]) if plans else Play(body={})
        for later in play.later:
            self._begin(name, call, later)
        self._under_way[name] += 1
        self.peak[name] = max(self.peak[name], self._under_way[name])
        try:
            return await self._played(request, play)
        finally:
            self._under_way[name] -= 1

    async def _played(self, request: web.Request, play: Play) -> web.StreamResponse:
        await asyncio.sleep(play.delay_s)
        if play.hang:
            await self._hanging.wait()
        if play.drop or play.hang:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        body = play.body
        if body is not None and not isinstance(body, bytes):
            body = msgspec.json.encode(body)
        return web.Response(status=play.status, body=body, headers=play.headers)

    def _is_signed(self, name: str, headers: Mapping[str, str], body: bytes) -> bool:
        try:
            verify(self.secrets.get(name, ""), headers, body, datetime.now(UTC))
        except BadSignatureError:
            return False
        return True

    def _begin(self, name: str, call: Call, later: Later) -> None:
        task = asyncio.create_task(self._answer_later(name, call, later))
        self._posting.add(task)
        task.add_done_callback(self._posting.discard)

    async def _answer_later(self, name: str, call: Call, later: Later) -> None:
        await asyncio.sleep(later.after_s)
        about = {
            "session": call.data["session"],
            "epoch": call.data["epoch"],
            "message": call.data["message"]["id"],
        }
        body = msgspec.json.encode({**about, **later.body})
        for number in range(later.times):
            own_id = later.id or f"answer-{number}-{call.id}"
            await self.post(name, call.data["reply_url"], body, own_id)

    async def post(self, name: str, url: str, body: bytes, own_id: str) -> int:
        """Post a signed answer; return its status."""
        assert self._http is not None
        headers = sign(self.secrets[name], own_id, body, datetime.now(UTC))
        async with self._http.post(url, data=body, headers=headers) as reply:
            self.answers[name].append((reply.status, await reply.json(content_type=None)))
            return reply.status

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BotStub]:
        """Serve until the block ends."""
        app = web.Application(client_max_size=1 << 20)
        app.router.add_post("/{name}", self.called)
        async with aiohttp.ClientSession() as self._http, listening(app, "127.0.0.1", 0) as port:
            self.base = f"http://127.0.0.1:{port}"
            try:
                yield self
            finally:
                self._hanging.set()
                for task in list(self._posting):
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    await asyncio.gather(*self._posting, return_exceptions=True)
