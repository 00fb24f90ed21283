"""A workspace's policy made of what the store says, and told to all who watch the bucket."""

from __future__ import annotations

import asyncio

import msgspec

from libs.common.applied import standing
from libs.common.bus.client import Bus
from libs.common.documents import AGENTS, BOTS, POLICIES, WORKSPACES, Agent, Bot, PolicyDocument
from libs.common.errors import BusUnavailableError, SettingsError, StaleRevisionError
from libs.common.policy import BotRef, Member, Policy
from libs.common.store.api import Collection, Cursor, D, Page, Store, cursor
from libs.common.subjects import POLICY_KV

MOST_BYTES = 900_000
"""A policy is one message; the server takes no more than 1 MiB, headers included."""

_PAGE = 500
_TRIES = 20
"""Each lost try is somebody else's success, so that many in a row is not contention any more."""


async def policy_of(store: Store, workspace: str) -> Policy:
    """Return the workspace's policy as the store has it now, with `version` 0.

    Members are ordered by id, bots by name; agents that are disabled are no members.
    """
    document, parts, agents, bots = await asyncio.gather(
        store.get(WORKSPACES, workspace, workspace),
        store.get(POLICIES, workspace, workspace),
        read_all(store, AGENTS, workspace, "email"),
        read_all(store, BOTS, workspace, "name"),
    )
    parts = parts or PolicyDocument(id=workspace, workspace=workspace)
    return Policy(
        settings=document.settings if document else Policy().settings,
        members=tuple(sorted(map(member, _enabled(agents)), key=lambda one: one.id)),
        teams=parts.teams,
        calendars=parts.calendars,
        rules=parts.rules,
        bots=tuple(bot_ref(bot) for bot in bots if not bot.deleted),
    )


def member(agent: Agent) -> Member:
    """Return *agent* as the rules see it."""
    return Member(
        id=agent.id,
        name=agent.name,
        role=agent.role,
        limit=agent.limit,
        teams=agent.teams,
        skills=agent.skills,
        languages=agent.languages,
        priority=agent.priority,
        channels=agent.channels,
        accounts=agent.accounts,
        team_only=agent.team_only,
    )


def bot_ref(bot: Bot) -> BotRef:
    """Return *bot* as the rules see it."""
    return BotRef(
        id=bot.id,
        name=bot.name,
        kind=bot.kind,
        rev=bot.rev,
        channels=bot.channels,
        enabled=bot.enabled,
        automation=bot.automation,
    )


def too_large(policy: Policy) -> str:
    """Return a sentence that says what to make smaller, or nothing where the policy fits."""
    size = len(msgspec.json.encode(policy))
    if size <= MOST_BYTES:
        return ""
    parts = {name: len(msgspec.json.encode(getattr(policy, name))) for name in _PARTS}
    largest = sorted(parts, key=lambda name: parts[name], reverse=True)[:2]
    named = " and ".join(f"{name} take {parts[name]:,}" for name in largest)
    return f"the policy has {size:,} bytes of at most {MOST_BYTES:,}: {named}"


_PARTS = ("settings", "members", "teams", "calendars", "rules", "bots")


async def publish_policy(store: Store, bus: Bus, workspace: str) -> bool:
    """Make the bucket say what the store says; tell whether it had to be written.

    The bucket is read before the store, and written only if nobody wrote it in between. So
    whoever changed the store and then publishes can be sure: what stands then, or later, has it.
    While a file is being applied nothing is published: whoever finishes that does it.

    Raises:
        SettingsError: The policy is too large; says which part is.
        BusUnavailableError: The bus is away; the reconciler does it later.
        StoreUnavailableError: Likewise.
    """
    for _ in range(_TRIES):
        found = await bus.kv_get(POLICY_KV, workspace)
        mark = await standing(store, workspace)
        if mark is None:
            return False
        policy = await policy_of(store, workspace)
        if mark != await standing(store, workspace):
            continue
        problem = too_large(policy)
        if problem:
            raise SettingsError(problem)
        value = msgspec.json.encode(policy)
        if found is not None and found.value == value:
            return False
        # the place of a removed key cannot be seen, so that a first one is written unguarded
        guard = found.revision if found else None
        try:
            await bus.kv_put(POLICY_KV, workspace, value, expected_revision=guard)
        except StaleRevisionError:
            continue
        if guard is not None or await policy_of(store, workspace) == policy:
            return True
    raise BusUnavailableError("the policy is being changed too often to be published")


def _enabled(agents: list[Agent]) -> list[Agent]:
    return [agent for agent in agents if not agent.disabled]


async def read_all(store: Store, collection: Collection[D], workspace: str, order: str) -> list[D]:
    """Return all documents of a workspace, in the order of an index."""
    found: list[D] = []
    after: Cursor | None = None
    while True:
        page = Page(order=order, after=after, limit=_PAGE)
        rows = await store.find(collection, workspace, {}, page)
        found += rows
        if len(rows) < _PAGE:
            return found
        after = cursor(collection, order, rows[-1])
