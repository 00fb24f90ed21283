"""A timer as a NATS message schedule: what is to be published to arm one.

The server keeps one schedule for each subject, so publishing again replaces it, and it survives the
server's own crash. When it is due the server stores the body under the target and drops the
schedule; a time that has passed already is due at once. Consumers of JetStream see what is due,
plain subscribers do not.

Source: NATS ADR-51 "JetStream Message Scheduler"; each line was seen with server 2.15.
"""

from __future__ import annotations

from datetime import UTC

import msgspec

from libs.common import subjects
from libs.common.events import Timer
from libs.common.ids import partition_of

KEPT = "24h"
"""How long what was due stays in the stream; it is settled at once, the rest is for people."""

_encode = msgspec.json.Encoder().encode


def message(timer: Timer) -> tuple[str, bytes, dict[str, str]]:
    """Return subject, body and headers that arm *timer*, in the place of the one before.

    They have their message id already, of the write that armed it: given a constant one the stream
    would swallow every later arming as a repeat, given none an old write that is published again
    would replace a newer one.
    """
    target = subjects.due(partition(timer), timer.kind, timer.key)
    headers = {
        "Nats-Schedule": f"@at {_rfc3339(timer)}",
        "Nats-Schedule-Target": target,
        "Nats-Schedule-TTL": KEPT,
    }
    if timer.rev:
        headers["Nats-Msg-Id"] = f"{timer.key}:{timer.kind}:{timer.rev}"
    return subjects.timer(timer.kind, timer.key), _encode(timer), headers


def partition(timer: Timer) -> int:
    """Return the partition of the scheduler's work that it comes in."""
    return partition_of(timer.workspace, timer.key, "")


def _rfc3339(timer: Timer) -> str:
    return timer.due.astimezone(UTC).isoformat().replace("+00:00", "Z")
