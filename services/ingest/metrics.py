"""What ingest counts. Labels come from closed sets: endpoints and channels of the registry.

Conservation (I15): `received_total` = the sum of `requests_total` + `in_flight`; every accepted
event is in `events_accepted_total`, and of those the ones kept unread in `unparsed_total`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Literal, get_args

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Metric
from prometheus_client.registry import Collector

from libs.common.channels import CHANNELS
from libs.common.tracing import exemplar
from libs.common.zeros import from_zero

Outcome = Literal[
    "accepted",  # 200, confirmed by JetStream
    "spooled",  # 200, on the local disk
    "handshake",  # 200 to a provider's GET
    "handshake_refused",
    "minted",  # a web visitor got a token
    "identified",  # a web visitor is who the site says, by its signature
    "foreign_origin",  # a page that the web plugin is not for
    "heartbeat",
    "returned",  # a web visitor came back by the link in an email
    "link_expired",
    "page",  # the page of such a link, the plugin's script, or what it asks about the account
    "stream",  # an event stream of a web visitor, counted at its end
    "preflight",
    "bad_signature",
    "unknown_account",
    "unknown_path",
    "wrong_method",
    "too_large",
    "compressed",
    "timeout",
    "disconnected",  # the client left before its body was complete
    "bad_request",
    "throttled",
    "busy",
    "unavailable",  # neither JetStream nor the spool could store it
    "error",  # a defect of ours, answered 503
]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

KEPT_READINGS = 5_000

ERASED = Counter(
    "relaydesk_ingest_erased_total",
    "Late events of visitors who were erased since: dropped, as are their webhooks.",
)


class Tally:
    """A counter for the path of every webhook: a plain number until somebody asks.

    Raising a counter of prometheus_client takes a lock each time, which adds up to a tenth of
    what a webhook costs. It belongs to one event loop, which is also where scrapes are answered.
    """

    def __init__(self, counter: Counter) -> None:
        self.count = 0
        self._counter = counter
        _carried.append(self)

    def carry(self) -> None:
        """Hand over what was counted."""
        count, self.count = self.count, 0
        if count:
            self._counter.inc(count)


class Readings:
    """A histogram for the same path: readings are kept until somebody asks.

    Of each bucket one reading, the last, is told with its trace.
    """

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._bounds: Sequence[float] = histogram._upper_bounds  # noqa: SLF001 (not told otherwise)
        self._readings: list[float] = []
        self._traced: dict[int, tuple[float, str]] = {}
        _carried.append(self)

    def add(self, value: float, traceparent: str = "") -> None:
        """Take one reading."""
        self._readings.append(value)
        if traceparent:
            self._traced[bisect_left(self._bounds, value)] = value, traceparent
        if len(self._readings) >= KEPT_READINGS:
            self.carry()

    def carry(self) -> None:
        """Hand over what was read."""
        readings, self._readings = self._readings, []
        traced, self._traced = dict(self._traced.values()), {}
        for value in readings:
            self._histogram.observe(value, exemplar(traced.pop(value, "")))


tally = cache(Tally)
readings = cache(Readings)
"""One for each counter, and not for each site that counts there: else scrapes grow with them."""


class _CarryOver(Collector):
    """Comes before the counters in the registry, so that a scrape sees what was counted."""

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        for one in _carried:
            one.carry()
        return ()


_carried: list[Tally | Readings] = []
REGISTRY.register(_CarryOver())

RECEIVED = Counter("relaydesk_ingest_received_total", "Requests begun", ["endpoint"])
REQUESTS = Counter("relaydesk_ingest_requests_total", "Requests ended", ["endpoint", "outcome"])
SECONDS = Histogram(
    "relaydesk_ingest_request_seconds",
    "From the first byte to the answer, accepted webhooks only",
    ["endpoint"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 1.9, 5.0),
)
IN_FLIGHT = Gauge("relaydesk_ingest_in_flight", "Requests begun and not yet ended")
EVENTS = Counter("relaydesk_ingest_events_accepted_total", "Events of accepted bodies", ["channel"])
IGNORED = Counter("relaydesk_ingest_items_ignored_total", "Known items to ignore", ["channel"])
UNPARSED = Counter(
    "relaydesk_ingest_unparsed_total",
    "Accepted events that are kept as they came",
    ["channel", "reason"],
)
UNKNOWN_ADDRESSEES = Counter(
    "relaydesk_ingest_unknown_addressees_total",
    "Signed bodies' items for accounts that nobody connected",
    ["endpoint"],
)
DUPLICATES = Counter(
    "relaydesk_ingest_duplicates_total",
    "Messages that JetStream had already, by who published them",
    ["source"],
)
PUBLISH_FAILURES = Counter(
    "relaydesk_ingest_publish_failures_total", "Messages that JetStream did not confirm in time"
)
LAST_ACCEPTED = Gauge(
    "relaydesk_ingest_last_accepted_timestamp_seconds",
    "When a body was last accepted",
    ["endpoint"],
)
STREAMS = Gauge("relaydesk_ingest_visitor_streams", "Open event streams of web visitors")
SPOOL_BYTES = Gauge("relaydesk_ingest_spool_bytes", "Bytes in the spool")
SPOOL_LIMIT = Gauge(
    "relaydesk_ingest_spool_limit_bytes", "Bytes that the spool may take; then webhooks are refused"
)
SPOOL_RECORDS = Gauge("relaydesk_ingest_spool_records", "Webhooks in the spool")
SPOOL_TORN = Counter("relaydesk_ingest_spool_torn_total", "Damaged stretches skipped in the spool")
REPLAYED = Counter("relaydesk_ingest_spool_replayed_total", "Webhooks replayed from the spool")

from_zero(IGNORED, CHANNELS)
from_zero(UNPARSED, CHANNELS, ("unknown_kind", "malformed_item", "malformed_body"))
