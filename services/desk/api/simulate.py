"""What would have happened over the last days under other rules (D05); nothing is changed.

The records are read in pages and gone through in slices between which others have their turn, and
no more than so many, for so long.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.documents import DECISIONS, DecisionRecord
from libs.common.errors import ForbiddenError
from libs.common.policy import Policy
from libs.common.rules.sides import Outcome
from libs.common.rules.simulate import Difference, Event, Simulation, events_of
from libs.common.store.api import Cursor, Page, Range, Where, cursor
from services.desk.api.problem import RefusalError
from services.desk.api.proposal import Proposal, proposed
from services.desk.api.route import Call, Reply

MOST_RECORDS = 50_000
MOST_S = 20.0
AT_ONCE = 2
"""Simulations in one process, of whatever workspaces."""
WAIT_S = 30.0
"""How long one waits for its turn."""
SLICE_S = 0.02
"""How long it works at a stretch on the event loop."""
PAGE = 100
"""Records of one page; of a large workspace one has some 100 KiB."""
_ORDER = {"opened": 0, "message": 1, "handoff": 2, "queued": 3}


class Simulate(Proposal, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last `days`, under what is proposed; nothing proposed: under the present rules.

    Attributes:
        idle_s: Count the sessions that would have ended by themselves by this idle time, in place
            of what each rule of `settings.termination` says; null: as the rules say.
        assume_online: Count an agent as online of whom nothing was recorded. Needed to see what
            auto-assign would have done where it was off: then nobody looked who was there.
    """

    days: Annotated[int, Meta(ge=1, le=30)] = 7
    idle_s: Annotated[int, Meta(ge=60, le=30 * 86_400)] | None = None
    assume_online: bool = False


class Simulated(msgspec.Struct, frozen=True, kw_only=True):
    """What happened, and what would have.

    Attributes:
        since, until: The time that was gone through.
        complete: False when there was more than could be gone through at once; then `until` says
            how far it came.
        same: Every decision would have been the same.
        differences: How many would not; `examples` are the first 50 of them.
        warnings: What is allowed in the proposed policy, but hardly meant.
    """

    since: datetime
    until: datetime
    complete: bool
    decisions: int
    sessions: int
    happened: Outcome
    would: Outcome
    same: bool
    differences: int
    examples: tuple[Difference, ...]
    warnings: tuple[str, ...]


class Turns:
    """Lets one simulation of a workspace run at a time, and a few in this process.

    Each takes a good part of a processor. Those of other workspaces wait for their turn, first come
    first served.
    """

    def __init__(self, at_once: int = AT_ONCE, wait_s: float = WAIT_S) -> None:
        self._free = at_once
        self._wait_s = wait_s
        self._busy: set[str] = set()
        self._waiting: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def taken(self, workspace: str) -> AsyncIterator[None]:
        """Hold a turn while the block runs.

        Raises:
            RefusalError: 409 `busy`: one of this workspace runs, or no turn came in time.
        """
        if workspace in self._busy:
            raise _busy("A simulation is running; ask again when it is done.")
        self._busy.add(workspace)
        try:
            await self._turn()
            try:
                yield
            finally:
                self._pass_on()
        finally:
            self._busy.discard(workspace)

    async def _turn(self) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._wait_s):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn.done() and not turn.cancelled():  # it came at that very moment
                self._pass_on()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise _busy("Simulations of others are running; ask again soon.") from None
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _busy(detail: str) -> RefusalError:
    return RefusalError(409, "busy", detail, headers={"Retry-After": "5"})


_turns = Turns()


async def simulate(call: Call) -> Reply:
    """Go through the decisions of the last days again.

    Raises:
        InvalidInputError: Something proposed is wrong; names the place.
        RefusalError: 409 `busy`, another simulation of the workspace is running, or too many are.
        ForbiddenError: The caller does not see all of the workspace, which it goes through.
    """
    asked: Simulate = call.body
    if not call.who.scope.whole:
        raise ForbiddenError(
            "A simulation goes through the decisions of the whole workspace; you are limited to "
            "some channels, accounts or teams.",
            needs="admin",
        )
    async with _turns.taken(call.who.workspace):
        policy, warnings = await proposed(call, asked, "")
        return Reply(body=await _run(call, asked, policy, warnings))


async def _run(call: Call, asked: Simulate, policy: Policy, warnings: tuple[str, ...]) -> Simulated:
    until = call.desk.now()
    since = until - timedelta(days=asked.days)
    run = _Run(policy, asked, until)
    complete = True
    async for records in _pages(call, since, until):
        if run.decisions + len(records) > MOST_RECORDS or run.seconds > MOST_S:
            complete = False
            break
        await run.take(call, records)
    if complete:
        await run.finish()
    end = until if complete else run.reached or since
    report = run.simulation.report(end)
    return Simulated(
        since=since,
        until=end,
        complete=complete,
        decisions=report.decisions,
        sessions=report.sessions,
        happened=report.happened,
        would=report.would,
        same=report.same,
        differences=report.differences,
        examples=report.examples,
        warnings=warnings,
    )


class _Run:
    """Feeds a simulation: records in their order, and between them what people did."""

    def __init__(self, policy: Policy, asked: Simulate, until: datetime) -> None:
        self.simulation = Simulation(policy, assume_online=asked.assume_online)
        self.decisions = 0
        self.reached: datetime | None = None
        self._policy = policy
        self._idle = None if asked.idle_s is None else timedelta(seconds=asked.idle_s)
        self._until = until
        self._events: list[Event] = []
        self._known: set[str] = set()
        self._began = time.monotonic()
        self._slice = self._began

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._began

    async def take(self, call: Call, records: Sequence[DecisionRecord]) -> None:
        """Go through a page."""
        self._slice = time.monotonic()
        await self._learn(call, records)
        for record in sorted(records, key=_turn):
            await self._happened(record.at)
            self.simulation.record(record)
            self.reached = record.at
            self.decisions += 1
            await self._rest()

    async def finish(self) -> None:
        """Let happen what came after the last record."""
        await self._happened(None)

    async def _learn(self, call: Call, records: Sequence[DecisionRecord]) -> None:
        """Look what people did to the sessions that are new on this page."""
        fresh = {record.session for record in records} - self._known
        self._known |= fresh
        if not fresh:
            return
        for session in (await call.desk.store.sessions(call.who.workspace, fresh)).values():
            for event in events_of(session, self._policy, self._idle, self._until):
                heapq.heappush(self._events, event)
            await self._rest()

    async def _happened(self, before: datetime | None) -> None:
        """Let happen what happened before that moment; None: all of it."""
        while self._events and (before is None or self._events[0].at < before):
            self.simulation.event(heapq.heappop(self._events))
            await self._rest()

    async def _rest(self) -> None:
        """Let others have their turn once the slice is used up."""
        if time.monotonic() - self._slice > SLICE_S:
            await asyncio.sleep(0)
            self._slice = time.monotonic()


async def _pages(
    call: Call, since: datetime, until: datetime
) -> AsyncIterator[list[DecisionRecord]]:
    where: Where = {"at": Range(ge=since, lt=until)}
    after: Cursor | None = None
    while True:
        page = Page(order="at", after=after, limit=PAGE)
        found = await call.desk.store.port.find(DECISIONS, call.who.workspace, where, page)
        if found:
            yield found
        if len(found) < PAGE:
            return
        after = cursor(DECISIONS, "at", found[-1])


def _turn(record: DecisionRecord) -> tuple[datetime, int, str]:
    """Order what was decided at one moment by how a session goes on."""
    return record.at, _ORDER[record.case.trigger], record.id
