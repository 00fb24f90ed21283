"""Malformed HTTP, slow clients, clients that leave."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator

import pytest

from libs.common.channel import WebhookRequest
from tests.ingest.harness import (
    MAX_BODY,
    Here,
    account,
    counted,
    events,
    path_of,
    raw_http,
    stored,
    webhook,
)

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
    assert time.monotonic() - started < 10


TARGETS = {
    "an absolute target": ("POST http://elsewhere.example{path}", b" 200 "),
    "the server itself": ("OPTIONS *", b" 404 "),
    "an authority": ("CONNECT elsewhere.example:443", b" 4"),
    "a target that is none": ("POST webhooks", b" 40"),
}


@pytest.mark.parametrize(("line", "expected"), TARGETS.values(), ids=TARGETS)
async def test_f10_strange_targets(here: Here, line: str, expected: bytes) -> None:
    one = account("line")
    here.connect(one)
    request = webhook(one, "m-1")
    head = f"{line.format(path=path_of(one))} HTTP/1.1\r\nHost: x\r\n"
    head += "".join(f"{k}: {v}\r\n" for k, v in request.headers.items())
    length = f"Content-Length: {len(request.body)}\r\n"
    answer = await raw_http(here, head + length, request.body)
    assert expected in answer.body.split(b"\r\n")[0]
    assert await stored(here, one.workspace) == ((1, 1) if expected == b" 200 " else (0, 0))
