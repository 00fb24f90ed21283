"""What a failed try means: the table behind "at most once unless provably refused"."""

from __future__ import annotations

import pytest

from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    MalformedPayloadError,
    NotSentError,
    RejectedError,
    ThrottledError,
)
from services.notifier.outcome import Again, Refresh, Result, Tried, Verdict, judge

THROTTLED = ThrottledError("429", delay_s=7)
REFUSED = NotSentError("refused")
AMBIGUOUS = AmbiguousSendError("time-out")
WINDOW = RejectedError("10", reason="window_closed", provider_code="10/2018278")
TOKEN = CredentialError("190", reason="credential", provider_code="190")


def tried(**facts: object) -> Tried:
    return Tried(**{"tries": 1, "limit": 5, **facts})  # type: ignore[arg-type]


def failed(reason: str, code: str = "") -> Result:
    return Result(status="failed", reason=reason, provider_code=code)


def unknown(reason: str, code: str = "") -> Result:
    return Result(status="unknown", reason=reason, provider_code=code)


CASES: dict[str, tuple[GatewayError, Tried, Verdict]] = {
    "too fast: wait as told, and the whole account with us": (
        THROTTLED,
        tried(),
        Again(delay_s=7, pause=True),
    ),
    "too fast, told less than our own backoff: the backoff counts": (
        ThrottledError("429", delay_s=1),
        tried(tries=4),
        Again(delay_s=8, pause=True),
    ),
    "an absurd wait is capped at an hour": (
        ThrottledError("429", delay_s=1e9),
        tried(),
        Again(delay_s=3600, pause=True),
    ),
    "jitter only ever adds": (THROTTLED, tried(chance=1.0), Again(delay_s=8.75, pause=True)),
    "too fast until the tries are used up: failed": (
        THROTTLED,
        tried(tries=5),
        failed("throttled"),
    ),
    "a refused connection is tried again, for this message alone": (
        REFUSED,
        tried(),
        Again(delay_s=1),
    ),
    "the wait doubles": (REFUSED, tried(tries=3), Again(delay_s=4)),
    "the wait is capped": (REFUSED, tried(tries=19, limit=20), Again(delay_s=30)),
    "refused until the tries are used up: failed": (REFUSED, tried(tries=5), failed("not_sent")),
    "a time-out after writing is unknown, and not repeated": (
        AMBIGUOUS,
        tried(),
        unknown("ambiguous"),
    ),
    "a time-out of a call with a retry key is repeated": (
        AMBIGUOUS,
        tried(keyed=True),
        Again(delay_s=1),
    ),
    "repeats with a retry key end as unknown, never as failed": (
        AMBIGUOUS,
        tried(tries=5, keyed=True),
        unknown("ambiguous"),
    ),
    "a time-out of a harmless call is repeated": (
        AMBIGUOUS,
        tried(harmless=True),
        Again(delay_s=1),
    ),
    "a harmless call that never comes through ends as failed: nothing is out": (
        AMBIGUOUS,
        tried(tries=5, harmless=True),
        failed("ambiguous"),
    ),
    "a harmless call behind a doubtful one leaves the message unknown": (
        AMBIGUOUS,
        tried(tries=5, harmless=True, doubtful=True),
        unknown("ambiguous"),
    ),
    "a harmless call behind a part that went out says so": (
        WINDOW,
        tried(harmless=True, partly=True),
        failed("partly_sent", "10/2018278"),
    ),
    "a harmless answer of unknown meaning is certain: nothing is out": (
        MalformedPayloadError("x"),
        tried(harmless=True),
        failed("malformed_payload"),
    ),
    "refused after a time-out: still unknown, the first may have gone out": (
        REFUSED,
        tried(tries=5, keyed=True, doubtful=True),
        unknown("not_sent"),
    ),
    "rejected after a time-out: unknown as well": (
        WINDOW,
        tried(tries=2, keyed=True, doubtful=True),
        unknown("window_closed", "10/2018278"),
    ),
    "the provider's refusal is final at once": (
        WINDOW,
        tried(),
        failed("window_closed", "10/2018278"),
    ),
    "refused behind a part that went out says so": (
        WINDOW,
        tried(partly=True),
        failed("partly_sent", "10/2018278"),
    ),
    "too fast behind a part that went out is tried again from there": (
        THROTTLED,
        tried(partly=True),
        Again(delay_s=7, pause=True),
    ),
    "a fetched token that is refused is fetched anew": (TOKEN, tried(refreshable=True), Refresh()),
    "even on the last try": (TOKEN, tried(tries=5, refreshable=True), Refresh()),
    "a second refusal is final": (TOKEN, tried(tries=2), failed("credential", "190")),
    "a failure before any call was made is certain": (
        MalformedPayloadError("x"),
        tried(called=False),
        failed("malformed_payload"),
    ),
    "a failure of unknown meaning about a call is unknown": (
        MalformedPayloadError("x"),
        tried(),
        unknown("malformed_payload"),
    ),
}


@pytest.mark.parametrize(("error", "so_far", "expected"), CASES.values(), ids=CASES)
def test_judge(error: GatewayError, so_far: Tried, expected: Verdict) -> None:
    assert judge(error, so_far) == expected
