"""Agents are present while they have a stream of alerts open here, or say so themselves."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import NamedTuple

from libs.common.bus.client import Bus
from libs.common.errors import GatewayError
from libs.common.policy import Present
from libs.common.presence import Presences, State, keep, leave, next_present

log = logging.getLogger(__name__)

RENEW_EVERY_S = 20.0
"""A third of the time in which presence lapses: one or two renewals may be lost."""
GRACE_S = 5.0
"""A page that is loaded again is back by then."""
LOOK_EVERY_S = 1.0
TOGETHER_S = 0.05
"""Changes of so long are looked at together: thousands may come at once, after a restart."""
AT_ONCE = 128
"""Agents of whom something is said at the same time. Thousands at once would be answered late, so
be taken for unsaid, and be said again at once: more work the less can be done."""
AGAIN_S = 1.0
"""After something could not be said."""


class Who(NamedTuple):
    """An agent."""

    workspace: str
    agent: str


class Attendance:
    """Keeps those present who have a stream open in this process; `run` does the renewing.

    Several processes may hold streams of one agent. Whoever's last one ends takes the entry away
    only if it wrote it last; should another still hold one, that puts it back at once.

    Args:
        bus: Where presence is written.
        presences: As seen by everybody.
        now: The clock.
    """

    def __init__(self, bus: Bus, presences: Presences, now: Callable[[], datetime]) -> None:
        self._bus = bus
        self._presences = presences
        self._now = now
        self._open: Counter[Who] = Counter()
        self._leaving: dict[Who, float] = {}
        self._ours: dict[Who, int] = {}
        self._stirred = asyncio.Event()
        presences.on_change.append(self._stir)

    async def say(self, who: Who, state: State) -> Present:
        """Say how the agent is present, for a minute.

        Raises:
            BusUnavailableError: It could not be said.
        """
        present = next_present(self._presences.sign(*who), state, self._now())
        entry = await keep(self._bus, *who, present)
        self._presences.put(entry)
        self._ours.pop(who, None)
        return present

    @asynccontextmanager
    async def attending(self, who: Who, *, anew: bool) -> AsyncIterator[None]:
        """Keep the agent present while the block runs.

        What it said of itself stands; only who comes *anew* is no longer `offline`.
        """
        self._open[who] += 1
        self._leaving.pop(who, None)
        try:
            await self._renew(who, anew=anew)
            yield
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]
                self._leaving[who] = time.monotonic() + GRACE_S

    async def run(self) -> None:
        """Renew, put back and take away, for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await self._stirred.wait()
                    await asyncio.sleep(TOGETHER_S)
            self._stirred.clear()
            due = sorted((who for who in self._open if self._is_due(who)), key=self._last_sign)
            gone = [who for who, at in self._leaving.items() if at <= time.monotonic()]
            if not (await _in_turn(self._renew, due) and await _in_turn(self._leave, gone)):
                await asyncio.sleep(AGAIN_S)

    def _last_sign(self, who: Who) -> float:
        sign = self._presences.sign(*who)
        return float("-inf") if sign is None else sign.at

    def _stir(self, _workspace: str) -> None:
        self._stirred.set()

    def _is_due(self, who: Who) -> bool:
        sign = self._presences.sign(*who)
        return sign is None or time.monotonic() - sign.at >= RENEW_EVERY_S

    async def _renew(self, who: Who, *, anew: bool = False) -> bool:
        """Return whether it could be said."""
        sign = self._presences.sign(*who)
        state: State = sign.present.state if sign else "online"
        if anew and state == "offline":
            state = "online"
        try:
            entry = await keep(self._bus, *who, next_present(sign, state, self._now()))
        except GatewayError as error:  # told again in a moment; the stream itself is none the worse
            log.debug("desk.presence_unsaid", extra={"code": error.code})
            return False
        self._ours[who] = entry.revision
        self._presences.put(entry)
        return True

    async def _leave(self, who: Who) -> bool:
        self._leaving.pop(who, None)
        ours = self._ours.pop(who, None)
        sign = self._presences.sign(*who)
        if who in self._open or sign is None or sign.revision != ours:
            return True
        try:
            await leave(self._bus, *who)
        except GatewayError as error:  # it lapses by itself
            log.debug("desk.presence_unsaid", extra={"code": error.code})
            return False
        return True


async def _in_turn(say: Callable[[Who], Awaitable[bool]], whom: Sequence[Who]) -> bool:
    """Say something of a few at a time; stop, and return False, where it could not be said."""
    for start in range(0, len(whom), AT_ONCE):
        some = whom[start : start + AT_ONCE]
        said = await asyncio.gather(*(_unless_bug(say(who)) for who in some))
        if not all(said):
            waiting = len(whom) - start - said.count(True)
            log.warning("desk.presence_unsaid", extra={"agents": waiting})
            return False
    return True


async def _unless_bug(work: Awaitable[bool]) -> bool:
    """Do *work* for one agent; what fails of it ends nobody else's presence."""
    try:
        return await work
    except Exception:  # the boundary: the loop goes on, and renews again in a moment
        log.exception("desk.presence_bug")
        return True
