"""Whether an account is silent, by its own rhythm: a clock that we set, weeks in milliseconds."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from libs.common.rhythm import (
    HOUR_S,
    SPAN_S,
    WEEK_H,
    Expectation,
    Rhythm,
    Silence,
    hour_of,
    learn,
    span_of,
    words,
)

SPAN = timedelta(seconds=SPAN_S)
HOUR = timedelta(hours=1)
SEEDS = range(1)
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 9, 7, tzinfo=UTC)
DST_ENDS = datetime(2026, 10, 25, 1, tzinfo=UTC)
DST_BEGINS = datetime(2027, 3, 28, 1, tzinfo=UTC)

Feed = Callable[[datetime], float]
"""How likely a webhook is in the span that begins then."""


def office(at: datetime) -> float:
    """Most spans from 9 to 18 in Berlin, Monday to Friday, and nothing else."""
    local = at.astimezone(BERLIN)
    return 0.85 if local.weekday() < 5 and 9 <= local.hour < 18 else 0.0


def round_the_clock(at: datetime) -> float:
    """Each span by day, few at night."""
    return 1.0 if 6 <= at.astimezone(BERLIN).hour < 23 else 0.15


def steady(_at: datetime) -> float:
    return 1.0


def a_few_a_day(_at: datetime) -> float:
    return 4 / 288


def half(_at: datetime) -> float:
    return 0.5


def never(_at: datetime) -> float:
    return 0.0


def burst_in(week: int, feed: Feed, begin: datetime = MONDAY) -> Feed:
    """*feed*, but in one week every span of every day."""

    def likely(at: datetime) -> float:
        return 1.0 if (at - begin) // timedelta(days=7) == week else feed(at)

    return likely


def closed_on(day: date, feed: Feed) -> Feed:
    """*feed*, but for one day on which nothing comes."""
    return lambda at: 0.0 if at.astimezone(BERLIN).date() == day else feed(at)


def until(end: datetime, feed: Feed) -> Feed:
    """*feed*, which stops."""
    return lambda at: feed(at) if at < end else 0.0


class Life:
    """One account's life, as the scheduler sees it: each span, each hour learned.

    `told` has the times at which it became silent, `cleared` those at which it was no more.
    """

    def __init__(self, begin: datetime, seed: int = 9) -> None:
        self.now = begin
        self.rhythm: Rhythm | None = None
        self.last_at: datetime | None = None
        self.told: list[datetime] = []
        self.cleared: list[datetime] = []
        self.silence: Silence | None = None
        self._busy: set[int] = set()
        self._chance = random.Random(seed)  # noqa: S311 (no secret)
        self._expected: Expectation | None = None

    def live(self, feed: Feed, end: datetime) -> Life:
        """Go on until *end*."""
        while self.now < end:
            if self._chance.random() < feed(self.now):
                self.last_at = self.now
                self._busy.add(span_of(self.now))
            self.now += SPAN
            self._judge()
            if self.now.timestamp() % HOUR_S == 0:
                self._learn()
        return self

    def _judge(self) -> None:
        before = self.silence
        if self.last_at is None or self.rhythm is None:
            return
        if self.now - self.last_at < 2 * SPAN:  # it never is so soon; saves most of the time
            self.silence = None
        else:
            self._expected = self._expected or Expectation(self.rhythm)
            self.silence = self._expected.silence(self.last_at, self.now)
        if self.silence and not before:
            self.told.append(self.now)
        elif before and not self.silence:
            self.cleared.append(self.now)

    def _learn(self) -> None:
        hour, busy = hour_of(self.now) - 1, len(self._busy)
        self._busy = set()
        if self.last_at is None or self.silence:
            return
        before = self.rhythm or Rhythm(last_at=self.last_at)
        self.rhythm = learn(before, hour, busy)
        self._expected = None


class Quiet(NamedTuple):
    """An account that is never silent."""

    feed: Feed
    weeks: int = 6
    begin: datetime = MONDAY


NEVER_SILENT = {
    "a quiet night raises nothing": Quiet(round_the_clock),
    "an office closes each evening and each weekend": Quiet(office),
    "the clocks go back, and the day begins an hour later in UTC": Quiet(
        office, begin=DST_ENDS - timedelta(days=34, hours=1)
    ),
    "the clocks go forward, and the day begins an hour earlier": Quiet(
        office, begin=DST_BEGINS - timedelta(days=34, hours=1)
    ),
    "half of the spans": Quiet(half),
    "a few a day, at any time": Quiet(a_few_a_day),
    "a new account whose first week is one burst": Quiet(burst_in(0, half)),
    "a burst in a week of holidays, and then as before": Quiet(burst_in(3, office)),
    "a burst at an account that is mostly quiet": Quiet(burst_in(2, a_few_a_day)),
    "an account that always was silent": Quiet(never),
    "one webhook, and never another": Quiet(lambda at: float(at == MONDAY)),
}


@pytest.mark.parametrize("case", NEVER_SILENT.values(), ids=NEVER_SILENT)
def test_d10_quiet_account_is_not_silent(case: Quiet) -> None:
    for seed in SEEDS:
        life = Life(case.begin, seed).live(case.feed, case.begin + timedelta(weeks=case.weeks))

        assert life.told == [], f"seed {seed}"


class Stop(NamedTuple):
    """A feed that stops, and how soon that has to be told; not before `never_before`."""

    feed: Feed
    stops: datetime
    within: timedelta
    never_before: timedelta = timedelta()
    weeks: int = 5


NOON = MONDAY + timedelta(weeks=5, hours=10)
FRIDAY = MONDAY + timedelta(weeks=5, days=4, hours=15)
STOPS = {
    "one in each five minutes stops at noon": Stop(steady, NOON, timedelta(minutes=30)),
    "one that is quiet at night stops at noon": Stop(round_the_clock, NOON, timedelta(minutes=30)),
    "an office's stops at noon": Stop(office, NOON, timedelta(hours=1, minutes=30)),
    "half of the spans": Stop(half, NOON, timedelta(hours=4)),
    "an office's stops before the weekend, and is told of on Monday": Stop(
        office, FRIDAY + HOUR, timedelta(days=2, hours=18, minutes=30), never_before=2 * DAY
    ),
    "it stops at night, and is told of in the morning": Stop(
        round_the_clock,
        MONDAY + timedelta(weeks=5, hours=1),
        timedelta(hours=5),
        never_before=timedelta(hours=3),
    ),
    "a few a day: after days": Stop(
        a_few_a_day, NOON, timedelta(days=6), never_before=timedelta(days=2)
    ),
    "on a holiday, which nobody has told us of": Stop(
        office, MONDAY + timedelta(weeks=5), timedelta(hours=9, minutes=30)
    ),
    "a week after a holiday": Stop(
        closed_on(date(2026, 10, 5), office), NOON, timedelta(hours=1, minutes=30)
    ),
    "a week after a burst": Stop(burst_in(4, office), NOON, timedelta(hours=1, minutes=30)),
    "in its second week, when the week as a whole counts": Stop(
        steady, MONDAY + timedelta(days=8), timedelta(days=3), never_before=3 * DAY - 2 * SPAN
    ),
}


@pytest.mark.parametrize("case", STOPS.values(), ids=STOPS)
def test_d10_stopped_feed_is_told_in_time(case: Stop) -> None:
    for seed in SEEDS:
        life = Life(MONDAY, seed).live(until(case.stops, case.feed), case.stops)
        told_before = len(life.told)
        life.live(never, case.stops + case.within)

        assert len(life.told) == told_before + 1, f"seed {seed}: not told by {life.now}"
        assert life.told[-1] >= case.stops + case.never_before
        assert life.silence is not None
        assert life.silence.since == life.last_at
        assert life.silence.missed > 0


def test_d10_feed_that_returns_clears_at_once_and_taught_nothing_meanwhile() -> None:
    stops, returns = NOON, NOON + timedelta(weeks=3)
    life = Life(MONDAY).live(until(stops, steady), returns)
    assert life.silence is not None
    learned = life.rhythm

    life.live(steady, returns + SPAN)

    assert life.cleared == [returns + SPAN]
    assert life.rhythm == learned
    life.live(steady, returns + 2 * DAY).live(never, returns + 2 * DAY + HOUR)
    assert len(life.told) == 2, "the second stop is told as soon as the first"


def test_d10_first_week_is_never_judged() -> None:
    life = Life(MONDAY).live(until(MONDAY + DAY, steady), MONDAY + timedelta(days=7))

    assert life.told == []


def test_d10_account_that_was_switched_off_is_judged_from_when_it_is_on_again() -> None:
    life = Life(MONDAY).live(steady, NOON)
    assert life.rhythm is not None
    assert life.last_at is not None
    expected, on_since = Expectation(life.rhythm), NOON + timedelta(weeks=2)

    assert expected.silence(life.last_at, on_since)
    assert expected.silence(life.last_at, on_since + 4 * SPAN, on_since) is None
    assert expected.silence(life.last_at, on_since + 6 * SPAN, on_since)


def test_d10_hour_that_was_learned_is_not_learned_again() -> None:
    rhythm = learn(Rhythm(last_at=MONDAY), hour_of(MONDAY), 3)

    assert learn(rhythm, hour_of(MONDAY), 12) is rhythm
    assert learn(rhythm, hour_of(MONDAY) - 1, 12) is rhythm
    assert rhythm.hours[hour_of(MONDAY) % WEEK_H] == "3"


def test_d10_four_weeks_are_kept() -> None:
    rhythm = Rhythm(last_at=MONDAY)
    for hour in range(9 * WEEK_H):
        rhythm = learn(rhythm, hour_of(MONDAY) + hour, hour // WEEK_H)

    assert set(rhythm.hours) == {"5678"}
    assert rhythm.weeks == (5 * WEEK_H, 6 * WEEK_H, 7 * WEEK_H, 8 * WEEK_H)


def test_d10_future_webhook_is_not_silent() -> None:
    life = Life(MONDAY).live(steady, NOON)
    assert life.rhythm is not None

    assert Expectation(life.rhythm).silence(NOON + DAY, NOON) is None


def test_d10_silence_is_said_in_words() -> None:
    said = words(Silence(since=MONDAY, missed=9))

    assert said == (
        "silent: no webhook since 2026-09-07T00:00:00+00:00, though by its own rhythm about 9 of "
        "the five-minute spans since then would have brought one"
    )
