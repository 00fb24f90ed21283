"""Fold one conversation's deliveries of a batch into what is to be written. Pure.

A plan is made from what the store was seen to hold, and holds only while that is still so: its
writes are guarded, and a lost race is planned again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from libs.common.documents import Message, Session
from libs.common.events import (
    IdentityChanged,
    Inbound,
    InboundEvent,
    MessageReceived,
    SendReported,
    Unparsed,
)
from libs.common.ids import derive_id
from libs.common.strays import waiting_key
from libs.common.timeline import COMMAND_KEY
from services.router.access import inherit
from services.router.clocks import keep
from services.router.contacts import Heard, news_of, told
from services.router.draft import Draft, was_applied
from services.router.entry import (
    Arrival,
    entry_of,
    is_homeless,
    mark,
    message_id,
    own_id,
    place_below,
)
from services.router.fold import absorb, advance
from services.router.links import Link, Person
from services.router.newcomer import Newcomer, newcomer_of
from services.router.reception import Heard as Said
from services.router.reception import Opening, attend, begin, stand_in
from services.router.room import Room
from services.router.survey import is_answer, thank
from services.router.transition import requeue
from services.router.twins import other_path, provider_id, settle

Result = Literal["stored", "duplicate", "quarantined"]

MESSENGER = "messenger"
"""Where the visitor ids are at home that an answer to a private reply reveals."""


class Talk(NamedTuple):
    """What makes a conversation: who writes to which account.

    The visitor is empty for events about the account itself.
    """

    account: str
    visitor: str

    @property
    def open_key(self) -> str:
        """The unique key of its open session."""
        return f"{self.account}|{self.visitor}"

    @property
    def waiting(self) -> str:
        """The `timeline` of what comes before there is a session to belong to."""
        return waiting_key(self.account, self.visitor)


class Known(msgspec.Struct, kw_only=True):
    """What the store was seen to hold of a conversation.

    Attributes:
        session: The open session, else the newest one if it was looked for, else None.
        stored: Entries of these events that are stored already, by id.
        others: Sessions that those entries name, other than `session`, by id.
        ours: Messages of ours that the events name, by id.
        strays: Stored entries from before the first session, which the one opened now takes in.
        early: Stored entries from before the comments they are about, by comment.
        twins: What is stored of messages that may have come by another path, by provider id.
        visitor: The visitor's id by now, where it is another than the conversation's. `session`
            may be under a former id: it goes on under this one.
        sibling: The account by which the same page sends messages, where this one has comments.
    """

    session: Session | None = None
    stored: dict[str, Message] = {}
    others: dict[str, Session] = {}
    ours: dict[str, Message] = {}
    strays: list[Message] = []
    twins: dict[str, list[Message]] = {}
    early: dict[str, list[Message]] = {}
    visitor: str = ""
    sibling: str = ""


class Plan(msgspec.Struct, kw_only=True):
    """What to write: new and changed sessions, new and changed entries, and who is new.

    `ours` are messages of ours whose status moved; `moved` are stored entries that get another
    session or number; `heard` is what is new of the sessions' visitors. `results` tells by place
    what became of each delivery.
    """

    created: list[Session] = []
    changed: list[Session] = []
    entries: list[Message] = []
    moved: list[Message] = []
    ours: list[Message] = []
    newcomer: Newcomer | None = None
    links: list[Link] = []
    heard: list[tuple[Session, dict[str, Heard]]] = []
    results: dict[int, Result] = {}


def plan(talk: Talk, arrivals: Iterable[Arrival], known: Known, room: Room, now: datetime) -> Plan:
    """Return what *arrivals*, in stream order, make of the conversation in its *room* at *now*."""
    planner = _Planner(talk, known, room, now)
    for arrival in arrivals:
        planner.take(arrival)
    return planner.finish()


class _Taken(NamedTuple):
    """An entry of the plan, and what it was in the store; the latter None for a new one."""

    entry: Message
    stored: Message | None

    @property
    def has_moved(self) -> bool:
        """Whether it stands elsewhere now."""
        return self.stored is not None and _place(self.stored) != _place(self.entry)


class _Planner:
    def __init__(self, talk: Talk, known: Known, room: Room, now: datetime) -> None:
        self._talk = talk
        self._present = Talk(talk.account, known.visitor or talk.visitor)
        self._known = known
        self._room = room
        self._now = now
        self._plan = Plan()
        self._drafts: dict[str, Draft] = {}
        self._openings: dict[str, Opening] = {}
        self._current = known.session
        self._ours = dict(known.ours)
        self._seen: set[str] = set()
        self._counted: dict[str, tuple[str, bool]] = {}
        self._taken: list[_Taken] = []
        self._strays = [(_copied(entry), entry.event) for entry in known.strays]
        self._taken += map(_Taken, (entry for entry, _ in self._strays), known.strays)

    def take(self, arrival: Arrival) -> None:
        """Plan one delivery."""
        inbound = arrival.inbound
        event = inbound.event
        entry_id = message_id(inbound.workspace, inbound.account, event.event_id)
        if entry_id in self._seen or self._is_done(entry_id):
            self._plan.results[arrival.place] = "duplicate"
            return
        self._seen.add(entry_id)
        ours = self._named(event)
        stored = self._known.stored.get(entry_id)
        entry = _copied(stored) if stored else entry_of(arrival, entry_id, of_ours=bool(ours))
        self._taken.append(_Taken(entry, stored))
        twin = "" if ours else self._twin(entry_id, event)
        draft = self._home(inbound, entry, twin)
        if draft is not None:
            self._counted.setdefault(provider_id(event), (draft.session.id, event.standby))
            applied = event if ours else settle(entry, event, again=bool(twin))
            self._apply(draft, entry, applied, ours)
            self._take_in(draft, provider_id(event))
            self._answer(draft, entry, applied)
        else:
            self._keep(inbound, entry, twin)
        self._link(inbound, entry, draft)
        quarantined = isinstance(event, Unparsed)
        self._plan.results[arrival.place] = "quarantined" if quarantined else "stored"

    def finish(self) -> Plan:
        """Return the plan."""
        for draft in self._drafts.values():
            requeue(draft.session)  # another application may have taken or left it
            keep(draft, self._now)
            session = draft.finish(self._now)
            (self._plan.changed if session.rev else self._plan.created).append(session)
            self._hear(session, news_of(draft.base, session))
        self._plan.entries = [taken.entry for taken in self._taken if taken.stored is None]
        self._plan.moved = [taken.entry for taken in self._taken if taken.has_moved]
        self._plan.ours = [m for m in self._ours.values() if m != self._known.ours.get(m.id)]
        return self._plan

    def _hear(self, session: Session, heard: dict[str, Heard]) -> None:
        """Note what is new of the visitor; who is new is stored with it at once."""
        newcomer = self._plan.newcomer
        if heard:
            self._plan.heard.append((session, heard))
        if newcomer is not None and not session.rev:
            contact = told(newcomer.contact, heard)
            self._plan.newcomer = msgspec.structs.replace(newcomer, contact=contact)

    def _is_done(self, entry_id: str) -> bool:
        """Tell whether the entry has had its effect, as far as is known without a look at it."""
        stored = self._known.stored.get(entry_id)
        session = self._known.session
        if stored is None:
            return session is not None and mark(entry_id) in session.recent
        if not stored.session or stored.visitor != self._talk.visitor:
            return True  # nothing to apply, or another visitor's under the same key
        return self._has_counted(stored)

    def _has_counted(self, stored: Message) -> bool:
        session = self._known.session
        if session is None or session.id != stored.session:
            session = self._known.others.get(stored.session)
        return session is not None and was_applied(session, stored)

    def _twin(self, entry_id: str, event: InboundEvent) -> str:
        """Return the session where the same message counted, come by another path; or nothing."""
        session, standby = self._counted.get(provider_id(event), ("", event.standby))
        if session and standby != event.standby:
            return session
        twins = other_path(entry_id, event, self._known.twins)
        return next((twin.session for twin in twins if self._has_counted(twin)), "")

    def _named(self, event: InboundEvent) -> Message | None:
        """Return the message of ours that *event* names, if it is one that we sent from here."""
        ours = self._ours.get(own_id(event))
        if ours is None or ours.account != self._talk.account:
            return None
        return ours if ours.key.startswith(COMMAND_KEY) and ours.direction == "out" else None

    def _take_in(self, draft: Draft, comment: str) -> None:
        """Take in what came before the *comment* that it is about."""
        for stored in self._known.early.get(comment, ()):
            taken = any(one.entry.id == stored.id for one in self._taken)
            if taken or (stored.session and self._has_counted(stored)):
                continue
            self._seen.add(stored.id)
            entry = msgspec.structs.replace(stored, visitor=draft.session.visitor)
            self._taken.append(_Taken(entry, stored))
            absorb(draft, entry, stored.event, None)

    def _apply(
        self, draft: Draft, entry: Message, event: InboundEvent, ours: Message | None
    ) -> None:
        before = ours
        if ours is not None:
            ours = self._ours[ours.id] = advance(ours, event, entry.occurred_at)
        absorb(draft, entry, event, ours)
        news = before is not None and ours is not None and ours.status != before.status
        if news and ours is not None and not self._room.quiet:
            stand_in(draft, ours, self._room, self._now)

    def _answer(self, draft: Draft, entry: Message, event: InboundEvent) -> None:
        """Let rules and bots see what the visitor said, once it stands in the session."""
        if self._room.quiet:
            return
        if isinstance(event, MessageReceived) and entry.kind == "message":
            if draft.session.list == "ended":
                thank(draft, self._room, self._now)
                return
            opening = self._openings.pop(draft.session.id, None)
            attend(draft, Said(entry, event), self._room, self._now, opening)

    def _keep(self, inbound: Inbound, entry: Message, twin: str) -> None:
        """Keep what has no session: for ever, or until the visitor's first message opens one."""
        entry.session, entry.number, entry.timeline = "", 0, None
        if twin:
            settle(entry, inbound.event, again=True)
        elif not is_homeless(inbound.event):
            entry.timeline = self._talk.waiting
            if place_below(entry, inbound.event):
                return
            self._strays.append((entry, inbound.event))
            self._plan.newcomer = self._plan.newcomer or newcomer_of(inbound, strays=True)

    def _link(self, inbound: Inbound, entry: Message, draft: Draft | None) -> None:
        """Note that the event tells of another id of the same person."""
        links = [link for link in self._links(inbound, entry, draft) if link.one != link.other]
        self._plan.links += links
        if draft is not None and any(not link.alias for link in links):
            draft.tell("contact.changed", inbound.received_at, actor="system")

    def _links(self, inbound: Inbound, entry: Message, draft: Draft | None) -> Iterator[Link]:
        event, at = inbound.event, inbound.received_at
        one = Person(inbound.account, inbound.channel, event.visitor)
        if isinstance(event, IdentityChanged):
            other = one._replace(visitor=event.previous)
            yield Link(one=one, other=other, at=at, became_at=entry.occurred_at)
        elif isinstance(event, SendReported) and event.linked_visitor and self._known.sibling:
            other = Person(self._known.sibling, MESSENGER, event.linked_visitor)
            yield Link(one=one, other=other, at=at)
        if event.alias and (draft is None or draft.session.alias != event.alias):
            other = one._replace(visitor=event.alias)
            yield Link(one=one, other=other, at=at, became_at=entry.occurred_at, alias=True)
            if draft is not None:
                draft.session.alias = event.alias

    def _home(self, inbound: Inbound, entry: Message, twin: str) -> Draft | None:
        """Return the session that the event belongs to; a visitor's message opens one.

        What counted elsewhere, in the session *twin*, opens none and belongs to none.
        """
        session, event = self._newest(), inbound.event
        if is_homeless(event):
            return None
        if twin and (session is None or (session.id, session.open_key is None) != (twin, False)):
            return None
        if isinstance(event, MessageReceived) and (
            session is None
            or (session.open_key is None and not is_answer(session, event, inbound.received_at))
        ):
            return self._open(inbound, Said(entry, event), session)
        if session is None:
            return None
        draft = self._drafts.get(session.id)
        if draft is None:
            draft = self._drafts[session.id] = Draft(session, self._room.policy.settings)
            self._rename(draft, inbound.received_at)
        return draft

    def _newest(self) -> Session | None:
        """Return the conversation's newest session as it is by now."""
        session = self._current
        draft = self._drafts.get(session.id) if session is not None else None
        return draft.session if draft is not None else session

    def _rename(self, draft: Draft, at: datetime) -> None:
        """Let an open session that began under a former id go on under the present one."""
        session = draft.session
        if session.open_key in {None, self._present.open_key}:
            return
        session.visitor, session.open_key = self._present.visitor, self._present.open_key
        draft.tell("contact.changed", at, actor="system")

    def _open(self, inbound: Inbound, first: Said, last: Session | None) -> Draft:
        """Open a session; its id names the event, so that a repeat opens the same one."""
        workspace, account, visitor = inbound.workspace, inbound.account, inbound.event.visitor
        newcomer = newcomer_of(inbound)
        session = Session(
            id=derive_id("ses", workspace, account, visitor, inbound.event.event_id),
            workspace=workspace,
            account=account,
            channel=inbound.channel,
            visitor=self._present.visitor,
            contact=newcomer.contact.id,
            list="unassigned",
            open_key=self._present.open_key,
            created_at=inbound.received_at,
            updated_at=inbound.received_at,
        )
        if last is not None:
            inherit(session, last)
        self._current = session
        draft = self._drafts[session.id] = Draft(session, self._room.policy.settings)
        strays = [one for one in self._strays if one[0].session in {"", session.id}]
        opening = begin(draft, strays, first, self._room, self._now)
        self._openings[session.id] = opening
        because = opening.decision.because
        draft.tell("session.created", inbound.received_at, actor="visitor", because=because)
        for entry, stray in strays:  # not another's of theirs
            absorb(draft, entry, stray, None)
        self._plan.newcomer = newcomer
        return draft


def _place(entry: Message) -> tuple[str, int, str | None]:
    return (entry.session, entry.number, entry.timeline)


def _copied(entry: Message) -> Message:
    return msgspec.structs.replace(entry)
