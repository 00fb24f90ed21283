"""What Telegram is asked to send, one sentence each."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply, Outbound, OutgoingFile, Sent, Signal
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import (
    Choice,
    ChoicesPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    TemplatePart,
    TextPart,
)
from libs.common.reasons import REASONS
from tests.channels.conformance import SUBJECTS, play

SUBJECT = SUBJECTS["telegram"]
TOKEN = SUBJECT.account.secrets["bot_token"]
BASE = f"https://api.telegram.org/bot{TOKEN}/"
MIB = 2**20

SIZES: dict[str, tuple[str, int]] = {
    "jpg": ("image/jpeg", 10 * MIB),
    "jpg_over": ("image/jpeg", 10 * MIB + 1),
    "gif": ("image/gif", 10),
    "mp3": ("audio/mpeg", 10),
    "m4a": ("audio/mp4", 10),
    "ogg": ("audio/ogg", 10),
    "wav": ("audio/wav", 10),
    "mp4": ("video/mp4", 50 * MIB),
    "webm": ("video/webm", 10),
    "pdf": ("application/pdf", 50 * MIB),
    "pdf_over": ("application/pdf", 50 * MIB + 1),
    "webp": ("image/webp", 10),
}
FILES = {
    f"att_{name}": OutgoingFile(id=f"att_{name}", name=f"a.{name}", mime_type=mime, size_bytes=size)
    for name, (mime, size) in SIZES.items()
}


def message(*parts: ContentPart, **more: Any) -> Outbound:
    return Outbound(
        **{"message_id": "msg_1", "recipient": "77", "parts": parts, "files": FILES, **more}
    )


def media(kind: MediaKind, name: str) -> MediaPart:
    return MediaPart(kind=kind, attachment=f"att_{name}")


def text(words: str) -> TextPart:
    return TextPart(text=words)


def taken(number: int) -> HttpReply:
    body = {"ok": True, "result": {"message_id": number, "date": 1760000000}}
    return HttpReply(status=200, body=json.dumps(body).encode())


def refused(status: int, description: str = "", **parameters: Any) -> HttpReply:
    body = {"ok": False, "error_code": status, "description": description}
    if parameters:
        body["parameters"] = parameters
    return HttpReply(status=status, body=json.dumps(body).encode())


def shown(call: HttpCall) -> tuple[str, Any]:
    """Return the method and its fields without the usual chat; of an upload its file too."""
    assert call.url.startswith(BASE)
    assert not call.idempotent
    method = call.url.removeprefix(BASE)
    if call.upload is None:
        fields = json.loads(call.body)
    else:
        assert not call.body
        fields = {name: loaded(value) for name, value in call.upload.fields.items()}
        fields[call.upload.field] = call.upload.file.id
    assert fields.pop("chat_id") == 77
    return method, fields


def loaded(value: str) -> Any:
    return json.loads(value) if value[:1] in {"{", "7"} else value


def said(words: str, **more: Any) -> tuple[str, Any]:
    return "sendMessage", {"text": words, **more}


def choices(*given: Choice, style: Any = "quick_reply", words: str = "When?") -> ChoicesPart:
    return ChoicesPart(text=words, choices=given, style=style)


def buttons(*rows: dict[str, str]) -> dict[str, Any]:
    return {"reply_markup": {"inline_keyboard": [[row] for row in rows]}}


QUOTED = {"reply_parameters": {"message_id": 5, "allow_sending_without_reply": True}}
MON, TUE = Choice(title="Monday", payload="slot:2"), Choice(title="Tuesday", payload="slot:3")
PLACE = {"latitude": 52.52, "longitude": 13.405}
VCARD = (
    "BEGIN:VCARD\r\nVERSION:3.0\r\nN:;Li\\, Bo;;;\r\nFN:Li\\, Bo\r\n"
    "TEL:+1 555\r\nEMAIL:bo@example.com\r\nEND:VCARD"
)

CASES: dict[str, tuple[Outbound, list[tuple[str, Any]]]] = {
    "a text": (message(text("hi")), [said("hi")]),
    "a text is cut at 4,096 units": (
        message(text("x" * 4097)),
        [said("x" * 4096), said("x")],
    ),
    "an emoji counts as two units": (
        message(text("\U0001f600" * 2049)),
        [said("\U0001f600" * 2048), said("\U0001f600")],
    ),
    "only the first of several parts quotes": (
        message(text("one"), text("two"), reply_to="77:5"),
        [said("one", **QUOTED), said("two")],
    ),
    "a tapped button cannot be quoted": (
        message(text("one"), reply_to="77:callback.4382"),
        [said("one")],
    ),
    "a picture, its text is the caption": (
        message(media("image", "jpg"), text("the receipt"), reply_to="77:5"),
        [("sendPhoto", {"photo": "att_jpg", "caption": "the receipt", **QUOTED})],
    ),
    "a caption of 1,024 units": (
        message(media("image", "jpg"), text("x" * 1024)),
        [("sendPhoto", {"photo": "att_jpg", "caption": "x" * 1024})],
    ),
    "one more is a text of its own": (
        message(media("image", "jpg"), text("x" * 1025)),
        [("sendPhoto", {"photo": "att_jpg"}), said("x" * 1025)],
    ),
    "a picture over 10 MB goes as a document": (
        message(media("image", "jpg_over")),
        [("sendDocument", {"document": "att_jpg_over"})],
    ),
    "a GIF keeps moving": (
        message(media("image", "gif")),
        [("sendAnimation", {"animation": "att_gif"})],
    ),
    "a sound": (message(media("audio", "mp3")), [("sendAudio", {"audio": "att_mp3"})]),
    "a sound of MPEG-4": (message(media("audio", "m4a")), [("sendAudio", {"audio": "att_m4a"})]),
    "a voice message": (
        message(media("audio", "ogg"), text("listen")),
        [("sendVoice", {"voice": "att_ogg", "caption": "listen"})],
    ),
    "a sound of another format goes as a document": (
        message(media("audio", "wav")),
        [("sendDocument", {"document": "att_wav"})],
    ),
    "a film of 50 MB": (message(media("video", "mp4")), [("sendVideo", {"video": "att_mp4"})]),
    "a film of another format goes as a document": (
        message(media("video", "webm")),
        [("sendDocument", {"document": "att_webm"})],
    ),
    "a document": (
        message(media("file", "pdf"), text("the offer")),
        [("sendDocument", {"document": "att_pdf", "caption": "the offer"})],
    ),
    "a sticker as a file": (
        message(media("sticker", "webp")),
        [("sendSticker", {"sticker": "att_webp"})],
    ),
    "a sticker that came in": (
        message(MediaPart(kind="sticker", sticker_id="CAAC-1")),
        [("sendSticker", {"sticker": "CAAC-1"})],
    ),
    "a place": (
        message(LocationPart(latitude=52.52, longitude=13.405)),
        [("sendLocation", PLACE)],
    ),
    "a place with a name": (
        message(LocationPart(latitude=52.52, longitude=13.405, name="Shop")),
        [("sendVenue", {**PLACE, "title": "Shop", "address": "Shop"})],
    ),
    "a place with an address": (
        message(LocationPart(latitude=52.52, longitude=13.405, name="Shop", address="Main St")),
        [("sendVenue", {**PLACE, "title": "Shop", "address": "Main St"})],
    ),
    "a card": (
        message(ContactPart(name="Bo Li", phones=("+1 555",))),
        [("sendContact", {"phone_number": "+1 555", "first_name": "Bo Li"})],
    ),
    "a card without a name": (
        message(ContactPart(phones=("+1 555",))),
        [("sendContact", {"phone_number": "+1 555", "first_name": "+1 555"})],
    ),
    "the rest of a card is a vCard": (
        message(ContactPart(name="Li, Bo", phones=("+1 555",), emails=("bo@example.com",))),
        [
            (
                "sendContact",
                {"phone_number": "+1 555", "first_name": "Li, Bo", "vcard": VCARD},
            )
        ],
    ),
    "a card without a number is text": (
        message(ContactPart(name="Bo Li", emails=("bo@example.com",))),
        [said("Bo Li\nbo@example.com")],
    ),
    "choices with payloads are buttons below the message": (
        message(choices(MON, TUE)),
        [
            said(
                "When?",
                **buttons(
                    {"text": "Monday", "callback_data": "slot:2"},
                    {"text": "Tuesday", "callback_data": "slot:3"},
                ),
            )
        ],
    ),
    "quick replies without payloads are a keyboard that vanishes": (
        message(choices(Choice(title="Yes"), Choice(title="No", payload="No"))),
        [
            said(
                "When?",
                reply_markup={
                    "keyboard": [[{"text": "Yes"}], [{"text": "No"}]],
                    "one_time_keyboard": True,
                    "resize_keyboard": True,
                },
            )
        ],
    ),
    "buttons stay, and return their title": (
        message(choices(Choice(title="Yes"), style="button")),
        [said("When?", **buttons({"text": "Yes", "callback_data": "Yes"}))],
    ),
    "a button that opens a link": (
        message(choices(Choice(title="Shop", url="https://shop.example"))),
        [said("When?", **buttons({"text": "Shop", "url": "https://shop.example"}))],
    ),
    "descriptions of a list stand below its text": (
        message(choices(Choice(title="Monday", payload="m", description="early"), style="list")),
        [
            said(
                "When?\n\nMonday: early",
                **buttons({"text": "Monday", "callback_data": "m"}),
            )
        ],
    ),
    "a payload of 64 bytes": (
        message(choices(Choice(title="a", payload="\u00e4" * 32))),
        [said("When?", **buttons({"text": "a", "callback_data": "\u00e4" * 32}))],
    ),
    "a longer one makes numbered text": (
        message(choices(Choice(title="a", payload="\u00e4" * 32 + "x"))),
        [said("When?\n1. a")],
    ),
    "a question over 4,096 units makes numbered text": (
        message(choices(MON, words="x" * 4097)),
        [said("x" * 4096), said("x\n1. Monday")],
    ),
}


@pytest.mark.parametrize(("outbound", "expected"), CASES.values(), ids=CASES)
def test_d22_d28_what_is_asked(outbound: Outbound, expected: list[tuple[str, Any]]) -> None:
    replies = (taken(n) for n in range(101, 109))
    calls, sent = play(SUBJECT.channel.send(SUBJECT.account, outbound), *replies)
    assert [shown(call) for call in calls] == expected
    ids = tuple(f"77:{number}" for number in range(101, 101 + len(calls)))
    assert sent == Sent(provider_ids=ids, via="message")


REFUSED: dict[str, tuple[ContentPart, str]] = {
    "a file over 50 MB": (media("file", "pdf_over"), "too_large"),
    "a file that is not stored": (media("file", "lost"), "file_missing"),
    "a template": (TemplatePart(name="t", language="en"), "bad_content"),
    "an empty card": (ContactPart(phones=(" ",)), "bad_content"),
}


@pytest.mark.parametrize(("part", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_sent_is_refused_before_any_call(part: ContentPart, reason: str) -> None:
    with pytest.raises(RejectedError) as caught:
        next(SUBJECT.channel.send(SUBJECT.account, message(text("first"), part)))
    assert caught.value.reason == reason


# --- chats -------------------------------------------------------------------------------------


def test_a_chat_in_a_lent_account_is_answered_through_its_connection() -> None:
    outbound = message(text("hi"), recipient="77@bc-1", reply_to="77@bc-1:5")
    (call,), sent = play(SUBJECT.channel.send(SUBJECT.account, outbound), taken(9))
    body = json.loads(call.body)
    assert (body["chat_id"], body["business_connection_id"]) == (77, "bc-1")
    assert body["reply_parameters"]["message_id"] == 5
    assert sent.provider_ids == ("77@bc-1:9",)


MOVED = refused(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-100200300)


def test_a_group_that_became_a_supergroup_is_followed() -> None:
    outbound = message(text("one"), text("two"), recipient="-4001", reply_to="-4001:5")
    exchange = SUBJECT.channel.send(SUBJECT.account, outbound)
    calls, sent = play(exchange, MOVED, taken(1), taken(2))
    bodies = [json.loads(call.body) for call in calls]
    where = [(body["chat_id"], body["text"]) for body in bodies]
    assert where == [(-4001, "one"), (-100200300, "one"), (-100200300, "two")]
    assert "reply_parameters" not in bodies[1]
    ids = ("-100200300:1", "-100200300:2")
    assert sent == Sent(provider_ids=ids, via="message", linked_visitor="-100200300")


def test_a_group_that_moves_in_circles_is_given_up() -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, message(text("one"), recipient="-4001"))
    with pytest.raises(RejectedError) as caught:
        play(exchange, MOVED)
    assert caught.value.reason == "bad_recipient"


SHAPE = refused(400, "Bad Request: PHOTO_INVALID_DIMENSIONS")


def test_a_picture_too_long_for_a_photo_goes_as_a_document() -> None:
    outbound = message(media("image", "jpg"), text("the list"), reply_to="77:5")
    calls, sent = play(SUBJECT.channel.send(SUBJECT.account, outbound), SHAPE, taken(9))
    assert [shown(call) for call in calls] == [
        ("sendPhoto", {"photo": "att_jpg", "caption": "the list", **QUOTED}),
        ("sendDocument", {"document": "att_jpg", "caption": "the list", **QUOTED}),
    ]
    assert sent.provider_ids == ("77:9",)


def test_a_document_that_is_refused_for_its_shape_is_refused() -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, message(media("image", "jpg")))
    with pytest.raises(RejectedError) as caught:
        play(exchange, SHAPE)
    assert caught.value.reason == "bad_content"


# --- answers -----------------------------------------------------------------------------------

FAILURES: dict[str, tuple[HttpReply, type[Exception], str]] = {
    "blocked": (
        refused(403, "Forbidden: bot was blocked by the user"),
        RejectedError,
        "blocked",
    ),
    "deactivated": (refused(403, "Forbidden: user is deactivated"), RejectedError, "blocked"),
    "never started": (
        refused(403, "Forbidden: bot can't initiate conversation with a user"),
        RejectedError,
        "blocked",
    ),
    "removed from the group": (
        refused(403, "Forbidden: bot was kicked from the supergroup chat"),
        RejectedError,
        "blocked",
    ),
    "any other 403": (refused(403, "Forbidden: hologram"), RejectedError, "permission"),
    "no such chat": (refused(400, "Bad Request: chat not found"), RejectedError, "bad_recipient"),
    "no rights": (
        refused(400, "Bad Request: not enough rights to send text messages to the chat"),
        RejectedError,
        "permission",
    ),
    "any other 400": (refused(400, "Bad Request: hologram"), RejectedError, "bad_content"),
    "too large": (refused(413, "Request Entity Too Large"), RejectedError, "too_large"),
    "a revoked token": (refused(401, "Unauthorized"), CredentialError, "credential"),
    "a token that is none": (refused(404, "Not Found"), CredentialError, "credential"),
    "two consumers": (refused(409, "Conflict"), RejectedError, "rejected"),
    "trouble at Telegram": (refused(502, "Bad Gateway"), AmbiguousSendError, ""),
    "a redirect": (HttpReply(status=302), RejectedError, "rejected"),
    "an answer without a message": (
        HttpReply(status=200, body=b'{"ok":true,"result":true}'),
        AmbiguousSendError,
        "",
    ),
    "an answer that is no JSON": (HttpReply(status=200, body=b"<html>"), AmbiguousSendError, ""),
    "too fast": (refused(429, "Too Many Requests", retry_after=7), ThrottledError, ""),
}


@pytest.mark.parametrize(("reply", "kind", "reason"), FAILURES.values(), ids=FAILURES)
def test_what_a_refusal_means(reply: HttpReply, kind: type[Exception], reason: str) -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, message(text("one"), text("two")))
    with pytest.raises(kind) as caught:
        play(exchange, taken(1), reply)
    assert type(caught.value) is kind
    assert getattr(caught.value, "reason", "") == reason
    assert not reason or reason in REASONS
    assert caught.value.provider_ids == ("77:1",)  # type: ignore[attr-defined]
    assert TOKEN not in f"{caught.value!r} {caught.value}"


WAITS = {
    "what Telegram asks for": (refused(429, "x", retry_after=7), 7.0),
    "an hour at most": (refused(429, "x", retry_after=10**9), 3600.0),
    "a second at least": (refused(429, "x", retry_after=-5), 1.0),
    "a second where it is no number": (refused(429, "x", retry_after=[7]), 1.0),
    "a second where it does not say": (HttpReply(status=429), 1.0),
    "the header where that says it": (HttpReply(status=429, headers={"retry-after": "9"}), 9.0),
}


@pytest.mark.parametrize(("reply", "seconds"), WAITS.values(), ids=WAITS)
def test_how_long_to_wait(reply: HttpReply, seconds: float) -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, message(text("one")))
    with pytest.raises(ThrottledError) as caught:
        play(exchange, reply)
    assert caught.value.delay_s == seconds


# --- typing and reading ------------------------------------------------------------------------

TYPING = ("sendChatAction", {"action": "typing"})
SIGNALS: dict[str, tuple[Signal, list[tuple[str, Any]]]] = {
    "typing": (Signal(kind="typing", recipient="77", message_id="77:5"), [TYPING]),
    "reading is not told in a chat with the bot": (
        Signal(kind="seen", recipient="77", message_id="77:5"),
        [],
    ),
    "a tapped button stops waiting": (
        Signal(kind="seen", recipient="77", message_id="77:callback.c1", read_token="c1"),
        [("answerCallbackQuery", {"callback_query_id": "c1"})],
    ),
    "reading is told in a lent account": (
        Signal(kind="seen", recipient="77@bc-1", message_id="77@bc-1:5"),
        [
            (
                "readBusinessMessage",
                {"chat_id": 77, "business_connection_id": "bc-1", "message_id": 5},
            )
        ],
    ),
}


def signalled(shown_signal: Signal, reply: HttpReply) -> list[HttpCall]:
    signal = SUBJECT.channel.signal
    assert signal is not None
    calls, _ = play(signal(SUBJECT.account, shown_signal), reply)
    return calls


@pytest.mark.parametrize(("given", "expected"), SIGNALS.values(), ids=SIGNALS)
def test_what_the_visitor_is_shown(given: Signal, expected: list[tuple[str, Any]]) -> None:
    calls = signalled(given, HttpReply(status=200, body=b'{"ok":true,"result":true}'))
    made_calls = [(call.url.removeprefix(BASE), json.loads(call.body)) for call in calls]
    wanted = [
        (method, {"chat_id": 77, **fields} if method == "sendChatAction" else fields)
        for method, fields in expected
    ]
    assert made_calls == wanted
    assert all(call.harmless for call in calls)


def test_a_button_that_was_tapped_too_long_ago_harms_nothing() -> None:
    given = Signal(kind="seen", recipient="77", read_token="c1")
    assert signalled(given, refused(400, "Bad Request: query is too old"))


def test_typing_for_somebody_who_blocked_us_is_refused() -> None:
    with pytest.raises(RejectedError):
        signalled(Signal(kind="typing", recipient="77"), refused(403, "bot was blocked"))


# --- the token ---------------------------------------------------------------------------------


def test_d28_no_repr_shows_the_address_that_holds_the_token() -> None:
    outbound = message(text("hi"), media("image", "jpg"))
    calls, _ = play(SUBJECT.channel.send(SUBJECT.account, outbound), taken(1))
    fetch = SUBJECT.channel.media
    assert fetch is not None
    found = HttpReply(status=200, body=b'{"ok":true,"result":{"file_path":"photos/a.jpg"}}')
    lookups, download = play(
        fetch(SUBJECT.account, MediaPart(kind="image", media_id="F"), ""), found
    )
    for call in (*calls, *lookups, download):
        assert TOKEN in call.url
        assert repr(call) == f"HttpCall({call.method} api.telegram.org)"


SHOWN = {
    "https://graph.facebook.com/v25.0/me?access_token=s": "HttpCall(POST graph.facebook.com)",
    "https://user:s@host.example:8443/s": "HttpCall(POST host.example:8443)",
    "https://host.example?s": "HttpCall(POST host.example)",
    "http://[::1": "HttpCall(POST [::1)",
    "s": "HttpCall(POST )",
}


@pytest.mark.parametrize(("url", "expected"), SHOWN.items(), ids=SHOWN)
def test_a_call_shows_its_host_only(url: str, expected: str) -> None:
    assert repr(HttpCall(url=url)) == expected


def test_a_token_with_odd_characters_stays_in_its_place() -> None:
    secrets = {**SUBJECT.account.secrets, "bot_token": "1:a/../b?c#d"}
    account = msgspec.structs.replace(SUBJECT.account, secrets=secrets)
    (call,), _ = play(SUBJECT.channel.send(account, message(text("hi"))), taken(1))
    assert call.url == "https://api.telegram.org/bot1:a%2F..%2Fb%3Fc%23d/sendMessage"


def test_an_account_without_a_token_calls_nobody() -> None:
    account = msgspec.structs.replace(SUBJECT.account, secrets={})
    with pytest.raises(CredentialError):
        next(SUBJECT.channel.send(account, message(text("hi"))))


def test_an_upload_that_was_not_sent_is_repeated_and_a_doubtful_one_is_not() -> None:
    outbound = message(media("image", "jpg"))
    (call,), _ = play(SUBJECT.channel.send(SUBJECT.account, outbound), taken(1))
    assert (call.harmless, call.idempotent) == (False, False)
    for error in (NotSentError("refused"), AmbiguousSendError("cut")):
        with pytest.raises(type(error)):
            play(SUBJECT.channel.send(SUBJECT.account, outbound), error)
