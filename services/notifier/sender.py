"""One message from OUTBOUND to its provider, in order per session, at most once.

The mark in the store is written before the first call and the outcome after the last; only then
is the outcome reported on INBOUND and the delivery settled. So whatever dies in between, the next
delivery finds out how far it came.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import Literal

import msgspec

from libs.common import subjects
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.errors import (
    AmbiguousSendError,
    BusUnavailableError,
    GatewayError,
    NotSentError,
    RejectedError,
)
from libs.common.events import Inbound, SendReported, SendRequest
from services.notifier import metrics
from services.notifier.courier import Courier
from services.notifier.gates import PATIENCE_S, BusyError, Gate, StoppingError
from services.notifier.ledger import LostError
from services.notifier.outcome import (
    Again,
    Refresh,
    Result,
    Tried,
    Verdict,
    judge,
    recorded,
    sent,
)
from services.notifier.standing import SuspendedError
from services.notifier.work import Limits, Outside, Work

log = logging.getLogger(__name__)

ELSEWHERE_S = 5.0

_REQUEST = msgspec.json.Decoder(SendRequest)


class _Kind(msgspec.Struct, frozen=True):
    """The part of a `SendRequest` that says whether it hurries."""

    account: str = ""
    bulk: bool = False


_KIND = msgspec.json.Decoder(_Kind)


class NotNowError(BusUnavailableError):
    """The message must wait, by no fault of its own: the bus keeps it and counts no try."""

    code = "account_waits"


class Sender:
    """Handles deliveries of OUTBOUND; the lanes of the bus see to the order."""

    def __init__(self, outside: Outside, limits: Limits) -> None:
        self._out = outside
        self._limits = limits
        self._courier = Courier(outside, limits)
        self._hurried: set[str] = set()
        """Sessions where somebody's words wait behind the message that we have."""

    async def handle(self, delivery: Delivery) -> Outcome:
        """Send one message, report its outcome, and say how to settle the delivery.

        Raises:
            BusUnavailableError, StoreUnavailableError: It must wait (see `NotNowError`), or was
                not marked, or not reported: the bus repeats, which begins with the mark.
        """
        try:
            request = _REQUEST.decode(delivery.data)
        except (ValueError, RecursionError) as error:
            return Bury("malformed_payload", type(error).__name__)
        with metrics.IN_FLIGHT.track_inprogress():
            try:
                result = await self._settled(Work(request))
                await self._report(request, result)
            except (StoppingError, BusyError) as error:
                raise NotNowError(type(error).__name__) from None
            except LostError:
                return Retry("elsewhere", ELSEWHERE_S)
            finally:
                self._hurried.discard(request.session)
        return Ack()

    def behind(self, session: str, waiting: Sequence[Delivery]) -> None:
        """Let the session's message go with the others if one of *waiting* is not bulk."""
        urgent = next((kind for kind in map(_kind, waiting) if not kind.bulk), None)
        if urgent is not None:
            self._hurried.add(session)
            self._out.gates.lift(urgent.account, session)

    async def _settled(self, work: Work) -> Result:
        """Try until there is an outcome; return it once it is written.

        Raises:
            StoppingError: The service stops and nothing of the message is out.
            BusyError: The account has been busy for long, and nothing of the message is out.
            LostError: Another process has it.
        """
        while True:
            try:
                async with self._out.gates.inside(
                    work.request.account,
                    patience_s=PATIENCE_S if work.untouched else None,
                    pace=self._courier.pace(work.request),
                    bulk=self._bulk(work),
                ) as gate:
                    verdict = await self._try(work, gate)
                if isinstance(verdict, Again):
                    await self._wait(work, verdict)
            except StoppingError:
                if not work.transcript.begun:
                    await self._leave(work)
                    raise
                verdict = Result(status="failed", reason="partly_sent", provider_code="stopped")
            if isinstance(verdict, Result):
                return await self._finish(work, verdict)

    def _bulk(self, work: Work) -> str:
        """Return the session of a message that may wait for all others; "" where it may not.

        What is begun is finished with the others: it holds a mark, and perhaps is half out.
        """
        request = work.request
        lets_others_pass = request.bulk and work.untouched and request.session not in self._hurried
        return request.session if lets_others_pass else ""

    async def _wait(self, work: Work, again: Again) -> None:
        await self._leave(work)
        await self._out.gates.sleep(again.delay_s)

    async def _leave(self, work: Work) -> None:
        """Take the mark back where certainly nothing is out: a crash from here on is harmless."""
        attempt = work.attempt
        if attempt is None or not work.untouched:
            return
        if attempt.state == "started" or attempt.tries != work.tries:
            work.attempt = await self._out.ledger.wait(attempt, tries=work.tries)

    async def _try(self, work: Work, gate: Gate) -> Verdict:
        known = await self._mark(work)
        if known is not None:
            return known
        try:
            answer = await self._courier.carry(work, gate)
        except GatewayError as error:
            return self._judge(work, error, gate)
        except (StoppingError, LostError):
            raise
        except Exception as bug:  # noqa: BLE001  # the boundary: a channel's bug costs one message
            log.error(  # noqa: TRY400 (a trace could hold the message's text)
                "send.bug",
                extra={"message_id": work.request.message_id, "reason": type(bug).__name__},
            )
            return Result(status="unknown" if work.in_doubt else "failed", reason="bug")
        gate.widen()
        self._out.standings.sent(work.request.account, answer.via)
        return sent(answer)

    async def _mark(self, work: Work) -> Result | None:
        """Write or renew the mark; return the outcome where it holds one already.

        Of a message that brings files the mark says `waiting` until the courier comes to a call
        that may put something out: whoever dies before that has done no harm.
        """
        ledger, first = self._out.ledger, False
        if work.attempt is None:
            state: Literal["started", "waiting"] = "waiting" if work.brings_files else "started"
            work.attempt, first = await ledger.open(work.request, state)
            known = recorded(work.attempt)
            if known is not None:
                return known
            work.tries = work.attempt.tries
            work.cut = work.doubtful = not first and work.attempt.state == "started"
        if work.attempt.state == "waiting" and not first:
            work.transcript.restart()
            renew = ledger.renewed(work.attempt)
            work.attempt = renew if work.brings_files else await ledger.begin(renew)
        return None

    def _judge(self, work: Work, error: GatewayError, gate: Gate) -> Verdict:
        failed = work.transcript.failed
        work.tries += 1
        refreshable = self._courier.can_refresh(work) and not isinstance(error, SuspendedError)
        verdict = judge(
            error,
            Tried(
                tries=work.tries,
                limit=self._limits.tries,
                called=failed is not None,
                keyed=failed is not None and failed.idempotent,
                harmless=failed is not None and failed.harmless,
                doubtful=work.doubtful,
                partly=work.transcript.begun,
                refreshable=refreshable,
                chance=random.random(),  # noqa: S311 (jitter)
            ),
        )
        self._count(work.request.channel, error, verdict)
        self._brake(error, verdict, gate)
        final = isinstance(verdict, Result)
        self._out.standings.failed(work.request.account, error, failed, final=final)
        if isinstance(error, AmbiguousSendError) and failed is not None and not failed.harmless:
            work.doubtful = True
        work.admitted = isinstance(verdict, Refresh)
        if isinstance(verdict, Refresh):
            work.refused_token = work.token
        return verdict

    def _count(self, name: str, error: GatewayError, verdict: Verdict) -> None:
        code = error.reason if isinstance(error, RejectedError) else error.code
        labels = (metrics.channel_label(name), metrics.code_label(code))
        metrics.PROVIDER_ERRORS.labels(*labels).inc()
        if not isinstance(verdict, Result):
            metrics.RETRIES.labels(*labels).inc()

    def _brake(self, error: GatewayError, verdict: Verdict, gate: Gate) -> None:
        """Slow the whole account down where its other messages would fail the same way."""
        if isinstance(error, NotSentError):
            gate.narrow()
        if isinstance(verdict, Again) and verdict.pause:
            gate.pause(verdict.delay_s)

    async def _finish(self, work: Work, result: Result) -> Result:
        if work.attempt is None or recorded(work.attempt) is not None:
            return result
        result = await self._out.ledger.finish(work.attempt, result)
        channel = metrics.channel_label(work.request.channel)
        metrics.SENDS.labels(channel, result.status).inc()
        if result.status == "sent":
            metrics.VIA.labels(channel, metrics.way_label(result.via)).inc()
            metrics.COST.labels(channel, metrics.cost_label(channel, result.via)).inc()
            metrics.LAST_SENT.labels(channel).set_to_current_time()
        log.info(
            "message.delivered" if result.status == "sent" else "message.not_delivered",
            extra={
                "message_id": work.request.message_id,
                "account": work.request.account,
                "status": result.status,
                "reason": result.reason,
                "provider_code": result.provider_code,
                "via": result.via,
            },
        )
        return result

    async def _report(self, request: SendRequest, result: Result) -> None:
        """Tell the router; repeated under the same id it is stored once."""
        now = self._out.now()
        event_id = f"send:{request.message_id}:{result.status}"
        report = Inbound(
            workspace=request.workspace,
            channel=request.channel,
            account=request.account,
            ingest_id="",
            received_at=now,
            event=SendReported(
                event_id=event_id,
                visitor=request.visitor,
                occurred_at=now,
                message_id=request.message_id,
                status=result.status,
                provider_ids=result.provider_ids,
                via=result.via,
                reason=result.reason,
                provider_code=result.provider_code,
                linked_visitor=result.linked_visitor,
            ),
        )
        subject = subjects.inbound(
            request.workspace, request.channel, request.account, request.visitor
        )
        await self._out.bus.publish(subject, msgspec.json.encode(report), msg_id=event_id)


def _kind(delivery: Delivery) -> _Kind:
    try:
        return _KIND.decode(delivery.data)
    except (ValueError, RecursionError):
        return _Kind(bulk=True)  # its turn will bury it; nobody needs to hurry for that
