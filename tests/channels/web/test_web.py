"""The web plugin: tokens, what a page posts, and sending."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, Outbound, Sent, WebhookRequest
from libs.common.channels.web import CHANNEL
from libs.common.channels.web.wire import VisitorMessage, mint, visitor_of
from libs.common.errors import BadSignatureError, MalformedPayloadError, RejectedError
from libs.common.events import (
    ActionPart,
    InboundEvent,
    InteractionReceived,
    MessageReceived,
    Profile,
    Referral,
    TextPart,
    Unparsed,
)
from tests.channels.conformance import NOW, SUBJECTS, fixtures_of, play

SUBJECT = SUBJECTS["web"]
ACCOUNT = SUBJECT.account
FIXTURES = fixtures_of("web")
ISSUED_AT = int(NOW.timestamp())


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
    }
