"""Doing something for every workspace, so that what is wrong with one holds up no other."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable

from libs.common.errors import BusUnavailableError, GatewayError, StoreUnavailableError
from libs.common.store.api import Store
from libs.common.workspace import workspaces

log = logging.getLogger(__name__)

AWAY = (StoreUnavailableError, BusUnavailableError)


async def for_each(
    store: Store,
    work: Callable[[str], Awaitable[None]],
    event: str,
    order: Callable[[Iterable[str]], Iterable[str]] = sorted,
) -> None:
    """Do *work* for each workspace, in *order*; what fails is logged as *event* and passed over.

    Where the store or the bus is away nothing more is tried: it is the same for all.
    """
    try:
        for workspace in order(await workspaces(store)):
            await _one(workspace, work, event)
    except GatewayError as error:
        log.warning(event, extra={"code": error.code})


async def _one(workspace: str, work: Callable[[str], Awaitable[None]], event: str) -> None:
    try:
        await work(workspace)
    except AWAY:
        raise
    except GatewayError as error:
        log.warning(event, extra={"workspace": workspace, "code": error.code})
    except Exception as error:  # the boundary: a document of a newer version, or a bug
        log.exception(event, extra={"workspace": workspace, "kind": type(error).__name__})
