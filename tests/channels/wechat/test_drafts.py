"""What our content becomes at WeChat, and in which calls."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply, Outbound, OutgoingFile, Sent
from libs.common.channels.wechat import CHANNEL
from libs.common.errors import AmbiguousSendError, CredentialError, NotSentError, RejectedError
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
from libs.common.outgoing import calls_of
from tests.channels.conformance import SUBJECTS, play

ACCOUNT = SUBJECTS["wechat with all secrets"].account
OK = HttpReply(status=200, body=b'{"errcode":0,"errmsg":"ok"}')
UPLOADED = HttpReply(status=200, body=b'{"type":"image","media_id":"up-1","created_at":1760000000}')
BOTH = HttpReply(status=200, body=b'{"errcode":0,"media_id":"up-1"}')
LINK = "https://files.example/f/1"


def stored(mime_type: str, *, link: str = LINK, **more: Any) -> OutgoingFile:
    fields: dict[str, Any] = {"size_bytes": 1000, "link": link, **more}
    return OutgoingFile(id="att_1", name="offer.bin", mime_type=mime_type, **fields)


def to_send(*parts: ContentPart, file: OutgoingFile | None = None) -> Outbound:
    return Outbound(
        message_id="msg_1",
        recipient="oVisitor1",
        parts=parts,
        files={file.id: file} if file else {},
        access_token="tok",
    )


def sent(message: Outbound, *replies: HttpReply | Exception) -> tuple[list[HttpCall], Sent]:
    return play(CHANNEL.send(ACCOUNT, message), *replies)


def shown(call: HttpCall) -> Any:
    body = json.loads(call.body)
    assert body.pop("touser") == "oVisitor1"
    assert list(body) == ["msgtype", body["msgtype"]]
    return body["msgtype"], body[body["msgtype"]]


def media(kind: Any) -> MediaPart:
    return MediaPart(kind=kind, attachment="att_1")


UPLOADS = {
    "a picture": (media("image"), stored("image/png"), "image", {"media_id": "up-1"}),
    "a voice message": (media("audio"), stored("audio/mpeg"), "voice", {"media_id": "up-1"}),
    "a voice message of 60 s": (
        media("audio"),
        stored("audio/mpeg", duration_ms=60_000),
        "voice",
        {"media_id": "up-1"},
    ),
    "a film": (
        media("video"),
        stored("video/mp4"),
        "video",
        {"media_id": "up-1", "title": "offer.bin"},
    ),
    "a picture as a sticker": (
        media("sticker"),
        stored("image/gif"),
        "image",
        {"media_id": "up-1"},
    ),
}


@pytest.mark.parametrize(("part", "file", "kind", "content"), UPLOADS.values(), ids=UPLOADS)
def test_d22_is_uploaded_then_sent(
    part: MediaPart, file: OutgoingFile, kind: str, content: dict[str, str]
) -> None:
    calls, outcome = sent(to_send(part, file=file), UPLOADED, OK)
    upload, send = calls
    assert upload.url == (
        f"https://api.weixin.qq.com/cgi-bin/media/upload?access_token=tok&type={kind}"
    )
    assert upload.upload is not None
    assert (upload.upload.field, upload.upload.file) == ("media", file)
    assert (upload.harmless, send.harmless) == (True, False)
    assert shown(send) == (kind, content)
    assert outcome == Sent(via="custom")


LINKS = {
    "a document": (media("file"), stored("application/pdf")),
    "a picture above 10 MB": (media("image"), stored("image/png", size_bytes=10 * 1024**2 + 1)),
    "a film of another type": (media("video"), stored("video/webm")),
    "a sound of another type": (media("audio"), stored("audio/ogg")),
    "a voice message above 60 s": (media("audio"), stored("audio/mpeg", duration_ms=60_001)),
    "a voice message above 2 MB": (media("audio"), stored("audio/mpeg", size_bytes=2**21 + 1)),
}


@pytest.mark.parametrize(("part", "file"), LINKS.values(), ids=LINKS)
def test_d22_goes_as_a_link(part: MediaPart, file: OutgoingFile) -> None:
    (call,), _ = sent(to_send(part, file=file), OK)
    assert shown(call) == ("text", {"content": f"offer.bin\n{LINK}"})


def ask(*choices: Choice, text: str = "Which?") -> ChoicesPart:
    return ChoicesPart(text=text, choices=choices)


def menu(*entries: tuple[str, str]) -> tuple[str, Any]:
    listed = [{"id": given, "content": title} for given, title in entries]
    return "msgmenu", {"head_content": "Which?", "list": listed, "tail_content": ""}


def as_text(text: str) -> tuple[str, Any]:
    return "text", {"content": text}


TEN = tuple(Choice(title=f"t{n}", payload=f"p{n}") for n in range(10))
CONTENT: dict[str, tuple[ContentPart, tuple[str, Any]]] = {
    "a place is a link to a map": (
        LocationPart(latitude=23.5, longitude=113.25, name="Shop", address="Canton"),
        as_text(
            "Shop\nCanton\nhttps://www.google.com/maps/search/?api=1&query=23.500000,113.250000"
        ),
    ),
    "choices are a menu": (ask(*TEN[:2]), menu(("p0", "t0"), ("p1", "t1"))),
    "ten choices": (ask(*TEN), menu(*((f"p{n}", f"t{n}") for n in range(10)))),
    "eleven are numbered": (
        ask(*TEN, Choice(title="t10", payload="p10")),
        as_text("\n".join(["Which?", *(f"{n + 1}. t{n}" for n in range(11))])),
    ),
    "a choice without a payload is its title": (ask(Choice(title="是")), menu(("是", "是"))),
    "a choice that opens a page is numbered": (
        ask(Choice(title="Shop", url="https://shop.example/")),
        as_text("Which?\n1. Shop - https://shop.example/"),
    ),
    "a long payload is numbered": (
        ask(Choice(title="t", payload="好" * 22)),
        as_text("Which?\n1. t"),
    ),
}


@pytest.mark.parametrize(("part", "expected"), CONTENT.values(), ids=CONTENT)
def test_content_becomes(part: ContentPart, expected: tuple[str, Any]) -> None:
    (call,), _ = sent(to_send(part), OK)
    assert shown(call) == expected


REFUSED: dict[str, tuple[ContentPart, OutgoingFile | None, str]] = {
    "a document without a public link": (
        media("file"),
        stored("application/pdf", link=""),
        "file_needs_link",
    ),
    "a business card": (ContactPart(name="Ada"), None, "bad_content"),
    "a template": (TemplatePart(name="t", language="zh_CN"), None, "bad_content"),
    "a sticker of LINE's": (MediaPart(kind="sticker", sticker_id="1"), None, "bad_content"),
    "a file that is not stored": (media("image"), None, "file_missing"),
}


@pytest.mark.parametrize(("part", "file", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused_whole_before_any_call(
    part: ContentPart, file: OutgoingFile | None, reason: str
) -> None:
    with pytest.raises(RejectedError) as caught:
        next(CHANNEL.send(ACCOUNT, to_send(TextPart(text="a"), part, file=file)))
    assert caught.value.reason == reason


def test_files_are_uploaded_before_anything_is_shown() -> None:
    message = to_send(TextPart(text="see"), media("image"), file=stored("image/png"))
    calls, _ = sent(message, BOTH)
    assert [call.harmless for call in calls] == [True, False, False]
    assert [shown(call)[0] for call in calls[1:]] == ["text", "image"]


UPLOAD_FAILURES: dict[str, tuple[HttpReply, type[Exception], str | None]] = {
    "of no type that WeChat knows": (
        HttpReply(status=200, body=b'{"errcode":40004}'),
        RejectedError,
        "bad_content",
    ),
    "too large": (HttpReply(status=200, body=b'{"errcode":45001}'), RejectedError, "bad_content"),
    "with a token that ran out": (
        HttpReply(status=200, body=b'{"errcode":42001}'),
        CredentialError,
        "credential",
    ),
    "while WeChat is busy": (HttpReply(status=200, body=b'{"errcode":-1}'), NotSentError, None),
    "and no id comes back": (HttpReply(status=200, body=b"{}"), AmbiguousSendError, None),
}


@pytest.mark.parametrize(
    ("reply", "failure", "reason"), UPLOAD_FAILURES.values(), ids=UPLOAD_FAILURES
)
def test_an_upload(reply: HttpReply, failure: type[Exception], reason: str | None) -> None:
    with pytest.raises(failure) as caught:
        sent(to_send(media("image"), file=stored("image/png")), reply)
    assert type(caught.value) is failure
    assert getattr(caught.value, "reason", None) == reason


def test_after_a_fresh_token_it_goes_on_behind_the_upload() -> None:
    message = to_send(media("image"), file=stored("image/png"))
    exchange = CHANNEL.send(ACCOUNT, msgspec.structs.replace(message, access_token="another"))
    next(exchange)
    call = exchange.send(UPLOADED)
    assert call.url.endswith("/message/custom/send?access_token=another")


# what of ours, and how many customer-service messages WeChat counts for it; uploads do not count
COUNTED: dict[str, tuple[tuple[ContentPart, ...], int]] = {
    "a text": ((TextPart(text="x" * 1600),), 1),
    "a long text": ((TextPart(text="x" * 1601),), 2),
    "a picture with its words": ((media("image"), TextPart(text="look")), 2),
    "a menu": ((ChoicesPart(text="Q?", choices=(Choice(title="A", payload="a"),)),), 1),
    "files and words": ((media("file"), media("video"), TextPart(text="these")), 3),
}


@pytest.mark.parametrize(("parts", "count"), COUNTED.values(), ids=COUNTED)
def test_d08_the_count_known_before_is_that_of_the_calls_made(
    parts: tuple[ContentPart, ...], count: int
) -> None:
    known = {
        "attachment": "att_1",
        "name": "offer.bin",
        "mime_type": "image/png",
        "size_bytes": 1000,
    }
    told = tuple(
        msgspec.structs.replace(part, **known) if isinstance(part, MediaPart) else part
        for part in parts
    )
    assert calls_of(CHANNEL, told) == count
    calls, _ = play_all(to_send(*told, file=stored("image/png")))
    assert len([call for call in calls if not call.harmless]) == count


def play_all(message: Outbound) -> tuple[list[HttpCall], Sent]:
    """Send *message*, whose every call is taken."""
    exchange = CHANNEL.send(ACCOUNT, message)
    calls: list[HttpCall] = []
    try:
        call = next(exchange)
        while True:
            calls.append(call)
            call = exchange.send(BOTH)
    except StopIteration as end:
        return calls, end.value
