"""The HTTP edge: constant answers, silent connections, limits, defects, ids."""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from pathlib import Path

import msgspec
import pytest
from prometheus_client import generate_latest

from libs.common.channel import Account, Channel, WebhookRequest
from libs.common.channels import CHANNELS
from libs.common.events import Unparsed
from libs.common.ids import ordered_id
from libs.common.rawlog import HEADER_BYTES, PART_BYTES, RawPart, join, split
from services.ingest import app, defects, server
from services.ingest.body import Load
from services.ingest.stamps import Stamps
from tests.ingest.harness import Here, account, events, ingest_here, path_of, raws, webhook


def as_bytes(
    one: Account, request: WebhookRequest, *, version: str = "1.1", more: str = ""
) -> bytes:
    head = (
        f"POST {path_of(one)} HTTP/{version}\r\nHost: x\r\nContent-Length: {len(request.body)}\r\n"
    )
    head += "".join(f"{k}: {v}\r\n" for k, v in request.headers.items())
    return (head + more + "\r\n").encode() + request.body


async def exchange(here: Here, data: bytes, *, answers: int, ends: bool) -> list[bytes]:
    """Send *data* on one connection; return the answers and check whether it ends then."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(here.base_url.rsplit(":", 1)[1])
    )
    writer.write(data)
    found = []
    for _ in range(answers):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = re.search(rb"(?i)content-length: (\d+)", head)
        assert length is not None
        found.append(head + await reader.readexactly(int(length[1])))
    if ends:
        assert await asyncio.wait_for(reader.read(), 30) == b""
    else:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
    writer.close()
    return found


async def test_pipelined_webhooks_are_answered_in_order_on_one_connection(here: Here) -> None:
    one = account("line")
    here.connect(one)
    good = as_bytes(one, webhook(one, "m-1"))
    bad = as_bytes(one, msgspec.structs.replace(webhook(one, "m-2"), headers={}))
    found = await exchange(here, good + bad + good, answers=3, ends=False)
    assert [answer.split(b" ")[1] for answer in found] == [b"200", b"401", b"200"]


@pytest.mark.parametrize("order", [1, -1])
async def test_g1_two_signature_headers_are_refused_though_one_is_good(
    here: Here, order: int
) -> None:
    one = account("line")
    here.connect(one)
    good = webhook(one, "m-1")
    signature = good.headers["x-line-signature"]
    lines = [f"X-Line-Signature: {value}\r\n" for value in (signature, "AAAA")][::order]
    bare = msgspec.structs.replace(good, headers={})
    (found,) = await exchange(here, as_bytes(one, bare, more="".join(lines)), answers=1, ends=False)
    assert b" 401 " in found


async def test_the_frequent_answer_is_complete_http(here: Here) -> None:
    one = account("whatsapp")
    here.connect(one)
    (found,) = await exchange(here, as_bytes(one, webhook(one, "m-1")), answers=1, ends=False)
    head, _, body = found.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {line.split(":")[0] for line in lines[1:]} == {
        "Content-Type",
        "Server",
        "Content-Length",
        "Date",
    }
    assert re.search(r"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", head.decode())
    assert body == b"EVENT_RECEIVED"


CLOSING = {
    "HTTP/1.0": ("1.0", ""),
    "a client that wants the end": ("1.1", "Connection: close\r\n"),
}


@pytest.mark.parametrize(("version", "more"), CLOSING.values(), ids=CLOSING)
async def test_a_connection_ends_where_the_client_says_so(
    here: Here, version: str, more: str
) -> None:
    one = account("line")
    here.connect(one)
    data = as_bytes(one, webhook(one, "m-1"), version=version, more=more)
    (found,) = await exchange(here, data, answers=1, ends=True)
    assert b" 200 OK" in found


async def test_f8_connections_that_keep_their_headers_to_themselves_are_closed(
    nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FIRST_REQUEST_WITHIN_S", 0.5)
    monkeypatch.setattr(server, "_LOOK_EVERY_S", 0.1)
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        one = account("line")
        here.connect(one)
        port = int(here.base_url.rsplit(":", 1)[1])
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(200)]
        for number, (_, writer) in enumerate(silent):
            writer.write(b"POST /webhooks/line/x HTTP/1.1\r\nHost" if number % 2 else b"")
        for number in range(10):  # a connection in use is not touched
            assert (await here.post(one, webhook(one, f"m-{number}"))).status == 200
            await asyncio.sleep(0.1)
        ends = await asyncio.gather(*[asyncio.wait_for(reader.read(), 30) for reader, _ in silent])
        assert set(ends) == {b""}
        for _, writer in silent:
            writer.close()


BUSY = {
    "too many bytes": partial(Load, max_bytes=100),
    "too many requests": partial(Load, max_requests=0),
}


@pytest.mark.parametrize("load", BUSY.values(), ids=BUSY)
async def test_i11_overload_is_an_honest_refusal(
    nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, load: partial[Load]
) -> None:
    monkeypatch.setattr(app, "Load", load)
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        one = account("line")
        here.connect(one)
        answer = await here.post(one, webhook(one, "m-1"))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert await events(here.bus, one.workspace) == []


def test_load_gives_back_what_it_took() -> None:
    load = Load(max_bytes=10, max_requests=1)
    load.take(10)
    load.give_back(10)
    load.take(10)
    load.begin()
    load.end()
    load.begin()
    assert (load.bytes, load.requests) == (10, 1)


# --- defects of ours ---------------------------------------------------------------------------

SENTINEL = "Zx9-secret-words"


def broken(*_: object) -> object:
    raise KeyError(SENTINEL)


def with_defect(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    line: Channel = msgspec.structs.replace(CHANNELS["line"], **changes)
    monkeypatch.setitem(CHANNELS, "line", line)
    defects._told.clear()


async def test_a_defect_in_a_parser_keeps_the_body_and_answers_200(
    nats_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with_defect(monkeypatch, parse=broken)
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        one = account("line")
        here.connect(one)
        for number in range(3):
            assert (await here.post(one, webhook(one, f"m-{number}"))).status == 200
        kept = await events(here.bus, one.workspace)
        assert [type(e.event) for e in kept] == [Unparsed] * 3
        assert len(await raws(here.bus, one.workspace)) == 3
    told = [record for record in caplog.records if record.message == "ingest.parser_defect"]
    assert len(told) == 1  # each place once a minute
    assert SENTINEL not in str(vars(told[0]))
    assert told[0].exc_info is None


async def test_a_defect_before_the_proof_is_a_503_without_a_trace(
    nats_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with_defect(monkeypatch, verify=broken)
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        one = account("line")
        here.connect(one)
        answer = await here.post(one, webhook(one, "m-1"))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert b"Error" not in answer.body
        assert await events(here.bus, one.workspace) == []
    assert [record.message for record in caplog.records].count("ingest.defect") == 1
    assert SENTINEL not in caplog.text


async def test_i13_nothing_of_a_message_or_secret_is_told(
    here: Here, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    one = account("line")
    one = msgspec.structs.replace(one, secrets={**one.secrets, "channel_secret": SENTINEL})
    here.connect(one)
    good = webhook(one, "m-1", SENTINEL)
    shown = [
        (await here.post(one, good)).body,
        (await here.post(one, msgspec.structs.replace(good, headers={}))).body,
        (await here.post(one, webhook(one, "m-2", SENTINEL * 3))).body,
        generate_latest(),
    ]
    assert SENTINEL.encode() not in b"".join(shown)
    assert SENTINEL not in caplog.text
    (raw, _) = await raws(here.bus, one.workspace)
    assert SENTINEL not in str(raw.headers)


# --- ids, stamps and the raw log ---------------------------------------------------------------


def test_ordered_ids_sort_by_time_and_fit_the_ulid_alphabet() -> None:
    assert ordered_id(1469918176385, bytes(10)) == "01ARYZ6S41" + "0" * 16  # of the ULID's README
    assert ordered_id(0, b"\xff" * 10) == "0" * 10 + "Z" * 16
    drawn = [ordered_id(ms, bytes([ms % 251] * 10)) for ms in range(10**12, 10**12 + 5000, 7)]
    assert drawn == sorted(drawn)
    assert all(re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", one) for one in drawn)


TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACES = {
    "a good one is continued": (
        f"00-{TRACE}-b7ad6b7169203331-00",
        rf"00-{TRACE}-[0-9a-f]{{16}}-00",
    ),
    "none starts one": ("", r"00-[0-9a-f]{32}-[0-9a-f]{16}-01"),
    "nonsense starts one": ("00-xyz", r"00-[0-9a-f]{32}-[0-9a-f]{16}-01"),
    "an empty trace starts one": (
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        r"00-(?!0{32})[0-9a-f]{32}-[0-9a-f]{16}-01",
    ),
    "more behind it is not passed on": (
        f"00-{TRACE}-b7ad6b7169203331-01\r\nX: y",
        rf"00-(?!{TRACE})[0-9a-f]{{32}}-[0-9a-f]{{16}}-01",
    ),
}


@pytest.mark.parametrize(("given", "expected"), TRACES.values(), ids=TRACES)
def test_traceparent(given: str, expected: str) -> None:
    assert re.fullmatch(expected, Stamps().next().traceparent(given))


def test_stamps_never_repeat_and_tell_the_time() -> None:
    now = [1_760_000_000.123]
    stamps = Stamps(lambda: now[0])
    made = [stamps.next() for _ in range(1000)]
    assert len({s.ingest_id() for s in made} | {s.another_id() for s in made}) == 2000
    assert len({s.traceparent("") for s in made}) == 1000
    assert {s.text for s in made} == {"2025-10-09T08:53:20.123Z"}
    now[0] += 1
    assert stamps.next().text == "2025-10-09T08:53:21.123Z"


SIZES = (0, 1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES, 4 << 20)


@pytest.mark.parametrize("size", SIZES)
def test_a_raw_body_comes_back_from_its_parts(size: int) -> None:
    request = WebhookRequest(
        method="POST",
        headers={"a": "b", "authorization": "Bearer x", "cookie": "c"},
        query={"q": "1"},
        body=bytes(range(256)) * (size // 256) + bytes(size % 256),
    )
    parts = split(request, ingest_id="I", path="/p")
    sent = [msgspec.json.encode(part) for part in parts]
    assert max(map(len, sent)) < 512 * 1024
    back = join(msgspec.json.decode(one, type=RawPart) for one in reversed([*sent, sent[0]]))
    assert (back.body, back.headers, back.query) == (request.body, {"a": "b"}, {"q": "1"})
    if len(parts) > 1:
        with pytest.raises(LookupError):
            join(parts[1:])


def test_endless_headers_are_cut() -> None:
    headers = {f"x-{n}": "y" * 5000 for n in range(100)}
    request = WebhookRequest(method="POST", headers=headers, query={}, body=b"")
    (part,) = split(request, ingest_id="I", path="/p")
    assert 0 < sum(map(len, part.headers.values())) <= HEADER_BYTES
