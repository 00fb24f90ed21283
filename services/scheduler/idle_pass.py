"""Arming the idle ends of sessions that nobody touches: when the policy changes, and at the start.

A session's own writes arm its timer. Those that were open before a policy was set are armed here:
each scheduler that sees a change asks for a pass, which is one over all replicas, and pages through
the lists that the rules name. What is overdue gets its place in the pace at once, unless it has one
already. A second look, a little later, is at what was written meanwhile by a router that had not
heard of the change.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from libs.common import subjects
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.decode import decode
from libs.common.directory import refresh_policy
from libs.common.documents import SESSIONS, Session
from libs.common.errors import (
    BusUnavailableError,
    MalformedPayloadError,
    StoreUnavailableError,
)
from libs.common.events import Timer
from libs.common.idle import idle_end
from libs.common.policy import Policy
from libs.common.store.api import Page, Range, Where, cursor
from libs.common.subjects import TIMERS
from libs.common.switches import ListName, Settings, Termination
from libs.common.termination import in_time, is_on, overrides
from libs.common.workspace import workspaces
from services.scheduler.idle import (
    Look,
    Places,
    arm,
    arm_looked,
    armed_for,
    has_place,
    missed,
    placed,
)
from services.scheduler.idle_begin import begin
from services.scheduler.means import Means

log = logging.getLogger(__name__)

PAGE = 500
AGAIN = timedelta(seconds=5)
"""When the second look is: by then every router has heard of the change."""
LATELY = timedelta(minutes=15)
"""What was written before is not looked at a second time."""
_LATELY = "=lately"
"""Ends the `ref` of a second look; no workspace's name has such a sign."""
_TRY_AGAIN_S = 1.0
_MINUTE = timedelta(minutes=1)
_timer = msgspec.json.Decoder(Timer)


class Cause(NamedTuple):
    """What of the settings decides when sessions end by themselves."""

    on: bool
    overrides: tuple[tuple[tuple[str, str], bool], ...]
    termination: Termination


def cause_of(settings: Settings) -> Cause:
    """Return what a pass is needed for when it changes; how an end is said or undone is none."""
    rules = in_time(settings.termination.rules)
    termination = msgspec.structs.replace(settings.termination, rules=rules, undo_s=0)
    return Cause(settings.auto_termination, tuple(overrides(settings)), termination)


def lists_of(settings: Settings) -> tuple[ListName, ...]:
    """Return the lists in which sessions may end by themselves."""
    if not is_on(settings):
        return ()
    named = {name for rule in settings.termination.rules for name in rule.lists}
    return tuple(sorted(named - {"ended"}))


class Spread:
    """Looks at sessions that are due at the same moment one after the other, as the pace allows.

    They are many where a switch was turned on: all that were idle already. Looked at all at once,
    most would only be told to wait.
    """

    def __init__(self) -> None:
        self._due: Counter[datetime] = Counter()

    def look_at(self, due: datetime, per_minute: int) -> datetime:
        """Return when to look at the next session that is due at *due*."""
        before = self._due[due]
        self._due[due] += 1
        return due + before * _MINUTE / per_minute


class IdlePass:
    """The handler of `idle_pass`."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._places = Places(means)

    async def handle(self, timer: Timer, _delivery: Delivery) -> Outcome:
        """Arm the idle ends of a workspace; done again from the start it does no harm.

        Raises:
            BusUnavailableError: Not all are armed.
            StoreUnavailableError: The store is away.
        """
        means, workspace = self._means, timer.workspace
        await refresh_policy(means.bus, means.directory, workspace)
        lists = lists_of(means.directory.settings(workspace))
        again = timer.ref.endswith(_LATELY)
        looked_at = armed = 0
        spread = Spread()
        for name in lists:
            where: Where = {"list": name}
            if again:
                where = {**where, "updated_at": Range(ge=timer.due - LATELY)}
            async for page in _pages(means, workspace, where):
                looked_at += len(page)
                armed += await self._arm(page, spread)
        log.info("idle.pass", extra={"workspace": workspace, "sessions": looked_at, "armed": armed})
        if lists and not again:
            due = means.now() + AGAIN
            ref = f"{workspace}{_LATELY}"
            await arm(means.bus, Timer(kind="idle_pass", workspace=workspace, ref=ref, due=due))
        return Ack()

    async def _arm(self, sessions: Sequence[Session], spread: Spread) -> int:
        """Arm those of a page that end by themselves; return how many."""
        means = self._means
        settings, now = means.directory.settings(sessions[0].workspace), means.now()
        ends = [
            (session, idle.due)
            for session in sessions
            if (idle := idle_end(session, settings)) is not None
        ]
        pace = settings.termination.per_minute
        ahead = [
            Look(session, due, armed_for(session, spread.look_at(due, pace)))
            for session, due in ends
            if due > now
        ]
        overdue = [end for end in ends if end[1] <= now]
        waits = await asyncio.gather(*(self._waits(session, settings) for session, _ in overdue))
        late = [end for end, has in zip(overdue, waits, strict=True) if not has]
        times = await self._places.several(late[0][0].workspace, len(late)) if late else []
        behind = [
            Look(session, due, placed(session, at, settings))
            for (session, due), at in zip(late, times, strict=True)
        ]
        await arm_looked(means, [*ahead, *behind])
        return len(ends)

    async def _waits(self, session: Session, settings: Settings) -> bool:
        """Tell whether a timer waits for the session's place in the pace."""
        subject = subjects.timer("idle_end", session.id)
        data = await self._means.bus.newest(TIMERS, subject)
        with suppress(MalformedPayloadError):
            if data is not None:
                timer = decode(_timer, data)
                return has_place(timer, settings) and not missed(timer, self._means.now())
        return False


class Watch:
    """Asks for a pass wherever one is needed: at the start, and at each change."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._changed: dict[str, None] = {}
        self._seen: dict[str, Cause] = {}
        self._wake = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Watch until *stop*.

        Raises:
            StoreUnavailableError: The workspaces could not be read; begin again.
        """
        directory = self._means.directory
        directory.on_policy.append(self._note)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _done: self._wake.set())
        try:
            for workspace in await workspaces(self._means.store):
                self._note(workspace)
            while not stop.is_set():
                await self._wake.wait()
                self._wake.clear()
                await self._ask()
        finally:
            directory.on_policy.remove(self._note)
            stopping.cancel()

    def _note(self, workspace: str) -> None:
        self._changed[workspace] = None
        self._wake.set()

    async def _ask(self) -> None:
        """Ask for the passes of what has changed; what cannot be asked now is asked later."""
        while self._changed:
            workspace = next(iter(self._changed))
            policy = self._means.directory.policy(workspace)
            cause = cause_of(policy.settings)
            if cause != self._seen.get(workspace) and is_on(policy.settings):
                try:
                    await self._pass(workspace, policy)
                except (BusUnavailableError, StoreUnavailableError):
                    await asyncio.sleep(_TRY_AGAIN_S)
                    continue
            self._changed.pop(workspace)
            self._seen[workspace] = cause

    async def _pass(self, workspace: str, policy: Policy) -> None:
        """Ask for a pass; where nothing ends yet, have it begin, and the policy comes anew."""
        if policy.settings.termination.since is None:
            await begin(self._means, workspace)
        else:
            await arm(self._means.bus, pass_of(workspace, policy.version, self._means))


def pass_of(workspace: str, version: int, means: Means) -> Timer:
    """Return what asks for a pass: one for each version of the policy, over all replicas."""
    return Timer(kind="idle_pass", workspace=workspace, ref=workspace, due=means.now(), rev=version)


async def _pages(means: Means, workspace: str, where: Where) -> AsyncIterator[list[Session]]:
    """Yield the sessions, those that were written last at the end; none of them an empty page."""
    page = Page(order="list", limit=PAGE)
    while True:
        found = await means.store.find(SESSIONS, workspace, where, page)
        if found:
            yield found
        if len(found) < PAGE:
            return
        page = msgspec.structs.replace(page, after=cursor(SESSIONS, "list", found[-1]))
