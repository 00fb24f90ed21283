"""What the web plugin's page asks besides posting: a token, a sign of life, its event stream.

Pages of any site call these, so the answers carry `Access-Control-Allow-Origin: *`; there are no
cookies, only the visitor's bearer token, and it never stands in a URL.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec
from aiohttp import web

from libs.common.channel import Account
from libs.common.channels.web.wire import mint, visitor_of
from libs.common.errors import BadSignatureError
from services.ingest.answers import Refused, answer
from services.ingest.endpoint import Done, Work
from services.ingest.metrics import Outcome
from services.ingest.reach import Reach
from services.ingest.receive import Receiver
from services.ingest.remote import Network, neighbourhood
from services.ingest.stream import Streams, visitor_subject
from services.ingest.throttle import Throttle

MAX_BODY_BYTES = 128 * 1024
"""Of a post: two of the longest messages, or a few hundred short ones from a lost connection."""

CORS = {
    "Access_Control_Allow_Origin": "*",
    "Access_Control_Expose_Headers": "Retry-After",
}
_PREFLIGHT = {
    **CORS,
    "Access_Control_Allow_Methods": "GET, POST, OPTIONS",
    "Access_Control_Allow_Headers": "Authorization, Content-Type, Last-Event-ID",
    "Access_Control_Max_Age": "86400",
}
_VISITOR_BYTES = 16


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def presence_subject(workspace: str, account: str) -> str:
    """Return where a visitor's sign of life is shouted, for whoever shows who is there."""
    return f"rt.{workspace}.visitor.{account}"


class Visitors:
    """The addresses below `/webhooks/web/`.

    Args:
        receiver: Takes what is posted; its endpoint has the answers and counters.
        reach: Directory and bus.
        streams: The event streams.
        trusted: Proxies whose `X-Forwarded-For` is believed, for the limits by address.
    """

    def __init__(
        self, receiver: Receiver, reach: Reach, streams: Streams, trusted: Sequence[Network]
    ) -> None:
        self._receiver = receiver
        self._reach = reach
        self._streams = streams
        self._trusted = trusted
        self._mints = Throttle(rate=5, burst=60)
        self._posts = Throttle(rate=20, burst=200)
        self._beats = Throttle(rate=1, burst=10)

    def routes(self, path: str) -> dict[str, Handler]:
        """Return the handlers by path, below *path*, which ends in the account's slug."""
        return {
            path: self._handler("POST", self._post),
            f"{path}/visitors": self._handler("POST", self._mint),
            f"{path}/heartbeat": self._handler("POST", self._heartbeat),
            f"{path}/events": self._handler("GET", self._events),
        }

    async def close(self, _app: web.Application) -> None:
        """End the event streams, so that the process can."""
        self._streams.close()

    def _handler(self, method: str, work: Work) -> Handler:
        async def checked(request: web.Request, started: float) -> Outcome | Done:
            if request.method == "OPTIONS":
                return Done("preflight", answer(204, b"", **_PREFLIGHT).response())
            if request.method != method:
                raise Refused("wrong_method")
            return await work(request, started)

        return partial(self._receiver.endpoint.serve, work=checked)

    async def _post(self, request: web.Request, started: float) -> Outcome:
        account, visitor = self._visitor(request)
        if not self._posts.allow(f"{account.slug}/{visitor}", started):
            raise Refused("throttled")
        return await self._receiver.post(request, started)

    async def _mint(self, request: web.Request, started: float) -> Done:
        account = self._receiver.account(request.match_info["key"])
        peer = neighbourhood(
            request.remote or "", request.headers.get("X-Forwarded-For", ""), self._trusted
        )
        if not self._mints.allow(peer, started):
            raise Refused("throttled")
        visitor = secrets.token_urlsafe(_VISITOR_BYTES)
        body = msgspec.json.encode(
            {"visitor": visitor, "token": mint(account, visitor, int(time.time()))}
        )
        return Done("minted", answer(201, body, "application/json", **CORS).response())

    async def _heartbeat(self, request: web.Request, started: float) -> Outcome:
        account, visitor = self._visitor(request)
        bus = self._reach.bus
        if bus is not None and self._beats.allow(f"{account.slug}/{visitor}", started):
            seen = {"account": account.slug, "visitor": visitor, "at": datetime.now(UTC)}
            bus.shout(presence_subject(account.workspace, account.slug), msgspec.json.encode(seen))
        return "heartbeat"

    async def _events(self, request: web.Request, _started: float) -> Done:
        account, visitor = self._visitor(request)
        bus = self._reach.bus
        if bus is None:
            raise Refused("unavailable")
        response = await self._streams.serve(
            request,
            bus,
            visitor_subject(account.workspace, account.slug, visitor),
            still=lambda: self._reach.directory.account(account.slug) is not None,
        )
        return Done("stream", response)

    def _visitor(self, request: web.Request) -> tuple[Account, str]:
        """Return the account and whose token the request carries.

        Raises:
            Refused: No such account.
            BadSignatureError: No token, or not one of this account.
        """
        account = self._receiver.account(request.match_info["key"])
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise BadSignatureError("no bearer token")
        return account, visitor_of(account, token.strip())
