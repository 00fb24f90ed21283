"""From facts and timers to alerts: what is in hand of one session is one step and one write.

Several replicas take facts at the same time, in no order. Two that meet at one session compare and
set its one document, and who loses looks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import msgspec

from libs.common.alerts import Attention
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome
from libs.common.bus.settle import INFRASTRUCTURE
from libs.common.documents import MESSAGES, SESSIONS, Session
from libs.common.errors import RetryableError
from libs.common.events import Fact
from libs.common.ids import derive_id
from libs.common.policy import Policy
from libs.common.preferences import Watched
from libs.common.presence import Presences
from libs.common.store.api import Store
from services.notifier import attention_metrics as metrics
from services.notifier.attention import News, Step
from services.notifier.attention_step import step
from services.notifier.attention_store import APART as APART_KIND
from services.notifier.attention_store import Place, Record
from services.notifier.attention_storm import Breaker, Permits
from services.notifier.attention_who import APART, Around, Subscribed, calls, matters

OLD = timedelta(days=1)
"""What happened before alerts nobody any more, nor counts: the bus was away for so long."""
AT_ONCE = 100
"""Facts of one session in one step."""
_TRIES = 30

_decode = msgspec.json.Decoder(Fact).decode


class Known(NamedTuple):
    """What is watched: policies, preferences, presence."""

    policy: Callable[[str], Policy]
    preferences: Watched
    presences: Presences


class _Waiting(NamedTuple):
    """A fact in hand, or None for a timer, and who waits for it."""

    fact: Fact | None
    done: asyncio.Future[None]


class Engine:
    """Decides alerts.

    Args:
        store: Has sessions, messages and attention open.
        record: The documents.
        known: What is watched.
        now: UTC.
    """

    def __init__(
        self, store: Store, record: Record, known: Known, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._record = record
        self._known = known
        self._now = now
        self._breaker = Breaker()
        self._subscribed: dict[str, Subscribed] = {}
        self._waiting: dict[Place, list[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, delivery: Delivery) -> Outcome:
        """Take one fact; see `LaneHandler`.

        Raises:
            BusUnavailableError, StoreUnavailableError: It is repeated when they are back.
        """
        try:
            fact = _decode(delivery.data)
        except msgspec.DecodeError:
            return Bury(code="malformed_payload", detail="no fact")
        if fact.at < self._now() - OLD:
            metrics.FACTS.labels("old").inc()
            return Ack()
        if fact.type == "session.ended" and delivery.attempt == 1:
            metrics.HANDLED.inc()
        if not matters(fact, self._around(fact.workspace)):
            metrics.FACTS.labels("apart").inc()
        else:
            await self._queue(place_of(fact), fact)
        return Ack()

    async def look(self, place: Place) -> None:
        """Do what is due by now of one document; raises as `handle`."""
        await self._queue(place, None)

    async def close(self) -> None:
        """Give up what is in hand; it comes again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _queue(self, place: Place, fact: Fact | None) -> None:
        """Wait until *fact* is dealt with, together with what else is in hand of its session."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(place)
        if waiting is None:
            self._waiting[place] = [_Waiting(fact, done)]
            task = asyncio.create_task(self._work(place))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            waiting.append(_Waiting(fact, done))
        await done

    async def _work(self, place: Place) -> None:
        """Deal with what is in hand of one session, and what comes meanwhile."""
        while waiting := self._waiting[place]:
            batch = waiting[:AT_ONCE]
            del waiting[:AT_ONCE]
            await self._all(place, batch)
        del self._waiting[place]

    async def _all(self, place: Place, batch: Sequence[_Waiting]) -> None:
        """Deal with *batch* in one step; what is wrong with one of them costs the others nothing.

        Who fails raises where it is waited for.
        """
        try:
            await self._settle(place, batch)
        except INFRASTRUCTURE as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 (the boundary: it is raised in `_queue`)
            if len(batch) == 1:
                _fail(batch, error)
                return
            for one in batch:
                await self._all(place, [one])
        else:
            for one in batch:
                if not one.done.done():
                    one.done.set_result(None)

    async def _settle(self, place: Place, batch: Sequence[_Waiting]) -> None:
        news = [await self._news(one.fact) for one in batch if one.fact is not None]
        fired = len(news) < len(batch)
        permits = self._permits(place)
        raced = False
        for _ in range(_TRIES):
            before = await self._record.read(place)
            if _is_nothing(before, news):
                _count(["nobody"] * len(news))
                return
            if before is not None:
                await self._record.tell(before)
            made = await self._decided(place, before, news, permits)
            if await self._written(place, before, made, armed=not (raced or fired)):
                _report(made, fired=fired)
                return
            raced = True
        raise RetryableError(f"attention {place.id} is raced for")

    async def _decided(
        self, place: Place, before: Attention | None, news: Sequence[News], permits: Permits
    ) -> Step:
        session: Session | None = None
        if place.is_session:
            session = await self._store.get(SESSIONS, place.workspace, place.id)
        nothing = Attention(id=place.id, workspace=place.workspace, updated_at=self._now())
        around = self._around(place.workspace)
        return step(before or nothing, session, news, around, permits)

    async def _written(
        self, place: Place, before: Attention | None, made: Step, *, armed: bool
    ) -> bool:
        """Arm and write what was decided; *armed*: what the document says stands."""
        stands = before.due_at if before is not None and armed else None
        if stands is not None and stands <= self._now():
            stands = None
        after, due, at = made.after, made.due, None
        is_new = before is None or after is not before
        if due is not None and (stands is None or due < stands) and (is_new or not armed):
            at = await self._record.arm(place, due)
        if not is_new or not (after.outbox or after.rev or after.watches):
            return True
        after = msgspec.structs.replace(after, due_at=None if due is None else at or stands)
        return await self._record.write(place, after, at)

    async def _news(self, fact: Fact) -> News:
        if fact.type not in {"message.status", "session.mention"} or not fact.message:
            return News(fact)
        return News(fact, await self._store.get(MESSAGES, fact.workspace, fact.message))

    def _around(self, workspace: str) -> Around:
        known = self._known
        return Around(
            workspace=workspace,
            policy=known.policy(workspace),
            preferences=partial(known.preferences.of, workspace),
            subscribed=self._subscribed.setdefault(workspace, Subscribed()),
            chosen=known.preferences.changes(workspace),
            online=lambda agent: known.presences.state(workspace, agent) == "online",
            now=self._now(),
        )

    def _permits(self, place: Place) -> Permits:
        most = self._known.policy(place.workspace).settings.alerts.storm_per_minute
        return Permits(self._breaker, place.workspace, place.id, most)


def place_of(fact: Fact) -> Place:
    """Return the document that *fact* belongs to."""
    if fact.type in APART:
        return Place(
            fact.workspace,
            derive_id(APART_KIND, fact.workspace, fact.type, fact.session),
            is_session=False,
        )
    return Place(fact.workspace, fact.session)


def _is_nothing(before: Attention | None, news: Sequence[News]) -> bool:
    """Tell whether nobody waits, and none of the news can change that."""
    nobody = before is None or not before.watches
    return nobody and not any(calls(one.fact) for one in news)


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for one in batch:
        if not one.done.done():
            one.done.set_exception(error)


def _report(made: Step, *, fired: bool) -> None:
    """Count what was decided, once it stands."""
    _count(made.outcomes)
    if fired:
        metrics.TIMERS.labels("due" if made.said else "early").inc()
    for because in made.cleared:
        metrics.CLEARED.labels(because).inc()
    metrics.HELD.inc(made.held)
    for sink, alert in made.said:
        if alert.summary and alert.kind == "raised":
            metrics.SUMMARIES.labels(sink).inc()
        elif alert.kind == "raised":
            metrics.RAISED.labels(alert.trigger, sink).inc()


def _count(outcomes: Sequence[str]) -> None:
    for outcome in outcomes:
        metrics.FACTS.labels(outcome).inc()
