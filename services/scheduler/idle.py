"""An idle end that is due: put off, given a place in the pace, or brought to the router.

The timer says only when to look. Each look goes by the session and the newest policy, so that one
that comes too early does no harm, and where the switch was turned off nothing ends. What is due
waits for its place in the workspace's pace: the timer is armed again for that time, and says so
(`slot`). The router looks once more under its own guard.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import datetime, timedelta

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

METER = "termination"
SOON = timedelta(milliseconds=50)
"""A place so near is taken at once."""
MISSED = timedelta(seconds=2)
"""A place that passed longer ago is given up: after an outage not all come at once."""


def pace_of(settings: Settings) -> meter.Paced:
    """Return how fast sessions may end; for other settings the places are given out anew."""
    set_to = settings.termination
    since = set_to.since.isoformat() if set_to.since else ""
    return meter.Paced(METER, set_to.per_minute, f"{set_to.per_minute}/{since}")


def has_place(timer: Timer, settings: Settings, now: datetime) -> bool:
    """Tell whether the timer's time is a place in the pace that is set now, and still good."""
    return timer.slot and timer.ref == pace_of(settings).of and now - timer.due <= MISSED


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


class Places:
    """Gives out places in the pace; who asks at the same time is served by one write."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._waiting: defaultdict[str, list[asyncio.Future[datetime]]] = defaultdict(list)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def one(self, workspace: str) -> datetime:
        """Reserve one place and return its time.

        Raises:
            StoreUnavailableError: No place was got.
        """
        mine: asyncio.Future[datetime] = asyncio.get_running_loop().create_future()
        self._waiting[workspace].append(mine)
        async with self._locks[workspace]:
            if not mine.done():
                await self._serve(workspace)
        return await mine

    async def _serve(self, workspace: str) -> None:
        waiting = self._waiting.pop(workspace)
        try:
            for future, at in zip(
                waiting, await self.several(workspace, len(waiting)), strict=True
            ):
                future.set_result(at)
        finally:
            for future in waiting:
                if not future.done():
                    future.set_exception(StoreUnavailableError("no place was got"))

    async def several(self, workspace: str, count: int) -> list[datetime]:
        """Reserve *count* places and return their times; raises as `one`."""
        pace = pace_of(self._means.directory.settings(workspace))
        return await meter.book(self._means.store, workspace, pace, count, self._means.now())


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
            await arm(means.bus, armed_for(session, idle.due))
            return Ack()
        if not has_place(timer, self._settings(timer), means.now()):
            at = await self._places.one(timer.workspace)
            if at > means.now() + SOON:
                await arm(means.bus, placed(session, at, self._settings(timer)))
                return Ack()
        await refresh_policy(means.bus, means.directory, timer.workspace)
        return Ack() if self._idle(session) is None else await means.bring(timer, delivery)

    def _settings(self, timer: Timer) -> Settings:
        return self._means.directory.settings(timer.workspace)

    def _idle(self, session: Session) -> Idle | None:
        return idle_end(session, self._means.directory.settings(session.workspace))
