"""Uploads: B06, what is refused and how, and that unsent ones go after a day."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from prometheus_client import REGISTRY

from libs.common.documents import ATTACHMENTS, Attachment
from libs.common.errors import NotFoundError
from libs.common.files.api import ALLOWED
from libs.common.simulate.samples import sample
from tests.desk.world import Answer, World

PNG = sample("png").content
HTML = b"<!doctype html><script>alert(1)</script>"


async def upload(world: World, name: str, content: bytes, who: str = "amy", **more: str) -> Answer:
    """Upload as a form."""
    form = aiohttp.FormData()
    form.add_field(more.get("field", "file"), content, filename=name)
    headers = {"Authorization": f"Bearer {world.tokens[who]}"}
    async with world.http.post("/api/v1/attachments", data=form, headers=headers) as answer:
        return Answer(answer.status, answer.headers.copy(), await answer.read())


async def raw(world: World, content: bytes, who: str = "amy", **query: str) -> Answer:
    headers = {"Content-Type": "application/octet-stream"}
    return await world.call(
        "POST", "/attachments", who, raw=content, headers=headers, query=list(query.items())
    )


async def bytes_of(world: World, file_id: str) -> bytes:
    files = world.desk.attachments.files
    return b"".join([piece async for piece in files.read(world.workspace, file_id)])


async def document(world: World, file_id: str) -> Attachment:
    found = await world.store.get(ATTACHMENTS, world.workspace, file_id)
    assert found is not None
    return found


@pytest.mark.parametrize("extension", ALLOWED)
async def test_b06_each_allowed_type_is_taken_by_form_and_as_it_is(
    world: World, extension: str
) -> None:
    kind, mime_type = ALLOWED[extension]
    content = sample(extension).content
    for answer in (
        await upload(world, f"Photo ü.{extension}", content),
        await raw(world, content, name=f"Photo ü.{extension.upper()}"),
    ):
        assert answer.status == 201, answer.body
        found = answer.json
        assert (found["kind"], found["mime_type"], found["state"]) == (kind, mime_type, "stored")
        assert found["size_bytes"] == len(content)
        assert await bytes_of(world, found["id"]) == content
        stored = await document(world, found["id"])
        assert stored.sha256 == hashlib.sha256(content).hexdigest()
        assert (stored.direction, stored.owner, stored.message) == ("out", "agent:agt-amy", "")
        shown = await world.get(f"/attachments/{found['id']}", "rita")
        assert (shown["url"], shown["owner"]) == (found["url"], "agent:agt-amy")


REFUSED: dict[str, tuple[str, bytes, int, str]] = {
    "a program": ("setup.exe", b"MZ" + bytes(100), 415, "type_not_allowed"),
    "a program that calls itself a picture": ("a.png", b"MZ" + bytes(100), 415, "type_mismatch"),
    "a page that calls itself a picture": ("a.png", HTML, 415, "type_mismatch"),
    "a page": ("a.html", HTML, 415, "type_not_allowed"),
    "a drawing that may run": ("a.svg", b"<svg xmlns='x'/>", 415, "type_not_allowed"),
    "a picture of another type": ("a.gif", PNG, 415, "type_mismatch"),
    "nothing at all": ("a.png", b"", 415, "type_mismatch"),
    "a name without an extension": ("picture", PNG, 415, "type_not_allowed"),
    "a name with a second extension": ("a.png.exe", PNG, 415, "type_not_allowed"),
}


@pytest.mark.parametrize(("name", "content", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_b06_the_rest_is_refused_with_the_reason(
    world: World, name: str, content: bytes, status: int, code: str
) -> None:
    answer = await upload(world, name, content)
    assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert await world.store.count(ATTACHMENTS, world.workspace, {"message": ""}) == 0


async def test_b06_a_file_over_the_limit_is_refused_and_nothing_of_it_stays(world: World) -> None:
    limit = 1 << 20
    world.desk = msgspec.structs.replace(
        world.desk, settings=msgspec.structs.replace(world.desk.settings, upload_max_bytes=limit)
    )
    async with world.serving_desk() as base:
        for size, status in ((limit, 201), (limit + 1, 413), (3 * limit, 413)):
            content = PNG + bytes(size - len(PNG))
            answer = await world.call(
                "POST",
                f"{base}/api/v1/attachments",
                "amy",
                raw=io.BytesIO(content),
                headers={"Content-Type": "image/png"},
                query=[("name", "a.png")],
            )
            assert answer.status == status, size
            if status == 413:
                assert answer.json["code"] == "too_large"
                assert answer.json["facts"]["limit_bytes"] == str(limit)

        async def endless() -> Any:
            yield PNG
            for _ in range(64):
                yield bytes(64 * 1024)

        headers = {"Authorization": f"Bearer {world.tokens['amy']}", "Content-Type": "image/png"}
        async with world.http.post(
            f"{base}/api/v1/attachments?name=a.png", data=endless(), headers=headers
        ) as refused:
            assert refused.status == 413  # its length was not said beforehand
    assert await world.store.count(ATTACHMENTS, world.workspace, {"message": ""}) == 1


NAMES = {
    "a path": ("../../etc/a.png", "a.png"),
    "a path of Windows": ("C:\\Users\\me\\a.png", "a.png"),
    "characters that turn the text": ("gpj\u202e.png", "gpj.png"),
    "a quote and a line break": ('a"\r\nb.png', 'a"b.png'),
    "other letters": ("รูป 😀.png", "รูป 😀.png"),
    "an endless name": ("x" * 250 + ".png", "x" * 196 + ".png"),
}


@pytest.mark.parametrize(("given", "kept"), NAMES.values(), ids=NAMES)
async def test_a_name_is_kept_without_what_does_harm(world: World, given: str, kept: str) -> None:
    answer = await raw(world, PNG, name=given)
    assert (answer.status, answer.json.get("name")) == (201, kept)


BROKEN = {
    "no file in the form": ("other", "a.png", 422, "other"),
    "no name": ("file", "", 422, "name"),
}


@pytest.mark.parametrize(("field", "name", "status", "wrong"), BROKEN.values(), ids=BROKEN)
async def test_a_form_that_is_not_as_described_is_told_so(
    world: World, field: str, name: str, status: int, wrong: str
) -> None:
    answer = await upload(world, name, PNG, field=field)
    assert (answer.status, answer.json["facts"]["field"]) == (status, wrong)


async def test_a_cut_form_is_refused_and_leaves_nothing(world: World) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PNG
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await world.call("POST", "/attachments", "amy", raw=body, headers=headers)
    assert (answer.status, answer.json["code"]) == (400, "malformed_body")
    headers = {"Content-Type": "multipart/form-data"}
    answer = await world.call("POST", "/attachments", "amy", raw=body, headers=headers)
    assert answer.status == 400
    assert await world.store.count(ATTACHMENTS, world.workspace, {"message": ""}) == 0


async def test_a_form_with_a_second_file_is_refused_and_leaves_nothing(world: World) -> None:
    form = aiohttp.FormData()
    form.add_field("file", PNG, filename="a.png")
    form.add_field("more", PNG, filename="b.png")
    headers = {"Authorization": f"Bearer {world.tokens['amy']}"}
    async with world.http.post("/api/v1/attachments", data=form, headers=headers) as answer:
        assert (answer.status, (await answer.json())["facts"]["field"]) == (422, "more")
    assert await world.store.count(ATTACHMENTS, world.workspace, {"message": ""}) == 0


async def test_whoever_hangs_up_in_the_middle_leaves_nothing(world: World) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    head = (
        f"POST /api/v1/attachments?name=a.png HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {world.tokens['amy']}\r\n"
        f"Content-Type: image/png\r\nContent-Length: 1000000\r\n\r\n"
    )
    writer.write(head.encode() + PNG + bytes(300_000))
    await writer.drain()
    for _ in range(100):
        if await world.store.count(ATTACHMENTS, world.workspace, {"message": ""}):
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("it never began")
    writer.close()
    for _ in range(100):
        if not await world.store.count(ATTACHMENTS, world.workspace, {"message": ""}):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("something was left")


async def test_i12_a_foreign_attachment_is_answered_like_a_random_one(world: World) -> None:
    ours = (await upload(world, "a.png", PNG)).json["id"]
    foreign = await world.call("GET", f"/attachments/{ours}", "zoe")
    random = await world.call("GET", "/attachments/att_none", "zoe")
    assert (foreign.status, foreign.body) == (random.status, random.body) == (404, random.body)


FORM = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
CUT: dict[str, tuple[str, str, str, bytes]] = {
    "a file, at its beginning": ("upload", "/api/v1/attachments?name=a.png", "image/png", PNG[:3]),
    "a file, behind it": ("upload", "/api/v1/attachments?name=a.png", "image/png", bytes(300_000)),
    "a form": ("upload", "/api/v1/attachments", "multipart/form-data; boundary=b", FORM + PNG),
    "a form, at its beginning": (
        "upload",
        "/api/v1/attachments",
        "multipart/form-data; boundary=b",
        FORM[:20],
    ),
    "a login": ("login", "/api/v1/login", "application/json", b'{"email":'),
}


@pytest.mark.parametrize(("route", "path", "kind", "begun"), CUT.values(), ids=CUT)
async def test_whoever_breaks_off_is_no_fault_of_ours(
    world: World,
    caplog: pytest.LogCaptureFixture,
    route: str,
    path: str,
    kind: str,
    begun: bytes,
) -> None:
    def refused() -> float:
        labels = {"route": route, "method": "POST", "status": "4xx"}
        return REGISTRY.get_sample_value("relaydesk_desk_requests_total", labels) or 0.0

    before = refused()
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    lines = (
        f"POST {path} HTTP/1.1",
        "Host: x",
        f"Authorization: Bearer {world.tokens['amy']}",
        f"Content-Type: {kind}",
        "Content-Length: 900000" if route == "upload" else "Content-Length: 99",
    )
    writer.write("\r\n".join([*lines, "", ""]).encode() + begun)
    await writer.drain()
    await asyncio.sleep(0.2)
    writer.close()
    for _ in range(250):
        if refused() > before:
            break
        await asyncio.sleep(0.02)
    assert refused() == before + 1
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_an_upload_that_nobody_sent_goes_after_a_day_and_a_sent_one_stays(
    world: World,
) -> None:
    old, sent, fresh = [
        (await upload(world, f"{name}.png", PNG)).json["id"] for name in ("old", "sent", "fresh")
    ]
    session = await world.writes("hello", channel="messenger")
    answer = await world.send(session.id, "", attachments=[sent])
    assert answer.status == 201, answer.body
    now = datetime.now(UTC)
    for file_id in (old, sent):
        stored = await document(world, file_id)
        stored.created_at = now - timedelta(hours=24)
        await world.store.replace(ATTACHMENTS, stored)
    kept = world.desk.attachments
    assert await kept.sweep(world.other, now) == 0
    assert await kept.sweep(world.workspace, now) == 1
    assert set(await kept.found(world.workspace, (old, sent, fresh))) == {sent, fresh}
    with pytest.raises(NotFoundError):
        await bytes_of(world, old)
    assert await bytes_of(world, sent) == PNG
    assert (await document(world, sent)).message == answer.json["id"]
