"""Ending background tasks."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_AFTER_S = 0.2
_TIMES = 10


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel *tasks* until they have ended, for 2 s at most; their failures are dropped.

    Once is not always enough: before Python 3.12, `asyncio.wait_for` swallows a cancellation that
    arrives in the same instant as what it waits for.
    """
    left = {task for task in tasks if not task.done()}
    for _ in range(_TIMES):
        if not left:
            break
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_AGAIN_AFTER_S)
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()
