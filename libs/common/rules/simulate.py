"""Go through recorded decisions under another policy, with all effects muted. Pure.

Each record says what the rules looked at: the case, and how agents stood. It is decided again
under the proposed policy, and where that comes out otherwise, the session goes its own way from
there: later cases are changed by what would be different (its list, whom it waits for, what was
said), agents have so many sessions more or less, and what waits is offered to them as the router
would, whenever something happens. What people did is taken as it was: who took a session takes it
where it still waits or a bot has it, and it ends when it ended.

So the policy under which all was recorded gives exactly what happened.

What records do not say cannot be simulated: messages that no rule looked at, what a bot would have
answered, and whether an agent whom no record looked at was online (`assume_online`).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from libs.common.documents import DecisionRecord, Session
from libs.common.idle import idle_since, rule_of
from libs.common.policy import Case, Decision, Policy, Standing
from libs.common.rules.decide import decide
from libs.common.rules.sides import SEEN, Outcome, Side, Stand
from libs.common.rules.standing import LONG_AGO
from libs.common.termination import LISTS

EXAMPLES = 50
TRIES = 5
"""Waiting sessions in a row that nobody can take, after which the others are not looked at."""
OFTEN = timedelta(seconds=60)
"""How soon what waits is offered again when nothing made room."""


class Event(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What people or time did to a session.

    It was `taken` by an *agent*, `ended`, or `idle` for too long where it stands in *list*.
    """

    at: datetime
    session: str
    what: Literal["taken", "ended", "idle"]
    agent: str = ""
    list: str = ""


class Gist(msgspec.Struct, frozen=True, kw_only=True):
    """A decision in short."""

    because: str
    list: str
    owner: str
    bot: str
    rules: tuple[str, ...]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that would have been another; None: it would not have come to one."""

    session: str
    at: datetime
    trigger: str
    was: Gist | None
    would: Gist | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides; `differences` counts, `examples` are the first 50. `same`: there are none."""

    decisions: int
    sessions: int
    happened: Outcome
    would: Outcome
    same: bool
    differences: int
    examples: tuple[Difference, ...]


def events_of(
    session: Session, policy: Policy, idle: timedelta | None, until: datetime
) -> Iterator[Event]:
    """Yield what is known of what people and time did to a session, as its document says it.

    The last owner and since when; its end; and for each list when it had been idle there for as
    long as the rules of the policy say, or for *idle* in place of what they say. Idle time before
    they were switched on counts, too: the simulation is of days on which they held.
    """
    if session.owner and session.assignees:
        first = session.assignees[0]
        yield Event(at=first.since, session=session.id, what="taken", agent=first.agent)
    if session.ended_at is not None:
        yield Event(at=session.ended_at, session=session.id, what="ended")
    if session.standby or session.snoozed_until is not None:
        return
    since, end = _idle_since(session), session.ended_at or until
    for name in LISTS:
        rule = rule_of(msgspec.structs.replace(session, list=name), policy.settings)
        if rule is None:
            continue
        due = since + (timedelta(seconds=rule.idle_s) if idle is None else idle)
        if due <= end:
            yield Event(at=due, session=session.id, what="idle", list=name)


def _idle_since(session: Session) -> datetime:
    """Return since when nothing happened in it; a farewell at its very end was no such thing."""
    since = idle_since(session)
    if session.ended_at is None or since < session.ended_at:
        return since
    return session.last_inbound_at or session.created_at


class Simulation:
    """Takes records and events in the order of time, and reports.

    Args:
        policy: The proposed one.
        assume_online: Agents of whom no record says how they stood count as online.
    """

    def __init__(self, policy: Policy, *, assume_online: bool = False) -> None:
        self._policy = policy
        self._assume = assume_online
        self._was = Side()
        self._would = Side()
        self._seen: dict[str, Standing] = {}
        self._besides: dict[str, int] = {}
        """Sessions of an agent that no record of ours gave them."""
        self._given: dict[str, Standing] = {}
        """Who got a session that they did not get: since when, and in which turn."""
        self._waiting: dict[str, Case] = {}
        """Sessions that wait where they did not, by the case they were decided by last."""
        self._queue: list[tuple[int, datetime, str]] = []
        """Those by their turn: of high priority first, then who waits longest."""
        self._room = True
        self._offered_at = LONG_AGO
        self._decisions = 0
        self._differences = 0
        self._examples: list[Difference] = []

    def record(self, record: DecisionRecord) -> None:
        """Decide a record again."""
        case, at = record.case, record.at
        self._offer(at)
        self._decisions += 1
        self._meet(record)
        would = self._decided(record)
        was = record.decision
        self._was.follow(record.session, was, at, self._load(self._was, was.owner))
        if would is not None:
            self._would.follow(record.session, would, at, self._load(self._would, would.owner))
        if would is None or _outcome(would) != _outcome(was):
            self._differs(record, was, would)
            self._go_own_way(record.session, case, at)

    def event(self, event: Event) -> None:
        """Let happen what people or time did; what the rules had done already is no such thing."""
        self._offer(event.at)
        was = self._was.stands.get(event.session)
        if was is None or was.list == "ended":
            return
        if event.what == "taken" and (was.list, was.owner) == ("assigned", event.agent):
            return
        for side in (self._was, self._would):
            self._happens(side, event)
        if event.what != "idle":
            self._room = True
            self._offer(event.at)

    def _happens(self, side: Side, event: Event) -> None:
        stand = side.stand(event.session)
        if stand.list in {"", "ended"}:
            return
        if event.what == "ended":
            side.move(event.session, "ended", "", event.at)
        elif event.what == "idle" and stand.list == event.list:
            side.idled(event.session)
        elif event.what == "taken" and (side is self._was or not stand.owner):
            side.move(event.session, "assigned", event.agent, event.at)

    def report(self, until: datetime) -> Report:
        """Add up both sides at the end, *until*."""
        self._offer(until)
        return Report(
            decisions=self._decisions,
            sessions=len(self._was.stands),
            happened=self._was.outcome(),
            would=self._would.outcome(),
            same=not self._differences,
            differences=self._differences,
            examples=tuple(self._examples),
        )

    # --- one record --------------------------------------------------------------------------

    def _meet(self, record: DecisionRecord) -> None:
        """Take over what the record says of its session and of agents, at its moment."""
        session, case = record.session, record.case
        was, would = self._was.stand(session), self._would.stand(session)
        same = {name for name in SEEN if getattr(was, name) == getattr(would, name)}
        before = was.list
        self._was.see(session, case, record.at)
        if "list" in same and case.list and case.list != before:
            owner = would.owner if case.list == "assigned" else ""
            self._would.move(session, case.list, owner, record.at)
        for name in same - {"list"}:
            setattr(would, name, getattr(case, name))
        for standing in record.standings:
            self._seen[standing.id] = standing
            self._besides[standing.id] = standing.load - self._was.held[standing.id]

    def _decided(self, record: DecisionRecord) -> Decision | None:
        """Decide it as the session stands on the other side; None: it does not come to that."""
        case = self._case(record)
        if case is None:
            return None
        looked = {candidate.agent for candidate in record.decision.candidates}
        return decide(case, self._policy, self._standings(record, looked), record.at)

    def _case(self, record: DecisionRecord) -> Case | None:
        case, stand = record.case, self._would.stand(record.session)
        if case.trigger == "opened":
            return case
        if stand.list == "ended":
            return None
        if case.trigger == "queued" and stand.list != "unassigned":
            return None
        if case.trigger == "handoff" and case.list == "bot_hosted" and stand.list != case.list:
            return None
        seen = {name: getattr(stand, name) for name in SEEN}
        if stand.owner != self._was.stand(record.session).owner:  # who has it there, if anybody
            seen |= {"owner": stand.owner, "answered_at": None}
        return msgspec.structs.replace(case, **seen)

    def _standings(self, record: DecisionRecord | None, looked: set[str]) -> tuple[Standing, ...]:
        """Return how agents stand on the other side.

        Who was looked at stands as recorded, or was not there; of others the newest is taken.
        """
        recorded = {one.id: one for one in record.standings} if record is not None else {}
        found = []
        for member in self._policy.members:
            known = recorded.get(member.id)
            if known is None and member.id not in looked:
                known = self._known(member.id)
            if known is not None:
                found.append(self._shifted(known))
        return tuple(found)

    def _known(self, agent: str) -> Standing | None:
        known = self._seen.get(agent)
        if known is None and self._assume:
            return Standing(id=agent, online=True, load=0, idle_since=LONG_AGO)
        return known

    def _shifted(self, known: Standing) -> Standing:
        """Return the standing with the load and the turn of the other side."""
        load = max(0, self._besides.get(known.id, 0) + self._would.held[known.id])
        given = self._given.get(known.id)
        if given is None:
            return known if load == known.load else msgspec.structs.replace(known, load=load)
        return msgspec.structs.replace(
            known,
            load=load,
            idle_since=max(known.idle_since, given.idle_since),
            turn=max(known.turn, given.turn),
        )

    def _load(self, side: Side, agent: str) -> int:
        """Return what an agent has already on a side."""
        return max(0, self._besides.get(agent, 0) + side.held[agent]) if agent else 0

    # --- what goes its own way ---------------------------------------------------------------

    def _differs(self, record: DecisionRecord, was: Decision, would: Decision | None) -> None:
        self._differences += 1
        if would is not None and would.owner:
            self._note_given(would.owner, record.at)
        if len(self._examples) < EXAMPLES:
            self._examples.append(
                Difference(
                    session=record.session,
                    at=record.at,
                    trigger=record.case.trigger,
                    was=_gist(was),
                    would=None if would is None else _gist(would),
                )
            )

    def _note_given(self, agent: str, at: datetime) -> None:
        turns = (one.turn for side in (self._seen, self._given) for one in side.values())
        turn = 1 + max(turns, default=0)
        self._given[agent] = Standing(id=agent, online=True, load=0, idle_since=at, turn=turn)

    def _go_own_way(self, session: str, case: Case, at: datetime) -> None:
        stand = self._would.stand(session)
        if stand.list != "unassigned":
            return
        turn = (-stand.priority, stand.waiting_since or LONG_AGO, session)
        if session in self._waiting:  # under its former priority
            self._queue = [one for one in self._queue if one[2] != session]
        self._waiting[session] = case
        insort(self._queue, turn)
        self._room = True
        self._offer(at)

    def _offer(self, at: datetime) -> None:
        """Offer what waits on the other side alone, oldest first within a priority."""
        if not self._queue or not (self._room or at - self._offered_at >= OFTEN):
            return
        self._room, self._offered_at = False, at
        standings = self._standings(None, set())
        kept = 0
        while kept < min(TRIES, len(self._queue)):
            session = self._queue[kept][2]
            stand = self._would.stand(session)
            if stand.list == "unassigned":
                made = decide(self._queued(session, stand), self._policy, standings, at)
                if not made.owner:
                    kept += 1
                    continue
                self._would.follow(session, made, at, self._load(self._would, made.owner))
                self._note_given(made.owner, at)
                standings = self._standings(None, set())
            del self._queue[kept]
            del self._waiting[session]

    def _queued(self, session: str, stand: Stand) -> Case:
        case = self._waiting[session]
        seen = {name: getattr(stand, name) for name in SEEN}
        return msgspec.structs.replace(case, trigger="queued", **seen)


def _outcome(decision: Decision) -> Decision:
    """Return what follows from a decision, without who was looked at."""
    return msgspec.structs.replace(decision, candidates=())


def _gist(decision: Decision) -> Gist:
    return Gist(
        because=decision.because,
        list=decision.list,
        owner=decision.owner,
        bot=decision.bot,
        rules=decision.rules,
    )
