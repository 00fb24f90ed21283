"""Metrics of the scheduler. Every label value comes from a closed set."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from prometheus_client import Counter, Gauge, Histogram

from libs.common.bus.options import Observed
from libs.common.events import TimerKind
from libs.common.later import ScheduledMessage, ScheduledState
from libs.common.zeros import from_zero
from services.scheduler.broadcasts_metrics import (  # noqa: F401 (listed with all the others)
    ASKED_AGAIN,
    DONE,
    RECIPIENTS,
    RUNNING,
    WAITING,
)
from services.scheduler.broadcasts_metrics import WAITS as BROADCAST_WAITS  # noqa: F401

FIRED = Counter(
    "relaydesk_scheduler_fired_total",
    "Timers that came due and took effect, or were brought to the router, by kind.",
    ("kind",),
)
GONE = Counter(
    "relaydesk_scheduler_gone_total",
    "Timers that came due for what does not exist (any more), by kind.",
    ("kind",),
)
LATE_SECONDS = Histogram(
    "relaydesk_scheduler_late_seconds",
    "Time from when a timer was due to its effect, the router's answer included.",
    ("kind",),
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0),
)
SCHEDULED = Counter(
    "relaydesk_scheduler_scheduled_total",
    "Scheduled messages by what became of them: sent, failed (one that failed late was counted as "
    "sent before), skipped, held; and their timers: quiet (moved out of quiet hours), early (armed "
    "again), fault (a router's own, asked again), settled (cancelled, or acted on before).",
    ("outcome",),
)
WAITS = Counter(
    "relaydesk_scheduler_waits_total",
    "Tries of a timer that found no router to answer, or the bus or the store away.",
)
RETRIES = Counter(
    "relaydesk_scheduler_retries_total", "Tries that the router refused, by its code.", ("code",)
)
BURIED = Counter(
    "relaydesk_scheduler_buried_total", "Timers given up and kept on DEAD, by reason.", ("code",)
)
IN_FLIGHT = Gauge(
    "relaydesk_scheduler_in_flight", "Due timers taken and not settled yet, by kind.", ("kind",)
)
LAG = Gauge(
    "relaydesk_scheduler_lag", "Due timers that wait in the stream to be taken, by kind.", ("kind",)
)
OLDEST = Gauge(
    "relaydesk_scheduler_oldest_seconds",
    "How long the oldest due timer in hand has been waiting, by kind.",
    ("kind",),
)
PACED = Counter(
    "relaydesk_scheduler_paced_total",
    "Timers that were late, or had many behind them, and were paced, by kind.",
    ("kind",),
)
REARMED = Counter(
    "relaydesk_scheduler_rearmed_total",
    "Timers armed again from their documents, at the start and every half hour.",
)


def settled(before: ScheduledMessage, after: ScheduledMessage, now: datetime) -> None:
    """Count what a write has made of a scheduled message, if anything.

    How late it is says nothing of one that was held: it came when the visitor wrote.
    """
    if after.held and not before.held:
        SCHEDULED.labels("held").inc()
    elif after.state != before.state:
        SCHEDULED.labels(after.state).inc()
    if before.state != "pending" or after.state == "pending":
        return
    FIRED.labels("scheduled").inc()
    if not before.held:
        late_s = (now - (before.fires_at or before.due_at)).total_seconds()
        LATE_SECONDS.labels("scheduled").observe(max(late_s, 0.0))


class Watch(Observed):
    """Passes on what the consumer of a kind tells to the metrics."""

    def __init__(self, kind: TimerKind) -> None:
        super().__init__()
        IN_FLIGHT.labels(kind).set_function(lambda: self.in_flight)
        LAG.labels(kind).set_function(lambda: sum(self.pending.values()))
        OLDEST.labels(kind).set_function(lambda: self.oldest_age_s)

    def on_retried(self, code: str) -> None:
        """The router refused; it will be tried again."""
        super().on_retried(code)
        RETRIES.labels(code).inc()

    def on_interrupted(self, code: str) -> None:
        """Nobody is there to answer."""
        super().on_interrupted(code)
        WAITS.inc()

    def on_buried(self, code: str) -> None:
        """A timer went to DEAD."""
        super().on_buried(code)
        BURIED.labels(code).inc()


KINDS = get_args(TimerKind)
SETTLED = (*(state for state in get_args(ScheduledState) if state != "pending"), "held")
BURIALS = ("malformed_payload", "bug")

for _counter in (FIRED, GONE, PACED, LATE_SECONDS):
    from_zero(_counter, KINDS)
from_zero(SCHEDULED, (*SETTLED, "quiet", "early", "fault", "settled"))
from_zero(BURIED, BURIALS)
