"""Visitors' files: fetched, checked by content, stored once (D22)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from libs.common import http
from libs.common.documents import ATTACHMENTS, Attachment
from libs.common.errors import NotFoundError
from libs.common.events import MediaKind, MediaPart, TextPart
from libs.common.files.api import attachment_id
from services.notifier import media_worker
from tests.files import samples as s
from tests.notifier.media_rig import (
    WORKSPACE,
    MediaRig,
    Serve,
    body,
    media_rig,
    providing,
    status,
    stream,
)
from tests.notifier.test_door import Names

LIMIT = 1 << 20
BIG_PNG = s.PNG + bytes(700_000)


@pytest_asyncio.fixture
async def rig(nats_url: str, tmp_path: Path) -> AsyncIterator[MediaRig]:
    async with media_rig(nats_url, tmp_path) as found:
        yield found


STORED: dict[str, tuple[MediaKind, bytes, str, str]] = {
    "a picture": ("image", s.PNG, "image/png", "image.png"),
    "a photo": ("image", s.JPEG, "image/jpeg", "image.jpg"),
    "an animation": ("image", s.GIF, "image/gif", "image.gif"),
    "a sticker": ("sticker", s.WEBP, "image/webp", "sticker.webp"),
    "a voice message in Ogg": ("audio", s.OGG, "audio/ogg", "audio.ogg"),
    "a voice message in AMR": ("audio", s.AMR, "audio/amr", "audio.amr"),
    "a voice message in a container for films": ("audio", s.MP4, "audio/mp4", "audio.m4a"),
    "a sound": ("audio", s.MP3_ID3, "audio/mpeg", "audio.mp3"),
    "a film": ("video", s.MP4, "video/mp4", "video.mp4"),
    "a document": ("file", s.PDF, "application/pdf", "file.pdf"),
    "a text": ("file", b"plain words", "text/plain", "file.txt"),
    "a file of several pieces": ("image", BIG_PNG, "image/png", "image.png"),
    "a kind that nobody knows": ("file", bytes(range(256)), "application/octet-stream", "file.bin"),
}


async def test_d22_what_visitors_send_is_stored_with_what_it_is(rig: MediaRig) -> None:
    of = rig.connect("plain")
    parts = []
    for at, (kind, data, _, _) in enumerate(STORED.values()):
        url = rig.provider.serve(f"f/{at}", body(data))
        parts.append(MediaPart(kind=kind, url=url, mime_type="application/x-claimed"))
    async with rig.working():
        message = await rig.message(of, *parts)
        for at, (sentence, (kind, data, mime_type, name)) in enumerate(STORED.items()):
            doc = await rig.settled(message, at)
            assert (doc.state, doc.mime_type) == ("stored", mime_type), sentence
            assert (doc.kind, doc.direction, doc.part, doc.message) == (kind, "in", at, message)
            assert doc.size_bytes == len(data)
            assert doc.sha256 == hashlib.sha256(data).hexdigest()
            assert doc.fetch_at is None
            assert await rig.content(doc) == data
            if mime_type != "audio/mp4":  # what the platform calls it
                assert doc.name == name, sentence


FAILED: dict[str, tuple[MediaPart, Serve, str]] = {
    "a page disguised as a picture": (
        MediaPart(kind="image", mime_type="image/png"),
        body(s.HTML),
        "type_not_allowed",
    ),
    "a page": (MediaPart(kind="file", name="x.pdf"), body(s.HTML), "type_not_allowed"),
    "a drawing with a script": (MediaPart(kind="image"), body(s.SVG), "type_not_allowed"),
    "a program": (MediaPart(kind="file", name="x.pdf"), body(s.EXE), "type_not_allowed"),
    "a script": (MediaPart(kind="file", name="x.txt"), body(s.SCRIPT), "type_not_allowed"),
    "a text that a desktop would run": (
        MediaPart(kind="file", name="invoice.js"),
        body(b"WScript.Echo(1)"),
        "type_not_allowed",
    ),
    "more than is taken": (MediaPart(kind="image"), body(s.PNG + bytes(LIMIT)), "too_large"),
    "more than is taken, without saying so": (
        MediaPart(kind="image"),
        stream(bytes(65536), 10_000, first=s.PNG),
        "too_large",
    ),
    "a redirect inside": (
        MediaPart(kind="image"),
        status(302, Location="https://10.0.0.8/"),
        "refused",
    ),
    "a redirect to this machine": (
        MediaPart(kind="image"),
        status(302, Location="https://127.0.0.1:9/"),
        "refused",
    ),
    "a redirect in a circle": (MediaPart(kind="image"), status(302, Location="/f/x"), "refused"),
    "a private address": (MediaPart(kind="image", url="https://10.0.0.8/x"), body(b""), "refused"),
    "where clouds keep credentials": (
        MediaPart(kind="image", url="http://169.254.169.254/latest"),
        body(b""),
        "refused",
    ),
    "a file of this machine": (
        MediaPart(kind="file", url="file:///etc/passwd"),
        body(b""),
        "refused",
    ),
}


@pytest.mark.parametrize(("part", "play", "reason"), FAILED.values(), ids=FAILED)
async def test_d22_what_is_not_kept(
    rig: MediaRig, part: MediaPart, play: Serve, reason: str
) -> None:
    of = rig.connect("plain")
    url = part.url or rig.provider.serve("f/x", play)
    async with rig.working(max_bytes=LIMIT):
        message = await rig.message(of, msgspec.structs.replace(part, url=url))
        doc = await rig.settled(message)
    assert (doc.state, doc.reason, doc.fetch_at) == ("failed", reason, None)
    with pytest.raises(NotFoundError):
        await rig.content(doc)


async def test_d22_a_name_that_resolves_inside_is_not_fetched(rig: MediaRig) -> None:
    of = rig.connect("plain")
    async with providing() as inside, rig.working(resolver=Names("127.0.0.1")):
        port = inside.base.rpartition(":")[2]
        url = f"https://cdn.example:{port}/x"
        message = await rig.message(of, MediaPart(kind="image", url=url))
        assert (await rig.settled(message)).reason == "refused"
        assert inside.asked == []


AGAIN: dict[str, tuple[MediaPart, Serve]] = {
    "the provider is down": (MediaPart(kind="image"), status(503)),
    "the provider has enough": (MediaPart(kind="image"), status(429)),
    "it is not ready": (MediaPart(kind="image"), status(202)),
    "it is not there": (MediaPart(kind="image"), status(404)),
    "an error in place of the picture": (MediaPart(kind="image"), body(b'{"errcode":40007}')),
    "nothing": (MediaPart(kind="image"), body(b"")),
    "another digest than was said": (
        MediaPart(kind="image", sha256=base64.b64encode(bytes(32)).decode()),
        body(s.PNG),
    ),
    "another digest than was said, in hexadecimal": (
        MediaPart(kind="image", sha256="00" * 32),
        body(BIG_PNG),
    ),
    "it drips without end": (MediaPart(kind="image"), stream(b"x", 10_000, pause_s=0.02)),
}


@pytest.mark.parametrize(("part", "play"), AGAIN.values(), ids=AGAIN)
async def test_d22_what_may_come_right_is_fetched_again(
    rig: MediaRig, part: MediaPart, play: Serve
) -> None:
    of = rig.connect("plain")
    url = rig.provider.serve("f/x", play, body(s.PNG))
    digest = base64.b64encode(hashlib.sha256(s.PNG).digest()).decode()
    async with rig.working(download_s=0.5):
        message = await rig.message(of, msgspec.structs.replace(part, url=url))
        doc = await rig.tried(message)
        assert (doc.state, doc.tries) == ("pending", 1)
        with pytest.raises(NotFoundError):
            await rig.content(doc)
        if part.sha256:  # the message itself says what is wrong: make it right
            return
        doc = await rig.settled(message)
        assert (doc.state, doc.tries) == ("stored", 2)
    assert base64.b64encode(bytes.fromhex(doc.sha256)).decode() == digest


async def test_d22_the_digest_that_was_said_is_the_one_found(rig: MediaRig) -> None:
    of = rig.connect("plain")
    digest = base64.b64encode(hashlib.sha256(s.PNG).digest()).decode()
    url = rig.provider.serve("f/x", body(s.PNG))
    async with rig.working():
        message = await rig.message(of, MediaPart(kind="image", url=url, sha256=digest))
        assert (await rig.settled(message)).state == "stored"


async def test_d22_what_has_expired_is_gone(rig: MediaRig) -> None:
    of = rig.connect("looked")
    rig.provider.serve("where/m1", status(202))
    async with rig.working():
        message = await rig.message(of, MediaPart(kind="image", media_id="m1"))
        doc = await rig.tried(message)
        assert doc.fetch_before is not None
        assert doc.fetch_before - doc.created_at == timedelta(seconds=3600)
        rig.later = timedelta(seconds=3601)
        assert (await rig.settled(message, within_s=15)).reason == "gone"


async def test_d22_a_channel_leads_to_the_file_and_its_token_is_renewed_once(rig: MediaRig) -> None:
    of = rig.connect("tokened")
    url = rig.provider.serve("f/x", status(401), body(s.PNG))
    rig.provider.serve("where/m1", body(url.encode()))
    rig.provider.serve("token", body(b"old"), body(b"new"))
    async with rig.working():
        message = await rig.message(of, MediaPart(kind="image", media_id="m1"))
        doc = await rig.settled(message)
    assert (doc.state, doc.tries) == ("stored", 1)
    assert rig.provider.headers[-1] == "Bearer new"
    assert rig.provider.asked == ["token", "where/m1", "f/x", "token", "where/m1", "f/x"]


async def test_d22_an_upload_a_number_and_a_text_need_no_fetching(rig: MediaRig) -> None:
    of = rig.connect("plain")
    url = rig.provider.serve("f/x", body(s.PNG))
    async with rig.working():
        message = await rig.message(
            of,
            TextPart(text="see"),
            MediaPart(kind="image", url="https://own.example/x", attachment="att_upload"),
            MediaPart(kind="sticker", sticker_id="1"),
            MediaPart(kind="image", url=url),
        )
        assert (await rig.settled(message, 3)).state == "stored"
        assert [await rig.file(message, at) for at in range(3)] == [None] * 3
    assert rig.provider.asked == ["f/x"]


async def test_d22_a_fact_that_comes_again_fetches_nothing_again(rig: MediaRig) -> None:
    of = rig.connect("plain")
    url = rig.provider.serve("f/x", body(s.PNG))
    async with rig.working():
        stored = await rig.stored_message(of, MediaPart(kind="image", url=url))
        for again in range(3):
            await rig.tell(stored, again=again)
        doc = await rig.settled(stored.id)
        other = await rig.message(of, MediaPart(kind="image", url=url))
        await rig.settled(other)
    assert await rig.file(stored.id) == doc
    assert rig.provider.asked == ["f/x", "f/x"]


async def test_d22_at_most_eight_of_a_workspace_at_once_and_two_of_an_account(
    rig: MediaRig,
) -> None:
    slow = body(s.PNG, delay_s=0.2)
    messages = []
    for account in range(6):
        of = rig.connect("plain", f"acc{account}")
        parts = [
            MediaPart(kind="image", url=rig.provider.serve(f"acc{account}/{at}", slow))
            for at in range(5)
        ]
        messages.append(await rig.message(of, *parts))
    async with rig.working():
        for message in messages:
            for at in range(5):
                assert (await rig.settled(message, at, within_s=20)).state == "stored"
    assert rig.provider.most[""] == media_worker.AT_ONCE_PER_WORKSPACE < media_worker.AT_ONCE
    assert max(rig.provider.most[f"acc{n}"] for n in range(6)) == media_worker.AT_ONCE_PER_ACCOUNT
    assert len(rig.provider.asked) == 30


async def test_i10_files_that_drip_do_not_stand_before_fresh_ones(
    rig: MediaRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "SLOW_AFTER_S", 0.5)
    of = rig.connect("plain", "acc")
    drip = stream(s.PNG[:1], 600, pause_s=0.05)
    parts = [MediaPart(kind="image", url=rig.provider.serve(f"drip/{n}", drip)) for n in range(6)]
    async with rig.working():
        waiting = await rig.message(of, *parts)
        await asyncio.wait_for(_until(_asked(rig, 8)), 20)  # each once, and some again
        url = rig.provider.serve("f/x", body(s.PNG))
        for _ in range(3):
            fresh = await rig.message(of, MediaPart(kind="image", url=url))
            assert (await rig.settled(fresh, within_s=30)).state == "stored"
        for at in range(6):
            doc = await rig.file(waiting, at)
            assert doc is not None
            assert doc.state == "pending"


async def test_i10_a_backlog_of_one_account_does_not_hide_the_others(
    rig: MediaRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_worker, "_PAGE", 2)
    monkeypatch.setattr(media_worker, "_PAGES", 2)
    stuck = body(s.PNG, delay_s=30)
    parts = [MediaPart(kind="image", url=rig.provider.serve(f"s/{n}", stuck)) for n in range(12)]
    url = rig.provider.serve("f/x", body(s.PNG))
    async with rig.working():
        await rig.message(rig.connect("plain", "slow"), *parts)
        await asyncio.wait_for(_until(_asked(rig, 2)), 10)
        fresh = await rig.message(rig.connect("plain", "other"), MediaPart(kind="image", url=url))
        assert (await rig.settled(fresh, within_s=20)).state == "stored"
        upload = Attachment(
            id="att_upload",
            workspace=WORKSPACE,
            direction="out",
            state="pending",
            created_at=rig.now(),
        )
        await rig.store.insert(ATTACHMENTS, upload)
        await asyncio.sleep(media_worker.SWEEP_EVERY_S)
        assert REGISTRY.get_sample_value("relaydesk_media_pending") == 12


async def test_d22_what_expires_first_is_fetched_first(
    rig: MediaRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(media_worker, "AT_ONCE", 1)
    of = rig.connect("plain")
    now = rig.now()
    order = [3, 0, 4, 1, 2]
    for at, place in enumerate(order):
        url = rig.provider.serve(f"f/{place}", body(s.PNG))
        message = await rig.stored_message(of, MediaPart(kind="image", url=url))
        waits = Attachment(
            id=attachment_id(WORKSPACE, message.id, 0),
            workspace=WORKSPACE,
            account=of.slug,
            direction="in",
            state="pending",
            message=message.id,
            created_at=now,
            fetch_at=now - timedelta(seconds=at),
            fetch_before=now + timedelta(hours=place + 1),
        )
        await rig.store.insert(ATTACHMENTS, waits)
    async with rig.working():
        await asyncio.wait_for(_until(_asked(rig, 5)), 10)
    assert rig.provider.asked == [f"f/{place}" for place in range(5)]


async def _until(found: Callable[[], Awaitable[bool]]) -> None:
    while not await found():  # noqa: ASYNC110 (the provider's side)
        await asyncio.sleep(0.02)


async def test_d22_two_workers_fetch_each_file_once(rig: MediaRig) -> None:
    messages = []
    async with rig.working(), rig.working():
        for number in range(20):
            of = rig.connect("plain", f"acc{number % 5}")
            url = rig.provider.serve(f"f/{number}", body(s.PNG, delay_s=0.05))
            messages.append(await rig.message(of, MediaPart(kind="image", url=url)))
        for message in messages:
            doc = await rig.settled(message, within_s=20)
            assert (doc.state, doc.tries) == ("stored", 1)
    assert sorted(rig.provider.asked) == sorted(f"f/{number}" for number in range(20))


async def test_d22_a_stop_gives_back_what_is_being_fetched(rig: MediaRig) -> None:
    of = rig.connect("plain")
    url = rig.provider.serve(
        "f/x", stream(bytes(100), 10_000, pause_s=0.05, first=s.PNG), body(s.PNG)
    )
    async with rig.working() as stop:
        message = await rig.message(of, MediaPart(kind="image", url=url))
        await asyncio.wait_for(_until(_asked(rig, 1)), 10)
        stop.set()
    doc = await rig.file(message)
    assert doc is not None
    assert doc.state == "pending"
    assert doc.fetch_at is not None
    assert doc.fetch_at <= rig.now()
    async with rig.working():
        assert (await rig.settled(message)).state == "stored"


def _asked(rig: MediaRig, count: int) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return len(rig.provider.asked) >= count

    return asked


async def test_d22_what_was_stored_before_a_crash_is_not_fetched_again(rig: MediaRig) -> None:
    of = rig.connect("plain")
    message = await rig.stored_message(of, MediaPart(kind="image", url=f"{rig.provider.base}/f/x"))
    file_id = attachment_id(WORKSPACE, message.id, 0)
    now = rig.now()
    left = Attachment(
        id=file_id,
        workspace=WORKSPACE,
        account=of.slug,
        direction="in",
        state="pending",
        message=message.id,
        tries=1,
        created_at=now,
        fetch_at=now,
        fetch_before=now + timedelta(hours=1),
    )
    await rig.store.insert(ATTACHMENTS, left)

    async def once() -> AsyncIterator[bytes]:
        yield s.PNG

    await rig.files.put(WORKSPACE, file_id, once())
    async with rig.working():
        doc = await rig.settled(message.id)
    assert (doc.state, doc.mime_type, doc.size_bytes) == ("stored", "image/png", len(s.PNG))
    assert rig.provider.asked == []


async def test_d22_a_large_file_is_never_held_whole(rig: MediaRig) -> None:
    of = rig.connect("plain")
    piece = os.urandom(1 << 20)
    url = rig.provider.serve("f/x", stream(piece, 40, first=s.PNG))
    async with rig.working(max_bytes=64 << 20, download_s=30):
        tracemalloc.start()
        try:
            message = await rig.message(of, MediaPart(kind="image", url=url))
            doc = await rig.settled(message, within_s=30)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert doc.size_bytes == 40 * len(piece) + len(s.PNG)
    assert peak < 12 << 20, "40 MiB passed through"
