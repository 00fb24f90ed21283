"""What the web plugin's page asks besides posting: a token, a sign of life, its event stream.

Who left, and comes back by the link in an email, becomes the visitor that they were.

Pages of any site call these, so the answers carry `Access-Control-Allow-Origin: *`; there are no
cookies, only the visitor's bearer token, and it never stands in a URL.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import msgspec
from aiohttp import web

from libs.common.bus.client import Bus
from libs.common.channel import Account
from libs.common.channels.web.identity import IDENTITY_LIFE_S, identified
from libs.common.channels.web.visitor import visitor_from
from libs.common.channels.web.wire import (
    RETURN_LIFE_S,
    ExpiredLinkError,
    ReturnClaims,
    SignOfLife,
    mint,
    returning,
)
from libs.common.errors import BadSignatureError
from libs.common.subjects import visitor_signs
from services.ingest.answers import Answer, Refused
from services.ingest.body import Load, read_body
from services.ingest.endpoint import Done, Work
from services.ingest.metrics import Outcome
from services.ingest.plugin_config import PluginSettings
from services.ingest.reach import Reach
from services.ingest.receive import Receiver
from services.ingest.remote import Network, neighbourhood
from services.ingest.server import Handler
from services.ingest.stream import Seat, Streams
from services.ingest.tasks import end
from services.ingest.throttle import Throttle

MAX_BODY_BYTES = 128 * 1024
"""Of a post: two of the longest messages, or a few hundred short ones from a lost connection."""

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Retry-After",
}
_PREFLIGHT = Done(
    "preflight",
    Answer(
        204,
        headers={
            **CORS,
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID",
            "Access-Control-Max-Age": "86400",
        },
    ),
)
_VISITOR_BYTES = 16
_BEAT_BYTES = 256
_BEAT_WITHIN_S = 2.0


_LINK_BYTES = 4096
SIGN_EVERY_S = 15.0
"""How often an open event stream counts as a sign of life; less than the shortest `after_s`."""


class Link(msgspec.Struct, frozen=True):
    """What came behind the `#` of a return link."""

    token: str


_LINK = msgspec.json.Decoder(Link)


class Signed(msgspec.Struct, frozen=True):
    """A site's own id of a user, and the signature of its server."""

    user: str
    signature: str


_SIGNED = msgspec.json.Decoder(Signed)


class Beat(msgspec.Struct, frozen=True):
    """What a sign of life says besides."""

    typing: bool = False


_BEAT = msgspec.json.Decoder(Beat)


class Visitors:
    """The addresses below `/webhooks/web/`.

    Args:
        receiver: Takes what is posted; its endpoint has the answers and counters.
        reach: Directory and bus.
        streams: The event streams.
        trusted: Proxies whose `X-Forwarded-For` is believed, for the limits by address.
        load: Counts what is read.
        plugins: How the plugin of each account is set.
    """

    def __init__(
        self,
        receiver: Receiver,
        reach: Reach,
        streams: Streams,
        trusted: Sequence[Network],
        load: Load,
        plugins: PluginSettings,
    ) -> None:
        self._plugins = plugins
        self._load = load
        self._receiver = receiver
        self._reach = reach
        self._streams = streams
        self._trusted = trusted
        self._mints = Throttle(rate=5, burst=60)
        self._posts = Throttle(rate=20, burst=200)
        self._beats = Throttle(rate=1, burst=10)

    def served(self) -> dict[str, Handler]:
        """Return the handlers by the last part of the path, empty for the account's own."""
        return {
            "": self._only("POST", self._post),
            "visitors": self._only("POST", self._mint),
            "heartbeat": self._only("POST", self._heartbeat),
            "events": self._only("GET", self._events),
            "return": self._only("POST", self._return),
            "identify": self._only("POST", self._identify),
            "config": self._only("GET", self._config),
        }

    def _only(self, method: str, work: Work) -> Handler:
        async def checked(request: web.BaseRequest, key: str, started: float) -> Outcome | Done:
            account = self._reach.directory.account(key)
            await self._plugins.refuse_foreign(request, account)
            if request.method == "OPTIONS":
                return _PREFLIGHT
            if request.method != method:
                raise Refused("wrong_method")
            return await work(request, key, started)

        return partial(self._receiver.endpoint.serve, work=checked)

    async def _post(self, request: web.BaseRequest, key: str, started: float) -> Outcome:
        account, visitor = self._visitor(request, key)
        if not self._posts.allow(f"{account.slug}/{visitor}", started):
            raise Refused("throttled")
        return await self._receiver.post(request, key, started)

    async def _mint(self, request: web.BaseRequest, key: str, started: float) -> Done:
        account = self._receiver.account(key)
        self._refuse_hasty(request, started)
        visitor = secrets.token_urlsafe(_VISITOR_BYTES)
        return Done("minted", _told(201, _identity(account, visitor)))

    def _refuse_erased(self, account: Account, claims: ReturnClaims) -> None:
        """Refuse links from before the visitor was erased.

        Raises:
            ExpiredLinkError: It is one.
        """
        erased = self._reach.erased
        since = erased.since(account.workspace, account.slug, claims.v) if erased else None
        if since is not None and claims.e - RETURN_LIFE_S <= since.timestamp():
            raise ExpiredLinkError("the link is from before the visitor was erased")

    async def _return(self, request: web.BaseRequest, key: str, started: float) -> Done:
        """Exchange the token of a return link for the visitor's own.

        Raises:
            Refused: No such account, too often, or not `{"token"}`.
        """
        account = self._receiver.account(key)
        self._refuse_hasty(request, started)
        deadline = started + _BEAT_WITHIN_S
        body = await read_body(request, self._load, max_bytes=_LINK_BYTES, deadline=deadline)
        self._load.give_back(len(body))
        try:
            token = _LINK.decode(body).token
        except (ValueError, RecursionError):
            raise Refused("bad_request") from None
        try:
            claims = returning(account, token, int(time.time()))
            self._refuse_erased(account, claims)
        except ExpiredLinkError:
            words = "This link has expired: begin a new conversation on our site."
            return Done("link_expired", _told(410, {"code": "link_expired", "detail": words}))
        except BadSignatureError:
            words = "This link is not valid here, or not any more: begin a new conversation."
            return Done("bad_signature", _told(401, {"code": "link_invalid", "detail": words}))
        return Done("returned", _told(200, _identity(account, claims.v, claims.e)))

    async def _identify(self, request: web.BaseRequest, key: str, started: float) -> Done:
        """Let the visitor be the site's own user, where its server has signed that.

        Raises:
            Refused: No such account, too often, or not `{"user", "signature"}`.
        """
        account = self._receiver.account(key)
        self._refuse_hasty(request, started)
        deadline = started + _BEAT_WITHIN_S
        body = await read_body(request, self._load, max_bytes=_LINK_BYTES, deadline=deadline)
        self._load.give_back(len(body))
        try:
            given = _SIGNED.decode(body)
        except (ValueError, RecursionError):
            raise Refused("bad_request") from None
        try:
            visitor = identified(account, given.user, given.signature)
        except BadSignatureError:
            words = "The signature does not fit this user: sign it with the identity secret."
            return Done("bad_signature", _told(401, {"code": "identity_invalid", "detail": words}))
        expires = int(time.time()) + IDENTITY_LIFE_S
        return Done("identified", _told(200, _identity(account, visitor, expires)))

    async def _config(self, request: web.BaseRequest, key: str, _started: float) -> Done:
        """Tell what the page shows of the account; settings are up to half a minute old."""
        account = self._receiver.account(key)
        return Done("page", await self._plugins.answer(request, account, CORS))

    def _refuse_hasty(self, request: web.BaseRequest, started: float) -> None:
        peer = neighbourhood(
            request.remote or "", request.headers.get("X-Forwarded-For", ""), self._trusted
        )
        if not self._mints.allow(peer, started):
            raise Refused("throttled")

    async def _heartbeat(self, request: web.BaseRequest, key: str, started: float) -> Outcome:
        account, visitor = self._visitor(request, key)
        typing = await self._typing(request, started)
        bus = self._reach.bus
        if bus is not None and self._beats.allow(f"{account.slug}/{visitor}", started):
            _shout(bus, account, visitor, typing=typing)
        return "heartbeat"

    async def _typing(self, request: web.BaseRequest, started: float) -> bool:
        """Tell whether the visitor writes just now; what cannot be read says nothing.

        Raises:
            Refused: As `read_body`.
        """
        deadline = started + _BEAT_WITHIN_S
        body = await read_body(request, self._load, max_bytes=_BEAT_BYTES, deadline=deadline)
        self._load.give_back(len(body))
        try:
            return _BEAT.decode(body).typing
        except (ValueError, RecursionError):
            return False

    async def _events(self, request: web.BaseRequest, key: str, _started: float) -> Done:
        account, visitor = self._visitor(request, key)
        bus = self._reach.bus
        if bus is None:
            raise Refused("unavailable")
        seat = Seat(workspace=account.workspace, account=account.slug, visitor=visitor)
        async with _living(bus, account, visitor):
            response = await self._streams.serve(
                request,
                bus,
                seat,
                still=lambda: self._reach.directory.account(account.slug) is not None,
            )
        return Done("stream", response)

    def _visitor(self, request: web.BaseRequest, key: str) -> tuple[Account, str]:
        """Return the account and whose token the request carries.

        Raises:
            Refused: No such account.
            BadSignatureError: No token, or not one of this account.
        """
        account = self._receiver.account(key)
        given = request.headers.get("Authorization", "")
        return account, visitor_from(account, given, datetime.now(UTC))


@asynccontextmanager
async def _living(bus: Bus, account: Account, visitor: str) -> AsyncIterator[None]:
    """Say again and again that the visitor is there, until the block ends."""

    async def say() -> None:
        while True:
            _shout(bus, account, visitor)
            await asyncio.sleep(SIGN_EVERY_S)

    saying = asyncio.create_task(say())
    try:
        yield
    finally:
        await end(saying)


def _shout(bus: Bus, account: Account, visitor: str, *, typing: bool = False) -> None:
    sign = SignOfLife(account=account.slug, visitor=visitor, at=datetime.now(UTC), typing=typing)
    bus.shout(visitor_signs(account.workspace, account.slug), msgspec.json.encode(sign))


def _identity(account: Account, visitor: str, expires: int = 0) -> dict[str, str]:
    """Return who the page is; who came by a link is so no longer than the link is good."""
    return {"visitor": visitor, "token": mint(account, visitor, int(time.time()), expires)}


def _told(status: int, body: object) -> Answer:
    return Answer(status, msgspec.json.encode(body), {**CORS, "Content-Type": "application/json"})
