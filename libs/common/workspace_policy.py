"""The policy in a workspace file: what it makes of the one that is there, and whether that holds.

Everything refers to other things: rules to teams, agents to teams, settings to calendars. So the
file is checked as it would stand, with what it leaves as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from libs.common.documents import PolicyDocument
from libs.common.errors import SettingsError
from libs.common.ids import derive_id
from libs.common.policies import too_large
from libs.common.policy import AnyAction, AssignToAgent, Notify, Policy, Rule
from libs.common.rules.check import problems
from libs.common.workspace_file import WorkspaceFile
from libs.common.workspace_state import State

_AGENT = re.compile(r"agt_[a-z0-9]+")
_MEMBER = re.compile(r"^members\[(\d+)\]")


def agent_id(workspace: str, email: str) -> str:
    """Return the id of an agent that a file makes, by address."""
    return derive_id("agt", workspace, email.lower())


def document_of(
    file: WorkspaceFile, before: PolicyDocument, agent: Callable[[str], str]
) -> PolicyDocument:
    """Return the policy's document as the file makes it; what it does not name stays.

    *agent* returns an agent's id by address.
    """
    return msgspec.structs.replace(
        before,
        teams=before.teams if file.teams is None else file.teams,
        calendars=before.calendars if file.calendars is None else file.calendars,
        rules=before.rules if file.rules is None else _rules(file.rules, agent),
    )


def check_policy(file: WorkspaceFile, before: State, after: State) -> None:
    """Refuse a file after which the policy would not hold together.

    What did not hold before, and is not in the file, is not its fault.

    Raises:
        SettingsError: Names the place in the file and what is allowed there.
    """
    policy = after.rules_see()
    known = set(problems(before.rules_see(), before.accounts.keys()))
    for problem in problems(policy, after.accounts.keys()):
        if problem not in known or _is_given(file, problem):
            raise SettingsError(_in_file(after, policy, problem, _named(file)))
    if large := too_large(policy):
        raise SettingsError(large)


def _rules(rules: tuple[Rule, ...], agent: Callable[[str], str]) -> tuple[Rule, ...]:
    return tuple(
        msgspec.structs.replace(
            rule, actions=tuple(_by_id(action, agent) for action in rule.actions)
        )
        for rule in rules
    )


def _by_id(action: AnyAction, agent: Callable[[str], str]) -> AnyAction:
    """Name agents by their ids where the file has their addresses."""
    if isinstance(action, AssignToAgent):
        return msgspec.structs.replace(action, agent=agent(action.agent))
    if isinstance(action, Notify):
        return msgspec.structs.replace(action, agents=tuple(map(agent, action.agents)))
    return action


def _is_given(file: WorkspaceFile, problem: str) -> bool:
    part = re.split(r"[.\[:]", problem, maxsplit=1)[0]
    return getattr(file, part, None) is not None


def _in_file(after: State, policy: Policy, problem: str, named: dict[str, str]) -> str:
    """Name agents by their addresses, as the file does; numbers and ids are the store's."""
    at = _MEMBER.match(problem)
    if at is not None:
        who = after.agents[policy.members[int(at[1])].id]
        problem = f"agents[{who.email}]{problem[at.end() :]}"
    emails = {agent.id: agent.email for agent in after.agents.values()} | named
    return _AGENT.sub(lambda found: emails.get(found[0], found[0]), problem)


def _named(file: WorkspaceFile) -> dict[str, str]:
    """Return the addresses that the file's rules name, known or not, by id of their agents."""
    actions = [action for rule in file.rules or () for action in rule.actions]
    one = {action.agent for action in actions if isinstance(action, AssignToAgent)}
    many = {name for action in actions if isinstance(action, Notify) for name in action.agents}
    return {agent_id(file.workspace, name): name for name in one | many if "@" in name}
