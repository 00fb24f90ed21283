"""One batch of deliveries, whatever has arrived, in a constant number of store commands.

Per workspace: look (open sessions), plan (pure), store the entries, then the sessions, then say
what was decided. Each step may be the last before a crash; a redelivery finds how far it got:

* an entry that is stored but not counted in its session is applied then;
* a session that is written but whose facts are not published keeps them in its outbox.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from libs.common.documents import MESSAGES, SESSIONS, Identity, Message, Session
from libs.common.errors import StaleRevisionError
from libs.common.store.api import Document, Store
from services.router import metrics
from services.router.contacts import tell
from services.router.drawn import (
    Talks,
    entry_changes,
    in_turn,
    introduce,
    is_stored,
    named,
    needs_any,
    news_of_contacts,
    reveals,
    shared,
    unnamed,
    with_strays,
)
from services.router.entry import Arrival
from services.router.giving import Giving, begin
from services.router.outbox import Outbox
from services.router.pace import each
from services.router.people import (
    Home,
    follow,
    homes,
    homes_of,
    name_sessions,
    names,
    unite,
)
from services.router.plan import Known, Plan, Result, Talk
from services.router.rooms import Rooms
from services.router.store import (
    newest_sessions,
    open_sessions,
    settle_people,
    stored_twins,
    stray_entries,
)
from services.router.twins import asked
from services.router.whose import addressed, early
from services.router.wording import find_by_words

ROUNDS = 8
"""How often a conversation is planned again after losing a race, before it is redelivered."""

D = TypeVar("D", bound=Document)


class Learnt(msgspec.Struct, kw_only=True):
    """What a batch has found out so far: entries that are stored, by id, and results by place.

    The first result on a place stands: what a later round finds done, this batch did itself.
    """

    stored: dict[str, Message] = {}
    results: dict[int, Result] = {}


class Batch:
    """Applies deliveries of one workspace at a time.

    Args:
        store: Where sessions, messages and people are.
        outbox: Says what was decided.
        rooms: What decisions look at. Refreshed before a session is opened, so that a switch
            turned before the message was sent counts, however busy the machine is.
        now: The clock.
        sibling: The account of the same page's messages, of an account of comments; else empty.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        rooms: Rooms,
        now: Callable[[], datetime],
        sibling: Callable[[str], str] = str,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._rooms = rooms
        self._now = now
        self._sibling = sibling

    async def apply(self, workspace: str, arrivals: Sequence[Arrival]) -> dict[int, Result]:
        """Apply *arrivals*, all of *workspace* and in stream order; return results by place.

        Those of a conversation that lost too many races are left out.

        Raises:
            StoreUnavailableError: The store is away; a repeat is exact.
        """
        talks: Talks = {}
        for arrival in await addressed(self._store, workspace, arrivals):
            event = arrival.inbound.event
            talks.setdefault(Talk(arrival.inbound.account, event.visitor), []).append(arrival)
        learnt = Learnt()
        left: set[int] = set()
        for group in in_turn(talks):
            lost = await self._settle(workspace, group, learnt)
            left |= {arrival.place for arrivals in lost.values() for arrival in arrivals}
        return {place: result for place, result in learnt.results.items() if place not in left}

    async def _settle(self, workspace: str, talks: Talks, learnt: Learnt) -> Talks:
        """Apply the deliveries of *talks*; return those that lost too many races."""
        for attempt in range(ROUNDS):
            if attempt:
                metrics.CAS_LOST.labels("batch").inc(len(talks))
                await asyncio.sleep(0.002 * attempt)
            talks = await self._round(workspace, talks, learnt)
            if not talks:
                break
        return talks

    async def _round(self, workspace: str, talks: Talks, learnt: Learnt) -> Talks:
        """Plan and write once; return the conversations that lost a race."""
        known = await self._look(workspace, talks, learnt)
        now = self._now()  # behind what was found: its lines stand below those that it follows
        giving = await begin(self._rooms, workspace, talks, known, now)
        plans = await each(talks, giving.plan)
        conflicts, people = await asyncio.gather(
            self._store_entries(plans, learnt), self._settle_people(workspace, plans.values())
        )
        again = await self._find_strays(workspace, plans, people, known)
        again |= await self._find_last(workspace, plans, people, known)
        if conflicts:
            await self._learn(workspace, conflicts, known, learnt)
            again |= {t for t, p in plans.items() if any(e.id in conflicts for e in p.entries)}
        plans |= await each(again, giving.plan)
        for drawn in plans.values():
            learnt.results = drawn.results | learnt.results
        lost = await self._replace_entries(plans, learnt) | shared(plans)
        lost |= await self._store_people(workspace, plans, lost, people)
        kept = {talk: drawn for talk, drawn in plans.items() if talk not in lost}
        lost |= await self._store_sessions(workspace, kept, giving)
        return {talk: talks[talk] for talk in lost}

    async def _look(self, workspace: str, talks: Talks, learnt: Learnt) -> dict[Talk, Known]:
        """Load what the plans of *talks* need to know."""
        ours_of = {talk: named(arrivals) for talk, arrivals in talks.items()}
        opened, ours = await asyncio.gather(
            open_sessions(self._store, workspace, talks),
            self._messages(workspace, set().union(*ours_of.values())),
        )
        closed = [talk for talk in talks if talk not in opened and needs_any(talks[talk])]
        places: dict[Talk, Home] = {}
        if closed:
            newest, places = await asyncio.gather(
                newest_sessions(self._store, workspace, closed),
                homes_of(self._store, workspace, {talk: talks[talk] for talk in closed}),
            )
            opened |= newest | {t: home.session for t, home in places.items() if home.session}
        sessions = {talk: self._outbox.fresh(session) for talk, session in opened.items()}
        others: dict[str, Session] = {}
        twins = await self._twins(workspace, talks, sessions)
        before = await early(self._store, workspace, [a for many in talks.values() for a in many])
        learnt.stored |= {row.id: row for rows in before.values() for row in rows}
        known = {
            talk: Known(
                session=sessions.get(talk),
                stored=learnt.stored,
                others=others,
                ours={id_: ours[id_] for id_ in ours_of[talk] if id_ in ours},
                twins=twins.get(talk.account, {}),
                early={one: rows for (slug, one), rows in before.items() if slug == talk.account},
                visitor=places[talk].visitor if talk in places else "",
                sibling=self._sibling(talk.account) if reveals(talks[talk]) else "",
            )
            for talk in talks
        }
        entries = [t for by_id in twins.values() for found in by_id.values() for t in found]
        await self._look_at_others(workspace, known, [*learnt.stored.values(), *entries])
        return known

    async def _twins(
        self, workspace: str, talks: Talks, sessions: Mapping[Talk, Session]
    ) -> dict[str, dict[str, list[Message]]]:
        """Load what may have come by another path, by account and provider id."""
        wanted: dict[str, set[str]] = {}
        for talk, arrivals in talks.items():
            wanted.setdefault(talk.account, set()).update(asked(arrivals, sessions.get(talk)))
        return await stored_twins(self._store, workspace, wanted)

    async def _messages(self, workspace: str, ids: set[str]) -> dict[str, Message]:
        return await self._store.get_many(MESSAGES, workspace, sorted(ids)) if ids else {}

    async def _store_entries(self, plans: dict[Talk, Plan], learnt: Learnt) -> set[str]:
        """Store the new entries; return the ids of those that are stored already."""
        fresh: dict[str, Message] = {}
        conflicts: set[str] = set()
        for drawn in plans.values():
            for entry in drawn.entries:
                if entry.id in fresh:  # two visitors under one key: the first keeps it
                    conflicts.add(entry.id)
                else:
                    fresh[entry.id] = entry
        await find_by_words(fresh.values())
        if fresh:
            conflicts |= (await self._store.insert_many(MESSAGES, list(fresh.values()))).keys()
        for entry in fresh.values():
            if entry.id not in conflicts:
                learnt.stored[entry.id] = _at_next_rev(entry)
        return conflicts

    async def _settle_people(self, workspace: str, plans: Iterable[Plan]) -> dict[str, Identity]:
        newcomers = [drawn.newcomer for drawn in plans if drawn.newcomer is not None]
        return await settle_people(self._store, workspace, newcomers) if newcomers else {}

    async def _find_strays(
        self,
        workspace: str,
        plans: dict[Talk, Plan],
        people: dict[str, Identity],
        known: dict[Talk, Known],
    ) -> set[Talk]:
        """Look for what new sessions are to take in; return the conversations that have some."""
        opened, by = with_strays(plans, people)
        if not opened:
            return set()
        found = await stray_entries(self._store, workspace, opened)
        for place, strays in found.items():
            planned = {entry.id for entry in plans[by[place]].entries}
            fresh = [s for s in strays if not s.session or s.id not in planned]
            taken = {entry.id for entry in known[by[place]].strays}
            known[by[place]].strays += [s for s in fresh if s.id not in taken]
        return {by[place] for place in found if known[by[place]].strays}

    async def _find_last(
        self,
        workspace: str,
        plans: dict[Talk, Plan],
        people: dict[str, Identity],
        known: dict[Talk, Known],
    ) -> set[Talk]:
        """Look for the last session of those who come again; return the conversations with one.

        It is one that goes on under another id, or one that has ended. Who is new has none, and
        costs no look.
        """
        again = {
            talk: people[drawn.newcomer.identity.id]
            for talk, drawn in plans.items()
            if drawn.created
            and known[talk].session is None
            and drawn.newcomer is not None
            and drawn.newcomer.identity.id in people
        }
        if not again:
            return set()
        places = await homes(self._store, workspace, again)
        last = await newest_sessions(
            self._store,
            workspace,
            {name for talk, who in again.items() for name in names(talk, who)},
        )
        for talk, identity in again.items():
            home = places.get(talk)
            found = [last[name] for name in names(talk, identity) if name in last]
            session = home.session if home and home.session else next(iter(found), None)
            known[talk].visitor = home.visitor if home else ""
            known[talk].session = session and self._outbox.fresh(session)
        return {talk for talk in again if known[talk].session or known[talk].visitor}

    async def _learn(
        self, workspace: str, conflicts: set[str], known: dict[Talk, Known], learnt: Learnt
    ) -> None:
        """Load the entries that were stored before, and the sessions that they belong to."""
        found = await self._messages(workspace, conflicts)
        learnt.stored |= found
        await self._look_at_others(workspace, known, found.values())

    async def _look_at_others(
        self, workspace: str, known: dict[Talk, Known], entries: Iterable[Message]
    ) -> None:
        have = {seen.session.id for seen in known.values() if seen.session is not None}
        wanted = {entry.session for entry in entries if entry.session} - have
        if wanted:
            found = await self._store.get_many(SESSIONS, workspace, sorted(wanted))
            for seen in known.values():
                seen.others |= found

    async def _store_people(
        self,
        workspace: str,
        plans: dict[Talk, Plan],
        lost: set[Talk],
        people: dict[str, Identity],
    ) -> set[Talk]:
        """Store who is who, and what was told of them; return who lost a race."""
        lost = set(lost)
        for drawn in plans.values():
            introduce(drawn, people)
        for talk, drawn in plans.items():
            drawn.links = [link for link in drawn.links if not is_stored(link, drawn, people)]
            if drawn.links and not await self._unite(workspace, drawn, plans.values()):
                lost.add(talk)
        news, by = news_of_contacts({t: p for t, p in plans.items() if t not in lost}, people)
        lost |= {by[contact] for contact in await tell(self._store, workspace, news)}
        kept = [drawn for talk, drawn in plans.items() if talk not in lost]
        if nameless := unnamed(kept):
            await name_sessions(self._store, workspace, nameless)
        return lost

    async def _replace_entries(self, plans: dict[Talk, Plan], learnt: Learnt) -> set[Talk]:
        by, changes, lost = entry_changes(plans)
        if not changes:
            return lost
        refused = await self._store.replace_many(MESSAGES, changes)
        for entry in changes:
            if entry.id in refused:
                learnt.stored.pop(entry.id, None)  # it is learnt again from the conflict
                lost.add(by[entry.id])
            elif entry.id in learnt.stored:
                learnt.stored[entry.id] = _at_next_rev(entry)
        return lost

    async def _unite(self, workspace: str, drawn: Plan, plans: Iterable[Plan]) -> bool:
        """Make who has two ids one contact; tell whether the race was won."""
        own = [*drawn.created, *drawn.changed]
        held = {session.id for session in own}
        for link in drawn.links:
            try:
                found = await unite(self._store, workspace, link, held)
            except StaleRevisionError:
                return False
            for session in own:
                session.contact = found.contact
            for session in (s for other in plans for s in other.created):
                if session.contact == found.former:
                    session.contact = found.contact
            await self._outbox.drain(found.written)
        return True

    async def _store_sessions(
        self, workspace: str, plans: dict[Talk, Plan], giving: Giving
    ) -> set[Talk]:
        """Take places, store sessions, say it; return who lost a race for either."""
        refused = await giving.take(plans)
        plans = {talk: drawn for talk, drawn in plans.items() if talk not in refused}
        try:
            lost, written = await self._write_sessions(workspace, plans)
        except BaseException:
            giving.doubt()
            raise
        await giving.settle(refused | lost, written)
        for session in written:
            for fact in session.facts:
                metrics.count_transition(fact)
                if fact.rev == session.rev:  # the others waited in the outbox
                    metrics.count_survey(fact, session.survey)
        await self._outbox.drain(written)
        return refused | lost

    async def _write_sessions(
        self, workspace: str, plans: dict[Talk, Plan]
    ) -> tuple[set[Talk], list[Session]]:
        """Write the sessions of *plans*; return who lost a race, and what was written."""
        created = {s.id: talk for talk, drawn in plans.items() for s in drawn.created}
        changed = {s.id: talk for talk, drawn in plans.items() for s in drawn.changed}
        new = [session for drawn in plans.values() for session in drawn.created]
        old = [session for drawn in plans.values() for session in drawn.changed]
        emptied = self._outbox.aged(workspace, changed) if old else []
        refused_new, refused_old = await asyncio.gather(
            self._store.insert_many(SESSIONS, new),
            self._store.replace_many(SESSIONS, old + emptied),
        )
        opened = [_at_next_rev(s) for s in new if s.id not in refused_new]
        written = await follow(self._store, workspace, opened) if opened else []
        written += [_at_next_rev(s) for s in old if s.id not in refused_old]
        lost = {created[id_] for id_ in refused_new}
        return lost | {changed[id_] for id_ in refused_old if id_ in changed}, written


def _at_next_rev(doc: D) -> D:
    """Return *doc* as the store now holds it."""
    return msgspec.structs.replace(doc, rev=doc.rev + 1)
