"""Handing deliveries to the notifiers, by whoever wrote them: a timer that is due at once.

The notifier takes what is due from TIMERS and decides by the document; a timer too many does
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from libs.common import timers
from libs.common.armed import Publishes
from libs.common.bus.client import Bus
from libs.common.events import Timer
from libs.common.webhooks import WebhookDelivery, WebhookEndpoint

CHANGES = "svc.webhooks.*"
"""Core subjects on which notifiers are told that the endpoints of a workspace have changed."""


PARKED = "parked-"
"""Before an endpoint's id, in place of a delivery's: the timer of what is parked for it."""


def changed(bus: Bus, workspace: str) -> None:
    """Tell the notifiers to read the workspace's endpoints again; who misses it does so soon."""
    bus.shout(f"svc.webhooks.{workspace}", b"")


async def arm(bus: Publishes, delivery: WebhookDelivery, due: datetime) -> None:
    """Have *delivery* looked at when it is *due*, in the place of any time before.

    Raises:
        BusUnavailableError: It is perhaps not armed.
    """
    await _arm(bus, delivery.workspace, delivery.id, due)


async def arm_parked(bus: Publishes, endpoint: WebhookEndpoint, due: datetime) -> None:
    """Have what is parked for *endpoint* taken up when it is *due*: one timer for all of it.

    Raises:
        BusUnavailableError: It is perhaps not armed.
    """
    await _arm(bus, endpoint.workspace, PARKED + endpoint.id, due)


async def _arm(bus: Publishes, workspace: str, ref: str, due: datetime) -> None:
    timer = Timer(kind="webhook", workspace=workspace, ref=ref, due=due)
    subject, data, headers = timers.message(timer)
    await bus.publish(subject, data, msg_id="", headers=headers)


async def arm_all(bus: Publishes, deliveries: Iterable[WebhookDelivery], due: datetime) -> None:
    """Have many looked at.

    Raises:
        BusUnavailableError: Some are perhaps not armed.
    """
    waits: list[Any] = [arm(bus, delivery, due) for delivery in deliveries]
    await asyncio.gather(*waits)
