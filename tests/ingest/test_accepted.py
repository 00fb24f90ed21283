"""What a proven webhook leaves behind: its raw body, its events, once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from libs.common.channel import WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.events import MessageReceived
from libs.common.rawlog import InboundWithRaw
from libs.common.simulate.signing import signed
from libs.common.subjects import INBOUND, WEBHOOKS
from tests.ingest.harness import (
    ALL,
    Here,
    account,
    events,
    ingest_here,
    now,
    path_of,
    raws,
    said,
    webhook,
)


@pytest.mark.parametrize("channel", ALL)
async def test_a_signed_text_is_stored_with_its_raw_body(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    request = webhook(one, "m-1", "héllo 🙂")
    answer = await here.post(one, request)
    assert answer.status == 200
    assert answer.body == CHANNELS[channel].accepted
    assert answer.headers["Server"] == "relaydesk"

    (event,) = await events(here.bus, one.workspace)
    assert isinstance(event.event, MessageReceived)
    assert event.event.parts[0].text == "héllo 🙂"  # type: ignore[union-attr]
    assert (event.account, event.channel) == (one.slug, channel)
    (raw,) = await raws(here.bus, one.workspace)
    assert raw.body == request.body
    assert raw.ingest_id == event.ingest_id
    assert raw.path == path_of(one)
    assert raw.query == request.query
    assert "authorization" not in raw.headers
    assert not raw.sliced


async def test_the_stored_request_verifies_again(here: Here) -> None:
    one = account("line")
    here.connect(one)
    await here.post(one, webhook(one, "m-1"))
    (raw,) = await raws(here.bus, one.workspace)
    again = WebhookRequest(method=raw.method, headers=raw.headers, query=raw.query, body=raw.body)
    CHANNELS["line"].verify(one, again)
    assert len(CHANNELS["line"].parse(one, again).events) == 1


async def test_events_carry_cloudevents_and_the_callers_trace(here: Here) -> None:
    one = account("line")
    here.connect(one)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    request = webhook(one, "m-1")
    await here.send(path_of(one), request, traceparent=f"00-{trace}-00f067aa0ba902b7-01")
    (message,) = await here.bus.read(INBOUND, f"in.*.{one.workspace}.*.*")
    (event,) = await events(here.bus, one.workspace)
    assert message.headers["ce-type"] == "message.received"
    assert message.headers["ce-id"] == f"{one.workspace}/{one.slug}/{event.event.event_id}"
    assert message.headers["ce-source"] == f"/{one.workspace}/line/{one.slug}"
    assert message.headers["ce-specversion"] == "1.0"
    assert message.headers["traceparent"].startswith(f"00-{trace}-")
    assert "00f067aa0ba902b7" not in message.headers["traceparent"]
    assert await here.bus.read(WEBHOOKS, f"raw.{one.workspace}.*.*") == []


async def test_a_raw_body_of_several_events_lies_beside_them(here: Here) -> None:
    one = account("line")
    here.connect(one)
    event = msgspec.json.decode(said(one, "m-1"))["events"][0]
    both = [{**event, "webhookEventId": f"E{i}"} for i in range(2)]
    body = msgspec.json.encode({"destination": one.external_id, "events": both})
    await here.post(one, signed(one, body, now=now()))
    (raw,) = await here.bus.read(WEBHOOKS, f"raw.{one.workspace}.*.*")
    stored = await here.bus.read(INBOUND, f"in.*.{one.workspace}.*.*")
    told = [msgspec.json.decode(message.data, type=InboundWithRaw) for message in stored]
    assert [each.raw for each in told] == [None, None]
    assert {each.ingest_id for each in told} == {raw.headers["Relaydesk-Ingest-Id"]}
    assert raw.headers["traceparent"] == stored[0].headers["traceparent"]


async def test_d1_the_same_body_fifty_times_at_once_is_one_event(here: Here) -> None:
    one = account("whatsapp")
    here.connect(one)
    request = webhook(one, "m-1")
    answers = await asyncio.gather(*[here.post(one, request) for _ in range(50)])
    assert {answer.status for answer in answers} == {200}
    assert len(await events(here.bus, one.workspace)) == 1


async def test_a_large_body_is_stored_in_parts(nats_url: str, tmp_path: Path) -> None:
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        one = account("line")
        here.connect(one)
        event = msgspec.json.decode(said(one, "m-1"))["events"][0]
        many = [{**event, "webhookEventId": f"E{i:06}", "pad": "x" * 2000} for i in range(1000)]
        body = msgspec.json.encode({"destination": one.external_id, "events": many})
        assert 2_000_000 < len(body) < 4_000_000
        started = time.monotonic()
        answer = await here.post(one, signed(one, body, now=now()))
        assert (answer.status, time.monotonic() - started < 1.9) == (200, True)
        (raw,) = await raws(here.bus, one.workspace)
        assert raw.body == body
        assert len(await events(here.bus, one.workspace)) == 1000


async def test_i15_received_is_the_sum_of_all_outcomes(here: Here) -> None:
    def total(name: str) -> float:
        return sum(
            sample.value
            for metric in REGISTRY.collect()
            for sample in metric.samples
            if sample.name == f"relaydesk_ingest_{name}"
        )

    one = account("messenger")
    here.connect(one)
    await here.post(one, webhook(one, "m-1"))
    await here.post(one, msgspec.structs.replace(webhook(one, "m-2"), headers={}))
    await here.send("/nowhere", webhook(one, "m-3"))
    await here.post(account("line"), webhook(account("line"), "m-4"))
    assert total("received_total") == total("requests_total") + total("in_flight")
    assert total("in_flight") == 0
