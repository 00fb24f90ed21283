"""What the handlers of the scheduler are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from libs.common.bus.client import Bus
from libs.common.bus.delivery import Delivery, Outcome
from libs.common.directory import Directory
from libs.common.events import Timer
from libs.common.store.api import Store


class Means(NamedTuple):
    """What a handler stands on.

    Attributes:
        bring: Brings a session's timer to the router, see `fire.Firing.bring`.
    """

    bus: Bus
    store: Store
    directory: Directory
    now: Callable[[], datetime]
    bring: Callable[[Timer, Delivery], Awaitable[Outcome]]


def by(means: Means, timer: Timer) -> Means:
    """Return *means* with a clock that is not behind the server's, by which *timer* has come due.

    By a clock behind it, it would be too early: armed again for its time it would come back at
    once, until the clocks agree.
    """
    behind = timer.due - means.now()
    if behind <= timedelta():
        return means
    return means._replace(now=lambda: means.now() + behind)
