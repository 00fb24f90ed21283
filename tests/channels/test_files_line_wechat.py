"""Every allowed type of file through LINE's and WeChat's stand-ins and back, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from libs.common.channel import Account, HttpCall, HttpReply, Outbound, OutgoingFile
from libs.common.channels import CHANNELS
from libs.common.events import MediaPart
from libs.common.files.api import ALLOWED
from libs.common.files.folder import FolderFiles
from libs.common.http import Door, allowed_base, open_door
from libs.common.simulate.samples import Sample, sample
from libs.common.simulate.stub import Item, Stub
from services.notifier.deliver import Transcript, drive
from tests.channels.conformance import SUBJECTS

SHOWN = {
    "line": {"png", "jpg", "jpeg", "mp4", "mp3", "m4a"},
    "wechat": {"png", "jpg", "jpeg", "gif", "mp4", "mp3"},
}
"""What each shows as picture, film or sound; all else goes as a text with the link."""

EVERY = [(channel, extension) for channel in SHOWN for extension in sorted(ALLOWED)]
on_every = pytest.mark.parametrize(("channel", "extension"), EVERY)


async def _served(request: web.Request) -> web.Response:
    made = sample(request.match_info["extension"])
    return web.Response(body=made.content, content_type=made.mime_type)


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


class Post:
    """An account of each channel at the stand-in, and what carries its calls there."""

    def __init__(self, stub: Stub, door: Door, files: FolderFiles, links: str) -> None:
        self.stub, self.door, self.files, self.links = stub, door, files, links

    def account(self, channel: str) -> Account:
        given = SUBJECTS[channel].account
        secrets = {**given.secrets, "app_id": "wx0123456789abcdef"}
        base = self.stub.base(f"acme-{channel}")
        return msgspec.structs.replace(given, api_base=base, secrets=secrets)

    async def token(self, channel: str) -> str:
        fetch = CHANNELS[channel].token
        if fetch is None:
            return ""
        return (await drive(fetch(self.account(channel)), self._perform, Transcript())).value

    async def send(self, channel: str, made: Sample) -> list[Item]:
        await self.files.put("acme", "att_1", _chunks(made.content))
        file = OutgoingFile(
            id="att_1",
            name=made.name,
            mime_type=made.mime_type,
            size_bytes=len(made.content),
            link=f"{self.links}/{made.extension}",
            preview_link=f"{self.links}/png",
            duration_ms=1500,
        )
        message = Outbound(
            message_id=f"msg_{made.extension}",
            recipient="U1",
            parts=(MediaPart(kind=made.kind, attachment="att_1"),),
            files={"att_1": file},
            access_token=await self.token(channel),
        )
        exchange = CHANNELS[channel].send(self.account(channel), message)
        await drive(exchange, self._perform, Transcript())
        return self.stub.sent(f"acme-{channel}")

    async def fetch(self, channel: str, part: MediaPart) -> bytes:
        media = CHANNELS[channel].media
        assert media is not None
        account = self.account(channel)
        exchange = media(account, part, await self.token(channel))
        call = await drive(exchange, self._perform, Transcript())
        allow = allowed_base(account.api_base)
        async with self.door.download(call, timeout_s=5, max_bytes=2**21, allow=allow) as found:
            assert found.status == 200
            return b"".join([chunk async for chunk in found.chunks])

    async def _perform(self, call: HttpCall) -> HttpReply:
        allow = allowed_base(self.stub.base("acme-line"))
        return await self.door.perform(call, timeout_s=5, allow=allow, workspace="acme")


@pytest_asyncio.fixture
async def post(provider_stub: Stub, tmp_path: Path) -> AsyncIterator[Post]:
    application = web.Application()
    application.router.add_get("/{extension}", _served)
    files = FolderFiles(tmp_path)
    async with TestServer(application) as links, open_door(files=files) as door:
        yield Post(provider_stub, door, files, str(links.make_url("")).rstrip("/"))


@on_every
async def test_d22_a_file_arrives_as_it_is_or_as_a_link(
    post: Post, channel: str, extension: str
) -> None:
    made = sample(extension)
    items = await post.send(channel, made)
    arrived = {seen.sha256 for item in items for seen in item.files}
    if extension in SHOWN[channel]:
        assert arrived == {hashlib.sha256(made.content).hexdigest()}
    else:
        (told,) = post.stub.shown(f"acme-{channel}")
        assert told == f"{made.name}\n{post.links}/{extension}"


@on_every
async def test_d22_a_visitors_file_is_fetched_as_it_is(
    post: Post, channel: str, extension: str
) -> None:
    made = sample(extension)
    post.stub.put_media(f"acme-{channel}", "file-1", made.content, made.mime_type)
    assert await post.fetch(channel, MediaPart(kind=made.kind, media_id="file-1")) == made.content


async def test_d22_wechats_content_may_be_longer_than_an_answer(post: Post) -> None:
    content = b"\x89PNG\r\n\x1a\n" + bytes(2**20)
    post.stub.put_media("acme-wechat", "large-1", content, "image/png")
    assert await post.fetch("wechat", MediaPart(kind="image", media_id="large-1")) == content


async def test_d22_wechats_films_are_fetched_from_where_it_says(post: Post) -> None:
    content = await post.fetch("wechat", MediaPart(kind="video", media_id="video-1"))
    assert content == sample("mp4").content
