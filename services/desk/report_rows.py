"""Add up what a report counts, in rows by day, hour, channel, account, team or agent. Pure.

A day is one of the time zone asked for, of 23 or 25 hours where the clock changes; an hour is one
of the week there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from heapq import merge

import msgspec

from libs.common.figures import QUARTER_S, SessionFigures, quarter
from services.desk.report_bits import Bit, By, Report

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
TIMES = ("count", "mean_s", "median_s", "p90_s", "max_s")
PIECE = 10_000
"""Numbers that are sorted in one go, in a few thousandths of a second."""

Number = int | float | None


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row: its key, what to call it, and its numbers by column; null: nothing to divide by."""

    key: str
    name: str = ""
    values: dict[str, Number]


class Period(msgspec.Struct, frozen=True):
    """From `since` until before `until`, whole quarters of an hour, with days of `zone`."""

    since: datetime
    until: datetime
    zone: tzinfo

    def has(self, at: datetime) -> bool:
        """Tell whether *at* is in it."""
        return self.since <= at < self.until

    def days(self) -> Iterator[str]:
        """Yield its days."""
        day = self.since.astimezone(self.zone).date()
        last = (self.until - timedelta(microseconds=1)).astimezone(self.zone).date()
        while day <= last:
            yield day.isoformat()
            day += timedelta(days=1)


class Cell:
    """The numbers of one row, while they are added up."""

    def __init__(self) -> None:
        self.counts: dict[str, float] = {}
        self.times: dict[str, array[float]] = {}

    def add(self, bit: Bit) -> None:
        """Count *bit*."""
        if bit.timed:
            self.times.setdefault(bit.column, array("d")).append(bit.amount)
        else:
            self.counts[bit.column] = self.counts.get(bit.column, 0) + bit.amount

    def values(self, report: Report) -> dict[str, Number]:
        """Return the row's numbers, by column."""
        found: dict[str, Number] = {name: int(self.counts.get(name, 0)) for name in report.counts}
        for name in report.times:
            spread = distribution(self.times.get(name, ()))
            found |= {f"{name}_{kind}": number for kind, number in spread.items()}
        for name, part, whole, _ in report.shares:
            below = self.counts.get(whole, 0)
            found[name] = round(self.counts.get(part, 0) / below, 4) if below else None
        return found


def in_order(numbers: Sequence[float]) -> Iterator[float]:
    """Yield *numbers* in ascending order.

    Sorting holds the interpreter until it is done, so that beside a thread that sorts hundreds of
    thousands the event loop would stand still; hence in pieces.
    """
    pieces = range(0, len(numbers), PIECE)
    return merge(*(sorted(numbers[start : start + PIECE]) for start in pieces))


def distribution(seconds: Sequence[float]) -> dict[str, Number]:
    """Return count, mean, median, 90th percentile (nearest rank) and most of *seconds*."""
    ordered = list(in_order(seconds))
    count = len(ordered)
    if not count:
        return {"count": 0, **dict.fromkeys(TIMES[1:])}
    middle = ordered[(count - 1) // 2 : count // 2 + 1]
    return {
        "count": count,
        "mean_s": round(sum(ordered) / count, 3),
        "median_s": round(sum(middle) / len(middle), 3),
        "p90_s": round(ordered[-(-count * 9 // 10) - 1], 3),
        "max_s": round(ordered[-1], 3),
    }


class Sheet:
    """A report that is being added up, session by session."""

    def __init__(self, report: Report, period: Period, by: By | None) -> None:
        self._report = report
        self._period = period
        self._by = by
        self.total = Cell()
        self.rows: dict[str, Cell] = {}
        self._clock = lru_cache(maxsize=50_000)(self._shown)

    def add(self, one: SessionFigures) -> None:
        """Count what of *one* is in the period."""
        for bit in self._report.bits(one):
            if self._period.has(bit.at):
                self.total.add(bit)
                if self._by is not None:
                    self._row(self._key(one, bit)).add(bit)

    def _row(self, key: str) -> Cell:
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = Cell()
        return row

    def _key(self, one: SessionFigures, bit: Bit) -> str:
        match self._by:
            case "channel":
                return one.channel
            case "account":
                return one.account
            case "team":
                return one.team
            case "agent":
                return bit.agent
            case _:
                return self._clock(quarter(bit.at))[self._by == "hour"]

    def _shown(self, number: int) -> tuple[str, str]:
        """Return day and hour of the week of a quarter of an hour; zones differ by whole ones."""
        at = datetime.fromtimestamp(number * QUARTER_S, UTC).astimezone(self._period.zone)
        return at.date().isoformat(), f"{WEEKDAYS[at.weekday()]} {at:%H}"

    def finish(self, names: Mapping[str, str]) -> tuple[dict[str, Number], list[Row]]:
        """Return the totals, and the rows in the order of their keys; every day and hour is there.

        Args:
            names: What to call a row, by its key.
        """
        for key in self._all():
            self._row(key)
        order = {key: number for number, key in enumerate(_hours())} if self._by == "hour" else {}
        keys = sorted(self.rows, key=lambda key: (order.get(key, 0), key))
        rows = [
            Row(key=key, name=names.get(key, ""), values=self.rows[key].values(self._report))
            for key in keys
        ]
        return self.total.values(self._report), rows

    def _all(self) -> Iterable[str]:
        if self._by == "day":
            return self._period.days()
        return _hours() if self._by == "hour" else ()


def columns(report: Report) -> dict[str, str]:
    """Return every column of *report* with what it means, in order."""
    found = dict(report.counts)
    for name, meaning in report.times.items():
        found[f"{name}_count"] = f"How many. {meaning}"
        found[f"{name}_mean_s"] = "Their mean, in seconds."
        found[f"{name}_median_s"] = "Their median: the middle one, or the mean of the middle two."
        found[f"{name}_p90_s"] = "The shortest that nine of ten do not exceed."
        found[f"{name}_max_s"] = "The longest."
    return found | {name: meaning for name, _, _, meaning in report.shares}


def _hours() -> Iterator[str]:
    return (f"{day} {hour:02d}" for day in WEEKDAYS for hour in range(24))
