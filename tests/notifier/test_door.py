"""The outgoing door: what it lets through, what its failures say, and what they never show."""

from __future__ import annotations

import asyncio
import gzip
import socket
import time
import zlib

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from libs.common.channel import HttpCall, HttpReply
from libs.common.errors import (
    AmbiguousSendError,
    GatewayError,
    NotSentError,
    RejectedError,
)
from libs.common.http import (
    MAX_ANSWER_BYTES,
    ForbiddenTargetError,
    allowed_base,
    is_public,
    open_door,
)
from libs.common.targets import parsed
from tests.notifier.wire import Play, answer, saying, serving, silence

SECRET = "sentinel-4711"
MEBIBYTE = bytes(1024 * 1024)


class Names(AbstractResolver):
    """Every name means *address*."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host, host=self.address, port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        return None


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n")
    for _ in range(50):
        writer.write(MEBIBYTE)
        await writer.drain()


async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        await writer.drain()


def drip(status: str) -> Play:
    head = f"HTTP/1.1 {status}\r\nContent-Length: 1000\r\n\r\n".encode()
    return saying(head, *[b"x"] * 1000, pause_s=0.05)


GZIPPED = gzip.compress(b'{"ok":true}')
BOMB = gzip.compress(bytes(50 * 1024 * 1024))

ANSWERED = {
    "a plain answer comes back with lower-case header names": (
        saying(answer("200 OK", b"{}", "X-Thing: a")),
        HttpReply(status=200, headers={"content-length": "2", "x-thing": "a"}, body=b"{}"),
    ),
    "an error status is an answer, not a failure": (
        saying(answer("500 Oops", b"no")),
        HttpReply(status=500, headers={"content-length": "2"}, body=b"no"),
    ),
    "gzip that nobody asked for is inflated": (
        saying(answer("200 OK", GZIPPED, "Content-Encoding: gzip")),
        HttpReply(
            status=200,
            headers={"content-length": str(len(GZIPPED)), "content-encoding": "gzip"},
            body=b'{"ok":true}',
        ),
    ),
    "deflate as well": (
        saying(answer("200 OK", zlib.compress(b"hi"), "Content-Encoding: deflate")),
        HttpReply(
            status=200, headers={"content-length": "10", "content-encoding": "deflate"}, body=b"hi"
        ),
    ),
    "a refusal whose body is too large keeps its status": (
        saying(answer("400 Bad", b"", length=MAX_ANSWER_BYTES + 1)),
        HttpReply(status=400, headers={"content-length": str(MAX_ANSWER_BYTES + 1)}),
    ),
    "a refusal whose body drips keeps its status": (
        drip("429 Slow"),
        HttpReply(status=429, headers={"content-length": "1000"}),
    ),
    "the largest answer is taken": (
        saying(answer("200 OK", b"x" * MAX_ANSWER_BYTES)),
        HttpReply(
            status=200,
            headers={"content-length": str(MAX_ANSWER_BYTES)},
            body=b"x" * MAX_ANSWER_BYTES,
        ),
    ),
}

KEPT = 100
STATUS_COUNTS: dict[str, tuple[Play, bytes]] = {
    "of a small body all": (saying(answer("200 OK", b"taken")), b"taken"),
    "of a large body the beginning": (saying(answer("200 OK", b"x" * 10_000)), b"x" * KEPT),
    "of a body larger than any cap": (
        saying(answer("200 OK", b"x" * (MAX_ANSWER_BYTES + 1))),
        b"x" * KEPT,
    ),
    "of a body without an end": (endless, bytes(KEPT)),
    "nothing of one that drips": (drip("200 OK"), b""),
    "nothing of one that is cut": (
        saying(answer("200 OK", b"short", "Connection: close", length=100)),
        b"",
    ),
    "nothing of one that is compressed": (
        saying(answer("200 OK", BOMB, "Content-Encoding: gzip")),
        b"",
    ),
}

FAILED: dict[str, tuple[Play, type[GatewayError], str]] = {
    "50 MB": (flood, AmbiguousSendError, ""),
    "an answer without an end": (endless, AmbiguousSendError, ""),
    "a gzip bomb": (
        saying(answer("200 OK", BOMB, "Content-Encoding: gzip")),
        AmbiguousSendError,
        "",
    ),
    "an encoding we cannot undo": (
        saying(answer("200 OK", b"x", "Content-Encoding: br")),
        AmbiguousSendError,
        "",
    ),
    "broken gzip": (
        saying(answer("200 OK", b"xxxx", "Content-Encoding: gzip")),
        AmbiguousSendError,
        "",
    ),
    "an answer that drips": (drip("200 OK"), AmbiguousSendError, ""),
    "no answer in time": (silence, AmbiguousSendError, ""),
    "a reset after the request": (reset, AmbiguousSendError, ""),
    "garbage instead of HTTP": (saying(b"SSH-2.0-x\r\n\r\n"), AmbiguousSendError, ""),
    "a Content-Length that is not reached": (
        saying(answer("200 OK", b"short", "Connection: close", length=100)),
        AmbiguousSendError,
        "",
    ),
    "a redirect": (
        saying(answer("307 Go", b"", "Location: http://127.0.0.1:1/")),
        RejectedError,
        "redirected",
    ),
    "a permanent redirect with a body": (
        saying(answer("301 Go", b"x" * 1000, "Location: https://elsewhere.example/")),
        RejectedError,
        "redirected",
    ),
}


def call(base: str, **more: object) -> HttpCall:
    fields = {"headers": {"authorization": f"Bearer {SECRET}"}, "body": b"text " + SECRET.encode()}
    return HttpCall(url=f"{base}/v1/send?access_token={SECRET}", **{**fields, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(("play", "expected"), ANSWERED.values(), ids=ANSWERED)
async def test_answers(play: Play, expected: HttpReply) -> None:
    async with serving(play) as server, open_door() as door:
        reply = await door.perform(
            call(server.base), timeout_s=0.5, allow=allowed_base(server.base)
        )
    assert reply == expected
    assert server.requests[0].endswith(b"text " + SECRET.encode())


@pytest.mark.parametrize(("play", "body"), STATUS_COUNTS.values(), ids=STATUS_COUNTS)
async def test_where_the_status_alone_counts_the_body_is_kept_so_far(
    play: Play, body: bytes
) -> None:
    async with serving(play) as server, open_door() as door:
        allow = allowed_base(server.base)
        reply = await door.perform(call(server.base), timeout_s=0.5, allow=allow, kept=KEPT)
    assert (reply.status, reply.body) == (200, body)


@pytest.mark.parametrize(("play", "error", "reason"), FAILED.values(), ids=FAILED)
async def test_failures_say_what_is_known(
    play: Play, error: type[GatewayError], reason: str
) -> None:
    async with serving(play) as server, open_door() as door:
        began = time.monotonic()
        with pytest.raises(error) as caught:
            await door.perform(call(server.base), timeout_s=0.5, allow=allowed_base(server.base))
        assert time.monotonic() - began < 10
    assert type(caught.value) is error
    assert getattr(caught.value, "reason", "") == reason
    assert server.connections == 1, "nothing is repeated, no redirect is followed"
    assert shows_no_secret(caught.value)


def shows_no_secret(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if SECRET in f"{seen!s}{seen!r}{getattr(seen, 'detail', '')}":
            return False
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return True


FORBIDDEN = {
    "plain http": "http://93.184.216.34/",
    "loopback": "https://127.0.0.1:{port}/",
    "loopback, short form": "https://127.1:{port}/",
    "loopback, hexadecimal": "https://0x7f.1:{port}/",
    "loopback, decimal": "https://2130706433:{port}/",
    "loopback with a final dot": "https://127.0.0.1.:{port}/",
    "localhost": "https://localhost:{port}/",
    "unspecified": "https://0.0.0.0:{port}/",
    "IPv6 loopback": "https://[::1]:{port}/",
    "mapped IPv4": "https://[::ffff:127.0.0.1]:{port}/",
    "mapped public IPv4": "https://[::ffff:8.8.8.8]/",
    "private": "https://10.0.0.8/",
    "link-local, where clouds keep credentials": "https://169.254.169.254/latest/meta-data",
    "CGNAT": "https://100.64.0.1/",
    "multicast": "https://224.0.0.1/",
    "IPv6 unique local": "https://[fd00::1]/",
    "IPv6 link-local": "https://[fe80::1]/",
    "credentials in the URL": "https://me:secret@93.184.216.34/",
    "a privileged port that is not 443": "https://93.184.216.34:22/",
    "another scheme": "file:///etc/passwd",
    "no host": "https:///x",
    "no URL": "::::",
    "a port out of range": "https://93.184.216.34:99999/",
}


@pytest.mark.parametrize("url", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_targets_inside_are_not_dialled(url: str) -> None:
    async with serving(saying(answer("200 OK", b""))) as inside, open_door() as door:
        with pytest.raises(ForbiddenTargetError) as caught:
            await door.perform(HttpCall(url=url.format(port=inside.port)), timeout_s=2)
        assert inside.connections == 0
    assert caught.value.detail == "target is not allowed"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1"])
async def test_names_that_resolve_inside_are_not_dialled(address: str) -> None:
    async with serving(saying(answer("200 OK", b""))) as inside:
        async with open_door(Names(address)) as door:
            with pytest.raises(ForbiddenTargetError):
                await door.perform(HttpCall(url=f"https://api.example:{inside.port}/"), timeout_s=2)
        assert inside.connections == 0


async def test_the_exception_is_for_exactly_one_origin() -> None:
    empty = saying(answer("200 OK", b""))
    async with serving(empty) as own, serving(empty) as other, open_door() as door:
        allow = allowed_base(f"{own.base}/slug")
        reply = await door.perform(HttpCall(url=f"{own.base}/a"), timeout_s=2, allow=allow)
        assert reply.status == 200
        for url in (f"{other.base}/a", f"http://localhost:{own.port}/a"):
            with pytest.raises(ForbiddenTargetError):
                await door.perform(HttpCall(url=url), timeout_s=2, allow=allow)
        with pytest.raises(ForbiddenTargetError):
            await door.perform(HttpCall(url=f"{own.base}/a"), timeout_s=2)
        assert other.connections == 0
        assert own.connections == 1


async def test_the_exception_opens_loopback_and_no_other_inside() -> None:
    async with open_door() as door:
        for base in ("http://10.0.0.8:9000", "http://169.254.169.254"):
            with pytest.raises(ForbiddenTargetError):
                await door.perform(HttpCall(url=base), timeout_s=2, allow=allowed_base(base))


async def test_a_refused_connection_and_an_unknown_name_are_not_sent() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{probe.getsockname()[1]}"
    async with open_door() as door:
        with pytest.raises(NotSentError) as caught:
            await door.perform(call(base), timeout_s=2, allow=allowed_base(base))
        assert shows_no_secret(caught.value)
        with pytest.raises(NotSentError):
            await door.perform(HttpCall(url="https://nowhere.invalid/"), timeout_s=2)


async def test_failed_tls_is_not_sent() -> None:
    async with serving(silence) as plain, open_door() as door:
        base = f"https://127.0.0.1:{plain.port}"
        with pytest.raises(NotSentError):
            await door.perform(call(base), timeout_s=1, allow=allowed_base(base))


async def test_an_answer_without_an_end_is_given_up_at_the_cap_not_at_the_deadline() -> None:
    async with serving(endless) as server, open_door() as door:
        began = time.monotonic()
        with pytest.raises(AmbiguousSendError):
            await door.perform(call(server.base), timeout_s=60, allow=allowed_base(server.base))
        assert time.monotonic() - began < 20


async def test_a_connection_is_kept_and_used_again() -> None:
    async with serving(saying(answer("200 OK", b"{}"))) as server, open_door() as door:
        for _ in range(3):
            await door.perform(call(server.base), timeout_s=1, allow=allowed_base(server.base))
        assert server.connections == 1


async def test_no_cookie_is_kept_and_no_proxy_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    play = saying(answer("200 OK", b"", "Set-Cookie: a=b; Path=/"))
    async with serving(play) as server, open_door() as door:
        for _ in range(2):
            await door.perform(call(server.base), timeout_s=1, allow=allowed_base(server.base))
    assert all(b"cookie" not in request.lower() for request in server.requests)
    assert b"accept-encoding: identity" in server.requests[0].lower()


async def test_headers_cannot_be_smuggled() -> None:
    async with serving(saying(answer("200 OK", b""))) as server, open_door() as door:
        with pytest.raises(RejectedError):
            await door.perform(
                call(server.base, headers={"authorization": "a\r\nx-evil: 1"}),
                timeout_s=1,
                allow=allowed_base(server.base),
            )
        assert server.requests == []


PUBLIC = {
    "93.184.216.34": True,
    "2606:2800:220:1::1": True,
    "64:ff9b::5db8:d822": True,
    "64:ff9b::7f00:1": False,
    "2002:7f00:1::": False,
    "2002:5db8:d822::": True,
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": False,
    "::ffff:93.184.216.34": False,
    "198.18.0.1": False,
    "192.0.2.1": False,
    "255.255.255.255": False,
    "240.0.0.1": False,
    "0.0.0.0": False,  # noqa: S104 (an address to refuse)
    "172.31.255.255": False,
    "192.168.0.1": False,
    "100.127.255.255": False,
    "fec0::1": False,
    "ff02::1": False,
    "fe80::1%eth0": False,
    "::": False,
}


@pytest.mark.parametrize(("address", "expected"), PUBLIC.items(), ids=PUBLIC)
def test_public_addresses(address: str, expected: bool) -> None:
    assert is_public(address) is expected


STAND_INS = {
    "an account's own origin in a private network is refused": ("", True),
    "unless the operator named it as the stand-in": ("http://stand-in.example:8099", False),
    "what the operator named as another is refused": ("http://other.example:8099", True),
}


@pytest.mark.parametrize(("named", "refused"), STAND_INS.values(), ids=STAND_INS)
async def test_a_stand_in_may_lie_inside_where_the_operator_names_it(
    named: str, refused: bool
) -> None:
    url = "http://stand-in.example:8099/acme"
    async with open_door(stand_in=named) as door:  # its pools differ in what they dial
        pool = door._session(parsed(url), allowed_base(url))
        assert pool is (door._local if refused else door._inside)
        own = door._session(parsed("https://stand-in.example:8099/acme"), None)
        assert own is door._public, "not without the account's own word"
