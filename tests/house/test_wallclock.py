"""A local time means one instant, on the nights when clocks change too (D08)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.errors import InvalidInputError
from libs.common.switches import QuietHours
from libs.common.wallclock import after_quiet, instant, local_time, quiet_problem

BERLIN, NEW_YORK, APIA = "Europe/Berlin", "America/New_York", "Pacific/Apia"
LORD_HOWE, KOLKATA, BEIRUT = "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Beirut"

INSTANTS = {
    "winter is one hour ahead": (BERLIN, "2026-01-15T09:00", "2026-01-15T08:00", ""),
    "summer is two hours ahead": (BERLIN, "2026-07-15T09:00", "2026-07-15T07:00", ""),
    "seconds count": (BERLIN, "2026-07-15T09:00:05", "2026-07-15T07:00:05", ""),
    "half hours count": (KOLKATA, "2026-07-15T09:00", "2026-07-15T03:30", ""),
    "UTC is itself": ("UTC", "2026-07-15T09:00", "2026-07-15T09:00", ""),
    "just before a gap": (BERLIN, "2026-03-29T01:59", "2026-03-29T00:59", ""),
    "the first minute of a gap is moved": (BERLIN, "2026-03-29T02:00", "2026-03-29T01:00", "gap"),
    "a gap moves forward by its length": (BERLIN, "2026-03-29T02:30", "2026-03-29T01:30", "gap"),
    "behind a gap": (BERLIN, "2026-03-29T03:00", "2026-03-29T01:00", ""),
    "just before an overlap": (BERLIN, "2026-10-25T01:59", "2026-10-24T23:59", ""),
    "an overlap takes the first": (BERLIN, "2026-10-25T02:30", "2026-10-25T00:30", "overlap"),
    "behind an overlap": (BERLIN, "2026-10-25T03:00", "2026-10-25T02:00", ""),
    "a gap in the west": (NEW_YORK, "2026-03-08T02:30", "2026-03-08T07:30", "gap"),
    "an overlap in the west": (NEW_YORK, "2026-11-01T01:30", "2026-11-01T05:30", "overlap"),
    "a gap of half an hour": (LORD_HOWE, "2026-10-04T02:15", "2026-10-03T15:45", "gap"),
    "an overlap of half an hour": (LORD_HOWE, "2026-04-05T01:45", "2026-04-04T14:45", "overlap"),
    "a gap at midnight": (BEIRUT, "2026-03-29T00:30", "2026-03-28T22:30", "gap"),
    "a gap of a whole day": (APIA, "2011-12-30T12:00", "2011-12-30T22:00", "gap"),
}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "local", "expected", "shifted"), INSTANTS.values(), ids=INSTANTS.keys()
)
def test_d08_a_local_time_means_one_instant(
    zone: str, local: str, expected: str, shifted: str
) -> None:
    found = instant(local, zone)
    assert (found.at, found.shifted) == (utc(expected), shifted)


def test_a_gap_moves_by_its_length_on_the_wall_clock() -> None:
    assert local_time(instant("2026-03-29T02:30", BERLIN).at, BERLIN) == "2026-03-29T03:30"
    assert local_time(instant("2011-12-30T12:00", APIA).at, APIA) == "2011-12-31T12:00"


WRONG = {
    "no time of day": ("2026-01-15", "UTC", "at"),
    "no such day": ("2026-02-30T09:00", "UTC", "at"),
    "an hour that is none": ("2026-02-20T25:00", "UTC", "at"),
    "an offset": ("2026-02-20T09:00+01:00", "UTC", "at"),
    "fractions": ("2026-02-20T09:00:00.5", "UTC", "at"),
    "digits of another script": ("2026-02-20T0٩:00", "UTC", "at"),
    "before all time": ("0001-01-01T00:00", BERLIN, "at"),
    "behind all time": ("9999-12-31T23:59", NEW_YORK, "at"),
    "no zone": ("2026-02-20T09:00", "", "zone"),
    "no such zone": ("2026-02-20T09:00", "Europe/Berlinn", "zone"),
    "a path": ("2026-02-20T09:00", "../../etc/passwd", "zone"),
    "a folder": ("2026-02-20T09:00", "Europe", "zone"),
    "a zone with leap seconds": ("2026-02-20T09:00", "right/Europe/Berlin", "zone"),
    "the host's own zone": ("2026-02-20T09:00", "localtime", "zone"),
}


@pytest.mark.parametrize(("local", "zone", "field"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_local_time_is_refused_by_its_field(local: str, zone: str, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        instant(local, zone)
    assert refused.value.facts["field"] == field


NIGHT = ("22:00", "08:00")
QUIET = {
    "in the day nothing moves": (BERLIN, NIGHT, "2026-01-15T12:00", "2026-01-15T12:00"),
    "the beginning is inside": (BERLIN, NIGHT, "2026-01-15T21:00", "2026-01-16T07:00"),
    "just before is outside": (BERLIN, NIGHT, "2026-01-15T20:59:59", "2026-01-15T20:59:59"),
    "in the evening: next morning": (BERLIN, NIGHT, "2026-01-15T22:30", "2026-01-16T07:00"),
    "behind midnight: this morning": (BERLIN, NIGHT, "2026-01-15T03:00", "2026-01-15T07:00"),
    "the end is outside": (BERLIN, NIGHT, "2026-01-15T07:00", "2026-01-15T07:00"),
    "within a day": (BERLIN, ("12:00", "14:00"), "2026-01-15T12:00", "2026-01-15T13:00"),
    "until midnight": (BERLIN, ("22:00", "24:00"), "2026-01-15T21:30", "2026-01-15T23:00"),
    "a night that is an hour short": (BERLIN, NIGHT, "2026-03-28T22:00", "2026-03-29T06:00"),
    "a night that is an hour long": (BERLIN, NIGHT, "2026-10-24T21:00", "2026-10-25T07:00"),
    "their end is skipped: the jump": (
        BERLIN,
        ("22:00", "02:30"),
        "2026-03-29T00:30",
        "2026-03-29T01:00",
    ),
    "their beginning is skipped": (
        BERLIN,
        ("02:30", "04:00"),
        "2026-03-29T01:00",
        "2026-03-29T02:00",
    ),
    "they lie in the gap wholly": (
        BERLIN,
        ("02:10", "02:50"),
        "2026-03-29T01:00",
        "2026-03-29T01:00",
    ),
    "their end is shown twice: the first": (
        BERLIN,
        ("22:00", "02:30"),
        "2026-10-24T23:00",
        "2026-10-25T00:30",
    ),
    "inside once more in the second pass": (
        BERLIN,
        ("22:00", "02:30"),
        "2026-10-25T01:10",
        "2026-10-25T01:30",
    ),
    "the jump lands in the next ones": (
        BERLIN,
        ("02:50", "02:10"),
        "2026-03-29T00:30",
        "2026-03-30T00:10",
    ),
    "a whole day is none": (BERLIN, ("08:00", "08:00"), "2026-01-15T12:00", "2026-01-15T12:00"),
    "midnight to midnight is none": (
        BERLIN,
        ("00:00", "24:00"),
        "2026-01-15T12:00",
        "2026-01-15T12:00",
    ),
    "no time of day is none": (BERLIN, ("8", "9"), "2026-01-15T08:30", "2026-01-15T08:30"),
    "an unknown zone is UTC": ("Nowhere", NIGHT, "2026-01-15T23:00", "2026-01-16T08:00"),
}


@pytest.mark.parametrize(("zone", "hours", "at", "expected"), QUIET.values(), ids=QUIET.keys())
def test_d08_quiet_hours_end_where_the_clock_says(
    zone: str, hours: tuple[str, str], at: str, expected: str
) -> None:
    quiet = QuietHours(start=hours[0], end=hours[1])
    assert after_quiet(utc(at), zone, quiet) == utc(expected)


def test_without_quiet_hours_nothing_moves() -> None:
    assert after_quiet(utc("2026-01-15T23:00"), BERLIN, None) == utc("2026-01-15T23:00")


PROBLEMS = {
    "a night": ("22:00", "08:00", ""),
    "until midnight": ("22:00", "24:00", ""),
    "no start": ("", "08:00", "start"),
    "an hour that is none": ("22:00", "25:00", "end"),
    "no minutes": ("22:00", "8", "end"),
    "nothing between": ("08:00", "08:00", "end"),
    "the whole day": ("00:00", "24:00", "end"),
}


@pytest.mark.parametrize(("start", "end", "field"), PROBLEMS.values(), ids=PROBLEMS.keys())
def test_a_problem_of_quiet_hours_names_the_field(start: str, end: str, field: str) -> None:
    assert quiet_problem(QuietHours(start=start, end=end)) == field


MINUTES = st.integers(0, 24 * 60 - 1).map(lambda n: f"{n // 60:02}:{n % 60:02}")


@given(
    zone=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, KOLKATA, BEIRUT]),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    start=MINUTES,
    end=MINUTES,
)
def test_d08_what_quiet_hours_moved_is_outside_of_them_and_as_early_as_can_be(
    zone: str, at: datetime, start: str, end: str
) -> None:
    quiet = QuietHours(start=start, end=end)
    found = after_quiet(at, zone, quiet)
    assert found >= at
    assert after_quiet(found, zone, quiet) == found
    if found > at:
        before = found - timedelta(microseconds=1)
        assert after_quiet(before, zone, quiet) == found
        assert found - at <= timedelta(hours=49)


@given(
    zone=st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, KOLKATA, BEIRUT]),
    wall=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
)
def test_d08_a_local_time_that_is_shown_comes_back(zone: str, wall: datetime) -> None:
    local = wall.replace(second=0, microsecond=0).isoformat(timespec="minutes")
    found = instant(local, zone)
    shown = local_time(found.at, zone)
    if found.shifted == "gap":
        assert shown > local
    else:
        assert shown == local
    if found.shifted == "overlap":
        assert found.at.astimezone(ZoneInfo(zone)).fold == 0
