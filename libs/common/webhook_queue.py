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
from libs.common.webhooks import WebhookDelivery

CHANGES = "svc.webhooks.*"
"""Core subjects on which notifiers are told that the endpoints of a workspace have changed."""


def changed(bus: Bus, workspace: str) -> None:
    """Tell the notifiers to read the workspace's endpoints again; who misses it does so soon."""
    bus.shout(f"svc.webhooks.{workspace}", b"")


async def arm(bus: Publishes, delivery: WebhookDelivery, due: datetime) -> None:
    """Have *delivery* looked at when it is *due*, in the place of any time before.

    Raises:
        BusUnavailableError: It is perhaps not armed.
    """
    timer = Timer(kind="webhook", workspace=delivery.workspace, ref=delivery.id, due=due)
    subject, data, headers = timers.message(timer)
    await bus.publish(subject, data, msg_id="", headers=headers)


async def arm_all(bus: Publishes, deliveries: Iterable[WebhookDelivery], due: datetime) -> None:
    """Have many looked at.

    Raises:
        BusUnavailableError: Some are perhaps not armed.
    """
    waits: list[Any] = [arm(bus, delivery, due) for delivery in deliveries]
    await asyncio.gather(*waits)
