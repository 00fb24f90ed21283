"""How agents want to be alerted, watched from its bucket; asking never waits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from libs.common.alerts import Preferences
from libs.common.bus.client import Bus
from libs.common.bus.delivery import KvEntry
from libs.common.subjects import PREFERENCES_KV

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(Preferences).decode


class Watched:
    """The preferences of all agents, as last seen."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Preferences]] = {}
        self._changes: dict[str, int] = {}
        self.complete = asyncio.Event()
        """Set once all that is present was seen."""

    def of(self, workspace: str, agent: str) -> Preferences | None:
        """Return what the agent chose; None: nothing yet."""
        return self._known.get(workspace, {}).get(agent)

    def all_of(self, workspace: str) -> dict[str, Preferences]:
        """Return what the workspace's agents chose, by agent; to be read only."""
        return self._known.get(workspace, {})

    def changes(self, workspace: str) -> int:
        """Return how often anything of the workspace has changed: while it stands, nothing has."""
        return self._changes.get(workspace, 0)

    def put(self, entry: KvEntry) -> None:
        """Apply one change of the bucket; a value of None removes."""
        workspace, _, agent = entry.key.partition(".")
        self._changes[workspace] = self.changes(workspace) + 1
        if entry.value is None:
            self._known.get(workspace, {}).pop(agent, None)
            return
        try:
            preferences = _decode(entry.value)
        except ValueError:  # of a newer version: what was seen last stands
            log.warning("preferences.unreadable", extra={"workspace": workspace})
            return
        self._known.setdefault(workspace, {})[agent] = preferences


@asynccontextmanager
async def watched_preferences(bus: Bus) -> AsyncIterator[Watched]:
    """Keep the preferences up to date until the block ends."""
    watched = Watched()
    task = asyncio.create_task(_follow(bus, watched))
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(bus: Bus, watched: Watched) -> None:
    async for entry in bus.kv_watch(PREFERENCES_KV):
        if entry is None:
            watched.complete.set()
        else:
            watched.put(entry)
