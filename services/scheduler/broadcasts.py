"""Broadcasts: a tick of each about twice a second, as a timer that arms the next one.

A tick gathers recipients, sends to the next slice of each account, and looks after those whose
answer or outcome was lost. The delivery in hand is the link of the chain: it is settled once the
next timer is armed, so that after a crash the tick comes again. What a tick does is safe to be
done twice, also at the same time: the broadcast's revision is taken before each slice, and each
recipient's with the claim. So a pause or a cancellation that was acknowledged before wins, and at
most the slice under way goes out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from libs.common.armed import publish
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.errors import StaleRevisionError, StoreUnavailableError
from libs.common.events import Timer
from libs.common.later import BROADCASTS, RECIPIENTS, Broadcast
from libs.common.store.api import Where
from services.scheduler import broadcasts_metrics as metrics
from services.scheduler.broadcast_heal import heal
from services.scheduler.broadcast_plan import in_state, planned
from services.scheduler.broadcast_send import claim, send
from services.scheduler.gather import ALL, gather
from services.scheduler.means import Means, by

TICK_S = 0.5
GATHER_S = 1.0
"""How long a tick gathers before it sends."""
FAR_S = 60.0
"""From how far ahead on the next tick is noted in the document, by which it is armed again."""
WIND_UP_S = 2.0
"""How often it is looked whether the last outcomes are there."""
AT_ONCE = 16
"""Broadcasts that tick at the same time; the others do in a second, and no other timer waits."""
_TRIES = 8
_PAGE = 500


class Broadcasts:
    """The handler of the timers of broadcasts."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._ticking = 0

    async def fire(self, timer: Timer, delivery: Delivery) -> Outcome:
        """Do one tick and arm the next.

        Raises:
            StoreUnavailableError: The store is away, or the broadcast is being changed: again.
            BusUnavailableError: The next tick is not armed: again.
        """
        del delivery
        tick = Tick(by(self._means, timer))
        if self._ticking >= AT_ONCE:
            await tick.put_off(timer)
            return Ack()
        self._ticking += 1
        try:
            return await tick.until_settled(timer)
        finally:
            self._ticking -= 1


class Tick:
    """One tick, and the clock by which it is due."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._store = means.store

    async def put_off(self, timer: Timer) -> None:
        """Have it come again a little later."""
        broadcast = await self._store.get(BROADCASTS, timer.workspace, timer.ref)
        if broadcast is not None:
            await self._arm(broadcast, self._in(TICK_S))

    async def until_settled(self, timer: Timer) -> Outcome:
        """See `Broadcasts.fire`."""
        for _ in range(_TRIES):
            broadcast = await self._store.get(BROADCASTS, timer.workspace, timer.ref)
            if broadcast is None:
                return Ack()
            try:
                await self._tick(broadcast)
            except StaleRevisionError:  # somebody acted: look again
                continue
            return Ack()
        raise StoreUnavailableError("the broadcast is being changed too often")

    async def _tick(self, broadcast: Broadcast) -> None:
        match broadcast.state:
            case "scheduled":
                await self._begin(broadcast)
            case "running":
                await self._run(broadcast)
            case "paused":
                await self._rest(broadcast)
            case "cancelled":
                await self._wind_up(broadcast)
            case _:
                metrics.forget(broadcast.id)

    async def _begin(self, broadcast: Broadcast) -> None:
        now = self._means.now()
        if broadcast.due_at is not None and broadcast.due_at > now:
            await self._arm(broadcast, broadcast.due_at)
            return
        running = msgspec.structs.replace(
            broadcast, state="running", started_at=now, updated_at=now, fires_at=now
        )
        await self._run(await self._store.replace(BROADCASTS, running))

    async def _run(self, broadcast: Broadcast) -> None:
        broadcast = await self._gathered(broadcast)
        now = self._means.now()
        zone = self._means.directory.settings(broadcast.workspace).zone
        plan = await planned(self._store, broadcast, zone, now)
        # whoever pauses it before this write wins; after it, the slice is under way
        broadcast = await self._touch(broadcast, self._in(TICK_S))
        await send(self._means, broadcast, await claim(self._store, plan.rows, self._means))
        next_at = await self._next(broadcast, plan.next_at)
        if next_at is None:
            await self._end(broadcast)
            return
        metrics.watch(broadcast.id, await self._waiting(broadcast), next_at)
        if next_at > self._in(FAR_S):
            broadcast = await self._touch(broadcast, next_at)
        await self._arm(broadcast, next_at)

    async def _gathered(self, broadcast: Broadcast) -> Broadcast:
        """Gather for a second; the rest in the next ticks."""
        zone = self._means.directory.settings(broadcast.workspace).zone
        until = self._in(GATHER_S)
        while not broadcast.gathered:
            broadcast = await gather(self._store, broadcast, zone, self._means.now())
            if self._means.now() >= until:
                break
        return broadcast

    async def _next(self, broadcast: Broadcast, room_at: datetime | None) -> datetime | None:
        """Return when to look again, once what was lost is looked after; None: all is done.

        Those who wait are read before those under way: a claim moves from here to there.
        """
        now, soon = self._means.now(), self._in(TICK_S)
        waiting = await in_state(self._store, broadcast, "pending", 1)
        under_way = await heal(self._means, broadcast)
        if not broadcast.gathered:
            return now
        if waiting and waiting[0].due_at <= now:
            return max(soon, room_at) if room_at is not None else soon
        times = [max(soon, waiting[0].due_at)] if waiting else []
        times += [soon] if under_way else []
        return min(times, default=None)

    async def _waiting(self, broadcast: Broadcast) -> int:
        where = {"broadcast": broadcast.id, "state": "pending"}
        return await self._store.count(
            RECIPIENTS, broadcast.workspace, where, limit=metrics.COUNTED
        )

    async def _rest(self, broadcast: Broadcast) -> None:
        """Look after what was under way when it was paused."""
        metrics.forget(broadcast.id)
        if await heal(self._means, broadcast):
            await self._arm(broadcast, self._in(WIND_UP_S))

    async def _wind_up(self, broadcast: Broadcast) -> None:
        """Cancel who has not been written to, and wait for the outcomes of the others."""
        metrics.forget(broadcast.id)
        while rows := await in_state(self._store, broadcast, "pending", _PAGE):
            now = self._means.now()
            over = [msgspec.structs.replace(r, state="cancelled", updated_at=now) for r in rows]
            lost = await self._store.replace_many(RECIPIENTS, over)
            metrics.RECIPIENTS.labels("cancelled").inc(len(over) - len(lost))
        if await heal(self._means, broadcast):
            await self._arm(broadcast, self._in(WIND_UP_S))
        elif broadcast.fires_at is not None:
            total = broadcast.total
            if not broadcast.gathered:  # a page may be stored of which nobody noted how many
                mine: Where = {"broadcast": broadcast.id}
                total = await self._store.count(RECIPIENTS, broadcast.workspace, mine, limit=ALL)
            await self._touch(msgspec.structs.replace(broadcast, total=total), None)

    async def _end(self, broadcast: Broadcast) -> None:
        now = self._means.now()
        done = msgspec.structs.replace(
            broadcast, state="done", ended_at=now, updated_at=now, fires_at=None
        )
        await self._store.replace(BROADCASTS, done)
        metrics.forget(broadcast.id)
        metrics.DONE.inc()

    async def _touch(self, broadcast: Broadcast, at: datetime | None) -> Broadcast:
        """Take the broadcast's revision.

        Raises:
            StaleRevisionError: Somebody changed it since it was read.
        """
        touched = msgspec.structs.replace(broadcast, fires_at=at)
        return await self._store.replace(BROADCASTS, touched)

    async def _arm(self, broadcast: Broadcast, at: datetime) -> None:
        """Arm the next tick.

        Raises:
            StaleRevisionError: Somebody changed the broadcast meanwhile, and perhaps armed it; the
                later timer has replaced theirs, so that it is to be looked at again.
        """
        timer = Timer(kind="broadcast", workspace=broadcast.workspace, ref=broadcast.id, due=at)
        await publish(self._means.bus, timer)
        stored = await self._store.get(BROADCASTS, broadcast.workspace, broadcast.id)
        if stored is not None and stored.rev != broadcast.rev:
            raise StaleRevisionError("the broadcast was changed meanwhile")

    def _in(self, seconds: float) -> datetime:
        return self._means.now() + timedelta(seconds=seconds)
