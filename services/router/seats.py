"""Places: how many sessions an agent has, counted so that no interleaving exceeds a limit.

A place is taken, under the guard of the `Load`'s revision, before the session is written, and names
the revision that this write would have. Whoever frees a place has seen that revision, or a later
one, without the agent as owner: so it never frees what somebody else has just taken, and a place
that a crash left behind is told apart from one whose session is about to be written.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from libs.common.documents import LOADS, SESSIONS, Held, Load, Session
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.policy import Policy, Standing
from libs.common.rules.standing import standing_of
from libs.common.store.api import Page, Store, cursor
from services.router import metrics

LEASE = timedelta(seconds=10)
"""A place whose session is still not written after this long was left by a crash."""
_PAGE = 200
"""Whole sessions that are in memory at once."""
_AT_ONCE = 50
"""Places that one look at the agents looks behind, at most."""

State = Callable[[str, str], str]
"""The presence of an agent, by workspace and id: `online`, `away`, or empty."""


class Place(NamedTuple):
    """What the write of `session` to revision `rev` needs of `agent`."""

    workspace: str
    agent: str
    session: str
    rev: int


def nobody(_workspace: str, _agent: str) -> str:
    """Know nobody who is online."""
    return ""


def nothing(_workspace: str) -> None:
    """Tell nobody that a place is free."""


class Seats:
    """The places of all agents.

    Args:
        store: Where they are.
        now: The clock.
        state: Who is online.
        freed: Called with the workspace when a place is free again.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], datetime],
        *,
        state: State = nobody,
        freed: Callable[[str], None] = nothing,
    ) -> None:
        self._store = store
        self._now = now
        self._state = state
        self._freed = freed
        self._backed: dict[tuple[str, str], set[Held]] = {}
        """By agent, the places whose session was seen to be theirs: it leaves with a word."""
        self._open: dict[Place, datetime] = {}

    async def take(self, place: Place, *, limit: int | None, turn: bool = False) -> bool:
        """Reserve *place*; tell whether it is had. Taking it again is fine.

        Args:
            place: Whose, and for what.
            limit: Most places of the agent; None: whatever it has, as for what a person does.
            turn: Count it as the agent's turn, as for what is assigned automatically.

        Raises:
            StoreUnavailableError: The store is away; the place may be taken.
        """
        for attempt in range(1, 1000):
            now = self._now()
            load = await self._store.get(LOADS, place.workspace, place.agent)
            taken = _with(load, place, now)
            if limit is not None and len(taken.held) > max(limit, 0) and _adds(load, place):
                metrics.SEATS_REFUSED.inc()
                return False
            if turn:
                taken.turn = _turn(now)
            if await self._write(taken):
                return True
            await _pause(attempt)
        raise StaleRevisionError("too many changes of this agent's places at once")

    async def vacate(self, session: Session, agent: str) -> None:
        """Free the agent's place for *session* as it was written, if that is not the agent's.

        Raises:
            StoreUnavailableError: The store is away.
        """
        if not _owns(session, agent):
            await self._free(session.workspace, agent, {session.id: session.rev})

    async def release(self, place: Place) -> None:
        """Give back a place that was taken for a write that lost.

        The session itself decides, as another's write may have given it to the same agent.

        Raises:
            StoreUnavailableError: The store is away.
        """
        session = await self._store.get(SESSIONS, place.workspace, place.session)
        if session is not None:
            await self.vacate(session, place.agent)
        else:  # it was to be opened, and another one was
            await self._free(place.workspace, place.agent, {place.session: place.rev})

    def doubt(self, place: Place) -> None:
        """Note that nobody knows whether the write that *place* was taken for happened."""
        self._open[place] = self._now()

    async def settle(self) -> None:
        """Look at the places in doubt, once their writes must have happened or never will.

        Raises:
            StoreUnavailableError: The store is away; they stay in doubt.
        """
        before = self._now() - LEASE
        for place in [place for place, at in self._open.items() if at <= before]:
            load = await self._store.get(LOADS, place.workspace, place.agent)
            if load is not None:
                mine = [held for held in load.held if held.session == place.session]
                await self._mend(place.workspace, [(place.agent, held) for held in mine])
            del self._open[place]

    async def awaited_by(self, workspace: str) -> str:
        """Return the session (id) that is next in the queue; empty: none waits."""
        rows = await self._store.find(SESSIONS, workspace, {}, Page(order="queue", limit=1))
        return rows[0].id if rows else ""

    async def standings(self, workspace: str, policy: Policy) -> tuple[Standing, ...]:
        """Return how those stand who may get sessions automatically; nearly always one command.

        Places of who is online and full are looked behind once: some may be a crash's.
        """
        limits = {member.id: member.limit for member in policy.members if member.limit > 0}
        loads = await self._store.get_many(LOADS, workspace, sorted(limits)) if limits else {}
        doubtful = [
            (load.id, held)
            for load in loads.values()
            if len(load.held) >= limits[load.id] and self._state(workspace, load.id) == "online"
            for held in self._doubtful(load)
        ]
        if doubtful and await self._mend(workspace, doubtful[:_AT_ONCE]):
            loads = await self._store.get_many(LOADS, workspace, sorted(limits))
        return tuple(
            standing_of(agent, loads.get(agent), self._state(workspace, agent)) for agent in limits
        )

    async def repair(self, workspace: str, agents: Iterable[str]) -> None:
        """Make the places of *agents* those of the sessions they own; for the start.

        Sessions are read page by page, and nothing of them is kept.

        Raises:
            StoreUnavailableError: The store is away; a repeat does the rest.
        """
        ids = sorted(set(agents))
        async for owned in self._owned(workspace, frozenset(ids)):
            for agent, places in owned.items():
                await self._add(workspace, agent, places)
        for start in range(0, len(ids), _AT_ONCE):
            loads = await self._store.get_many(LOADS, workspace, ids[start : start + _AT_ONCE])
            taken = [(load.id, held) for load in loads.values() for held in load.held]
            for first in range(0, len(taken), _PAGE):
                await self._mend(workspace, taken[first : first + _PAGE])

    def _doubtful(self, load: Load) -> list[Held]:
        """Return the places of which nobody here has seen the session, and whose write is over."""
        key = (load.workspace, load.id)
        backed = self._backed.get(key, set()) & set(load.held)
        self._backed[key] = backed
        before = self._now() - LEASE
        return [held for held in load.held if held not in backed and held.since <= before]

    async def _mend(self, workspace: str, places: Sequence[tuple[str, Held]]) -> int:
        """Free those *places*, by agent, that no session backs; return how many."""
        wanted = sorted({held.session for _, held in places})
        sessions = await self._store.get_many(SESSIONS, workspace, wanted) if wanted else {}
        freed = 0
        for agent, held in places:
            session = sessions.get(held.session)
            if session is not None and _owns(session, agent):
                self._backed.setdefault((workspace, agent), set()).add(held)
                continue
            seen = await self._seen(held, session)
            if seen and await self._free(workspace, agent, {held.session: seen}):
                metrics.SEATS_REPAIRED.inc()
                freed += 1
        return freed

    async def _seen(self, held: Held, session: Session | None) -> int:
        """Return the revision up to which the place may be freed, 0 for none.

        Where the write that it was taken for may still come, the session is written once,
        unchanged, so that it does not.
        """
        if session is not None and held.rev <= session.rev:
            return session.rev
        if self._now() - held.since < LEASE:
            return 0
        if session is None:
            return held.rev
        try:
            written = await self._store.replace(SESSIONS, session)
        except StaleRevisionError:
            return 0
        return written.rev

    async def _free(self, workspace: str, agent: str, seen: dict[str, int]) -> bool:
        """Free the places of the sessions of which these revisions were *seen*."""
        for attempt in range(1, 1000):
            load = await self._store.get(LOADS, workspace, agent)
            if load is None:
                return False
            kept = tuple(held for held in load.held if held.rev > seen.get(held.session, -1))
            if len(kept) == len(load.held):
                return False
            freed = msgspec.structs.replace(load, held=kept, idle_since=self._now())
            if await self._write(freed):
                self._forget(workspace, agent, kept)
                self._freed(workspace)
                return True
            await _pause(attempt)
        raise StaleRevisionError("too many changes of this agent's places at once")

    def _forget(self, workspace: str, agent: str, kept: tuple[Held, ...]) -> None:
        """Know nothing any more of the places that are not *kept*."""
        backed = self._backed.get((workspace, agent), set()) & set(kept)
        if backed:
            self._backed[workspace, agent] = backed
        else:
            self._backed.pop((workspace, agent), None)

    async def _owned(
        self, workspace: str, agents: frozenset[str]
    ) -> AsyncIterator[dict[str, list[Place]]]:
        """Yield, page by page, the places that the sessions of *agents* need."""
        page = Page(order="list", limit=_PAGE)
        while agents:
            rows = await self._store.find(SESSIONS, workspace, {"list": "assigned"}, page)
            found: dict[str, list[Place]] = {}
            for session in rows:
                if session.owner in agents:
                    place = Place(workspace, session.owner, session.id, session.rev)
                    found.setdefault(session.owner, []).append(place)
            yield found
            if len(rows) < _PAGE:
                return
            page = msgspec.structs.replace(page, after=cursor(SESSIONS, "list", rows[-1]))

    async def _add(self, workspace: str, agent: str, places: list[Place]) -> None:
        """Count what the agent owns and has no place for; what left meanwhile is mended later."""
        for attempt in range(1, 1000):
            now = self._now()
            load = await self._store.get(LOADS, workspace, agent)
            missing = [place for place in places if _adds(load, place)]
            if not missing:
                return
            for place in missing:
                load = _with(load, place, now)
            if load is None or await self._write(load):
                return
            await _pause(attempt)
        raise StaleRevisionError("too many changes of this agent's places at once")

    async def _write(self, load: Load) -> bool:
        try:
            if load.rev:
                await self._store.replace(LOADS, load)
            else:
                await self._store.insert(LOADS, load)
        except (StaleRevisionError, UniqueConflictError):
            return False
        return True


def left(session: Session) -> set[str]:
    """Return who may have lost *session*, as written, by what its outbox tells."""
    agents = {fact.previous_owner for fact in session.facts}
    agents |= {fact.owner for fact in session.facts if fact.type == "session.ended"}
    return {agent for agent in agents if agent and not _owns(session, agent)}


def _owns(session: Session, agent: str) -> bool:
    return session.list == "assigned" and session.owner == agent


def _with(load: Load | None, place: Place, now: datetime) -> Load:
    load = load or Load(id=place.agent, workspace=place.workspace, idle_since=now)
    others = [held for held in load.held if held.session != place.session]
    rev = max((held.rev for held in load.held if held.session == place.session), default=0)
    held = Held(session=place.session, since=now, rev=max(rev, place.rev))
    return msgspec.structs.replace(load, held=(*others, held), idle_since=now)


def _adds(load: Load | None, place: Place) -> bool:
    return load is None or all(held.session != place.session for held in load.held)


def _turn(now: datetime) -> int:
    """Return a number that rises from turn to turn, whichever process counts: microseconds."""
    return int(now.timestamp() * 1_000_000)


async def _pause(attempt: int) -> None:
    await asyncio.sleep(random.uniform(0, 0.002) * min(attempt, 10))  # noqa: S311 (jitter)
