"""Where accepted records go: to JetStream, or to the spool when that does not confirm in time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from libs.common.bus.client import Bus
from libs.common.bus.delivery import PubAck
from libs.common.errors import GatewayError
from services.ingest import metrics
from services.ingest.reach import Reach
from services.ingest.record import Record
from services.ingest.spool import Spool, SpoolUnavailableError

log = logging.getLogger(__name__)

ANSWER_WITHIN_S = 1.7
"""Seconds from the first byte to the answer; providers and invariant I7 allow 1.9."""
SPOOL_WITHIN_S = 0.5
"""Seconds of that kept for the disk."""
PUBLISH_AT_LEAST_S = 0.15
"""Seconds JetStream gets even when the client took long to send its body."""
PIECE = 256
"""Messages handed over in one turn of the loop."""

_DIRECT_DUPLICATES = metrics.DUPLICATES.labels("request")


class Outlet:
    """Stores records durably within a deadline.

    After an unconfirmed publish the bus counts as stalled, and everything goes straight to the
    spool until its replay has proved that JetStream confirms again: nobody waits twice for the
    same fault.
    """

    def __init__(self, reach: Reach, spool: Spool, *, publish_timeout_s: float) -> None:
        self._reach = reach
        self._spool = spool
        self._publish_timeout_s = min(publish_timeout_s, ANSWER_WITHIN_S - SPOOL_WITHIN_S)
        self._stalled = False

    def resume(self) -> None:
        """Tell that JetStream confirms again."""
        self._stalled = False

    async def store(self, records: Sequence[Record], started: float) -> bool:
        """Return once all *records* are stored: True when the spool was needed.

        Args:
            records: The messages of one webhook.
            started: Loop time of the request's first byte.

        Raises:
            SpoolUnavailableError: Neither took them in time. Some may be stored all the same.
        """
        bus = self._reach.bus if self._reach.connected else None
        if bus is None or self._stalled:
            return await self._spool_first(bus, records, started)
        if missing := await self._publish(bus, records, started):
            await self._keep(missing)
            return True
        return False

    async def _spool_first(
        self, bus: Bus | None, records: Sequence[Record], started: float
    ) -> bool:
        try:
            await self._keep(records)
        except SpoolUnavailableError:
            if bus is None or await self._publish(bus, records, started):
                raise
            return False
        return True

    async def _publish(
        self, bus: Bus, records: Sequence[Record], started: float
    ) -> Sequence[Record]:
        """Return the records that were not confirmed."""
        publish = bus.publish_soon
        if len(records) <= PIECE:
            futures = [
                publish(r.subject, r.data, msg_id=r.msg_id, headers=r.headers) for r in records
            ]
        else:
            futures = await _handed_over(bus, records)
        left_s = started + ANSWER_WITHIN_S - SPOOL_WITHIN_S - asyncio.get_running_loop().time()
        if left_s < self._publish_timeout_s:  # the bus itself would wait for too long
            await _give_up(futures, max(left_s, PUBLISH_AT_LEAST_S))
        missing: list[Record] = []
        for index in range(len(futures) - 1, -1, -1):  # what was published last comes last
            future = futures[index]
            try:
                if future.cancelled():
                    missing.append(records[index])
                elif (await future).duplicate:
                    _DIRECT_DUPLICATES.inc()
            except GatewayError:
                missing.append(records[index])
        missing.reverse()
        self._stalled = bool(missing)
        if missing:
            metrics.PUBLISH_FAILURES.inc(len(missing))
        return missing

    async def _keep(self, records: Sequence[Record]) -> None:
        try:
            async with asyncio.timeout(SPOOL_WITHIN_S):
                await self._spool.append(records)
        except TimeoutError:
            raise SpoolUnavailableError("the disk takes too long") from None


async def _handed_over(bus: Bus, records: Sequence[Record]) -> list[asyncio.Future[PubAck]]:
    futures: list[asyncio.Future[PubAck]] = []
    for record in records:
        if len(futures) % PIECE == PIECE - 1:  # a large batch must not hold up the loop
            await asyncio.sleep(0)
        futures.append(
            bus.publish_soon(
                record.subject, record.data, msg_id=record.msg_id, headers=record.headers
            )
        )
    return futures


async def _give_up(futures: Sequence[asyncio.Future[PubAck]], after_s: float) -> None:
    """Cancel what is not confirmed *after_s*."""
    _, late = await asyncio.wait(futures, timeout=after_s)
    for future in late:
        future.cancel()
