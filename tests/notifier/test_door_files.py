"""The door's streams: downloads under the same rules as calls, and files sent as forms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common import http
from libs.common.channel import HttpCall, OutgoingFile, Upload
from libs.common.errors import (
    AmbiguousSendError,
    GatewayError,
    NotFoundError,
    NotSentError,
    RejectedError,
    StoreUnavailableError,
)
from libs.common.files.api import Files
from libs.common.files.folder import FolderFiles
from libs.common.http import Door, ForbiddenTargetError, allowed_base, open_door
from tests.notifier.test_door import Names, drip, endless, flood, reset
from tests.notifier.wire import Play, answer, saying, serving, silence

SECRET = "sentinel-4711"
LIMIT = 1024 * 1024


async def fetched(door: Door, url: str, base: str, *, timeout_s: float = 0.5) -> tuple[int, bytes]:
    call = HttpCall(url=url, method="GET", headers={"authorization": SECRET})
    async with door.download(
        call, timeout_s=timeout_s, max_bytes=LIMIT, allow=allowed_base(base)
    ) as found:
        return found.status, b"".join([chunk async for chunk in found.chunks])


async def test_a_download_comes_with_status_headers_and_bytes() -> None:
    play = saying(answer("200 OK", b"x" * LIMIT, "X-Thing: a"))
    async with serving(play) as server, open_door() as door:
        call = HttpCall(url=f"{server.base}/a", method="GET", headers={"authorization": SECRET})
        async with door.download(
            call, timeout_s=2, max_bytes=LIMIT, allow=allowed_base(server.base)
        ) as found:
            assert found.status == 200
            assert found.headers["x-thing"] == "a"
            assert sum([len(chunk) async for chunk in found.chunks]) == LIMIT
    assert SECRET.encode() in server.requests[0]


FAILED: dict[str, tuple[Play, type[GatewayError], str]] = {
    "50 MB": (flood, RejectedError, "too_large"),
    "an answer without an end": (endless, RejectedError, "too_large"),
    "an answer that drips": (drip("200 OK"), NotSentError, ""),
    "no answer in time": (silence, NotSentError, ""),
    "a reset after the request": (reset, NotSentError, ""),
    "garbage instead of HTTP": (saying(b"SSH-2.0-x\r\n\r\n"), NotSentError, ""),
    "a Content-Length that is not reached": (
        saying(answer("200 OK", b"short", "Connection: close", length=100)),
        NotSentError,
        "",
    ),
    "compressed though we asked for plain": (
        saying(answer("200 OK", b"x", "Content-Encoding: gzip")),
        RejectedError,
        "rejected",
    ),
    "a redirect without a target": (saying(answer("302 Go", b"")), RejectedError, "redirected"),
    "not modified": (saying(answer("304 Same", b"")), RejectedError, "redirected"),
    "a redirect to itself for ever": (
        saying(answer("302 Go", b"", "Location: /again")),
        RejectedError,
        "redirected",
    ),
}


@pytest.mark.parametrize(("play", "error", "reason"), FAILED.values(), ids=FAILED)
async def test_failed_downloads(play: Play, error: type[GatewayError], reason: str) -> None:
    async with serving(play) as server, open_door() as door:
        began = time.monotonic()
        with pytest.raises(error) as caught:
            await fetched(door, f"{server.base}/a", server.base)
        assert time.monotonic() - began < 10
    assert type(caught.value) is error
    assert getattr(caught.value, "reason", "") == reason
    assert len(server.requests) <= 4, "three redirects and no more"
    assert SECRET not in repr(caught.value)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 64000\r\n\r\n"
SPEEDS: dict[str, tuple[Play, bool]] = {
    "drips its headers": (saying(b"HTTP/1.1 200 OK\r\n", *[b"a: b\r\n"] * 99, pause_s=0.05), False),
    "drips its body": (saying(HEAD, *[b"x"] * 1000, pause_s=0.05), False),
    "stops after a fast beginning": (saying(HEAD, bytes(4000), pause_s=30), False),
    "is slow but fast enough": (saying(HEAD, *[bytes(2000)] * 32, pause_s=0.05), True),
}


@pytest.mark.parametrize(("play", "taken"), SPEEDS.values(), ids=SPEEDS)
async def test_a_download_that_drips_is_given_up_long_before_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch, play: Play, taken: bool
) -> None:
    monkeypatch.setattr(http, "SLOW_AFTER_S", 0.4)
    monkeypatch.setattr(http, "SLOWEST", 8_000)
    async with serving(play) as server, open_door() as door:
        began = time.monotonic()
        if taken:
            found = await fetched(door, f"{server.base}/a", server.base, timeout_s=60)
            assert found == (200, bytes(64_000))
            assert time.monotonic() - began > 0.8, "longer than headers and a drip may take"
        else:
            with pytest.raises(NotSentError):
                await fetched(door, f"{server.base}/a", server.base, timeout_s=60)
            assert time.monotonic() - began < 20


INSIDE = {
    "loopback": "https://127.0.0.1:{port}/",
    "loopback by http": "http://127.0.0.1:{port}/",
    "a name of this machine": "http://localhost:{port}/",
    "private": "https://10.0.0.8/",
    "where clouds keep credentials": "http://169.254.169.254/latest/meta-data",
    "another scheme": "file:///etc/passwd",
    "a protocol-relative address": "//127.0.0.1:{port}/",
    "plain http outside": "http://93.184.216.34/",
    "credentials in the address": "https://me:you@93.184.216.34/",
    "no address": "https://",
}


@pytest.mark.parametrize("location", INSIDE.values(), ids=INSIDE)
async def test_d22_a_redirect_does_not_lead_inside(location: str) -> None:
    async with serving(saying(answer("200 OK", b"secret"))) as inside, open_door() as door:
        target = location.format(port=inside.port)
        async with serving(saying(answer("302 Go", b"", f"Location: {target}"))) as outside:
            with pytest.raises(ForbiddenTargetError):
                await fetched(door, f"{outside.base}/a", outside.base)
        assert inside.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1"])
async def test_d22_a_name_that_resolves_inside_is_not_fetched(address: str) -> None:
    async with serving(saying(answer("200 OK", b"secret"))) as inside:
        async with open_door(Names(address)) as door:
            with pytest.raises(ForbiddenTargetError):
                await fetched(door, f"https://cdn.example:{inside.port}/a", "")
        assert inside.connections == 0


async def test_a_redirect_on_the_own_origin_keeps_the_credentials() -> None:
    plays = [saying(answer("302 Go", b"", "Location: /b")), saying(answer("200 OK", b"file"))]

    async def in_turn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await plays.pop(0)(reader, writer)

    async with serving(in_turn) as server, open_door() as door:
        assert await fetched(door, f"{server.base}/a", server.base) == (200, b"file")
    assert [SECRET.encode() in request for request in server.requests] == [True, True]


async def test_credentials_are_not_sent_to_another_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both servers are let through here, as two public hosts would be."""
    monkeypatch.setattr(Door, "_session", lambda self, _url, _allow: self._local)
    async with serving(saying(answer("200 OK", b"file"))) as other, open_door() as door:
        play = saying(answer("307 Go", b"", f"Location: {other.base}/b"))
        async with serving(play) as first:
            assert await fetched(door, f"{first.base}/a", first.base) == (200, b"file")
    assert SECRET.encode() in first.requests[0]
    assert SECRET.encode() not in other.requests[0]
    assert b"authorization" not in other.requests[0].lower()


# --- uploads -----------------------------------------------------------------------------------


async def one(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def upload(size: int) -> Upload:
    return Upload(
        file=OutgoingFile(id="att_1", name='a "b"\r\n.png', mime_type="image/png", size_bytes=size),
        field="photo",
        fields={"chat_id": "7", "caption": "Grüße"},
    )


async def send(door: Door, base: str, sent: Upload, *, timeout_s: float = 2) -> int:
    call = HttpCall(url=f"{base}/a", headers={"Content-Type": "x/y", "x-a": "b"}, upload=sent)
    reply = await door.perform(
        call, timeout_s=timeout_s, allow=allowed_base(base), workspace="acme"
    )
    return reply.status


async def test_an_upload_is_a_form_with_the_fields_first_and_a_known_length(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    data = bytes(range(256)) * 4000
    await files.put("acme", "att_1", one(data))
    async with (
        serving(saying(answer("200 OK", b"{}"))) as server,
        open_door(files=files) as door,
    ):
        assert await send(door, server.base, upload(len(data))) == 200
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lower = head.lower()
    assert lower.count(b"content-type:") == 1
    assert b"transfer-encoding" not in lower
    assert f"content-length: {len(body)}".encode() in lower
    boundary = head.partition(b"boundary=")[2].partition(b"\r\n")[0]
    first, second, third, end = body.split(b"--" + boundary)[1:]
    assert first == b'\r\nContent-Disposition: form-data; name="chat_id"\r\n\r\n7\r\n'
    assert second.endswith("\r\n\r\nGrüße\r\n".encode())
    assert third == (
        b'\r\nContent-Disposition: form-data; name="photo"; filename="a %22b%22%0D%0A.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + data + b"\r\n"
    )
    assert end == b"--\r\n"


async def test_a_file_that_is_gone_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    async with (
        serving(saying(answer("200 OK", b"{}"))) as server,
        open_door(files=FolderFiles(tmp_path)) as door,
    ):
        with pytest.raises(RejectedError) as caught:
            await send(door, server.base, upload(5))
        assert caught.value.reason == "file_missing"
        assert server.connections == 0


class Failing(FolderFiles):
    """A storage that goes away after the first piece."""

    async def read(self, workspace: str, file_id: str, *, start: int = 0) -> AsyncIterator[bytes]:
        del workspace, file_id, start
        yield b"x" * 1000
        raise StoreUnavailableError("away")


@pytest.mark.parametrize("size", [999, 2000])
async def test_a_file_that_is_not_read_to_its_end_was_not_sent(tmp_path: Path, size: int) -> None:
    async with (
        serving(silence) as server,
        open_door(files=Failing(tmp_path)) as door,
    ):
        with pytest.raises(NotSentError):
            await send(door, server.base, upload(size))


async def test_a_file_of_another_size_was_not_sent(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path)
    await files.put("acme", "att_1", one(b"x" * 1000))
    async with serving(silence) as server, open_door(files=files) as door:
        for size in (10, 5000):
            with pytest.raises(NotSentError):
                await send(door, server.base, upload(size))


async def test_no_answer_to_an_upload_is_ambiguous(tmp_path: Path) -> None:
    files: Files = FolderFiles(tmp_path)
    await files.put("acme", "att_1", one(b"x" * 1000))
    async with serving(silence) as server, open_door(files=files) as door:
        with pytest.raises(AmbiguousSendError):
            await send(door, server.base, upload(1000), timeout_s=0.5)
    with pytest.raises(NotFoundError):
        await anext(files.read("other", "att_1"))
