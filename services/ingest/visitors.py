"""What the web plugin's page asks besides posting: a token, a sign of life, its event stream.

Pages of any site call these, so the answers carry `Access-Control-Allow-Origin: *`; there are no
cookies, only the visitor's bearer token, and it never stands in a URL.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec
from aiohttp import web

from libs.common.channel import Account
from libs.common.channels.web.visitor import visitor_from
from libs.common.channels.web.wire import mint
from services.ingest.answers import Answer, Refused
from services.ingest.body import Load, read_body
from services.ingest.endpoint import Done, Work
from services.ingest.metrics import Outcome
from services.ingest.reach import Reach
from services.ingest.receive import Receiver
from services.ingest.remote import Network, neighbourhood
from services.ingest.server import Handler
from services.ingest.stream import Seat, Streams
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


class Beat(msgspec.Struct, frozen=True):
    """What a sign of life says besides."""

    typing: bool = False


_BEAT = msgspec.json.Decoder(Beat)


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
        load: Counts what is read.
    """

    def __init__(
        self,
        receiver: Receiver,
        reach: Reach,
        streams: Streams,
        trusted: Sequence[Network],
        load: Load,
    ) -> None:
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
        }

    def _only(self, method: str, work: Work) -> Handler:
        async def checked(request: web.BaseRequest, key: str, started: float) -> Outcome | Done:
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
        peer = neighbourhood(
            request.remote or "", request.headers.get("X-Forwarded-For", ""), self._trusted
        )
        if not self._mints.allow(peer, started):
            raise Refused("throttled")
        visitor = secrets.token_urlsafe(_VISITOR_BYTES)
        body = msgspec.json.encode(
            {"visitor": visitor, "token": mint(account, visitor, int(time.time()))}
        )
        return Done("minted", Answer(201, body, {**CORS, "Content-Type": "application/json"}))

    async def _heartbeat(self, request: web.BaseRequest, key: str, started: float) -> Outcome:
        account, visitor = self._visitor(request, key)
        typing = await self._typing(request, started)
        bus = self._reach.bus
        if bus is not None and self._beats.allow(f"{account.slug}/{visitor}", started):
            seen = {
                "account": account.slug,
                "visitor": visitor,
                "at": datetime.now(UTC),
                "typing": typing,
            }
            bus.shout(presence_subject(account.workspace, account.slug), msgspec.json.encode(seen))
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
        response = await self._streams.serve(
            request,
            bus,
            Seat(workspace=account.workspace, account=account.slug, visitor=visitor),
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
        return account, visitor_from(account, request.headers.get("Authorization", ""))
