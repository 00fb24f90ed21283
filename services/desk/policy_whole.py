"""All that a workspace decides by, read as one, and what is wrong with it as a whole."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import msgspec

from libs.common import policies
from libs.common.documents import Agent, Bot, PolicyDocument, Workspace
from libs.common.policy import Policy
from libs.common.rules.check import findings
from libs.common.rules.conditions import patterns_of
from libs.common.rules.finding import Finding, wrong
from libs.common.rules.folding import read_patterns
from libs.common.store.api import D, Document
from services.desk.store import DeskStore

NO_OWNER = "owners"
"""The place of the finding that nobody is left who may do everything."""

PATTERNS_MOST = 100
"""Regular expressions of all rules together: a message may be held against each."""

_INDEXED = re.compile(r"^(\w+)\[(\d+)\]")


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """All that a workspace decides by, as the store has it; `accounts` are slugs."""

    workspace: Workspace
    parts: PolicyDocument
    agents: tuple[Agent, ...]
    bots: tuple[Bot, ...]
    accounts: frozenset[str]

    def policy(self) -> Policy:
        """Return it as one policy, for checking.

        Agents that are disabled are in it with the limit 0: a rule may go on naming who is away.
        """
        return Policy(
            settings=self.workspace.settings,
            members=tuple(
                policies.member(
                    msgspec.structs.replace(agent, limit=0) if agent.disabled else agent
                )
                for agent in self.agents
            ),
            teams=self.parts.teams,
            calendars=self.parts.calendars,
            rules=self.parts.rules,
            bots=tuple(policies.bot_ref(bot) for bot in self.bots if not bot.deleted),
        )


async def whole_of(store: DeskStore, workspace: str) -> Whole:
    """Read all that a workspace decides by, and compile its patterns where nobody waits for it.

    Raises:
        NotFoundError: The workspace is gone.
    """
    document, parts, agents, bots, accounts = await asyncio.gather(
        store.workspace(workspace),
        store.policy(workspace),
        store.all_agents(workspace),
        store.all_bots(workspace),
        store.accounts(workspace),
    )
    await asyncio.to_thread(read_patterns, patterns_of(parts.rules))
    return Whole(
        workspace=document,
        parts=parts,
        agents=tuple(agents),
        bots=tuple(bots),
        accounts=frozenset(account.id for account in accounts),
    )


def with_document(whole: Whole, document: Document) -> Whole:
    """Return the whole with *document* in the place of the one with its id, or added."""
    if isinstance(document, Workspace):
        return msgspec.structs.replace(whole, workspace=document)
    if isinstance(document, PolicyDocument):
        return msgspec.structs.replace(whole, parts=document)
    if isinstance(document, Agent):
        return msgspec.structs.replace(whole, agents=_placed(whole.agents, document))
    if isinstance(document, Bot):
        return msgspec.structs.replace(whole, bots=_placed(whole.bots, document))
    raise TypeError(f"{type(document).__name__} is no part of a policy")


def problems(whole: Whole, before: Whole) -> list[Finding]:
    """Return what is wrong and was not so *before*: what is broken already blocks no change."""
    known = {str(found) for found in _findings(before)}
    return [found for found in _findings(whole) if not found.warning and str(found) not in known]


def warnings_of(whole: Whole, own: str) -> tuple[str, ...]:
    """Return what is allowed but hardly meant at *own*."""
    return tuple(
        str(seen_from(own, found))
        for found in _findings(whole)
        if found.warning and _within(found, own)
    )


def _placed(documents: tuple[D, ...], document: D) -> tuple[D, ...]:
    if all(found.id != document.id for found in documents):
        return (*documents, document)
    return tuple(document if found.id == document.id else found for found in documents)


def _findings(whole: Whole) -> Iterator[Finding]:
    """Yield the findings, with ids in their places where the policy has numbers."""
    policy = whole.policy()
    for found in findings(policy, whole.accounts):
        yield msgspec.structs.replace(found, place=_by_id(policy, found.place))
    if len(patterns_of(policy.rules)) > PATTERNS_MOST:
        yield wrong("rules", f"there are too many patterns; allowed: at most {PATTERNS_MOST}")
    if not any(agent.role == "owner" and not agent.disabled for agent in whole.agents):
        yield wrong(NO_OWNER, "nobody would be left who may do everything; name another owner")


def _by_id(policy: Policy, place: str) -> str:
    at = _INDEXED.match(place)
    parts = getattr(policy, at[1], None) if at else None
    if at is None or not isinstance(parts, tuple):
        return place
    return f"{at[1]}[{parts[int(at[2])].id}]{place[at.end() :]}"


def _within(found: Finding, own: str) -> bool:
    if not own or not found.place.startswith(own):
        return False
    return found.place[len(own) : len(own) + 1] in {"", ".", "["}


def seen_from(own: str, found: Finding) -> Finding:
    """Return the finding with its place as seen from *own*, in the form of requests: `a.0.b`."""
    place = found.place.removeprefix(f"{own}.") if own else found.place
    return msgspec.structs.replace(found, place=place.replace("[", ".").replace("]", ""))
