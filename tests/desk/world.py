"""Two workspaces, desk's real application on a port, real NATS, and the router's real rules.

`World` is what tests drive: people by name, requests by role, visitors that write.
"""

from __future__ import annotations

import io
import tempfile
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from aiohttp import web
from argon2 import PasswordHasher

from libs.common.admin import listening
from libs.common.board import watched_health
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import Ack, Delivery
from libs.common.channel import Account, Channel
from libs.common.channels import CHANNELS
from libs.common.config import DeskSettings
from libs.common.credentials import new_secret, secret_hash, token_text
from libs.common.directory import seal_context
from libs.common.documents import (
    ACCOUNTS,
    AGENTS,
    AUDIT,
    COLLECTIONS,
    DIRECTORY,
    SESSIONS,
    SYSTEM,
    TOKENS,
    WORKSPACES,
    AccessToken,
    AccountDocument,
    Agent,
    AuditEntry,
    DirectoryEntry,
    Role,
    Session,
    Settings,
    Workspace,
)
from libs.common.events import Inbound, InboundEvent, MessageReceived, Profile, TextPart
from libs.common.files.folder import FolderFiles
from libs.common.policy import Policy
from libs.common.seal import new_key_setting
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from services.desk.api.able import plain_account
from services.desk.api.route import Desk, Route
from services.desk.api.table import ROUTES
from services.desk.app import make_desk
from services.desk.live import open_live
from services.desk.passwords import Passwords
from services.desk.server import build
from services.router.batch import Batch
from services.router.execute import Executor
from services.router.handle import Handler
from services.router.outbox import Outbox
from services.router.rooms import Rooms
from services.router.seats import Seats

PASSWORD = "correct horse battery"
SECRET = "a-sealed-secret-of-an-account"
PEOPLE: Mapping[str, Role] = {
    "olga": "owner",
    "adam": "admin",
    "lena": "lead",
    "amy": "agent",
    "bob": "agent",
    "rita": "read_only",
}
CONNECTED = ("messenger", "fb_comment", "line", "whatsapp", "wechat", "web")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""What a hash costs to verify stands in it: ours are in files, and hide nothing."""


@cache
def password_hash() -> str:
    return QUICK.hash(PASSWORD)


@cache
def decoy() -> str:
    return QUICK.hash(new_secret())


def agent_of(name: str, role: Role, workspace: str) -> Agent:
    email = f"{name}@{workspace}.example"
    return Agent(
        id=f"agt-{name}",
        workspace=workspace,
        name=name.title(),
        email=email,
        email_key=email,
        role=role,
        password_hash=password_hash(),
    )


def token_of(agent: Agent, **more: Any) -> tuple[AccessToken, str]:
    """Return an access token of *agent*, and its text."""
    secret = new_secret()
    made = AccessToken(
        id=f"t{uuid.uuid4().hex}",
        workspace=agent.workspace,
        agent=agent.id,
        kind=more.pop("kind", "api"),
        secret_hash=secret_hash(secret),
        created_at=datetime.now(UTC),
        **more,
    )
    return made, token_text(agent.workspace, made.id, secret)


def directory_entry(kind: str, name: str, target: str) -> DirectoryEntry:
    return DirectoryEntry(id=f"{kind}:{name}", workspace=SYSTEM, kind=kind, targets=(target,))


class Answer(msgspec.Struct, frozen=True):
    """What came back; `json` decodes the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class World:
    """See the module."""

    def __init__(self, store: Store, bus: Bus, desk: Desk, port: int) -> None:
        self.store = store
        self.bus = bus
        self.desk = desk
        self.port = port
        self.http = aiohttp.ClientSession(self.base, cookie_jar=aiohttp.DummyCookieJar())
        mark = uuid.uuid4().hex[:8]
        self.workspace = f"acme-{mark}"
        self.other = f"zeta-{mark}"
        self.tokens: dict[str, str] = {}
        self.switches: dict[str, Settings] = {}
        self._sequence = 0
        clock = lambda: datetime.now(UTC)  # noqa: E731
        self.outbox = Outbox(store, bus, clock)
        self.known: dict[str, Account] = {}
        self._policies: dict[str, Policy] = {}
        rooms = Rooms(
            self._policy, Seats(store, clock), account=self.known.get, channels=desk.channels
        )
        self.executor = Executor(store, self.outbox, rooms, clock)
        self._handler = Handler(
            Batch(store, self.outbox, rooms, clock, sibling=self._sibling),
            self.outbox,
            clock,
        )

    def _sibling(self, slug: str) -> str:
        """Return the account by which the page of an account of comments sends messages."""
        comments = self.slug("fb_comment")
        return self.slug("messenger") if slug == comments else ""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _policy(self, workspace: str) -> Policy:
        """Return the router's policy: only switches, the same object until they change."""
        switches = self.switches.get(workspace, Settings())
        known = self._policies.get(workspace)
        if known is None or known.settings != switches:
            known = self._policies[workspace] = Policy(settings=switches)
        return known

    @asynccontextmanager
    async def serving_desk(self) -> AsyncIterator[str]:
        """Serve `desk` as it is now on another port; yields its address."""
        async with serving(self.desk) as port:
            yield f"http://127.0.0.1:{port}"

    # --- furnishing

    async def furnish(self) -> None:
        others: Mapping[str, Role] = {"zoe": "owner"}
        for workspace, people in ((self.workspace, PEOPLE), (self.other, others)):
            await self.store.insert(WORKSPACES, Workspace(id=workspace, workspace=workspace))
            agents = [agent_of(name, role, workspace) for name, role in people.items()]
            assert await self.store.insert_many(AGENTS, agents) == {}
            made = [token_of(agent) for agent in agents]
            assert await self.store.insert_many(TOKENS, [token for token, _ in made]) == {}
            self.tokens |= dict(zip(people, (text for _, text in made), strict=True))
            entries = [directory_entry("login", agent.email_key, workspace) for agent in agents]
            entries.append(directory_entry("workspace", workspace, workspace))
            assert await self.store.insert_many(DIRECTORY, entries) == {}
        accounts = [self.account(self.workspace, channel) for channel in CONNECTED]
        accounts.append(self.account(self.other, "line"))
        assert await self.store.insert_many(ACCOUNTS, accounts) == {}
        self.known |= {account.id: plain_account(account) for account in accounts}
        entries = [directory_entry("account", a.id, a.workspace) for a in accounts]
        assert await self.store.insert_many(DIRECTORY, entries) == {}

    async def hire(self, name: str, role: Role, workspace: str, *, login: bool = True) -> Agent:
        agent = await self.store.insert(AGENTS, agent_of(name, role, workspace))
        if login:
            await self.store.insert(DIRECTORY, directory_entry("login", agent.email_key, workspace))
        self.tokens[name] = await self.token(agent)
        return agent

    async def token(self, agent: Agent, **more: Any) -> str:
        token, text = token_of(agent, **more)
        await self.store.insert(TOKENS, token)
        return text

    async def connect(self, workspace: str, channel: str) -> AccountDocument:
        return await self.store.insert(ACCOUNTS, self.account(workspace, channel))

    def account(self, workspace: str, channel: str) -> AccountDocument:
        slug = self.slug(channel, workspace)
        return AccountDocument(
            id=slug,
            workspace=workspace,
            channel=channel,
            external_id=f"ext-{slug}",
            name=f"Our {channel}",
            app="shared-app",
            sealed={
                "secret": self.desk.sealer.seal(SECRET, seal_context(workspace, slug, "secret"))
            },
        )

    def slug(self, channel: str, workspace: str = "") -> str:
        return f"{workspace or self.workspace}-{channel.replace('_', '-')}"

    def email(self, name: str, workspace: str = "") -> str:
        return f"{name}@{workspace or self.workspace}.example"

    # --- visitors

    async def writes(
        self,
        text: str,
        *,
        visitor: str = "U1",
        channel: str = "line",
        at: datetime | None = None,
        workspace: str = "",
        ingest_id: str = "",
    ) -> Session:
        """Let a visitor write; return the session it went to."""
        key = f"e-{visitor}-{text}"
        event = MessageReceived(
            event_id=key,
            visitor=visitor,
            occurred_at=at or datetime.now(UTC),
            message_id=f"m-{visitor}-{text}",
            parts=(TextPart(text=text),),
            profile=Profile(name=f"Visitor {visitor}"),
        )
        await self.happens(event, channel=channel, workspace=workspace, ingest_id=ingest_id)
        workspace = workspace or self.workspace
        account = self.slug(channel, workspace)
        where = {"open_key": f"{account}|{visitor}"}
        [session] = await self.store.find(SESSIONS, workspace, where, Page(order="open", limit=1))
        return session

    async def happens(
        self,
        *events: InboundEvent,
        channel: str = "line",
        workspace: str = "",
        ingest_id: str = "",
    ) -> None:
        """Deliver events to the router's own handler, as one batch."""
        workspace = workspace or self.workspace
        deliveries = []
        for event in events:
            self._sequence += 1
            inbound = Inbound(
                workspace=workspace,
                channel=channel,
                account=self.slug(channel, workspace),
                ingest_id=ingest_id,
                received_at=max(event.occurred_at, datetime.now(UTC)),
                event=event,
            )
            deliveries.append(
                Delivery(
                    subject="in.0.w.c.a",
                    data=msgspec.json.encode(inbound),
                    headers={},
                    sequence=self._sequence,
                    attempt=1,
                    partition=0,
                    pending=0,
                    reply="",
                )
            )
        assert await self._handler(deliveries) == [Ack()] * len(deliveries)

    async def session(self, session_id: str, workspace: str = "") -> Session:
        found = await self.store.get(SESSIONS, workspace or self.workspace, session_id)
        assert found is not None
        return found

    async def audited(self, workspace: str = "") -> list[AuditEntry]:
        page = Page(order="at", limit=100)
        return await self.store.find(AUDIT, workspace or self.workspace, {}, page)

    # --- requests

    async def call(  # noqa: PLR0913  # what a request is made of
        self,
        method: str,
        path: str,
        who: str = "",
        *,
        body: Any = None,
        raw: bytes | io.BytesIO | None = None,
        headers: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """Ask as *who* (nobody: without credential); *path* is below /api/v1."""
        sent = dict(headers or {})
        if who:
            sent["Authorization"] = f"Bearer {self.tokens[who]}"
        if body is not None:
            raw = msgspec.json.encode(body)
        if raw is not None:
            sent.setdefault("Content-Type", "application/json")
        where = path if path.startswith("http") else f"/api/v1{path}"
        async with self.http.request(
            method, where, data=raw, headers=sent, params=list(query) or None, allow_redirects=False
        ) as answer:
            endless = answer.content_type == "text/event-stream"
            read = b"" if endless else await answer.read()
            return Answer(answer.status, answer.headers.copy(), read)

    async def get(self, path: str, who: str = "amy", **query: Any) -> Any:
        """Ask for something that must be there."""
        pairs = [(name.rstrip("_"), str(value)) for name, value in query.items()]
        answer = await self.call("GET", path, who, query=pairs)
        assert answer.status == 200, answer.body
        return answer.json

    async def send(
        self, session: str, text: str, who: str = "amy", key: str = "", **more: Any
    ) -> Answer:
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        body = {"text": text, **more}
        return await self.call(
            "POST", f"/sessions/{session}/messages", who, body=body, headers=headers
        )

    async def do(self, verb: str, session: str, who: str = "amy", body: Any = None) -> Answer:
        """Do one of the actions on a session."""
        method = "PUT" if verb in {"assignees", "bot", "read"} else "POST"
        return await self.call(method, f"/sessions/{session}/{verb}", who, body=body)


def desk_settings(**more: Any) -> DeskSettings:
    given = {"requests_per_minute": 0, **more}
    return DeskSettings(
        nats_url="nats://unused",
        store_url="sqlite:///unused",
        secret_key=new_key_setting(),
        **given,
    )


class Stage(msgspec.Struct):
    """A served desk: what several worlds can share."""

    store: Store
    bus: Bus
    desk: Desk
    port: int


@asynccontextmanager
async def open_stage(
    nats_url: str,
    store_url: str,
    channels: Mapping[str, Channel] | None = None,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Yield a desk that is served and knows nobody; *channels* replace real ones."""
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(open_bus(nats_url, name="desk-test"))
        store = await opened.enter_async_context(open_store(store_url, COLLECTIONS))
        chosen = desk_settings(**settings)
        board = await opened.enter_async_context(watched_health(bus))
        folder = opened.enter_context(tempfile.TemporaryDirectory())
        files = FolderFiles(Path(folder))
        live = await opened.enter_async_context(open_live(bus, lambda: datetime.now(UTC)))
        desk = make_desk(chosen, store, bus, Passwords(decoy()), files, board=board, live=live)
        desk = msgspec.structs.replace(desk, channels={**CHANNELS, **(channels or {})})
        port = await opened.enter_async_context(serving(desk))
        yield Stage(store, bus, desk, port)


@asynccontextmanager
async def furnished(stage: Stage) -> AsyncIterator[World]:
    """Yield a world on *stage*, in workspaces of its own, whose router answers commands."""
    world = World(stage.store, stage.bus, stage.desk, stage.port)
    async with world.http:
        await world.furnish()
        stops = [
            await world.bus.serve(f"cmd.*.{name}.*", queue="router", handle=world.executor.handle)
            for name in (world.workspace, world.other)
        ]
        try:
            yield world
        finally:
            for stop in stops:
                await stop()


@asynccontextmanager
async def open_world(
    nats_url: str,
    store_url: str,
    channels: Mapping[str, Channel] | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """Yield a furnished world on a stage of its own."""
    async with (
        open_stage(nats_url, store_url, channels, **settings) as stage,
        furnished(stage) as world,
    ):
        yield world


@asynccontextmanager
async def serving(desk: Desk, routes: Sequence[Route] = ROUTES) -> AsyncIterator[int]:
    """Serve *desk* on a port of its own."""
    app: web.Application = build(desk, routes)
    async with listening(app, "127.0.0.1", 0) as port:
        yield port


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)
