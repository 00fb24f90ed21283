"""Working on lanes: strictly serial and in stream order each, all of them at the same time."""

from __future__ import annotations

import asyncio
import bisect
import logging
from collections.abc import Callable

from libs.common.bus.delivery import Ack, Behind, Bury, Delivery, LaneHandler, Outcome, Retry
from libs.common.bus.engine import Engine
from libs.common.bus.partition import Held
from libs.common.bus.settle import INFRASTRUCTURE, Settler, verdict
from libs.common.errors import GatewayError

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_LOOK_EVERY_S = 0.25


class Lanes:
    """Hands deliveries to one handler, one at a time per lane.

    A delivery that is to be tried again stays here, at the head of its lane: those behind it wait,
    so their order holds. Only as many handlers run at once as `in_flight` allows; a pause before
    another try is no run.

    Args:
        engine: Where deliveries come from.
        handle: The service's handler.
        settler: Carries out its outcomes.
        lane: Returns a delivery's lane.
        in_flight: Handlers that run at once.
        max_pending: Deliveries held, running or waiting, above which no more are asked for.
        behind: Told who waits behind the delivery that the handler has.
    """

    gather_s = 5.0
    """Longer than deliveries that are given back at a hand-over need, all partitions at once."""

    def __init__(  # noqa: PLR0913 (what `consume_lanes` has to say)
        self,
        engine: Engine,
        handle: LaneHandler,
        settler: Settler,
        lane: Callable[[Delivery], str],
        *,
        in_flight: int,
        max_pending: int,
        behind: Behind | None = None,
    ) -> None:
        self._engine = engine
        self._handle = handle
        self._settler = settler
        self._lane = lane
        self._slots = asyncio.Semaphore(in_flight)
        self._max_pending = max_pending
        self._behind = behind
        self._was_full = False
        self._lanes: dict[str, list[Held]] = {}
        self._group: asyncio.TaskGroup | None = None

    def arrived(self, held: Held) -> None:
        """See `partition.Work`."""
        assert self._group is not None, "run() came first"  # noqa: S101
        try:
            name = self._lane(held.delivery)
        except Exception:  # the boundary: what has no lane is alone in one, and fails there
            log.exception("bus.lane_bug", extra={"subject": held.delivery.subject})
            name = f"\0{held.delivery.sequence}"
        queue = self._lanes.get(name)
        if queue is None:
            self._lanes[name] = [held]
            self._group.create_task(self._run_lane(name))
        else:
            bisect.insort(queue, held, key=lambda each: each.key)
            if self._behind is not None and queue[0].running:
                self._behind(name, (held.delivery,))

    def full(self) -> bool:
        """See `partition.Work`."""
        is_full = self._settler.observe.in_flight >= self._max_pending
        self._was_full |= is_full
        return is_full

    async def run(self) -> None:
        """See `partition.Work`."""
        async with asyncio.TaskGroup() as self._group:
            await asyncio.Event().wait()

    async def _run_lane(self, name: str) -> None:
        queue = self._lanes[name]
        while queue:
            held = queue[0]
            await self._finish(name, held)
            queue.remove(held)  # not the first any more if an older one came back meanwhile
            if self._was_full and not self.full():
                self._was_full = False
                self._engine.ask_more()
        del self._lanes[name]

    async def _finish(self, name: str, held: Held) -> None:
        """Try until it is settled or given back."""
        failures, pause_s = 0, _FIRST_PAUSE_S
        while held.may_begin:
            outcome = await self._outcome(name, held)
            if outcome is None:
                await self._wait(held, pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            failures += isinstance(outcome, Retry)
            await self._wait(held, await self._carry_out(held, outcome, failures))

    async def _outcome(self, name: str, held: Held) -> Outcome | None:
        """Call the handler; None when that said nothing about the delivery."""
        async with self._slots:
            if not held.may_begin:
                return None
            held.running = True
            try:
                self._tell_who_waits(name)
                return await self._settler.traced(self._handle, held.delivery)
            except INFRASTRUCTURE as error:
                self._settler.interrupted(error)
                return None
            except Exception as error:  # the boundary: a bug here must not stop the service
                if not isinstance(error, GatewayError):
                    log.exception("bus.handler_bug", extra={"subject": held.delivery.subject})
                return verdict(error)
            finally:
                held.running = False

    def _tell_who_waits(self, name: str) -> None:
        queue = self._lanes[name]
        if self._behind is not None and len(queue) > 1:
            self._behind(name, [held.delivery for held in queue[1:]])

    async def _carry_out(self, held: Held, outcome: Outcome, failures: int) -> float:
        """Settle; return the seconds to wait before the next try, where there is to be one."""
        if isinstance(outcome, Ack):
            self._settler.ack(held)
            return 0.0
        if isinstance(outcome, Retry):
            if not self._used_up(held, failures):
                delay_s = self._settler.delay_s(outcome, failures)
                self._settler.report(held, outcome, failures, delay_s)
                return delay_s
            outcome = Bury(outcome.code, "tries used up")
        held.running = True
        buried = await self._settler.bury(held, outcome)
        held.running = False
        return 0.0 if buried else _LONGEST_PAUSE_S

    def _used_up(self, held: Held, failures: int) -> bool:
        """Whether failures here and earlier deliveries together are enough to bury.

        A delivery also counts as one when a replica took it and was stopped before its turn.
        So the first failure here is the last only after twice as many.
        """
        earlier, tries = held.delivery.attempt - 1, self._settler.tries
        return earlier + failures >= (tries if failures > 1 else 2 * tries)

    async def _wait(self, held: Held, delay_s: float) -> None:
        """Wait, but not for what was given back to another replica meanwhile."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + delay_s
        # Looking now and then is cheaper than an event for each of thousands of deliveries.
        while held.may_begin:
            left_s = ends - loop.time()
            if left_s <= 0:
                return
            await asyncio.sleep(min(left_s, _LOOK_EVERY_S))
