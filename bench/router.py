"""The router: messages per second, store commands, CPU; and the way from webhook to session."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from bench import ingest
from bench.load import Result, closed_loop, open_loop
from bench.stores import CountingStore, FreeStore
from bench.webhook import Webhooks
from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.consume import consume_batches
from libs.common.bus.delivery import Delivery, Outcome
from libs.common.bus.options import Observed, Options
from libs.common.channel import Account, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.cli.admin import apply_file, migrate
from libs.common.documents import COLLECTIONS
from libs.common.embedded import embedded_nats
from libs.common.events import Fact, Inbound, MessageReceived, TextPart
from libs.common.ids import derive_id
from libs.common.policy import Policy
from libs.common.seal import new_key_setting
from libs.common.store.api import Store
from libs.common.store.open import open_store
from services.router.batch import Batch
from services.router.entry import Arrival
from services.router.handle import Handler
from services.router.outbox import Outbox
from services.router.plan import Known, Talk, plan
from services.router.room import Room
from services.router.rooms import Rooms
from services.router.seats import Seats

MESSAGES = 20_000
ONE_BY_ONE = 1_500
VISITORS = 500
WORKSPACE = "bench"
LATENCY_S = 15.0


def now() -> datetime:
    return datetime.now(UTC)


def inbound(number: int, run: str) -> Inbound:
    """Return one event; the visitors take turns."""
    visitor = f"PSID-{number % VISITORS:06d}"
    name = f"m_{run}_{number:09d}"
    event = MessageReceived(
        event_id=name,
        visitor=visitor,
        occurred_at=now(),
        message_id=name,
        parts=(TextPart(text="x" * 200),),
    )
    return Inbound(
        workspace=WORKSPACE,
        channel="messenger",
        account="bench-page",
        ingest_id=f"i{number}",
        received_at=now(),
        event=event,
    )


async def fill(bus: Bus, number: int, run: str) -> None:
    """Put *number* events on INBOUND."""
    for start in range(0, number, 500):
        waiting = []
        for index in range(start, min(start + 500, number)):
            message = inbound(index, run)
            subject = subjects.inbound(WORKSPACE, "messenger", "bench-page", message.event.visitor)
            waiting.append(
                bus.publish_soon(
                    subject, msgspec.json.encode(message), msg_id=message.event.event_id
                )
            )
        await asyncio.gather(*waiting)


class Run(msgspec.Struct, kw_only=True):
    """What one drain took."""

    seconds: float
    cpu_s: float
    messages: int
    commands: int

    @property
    def per_second(self) -> float:
        return self.messages / self.seconds


def rooms(store: Store) -> Rooms:
    """Return what decisions look at: the switches of a fresh workspace."""
    policy = Policy()
    return Rooms(lambda _workspace: policy, Seats(store, now))


async def drain(bus: Bus, store: Any, messages: int, *, batch: int) -> Run:
    """Let the router's own handler take *messages* off the stream; return what it took."""
    counting = CountingStore(store)
    stop = asyncio.Event()
    outbox = Outbox(cast("Store", counting), bus, now)
    handler = Handler(
        Batch(cast("Store", counting), outbox, rooms(cast("Store", counting)), now), outbox, now
    )
    clock = Clock(handler, messages, stop)
    await consume_batches(
        bus,
        subjects.INBOUND,
        f"bench-{uuid.uuid4().hex[:6]}",
        clock,
        stop=stop,
        service="bench",
        batch=batch,
        options=Options(observe=Observed()),
    )
    await outbox.flush()
    commands = counting.commands.total()
    return Run(seconds=clock.seconds, cpu_s=clock.cpu_s, messages=messages, commands=commands)


class Clock:
    """Measures from the first batch to the last message."""

    def __init__(self, handler: Handler, expected: int, stop: asyncio.Event) -> None:
        self._handler = handler
        self._expected = expected
        self._stop = stop
        self._handled = 0
        self._began = 0.0
        self._cpu = 0.0
        self.seconds = 0.0
        self.cpu_s = 0.0

    async def __call__(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        if not self._handled:
            self._began, self._cpu = time.perf_counter(), time.process_time()
        outcomes = await self._handler(deliveries)
        self._handled += len(deliveries)
        if self._handled >= self._expected and not self._stop.is_set():
            self.seconds = time.perf_counter() - self._began
            self.cpu_s = time.process_time() - self._cpu
            self._stop.set()
        return outcomes


def pure_cpu_us() -> float:
    """Return the CPU of the pure rules a message: decode, plan in a session, encode the facts."""
    raw = [msgspec.json.encode(inbound(number, "pure")) for number in range(MESSAGES)]
    decoder = msgspec.json.Decoder(Inbound)
    sessions: dict[str, Any] = {}
    began = time.process_time()
    for place, data in enumerate(raw):
        message = decoder.decode(data)
        visitor = message.event.visitor
        arrival = Arrival(inbound=message, sequence=place, place=place, attempt=1)
        known = Known(session=sessions.get(visitor))
        drawn = plan(Talk("bench-page", visitor), [arrival], known, Room(), message.received_at)
        (session,) = (*drawn.created, *drawn.changed)
        for fact in session.facts:
            msgspec.json.encode(fact)
        sessions[visitor] = msgspec.structs.replace(session, rev=1, facts=(), outbox_since=None)
    return (time.process_time() - began) * 1e6 / MESSAGES


async def throughput(*, sync_always: bool) -> None:
    """Print messages per second, store commands and CPU of one router process."""
    title = "sync_interval: always" if sync_always else "the broker's default sync"
    print(f"\n## Router, one process, SQLite (synchronous=FULL), {title}\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with AsyncExitStack() as opened:
            url = await opened.enter_async_context(
                embedded_nats(folder / "nats", sync_always=sync_always)
            )
            bus = await opened.enter_async_context(
                open_bus(url, name="bench", publish_timeout_s=30)
            )
            single = await opened.enter_async_context(
                open_store(f"sqlite:///{folder / 'one.db'}", COLLECTIONS)
            )
            store = await opened.enter_async_context(
                open_store(f"sqlite:///{folder / 'many.db'}", COLLECTIONS)
            )
            await fill(bus, ONE_BY_ONE, "one")
            one = await drain(bus, single, ONE_BY_ONE, batch=1)
            await fill(bus, MESSAGES - ONE_BY_ONE, "many")
            many = await drain(bus, store, MESSAGES, batch=200)
            print(f"in batches: {many.per_second:,.0f} messages/s")
            print(
                f"in batches / one at a time: {many.per_second / one.per_second:.1f}   (target 3)"
            )
            print(
                f"store commands per 1,000 messages: {many.commands * 1000 / MESSAGES:.1f}, one "
                f"at a time {one.commands * 1000 / ONE_BY_ONE:,.0f}   (target at most 30)"
            )
            if not sync_always:
                free = await drain(bus, FreeStore(), MESSAGES, batch=200)
                pure = pure_cpu_us()
                cpu_us = free.cpu_s * 1e6 / MESSAGES
                print(
                    f"CPU with a store that costs nothing / pure rules: {cpu_us / pure:.1f} "
                    f"({cpu_us:.0f} us / {pure:.0f} us a message)   (target at most 5)"
                )


# --- from webhook to stored session --------------------------------------------------------------


class Way:
    """When each message was sent, and when the router said that it is stored."""

    def __init__(self, run: str) -> None:
        self._account = Account(
            workspace=WORKSPACE, slug="bench-page", channel="messenger", external_id=ingest.PAGE
        )
        self._run = run
        self.sent: dict[str, float] = {}
        self.stored: dict[str, float] = {}

    def tell(self, _subject: str, data: bytes) -> None:
        """Take one fact."""
        fact = msgspec.json.decode(data, type=Fact)
        self.stored.setdefault(fact.message, time.perf_counter())

    def entry_id(self, request: bytes) -> str:
        """Return the id under which the message of a request is stored."""
        body = request.partition(b"\r\n\r\n")[2]
        parsed = CHANNELS["messenger"].parse(
            self._account, WebhookRequest(method="POST", headers={}, query={}, body=body)
        )
        return derive_id("msg", WORKSPACE, "bench-page", parsed.events[0].event_id)

    def latencies_s(self) -> list[float]:
        """Return the time from sending to stored of all that arrived, sorted."""
        return sorted(self.stored[i] - at for i, at in self.sent.items() if i in self.stored)


async def way() -> None:
    """Print the latency from webhook to stored session at half of what the whole path carries."""
    print("\n## From webhook to stored session: ingest, NATS (always sync), router, SQLite\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with AsyncExitStack() as opened:
            url = await opened.enter_async_context(embedded_nats(folder / "nats"))
            settings = {
                "RELAYDESK_NATS_URL": url,
                "RELAYDESK_SECRET_KEY": new_key_setting(),
                "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'bench.db'}",
                "RELAYDESK_SPOOL_DIR": str(folder / "spool"),
                "RELAYDESK_PORT": "0",
            }
            await migrate(settings)
            await apply_file(settings, ingest.workspace())
            bus = await opened.enter_async_context(
                open_bus(url, name="bench", publish_timeout_s=30)
            )
            servers = []
            for service in ("ingest", "router"):
                environ = {**settings, "RELAYDESK_PORT_FILE": str(folder / f"{service}.json")}
                servers.append(
                    await opened.enter_async_context(
                        ingest.started(service, ["-m", f"services.{service}"], environ, folder)
                    )
                )
            await asyncio.sleep(2.0)  # the router takes its partitions
            await _way(bus, servers)


async def _way(bus: Bus, servers: list[ingest.Server]) -> None:
    port = servers[0].port
    full = Way("full")
    stop = await bus.listen(f"ev.{WORKSPACE}.message.stored.*", full.tell)
    requests = Webhooks(path=ingest.PATH, page=ingest.PAGE, secret=ingest.SECRET, run="full")
    began = time.perf_counter()
    result: Result = await asyncio.to_thread(
        closed_loop, port, requests, seconds=5.0, connections=64
    )
    while len(full.stored) < result.answered:
        await asyncio.sleep(0.01)
    whole = result.answered / (time.perf_counter() - began)
    await stop()
    half = Way("half")
    stop = await bus.listen(f"ev.{WORKSPACE}.message.stored.*", half.tell)
    requests = Webhooks(path=ingest.PATH, page=ingest.PAGE, secret=ingest.SECRET, run="half")

    def request() -> bytes:
        ready = requests()
        half.sent[half.entry_id(ready)] = time.perf_counter()
        return ready

    await asyncio.to_thread(
        open_loop, port, request, per_second=whole / 2, seconds=LATENCY_S, connections=64
    )
    await asyncio.sleep(2.0)
    await stop()
    found = half.latencies_s()
    lost = len(half.sent) - len(found)
    cut = statistics.quantiles(found, n=100)
    print(f"the whole path carries {whole:,.0f} webhooks/s on this machine")
    print(
        f"at half of that: p50 {cut[49] * 1e3:.1f} ms, p99 {cut[98] * 1e3:.1f} ms, of "
        f"{len(found):,} messages, {lost} missing   (target p99 < 250 ms)"
    )
    for server in servers:
        print(f"{server.name}'s peak memory: {server.peak_mib():.0f} MiB")


async def main() -> None:
    """Measure all."""
    await throughput(sync_always=False)
    await throughput(sync_always=True)
    await way()
