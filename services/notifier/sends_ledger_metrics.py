"""The ledger of OUTBOUND as metrics: durable sums, told alike by every replica.

They survive restarts and kills. Query them with `max without (instance, pod) (...)`.
"""

from __future__ import annotations

from typing import Literal, get_args

from prometheus_client import Counter, Gauge

from libs.common.channels import CHANNELS
from libs.common.ledger.told import Told

SendOutcome = Literal["sent", "failed", "unknown", "erased", "buried", "written_off"]
SEND_OUTCOMES: tuple[SendOutcome, ...] = get_args(SendOutcome)

QUEUED = Counter(
    "relaydesk_sends_ledger_queued_total",
    "Messages on OUTBOUND that the ledger has passed. Durable, alike in every replica.",
    ["channel"],
)
SENDS = Counter(
    "relaydesk_sends_ledger_sends_total",
    "What first became of them: sent, failed, unknown (it may have arrived), erased, buried (on "
    "DEAD), written_off (by a person). With the missing ones their sum is "
    "relaydesk_sends_ledger_queued_total.",
    ["channel", "outcome"],
)
MISSING = Gauge(
    "relaydesk_sends_ledger_missing",
    "Messages that are passed, settled, and of which no send is known. Must be 0.",
    ["channel"],
)
EXPIRED = Counter(
    "relaydesk_sends_ledger_expired_total",
    "Places of OUTBOUND that were empty when the ledger came by: by retention, an erasure, a "
    "purge.",
)
IN_FLIGHT = Gauge("relaydesk_sends_ledger_in_flight", "Places of OUTBOUND that are not passed yet")
BEHIND = Gauge(
    "relaydesk_sends_ledger_behind_seconds",
    "Age of the oldest message on OUTBOUND that is not passed yet; 0 when all are. Without a look "
    "for a minute, the time since the last one.",
)


def told() -> Told:
    """Return what tells a ledger by these metrics."""
    return Told(
        passed=QUEUED,
        outcomes=SENDS,
        missing=MISSING,
        expired=EXPIRED,
        in_flight=IN_FLIGHT,
        behind=BEHIND,
        channels=CHANNELS,
        words=SEND_OUTCOMES,
    )
