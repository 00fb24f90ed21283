"""Sending through WeChat's customer-service API, and fetching the token that it needs.

Source: WeChat Official Account documentation, "Customer service messages", "Stable access token",
"Global return codes", read 2026-10.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from libs.common.channel import (
    Account,
    Exchange,
    HttpCall,
    HttpReply,
    Outbound,
    Sent,
    Token,
    TokenExchange,
)
from libs.common.channels.wechat.occurrence import app_id_of
from libs.common.channels.wechat.wire import SendAnswer
from libs.common.decode import decode
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    MalformedPayloadError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.outgoing import credential, raise_for_status, texts_of

HOST = "https://api.weixin.qq.com"
TEXT_LIMIT = 1600
"""Characters; the documented limit is in bytes and not confirmed."""

_JSON = {"content-type": "application/json; charset=utf-8"}
_ANSWER = msgspec.json.Decoder(SendAnswer, strict=False)

_BUSY = -1
_TOO_OFTEN = 45011
_FREQUENCY_WAIT_S = 15.0  # the limit counts by the minute
_TOKEN_ERRORS = frozenset({40001, 40013, 40014, 40125, 41001, 42001})
_REASONS = {
    45009: "quota",
    45015: "window_closed",
    45047: "window_closed",
    43004: "blocked",
    43019: "blocked",
    48002: "blocked",
    40003: "bad_recipient",
    40007: "bad_content",
    40008: "bad_content",
    40033: "bad_content",
    44002: "bad_content",
    45002: "bad_content",
    40164: "permission",
    48001: "permission",
    50002: "policy",
}


def token(account: Account) -> TokenExchange:
    """Fetch the access token by the stable call, which leaves an older valid one alone.

    Raises:
        CredentialError: The account has no `app_id`, or WeChat refuses it or the secret.
        NotSentError, AmbiguousSendError, RejectedError: As in `send`.
    """
    app_id = app_id_of(account)
    if not app_id:
        raise CredentialError(f"account {account.slug} has no app_id", reason="credential")
    request = {
        "grant_type": "client_credential",
        "appid": app_id,
        "secret": credential(account, "app_secret"),
    }
    reply = yield HttpCall(
        url=f"{_host(account)}/cgi-bin/stable_token",
        headers=_JSON,
        body=msgspec.json.encode(request),
        idempotent=True,
    )
    answer = _answer(reply)
    if not answer.access_token:
        _raise_refusal(answer.errcode or 0)
        raise AmbiguousSendError("an answer without a token")
    return Token(value=answer.access_token, expires_in_s=max(answer.expires_in, 0))


def send(account: Account, message: Outbound) -> Exchange:
    """Send the texts in order; WeChat gives no ids and takes no retry key.

    A failure is about the text whose call failed: the earlier ones are out. The shell that tries
    again tells the earlier answers once more, and so goes on with that text.

    Raises:
        CredentialError: The token is invalid or expired; fetch another and go on.
        NotSentError: Busy, or too often: proof that it was not taken.
        AmbiguousSendError: An answer that proves nothing.
        RejectedError: `window_closed`, `blocked`, `bad_recipient`, `bad_content`, `quota`,
            `permission`, `policy`, `rejected`.
    """
    for text in texts_of(message, TEXT_LIMIT, "characters"):
        reply = yield _call(account, message, text)
        _raise_unless_taken(_answer(reply))
    return Sent(via="custom")


def _call(account: Account, message: Outbound, text: str) -> HttpCall:
    if not message.access_token:
        raise CredentialError("no access token was fetched", reason="credential")
    query = f"access_token={quote(message.access_token, safe='')}"
    body = {"touser": message.recipient, "msgtype": "text", "text": {"content": text}}
    return HttpCall(
        url=f"{_host(account)}/cgi-bin/message/custom/send?{query}",
        headers=_JSON,
        body=msgspec.json.encode(body),  # UTF-8 as it is: WeChat refuses \u escapes (40033)
    )


def _host(account: Account) -> str:
    return account.api_base.rstrip("/") or HOST


def _answer(reply: HttpReply) -> SendAnswer:
    raise_for_status(reply)
    try:
        return decode(_ANSWER, reply.body)
    except MalformedPayloadError:
        raise AmbiguousSendError("an answer that cannot be read") from None


def _raise_unless_taken(answer: SendAnswer) -> None:
    if answer.errcode is None:
        raise AmbiguousSendError("an answer without errcode")
    _raise_refusal(answer.errcode)


def _raise_refusal(code: int) -> None:
    """Return only for 0."""
    if code == 0:
        return
    if code == _BUSY:
        raise NotSentError("errcode -1")
    if code == _TOO_OFTEN:
        raise ThrottledError(f"errcode {code}", delay_s=_FREQUENCY_WAIT_S)
    if code in _TOKEN_ERRORS:
        raise CredentialError(f"errcode {code}", reason="credential", provider_code=str(code))
    raise RejectedError(
        f"errcode {code}", reason=_REASONS.get(code, "rejected"), provider_code=str(code)
    )
