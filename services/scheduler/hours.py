"""Business hours begin or end: the routers look at the workspace's queue."""

from __future__ import annotations

from typing import Protocol

from libs.common import subjects
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.events import Timer
from services.scheduler import metrics

SAID_BY = b"scheduler"


class Shouts(Protocol):
    """What waking needs of the bus."""

    def shout(self, subject: str, data: bytes) -> None:
        """See `Bus.shout`."""
        ...


class Hours:
    """The handler of timers of kind `hours`.

    What is shouted may be lost: routers look by themselves a little later, see their assigner.
    """

    def __init__(self, bus: Shouts) -> None:
        self._bus = bus

    async def fire(self, timer: Timer, _delivery: Delivery) -> Outcome:
        """Wake the queue of the workspace."""
        self._bus.shout(subjects.wake(timer.workspace), SAID_BY)
        metrics.FIRED.labels(timer.kind).inc()
        return Ack()
