"""Work that goes on after its request was answered, so that the answer's time tells nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from libs.common.errors import GatewayError

log = logging.getLogger(__name__)

MOST = 100
"""Pieces of work at a time; what comes beyond them is dropped, as it can be asked for again."""


class Behind:
    """The work that is under way; what the process takes along when it ends was not promised."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> bool:
        """Begin *work*; tell whether there was room for it."""
        if len(self._tasks) >= MOST:
            work.close()
            return False
        task = asyncio.create_task(_quiet(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def idle(self) -> None:
        """Wait until all is done."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))


async def _quiet(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except GatewayError as error:
        log.warning("desk.behind_failed", extra={"code": error.code})
    except Exception as error:  # noqa: BLE001 the boundary: nobody else hears of a bug here
        log.error("desk.behind_bug", extra={"kind": type(error).__name__})  # noqa: TRY400
