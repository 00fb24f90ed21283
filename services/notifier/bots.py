"""Webhook bots: asked by the facts of the router, beside all else that goes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from libs.common.bot_answers import Means
from libs.common.bus.consume import consume_lanes
from libs.common.bus.delivery import Delivery
from libs.common.bus.options import Options
from libs.common.subjects import EVENTS
from services.notifier import metrics
from services.notifier.bots_call import Caller, Reach
from services.notifier.bots_case import Cases
from services.notifier.bots_worker import Worker

DURABLE = "bots"
FILTER = "ev.*.bot.asked.*"
HELD = 8000
"""Facts held at once; those that wait for a place of their bot take no one else's."""


@asynccontextmanager
async def answering(
    reach: Reach, means: Means, keys: Sequence[bytes], public_url: str
) -> AsyncIterator[None]:
    """Have bots answer beside the block, until `reach.stop`; the block's end waits for it.

    Args:
        reach: What calling needs.
        means: What carrying out their answers needs; its store has sessions, messages, contacts,
            bots and attachments open.
        keys: Keys of links to files.
        public_url: Address at which the world reaches this installation; empty: none.

    Raises:
        PermanentError: JetStream refuses the consumer.
    """
    caller = Caller(reach)
    metrics.watch_bots(caller.breakers, caller.places)
    worker = Worker(Cases(means.store, keys, public_url), caller, means, means.now)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(
            consume_lanes(
                means.bus,
                EVENTS,
                DURABLE,
                worker.handle,
                lane=session_of,
                stop=reach.stop,
                service="notifier",
                in_flight=HELD,
                max_pending=HELD,
                options=Options(filters=(FILTER,)),
            )
        )
        yield


def session_of(delivery: Delivery) -> str:
    """Return the lane: `ev.<workspace>.bot.asked.<session>`."""
    return delivery.subject.rsplit(".", 1)[1]
