"""What a page is told of an alert, and of what it has missed: no more than still counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.alerts import Alert
from libs.common.switches import AlertTrigger

FIRST = 1
"""`Alert.n` of what is said of an alert first, at most."""


class AlertEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that calls for the agent's attention, or no longer does.

    `id` is the same wherever and however often it is told: one notification. `url` leads to the
    session, below the installation's address. `sound` is null where none is to be played. What is
    empty was not known, or does not apply. `since` when it waits for the agent: a reminder's `at`
    is later. After `expires_at` it is to be taken away, too.
    """

    id: str
    kind: Literal["raised", "updated", "cleared"]
    trigger: AlertTrigger
    at: datetime
    since: datetime
    expires_at: datetime
    session: str
    list: str
    channel: str
    account: str
    contact_name: str
    excerpt: str
    count: int
    summary: bool
    counts: dict[str, int]
    rung: int
    sound: str | None
    volume: int
    url: str
    because: str


class PresenceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """How the agent is there, and how many of the workspace are; told with each heartbeat."""

    state: Literal["online", "away", "offline"]
    online: int
    away: int


class Told(msgspec.Struct, frozen=True):
    """An alert and its place, as it is to be told.

    Attributes:
        place: Who resumes behind it has been told this, and all before it.
        until: It is not told later; None: it is at any time.
        data: The event, as JSON without line breaks; shared by all who are told.
    """

    place: int
    trigger: AlertTrigger
    until: datetime | None
    data: bytes


def told_of(place: int, alert: Alert) -> Told:
    """Return what a page is told of *alert*."""
    values = {name: getattr(alert, name) for name in AlertEvent.__struct_fields__}
    values["since"] = alert.since or alert.at
    until = None if alert.kind == "cleared" else alert.expires_at
    return Told(place, alert.trigger, until, msgspec.json.encode(AlertEvent(**values)))


class Missed:
    """What an agent has missed, added in the order of the places; `told` is what still counts.

    Of each alert only the last word counts. What was raised and taken away meanwhile was never
    seen, so nothing is told of it; what was seen before and taken away is told as `cleared`. What
    was raised and has changed since is told as `raised`, with its sound.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._first: dict[str, int] = {}
        self._last: dict[str, tuple[int, Alert]] = {}
        self._new: set[str] = set()
        self._raised: dict[str, Alert] = {}

    def add(self, place: int, alert: Alert) -> None:
        """Take one more."""
        if alert.id not in self._first:
            self._first[alert.id] = place
            if alert.kind == "raised" and not alert.rung and alert.n <= FIRST:
                self._new.add(alert.id)
        if self._is_moot(alert):
            self._last.pop(alert.id, None)
            self._raised.pop(alert.id, None)
        else:
            self._last[alert.id] = (place, alert)
            if alert.kind == "raised":
                self._raised[alert.id] = alert

    def told(self, *, quiet: bool = False) -> Iterable[Told]:
        """Yield what is to be told, by when it began; without a sound if it is to be *quiet*.

        Each has the place behind which nothing is lost if the reader is cut there: short of the
        beginning of the next one, although its own last word came later.
        """
        left = sorted(self._last, key=self._first.__getitem__)
        reached = 0
        for number, id_ in enumerate(left):
            place, alert = self._last[id_]
            reached = max(reached, place)
            following = left[number + 1 : number + 2]
            safe = min([reached, *(self._first[one] - 1 for one in following)])
            seen = self._as_seen(alert)
            yield told_of(safe, msgspec.structs.replace(seen, sound=None) if quiet else seen)

    def _is_moot(self, alert: Alert) -> bool:
        if alert.kind == "cleared":
            return alert.id in self._new
        return alert.expires_at <= self._now

    def _as_seen(self, alert: Alert) -> Alert:
        """Return a change of what was raised since as raised, with the sound that it had then."""
        raised = self._raised.get(alert.id)
        if alert.kind != "updated" or raised is None:
            return alert
        return msgspec.structs.replace(alert, kind="raised", sound=raised.sound)
