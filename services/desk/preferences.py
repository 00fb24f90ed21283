"""How agents want to be alerted: from the store, which is the record, to the bucket."""

from __future__ import annotations

from collections import defaultdict

import msgspec

from libs.common.alerts import PREFERENCES, Preferences
from libs.common.bus.client import Bus
from libs.common.bus.delivery import KvEntry
from libs.common.documents import AGENTS
from libs.common.errors import BusUnavailableError, StaleRevisionError
from libs.common.policies import read_all
from libs.common.store.api import Store
from libs.common.subjects import PREFERENCES_KV

TRIES = 8
CHUNK = 500


async def publish_preferences(store: Store, bus: Bus, workspace: str, agent: str) -> bool:
    """Make the bucket say what the store says of one agent; tell whether it had to be written.

    The bucket is read before the store, and written only if nobody wrote it in between. So whoever
    changed the store and then publishes can be sure: what stands then, or later, has it.

    Raises:
        BusUnavailableError: The bus is away, or others write all the time; it is mended later.
        StoreUnavailableError: Likewise.
    """
    key = f"{workspace}.{agent}"
    for _ in range(TRIES):
        entry = await bus.kv_get(PREFERENCES_KV, key)
        wanted = (await _wanted(store, workspace, [agent])).get(agent)
        try:
            written = await _match(bus, key, entry, wanted)
        except StaleRevisionError:
            continue
        # a first entry is written unguarded: an older value may have come later than a newer one
        if entry or not written or (await _wanted(store, workspace, [agent])).get(agent) == wanted:
            return written
    raise BusUnavailableError("the preferences are being changed too often to be published")


async def mend_preferences(store: Store, bus: Bus, workspaces: list[str]) -> int:
    """Make the bucket say what the store says of everybody; return how many entries changed.

    Safe at any time and from any number of processes: what somebody else writes meanwhile is left
    to them. The entries of agents who are gone or disabled, and of workspaces that are gone, go.

    Raises:
        GatewayError: The bus or the store is away.
    """
    present = await _present(bus)
    mended = 0
    for workspace in {*workspaces, *present}:
        entries = present.get(workspace, {})
        people = (
            await read_all(store, AGENTS, workspace, "email") if workspace in workspaces else []
        )
        wanted = await _wanted(store, workspace, [agent.id for agent in people])
        for agent in {*wanted, *entries}:
            if _says(entries.get(agent)) != wanted.get(agent):
                mended += await publish_preferences(store, bus, workspace, agent)
    return mended


async def _present(bus: Bus) -> dict[str, dict[str, KvEntry]]:
    """Return all entries that stand now, by workspace and agent."""
    found: dict[str, dict[str, KvEntry]] = defaultdict(dict)
    async for entry in bus.kv_watch(PREFERENCES_KV):
        if entry is None:
            return found
        workspace, _, agent = entry.key.partition(".")
        if entry.value is not None:
            found[workspace][agent] = entry
    raise BusUnavailableError("the preferences cannot be read now")


async def _wanted(store: Store, workspace: str, agents: list[str]) -> dict[str, bytes]:
    """Return what the bucket is to say of those of *agents* who are there and chose something."""
    found: dict[str, bytes] = {}
    for start in range(0, len(agents), CHUNK):
        ids = agents[start : start + CHUNK]
        chosen = await store.get_many(PREFERENCES, workspace, ids)
        people = await store.get_many(AGENTS, workspace, sorted(chosen))
        for agent, preferences in chosen.items():
            if agent in people and not people[agent].disabled:
                found[agent] = msgspec.json.encode(preferences)
    return found


async def _match(bus: Bus, key: str, entry: KvEntry | None, wanted: bytes | None) -> bool:
    if _says(entry) == wanted:
        return False
    if wanted is None:
        await bus.kv_delete(PREFERENCES_KV, key)
        return True
    guard = entry.revision if entry else None
    await bus.kv_put(PREFERENCES_KV, key, wanted, expected_revision=guard)
    return True


def _says(entry: KvEntry | None) -> bytes | None:
    return entry.value if entry else None


def own(preferences: Preferences | None, workspace: str, agent: str) -> Preferences:
    """Return the preferences, or those of an agent who chose nothing."""
    return preferences or Preferences(id=agent, workspace=workspace)
