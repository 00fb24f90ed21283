"""An idle end that is due: put off, given a place in the pace, or brought to the router.

The timer says only when to look. Each look goes by the session and the newest policy, so that one
that comes too early does no harm, and where the switch was turned off nothing ends.

What is due gets a place in a row, as far ahead as the row is long: the timer is armed again for
that time, and says so (`slot`). When it comes, the pace itself is asked, which gives nothing ahead.
So however late or many they come, after an outage or from a slow machine, no more end than is set,
and as many as can. The router looks once more under its own guard.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from libs.common import timers
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.directory import refresh_policy
from libs.common.documents import SESSIONS, Session
from libs.common.errors import StoreUnavailableError
from libs.common.events import Timer
from libs.common.idle import Idle, idle_end
from libs.common.switches import Settings
from services.scheduler import meter
from services.scheduler.means import Means

T = TypeVar("T")

_TRIES = 8

PACE = "termination"
ROW = "termination:row"
SOON = timedelta(milliseconds=50)
"""A place so near is taken at once."""
MISSED = timedelta(seconds=2)
"""Who comes later than that, and finds no room, goes to the end of the row; others wait a moment.

After an outage those who were missed are many, and would all wait for the same moment.
"""


def pace_of(settings: Settings) -> meter.Paced:
    """Return how fast sessions may end; for other settings places are given out anew."""
    set_to = settings.termination
    since = set_to.since.isoformat() if set_to.since else ""
    return meter.Paced(PACE, set_to.per_minute, f"{set_to.per_minute}/{since}", least=2)


def has_place(timer: Timer, settings: Settings) -> bool:
    """Tell whether the timer's time is a place in the row by the pace that is set now."""
    return timer.slot and timer.ref == pace_of(settings).of


def missed(timer: Timer, now: datetime) -> bool:
    """Tell whether the timer comes too late for its place."""
    return now - timer.due > MISSED


def armed_for(session: Session, due: datetime) -> Timer:
    """Return the timer that looks at *session* when its idle time is over."""
    return Timer(kind="idle_end", workspace=session.workspace, session=session.id, due=due)


def placed(session: Session, at: datetime, settings: Settings) -> Timer:
    """Return the timer for a session whose idle time is over, and whose place is at *at*."""
    return Timer(
        kind="idle_end",
        workspace=session.workspace,
        session=session.id,
        due=at,
        ref=pace_of(settings).of,
        slot=True,
    )


async def arm(bus: Bus, *armed: Timer) -> None:
    """Publish timers, each in the place of the one that the session has.

    Raises:
        BusUnavailableError: Not all are armed.
    """
    said = []
    for timer in armed:
        subject, data, headers = timers.message(timer)
        said.append(bus.publish_soon(subject, data, msg_id="", headers=headers))
    await asyncio.gather(*said)


class Look(NamedTuple):
    """A session as it was read, when it ends by that, and the timer that comes of it."""

    session: Session
    due: datetime
    timer: Timer


async def arm_looked(means: Means, looks: Sequence[Look]) -> None:
    """Arm the timers of sessions of one workspace, and look at them once more.

    A router that wrote one meanwhile may have armed an earlier time, in whose place ours is now: it
    does not arm that again. What is armed here last is read after it was armed.

    Raises:
        BusUnavailableError: Not all are armed.
        StoreUnavailableError: The store is away.
    """
    for _ in range(_TRIES):
        if not looks:
            return
        await arm(means.bus, *(look.timer for look in looks))
        looks = await _earlier(means, looks)
    raise StoreUnavailableError("sessions change all the time")


async def _earlier(means: Means, looks: Sequence[Look]) -> list[Look]:
    """Return those that end before what was armed, as they stand now."""
    workspace = looks[0].session.workspace
    settings = means.directory.settings(workspace)
    ids = [look.session.id for look in looks]
    newest = await means.store.get_many(SESSIONS, workspace, ids)
    found = []
    for look in looks:
        session = newest.get(look.session.id)
        if session is None or session.rev == look.session.rev:
            continue
        idle = idle_end(session, settings)
        if idle is not None and idle.due != look.due and idle.due < look.timer.due:
            found.append(Look(session, idle.due, armed_for(session, idle.due)))
    return found


class Together(Generic[T]):
    """Gets something for many by one write: who asks at the same time is served together.

    Args:
        get: Given a workspace and how many, returns as many answers.
    """

    def __init__(self, get: Callable[[str, int], Awaitable[list[T]]]) -> None:
        self._get = get
        self._waiting: defaultdict[str, list[asyncio.Future[T]]] = defaultdict(list)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def one(self, workspace: str) -> T:
        """Return one answer.

        Raises:
            StoreUnavailableError: There was none.
        """
        mine: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[workspace].append(mine)
        async with self._locks[workspace]:
            if not mine.done():
                await self._serve(workspace)
        return await mine

    async def _serve(self, workspace: str) -> None:
        waiting = self._waiting.pop(workspace)
        try:
            found = await self._get(workspace, len(waiting))
            for future, answer in zip(waiting, found, strict=True):
                if not future.done():
                    future.set_result(answer)
        finally:
            for future in waiting:
                if not future.done():
                    future.set_exception(StoreUnavailableError("there was no answer"))


class Places:
    """The row of those whose time is over, and the pace at which they end."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._row = Together(self.several)
        self._free = Together(self._taken)

    async def in_row(self, workspace: str) -> datetime:
        """Reserve the last place of the row, and return its time; raises as `several`."""
        return await self._row.one(workspace)

    async def free(self, workspace: str) -> datetime | None:
        """Take a place that is free now, and return None; else return when there may be one.

        Raises:
            StoreUnavailableError: The store is away.
        """
        return await self._free.one(workspace)

    async def several(self, workspace: str, count: int) -> list[datetime]:
        """Reserve the last *count* places of the row and return their times.

        Raises:
            StoreUnavailableError: The store is away.
        """
        row = self._pace(workspace)._replace(name=ROW)
        return await meter.book(self._means.store, workspace, row, count, self._means.now())

    async def _taken(self, workspace: str, count: int) -> list[datetime | None]:
        store, pace = self._means.store, self._pace(workspace)
        grant = await meter.take_of(store, workspace, pace, count, self._means.now())
        return [None] * grant.n + [grant.next_at] * (count - grant.n)

    def _pace(self, workspace: str) -> meter.Paced:
        return pace_of(self._means.directory.settings(workspace))


class IdleEnds:
    """The handler of `idle_end`."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._places = Places(means)

    async def handle(self, timer: Timer, delivery: Delivery) -> Outcome:
        """Look at one session whose time may have come.

        Raises:
            BusUnavailableError: It could not be armed again, or no router is there.
            StoreUnavailableError: The store is away, here or at the router.
        """
        means = self._means
        session = await means.store.get(SESSIONS, timer.workspace, timer.session)
        if session is None or (idle := self._idle(session)) is None:
            return Ack()
        # By the server's clock the timer's own time has come: armed again for it, it would come
        # back at once until the clocks agree.
        if idle.due > max(means.now(), timer.due):
            await arm_looked(means, [Look(session, idle.due, armed_for(session, idle.due))])
            return Ack()
        waits_until = await self._waits(timer)
        if waits_until is not None:
            timer = placed(session, waits_until, self._settings(timer))
            await arm_looked(means, [Look(session, idle.due, timer)])
            return Ack()
        await refresh_policy(means.bus, means.directory, timer.workspace)
        return Ack() if self._idle(session) is None else await means.bring(timer, delivery)

    async def _waits(self, timer: Timer) -> datetime | None:
        """Return until when a session waits whose idle time is over; None: it ends now."""
        workspace, places = timer.workspace, self._places
        if not has_place(timer, self._settings(timer)):
            at = await places.in_row(workspace)
            if at > self._means.now() + SOON:
                return at
        free_at = await places.free(workspace)
        if free_at is None or not missed(timer, self._means.now()):
            return free_at
        return max(free_at, await places.in_row(workspace))

    def _settings(self, timer: Timer) -> Settings:
        return self._means.directory.settings(timer.workspace)

    def _idle(self, session: Session) -> Idle | None:
        return idle_end(session, self._means.directory.settings(session.workspace))
