"""The web plugin: tokens, what a page posts, and sending."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, Outbound, OutgoingFile, Sent, Signal, WebhookRequest
from libs.common.channels.web import CHANNEL
from libs.common.channels.web.shown import shown
from libs.common.channels.web.visitor import is_upload_of, upload_id
from libs.common.channels.web.wire import VisitorMessage, mint, visitor_of
from libs.common.errors import BadSignatureError, MalformedPayloadError, RejectedError
from libs.common.events import (
    ActionPart,
    Choice,
    ChoicesPart,
    ContentPart,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MediaPart,
    MessageReceived,
    Profile,
    Referral,
    TemplatePart,
    TextPart,
    Unparsed,
)
from tests.channels.conformance import NOW, SUBJECTS, fixtures_of, play

SUBJECT = SUBJECTS["web"]
ACCOUNT = SUBJECT.account
FIXTURES = fixtures_of("web")
ISSUED_AT = int(NOW.timestamp())
UPLOAD = upload_id(ACCOUNT, "visitor-1", "n0nce0001")


def said(number: int, *parts: Any, **more: Any) -> MessageReceived:
    name = f"web:visitor-1:c-{number}"
    fields: dict[str, Any] = {"occurred_at": NOW, **more}
    return MessageReceived(
        event_id=name, visitor="visitor-1", message_id=name, parts=parts, **fields
    )


CASES: dict[str, tuple[str, list[InboundEvent]]] = {
    "a message": ("text", [said(1, TextPart(text="Do you ship to Norway?"))]),
    "a message typed while offline keeps its time": (
        "text_dated",
        [
            said(
                2,
                TextPart(text="typed offline"),
                occurred_at=datetime.fromisoformat("2025-10-09T08:53:20.123Z"),
            )
        ],
    ),
    "several messages": (
        "batch",
        [
            said(3, TextPart(text="one")),
            said(4, TextPart(text="two"), reply_to="msg_abc"),
        ],
    ),
    "what a form told": (
        "form",
        [
            said(
                5,
                TextPart(text="hi"),
                profile=Profile(
                    name="Ada Lovelace",
                    email="ada@example.org",
                    phone="+4512345678",
                    language="da",
                ),
            )
        ],
    ),
    "where the window stands": (
        "page",
        [
            said(
                6,
                TextPart(text="is it in stock?"),
                referral=Referral(
                    source="page",
                    ref="https://search.example/",
                    headline="Lamp 7",
                    url="https://shop.example/p/7",
                ),
            )
        ],
    ),
    "a tapped button": ("button", [said(7, ActionPart(title="Talk to a person", payload="human"))]),
    "a file that was uploaded before": (
        "media",
        [
            said(
                8,
                MediaPart(
                    kind="image",
                    attachment=UPLOAD,
                    name="lamp.png",
                    mime_type="image/png",
                    size_bytes=1000,
                ),
            )
        ],
    ),
    "a file with a caption": (
        "media_captioned",
        [said(9, MediaPart(kind="file", attachment=UPLOAD), TextPart(text="the invoice"))],
    ),
    "how far the visitor has read": (
        "read",
        [
            DeliveryReported(
                event_id="web:visitor-1:r-1",
                visitor="visitor-1",
                occurred_at=NOW,
                status="read",
                watermark=datetime.fromisoformat("2025-10-09T08:53:20.123456Z"),
            )
        ],
    ),
    "nothing": ("empty", []),
}


@pytest.mark.parametrize(("name", "expected"), CASES.values(), ids=CASES)
def test_a_page_says(name: str, expected: list[InboundEvent]) -> None:
    assert list(CHANNEL.parse(ACCOUNT, SUBJECT.sign(FIXTURES[name])).events) == expected


def test_a_form_without_a_message_is_kept() -> None:
    (event,) = CHANNEL.parse(ACCOUNT, SUBJECT.sign(FIXTURES["form_alone"])).events
    assert isinstance(event, InteractionReceived)
    assert (event.kind, event.visitor, event.occurred_at) == ("profile", "visitor-1", NOW)
    assert event.data == {"name": "Ada Lovelace", "email": "ada@example.org"}


def posted(body: Any, *, visitor: str = "visitor-1", at: datetime | None = NOW) -> Any:
    request = WebhookRequest(
        method="POST",
        headers={"authorization": f"Bearer {mint(ACCOUNT, visitor, ISSUED_AT)}"},
        query={},
        body=body if isinstance(body, bytes) else json.dumps(body).encode(),
        received_at=at,
    )
    CHANNEL.verify(ACCOUNT, request)
    return list(CHANNEL.parse(ACCOUNT, request).events)


def test_the_visitor_comes_from_the_token_whatever_the_body_claims() -> None:
    body = {"id": "c-1", "text": "hi", "visitor": "mallory", "v": "mallory"}
    (event,) = posted(body, visitor="ada")
    assert (event.visitor, event.event_id) == ("ada", "web:ada:c-1")


def test_the_same_client_id_of_two_visitors_is_two_messages() -> None:
    body = {"id": "c-1", "text": "hi"}
    assert posted(body, visitor="ada")[0].event_id != posted(body, visitor="bob")[0].event_id


BAD = {
    "a number": (5, "malformed_item"),
    "null": (None, "malformed_item"),
    "no id": ({"text": "x"}, "malformed_item"),
    "an empty id": ({"id": "", "text": "x"}, "malformed_item"),
    "an id of 65 characters": ({"id": "x" * 65, "text": "x"}, "malformed_item"),
    "an id with a line break": ({"id": "c-1\n", "text": "x"}, "malformed_item"),
    "an id of other characters": ({"id": "c 1", "text": "x"}, "malformed_item"),
    "an id that is a number": ({"id": 7, "text": "x"}, "malformed_item"),
    "no text": ({"id": "c-9"}, "malformed_item"),
    "a text that is a list": ({"id": "c-9", "text": []}, "malformed_item"),
    "a time that is a text": ({"id": "c-9", "text": "x", "at": "now"}, "malformed_item"),
    "a new type": ({"id": "c-9", "type": "hologram"}, "unknown_kind"),
    "a file that nobody uploaded": ({"id": "c-9", "type": "media"}, "malformed_item"),
    "a file of another kind": (
        {"id": "c-9", "type": "media", "attachment": UPLOAD, "kind": "sticker"},
        "malformed_item",
    ),
    "a file of negative size": (
        {"id": "c-9", "type": "media", "attachment": UPLOAD, "size_bytes": -1},
        "malformed_item",
    ),
    "reading up to no time": ({"id": "c-9", "type": "read"}, "malformed_item"),
    "reading up to some words": ({"id": "c-9", "type": "read", "up_to": "now"}, "malformed_item"),
}


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize(("item", "reason"), BAD.values(), ids=BAD)
def test_a_bad_item_is_kept_alone(item: Any, reason: str, position: int) -> None:
    items: list[Any] = [{"id": "c-1", "text": "one"}, {"id": "c-2", "text": "two"}]
    items.insert(position, item)
    events = posted({"messages": items})
    kept = events.pop(position)
    assert [event.event_id for event in events] == ["web:visitor-1:c-1", "web:visitor-1:c-2"]
    assert isinstance(kept, Unparsed)
    assert (kept.reason, kept.visitor, json.loads(kept.raw)) == (reason, "visitor-1", item)


def test_a_bad_single_message_is_kept() -> None:
    (kept,) = posted({"id": "c 1", "text": "x"})
    assert isinstance(kept, Unparsed)


@pytest.mark.parametrize("field", ["profile", "page"])
@pytest.mark.parametrize("junk", [5, "x", [], {"name": 5, "url": 5}, None])
def test_an_unreadable_profile_or_page_costs_no_message(field: str, junk: Any) -> None:
    (event,) = posted({"messages": [{"id": "c-1", "text": "hi"}], field: junk})
    assert event == said(1, TextPart(text="hi"))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"5", b'{"messages":5}', b'{"text":"x"}'])
def test_what_is_no_message_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPayloadError):
        posted(body)


def test_a_long_form_is_not_multiplied_by_the_messages_behind_it() -> None:
    long = "x" * 50_000
    items = [{"id": f"c-{number}", "text": "hi"} for number in range(3)]
    events = posted({"messages": items, "profile": {"name": long}, "page": {"url": long}})
    assert len(events) == 3
    for event in events:
        assert (len(event.profile.name), len(event.referral.url)) == (500, 500)


def test_a_text_beyond_64_kib_is_cut() -> None:
    (event,) = posted({"id": "c-1", "text": "é" * 50_000})
    assert len(event.parts[0].text.encode()) == 64 * 1024


# --- files and receipts ------------------------------------------------------------------------

NOT_THEIRS = {
    "another visitor's": upload_id(ACCOUNT, "visitor-2", "n0nce0001"),
    "another account's": upload_id(
        msgspec.structs.replace(ACCOUNT, slug="acme-web-2"), "visitor-1", "n0nce0001"
    ),
    "with another number": UPLOAD.replace("n0nce0001", "n0nce0002"),
    "with another proof": f"{UPLOAD[:-1]}{'0' if UPLOAD[-1] != '0' else '1'}",
    "without a proof": "att_n0nce0001",
    "of our own": "att_aaaaaaaaaaaaaaaaaaaaaaaaaa",
    "with a line break": f"{UPLOAD}\n",
    "nothing": "",
}


@pytest.mark.parametrize("attachment", NOT_THEIRS.values(), ids=NOT_THEIRS)
def test_only_the_visitors_own_upload_is_believed(attachment: str) -> None:
    assert is_upload_of(ACCOUNT, "visitor-1", UPLOAD)
    assert not is_upload_of(ACCOUNT, "visitor-1", attachment)
    (kept,) = posted({"messages": [{"id": "c-1", "type": "media", "attachment": attachment}]})
    assert isinstance(kept, Unparsed)


@pytest.mark.parametrize("nonce", ["", "short", "x" * 33, "UPPER123", "a/b/c/d/e", "12345678\n"])
def test_an_upload_needs_a_proper_nonce(nonce: str) -> None:
    with pytest.raises(ValueError, match="nonce"):
        upload_id(ACCOUNT, "visitor-1", nonce)


def test_a_long_file_name_is_cut() -> None:
    body = {"id": "c-1", "type": "media", "attachment": UPLOAD, "name": "x" * 9000}
    (event,) = posted(body)
    assert len(event.parts[0].name) == 500


SEEN = {
    "as the stream told it": ("2025-10-09T08:00:00.123456Z", "08:00:00.123456"),
    "by a clock of milliseconds, which cuts": (1759996800123, "08:00:00.123999"),
    "still to come": ("2025-10-09T09:00:01Z", "09:00:00"),
}


@pytest.mark.parametrize(("up_to", "watermark"), SEEN.values(), ids=SEEN)
def test_d21_the_visitor_has_read_up_to_a_time(up_to: str | int, watermark: str) -> None:
    (event,) = posted({"id": "r-1", "type": "read", "up_to": up_to})
    assert isinstance(event, DeliveryReported)
    assert event.watermark == datetime.fromisoformat(f"2025-10-09T{watermark}+00:00")
    assert (event.visitor, event.status) == ("visitor-1", "read")


CLOCKS = {
    "right": (-60, -60),
    "a day behind": (-86400, -86400),
    "more than a day behind": (-86401, 0),
    "ahead": (1, 0),
    "far ahead": (10**9, 0),
}


@pytest.mark.parametrize(("claimed_s", "believed_s"), CLOCKS.values(), ids=CLOCKS)
def test_a_page_whose_clock_is(claimed_s: int, believed_s: int) -> None:
    at = int((NOW + timedelta(seconds=claimed_s)).timestamp() * 1000)
    (event,) = posted({"id": "c-1", "text": "hi", "at": at})
    assert event.occurred_at == NOW + timedelta(seconds=believed_s)


def test_without_an_arrival_time_the_pages_clock_is_all_there_is() -> None:
    (event,) = posted({"id": "c-1", "text": "hi", "at": 1760000000123}, at=None)
    assert event.occurred_at == datetime.fromisoformat("2025-10-09T08:53:20.123Z")


# --- tokens ------------------------------------------------------------------------------------


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def with_claims(claims: bytes, key: str = ACCOUNT.secrets["visitor_key"]) -> str:
    """Return a token over any claims, rightly signed with *key*."""
    body = encoded(claims)
    return f"{body}.{encoded(hmac.digest(key.encode(), body.encode(), 'sha256'))}"


def test_a_token_is_two_parts_that_anybody_may_read() -> None:
    token = mint(ACCOUNT, "ada", ISSUED_AT)
    assert token == with_claims(b'{"v":"ada","a":"acme-web","i":%d}' % ISSUED_AT)
    assert visitor_of(ACCOUNT, token) == "ada"


GOOD = mint(ACCOUNT, "ada", ISSUED_AT)
BODY, _, PROOF = GOOD.partition(".")
FORGED = {
    "nothing": "",
    "no proof": BODY,
    "an empty proof": f"{BODY}.",
    "a proof alone": f".{PROOF}",
    "another key": with_claims(b'{"v":"ada","a":"acme-web","i":1}', "another"),
    "an empty key": with_claims(b'{"v":"ada","a":"acme-web","i":1}', ""),
    "other claims under the same proof": f"{encoded(b'{}')}.{PROOF}",
    "the proof in hex": f"{BODY}.{hmac.digest(b'k', BODY.encode(), 'sha256').hex()}",
    "another account": with_claims(b'{"v":"ada","a":"acme-shop","i":1}'),
    "no claims": with_claims(b"{}"),
    "claims of other types": with_claims(b'{"v":1,"a":"acme-web","i":1}'),
    "claims that are no JSON": with_claims(b"\xff"),
    "a visitor id that breaks our subjects": with_claims(b'{"v":"a b","a":"acme-web","i":1}'),
    "an empty visitor id": with_claims(b'{"v":"","a":"acme-web","i":1}'),
    "padding": f"{GOOD}=",
    "a blank inside": GOOD.replace(".", ". "),
    "half an emoji": f"{BODY}\ud800.{PROOF}",
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
def test_a_forged_token_is_refused(token: str) -> None:
    with pytest.raises(BadSignatureError):
        visitor_of(ACCOUNT, token)


SCHEMES = {
    "as usual": ("Bearer {}", True),
    "in small letters": ("bearer {}", True),
    "another scheme": ("Basic {}", False),
    "no scheme": ("{}", False),
    "no token": ("Bearer ", False),
}


@pytest.mark.parametrize(("form", "expected"), SCHEMES.values(), ids=SCHEMES)
def test_the_authorization_header(form: str, expected: bool) -> None:
    headers = {"authorization": form.format(GOOD)}
    request = WebhookRequest(method="POST", headers=headers, query={}, body=b"{}")
    if expected:
        CHANNEL.verify(ACCOUNT, request)
    else:
        with pytest.raises(BadSignatureError):
            CHANNEL.verify(ACCOUNT, request)


@pytest.mark.parametrize("visitor", ["", "a b", "a.b", "ü", "x" * 129, "a\n"])
def test_a_visitor_id_that_breaks_our_subjects_is_not_minted(visitor: str) -> None:
    with pytest.raises(ValueError, match="visitor id"):
        mint(ACCOUNT, visitor, ISSUED_AT)


def test_without_a_key_nothing_is_minted_or_believed() -> None:
    bare: Account = msgspec.structs.replace(ACCOUNT, secrets={"visitor_key": ""})
    with pytest.raises(BadSignatureError):
        mint(bare, "ada", ISSUED_AT)
    with pytest.raises(BadSignatureError):
        visitor_of(bare, with_claims(b'{"v":"ada","a":"acme-web","i":1}', ""))


# --- sending -----------------------------------------------------------------------------------


def test_sending_calls_nobody_and_reports_our_own_id() -> None:
    message = Outbound(message_id="msg_1", recipient="ada", parts=(TextPart(text="hello"),))
    calls, outcome = play(CHANNEL.send(ACCOUNT, message), RuntimeError("no call expected"))
    assert (calls, outcome) == ([], Sent(provider_ids=("msg_1",), via="web"))


def test_a_message_without_content_is_refused() -> None:
    message = Outbound(message_id="msg_1", recipient="ada", parts=())
    with pytest.raises(RejectedError):
        next(CHANNEL.send(ACCOUNT, message))


def test_what_the_visitors_stream_carries() -> None:
    shown = VisitorMessage(
        id="msg_1", at=NOW, sender="agent", agent="Amy", parts=(TextPart(text="hello"),)
    )
    assert json.loads(msgspec.json.encode(shown)) == {
        "id": "msg_1",
        "at": "2025-10-09T09:00:00Z",
        "sender": "agent",
        "parts": [{"type": "text", "text": "hello"}],
        "agent": "Amy",
        "reply_to": "",
    }


OURS = MediaPart(kind="image", attachment="att_1", name="offer.png")
FILE = OutgoingFile(id="att_1", name="offer.png", mime_type="image/png", size_bytes=1000)
CHOICES = ChoicesPart(text="Which?", choices=(Choice(title="A", payload="a"),))


def test_every_kind_of_content_is_sent() -> None:
    parts = (OURS, CHOICES, TemplatePart(name="t", language="en", text="Hello Ada"))
    message = Outbound(message_id="msg_1", recipient="ada", parts=parts, files={"att_1": FILE})
    assert play(CHANNEL.send(ACCOUNT, message), RuntimeError("no call expected"))[1].via == "web"


UNSENDABLE: dict[str, tuple[ContentPart, str]] = {
    "a file that is not stored": (OURS, "file_missing"),
    "a sticker of another provider": (MediaPart(kind="sticker", sticker_id="1"), "bad_content"),
    "a file at another provider": (MediaPart(kind="image", media_id="1"), "bad_content"),
}


@pytest.mark.parametrize(("part", "reason"), UNSENDABLE.values(), ids=UNSENDABLE)
def test_refused(part: ContentPart, reason: str) -> None:
    message = Outbound(message_id="msg_1", recipient="ada", parts=(part,))
    with pytest.raises(RejectedError) as caught:
        next(CHANNEL.send(ACCOUNT, message))
    assert caught.value.reason == reason


def test_signals_need_no_call() -> None:
    assert CHANNEL.signal is not None
    given = Signal(kind="typing", recipient="ada")
    assert play(CHANNEL.signal(ACCOUNT, given), RuntimeError("no call expected"))[0] == []


def carried(*parts: ContentPart) -> bytes:
    return msgspec.json.encode(VisitorMessage(id="msg_1", at=NOW, sender="bot", parts=parts))


SHOWN: dict[str, tuple[bytes, bytes]] = {
    "a file gets a link that works now": (
        carried(msgspec.structs.replace(OURS, url="https://old.example/")),
        carried(msgspec.structs.replace(OURS, url="/files/att_1")),
    ),
    "a template is its text": (
        carried(TemplatePart(name="t", language="en", text="Hello Ada")),
        carried(TextPart(text="Hello Ada")),
    ),
    "choices are shown as they are": (carried(CHOICES), carried(CHOICES)),
    "what another version wrote stays": (b'{"new":1}', b'{"new":1}'),
    "what is no JSON stays": (b"\xff", b"\xff"),
}


@pytest.mark.parametrize(("stored", "told"), SHOWN.values(), ids=SHOWN)
def test_d22_a_page_is_told(stored: bytes, told: bytes) -> None:
    assert shown(stored, lambda part: f"/files/{part.attachment}") == told
