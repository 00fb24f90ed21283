"""Who is there: agents' presence, watched from its bucket, and written to it.

Everything is asked of what was seen last; looking never waits. An entry that is not renewed lapses:
the bucket tells so, and should it not (because NATS is away), time does.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import KvEntry
from libs.common.policy import Present
from libs.common.subjects import PRESENCE_KV

State = Literal["online", "away", "offline"]

LAPSE_S = float(PRESENCE_KV.ttl_s)
SWEEP_EVERY_S = 2.0

_decode = msgspec.json.Decoder(Present).decode


class Sign(msgspec.Struct, frozen=True):
    """The last sign of an agent: what it said, its revision, and when it came to us.

    `at` is in seconds of the watcher's own clock: clocks of other machines may be wrong.
    """

    present: Present
    revision: int
    at: float


class Presences:
    """Who is there, as last seen; *clock* gives seconds that only rise."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._signs: defaultdict[str, dict[str, Sign]] = defaultdict(dict)
        self.complete = asyncio.Event()
        """Set once everybody present has been seen."""
        self.on_change: list[Callable[[str], None]] = []
        """Called with the workspace when the state of one of its agents has changed."""

    def state(self, workspace: str, agent: str) -> Literal["", "online", "away"]:
        """Return how the agent is present; empty: it is not."""
        sign = self.sign(workspace, agent)
        return "" if sign is None or sign.present.state == "offline" else sign.present.state

    def of(self, workspace: str) -> Mapping[str, Present]:
        """Return who is there, online or away, by agent."""
        signs = self._signs.get(workspace, {})
        return {agent: signs[agent].present for agent in signs if self.state(workspace, agent)}

    def count(self, state: State) -> int:
        """Return how many agents of all workspaces are in this state."""
        found = (present for workspace in self._signs for present in self.of(workspace).values())
        return sum(present.state == state for present in found)

    def sign(self, workspace: str, agent: str) -> Sign | None:
        """Return the agent's last sign, unless it has lapsed."""
        found = self._signs.get(workspace, {}).get(agent)
        return None if found is None or self._lapsed(found) else found

    def put(self, entry: KvEntry) -> None:
        """Apply one change of the bucket; a value of None removes."""
        workspace, _, agent = entry.key.partition(".")
        before = self.state(workspace, agent)
        if entry.value is None:
            self._drop(workspace, agent)
        else:
            with suppress(ValueError):  # of a newer version: not known here
                sign = Sign(_decode(entry.value), entry.revision, self._clock())
                self._signs[workspace][agent] = sign
        if self.state(workspace, agent) != before:
            self._tell(workspace)

    def sweep(self) -> None:
        """Forget who has lapsed without a word from the bucket."""
        for workspace, signs in list(self._signs.items()):
            lapsed = [agent for agent, sign in signs.items() if self._lapsed(sign)]
            for agent in lapsed:
                self._drop(workspace, agent)
            if lapsed:
                self._tell(workspace)

    def _lapsed(self, sign: Sign) -> bool:
        return self._clock() - sign.at >= LAPSE_S

    def _drop(self, workspace: str, agent: str) -> None:
        self._signs[workspace].pop(agent, None)
        if not self._signs[workspace]:
            del self._signs[workspace]

    def _tell(self, workspace: str) -> None:
        for told in self.on_change:
            told(workspace)


@asynccontextmanager
async def watched_presence(bus: Bus) -> AsyncIterator[Presences]:
    """Keep presences up to date until the block ends."""
    presences = Presences()
    tasks = [asyncio.create_task(work) for work in (_follow(bus, presences), _sweep(presences))]
    try:
        yield presences
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def keep(bus: Bus, workspace: str, agent: str, present: Present) -> KvEntry:
    """Say that the agent is there (or `offline`), for a minute; return what now stands.

    Raises:
        BusUnavailableError: It could not be said.
    """
    key, value = f"{workspace}.{agent}", msgspec.json.encode(present)
    return KvEntry(key=key, value=value, revision=await bus.kv_put(PRESENCE_KV, key, value))


async def leave(bus: Bus, workspace: str, agent: str) -> None:
    """Say that the agent is gone.

    Raises:
        BusUnavailableError: It could not be said; it lapses then.
    """
    await bus.kv_delete(PRESENCE_KV, f"{workspace}.{agent}")


def next_present(sign: Sign | None, state: State, now: datetime) -> Present:
    """Return what to say: since *now*, or since when the agent has been in this *state*."""
    if sign is not None and sign.present.state == state:
        return sign.present
    return Present(state=state, since=now)


async def _follow(bus: Bus, presences: Presences) -> None:
    async for entry in bus.kv_watch(PRESENCE_KV):
        if entry is None:
            presences.complete.set()
        else:
            presences.put(entry)


async def _sweep(presences: Presences) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        presences.sweep()
