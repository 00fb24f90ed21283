"""When calendars are open, also where the clocks change (D16)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.policy import Calendar
from libs.common.rules.hours import is_open, next_change, problems

WEEKDAYS = [0, 1, 2, 3, 4]
ALL = [0, 1, 2, 3, 4, 5, 6]


def calendar(zone: str, *spans: Any, holidays: Any = ()) -> Calendar:
    """Return a calendar of (days, opens, closes) and {date: ((opens, closes), ...)}."""
    return msgspec.convert(
        {
            "id": "c",
            "zone": zone,
            "spans": [{"days": d, "opens": o, "closes": c} for d, o, c in spans],
            "holidays": [
                {"date": date, "spans": [{"days": [], "opens": o, "closes": c} for o, c in own]}
                for date, own in dict(holidays).items()
            ],
        },
        Calendar,
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


OFFICE = calendar("Europe/Berlin", (WEEKDAYS, "09:00", "17:00"))
NIGHT = calendar("UTC", ([4], "22:00", "02:00"))
XMAS = calendar(
    "UTC",
    (ALL, "09:00", "17:00"),
    (ALL, "22:00", "02:00"),
    holidays={"2026-12-25": (), "2026-12-26": (("10:00", "12:00"), ("23:00", "01:00"))},
)
WHOLE = calendar("UTC", (ALL, "00:00", "24:00"))
GAP = calendar("Europe/Berlin", (ALL, "02:15", "02:45"), (ALL, "02:30", "04:00"))
OVERLAP = calendar("Europe/Berlin", (ALL, "02:30", "02:45"), (ALL, "05:00", "06:00"))
CLOSES = calendar("Europe/Berlin", (ALL, "01:00", "02:15"))
SKIPPED = calendar("Pacific/Apia", (ALL, "09:00", "17:00"))

CASES: dict[str, tuple[Calendar | None, str, bool]] = {
    "no calendar is always open": (None, "2026-01-01T00:00Z", True),
    "a calendar without spans never is": (calendar("UTC"), "2026-01-01T12:00Z", False),
    "it opens on the minute": (OFFICE, "2026-01-05T08:00Z", True),
    "it is closed a moment before": (OFFICE, "2026-01-05T07:59:59.999Z", False),
    "it is closed at the minute it closes": (OFFICE, "2026-01-05T16:00Z", False),
    "summer time moves it": (OFFICE, "2026-07-06T07:00Z", True),
    "a Sunday is closed": (OFFICE, "2026-01-04T12:00Z", False),
    "the day is that of the zone, not of UTC": (
        calendar("Asia/Tokyo", ([0], "00:00", "09:00")), "2026-01-04T20:00Z", True),
    "a moment may come in any zone": (OFFICE, "2026-01-05T17:30+09:00", True),
    "a night belongs to the day it begins on": (NIGHT, "2026-01-10T01:59Z", True),
    "and to no other one": (NIGHT, "2026-01-09T01:00Z", False),
    "it closes after midnight": (NIGHT, "2026-01-10T02:00Z", False),
    "00:00 to 24:00 has its last minute": (WHOLE, "2026-01-05T23:59:59Z", True),
    "a span to 00:00 ends at midnight": (
        calendar("UTC", ([0], "22:00", "00:00")), "2026-01-06T00:00Z", False),
    "opening when it closes is never open": (
        calendar("UTC", (ALL, "09:00", "09:00")), "2026-01-05T09:00Z", False),
    "a holiday without hours is closed": (XMAS, "2026-12-25T12:00Z", False),
    "the night before ends where a holiday begins": (XMAS, "2026-12-25T00:30Z", False),
    "and runs until there": (XMAS, "2026-12-24T23:59Z", True),
    "the hours of a holiday count": (XMAS, "2026-12-26T10:00Z", True),
    "and the usual ones do not": (XMAS, "2026-12-26T16:00Z", False),
    "a holiday runs over into the next day": (XMAS, "2026-12-27T00:30Z", True),
    "a span wholly in the gap does not happen": (
        calendar("Europe/Berlin", (ALL, "02:15", "02:45")), "2026-03-29T01:00Z", False),
    "opening in the gap is the jump": (GAP, "2026-03-29T01:00Z", True),
    "and not before": (GAP, "2026-03-29T00:59:59Z", False),
    "closing in the gap is the jump": (CLOSES, "2026-03-29T01:00Z", False),
    "and until then it is open": (CLOSES, "2026-03-29T00:59Z", True),
    "opening in the overlap is the first time": (OVERLAP, "2026-10-25T00:30Z", True),
    "it stays open while the clock goes back": (OVERLAP, "2026-10-25T01:10Z", True),
    "closing in the overlap is the second time": (OVERLAP, "2026-10-25T01:44Z", True),
    "and no later": (OVERLAP, "2026-10-25T01:45Z", False),
    "a day that a zone leaves out has no hours": (SKIPPED, "2011-12-30T20:00Z", True),
    "an unknown zone is read as UTC": (
        calendar("Nowhere/Land", (ALL, "09:00", "17:00")), "2026-01-05T09:00Z", True),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_d16_open(case: tuple[Calendar | None, str, bool]) -> None:
    given_calendar, moment, expected = case
    assert is_open(given_calendar, at(moment)) is expected


CHANGES: dict[str, tuple[Calendar | None, str, str | None]] = {
    "none without a calendar": (None, "2026-01-05T12:00Z", None),
    "none where it is always open": (WHOLE, "2026-01-05T12:00Z", None),
    "none where it never opens": (calendar("UTC"), "2026-01-05T12:00Z", None),
    "it closes in the evening": (OFFICE, "2026-01-05T12:00Z", "2026-01-05T16:00Z"),
    "it opens after the weekend": (OFFICE, "2026-01-02T16:00Z", "2026-01-05T08:00Z"),
    "at the moment of a change it is the next one": (
        OFFICE, "2026-01-05T08:00Z", "2026-01-05T16:00Z"),
    "spans that touch are one": (
        calendar("UTC", (ALL, "09:00", "12:00"), (ALL, "12:00", "17:00")),
        "2026-01-05T10:00Z", "2026-01-05T17:00Z"),
    "spans that overlap are one": (
        calendar("UTC", (ALL, "09:00", "18:00"), (ALL, "10:00", "11:00")),
        "2026-01-05T10:30Z", "2026-01-05T18:00Z"),
    "a holiday closes what is always open": (
        calendar("UTC", (ALL, "00:00", "24:00"), holidays={"2026-12-25": ()}),
        "2026-01-05T12:00Z", "2026-12-25T00:00Z"),
    "a single holiday with hours is found": (
        calendar("UTC", holidays={"2026-12-26": (("10:00", "12:00"),)}),
        "2026-01-05T12:00Z", "2026-12-26T10:00Z"),
    "and closes again": (
        calendar("UTC", holidays={"2026-12-26": (("10:00", "12:00"),)}),
        "2026-12-26T11:00Z", "2026-12-26T12:00Z"),
    "the jump opens it": (GAP, "2026-03-29T00:30Z", "2026-03-29T01:00Z"),
    "more than 400 days ahead is not looked for": (
        calendar("UTC", holidays={"2028-12-26": (("10:00", "12:00"),)}),
        "2026-01-05T12:00Z", None),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES.values(), ids=CHANGES)
def test_d16_next_change(case: tuple[Calendar | None, str, str | None]) -> None:
    given_calendar, moment, expected = case
    found = next_change(given_calendar, at(moment))
    assert found == (at(expected) if expected else None)


clocks = st.builds(lambda h, m: f"{h:02}:{m:02}", st.integers(0, 23), st.sampled_from([0, 15, 30]))
spans = st.tuples(st.lists(st.integers(0, 6), min_size=1, unique=True), clocks, clocks)
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Atlantic/Azores", "Asia/Tokyo"])
near_changes = st.sampled_from(["2026-03-28", "2026-10-24", "2026-03-07", "2026-10-31"])


@settings(max_examples=60, deadline=None)
@given(
    zone=zones,
    spans=st.lists(spans, min_size=1, max_size=4),
    day=near_changes,
    closed=st.sampled_from(["2026-03-29", "2026-10-25", "2026-11-01"]),
    minutes=st.integers(0, 2 * 24 * 60),
)
def test_d16_between_now_and_the_next_change_nothing_changes(
    zone: str, spans: list[Any], day: str, closed: str, minutes: int
) -> None:
    found = calendar(zone, *spans, holidays={closed: ()})
    now = datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(minutes=minutes)
    change = next_change(found, now)
    state = is_open(found, now)
    until = change or now + timedelta(days=14)
    step = max(timedelta(minutes=5), (until - now) / 300)
    probe = now
    while probe < until:
        assert is_open(found, probe) is state
        probe += step
    if change is not None:
        assert is_open(found, change) is not state
        assert is_open(found, change - timedelta(microseconds=1)) is state


WRONG: dict[str, tuple[Calendar, list[str]]] = {
    "an unknown zone": (calendar("Berlin", (ALL, "09:00", "17:00")), ["zone"]),
    "a zone that is a path": (calendar("../etc", (ALL, "09:00", "17:00")), ["zone"]),
    "no spans at all": (calendar("UTC"), ["spans"]),
    "a span without days": (calendar("UTC", ([], "09:00", "17:00"), (ALL, "18:00", "19:00")),
                            ["spans[0].days"]),
    "no time between": (calendar("UTC", (ALL, "09:00", "09:00")), ["spans[0].closes"]),
    "24:00 begins no day": (calendar("UTC", (ALL, "24:00", "09:00")), ["spans[0].opens"]),
    "no such date": (
        calendar("UTC", (ALL, "09:00", "17:00"), holidays={"2026-02-30": ()}),
        ["holidays[0].date"]),
    "a wrong span of a holiday": (
        calendar("UTC", holidays={"2026-02-20": (("10:00", "10:00"),)}),
        ["holidays[0].spans[0].closes"]),
    "nothing": (XMAS, []),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_d16_problems_of_a_calendar(case: tuple[Calendar, list[str]]) -> None:
    given_calendar, places = case
    assert [place for place, _text in problems(given_calendar)] == places


def test_d16_a_date_named_twice_is_a_problem() -> None:
    twice = msgspec.convert(
        {
            "id": "c",
            "spans": [{"days": [0], "opens": "09:00", "closes": "10:00"}],
            "holidays": [{"date": "2026-01-01"}, {"date": "2026-01-01"}],
        },
        Calendar,
    )
    assert [place for place, _text in problems(twice)] == ["holidays[0].date", "holidays[1].date"]
