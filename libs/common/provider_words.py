"""What a provider says of an account: when its token ends, how much of its quota is used. Pure.

Sources (read 2026-11): Meta for Developers, "Graph API: /debug_token" (an app's access token, or
one of an app developer, may inspect; `expires_at` and `data_access_expires_at` in Unix seconds, 0:
never) and "Access tokens: app access tokens" (`{app id}|{app secret}`); LINE Developers, "Verify
channel access token v2.1" (`expires_in` in seconds; only tokens that end are known there), "Get the
target limit for sending messages this month" and "Get number of messages sent this month".

A failed call, or an answer of another shape, says nothing: it is no reason for an alarm.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from libs.common.channel import Account, HttpCall, HttpReply
from libs.common.channels.line import calls as line
from libs.common.outgoing import credential
from libs.common.providers import graph

_OK = 200
_KNOWN = frozenset({_OK, 400})
"""LINE answers 400 for a token that it does not know there, as a long-lived one, without an end."""
_LATEST = 253402300799
"""9999-12-31: later seconds are none."""
_LONGEST_S = 10 * 366 * 86400


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What was said; None where nothing was.

    `quota_used` is the share of the quota that is used, 1.0 for all of it. `unlimited`: the
    provider says that there is no quota.
    """

    token_expires_at: datetime | None = None
    token_told: bool = False
    quota_used: float | None = None
    quota_told: bool = False


Questions = Generator[HttpCall, HttpReply | None, Told]
"""The calls that are to be made, one at a time; it is told each answer, None for a failed call."""


def questions(account: Account, now: datetime) -> Questions | None:
    """Return what to ask the provider of *account*; None where it cannot tell.

    Raises (when run):
        CredentialError: The account has no token.
    """
    if account.channel == "instagram" and not account.secrets.get("page_id"):
        return None  # a token of Instagram's own login: no call is documented that inspects one
    make = _QUESTIONS.get(account.channel)
    return make(account, now) if make else None


def every(channel: str) -> timedelta:
    """Return how often to ask: a token's end is of days, a quota can go within hours."""
    return timedelta(hours=1) if channel == "line" else timedelta(days=1)


def _meta(account: Account, _now: datetime) -> Questions:
    token = credential(account, "access_token")
    app = account.secrets.get("app_id", "")
    asker = f"{app}|{account.secrets.get('app_secret', '')}" if app else token
    start = account.api_base.rstrip("/") or graph.HOST
    url = f"{start}/{graph.VERSION}/debug_token?input_token={quote(token, safe='')}"
    reply = yield _got(url, {"authorization": f"Bearer {asker}"})
    data = _said(reply).get("data")
    if not isinstance(data, dict) or "expires_at" not in data:
        return Told()
    ends = [
        at
        for name in ("expires_at", "data_access_expires_at")
        if (at := _number(data.get(name))) and at <= _LATEST
    ]
    if not ends and data.get("is_valid") is not True:
        return Told()  # it may be of another app: nothing is known
    first = datetime.fromtimestamp(min(ends), UTC) if ends else None
    return Told(token_expires_at=first, token_told=True)


def _line(account: Account, now: datetime) -> Questions:
    bearer = line.bearer(account)
    token = quote(credential(account, "access_token"), safe="")
    start = line.host(account)
    reply = yield _got(f"{start}/oauth2/v2.1/verify?access_token={token}", {})
    left_s = _number(_said(reply).get("expires_in"))
    ends = now + timedelta(seconds=left_s) if left_s and left_s <= _LONGEST_S else None
    limit = _said((yield _got(f"{start}/v2/bot/message/quota", bearer)))
    used = None
    if limit.get("type") == "limited":
        spent = _said((yield _got(f"{start}/v2/bot/message/quota/consumption", bearer)))
        used = _share(_number(spent.get("totalUsage")), _number(limit.get("value")))
    return Told(
        token_expires_at=ends,
        token_told=reply is not None and reply.status in _KNOWN,
        quota_used=used,
        quota_told=used is not None or limit.get("type") == "none",
    )


def _share(spent: float | None, limit: float | None) -> float | None:
    if spent is None or limit is None:
        return None
    return spent / limit if limit else 1.0


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 <= value < 1e15 else None  # noqa: PLR2004 (sane)


def _said(reply: HttpReply | None) -> Mapping[str, Any]:
    if reply is None or reply.status != _OK:
        return {}
    try:
        said = msgspec.json.decode(reply.body)
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _got(url: str, headers: Mapping[str, str]) -> HttpCall:
    return HttpCall(method="GET", url=url, headers=headers, harmless=True)


_QUESTIONS: Mapping[str, Callable[[Account, datetime], Questions]] = {
    "messenger": _meta,
    "fb_comment": _meta,
    "instagram": _meta,
    "whatsapp": _meta,
    "line": _line,
}
"""WeChat's tokens we fetch ourselves; Telegram's and the web chat's do not end."""
