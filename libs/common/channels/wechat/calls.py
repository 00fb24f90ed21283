"""What WeChat's calls have in common: the address with its token, and errcodes as our failures.

Source: WeChat Official Account documentation, "Global return codes", read 2026-10.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from libs.common.channel import Account, HttpReply
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
from libs.common.outgoing import raise_for_status

HOST = "https://api.weixin.qq.com"
JSON_HEADERS = {"content-type": "application/json; charset=utf-8"}

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
    40004: "bad_content",
    40005: "bad_content",
    40006: "bad_content",
    40007: "bad_content",
    40008: "bad_content",
    40033: "bad_content",
    41005: "bad_content",
    44002: "bad_content",
    45001: "bad_content",
    45002: "bad_content",
    40164: "permission",
    48001: "permission",
    50002: "policy",
}


def host(account: Account) -> str:
    """Return the origin of calls; `api_base` stands in for it."""
    return account.api_base.rstrip("/") or HOST


def address(account: Account, path: str, access_token: str, **query: str) -> str:
    """Return the URL of a call below `/cgi-bin/`, with its token.

    Raises:
        CredentialError: No token was fetched.
    """
    if not access_token:
        raise CredentialError("no access token was fetched", reason="credential")
    named = {"access_token": access_token, **query}
    pairs = "&".join(f"{name}={quote(value, safe='')}" for name, value in named.items())
    return f"{host(account)}/cgi-bin/{path}?{pairs}"


def answer(reply: HttpReply) -> SendAnswer:
    """Return what an answer says.

    Raises:
        AmbiguousSendError: It cannot be read; or as `raise_for_status`.
    """
    raise_for_status(reply)
    try:
        return decode(_ANSWER, reply.body)
    except MalformedPayloadError:
        raise AmbiguousSendError("an answer that cannot be read") from None


def raise_unless_taken(told: SendAnswer) -> None:
    """Return only for errcode 0.

    Raises:
        AmbiguousSendError: There is none. Else as `raise_refusal`.
    """
    if told.errcode is None:
        raise AmbiguousSendError("an answer without errcode")
    raise_refusal(told.errcode)


def raise_refusal(code: int) -> None:
    """Return only for 0.

    Raises:
        NotSentError: WeChat is busy.
        ThrottledError: Too often in a minute.
        CredentialError: The token is invalid or expired, or app id and secret do not fit.
        RejectedError: Everything else.
    """
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
