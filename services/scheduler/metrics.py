"""Metrics of the scheduler. Every label value comes from a closed set."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from libs.common.bus.options import Observed

FIRED = Counter(
    "relaydesk_scheduler_fired_total",
    "Timers that came due and were brought to the router, by kind.",
    ("kind",),
)
GONE = Counter(
    "relaydesk_scheduler_gone_total",
    "Timers that came due for a session that does not exist (any more), by kind.",
    ("kind",),
)
LATE_SECONDS = Histogram(
    "relaydesk_scheduler_late_seconds",
    "Time from when a timer was due to the router's answer.",
    ("kind",),
    buckets=(0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0),
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
IN_FLIGHT = Gauge("relaydesk_scheduler_in_flight", "Due timers taken and not settled yet.")
LAG = Gauge("relaydesk_scheduler_lag", "Due timers that wait in the stream to be taken.")
PARTITIONS = Gauge("relaydesk_scheduler_partitions", "Partitions that this process serves now.")
OLDEST = Gauge(
    "relaydesk_scheduler_oldest_seconds", "How long the oldest due timer in hand has been waiting."
)


class Watch(Observed):
    """Passes on what the consumer tells to the metrics."""

    def __init__(self) -> None:
        super().__init__()
        IN_FLIGHT.set_function(lambda: self.in_flight)
        LAG.set_function(lambda: sum(self.pending.values()))
        PARTITIONS.set_function(lambda: self.partitions)
        OLDEST.set_function(lambda: self.oldest_age_s)

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
