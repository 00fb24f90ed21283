"""What each address answers, and what it stores: nothing without proof, all of it with."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from libs.common.channel import WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.events import MessageReceived, Unparsed
from libs.common.simulate.signing import handshake, signed
from libs.common.subjects import INBOUND, WEBHOOKS
from tests.ingest.harness import (
    NOW,
    Answered,
    Here,
    account,
    counted,
    events,
    ingest_here,
    path_of,
    raws,
    said,
    webhook,
)

ALL = tuple(CHANNELS)
META = ("messenger", "fb_comment", "whatsapp")
SIGNATURE_AT = {"line": "x-line-signature", "web": "authorization"} | dict.fromkeys(
    META, "x-hub-signature-256"
)
MAX_BODY = 65536


@pytest.fixture
async def here(nats_url: str, tmp_path: Path) -> AsyncIterator[Here]:
    async with ingest_here(
        nats_url, tmp_path / "spool", max_body_bytes=MAX_BODY, read_timeout_s=0.5
    ) as running:
        yield running


async def stored(here: Here, workspace: str) -> tuple[int, int]:
    return len(await events(here.bus, workspace)), len(await raws(here.bus, workspace))


def outcomes(channel: str) -> dict[str, float]:
    endpoint = CHANNELS[channel].endpoint
    names = ("bad_signature", "unknown_account", "too_large", "compressed", "wrong_method")
    return {n: counted("requests_total", endpoint=endpoint, outcome=n) for n in names}


# --- accepted ----------------------------------------------------------------------------------


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
    (raw,) = await here.bus.read(WEBHOOKS, f"raw.{one.workspace}.*.*")
    assert raw.headers["Relaydesk-Ingest-Id"] == event.ingest_id
    assert raw.headers["traceparent"] == message.headers["traceparent"]


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
        answer = await here.post(one, signed(one, body, now=NOW))
        assert (answer.status, time.monotonic() - started < 1.9) == (200, True)
        (raw,) = await raws(here.bus, one.workspace)
        assert raw.body == body
        assert len(await events(here.bus, one.workspace)) == 1000


# --- refused: nothing stored, one count, the exact answer (I8, I11) ------------------------------


def without(request: WebhookRequest, channel: str) -> WebhookRequest:
    return resigned(request, channel, lambda _: None)


def resigned(
    request: WebhookRequest, channel: str, change: Callable[[str], str | None]
) -> WebhookRequest:
    """Return *request* with its signature changed, wherever the channel carries it."""
    if channel == "wechat":
        query = dict(request.query)
        new = change(query.pop("signature"))
        return msgspec.structs.replace(request, query=query | ({"signature": new} if new else {}))
    headers = dict(request.headers)
    new = change(headers.pop(SIGNATURE_AT[channel]))
    if new is not None:
        headers[SIGNATURE_AT[channel]] = new
    return msgspec.structs.replace(request, headers=headers)


def flipped(text: str) -> str:
    """Change the last character that counts."""
    at = len(text.rstrip("=")) - 2
    return text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :]


def by_another(_request: WebhookRequest, channel: str) -> WebhookRequest:
    return webhook(account(channel), "m-1")


FORGED: dict[str, Callable[[WebhookRequest, str], WebhookRequest]] = {
    "no signature": without,
    "an empty signature": lambda r, c: resigned(r, c, lambda _: ""),
    "a signature off by one character": lambda r, c: resigned(r, c, flipped),
    "a signature cut short": lambda r, c: resigned(r, c, lambda s: s[:-6]),
    "a signature given twice": lambda r, c: resigned(r, c, lambda s: f"{s}, {s}"),
    "a signature that is no ASCII": lambda r, c: resigned(r, c, lambda s: s[:-1] + "é"),
    "a very long signature": lambda r, c: resigned(r, c, lambda s: s * 20),
    "the signature of another account": by_another,
}


@pytest.mark.parametrize("channel", ALL)
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_g1_forged(
    here: Here, channel: str, forge: Callable[[WebhookRequest, str], WebhookRequest]
) -> None:
    one = account(channel)
    here.connect(one)
    before = outcomes(channel)
    answer = await here.post(one, forge(webhook(one, "m-1"), channel))
    assert (answer.status, answer.body) == (401, b"the signature does not fit\n")
    assert await stored(here, one.workspace) == (0, 0)
    assert outcomes(channel) == before | {"bad_signature": before["bad_signature"] + 1}


@pytest.mark.parametrize("channel", [*META, "line"])
async def test_g1_a_changed_or_cut_body_is_forged(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    request = webhook(one, "m-1")
    for body in (request.body[:-1] + b" ", request.body[:-1], request.body + b"\n", b""):
        answer = await here.post(one, msgspec.structs.replace(request, body=body))
        assert answer.status == 401
    assert await stored(here, one.workspace) == (0, 0)


async def test_g1_only_the_documented_algorithm_counts(here: Here) -> None:
    one = account("messenger")
    here.connect(one)
    request = webhook(one, "m-1")
    secret = one.secrets["app_secret"].encode()
    sha1 = hmac.new(secret, request.body, hashlib.sha1).hexdigest()
    upper = request.headers["x-hub-signature-256"].upper()
    for headers in (
        {"x-hub-signature": f"sha1={sha1}"},
        {"x-hub-signature-256": f"sha1={sha1}"},
        {"x-hub-signature-256": upper},
    ):
        answer = await here.post(one, msgspec.structs.replace(request, headers=headers))
        assert answer.status == 401


@pytest.mark.parametrize("channel", ALL)
async def test_an_account_without_its_secret_accepts_nothing(here: Here, channel: str) -> None:
    one = account(channel)
    empty = dict.fromkeys(one.secrets, "")
    here.connect(msgspec.structs.replace(one, secrets=empty))
    answer = await here.post(one, webhook(one, "m-1"))
    assert answer.status == 401
    assert await stored(here, one.workspace) == (0, 0)


def plain(request: WebhookRequest) -> WebhookRequest:
    return request


def sized(size: int) -> Callable[[WebhookRequest], WebhookRequest]:
    return lambda request: msgspec.structs.replace(request, body=b"x" * size)


def compressed(name: str) -> Callable[[WebhookRequest], WebhookRequest]:
    return lambda request: msgspec.structs.replace(
        request,
        body=gzip.compress(request.body),
        headers={**request.headers, "content-encoding": name},
    )


UNUSABLE: dict[str, tuple[Callable[[WebhookRequest], WebhookRequest], str, int, str]] = {
    "too large": (sized(MAX_BODY + 1), "POST", 413, "too_large"),
    "gzip": (compressed("gzip"), "POST", 415, "compressed"),
    "deflate": (compressed("deflate"), "POST", 415, "compressed"),
    "br": (compressed("br"), "POST", 415, "compressed"),
    "two encodings": (compressed("gzip, gzip"), "POST", 415, "compressed"),
    "PUT": (plain, "PUT", 405, "wrong_method"),
    "DELETE": (plain, "DELETE", 405, "wrong_method"),
    "PATCH": (plain, "PATCH", 405, "wrong_method"),
    "HEAD": (plain, "HEAD", 405, "wrong_method"),
    "TRACE": (plain, "TRACE", 405, "wrong_method"),
}


@pytest.mark.parametrize("channel", ALL)
@pytest.mark.parametrize(("make", "method", "status", "outcome"), UNUSABLE.values(), ids=UNUSABLE)
async def test_f_unusable(
    here: Here,
    channel: str,
    make: Callable[[WebhookRequest], WebhookRequest],
    method: str,
    status: int,
    outcome: str,
) -> None:
    one = account(channel)
    here.connect(one)
    before = outcomes(channel)
    answer = await here.send(path_of(one), make(webhook(one, "m-1")), method=method)
    assert answer.status == status
    assert await stored(here, one.workspace) == (0, 0)
    assert outcomes(channel) == before | {outcome: before[outcome] + 1}
    if status == 405:
        assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("channel", ["line", "web"])
async def test_there_is_no_handshake_where_the_provider_has_none(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    answer = await here.send(path_of(one), webhook(one, "m-1"), method="GET")
    assert answer.status == 405


@pytest.mark.parametrize("channel", ALL)
async def test_unknown_and_disabled_accounts_look_the_same(here: Here, channel: str) -> None:
    one, off = account(channel), account(channel)
    here.connect(off, enabled=False)
    answers = [await here.post(a, webhook(a, "m-1")) for a in (one, off)]
    assert [(a.status, a.body) for a in answers] == [(404, b"there is no such webhook\n")] * 2
    assert await stored(here, off.workspace) == (0, 0)


async def test_an_account_answers_at_its_own_endpoint_only(here: Here) -> None:
    line, wechat = account("line"), account("wechat")
    here.connect(line, wechat)
    for path in (f"/webhooks/wechat/{line.slug}", f"/webhooks/meta/{line.slug}"):
        assert (await here.send(path, webhook(line, "m-1"))).status == 404
    assert await stored(here, line.workspace) == (0, 0)


async def test_while_the_accounts_are_not_known_yet_nobody_is_turned_away_for_good(
    here: Here,
) -> None:
    one = account("line")
    here.reach.directory.complete.clear()
    answer = await here.post(one, webhook(one, "m-1"))
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


PATHS = {
    "/": 404,
    "/webhooks": 404,
    "/webhooks/": 404,
    "/webhooks/line": 404,
    "/webhooks/line/": 404,
    "/webhooks/telegram/x": 404,
    "/webhooks/line/x/y": 404,
    "//webhooks/line/x": 404,
    "/webhooks//line/x": 404,
    "/webhooks/line/%00": 404,
    "/webhooks/line/%ff": 404,
    "/webhooks/line/..%2f..%2fmeta": 404,
    "/webhooks/%2e%2e/line/x": 404,
    "/metrics": 404,
    "/readyz": 404,
    "/webhooks/line/x?" + "q=1&" * 1500: 404,
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_f10_wrong_paths(here: Here, path: str, method: str) -> None:
    answer = await raw_http(here, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n")
    assert answer.status in {PATHS[path], 405}
    assert b"Traceback" not in answer.body


# --- signed, but strange: kept, answered 200 ---------------------------------------------------

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
    answer = await here.post(one, signed(one, body, now=NOW))
    assert answer.status == 200
    kept = await events(here.bus, one.workspace)
    assert all(isinstance(e.event, Unparsed) for e in kept)
    for raw in await raws(here.bus, one.workspace):
        assert raw.body == body
    malformed = [e for e in kept if getattr(e.event, "reason", "") == "malformed_body"]
    assert len(malformed) <= 1
    again = await here.post(one, signed(one, body, now=NOW))
    assert again.status == 200
    assert len(await events(here.bus, one.workspace)) == len(kept)  # its id is its content


async def test_a_body_that_is_no_envelope_is_quarantined_under_one_id(here: Here) -> None:
    one = account("line")
    here.connect(one)
    before = counted("unparsed_total", channel="line", reason="malformed_body")
    await here.post(one, signed(one, b"hello", now=NOW))
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
        answer = await here.post(one, signed(one, body, now=NOW))
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
    answer = await here.post(one, signed(one, body, now=NOW))
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
    assert (await here.post(one, signed(one, body, now=NOW))).status == 200
    found = await events(here.bus, one.workspace)
    assert sum(isinstance(e.event, MessageReceived) for e in found) == 10


# --- handshakes --------------------------------------------------------------------------------

HANDSHAKES = [c for c in ALL if CHANNELS[c].challenge is not None]


@pytest.mark.parametrize("channel", HANDSHAKES)
async def test_g4_handshake(here: Here, channel: str) -> None:
    one = account(channel)
    here.connect(one)
    answer = await here.send(path_of(one), handshake(one, now=NOW, echo="4711<b>"))
    assert (answer.status, answer.body) == (200, b"4711<b>")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


BROKEN: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "nothing at all": lambda _: {},
    "a wrong token": lambda q: q | {"hub.verify_token": "wrong", "signature": "0" * 40},
    "an empty token": lambda q: q | {"hub.verify_token": "", "signature": ""},
    "no challenge": lambda q: {k: v for k, v in q.items() if k not in {"hub.challenge", "echostr"}},
    "an endless challenge": lambda q: {
        k: "1" * 3000 if k in {"hub.challenge", "echostr"} else v for k, v in q.items()
    },
}


@pytest.mark.parametrize("channel", HANDSHAKES)
@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
async def test_g4_a_wrong_handshake_is_refused(
    here: Here, channel: str, change: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    one = account(channel)
    here.connect(one)
    good = handshake(one, now=NOW)
    asked = msgspec.structs.replace(good, query=change(dict(good.query)))
    answer = await here.send(path_of(one), asked)
    assert (answer.status, answer.body) == (403, b"the handshake is refused\n")


# --- malformed HTTP, slow and rude clients -----------------------------------------------------


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
            piece = await asyncio.wait_for(reader.read(65536), 5)
            if not piece:
                break
            found += piece
    finally:
        writer.close()
    took = time.monotonic() - started
    status = int(found.split(b" ")[1]) if found else 0
    return Answered(status, found, {}, took)


MALFORMED = {
    "two different lengths": "Content-Length: 2\r\nContent-Length: 3\r\n",
    "a negative length": "Content-Length: -1\r\n",
    "a length that is no number": "Content-Length: abc\r\n",
    "a length and chunks": "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    "a header of 20 kB": f"X-Long: {'x' * 20_000}\r\n",
    "3,000 headers": "".join(f"X-{i}: 1\r\n" for i in range(3000)),
    "nothing behind the headers that HTTP knows": "Transfer-Encoding: gzip\r\n",
    "a header without a name": ": x\r\n",
    "a chunk that is none": "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("headers", MALFORMED.values(), ids=MALFORMED)
async def test_f9_malformed_http(here: Here, headers: str) -> None:
    one = account("line")
    here.connect(one)
    answer = await raw_http(here, f"POST {path_of(one)} HTTP/1.1\r\nHost: x\r\n{headers}", b"{}")
    assert answer.status == 400
    assert b"Traceback" not in answer.body
    assert b"aiohttp" not in answer.body.lower()
    assert b"Python" not in answer.body
    assert await stored(here, one.workspace) == (0, 0)


async def test_f1_a_chunked_body_beyond_the_limit_is_refused_early(here: Here) -> None:
    one = account("line")
    here.connect(one)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 16_384
            await asyncio.sleep(0.001)

    request = webhook(one, "m-1")
    async with here.http.post(
        here.base_url + path_of(one), data=endless(), headers=request.headers
    ) as answer:
        assert answer.status == 413
    assert await stored(here, one.workspace) == (0, 0)


async def test_f1_a_client_that_asks_first_is_told_before_it_sends(here: Here) -> None:
    one = account("line")
    here.connect(one)
    head = (
        f"POST {path_of(one)} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        f"Content-Length: {MAX_BODY + 1}\r\n"
    )
    answer = await raw_http(here, head)
    assert answer.status == 413
    assert b"100 Continue" not in answer.body


async def test_a_client_that_asks_first_may_send(here: Here) -> None:
    one = account("line")
    here.connect(one)
    request = webhook(one, "m-1")
    async with here.http.post(
        here.base_url + path_of(one), data=request.body, headers=request.headers, expect100=True
    ) as answer:
        assert answer.status == 200
    assert await stored(here, one.workspace) == (1, 1)


async def test_f8_a_body_that_does_not_come_is_given_up(here: Here) -> None:
    one = account("line")
    here.connect(one)
    head = f"POST {path_of(one)} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    answer = await raw_http(here, head, b'{"half":')
    assert answer.status == 408
    assert 0.4 < answer.seconds < 2
    assert await stored(here, one.workspace) == (0, 0)


async def test_d8_a_client_that_leaves_after_sending_is_served_all_the_same(here: Here) -> None:
    one = account("line")
    here.connect(one)
    request = webhook(one, "m-1")
    port = int(here.base_url.rsplit(":", 1)[1])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path_of(one)} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request.body)}\r\n"
    head += "".join(f"{k}: {v}\r\n" for k, v in request.headers.items())
    writer.write(head.encode() + b"\r\n" + request.body)
    await writer.drain()
    writer.transport.abort()
    assert (await here.post(one, request)).status == 200  # the provider tries again
    assert len(await events(here.bus, one.workspace)) == 1


async def test_d8_a_client_that_leaves_in_the_middle_leaves_nothing(here: Here) -> None:
    one = account("line")
    here.connect(one)
    before = counted("requests_total", endpoint="line", outcome="disconnected")
    port = int(here.base_url.rsplit(":", 1)[1])
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        f"POST {path_of(one)} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhalf".encode()
    )
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.transport.abort()
    for _ in range(50):
        await asyncio.sleep(0.02)
        if counted("requests_total", endpoint="line", outcome="disconnected") > before:
            break
    assert counted("requests_total", endpoint="line", outcome="disconnected") == before + 1
    assert await stored(here, one.workspace) == (0, 0)


async def test_f2_a_gzip_bomb_costs_no_time(here: Here) -> None:
    one = account("line")
    here.connect(one)
    bomb = gzip.compress(bytes(30_000_000))[: MAX_BODY - 1]
    request = WebhookRequest(
        method="POST", headers={"content-encoding": "gzip"}, query={}, body=bomb
    )
    started = time.monotonic()
    answers = await asyncio.gather(*[here.post(one, request) for _ in range(20)])
    assert {a.status for a in answers} == {415}
    assert time.monotonic() - started < 1


# --- conservation ------------------------------------------------------------------------------


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
    await here.post(one, without(webhook(one, "m-2"), "messenger"))
    await here.send("/nowhere", webhook(one, "m-3"))
    await here.post(account("line"), webhook(account("line"), "m-4"))
    assert total("received_total") == total("requests_total") + total("in_flight")
    assert total("in_flight") == 0


# --- unknown addressees ------------------------------------------------------------------------


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
