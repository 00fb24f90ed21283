"""Tell durable sums as metrics: every replica the same, from the first look on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from prometheus_client import Counter, Gauge

from libs.common.ledger.page import Ledger, missing_of
from libs.common.ledger.trail import Standing

SILENT_S = 60.0
"""After so long without a look, that is how far a ledger is behind."""


class Sums:
    """Brings a counter to given sums; a sum that went down begins again, as after a restart."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._told: dict[tuple[str, ...], int] = {}

    def tell(self, sums: Mapping[tuple[str, ...], int]) -> None:
        """Bring each labelled counter to its sum."""
        for labels, total in sums.items():
            before = self._told.get(labels, 0)
            if total < before:
                self._counter.remove(*labels)
                before = 0
            self._counter.labels(*labels).inc(total - before)
            self._told[labels] = total


class Told:
    """The metrics of one ledger.

    Args:
        passed: Labelled by channel.
        outcomes: Labelled by channel and outcome.
        missing: Labelled by channel.
        expired: Without labels.
        in_flight: Without labels.
        behind: Without labels, seconds.
        channels: Those whose metrics exist from the first look on.
        words: Outcomes that exist from the first look on.
    """

    def __init__(  # noqa: PLR0913 (made in one place a service)
        self,
        *,
        passed: Counter,
        outcomes: Counter,
        missing: Gauge,
        expired: Counter,
        in_flight: Gauge,
        behind: Gauge,
        channels: Iterable[str],
        words: Iterable[str],
    ) -> None:
        self._passed, self._outcomes = Sums(passed), Sums(outcomes)
        self._expired = expired
        self._expired_told = 0
        self._missing = missing
        self._in_flight = in_flight
        self._channels = tuple(channels)
        self._words = tuple(words)
        self._oldest: datetime | None = None
        self._looked = time.monotonic()
        behind.set_function(self._behind)

    def tell(self, standing: Standing) -> None:
        """Tell what a look showed."""
        ledger = standing.ledger
        self._passed.tell({(name,): 0 for name in self._channels} | _passed(ledger))
        empty = {(name, word): 0 for name in self._channels for word in self._words}
        self._outcomes.tell(empty | _outcomes(ledger))
        for name, count in (dict.fromkeys(self._channels, 0) | missing_of(ledger)).items():
            self._missing.labels(name).set(count)
        self._expired.inc(max(ledger.expired - self._expired_told, 0))
        self._expired_told = max(ledger.expired, self._expired_told)
        self._in_flight.set(standing.in_flight)
        self._oldest, self._looked = standing.oldest, time.monotonic()

    def _behind(self) -> float:
        silent = time.monotonic() - self._looked
        waits = 0.0
        if self._oldest is not None:
            waits = max((datetime.now(UTC) - self._oldest).total_seconds(), 0.0)
        return max(waits, silent if silent > SILENT_S else 0.0)


def _passed(ledger: Ledger) -> dict[tuple[str, ...], int]:
    return {(name,): count for name, count in ledger.passed.items()}


def _outcomes(ledger: Ledger) -> dict[tuple[str, ...], int]:
    return {
        (name, word): count
        for name, sums in ledger.outcomes.items()
        for word, count in sums.items()
    }
