"""The provider stub: stands in for all providers, keeps what it received, fails as it is told.

An account's calls go to `<stub>/<slug>/...` (its `api_base`). `GET /_sent?account=` shows them,
`DELETE /_sent` forgets them, `POST /_script` plans how the next ones are answered,
`GET /_mail?to=` shows the mails that came to the sink beside it, `DELETE /_mail` forgets them.
`POST /_media?account=&id=` puts the posted bytes behind a media id. What no one has put there
stands for a small sample, see `samples.behind`; `<slug>/cdn/<id>` is a link to it.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Literal

import aiohttp
import msgspec
from aiohttp import web

from libs.common.admin import listening
from libs.common.simulate.answers import Provider
from libs.common.simulate.calls import Answer, Call, FileSeen, What
from libs.common.simulate.follow import Taken
from libs.common.simulate.kept_mail import KeptMail
from libs.common.simulate.receive import LARGEST, LINK_S, received

KEPT = 10_000
"""Calls kept for each account, the newest."""

_HIDDEN = "(hidden)"
_SECRET_HEADERS = frozenset({"authorization"})
_SECRET_FIELDS = frozenset({"secret", "access_token"})
_BOT_TOKEN = re.compile(r"(?<![^/])bot[^/]+(?=/)")

_BY_THE_CLOCK = re.compile(r"/debug_token$|^oauth2/v2\.1/verify$|^v2/bot/message/quota")

Follow = Callable[[str, Taken], Coroutine[Any, Any, None]]
"""Posts the webhooks that follow a send: (account, what was taken)."""


class Scripted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one call is answered.

    Attributes:
        status: Instead of the provider's own; below 400 (or with `taken`) the message goes out.
        body: Instead of the provider's own: JSON, or text as it is.
        headers: Besides the provider's own.
        delay_s: Seconds between reading the call and answering it.
        drop: Cut the connection `before` the message goes out, or `after`.
        taken: Whether the message goes out although `status` is an error.
    """

    status: int | None = None
    body: Any = None
    headers: dict[str, str] = {}
    delay_s: float = 0.0
    drop: Literal["before", "after"] | None = None
    taken: bool | None = None

    @property
    def goes_out(self) -> bool:
        """Whether the provider acts on the call."""
        if self.drop is not None:
            return self.drop == "after"
        if self.taken is not None:
            return self.taken
        return self.status is None or self.status < 400  # noqa: PLR2004 (an HTTP error)


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Answers for the next calls of one account, in order."""

    account: str
    answers: tuple[Scripted, ...]


class Item(msgspec.Struct, kw_only=True):
    """One call as received; `text` is what went out to the visitor by it, else empty.

    `what` tells messages, signals (typing, seen), uploads, lookups and downloads apart, and what
    the provider refused. `files` are those that were uploaded, linked or referred to by it.
    `status` is 0 while the answer is awaited and where the connection was cut.
    """

    at: datetime
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    status: int = 0
    text: str = ""
    recipient: str = ""
    what: What = "refused"
    files: tuple[FileSeen, ...] = ()


class Stub:
    """The stub's memory and its web application."""

    def __init__(self, follow: Follow | None = None) -> None:
        self._follow = follow
        self._items: defaultdict[str, deque[Item]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._scripts: defaultdict[str, deque[Scripted]] = defaultdict(deque)
        self._providers: dict[str, Provider] = {}
        self._following: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self.mails: deque[KeptMail] = deque()
        """What `/_mail` shows: those of a `MailSink` beside it, if there is one."""
        self.url = ""
        """Where it listens; set by `running_stub`."""

    def base(self, account: str) -> str:
        """Return the `api_base` of an account."""
        return f"{self.url}/{account}"

    def sent(self, account: str) -> list[Item]:
        """Return the calls of an account, oldest first."""
        return list(self._items[account])

    def shown(self, account: str) -> list[str]:
        """Return the texts that went out to visitors, in order."""
        return [item.text for item in self._items[account] if item.text]

    def of_kind(self, account: str, what: What) -> list[Item]:
        """Return the calls of an account that were for *what*, oldest first."""
        return [item for item in self._items[account] if item.what == what]

    def put_media(self, account: str, media_id: str, content: bytes, content_type: str) -> None:
        """Have a media id of the account stand for these bytes."""
        self.provider(account).put_media(media_id, content, content_type)

    def script(self, account: str, *answers: Scripted) -> None:
        """Plan how the account's next calls are answered."""
        self._scripts[account].extend(answers)

    def forget(self, account: str | None = None) -> None:
        """Forget calls and plans, of one account or of all."""
        for slug in [account] if account else list(self._items):
            self._items.pop(slug, None)
            self._scripts.pop(slug, None)

    def provider(self, account: str) -> Provider:
        """Return the account as its provider knows it."""
        if account not in self._providers:
            self._providers[account] = Provider(account, self.base(account))
        return self._providers[account]

    def application(self) -> web.Application:
        """Return the routes."""
        app = web.Application(client_max_size=LARGEST)
        app.router.add_get("/_sent", self._get_sent)
        app.router.add_delete("/_sent", self._delete_sent)
        app.router.add_get("/_mail", self._get_mail)
        app.router.add_delete("/_mail", self._delete_mail)
        app.router.add_post("/_script", self._post_script)
        app.router.add_post("/_media", self._post_media)
        app.router.add_route("*", "/{account}/{path:.+}", self._call)
        return app

    async def close(self) -> None:
        """Stop posting webhooks, and answer at once what was to be answered later."""
        self._closing.set()
        for task in self._following:
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)

    async def _get_sent(self, request: web.Request) -> web.Response:
        account = request.query.get("account", "")
        items = [msgspec.to_builtins(item) for item in self._items.get(account, ())]
        return _json(200, {"items": items})

    async def _delete_sent(self, request: web.Request) -> web.Response:
        self.forget(request.query.get("account"))
        return web.Response(status=204)

    async def _get_mail(self, request: web.Request) -> web.Response:
        to = request.query.get("to", "")
        items = [msgspec.to_builtins(mail) for mail in self.mails if not to or to in mail.to]
        return _json(200, {"items": items})

    async def _delete_mail(self, _request: web.Request) -> web.Response:
        self.mails.clear()
        return web.Response(status=204)

    async def _post_script(self, request: web.Request) -> web.Response:
        try:
            script = msgspec.json.decode(await request.read(), type=Script)
        except ValueError as error:
            return _json(422, {"detail": str(error)})
        self.script(script.account, *script.answers)
        return _json(200, {"planned": len(self._scripts[script.account])})

    async def _post_media(self, request: web.Request) -> web.Response:
        account, media_id = request.query.get("account", ""), request.query.get("id", "")
        if not (account and media_id):
            return _json(422, {"detail": "account and id are needed"})
        self.put_media(account, media_id, await request.read(), request.content_type)
        return web.Response(status=204)

    async def _call(self, request: web.Request) -> web.StreamResponse:
        account = request.match_info["account"]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=LINK_S)) as links:
            call = await received(request, links)
        item = _item(call)
        self._items[account].append(item)
        plan = self._plan(account, call)
        answer = self.provider(account).answer(call) if plan.goes_out else None
        _note(item, answer)
        await self._delay(plan.delay_s)
        if plan.drop is None:
            item.status = plan.status or (answer.status if answer else 500)
        if answer and answer.taken:
            self._start_following(account, answer.taken)
        if plan.drop is not None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return _response(item.status, plan, answer)

    def _plan(self, account: str, call: Call) -> Scripted:
        """Return how the call is answered; what is asked by the clock takes no plan away."""
        if _BY_THE_CLOCK.search(call.path) or not self._scripts[account]:
            return Scripted()
        return self._scripts[account].popleft()

    async def _delay(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _start_following(self, account: str, taken: Taken) -> None:
        if self._follow is None:
            return
        task = asyncio.create_task(self._follow(account, taken))
        self._following.add(task)
        task.add_done_callback(self._following.discard)


@asynccontextmanager
async def running_stub(
    host: str = "127.0.0.1", port: int = 0, *, follow: Follow | None = None, url: str = ""
) -> AsyncIterator[Stub]:
    """Serve a stub until the block ends.

    *url* is where others reach it, which its links lead to; empty: the address it listens on.
    """
    stub = Stub(follow)
    async with listening(stub.application(), host, port) as bound:
        stub.url = url or f"http://{host}:{bound}"
        try:
            yield stub
        finally:
            await stub.close()


def _item(call: Call) -> Item:
    body = call.json
    if isinstance(body, dict):
        body = {name: _HIDDEN if name in _SECRET_FIELDS else v for name, v in body.items()}
    headers = {n: _HIDDEN if n in _SECRET_HEADERS else v for n, v in call.headers.items()}
    path = _BOT_TOKEN.sub(f"bot{_HIDDEN}", call.path)
    return Item(at=datetime.now(UTC), method=call.method, path=path, headers=headers, body=body)


def _note(item: Item, answer: Answer | None) -> None:
    """Note what became of a call that the provider acted on."""
    if answer is None:
        return
    item.what, item.files = answer.what, answer.files
    if answer.taken:
        item.text, item.recipient = answer.taken.text, answer.taken.recipient


def _response(status: int, plan: Scripted, answer: Answer | None) -> web.Response:
    headers: Mapping[str, str] = {**(answer.headers if answer else {}), **plan.headers}
    if isinstance(plan.body, str):
        return web.Response(status=status, text=plan.body, headers=headers)
    if answer and answer.content is not None and answer.status == status and plan.body is None:
        content_type = answer.content_type
        headers = {**headers, "Content-Type": content_type}
        return web.Response(status=status, body=answer.content, headers=headers)
    own = answer.body if answer and answer.status == status else {}
    return _json(status, own if plan.body is None else plan.body, headers)


def _json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers=headers,
    )
