"""What the Meta family has in common: signature, handshake, addressees, one bad item, time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.channel import Account, WebhookRequest
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.events import InboundEvent, MessageReceived, TextPart, Unparsed
from libs.common.providers import meta
from libs.common.providers.normal import facts, fingerprint, key, moment, text
from tests.channels.conformance import SUBJECTS, fixtures_of
from tests.channels.meta_family import parsed
from tests.soak import sized

FAMILY = ("messenger", "fb_comment", "instagram", "whatsapp")
SECRET = "meta-app-secret-example"


def account(**secrets: str) -> Account:
    return Account(
        workspace="acme", slug="page", channel="messenger", external_id="1", secrets=secrets
    )


def post(body: bytes, signature: str | None = None) -> WebhookRequest:
    headers = {} if signature is None else {"x-hub-signature-256": signature}
    return WebhookRequest(method="POST", headers=headers, query={}, body=body)


# --- signature ---------------------------------------------------------------------------------

EMPTY = b'{"object":"page","entry":[]}'
ESCAPED = (
    rb'{"object":"page","entry":[{"id":"1","time":1,"messaging":[{"message":{"text":"\u00e4"}}]}]}'
)
RAW = ESCAPED.replace(rb"\u00e4", "ä".encode())
GOOD = "sha256=0557f45bc65cefe8d87ea6c57dbd07a2366ed13c33545f881241c8e4bf985836"

VECTORS = {
    "an empty batch": (EMPTY, GOOD),
    "escaped as Meta sends it": (
        ESCAPED,
        "sha256=6e4e7cf11890ee60352cd4ab800fb5bae74aadad8932f2a912f691a31426bb94",
    ),
    "the same with the character itself": (
        RAW,
        "sha256=01f961d284bcd1e5699d941a14584f911efa5ff1591068d7c787cf13b9ce465f",
    ),
}


@pytest.mark.parametrize(("body", "signature"), VECTORS.values(), ids=VECTORS)
def test_the_vectors_of_the_protocol_hold(body: bytes, signature: str) -> None:
    meta.verify(account(app_secret=SECRET), post(body, signature))


FORGED = {
    "no header": None,
    "an empty header": "",
    "no digest": "sha256=",
    "the old algorithm's name": GOOD.replace("sha256", "sha1"),
    "no name": GOOD.removeprefix("sha256="),
    "upper case": GOOD.upper().replace("SHA", "sha"),
    "one digit short": GOOD[:-1],
    "one digit wrong": GOOD[:-1] + "7",
    "a second digest behind it": f"{GOOD},{GOOD}",
    "a blank before it": f" {GOOD}",
    "bytes that are no text": "sha256=\udcff" + GOOD[8:],
    "digits that only look like digits": GOOD[:-1] + "\uff16",
}


@pytest.mark.parametrize("signature", FORGED.values(), ids=FORGED)
def test_a_forged_signature_is_refused(signature: str | None) -> None:
    with pytest.raises(BadSignatureError):
        meta.verify(account(app_secret=SECRET), post(EMPTY, signature))


@pytest.mark.parametrize("secrets", [{}, {"app_secret": ""}, {"app_secret": "another"}], ids=repr)
def test_without_the_right_secret_everything_is_refused(secrets: dict[str, str]) -> None:
    with pytest.raises(BadSignatureError):
        meta.verify(account(**secrets), post(EMPTY, GOOD))


# --- handshake ---------------------------------------------------------------------------------

ACCOUNTS = [account(), account(verify_token="one"), account(verify_token="two")]
ASKED = {"hub.mode": "subscribe", "hub.verify_token": "two", "hub.challenge": "1158201444"}


def asked(**changed: str | None) -> WebhookRequest:
    query = {**ASKED, **{f"hub.{name}": value for name, value in changed.items()}}
    known = {name: value for name, value in query.items() if value is not None}
    return WebhookRequest(method="GET", headers={}, query=known, body=b"")


ANSWERED = {
    "any account's token will do": ({}, b"1158201444"),
    "another account's token": ({"verify_token": "one"}, b"1158201444"),
    "a challenge need not be a number": ({"challenge": "a b-c_d"}, b"a b-c_d"),
    "a challenge of 512 characters": ({"challenge": "x" * 512}, b"x" * 512),
}


@pytest.mark.parametrize(("changed", "answer"), ANSWERED.values(), ids=ANSWERED)
def test_the_challenge_is_echoed(changed: dict[str, str], answer: bytes) -> None:
    assert meta.challenge(ACCOUNTS, asked(**changed)) == answer


REFUSED: dict[str, dict[str, str | None]] = {
    "a wrong token": {"verify_token": "three"},
    "an empty token, though an account has none": {"verify_token": ""},
    "no token": {"verify_token": None},
    "a token that is no text": {"verify_token": "\udcff"},
    "another mode": {"mode": "unsubscribe"},
    "no mode": {"mode": None},
    "no challenge": {"challenge": None},
    "an empty challenge": {"challenge": ""},
    "a challenge too long": {"challenge": "x" * 513},
    "a challenge with a line break": {"challenge": "a\r\nb"},
    "a challenge that is not ASCII": {"challenge": "ä"},
}


@pytest.mark.parametrize("changed", REFUSED.values(), ids=REFUSED)
def test_a_wrong_handshake_is_refused(changed: dict[str, str | None]) -> None:
    with pytest.raises(BadSignatureError):
        meta.challenge(ACCOUNTS, asked(**changed))


def test_without_accounts_no_handshake_is_answered() -> None:
    with pytest.raises(BadSignatureError):
        meta.challenge([], asked())


# --- addressees --------------------------------------------------------------------------------


def body_of(object_name: str, *entries: Any) -> bytes:
    return json.dumps({"object": object_name, "entry": list(entries)}).encode()


FEED = {"field": "feed", "value": {"item": "like"}}
PHONE = {"metadata": {"phone_number_id": "PN-1"}}
WABA = "whatsapp_business_account"

ADDRESSED: dict[str, tuple[bytes, set[tuple[str, str]]]] = {
    "messages": (body_of("page", {"id": "1", "messaging": [{}]}), {("messenger", "1")}),
    "copies on standby": (body_of("page", {"id": "1", "standby": [{}]}), {("messenger", "1")}),
    "comments": (body_of("page", {"id": "1", "changes": [FEED]}), {("fb_comment", "1")}),
    "mentions": (
        body_of("page", {"id": "1", "changes": [{"field": "mention"}]}),
        {("fb_comment", "1")},
    ),
    "other changes of a page": (
        body_of("page", {"id": "1", "changes": [{"field": "inbox_labels"}, FEED]}),
        {("messenger", "1"), ("fb_comment", "1")},
    ),
    "several pages": (
        body_of("page", {"id": 1, "messaging": [{}]}, {"id": "2", "changes": [FEED]}),
        {("messenger", "1"), ("fb_comment", "2")},
    ),
    "Instagram's messages, comments and other changes": (
        body_of("instagram", {"id": "9", "messaging": [{}]}, {"id": "8", "changes": [FEED]}),
        {("instagram", "9"), ("instagram", "8")},
    ),
    "a phone number": (
        body_of(WABA, {"id": "W", "changes": [{"field": "messages", "value": PHONE}]}),
        {("whatsapp", "PN-1")},
    ),
    "a handover names the recipient": (
        body_of(WABA, {"id": "W", "changes": [{"value": {"recipient": {"phone_number_id": 5}}}]}),
        {("whatsapp", "5")},
    ),
    "the business account as a whole": (
        body_of(WABA, {"id": "W", "changes": [{"field": "account_alerts", "value": {}}]}),
        {("whatsapp", "waba:W")},
    ),
    "a portfolio's entry names the business account inside": (
        body_of(WABA, {"id": "B", "changes": [{"value": {"waba_info": {"waba_id": "W"}}}]}),
        {("whatsapp", "waba:W")},
    ),
    "a number beside rubbish": (
        body_of(WABA, {"id": "W", "changes": [7, {"value": {**PHONE, "recipient": "?"}}]}),
        {("whatsapp", "waba:W"), ("whatsapp", "PN-1")},
    ),
    "half an emoji": (
        body_of("page", {"id": "1", "messaging": [{"text": "\ud83d"}]}),
        {("messenger", "1")},
    ),
    "lists that are none": (
        body_of("page", {"id": "1", "changes": "x"}, {"id": "2", "standby": {}}),
        {("fb_comment", "1"), ("messenger", "2")},
    ),
    "an entry of a new kind": (body_of("page", {"id": "1", "hops": []}), {("messenger", "1")}),
    "an entry that says nothing": (body_of("page", {"id": "1", "time": 1}), set()),
    "entries without an id": (body_of("page", {"messaging": [{}]}, 5, {"id": {}}), set()),
    "an id too long to be one": (body_of("page", {"id": "1" * 513, "messaging": [{}]}), set()),
    "an object nobody knows": (body_of("user", {"id": "1", "messaging": [{}]}), set()),
    "no entries": (b'{"object":"page"}', set()),
}


@pytest.mark.parametrize(("body", "expected"), ADDRESSED.values(), ids=ADDRESSED)
def test_a_body_speaks_of(body: bytes, expected: set[tuple[str, str]]) -> None:
    assert meta.addressees(post(body)) == expected


NO_ENVELOPE = {"a list": b"[]", "a number": b"1", "no list": b'{"entry":{}}', "nothing": b""}


@pytest.mark.parametrize("body", NO_ENVELOPE.values(), ids=NO_ENVELOPE)
def test_what_is_no_envelope_is_refused_by_name(body: bytes) -> None:
    for name in FAMILY:
        subject = SUBJECTS[name]
        with pytest.raises(MalformedPayloadError):
            subject.channel.parse(subject.account, post(body))
    with pytest.raises(MalformedPayloadError):
        meta.addressees(post(body))


@pytest.mark.parametrize("name", FAMILY)
def test_every_event_of_a_fixture_is_addressed_to_its_account(name: str) -> None:
    subject = SUBJECTS[name]
    for fixture, body in fixtures_of(name).items():
        if parsed(subject, body):
            assert (name, subject.account.external_id) in meta.addressees(post(body)), fixture


# --- one bad item ------------------------------------------------------------------------------


def batch(name: str, items: list[Any]) -> dict[str, Any]:
    """Return a body with *items* in the place where the channel has its messages."""
    if name == "messenger":
        return {"object": "page", "entry": [{"id": "1001", "messaging": items}]}
    if name == "instagram":
        return {"object": "instagram", "entry": [{"id": "17840001", "messaging": items}]}
    if name == "fb_comment":
        changes = [{"field": "feed", "value": item} for item in items]
        return {"object": "page", "entry": [{"id": "1001", "changes": changes}]}
    value = {"metadata": {"phone_number_id": "PN-1"}, "messages": items}
    return {
        "object": WABA,
        "entry": [{"id": "W", "changes": [{"field": "messages", "value": value}]}],
    }


def good(name: str, number: int, words: str = "hi") -> dict[str, Any]:
    if name in {"messenger", "instagram"}:
        return {"sender": {"id": "P"}, "message": {"mid": f"m{number}", "text": words}}
    if name == "fb_comment":
        made = {"item": "comment", "verb": "add", "comment_id": f"c{number}", "message": words}
        return {**made, "from": {"id": "P"}}
    return {"from": "P", "id": f"w{number}", "type": "text", "text": {"body": words}}


BAD: tuple[Any, ...] = (5, None, [], "\ud83d", {"message": 5, "item": "comment", "verb": "add"})


def kinds_of(events: tuple[InboundEvent, ...]) -> list[str]:
    return [event.reason if isinstance(event, Unparsed) else "message" for event in events]


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("bad", BAD, ids=ascii)
@pytest.mark.parametrize("place", range(4))
def test_a_malformed_item_in_any_place_costs_no_neighbour(name: str, bad: Any, place: int) -> None:
    items = [good(name, number) for number in range(3)]
    items.insert(place, bad)
    events = parsed(SUBJECTS[name], batch(name, items))
    rest = kinds_of(events)
    assert rest.pop(place) in {"malformed_item", "unknown_kind"}
    assert rest == ["message"] * 3
    alone = parsed(SUBJECTS[name], batch(name, [good(name, number) for number in range(3)]))
    assert [event for event in events if isinstance(event, MessageReceived)] == list(alone)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("fixture", ["malformed_items", "malformed_values"])
def test_the_fixtures_of_bad_items_keep_first_and_last(name: str, fixture: str) -> None:
    if fixture in fixtures_of(name):
        said = [
            event.parts[0].text
            for event in parsed(SUBJECTS[name], fixtures_of(name)[fixture])
            if isinstance(event, MessageReceived) and isinstance(event.parts[0], TextPart)
        ]
        assert said == ["first", "last"]


@pytest.mark.parametrize("name", FAMILY)
def test_half_an_emoji_in_the_third_of_ten_leaves_ten(name: str) -> None:
    events = parsed(SUBJECTS[name], fixtures_of(name)["half_emoji_among_ten"])
    said = [event.parts[0].text for event in events if isinstance(event, MessageReceived)]  # type: ignore[union-attr]
    assert said == [f"text {n}" if n != 3 else "half \ufffd" for n in range(1, 11)]


@pytest.mark.parametrize("name", FAMILY)
def test_broken_utf_8_in_one_item_leaves_all(name: str) -> None:
    body = json.dumps(batch(name, [good(name, 1, "jos\u00e9"), good(name, 2)]), ensure_ascii=False)
    broken = body.encode().replace("\u00e9".encode(), b"\xc3")
    first, second = parsed(SUBJECTS[name], broken)
    assert isinstance(first, MessageReceived)
    assert first.parts == (TextPart(text="jos\ufffd"),)
    assert isinstance(second, MessageReceived)


@pytest.mark.parametrize("name", FAMILY)
def test_an_item_nested_too_deep_is_quarantined_alone(name: str) -> None:
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    items = [good(name, 1), {**good(name, 2), "message": deep, "text": deep}, good(name, 3)]
    kinds = kinds_of(parsed(SUBJECTS[name], batch(name, items)))
    assert kinds == ["message", "malformed_item", "message"]


WORDS = """
id sender recipient timestamp message mid text attachments payload type reaction read postback
delivery watermark mids referral optin item verb comment_id post_id from parent_id photos messages
statuses contacts standby value field changes system interactive order context status errors code
user_id wa_id
"""
NAMES = st.sampled_from(WORDS.split())
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("name", FAMILY)
@settings(max_examples=sized(60, 500), deadline=None, derandomize=True)
@given(items=st.lists(st.dictionaries(NAMES, JSON_VALUES, max_size=5), max_size=3))
def test_items_of_any_content_become_events_that_travel(name: str, items: list[Any]) -> None:
    body = json.dumps(batch(name, items)).encode()
    found = SUBJECTS[name].channel.parse(SUBJECTS[name].account, post(body))
    assert len(found.events) + found.ignored == len(items)
    for event in found.events:
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event


# --- values ------------------------------------------------------------------------------------

MIDDAY = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)

MOMENTS: dict[str, tuple[Any, datetime | None]] = {
    "seconds": (1760000000, MIDDAY),
    "milliseconds": (1760000000000, MIDDAY),
    "fractions of a second": (1760000000123, MIDDAY.replace(microsecond=123000)),
    "seconds as text": ("1760000000", MIDDAY),
    "milliseconds as text, with blanks": (" 1760000000000 ", MIDDAY),
    "seconds as a float": (1760000000.0, MIDDAY),
    "the last seconds": (10**11 - 1, datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
    "the first milliseconds": (10**11, datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
    "ISO 8601": ("2025-10-09T08:53:20+0000", MIDDAY),
    "ISO 8601 of another zone": ("2025-10-09T15:53:20+07:00", MIDDAY),
    "ISO 8601 without a zone": ("2025-10-09T08:53:20", MIDDAY),
    "nothing": (None, None),
    "zero": (0, None),
    "a negative number": (-5, None),
    "a number past all years": (10**18, None),
    "a number past all floats": (10**400, None),
    "infinity": (float("inf"), None),
    "not a number": (float("nan"), None),
    "true": (True, None),
    "words": ("yesterday", None),
    "no words": ("", None),
    "a date before the calendar in another zone": ("0001-01-01T00:00:00+14:00", None),
    "digits of another script": ("١٧٦٠٠٠٠٠٠٠", MIDDAY),
}


@pytest.mark.parametrize(("value", "expected"), MOMENTS.values(), ids=MOMENTS)
def test_a_moment_is_read(value: Any, expected: datetime | None) -> None:
    assert moment(value) == expected


@given(st.integers() | st.floats() | st.text(max_size=30) | st.booleans())
def test_any_value_is_a_moment_or_none(value: float | str) -> None:
    found = moment(value)
    assert found is None or found.tzinfo is UTC


def test_a_key_is_readable_while_it_can_be() -> None:
    assert key("message", "m_1") == "message:m_1"
    for part in ("", "two words", "ä", "x" * 201, "a\nb"):
        assert key("message", part).startswith("message_")
    assert key("read", "a", "bc") != key("read", "ab", "c")


def test_one_item_has_one_fingerprint_however_it_is_written() -> None:
    one = rb'{"a":"\u00e4","b":[1,2.5]}'
    other = '{ "b" : [1, 2.5], "a" : "ä" }'.encode()
    assert fingerprint(one) == fingerprint(other) != fingerprint(b'{"a":"\xc3\xa4"}')


def test_facts_are_flat_few_and_without_what_opens_something() -> None:
    value = {"a": {"b": [1, None, "x\0"]}, "token": "t", "c": {"token": "t"}, "d": True}
    assert facts(value, without=frozenset({"token"})) == {"a.b.0": "1", "a.b.2": "x", "d": "True"}
    assert len(facts({str(n): "y" * 5000 for n in range(100)})) == 40
    assert {len(found) for found in facts({"a": "y" * 5000}).values()} == {1000}


def test_a_long_text_is_cut_between_code_points() -> None:
    assert text("a" + "\U0001f600" * 20_000) == "a" + "\U0001f600" * 16_383
