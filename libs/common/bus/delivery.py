"""What crosses the bus, as plain values: no NATS in here, so handlers may import it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

FOR = "Relaydesk-For"
"""Header: the durable consumer that alone is to take the message; all others pass over it.

A message that one consumer gave up is brought back for that one: the others had it."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a durable consumer.

    `sequence` is its place in the stream, `attempt` is 1 on the first delivery, `partition` the
    consumer it came through, `pending` how many wait behind it, `stored_at_ns` when the stream
    took it (UTC nanoseconds).
    """

    subject: str
    data: bytes
    headers: Mapping[str, str]
    sequence: int
    attempt: int
    partition: int
    pending: int
    reply: str
    stored_at_ns: int = 0


class Ack(msgspec.Struct, frozen=True, tag="ack"):
    """Done; never deliver it again."""


class Retry(msgspec.Struct, frozen=True, tag="retry"):
    """Deliver it again after `delay_s`; buried once its tries are used up.

    A `quiet` one is counted but not logged: the handler tells of what it waits for, once for all.
    """

    code: str
    delay_s: float = 1.0
    quiet: bool = False


class Bury(msgspec.Struct, frozen=True, tag="bury"):
    """It can never succeed: store it on DEAD with the reason, then stop delivering it."""

    code: str
    detail: str = ""


Outcome = Ack | Retry | Bury

BatchHandler = Callable[[Sequence[Delivery]], Awaitable[Sequence[Outcome]]]
"""Handles whatever has arrived; returns one outcome for each delivery, in their order."""

LaneHandler = Callable[[Delivery], Awaitable[Outcome]]

Behind = Callable[[str, Sequence[Delivery]], None]
"""Told which deliveries wait in a lane behind the one that a handler works on: all of them just
before it is called, and each that arrives meanwhile."""


class PubAck(msgspec.Struct, frozen=True):
    """JetStream stored the message at `sequence`, or knew its id already (`duplicate`)."""

    sequence: int
    duplicate: bool


class StoredMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message read back from a stream; `stored_at_ns` is UTC nanoseconds."""

    subject: str
    sequence: int
    data: bytes
    headers: Mapping[str, str]
    stored_at_ns: int


class KvEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A key's value; `value` None tells that the key was deleted."""

    key: str
    value: bytes | None
    revision: int


TRIES = 5
"""Deliveries of one message before it is buried (I10)."""
ACK_WAIT_S = 6.0
"""How long the server waits for a sign of life about a delivery before it delivers again."""
PIN_TTL_S = 8.0
"""How long a silent replica keeps its pins; above `ACK_WAIT_S`, else a failover breaks order."""
