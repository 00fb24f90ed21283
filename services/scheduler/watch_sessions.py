"""Open sessions by list and channel, and how long the longest waiting visitor has waited.

Five questions a workspace, all answered from indexes; one more for each priority that waits.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import get_args

import msgspec

from libs.common.channels import CHANNELS
from libs.common.documents import SESSIONS, Session
from libs.common.store.api import Page, Range, Store
from libs.common.switches import ListName
from libs.common.workspace import workspaces

OPEN: tuple[str, ...] = tuple(name for name in get_args(ListName) if name != "ended")
WAITED_IN = ("unassigned", "assigned")
"""Lists in which a visitor waits for a person."""
AT_ONCE = 4
"""Workspaces that are looked at at the same time: the store has others to serve."""
MOST_PRIORITIES = 32
_PRIORITY = slice(0, 3)
"""The part of `Session.queue_key` that is the priority."""
_BEHIND = "~"


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions are open by (list, channel), and since when the longest wait, by list."""

    sessions: dict[tuple[str, ...], float]
    since: dict[str, datetime]


async def look(store: Store) -> Waits:
    """Count the sessions of all workspaces.

    Raises:
        StoreUnavailableError: The store is away.
    """
    room = asyncio.Semaphore(AT_ONCE)

    async def one(workspace: str) -> Waits:
        async with room:
            return await _workspace(store, workspace)

    every = await asyncio.gather(*(one(name) for name in await workspaces(store)))
    return together(every)


def together(every: Iterable[Waits]) -> Waits:
    """Return the figures of several workspaces as one; each list and channel has its line."""
    counted: defaultdict[tuple[str, ...], float] = defaultdict(float)
    since: dict[str, datetime] = {}
    for waits in every:
        for (name, channel), number in waits.sessions.items():
            counted[name, channel if channel in CHANNELS else "other"] += number
        for name, at in waits.since.items():
            since[name] = min(at, since.get(name, at))
    zeros: dict[tuple[str, ...], float] = {(name, one): 0 for name in OPEN for one in CHANNELS}
    return Waits(sessions=zeros | counted, since=since)


async def _workspace(store: Store, workspace: str) -> Waits:
    sessions: dict[tuple[str, ...], float] = {}
    for name in OPEN:
        groups = await store.group_count(SESSIONS, workspace, {"list": name}, by="channel")
        for channel, number in groups.items():
            sessions[name, channel] = number
    since: dict[str, datetime] = {}
    if queued := await _queued_since(store, workspace):
        since["unassigned"] = queued
    if awaited := await _awaited_since(store, workspace):
        since["assigned"] = awaited
    return Waits(sessions=sessions, since=since)


async def _queued_since(store: Store, workspace: str) -> datetime | None:
    """Return since when the oldest of the queue waits: the first of each priority is asked for."""
    found: list[datetime] = []
    begin = ""
    for _ in range(MOST_PRIORITIES):
        page = Page(order="queue", limit=1)
        rows = await store.find(SESSIONS, workspace, {"queue_key": Range(ge=begin)}, page)
        if not rows:
            break
        found += _times(row.waiting_since for row in rows)
        begin = (rows[0].queue_key or "")[_PRIORITY] + _BEHIND
    return min(found, default=None)


async def _awaited_since(store: Store, workspace: str) -> datetime | None:
    rows: list[Session] = await store.find(SESSIONS, workspace, {}, Page(order="awaiting", limit=1))
    return min(_times(row.awaiting_since for row in rows), default=None)


def _times(times: Iterable[datetime | None]) -> list[datetime]:
    return [time for time in times if time is not None]
