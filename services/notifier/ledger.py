"""The sender's marks in the store: what was begun, what waits, what came of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.documents import SENDS, SESSIONS, SendAttempt
from libs.common.errors import StaleRevisionError, StoreUnavailableError, UniqueConflictError
from libs.common.events import SendRequest
from libs.common.store.api import Store
from services.notifier.hold import hold
from services.notifier.outcome import Result, recorded


class LostError(Exception):
    """Another process works on the same message (it was taken over); leave it to that one."""


class Ledger:
    """Writes attempts and holds what it must write until the store answers.

    Args:
        store: Where `SENDS` and `SESSIONS` are.
        now: The clock, UTC.
        stopping: Whether what has not begun may be given up.
    """

    def __init__(
        self, store: Store, *, now: Callable[[], datetime], stopping: Callable[[], bool]
    ) -> None:
        self._store = store
        self._now = now
        self._stopping = stopping

    async def open(
        self, request: SendRequest, state: Literal["started", "waiting"] = "started"
    ) -> tuple[SendAttempt, bool]:
        """Mark *request*, and tell whether this is its first mark.

        `waiting` is for a message whose first calls show nothing: `begin` comes before the others.

        Raises:
            StoreUnavailableError: The service stops and the store is away.
        """
        mine = SendAttempt(
            id=request.message_id,
            workspace=request.workspace,
            account=request.account,
            session=request.session,
            state=state,
            started_at=self._moment(),
        )
        doubted = False  # an insert that was not confirmed may be what is found afterwards

        async def insert() -> tuple[SendAttempt, bool]:
            nonlocal doubted
            try:
                return await self._store.insert(SENDS, mine), True
            except UniqueConflictError:
                found = await self._store.get(SENDS, request.workspace, request.message_id)
            except StoreUnavailableError:
                doubted = True
                raise
            if found is None:
                raise StoreUnavailableError("a mark that exists cannot be read")
            return found, doubted and found.started_at == mine.started_at

        return await hold(insert, give_up=self._stopping)

    async def is_hushed(self, request: SendRequest) -> bool:
        """Tell whether a person has taken over since a machine said *request*.

        Raises:
            StoreUnavailableError: The service stops and the store is away.
        """
        epoch = request.epoch
        if epoch is None:
            return False

        async def look() -> bool:
            session = await self._store.get(SESSIONS, request.workspace, request.session)
            return session is not None and epoch < session.hushed

        return await hold(look, give_up=self._stopping)

    async def restart(self, attempt: SendAttempt) -> SendAttempt:
        """Mark a waiting attempt as started once more.

        Raises:
            LostError: Somebody else has written the mark since.
            StoreUnavailableError: The service stops and the store is away.
        """
        return await self.begin(self.renewed(attempt))

    def renewed(self, attempt: SendAttempt) -> SendAttempt:
        """Return a waiting attempt as of now, unwritten."""
        return msgspec.structs.replace(attempt, started_at=self._moment())

    async def begin(self, attempt: SendAttempt) -> SendAttempt:
        """Mark a waiting attempt as started at its own time: the next call may put something out.

        Raises:
            LostError: Somebody else has written the mark since.
            StoreUnavailableError: The service stops and the store is away.
        """
        started = msgspec.structs.replace(attempt, state="started")
        return await self._write(started, give_up=self._stopping)

    async def wait(self, attempt: SendAttempt, *, tries: int) -> SendAttempt:
        """Mark that nothing of the message is out after *tries* tries, and that it goes on.

        Raises:
            LostError: Somebody else has written the mark since.
            StoreUnavailableError: The service stops and the store is away.
        """
        waiting = msgspec.structs.replace(attempt, state="waiting", tries=tries)
        return await self._write(waiting, give_up=self._stopping)

    async def finish(self, attempt: SendAttempt, result: Result) -> Result:
        """Write the outcome; return the one that holds.

        Where another process took the message over while we were at it, a provider's word stands
        above its `unknown`, and `sent` above everything.
        """

        async def write() -> Result:
            present = attempt
            while True:
                try:
                    await self._store.replace(SENDS, _finished(present, result))
                except StaleRevisionError:
                    found = await self._store.get(SENDS, attempt.workspace, attempt.id)
                    known = recorded(found) if found else result
                    if found is None or (known is not None and not _outranks(result, known)):
                        return known or result
                    present = found
                else:
                    return result

        return await hold(write)

    async def _write(self, attempt: SendAttempt, *, give_up: Callable[[], bool]) -> SendAttempt:
        """Replace; a write that was not confirmed and then finds itself there is fine."""

        async def write() -> SendAttempt:
            try:
                return await self._store.replace(SENDS, attempt)
            except StaleRevisionError:
                found = await self._store.get(SENDS, attempt.workspace, attempt.id)
            if found is not None and _same(found, attempt):
                return found
            raise LostError

        return await hold(write, give_up=give_up)

    def _moment(self) -> datetime:
        """Return the time in whole milliseconds, as every store keeps it."""
        now = self._now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)


_RANK = {"unknown": 0, "failed": 1, "sent": 2}


def _outranks(result: Result, known: Result) -> bool:
    return _RANK[result.status] > _RANK[known.status]


def _finished(attempt: SendAttempt, result: Result) -> SendAttempt:
    return msgspec.structs.replace(
        attempt,
        state=result.status,
        provider_ids=result.provider_ids,
        via=result.via,
        reason=result.reason,
        provider_code=result.provider_code,
        linked_visitor=result.linked_visitor,
    )


def _same(found: SendAttempt, written: SendAttempt) -> bool:
    return (found.state, found.started_at, found.tries) == (
        written.state,
        written.started_at,
        written.tries,
    )
