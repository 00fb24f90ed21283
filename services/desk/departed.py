"""Sessions of people who may no longer answer: back to the queue, so that no visitor waits on them.

Whoever disables an agent or lets them only read has it done at once. What a crash, a router that
was away or a change by file left is found by the reconciler.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec

from libs.common.bus.client import Bus
from libs.common.commands import Actor, RemoveAssignees
from libs.common.documents import AUDIT, SESSIONS, Agent, AuditEntry, Session
from libs.common.errors import BusUnavailableError, CommandError
from libs.common.ids import derive_id
from libs.common.store.api import In, Page, Where
from services.desk.api.route import RANK
from services.desk.ask import DEADLINE_S, ask
from services.desk.store import CHUNK, DeskStore

log = logging.getLogger(__name__)

RECONCILER = Actor(kind="system", id="desk", name="Relaydesk")
MOST = 500
"""Sessions of one look; the next one takes the others."""
PAGE = 100
AT_ONCE = 8


def may_answer(agent: Agent) -> bool:
    """Tell whether the agent may have sessions."""
    return not agent.disabled and RANK[agent.role] >= RANK["agent"]


class By(NamedTuple):
    """Who gives sessions back, and when."""

    actor: Actor
    now: datetime


async def give_back(
    store: DeskStore, bus: Bus, workspace: str, agents: Iterable[Agent], by: By
) -> int:
    """Take those of *agents* who may not answer off their sessions; return how many sessions.

    Who has a session alone leaves it waiting in `unassigned`. Safe at any time and from several
    processes: each session by one command, whose key is of the session as it was seen. It stops
    where the router does not answer, and after `DEADLINE_S`, which all commands of one look share.

    Raises:
        StoreUnavailableError: The store is away.
    """
    gone = [agent.id for agent in agents if not may_answer(agent)]
    given: list[tuple[str, str]] = []
    for start in range(0, len(gone), CHUNK):
        given += await _give_back(store, bus, workspace, gone[start : start + CHUNK], by)
    for agent, sessions in Counter(agent for agent, _ in given).items():
        await store.port.insert(AUDIT, _entry(workspace, agent, sessions, by))
    return len({session for _, session in given})


async def give_all_back(store: DeskStore, bus: Bus, workspace: str, now: datetime) -> int:
    """Do so for everybody of a workspace who may not answer."""
    agents = await store.all_agents(workspace)
    return await give_back(store, bus, workspace, agents, By(RECONCILER, now))


async def _give_back(
    store: DeskStore, bus: Bus, workspace: str, gone: list[str], by: By
) -> list[tuple[str, str]]:
    """Return who was taken off which session."""
    gate = asyncio.Semaphore(AT_ONCE)
    given: list[tuple[str, str]] = []

    async def one(session: Session) -> bool:
        agents = tuple(agent for agent in session.assignee_ids if agent in gone)
        async with gate:
            done = await _remove(bus, session, agents, by)
        given.extend((agent, session.id) for agent in agents if done)
        return done

    where: Where = {"list": "assigned", "assignee_ids": In(tuple(gone))}
    for _ in range(MOST // PAGE):
        found = await store.port.find(SESSIONS, workspace, where, Page(order="list", limit=PAGE))
        done = await asyncio.gather(*map(one, found))
        if len(found) < PAGE or not all(done):
            break
    return given


async def _remove(bus: Bus, session: Session, agents: tuple[str, ...], by: By) -> bool:
    command = RemoveAssignees(
        workspace=session.workspace,
        session=session.id,
        actor=by.actor,
        key=derive_id("off", session.id, str(session.rev), *agents),
        deadline=by.now + timedelta(seconds=DEADLINE_S),
        agents=agents,
    )
    try:
        await ask(bus, session, command)
    except (CommandError, BusUnavailableError) as error:
        log.warning("desk.session_not_given_back", extra={"code": error.code})
        return False
    return True


def _entry(workspace: str, agent: str, sessions: int, by: By) -> AuditEntry:
    return AuditEntry(
        id=derive_id("aud", workspace, uuid.uuid4().hex),
        workspace=workspace,
        at=by.now,
        actor=f"{by.actor.kind}:{by.actor.id}",
        action="agent.sessions_returned",
        object=f"agent:{agent}",
        after=msgspec.json.encode({"sessions": sessions}).decode(),
    )
