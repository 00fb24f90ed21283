"""A session being changed: one write's worth of entries, facts and sends. Pure."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common.documents import Alteration, DecisionRecord, Message, Moment, Session
from libs.common.events import Fact, FactType, SendRequest, SessionTimer, Timer
from libs.common.idle import idle_since, last_speaker
from libs.common.ids import derive_id
from libs.common.switches import Settings, Speaker
from services.router import reckon
from services.router.entry import is_shown, mark
from services.router.shown import altered, kept, last_of, merged

RING = 64
"""Entries whose hashes the session keeps; see `was_applied`."""

_DEFAULTS = Settings()

Field = Literal[
    "last_message",
    "contact_name",
    "contact_phone",
    "contact_email",
    "contact_language",
    "reply_token",
    "read_token",
    "quote_token",
    "thread",
    "referral",
    "blocked",
    "standby",
    "survey",
]


def was_applied(session: Session, entry: Message) -> bool:
    """Tell whether *entry*, which is stored as an entry of *session*, has had its effect there.

    The message is written before its session, so a crash between the two leaves an entry whose
    number the session has not reached, or has given to another. The ring holds the last `RING`
    entries that counted, so what is older than those must have counted.
    """
    return mark(entry.id) in session.recent or 0 < entry.number <= session.entries - RING


def cleared(session: Session) -> Session:
    """Return the session with an empty outbox."""
    if session.outbox_since is None:
        return session
    copied = copy.copy(session)
    copied.writes = ()
    copied.facts = ()
    copied.sends = ()
    copied.records = ()
    copied.timers = ()
    copied.wakes = copied.reckons = False
    copied.outbox_since = None
    return copied


def need_of(session: Session) -> str:
    """Return the same short text for all sessions that the same agents can take."""
    parts = (session.account, session.team, session.skill, session.wanted, *sorted(session.removed))
    return derive_id("need", *parts)


def _has_outbox(session: Session) -> bool:
    return bool(
        session.writes
        or session.facts
        or session.sends
        or session.records
        or session.timers
        or session.wakes
        or session.reckons
    )


class Draft:
    """Collects the changes of one write. `session` may be changed freely: it is a copy.

    *settings* are the workspace's switches, by which what a change brings with it is settled.
    """

    def __init__(self, base: Session, settings: Settings = _DEFAULTS) -> None:
        self.base = base
        self.settings = settings
        self.heard_at: datetime | None = None
        """When the first of the visitor's messages in this write came."""
        self.session = copy.copy(base)
        self.session.reads = dict(base.reads)
        self.session.newest = dict(base.newest)
        self.session.due = dict(base.due)
        self.session.course = reckon.begun(base)
        self._marks: list[str] = []
        self._writes: list[Message] = []
        self._facts: list[Fact] = []
        self._sends: list[SendRequest] = []
        self._records: list[DecisionRecord] = []
        self._timers: dict[SessionTimer, Timer] = {}
        self._released: list[Timer] = []
        self._altered: list[Alteration] = []

    @property
    def rev(self) -> int:
        """The revision that this write will have."""
        return self.base.rev + 1

    @property
    def changed(self) -> bool:
        """Whether anything happened that others, or a timer, are to know."""
        session, base = self.session, self.base
        if session.due != base.due or session.held != base.held:
            return True
        return bool(self._facts or self._marks or self._timers)

    def hear(self, at: datetime) -> None:
        """Note that the visitor's message came at *at*, by our clock."""
        self.heard_at = min(self.heard_at or at, at)
        self._speak("visitor", at)

    def answered_outside(self, at: datetime) -> None:
        """Note that an agent's answer, typed elsewhere, came at *at*: here nobody spoke."""
        session = self.session
        if session.idle_since is None:  # written before it was kept: as it was until now
            session.spoke, session.idle_since = last_speaker(session), idle_since(session)
        session.outside_at = max(session.outside_at or at, at)

    def begin_anew(self, at: datetime) -> None:
        """Let it be idle from *at* on, at the earliest."""
        session = self.session
        session.idle_since = max(session.idle_since or at, at)

    def _speak(self, who: Speaker, at: datetime) -> None:
        """Note who spoke, unless another did so later: what is late changes nothing."""
        before = self.session.newest.get("spoke")
        if before is None or before.at <= at:
            self.session.newest["spoke"] = Moment(at=at)
            self.session.spoke = who
        self.begin_anew(at)

    @property
    def is_answered(self) -> bool:
        """Whether an agent answers the visitor in this write."""
        return any(self.answers)

    @property
    def answers(self) -> Iterator[Message]:
        """What agents answer the visitor in this write."""
        return (
            entry
            for entry in self._writes
            if entry.sender == "agent" and entry.direction == "out" and entry.kind == "message"
        )

    def place(self, entry: Message) -> None:
        """Make *entry* the next entry of this session."""
        self.session.entries += 1
        entry.session = self.session.id
        entry.timeline = self.session.id if is_shown(entry) else None
        entry.number = self.session.entries
        self._marks.append(mark(entry.id))

    def write(self, entry: Message) -> None:
        """Place *entry* and let the outbox store it."""
        self.place(entry)
        if entry.kind == "message" and entry.direction == "out" and entry.sender != "system":
            self._speak(entry.sender, entry.received_at)
            self.session.course = reckon.said(self.session.course, entry)
        self._writes.append(entry)

    def send(self, request: SendRequest) -> None:
        """Let the outbox publish *request*."""
        self._sends.append(request)

    def has(self, entry_id: str) -> bool:
        """Tell whether this write has the entry already."""
        return any(entry.id == entry_id for entry in self._writes)

    @property
    def written(self) -> int:
        """How many entries of its own this write has so far."""
        return len(self._writes)

    @property
    def decisions(self) -> int:
        """How many decisions this write records so far."""
        return len(self._records)

    def record(self, record: DecisionRecord) -> None:
        """Let the outbox store what was decided and from what; the session names the newest."""
        self._records.append(record)
        self.session.decision = record.id

    def arm(self, kind: SessionTimer, due: datetime) -> None:
        """Let the outbox set the session's timer of *kind*; the one before is replaced."""
        self.session.due[kind] = due
        session = self.session
        self._timers[kind] = Timer(
            kind=kind, workspace=session.workspace, session=session.id, due=due, rev=self.rev
        )

    def disarm(self, kind: SessionTimer) -> None:
        """Let the session's timer of *kind* do nothing when it comes."""
        self.session.due.pop(kind, None)
        self._timers.pop(kind, None)

    def release(self, at: datetime) -> None:
        """Let what is held be tried again from *at* on, as the visitor has written.

        The timers are the scheduler's own, whose message ids count revisions: those here are
        numbered by the time in microseconds, so that none is taken for another.
        """
        session = self.session
        number = int(at.timestamp() * 1_000_000)
        self._released += (
            Timer(kind="scheduled", workspace=session.workspace, ref=ref, due=at, rev=number)
            for ref in session.held
        )
        session.held = ()

    def tell(
        self,
        kind: FactType,
        at: datetime,
        *,
        actor: str,
        because: str = "",
        message: str = "",
        **more: Any,
    ) -> None:
        """Announce a fact with the session's state as it now is.

        *more* are fields of `Fact`: `status`, `previous_list`, `previous_owner`, `media`, `notify`,
        `bot_id`, `due`, or another `session` that the fact is about.
        """
        session = self.session
        self._facts.append(
            Fact(
                fact_id=f"{session.id}:{self.rev}:{len(self._facts) + 1}",
                type=kind,
                workspace=session.workspace,
                session=more.pop("session", session.id),
                at=at,
                actor=actor,
                because=because,
                message=message,
                list=session.list,
                owner=session.owner or "",
                assignees=session.assignee_ids,
                bot=session.bot,
                epoch=session.epoch,
                rev=self.rev,
                **more,
            )
        )

    def is_newest(self, field: Field, entry: Message) -> bool:
        """Tell whether *entry* may set *field*, and remember that it did."""
        before = self.session.newest.get(field)
        if before and (before.at, before.sequence) > (entry.occurred_at, entry.sequence):
            return False
        self.session.newest[field] = Moment(at=entry.occurred_at, sequence=entry.sequence)
        return True

    def show_last(self, entry: Message) -> None:
        """Make *entry* what a list row shows, unless a newer one is there already."""
        if self.is_newest("last_message", entry):
            self.session.last_message = last_of(entry)
            self.name_last(entry)

    def name_last(self, message: Message) -> None:
        """Note by what ids changes will name *message*, which the list row shows."""
        self.session.last_ids = (message.id, *message.provider_ids)

    def learn_ids(self, ours: Message) -> None:
        """Note what ids the provider gave to *ours*, in case the list row shows it.

        Where it shows an echo of *ours*, that one was no answer given elsewhere.
        """
        session = self.session
        if session.last_ids[:1] == (ours.id,):
            self.name_last(ours)
        elif session.outside_at is not None and set(session.last_ids) & set(ours.provider_ids):
            session.outside_at = None

    def alter(self, alteration: Alteration) -> None:
        """Note that a message was edited or unsent, be it here yet or not."""
        self._altered.append(alteration)

    def touch(self, at: datetime) -> None:
        """Note activity, which orders the lists."""
        self.session.updated_at = max(self.session.updated_at, at)

    def finish(self, now: datetime) -> Session:
        """Return the session to write, with the outbox filled."""
        session = self.session
        session.recent = (*session.recent, *self._marks)[-RING:]
        session.writes = (*session.writes, *self._writes)
        session.facts = (*session.facts, *self._who_sees())
        session.sends = (*session.sends, *self._sends)
        session.records = (*session.records, *self._records)
        session.timers = (*session.timers, *self._timers.values(), *self._released)
        self._queue()
        self._show()
        session.reckons |= reckon.is_due(session, self.base)
        if session.outbox_since is None and _has_outbox(session):
            session.outbox_since = now
        return session

    def _who_sees(self) -> list[Fact]:
        """Return the facts with what decides who sees the session, as it was and as it is."""
        session, base = self.session, self.base
        previous = base.team if base.team != session.team else None
        left = tuple(who for who in base.assignee_ids if who not in session.assignee_ids)
        if not session.team and previous is None and not left:
            return self._facts
        who = {"team": session.team, "previous_team": previous, "left": left}
        return [msgspec.structs.replace(fact, **who) for fact in self._facts]

    def _queue(self) -> None:
        """Settle by what the queue finds the session, and wake it where that is new."""
        session, base = self.session, self.base
        if session.queue_key is None:
            session.queue_need, session.wakes = None, False
            return
        session.queue_need = need_of(session)
        place = (session.queue_key, session.queue_need)
        session.wakes |= place != (base.queue_key, base.queue_need)

    def _show(self) -> None:
        """Settle what the list row shows."""
        session = self.session
        if not session.altered and not self._altered:  # nearly always
            return
        alterations = merged((*session.altered, *self._altered))
        if session.last_message is not None:
            session.last_message = altered(session.last_message, session.last_ids, alterations)
        session.altered = kept(session.last_ids, alterations)
