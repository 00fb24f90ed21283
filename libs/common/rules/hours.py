"""Business hours: whether a calendar is open, and when that changes.

A span is a stretch of real time between two readings of the wall clock, so a clock change within
it makes it longer or shorter. Where a reading does not name one moment:

* skipped by the clock (a gap): the moment of the jump, for opening and closing alike, so a span
  that lies wholly in the gap does not happen;
* shown twice (an overlap): opening takes the first, closing the second, so nobody whose clock says
  "open" is sent away.

A span belongs to the day it begins on, and runs on past midnight where it closes before it opens.
A holiday replaces its whole date, midnight to midnight: what ran over from the evening before ends,
and its own spans run on into the next day unless that is a holiday too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from libs.common.policy import Calendar, Span

HORIZON_DAYS = 400
"""How far ahead a change is looked for."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)

Stretch = tuple[datetime, datetime]
"""From (inclusive) until (exclusive), in UTC."""


def is_open(calendar: Calendar | None, now: datetime) -> bool:
    """Tell whether *now* (aware) lies in the calendar's hours; without a calendar it always does.

    A zone that this host does not know is read as UTC.
    """
    if calendar is None:
        return True
    today = _local_date(calendar, now)
    return any(
        start <= now < stop
        for day in (today - _DAY, today)
        for start, stop in _stretches(calendar, day)
    )


def next_change(calendar: Calendar | None, now: datetime) -> datetime | None:
    """Return the first moment (UTC) after *now* at which it opens, or closes.

    None: not within `HORIZON_DAYS`, as for a calendar that is always or never open.
    """
    if calendar is None:
        return None
    first = _local_date(calendar, now) - _DAY
    closes: datetime | None = None
    for number in range(HORIZON_DAYS + 2):
        for start, stop in _stretches(calendar, first + number * _DAY):
            if stop <= now:
                continue
            if closes is None and start > now:
                return start
            if closes is not None and start > closes:
                return closes
            closes = stop if closes is None else max(closes, stop)
    beyond = now + (HORIZON_DAYS - 1) * _DAY
    return closes if closes is not None and closes < beyond else None


def problems(calendar: Calendar) -> Iterator[tuple[str, str]]:
    """Yield (place in the calendar, what is wrong there and what is allowed)."""
    if zone_of(calendar.zone) is None:
        yield (
            "zone",
            f"{calendar.zone!r} is not a zone of the IANA list; allowed: such as 'Europe/Berlin'",
        )
    if not any(span.days for span in calendar.spans) and not any(
        holiday.spans for holiday in calendar.holidays
    ):
        yield "spans", "there are none, so it is never open; name at least one"
    for number, span in enumerate(calendar.spans):
        if not span.days:
            yield f"spans[{number}].days", "there are none; name at least one from 0 (Monday) to 6"
        yield from _span_problems(f"spans[{number}]", span)
    yield from _holiday_problems(calendar)


def _holiday_problems(calendar: Calendar) -> Iterator[tuple[str, str]]:
    dates = Counter(holiday.date for holiday in calendar.holidays)
    for number, holiday in enumerate(calendar.holidays):
        place = f"holidays[{number}]"
        if _date_of(holiday.date) is None:
            yield (
                f"{place}.date",
                f"{holiday.date!r} is not a day of the calendar, as 2026-12-25 is",
            )
        if dates[holiday.date] > 1:
            yield f"{place}.date", f"{holiday.date} is named more than once; the first one counts"
        for index, span in enumerate(holiday.spans):
            yield from _span_problems(f"{place}.spans[{index}]", span)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo | None:
    """Return the zone of this name, or None where this host knows none."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # unknown, a folder, a forbidden path
        return None


def _span_problems(place: str, span: Span) -> Iterator[tuple[str, str]]:
    if span.opens == span.closes:
        yield f"{place}.closes", "is when it opens; for a whole day say 00:00 to 24:00"
    if span.opens == "24:00":
        yield f"{place}.opens", "24:00 ends a day and begins none; say 00:00 of the next day"


def _local_date(calendar: Calendar, now: datetime) -> date:
    return now.astimezone(zone_of(calendar.zone) or UTC).date()


@lru_cache(maxsize=4096)
def _stretches(calendar: Calendar, day: date) -> tuple[Stretch, ...]:
    """Return when it is open by the spans that begin on *day*, in order of their beginning."""
    zone = zone_of(calendar.zone) or UTC
    spans = _holiday(calendar, day)
    if spans is None:
        spans = tuple(span for span in calendar.spans if day.weekday() in span.days)
    # a holiday next day takes what would run over into it; holidays close at their own midnight
    over = _holiday(calendar, day + _DAY) is None
    midnight = _moment(zone, day, 24 * 60, last=False)
    found = []
    for span in spans:
        opens, closes = _minutes(span.opens), _minutes(span.closes)
        start = _moment(zone, day, opens, last=False)
        stop = _moment(zone, day, closes if closes >= opens else closes + 24 * 60, last=True)
        if not over:
            stop = min(stop, midnight)
        if opens != closes and start < stop:
            found.append((start, stop))
    return tuple(sorted(found))


def _holiday(calendar: Calendar, day: date) -> tuple[Span, ...] | None:
    """Return the spans of the holiday on *day*, whatever their weekdays; None: it is none."""
    text = day.isoformat()
    return next((holiday.spans for holiday in calendar.holidays if holiday.date == text), None)


def _moment(zone: tzinfo, day: date, minutes: int, *, last: bool) -> datetime:
    """Return when the clocks of *zone* show *minutes* after the midnight that *day* begins with."""
    wall = datetime(day.year, day.month, day.day) + timedelta(minutes=minutes)  # noqa: DTZ001
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first > second:  # skipped: PEP 495 reads it by the offset before, or after, the jump
        return jump(zone, second, first)
    return second if last else first


def jump(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """Return the moment between the two, to the second, from which another offset counts."""
    offset = before.astimezone(zone).utcoffset()
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _date_of(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
