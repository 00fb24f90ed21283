"""An agent who is made because they came by themselves: invited, or known to a provider."""

from __future__ import annotations

import logging

import msgspec

from libs.common import policies
from libs.common.documents import AGENTS, AUDIT, DIRECTORY, SYSTEM, Agent, DirectoryEntry
from libs.common.errors import (
    GatewayError,
    StaleRevisionError,
    StoreUnavailableError,
    UniqueConflictError,
)
from services.desk.api.route import Desk
from services.desk.audited import By, entry_by

log = logging.getLogger(__name__)

_TRIES = 8


async def add_agent(desk: Desk, agent: Agent, why: str) -> Agent | None:
    """Store *agent* with its record and tell all who watch; None: there is one with the address.

    The login's entry comes first: one that leads nowhere is harmless, an agent without one could
    only log in by naming the workspace.

    Raises:
        StoreUnavailableError: It may have been stored.
    """
    port = desk.store.port
    await _let_log_in(desk, agent.email_key, agent.workspace)
    who = By(agent.workspace, f"agent:{agent.id}", desk.now())
    record = entry_by(who, why, f"agent:{agent.id}", None, shown(agent))
    await port.insert(AUDIT, record)
    try:
        made = await port.insert(AGENTS, agent)
    except UniqueConflictError:
        await port.delete(AUDIT, record.workspace, record.id)
        return None
    await publish(desk, agent.workspace)
    return made


async def publish(desk: Desk, workspace: str) -> None:
    """Tell router and notifier; where that fails the reconciler does so within a minute."""
    try:
        await policies.publish_policy(desk.store.port, desk.bus, workspace)
    except GatewayError as error:
        log.warning("desk.policy_unpublished", extra={"code": error.code})


def shown(agent: Agent) -> dict[str, object]:
    """Return what the record says of an agent: no password."""
    hidden = {"password_hash", "rev", "workspace", "id", "email_key"}
    return {name: getattr(agent, name) for name in agent.__struct_fields__ if name not in hidden}


async def _let_log_in(desk: Desk, email_key: str, workspace: str) -> None:
    """Note that the address logs in to *workspace*, beside those that it does already."""
    name = f"login:{email_key}"
    for _ in range(_TRIES):
        found = await desk.store.port.get(DIRECTORY, SYSTEM, name)
        try:
            if found is None:
                made = DirectoryEntry(id=name, workspace=SYSTEM, kind="login", targets=(workspace,))
                await desk.store.port.insert(DIRECTORY, made)
            elif workspace not in found.targets:
                targets = (*found.targets, workspace)
                after = msgspec.structs.replace(found, targets=targets)
                await desk.store.port.replace(DIRECTORY, after)
        except (StaleRevisionError, UniqueConflictError):
            continue
        return
    raise StoreUnavailableError("a login's entry is being changed all the time")
