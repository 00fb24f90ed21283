"""What a consumer may set, and what it tells about itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

import msgspec

from libs.common.bus.delivery import ACK_WAIT_S, PIN_TTL_S, TRIES


def backoff_s(attempt: int) -> float:
    """Return the pause after the *attempt*-th failure: 2, 4, 8, 16, then 30 s."""
    return float(min(2**attempt, 30))


class Observed:
    """What a consumer tells for metrics: read the attributes, or override the methods.

    Attributes:
        in_flight: Deliveries taken and not yet settled.
        partitions: Partitions that we serve now, those included that we are handing over.
        pending: By partition, how many messages wait in the stream, as last told.
        handled, redelivered, retried, interrupted: Counts since the start.
        buried: Counts by reason code.
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self.partitions = 0
        self.pending: dict[int, int] = {}
        self.handled = 0
        self.redelivered = 0
        self.retried = 0
        self.interrupted = 0
        self.buried: dict[str, int] = {}
        self.oldest_stored_ns: Callable[[], int] = lambda: 0
        """The age source: when the oldest delivery in flight was stored, 0 when none is."""

    @property
    def oldest_age_s(self) -> float:
        """Seconds since the oldest delivery in flight was stored in the stream, 0 when none."""
        oldest = self.oldest_stored_ns()
        return max(time.time() - oldest / 1e9, 0.0) if oldest else 0.0

    def on_handled(self, count: int) -> None:
        """Deliveries were acknowledged."""
        self.handled += count

    def on_redelivered(self) -> None:
        """A delivery came that was delivered before."""
        self.redelivered += 1

    def on_retried(self, code: str) -> None:  # noqa: ARG002 (for those who override it)
        """A delivery will be tried again."""
        self.retried += 1

    def on_interrupted(self, code: str) -> None:  # noqa: ARG002 (for those who override it)
        """The store or the bus is away: work is repeated, nothing counts as tried."""
        self.interrupted += 1

    def on_buried(self, code: str) -> None:
        """A delivery went to DEAD."""
        self.buried[code] = self.buried.get(code, 0) + 1


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one consumer; the defaults are right for the services.

    Attributes:
        filters: Subject filters, one consumer each (a "partition"); None: the 16 partitions of the
            stream. Order is kept inside a filter's lane, not across filters.
        observe: Where to count.
        backoff: Seconds to wait after the n-th failure of a delivery.
        tries: Failures after which a delivery is buried.
        ack_wait_s: How long the server waits for a sign of life.
        pin_ttl_s: How long a silent replica keeps its partitions; above *ack_wait_s*.
        stop_within_s: Bound of a graceful stop.
        shared: All replicas take from a consumer at the same time: no pins, no order.
        after: A consumer that is made begins behind this place in the stream.
        since: A consumer that is made, where no place is given, begins with what was stored then or
            later; None: with all there is.
    """

    filters: tuple[str, ...] | None = None
    observe: Observed | None = None
    backoff: Callable[[int], float] = backoff_s
    tries: int = TRIES
    ack_wait_s: float = ACK_WAIT_S
    pin_ttl_s: float = PIN_TTL_S
    stop_within_s: float = 8.0
    shared: bool = False
    after: int = 0
    since: datetime | None = None
