"""The policy in a workspace file: what it makes of the one that is there, and whether that holds.

Everything refers to other things: rules to teams, agents to teams, settings to calendars. So the
file is checked as it would stand, with what it leaves as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from libs.common.documents import ACCOUNTS, AGENTS, Agent, PolicyDocument
from libs.common.errors import SettingsError
from libs.common.ids import derive_id
from libs.common.policies import member, policy_of, read_all, too_large
from libs.common.policy import AnyAction, AssignToAgent, Member, Notify, Policy, Rule
from libs.common.rules.check import problems
from libs.common.store.api import Store
from libs.common.workspace_file import AgentEntry, WorkspaceFile, settings_of

_MEMBER = re.compile(r"^members\[(\d+)\]")
_GIVEN = ("limit", "teams", "skills", "languages", "priority")


class InStore(msgspec.Struct, frozen=True):
    """The policy as it is, with those who are disabled, and the slugs of the accounts."""

    policy: Policy
    accounts: frozenset[str]


async def policy_in_store(store: Store, workspace: str) -> InStore:
    """Read what a file is checked with."""
    policy = await policy_of(store, workspace)
    agents = await read_all(store, AGENTS, workspace, "email")
    accounts = await read_all(store, ACCOUNTS, workspace, "external")
    # a rule may go on naming who is disabled
    everybody = msgspec.structs.replace(policy, members=tuple(map(member, agents)))
    return InStore(everybody, frozenset(account.id for account in accounts))


def agent_id(workspace: str, email: str) -> str:
    """Return the id of the agent that a file names by address."""
    return derive_id("agt", workspace, email.lower())


def member_fields(entry: AgentEntry, found: Agent | None) -> Mapping[str, Any]:
    """Return what the rules see of an agent: as the file says, or else as it is."""
    fields = {}
    for name in _GIVEN:
        given = getattr(entry, name)
        if given is not None:
            fields[name] = given
        elif found is not None:
            fields[name] = getattr(found, name)
    return fields


def document_of(file: WorkspaceFile, before: PolicyDocument) -> PolicyDocument:
    """Return the policy's document as the file makes it; what it does not name stays."""
    return msgspec.structs.replace(
        before,
        teams=before.teams if file.teams is None else file.teams,
        calendars=before.calendars if file.calendars is None else file.calendars,
        rules=before.rules if file.rules is None else _rules(file),
    )


def check_policy(file: WorkspaceFile, before: InStore) -> None:
    """Refuse a file after which the policy would not hold together.

    What did not hold before, and is not in the file, is not its fault.

    Raises:
        SettingsError: Names the place in the file and what is allowed there.
    """
    after = _policy(file, before.policy)
    accounts = before.accounts | {account.slug for account in file.accounts}
    known = set(problems(before.policy, before.accounts))
    for problem in problems(after, accounts):
        if problem not in known or _is_given(file, problem):
            raise SettingsError(_in_file(file, after, problem))
    if large := too_large(after):
        raise SettingsError(large)


def _policy(file: WorkspaceFile, before: Policy) -> Policy:
    parts = PolicyDocument(
        id="", workspace="", rules=before.rules, teams=before.teams, calendars=before.calendars
    )
    parts = document_of(file, parts)
    return msgspec.structs.replace(
        before,
        settings=settings_of(file) or before.settings,
        members=_members(file, before),
        teams=parts.teams,
        calendars=parts.calendars,
        rules=parts.rules,
    )


def _members(file: WorkspaceFile, before: Policy) -> tuple[Member, ...]:
    members = {found.id: found for found in before.members}
    for entry in file.agents:
        id_ = agent_id(file.workspace, entry.email)
        found = members.get(id_, Member(id=id_))
        given = {name: getattr(entry, name) for name in _GIVEN}
        given = {name: value for name, value in given.items() if value is not None}
        members[id_] = msgspec.structs.replace(found, name=entry.name, role=entry.role, **given)
    return tuple(members.values())


def _rules(file: WorkspaceFile) -> tuple[Rule, ...]:
    return tuple(
        msgspec.structs.replace(
            rule, actions=tuple(_by_id(file.workspace, action) for action in rule.actions)
        )
        for rule in file.rules or ()
    )


def _by_id(workspace: str, action: AnyAction) -> AnyAction:
    """Name agents by their ids where the file has their addresses."""
    if isinstance(action, AssignToAgent):
        return msgspec.structs.replace(action, agent=_id_of(workspace, action.agent))
    if isinstance(action, Notify):
        agents = tuple(_id_of(workspace, agent) for agent in action.agents)
        return msgspec.structs.replace(action, agents=agents)
    return action


def _id_of(workspace: str, name: str) -> str:
    return agent_id(workspace, name) if "@" in name else name


def _is_given(file: WorkspaceFile, problem: str) -> bool:
    part = re.split(r"[.\[:]", problem, maxsplit=1)[0]
    return getattr(file, part, None) is not None


def _in_file(file: WorkspaceFile, after: Policy, problem: str) -> str:
    """Name an agent by its address, as the file does; its number is the store's."""
    at = _MEMBER.match(problem)
    if at is None:
        return problem
    emails = {agent_id(file.workspace, entry.email): entry.email for entry in file.agents}
    who = after.members[int(at[1])]
    return f"agents[{emails.get(who.id, who.name)}]{problem[at.end() :]}"
