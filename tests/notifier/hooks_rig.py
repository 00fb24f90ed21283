"""Customers' systems as tests need them: one web server whose every path is an endpoint.

What an endpoint does with its next calls is planned; signatures are checked by code of the tests'
own, written from the specification and not from ours.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from libs.common import subjects
from libs.common.admin import listening
from libs.common.bots.secrets import fresh_secret
from libs.common.bus.client import Bus, open_bus
from libs.common.documents import COLLECTIONS, MESSAGES, SESSIONS, Message, Session
from libs.common.events import ContentPart, Fact, TextPart
from libs.common.files.links import link_keys
from libs.common.http import open_door
from libs.common.ids import derive_id
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Page, Store
from libs.common.store.open import open_store
from libs.common.webhook_queue import arm, changed
from libs.common.webhooks import (
    DELIVERIES,
    ENDPOINTS,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
    new_delivery,
    sealed_for,
)
from services.notifier.hooks import Files, hooking
from services.notifier.hooks_call import Reach
from services.notifier.hooks_lane import Pace

QUICK = Pace(first_rest_s=0.2, longest_rest_s=0.5, crowded_s=0.2)
WORKSPACE = "acme"
PUBLIC_URL = "https://desk.example"


class Play(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with one call; `hang`: no answer."""

    status: int = 200
    headers: Mapping[str, str] = {}
    body: bytes = b"ok"
    delay_s: float = 0.0
    hang: bool = False


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it came."""

    id: str
    headers: Mapping[str, str]
    raw: bytes
    at: datetime

    @property
    def event(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self.raw)
        return found


def is_signed(secret: str, call: Call) -> bool:
    """Verify as the specification says, with nothing of ours."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode()
    expected = base64.b64encode(hmac.new(key, content + call.raw, hashlib.sha256).digest())
    age_s = abs(datetime.now(UTC).timestamp() - int(call.headers["webhook-timestamp"]))
    given = [one.split(",", 1) for one in call.headers["webhook-signature"].split(" ")]
    return age_s < 300 and any(v == "v1" and s.encode() == expected for v, s in given)


class Receiver:
    """The endpoints and what they saw."""

    def __init__(self) -> None:
        self.base = ""
        self.calls: defaultdict[str, list[Call]] = defaultdict(list)
        self.peak: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._plans: defaultdict[str, deque[Play]] = defaultdict(deque)
        self._over = asyncio.Event()

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"

    def plan(self, name: str, *plays: Play) -> None:
        """Plan the next calls; the last plan holds for all further ones."""
        self._plans[name] = deque(plays)

    def ids(self, name: str) -> set[str]:
        return {call.id for call in self.calls[name]}

    def let_go(self) -> None:
        """Answer all who hang, now and from now on."""
        self._over.set()

    async def called(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        headers = {key.lower(): value for key, value in request.headers.items()}
        call = Call(
            id=headers.get("webhook-id", ""),
            headers=headers,
            raw=await request.read(),
            at=datetime.now(UTC),
        )
        self.calls[name].append(call)
        plans = self._plans[name]
        play = (plans.popleft() if len(plans) > 1 else plans[0]) if plans else Play()
        self._under_way[name] += 1
        self.peak[name] = max(self.peak[name], self._under_way[name])
        try:
            await asyncio.sleep(play.delay_s)
            if play.hang:
                await self._over.wait()
        finally:
            self._under_way[name] -= 1
        return web.Response(status=play.status, body=play.body, headers=play.headers)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Receiver]:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_post("/{name}", self.called)
        async with listening(app, "127.0.0.1", 0) as port:
            self.base = f"http://127.0.0.1:{port}"
            try:
                yield self
            finally:
                self._over.set()


class Hooks:
    """The stage: bus, store, receiver, and what happens."""

    def __init__(self, bus: Bus, store: Store, receiver: Receiver, key: str) -> None:
        self.bus = bus
        self.store = store
        self.receiver = receiver
        self.key = key
        self.sealer = Sealer.from_setting(key)
        self.secrets: dict[str, str] = {}
        self._number = 0

    async def endpoint(self, name: str, **more: Any) -> WebhookEndpoint:
        """Make an endpoint at the receiver's path *name*."""
        secret = self.secrets[name] = fresh_secret()
        endpoint_id = f"hook_{name}"
        sealed = self.sealer.seal(secret, sealed_for(WORKSPACE, endpoint_id))
        made = WebhookEndpoint(
            **{
                "id": endpoint_id,
                "workspace": WORKSPACE,
                "url": self.receiver.url(name),
                "created_at": datetime.now(UTC) - timedelta(minutes=1),
                "secrets": (WebhookSecret(sealed=sealed),),
                **more,
            }
        )
        made = await self.store.insert(ENDPOINTS, made)
        changed(self.bus, WORKSPACE)
        return made

    async def session(self, name: str = "1", **more: Any) -> Session:
        now = datetime.now(UTC)
        made = Session(
            **{
                "id": f"ses_{name}",
                "workspace": WORKSPACE,
                "account": "acme-line",
                "channel": "line",
                "visitor": "U1",
                "contact": "con_1",
                "contact_name": "Vera",
                "list": "unassigned",
                "open_key": f"key_{name}",
                "created_at": now,
                "updated_at": now,
                **more,
            }
        )
        return await self.store.insert(SESSIONS, made)

    async def message(
        self, session: Session, *parts: ContentPart, text: str = "", **more: Any
    ) -> Message:
        """Store a message as the router does."""
        self._number += 1
        now = datetime.now(UTC)
        made = Message(
            **{
                "id": f"msg_{self._number}_{session.id}",
                "workspace": WORKSPACE,
                "account": session.account,
                "key": f"k{self._number}",
                "session": session.id,
                "timeline": session.id,
                "visitor": session.visitor,
                "kind": "message",
                "direction": "in",
                "sender": "visitor",
                "parts": parts or (TextPart(text=text),),
                "number": self._number,
                "occurred_at": now,
                "received_at": now,
                **more,
            }
        )
        return await self.store.insert(MESSAGES, made)

    def fact(self, kind: str, session: str = "ses_1", **more: Any) -> Fact:
        self._number += 1
        return Fact(
            **{
                "fact_id": f"{session}:{self._number}:1",
                "type": kind,
                "workspace": WORKSPACE,
                "session": session,
                "at": datetime.now(UTC),
                "actor": "system",
                **more,
            }
        )

    async def tell(self, fact: Fact, *, again: bool = False) -> Fact:
        """Publish a fact as the router does; *again*: past the stream's own memory."""
        subject = subjects.fact(fact.workspace, fact.type, fact.session)
        msg_id = f"{fact.fact_id}:again" if again else fact.fact_id
        await self.bus.publish(subject, msgspec.json.encode(fact), msg_id=msg_id)
        return fact

    async def happens(self, count: int = 1, kind: str = "session.moved") -> list[Fact]:
        """Let something happen to the session `ses_1`."""
        return [await self.tell(self.fact(kind, list="unassigned")) for _ in range(count)]

    async def delivery(self, of: WebhookEndpoint, /, **more: Any) -> WebhookDelivery:
        """Note a delivery and have it sent."""
        self._number += 1
        now = datetime.now(UTC)
        made = new_delivery(of, f"e{self._number}", "webhook.test", "{}", now)
        made = await self.store.insert(DELIVERIES, msgspec.structs.replace(made, **more))
        await arm(self.bus, made, now)
        return made

    async def log(self, name: str) -> list[WebhookDelivery]:
        page = Page(order="log", limit=1000)
        where = {"endpoint": f"hook_{name}"}
        return await self.store.find(DELIVERIES, WORKSPACE, where, page)

    async def states(self, name: str) -> Counter[str]:
        return Counter(one.state for one in await self.log(name))

    async def now(self, name: str) -> WebhookEndpoint:
        found = await self.store.get(ENDPOINTS, WORKSPACE, f"hook_{name}")
        assert found is not None
        return found

    @asynccontextmanager
    async def running(self, *, local: bool = True, **more: Any) -> AsyncIterator[None]:
        """Run what the notifier has for webhooks."""
        stop = asyncio.Event()
        async with open_door() as door, asyncio.timeout(60):
            reach = Reach(
                door=door,
                sealer=self.sealer,
                local=local,
                now=lambda: datetime.now(UTC),
                timeout_s=more.pop("timeout_s", 5.0),
            )
            files = Files(keys=link_keys(self.key), public_url=PUBLIC_URL)
            async with hooking(
                self.bus,
                self.store,
                reach,
                files,
                workspaces=lambda: {WORKSPACE},
                stop=stop,
                pace=more.pop("pace", QUICK),
            ):
                try:
                    yield
                finally:
                    stop.set()


@asynccontextmanager
async def staged(nats_url: str, store_url: str) -> AsyncIterator[Hooks]:
    """Open everything; nothing is sent yet."""
    async with (
        Receiver().running() as receiver,
        open_bus(nats_url, name="hooks-test") as bus,
        open_store(store_url, COLLECTIONS) as store,
    ):
        yield Hooks(bus, store, receiver, new_key_setting())


def delivery_of(endpoint: str, fact: Fact) -> str:
    """Return the `webhook-id` by which *endpoint* is told *fact*."""
    return derive_id("whd", endpoint, fact.fact_id)
