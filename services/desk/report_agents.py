"""What each agent had to do: sessions owned, messages sent, how many sessions at once. Pure."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from math import inf

from libs.common import figures
from libs.common.figures import SessionFigures
from services.desk.report_rows import Number, Period, Row, in_order

COLUMNS = {
    "owned": "Sessions that the agent owned at some time of the period.",
    "sent": "Messages that the agent sent in the period, in whosever sessions.",
    "load_mean": "Sessions owned at the same time, on average over the period (until now).",
    "load_max": "Most sessions owned at the same time.",
}


class Spans:
    """Stretches of time: when each begins and ends, in seconds."""

    def __init__(self) -> None:
        self._since = array("d")
        self._until = array("d")

    def add(self, since: float, until: float) -> None:
        """Take one more, which is not empty."""
        self._since.append(since)
        self._until.append(until)

    def extend(self, others: Spans) -> None:
        """Take all of *others*."""
        self._since.extend(others._since)
        self._until.extend(others._until)

    def most(self) -> int:
        """Return the most at once; one that ends when another begins is not with it."""
        most = present = 0
        ends = in_order(self._until)
        end = next(ends, inf)
        for since in in_order(self._since):
            while end <= since:
                present -= 1
                end = next(ends, inf)
            present += 1
            most = max(most, present)
        return most


class Agents:
    """The agents' work, while it is added up."""

    def __init__(self, period: Period, now: datetime) -> None:
        self._period = period
        self._until = max(min(period.until, now), period.since)
        self._sent: defaultdict[str, int] = defaultdict(int)
        self._owned: defaultdict[str, set[str]] = defaultdict(set)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._spans: defaultdict[str, Spans] = defaultdict(Spans)
        self._all: set[str] = set()

    def add(self, one: SessionFigures) -> None:
        """Count what of *one* is in the period."""
        for held in one.course.held:
            since = max(held.since, self._period.since)
            until = min(held.until or self._until, self._until)
            if since < until:
                self._hold(one.id, held.agent, since.timestamp(), until.timestamp())
        for key, count in one.course.counts.items():
            number, who = figures.split(key)
            if who.startswith(figures.AGENT) and self._period.has(figures.instant(number)):
                self._sent[who.removeprefix(figures.AGENT)] += count

    def _hold(self, session: str, agent: str, since: float, until: float) -> None:
        self._owned[agent].add(session)
        self._all.add(session)
        self._seconds[agent] += until - since
        self._spans[agent].add(since, until)

    def finish(self, names: Mapping[str, str]) -> tuple[dict[str, Number], list[Row]]:
        """Return the totals, and a row for each agent."""
        rows = [
            Row(key=agent, name=names.get(agent, ""), values=self._values(agent))
            for agent in sorted({*self._owned, *self._sent})
        ]
        spans = Spans()
        for each in self._spans.values():
            spans.extend(each)
        totals: dict[str, Number] = {
            "owned": len(self._all),
            "sent": sum(self._sent.values()),
            "load_mean": self._mean(sum(self._seconds.values())),
            "load_max": spans.most(),
        }
        return totals, rows

    def _values(self, agent: str) -> dict[str, Number]:
        return {
            "owned": len(self._owned.get(agent, ())),
            "sent": self._sent.get(agent, 0),
            "load_mean": self._mean(self._seconds.get(agent, 0.0)),
            "load_max": self._spans[agent].most() if agent in self._spans else 0,
        }

    def _mean(self, held_s: float) -> Number:
        length_s = (self._until - self._period.since).total_seconds()
        return round(held_s / length_s, 4) if length_s > 0 else None
