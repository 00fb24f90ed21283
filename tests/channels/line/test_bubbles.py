"""What our content becomes at LINE: one sentence a kind, and what it falls back to."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from libs.common.channel import HttpReply, Outbound, OutgoingFile
from libs.common.channels.line import CHANNEL
from libs.common.errors import RejectedError
from libs.common.events import (
    Choice,
    ChoicesPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaPart,
    TemplatePart,
    TextPart,
)
from tests.channels.conformance import SUBJECTS, play

ACCOUNT = SUBJECTS["line"].account
OK = HttpReply(status=200, body=b'{"sentMessages":[{"id":"600001"}]}')
LINK = "https://files.example/f/1"
PREVIEW = "https://files.example/p/1"


def stored(mime_type: str, **more: Any) -> OutgoingFile:
    fields: dict[str, Any] = {"size_bytes": 1000, "link": LINK, **more}
    return OutgoingFile(id="att_1", name="offer.bin", mime_type=mime_type, **fields)


def to_send(*parts: ContentPart, file: OutgoingFile | None = None, **more: Any) -> Outbound:
    files = {file.id: file} if file else {}
    return Outbound(message_id="msg_1", recipient="U1", parts=parts, files=files, **more)


def shown(message: Outbound) -> list[dict[str, Any]]:
    calls, _ = play(CHANNEL.send(ACCOUNT, message), OK)
    return [bubble for call in calls for bubble in json.loads(call.body)["messages"]]


def media(kind: Any) -> MediaPart:
    return MediaPart(kind=kind, attachment="att_1")


def as_text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


IMAGE = {"type": "image", "originalContentUrl": LINK}
FILE_TEXT = as_text(f"offer.bin\n{LINK}")

FILES = {
    "a picture is its own preview": (
        media("image"),
        stored("image/jpeg"),
        {**IMAGE, "previewImageUrl": LINK},
    ),
    "a picture with a preview": (
        media("image"),
        stored("image/png", preview_link=PREVIEW),
        {**IMAGE, "previewImageUrl": PREVIEW},
    ),
    "a GIF is no picture to LINE": (media("image"), stored("image/gif"), FILE_TEXT),
    "a picture above 10 MB goes as a link": (
        media("image"),
        stored("image/png", size_bytes=10_000_001),
        FILE_TEXT,
    ),
    "a film with a preview": (
        media("video"),
        stored("video/mp4", preview_link=PREVIEW),
        {"type": "video", "originalContentUrl": LINK, "previewImageUrl": PREVIEW},
    ),
    "a film without a preview goes as a link": (media("video"), stored("video/mp4"), FILE_TEXT),
    "a sound of known length": (
        media("audio"),
        stored("audio/mp4", duration_ms=4500),
        {"type": "audio", "originalContentUrl": LINK, "duration": 4500},
    ),
    "a sound of unknown length goes as a link": (
        media("audio"),
        stored("audio/mpeg"),
        FILE_TEXT,
    ),
    "a sound that LINE does not play goes as a link": (
        media("audio"),
        stored("audio/ogg", duration_ms=4500),
        FILE_TEXT,
    ),
    "a file goes as a link": (media("file"), stored("application/pdf"), FILE_TEXT),
}


@pytest.mark.parametrize(("part", "file", "bubble"), FILES.values(), ids=FILES)
def test_d22_a_file_goes_out(part: MediaPart, file: OutgoingFile, bubble: dict[str, Any]) -> None:
    assert shown(to_send(part, file=file)) == [bubble]


def yes(count: int = 2, **more: Any) -> tuple[Choice, ...]:
    return tuple(Choice(title=f"t{n}", payload=f"p{n}", **more) for n in range(count))


def ask(style: Any, *choices: Choice, text: str = "Which?") -> ChoicesPart:
    return ChoicesPart(text=text, choices=choices, style=style)


def postback(number: int) -> dict[str, Any]:
    title = f"t{number}"
    return {"type": "postback", "label": title, "data": f"p{number}", "displayText": title}


def template(kind: str, *actions: dict[str, Any], text: str = "Which?") -> dict[str, Any]:
    inner = {"type": kind, "text": text, "actions": list(actions)}
    return {"type": "template", "altText": text, "template": inner}


def quick(*actions: dict[str, Any], text: str = "Which?") -> dict[str, Any]:
    items = [{"type": "action", "action": action} for action in actions]
    return {**as_text(text), "quickReply": {"items": items}}


LONG = "x" * 241

CONTENT: dict[str, tuple[tuple[ContentPart, ...], list[dict[str, Any]]]] = {
    "a sticker by package and number": (
        (MediaPart(kind="sticker", sticker_set="446", sticker_id="1988"),),
        [{"type": "sticker", "packageId": "446", "stickerId": "1988"}],
    ),
    "a place": (
        (LocationPart(latitude=35.5, longitude=139.25, name="Shop", address="Tokyo"),),
        [
            {
                "type": "location",
                "title": "Shop",
                "address": "Tokyo",
                "latitude": 35.5,
                "longitude": 139.25,
            }
        ],
    ),
    "a place without an address shows its degrees": (
        (LocationPart(latitude=35.5, longitude=139.25, name="Shop"),),
        [
            {
                "type": "location",
                "title": "Shop",
                "address": "35.500000, 139.250000",
                "latitude": 35.5,
                "longitude": 139.25,
            }
        ],
    ),
    "quick replies": (
        (ask("quick_reply", *yes()),),
        [quick(postback(0), postback(1))],
    ),
    "thirteen quick replies": (
        (ask("quick_reply", *yes(13)),),
        [quick(*map(postback, range(13)))],
    ),
    "more are numbered": (
        (ask("quick_reply", *yes(14)),),
        [as_text("\n".join(["Which?", *(f"{n + 1}. t{n}" for n in range(14))]))],
    ),
    "quick replies that something follows would not be seen": (
        (ask("quick_reply", *yes(1)), TextPart(text="bye")),
        [as_text("Which?\n1. t0"), as_text("bye")],
    ),
    "two buttons confirm": (
        (ask("button", *yes()),),
        [template("confirm", postback(0), postback(1))],
    ),
    "other numbers of buttons": (
        (ask("button", *yes(4)), TextPart(text="bye")),
        [template("buttons", *map(postback, range(4))), as_text("bye")],
    ),
    "five buttons become quick replies": (
        (ask("button", *yes(5)),),
        [quick(*map(postback, range(5)))],
    ),
    "a text too long for buttons": (
        (ask("button", *yes(), text=LONG),),
        [quick(postback(0), postback(1), text=LONG)],
    ),
    "a list's descriptions stand in the text": (
        (ask("list", *yes(1, description="d")),),
        [quick(postback(0), text="Which?\n1. t0 - d")],
    ),
    "a button that opens a page": (
        (ask("button", Choice(title="Shop", url="https://shop.example/")),),
        [template("buttons", {"type": "uri", "label": "Shop", "uri": "https://shop.example/"})],
    ),
    "a button without a payload says its title": (
        (ask("button", Choice(title="Yes")),),
        [
            template(
                "buttons",
                {"type": "postback", "label": "Yes", "data": "Yes", "displayText": "Yes"},
            )
        ],
    ),
    "a title beyond 20 characters is numbered": (
        (ask("button", Choice(title="x" * 21, payload="p")),),
        [as_text(f"Which?\n1. {'x' * 21}")],
    ),
    "twenty emoji are twenty characters": (
        (ask("quick_reply", Choice(title="👍🏽" * 20, payload="p")),),
        [
            quick(
                {
                    "type": "postback",
                    "label": "👍🏽" * 20,
                    "data": "p",
                    "displayText": "👍🏽" * 20,
                }
            )
        ],
    ),
    "a payload beyond 300 characters is numbered": (
        (ask("quick_reply", Choice(title="Yes", payload="p" * 301)),),
        [as_text("Which?\n1. Yes")],
    ),
    "several parts keep their order": (
        (TextPart(text="a"), MediaPart(kind="sticker", sticker_set="1", sticker_id="2")),
        [as_text("a"), {"type": "sticker", "packageId": "1", "stickerId": "2"}],
    ),
}


@pytest.mark.parametrize(("parts", "bubbles"), CONTENT.values(), ids=CONTENT)
def test_content_becomes(parts: tuple[ContentPart, ...], bubbles: list[dict[str, Any]]) -> None:
    assert shown(to_send(*parts)) == bubbles


STICKER = MediaPart(kind="sticker", sticker_set="1", sticker_id="2")
PLACE = LocationPart(latitude=1.0, longitude=2.0, name="a", address="b")
QUOTES = {
    "the first text quotes": ((TextPart(text="a"), TextPart(text="b")), ["q-1", None]),
    "a sticker quotes": ((STICKER, TextPart(text="b")), ["q-1", None]),
    "what cannot quote leaves it to the next": ((PLACE, TextPart(text="b")), [None, "q-1"]),
    "nothing that can quote is sent all the same": ((PLACE,), [None]),
}


@pytest.mark.parametrize(("parts", "tokens"), QUOTES.values(), ids=QUOTES)
def test_quoting(parts: tuple[ContentPart, ...], tokens: list[str | None]) -> None:
    bubbles = shown(to_send(*parts, quote_token="q-1"))
    assert [bubble.get("quoteToken") for bubble in bubbles] == tokens


REFUSED: dict[str, tuple[ContentPart, OutgoingFile | None]] = {
    "a sticker without its package": (MediaPart(kind="sticker", sticker_id="2"), None),
    "a business card": (ContactPart(name="Ada"), None),
    "a template": (TemplatePart(name="t", language="en"), None),
    "a file that is not stored": (media("image"), None),
    "a file without a public link": (media("image"), stored("image/png", link="")),
}


@pytest.mark.parametrize(("part", "file"), REFUSED.values(), ids=REFUSED)
def test_refused_whole_before_any_call(part: ContentPart, file: OutgoingFile | None) -> None:
    with pytest.raises(RejectedError):
        next(CHANNEL.send(ACCOUNT, to_send(TextPart(text="a"), part, file=file)))


def test_d29_media_and_choices_use_the_free_reply_too() -> None:
    message = to_send(
        TextPart(text="a"),
        media("image"),
        ask("quick_reply", *yes()),
        file=stored("image/png"),
        reply_token="r-1",
        reply_token_age_s=3.0,
    )
    (call,), outcome = play(CHANNEL.send(ACCOUNT, message), OK)
    assert call.url == "https://api.line.me/v2/bot/message/reply"
    assert [bubble["type"] for bubble in json.loads(call.body)["messages"]] == [
        "text",
        "image",
        "text",
    ]
    assert outcome.via == "reply"
    late = msgspec.structs.replace(message, reply_token_age_s=50.0)
    assert play(CHANNEL.send(ACCOUNT, late), OK)[1].via == "push"
