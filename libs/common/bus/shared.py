"""Consuming what has no order: all replicas take from one consumer at the same time.

For work whose repeat has the effect of one. Nothing is pinned, so a replica that dies takes with it
only what it had begun, and that comes to another one as soon as no sign of life of it is heard
(`Options.ack_wait_s`, which may be short here). Failures are as for the other ways of consuming,
but the server counts the tries, and what waits for another try does so at the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import msgspec

from libs.common.bus.ask import ApiError
from libs.common.bus.client import Bus
from libs.common.bus.connection import Connection
from libs.common.bus.delivery import LaneHandler, Outcome
from libs.common.bus.durables import Durables
from libs.common.bus.options import Observed, Options
from libs.common.bus.partition import PULL_S, Held, Partition, State, Work
from libs.common.bus.settle import INFRASTRUCTURE, Settler, verdict
from libs.common.errors import BusUnavailableError, GatewayError
from libs.common.subjects import Stream

log = logging.getLogger(__name__)

_TICK_S = 0.25
_STOP_TICK_S = 0.02
_CHECK_EVERY_S = 10.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_MAX_ACK_PENDING = 10_000


async def consume_shared(  # noqa: PLR0913 (what every service has to say)
    bus: Bus,
    stream: Stream,
    durable: str,
    handle: LaneHandler,
    *,
    subject: str,
    stop: asyncio.Event,
    service: str,
    at_once: int = 64,
    options: Options | None = None,
) -> None:
    """Hand what comes under *subject* to *handle*, in no order, until *stop*.

    Args:
        bus: Where to consume.
        stream: What to consume.
        durable: Name of the consumer, `<durable>-0`.
        handle: Returns the outcome of one delivery; a repeat must have the effect of one.
        subject: Wildcards allowed.
        stop: Ends it gracefully: running calls get 8 s, those that wait are given back.
        service: Names who buries, in the subject on DEAD.
        at_once: Deliveries in hand at most; a replica takes no more than it can begin.
        options: Times, tries, and where to count.

    Raises:
        PermanentError: JetStream refuses the consumer.
    """
    chosen = msgspec.structs.replace(options or Options(), filters=(subject,), shared=True)
    if chosen.observe is None:
        chosen = msgspec.structs.replace(chosen, observe=Observed())
    settler = Settler(bus, stream, service, chosen, durable)
    consumer = _Consumer(
        bus, stream, durable, handle, settler, options=chosen, at_once=at_once, stop=stop
    )
    await consumer.run()


class _Share(Partition):
    """A consumer's deliveries that we hold: as many as can be worked on, and no more."""

    def __init__(
        self, connection: Connection, target: str, work: Work, observe: Observed, at_once: int
    ) -> None:
        super().__init__(
            connection, 0, target, work, observe, batch=at_once, on_pin=_never, pinned=False
        )
        self._at_once = at_once

    def ask(self) -> None:
        """Keep requests open for what there is room for; a few together, not one by one."""
        if self.state is not State.ON:
            return
        self.pull.check_overdue()
        room = self._at_once - len(self.held) - self.pull.wanted
        if room > 0 and (self.pull.wanted == 0 or room >= self._at_once // 4):
            self.pull.ask(room, PULL_S)

    def settle(self, held: Held, word: bytes) -> None:
        """See `Partition.settle`; there is room for another then."""
        super().settle(held, word)
        self.ask()


class _Consumer:
    """One call of `consume_shared`."""

    gather_s = 0.0

    def __init__(  # noqa: PLR0913 (made in one place)
        self,
        bus: Bus,
        stream: Stream,
        durable: str,
        handle: LaneHandler,
        settler: Settler,
        *,
        options: Options,
        at_once: int,
        stop: asyncio.Event,
    ) -> None:
        self._bus = bus
        self._handle = handle
        self._settler = settler
        self._options = options
        filters = options.filters or ()
        self._durables = Durables(
            bus.asker, stream.name, durable, filters, _MAX_ACK_PENDING, options
        )
        self._share = _Share(
            bus.connection, self._durables.target(0), self, settler.observe, at_once
        )
        self._check_now = asyncio.Event()
        self._stop = stop
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Work until the stop, then finish what runs and give back the rest."""
        connection = self._bus.connection
        self._share_age()
        connection.on_up.append(self._check_now.set)
        beside: list[asyncio.Task[None]] = [
            asyncio.create_task(each()) for each in (self._begin, self._keep_beating)
        ]
        stopping = asyncio.create_task(self._stop.wait())
        waits: list[asyncio.Task[Any]] = [*beside, stopping]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                await self._finish_running()
            for task in beside:
                if task.done():
                    task.result()
        finally:
            waits += self._tasks
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            connection.on_up.remove(self._check_now.set)
            self._give_back()

    def arrived(self, held: Held) -> None:
        """See `partition.Work`."""
        task = asyncio.create_task(self._finish(held))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def full(self) -> bool:
        """See `partition.Work`; it is not asked."""
        return False

    def _share_age(self) -> None:
        held = self._share.held
        self._settler.observe.oldest_stored_ns = lambda: min(
            (each.delivery.stored_at_ns for each in held.values()), default=0
        )

    async def _begin(self) -> None:
        await self._durables.ensure_all()
        self._share.state = State.ON
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_asking())
            group.create_task(self._keep_checking())

    async def _keep_asking(self) -> None:
        while True:
            self._share.ask()
            if self._share.pull.missing:
                self._share.pull.missing = False
                self._check_now.set()
                self._bus.look_now()
            await asyncio.sleep(_TICK_S)

    async def _keep_beating(self) -> None:
        """Tell the server that everything held is still being worked on."""
        while True:
            await asyncio.sleep(self._options.ack_wait_s / 3)
            beats = self._share.beat()
            if beats and self._bus.connection.is_connected:
                self._bus.connection.write(b"".join(beats))

    async def _keep_checking(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_EVERY_S):
                    await self._check_now.wait()
            self._check_now.clear()
            try:
                self._settler.observe.pending.update(await self._durables.check({0}))
            except (ApiError, BusUnavailableError) as error:
                log.warning("bus.check_failed", extra={"reason": error.detail})
            await asyncio.sleep(1.0)

    async def _finish(self, held: Held) -> None:
        """Try until it is settled, or we stop."""
        pause_s = _FIRST_PAUSE_S
        while held.may_begin:
            held.running = True
            try:
                outcome = await self._outcome(held)
                if outcome is not None:
                    return await self._settler.settle(held, outcome)
            finally:
                held.running = False
            await self._rest(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return None

    async def _outcome(self, held: Held) -> Outcome | None:
        """Call the handler; None when that said nothing about the delivery."""
        try:
            return await self._settler.traced(self._handle, held.delivery)
        except INFRASTRUCTURE as error:
            self._settler.interrupted(error)
            return None
        except Exception as error:  # the boundary: a bug here must not stop the service
            if not isinstance(error, GatewayError):
                log.exception("bus.handler_bug", extra={"subject": held.delivery.subject})
            return verdict(error)

    async def _rest(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stop.wait()

    async def _finish_running(self) -> None:
        """Take nothing more, and wait for what runs, within the bound."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.stop_within_s
        self._share.state = State.RELEASING
        self._share.pull.stop_listening()
        while any(held.running for held in self._share.held.values()):
            if loop.time() > deadline or not self._bus.connected:
                log.warning("bus.stop_cut_short", extra={"in_flight": len(self._share.held)})
                return
            await asyncio.sleep(_STOP_TICK_S)

    def _give_back(self) -> None:
        for held in self._share.held.values():
            held.running = False
        self._share.state = State.RELEASING
        self._share.let_go()
        self._share.pull.close()


def _never(_partition: Partition) -> None:
    """Nobody is pinned."""
