"""Reading and changing what a file may set: never while an apply is half done.

An apply of a workspace file is many writes; once its journal stands it counts as done, see
`libs.common.workspace_apply`. So whoever asks for something that a file may set first does what is
left of one, and what was read while one came in between is read again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime

from libs.common import webhook_queue
from libs.common.applied import CONFIGS, standing
from libs.common.bus.client import Bus
from libs.common.errors import GatewayError
from libs.common.policies import publish_policy
from libs.common.store.api import Store
from libs.common.workspace_apply import finish
from libs.common.workspace_drift import drift_of
from services.desk import metrics
from services.desk.api.problem import unavailable
from services.desk.api.route import Call, Reply, Route
from services.desk.each import for_each

log = logging.getLogger(__name__)

CONFIGURED = frozenset(
    {
        "accounts",
        "agents",
        "bots",
        "calendars",
        "contact-fields",
        "filters",
        "rules",
        "settings",
        "standard-messages",
        "tags",
        "teams",
        "webhook-endpoints",
    }
)
"""The first words of paths below which lies what a file may set."""
_TRIES = 5
PATIENCE_S = 5.0


async def settled(route: Route, call: Call) -> Reply:
    """Return what *route* answers between two applies.

    Raises:
        RefusalError: 503, files are applied one after another.
    """
    if call.principal is None or not is_configured(route) or route.streams:
        return await route.handler(call)
    workspace, store = call.who.workspace, call.desk.store.port
    for _ in range(_TRIES):
        mark = await standing(store, workspace)
        if mark is None:
            await _finished(call)
            continue
        reply = await route.handler(call)
        if route.method != "GET" or mark == await standing(store, workspace):
            return reply
    raise unavailable("The workspace is being configured right now.")


async def _finished(call: Call) -> None:
    """Wait until what is left of an apply is done, once for all who wait.

    Raises:
        RefusalError: 503, it takes longer than people wait for an answer.
    """
    desk, workspace = call.desk, call.who.workspace
    task = desk.finishing.get(workspace)
    if task is None or task.done():
        task = asyncio.create_task(finish_one(desk.store.port, desk.bus, workspace))
        desk.finishing[workspace] = task
    await asyncio.wait({task}, timeout=PATIENCE_S)
    if not task.done():
        raise unavailable("The workspace is being configured right now.", retry_after_s=2)
    await task


def is_configured(route: Route) -> bool:
    """Tell whether *route* shows or changes what a file may set."""
    return route.path.split("/")[1] in CONFIGURED


async def finish_one(store: Store, bus: Bus, workspace: str) -> None:
    """Do what is left of an apply, and tell those who decide by it."""
    if not await finish(store, workspace):
        return
    webhook_queue.changed(bus, workspace)
    try:
        await publish_policy(store, bus, workspace)
    except GatewayError as error:  # the reconciler does it soon
        log.warning("desk.config_unpublished", extra={"code": error.code})


async def finish_all(store: Store, bus: Bus) -> None:
    """Do what is left of applies that were broken off, of every workspace."""

    async def finish(workspace: str) -> None:
        await finish_one(store, bus, workspace)

    await for_each(store, finish, "desk.config_unfinished")


async def watch_drift(store: Store, every_s: float) -> None:
    """Tell, now and again, how much differs from the files that were applied last."""
    while True:
        await measure_drift(store, datetime.now(UTC))
        await asyncio.sleep(every_s)


async def measure_drift(store: Store, now: datetime) -> None:
    """Set the gauges of drift; every process tells those of all workspaces."""
    differing = 0
    ages: list[float] = []

    async def measure(workspace: str) -> None:
        nonlocal differing
        record = await store.get(CONFIGS, workspace, workspace)
        if record is not None and record.applied_at is not None:
            differing += len((await drift_of(store, workspace)).objects)
            ages.append((now - record.applied_at).total_seconds())

    await for_each(store, measure, "desk.drift_unknown")
    metrics.DRIFT.set(differing)
    metrics.APPLIED_AGE.set(min(ages) if ages else math.nan)
