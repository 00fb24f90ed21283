"""Whether an account's webhooks have stopped, judged by the account's own rhythm. Pure.

Time is cut into spans of five minutes. Of each hour of the week it is kept in how many of its
twelve spans a webhook came, for the last four weeks. From that follows how likely a webhook is in
each span, and so how unlikely it is that none comes for as long as none has come: an account is
silent once that happens by chance once in 100,000 times. A quiet night adds nothing, as nothing is
likely then.

All is on the careful side. Of the weeks the lower middle one counts, so that neither one burst nor
one holiday changes much; of an hour and the two beside it the least, so that neither the begin of
a day nor a change of the clocks, which moves a day by an hour in UTC, looks like silence. What
comes seldom or at no fixed time is judged by the week as a whole, and after three days at least.

| webhooks as a rule | silent after, by day |
|---|---|
| in each five minutes | 25 minutes |
| in half of the spans | 1 hour 25 minutes |
| in one span of an hour | 11 hours of such hours |
| a few a day, or at no fixed time | three days; longer where there are fewer than 25 a week |
| fewer than one a week | not before three months |

Nothing is judged in an account's first week, and only by the week as a whole in its second one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

SPAN_S = 300
SPANS = 12
"""Spans of an hour."""
HOUR_S = 3600
WEEK_H = 168
WEEKS = 4
"""So many of the newest weeks count."""
ENOUGH = 2
"""An hour of the week is judged by once it was learned so often."""
LEVEL = 5.0
"""Silent: as unlikely as 10 to the minus this."""
MOST_SHARE = 0.9
"""No span is taken to be surer, so that no single one decides."""
LEAST_BY_WEEK = timedelta(days=3)

_NO_HOURS = ("",) * WEEK_H


class Rhythm(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was learned of one account.

    Attributes:
        last_at: When its last webhook came, as far as known when this was written.
        on_since: When it was switched on again last: its silence counts from then on.
        upto: The last hour that was learned, in hours since 1970.
        hours: Of each hour of the week (in UTC, from Thursday 00:00, as 1970 began) in how many
            spans something came, a hexadecimal digit a week, the newest last.
        learned: Hours learned since the last full week of them; `spans`: busy ones in these.
        weeks: Busy spans in each of the last full weeks of learned hours, the newest last.
    """

    last_at: datetime
    on_since: datetime | None = None
    upto: int = 0
    hours: tuple[str, ...] = _NO_HOURS
    learned: int = 0
    spans: int = 0
    weeks: tuple[int, ...] = ()


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """An account is silent: its last webhook came at `since`.

    By its rhythm, about `missed` of the spans of five minutes since then would have brought one.
    """

    since: datetime
    missed: int


def hour_of(at: datetime) -> int:
    """Return the hour of a time, counted from 1970."""
    return int(at.timestamp()) // HOUR_S


def span_of(at: datetime) -> int:
    """Return which span of its hour a time is in, from 0."""
    return int(at.timestamp()) % HOUR_S // SPAN_S


def learn(rhythm: Rhythm, hour: int, busy: int) -> Rhythm:
    """Return what is known once *hour* is over and *busy* of its spans brought a webhook.

    An hour that was learned already, or a later one, changes nothing: any replica may tell it.
    """
    if hour <= rhythm.upto:
        return rhythm
    hours = list(rhythm.hours)
    slot = hour % WEEK_H
    hours[slot] = (hours[slot] + f"{min(busy, SPANS):x}")[-WEEKS:]
    learned, spans, weeks = rhythm.learned + 1, rhythm.spans + busy, rhythm.weeks
    if learned == WEEK_H:
        weeks = (*weeks, spans)[-WEEKS:]
        learned = spans = 0
    return msgspec.structs.replace(
        rhythm, upto=hour, hours=tuple(hours), learned=learned, spans=spans, weeks=weeks
    )


class Expectation:
    """What is to be expected of an account, made ready: asking costs the same for any span of time.

    Args:
        rhythm: What was learned of it.
    """

    def __init__(self, rhythm: Rhythm) -> None:
        self._judges = bool(rhythm.weeks)
        shares = _shares(rhythm.hours) if self._judges else [0.0] * WEEK_H
        self._doubts = _summed([_doubt(share) * SPANS for share in shares])
        self._spans = _summed([share * SPANS for share in shares])
        self._share = _lower_middle(rhythm.weeks) / (WEEK_H * SPANS) if self._judges else 0.0

    def silence(
        self, last_at: datetime, now: datetime, on_since: datetime | None = None
    ) -> Silence | None:
        """Return that the account is silent *now*, if it is.

        Args:
            last_at: When its last webhook came.
            now: The clock.
            on_since: What was missed before is no sign: it was switched off.
        """
        first = max(last_at, on_since) if on_since else last_at
        if now <= first:
            return None
        begin, end = first.timestamp() / HOUR_S, now.timestamp() / HOUR_S
        by_hour = _between(self._doubts, begin, end)
        spans = (end - begin) * SPANS
        by_week = _doubt(self._share) * spans if now - first >= LEAST_BY_WEEK else 0.0
        if max(by_hour, by_week) < LEVEL:
            return None
        missed = max(_between(self._spans, begin, end), self._share * spans if by_week else 0.0)
        return Silence(since=last_at.astimezone(UTC), missed=round(missed))


def words(silence: Silence) -> str:
    """Say it for people."""
    since = silence.since.isoformat(timespec="seconds")
    return (
        f"silent: no webhook since {since}, though by its own rhythm about {silence.missed} of the "
        "five-minute spans since then would have brought one"
    )


def _shares(hours: Sequence[str]) -> list[float]:
    """Return, of each hour of the week, the share of its spans in which a webhook is likely."""
    usual = [_usual(seen) / SPANS for seen in hours]
    return [min(usual[slot - 1], usual[slot], usual[(slot + 1) % WEEK_H]) for slot in range(WEEK_H)]


def _usual(seen: str) -> int:
    return _lower_middle([int(digit, 16) for digit in seen]) if len(seen) >= ENOUGH else 0


def _lower_middle(values: Sequence[int]) -> int:
    return sorted(values)[(len(values) - 1) // 2]


def _doubt(share: float) -> float:
    """Return how much less likely a span without a webhook makes it that all is well, as log10."""
    return -math.log10(1.0 - min(share, MOST_SHARE))


def _summed(each: Sequence[float]) -> list[float]:
    """Return the sums from the week's begin up to each hour, and up to its end."""
    sums = [0.0]
    for value in each:
        sums.append(sums[-1] + value)
    return sums


def _between(sums: Sequence[float], begin: float, end: float) -> float:
    """Return the sum between two times, in hours since 1970; hours are evenly filled."""
    return _up_to(sums, end) - _up_to(sums, begin)


def _up_to(sums: Sequence[float], hour: float) -> float:
    weeks, rest = divmod(hour, WEEK_H)
    whole = int(rest)
    return weeks * sums[-1] + sums[whole] + (rest - whole) * (sums[whole + 1] - sums[whole])
