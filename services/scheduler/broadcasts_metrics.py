"""Metrics of broadcasts. Every label value comes from a closed set."""

from __future__ import annotations

import time
from datetime import datetime

from prometheus_client import Counter, Gauge

from libs.common.zeros import from_zero

RECIPIENTS = Counter(
    "relaydesk_scheduler_recipients_total",
    "Recipients of broadcasts by what became of them: sent, delivered, read, failed, skipped, "
    "cancelled; one that is read was counted as sent before.",
    ("state",),
)
DONE = Counter("relaydesk_scheduler_broadcasts_done_total", "Broadcasts that ended.")
WAITS = Counter(
    "relaydesk_scheduler_broadcast_waits_total",
    "Recipients for whom no router answered, or not in time; they are asked for again.",
)
ASKED_AGAIN = Counter(
    "relaydesk_scheduler_broadcast_asked_again_total",
    "Recipients for whom the router was asked once more under the same key.",
)
RUNNING = Gauge(
    "relaydesk_scheduler_broadcasts_running",
    "Broadcasts of which this process did a tick in the last half minute; of several processes any "
    "may, so take the greatest.",
)
WAITING = Gauge(
    "relaydesk_scheduler_recipients_waiting",
    "Recipients of those broadcasts that have not been written to, at most 10,000 of each; of "
    "several processes take the greatest.",
)
COUNTED = 10_000
_GRACE_S = 30.0
"""How long after its next tick was due a broadcast is taken to be another process's."""

_seen: dict[str, tuple[float, int]] = {}


def watch(broadcast: str, waiting: int, next_at: datetime) -> None:
    """Note that *broadcast* runs, and how many of its recipients wait until *next_at*.

    Each tick may be another process's, so that several know of it.
    """
    _seen[broadcast] = (next_at.timestamp() + _GRACE_S, waiting)
    RUNNING.set_function(lambda: len(_here()))
    WAITING.set_function(lambda: sum(_here()))


def forget(broadcast: str) -> None:
    """Note that *broadcast* runs no more."""
    _seen.pop(broadcast, None)


def _here() -> list[int]:
    now = time.time()
    for name in [name for name, (until, _) in _seen.items() if until < now]:
        del _seen[name]
    return [waiting for _, waiting in _seen.values()]


from_zero(RECIPIENTS, ("sent", "delivered", "read", "failed", "skipped", "cancelled"))
