"""Sending through WeChat: the calls, the token, and what each errcode means."""

from __future__ import annotations

import json

import msgspec
import pytest

from libs.common.channel import HttpCall, HttpReply, Outbound, Sent, Token
from libs.common.channels.wechat import CHANNEL
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import TextPart
from tests.channels.conformance import SUBJECTS, play

ACCOUNT = SUBJECTS["wechat with all secrets"].account
TOKEN = "tok/en+1"


def to_send(*texts: str, token: str = TOKEN) -> Outbound:
    parts = tuple(TextPart(text=text) for text in texts)
    return Outbound(message_id="msg_1", recipient="oVisitor1", parts=parts, access_token=token)


def answer(errcode: int, **more: object) -> HttpReply:
    return HttpReply(status=200, body=json.dumps({"errcode": errcode, **more}).encode())


OK = answer(0, errmsg="ok")


def sent(message: Outbound, *replies: HttpReply | Exception) -> tuple[list[HttpCall], Sent]:
    return play(CHANNEL.send(ACCOUNT, message), *replies)


def test_a_text_is_sent_as_utf8_with_the_fetched_token() -> None:
    (call,), outcome = sent(to_send("您好 🙂 \ue000"), OK)
    assert call.url == (
        "https://api.weixin.qq.com/cgi-bin/message/custom/send?access_token=tok%2Fen%2B1"
    )
    assert json.loads(call.body) == {
        "touser": "oVisitor1",
        "msgtype": "text",
        "text": {"content": "您好 🙂 \ue000"},
    }
    assert b"\\u" not in call.body
    assert "您好".encode() in call.body
    assert not call.idempotent
    assert outcome == Sent(via="custom")


def test_no_character_is_escaped() -> None:
    (call,), _ = sent(to_send("a\x01\x1f\x7f\ud800b"), OK)
    assert b"\\u" not in call.body
    assert json.loads(call.body)["text"]["content"] == "a\ufffdb"


def test_a_long_text_is_cut_at_1600_characters() -> None:
    calls, _ = sent(to_send("好" * 3300), OK)
    assert [len(json.loads(call.body)["text"]["content"]) for call in calls] == [1600, 1600, 100]


def test_the_token_stays_out_of_every_repr_and_error() -> None:
    exchange = CHANNEL.send(ACCOUNT, to_send("hi"))
    assert "tok" not in repr(next(exchange))
    with pytest.raises(CredentialError) as caught:
        exchange.send(answer(40001, errmsg=f"invalid credential {TOKEN}"))
    assert "tok" not in str(caught.value)


CODES: dict[int, tuple[type[GatewayError], str | None]] = {
    -1: (NotSentError, None),
    45011: (ThrottledError, None),
    40001: (CredentialError, "credential"),
    40014: (CredentialError, "credential"),
    42001: (CredentialError, "credential"),
    45009: (RejectedError, "quota"),
    45015: (RejectedError, "window_closed"),
    45047: (RejectedError, "window_closed"),
    43004: (RejectedError, "blocked"),
    43019: (RejectedError, "blocked"),
    48002: (RejectedError, "blocked"),
    40003: (RejectedError, "bad_recipient"),
    40007: (RejectedError, "bad_content"),
    40008: (RejectedError, "bad_content"),
    40033: (RejectedError, "bad_content"),
    44002: (RejectedError, "bad_content"),
    45002: (RejectedError, "bad_content"),
    48001: (RejectedError, "permission"),
    50002: (RejectedError, "policy"),
    99999: (RejectedError, "rejected"),
}


@pytest.mark.parametrize(("code", "failure", "reason"), [(c, *w) for c, w in CODES.items()])
def test_errcode(code: int, failure: type[GatewayError], reason: str | None) -> None:
    with pytest.raises(failure) as caught:
        sent(to_send("hi"), answer(code))
    assert type(caught.value) is failure
    assert getattr(caught.value, "reason", None) == reason
    if isinstance(caught.value, RejectedError):
        assert caught.value.provider_code == str(code)


UNCLEAR = {
    "a page": HttpReply(status=200, body=b"<html>"),
    "nothing": HttpReply(status=200),
    "no errcode": HttpReply(status=200, body=b"{}"),
    "an errcode that is no number": HttpReply(status=200, body=b'{"errcode":"none"}'),
    "a server error": HttpReply(status=502, body=OK.body),
}


@pytest.mark.parametrize("reply", UNCLEAR.values(), ids=UNCLEAR)
def test_an_answer_that_proves_nothing_is_ambiguous(reply: HttpReply) -> None:
    with pytest.raises(AmbiguousSendError):
        sent(to_send("hi"), reply)


LATER: dict[str, tuple[HttpReply | Exception, type[GatewayError]]] = {
    "busy": (answer(-1), NotSentError),
    "no connection": (NotSentError("refused"), NotSentError),
    "the token ran out": (answer(42001), CredentialError),
    "the answer is lost": (AmbiguousSendError("cut"), AmbiguousSendError),
}


@pytest.mark.parametrize(("failure", "expected"), LATER.values(), ids=LATER)
def test_told_the_earlier_answers_again_it_goes_on_with_the_piece_that_failed(
    failure: HttpReply | Exception, expected: type[GatewayError]
) -> None:
    message = to_send("one", "two", "three")
    with pytest.raises(expected):
        sent(message, OK, failure)
    exchange = CHANNEL.send(ACCOUNT, msgspec.structs.replace(message, access_token="another"))
    next(exchange)
    again = exchange.send(OK)
    assert json.loads(again.body)["text"]["content"] == "two"
    assert again.url.endswith("access_token=another")


def test_without_a_fetched_token_nothing_is_called() -> None:
    with pytest.raises(CredentialError):
        next(CHANNEL.send(ACCOUNT, to_send("hi", token="")))


# --- the token ---------------------------------------------------------------------------------


def fetched(reply: HttpReply) -> tuple[list[HttpCall], Token]:
    assert CHANNEL.token is not None
    return play(CHANNEL.token(ACCOUNT), reply)


def test_the_token_is_fetched_without_ending_the_one_before() -> None:
    reply = HttpReply(status=200, body=b'{"access_token":"abc","expires_in":7200}')
    (call,), token = fetched(reply)
    assert call.url == "https://api.weixin.qq.com/cgi-bin/stable_token"
    assert json.loads(call.body) == {
        "grant_type": "client_credential",
        "appid": "wx0123456789abcdef",
        "secret": "app_secret-sample-4711",
    }
    assert (token.value, token.expires_in_s) == ("abc", 7200)


def test_the_app_id_may_be_the_external_id() -> None:
    account = msgspec.structs.replace(
        ACCOUNT, external_id="wx77", secrets={**ACCOUNT.secrets, "app_id": ""}
    )
    assert CHANNEL.token is not None
    assert json.loads(next(CHANNEL.token(account)).body)["appid"] == "wx77"


def test_without_an_app_id_or_secret_nothing_is_called() -> None:
    assert CHANNEL.token is not None
    for name in ("app_id", "app_secret"):
        account = msgspec.structs.replace(ACCOUNT, secrets={**ACCOUNT.secrets, name: ""})
        with pytest.raises(CredentialError):
            next(CHANNEL.token(account))


TOKEN_FAILURES: dict[str, tuple[HttpReply, type[GatewayError]]] = {
    "a wrong secret": (answer(40125), CredentialError),
    "an unknown app id": (answer(40013), CredentialError),
    "busy": (answer(-1), NotSentError),
    "too fast": (answer(45011), ThrottledError),
    "the day's quota is used up": (answer(45009), RejectedError),
    "our address is not on the list": (answer(40164), RejectedError),
    "no token at all": (HttpReply(status=200, body=b"{}"), AmbiguousSendError),
    "a page": (HttpReply(status=200, body=b"<html>"), AmbiguousSendError),
}


@pytest.mark.parametrize(("reply", "failure"), TOKEN_FAILURES.values(), ids=TOKEN_FAILURES)
def test_a_token_is_not_given(reply: HttpReply, failure: type[GatewayError]) -> None:
    with pytest.raises(failure) as caught:
        fetched(reply)
    assert type(caught.value) is failure
