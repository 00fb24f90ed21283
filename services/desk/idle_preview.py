"""How many sessions would end by themselves: the policy applied to those that are open. Pure.

The same rules that the router ends by say which; nothing is guessed of what visitors will do.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from libs.common.documents import ListName, Session
from libs.common.idle import Idle, idle_end, idle_since
from libs.common.switches import Settings

_MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SAMPLES = 10


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One session that would end.

    Attributes:
        rule: Number of its rule, from 1.
        idle_since: When something was said in it last.
        due: When its time is over if nothing happens, before the pace.
    """

    session: str
    contact_name: str
    channel: str
    list: ListName
    rule: int
    idle_since: datetime
    due: datetime


class Tally:
    """Counts page by page.

    Attributes:
        rules: By the number of the rule that holds, from 1; `channels` and `lists` by name. Each
            counts sessions that are idle for longer than their rule says, whenever that began.
        dues: When each session ends by these settings if nothing happens in it.
        samples: Those of them that have been idle for longest, at most `SAMPLES`.
    """

    def __init__(self, settings: Settings, now: datetime) -> None:
        self._settings = settings
        self._now = now
        self.looked_at = 0
        self.rules: Counter[int] = Counter()
        self.channels: Counter[str] = Counter()
        self.lists: Counter[str] = Counter()
        self.dues: list[datetime] = []
        self.samples: list[Sample] = []

    def add(self, sessions: Iterable[Session]) -> None:
        """Look at these, too."""
        samples = list(self.samples)
        for session in sessions:
            self.looked_at += 1
            found = idle_end(session, self._settings)
            if found is None:
                continue
            self.dues.append(found.due)
            number = self._settings.termination.rules.index(found.rule) + 1
            samples.append(_sample(session, found, number))
            if self._now - idle_since(session) < timedelta(seconds=found.rule.idle_s):
                continue
            self.rules[number] += 1
            self.channels[session.channel] += 1
            self.lists[session.list] += 1
        self.samples = heapq.nsmallest(SAMPLES, samples, key=lambda one: one.idle_since)

    @property
    def idle(self) -> int:
        """How many are idle for long enough now."""
        return self.rules.total()


def _sample(session: Session, found: Idle, number: int) -> Sample:
    return Sample(
        session=session.id,
        contact_name=session.contact_name,
        channel=session.channel,
        list=session.list,
        rule=number,
        idle_since=idle_since(session),
        due=found.due,
    )


def paced(dues: Sequence[datetime], per_minute: int, now: datetime) -> list[datetime]:
    """Return when sessions end that are due at *dues*, one after the other as the pace allows."""
    step, ends = _MINUTE / per_minute, list[datetime]()
    for due in sorted(dues):
        soonest = ends[-1] + step if ends else now
        ends.append(max(due, soonest, now))
    return ends


def within(ends: Sequence[datetime], until: datetime) -> int:
    """Return how many of them are at or before *until*."""
    return sum(at <= until for at in ends)


def switched_on(settings: Settings) -> Settings:
    """Return the settings with the workspace's switch on."""
    return msgspec.structs.replace(settings, auto_termination=True)
