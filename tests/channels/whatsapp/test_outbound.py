"""What WhatsApp is asked to send, one sentence each."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from libs.common.channel import (
    Account,
    HttpCall,
    HttpReply,
    MessageTemplate,
    Outbound,
    OutgoingFile,
    Sent,
    Signal,
)
from libs.common.errors import AmbiguousSendError, NotSentError, RejectedError, ThrottledError
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
from libs.common.providers.graph import VERSION
from tests.channels.conformance import SUBJECTS, play

SUBJECT = SUBJECTS["whatsapp"]
PHONE = "15557770000"
MIB = 2**20

SIZES: dict[str, tuple[str, int]] = {
    "jpg": ("image/jpeg", 10),
    "jpg_full": ("image/jpeg", 5 * MIB),
    "jpg_over": ("image/jpeg", 5 * MIB + 1),
    "gif": ("image/gif", 10),
    "ogg": ("audio/ogg", 10),
    "aac": ("audio/aac", 10),
    "wav": ("audio/wav", 10),
    "mp4": ("video/mp4", 16 * MIB),
    "mp4_over": ("video/mp4", 16 * MIB + 1),
    "3gpp": ("video/3gpp", 10),
    "mov": ("video/quicktime", 10),
    "pdf": ("application/pdf", 100 * MIB),
    "pdf_over": ("application/pdf", 100 * MIB + 1),
    "webp": ("image/webp", 10),
}
FILES = {
    f"att_{name}": OutgoingFile(id=f"att_{name}", name=f"a.{name}", mime_type=mime, size_bytes=size)
    for name, (mime, size) in SIZES.items()
}


def message(*parts: ContentPart, **more: Any) -> Outbound:
    return Outbound(
        **{"message_id": "msg_1", "recipient": PHONE, "parts": parts, "files": FILES, **more}
    )


def media(kind: MediaKind, name: str) -> MediaPart:
    return MediaPart(kind=kind, attachment=f"att_{name}")


def text(words: str) -> TextPart:
    return TextPart(text=words)


def taken(number: int, **contact: str) -> HttpReply:
    """Return an answer in which both an upload and a message find their id."""
    body = {
        "id": f"up_{number}",
        "messages": [{"id": f"wamid.OUT{number}", "message_status": "accepted"}],
        "contacts": [{"input": PHONE, "wa_id": PHONE, **contact}],
    }
    return HttpReply(status=200, body=json.dumps(body).encode())


def made(outbound: Outbound, account: Account = SUBJECT.account) -> tuple[list[HttpCall], Sent]:
    return play(SUBJECT.channel.send(account, outbound), *(taken(n) for n in range(1, 9)))


def shown(call: HttpCall) -> Any:
    """Return the body without what every call has; of an upload its file and fields."""
    assert call.url.startswith(f"https://graph.facebook.com/{VERSION}/PN-1/")
    if call.upload is not None:
        assert call.url.endswith("/media")
        assert call.harmless
        assert not call.body
        return {call.upload.field: call.upload.file.id, **call.upload.fields}
    assert call.url.endswith("/messages")
    assert (call.harmless, call.idempotent) == (False, False)
    body = json.loads(call.body)
    usual = {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": PHONE,
        "biz_opaque_callback_data": "msg_1",
    }
    assert {name: body.pop(name, None) for name in usual} == usual
    kind = body.pop("type")
    content = body.pop(kind)
    return {kind: content, **body}


def said(words: str, **more: Any) -> dict[str, Any]:
    return {"text": {"body": words, "preview_url": False}, **more}


def upload(name: str) -> dict[str, str]:
    mime = SIZES[name][0]
    return {"file": f"att_{name}", "messaging_product": "whatsapp", "type": mime}


def choices(*given: Choice, style: Any = "quick_reply", words: str = "Which?") -> ChoicesPart:
    return ChoicesPart(text=words, choices=given, style=style, label="Colours")


RED, BLUE = Choice(title="Red", payload="COLOR_RED"), Choice(title="Blue")
BUTTONS = {
    "type": "button",
    "body": {"text": "Which?"},
    "action": {
        "buttons": [
            {"type": "reply", "reply": {"id": "COLOR_RED", "title": "Red"}},
            {"type": "reply", "reply": {"id": "Blue", "title": "Blue"}},
        ]
    },
}


def as_list(*rows: dict[str, str], label: str = "Colours") -> dict[str, Any]:
    action = {"button": label, "sections": [{"rows": list(rows)}]}
    return {"interactive": {"type": "list", "body": {"text": "Which?"}, "action": action}}


def numbered(count: int, **more: str) -> tuple[Choice, ...]:
    return tuple(Choice(title=f"t{n}", payload=f"p{n}", **more) for n in range(count))


CASES: dict[str, tuple[Outbound, list[Any]]] = {
    "a text": (message(text("hi")), [said("hi")]),
    "a link gets its preview": (
        message(text("see https://example.com")),
        [{"text": {"body": "see https://example.com", "preview_url": True}}],
    ),
    "only the first of several parts quotes": (
        message(text("one"), text("two"), reply_to="wamid.A1"),
        [said("one", context={"message_id": "wamid.A1"}), said("two")],
    ),
    "a picture is brought there first, its text is the caption": (
        message(media("image", "jpg"), text("the receipt")),
        [upload("jpg"), {"image": {"id": "up_1", "caption": "the receipt"}}],
    ),
    "a caption of 1,024 characters": (
        message(media("image", "jpg"), text("x" * 1024)),
        [upload("jpg"), {"image": {"id": "up_1", "caption": "x" * 1024}}],
    ),
    "one more is a text of its own": (
        message(media("image", "jpg"), text("x" * 1025)),
        [upload("jpg"), {"image": {"id": "up_1"}}, said("x" * 1025)],
    ),
    "a sound carries no caption": (
        message(media("audio", "ogg"), text("listen")),
        [upload("ogg"), {"audio": {"id": "up_1"}}, said("listen")],
    ),
    "all files are there before anything shows": (
        message(text("see"), media("video", "mp4"), media("file", "pdf")),
        [
            upload("mp4"),
            upload("pdf"),
            said("see"),
            {"video": {"id": "up_1"}},
            {"document": {"id": "up_2", "filename": "a.pdf"}},
        ],
    ),
    "the same file twice is brought there once": (
        message(media("image", "jpg"), media("image", "jpg")),
        [upload("jpg"), {"image": {"id": "up_1"}}, {"image": {"id": "up_1"}}],
    ),
    "a picture of 5 MB": (
        message(media("image", "jpg_full")),
        [upload("jpg_full"), {"image": {"id": "up_1"}}],
    ),
    "a larger one goes as a document": (
        message(media("image", "jpg_over")),
        [upload("jpg_over"), {"document": {"id": "up_1", "filename": "a.jpg_over"}}],
    ),
    "a GIF goes as a document": (
        message(media("image", "gif"), text("fun")),
        [upload("gif"), {"document": {"id": "up_1", "caption": "fun", "filename": "a.gif"}}],
    ),
    "a sound of AAC": (message(media("audio", "aac")), [upload("aac"), {"audio": {"id": "up_1"}}]),
    "a sound of another format goes as a document": (
        message(media("audio", "wav")),
        [upload("wav"), {"document": {"id": "up_1", "filename": "a.wav"}}],
    ),
    "a film over 16 MB goes as a document": (
        message(media("video", "mp4_over")),
        [upload("mp4_over"), {"document": {"id": "up_1", "filename": "a.mp4_over"}}],
    ),
    "a film of 3GP": (message(media("video", "3gpp")), [upload("3gpp"), {"video": {"id": "up_1"}}]),
    "a QuickTime film goes as a document": (
        message(media("video", "mov")),
        [upload("mov"), {"document": {"id": "up_1", "filename": "a.mov"}}],
    ),
    "a sticker": (
        message(media("sticker", "webp")),
        [upload("webp"), {"sticker": {"id": "up_1"}}],
    ),
    "a picture as a sticker is a picture": (
        message(media("sticker", "jpg")),
        [upload("jpg"), {"image": {"id": "up_1"}}],
    ),
    "a place": (
        message(LocationPart(latitude=13.75, longitude=100.5, name="Shop")),
        [{"location": {"latitude": 13.75, "longitude": 100.5, "name": "Shop"}}],
    ),
    "a card": (
        message(ContactPart(name="Bo Li", phones=("+1 555",), emails=("bo@example.com",))),
        [
            {
                "contacts": [
                    {
                        "name": {"formatted_name": "Bo Li", "first_name": "Bo Li"},
                        "phones": [{"phone": "+1 555"}],
                        "emails": [{"email": "bo@example.com"}],
                    }
                ]
            }
        ],
    ),
    "a card without a name has its number as name": (
        message(ContactPart(phones=("+1 555",))),
        [
            {
                "contacts": [
                    {
                        "name": {"formatted_name": "+1 555", "first_name": "+1 555"},
                        "phones": [{"phone": "+1 555"}],
                    }
                ]
            }
        ],
    ),
    "up to three choices are buttons; one without a payload returns its title": (
        message(choices(RED, BLUE)),
        [{"interactive": BUTTONS}],
    ),
    "buttons that stay are the same": (
        message(choices(RED, BLUE, style="button")),
        [{"interactive": BUTTONS}],
    ),
    "a list": (
        message(choices(RED, Choice(title="Blue", description="dark"), style="list")),
        [
            as_list(
                {"id": "COLOR_RED", "title": "Red"},
                {"id": "Blue", "title": "Blue", "description": "dark"},
            )
        ],
    ),
    "four quick replies are a list": (
        message(choices(*numbered(4))),
        [as_list(*({"id": f"p{n}", "title": f"t{n}"} for n in range(4)))],
    ),
    "a title too long for a button makes a list": (
        message(choices(Choice(title="x" * 24, payload="p"))),
        [as_list({"id": "p", "title": "x" * 24})],
    ),
    "a list without a label shows three lines": (
        message(ChoicesPart(text="Which?", choices=numbered(1), style="list")),
        [as_list({"id": "p0", "title": "t0"}, label="\u2630")],
    ),
    "eleven choices are numbered text": (
        message(choices(*numbered(11))),
        [said("Which?\n" + "\n".join(f"{n + 1}. t{n}" for n in range(11)))],
    ),
    "a title too long for a row is numbered text": (
        message(choices(Choice(title="x" * 25))),
        [said(f"Which?\n1. {'x' * 25}")],
    ),
    "a description too long for a row is numbered text": (
        message(choices(Choice(title="a", description="d" * 73))),
        [said(f"Which?\n1. a - {'d' * 73}")],
    ),
    "choices that look alike are numbered text": (
        message(choices(Choice(title="a", payload="1"), Choice(title="a", payload="2"))),
        [said("Which?\n1. a\n2. a")],
    ),
    "a choice that opens a link is numbered text": (
        message(choices(RED, Choice(title="Shop", url="shop.example"))),
        [said("Which?\n1. Red\n2. Shop - shop.example")],
    ),
    "a question over 1,024 characters is numbered text": (
        message(choices(RED, words="x" * 1025)),
        [said(f"{'x' * 1025}\n1. Red")],
    ),
}


@pytest.mark.parametrize(("outbound", "expected"), CASES.values(), ids=CASES)
def test_d22_what_is_asked(outbound: Outbound, expected: list[Any]) -> None:
    calls, sent = made(outbound)
    assert [shown(call) for call in calls] == expected
    ids = [f"wamid.OUT{n}" for n, call in enumerate(calls, start=1) if call.upload is None]
    assert list(sent.provider_ids) == ids
    assert sent.via == "message"


REFUSED: dict[str, tuple[ContentPart, str]] = {
    "a file over 100 MB": (media("file", "pdf_over"), "too_large"),
    "a file that is not stored": (media("file", "lost"), "file_missing"),
    "another provider's sticker": (
        MediaPart(kind="sticker", sticker_id="11537/1"),
        "bad_content",
    ),
    "a card without number or address": (ContactPart(name="Bo"), "bad_content"),
    "a blank": (text("  "), "bad_content"),
}


@pytest.mark.parametrize(("part", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_sent_is_refused_before_any_call(part: ContentPart, reason: str) -> None:
    parts = [part] if isinstance(part, TextPart) else [text("first"), part]
    with pytest.raises(RejectedError) as caught:
        next(SUBJECT.channel.send(SUBJECT.account, message(*parts)))
    assert caught.value.reason == reason


# --- templates ---------------------------------------------------------------------------------

KNOWN = MessageTemplate(
    name="order", language="en_US", body="Hi {{1}}", buttons=("quick_reply", "url", "copy_code")
)


def template(**more: Any) -> TemplatePart:
    return TemplatePart(name="order", language="en_US", text="Hi Ada", **more)


def values(*words: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": word} for word in words]


TEMPLATES: dict[str, tuple[TemplatePart, list[Any]]] = {
    "without values": (template(), []),
    "with values in its text": (
        template(body=("Ada", "42")),
        [{"type": "body", "parameters": values("Ada", "42")}],
    ),
    "a value takes no line breaks": (
        template(body=("a\n b\t\tc",)),
        [{"type": "body", "parameters": values("a b c")}],
    ),
    "with a text above": (
        template(header="Order 42"),
        [{"type": "header", "parameters": values("Order 42")}],
    ),
    "with a picture above": (
        template(header_media=media("image", "jpg")),
        [{"type": "header", "parameters": [{"type": "image", "image": {"id": "up_1"}}]}],
    ),
    "with a document above": (
        template(header_media=media("file", "pdf")),
        [
            {
                "type": "header",
                "parameters": [
                    {"type": "document", "document": {"id": "up_1", "filename": "a.pdf"}}
                ],
            }
        ],
    ),
    "each button takes its own kind of value": (
        template(buttons=("YES", "orders/42", "SAVE20")),
        [
            {
                "type": "button",
                "sub_type": "quick_reply",
                "index": "0",
                "parameters": [{"type": "payload", "payload": "YES"}],
            },
            {
                "type": "button",
                "sub_type": "url",
                "index": "1",
                "parameters": [{"type": "text", "text": "orders/42"}],
            },
            {
                "type": "button",
                "sub_type": "copy_code",
                "index": "2",
                "parameters": [{"type": "coupon_code", "coupon_code": "SAVE20"}],
            },
        ],
    ),
    "a button without a place-holder is passed over": (
        template(buttons=("", "orders/42")),
        [
            {
                "type": "button",
                "sub_type": "url",
                "index": "1",
                "parameters": [{"type": "text", "text": "orders/42"}],
            }
        ],
    ),
}


@pytest.mark.parametrize(("part", "components"), TEMPLATES.values(), ids=TEMPLATES)
def test_d29_a_template_is_told_from_a_free_message(
    part: TemplatePart, components: list[Any]
) -> None:
    account = msgspec.structs.replace(SUBJECT.account, templates=(KNOWN,))
    calls, sent = made(message(part), account)
    wanted: dict[str, Any] = {"name": "order", "language": {"code": "en_US"}}
    if components:
        wanted["components"] = components
    assert shown(calls[-1]) == {"template": wanted}
    assert sent.via == "template"


def test_buttons_of_a_template_that_the_account_does_not_know_are_links() -> None:
    calls, _ = made(message(template(buttons=("orders/42",))))
    (button,) = shown(calls[0])["template"]["components"]
    assert button["sub_type"] == "url"


def test_a_header_that_would_become_a_document_is_refused() -> None:
    part = template(header_media=media("image", "jpg_over"))
    with pytest.raises(RejectedError) as caught:
        next(SUBJECT.channel.send(SUBJECT.account, message(part)))
    assert caught.value.reason == "bad_content"


# --- recipients and answers --------------------------------------------------------------------

RECIPIENTS: dict[str, tuple[str, dict[str, str]]] = {
    "a number": ("15557770000", {"recipient_type": "individual", "to": "15557770000"}),
    "a user id": ("US.123", {"recipient_type": "individual", "recipient": "US.123"}),
    "a parent user id": (
        "US.ENT.123",
        {"recipient_type": "individual", "recipient": "US.ENT.123"},
    ),
    "a group": ("GROUP-1", {"recipient_type": "group", "to": "GROUP-1"}),
}


@pytest.mark.parametrize(("visitor", "expected"), RECIPIENTS.values(), ids=RECIPIENTS)
def test_whom_it_goes_to(visitor: str, expected: dict[str, str]) -> None:
    (call,), _ = made(message(text("hi"), recipient=visitor))
    body = json.loads(call.body)
    names = ("recipient_type", "to", "recipient")
    assert {name: body[name] for name in names if name in body} == expected


def test_the_answer_tells_the_other_id_of_the_same_person() -> None:
    _, sent = play(
        SUBJECT.channel.send(SUBJECT.account, message(text("hi"))), taken(1, user_id="US.9")
    )
    assert sent == Sent(provider_ids=("wamid.OUT1",), via="message", linked_visitor="US.9")


def error(code: int, status: int = 400, **more: Any) -> HttpReply:
    body = {"error": {"message": "m", "type": "OAuthException", "code": code, **more}}
    return HttpReply(status=status, body=json.dumps(body).encode())


FAILURES: dict[str, tuple[HttpReply, type[Exception], str]] = {
    "a rate limit": (error(130429, 429), ThrottledError, ""),
    "a pair rate limit": (error(131056), ThrottledError, ""),
    "the window is over": (error(131047), RejectedError, "window_closed"),
    "no such template": (error(132001), RejectedError, "bad_content"),
    "not to a user id": (error(131062), RejectedError, "bad_recipient"),
    "opted out": (error(131050), RejectedError, "blocked"),
    "a revoked token": (error(190, 401), RejectedError, "credential"),
    "trouble at WhatsApp": (error(131000, 500), AmbiguousSendError, ""),
    "a passing fault": (error(131099, is_transient=True), AmbiguousSendError, ""),
}


@pytest.mark.parametrize(("reply", "kind", "reason"), FAILURES.values(), ids=FAILURES)
def test_what_a_refusal_means(reply: HttpReply, kind: type[Exception], reason: str) -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, message(text("one"), text("two")))
    with pytest.raises(kind) as caught:
        play(exchange, taken(1), reply)
    assert getattr(caught.value, "reason", "") == reason
    assert caught.value.provider_ids == ("wamid.OUT1",)  # type: ignore[attr-defined]


def test_an_upload_whose_outcome_is_unknown_is_repeated() -> None:
    exchange = SUBJECT.channel.send(SUBJECT.account, message(media("image", "jpg")))
    with pytest.raises(NotSentError):
        play(exchange, HttpReply(status=502))


# --- typing and reading ------------------------------------------------------------------------

READ = {"messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A1"}
SIGNALS: dict[str, tuple[Signal, list[Any]]] = {
    "reading": (Signal(kind="seen", recipient=PHONE, message_id="wamid.A1"), [READ]),
    "typing reads too": (
        Signal(kind="typing", recipient=PHONE, message_id="wamid.A1"),
        [{**READ, "typing_indicator": {"type": "text"}}],
    ),
    "nothing without a message": (Signal(kind="typing", recipient=PHONE), []),
}


@pytest.mark.parametrize(("shown_signal", "bodies"), SIGNALS.values(), ids=SIGNALS)
def test_what_the_visitor_is_shown(shown_signal: Signal, bodies: list[Any]) -> None:
    signal = SUBJECT.channel.signal
    assert signal is not None
    calls, _ = play(signal(SUBJECT.account, shown_signal), taken(1))
    assert [json.loads(call.body) for call in calls] == bodies
    assert all(call.harmless for call in calls)
