"""From when until when a report is: days or instants, in a time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from libs.common.errors import InvalidInputError
from libs.common.figures import instant, quarter
from libs.common.wallclock import zone_named
from services.desk.report_rows import Period

DAYS_MOST = 400
DAYS_USUAL = 30
_YEARS = range(2000, 2200)
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_ALLOWED = "a day as 2026-03-01, or an instant as 2026-03-01T12:00:00Z, of the years 2000 to 2199"


def period_of(since: str, until: str, zone: str, now: datetime) -> Period:
    """Return the period; empty: until the end of today, and the 30 days before that.

    A day begins at its midnight in *zone*; `until` is not part of it. Instants are rounded down to
    the quarter of an hour.

    Raises:
        InvalidInputError: Names the field `zone`, `from` or `to`.
    """
    place = zone_named(zone)
    if place is None:
        allowed = "an IANA name such as Europe/Paris"
        raise InvalidInputError(
            f"zone: {zone[:60]!r} is no time zone; allowed: {allowed}.",
            field="zone",
            allowed=allowed,
        )
    tomorrow = now.astimezone(place).date() + timedelta(days=1)
    end = _instant("to", until, place) if until else _midnight(tomorrow, place)
    last = (end - timedelta(microseconds=1)).astimezone(place).date()
    first = last - timedelta(days=DAYS_USUAL - 1)
    begin = _instant("from", since, place) if since else _midnight(first, place)
    allowed = f"from before to, at most {DAYS_MOST} days"
    if not begin < end <= begin + timedelta(days=DAYS_MOST):
        raise InvalidInputError(
            f"from: the period is empty or too long; allowed: {allowed}.",
            field="from",
            allowed=allowed,
        )
    return Period(begin, end, place)


def _instant(field: str, text: str, place: tzinfo) -> datetime:
    try:
        if _DAY.fullmatch(text):
            return _checked(field, _midnight(date.fromisoformat(text), place))
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise _wrong(field, text) from None
    if at.tzinfo is None or at.year not in _YEARS:
        raise _wrong(field, text)
    return _checked(field, instant(quarter(at)))


def _checked(field: str, at: datetime) -> datetime:
    if at.year not in _YEARS:
        raise _wrong(field, at.isoformat())
    return at


def _midnight(day: date, place: tzinfo) -> datetime:
    """Return when *day* begins; where the clock skips midnight, the moment that it does so."""
    return datetime.combine(day, time.min, place).astimezone(UTC)


def _wrong(field: str, text: str) -> InvalidInputError:
    return InvalidInputError(
        f"{field}: {text[:40]!r} is neither; allowed: {_ALLOWED}.", field=field, allowed=_ALLOWED
    )
