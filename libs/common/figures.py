"""What of a session is counted: kept along with it, and for reports in one document once it ends.

All instants are our own clock's. Everything here is set in the write that decides what it tells of,
so a delivery that comes again changes nothing. What each figure means is said in `docs/reports.md`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import msgspec

from libs.common.store.api import Collection, Document, Index

QUARTER_S = 15 * 60
"""Messages are counted by the quarter of an hour: whole hours and days of every time zone."""
QUARTERS_MOST = 400
"""Counters of one session; more, and its oldest are put together."""
HELD_MOST = 100
"""Stretches of an owner that are kept of one session, the first ones."""

INBOUND, BOT, AUTOMATION, OUTSIDE, AGENT = "in", "bot", "auto", "out", "@"
"""By whom messages are counted: an agent as `@` and the id, one who answered elsewhere as `out`."""

EndedBy = Literal["agent", "automatic", "bot", "rule", "system", "scheduled"]
"""Who ended a session; `scheduled`: it never was a conversation, it only holds what was sent."""


class Held(msgspec.Struct, frozen=True, array_like=True):
    """An agent owned the session from `since` until `until`; None: still does."""

    agent: str
    since: datetime
    until: datetime | None = None


class Course(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a session went so far.

    Attributes:
        began: The list that it began in; empty: before this was kept.
        people: It has been in a list of people: it was not the bot's alone.
        needed_at: When the visitor first needed a person, see `docs/reports.md`.
        answered_at: When an agent first answered; `answered_by` which.
        waited_s: Seconds in `unassigned` in all its stretches that are over, `waits` how many it
            began; `waits_since`: in it since then.
        held: Who owned it, when; `holder` who did so last, `transfers` how often another one.
        ended_by: Who ended it.
        ended_at: When it last ended; `closed_s` how long it had stood ended before it was restored.
        counts: Messages by quarter of an hour and by whom: `<quarters since 1970>:<who>`.
    """

    began: str = ""
    people: bool = False
    needed_at: datetime | None = None
    answered_at: datetime | None = None
    answered_by: str = ""
    waited_s: float = 0.0
    waits: int = 0
    waits_since: datetime | None = None
    held: tuple[Held, ...] = ()
    holder: str = ""
    transfers: int = 0
    ended_by: EndedBy | Literal[""] = ""
    ended_at: datetime | None = None
    closed_s: float = 0.0
    counts: dict[str, int] = {}


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """That the visitor was asked how it was, and what they said.

    Attributes:
        question: Id of the message that asks.
        agent: Who had the session.
        until: So long an answer counts. `over`: none does any more: the question did not go out.
        score: 1 to 5, the newest answer; None: none yet.
    """

    question: str
    agent: str = ""
    at: datetime
    until: datetime
    over: bool = False
    score: int | None = None
    answered_at: datetime | None = None


class SessionFigures(Document, kw_only=True):
    """What reports count of one session; the id is the session's, `of` the revision it was made of.

    `active_until` is when it ended, or the quarter of an hour of its last message after that. One
    that was restored has neither until it has ended again, and is in no index by them.
    """

    of: int
    channel: str
    account: str
    team: str = ""
    owner: str = ""
    created_at: datetime
    ended_at: datetime | None = None
    active_until: datetime | None = None
    end_reason: str = ""
    course: Course = Course()
    survey: Asked | None = None


class SurveyGate(Document, kw_only=True):
    """The last time a contact was asked; the id is derived from the contact."""

    contact: str
    session: str
    asked_at: datetime


FIGURES = Collection(
    "figures",
    SessionFigures,
    (
        Index("ended", ("ended_at", "id")),
        Index("active", ("active_until", "id")),
        Index("created", ("created_at", "id")),
    ),
)
SURVEY_GATES = Collection("survey_gates", SurveyGate, ())

FIGURES_OF = (FIGURES, SURVEY_GATES)


def quarter(at: datetime) -> int:
    """Return the quarter of an hour that *at* is in, counted from 1970."""
    return int(at.timestamp()) // QUARTER_S


def split(key: str) -> tuple[int, str]:
    """Return the quarter and by whom, of a key of `Course.counts`."""
    number, _, who = key.partition(":")
    return int(number), who


@lru_cache(maxsize=40_000)  # a year of them: reports ask again and again
def instant(number: int) -> datetime:
    """Return when the quarter *number* begins."""
    return datetime.fromtimestamp(number * QUARTER_S, UTC)


def counted(course: Course, at: datetime, who: str) -> Course:
    """Return *course* with one more message of *who* at *at*."""
    key = f"{quarter(at)}:{who}"
    counts = dict(course.counts)
    counts[key] = counts.get(key, 0) + 1
    if len(counts) > QUARTERS_MOST:
        counts = _packed(counts)
    return msgspec.structs.replace(course, counts=counts)


def asked_for(course: Course, at: datetime) -> Course:
    """Return *course* with a visitor who needs a person at *at*, unless one has answered."""
    if course.needed_at is not None or course.answered_at is not None:
        return course
    return msgspec.structs.replace(course, needed_at=at)


def answered(course: Course, at: datetime, agent: str) -> Course:
    """Return *course* with an agent's answer at *at*."""
    if course.answered_at is not None:
        return course
    return msgspec.structs.replace(course, answered_at=at, answered_by=agent)


def placed(course: Course, listed: str, owner: str, at: datetime) -> Course:
    """Return *course* with the session in the list *listed* of *owner* from *at* on."""
    changes: dict[str, object] = {}
    if not course.began:
        changes["began"] = listed
    if listed in {"unassigned", "assigned"} and not course.people:
        changes["people"] = True
    changes |= _waiting(course, listed, at)
    changes |= _holding(course, owner if listed == "assigned" else "", at)
    return msgspec.structs.replace(course, **changes) if changes else course


def ended(course: Course, at: datetime, by: EndedBy) -> Course:
    """Return *course* with the end at *at*."""
    course = placed(course, "ended", "", at)
    return msgspec.structs.replace(course, ended_at=at, ended_by=by)


def restored(course: Course, at: datetime) -> Course:
    """Return *course* without its end, from *at* on."""
    closed_s = course.closed_s + seconds(course.ended_at, at)
    return msgspec.structs.replace(course, ended_at=None, ended_by="", closed_s=closed_s)


def seconds(since: datetime | None, until: datetime | None) -> float:
    """Return how long it was, never less than nothing: clocks differ."""
    if since is None or until is None:
        return 0.0
    return max((until - since).total_seconds(), 0.0)


def _waiting(course: Course, listed: str, at: datetime) -> dict[str, object]:
    if listed == "unassigned" and course.waits_since is None:
        return {"waits_since": at, "waits": course.waits + 1}
    if listed != "unassigned" and course.waits_since is not None:
        waited_s = course.waited_s + seconds(course.waits_since, at)
        return {"waits_since": None, "waited_s": waited_s}
    return {}


def _holding(course: Course, owner: str, at: datetime) -> dict[str, object]:
    last = course.held[-1] if course.held else None
    holding = last.agent if last is not None and last.until is None else ""
    changes: dict[str, object] = {}
    held = course.held
    if holding and last is not None and holding != owner:
        held = (*held[:-1], msgspec.structs.replace(last, until=max(at, last.since)))
    if owner and owner != course.holder:
        changes = {"holder": owner, "transfers": course.transfers + bool(course.holder)}
    if owner and holding != owner and len(held) < HELD_MOST:
        held = (*held, Held(owner, at))
    return changes if held is course.held else {**changes, "held": held}


def _packed(counts: dict[str, int]) -> dict[str, int]:
    """Return *counts* with those of the oldest quarters put together in the oldest of all."""
    order = sorted({split(key)[0] for key in counts})
    merged = set(order[: max(2, len(order) // 4)])
    packed: dict[str, int] = {}
    for key, count in counts.items():
        number, who = split(key)
        name = f"{order[0]}:{who}" if number in merged else key
        packed[name] = packed.get(name, 0) + count
    return packed
