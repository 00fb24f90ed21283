"""What ingest tells of each account: webhooks that came in, and bad signatures."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from libs.common.bus.client import Bus, open_bus
from libs.common.channel import WebhookRequest
from libs.common.health import Seen, together
from libs.common.probes import webhook_probe
from libs.common.subjects import HEALTH_KV
from tests.ingest.harness import account, connect, ingest_there, until, webhook
from tests.nats_server import NatsProcess


async def seen(bus: Bus, slug: str) -> Seen | None:
    """Return what all replicas have written about an account."""
    keys = [key for key in await bus.kv_keys(HEALTH_KV) if key.startswith(f"{slug}.ingest.")]
    entries = [await bus.kv_get(HEALTH_KV, key) for key in keys]
    return together(msgspec.json.decode(e.value, type=Seen) for e in entries if e and e.value)


def forged(request: WebhookRequest) -> WebhookRequest:
    return msgspec.structs.replace(request, body=request.body + b" ")


TESTED: tuple[str, ...] = ("line", "telegram", "web", "whatsapp")


async def test_d10_webhooks_and_bad_signatures_are_known_by_account(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    line, quiet = account("line"), account("line")
    tested = [account(channel) for channel in TESTED]
    page = account("messenger")
    sister = account("messenger", workspace=page.workspace)
    sister = msgspec.structs.replace(sister, slug="sister", secrets=page.secrets)
    stranger = account("messenger")
    began = datetime.now(UTC)
    async with open_bus(nats_process.url, name="test") as bus:
        await connect(bus, line, quiet, page, sister, stranger, *tested)
        async with ingest_there(nats_process.url, tmp_path) as there:
            await until(there.ready, "readiness")
            for one in (line, page):
                assert (await there.post(one, webhook(one, "m1"))).status == 200
            for one in tested:
                probe = webhook_probe(one, now=datetime.now(UTC))
                assert probe is not None
                assert (await there.post(one, probe)).status == 200
            for _ in range(2):
                assert (await there.post(line, forged(webhook(line, "m2")))).status == 401
            assert (await there.post(page, forged(webhook(page, "m3")))).status == 401
            assert await there.end(signal.SIGTERM) == 0
        found = {one.slug: await seen(bus, one.slug) for one in (line, page, sister)}
        assert await seen(bus, quiet.slug) is None
        assert await seen(bus, stranger.slug) is None, "another app's"
        unseen = [one.channel for one in tested if await seen(bus, one.slug) is None]
        assert unseen == list(TESTED), "a test of an account is no traffic"
    facts = {
        slug: (bool(each and each.webhook_at), each and each.refused)
        for slug, each in found.items()
    }
    assert facts == {
        line.slug: (True, 2),
        page.slug: (True, 1),
        sister.slug: (False, 1),  # nobody can tell which of the app's accounts it was meant for
    }
    last = found[line.slug]
    assert last is not None
    assert last.webhook_at is not None
    assert last.refused_at is not None
    assert began <= last.webhook_at <= last.refused_at <= datetime.now(UTC)


async def test_they_are_written_while_it_runs(nats_process: NatsProcess, tmp_path: Path) -> None:
    line = account("line")
    async with open_bus(nats_process.url, name="test") as bus:
        await connect(bus, line)
        async with ingest_there(nats_process.url, tmp_path) as there:
            await until(there.ready, "readiness")
            assert (await there.post(line, webhook(line, "m1"))).status == 200

            async def written() -> bool:
                return await seen(bus, line.slug) is not None

            await until(written, "the entry")
