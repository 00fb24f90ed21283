"""Consumers on TIMERS of the former naming: followed from where they stood, and removed.

Before each kind had a consumer, there were sixteen by partition, each pinned to one scheduler. What
they had settled is still in the stream, for people to read, and is not brought to the routers once
more. While a scheduler of the former version runs beside us both act, which has the effect of one;
it makes its consumers anew, so they go when nobody asks them any more.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any

from libs.common.bus.ask import ApiError, Asker
from libs.common.errors import BusUnavailableError
from libs.common.subjects import TIMERS
from services.scheduler.pacing import KINDS

log = logging.getLogger(__name__)

FIRST_S = 5.0
"""By then our own consumers are there."""
LOOK_S = 60.0
_FORMER = re.compile(r"scheduler-\d+")
_PRESENT = frozenset(f"scheduler-{kind}-0" for kind in KINDS)
_NOT_FOUND = 404
_AGAIN_S = 0.5


async def stood(asker: Asker) -> int:
    """Return `settled`, as soon as the bus can tell."""
    while True:
        try:
            return await settled(asker)
        except (ApiError, BusUnavailableError) as error:
            log.warning("timers.former_consumers_wait", extra={"reason": error.detail})
            await asyncio.sleep(_AGAIN_S)


async def settled(asker: Asker) -> int:
    """Return up to which sequence all of the former consumers had settled; 0: there are none.

    Raises:
        ApiError: JetStream refused.
        BusUnavailableError: No answer.
    """
    info = await asker.api(f"STREAM.INFO.{TIMERS.name}")
    last = int(info["state"]["last_seq"])  # before the consumers are looked at: not ahead of them
    told = await _consumers(asker)
    return min([_floor(one, last) for name, one in told.items() if is_former(name)], default=0)


async def remove(asker: Asker) -> None:
    """Delete the former consumers that nobody asks, once there are all that came after them.

    Raises:
        ApiError: JetStream refused.
        BusUnavailableError: No answer.
    """
    told = await _consumers(asker)
    if not told.keys() >= _PRESENT:
        return
    for name, one in told.items():
        if is_former(name) and not one["num_waiting"]:
            log.info("timers.former_consumer_removed", extra={"consumer": name})
            await _delete(asker, name)


async def keep_removing(asker: Asker, stop: asyncio.Event) -> None:
    """Delete them as schedulers of the former version end, until *stop*."""
    await asyncio.sleep(FIRST_S)
    while not stop.is_set():
        try:
            await remove(asker)
        except (ApiError, BusUnavailableError) as error:
            log.warning("timers.former_consumers_wait", extra={"reason": error.detail})
        await asyncio.sleep(LOOK_S)


def is_former(name: str) -> bool:
    """Tell whether a consumer on TIMERS is named as those were."""
    return _FORMER.fullmatch(name) is not None


def _floor(info: dict[str, Any], last: int) -> int:
    """Return up to where one has settled everything; one with nothing to do, up to *last*."""
    if info["num_pending"] or info["num_ack_pending"]:
        return int(info["ack_floor"]["stream_seq"])
    return last


async def _consumers(asker: Asker) -> dict[str, dict[str, Any]]:
    """Return what is told of each by name; they are fewer than come in one answer."""
    told = await asker.api(f"CONSUMER.LIST.{TIMERS.name}", {"offset": 0})
    return {one["name"]: one for one in told.get("consumers") or ()}


async def _delete(asker: Asker, name: str) -> None:
    try:
        await asker.api(f"CONSUMER.DELETE.{TIMERS.name}.{name}")
    except ApiError as error:
        if error.status != _NOT_FOUND:  # another scheduler was faster
            raise
