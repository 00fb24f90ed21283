"""What follows a try: the schedule, the answers, and how much at once (D20); no I/O."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from libs.common.signing import sign
from libs.common.webhooks import (
    MOST_ANSWER,
    MOST_ATTEMPTS,
    Attempt,
    WebhookDelivery,
    WebhookEndpoint,
    new_delivery,
)
from services.notifier.hooks_lane import FAILURES, Lane, Pace
from services.notifier.hooks_retry import PAUSES_S, Tried, after, gives_up, overdue, shown, wait_s

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ENDPOINT = WebhookEndpoint(id="hook_1", workspace="acme", url="https://a.example", created_at=NOW)


def pending() -> WebhookDelivery:
    return new_delivery(ENDPOINT, "e1", "webhook.test", "{}", NOW)


def tried(status: int = 500, at: datetime = NOW, **more: float) -> Tried:
    error = "" if 200 <= status < 300 else f"http_{status}"
    return Tried(attempt=Attempt(at=at, status=status, error=error), **more)


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_d20_a_dead_endpoint_is_tried_at_least_eight_times_over_three_days(chance: float) -> None:
    one, at, moments = pending(), NOW, [NOW]
    while True:
        one = after(one, tried(at=at), chance)
        if one.next_at is None:
            break
        at = one.next_at
        moments.append(at)
    assert (one.state, one.tries) == ("failed", len(moments))
    assert len(moments) >= 8
    assert moments[-1] - moments[0] >= timedelta(days=3)
    pauses = [(late - early).total_seconds() for early, late in pairwise(moments)]
    assert all(p <= got <= 1.1 * p for p, got in zip(PAUSES_S, pauses, strict=True))
    assert pauses == sorted(pauses)


OUTCOMES = {
    "200 delivers": (200, "delivered"),
    "204 delivers": (204, "delivered"),
    "301 is tried again": (301, "pending"),
    "400 is tried again": (400, "pending"),
    "404 is tried again": (404, "pending"),
    "410 ends it": (410, "failed"),
    "429 is tried again": (429, "pending"),
    "500 is tried again": (500, "pending"),
    "no answer is tried again": (0, "pending"),
}


@pytest.mark.parametrize(("status", "state"), OUTCOMES.values(), ids=OUTCOMES)
def test_d20_an_answer_means_this(status: int, state: str) -> None:
    done = after(pending(), tried(status), 0.5)
    assert done.state == state
    assert (done.next_at is None) == (state != "pending")
    assert (done.ended_at is None) == (state == "pending")


WAITS: dict[str, tuple[int, str, float]] = {
    "seconds of a 429": (429, "120", 120),
    "seconds of a 503": (503, " 7 ", 7),
    "a date": (503, "Fri, 01 May 2026 12:05:00 GMT", 300),
    "a date that has passed": (503, "Fri, 01 May 2026 11:05:00 GMT", 0),
    "no more than a day": (429, "9999999", 24 * 3600),
    "not that of another status": (500, "120", 0),
    "nothing": (429, "", 0),
    "no number and no date": (429, "soon", 0),
    "a negative number": (429, "-5", 0),
    "digits that are none": (429, "\u0663", 0),
    "a date beyond all dates": (503, "Fri, 01 May 99999 12:05:00 GMT", 0),
}


@pytest.mark.parametrize(("status", "header", "expected"), WAITS.values(), ids=WAITS)
def test_d20_the_receiver_may_say_when_to_come_again(
    status: int, header: str, expected: float
) -> None:
    assert wait_s(status, header, NOW) == expected
    done = after(pending(), tried(429, wait_s=expected), 0.0)
    assert done.next_at == NOW + timedelta(seconds=max(expected, PAUSES_S[0]))


def test_the_last_twenty_tries_are_kept() -> None:
    one = pending()
    for n in range(MOST_ATTEMPTS + 5):
        one = after(msgspec.structs.replace(one, tries=0), tried(at=NOW + timedelta(hours=n)), 0.0)
    assert len(one.attempts) == MOST_ATTEMPTS
    assert one.attempts[-1].at == NOW + timedelta(hours=MOST_ATTEMPTS + 4)


ANSWERS = {
    "text as it is": (b"not today", "not today"),
    "without control characters": (b"a\x00\x1b[31mb\nc", "a [31mb c"),
    "bytes that are no text": (b"\xff\xfeok", "\ufffd\ufffdok"),
    "cut": (b"x" * 10_000, "x" * MOST_ANSWER),
}


@pytest.mark.parametrize(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_an_answer_is_kept_as_text_for_people(answer: bytes, expected: str) -> None:
    assert shown(answer) == expected


def test_d20_five_days_without_success_are_enough_and_a_week_of_waiting() -> None:
    failing = msgspec.structs.replace(ENDPOINT, failing_since=NOW)
    assert not gives_up(ENDPOINT, NOW + timedelta(days=50))
    assert not gives_up(failing, NOW + timedelta(days=5, seconds=-1))
    assert gives_up(failing, NOW + timedelta(days=5))
    assert not overdue(pending(), NOW + timedelta(days=7, seconds=-1))
    assert overdue(pending(), NOW + timedelta(days=7))


# --- how much at once ----------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_a_dead_endpoint_rests_longer_each_time_and_one_call_tries_it() -> None:
    clock = Clock()
    lane = Lane(Pace(first_rest_s=10, longest_rest_s=30), clock)
    for _ in range(FAILURES):
        assert lane.busy_s() == 0
        lane.failed()
    rests = []
    for _ in range(4):
        rests.append(lane.busy_s())
        clock.now += rests[-1]
        assert lane.busy_s() == 0
        async with lane.place(0) as late_s:
            assert late_s == 0
            assert lane.busy_s() > 0, "while it is tried, nobody else calls"
            lane.failed()
    assert rests == [10, 20, 30, 30]
    clock.now += 30
    lane.succeeded()
    assert (lane.busy_s(), lane.resting) == (0, False)


async def test_places_are_limited_and_a_crowd_comes_later() -> None:
    lane = Lane(Pace(at_once=2, waiting=3, crowded_s=7), Clock())
    free = asyncio.Event()

    async def hold() -> None:
        async with lane.place(0):
            await free.wait()

    tasks = [asyncio.create_task(hold()) for _ in range(5)]
    await asyncio.sleep(0)
    assert (lane.under_way, lane.busy_s()) == (2, 7)
    free.set()
    await asyncio.gather(*tasks)
    assert (lane.under_way, lane.busy_s(), lane.idle) == (0, 0, True)


async def test_a_limit_of_calls_a_second_spaces_them() -> None:
    lane, loop = Lane(Pace(), asyncio.get_running_loop().time), asyncio.get_running_loop()
    moments = []

    async def one() -> None:
        async with lane.place(20):
            moments.append(loop.time())

    await asyncio.gather(*(one() for _ in range(6)))
    assert moments[-1] - moments[0] >= 5 / 20 - 0.01


# --- the specification ---------------------------------------------------------------------------

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VECTOR = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}


def test_d20_we_sign_the_published_vector_of_the_specification() -> None:
    body, at = b'{"test": 2432232314}', datetime.fromtimestamp(1614265330, UTC)
    assert sign(SECRET, VECTOR["webhook-id"], body, at) == VECTOR
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body
    by_hand = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert VECTOR["webhook-signature"] == f"v1,{by_hand}"
