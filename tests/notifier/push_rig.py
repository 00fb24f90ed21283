"""A push service that decrypts what it is sent, and browsers that subscribe at it."""

from __future__ import annotations

import asyncio
import base64
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import http_ece
import msgspec
from aiohttp import web
from aiohttp.abc import AbstractResolver
from cryptography.hazmat.primitives.asymmetric import ec

from libs.common import subjects
from libs.common.alerts import ATTENTION, Alert, Attention, Watch
from libs.common.alerts import Sink as AlertSink
from libs.common.bus.client import Bus, open_bus
from libs.common.config import NotifierSettings
from libs.common.documents import AGENTS, COLLECTIONS, Agent
from libs.common.http import open_door
from libs.common.push_keys import public_text, vapid_keys
from libs.common.pushes import (
    SUBSCRIPTIONS,
    Endpoint,
    PushSubscription,
    seal_context,
    subscription_id,
)
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Store
from libs.common.store.open import open_store
from services.notifier.pushing import pushing

WORKSPACE = "acme"
ZONE = "Asia/Tokyo"
"""The workspace's."""
SILENCE = "silence"
"""Says in a script that no answer comes."""


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser got."""

    browser: str
    headers: dict[str, str]
    shown: dict[str, Any]
    at: datetime


class Sink:
    """A push service on a port; answers 201 unless a browser's script says otherwise.

    A script's entries are statuses, (status, headers), `SILENCE`, or what returns a status.
    """

    def __init__(self) -> None:
        self.got: list[Pushed] = []
        self.asked: list[str] = []
        self.origin = ""
        self.scripts: dict[str, deque[Any]] = {}
        self.most_bytes = 4096
        self.takes_s = 0.0
        self.down = False
        self._over = asyncio.Event()
        self._keys: dict[str, tuple[ec.EllipticCurvePrivateKey, bytes]] = {}

    def browser(self, name: str) -> Endpoint:
        """Return the endpoint and keys of a new browser."""
        private, auth = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        self._keys[name] = (private, auth)
        return Endpoint(
            url=f"{self.origin}/push/{name}",
            p256dh=public_text(private),
            auth=base64.urlsafe_b64encode(auth).rstrip(b"=").decode(),
        )

    def of(self, name: str) -> list[Pushed]:
        return [pushed for pushed in self.got if pushed.browser == name]

    async def take(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.asked.append(name)
        if self.down:  # hangs up without a word
            assert request.transport is not None
            request.transport.abort()
        body = await request.read()
        await asyncio.sleep(self.takes_s)
        script = self.scripts.get(name)
        said = script.popleft() if script else 201
        if callable(said):
            said = await said()
        if said == SILENCE:
            await self._over.wait()
            said = 503
        status, more = said if isinstance(said, tuple) else (said, {})
        if len(body) > self.most_bytes:
            status = 413
        if status < 300:
            private, auth = self._keys[name]
            plain = http_ece.decrypt(body, private_key=private, auth_secret=auth)
            self.got.append(
                Pushed(
                    browser=name,
                    headers=dict(request.headers),
                    shown=msgspec.json.decode(plain),
                    at=datetime.now(UTC),
                )
            )
        return web.Response(status=status, headers=more)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Sink]:
        app = web.Application()
        app.router.add_post("/push/{name}", self.take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        self.origin = f"http://127.0.0.1:{port}"
        try:
            yield self
        finally:
            self._over.set()
            await runner.cleanup()


class PushRig:
    """Bus, store and sink; agents with browsers, and alerts as the engine publishes them."""

    def __init__(self, settings: NotifierSettings, bus: Bus, store: Store, sink: Sink) -> None:
        self.settings = settings
        self.bus = bus
        self.store = store
        self.sink = sink
        self._sealer = Sealer.from_setting(settings.secret_key)
        self._number = 0

    async def hire(self, agent: str, **more: Any) -> None:
        person = Agent(
            id=agent,
            workspace=WORKSPACE,
            name=agent.title(),
            email=f"{agent}@acme.example",
            email_key=f"{agent}@acme.example",
            role="agent",
            **more,
        )
        await self.store.insert(AGENTS, person)

    async def subscribe(
        self, agent: str, name: str, endpoint: Endpoint | None = None, **more: Any
    ) -> str:
        """Store a browser of *agent* as desk does; return the subscription's id."""
        endpoint = endpoint or self.sink.browser(name)
        id_ = subscription_id(endpoint.url)
        text = msgspec.json.encode(endpoint).decode()
        made = PushSubscription(
            id=id_,
            workspace=WORKSPACE,
            agent=agent,
            sealed=self._sealer.seal(text, seal_context(WORKSPACE, id_)),
            host=endpoint.url.split("/")[2],
            created_at=datetime.now(UTC),
            **{"key": next(iter(vapid_keys(self.settings.secret_key))), **more},
        )
        await self.store.insert(SUBSCRIPTIONS, made)
        return id_

    async def renew(self, id_: str, endpoint: Endpoint) -> None:
        """Let the browser subscribe anew at the same endpoint, as desk stores it."""
        found = await self.subscription(id_)
        assert found is not None
        text = msgspec.json.encode(endpoint).decode()
        sealed = self._sealer.seal(text, seal_context(WORKSPACE, id_))
        await self.store.replace(SUBSCRIPTIONS, msgspec.structs.replace(found, sealed=sealed))

    async def subscription(self, id_: str) -> PushSubscription | None:
        return await self.store.get(SUBSCRIPTIONS, WORKSPACE, id_)

    async def attend(self, alert: Alert, newer: Sequence[AlertSink] | None = None) -> None:
        """Let the session wait for the agent, as the engine notes it.

        With *newer*, an alert that was told by these sinks has taken the place of this one.
        """
        watch = Watch(
            agent=alert.agent,
            alert=alert.id if newer is None else f"{alert.session}:2:{alert.agent}",
            trigger=alert.trigger,
            since=alert.at,
            last=alert.at,
            told=dict.fromkeys(newer or (), alert.at),
        )
        await self.store.insert(
            ATTENTION,
            Attention(id=alert.session, workspace=WORKSPACE, watches=(watch,), updated_at=alert.at),
        )

    def alert(self, agent: str, **more: Any) -> Alert:
        self._number += 1
        session = f"ses_{agent}_{self._number}"
        now = datetime.now(UTC)
        return Alert(
            **{
                "id": f"{session}:1:{agent}",
                "workspace": WORKSPACE,
                "agent": agent,
                "trigger": "unassigned.message",
                "at": now,
                "expires_at": now + timedelta(seconds=900),
                "session": session,
                "list": "unassigned",
                "contact_name": "Ivy Example",
                "excerpt": "my card number is 4111",
                "url": f"/#/sessions/{session}",
                **more,
            }
        )

    async def raises(self, agent: str, *, waits: bool = True, **more: Any) -> Alert:
        """Publish an alert to the sink `push`."""
        alert = self.alert(agent, **more)
        if waits and alert.session:
            await self.attend(alert)
        await self.publish(alert)
        return alert

    async def publish(self, alert: Alert) -> None:
        subject = subjects.alert("push", alert.workspace, alert.agent)
        msg_id = f"{alert.id}:{alert.n}:push"
        await self.bus.publish(subject, msgspec.json.encode(alert), msg_id=msg_id)


@asynccontextmanager
async def push_stage(nats_url: str, folder: Path, **settings: Any) -> AsyncIterator[PushRig]:
    """Open everything but the notifier."""
    async with Sink().serving() as sink:
        chosen = NotifierSettings(
            nats_url=nats_url,
            store_url=f"sqlite:///{folder / 'relaydesk.db'}",
            mail_from="Relaydesk <alerts@acme.example>",
            **{"secret_key": new_key_setting(), "push_hosts": sink.origin, **settings},
        )
        async with (
            open_bus(nats_url, name="test-push") as bus,
            open_store(chosen.store_url, COLLECTIONS) as store,
        ):
            yield PushRig(chosen, bus, store, sink)


@asynccontextmanager
async def running(rig: PushRig, resolver: AbstractResolver | None = None) -> AsyncIterator[None]:
    """Push, as the notifier does."""
    stop = asyncio.Event()
    sealer = Sealer.from_setting(rig.settings.secret_key)
    async with (
        open_bus(rig.settings.nats_url, name="pushing") as bus,
        open_door(resolver) as door,
        pushing(rig.settings, (bus, rig.store, sealer, door), lambda _workspace: ZONE, stop),
    ):
        try:
            yield
        finally:
            stop.set()
