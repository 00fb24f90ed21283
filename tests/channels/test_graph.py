"""What an answer of the Graph API proves, and texts that take several calls."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply, Outbound, Sent
from libs.common.channels.whatsapp.codes import CODES
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import MediaPart, TextPart, Thread
from libs.common.providers.graph import PAGE_CODES, VERSION, Codes, accepted, first_text, given_id
from tests.channels.conformance import SUBJECTS, play

PAGE, WHATSAPP = "page", "whatsapp"
TABLES = {PAGE: PAGE_CODES, WHATSAPP: CODES}


def answer(
    status: int, code: int | None = None, subcode: int | None = None, **more: Any
) -> HttpReply:
    error: dict[str, Any] = {"message": "words of Meta", "fbtrace_id": "A1", **more}
    error |= {} if code is None else {"code": code}
    error |= {} if subcode is None else {"error_subcode": subcode}
    return HttpReply(status=status, body=json.dumps({"error": error}).encode())


def verdict(reply: HttpReply, codes: Codes) -> str:
    """Return the failure in one word, a refusal with its reason and code."""
    try:
        accepted(reply, codes)
    except CredentialError as error:
        return f"credential {error.provider_code}"
    except RejectedError as error:
        return f"{error.reason} {error.provider_code}"
    except ThrottledError as error:
        return f"throttled {error.delay_s:g}"
    except AmbiguousSendError:
        return "ambiguous"
    return "accepted"


VERDICTS: dict[str, tuple[str, HttpReply, str]] = {
    "200 with an object is accepted": (PAGE, HttpReply(status=200, body=b"{}"), "accepted"),
    "200 without a body proves nothing": (PAGE, HttpReply(status=200), "ambiguous"),
    "200 with a page of HTML proves nothing": (
        PAGE,
        HttpReply(status=200, body=b"<html>"),
        "ambiguous",
    ),
    "200 cut off proves nothing": (PAGE, HttpReply(status=200, body=b'{"id":"5'), "ambiguous"),
    "200 with a list proves nothing": (PAGE, HttpReply(status=200, body=b"[1]"), "ambiguous"),
    "200 with a refusal is a refusal": (
        PAGE,
        answer(200, 100, 2018001),
        "bad_recipient 100/2018001",
    ),
    "200 with an empty error proves nothing": (
        PAGE,
        HttpReply(status=200, body=b'{"error":{}}'),
        "ambiguous",
    ),
    "a redirect proves nothing": (PAGE, HttpReply(status=302), "ambiguous"),
    "a time-out of the request proves nothing": (PAGE, HttpReply(status=408), "ambiguous"),
    "a server error proves nothing": (PAGE, answer(500, 100), "ambiguous"),
    "a gateway's error proves nothing": (PAGE, HttpReply(status=502, body=b"<html>"), "ambiguous"),
    "code 1 proves nothing": (PAGE, answer(400, 1), "ambiguous"),
    "code 2 proves nothing": (PAGE, answer(400, 2), "ambiguous"),
    "code 1200 proves nothing": (PAGE, answer(400, 1200), "ambiguous"),
    "what is transient proves nothing": (PAGE, answer(400, 99, is_transient=True), "ambiguous"),
    "terms to accept, though of code 2": (PAGE, answer(400, 2, 2018344), "policy 2/2018344"),
    "the same on a server error proves nothing": (PAGE, answer(500, 2, 2018344), "ambiguous"),
    "an application's limit": (PAGE, answer(400, 4), "throttled 30"),
    "an application's limit with a subcode": (PAGE, answer(400, 4, 2018022), "throttled 30"),
    "a user's limit": (PAGE, answer(400, 17), "throttled 30"),
    "a page's limit, though transient": (PAGE, answer(400, 32, is_transient=True), "throttled 30"),
    "calls too fast": (PAGE, answer(400, 613, 1996), "throttled 30"),
    "a business's limit on a server error": (PAGE, answer(503, 80006), "throttled 30"),
    "429 without a code": (PAGE, HttpReply(status=429), "throttled 30"),
    "an expired token": (PAGE, answer(400, 190, 463), "credential 190/463"),
    "401 without a code": (PAGE, HttpReply(status=401), "credential "),
    "outside the window": (PAGE, answer(400, 10, 2018278), "window_closed 10/2018278"),
    "outside the window, of old": (PAGE, answer(400, 10, 2018065), "window_closed 10/2018065"),
    "outside the window, on Instagram": (
        PAGE,
        answer(400, 10, 2534022),
        "window_closed 10/2534022",
    ),
    "a restricted page": (PAGE, answer(400, 10, 1893063), "policy 10/1893063"),
    "no permission": (PAGE, answer(403, 10), "permission 10"),
    "another permission": (PAGE, answer(403, 230), "permission 230"),
    "nobody of this id": (PAGE, answer(400, 100, 2018001), "bad_recipient 100/2018001"),
    "an object that is gone": (PAGE, answer(400, 100, 33), "bad_recipient 100/33"),
    "an empty message": (PAGE, answer(400, 100, 2018034), "bad_content 100/2018034"),
    "a wrong parameter": (PAGE, answer(400, 100), "rejected 100"),
    "a visitor who blocked the page": (PAGE, answer(400, 551), "blocked 551"),
    "an unavailable visitor": (PAGE, answer(400, 200, 1545041), "blocked 200/1545041"),
    "blocked for abuse": (PAGE, answer(400, 368), "policy 368"),
    "a private reply already given": (PAGE, answer(400, 10900), "rejected 10900"),
    "a comment that takes no reply": (PAGE, answer(400, 10903), "not_answerable 10903"),
    "a code nobody knows": (PAGE, answer(400, 987654), "rejected 987654"),
    "404 without a body": (PAGE, HttpReply(status=404), "rejected http 404"),
    "an error that is no object": (
        PAGE,
        HttpReply(status=400, body=b'{"error":"x"}'),
        "rejected http 400",
    ),
    "a code that is text": (
        PAGE,
        HttpReply(status=400, body=b'{"error":{"code":"368"}}'),
        "policy 368",
    ),
    "WhatsApp: an application's limit": (WHATSAPP, answer(400, 4), "throttled 30"),
    "WhatsApp: a business's limit": (WHATSAPP, answer(400, 80007), "throttled 30"),
    "WhatsApp: throughput": (WHATSAPP, answer(429, 130429), "throttled 5"),
    "WhatsApp: too fast for one visitor": (WHATSAPP, answer(400, 131056), "throttled 16"),
    "WhatsApp: spam limit": (WHATSAPP, answer(400, 131048), "policy 131048"),
    "WhatsApp: something went wrong": (WHATSAPP, answer(400, 131000), "ambiguous"),
    "WhatsApp: service unavailable": (WHATSAPP, answer(400, 131016), "ambiguous"),
    "WhatsApp: maintenance": (WHATSAPP, answer(400, 131057), "ambiguous"),
    "WhatsApp: server unavailable": (WHATSAPP, answer(400, 133004), "ambiguous"),
    "WhatsApp: no authentication": (WHATSAPP, answer(401, 0), "credential 0"),
    "WhatsApp: an expired token": (WHATSAPP, answer(401, 190), "credential 190"),
    "WhatsApp: no permission": (WHATSAPP, answer(403, 131005), "permission 131005"),
    "WhatsApp: a permission missing": (WHATSAPP, answer(403, 299), "permission 299"),
    "WhatsApp: a wrong parameter": (WHATSAPP, answer(400, 100), "bad_content 100"),
    "WhatsApp: undeliverable": (WHATSAPP, answer(400, 131026), "bad_recipient 131026"),
    "WhatsApp: not to a user id": (WHATSAPP, answer(400, 131062), "bad_recipient 131062"),
    "WhatsApp: blocked by us": (WHATSAPP, answer(400, 130403), "blocked 130403"),
    "WhatsApp: outside the window": (WHATSAPP, answer(400, 131047), "window_closed 131047"),
    "WhatsApp: engagement limit": (WHATSAPP, answer(400, 131049), "policy 131049"),
    "WhatsApp: opted out": (WHATSAPP, answer(400, 131050), "blocked 131050"),
    "WhatsApp: locked": (WHATSAPP, answer(403, 131031), "policy 131031"),
    "WhatsApp: a template's fault": (WHATSAPP, answer(400, 132012), "bad_content 132012"),
    "WhatsApp: a paused template": (WHATSAPP, answer(400, 132015), "policy 132015"),
    "WhatsApp: not registered": (WHATSAPP, answer(400, 133010), "policy 133010"),
    "WhatsApp: a code nobody knows": (WHATSAPP, answer(400, 987654), "rejected 987654"),
}


@pytest.mark.parametrize(("table", "reply", "expected"), VERDICTS.values(), ids=VERDICTS)
def test_an_answer_proves(table: str, reply: HttpReply, expected: str) -> None:
    assert verdict(reply, TABLES[table]) == expected


def test_every_reason_is_one_of_the_closed_list() -> None:
    words = {
        "window_closed",
        "blocked",
        "bad_recipient",
        "bad_content",
        "quota",
        "permission",
        "policy",
        "not_answerable",
    }
    for codes in TABLES.values():
        assert set(codes.reasons.values()) <= words
        assert not codes.unclear & set(codes.throttled)
        assert not codes.credential & (codes.unclear | set(codes.reasons))


USAGE: dict[str, tuple[str, float]] = {
    "minutes of one limit": ('{"1":[{"estimated_time_to_regain_access":5}]}', 300),
    "the longest of several": (
        '{"1":[{"estimated_time_to_regain_access":1},{"estimated_time_to_regain_access":9}]}',
        540,
    ),
    "never more than an hour": ('{"1":[{"estimated_time_to_regain_access":600}]}', 3600),
    "never less than usual": ('{"1":[{"estimated_time_to_regain_access":0}]}', 30),
    "nonsense": ('{"1":[5,{"estimated_time_to_regain_access":"soon"}],"2":7}', 30),
    "no JSON": ("?", 30),
}


@pytest.mark.parametrize(("header", "expected"), USAGE.values(), ids=USAGE)
def test_meta_tells_how_long_to_wait(header: str, expected: float) -> None:
    headers = {"x-business-use-case-usage": header}
    reply = msgspec.structs.replace(answer(400, 4), headers=headers)
    with pytest.raises(ThrottledError) as caught:
        accepted(reply, PAGE_CODES)
    assert caught.value.delay_s == expected


_FIVE_MINUTES = {"x-business-use-case-usage": '{"1":[{"estimated_time_to_regain_access":5}]}'}

RETRY_AFTER: dict[str, tuple[str, HttpReply, dict[str, str], float]] = {
    "429 with its seconds": (PAGE, HttpReply(status=429), {"retry-after": "3"}, 3),
    "error 613 with its seconds": (PAGE, answer(429, 613), {"retry-after": "3"}, 3),
    "an application's limit with its seconds": (PAGE, answer(400, 4), {"retry-after": "90"}, 90),
    "WhatsApp: throughput with its seconds": (
        WHATSAPP,
        answer(429, 130429),
        {"retry-after": "2"},
        2,
    ),
    "seconds and minutes: the longer": (
        PAGE,
        answer(400, 4),
        {"retry-after": "3", **_FIVE_MINUTES},
        300,
    ),
    "never more than an hour": (PAGE, answer(400, 4), {"retry-after": "9" * 400}, 3600),
    "a date says nothing to us": (
        PAGE,
        answer(429, 613),
        {"retry-after": "Sun, 22 Nov 2026 05:31:04 GMT"},
        30,
    ),
    "seconds below nothing": (PAGE, answer(429, 613), {"retry-after": "-3"}, 30),
    "an empty header": (PAGE, answer(429, 613), {"retry-after": ""}, 30),
}


@pytest.mark.parametrize(
    ("table", "reply", "headers", "expected"), RETRY_AFTER.values(), ids=RETRY_AFTER
)
def test_meta_waits_as_long_as_it_is_told(
    table: str, reply: HttpReply, headers: dict[str, str], expected: float
) -> None:
    with pytest.raises(ThrottledError) as caught:
        accepted(msgspec.structs.replace(reply, headers=headers), TABLES[table])
    assert caught.value.delay_s == expected


def test_no_failure_repeats_the_words_of_the_provider() -> None:
    for _, reply, _ in VERDICTS.values():
        if b"words of Meta" in reply.body:
            with pytest.raises((RejectedError, ThrottledError, AmbiguousSendError)) as caught:
                accepted(reply, PAGE_CODES)
            assert "words of Meta" not in str(caught.value)


PATHS: dict[str, tuple[Any, tuple[str | int, ...], str]] = {
    "a text": ({"id": "5"}, ("id",), "5"),
    "a number": ({"id": 5}, ("id",), "5"),
    "inside a list": ({"messages": [{"id": "5"}]}, ("messages", 0, "id"), "5"),
    "an empty list": ({"messages": []}, ("messages", 0, "id"), ""),
    "another shape": ({"messages": {"id": "5"}}, ("messages", 0, "id"), ""),
    "no such key": ({}, ("messages", 0, "id"), ""),
    "no text": ({"id": True}, ("id",), ""),
}


@pytest.mark.parametrize(("value", "path", "expected"), PATHS.values(), ids=PATHS)
def test_a_value_is_found_by_its_path(
    value: Any, path: tuple[str | int, ...], expected: str
) -> None:
    assert first_text(value, *path) == expected
    if not expected:
        with pytest.raises(AmbiguousSendError):
            given_id(value, *path)


# --- the three channels ------------------------------------------------------------------------

THREAD = Thread(post="1001_55", comment="55_900", parent="1001_55")


def message(*texts: str, **more: Any) -> Outbound:
    parts = tuple(TextPart(text=text) for text in texts)
    return Outbound(**{"message_id": "msg_1", "recipient": "PSID-7", "parts": parts, **more})


def taken(number: int) -> HttpReply:
    """An answer in which each of the three finds its id."""
    ids = {"message_id": f"m_{number}", "id": f"55_{number}", "messages": [{"id": f"w_{number}"}]}
    return HttpReply(status=200, body=json.dumps(ids).encode())


def sent(name: str, outbound: Outbound, *replies: HttpReply) -> tuple[list[HttpCall], Sent]:
    subject = SUBJECTS[name]
    return play(subject.channel.send(subject.account, outbound), *(replies or (taken(1),)))


CALLS: dict[str, tuple[str, Outbound, str, dict[str, Any]]] = {
    "Messenger: a text": (
        "messenger",
        message("hello"),
        "1001/messages",
        {
            "recipient": {"id": "PSID-7"},
            "messaging_type": "RESPONSE",
            "message": {"text": "hello", "metadata": "msg_1"},
        },
    ),
    "Messenger: an answer": (
        "messenger",
        message("hello", reply_to="m_0"),
        "1001/messages",
        {
            "recipient": {"id": "PSID-7"},
            "messaging_type": "RESPONSE",
            "message": {"text": "hello", "metadata": "msg_1"},
            "reply_to": {"mid": "m_0"},
        },
    ),
    "Messenger: to somebody known by a reference": (
        "messenger",
        message("hello", recipient="user_ref:REF-1"),
        "1001/messages",
        {
            "recipient": {"user_ref": "REF-1"},
            "messaging_type": "RESPONSE",
            "message": {"text": "hello", "metadata": "msg_1"},
        },
    ),
    "a comment: below the thread's": (
        "fb_comment",
        message("hello", thread=THREAD),
        "55_900/comments",
        {"message": "hello"},
    ),
    "a comment: below the one that is answered": (
        "fb_comment",
        message("hello", thread=THREAD, reply_to="55_901"),
        "55_901/comments",
        {"message": "hello"},
    ),
    "a comment: whose id tries to leave its place": (
        "fb_comment",
        message("hello", reply_to="../me?x=1#"),
        "..%2Fme%3Fx%3D1%23/comments",
        {"message": "hello"},
    ),
    "WhatsApp: to a number": (
        "whatsapp",
        message("hello", recipient="15557770000", reply_to="wamid.A1"),
        "PN-1/messages",
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": "15557770000",
            "type": "text",
            "text": {"body": "hello", "preview_url": False},
            "biz_opaque_callback_data": "msg_1",
            "context": {"message_id": "wamid.A1"},
        },
    ),
    "WhatsApp: to a user id": (
        "whatsapp",
        message("hello", recipient="US.1234567890"),
        "PN-1/messages",
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "recipient": "US.1234567890",
            "type": "text",
            "text": {"body": "hello", "preview_url": False},
            "biz_opaque_callback_data": "msg_1",
        },
    ),
    "WhatsApp: to a parent user id": (
        "whatsapp",
        message("hello", recipient="US.ENT.99"),
        "PN-1/messages",
        {
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "recipient": "US.ENT.99",
            "type": "text",
            "text": {"body": "hello", "preview_url": False},
            "biz_opaque_callback_data": "msg_1",
        },
    ),
    "WhatsApp: to a group": (
        "whatsapp",
        message("hello", recipient="Y2FwaV9ncm91cDox"),
        "PN-1/messages",
        {
            "messaging_product": "whatsapp",
            "recipient_type": "group",
            "to": "Y2FwaV9ncm91cDox",
            "type": "text",
            "text": {"body": "hello", "preview_url": False},
            "biz_opaque_callback_data": "msg_1",
        },
    ),
}


@pytest.mark.parametrize(("name", "outbound", "path", "payload"), CALLS.values(), ids=CALLS)
def test_a_message_becomes(
    name: str, outbound: Outbound, path: str, payload: dict[str, Any]
) -> None:
    (call,), _ = sent(name, outbound)
    assert (call.method, call.url) == ("POST", f"https://graph.facebook.com/{VERSION}/{path}")
    assert call.headers["authorization"] == "Bearer access_token-sample-4711"
    assert json.loads(call.body) == payload
    assert not call.idempotent


ANSWERS: dict[str, tuple[str, Outbound, bytes, Sent]] = {
    "Messenger": (
        "messenger",
        message("hello"),
        b'{"recipient_id":"PSID-7","message_id":"m_9"}',
        Sent(provider_ids=("m_9",), via="message"),
    ),
    "a comment": (
        "fb_comment",
        message("hello", thread=THREAD),
        b'{"id":"55_902"}',
        Sent(provider_ids=("55_902",), via="comment"),
    ),
    "WhatsApp, which knows the number by a user id": (
        "whatsapp",
        message("hello", recipient="15557770000"),
        b'{"contacts":[{"wa_id":"15557770000","user_id":"US.1"}],"messages":[{"id":"wamid.OUT1"}]}',
        Sent(provider_ids=("wamid.OUT1",), via="message", linked_visitor="US.1"),
    ),
    "WhatsApp, which knows the user id by a number": (
        "whatsapp",
        message("hello", recipient="US.1"),
        b'{"contacts":[{"wa_id":"1555","user_id":"US.1"}],"messages":[{"id":"wamid.OUT1"}]}',
        Sent(provider_ids=("wamid.OUT1",), via="message", linked_visitor="1555"),
    ),
}


@pytest.mark.parametrize(("name", "outbound", "body", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_the_answer_names_what_was_sent(
    name: str, outbound: Outbound, body: bytes, expected: Sent
) -> None:
    assert sent(name, outbound, HttpReply(status=200, body=body))[1] == expected


UNSENDABLE = {
    "nothing at all": message(),
    "white space": message(" \n"),
    "a picture": message(parts=(MediaPart(kind="image", url="https://cdn.example/a"),)),
    "a text beside a picture": message(parts=(TextPart(text="a"), MediaPart(kind="image"))),
}


@pytest.mark.parametrize("name", ["messenger", "fb_comment", "whatsapp"])
@pytest.mark.parametrize("outbound", UNSENDABLE.values(), ids=UNSENDABLE)
def test_what_cannot_be_sent_is_refused_before_any_call(name: str, outbound: Outbound) -> None:
    outbound = msgspec.structs.replace(outbound, thread=THREAD)
    with pytest.raises(RejectedError) as caught:
        sent(name, outbound)
    assert caught.value.reason == "bad_content"


@pytest.mark.parametrize("comment", ["", ".", ".."])
def test_a_reply_to_no_comment_is_refused(comment: str) -> None:
    with pytest.raises(RejectedError) as caught:
        sent("fb_comment", message("hello", reply_to=comment))
    assert caught.value.reason == "bad_recipient"


@pytest.mark.parametrize("name", ["messenger", "fb_comment", "whatsapp"])
def test_an_account_without_its_token_sends_nothing(name: str) -> None:
    subject = SUBJECTS[name]
    bare = msgspec.structs.replace(subject.account, secrets={"app_secret": "x"})
    with pytest.raises(CredentialError):
        next(subject.channel.send(bare, message("hello", thread=THREAD)))


@pytest.mark.parametrize("name", ["messenger", "fb_comment", "whatsapp"])
def test_an_account_may_have_another_host(name: str) -> None:
    subject = SUBJECTS[name]
    stub = msgspec.structs.replace(subject.account, api_base="http://127.0.0.1:9/stub/")
    call = next(subject.channel.send(stub, message("hello", thread=THREAD)))
    assert call.url.startswith(f"http://127.0.0.1:9/stub/{VERSION}/")


# --- several pieces ----------------------------------------------------------------------------

LENGTHS = {"messenger": 2000, "fb_comment": 8000, "whatsapp": 4096}


def three_pieces(name: str) -> Outbound:
    return message("x" * (2 * LENGTHS[name] + 1), thread=THREAD, reply_to="55_900")


@pytest.mark.parametrize("name", LENGTHS)
def test_a_long_text_goes_out_in_order(name: str) -> None:
    calls, result = sent(name, three_pieces(name), taken(1), taken(2), taken(3))
    texts = [_text_of(json.loads(call.body)) for call in calls]
    assert [len(text) for text in texts] == [LENGTHS[name], LENGTHS[name], 1]
    assert [provider_id[-1] for provider_id in result.provider_ids] == ["1", "2", "3"]
    quoting = [
        ("reply_to" in call.body.decode()) or ("context" in call.body.decode()) for call in calls
    ]
    assert quoting == ([False] * 3 if name == "fb_comment" else [True, False, False])


def _text_of(payload: dict[str, Any]) -> str:
    said = payload.get("text") or payload["message"]
    return str(said if isinstance(said, str) else said.get("text") or said["body"])


LATER: dict[str, tuple[HttpReply | Exception, type[Exception]]] = {
    "too fast": (answer(400, 4), ThrottledError),
    "no connection": (NotSentError("refused"), NotSentError),
    "a refusal": (answer(400, 368), RejectedError),
    "a server error": (HttpReply(status=500), AmbiguousSendError),
    "a cut connection": (AmbiguousSendError("cut"), AmbiguousSendError),
    "an answer without an id": (HttpReply(status=200, body=b"{}"), AmbiguousSendError),
}


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize(("failure", "expected"), LATER.values(), ids=LATER)
def test_a_failure_names_the_pieces_that_went_out(
    name: str, failure: HttpReply | Exception, expected: type[Exception]
) -> None:
    subject = SUBJECTS[name]
    exchange = subject.channel.send(subject.account, three_pieces(name))
    with pytest.raises(expected) as caught:
        play(exchange, taken(1), failure)
    assert [pid[-1] for pid in getattr(caught.value, "provider_ids", ())] == ["1"]


@pytest.mark.parametrize("name", LENGTHS)
def test_a_repeat_that_knows_the_first_answer_goes_on_with_the_second_piece(name: str) -> None:
    subject = SUBJECTS[name]
    first = subject.channel.send(subject.account, three_pieces(name))
    next(first)
    failed = first.send(taken(1))
    with pytest.raises(ThrottledError):
        first.send(answer(400, 4))
    again = subject.channel.send(subject.account, three_pieces(name))
    next(again)
    assert again.send(taken(1)) == failed
