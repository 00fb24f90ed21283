"""What follows a try of a delivery: delivered, another try, or the end. No I/O.

Source of the answers' meaning: Standard Webhooks 1.0.0 (2xx is success, 3xx a failure, 410 ends it
for the endpoint, 429 and 503 may say when to come again).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import msgspec

from libs.common.webhooks import (
    MOST_ANSWER,
    MOST_ATTEMPTS,
    WAITS,
    Attempt,
    DeliveryState,
    WebhookDelivery,
    WebhookEndpoint,
)

PAUSES_S = (5, 30, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds from a try to the next: eleven tries over three days and three hours at least."""
JITTER = 0.1
"""By how much of itself a pause is longer, at most: never shorter."""
LONGEST_WAIT_S = 24 * 3600
"""The most that an answer may make us wait."""
GIVES_UP = timedelta(days=5)
"""After so long without a single success an endpoint is switched off."""
EXPIRED = "expired"
"""Stands in the log for a try that never came: its endpoint had no place for it in time."""
GONE = 410
_SAYS_WHEN = frozenset({429, 503})
_SUCCESS = range(200, 300)
_UNFIT = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]+")


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one call: its record, and when the receiver wants the next, in seconds."""

    attempt: Attempt
    wait_s: float = 0.0

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return not self.attempt.error and self.attempt.status in _SUCCESS

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.attempt.status == GONE


def after(delivery: WebhookDelivery, tried: Tried, chance: float) -> WebhookDelivery:
    """Return *delivery* as it is after a try; *chance* is 0 to 1."""
    tries = delivery.tries + 1
    at = tried.attempt.at
    log = (*delivery.attempts, tried.attempt)[-MOST_ATTEMPTS:]
    done = msgspec.structs.replace(delivery, tries=tries, attempts=log, parked_at=None)
    if tried.delivered:
        return msgspec.structs.replace(done, state="delivered", next_at=None, ended_at=at)
    if tried.gone or tries > len(PAUSES_S):
        return msgspec.structs.replace(done, state="failed", next_at=None, ended_at=at)
    pause_s = max(PAUSES_S[tries - 1] * (1 + JITTER * chance), tried.wait_s)
    ended_at = at + timedelta(milliseconds=tried.attempt.took_ms)
    return msgspec.structs.replace(done, next_at=ended_at + timedelta(seconds=pause_s))


def ended(delivery: WebhookDelivery, state: DeliveryState, now: datetime) -> WebhookDelivery:
    """Return *delivery* as one that is tried no more; the log says so where it has failed."""
    log = delivery.attempts
    if state == "failed":
        log = (*log, Attempt(at=now, error=EXPIRED))[-MOST_ATTEMPTS:]
    return msgspec.structs.replace(
        delivery, state=state, next_at=None, parked_at=None, ended_at=now, attempts=log
    )


def overdue(delivery: WebhookDelivery, now: datetime) -> bool:
    """Tell whether *delivery* has waited for its endpoint as long as it may."""
    return now - delivery.queued_at >= WAITS


def gives_up(endpoint: WebhookEndpoint, now: datetime) -> bool:
    """Tell whether *endpoint*, which has just failed again, has failed for too long."""
    return endpoint.failing_since is not None and now - endpoint.failing_since >= GIVES_UP


def wait_s(status: int, header: str, now: datetime) -> float:
    """Return how long a `Retry-After` asks to wait, in seconds or until a date; 0: not at all."""
    if status not in _SAYS_WHEN or not header:
        return 0.0
    text = header.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:  # noqa: PLR2004
        return min(float(text), LONGEST_WAIT_S)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT_S)


def shown(answer: bytes) -> str:
    """Return how *answer* begins, as text for people: no control characters."""
    text = answer[: 4 * MOST_ANSWER].decode("utf-8", "replace")
    return _UNFIT.sub(" ", text)[:MOST_ANSWER].strip()
