"""Sessions that a batch gives away.

Each plan sees what the ones before it gave. Places are taken before the sessions are written, and
given back where the write was lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from libs.common.documents import Session
from services.router import metrics
from services.router.crew import Crew, assigns, decided, gained, limit_of
from services.router.drawn import Talks, is_closed
from services.router.permit import Reach
from services.router.plan import Known, Plan, Talk, plan
from services.router.rooms import Rooms
from services.router.seats import Place


class Giving:
    """The plans of one round of a batch."""

    def __init__(
        self,
        rooms: Rooms,
        crew: Crew,
        talks: Talks,
        known: Mapping[Talk, Known],
        now: datetime,
    ) -> None:
        self._rooms = rooms
        self._seats = rooms.seats
        self._crew = crew
        self._talks = talks
        self._known = known
        self._now = now
        self._taken: dict[Place, Talk] = {}

    def plan(self, talk: Talk) -> Plan:
        """Return the plan of *talk*, in the place of one drawn before."""
        room = self._rooms.room(self._crew, self._reach(talk))
        drawn = plan(talk, self._talks[talk], self._known[talk], room, self._now)
        for session in (*drawn.created, *drawn.changed):
            self._crew.give(session.id, gained(session, self._base(talk, session)), self._now)
        return drawn

    async def take(self, plans: Mapping[Talk, Plan]) -> set[Talk]:
        """Take the places that *plans* need; return those of which one is not to be had.

        Raises:
            StoreUnavailableError: The store is away; what was taken is in doubt.
        """
        refused: set[Talk] = set()
        try:
            for talk, session, owner in self._needs(plans):
                place = Place(session.workspace, owner, session.id, session.rev + 1)
                self._taken[place] = talk
                limit = limit_of(self._crew.policy, owner)
                if not await self._seats.take(place, limit=limit, turn=True):
                    del self._taken[place]
                    refused.add(talk)
        except BaseException:
            self.doubt()
            raise
        return refused

    async def settle(self, lost: Collection[Talk], written: Collection[Session]) -> None:
        """Give back the places of who *lost*; count what was given with what was *written*.

        Raises:
            StoreUnavailableError: The store is away; what was taken is in doubt.
        """
        given = {session.id: session for session in written}
        try:
            for place, talk in self._taken.items():
                if talk in lost or place.session not in given:
                    await self._seats.release(place)
                else:
                    self._count(talk, given[place.session])
        except BaseException:
            self.doubt()
            raise

    def doubt(self) -> None:
        """Note that nobody knows what became of the writes that places were taken for."""
        for place in self._taken:
            self._seats.doubt(place)

    def _needs(self, plans: Mapping[Talk, Plan]) -> Iterator[tuple[Talk, Session, str]]:
        for talk, drawn in plans.items():
            for session in (*drawn.created, *drawn.changed):
                if owner := gained(session, self._base(talk, session)):
                    yield talk, session, owner

    def _base(self, talk: Talk, session: Session) -> Session | None:
        """Return the session as it was seen; None: it is being opened."""
        known = self._known[talk]
        if known.session is not None and known.session.id == session.id:
            return known.session
        return known.others.get(session.id)

    def _reach(self, talk: Talk) -> Reach:
        inbound = self._talks[talk][0].inbound
        return self._rooms.reach(inbound.workspace, inbound.channel, talk.account)

    def _count(self, talk: Talk, session: Session) -> None:
        base = self._base(talk, session)
        since = base.waiting_since if base is not None else None
        metrics.count_assigned(decided(session, base), self._now, since)


async def begin(
    rooms: Rooms, workspace: str, talks: Talks, known: Mapping[Talk, Known], now: datetime
) -> Giving:
    """Return what the plans of *talks* are made with; the policy is looked at afresh for openings.

    Raises:
        StoreUnavailableError: The store is away.
    """
    if any(is_closed(seen) for seen in known.values()):
        await rooms.refresh(workspace)
    needed = assigns(rooms.policy(workspace)) and any(map(_may_be_given, known.values()))
    crew = await rooms.crew(workspace, needed=needed)
    return Giving(rooms, crew, talks, known, now)


def _may_be_given(known: Known) -> bool:
    """Tell whether a message of the visitor may give the session to somebody."""
    return is_closed(known) or (known.session is not None and known.session.list != "assigned")
