"""What a console is told of changes: pure parts of the stream of the inbox.

Every event says how something is now, so that telling it twice, or leaving out all but the last
of several, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import msgspec

from libs.common.documents import Session
from libs.common.events import Fact
from services.desk.filters import SessionFilter, matches
from services.desk.scope import Scope

SHOWN_FACTS = ("message.stored", "message.status", "message.changed")
_LINELESS = frozenset({"session.read", "session.mention", "bot.asked"})
"""What leaves no line of its own in a timeline."""


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is not, or no longer, among those that the stream is about."""

    id: str
    rev: int


class ReadMark(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the visitor's messages the agent has read, counted from the first."""

    session: str
    agent: str
    up_to: int


class Receipts(msgspec.Struct, frozen=True, kw_only=True):
    """Up to when the visitor was delivered, and has read, what was sent to them."""

    session: str
    delivered_up_to: datetime | None
    read_up_to: datetime | None


class Was(msgspec.Struct, frozen=True):
    """By what a session was seen before a change: its team, and those who were on it."""

    team: str
    agents: frozenset[str]


class Change(msgspec.Struct):
    """What facts said of one session.

    Attributes:
        was: How it was seen before, where that has changed.
        messages: Ids of entries that are new, or of what changes them.
        readers: Agents who have read.
        receipts: Whether a receipt may have come.
        since: From when on lines may have come that say what happened to it; None: none have.
    """

    was: list[Was]
    messages: dict[str, None]
    readers: dict[str, None]
    receipts: bool = False
    since: datetime | None = None


class Rows:
    """The row of a session as each agent sees it: only `unread` tells them apart.

    Args:
        session: The session.
        make: Returns the JSON of its row for an agent.
    """

    def __init__(self, session: Session, make: Callable[[Session, str], bytes]) -> None:
        self._session = session
        self._make = make
        self._by_read: dict[int, bytes] = {}

    def of(self, agent: str) -> bytes:
        """Return the row as *agent* sees it."""
        read = min(self._session.reads.get(agent, 0), self._session.inbound)
        found = self._by_read.get(read)
        if found is None:
            found = self._by_read[read] = self._make(self._session, agent)
        return found


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it is now, None if it is gone, and the entries that changed, as JSON."""

    session: Session | None
    rows: Rows | None
    entries: Mapping[str, bytes]


class Point(msgspec.Struct, frozen=True):
    """What one listener wants: which sessions, and those that it has open besides."""

    workspace: str
    agent: str
    scope: Scope
    wanted: SessionFilter
    open: frozenset[str]

    def shows(self, session: Session) -> bool:
        """Tell whether entries of the session are told."""
        return session.id in self.open or matches(session, self.wanted)


class Telling(msgspec.Struct, frozen=True):
    """One event: told again under the same `key`, it replaces what was not taken yet."""

    key: str
    rev: int
    text: bytes


def gather(facts: Iterable[Fact]) -> dict[str, Change]:
    """Return what *facts* say, by session."""
    found: dict[str, Change] = {}
    for fact in facts:
        change = found.setdefault(fact.session, Change([], {}, {}))
        if fact.previous_team is not None or fact.left:
            team = fact.team if fact.previous_team is None else fact.previous_team
            change.was.append(Was(team, frozenset((*fact.left, *fact.assignees))))
        if fact.type in SHOWN_FACTS and fact.message:
            change.messages[fact.message] = None
        if fact.type not in SHOWN_FACTS and fact.type not in _LINELESS:
            change.since = fact.at if change.since is None else min(change.since, fact.at)
        change.receipts |= fact.type == "message.changed"
        kind, _, agent = fact.actor.partition(":")
        if fact.type == "session.read" and kind == "agent" and agent:
            change.readers[agent] = None
    return found


def tellings(
    point: Point, id_: str, change: Change, shown: Shown, before: Session | None
) -> list[Telling]:
    """Return what one listener is told of a change.

    *before* is the session as it was known before, None if it was not: what it was not among then,
    and is not now, is not told.
    """
    now = shown.session
    if now is None or shown.rows is None:
        return [_removed(id_, 0)] if point.scope.whole else []
    if not point.scope.session(now):
        return [_removed(id_, now.rev)] if _saw(point.scope, now, change) else []
    told = []
    if matches(now, point.wanted):
        told.append(Telling(f"s:{id_}", now.rev, _event(b"session", shown.rows.of(point.agent))))
    elif before is None or matches(before, point.wanted):
        told.append(_removed(id_, now.rev))
    if point.shows(now):
        told += _inside(now, change, shown)
    return told


def _inside(now: Session, change: Change, shown: Shown) -> list[Telling]:
    told = [
        Telling(f"e:{message}", now.rev, _event(b"entry", data))
        for message, data in shown.entries.items()
    ]
    for agent in change.readers:
        mark = ReadMark(session=now.id, agent=agent, up_to=now.reads.get(agent, 0))
        told.append(Telling(f"r:{now.id}:{agent}", now.rev, event("read", mark)))
    if change.receipts:
        receipts = Receipts(
            session=now.id, delivered_up_to=now.delivered_up_to, read_up_to=now.read_up_to
        )
        told.append(Telling(f"v:{now.id}", now.rev, event("receipts", receipts)))
    return told


def event(name: str, data: msgspec.Struct) -> bytes:
    """Return an event as it is written, without its id."""
    return _event(name.encode(), msgspec.json.encode(data))


def _event(name: bytes, data: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name, data)


def _removed(id_: str, rev: int) -> Telling:
    return Telling(f"s:{id_}", rev, event("removed", Removed(id=id_, rev=rev)))


def _saw(scope: Scope, now: Session, change: Change) -> bool:
    """Tell whether who sees it no longer saw it before."""
    if not scope.account(now.channel, now.account):
        return False
    teams = scope.teams or ()
    return any(not was.team or was.team in teams or scope.agent in was.agents for was in change.was)
