"""Whose hours are open: all that alerts need of the policies, watched from their bucket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import KvEntry
from libs.common.policy import Calendar, Member, Policy, Team
from libs.common.rules.lookup import lookup, on_duty
from libs.common.subjects import POLICY_KV
from libs.common.switches import Settings

log = logging.getLogger(__name__)


class _Part(msgspec.Struct, frozen=True):
    """A policy without its rules, which are most of it and say nothing of hours."""

    settings: Settings = Settings()
    members: tuple[Member, ...] = ()
    teams: tuple[Team, ...] = ()
    calendars: tuple[Calendar, ...] = ()


_decode = msgspec.json.Decoder(_Part).decode


class Hours:
    """The hours of all workspaces as last seen; asking never waits."""

    def __init__(self) -> None:
        self._policies: dict[str, Policy] = {}

    def hold(self, workspace: str, agent: str, team: str, at: datetime) -> bool:
        """Tell whether *agent* is within the hours that hold for them at *at*.

        *team* is the one that the session asks for, if any. Of whom nothing is known, it is so.
        """
        policy = self._policies.get(workspace)
        member = lookup(policy).members.get(agent) if policy else None
        if policy is None or member is None:
            return True
        return on_duty(policy, member.teams, team, at)

    def put(self, entry: KvEntry) -> None:
        """Apply one change of the bucket; a value of None removes."""
        if entry.value is None:
            self._policies.pop(entry.key, None)
            return
        try:
            part = _decode(entry.value)
        except ValueError:  # of a newer version: what was seen last stands
            log.warning("desk.hours_unreadable", extra={"workspace": entry.key})
            return
        self._policies[entry.key] = Policy(
            settings=part.settings,
            members=part.members,
            teams=part.teams,
            calendars=part.calendars,
        )


@asynccontextmanager
async def watched_hours(bus: Bus) -> AsyncIterator[Hours]:
    """Keep the hours up to date until the block ends."""
    hours = Hours()
    task = asyncio.create_task(_follow(bus, hours))
    try:
        yield hours
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _follow(bus: Bus, hours: Hours) -> None:
    async for entry in bus.kv_watch(POLICY_KV):
        if entry is not None:
            hours.put(entry)
