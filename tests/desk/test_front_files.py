"""Files through the one public port: large ones both ways, parts, and refusals on the way."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from libs.common.cli.front import front
from libs.common.simulate.samples import sample
from tests.desk.world import Answer, World

MEBIBYTE = 1 << 20
FILM = sample("mp4").content + secrets.token_bytes(24 * MEBIBYTE)


async def sent(world: World, base: str, content: AsyncIterator[bytes], length: int = 0) -> Answer:
    headers = {"Authorization": f"Bearer {world.tokens['amy']}", "Content-Type": "video/mp4"}
    if length:
        headers["Content-Length"] = str(length)
    url = f"{base}/api/v1/attachments?name=film.mp4"
    async with world.http.post(url, data=content, headers=headers) as answer:
        return Answer(answer.status, answer.headers.copy(), await answer.read())


async def pieces(content: bytes, times: int = 1) -> AsyncIterator[bytes]:
    for _ in range(times):
        for at in range(0, len(content), 256 * 1024):
            yield content[at : at + 256 * 1024]


async def test_d22_a_large_file_passes_the_public_port_both_ways(world: World) -> None:
    async with front("127.0.0.1", 0, lambda: {"desk": world.base}) as port:
        base = f"http://127.0.0.1:{port}"
        answer = await sent(world, base, pieces(FILM), len(FILM))
        assert answer.status == 201, answer.body
        url = base + answer.json["url"]
        whole = await world.call("GET", url)
        assert (whole.status, whole.body == FILM) == (200, True)
        assert whole.headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
        part = await world.call("GET", url, headers={"Range": "bytes=-5"})
        assert (part.status, part.body) == (206, FILM[-5:])
        head = await world.call("HEAD", url)
        assert (head.status, head.headers["Content-Length"]) == (200, str(len(FILM)))
        assert datetime.fromisoformat(answer.json["url_expires_at"]) > datetime.now(UTC)


@pytest.mark.parametrize("told", [True, False], ids=["its length told", "its length untold"])
async def test_b06_what_is_too_large_is_told_so_through_the_public_port(
    world: World, told: bool
) -> None:
    async with front("127.0.0.1", 0, lambda: {"desk": world.base}) as port:
        length = 5 * len(FILM) if told else 0
        answer = await sent(world, f"http://127.0.0.1:{port}", pieces(FILM, 5), length)
        assert (answer.status, answer.json["code"]) == (413, "too_large"), answer.body
