"""What a push says, how long it keeps, and what a push service's answer means. Pure.

A payload is shown on a lock screen, so by default it has no personal data: generic words and the
list's name. The address that it opens names the session, which says nothing about a person.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.alerts import NOBODY_REACTED, Alert, Watch
from libs.common.channel import HttpReply
from libs.common.outgoing import retry_after_s
from libs.common.switches import AlertTrigger

MOST_EXCERPT = 120
"""Characters."""
MOST_NAME = 60
MOST_BYTES = 3 * 1024
"""Push services take 4,096 bytes, encrypted and padded."""
LONGEST_REST_S = 300.0
_TOPIC = 32
_OK = range(200, 300)
_SERVER = 500
_GONE = frozenset({404, 410})
_REFUSED = frozenset({401, 403})
_BUSY = frozenset({408, 425, 429})
_TOO_LARGE = 413

LockScreen = Literal["generic", "contact", "excerpt"]
Verdict = Literal["sent", "gone", "too_large", "unauthorized", "refused", "again"]

TITLES: Mapping[AlertTrigger, str] = {
    "bot_hosted.message": "New message in Bot Hosting",
    "unassigned.message": "New message in Unassigned",
    "assigned.message": "New message in Assigned",
    "handoff.requested": "A visitor asks for a person",
    "assigned.to_me": "A session was assigned to you",
    "mention": "You were mentioned in a note",
    "notice": "A session needs you",
    "session.ended_automatically": "A session ended by itself",
    "send.failed": "A message could not be sent",
    "account.unhealthy": "An account needs attention",
    "import.finished": "An import is over",
}
NOBODYS = "Nobody has reacted to a visitor"
"""Title of what a rung alone tells an agent."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The payload, as the service worker reads it; `tag` is the notification it replaces."""

    id: str
    title: str
    body: str
    url: str
    tag: str
    count: int
    kind: str


def still_wanted(alert: Alert, watches: Iterable[Watch]) -> bool:
    """Tell whether the session still waits for the agent, and nothing newer of it was pushed.

    An alert that took the place of this one is pushed itself, or it was not, as the agent was
    there a moment, or has asked for quiet: then this one is the only word that they get outside.
    """
    own = (watch for watch in watches if watch.agent == alert.agent)
    return any(watch.alert == alert.id or "push" not in watch.told for watch in own)


def payload(alert: Alert, lock_screen: LockScreen) -> bytes:
    """Return what is pushed of *alert*: what *lock_screen* allows, in `MOST_BYTES`."""
    whole = _encoded(alert, _body(alert, lock_screen))
    return whole if len(whole) <= MOST_BYTES else smallest(alert)


def smallest(alert: Alert) -> bytes:
    """Return what is pushed where a push service finds the payload too large."""
    return _encoded(alert, "")


def headers(alert: Alert, now: datetime) -> dict[str, str]:
    """Return the headers of a push (RFC 8030), but for who signs it."""
    return {
        "TTL": str(max(0, math.ceil((alert.expires_at - now).total_seconds()))),
        "Urgency": "high",
        "Topic": topic(alert.id),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
    }


def topic(alert: str) -> str:
    """Return the topic: what is newer of an alert replaces what could not be delivered yet."""
    hashed = hashlib.sha256(alert.encode()).digest()
    return base64.urlsafe_b64encode(hashed).decode()[:_TOPIC]


def verdict(status: int) -> Verdict:
    """Return what an answer's *status* means (RFC 8030, and what the services document)."""
    if status in _OK:
        return "sent"
    if status in _GONE:
        return "gone"
    if status in _REFUSED:
        return "unauthorized"
    if status in _BUSY or status >= _SERVER:
        return "again"
    return "too_large" if status == _TOO_LARGE else "refused"


def pause_s(attempt: int, reply: HttpReply | None, chance: float) -> float:
    """Return the seconds until the try after the *attempt*-th; *chance* is in 0..1.

    1, 2, 4 ... 60, of which up to a quarter more so that not all come together; never before the
    push service asked for, up to `LONGEST_REST_S`.
    """
    asked = min((retry_after_s(reply) if reply else None) or 0.0, LONGEST_REST_S)
    own = min(2.0 ** (min(attempt, 7) - 1), 60.0)
    return max(asked, own * (1 + chance / 4))


def _encoded(alert: Alert, body: str) -> bytes:
    shown = Shown(
        id=alert.id,
        title=_title(alert),
        body=body,
        url=alert.url,
        tag=alert.id,
        count=alert.count,
        kind=alert.kind,
    )
    return msgspec.json.encode(shown)


def _title(alert: Alert) -> str:
    if alert.summary:
        return f"{alert.count} sessions wait" if alert.count > 1 else "A session waits"
    if alert.because == NOBODY_REACTED:
        return NOBODYS
    return TITLES[alert.trigger]


def _body(alert: Alert, lock_screen: LockScreen) -> str:
    """Return who, then what or how many; who and what only where they may be shown."""
    name = _cut(alert.contact_name, MOST_NAME) if lock_screen != "generic" else ""
    said = _cut(alert.excerpt, MOST_EXCERPT) if lock_screen == "excerpt" else ""
    many = f"{alert.count} messages" if alert.count > 1 and not alert.summary else ""
    return ": ".join(part for part in (name, said or many) if part)


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
