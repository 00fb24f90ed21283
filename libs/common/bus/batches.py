"""Working on whatever has arrived, many deliveries in one call."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from libs.common.bus.delivery import BatchHandler, Outcome
from libs.common.bus.engine import Engine
from libs.common.bus.partition import Held
from libs.common.bus.settle import INFRASTRUCTURE, Settler, verdict
from libs.common.errors import GatewayError

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Interrupted(Exception):  # noqa: N818 (no failure: we are to stop while the store is away)
    """The stop came while the bus or the store was away."""


class Batches:
    """Hands deliveries to one handler, a batch at a time, in stream order within a batch.

    Args:
        engine: Where deliveries come from.
        handle: The service's handler.
        settler: Carries out its outcomes.
        stop: Ends waiting for an absent store.
        batch: Deliveries in one call at most.
    """

    gather_s = 0.5
    """Short: deliveries to be tried again later are outside too, and may stay there for long."""

    def __init__(
        self,
        engine: Engine,
        handle: BatchHandler,
        settler: Settler,
        stop: asyncio.Event,
        batch: int,
    ) -> None:
        self._engine = engine
        self._handle = handle
        self._settler = settler
        self._stop = stop
        self._batch = batch
        self._waiting: deque[Held] = deque()
        self._wake = asyncio.Event()

    def arrived(self, held: Held) -> None:
        """See `partition.Work`."""
        self._waiting.append(held)
        self._wake.set()

    def full(self) -> bool:
        """See `partition.Work`."""
        return len(self._waiting) >= 2 * self._batch

    async def run(self) -> None:
        """See `partition.Work`."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := self._next():
                try:
                    await self._process(batch)
                except Interrupted:
                    log.warning("bus.batch_interrupted", extra={"size": len(batch)})
                for held in batch:
                    held.running = False
                self._engine.ask_more()
                await asyncio.sleep(0)  # a handler that never waits must not starve the reader

    def _next(self) -> list[Held]:
        batch: list[Held] = []
        while self._waiting and len(batch) < self._batch:
            held = self._waiting.popleft()
            if held.may_begin:
                held.running = True
                batch.append(held)
        batch.sort(key=lambda each: each.key)
        return batch

    async def _process(self, batch: Sequence[Held]) -> None:
        """Handle and settle; after an exception one by one, so that only the culprit suffers."""
        try:
            outcomes = await self._outcomes(batch)
        except Interrupted:
            raise
        except Exception as error:  # the boundary: a bug in one handler must not stop the service
            if len(batch) > 1:
                log.warning("bus.batch_split", extra={"error": type(error).__name__})
                for held in batch:
                    await self._process([held])
                return
            if not isinstance(error, GatewayError):
                log.exception("bus.handler_bug", extra={"subject": batch[0].delivery.subject})
            outcomes = [verdict(error)]
        for held, outcome in zip(batch, outcomes, strict=True):
            await self._settler.settle(held, outcome)

    async def _outcomes(self, batch: Sequence[Held]) -> Sequence[Outcome]:
        """Call the handler, again and again while the bus or the store is away.

        The deliveries are kept meanwhile, with signs of life; none counts as tried.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                outcomes = await self._handle([held.delivery for held in batch])
            except INFRASTRUCTURE as error:
                self._settler.interrupted(error)
                await self._pause(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                if len(outcomes) != len(batch):
                    raise ValueError(f"{len(outcomes)} outcomes for {len(batch)} deliveries")
                return outcomes

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stop.wait()
        except TimeoutError:
            return
        raise Interrupted
