"""A running ingest for tests: in this process for tables, as a process of its own for faults."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import msgspec
from prometheus_client import REGISTRY

from libs.common.bus.client import Bus, open_bus
from libs.common.channel import Account, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.config import IngestSettings
from libs.common.directory import AccountEntry, Directory, seal_context
from libs.common.events import Inbound
from libs.common.rawlog import InboundWithRaw, RawPart, join
from libs.common.seal import Sealer
from libs.common.simulate.bodies import text_body, visitor_for
from libs.common.simulate.signing import signed
from libs.common.subjects import ACCOUNTS_KV, INBOUND, WEBHOOKS
from services.ingest.app import make_site
from services.ingest.outlet import Outlet
from services.ingest.reach import Reach
from services.ingest.server import listening
from services.ingest.spool import Spool, open_spool
from tests.forge import Awaited, begin

KEY = "k1:" + base64.b64encode(bytes(range(32))).decode()
SEALER = Sealer.from_setting(KEY)
NOW = datetime.now(UTC)


def now() -> datetime:
    """Return the time to sign with: some providers' signatures are good for minutes only."""
    return datetime.now(UTC)


_LARGE = 512 * 1024  # aiohttp's client wants larger ones as a file
_numbers = itertools.count(1)

SECRETS: dict[str, dict[str, str]] = {
    "messenger": {"app_secret": "meta-{n}", "verify_token": "verify-{n}", "access_token": "t"},
    "fb_comment": {"app_secret": "meta-{n}", "verify_token": "verify-{n}", "access_token": "t"},
    "instagram": {"app_secret": "meta-{n}", "verify_token": "verify-{n}", "access_token": "t"},
    "whatsapp": {"app_secret": "meta-{n}", "verify_token": "verify-{n}", "access_token": "t"},
    "line": {"channel_secret": "line-{n}", "access_token": "t"},
    "wechat": {"token": "wechat-{n}", "app_secret": "s", "app_id": "wx{n}"},
    "web": {"visitor_key": "web-{n}"},
    "telegram": {"secret_token": "telegram-{n}", "bot_token": "{n}:t"},
}


ALL = tuple(CHANNELS)
META = ("messenger", "fb_comment", "instagram", "whatsapp")
MAX_BODY = 65536
"""What the `here` fixture allows."""


def secrets_of(channel: str) -> Mapping[str, str]:
    """Return the secrets of an account; of a channel not named above, each called as it is."""
    return SECRETS.get(channel) or {
        secret: f"{secret}-{{n}}" for secret in CHANNELS[channel].secrets
    }


def account(channel: str, *, number: int = 0, **changes: str) -> Account:
    """Return an account of a workspace of its own, so that its subjects are its own too."""
    n = number or next(_numbers)
    workspace = changes.pop("workspace", f"w{os.getpid()}-{n}")
    return msgspec.structs.replace(
        Account(
            workspace=workspace,
            slug=f"{workspace}-{channel.replace('_', '-')}",
            channel=channel,
            external_id={"line": f"U{n:032x}", "wechat": f"gh_{n}"}.get(channel, str(10**14 + n)),
            app=f"app-{workspace}" if CHANNELS[channel].addressees else "",
            secrets={name: text.format(n=n) for name, text in secrets_of(channel).items()},
        ),
        **changes,
    )


def entry(account: Account, *, enabled: bool = True) -> bytes:
    """Return the account as the bucket holds it."""
    return msgspec.json.encode(
        AccountEntry(
            workspace=account.workspace,
            slug=account.slug,
            channel=account.channel,
            external_id=account.external_id,
            app=account.app,
            enabled=enabled,
            sealed={
                name: SEALER.seal(value, seal_context(account.workspace, account.slug, name))
                for name, value in account.secrets.items()
            },
        )
    )


def path_of(account: Account) -> str:
    return f"/webhooks/{CHANNELS[account.channel].endpoint}/{account.app or account.slug}"


def said(account: Account, message_id: str, text: str = "hello", visitor: str = "") -> bytes:
    """Return a body with one text message."""
    visitor = visitor or visitor_for(account.channel)
    return text_body(account, visitor=visitor, message_id=message_id, text=text, now=NOW)


def webhook(account: Account, message_id: str, text: str = "hello") -> WebhookRequest:
    """Return a really signed request with one text message."""
    return signed(account, said(account, message_id, text), now=now())


class Answered(msgspec.Struct):
    status: int
    body: bytes
    headers: Mapping[str, str]
    seconds: float


class Client:
    """Posts webhooks to one ingest."""

    def __init__(self, base_url: str, http: aiohttp.ClientSession) -> None:
        self.base_url = base_url
        self.http = http

    async def send(
        self, path: str, request: WebhookRequest, *, method: str = "", **more: str
    ) -> Answered:
        started = time.monotonic()
        query = f"?{urlencode(dict(request.query))}" if request.query else ""
        async with self.http.request(
            method or request.method,
            self.base_url + path + query,
            data=io.BytesIO(request.body) if len(request.body) > _LARGE else request.body,
            headers={**request.headers, **more},
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
            took = time.monotonic() - started
            return Answered(answer.status, body, answer.headers, took)

    async def post(self, account: Account, request: WebhookRequest) -> Answered:
        return await self.send(path_of(account), request)


@asynccontextmanager
async def client(base_url: str) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False
    ) as http:
        yield Client(base_url, http)


async def events(bus: Bus, workspace: str) -> list[Inbound]:
    """Return all events stored for a workspace."""
    found = await bus.read(INBOUND, f"in.*.{workspace}.*.*", limit=20_000)
    return [msgspec.json.decode(message.data, type=Inbound) for message in found]


async def raws(bus: Bus, workspace: str) -> list[RawPart]:
    """Return all raw webhooks stored for a workspace, put together."""
    found = await bus.read(WEBHOOKS, f"raw.{workspace}.*.*", limit=20_000)
    parts = [msgspec.json.decode(message.data, type=RawPart) for message in found]
    for message in await bus.read(INBOUND, f"in.*.{workspace}.*.*", limit=20_000):
        envelope = msgspec.json.decode(message.data, type=InboundWithRaw)
        parts += [envelope.raw] if envelope.raw else []
    ids = dict.fromkeys(part.ingest_id for part in parts)
    return [join(part for part in parts if part.ingest_id == name) for name in ids]


def counted(name: str, **labels: str) -> float:
    """Return a metric of this process."""
    return REGISTRY.get_sample_value(f"relaydesk_ingest_{name}", labels) or 0.0


class Here(Client):
    """Ingest in this process."""

    def __init__(
        self, base_url: str, http: aiohttp.ClientSession, reach: Reach, bus: Bus, spool: Spool
    ) -> None:
        super().__init__(base_url, http)
        self.reach = reach
        self.bus = bus
        self.spool = spool

    def connect(self, *accounts: Account, enabled: bool = True) -> None:
        for one in accounts:
            self.reach.directory.put_account(one.slug, entry(one, enabled=enabled))


@asynccontextmanager
async def ingest_here(nats_url: str, folder: Path, **settings: object) -> AsyncIterator[Here]:
    """Run the application in this process, on a real server."""
    values = msgspec.convert(
        {"nats_url": nats_url, "secret_key": KEY, "spool_dir": str(folder), **settings},
        IngestSettings,
    )
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(
            open_bus(nats_url, name="test", publish_timeout_s=values.publish_timeout_s)
        )
        spool = await opened.enter_async_context(open_spool(folder, values.spool_max_bytes))
        reach = Reach(Directory(SEALER))
        reach.bus = bus
        reach.directory.complete.set()
        outlet = Outlet(reach, spool, publish_timeout_s=values.publish_timeout_s)
        site = make_site(values, reach, outlet)
        port = await opened.enter_async_context(
            listening(site.table, "127.0.0.1", 0, closing=site.close)
        )
        there = await opened.enter_async_context(client(f"http://127.0.0.1:{port}"))
        yield Here(there.base_url, there.http, reach, bus, spool)


class There(Client):
    """Ingest as a process of its own."""

    def __init__(
        self,
        base_url: str,
        http: aiohttp.ClientSession,
        process: Awaited,
        admin_url: str,
    ) -> None:
        super().__init__(base_url, http)
        self.process = process
        self.admin_url = admin_url

    async def ready(self) -> bool:
        async with self.http.get(f"{self.admin_url}/readyz") as answer:
            return answer.status == 200

    async def metric(self, name: str) -> float:
        """Return the sum over all labels of a metric."""
        async with self.http.get(f"{self.admin_url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        full = f"relaydesk_ingest_{name}"
        return sum(
            float(line.rsplit(" ", 1)[1])
            for line in lines
            if line.startswith((f"{full} ", f"{full}{{"))
        )

    async def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 15)


@asynccontextmanager
async def ingest_there(nats_url: str, folder: Path, **environ: str) -> AsyncIterator[There]:
    """Start an ingest process; at the end it is stopped, if it still runs."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = folder / f"ports-{next(_numbers)}.json"
    clean = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    own = {
        "RELAYDESK_NATS_URL": nats_url,
        "RELAYDESK_SECRET_KEY": KEY,
        "RELAYDESK_SPOOL_DIR": str(folder / "spool"),
        "RELAYDESK_PORT": "0",
        "RELAYDESK_PORT_FILE": str(ports),
    }
    with (folder / "ingest.log").open("ab") as log:
        process = begin("services.ingest", environ={**clean, **own, **environ}, output=log)
    try:
        await until(lambda: _exists(process, ports, folder), "ports")
        found = msgspec.json.decode(ports.read_bytes(), type=dict[str, int])
        async with client(f"http://127.0.0.1:{found['port']}") as one:
            admin = f"http://127.0.0.1:{found['admin']}"
            yield There(one.base_url, one.http, process, admin)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            await asyncio.wait_for(process.wait(), 15)


async def _exists(process: Awaited, ports: Path, folder: Path) -> bool:
    assert process.returncode is None, (folder / "ingest.log").read_text()[-2000:]
    return ports.exists()


async def connect(bus: Bus, *accounts: Account) -> None:
    """Put accounts into the bucket that ingest watches."""
    for one in accounts:
        await bus.kv_put(ACCOUNTS_KV, one.slug, entry(one))


async def until(
    true: Callable[[], Awaitable[object]], what: str, *, within_s: float = 20.0
) -> None:
    deadline = time.monotonic() + within_s
    while not await true():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        await asyncio.sleep(0.05)


async def stored(here: Here, workspace: str) -> tuple[int, int]:
    """Return how many events and raw webhooks of a workspace are stored."""
    return len(await events(here.bus, workspace)), len(await raws(here.bus, workspace))


def outcomes(channel: str) -> dict[str, float]:
    """Return the counters of refusals of a channel's endpoint."""
    endpoint = CHANNELS[channel].endpoint
    names = ("bad_signature", "unknown_account", "too_large", "compressed", "wrong_method")
    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    return {
        sample.labels["outcome"]: sample.value
        for sample in samples
        if sample.name == "relaydesk_ingest_requests_total"
        and sample.labels["endpoint"] == endpoint
        and sample.labels["outcome"] in names
    }


async def raw_http(here: Here, head: str, body: bytes = b"", *, end: bool = False) -> Answered:
    """Send bytes as they are; return what comes back until the server closes or falls silent."""
    port = int(here.base_url.rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode("latin-1") + b"\r\n" + body)
    if end:
        writer.write_eof()
    started = time.monotonic()
    found = b""
    try:
        while b"\r\n\r\n" not in found:
            piece = await asyncio.wait_for(reader.read(65536), 30)
            if not piece:
                break
            found += piece
    finally:
        writer.close()
    took = time.monotonic() - started
    status = int(found.split(b" ")[1]) if found else 0
    return Answered(status, found, {}, took)
