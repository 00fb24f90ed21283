"""The queue: sessions that wait in `unassigned` are given to who can take them, oldest first.

Nothing looks at the queue in between: whatever may let somebody take a session wakes it (a session
came in, a place became free, an agent came online, the policy changed), and where only time must
pass, the next moment of that kind is waited for. One pass at a time for each workspace; another
process may do the same at the same moment, as places and sessions are written under guard.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, Protocol

from libs.common import subjects, timers, tracing
from libs.common.bus.delivery import PubAck
from libs.common.commands import Actor
from libs.common.documents import SESSIONS, Session
from libs.common.errors import StaleRevisionError, StoreUnavailableError
from libs.common.events import Timer
from libs.common.rules.case import case_of
from libs.common.rules.decide import decide
from libs.common.rules.hours import next_change
from libs.common.store.api import Store
from services.router import metrics
from services.router.clocks import keep
from services.router.crew import Crew, assigns, limit_of
from services.router.decisions import apply
from services.router.draft import Draft
from services.router.outbox import Outbox
from services.router.rooms import Rooms
from services.router.seats import Place
from services.router.transition import Step
from services.router.waiting import Waiting

log = logging.getLogger(__name__)

OTHERS_S = 0.25
"""How much later the other processes look, in case the one that was woken is no more."""
GATHER_S = 0.02
"""How long what is to be told to others is gathered."""
RETRY_S = 1.0
HOURS_SPARE = timedelta(seconds=0.5)
"""How long after hours have changed a router looks that was not woken."""
LONGEST_S = 3600.0
"""A later moment is looked at again by then: the clock may have been set."""
_TRIES = 4

ASSIGNER = Actor(kind="system", id="assigner", name="")

Outcome = Literal["given", "nobody", "gone"]


class Tells(Protocol):
    """What the assigner needs of the bus."""

    def shout(self, subject: str, data: bytes) -> None:
        """See `Bus.shout`."""
        ...

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PubAck]:
        """See `Bus.publish_soon`."""
        ...


class Bell:
    """Passes the name of a workspace on to whoever listens, once somebody does."""

    def __init__(self) -> None:
        self.on_ring: list[Callable[[str], None]] = []

    def __call__(self, workspace: str) -> None:
        """Tell all that the queue of *workspace* is to be looked at."""
        for told in self.on_ring:
            told(workspace)


class _Queue:
    """When the queue of a workspace is to be looked at next, and by whom."""

    def __init__(self) -> None:
        self.handle: asyncio.TimerHandle | None = None
        self.at = 0.0
        self.task: asyncio.Task[None] | None = None
        self.again = False


class Assigner:
    """Gives waiting sessions to agents; wake it with `queued`, `wake` and `heard`."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        rooms: Rooms,
        now: Callable[[], datetime],
        bus: Tells | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._rooms = rooms
        self._seats = rooms.seats
        self._now = now
        self._bus = bus
        self._name = f"{id(self):x}.{now().timestamp()}".encode()
        self._queues: defaultdict[str, _Queue] = defaultdict(_Queue)
        self._told: set[str] = set()
        self._hours: dict[str, datetime] = {}
        self._stopped = False

    # --- waking

    def queued(self, workspace: str) -> None:
        """Look at the queue now, and let the other processes look a little later."""
        self.wake(workspace)
        if workspace not in self._told and not self._stopped:
            self._told.add(workspace)
            asyncio.get_running_loop().call_later(GATHER_S, self._tell, workspace)

    def wake(self, workspace: str, after_s: float = 0.0) -> None:
        """Look at the queue of *workspace*, now or a little later."""
        if self._stopped:
            return
        loop = asyncio.get_running_loop()
        queue, at = self._queues[workspace], loop.time() + after_s
        if queue.handle is not None:
            if queue.at <= at:
                return
            queue.handle.cancel()
        queue.at = at
        queue.handle = loop.call_at(at, self._begin, workspace)

    def heard(self, subject: str, data: bytes) -> None:
        """Take what another process tells of a queue."""
        if data != self._name:
            self.wake(subject.rpartition(".")[2], OTHERS_S)

    async def stop(self) -> None:
        """Begin nothing new, and finish what was begun."""
        self._stopped = True
        for queue in self._queues.values():
            if queue.handle is not None:
                queue.handle.cancel()
        tasks = [queue.task for queue in self._queues.values() if queue.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    def _tell(self, workspace: str) -> None:
        self._told.discard(workspace)
        if self._bus is not None and not self._stopped:
            self._bus.shout(subjects.wake(workspace), self._name)

    def _begin(self, workspace: str) -> None:
        queue = self._queues[workspace]
        queue.handle = None
        if queue.task is not None:
            queue.again = True
            return
        queue.task = asyncio.get_running_loop().create_task(self._serve(workspace, queue))

    async def _serve(self, workspace: str, queue: _Queue) -> None:
        """Do one pass, and settle when the next one is."""
        tracing.enter("")  # it serves all who wait, and not whoever happened to wake it
        loop = asyncio.get_running_loop()
        began, after_s = loop.time(), LONGEST_S
        try:
            moment = await self.look(workspace)
            after_s = (moment - self._now()).total_seconds() if moment else 0.0
            if moment and after_s <= 0:  # it came while the pass ran
                after_s = 0.001
        except StoreUnavailableError as error:
            log.warning("queue.waits", extra={"workspace": workspace, "reason": error.detail})
            after_s = RETRY_S
        except Exception:  # the boundary: a bug must not end the waking
            log.exception("queue.bug", extra={"workspace": workspace})
            after_s = RETRY_S
        finally:
            queue.task = None
        if queue.again:  # a long queue is not to take all of the time
            queue.again = False
            self.wake(workspace, loop.time() - began)
        elif after_s > 0:
            self.wake(workspace, min(after_s, LONGEST_S))

    # --- one pass

    async def look(self, workspace: str) -> datetime | None:
        """Give what waits to who can take it; return when to look again if nothing happens.

        Raises:
            StoreUnavailableError: The store is away.
        """
        if not assigns(self._rooms.policy(workspace)):
            return None
        waiting = Waiting(self._store, workspace)
        session = await waiting.next()
        if session is None:
            return None
        metrics.QUEUE_PASSES.inc()
        walk = _Walk(await self._rooms.crew(workspace, needed=True), self._now())
        try:
            while session is not None and walk.crew.has_room:
                if await self._is_hopeless(walk, session):
                    waiting.skip(session)
                session = await waiting.next()
        finally:
            await asyncio.gather(*walk.drains)
        changes_at = walk.hours_change_at()
        if changes_at is not None:
            self._arm(workspace, changes_at)
        return walk.next_moment()

    def _arm(self, workspace: str, due: datetime) -> None:
        """Have all routers woken when hours change; each of them looks by itself a little later."""
        if self._bus is None or self._hours.get(workspace) == due:
            return
        self._hours[workspace] = due
        number = int(due.timestamp())  # the same of every router
        timer = Timer(kind="hours", workspace=workspace, ref=workspace, due=due, rev=number)
        subject, data, headers = timers.message(timer)
        said = self._bus.publish_soon(subject, data, msg_id="", headers=headers)
        said.add_done_callback(_overlook)

    async def _is_hopeless(self, walk: _Walk, session: Session) -> bool:
        """Give *session* to somebody; tell whether nobody can take it, nor who needs the same."""
        walk.note(session)
        key = _key(session, self._now())
        if key not in walk.hopeless and await self._offer(walk, session) == "nobody":
            walk.hopeless.add(key)
        return key in walk.hopeless and not key.removed

    async def _offer(self, walk: _Walk, session: Session) -> Outcome:
        """Give *session* to the best who can take it; a lost race is decided again."""
        found: Session | None = session
        for attempt in range(_TRIES):
            if found is None or found.list != "unassigned" or found.queue_key is None:
                return "gone"
            outcome = await self._try(walk, self._outbox.fresh(found))
            if outcome == "nobody" and attempt:
                return "gone"  # it may need others by now than when it was read
            if outcome is not None:
                return outcome
            found = await self._store.get(SESSIONS, session.workspace, session.id)
        return "gone"  # it changes all the time: whoever changes it last wakes the queue

    async def _try(self, walk: _Walk, session: Session) -> Outcome | None:
        """Decide and write once; None: somebody was faster."""
        now, crew = self._now(), walk.crew
        reach = self._rooms.reach(session.workspace, session.channel, session.account)
        room = self._rooms.room(crew, reach)
        case = case_of(session, "queued")
        decision = decide(case, room.policy, room.standings, now)
        if not decision.owner:
            return "nobody"
        draft = Draft(session, room.policy.settings)
        apply(draft, case, decision, room, Step(ASSIGNER, now, decision.because), now)
        keep(draft, now)
        place = Place(session.workspace, decision.owner, session.id, draft.rev)
        limit = limit_of(room.policy, decision.owner)
        if not await self._seats.take(place, limit=limit, turn=True):
            crew.fill(decision.owner)
            return None
        try:
            written = await self._store.replace(SESSIONS, draft.finish(now))
        except StaleRevisionError:
            metrics.CAS_LOST.labels("queue").inc()
            await self._seats.release(place)
            return None
        except BaseException:
            self._seats.doubt(place)
            raise
        crew.give(session.id, decision.owner, now)
        metrics.count_assigned(decision.because, now, session.waiting_since)
        walk.drains.append(asyncio.ensure_future(self._outbox.drain([written])))
        return "given"


class _Walk:
    """What one pass knows: the agents, what nobody can take, and what only time brings."""

    def __init__(self, crew: Crew, now: datetime) -> None:
        self.crew = crew
        self.hopeless: set[_Key] = set()
        self.drains: list[asyncio.Future[None]] = []
        self._now = now
        self._moments: list[datetime] = []

    def note(self, session: Session) -> None:
        """Note when those who were removed from *session* may get it again."""
        self._moments += [until for until in session.removed.values() if until > self._now]

    def hours_change_at(self) -> datetime | None:
        """Return when hours change next."""
        calendars = self.crew.policy.calendars
        changes = [next_change(calendar, self._now) for calendar in calendars]
        return min((change for change in changes if change is not None), default=None)

    def next_moment(self) -> datetime | None:
        """Return when time alone may let somebody take what waits: removals end, hours change.

        Of the hours a timer tells; it is looked for by ourselves a little later, as that may have
        been lost.
        """
        moments = [until + timedelta(milliseconds=1) for until in self._moments]
        changes_at = self.hours_change_at()
        if changes_at is not None:
            moments.append(changes_at + HOURS_SPARE)
        return min(moments, default=None)


def _overlook(said: asyncio.Future[PubAck]) -> None:
    """Take note of a failure that has no consequence."""
    if not said.cancelled() and said.exception() is not None:
        log.warning("queue.hours_unarmed")


class _Key(NamedTuple):
    """All by which two sessions differ in who can take them now."""

    account: str
    team: str
    skill: str
    wanted: str
    removed: frozenset[str]


def _key(session: Session, now: datetime) -> _Key:
    removed = frozenset(agent for agent, until in session.removed.items() if until > now)
    return _Key(session.account, session.team, session.skill, session.wanted, removed)
