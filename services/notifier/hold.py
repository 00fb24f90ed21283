"""Waiting for the store or the bus to come back: what must be written is held, not dropped."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from libs.common.errors import BusUnavailableError, StoreUnavailableError

log = logging.getLogger(__name__)

T = TypeVar("T")

LONGEST_WAIT_S = 2.0


def never() -> bool:
    """Return False: hold until it works."""
    return False


async def hold(work: Callable[[], Awaitable[T]], *, give_up: Callable[[], bool] = never) -> T:
    """Do *work*, again and again while the bus or the store is away.

    Raises:
        BusUnavailableError, StoreUnavailableError: Still away when *give_up* said so.
    """
    retrying = AsyncRetrying(
        retry=retry_if_exception_type((BusUnavailableError, StoreUnavailableError)),
        wait=wait_random_exponential(multiplier=0.1, max=LONGEST_WAIT_S),
        stop=lambda _state: give_up(),
        before_sleep=_tell_once,
        reraise=True,
    )

    async def once() -> T:  # tenacity awaits only what is declared `async`, not every awaitable
        return await work()

    return await retrying(once)


def _tell_once(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        log.warning("send.held", extra={"reason": type(state.outcome.exception()).__name__})
