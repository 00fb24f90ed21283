"""Alerts seen firing in a real Prometheus that has the shipped rules; see `live_prometheus`.

Two tables: what real services are brought to by real faults, and what a short test cannot bring
them to (an account's weeks, full storage, clocks apart, a lost event), of which a stand-in serves
the metric. Every other alert has its promtool case alone (`deploy/prometheus/tests`). The first
table needs a whole installation, over a minute and half a minute of CPU: it is for a soak, and the
second for every run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import nats
import pytest
import yaml

from libs.common.config import SERVICES
from tests.deploy.live_prometheus import Watcher, hastened, prometheus, standing_in
from tests.deploy.test_rules import ALERTS, RULES
from tests.e2e.stack import Stack, running, until
from tests.e2e.talk import account_of, say
from tests.nats_server import NatsProcess
from tests.prometheus import binary, checked
from tests.soak import SOAK

REFUSED = 40

REAL_BEFORE = {
    "RelaydeskSignatureFailures",
    "RelaydeskAccountSignaturesRefused",
    "RelaydeskDeadLetters",
    "RelaydeskAccountRevoked",
}
REAL_WITHOUT_NATS = {"RelaydeskNatsUnreachable", "RelaydeskSpoolUsed"}
REAL_KILLED = {"RelaydeskServiceDown"}
REAL = REAL_BEFORE | REAL_WITHOUT_NATS | REAL_KILLED

_ACCOUNT = 'service="scheduler",instance="s",account="elsewhere",channel="messenger"'
_SCHEDULER = 'service="scheduler",instance="s"'
STAND_IN = {
    "RelaydeskLedgerMissing": 'relaydesk_ledger_missing{service="router",channel="line"} 2',
    "RelaydeskLedgerBehind": 'relaydesk_ledger_behind_seconds{service="router",instance="s"} 900',
    "RelaydeskSendsMissing": 'relaydesk_sends_ledger_missing{service="notifier",channel="line"} 1',
    "RelaydeskInboundStuck": f"relaydesk_consumer_oldest_seconds{{{_SCHEDULER},"
    'stream="INBOUND",reader="router"} 300',
    "RelaydeskConsumerLag": f"relaydesk_consumer_lag{{{_SCHEDULER},"
    'stream="INBOUND",reader="router"} 9000',
    "RelaydeskConsumerStuck": f"relaydesk_consumer_oldest_seconds{{{_SCHEDULER},"
    'stream="EVENTS",reader="hooks"} 2000',
    "RelaydeskOutboxStuck": 'relaydesk_router_outbox_pending{service="router",instance="s"} 3',
    "RelaydeskTimersStuck": f'relaydesk_scheduler_oldest_seconds{{{_SCHEDULER},kind="idle"}} 400',
    "RelaydeskAlertsLate": 'relaydesk_alerts_oldest_waiting_seconds{service="notifier"} 300',
    "RelaydeskAccountSilent": f"relaydesk_account_silent{{{_ACCOUNT}}} 1",
    "RelaydeskAccountFailing": f'relaydesk_account_state{{{_ACCOUNT},state="failing"}} 1',
    "RelaydeskTokenExpiring": f"relaydesk_account_token_expires_timestamp_seconds{{{_ACCOUNT}}} "
    f"{time.time() + 43_200:.0f}",
    "RelaydeskTokenEnds": "",  # as the one above: it ends in half a day
    "RelaydeskQuotaNearlyUsed": f"relaydesk_account_quota_used_ratio{{{_ACCOUNT}}} 0.97",
    "RelaydeskClockSkew": 'relaydesk_clock_skew_seconds{service="router",instance="s"} -4\n'
    'relaydesk_clock_skew_error_seconds{service="router",instance="s"} 0.01',
    "RelaydeskSpoolNearlyFull": 'relaydesk_ingest_spool_bytes{service="ingest",instance="s"} 80\n'
    'relaydesk_ingest_spool_limit_bytes{service="ingest",instance="s"} 100',
    "RelaydeskJetstreamFilling": f"relaydesk_jetstream_storage_bytes{{{_SCHEDULER}}} 9e15\n"
    f"relaydesk_jetstream_storage_limit_bytes{{{_SCHEDULER}}} 1e16",
    "RelaydeskJetstreamNearlyFull": "",  # as the one above
    "RelaydeskLoopLag": 'relaydesk_loop_lag_seconds{service="desk",instance="s"} 5',
    "RelaydeskWebhookEndpointDisabled": "relaydesk_hooks_endpoints_disabled 1",
    "RelaydeskWebhooksOutLate": "relaydesk_hooks_oldest_pending_seconds 9000",
    "RelaydeskBotsNotAnswering": 'relaydesk_bot_breakers{instance="s",state="open"} 1',
}
"""Series by the alert that they bring about, as a service would serve them."""


def served() -> str:
    """Return what the stand-in serves."""
    return "\n".join(line for line in STAND_IN.values() if line) + "\n"


async def write(stack: Stack, channel: str, visitor: str, message_id: str, text: str) -> None:
    """Write to an account, again until it is taken, as its provider does."""

    async def taken() -> bool:
        return await say(stack, channel, visitor, message_id, text) == 200

    await until(taken, f"a webhook of {channel} is taken")


async def forge_signatures(stack: Stack) -> None:
    """Post to the LINE account what nobody signed."""
    url = stack.base_url + stack.account("line")["webhook_path"]
    headers = {"X-Line-Signature": "bm9ib2R5IHNpZ25lZCB0aGlz"}
    for _ in range(REFUSED):
        async with stack.http.post(url, data=b"{}", headers=headers) as answer:
            assert answer.status == 401
        await asyncio.sleep(0.2)


async def poison(stack: Stack, nats_url: str) -> None:
    """Put on INBOUND what nobody can read."""
    connection = await nats.connect(nats_url)
    slug = stack.account("telegram")["slug"]
    subject = f"in.0.{stack.demo['workspace']}.telegram.{slug}"
    await connection.jetstream().publish(subject, b"{", headers={"Nats-Msg-Id": "poison"})
    await connection.close()


async def revoke(stack: Stack) -> None:
    """Answer a visitor whose account's token the provider does not take any more."""
    of = account_of(stack, "telegram")
    plan = {"account": of.slug, "answers": [{"status": 401}] * 5}
    async with stack.http.post(f"{stack.demo['provider_stub']}/_script", json=plan) as answer:
        assert answer.status < 300, await answer.text()
    await write(stack, "telegram", "77001", "9001", "is anybody there?")

    async def session() -> str:
        _, page = await stack.api("GET", "/sessions?channel=telegram")
        return next((r["id"] for r in page["items"] if "anybody" in str(r["last_message"])), "")

    found = await until(session, "the session", within_s=60)
    path = f"/sessions/{found}/messages"

    async def answered() -> bool:
        status, _ = await stack.api("POST", path, body={"text": "yes"}, key="one-answer")
        return status in {200, 201}

    await until(answered, "the reply is taken")


def test_h9_each_alert_of_the_tables_exists() -> None:
    assert set(ALERTS) >= REAL | set(STAND_IN)
    assert not REAL & set(STAND_IN)


def test_h9_hastened_rules_are_rules_in_which_only_durations_differ(tmp_path: Path) -> None:
    copies = []
    for path in RULES:
        copy = tmp_path / path.name
        copy.write_text(hastened(path.read_text()))
        copies.append(copy)
        before, after = yaml.safe_load(path.read_text()), yaml.safe_load(copy.read_text())
        for group, quick in zip(before["groups"], after["groups"], strict=True):
            for rule, same in zip(group["rules"], quick["rules"], strict=True):
                assert rule.keys() == same.keys()
                assert rule.get("annotations") == same.get("annotations")
                for lasting in ("for", "keep_firing_for"):
                    assert not same.get(lasting, "").endswith(("m", "h", "d")), same["alert"]
    checked("promtool", ["check", "rules", "--lint=none", *copies])


def _installation(folder: Path, nats_url: str) -> AbstractAsyncContextManager[Stack]:
    return running(folder, RELAYDESK_NATS_URL=nats_url, RELAYDESK_WATCH_S="1")


def check_words(watcher: Watcher) -> None:
    """Assert that each text was filled in."""
    for alert, said in watcher.seen.items():
        words = said["summary"] + said["description"]
        assert "<no value>" not in words, alert
        assert "%!" not in words, alert
        assert "{{" not in words, alert


async def test_h9_alerts_fire_on_what_a_stand_in_tells(tmp_path: Path) -> None:
    async with (
        standing_in(served) as port,
        prometheus(tmp_path / "prometheus", {}, f"127.0.0.1:{port}") as watcher,
    ):
        await watcher.until(set(STAND_IN), within_s=120)
        check_words(watcher)


@pytest.mark.chaos
@pytest.mark.skipif(not SOAK, reason="takes over a minute and half a minute of CPU: for a soak")
async def test_h9_alerts_fire_by_real_faults(tmp_path: Path, nats_process: NatsProcess) -> None:
    binary("prometheus")
    async with (
        _installation(tmp_path / "data", nats_process.url) as stack,
        standing_in(served) as port,
    ):
        targets = {name: f"127.0.0.1:{stack.ports(name)['admin']}" for name in SERVICES}
        async with prometheus(tmp_path / "prometheus", targets, f"127.0.0.1:{port}") as watcher:
            await watcher.until_quiet(REAL)
            await asyncio.sleep(3)  # a rise is seen from what was there before
            await poison(stack, nats_process.url)
            await revoke(stack)
            await forge_signatures(stack)
            await watcher.until(REAL_BEFORE, within_s=90)

            nats_process.stop()
            await write(stack, "line", "U" + "7" * 32, "m-spooled", "kept on disk")
            await watcher.until(REAL_WITHOUT_NATS)
            nats_process.start()
            await watcher.until_over("RelaydeskNatsUnreachable")
            await watcher.until_over("RelaydeskSpoolUsed")

            os.kill(stack.pid("notifier"), signal.SIGKILL)
            await watcher.until({"RelaydeskServiceDown:notifier"})
        check_words(watcher)
        assert "RelaydeskDeadLetters:router" in watcher.seen
