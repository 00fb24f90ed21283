"""From the spool back to JetStream, oldest first, for as long as the service runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from libs.common.bus.client import Bus
from libs.common.erased import Erased
from libs.common.errors import GatewayError, PermanentError
from libs.common.rawlog import SPOOLED
from services.ingest import metrics
from services.ingest.defects import report
from services.ingest.forgotten import kept
from services.ingest.outlet import Outlet
from services.ingest.reach import Reach
from services.ingest.record import Record
from services.ingest.spool import Spool
from services.ingest.spool_format import Found

log = logging.getLogger(__name__)

AT_ONCE = 64
"""Webhooks on their way together; live traffic shares the broker."""
_LOOK_EVERY_S = 0.1
_PAUSE_S = (0.2, 2.0)

_DUPLICATES = metrics.DUPLICATES.labels("replay")


async def replay(spool: Spool, reach: Reach, outlet: Outlet) -> None:
    """Publish what the spool holds whenever the bus is there; runs until it is cancelled.

    A record leaves the spool only when JetStream has confirmed all its messages. After a crash
    some are published twice, under the same message ids.
    """
    pause_s = _PAUSE_S[0]
    while True:
        await spool.filled.wait()
        bus = reach.bus
        if bus is None or not bus.connected:
            await asyncio.sleep(_LOOK_EVERY_S)
            continue
        before = spool.record_count
        try:
            if await _segment(spool, bus, outlet, reach.erased):
                continue
        except Exception as error:  # noqa: BLE001 (without replay, nothing would ever arrive)
            report("spool.replay_defect", error)
        pause_s = _PAUSE_S[0] if spool.record_count < before else min(pause_s * 2, _PAUSE_S[1])
        await asyncio.sleep(pause_s)


async def _segment(spool: Spool, bus: Bus, outlet: Outlet, erased: Erased | None) -> bool:
    """Replay the oldest segment; tell whether all of it was confirmed."""
    oldest = await spool.oldest()
    if oldest is None:
        return False
    number, stretches = oldest
    for start in range(0, len(stretches), AT_ONCE):
        part = stretches[start : start + AT_ONCE]
        confirmed = await asyncio.gather(*[_confirmed(spool, bus, found, erased) for found in part])
        for found, done in zip(part, confirmed, strict=True):
            if not done:
                return False
            outlet.resume()
            metrics.REPLAYED.inc(found.records is not None)
            await spool.advance(number, found)
    return True


async def _confirmed(spool: Spool, bus: Bus, found: Found, erased: Erased | None) -> bool:
    records: Sequence[Record] = kept(erased, found.records or ())
    futures = [
        bus.publish_soon(r.subject, r.data, msg_id=r.msg_id, headers=r.headers | {SPOOLED: "1"})
        for r in records
    ]
    for record, told in zip(
        records, await asyncio.gather(*futures, return_exceptions=True), strict=True
    ):
        if isinstance(told, PermanentError):  # it would block the spool for ever
            log.error("spool.refused", extra={"subject": record.subject, "reason": told.detail})
            await spool.set_aside(record)
        elif isinstance(told, GatewayError):
            return False
        elif isinstance(told, BaseException):
            raise told
        elif told.duplicate:
            _DUPLICATES.inc()
    return True
