"""The ledger of INBOUND as metrics: durable sums, told alike by every replica.

They survive restarts and kills. Query them with `max without (instance, pod) (...)`.
"""

from __future__ import annotations

from typing import Literal, get_args

from prometheus_client import Counter, Gauge

from libs.common.channels import CHANNELS
from libs.common.ledger.told import Told

LedgerOutcome = Literal[
    "stored", "duplicate", "quarantined", "erased", "buried", "reported", "written_off"
]
LEDGER_OUTCOMES: tuple[LedgerOutcome, ...] = get_args(LedgerOutcome)

ACCEPTED = Counter(
    "relaydesk_ledger_accepted_total",
    "Events on INBOUND that the ledger has passed, our own reports of sends included. Durable, "
    "alike in every replica.",
    ["channel"],
)
EVENTS = Counter(
    "relaydesk_ledger_events_total",
    "What became of them: stored, duplicate (of an event that is stored), quarantined (kept "
    "unparsed), erased, buried (on DEAD), reported (ours, of a send), written_off (by a person). "
    "With the missing ones their sum is relaydesk_ledger_accepted_total.",
    ["channel", "outcome"],
)
MISSING = Gauge(
    "relaydesk_ledger_missing",
    "Events that are passed, settled, and nowhere: lost, unless they are replayed. Must be 0.",
    ["channel"],
)
EXPIRED = Counter(
    "relaydesk_ledger_expired_total",
    "Places of INBOUND that were empty when the ledger came by: nobody can tell what became of "
    "them. Retention if the ledger was days behind, else an erasure or a purge.",
)
IN_FLIGHT = Gauge("relaydesk_ledger_in_flight", "Places of INBOUND that are not passed yet")
BEHIND = Gauge(
    "relaydesk_ledger_behind_seconds",
    "Age of the oldest event that is not passed yet; 0 when all are. Without a look for a minute, "
    "the time since the last one.",
)


def told() -> Told:
    """Return what tells a ledger by these metrics."""
    return Told(
        passed=ACCEPTED,
        outcomes=EVENTS,
        missing=MISSING,
        expired=EXPIRED,
        in_flight=IN_FLIGHT,
        behind=BEHIND,
        channels=CHANNELS,
        words=LEDGER_OUTCOMES,
    )
