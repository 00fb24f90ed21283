"""What a route is: one row of the table that drives routing, access, validation and OpenAPI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from aiohttp import web

from libs.common.board import Board
from libs.common.bus.client import Bus
from libs.common.channel import Channel
from libs.common.config import DeskSettings
from libs.common.documents import Role
from libs.common.seal import Sealer
from services.desk.attachments import Attachments
from services.desk.behind import Behind
from services.desk.inbox import Inbox
from services.desk.live import Live
from services.desk.oidc import Oidc
from services.desk.passwords import Passwords
from services.desk.scope import WHOLE, Scope
from services.desk.signals import Signals
from services.desk.store import DeskStore
from services.desk.throttle import LinkThrottle, LoginThrottle

RANK: Mapping[Role, int] = {"read_only": 0, "agent": 1, "lead": 2, "admin": 3, "owner": 4}
"""Roles from least to most; a role may do whatever a lesser one may."""


MAX_BODY = 256 * 1024
"""Bytes of a body that needs no more."""
LARGE_BODY = 1024 * 1024
"""Bytes of a body that may hold all rules of a workspace."""


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: an agent of one workspace, with the token that proves it.

    Attributes:
        by: `cookie` for a browser, which must repeat `csrf` in a header to change anything.
        csrf: What a browser repeats; empty for bearer tokens, which no browser sends unasked.
        token_id: Id of the `AccessToken`; `scopes` are those of the token.
        scope: What of the workspace they see.
    """

    workspace: str
    agent: str
    name: str
    role: Role
    by: Literal["cookie", "bearer"]
    token_id: str
    kind: Literal["session", "api"]
    csrf: str = ""
    scopes: tuple[str, ...] = ()
    scope: Scope = WHOLE


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What handlers are given."""

    store: DeskStore
    inbox: Inbox
    passwords: Passwords
    bus: Bus
    sealer: Sealer
    settings: DeskSettings
    throttle: LoginThrottle
    attachments: Attachments
    channels: Mapping[str, Channel]
    signals: Signals
    board: Board
    live: Live
    now: Callable[[], datetime]
    stirred: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    """Set when a job is begun here, or ends: there may be one to run."""
    doors: LinkThrottle = msgspec.field(default_factory=lambda: LinkThrottle(time.monotonic))
    behind: Behind = msgspec.field(default_factory=Behind)
    oidc: Oidc | None = None
    finishing: dict[str, asyncio.Task[None]] = {}
    """What is left of an apply, by the workspace in which it is being done here."""


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it comes in: its name, and its bytes as they arrive."""

    name: str
    chunks: AsyncIterator[bytes]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One authorised request, checked against its route: `query` and `body` are its structs.

    `headers` has lower-case names. `remote` is the address of the TCP peer; forwarding headers
    are not believed. `principal` is only None on public routes.
    """

    desk: Desk
    principal: Principal | None
    params: Mapping[str, str]
    headers: Mapping[str, str]
    remote: str
    query: Any = None
    body: Any = None
    upload: Uploaded | None = None

    @property
    def who(self) -> Principal:
        """The caller.

        Raises:
            LookupError: The route is public: a bug in the table.
        """
        if self.principal is None:
            raise LookupError("a public route has no caller")
        return self.principal


class Cookie(msgspec.Struct, frozen=True, kw_only=True):
    """The browser's session cookie to set; an empty value removes it."""

    value: str
    max_age_s: int


Pour = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Answers a request piece by piece, for as long as it takes."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a handler answers: a struct as JSON, bytes as they are, or a stream in place of both."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = {}
    cookie: Cookie | None = None
    content_type: str = "application/json"
    stream: Pour | None = None


Handler = Callable[[Call], Awaitable[Reply]]


class Deprecation(msgspec.Struct, frozen=True, kw_only=True):
    """That a route will go: told `since` then, gone after `sunset`; `instead` names what to use."""

    since: datetime
    sunset: datetime
    instead: str


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One (method, path) below `/api/v1`.

    Attributes:
        name: Operation id in OpenAPI and the `route` label of metrics.
        role: The least role that may call it; None: public, without any credential.
        query: Struct of the query string: tuples take several values, the rest one.
        body: Struct of the JSON body; None: a body is refused.
        raw: The handler is given the body's bytes as they came; `body` only tells what they are.
        body_most: Most bytes of the body.
        body_optional: An absent body means all defaults.
        uploads: The body is a file, as it is or in a form; it is not held in memory.
        streams: The answer is server-sent events, whose data are of the struct.
        needs_key: The `Idempotency-Key` header is required.
        answers: Successful statuses and the struct of each body; `bytes` for raw content.
        media: What such raw content may be.
        problems: Codes by status that this route adds to those every route may answer.
        headers: Further request headers it reads, with their meaning.
        deprecated: It will go; None: it stays.
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    handler: Handler
    role: Role | None
    summary: str
    answers: Mapping[int, Any]
    media: tuple[str, ...] = ("application/octet-stream",)
    query: Any = None
    body: Any = None
    raw: bool = False
    body_most: int = MAX_BODY
    body_optional: bool = False
    uploads: bool = False
    streams: bool = False
    needs_key: bool = False
    problems: Mapping[int, str] = {}
    headers: Mapping[str, str] = {}
    deprecated: Deprecation | None = None
