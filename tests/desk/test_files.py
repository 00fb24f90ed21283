"""Files by link: what headers protect, what opens a link and what does not, and ranges."""

from __future__ import annotations

import re
import secrets
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.channels.web.visitor import is_upload_of
from libs.common.channels.web.wire import mint
from libs.common.directory import seal_context
from libs.common.documents import ACCOUNTS, ATTACHMENTS, Attachment
from libs.common.events import MediaPart, MessageEdited, MessageReceived, TextPart
from libs.common.files.api import attachment_id
from libs.common.files.check import sniff
from libs.common.files.links import link_keys, sign
from libs.common.files.preview import HEIGHT, PREVIEW_PATH, WIDTH
from libs.common.simulate.samples import sample
from services.desk.filedoor import Span, disposition, span_of
from tests.desk.test_uploads import HTML, PNG, upload
from tests.desk.world import Answer, World, ago

CONTENT = secrets.token_bytes(700_000)


async def stored(world: World, mime_type: str = "image/png", **more: Any) -> Attachment:
    """Keep a file as the fetching of visitors' files does."""

    async def chunks() -> AsyncIterator[bytes]:
        yield more.get("content", CONTENT)

    file = Attachment(
        id=more.get("id", "att_abc"),
        workspace=world.workspace,
        direction="in",
        state=more.get("state", "stored"),
        kind="image",
        name=more.get("name", "photo.png"),
        mime_type=mime_type,
        size_bytes=len(more.get("content", CONTENT)),
        message="msg_1",
        created_at=datetime.now(UTC),
    )
    await world.desk.attachments.files.put(world.workspace, file.id, chunks())
    return await world.store.insert(ATTACHMENTS, file)


async def opened(world: World, url: str, method: str = "GET", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.call(method, world.base + url, headers=named)


def link(world: World, file: Attachment, **more: Any) -> str:
    keys = link_keys(more.get("key", world.desk.settings.secret_key))
    until = datetime.now(UTC) + timedelta(seconds=more.get("life_s", 60))
    workspace = more.get("workspace", file.workspace)
    return sign(keys, workspace, more.get("id", file.id), until, name=file.name)


async def test_d22_a_file_opens_by_its_link_alone_and_is_only_for_saving(world: World) -> None:
    file = await stored(world, name="Photo ü.png")
    url = world.desk.attachments.view(file, datetime.now(UTC)).url
    answer = await opened(world, url)
    assert (answer.status, answer.body) == (200, CONTENT)
    headers = answer.headers
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"Photo u.png\"; filename*=UTF-8''Photo%20%C3%BC.png"
    )
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert headers["Referrer-Policy"] == "no-referrer"
    [age] = re.findall(r"private, max-age=(\d+), immutable", headers["Cache-Control"])
    assert 3600 - 5 <= int(age) <= 7200
    assert "Set-Cookie" not in headers
    known = await opened(world, url, If_None_Match=headers["ETag"])
    assert (known.status, known.body) == (304, b"")


TYPES = {
    "a type of the allow-list": ("application/pdf", "application/pdf"),
    "a sticker": ("image/webp", "image/webp"),
    "a page": ("text/html", "application/octet-stream"),
    "a drawing that may run": ("image/svg+xml", "application/octet-stream"),
    "text": ("text/plain", "application/octet-stream"),
    "none": ("", "application/octet-stream"),
}


@pytest.mark.parametrize(("kept", "told"), TYPES.values(), ids=TYPES)
async def test_d22_only_harmless_types_are_told(world: World, kept: str, told: str) -> None:
    file = await stored(world, kept, content=HTML)
    answer = await opened(world, link(world, file))
    assert (answer.status, answer.headers["Content-Type"]) == (200, told)


CLOSED: dict[str, dict[str, Any]] = {
    "an expired link": {"life_s": -1},
    "another installation's key": {"key": "k1:" + "A" * 43 + "="},
    "another workspace": {"workspace": "zeta"},
    "an id that is not there": {"id": "att_none"},
    "a file that is not fetched yet": {"state": "pending"},
}


@pytest.mark.parametrize("case", CLOSED.values(), ids=CLOSED)
async def test_d22_wrong_expired_and_unknown_are_one_answer(
    world: World, case: dict[str, Any]
) -> None:
    file = await stored(world, state=case.get("state", "stored"))
    known = await opened(world, f"/files/{world.workspace}/{file.id}/photo.png?e=1&s=x")
    assert (known.status, known.json["code"]) == (404, "not_found")
    case = {name: value for name, value in case.items() if name != "state"}
    answer = await opened(world, link(world, file, **case))
    assert (answer.status, answer.body) == (404, known.body)


TAMPERED = {
    "another name": ("photo.png", "photo.exe"),
    "a later end": ("?e=1", "?e=2"),
    "another signature": ("&s=", "&s=A"),
    "no signature": ("&s=", "&x="),
    "another id": ("att_abc", "att_abd"),
}


@pytest.mark.parametrize(("was", "becomes"), TAMPERED.values(), ids=TAMPERED)
async def test_d22_a_link_that_was_altered_opens_nothing(
    world: World, was: str, becomes: str
) -> None:
    url = link(world, await stored(world))
    assert was in url
    assert (await opened(world, url.replace(was, becomes, 1))).status == 404
    assert (await opened(world, url)).status == 200


async def test_d22_a_file_that_is_gone_from_the_storage_is_not_found(world: World) -> None:
    file = await stored(world)
    await world.desk.attachments.files.delete(world.workspace, file.id)
    assert (await opened(world, link(world, file))).status == 404


async def test_d22_the_head_tells_the_same_without_the_body(world: World) -> None:
    url = link(world, await stored(world))
    answer = await opened(world, url, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Accept-Ranges"] == "bytes"


async def test_d22_a_player_gets_the_part_that_it_asks_for(world: World) -> None:
    url = link(world, await stored(world))
    part = await opened(world, url, Range="bytes=300000-300009")
    assert (part.status, part.body) == (206, CONTENT[300_000:300_010])
    assert part.headers["Content-Range"] == f"bytes 300000-300009/{len(CONTENT)}"
    rest = await opened(world, url, Range="bytes=699990-", If_Range=part.headers["ETag"])
    assert (rest.status, rest.body) == (206, CONTENT[-10:])
    other = await opened(world, url, Range="bytes=0-1", If_Range='"other"')
    assert (other.status, len(other.body)) == (200, len(CONTENT))
    beyond = await opened(world, url, Range="bytes=700000-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


SPANS: dict[str, tuple[str, int, Span | None]] = {
    "nothing asked": ("", 10, Span(0, 10)),
    "the first byte": ("bytes=0-0", 10, Span(0, 1)),
    "to the end": ("bytes=3-", 10, Span(3, 10)),
    "beyond the end": ("bytes=3-99", 10, Span(3, 10)),
    "the last three": ("bytes=-3", 10, Span(7, 10)),
    "more than there are": ("bytes=-30", 10, Span(0, 10)),
    "the last none": ("bytes=-0", 10, None),
    "behind the end": ("bytes=10-", 10, None),
    "backwards": ("bytes=5-2", 10, Span(0, 10)),
    "two parts": ("bytes=0-1,4-5", 10, Span(0, 10)),
    "another unit": ("lines=0-1", 10, Span(0, 10)),
    "no numbers": ("bytes=-", 10, Span(0, 10)),
    "of an empty file": ("bytes=0-", 0, None),
    "an endless number": ("bytes=" + "9" * 40 + "-", 10, Span(0, 10)),
}


@pytest.mark.parametrize(("header", "size", "span"), SPANS.values(), ids=SPANS)
def test_a_range_is_one_part_or_the_whole(header: str, size: int, span: Span | None) -> None:
    assert span_of(header, size) == span


@pytest.mark.parametrize("name", ["a.png", 'x"; filename=evil.exe', "ก\r\nSet-Cookie: a", "", "😀"])
def test_a_file_name_never_leaves_its_place_in_the_header(name: str) -> None:
    found = re.fullmatch(
        r"attachment; filename=\"([A-Za-z0-9 ._()-]+)\"; filename\*=UTF-8''([A-Za-z0-9_.~%-]+)",
        disposition(name),
    )
    assert found is not None
    assert unquote(found[2]) == (name or "file")


async def test_d22_the_still_picture_of_films_is_for_everybody(world: World) -> None:
    answer = await opened(world, PREVIEW_PATH)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
    assert answer.headers["Cache-Control"] == "public, max-age=86400"
    assert sniff(answer.body) == "image/png"
    assert struct.unpack(">II", answer.body[16:24]) == (WIDTH, HEIGHT)
    assert len(answer.body) < 10_000
    at, data = answer.body.index(b"IDAT"), answer.body.index(b"IEND") - 4 - 4
    assert len(zlib.decompress(answer.body[at + 4 : data])) == HEIGHT * (WIDTH + 1)
    head = await opened(world, PREVIEW_PATH, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert (await opened(world, PREVIEW_PATH, "POST")).status == 404


# --- in the timeline


async def test_d22_a_visitors_picture_is_shown_pending_and_then_with_a_link(world: World) -> None:
    session = await world.writes("hello")
    photo = MediaPart(kind="image", media_id="m1", mime_type="image/jpeg")
    await world.happens(
        MessageReceived(
            event_id="e1",
            visitor="U1",
            occurred_at=datetime.now(UTC),
            message_id="p1",
            parts=(photo,),
        )
    )
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    [shown] = entry["attachments"]
    assert shown["id"] == attachment_id(world.workspace, entry["id"], 0)
    assert (shown["state"], shown["url"], shown["mime_type"]) == ("pending", "", "image/jpeg")
    await stored(world, id=shown["id"])
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    [shown] = entry["attachments"]
    assert (shown["state"], shown["mime_type"]) == ("stored", "image/png")
    assert shown["size_bytes"] == len(CONTENT)
    assert datetime.fromisoformat(shown["url_expires_at"]) > datetime.now(UTC)
    assert (await opened(world, shown["url"])).body == CONTENT


async def test_d22_a_changed_caption_leaves_the_picture_and_a_changed_picture_is_another(
    world: World,
) -> None:
    session = await world.writes("hello", at=ago(9))
    photo = MediaPart(kind="image", media_id="m1")
    common: Any = {"visitor": "U1", "occurred_at": ago(5)}
    first = MessageReceived(event_id="e1", message_id="p1", parts=(photo,), **common)
    caption = TextPart(text="changed")
    await world.happens(
        first,
        MessageEdited(event_id="e2", target="p1", parts=(photo, caption), version=1, **common),
    )
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    kept = attachment_id(world.workspace, entry["id"], 0)
    assert (entry["text"], [a["id"] for a in entry["attachments"]]) == ("changed", [kept])
    assert [a["state"] for a in entry["attachments"]] == ["pending"]
    await stored(world, id=kept)
    other = msgspec.structs.replace(photo, media_id="m2")
    change = MessageEdited(event_id="e3", target="p1", parts=(other,), version=2, **common)
    await world.happens(change)
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    assert [a["id"] for a in entry["attachments"]] != [kept]
    states = [(a["state"], a["reason"]) for a in entry["attachments"]]
    assert states == [("failed", "unreachable")]  # nobody fetches it


# --- web visitors


async def web_account(world: World) -> tuple[Account, str]:
    """Give the web account its key; return the account as desk opens it, and a token."""
    slug = world.slug("web")
    document = await world.store.get(ACCOUNTS, world.workspace, slug)
    assert document is not None
    sealed = world.desk.sealer.seal("k" * 32, seal_context(world.workspace, slug, "visitor_key"))
    document.sealed = {"visitor_key": sealed}
    await world.store.replace(ACCOUNTS, document)
    account = Account(
        workspace=world.workspace,
        slug=slug,
        channel="web",
        external_id="x",
        secrets={"visitor_key": "k" * 32},
    )
    return account, mint(account, "v1", 1)


async def from_page(world: World, token: str, name: str, content: bytes, slug: str = "") -> Answer:
    slug = slug or world.slug("web")
    return await world.call(
        "POST",
        f"{world.base}/files/web/{slug}",
        raw=content,
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "image/png",
            "Origin": "https://shop.example",
        },
        query=[("name", name)],
    )


async def test_b06_a_visitors_page_uploads_what_only_that_visitor_can_send(world: World) -> None:
    account, token = await web_account(world)
    answer = await from_page(world, token, "a.png", PNG)
    assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (201, "*")
    found = answer.json
    assert (found["kind"], found["size_bytes"]) == ("image", len(PNG))
    assert is_upload_of(account, "v1", found["id"])
    assert not is_upload_of(account, "v2", found["id"])
    kept = await world.store.get(ATTACHMENTS, world.workspace, found["id"])
    assert kept is not None
    assert (kept.direction, kept.owner, kept.account) == ("in", "visitor:v1", account.slug)
    session = await world.writes("hello", channel="messenger")
    foreign = await world.send(session.id, "", attachments=[found["id"]])
    assert foreign.status == 404  # people send what people uploaded
    refused = await from_page(world, token, "a.exe", b"MZ" + bytes(9))
    assert (refused.status, refused.json["code"]) == (415, "type_not_allowed")
    assert refused.headers["Access-Control-Allow-Origin"] == "*"


async def test_whoever_is_no_visitor_of_the_account_gets_one_answer(world: World) -> None:
    account, token = await web_account(world)
    forged = mint(msgspec.structs.replace(account, secrets={"visitor_key": "x"}), "v1", 1)
    answers = [
        await from_page(world, forged, "a.png", PNG),
        await from_page(world, "", "a.png", PNG),
        await from_page(world, token, "a.png", PNG, slug="no-such"),
        await from_page(world, token, "a.png", PNG, slug=world.slug("line")),
    ]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1


async def test_d25_a_page_that_the_plugin_is_not_for_uploads_nothing(world: World) -> None:
    _, token = await web_account(world)
    for origins, status in ((["https://other.example"], 403), (["https://shop.example"], 201)):
        body = {"plugin": {"origins": origins}}
        assert (await world.call("PATCH", "/settings", "adam", body=body)).status == 200
        answer = await from_page(world, token, "a.png", PNG)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (status, "*")
    body = {"plugin": {"origins": []}}
    assert (await world.call("PATCH", "/settings", "adam", body=body)).status == 200


async def test_a_visitor_uploads_so_many_files_and_then_waits(world: World) -> None:
    _, token = await web_account(world)
    statuses = [(await from_page(world, token, "a.png", PNG)).status for _ in range(11)]
    assert statuses == [201] * 10 + [429]


async def test_a_visitors_unsent_upload_goes_and_one_in_a_message_stays(world: World) -> None:
    _, token = await web_account(world)
    sent, unsent = [(await from_page(world, token, "a.png", PNG)).json["id"] for _ in range(2)]
    await world.writes("hello", visitor="v1", channel="web")
    await world.happens(
        MessageReceived(
            event_id="e1",
            visitor="v1",
            occurred_at=datetime.now(UTC),
            message_id="m1",
            parts=(MediaPart(kind="image", attachment=sent),),
        ),
        channel="web",
    )
    kept = world.desk.attachments
    later = datetime.now(UTC) + timedelta(hours=25)
    assert await kept.sweep(world.workspace, later) == 1
    assert set(await kept.found(world.workspace, (sent, unsent))) == {sent}
    assert await kept.sweep(world.workspace, later) == 0


async def test_b06_round_trip_of_an_upload_by_its_link(world: World) -> None:
    clip = sample("mp4").content
    url = (await upload(world, "clip.mp4", clip)).json["url"]
    answer = await opened(world, url)
    assert (answer.headers["Content-Type"], answer.body) == ("video/mp4", clip)
