"""Every allowed type of file to a provider's stand-in and back, byte for byte."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from libs.common.channel import Account, HttpCall, HttpReply, Outbound, OutgoingFile
from libs.common.channels import CHANNELS
from libs.common.events import MediaPart, TextPart
from libs.common.files.api import ALLOWED
from libs.common.files.folder import FolderFiles
from libs.common.http import Door, allowed_base, open_door
from libs.common.simulate.samples import Sample, sample
from libs.common.simulate.stub import Stub
from services.notifier.deliver import Perform, Transcript, drive
from tests.channels.conformance import SUBJECTS

UPLOADING = ("whatsapp", "telegram")
"""Channels that take uploads and lead to files by an id."""

EVERY = [(channel, extension) for channel in UPLOADING for extension in sorted(ALLOWED)]
on_every = pytest.mark.parametrize(("channel", "extension"), EVERY)


class Post:
    """A channel's account at the stand-in, and what carries its calls there."""

    def __init__(self, stub: Stub, door: Door, files: FolderFiles) -> None:
        self.stub, self.door, self.files = stub, door, files

    def account(self, channel: str) -> Account:
        base = self.stub.base(f"acme-{channel}")
        return msgspec.structs.replace(SUBJECTS[channel].account, api_base=base)

    async def send(self, channel: str, made: Sample) -> tuple[str, ...]:
        account = self.account(channel)
        await self.files.put("acme", "att_1", chunks([made.content]))
        file = OutgoingFile(
            id="att_1",
            name=made.name,
            mime_type=made.mime_type,
            size_bytes=len(made.content),
        )
        message = Outbound(
            message_id="msg_1",
            recipient="15557770000",
            parts=(MediaPart(kind=made.kind, attachment="att_1"), TextPart(text="see")),
            files={"att_1": file},
        )
        exchange = CHANNELS[channel].send(account, message)
        sent = await drive(exchange, self._perform(account), Transcript())
        return sent.provider_ids

    async def fetch(self, channel: str, part: MediaPart) -> bytes:
        account, media = self.account(channel), CHANNELS[channel].media
        assert media is not None
        call = await drive(media(account, part, ""), self._perform(account), Transcript())
        allow = allowed_base(account.api_base)
        async with self.door.download(call, timeout_s=5, max_bytes=2**20, allow=allow) as found:
            assert found.status == 200
            return b"".join([chunk async for chunk in found.chunks])

    def _perform(self, account: Account) -> Perform:
        allow = allowed_base(account.api_base)

        async def perform(call: HttpCall) -> HttpReply:
            return await self.door.perform(call, timeout_s=5, allow=allow, workspace="acme")

        return perform


async def chunks(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest_asyncio.fixture
async def post(provider_stub: Stub, tmp_path: Path) -> AsyncIterator[Post]:
    files = FolderFiles(tmp_path)
    async with open_door(files=files) as door:
        yield Post(provider_stub, door, files)


@on_every
async def test_d22_a_file_arrives_as_it_is(post: Post, channel: str, extension: str) -> None:
    made = sample(extension)
    ids = await post.send(channel, made)
    arrived = [
        seen
        for item in post.stub.sent(f"acme-{channel}")
        for seen in item.files
        if seen.via == "upload"
    ]
    assert [seen.sha256 for seen in arrived] == [hashlib.sha256(made.content).hexdigest()]
    assert arrived[0].mime_type == made.mime_type
    assert arrived[0].name == made.name
    assert "see" in post.stub.shown(f"acme-{channel}")
    assert ids


@on_every
async def test_d22_a_visitors_file_is_fetched_as_it_is(
    post: Post, channel: str, extension: str
) -> None:
    made = sample(extension)
    media_id = f"FILE-{extension}"
    post.stub.put_media(f"acme-{channel}", media_id, made.content, made.mime_type)
    part = MediaPart(kind=made.kind, media_id=media_id)
    assert await post.fetch(channel, part) == made.content
