"""What is thought of an account after its last calls: every turn, the clock given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.channel import Pace
from libs.common.health import State
from services.notifier.breaker import Breaker
from services.notifier.pace import Bucket

START = datetime(2026, 10, 1, tzinfo=UTC)

TURNS: dict[str, tuple[str, State, bool]] = {
    "nothing is known at first": ("", "unknown", True),
    "one that was taken: ok": ("a", "ok", True),
    "four failures in a row are no verdict": ("affff", "ok", True),
    "five are, and it may still call": ("afffff", "failing", True),
    "also right from the start": ("fffff", "failing", True),
    "a success in between counts anew": ("affffaffff", "ok", True),
    "one success closes it": ("fffffa", "ok", True),
    "a refused credential: revoked at once, and no call": ("ar", "revoked", False),
    "not to be reached either: still revoked": ("rfffffff", "revoked", False),
    "a success closes that too": ("ra", "ok", True),
    "from failing to revoked": ("fffffr", "revoked", False),
}


@pytest.mark.parametrize(("happened", "state", "admits"), TURNS.values(), ids=TURNS)
def test_d10_states(happened: str, state: State, admits: bool) -> None:
    breaker = Breaker()
    for what in happened:
        {"a": breaker.answered, "r": breaker.refused, "f": breaker.failed}[what](START)
    assert breaker.state == state
    assert breaker.admits(START) is admits


def test_since_when_is_the_first_of_its_kind() -> None:
    breaker = Breaker()
    breaker.refused(START)
    breaker.refused(START + timedelta(seconds=30))
    assert breaker.since == START


def test_one_probe_a_minute_while_revoked() -> None:
    breaker = Breaker()
    breaker.refused(START)
    asked = [START + timedelta(seconds=second) for second in range(301)]
    probes = [at - START for at in asked if breaker.admits(at)]
    assert [probe.total_seconds() for probe in probes] == [60, 120, 180, 240, 300]


def test_a_refused_probe_puts_off_the_next() -> None:
    breaker = Breaker()
    breaker.refused(START)
    at = START + timedelta(seconds=90)
    assert breaker.admits(at)
    breaker.refused(at + timedelta(seconds=5))
    assert not breaker.admits(at + timedelta(seconds=64))
    assert breaker.admits(at + timedelta(seconds=65))


def test_a_failing_account_rests_ever_longer_up_to_half_a_minute() -> None:
    breaker = Breaker()
    rests = [breaker.failed(START) for _ in range(20)]
    assert rests[:9] == [0, 0, 0, 0, 5, 10, 20, 30, 30]
    assert set(rests[9:]) == {30}


def test_the_bucket_gives_its_burst_at_once_and_then_a_token_each_interval() -> None:
    bucket = Bucket(Pace(per_second=2, burst=3), now=100.0)
    now, begun = 100.0, []
    for _ in range(7):
        now += bucket.wait_s(now)
        bucket.take(now)
        begun.append(round(now - 100.0, 6))
    assert begun == [0, 0, 0, 0.5, 1.0, 1.5, 2.0]


def test_the_bucket_fills_up_to_its_burst_and_no_further() -> None:
    bucket = Bucket(Pace(per_second=2, burst=3), now=0.0)
    for _ in range(3):
        bucket.take(0.0)
    assert bucket.wait_s(0.0) == 0.5
    for _ in range(3):
        assert bucket.wait_s(3600.0) == 0.0
        bucket.take(3600.0)
    assert bucket.wait_s(3600.0) == 0.5


def test_on_credit_those_who_come_later_wait_for_it() -> None:
    bucket = Bucket(Pace(per_second=10, burst=1), now=0.0)
    for _ in range(4):
        bucket.take(0.0)
    assert bucket.wait_s(0.0) == pytest.approx(0.4)
