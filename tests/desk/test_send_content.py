"""Sending more than text: what becomes of a body, and what a channel refuses (B05, B06, D08)."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import msgspec
import pytest

from libs.common.channel import MessageTemplate
from libs.common.channels import CHANNELS
from libs.common.documents import ACCOUNTS, ATTACHMENTS, Attachment
from libs.common.simulate.samples import sample
from services.desk.api.able import plain_account
from services.desk.api.compose import filled
from tests.desk.test_messages import sends
from tests.desk.test_uploads import document, upload
from tests.desk.world import NOW, World

HI = MessageTemplate(name="hi", language="en", body="Dear {{1}}, order {{2}} is here. Bye {{1}}")
PICTURE = MessageTemplate(name="look", language="en", body="Look", header="image")


async def kept(world: World, extension: str = "png") -> str:
    answer = await upload(world, f"file.{extension}", sample(extension).content)
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


async def with_templates(world: World, *templates: MessageTemplate) -> None:
    slug = world.slug("whatsapp")
    found = await world.store.get(ACCOUNTS, world.workspace, slug)
    assert found is not None
    found.templates = templates
    world.known[slug] = plain_account(await world.store.replace(ACCOUNTS, found))


async def test_b05_text_and_files_go_as_one_message_files_first(world: World) -> None:
    session = await world.writes("hello", channel="messenger")
    one, two = await kept(world, "png"), await kept(world, "pdf")
    text = "สวัสดี 👩‍👩‍👧 שלום"
    answer = await world.send(
        session.id, text, attachments=[{"id": one, "caption": "first 😀"}, two]
    )
    assert answer.status == 201, answer.body
    [request] = await sends(world, session)
    parts = [msgspec.to_builtins(part) for part in request.parts]
    assert [part["type"] for part in parts] == ["media", "text", "media", "text"]
    assert (parts[0]["kind"], parts[0]["attachment"], parts[0]["name"]) == (
        "image",
        one,
        "file.png",
    )
    assert parts[0]["size_bytes"] == len(sample("png").content)
    assert (parts[2]["kind"], parts[2]["mime_type"]) == ("file", "application/pdf")
    assert [parts[1]["text"], parts[3]["text"]] == ["first 😀", text]
    shown = answer.json["attachments"]
    assert [(a["id"], a["state"], a["kind"]) for a in shown] == [
        (one, "stored", "image"),
        (two, "stored", "file"),
    ]
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    assert [a["url"] for a in entry["attachments"]] == [a["url"] for a in shown]
    assert {(await document(world, i)).message for i in (one, two)} == {answer.json["id"]}


async def test_b05_files_alone_go_and_the_same_key_three_times_is_one_message(
    world: World,
) -> None:
    session = await world.writes("hello", channel="messenger")
    file = await kept(world)
    answers = await asyncio.gather(
        *(world.send(session.id, "", key="once", attachments=[file]) for _ in range(3))
    )
    assert sorted(answer.status for answer in answers) == [200, 200, 201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(await sends(world, session)) == 1
    assert (await document(world, file)).message == answers[0].json["id"]


@pytest.mark.parametrize("channel", ["messenger", "line", "whatsapp", "web", "wechat"])
async def test_b06_every_allowed_type_goes_or_is_refused_by_name(
    world: World, channel: str
) -> None:
    limits = CHANNELS[channel]
    if limits.needs_link or channel == "wechat":  # whose files are links in a text
        settings = msgspec.structs.replace(world.desk.settings, public_url="https://a.example")
        world.desk = msgspec.structs.replace(world.desk, settings=settings)
    async with world.serving_desk() as base:
        for extension in ("png", "gif", "mp4", "webm", "ogg", "wav", "pdf", "vcf"):
            session = await world.writes(f"send me a {extension}", channel=channel)
            file = await kept(world, extension)
            answer = await world.call(
                "POST",
                f"{base}/api/v1/sessions/{session.id}/messages",
                "amy",
                body={"attachments": [file]},
                headers={"Idempotency-Key": uuid.uuid4().hex},
            )
            carries = {sample(extension).kind, "file"} & limits.carries
            assert carries
            assert answer.status in {201, 415}, answer.body
            if answer.status == 415:
                assert answer.json["facts"]["field"] == "attachments.0"
                assert answer.json["facts"]["allowed"]


LARGE: dict[str, tuple[str, int, str, int, str]] = {
    "a picture as large as allowed": ("whatsapp", 5 << 20, "image/jpeg", 201, ""),
    "a picture that goes as a file": ("whatsapp", (5 << 20) + 1, "image/jpeg", 201, ""),
    "a picture too large even as a file": (
        "whatsapp", (100 << 20) + 1, "image/jpeg", 413, "too_large",
    ),
    "a link where none can be made": ("line", 1000, "image/jpeg", 409, "file_needs_link"),
}  # fmt: skip


@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE)
async def test_b06_the_channels_own_limits_hold_before_anything_is_sent(
    world: World, case: tuple[str, int, str, int, str]
) -> None:
    channel, size, mime_type, status, code = case
    file = Attachment(
        id="att_big",
        workspace=world.workspace,
        direction="out",
        state="stored",
        kind="image",
        name="big.jpg",
        mime_type=mime_type,
        size_bytes=size,
        created_at=NOW,
    )
    await world.store.insert(ATTACHMENTS, file)
    session = await world.writes("hello", channel=channel)
    answer = await world.send(session.id, "", attachments=["att_big"])
    assert (answer.status, answer.json.get("code", "")) == (status, code), answer.body
    assert len(await sends(world, session)) == (status == 201)
    if code:
        assert answer.json["facts"]["field"] == "attachments.0"
        assert (await document(world, "att_big")).message == ""


ONE = "a private reply is one text of at most 2000 characters, or one picture"

# channel, body, extension of a file; the answer's status and field, and what it says
WHOLE: dict[str, tuple[str, dict[str, Any], str, int, str, str]] = {
    "a private reply of two messages": (
        "fb_comment", {"text": "a" * 2001, "way": "private"}, "", 422, "text", ONE,
    ),
    "choices that are too long as a private text": (
        "fb_comment",
        {"text": "a" * 1999, "way": "private", "choices": {"choices": [{"title": "Yes"}]}},
        "", 422, "text", ONE,
    ),
    "a place and a text as a private reply": (
        "fb_comment",
        {"text": "here", "way": "private", "location": {"latitude": 1.0, "longitude": 2.0}},
        "", 422, "text", ONE,
    ),
    "a file that goes as a link, where none can be made": (
        "wechat", {"text": "the offer"}, "pdf", 409, "text", "has none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
async def test_d12_a_message_that_cannot_go_out_whole_is_refused_at_once(
    world: World, case: tuple[str, dict[str, Any], str, int, str, str]
) -> None:
    channel, body, extension, status, field, words = case
    session = await world.writes("hello", channel=channel)
    files: dict[str, Any] = {"attachments": [await kept(world, extension)]} if extension else {}
    answer = await world.send(session.id, **body, **files)
    assert (answer.status, answer.json["facts"]["field"]) == (status, field), answer.body
    assert words in answer.json["detail"]
    assert await sends(world, session) == []


async def test_d12_a_long_public_reply_is_cut_and_goes(world: World) -> None:
    session = await world.writes("hello", channel="fb_comment")
    answer = await world.send(session.id, "a" * 9000)
    assert answer.status == 201, answer.body


async def test_i12_a_foreign_file_is_answered_like_a_random_one(world: World) -> None:
    foreign = (await upload(world, "a.png", sample("png").content, who="zoe")).json["id"]
    session = await world.writes("hello", channel="messenger")
    answers = [
        await world.send(session.id, "see", attachments=[file]) for file in (foreign, "att_none")
    ]
    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].body == answers[1].body
    assert await sends(world, session) == []


async def test_a_refused_send_gives_its_files_back_to_the_sweep(world: World) -> None:
    session = await world.writes("hello", channel="messenger")
    assert (await world.do("end", session.id)).status == 200
    file = await kept(world)
    refused = await world.send(session.id, "too late", attachments=[file])
    assert (refused.status, refused.json["code"]) == (409, "session_ended")
    assert (await document(world, file)).message == ""


async def test_choices_and_a_place_go_as_what_they_are(world: World) -> None:
    session = await world.writes("hello")
    choices = {"choices": [{"title": "Yes", "payload": "y"}, {"title": "No"}], "style": "button"}
    place = {"latitude": 13.75, "longitude": 100.5, "name": "Office"}
    answer = await world.send(session.id, "Coming?", choices=choices, location=place)
    assert answer.status == 201, answer.body
    [request] = await sends(world, session)
    where, asked = [msgspec.to_builtins(part) for part in request.parts]
    assert where == {"type": "location", **place}
    assert (asked["type"], asked["text"], asked["style"]) == ("choices", "Coming?", "button")
    assert [c["title"] for c in asked["choices"]] == ["Yes", "No"]


async def test_d08_a_template_goes_with_its_values_filled_in(world: World) -> None:
    await with_templates(world, HI, PICTURE)
    session = await world.writes("hello", channel="whatsapp")
    template: dict[str, Any] = {"name": "hi", "language": "en", "body": ["Ann", "7"]}
    answer = await world.send(session.id, "", template=template)
    assert answer.status == 201, answer.body
    picture = await kept(world, "jpg")
    header = {"name": "look", "language": "en", "header_attachment": picture}
    assert (await world.send(session.id, "", template=header)).status == 201
    one, two = await sends(world, session)
    [part] = [msgspec.to_builtins(part) for part in one.parts]
    assert part["text"] == "Dear Ann, order 7 is here. Bye Ann"
    [part] = [msgspec.to_builtins(part) for part in two.parts]
    assert part["header_media"]["attachment"] == picture
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    assert [a["id"] for a in entry["attachments"]] == [picture]


TEMPLATES: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown name": ({"name": "no"}, "template.name"),
    "another language": ({"language": "de"}, "template.name"),
    "too few values": ({"body": ["Ann"]}, "template.body"),
    "too many values": ({"body": ["a", "b", "c"]}, "template.body"),
    "a picture where none belongs": ({"header_attachment": "f"}, "template.header_attachment"),
    "no picture where one belongs": ({"name": "look", "body": []}, "template.header_attachment"),
}


@pytest.mark.parametrize(("change", "field"), TEMPLATES.values(), ids=TEMPLATES)
async def test_d08_a_template_that_does_not_fit_is_refused_by_the_fields_name(
    world: World, change: dict[str, Any], field: str
) -> None:
    await with_templates(world, HI, PICTURE)
    session = await world.writes("hello", channel="whatsapp")
    template = {"name": "hi", "language": "en", "body": ["Ann", "7"], **change}
    answer = await world.send(session.id, "", template=template)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.body
    assert await sends(world, session) == []


FILLED = {
    "numbers in their order": ("{{2}} {{1}}", ("a", "b"), "b a"),
    "names in order of their first place": ("{{who}} {{what}} {{who}}", ("a", "b"), "a b a"),
    "ten and more": (" ".join(f"{{{{{n}}}}}" for n in range(1, 12)), tuple("abcdefghijk"),
                     "a b c d e f g h i j k"),
    "values that look like places": ("{{1}} {{2}}", ("{{2}}", "x"), "{{2}} x"),
    "no places": ("Hi", (), "Hi"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "values", "expected"), FILLED.values(), ids=FILLED)
def test_a_template_reads_as_the_visitor_sees_it(
    text: str, values: tuple[str, ...], expected: str
) -> None:
    assert filled(text, values) == expected
