"""What the handlers of the scheduler are given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
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
