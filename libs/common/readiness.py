"""What readiness depends on, as a metric: what /readyz answers, each time it or a scrape asks."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Gauge

READY = Gauge(
    "relaydesk_ready",
    "1 where the check of readiness holds, else 0: bus, store, directory, accounts, storage "
    "(JetStream or the spool), serving (it is not stopping). Asked anew at each scrape.",
    ("check",),
)


def note(found: Mapping[str, bool]) -> None:
    """Show the outcome of each check, by its name."""
    for check, holds in found.items():
        READY.labels(check).set(holds)
