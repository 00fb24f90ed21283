"""What each report counts of one session: amounts and durations, when and whose. Pure.

The words of the columns are the definitions that every answer carries; `docs/reports.md` has them
with examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from libs.common import figures
from libs.common.figures import SessionFigures

By = Literal["day", "hour", "channel", "account", "team", "agent"]
BY: tuple[By, ...] = ("day", "hour", "channel", "account", "team", "agent")


class Bit(NamedTuple):
    """Something to count: so many of *column*, or with *timed* so many seconds.

    `at` puts it in a day and an hour, `agent` is whose it is.
    """

    column: str
    amount: float
    at: datetime
    agent: str = ""
    timed: bool = False


Bits = Callable[[SessionFigures], Iterator[Bit]]


class Report(NamedTuple):
    """A report.

    Attributes:
        counts: Its columns of numbers, with what they mean.
        times: Its columns of durations: each becomes a count, mean, median, 90th percentile and
            most, in seconds.
        shares: Columns that divide one by another: name, part, whole, meaning.
        bits: What it counts of a session.
        open: It counts sessions that are still open, too, and what happened before the end.
    """

    bits: Bits
    counts: dict[str, str] = {}
    times: dict[str, str] = {}
    shares: tuple[tuple[str, str, str, str], ...] = ()
    open: bool = False


def _closed(one: SessionFigures) -> datetime | None:
    """Return when a conversation ended; None: it did not, or it never was one."""
    return None if one.course.ended_by == "scheduled" else one.ended_at


def _response(one: SessionFigures) -> Iterator[Bit]:
    at, course = _closed(one), one.course
    if at is None or course.needed_at is None:
        return
    who = course.answered_by or one.owner
    yield Bit("needed", 1, at, who)
    if course.answered_at is None:
        yield Bit("abandoned", 1, at, who)
        return
    waited_s = figures.seconds(course.needed_at, course.answered_at)
    yield Bit("first_response", waited_s, at, who, timed=True)


def _resolution(one: SessionFigures) -> Iterator[Bit]:
    at = _closed(one)
    if at is not None:
        open_s = figures.seconds(one.created_at, at) - one.course.closed_s
        yield Bit("resolution", max(open_s, 0.0), at, one.owner, timed=True)


def _waiting(one: SessionFigures) -> Iterator[Bit]:
    at, course = _closed(one), one.course
    if at is None:
        return
    yield Bit("sessions", 1, at, one.owner)
    if course.waits:
        yield Bit("spells", course.waits, at, one.owner)
        yield Bit("waiting", course.waited_s, at, one.owner, timed=True)


def _bots(one: SessionFigures) -> Iterator[Bit]:
    at, course = _closed(one), one.course
    wrote = any(figures.split(key)[1] == figures.BOT for key in course.counts)
    if at is None or course.began != "bot_hosted" or not wrote:
        return
    yield Bit("began_with_bot", 1, at, one.owner)
    if not course.people and not course.answered_by:
        yield Bit("contained", 1, at, one.owner)


def _terminations(one: SessionFigures) -> Iterator[Bit]:
    at = _closed(one)
    if at is not None:
        yield Bit("ended", 1, at, one.owner)
        yield Bit(f"by_{one.course.ended_by or 'system'}", 1, at, one.owner)


def _transfers(one: SessionFigures) -> Iterator[Bit]:
    at = _closed(one)
    if at is None or not one.course.holder:
        return
    yield Bit("owned", 1, at, one.owner)
    if one.course.transfers:
        yield Bit("transfers", one.course.transfers, at, one.owner)
        yield Bit("transferred", 1, at, one.owner)


_SENT = {figures.BOT: "sent_by_bots", figures.AUTOMATION: "sent_automatically"}


def _volume(one: SessionFigures) -> Iterator[Bit]:
    if one.course.ended_by != "scheduled":
        yield Bit("opened", 1, one.created_at, one.owner)
    at = _closed(one)
    if at is not None:
        yield Bit("ended", 1, at, one.owner)
    for key, count in one.course.counts.items():
        number, who = figures.split(key)
        when = figures.instant(number)
        if who == figures.INBOUND:
            yield Bit("received", count, when, one.owner)
            continue
        agent = who.removeprefix(figures.AGENT) if who.startswith(figures.AGENT) else ""
        column = "sent_by_agents" if agent else _SENT.get(who, "sent_elsewhere")
        yield Bit("sent", count, when, agent)
        yield Bit(column, count, when, agent)


def _satisfaction(one: SessionFigures) -> Iterator[Bit]:
    asked = one.survey
    if asked is None:
        return
    yield Bit("asked", 1, asked.at, asked.agent)
    if asked.score is not None:
        yield Bit("answered", 1, asked.at, asked.agent)
        yield Bit("points", asked.score, asked.at, asked.agent)
        yield Bit(f"score_{asked.score}", 1, asked.at, asked.agent)


REPORTS: dict[str, Report] = {
    "response": Report(
        bits=_response,
        counts={
            "needed": "Sessions that ended in the period and in which the visitor needed a person: "
            "they wrote where no bot has it, or a bot's session was handed to people.",
            "abandoned": "Of these, those that ended without any answer of an agent.",
        },
        times={
            "first_response": "From the moment that the visitor needed a person to the first "
            "message of an agent. What bots, rules and other applications say is no answer."
        },
        shares=(("abandoned_share", "abandoned", "needed", "abandoned / needed."),),
    ),
    "resolution": Report(
        bits=_resolution,
        times={
            "resolution": "From the opening of a session to its (last) end, less the time that it "
            "stood ended before it was restored."
        },
    ),
    "waiting": Report(
        bits=_waiting,
        counts={
            "sessions": "Sessions that ended in the period.",
            "spells": "How often they came into Unassigned.",
        },
        times={"waiting": "Time in Unassigned, all stretches of a session together."},
    ),
    "bots": Report(
        bits=_bots,
        counts={
            "began_with_bot": "Sessions that ended in the period, began in Bot hosted and in which "
            "a bot wrote.",
            "contained": "Of these, those that never were in a list of people.",
        },
        shares=(("containment", "contained", "began_with_bot", "contained / began_with_bot."),),
    ),
    "terminations": Report(
        bits=_terminations,
        counts={
            "ended": "Sessions that ended in the period.",
            "by_agent": "Ended by an agent.",
            "by_automatic": "Ended automatically, being idle.",
            "by_bot": "Ended by a bot.",
            "by_rule": "Ended by a rule.",
            "by_system": "Ended otherwise.",
        },
    ),
    "transfers": Report(
        bits=_transfers,
        counts={
            "owned": "Sessions that ended in the period and had an owner.",
            "transferred": "Of these, those that more than one agent owned.",
            "transfers": "How often another agent became the owner.",
        },
        shares=(("transfer_share", "transferred", "owned", "transferred / owned."),),
    ),
    "volume": Report(
        bits=_volume,
        open=True,
        counts={
            "opened": "Sessions opened in the period.",
            "ended": "Sessions that ended in the period.",
            "received": "Messages of visitors; by agent: those in sessions that the agent has.",
            "sent": "Messages of ours, by whomever.",
            "sent_by_agents": "Of these, by agents.",
            "sent_by_bots": "By bots.",
            "sent_automatically": "By rules, automation, schedules, broadcasts and the survey.",
            "sent_elsewhere": "Typed in another application, as the provider tells.",
        },
    ),
    "satisfaction": Report(
        bits=_satisfaction,
        counts={
            "asked": "Visitors asked in the period how it was.",
            "answered": "Of these, those who said so; the last answer counts.",
            "points": "The sum of their scores.",
            **{f"score_{n}": f"Those who gave {n} of 5." for n in range(1, 6)},
        },
        shares=(
            ("mean", "points", "answered", "points / answered: 1 (bad) to 5 (very good)."),
            ("answered_share", "answered", "asked", "answered / asked."),
        ),
    ),
}
