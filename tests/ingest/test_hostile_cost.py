"""Proven bodies that are made to be dear: what is kept of them, and that nobody else waits."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.items import MAX_ITEMS
from libs.common.simulate.signing import signed
from services.ingest.prepare import HEAVY_NODES, MAX_COMMAS, crowded, heavy
from tests.ingest.harness import Here, account, events, ingest_here, now, raws, said

ABYSS = b"[" * 100_000 + b"]" * 100_000


@pytest.fixture
async def here(nats_url: str, tmp_path: Path) -> AsyncIterator[Here]:
    async with ingest_here(nats_url, tmp_path / "spool") as running:
        yield running


def body_of(account: Account, items: bytes) -> bytes:
    """Return an envelope of the account's channel with *items*, JSON between commas."""
    envelopes = {
        "web": b'{"messages":[%b]}' % items,
        "line": b'{"destination":"%b","events":[%b]}' % (account.external_id.encode(), items),
        "messenger": b'{"object":"page","entry":[{"id":"%b","messaging":[%b]}]}'
        % (account.external_id.encode(), items),
        "whatsapp": b'{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":'
        b'"messages","value":{"metadata":{"phone_number_id":"%b"},"messages":[%b]}}]}]}'
        % (account.external_id.encode(), items),
    }
    return envelopes[account.channel]


def numbers(count: int) -> bytes:
    return b",".join(b"%d" % n for n in range(count))


def with_neighbours(account: Account, spoil: Callable[[bytes], bytes]) -> bytes:
    """Return a body with a good message, one that *spoil* makes bad, and another good one."""
    texts = [said(account, f"m-{n}", text=f"text {n}", visitor="v-1") for n in range(3)]
    parsed = [msgspec.json.decode(text) for text in texts]
    if account.channel == "line":
        items = [one["events"][0] for one in parsed]
    elif account.channel == "messenger":
        items = [one["entry"][0]["messaging"][0] for one in parsed]
    elif account.channel == "whatsapp":
        items = [one["entry"][0]["changes"][0]["value"]["messages"][0] for one in parsed]
    else:
        items = [one.get("messages", [one])[0] for one in parsed]
    first, bad, last = (msgspec.json.encode(item) for item in items)
    return body_of(account, b",".join((first, spoil(bad), last)))


def in_place_of_the_text(bad: bytes, what: bytes) -> bytes:
    spoilt = bad.replace(b'"text 1"', what)
    assert spoilt != bad
    return spoilt


DEEP: dict[str, Callable[[bytes], bytes]] = {
    "a list of 100,000 levels": lambda bad: in_place_of_the_text(bad, ABYSS),
    "objects of 10,000 levels": lambda bad: in_place_of_the_text(
        bad, b'{"a":' * 10_000 + b"1" + b"}" * 10_000
    ),
    "a list of 200 levels": lambda bad: in_place_of_the_text(bad, b"[" * 200 + b"]" * 200),
}

CHANNELS = ("web", "line", "messenger", "whatsapp")

MANY: dict[str, tuple[bytes, dict[str, int]]] = {
    "enough for a thread": (numbers(HEAVY_NODES + 1), {"malformed_item": HEAVY_NODES + 1}),
    "more than are read": (numbers(MAX_ITEMS + 1), {"malformed_body": 1}),
    "empty objects, more than are read": (b"{}," * MAX_ITEMS + b"{}", {"malformed_body": 1}),
}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize(("items", "expected"), MANY.values(), ids=MANY)
async def test_i4_many_unreadable_items_are_kept(
    here: Here, channel: str, items: bytes, expected: dict[str, int]
) -> None:
    one = account(channel)
    here.connect(one)
    body = body_of(one, items)
    answer = await here.post(one, signed(one, body, now=now()))
    assert answer.status == 200
    kept = await events(here.bus, one.workspace)
    assert Counter(getattr(e.event, "reason", "read") for e in kept) == expected
    (raw,) = await raws(here.bus, one.workspace)
    assert raw.body == body


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("spoil", DEEP.values(), ids=DEEP)
async def test_i4_an_item_nested_deep_costs_its_neighbours_nothing(
    here: Here, channel: str, spoil: Callable[[bytes], bytes]
) -> None:
    one = account(channel)
    here.connect(one)
    body = with_neighbours(one, spoil)
    if channel == "web":  # a post is at most 128 KiB
        body = body.replace(ABYSS, b"[" * 60_000 + b"]" * 60_000)
    answer = await here.post(one, signed(one, body, now=now()))
    assert answer.status == 200
    kept = await events(here.bus, one.workspace)
    assert sorted(getattr(e.event, "reason", "read") for e in kept) == [
        "malformed_item",
        "read",
        "read",
    ]
    (raw,) = await raws(here.bus, one.workspace)
    assert raw.body == body


WEIGHT: dict[str, tuple[bytes, bool, bool]] = {
    "a message": (b'{"events":[{"text":"a, b, c"}]}', False, False),
    "a long text": (b'{"text":"' + b"x" * 60_000 + b'"}', False, False),
    "a very long text": (b'{"text":"' + b"x" * 70_000 + b'"}', True, False),
    "small elements": (b"1," * (HEAVY_NODES + 1), True, False),
    "small objects": (b"{}" * (HEAVY_NODES + 1), True, False),
    "a thousand updates of many fields": (
        b'{"a":{"b":[1,2,3,4,5]},"c":"d, e"},' * 5_000,
        True,
        False,
    ),
    "elements without end": (b"1," * (MAX_COMMAS + 1), True, True),
}


@pytest.mark.parametrize(("body", "is_heavy", "is_crowded"), WEIGHT.values(), ids=WEIGHT)
def test_weight(body: bytes, is_heavy: bool, is_crowded: bool) -> None:
    assert (heavy(body), crowded(body)) == (is_heavy, is_crowded)


async def test_i11_others_are_answered_while_heavy_bodies_are_handled(here: Here) -> None:
    """Generous bounds: what is measured here is that nobody waits for the whole of it."""
    one, other = account("line"), account("line")
    here.connect(one, other)
    bodies = [body_of(one, b"%d," % n + numbers(3_000)) for n in range(6)]
    posts = [asyncio.create_task(here.post(one, signed(one, body, now=now()))) for body in bodies]
    waited: list[float] = []
    while not all(post.done() for post in posts):
        began = time.monotonic()
        answer = await here.send("/webhooks/line/nobody", signed(other, b"{}", now=now()))
        waited.append(time.monotonic() - began)
        assert answer.status == 404
        await asyncio.sleep(0.01)
    answers = [await post for post in posts]
    assert {answer.status for answer in answers} <= {200, 503}
    assert answers[0].status == 200
    assert all("Retry-After" in a.headers for a in answers if a.status != 200)
    assert waited
    assert max(waited) < 1
