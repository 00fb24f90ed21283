"""What becomes of a delivery: acknowledged, tried again later, or buried on DEAD."""

from __future__ import annotations

import logging
import time

import msgspec

from libs.common import tracing
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Bury, Delivery, LaneHandler, Outcome, Retry
from libs.common.bus.options import Options
from libs.common.bus.partition import ACK, NAK, TERM, Held
from libs.common.errors import (
    BusUnavailableError,
    GatewayError,
    PermanentError,
    RetryableError,
    StoreUnavailableError,
)
from libs.common.subjects import TIMERS, Stream, dead

log = logging.getLogger(__name__)

INFRASTRUCTURE = (BusUnavailableError, StoreUnavailableError)
"""The bus or the store is away: no delivery is to blame, so none is counted as tried."""

_DETAIL_CHARS = 500
_QUIET_S = 5.0
_S = 1_000_000_000


def verdict(error: Exception) -> Outcome:
    """Return what a handler's exception means for the one delivery it was given."""
    if isinstance(error, PermanentError):
        return Bury(error.code, error.detail)
    if isinstance(error, RetryableError):
        return Retry(error.code, error.delay_s)
    if isinstance(error, GatewayError):
        return Retry(error.code, 0.0)  # the backoff alone says how long
    return Retry("bug", 0.0)


def nak_word(delay_s: float) -> bytes:
    """Return the word for "deliver it again after *delay_s*"."""
    if delay_s <= 0:
        return NAK
    return NAK + b" " + msgspec.json.encode({"delay": int(delay_s * _S)})


def dead_headers(stream: str, delivery: Delivery, code: str, detail: str) -> dict[str, str]:
    """Return the headers of a buried message: its own, and why and whence.

    Headers that command JetStream are left out, or a burial would schedule or expire something;
    the message id is kept under our own name, so that a redrive can use it again.
    """
    own = {k: v for k, v in delivery.headers.items() if not k.lower().startswith("nats-")}
    named = {
        "Relaydesk-Reason": code,
        "Relaydesk-Detail": detail[:_DETAIL_CHARS],
        "Relaydesk-Stream": stream,
        "Relaydesk-Sequence": str(delivery.sequence),
        "Relaydesk-Attempts": str(delivery.attempt),
        "Relaydesk-Subject": delivery.subject,
    }
    if "Nats-Msg-Id" in delivery.headers:
        named["Relaydesk-Msg-Id"] = delivery.headers["Nats-Msg-Id"]
    return own | named


class Settler:
    """Carries out outcomes for one consumer.

    Args:
        bus: Where DEAD is.
        stream: Where the deliveries come from.
        service: Who buries.
        options: Times, tries, counts.
        durable: The consumer's name, for spans; empty: the service's.
    """

    def __init__(
        self, bus: Bus, stream: Stream, service: str, options: Options, durable: str = ""
    ) -> None:
        assert options.observe is not None, "given by the engine"  # noqa: S101
        self._bus = bus
        self._stream = stream.name
        self._service = service
        self._durable = durable or service
        self._options = options
        self.observe = options.observe
        self.tries = options.tries
        self._told_at = float("-inf")

    async def traced(self, handle: LaneHandler, delivery: Delivery) -> Outcome:
        """Return what *handle* says of *delivery*, as a part of the trace that the message carries.

        What comes of a timer is a trace of its own: it may be weeks after who set it.
        """
        given = tracing.carried(delivery.headers)
        apart = self._stream == TIMERS.name
        tracing.enter("" if apart else given)
        if not tracing.recording():
            return await handle(delivery)
        about: dict[str, tracing.Value] = {
            "messaging.system": "nats",
            "messaging.destination.name": self._stream,
            "messaging.consumer.group.name": self._durable,
            "relaydesk.attempt": delivery.attempt,
        }
        links = [given] if apart else []
        name = f"process {self._stream} {self._durable}"
        with tracing.span(name, "consumer", about, links=links) as span:
            outcome = await handle(delivery)
            span.set({"relaydesk.outcome": type(outcome).__name__.lower()})
            if not isinstance(outcome, Ack):
                span.fail(outcome.code)
            return outcome

    def ack(self, held: Held) -> None:
        """Done: never deliver it again."""
        held.partition.settle(held, ACK)
        self.observe.on_handled(1)

    def delay_s(self, retry: Retry, failures: int) -> float:
        """Return how long to wait after this many failures: never shorter than asked for."""
        return max(retry.delay_s, self._options.backoff(failures))

    def again_later(self, held: Held, retry: Retry, failures: int) -> None:
        """Have it delivered again after a pause that grows with the failures."""
        delay_s = self.delay_s(retry, failures)
        self.report(held, retry, failures, delay_s)
        held.partition.settle(held, nak_word(delay_s))

    def report(self, held: Held, retry: Retry, failures: int, delay_s: float) -> None:
        """Log and count one failure that will be tried again."""
        self.observe.on_retried(retry.code)
        log.log(
            logging.DEBUG if retry.quiet else logging.WARNING,
            "bus.retry",
            extra={
                "subject": held.delivery.subject,
                "sequence": held.delivery.sequence,
                "code": retry.code,
                "failures": failures,
                "delay_s": delay_s,
            },
        )

    def interrupted(self, error: GatewayError) -> None:
        """Count that the bus or the store is away; log it at most once in 5 s."""
        self.observe.on_interrupted(error.code)
        now = time.monotonic()
        if now - self._told_at > _QUIET_S:
            self._told_at = now
            log.warning("bus.work_waits", extra={"code": error.code, "reason": error.detail})

    async def settle(self, held: Held, outcome: Outcome) -> None:
        """Carry out an outcome of the batch engine, where the server counts the tries."""
        match outcome:
            case Ack():
                self.ack(held)
            case Retry() if held.delivery.attempt < self.tries:
                self.again_later(held, outcome, held.delivery.attempt)
            case Retry():
                await self._bury_or_again(held, Bury(outcome.code, "tries used up"))
            case Bury():
                await self._bury_or_again(held, outcome)

    async def _bury_or_again(self, held: Held, bury: Bury) -> None:
        if not await self.bury(held, bury):
            self.again_later(held, Retry("bury_failed"), held.delivery.attempt)

    async def bury(self, held: Held, bury: Bury) -> bool:
        """Store it on DEAD, and only when that is confirmed stop its delivery.

        A crash in between repeats the burial under the same id and loses nothing. Returns False
        when DEAD did not confirm.
        """
        delivery = held.delivery
        headers = dead_headers(self._stream, delivery, bury.code, bury.detail)
        headers["Relaydesk-Consumer"] = durable = held.partition.durable
        # The time is part of the id: a recreated stream counts its sequences from 1 again. So is
        # the consumer: two of one service may give up the same message.
        msg_id = f"{self._stream}:{delivery.sequence}:{durable}:{delivery.stored_at_ns}"
        subject = dead(self._service, delivery.subject)
        try:
            await self._store(subject, delivery.data, msg_id, headers)
        except GatewayError as error:
            log.error("bus.bury_failed", extra={"subject": subject, "reason": error.detail})  # noqa: TRY400
            return False
        held.partition.settle(held, TERM)
        self.observe.on_buried(bury.code)
        log.error(
            "bus.buried",
            extra={"subject": subject, "sequence": delivery.sequence, "code": bury.code},
        )
        return True

    async def _store(self, subject: str, data: bytes, msg_id: str, headers: dict[str, str]) -> None:
        try:
            await self._bus.publish(subject, data, msg_id=msg_id, headers=headers)
        except PermanentError:  # too large with our headers: the body stays in its own stream
            without = headers | {"Relaydesk-Truncated": str(len(data))}
            await self._bus.publish(subject, b"", msg_id=msg_id, headers=without)
