"""Proven bodies that cannot be read, in whole or in part, are kept and answered 200."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from libs.common.events import MessageReceived, Unparsed
from libs.common.simulate.signing import signed
from tests.ingest.harness import (
    META,
    Here,
    account,
    counted,
    events,
    ingest_here,
    now,
    raws,
    said,
    stored,
    webhook,
)

STRANGE: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"hello",
    "cut JSON": b'{"object":"page","entry":[{"id":"1"',
    "another shape": b'{"object":5,"entry":{"a":1},"events":"no","destination":7}',
    "a list": b"[1,2,3]",
    "bad UTF-8": b'{"object":"\xff\xfe"',
    "random bytes": bytes(range(256)) * 4,
    "nested deep": b"[" * 30_000,
    "nested deep and closed": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
}


@pytest.mark.parametrize("channel", [*META, "line", "wechat"])
@pytest.mark.parametrize("body", STRANGE.values(), ids=STRANGE)
async def test_f3_a_signed_body_that_cannot_be_read_is_kept(
    here: Here, channel: str, body: bytes
) -> None:
    one = account(channel)
    here.connect(one)
    answer = await here.post(one, signed(one, body, now=now()))
    assert answer.status == 200
    kept = await events(here.bus, one.workspace)
    assert all(isinstance(e.event, Unparsed) for e in kept)
    for raw in await raws(here.bus, one.workspace):
        assert raw.body == body
    malformed = [e for e in kept if getattr(e.event, "reason", "") == "malformed_body"]
    assert len(malformed) <= 1
    again = await here.post(one, signed(one, body, now=now()))
    assert again.status == 200
    assert len(await events(here.bus, one.workspace)) == len(kept)  # its id is its content


async def test_a_body_that_is_no_envelope_is_quarantined_under_one_id(here: Here) -> None:
    one = account("line")
    here.connect(one)
    before = counted("unparsed_total", channel="line", reason="malformed_body")
    await here.post(one, signed(one, b"hello", now=now()))
    (kept,) = await events(here.bus, one.workspace)
    assert isinstance(kept.event, Unparsed)
    assert (kept.event.reason, kept.event.visitor, kept.event.raw) == (
        "malformed_body",
        "",
        "hello",
    )
    assert counted("unparsed_total", channel="line", reason="malformed_body") == before + 1


async def test_f6_a_body_of_too_many_items_is_kept_without_being_parsed(
    nats_url: str, tmp_path: Path
) -> None:
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        one = account("line")
        here.connect(one)
        body = b'{"destination":"x","events":[' + b"{}," * 300_000 + b"{}]}"
        answer = await here.post(one, signed(one, body, now=now()))
        assert answer.status == 200
        (kept,) = await events(here.bus, one.workspace)
        assert isinstance(kept.event, Unparsed)
        assert kept.event.reason == "malformed_body"


@pytest.mark.parametrize("position", [0, 1, 2, 9])
async def test_i4_one_bad_item_costs_its_neighbours_nothing(here: Here, position: int) -> None:
    one = account("line")
    here.connect(one)
    event = msgspec.json.decode(said(one, "m-1"))["events"][0]
    many = [{**event, "webhookEventId": f"E{i}"} for i in range(10)]
    items = [msgspec.json.encode(item) for item in many]
    items[position] = b'{"type":"message","message":7,"source":"who"}'
    body = b'{"destination":"%b","events":[%b]}' % (one.external_id.encode(), b",".join(items))
    answer = await here.post(one, signed(one, body, now=now()))
    assert answer.status == 200
    found = await events(here.bus, one.workspace)
    assert sum(isinstance(e.event, MessageReceived) for e in found) == 9
    assert sum(isinstance(e.event, Unparsed) for e in found) == 1


async def test_f3_half_an_emoji_costs_no_message(here: Here) -> None:
    one = account("line")
    here.connect(one)
    event = msgspec.json.decode(said(one, "m-1"))["events"][0]
    many = [{**event, "webhookEventId": f"E{i}"} for i in range(10)]
    body = msgspec.json.encode({"destination": one.external_id, "events": many})
    body = body.replace(b'"hello"', b'"\\ud83d"', 3)
    assert (await here.post(one, signed(one, body, now=now()))).status == 200
    found = await events(here.bus, one.workspace)
    assert sum(isinstance(e.event, MessageReceived) for e in found) == 10


@pytest.mark.parametrize("channel", META)
async def test_d10_a_signed_body_for_an_unknown_account_is_answered_and_counted(
    here: Here, channel: str
) -> None:
    one = account(channel)
    here.connect(one)
    stranger = account(channel, workspace=one.workspace)
    stranger = msgspec.structs.replace(stranger, secrets=one.secrets, app=one.app)
    before = counted("unknown_addressees_total", endpoint="meta")
    answer = await here.post(one, webhook(stranger, "m-1"))
    assert answer.status == 200
    assert await stored(here, one.workspace) == (0, 0)
    assert counted("unknown_addressees_total", endpoint="meta") == before + 1
