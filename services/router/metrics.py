"""What the router counts. Labels come from closed sets.

Conservation (I15): of the events that ingest accepted, each ends as `stored`, `duplicate` or
`quarantined` in `events_total`, or is still in the stream (`lag`). `redelivered` are deliveries
whose effect an earlier delivery had already: they are no events of their own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, get_args

from prometheus_client import Counter, Gauge, Histogram

from libs.common.channels import CHANNELS
from libs.common.commands import AnyCommand
from libs.common.events import Fact
from libs.common.figures import Asked
from libs.common.rules.because import WORDS
from libs.common.surveys import RATED
from libs.common.zeros import from_zero

EventOutcome = Literal[
    "stored", "duplicate", "quarantined", "redelivered", "malformed", "reported", "erased"
]
EVENT_OUTCOMES: tuple[EventOutcome, ...] = get_args(EventOutcome)

REASONS = frozenset(WORDS)
"""The `because` of transitions; what else a person gives as the reason of an end is `other`."""

ASSIGNED = frozenset({"auto_assign", "reopened_to_owner", "rule"})
"""The `because` of automatic assignments; any other counts as `other`."""

EVENTS = Counter("relaydesk_router_events_total", "Events settled", ["channel", "outcome"])
BATCHES = Counter("relaydesk_router_batches_total", "Batches handled")
BATCH_SIZE = Histogram(
    "relaydesk_router_batch_size",
    "Deliveries in a batch",
    buckets=(1, 2, 5, 10, 20, 50, 100, 150, 200),
)
BATCH_SECONDS = Histogram(
    "relaydesk_router_batch_seconds",
    "From taking a batch to settling it",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)
STORED_SECONDS = Histogram(
    "relaydesk_router_received_to_stored_seconds",
    "From the webhook's arrival to its stored session",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 30, 300),
)
COMMANDS = Counter("relaydesk_router_commands_total", "Commands answered", ["verb", "outcome"])
COMMAND_SECONDS = Histogram(
    "relaydesk_router_command_seconds",
    "From taking a command to its answer",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5),
)
CAS_LOST = Counter(
    "relaydesk_router_cas_lost_total", "Writes decided again because someone was faster", ["by"]
)
TRANSITIONS = Counter(
    "relaydesk_router_transitions_total", "Sessions that changed lists", ["from", "to", "because"]
)
OUTBOX_PENDING = Gauge(
    "relaydesk_router_outbox_pending", "Sessions with facts or sends overdue to be published"
)
OUTBOX_FAILED = Counter(
    "relaydesk_router_outbox_failed_total", "Publishes that failed and wait for the sweeper"
)
LAG = Gauge("relaydesk_router_lag", "Events that wait in the stream for this replica")
IN_FLIGHT = Gauge("relaydesk_router_in_flight", "Events taken and not yet settled")
BURIED = Counter("relaydesk_router_buried_total", "Deliveries moved to DEAD", ["code"])

ASSIGNMENTS = Counter(
    "relaydesk_router_assignments_total", "Sessions given to an agent automatically", ["because"]
)
ASSIGN_SECONDS = Histogram(
    "relaydesk_router_waiting_to_assigned_seconds",
    "From coming into Unassigned until auto-assign gave the session to an agent",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60, 300, 900, 3600, 14400),
)
QUEUE_PASSES = Counter(
    "relaydesk_router_queue_passes_total", "Passes through the waiting sessions of a workspace"
)
SEATS_REFUSED = Counter(
    "relaydesk_router_seats_refused_total", "Places not taken because the agent was full by then"
)
SEATS_REPAIRED = Counter(
    "relaydesk_router_seats_repaired_total", "Places freed that a crash had left behind"
)
SURVEY_ASKED = Counter("relaydesk_survey_asked_total", "Visitors asked how it was")
SURVEY_ANSWERED = Counter("relaydesk_survey_answered_total", "Visitors who said how it was")


def count_assigned(because: str, now: datetime, waiting_since: datetime | None) -> None:
    """Count a session that was given to an agent automatically, and how long it had waited."""
    ASSIGNMENTS.labels(because if because in ASSIGNED else "other").inc()
    if waiting_since is not None:
        ASSIGN_SECONDS.observe(max((now - waiting_since).total_seconds(), 0.0))


def count_transition(fact: Fact) -> None:
    """Count *fact* if it tells of a change of lists."""
    if fact.type not in {"session.created", "session.moved", "session.ended"}:
        return
    because = fact.because if fact.because in REASONS else "other"
    TRANSITIONS.labels(fact.previous_list or "none", fact.list, because).inc()


def count_survey(fact: Fact, survey: Asked | None) -> None:
    """Count *fact* if it tells of the question of *survey*, or of its first answer."""
    if fact.type != "message.stored" or survey is None:
        return
    if fact.message == survey.question:
        SURVEY_ASKED.inc()
    elif fact.because == RATED:
        SURVEY_ANSWERED.inc()


VERBS = tuple(str(kind.__struct_config__.tag) for kind in get_args(AnyCommand))

from_zero(EVENTS, CHANNELS, EVENT_OUTCOMES)
from_zero(COMMANDS, VERBS, ("done", "repeated", "unavailable"))
from_zero(CAS_LOST, ("command", "batch", "queue"))
from_zero(ASSIGNMENTS, (*sorted(ASSIGNED), "other"))
from_zero(BURIED, ("malformed_payload", "bug"))
