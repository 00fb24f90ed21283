"""The end of the ledger of mails, and of addresses that may be tried again.

Every replica does it; twice has the effect of once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from libs.common.errors import RetryableError
from libs.common.mails import MAILINGS, SUPPRESSIONS
from libs.common.store.api import Cursor, Page, Range, Store, cursor
from libs.common.workspace import workspaces

log = logging.getLogger(__name__)

EVERY_S = 3600.0
KEPT = timedelta(days=30)
"""Far longer than an alert or a reply is delivered again: no mail is forgotten and sent anew."""
_PAGE = 200


async def sweep_mails(store: Store, names: Iterable[str], now: datetime) -> int:
    """Delete lines that are older than `KEPT` and suppressions that have ended; return how many.

    *names* are those of the workspaces to look at.

    Raises:
        StoreUnavailableError: Not all was looked at.
    """
    gone = 0
    for workspace in names:
        gone += await _ledger(store, workspace, now)
        gone += await _suppressions(store, workspace, now)
    return gone


async def sweeping(store: Store, now: Callable[[], datetime], stop: asyncio.Event) -> None:
    """Sweep now and each hour, until *stop*; while the store is away, the next time will do."""
    while not stop.is_set():
        try:
            if gone := await sweep_mails(store, await workspaces(store), now()):
                log.info("mail.swept", extra={"count": gone})
        except RetryableError as error:
            log.warning("mail.not_swept", extra={"reason": error.code})
        try:
            async with asyncio.timeout(EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue


async def _ledger(store: Store, workspace: str, now: datetime) -> int:
    gone, old = 0, {"updated_at": Range(lt=now - KEPT)}
    while True:
        found = await store.find(MAILINGS, workspace, old, Page(order="time", limit=_PAGE))
        for line in found:
            await store.delete(MAILINGS, workspace, line.id)
        gone += len(found)
        if len(found) < _PAGE:
            return gone


async def _suppressions(store: Store, workspace: str, now: datetime) -> int:
    gone = 0
    after: Cursor | None = None
    while True:
        page = Page(order="since", limit=_PAGE, after=after)
        found = await store.find(SUPPRESSIONS, workspace, {}, page)
        for entry in found:
            if entry.until is not None and entry.until < now:
                await store.delete(SUPPRESSIONS, workspace, entry.id)
                gone += 1
        if len(found) < _PAGE:
            return gone
        after = cursor(SUPPRESSIONS, "since", found[-1])
