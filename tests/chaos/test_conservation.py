"""I15, D01: under kills of everything the books balance to the unit, by /metrics alone.

And they are no tautology: what is taken out of the store behind the router's back is missed.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import aiohttp
import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.config import RouterSettings, load
from libs.common.doctor.ledgers import look_at_ledgers, read_ledgers
from libs.common.documents import COLLECTIONS, MESSAGES, Message
from libs.common.errors import BusUnavailableError
from libs.common.events import Inbound, MessageReceived, TextPart
from libs.common.simulate.signing import signed
from libs.common.store.open import open_store
from services.router.entry import message_id
from services.router.replay import replay
from services.router.replay_source import Wanted
from tests.chaos.ledger import Ledger, reply_until_accepted
from tests.e2e.stack import Stack, running, until
from tests.e2e.talk import account_of
from tests.router.processes import Process

pytestmark = pytest.mark.chaos

CHANNELS = ("line", "whatsapp", "web")
WEBHOOKS = 90
SECONDS = 6.0
VISITORS = 12
KILLED = ("router", "second router", "ingest", "nats", "router", "second router")
AGAIN = 5
POISON = 2
POISONED = b'{"no": "event"}'
MALFORMED = 3
REPLIES = 4
RECEIPTS = {"delivery.reported", "message.echoed"}
_LINE = re.compile(r"^(\w+?)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Labels = frozenset[tuple[str, str]]


class Page:
    """A metrics page as text, read as Prometheus reads it."""

    def __init__(self, text: str) -> None:
        self._found: dict[str, dict[Labels, float]] = {}
        for name, labels, value in _LINE.findall(text):
            self._found.setdefault(name, {})[frozenset(_LABEL.findall(labels))] = float(value)

    def sum(self, name: str, **wanted: str) -> float:
        """Return the sum of the series that have these labels."""
        assert name in self._found, name
        asked = set(wanted.items())
        return sum(value for labels, value in self._found[name].items() if asked <= labels)

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return the sums by a label."""
        return {
            value: self.sum(name, **{label: value})
            for labels in self._found[name]
            for key, value in labels
            if key == label
        }


class Site:
    """An installation with a second router beside it, and what was put into it."""

    def __init__(self, stack: Stack, second: Process, bus: Bus, settings: Mapping[str, str]):
        self.stack = stack
        self.second = second
        self.bus = bus
        self.settings = settings
        self.ledger = Ledger(stack)
        self.run = uuid.uuid4().hex[:8]
        self.accepted: Counter[str] = Counter()
        self.replied: list[str] = []

    async def routers(self) -> list[Page]:
        """Return what both routers tell."""
        port = msgspec.json.decode(self.second.ports.read_bytes())["admin"]
        address = f"http://127.0.0.1:{port}/metrics"
        with await asyncio.to_thread(urlopen, address, timeout=5) as answer:
            return [Page(await self.stack.metrics("router")), Page(answer.read().decode())]

    async def post_all(self) -> None:
        """Post texts of all channels; each until it is accepted, so some bodies come twice."""
        async with asyncio.TaskGroup() as group:
            for number in range(WEBHOOKS):
                channel = CHANNELS[number % len(CHANNELS)]
                visitor = f"v{self.run}{number % VISITORS}"
                mark = f"{self.run}-{number}"
                self.accepted[channel] += 1
                group.create_task(self.ledger.post(channel, visitor, mark))
                await asyncio.sleep(SECONDS / WEBHOOKS)

    async def kill_all(self) -> None:
        """Kill one after another, at random moments, in any order."""
        chance = random.Random(self.run)  # noqa: S311 (moments, not secrets)
        order = chance.sample(KILLED, len(KILLED))
        for victim in order:
            await asyncio.sleep(chance.uniform(0.4, 1.2))
            if victim == "second router":
                await asyncio.to_thread(self.second.kill)
                await asyncio.to_thread(self.second.start)
                continue
            pid_file = self.stack.data_dir / "nats" / "nats.pid"
            if victim != "nats":
                await until(partial(self._runs, victim), victim, within_s=30)
            pid = int(pid_file.read_text()) if victim == "nats" else self.stack.pid(victim)
            os.kill(pid, signal.SIGKILL)

    async def _runs(self, name: str) -> bool:
        """Tell whether a service that was killed before is back: its ports are told again."""
        return (self.stack.data_dir / f"{name}.ports.json").exists()

    async def reply(self) -> None:
        """Reply as an agent to some."""
        rows = (await self.ledger.sessions())[:REPLIES]
        for row in rows:
            text = f"reply-{self.run}-{row['id']}"
            assert await reply_until_accepted(self.stack, row["id"], text)
            self.replied.append(text)

    async def malformed(self) -> None:
        """Post a signed body with an item that nobody can read beside one that is fine."""
        account = account_of(self.stack, "line")
        for number in range(MALFORMED):
            item = {"type": "message", "odd": f"{self.run}-{number}", "message": 7}
            body = msgspec.json.encode({"destination": account.external_id, "events": [item]})

            async def accepted(body: bytes = body) -> bool:
                try:
                    return await self.post_raw("line", body) == 200
                except aiohttp.ClientError:
                    return False

            await until(accepted, "a malformed item accepted", within_s=45)

    async def back(self) -> None:
        """Wait until our own connection to the bus is back after the kills, and it confirms."""

        async def answers() -> bool:
            try:
                await self.bus.bounds_of(subjects.INBOUND)
            except BusUnavailableError:
                return False
            return True

        await until(answers, "the bus", within_s=45)

    async def post_raw(self, channel: str, body: bytes) -> int:
        request = signed(account_of(self.stack, channel), body, now=datetime.now(UTC))
        url = self.stack.base_url + self.stack.account(channel)["webhook_path"]
        if request.query:
            url += "?" + urlencode(dict(request.query))
        post = self.stack.http.post(url, data=request.body, headers=dict(request.headers))
        async with post as answer:
            return answer.status

    async def again(self) -> None:
        """Publish stored events once more, as after days: JetStream does not know them any more."""
        subject = f"in.*.*.line.{self.stack.account('line')['slug']}"
        found = await self.bus.read(subjects.INBOUND, subject, limit=500)
        texts = [one for one in found if f'"{self.run}-'.encode() in one.data][:AGAIN]
        assert len(texts) == AGAIN
        for one in texts:
            await self.bus.publish(one.subject, one.data, msg_id=uuid.uuid4().hex)

    async def poison(self) -> None:
        """Publish what no router can read."""
        for _ in range(POISON):
            subject = f"in.3.{self.stack.demo['workspace']}.line.a"
            await self.bus.publish(subject, POISONED, msg_id=uuid.uuid4().hex)

    async def receipts(self) -> Counter[str]:
        """Return how many receipts the providers have sent of our replies, by channel."""
        found = await self.bus.read(subjects.INBOUND, "in.>", limit=2000)
        events = [msgspec.json.decode(one.data) for one in found if POISONED not in one.data]
        keys = {
            (one["channel"], one["event"]["event_id"])
            for one in events
            if one["event"]["type"] in RECEIPTS
        }
        return Counter(channel for channel, _ in keys)

    async def at_rest(self) -> list[Page]:
        """Wait until nothing is in flight for either router; return what both tell."""

        async def rest() -> list[Page] | None:
            try:
                pages = await self.routers()
                last = (await self.bus.bounds_of(subjects.INBOUND))[1]
            except (OSError, AssertionError, aiohttp.ClientError):
                return None
            names = ("relaydesk_ledger_accepted_total", "relaydesk_ledger_expired_total")
            told = [sum(page.sum(name) for name in names) for page in pages]
            still = all(page.sum("relaydesk_ledger_in_flight") == 0 for page in pages)
            return pages if still and told == [last, last] else None

        pages: list[Page] = await until(rest, "both ledgers at the stream's end", within_s=45)
        return pages

    async def publish(self, mark: str) -> str:
        """Put a message on INBOUND as ingest does; return its entry's id."""
        workspace, slug = self.stack.demo["workspace"], self.stack.account("line")["slug"]
        now = datetime.now(UTC)
        event = MessageReceived(
            event_id=mark,
            visitor="Ughost",
            occurred_at=now,
            message_id=f"m{mark}",
            parts=(TextPart(text=mark),),
        )
        inbound = Inbound(
            workspace=workspace,
            channel="line",
            account=slug,
            ingest_id="",
            received_at=now,
            event=event,
        )
        subject = subjects.inbound(workspace, "line", slug, "Ughost")
        data = msgspec.json.encode(inbound)
        await self.bus.publish(subject, data, msg_id=uuid.uuid4().hex)
        return message_id(workspace, slug, mark)

    async def erase(self, channel: str) -> int:
        """Erase the contact of a session of *channel*; return how many texts they had sent."""
        rows = [row for row in await self.ledger.sessions() if row["channel"] == channel]
        contact = rows[0]["contact"]["id"]
        theirs = [row for row in rows if row["contact"]["id"] == contact]
        said = [one for row in theirs for one in await self.ledger.messages(row["id"])]
        path = f"/contacts/{contact}/erase"
        _, asked = await self.stack.api("POST", path, role="owner", body={})
        confirm = {"confirm": asked["facts"]["token"]}
        status, job = await self.stack.api("POST", path, role="owner", body=confirm)
        assert status in {200, 201, 202}, job

        async def done() -> bool:
            status, _ = await self.stack.api("GET", f"/contacts/{contact}", role="owner")
            return status == 404

        await until(done, "the erasure", within_s=30)
        return sum(one["kind"] == "message" and one["direction"] == "in" for one in said)


@asynccontextmanager
async def site_in(folder: Path) -> AsyncIterator[Site]:
    """Run `relaydesk up`, and a second router on the same bus and store."""
    async with running(folder / "data") as stack:
        settings = msgspec.json.decode((stack.data_dir / "running.json").read_bytes())
        environ = {name: value for name, value in settings.items() if _is_routers(name)}
        second = Process("router2", folder, environ)
        await asyncio.to_thread(second.start)
        try:
            async with open_bus(environ["RELAYDESK_NATS_URL"], name="test", provision=False) as bus:
                yield Site(stack, second, bus, environ)
        finally:
            assert await asyncio.to_thread(second.stop) == 0


def _is_routers(name: str) -> bool:
    return name in {"RELAYDESK_NATS_URL", "RELAYDESK_STORE_URL", "RELAYDESK_SECRET_KEY"}


async def test_d01_i15_the_books_balance_after_kills(tmp_path: Path) -> None:
    async with site_in(tmp_path) as site:
        await asyncio.gather(site.post_all(), site.kill_all())
        await site.back()
        await asyncio.gather(site.malformed(), site.again(), site.poison(), site.reply())
        sends = await sends_passed(site)
        pages = await site.at_rest()
        await check_sends(site, sends)
        one = pages[0]
        check_equation(pages)
        receipts = await site.receipts()
        for name in CHANNELS:
            stored = one.sum(EVENTS, channel=name, outcome="stored")
            assert stored == site.accepted[name] + receipts[name], name
        texts = await site.ledger.stored()
        assert set(texts.values()) == {1}
        assert len(texts) == sum(site.accepted.values()) == WEBHOOKS
        counted = one.sum(EVENTS, outcome="stored")
        assert counted == len(texts) + receipts.total(), "as many as the API shows"
        assert one.sum(EVENTS, outcome="duplicate") == AGAIN
        assert one.sum(EVENTS, outcome="quarantined") == MALFORMED
        assert one.sum(EVENTS, outcome="buried") == POISON
        await check_ingest(site)
        await check_trace(site)

        erased = await site.erase("whatsapp")
        pages = await site.at_rest()
        check_equation(pages)
        assert sum((await site.ledger.stored()).values()) == WEBHOOKS - erased
        assert pages[0].sum(EVENTS, outcome="stored") >= counted, "what was counted stays so"

        await check_that_it_is_missed(site)


EVENTS = "relaydesk_ledger_events_total"
ACCEPTED = "relaydesk_ledger_accepted_total"
MISSING = "relaydesk_ledger_missing"


def check_equation(pages: list[Page], missing: int = 0) -> None:
    """By channel, and alike in each: accepted = the sum of the outcomes + missing."""
    for page in pages:
        assert page.sum(MISSING) == missing
        accepted = page.by(ACCEPTED, "channel")
        for channel, count in accepted.items():
            outcomes = page.sum(EVENTS, channel=channel)
            assert count == outcomes + page.sum(MISSING, channel=channel), channel
        assert accepted == pages[0].by(ACCEPTED, "channel")


async def sends_passed(site: Site) -> Page:
    """Wait until the ledger of sends is at the stream's end; return what it tells."""

    async def done() -> Page | None:
        page = Page(await site.stack.metrics("notifier"))
        queued = page.sum("relaydesk_sends_ledger_queued_total")
        last = (await site.bus.bounds_of(subjects.OUTBOUND))[1]
        return page if queued == last >= REPLIES else None

    page: Page = await until(done, "the ledger of sends at the stream's end", within_s=30)
    return page


async def check_sends(site: Site, page: Page) -> None:
    """queued = sent + failed + unknown, and as the API shows it."""
    told = page.by("relaydesk_sends_ledger_sends_total", "outcome")
    assert page.sum("relaydesk_sends_ledger_missing") == 0
    assert page.sum("relaydesk_sends_ledger_queued_total") == sum(told.values())
    shown: Counter[str] = Counter()
    for row in await site.ledger.sessions():
        for one in await site.ledger.messages(row["id"]):
            if one["kind"] == "message" and one["direction"] == "out":
                shown[one["status"]] += 1
    assert {word: told[word] for word in ("sent", "failed", "unknown")} == {
        "sent": shown["sent"] + shown["delivered"] + shown["read"],
        "failed": shown["failed"],
        "unknown": shown["unknown"],
    }


async def check_ingest(site: Site) -> None:
    """received = the sum of the outcomes + in flight, whoever hangs up or signs badly."""
    host, _, port = site.stack.base_url.removeprefix("http://").partition(":")
    path = site.stack.account("line")["webhook_path"]
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.transport.abort()
    async with site.stack.http.post(site.stack.base_url + path, data=b"{}") as answer:
        assert answer.status == 401

    async def told() -> Page | None:
        page = Page(await site.stack.metrics("ingest"))
        seen = page.by("relaydesk_ingest_requests_total", "outcome")
        return page if seen["disconnected"] and not page.sum("relaydesk_ingest_in_flight") else None

    page = await until(told, "the client that hung up")
    received = page.by("relaydesk_ingest_received_total", "endpoint")
    assert received == {
        name: page.sum("relaydesk_ingest_requests_total", endpoint=name) for name in received
    }


async def check_trace(site: Site) -> None:
    """A message and a reply can be followed, hop by hop."""
    row = next(row for row in await site.ledger.sessions() if row["channel"] == "line")
    said = await site.ledger.messages(row["id"])
    text = next(one for one in said if one["kind"] == "message" and one["direction"] == "in")
    status, trace = await site.stack.api("GET", f"/trace/m{text['text']}", role="owner")
    assert status == 200, trace
    [entry] = trace["entries"]
    assert [hop["hop"] for hop in entry["hops"]][:2] == ["occurred", "received"]
    status, by_ingest = await site.stack.api("GET", f"/trace/{entry['ingest_id']}", role="owner")
    assert (status, [one["message"] for one in by_ingest["entries"]]) == (200, [entry["message"]])
    for found in (trace, by_ingest):
        steps = [one for one in found["journey"] if one["message"] == entry["message"]]
        assert {"ingest", "route", "store"} <= {one["kind"] for one in steps}
        assert all(one["decision"] and one["outcome"] for one in steps)


async def check_that_it_is_missed(site: Site) -> None:
    """Take an entry out behind the router's back: it is missed by name until it is back."""
    async with open_store(site.settings["RELAYDESK_STORE_URL"], COLLECTIONS) as store:
        mark = f"ghost-{site.run}"
        entry = await site.publish(mark)
        workspace = site.stack.demo["workspace"]

        async def stored() -> Message | None:
            return await store.get(MESSAGES, workspace, entry)

        kept: Message = await until(stored, "the entry")
        assert await store.delete(MESSAGES, workspace, entry)

        async def missed() -> list[Page] | None:
            pages = await site.routers()
            return pages if all(page.sum(MISSING) == 1 for page in pages) else None

        check_equation(await until(missed, "one is missing", within_s=30), missing=1)
        [check] = [one for one in look_at_ledgers(await read_ledgers(store)) if mark in one.words]
        assert check.grade == "wrong"
        assert (check.words.count("replay"), check.words.startswith("1 of ")) == (1, True)

        settings = load(RouterSettings, site.settings)
        wanted = Wanted(what="event", names=(mark,), settle_s=0.0)
        found = await replay(settings, wanted, lambda _: None)
        assert (found.entries, found.repaired) == (1, 0), "its session remembers it"
        back = await store.get(MESSAGES, workspace, entry)
        assert back == msgspec.structs.replace(kept, rev=back.rev if back else 0)

        async def mended() -> list[Page] | None:
            pages = await site.routers()
            return pages if all(page.sum(MISSING) == 0 for page in pages) else None

        check_equation(await until(mended, "none is missing", within_s=30))
        assert not any(one.missing for one in await read_ledgers(store))
