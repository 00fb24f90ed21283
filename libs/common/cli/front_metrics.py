"""What the front counts. Labels come from closed sets: the two services, and what became of it."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

REQUESTS = Counter(
    "relaydesk_front_requests_total",
    "Requests by service and outcome: the class of the answer's status, `unavailable` (no replica "
    "answered: 503), `full` (too many files at once: 503), `client_gone` (the client left before "
    "its request was whole)",
    ["backend_kind", "outcome"],
)
TRIED_NEXT = Counter(
    "relaydesk_front_next_tried_total",
    "Replicas that took no connection, or gave no answer to what changes nothing, so that the next "
    "one was tried",
    ["backend_kind"],
)
BACKENDS = Gauge(
    "relaydesk_front_backends", "Replicas that the front knows, by state", ["kind", "state"]
)
for _service in ("ingest", "desk"):
    TRIED_NEXT.labels(_service)
    for _outcome in ("2xx", "3xx", "4xx", "5xx", "unavailable", "full", "client_gone"):
        REQUESTS.labels(_service, _outcome)
