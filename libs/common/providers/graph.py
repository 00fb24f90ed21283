"""Calls to Meta's Graph API: the request, what an answer proves, and texts of several parts.

Source: Meta for Developers, "Send API", "Handle rate limits" and "WhatsApp Cloud API: error codes"
(read 2026-09).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import msgspec

from libs.common.channel import Account, HttpCall, HttpReply, Outbound, Signal, Upload
from libs.common.decode import salvage
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    MalformedPayloadError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from libs.common.outgoing import credential, retry_after_s

T = TypeVar("T")

HOST = "https://graph.facebook.com"
VERSION = "v25.0"
"""Of 18 February 2026; Meta keeps a version for about two years."""

UNFETCHED = "100/2018008"
"""Meta could not fetch the file from our link, which is worth one more call."""

_USAGE = "x-business-use-case-usage"
_THROTTLE_S = 30.0
_LONGEST_THROTTLE_S = 3600.0


class Codes(msgspec.Struct, frozen=True, kw_only=True):
    """What a product's error codes prove.

    Attributes:
        throttled: Refused for speed alone, with the seconds to wait: repeat later.
        unclear: The provider itself is in trouble: the send may have happened.
        credential: The access token is the reason.
        reasons: `code/subcode` or `code` to a `RejectedError.reason`; all others: `rejected`.
    """

    throttled: Mapping[str, float]
    unclear: frozenset[str]
    credential: frozenset[str]
    reasons: Mapping[str, str]

    def reason(self, code: str, subcode: str = "") -> str:
        """Return the stable word for a refusal."""
        for name in (f"{code}/{subcode}", code):
            if name in self.reasons:
                return self.reasons[name]
        return "permission" if len(code) == 3 and code.startswith("2") else "rejected"


PAGE_CODES = Codes(
    throttled=dict.fromkeys(("4", "17", "32", "613", "80006"), _THROTTLE_S),
    unclear=frozenset({"1", "2", "1200"}),
    credential=frozenset({"190"}),
    reasons={
        "2/2018344": "policy",  # the page must accept terms first
        "10/1545041": "window_closed",
        "10/1893063": "policy",  # the page is restricted for a while
        "10/2018065": "window_closed",
        "10/2018278": "window_closed",
        "10/2534022": "window_closed",
        "10": "permission",
        "100/33": "bad_recipient",
        "100/2018001": "bad_recipient",
        "100/2018008": "bad_content",
        "100/2018032": "bad_content",
        "100/2018034": "bad_content",
        "100/2018047": "bad_content",
        "100/2018074": "bad_content",
        "100/2018109": "bad_content",
        "100/2018294": "bad_content",
        "200/1545041": "blocked",
        "368": "policy",
        "551": "blocked",
        "10903": "not_answerable",
    },
)
"""Messenger's Send API and comments. Any other 2xx code is a missing permission."""


class GraphError(msgspec.Struct, frozen=True):
    """The `error` object of an answer; the empty code where there is none."""

    code: str = ""
    subcode: str = ""
    transient: bool = False

    @property
    def name(self) -> str:
        """The code as people look it up, `100/2018001`."""
        return f"{self.code}/{self.subcode}" if self.subcode else self.code


def call(
    account: Account,
    asked: Outbound | Signal,
    path: Sequence[str],
    payload: object,
    host: str = HOST,
) -> HttpCall:
    """Return the POST of *payload* to `/{version}/{path...}`, authorised as the account.

    Raises:
        CredentialError: The account has no `access_token`.
    """
    return HttpCall(
        url=_url(account, path, host),
        headers={**_bearer(account, asked), "content-type": "application/json"},
        body=msgspec.json.encode(payload),
    )


def uploaded(
    account: Account, outbound: Outbound, path: Sequence[str], content: Upload, codes: Codes
) -> Generator[HttpCall, HttpReply, str]:
    """Bring a file to `/{version}/{path...}` and return the id that it has there.

    Raises:
        NotSentError: Nobody knows whether the file is there; it shows nothing, so repeat it.
        CredentialError, RejectedError, ThrottledError: As `accepted`.
    """
    try:
        reply = yield HttpCall(
            url=_url(account, path, HOST),
            headers=_bearer(account, outbound),
            upload=content,
            harmless=True,
        )
        answer = accepted(reply, codes)
        return first_text(answer, "attachment_id") or given_id(answer, "id")
    except AmbiguousSendError as error:
        raise NotSentError(f"upload: {error.detail}") from None


def _url(account: Account, path: Sequence[str], host: str) -> str:
    start = account.api_base.rstrip("/") or host
    return "/".join((start, VERSION, *(quote(step, safe="") for step in path)))


def _bearer(account: Account, asked: Outbound | Signal) -> dict[str, str]:
    token = asked.access_token or credential(account, "access_token")
    return {"authorization": f"Bearer {token}"}


def accepted(reply: HttpReply, codes: Codes) -> dict[str, Any]:
    """Return the JSON object of an answer that says the message was taken.

    Raises:
        ThrottledError: Refused for speed; nothing was sent.
        CredentialError: The token is invalid, expired or lacks its person; nothing was sent.
        RejectedError: Refused for good.
        AmbiguousSendError: 5xx, a passing fault, a redirect, or an answer nobody can read.
    """
    answer = _object(reply.body)
    error = _error(answer)
    if reply.status // 100 == 2 and answer is not None and "error" not in answer:
        return answer
    raise _failure(reply, error, codes)


def send_pieces(
    pieces: Sequence[T],
    make: Callable[[T, bool], HttpCall],
    read: Callable[[HttpReply], str],
) -> Generator[HttpCall, HttpReply, tuple[str, ...]]:
    """Send *pieces* in order and return their provider ids.

    *make* builds the call of one piece, told whether it is the first; *read* returns its id or
    raises. Where Meta could not fetch a file, it is asked once more.

    A failure passes through, with the `provider_ids` of the pieces that did go out: the shell that
    repeats after a `NotSentError` tells the earlier answers again and so goes on with the piece
    that failed, never with the first.
    """
    sent: list[str] = []
    for piece in pieces:
        try:
            call = make(piece, not sent)
            reply = yield call
            if reply.status // 100 == 4 and _error(_object(reply.body)).name == UNFETCHED:
                reply = yield call
            sent.append(read(reply))
        except (NotSentError, RejectedError, AmbiguousSendError) as error:
            error.provider_ids = tuple(sent)
            raise
    return tuple(sent)


def _failure(
    reply: HttpReply, error: GraphError, codes: Codes
) -> ThrottledError | RejectedError | AmbiguousSendError:
    detail = f"HTTP {reply.status}, code {error.name or 'none'}"
    for name in (error.name, error.code):
        if name in codes.throttled:
            return ThrottledError(detail, delay_s=_wait_s(reply, codes.throttled[name]))
    if error.name in codes.reasons and "/" in error.name and reply.status < 500:
        return _refused(
            detail, error, codes, reply.status
        )  # a subcode that says more than its code
    if _unclear(reply, error, codes):
        return AmbiguousSendError(detail)
    if reply.status == 401 or error.code in codes.credential:
        return CredentialError(detail, reason="credential", provider_code=error.name)
    if reply.status == 429:
        return ThrottledError(detail, delay_s=_wait_s(reply, _THROTTLE_S))
    return _refused(detail, error, codes, reply.status)


def _refused(detail: str, error: GraphError, codes: Codes, status: int) -> RejectedError:
    return RejectedError(
        detail,
        reason=codes.reason(error.code, error.subcode),
        provider_code=error.name or f"http {status}",
    )


def _unclear(reply: HttpReply, error: GraphError, codes: Codes) -> bool:
    if error.transient or error.code in codes.unclear or reply.status == 408:
        return True
    refused = 400 <= reply.status < 500 or (reply.status // 100 == 2 and error.code != "")
    return not refused


def _wait_s(reply: HttpReply, least_s: float) -> float:
    """Return the seconds until the account may call again.

    Meta tells it in seconds by `Retry-After`, or in minutes of usage, or not at all: then it is
    *least_s*, as it is where the minutes are fewer.
    """
    usage = _object(reply.headers.get(_USAGE, "").encode("utf-8", "replace")) or {}
    minutes = [
        row.get("estimated_time_to_regain_access")
        for rows in usage.values()
        if isinstance(rows, list)
        for row in rows
        if isinstance(row, dict)
    ]
    known = [60.0 * value for value in minutes if isinstance(value, int | float)]
    told_s = retry_after_s(reply)
    return min(max([least_s if told_s is None else told_s, *known]), _LONGEST_THROTTLE_S)


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        value = salvage(body)
    except MalformedPayloadError:
        return None
    return value if isinstance(value, dict) else None


def _error(answer: dict[str, Any] | None) -> GraphError:
    error = (answer or {}).get("error")
    if not isinstance(error, dict):
        return GraphError()
    return GraphError(
        _label(error.get("code"), 20),
        _label(error.get("error_subcode"), 20),
        error.get("is_transient") is True,
    )


def _label(value: object, length: int) -> str:
    known = isinstance(value, int | str) and not isinstance(value, bool)
    return str(value)[:length] if known else ""


def first_text(answer: Mapping[str, Any], *path: str | int) -> str:
    """Return the text or number at *path* of an answer, "" where there is none."""
    value: Any = answer
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return _label(value, 512)


def given_id(answer: Mapping[str, Any], *path: str | int) -> str:
    """Return the message id that the provider gave.

    Raises:
        AmbiguousSendError: It says 200 without an id: nobody knows what became of it.
    """
    found = first_text(answer, *path)
    if not found:
        raise AmbiguousSendError("an answer without a message id")
    return found
