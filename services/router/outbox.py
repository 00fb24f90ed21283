"""Carry out what a session's write decided: store its entries, publish its facts, sends, timers.

What reports count of it is stored with the entries, see `reckoned`.

Who has lost the session loses the place that was taken for it, and the queue is woken when the
session waits now.

The write of the session is the decision; everything here may be repeated. What a crash left
behind is found again by `sweep`, and said under the same message ids.

An emptied outbox is not worth a write of its own: the session is remembered as published, and
emptied in the store by its next change, by a batch that has waited long enough, or in a pause.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol

import msgspec

from libs.common import subjects, timers, tracing
from libs.common.bus.delivery import PubAck
from libs.common.documents import DECISIONS, MESSAGES, SESSIONS, DecisionRecord, Message, Session
from libs.common.errors import PermanentError, StoreUnavailableError
from libs.common.store.api import Store
from services.router import metrics, spans
from services.router.draft import cleared
from services.router.history import history, is_decided
from services.router.reckoned import FiguresRacedError, store_figures
from services.router.seats import Seats, left, nothing
from services.router.store import overdue_outboxes, workspaces
from services.router.wording import find_by_words

log = logging.getLogger(__name__)

OVERDUE = timedelta(seconds=5)
"""What has waited longer was left by a crash or a fault."""
SWEEP_EVERY_S = 3.0
REST_S = 0.25
"""How often a pause between batches is used to empty outboxes."""
AGED = timedelta(seconds=2)
"""A published outbox that found neither a change nor a pause so long is emptied by a batch."""
_AT_ONCE = 200
_PUBLISHING = {"messaging.system": "nats"}

_encode = msgspec.json.Encoder().encode


class Publishes(Protocol):
    """What the outbox needs of the bus."""

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PubAck]:
        """See `Bus.publish_soon`."""
        ...


class _Published(NamedTuple):
    """A session whose outbox is done with, as it is to be written, and since when."""

    session: Session
    at: datetime


class Outbox:
    """Drains outboxes, and remembers which sessions' outboxes are done with.

    Args:
        store: Where entries and records of decisions go.
        bus: Where facts, sends and timers go.
        now: The clock.
        seats: The places of those who lose a session.
        queued: Called with the workspace when a session waits in `unassigned`.
    """

    def __init__(
        self,
        store: Store,
        bus: Publishes,
        now: Callable[[], datetime],
        *,
        seats: Seats | None = None,
        queued: Callable[[str], None] = nothing,
    ) -> None:
        self._store = store
        self._bus = bus
        self._now = now
        self._seats = seats or Seats(store, now)
        self._queued = queued
        self._published: defaultdict[str, dict[str, _Published]] = defaultdict(dict)
        self.at_work = asyncio.Lock()
        """Held by a batch, and by the emptying in a pause: they would lose races to each other."""

    def fresh(self, session: Session) -> Session:
        """Return *session* as loaded, without an outbox that was published already."""
        known = self._published[session.workspace].get(session.id)
        return known.session if known and known.session.rev == session.rev else session

    def aged(self, workspace: str, changed: Collection[str]) -> list[Session]:
        """Take up to `_AT_ONCE` sessions that a batch is to empty besides those it changes."""
        waiting = self._published[workspace]
        for id_ in changed:
            waiting.pop(id_, None)
        return self._take(workspace, self._now() - AGED)

    def _take(self, workspace: str, before: datetime) -> list[Session]:
        waiting = self._published[workspace]
        taken: list[Session] = []
        for published in waiting.values():  # the oldest first
            if published.at > before or len(taken) == _AT_ONCE:
                break
            taken.append(published.session)
        for session in taken:
            del waiting[session.id]
        return taken

    async def drain(self, sessions: Sequence[Session]) -> None:
        """Store the entries and free places, then publish and wait for the confirmations.

        What fails stays in the outbox for the sweeper: the decision stands, so nobody who waits
        for it is told of a failure.
        """
        try:
            await self._store_entries(sessions)
            await store_figures(self._store, sessions)
            await self._free_places(sessions)
        except (StoreUnavailableError, FiguresRacedError) as error:
            log.warning("outbox.entries_wait", extra={"reason": error.detail})
            metrics.OUTBOX_FAILED.inc(len(sessions))
            return
        for workspace in {session.workspace for session in sessions if session.wakes}:
            self._queued(workspace)
        with tracing.span("publish outbox", "producer", _PUBLISHING):
            said = [self._publish(session) for session in sessions]
            await asyncio.gather(
                *(future for futures in said for future in futures), return_exceptions=True
            )
        for session, futures in zip(sessions, said, strict=True):
            failed = [e for e in (future.exception() for future in futures) if e is not None]
            if all(isinstance(e, PermanentError) for e in failed):  # trying those again cannot help
                waiting = self._published[session.workspace]
                waiting.pop(session.id, None)
                waiting[session.id] = _Published(cleared(session), self._now())
            self._report(session, failed)

    async def flush(self) -> None:
        """Empty in the store what was published; a lost race leaves it to the winner."""
        async with self.at_work:
            for workspace in list(self._published):
                while sessions := self._take(workspace, self._now()):
                    await self._store.replace_many(SESSIONS, sessions)

    async def sweep(self) -> None:
        """Drain what a crash or a fault left behind, in every workspace."""
        overdue = 0
        for workspace in await workspaces(self._store):
            before = self._now() - OVERDUE
            found = await overdue_outboxes(self._store, workspace, before, _AT_ONCE)
            overdue += len(found)
            if found:
                log.info("outbox.swept", extra={"workspace": workspace, "sessions": len(found)})
            for session in found:  # one by one: what cannot be said holds up nothing else
                await _unless_away(partial(self.drain, [session]))
        metrics.OUTBOX_PENDING.set(overdue)

    async def keep_clearing(self) -> None:
        """Empty outboxes for ever, in the pauses."""
        while True:
            await asyncio.sleep(REST_S)
            if not self.at_work.locked():
                await _unless_away(self.flush)

    async def keep_sweeping(self) -> None:
        """Sweep for ever."""
        while True:
            await _unless_away(self.sweep)
            await _unless_away(self._seats.settle)
            await asyncio.sleep(SWEEP_EVERY_S)

    async def _store_entries(self, sessions: Sequence[Session]) -> None:
        entries: defaultdict[str, dict[str, Message]] = defaultdict(dict)
        records: defaultdict[str, dict[str, DecisionRecord]] = defaultdict(dict)
        for session in sessions:  # a conflict: an earlier drain stored it
            entries[session.workspace] |= {entry.id: entry for entry in session.writes}
            records[session.workspace] |= {record.id: record for record in session.records}
        for written in entries.values():
            if written:
                found = [copy(entry) for entry in written.values()]  # the outbox has no words
                await find_by_words(found)
                await self._store.insert_many(MESSAGES, found)
        for decided in records.values():
            if decided:
                await self._store.insert_many(DECISIONS, list(decided.values()))

    async def _free_places(self, sessions: Sequence[Session]) -> None:
        """Let go those who had a session before."""
        for session in sessions:
            for agent in sorted(left(session)):
                await self._seats.vacate(session, agent)

    def _publish(self, session: Session) -> list[asyncio.Future[PubAck]]:
        said = [
            self._bus.publish_soon(
                subjects.fact(fact.workspace, fact.type, fact.session),
                _encode(fact),
                msg_id=fact.fact_id,
                headers=_attributes(session, fact.fact_id, fact.type, fact.at),
            )
            for fact in session.facts
        ]
        for request in session.sends:
            subject = subjects.outbound(
                request.workspace, request.account, request.visitor, request.session
            )
            msg_id = f"{request.message_id}:send"
            headers = _attributes(session, msg_id, "send.requested", request.queued_at)
            said.append(
                self._bus.publish_soon(subject, _encode(request), msg_id=msg_id, headers=headers)
            )
        for timer in session.timers:
            subject, data, headers = timers.message(timer)
            msg_id = headers.pop("Nats-Msg-Id", "")
            said.append(self._bus.publish_soon(subject, data, msg_id=msg_id, headers=headers))
        if is_decided(session):
            subject, data = history(session)
            msg_id = f"{session.id}:{session.rev}:was"
            said.append(self._bus.publish_soon(subject, data, msg_id=msg_id))
        return said

    def _report(self, session: Session, failed: Sequence[BaseException]) -> None:
        if failed:
            metrics.OUTBOX_FAILED.inc(len(failed))
            reasons = sorted({getattr(error, "code", type(error).__name__) for error in failed})
            log.warning("outbox.unsaid", extra={"session": session.id, "reasons": reasons})


def _attributes(session: Session, id_: str, kind: str, at: datetime) -> dict[str, str]:
    """Return the CloudEvents attributes, as headers."""
    return {
        "ce-specversion": "1.0",
        "ce-id": id_,
        "ce-source": f"/{session.workspace}/router",
        "ce-type": kind,
        "ce-time": at.isoformat(),
        **spans.of_session(session),
    }


async def _unless_away(work: Callable[[], Awaitable[None]]) -> None:
    """Do *work*; what fails is tried again at the next turn."""
    try:
        await work()
    except StoreUnavailableError as error:
        log.warning("outbox.waits", extra={"reason": error.detail})
    except Exception:  # the boundary: a bug must not end the loop that heals
        log.exception("outbox.bug")
