"""The machinery under both ways of consuming: pins, signs of life, hand-over, watchdog.

A partition goes OFF -> ON when it becomes this replica's share, and back by ENDING (no more
requests) and RELEASING (nothing new begins, what runs ends, the rest is given back) to OFF, when it
is unpinned for its next owner. A stop is the same for all partitions at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

from libs.common.bus.ask import ApiError
from libs.common.bus.client import Bus
from libs.common.bus.durables import Durables
from libs.common.bus.options import Observed, Options
from libs.common.bus.partition import Gathering, Partition, State, Work
from libs.common.bus.replicas import Replicas
from libs.common.errors import BusUnavailableError
from libs.common.ids import PARTITIONS
from libs.common.subjects import Stream, partition_filter

log = logging.getLogger(__name__)

_TICK_S = 0.25
_STOP_TICK_S = 0.02
_CHECK_EVERY_S = 10.0


class Engine:
    """The partitions of one consumer call. Used once.

    Args:
        bus: Where to consume.
        stream: What to consume.
        durable: Name of the consumers, without the partition.
        options: Times, filters, counts.
        batch: Messages to request at once, per partition.
        max_ack_pending: Unsettled deliveries per partition.
    """

    def __init__(
        self,
        bus: Bus,
        stream: Stream,
        durable: str,
        options: Options,
        *,
        batch: int,
        max_ack_pending: int,
    ) -> None:
        filters = options.filters or tuple(partition_filter(stream, p) for p in range(PARTITIONS))
        self._bus = bus
        self._options = options
        self._observe = options.observe or Observed()
        self._durables = Durables(
            bus.asker, stream.name, durable, filters, max_ack_pending, options
        )
        self._replicas = Replicas(bus.connection, f"{stream.name}-{durable}", len(filters))
        self._check_now = asyncio.Event()
        self._gathers: set[asyncio.Task[None]] = set()
        self._gather_s = 0.0
        self._batch = batch
        self._partitions: list[Partition] = []
        self._count = len(filters)

    async def run(self, work: Work, stop: asyncio.Event, *, take_over: bool) -> None:
        """Deliver to *work* until *stop*, then hand over.

        With *take_over* a lone replica does not wait for the pins of a dead one to lapse.

        Raises:
            PermanentError: JetStream refuses the consumers.
        """
        connection, durables = self._bus.connection, self._durables
        self._gather_s = work.gather_s
        self._partitions = [
            Partition(
                connection,
                p,
                durables.target(p),
                work,
                self._observe,
                batch=self._batch,
                on_pin=self._on_pin,
            )
            for p in range(self._count)
        ]
        self._observe.oldest_stored_ns = self._oldest_stored_ns
        connection.on_up.append(self._check_now.set)
        try:
            if await _unless(stop, self._start(take_over=take_over)):
                await self._work(work, stop)
        finally:
            connection.on_up.remove(self._check_now.set)
            self._give_back()
            self._observe.partitions = 0
            self._replicas.close()
            for partition in self._partitions:
                partition.pull.close()
            for task in self._gathers:
                task.cancel()

    async def _start(self, *, take_over: bool) -> None:
        await self._durables.ensure_all()
        await self._replicas.enter()
        if take_over and self._replicas.alone:
            await asyncio.gather(*(self._durables.unpin(p) for p in range(self._count)))

    async def _work(self, work: Work, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(task())
                for task in (
                    work.run,
                    self._replicas.keep_saying,
                    self._keep_asking,
                    self._keep_beating,
                    self._keep_checking,
                )
            ]
            await stop.wait()
            await self._hand_over()
            for task in tasks:
                task.cancel()
        await self._stop_listening(self._partitions)  # or what we give back would come to us again
        self._give_back()
        await self._unpin(self._partitions)

    def ask_more(self) -> None:
        """Ask again where there was no room before."""
        for partition in self._partitions:
            partition.ask()

    def _on_pin(self, partition: Partition) -> None:
        task = asyncio.create_task(self._gather(partition))
        self._gathers.add(task)
        task.add_done_callback(self._gathers.discard)

    async def _gather(self, partition: Partition) -> None:
        """Wait, for so long, until all that the partition's former owner left is here again."""
        gathering = partition.gathering
        assert gathering is not None, "the pin is new"  # noqa: S101
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._gather_s):
                while not gathering.complete.is_set():
                    await self._learn_outside(partition, gathering)
                    partition.ask()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_TICK_S):
                            await gathering.complete.wait()
        if not gathering.complete.is_set():
            log.warning("bus.gather_cut_short", extra={"partition": partition.index})
        partition.begin(gathering)

    async def _learn_outside(self, partition: Partition, gathering: Gathering) -> None:
        try:
            outside, last = await self._durables.outside(partition.index)
        except (ApiError, BusUnavailableError) as error:
            log.warning("bus.gather_waits", extra={"reason": error.detail})
        else:
            gathering.expect(outside, last, partition.held)

    async def _keep_asking(self) -> None:
        while True:
            ours = self._replicas.ours()
            for partition in self._partitions:
                self._move(partition, wanted=partition.index in ours)
                partition.ask()
                self._notice_missing(partition)
            await self._release_ended()
            self._observe.partitions = sum(p.state is not State.OFF for p in self._partitions)
            await asyncio.sleep(_TICK_S)

    def _notice_missing(self, partition: Partition) -> None:
        if partition.pull.missing:
            partition.pull.missing = False
            self._check_now.set()
            self._bus.look_now()

    def _move(self, partition: Partition, *, wanted: bool) -> None:
        """Take a partition that is ours, begin to give back one that is not."""
        if wanted and partition.state in {State.OFF, State.ENDING}:
            partition.state = State.ON
        elif not wanted and partition.state is State.ON:
            partition.state = State.ENDING
        if partition.state is State.ENDING:
            partition.pull.check_overdue()
            if partition.pull.wanted == 0:
                partition.state = State.RELEASING

    async def _release_ended(self) -> None:
        """Unpin the partitions whose work has ended, so that their new owner may begin."""
        ready = []
        for partition in self._partitions:
            if partition.state is not State.RELEASING:
                continue
            partition.let_go()
            if not partition.held:
                partition.state = State.OFF
                self._observe.pending.pop(partition.index, None)
                ready.append(partition)
        await self._unpin(ready)

    async def _unpin(self, partitions: list[Partition]) -> None:
        pinned = [partition for partition in partitions if partition.pull.pin]
        for partition in pinned:
            partition.pull.pin = ""
        await asyncio.gather(*(self._durables.unpin(partition.index) for partition in pinned))

    async def _keep_beating(self) -> None:
        """Tell the server in one write that everything held is still being worked on."""
        while True:
            await asyncio.sleep(self._options.ack_wait_s / 3)
            if self._bus.connection.is_connected:
                beats = [beat for partition in self._partitions for beat in partition.beat()]
                if beats:
                    self._bus.connection.write(b"".join(beats))

    async def _keep_checking(self) -> None:
        while True:
            # Not wait_for: Python 3.11's may overlook that the task is cancelled.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_EVERY_S):
                    await self._check_now.wait()
            self._check_now.clear()
            ours = {p.index for p in self._partitions if p.state is State.ON}
            try:
                self._observe.pending.update(await self._durables.check(ours))
            except (ApiError, BusUnavailableError) as error:
                log.warning("bus.check_failed", extra={"reason": error.detail})
            await asyncio.sleep(1.0)

    def _oldest_stored_ns(self) -> int:
        return min(
            (held.delivery.stored_at_ns for p in self._partitions for held in p.held.values()),
            default=0,
        )

    async def _hand_over(self) -> None:
        """Finish what runs, give back the rest and let go of the partitions, within the bound."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._options.stop_within_s
        self._replicas.leave()
        while any(partition.state is not State.OFF for partition in self._partitions):
            if loop.time() > deadline or not self._bus.connected:
                log.warning("bus.stop_cut_short", extra={"in_flight": self._observe.in_flight})
                return
            await self._stop_listening([p for p in self._partitions if p.idle])
            for partition in self._partitions:
                self._move(partition, wanted=False)
            await self._release_ended()
            await asyncio.sleep(_STOP_TICK_S)

    async def _stop_listening(self, partitions: list[Partition]) -> None:
        """Have these partitions' open requests forgotten at once.

        For idle ones; elsewhere requests run out by themselves, in 1.5 s at most: where messages
        flow, one could be lost on its way, and would come back late and out of order.
        """
        listening = [partition for partition in partitions if partition.pull.listening]
        for partition in listening:
            partition.pull.stop_listening()
        if listening and self._bus.connected:
            await self._bus.connection.settle(1.0)

    def _give_back(self) -> None:
        """Return what is still held; at the end, when no handler runs any more."""
        for partition in self._partitions:
            for held in partition.held.values():
                held.running = False
            partition.let_go()


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do *work* unless *stop* comes first; tell whether it was done. Raises what *work* raises."""
    doing = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
        return doing.done() and not stop.is_set()
    finally:
        for task in (doing, stopping):
            task.cancel()
        await asyncio.gather(doing, stopping, return_exceptions=True)
