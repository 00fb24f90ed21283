"""Fold one conversation's deliveries of a batch into what is to be written. Pure.

A plan is made from what the store was seen to hold, and holds only while that is still so: its
writes are guarded, and a lost race is planned again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from libs.common.documents import Contact, Identity, Message, Session, Settings
from libs.common.events import (
    ContactChanged,
    IdentityChanged,
    Inbound,
    InboundEvent,
    MessageReceived,
    Profile,
    SendReported,
    Unparsed,
)
from libs.common.ids import derive_id
from libs.common.timeline import COMMAND_KEY
from services.router.access import inherit
from services.router.decide import decide
from services.router.draft import Draft, was_applied
from services.router.entry import (
    Arrival,
    entry_of,
    is_homeless,
    mark,
    message_id,
    opens,
    own_id,
)
from services.router.fold import absorb, advance, name_of

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
        return f"waiting:{self.open_key}"


class Known(msgspec.Struct, kw_only=True):
    """What the store was seen to hold of a conversation.

    Attributes:
        session: The open session, else the newest one if it was looked for, else None.
        stored: Entries of these events that are stored already, by id.
        others: Sessions that those entries name, other than `session`, by id.
        ours: Messages of ours that the events name, by id.
        strays: Stored entries from before the first session, which the one opened now takes in.
        visitor: The visitor's id by now, where it is another than the conversation's. `session`
            may be under a former id: it goes on under this one.
        sibling: The account by which the same page sends messages, where this one has comments.
    """

    session: Session | None = None
    stored: dict[str, Message] = {}
    others: dict[str, Session] = {}
    ours: dict[str, Message] = {}
    strays: list[Message] = []
    visitor: str = ""
    sibling: str = ""


class Newcomer(msgspec.Struct, frozen=True, kw_only=True):
    """The identity and contact of a visitor without a session; both may exist already."""

    identity: Identity
    contact: Contact


class Person(NamedTuple):
    """A visitor on an account."""

    account: str
    channel: str
    visitor: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """*one* and *other* are the same person, told at `at`.

    With `became_at`, *other* is who *one* was until then, by the provider's time.
    """

    one: Person
    other: Person
    at: datetime
    became_at: datetime | None = None


class Plan(msgspec.Struct, kw_only=True):
    """What to write: new and changed sessions, new and changed entries, and who is new.

    `ours` are messages of ours whose status moved; `moved` are stored entries that get another
    session or number. `results` tells by place what became of each delivery.
    """

    created: list[Session] = []
    changed: list[Session] = []
    entries: list[Message] = []
    moved: list[Message] = []
    ours: list[Message] = []
    newcomer: Newcomer | None = None
    links: list[Link] = []
    results: dict[int, Result] = {}


def plan(
    talk: Talk, arrivals: Iterable[Arrival], known: Known, settings: Settings, now: datetime
) -> Plan:
    """Return what *arrivals*, in stream order, make of the conversation."""
    planner = _Planner(talk, known, settings)
    for arrival in arrivals:
        planner.take(arrival)
    return planner.finish(now)


class _Taken(NamedTuple):
    """An entry of the plan, and what it was in the store; the latter None for a new one."""

    entry: Message
    stored: Message | None

    @property
    def has_moved(self) -> bool:
        """Whether it stands elsewhere now."""
        return self.stored is not None and _place(self.stored) != _place(self.entry)


class _Planner:
    def __init__(self, talk: Talk, known: Known, settings: Settings) -> None:
        self._talk = talk
        self._now = Talk(talk.account, known.visitor or talk.visitor)
        self._known = known
        self._settings = settings
        self._plan = Plan()
        self._drafts: dict[str, Draft] = {}
        self._current = known.session
        self._ours = dict(known.ours)
        self._seen: set[str] = set()
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
        draft = None if is_homeless(event) else self._home(inbound)
        if draft is not None:
            self._apply(draft, entry, event, ours)
        else:
            self._keep(inbound, entry)
        self._link(inbound, entry, draft)
        quarantined = isinstance(event, Unparsed)
        self._plan.results[arrival.place] = "quarantined" if quarantined else "stored"

    def finish(self, now: datetime) -> Plan:
        """Return the plan."""
        for draft in self._drafts.values():
            session = draft.finish(now)
            (self._plan.changed if session.rev else self._plan.created).append(session)
        self._plan.entries = [taken.entry for taken in self._taken if taken.stored is None]
        self._plan.moved = [taken.entry for taken in self._taken if taken.has_moved]
        self._plan.ours = [m for m in self._ours.values() if m != self._known.ours.get(m.id)]
        return self._plan

    def _is_done(self, entry_id: str) -> bool:
        """Tell whether the entry has had its effect, as far as is known without a look at it."""
        stored = self._known.stored.get(entry_id)
        session = self._known.session
        if stored is None:
            return session is not None and mark(entry_id) in session.recent
        if not stored.session or stored.visitor != self._talk.visitor:
            return True  # nothing to apply, or another visitor's under the same key
        if session is None or session.id != stored.session:
            session = self._known.others.get(stored.session)
        return session is not None and was_applied(session, stored)

    def _named(self, event: InboundEvent) -> Message | None:
        """Return the message of ours that *event* names, if it is one that we sent from here."""
        ours = self._ours.get(own_id(event))
        if ours is None or ours.account != self._talk.account:
            return None
        return ours if ours.key.startswith(COMMAND_KEY) and ours.direction == "out" else None

    def _apply(
        self, draft: Draft, entry: Message, event: InboundEvent, ours: Message | None
    ) -> None:
        if ours is not None:
            ours = self._ours[ours.id] = advance(ours, event, entry.occurred_at)
        absorb(draft, entry, event, ours)

    def _keep(self, inbound: Inbound, entry: Message) -> None:
        """Keep what has no session: for ever, or until the visitor's first message opens one."""
        entry.session, entry.number, entry.timeline = "", 0, None
        if not is_homeless(inbound.event):
            entry.timeline = self._talk.waiting
            self._strays.append((entry, inbound.event))
            self._plan.newcomer = self._plan.newcomer or newcomer_of(inbound, strays=True)

    def _link(self, inbound: Inbound, entry: Message, draft: Draft | None) -> None:
        """Note that the event tells of another id of the same person."""
        event, account = inbound.event, inbound.account
        one = Person(account, inbound.channel, event.visitor)
        became_at = None
        if isinstance(event, IdentityChanged):
            other = Person(account, inbound.channel, event.previous)
            became_at = entry.occurred_at
        elif isinstance(event, SendReported) and event.linked_visitor and self._known.sibling:
            other = Person(self._known.sibling, MESSENGER, event.linked_visitor)
        else:
            return
        if one == other:
            return
        link = Link(one=one, other=other, at=inbound.received_at, became_at=became_at)
        self._plan.links.append(link)
        if draft is not None:
            draft.tell("contact.changed", inbound.received_at, actor="system")

    def _home(self, inbound: Inbound) -> Draft | None:
        """Return the session that the event belongs to; a visitor's message opens one."""
        session = self._current
        if opens(inbound.event) and (session is None or session.open_key is None):
            session = self._current = self._open(inbound)
        if session is None:
            return None
        draft = self._drafts.get(session.id)
        if draft is None:
            draft = self._drafts[session.id] = Draft(session)
            self._rename(draft, inbound.received_at)
        return draft

    def _rename(self, draft: Draft, at: datetime) -> None:
        """Let an open session that began under a former id go on under the present one."""
        session = draft.session
        if session.open_key in {None, self._now.open_key}:
            return
        session.visitor, session.open_key = self._now.visitor, self._now.open_key
        draft.tell("contact.changed", at, actor="system")

    def _open(self, inbound: Inbound) -> Session:
        """Open a session; its id names the event, so that a repeat opens the same one."""
        workspace, account, visitor = inbound.workspace, inbound.account, inbound.event.visitor
        event = inbound.event
        newcomer = newcomer_of(inbound)
        decision = decide(self._settings, inbound.channel, standby=event.standby)
        session = Session(
            id=derive_id("ses", workspace, account, visitor, event.event_id),
            workspace=workspace,
            account=account,
            channel=inbound.channel,
            visitor=self._now.visitor,
            contact=newcomer.contact.id,
            list=decision.list,
            bot=decision.bot,
            because=decision.because,
            open_key=self._now.open_key,
            created_at=inbound.received_at,
            updated_at=inbound.received_at,
        )
        if self._known.session is not None:
            inherit(session, self._known.session)
        draft = self._drafts[session.id] = Draft(session)
        draft.tell(
            "session.created", inbound.received_at, actor="visitor", because=decision.because
        )
        for entry, stray in self._strays:
            if entry.session in {"", session.id}:  # not what another session of theirs has
                absorb(draft, entry, stray, None)
        self._plan.newcomer = newcomer
        return session


def _place(entry: Message) -> tuple[str, int, str | None]:
    return (entry.session, entry.number, entry.timeline)


def _copied(entry: Message) -> Message:
    return msgspec.structs.replace(entry)


def newcomer_of(inbound: Inbound, *, strays: bool = False) -> Newcomer:
    """Return the identity and contact of the event's visitor, by ids that a repeat finds again."""
    visitor, event = inbound.event.visitor, inbound.event
    profile = Profile()
    if isinstance(event, MessageReceived | ContactChanged) and not getattr(event, "author", ""):
        profile = event.profile  # in a group, it is its author's
    names = (inbound.workspace, inbound.account, visitor)
    contact = Contact(
        id=derive_id("con", *names),
        workspace=inbound.workspace,
        name=name_of(profile),
        phone=profile.phone,
        email=profile.email,
        language=profile.language,
        first_seen_at=inbound.received_at,
    )
    identity = Identity(
        id=derive_id("idn", *names),
        workspace=inbound.workspace,
        account=inbound.account,
        channel=inbound.channel,
        visitor=visitor,
        contact=contact.id,
        profile=profile,
        first_seen_at=inbound.received_at,
        strays=strays,
    )
    return Newcomer(identity=identity, contact=contact)
