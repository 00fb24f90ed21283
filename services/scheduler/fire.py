"""One timer that is due: a session's is brought to the router, until a router has answered.

Of a session's timer the scheduler decides nothing. The router acts only where the session says so
itself, so a timer that is brought twice acts once, and one that was taken back does not act. The
other kinds have handlers of their own.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, cast, get_args

import msgspec

from libs.common import subjects
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry
from libs.common.commands import Actor, FireTimer
from libs.common.decode import decode
from libs.common.errors import (
    BusUnavailableError,
    MalformedPayloadError,
    NoResponderError,
    StoreUnavailableError,
)
from libs.common.events import SessionTimer, Timer, TimerKind
from services.scheduler import metrics
from services.scheduler.asking import ANSWER_S, AWAY, Asks
from services.scheduler.pacing import Paced

SCHEDULER = Actor(kind="system", id="scheduler")
_SESSIONS = frozenset(get_args(SessionTimer))
_NOT_FOUND = 404


class _Reply(msgspec.Struct, frozen=True):
    """What counts of a `commands.Answer`; the session in it need not be read."""

    type: Literal["done", "refused"]
    code: str = ""
    status: int = 0


_timer = msgspec.json.Decoder(Timer)
_reply = msgspec.json.Decoder(_Reply)
_encode = msgspec.json.Encoder().encode


Fire: TypeAlias = Callable[[Timer, Delivery], Awaitable[Outcome]]
"""What a kind of timer does when it is due; raises as `Firing.handle`."""


class Firing:
    """The handler of what is due.

    Args:
        bus: Where the routers listen.
        now: The clock.
        others: By kind, what has a handler of its own.
        paced: Holds back what is overdue.
    """

    def __init__(
        self,
        bus: Asks,
        now: Callable[[], datetime],
        others: Mapping[TimerKind, Fire] | None = None,
        paced: Paced | None = None,
    ) -> None:
        self._bus = bus
        self._now = now
        self._others = others or {}
        self._paced = paced or Paced(now, 0.0, time.monotonic)

    async def handle(self, delivery: Delivery) -> Outcome:
        """Bring one timer to the router.

        Raises:
            BusUnavailableError: No router answers: kept, and repeated until one does.
            StoreUnavailableError: The router has no store, or no time: likewise.
        """
        try:
            timer = decode(_timer, delivery.data)
        except MalformedPayloadError as error:
            return Bury("malformed", error.detail)
        act = self._others.get(timer.kind)
        if act is None and timer.kind not in _SESSIONS:
            return Bury("malformed", f"no kind of timer: {timer.kind[:40]}")
        act = act or self.bring
        async with self._paced.turn(timer, delivery):
            return await act(timer, delivery)

    async def bring(self, timer: Timer, delivery: Delivery) -> Outcome:
        """Bring a session's timer to the router; raises as `handle`."""
        answer = await self._ask(timer, delivery.partition)
        if answer.type == "done":
            self._count(timer)
            return Ack()
        if answer.status == _NOT_FOUND:  # gone with its session
            metrics.GONE.labels(timer.kind).inc()
            return Ack()
        if answer.status in AWAY:
            raise StoreUnavailableError(answer.code)
        return Retry(answer.code)

    async def _ask(self, timer: Timer, partition: int) -> _Reply:
        command = command_of(timer, self._now() + timedelta(seconds=ANSWER_S))
        subject = subjects.command(partition, timer.workspace, "timer")
        try:
            data = await self._bus.request(subject, _encode(command), timeout_s=ANSWER_S)
            return decode(_reply, data)
        except NoResponderError:
            raise BusUnavailableError("no router is there") from None
        except MalformedPayloadError as error:  # of a router of another version
            raise BusUnavailableError(f"the answer is unreadable: {error.detail}") from None

    def _count(self, timer: Timer) -> None:
        metrics.FIRED.labels(timer.kind).inc()
        late_s = (self._now() - timer.due).total_seconds()
        metrics.LATE_SECONDS.labels(timer.kind).observe(max(late_s, 0.0))


def command_of(timer: Timer, deadline: datetime) -> FireTimer:
    """Return what the router is asked; the same timer has the same key."""
    return FireTimer(
        workspace=timer.workspace,
        session=timer.session,
        actor=SCHEDULER,
        key=f"{timer.kind}:{timer.session}:{timer.due.isoformat()}",
        deadline=deadline,
        kind=cast(SessionTimer, timer.kind),
        due=timer.due,
    )
