"""Timers that are lost with their stream: found by their documents, and armed.

Whoever writes a document arms it first (`armed`), so there is nothing to be looked for in between;
what is lost all the same is armed again from the documents, for the time just ahead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TypeVar

import msgspec

from libs.common import armed
from libs.common.errors import RetryableError
from libs.common.later import BROADCASTS, SCHEDULED, Broadcast, ScheduledMessage
from libs.common.store.api import Collection, Page, Range, Where, cursor
from libs.common.workspace import workspaces
from services.scheduler import metrics
from services.scheduler.means import Means

log = logging.getLogger(__name__)

RECONCILE_S = 30 * 60.0
AHEAD = timedelta(hours=1)
ON_ITS_WAY = timedelta(minutes=10)
"""What was due within this has fired, and may be waiting for its turn."""
AGAIN_S = 5.0
LATE_S = 15.0
"""How often, after the start, it is looked whether what was due just before has gone out."""
_PAGE = 500
_ORDER = "fires"

L = TypeVar("L", ScheduledMessage, Broadcast)


class Reconciler:
    """Arms again what is due soon, at the start and now and then."""

    def __init__(self, means: Means) -> None:
        self._bus, self._store, self._now = means.bus, means.store, means.now

    async def keep_reconciling(self, stop: asyncio.Event) -> None:
        """Arm again what is due soon, until *stop*; at the start also what was due lately."""
        looked = False
        while not stop.is_set():
            try:
                await self.reconcile()
                while not looked:
                    await asyncio.sleep(LATE_S)
                    looked = await self.late()
            except RetryableError as error:
                log.warning("timers.reconcile_waits", extra={"reason": error.detail})
                await asyncio.sleep(AGAIN_S)
            else:
                await asyncio.sleep(RECONCILE_S)

    async def reconcile(self) -> int:
        """Arm again what is due within the next hour, or long ago; return how many."""
        now = self._now()
        spans: list[Where] = [
            {"fires_at": Range(lt=now - ON_ITS_WAY)},
            {"fires_at": Range(ge=now, lt=now + AHEAD)},
        ]
        count = 0
        for workspace in await workspaces(self._store):
            for where in spans:
                count += await self._arm(SCHEDULED, workspace, where)
                count += await self._arm(BROADCASTS, workspace, where)
        metrics.REARMED.inc(count)
        return count

    async def late(self) -> bool:
        """Arm again what was due lately and has not gone out; tell whether all was looked at.

        Where there are many they wait for their turn after an outage, so that it is too early.
        """
        now, looked, count = self._now(), True, 0
        where: Where = {"fires_at": Range(ge=now - ON_ITS_WAY, lt=now - timedelta(seconds=LATE_S))}
        page = Page(order=_ORDER, limit=_PAGE)
        for workspace in await workspaces(self._store):
            if len(await self._store.find(SCHEDULED, workspace, where, page)) == _PAGE:
                looked = False
                continue
            count += await self._arm(SCHEDULED, workspace, where)
            count += await self._arm(BROADCASTS, workspace, where)
        metrics.REARMED.inc(count)
        return looked

    async def _arm(self, collection: Collection[L], workspace: str, where: Where) -> int:
        count = 0
        async for doc in self._each(collection, workspace, where):
            await armed.arm_again(self._bus, self._store, collection, doc)
            count += 1
        return count

    async def _each(
        self, collection: Collection[L], workspace: str, where: Where
    ) -> AsyncIterator[L]:
        page = Page(order=_ORDER, limit=_PAGE)
        while True:
            found = await self._store.find(collection, workspace, where, page)
            for doc in found:
                yield doc
            if len(found) < _PAGE:
                return
            page = msgspec.structs.replace(page, after=cursor(collection, _ORDER, found[-1]))
