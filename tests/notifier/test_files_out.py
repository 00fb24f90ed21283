"""Files out: as a link that the provider fetches, or brought to it before the message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest
import pytest_asyncio

from libs.common.channel import Account
from libs.common.documents import ATTACHMENTS
from libs.common.events import MediaPart, SendRequest, TemplatePart, TextPart
from libs.common.files.links import link_keys, verify
from libs.common.files.preview import PREVIEW_PATH
from libs.common.seal import new_key_setting
from libs.common.simulate.samples import sample
from libs.common.simulate.stub import Scripted, running_stub
from libs.common.store.open import open_store
from services.notifier.content import Content, attached
from tests.notifier.rig import Rig, notifying, staged
from tests.notifier.wire import answer, saying, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)
LARGE = PNG + bytes(3 * 1024 * 1024)
UPLOADING = ("messenger", "telegram", "wechat", "whatsapp")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    folder = tmp_path_factory.mktemp("files")
    page = answer("200 OK", PNG, "Content-Type: image/png")
    async with (
        serving(saying(page)) as public,
        running_stub() as stub,
        staged(nats_url, folder, stub, public_url=public.base) as found,
        notifying(found),
    ):
        yield found


def image(file_id: str) -> MediaPart:
    return MediaPart(kind="image", attachment=file_id)


def digests(rig: Rig, of: Account) -> list[str]:
    """Return the files that went out to visitors, as the provider has them."""
    messages = rig.stub.of_kind(of.slug, "message")
    return [seen.sha256 for item in messages for seen in item.files]


async def test_d22_line_fetches_the_file_from_a_signed_link(rig: Rig) -> None:
    of = await rig.connect("line", "by-link")
    file_id = await rig.attach(of, PNG)
    message = await rig.send(of, parts=(image(file_id), TextPart(text="see")))
    assert (await rig.report(of, message)).status == "sent"
    assert sha256(PNG).hexdigest() in digests(rig, of)
    [call] = rig.stub.sent(of.slug)
    [linked, _text] = call.body["messages"]
    url = urlsplit(linked["originalContentUrl"])
    assert f"{url.scheme}://{url.netloc}" == rig.settings.public_url
    now = datetime.now(UTC)
    keys, query = link_keys(rig.settings.secret_key), dict(parse_qsl(url.query))
    found = verify(keys, unquote(url.path), query, now + timedelta(hours=23, minutes=59))
    assert found is not None
    assert (found.workspace, found.file_id) == ("acme", file_id)
    assert verify(keys, unquote(url.path), query, now + timedelta(hours=24, minutes=1)) is None


async def test_d22_a_film_is_a_film_at_line_with_a_still_picture(rig: Rig) -> None:
    of = await rig.connect("line", "film")
    film = sample("mp4").content
    file_id = await rig.attach(of, film, "video/mp4", name="a.mp4", kind="video")
    message = await rig.send(of, parts=(MediaPart(kind="video", attachment=file_id),))
    assert (await rig.report(of, message)).status == "sent"
    [call] = rig.stub.sent(of.slug)
    [shown] = call.body["messages"]
    assert shown["type"] == "video"
    assert shown["previewImageUrl"] == rig.settings.public_url + PREVIEW_PATH
    assert urlsplit(shown["originalContentUrl"]).path.endswith("/a.mp4")


PICTURES: dict[str, tuple[bytes, bool]] = {
    "a picture of 1 MB is its own preview": (PNG + bytes(1_000_000 - len(PNG)), False),
    "a larger one has the neutral preview": (PNG + bytes(1_000_001 - len(PNG)), True),
}


@pytest.mark.parametrize(("content", "neutral"), PICTURES.values(), ids=PICTURES)
async def test_d18_the_preview_at_line_is_never_above_1_mb(
    rig: Rig, content: bytes, neutral: bool
) -> None:
    of = await rig.connect("line", f"picture-{neutral}".lower())
    file_id = await rig.attach(of, content)
    message = await rig.send(of, parts=(image(file_id),))
    assert (await rig.report(of, message)).status == "sent"
    [call] = rig.stub.sent(of.slug)
    [shown] = call.body["messages"]
    still = rig.settings.public_url + PREVIEW_PATH
    assert shown["previewImageUrl"] == (still if neutral else shown["originalContentUrl"])
    assert urlsplit(shown["originalContentUrl"]).path.endswith("/a.png")


@pytest.mark.parametrize("channel", UPLOADING)
async def test_d22_a_file_is_brought_to_the_provider(rig: Rig, channel: str) -> None:
    of = await rig.connect(channel, f"upload-{channel}")
    file_id = await rig.attach(of, LARGE if channel != "wechat" else PNG)
    message = await rig.send(of, parts=(image(file_id),), visitor="7001")
    report = await rig.report(of, message)
    assert (report.status, report.reason) == ("sent", "")
    content = LARGE if channel != "wechat" else PNG
    assert digests(rig, of) == [sha256(content).hexdigest()]


async def test_an_upload_that_is_cut_is_made_again_and_the_message_goes_out_once(rig: Rig) -> None:
    of = await rig.connect("whatsapp", "cut-upload")
    file_id = await rig.attach(of, PNG)
    rig.stub.script(of.slug, Scripted(drop="after"))
    message = await rig.send(of, parts=(image(file_id),))
    assert (await rig.report(of, message)).status == "sent"
    assert [item.what for item in rig.stub.sent(of.slug)] == ["upload", "upload", "message"]


NO_UPLOAD: dict[str, tuple[list[Scripted], str]] = {
    "whatsapp": ([Scripted(status=500)] * 3, "not_sent"),
    "wechat": ([Scripted(), *[Scripted(status=500)] * 3], "ambiguous"),  # the token comes first
}


@pytest.mark.parametrize("channel", NO_UPLOAD)
async def test_an_upload_that_never_works_is_failed_as_nothing_is_out(
    rig: Rig, channel: str
) -> None:
    plan, reason = NO_UPLOAD[channel]
    of = await rig.connect(channel, f"no-upload-{channel}")
    file_id = await rig.attach(of, PNG)
    rig.stub.script(of.slug, *plan)
    message = await rig.send(of, parts=(image(file_id),))
    report = await rig.report(of, message)
    assert (report.status, report.reason) == ("failed", reason)
    assert len(rig.stub.sent(of.slug)) == len(plan)
    assert rig.stub.of_kind(of.slug, "message") == []


async def test_too_fast_behind_an_upload_does_not_bring_the_file_again(rig: Rig) -> None:
    of = await rig.connect("whatsapp", "throttled-upload")
    file_id = await rig.attach(of, PNG)
    too_fast = Scripted(status=429, taken=False, body={"error": {"code": 130429}})
    rig.stub.script(of.slug, Scripted(), too_fast)
    message = await rig.send(of, parts=(image(file_id),))
    assert (await rig.report(of, message)).status == "sent"
    paths = [item.path.rpartition("/")[2] for item in rig.stub.sent(of.slug)]
    assert paths == ["media", "messages", "messages"]


async def test_refused_behind_an_upload_is_not_partly_sent(rig: Rig) -> None:
    of = await rig.connect("whatsapp", "refused-behind")
    file_id = await rig.attach(of, PNG)
    rig.stub.script(
        of.slug, Scripted(), Scripted(status=400, taken=False, body={"error": {"code": 131047}})
    )
    message = await rig.send(of, parts=(image(file_id),))
    report = await rig.report(of, message)
    assert (report.status, report.reason) == ("failed", "window_closed")


MISSING = {
    "an id that nobody knows": "nothing",
    "one that is not fetched yet": "pending",
    "one of another workspace": "elsewhere",
    "one whose bytes are gone": "bytes",
}


@pytest.mark.parametrize("how", MISSING.values(), ids=MISSING)
async def test_a_file_that_is_not_there_fails_the_message_without_a_message_call(
    rig: Rig, how: str
) -> None:
    of = await rig.connect("whatsapp", f"missing-{how}")
    file_id = await rig.attach(of, PNG)
    found = await rig.store.get(ATTACHMENTS, "acme", file_id)
    assert found is not None
    if how == "pending":
        await rig.store.replace(ATTACHMENTS, msgspec.structs.replace(found, state="pending"))
    elif how == "elsewhere":
        file_id = "att_elsewhere"
        other = msgspec.structs.replace(found, id=file_id, workspace="other")
        await rig.store.insert(ATTACHMENTS, other)
    elif how == "bytes":
        for path in await asyncio.to_thread(_files, rig, file_id):
            path.unlink()
    part = image("att_nobody" if how == "nothing" else file_id)
    message = await rig.send(of, parts=(TextPart(text="hi"), part))
    report = await rig.report(of, message)
    assert (report.status, report.reason) == ("failed", "file_missing")
    assert rig.stub.of_kind(of.slug, "message") == []


def _files(rig: Rig, file_id: str) -> list[Path]:
    folder = Path(rig.settings.store_url.removeprefix("sqlite:///")).parent / "files"
    found = [path for path in folder.rglob("*") if path.is_file() and file_id in path.name]
    assert found, "the file lies where the test looks"
    return found


LINKS: dict[str, tuple[str, str, bool]] = {
    "a public https address: a link": ("https://chat.example.com/", "", True),
    "none: no link": ("", "", False),
    "none, and a stand-in for the provider: no link": ("", "http://127.0.0.1:9", False),
    "an address that no real provider takes: no link": ("http://127.0.0.1:8080", "", False),
    "that address for a stand-in: a link": ("http://127.0.0.1:8080", "http://127.0.0.1:9", True),
}


@pytest.mark.parametrize(("public", "api_base", "linked"), LINKS.values(), ids=LINKS)
async def test_who_gets_a_link(rig: Rig, public: str, api_base: str, linked: bool) -> None:
    of = Account(workspace="acme", slug="l", channel="line", external_id="U", api_base=api_base)
    file_id = await rig.attach(of, PNG)
    request = SendRequest(
        message_id="m",
        workspace="acme",
        channel="line",
        account="l",
        session="s",
        visitor="v",
        parts=(image(file_id),),
        queued_at=datetime.now(UTC),
        sender="agent:ada",
    )
    keys = link_keys(new_key_setting())
    async with open_store(rig.settings.store_url, [ATTACHMENTS]) as store:
        files = await Content(store, keys, public).files(request, of, datetime.now(UTC))
    link = files[file_id].link
    assert bool(link) is linked
    if linked:
        assert link.startswith(f"{public.rstrip('/')}/files/acme/{file_id}/a.png?e=")


async def test_files_are_found_in_parts_and_in_the_header_of_a_template() -> None:
    parts = (
        TextPart(text="x"),
        image("att_1"),
        TemplatePart(name="t", language="en", header_media=image("att_2")),
        TemplatePart(name="t", language="en"),
        image("att_1"),
        MediaPart(kind="sticker", sticker_id="1"),
    )
    assert attached(parts) == ("att_1", "att_2")
