"""Colleagues as the rules see them: how much each takes, of what, and who may do what."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.commands import Actor
from libs.common.documents import LOADS, Agent, Role
from libs.common.errors import CommandError, ForbiddenError, InvalidInputError, NotFoundError
from libs.common.rules.finding import Finding
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.tokens import check_unscoped
from services.desk.departed import By, give_back
from services.desk.policy_store import Change, changed, etag, refusal
from services.desk.policy_whole import NO_OWNER, Whole

Word = Annotated[Plain, Meta(min_length=1, max_length=48)]
LIMIT_MAX = 1000


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """A colleague.

    Attributes:
        email: Told to admins and above, and of oneself; empty for others.
        limit: Most sessions assigned automatically at a time; 0: none.
        load: Sessions that take a place of the limit now.
        presence: Whether they are there now; empty: they are not.
        priority: Higher is preferred by the strategy `priority`.
        channels, accounts: What they see, below `admin`: kinds of channel and slugs; empty: all.
        team_only: Of sessions that a team is asked for they see their own teams' alone.
    """

    id: str
    name: str
    role: Role
    disabled: bool
    presence: Literal["", "online", "away"]
    limit: int
    load: int
    teams: tuple[str, ...]
    skills: tuple[str, ...]
    languages: tuple[str, ...]
    priority: int
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    team_only: bool = False
    email: str = ""


class AgentList(msgspec.Struct, frozen=True, kw_only=True):
    """Every agent of the workspace, by address."""

    items: tuple[AgentView, ...]
    next: str | None = None


class AgentPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a colleague; what is not named stays. `teams` are ids of teams."""

    name: Annotated[Plain, Meta(min_length=1, max_length=200)] | UnsetType = UNSET
    role: Role | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=0, le=LIMIT_MAX)] | UnsetType = UNSET
    teams: Annotated[tuple[Word, ...], Meta(max_length=50)] | UnsetType = UNSET
    skills: Annotated[tuple[Word, ...], Meta(max_length=50)] | UnsetType = UNSET
    languages: Annotated[tuple[Word, ...], Meta(max_length=50)] | UnsetType = UNSET
    priority: Annotated[int, Meta(ge=-100, le=100)] | UnsetType = UNSET
    channels: Annotated[tuple[Word, ...], Meta(max_length=50)] | UnsetType = UNSET
    accounts: Annotated[tuple[Word, ...], Meta(max_length=200)] | UnsetType = UNSET
    team_only: bool | UnsetType = UNSET


async def agents(call: Call) -> Reply:
    """List the agents."""
    rows = await call.desk.store.all_agents(call.who.workspace)
    return Reply(body=AgentList(items=await _views(call, rows)))


async def agent(call: Call) -> Reply:
    """Show an agent; `ETag` names the version.

    Raises:
        NotFoundError: No such agent in this workspace.
    """
    found = await call.desk.store.agent(call.who.workspace, call.params["id"])
    if found is None:
        raise _absent()
    return await _reply(call, found)


async def patch_agent(call: Call) -> Reply:
    """Change an agent; disabling one ends their logins and tokens.

    Who may not answer any more, disabled or only reading, has no sessions any more.

    Raises:
        NotFoundError: No such agent in this workspace.
        ForbiddenError: The agent ranks above the caller, or would.
        InvalidInputError: An unknown team, or a blank word.
        RefusalError: 409 `last_owner`, or `not_a_login` where a token with scopes gives a role; see
            `changed` for the others.
    """
    patch: AgentPatch = call.body
    agent_id = call.params["id"]
    if patch.role is not UNSET:
        check_unscoped(call)
    fields = fields_of(patch)
    await check_scope(call, fields)
    if await call.desk.store.agent(call.who.workspace, agent_id) is None:
        raise _absent()

    def edit(_whole: Whole, before: Agent) -> Agent:
        after = msgspec.structs.replace(before, **fields)
        _check_rank(call, before, after)
        return after

    done = await changed(
        call,
        Change(
            action="agent.patch",
            object=f"agent:{agent_id}",
            own=f"members[{agent_id}]",
            pick=lambda whole: picked(whole, agent_id),
            edit=edit,
            shown=shown,
            refuse=refuse,
        ),
    )
    if done.document.disabled:
        await call.desk.store.drop_tokens(call.who.workspace, agent_id)
    await give_back(
        call.desk.store,
        call.desk.bus,
        call.who.workspace,
        [done.document],
        By(Actor(kind="agent", id=call.who.agent, name=call.who.name), call.desk.now()),
    )
    return await _reply(call, done.document)


def fields_of(patch: msgspec.Struct) -> dict[str, Any]:
    """Return what *patch* gives, without repeats.

    Raises:
        InvalidInputError: A word is blank.
    """
    given = {name: getattr(patch, name) for name in patch.__struct_fields__}
    fields = {name: value for name, value in given.items() if value is not UNSET}
    for name, value in fields.items():
        blank = isinstance(value, str) and not value.strip()
        if blank or (isinstance(value, tuple) and not all(map(str.strip, value))):
            raise InvalidInputError(f"{name}: is blank.", field=name, allowed="words to see")
        if isinstance(value, tuple):
            fields[name] = tuple(dict.fromkeys(value))
    return fields


async def check_scope(call: Call, fields: Mapping[str, Any]) -> None:
    """Refuse channels that there are not, and accounts that the workspace has not.

    Raises:
        InvalidInputError: Names the place in the list.
    """
    given: tuple[str, ...] = fields.get("channels", ())
    _check_known("channels", given, call.desk.channels)
    slugs: tuple[str, ...] = fields.get("accounts", ())
    if slugs:
        known = await call.desk.store.accounts(call.who.workspace)
        _check_known("accounts", slugs, {account.id for account in known})


def _check_known(name: str, given: Sequence[str], known: Container[str]) -> None:
    for place, one in enumerate(given):
        if one not in known:
            source = "`GET /accounts`" if name == "accounts" else "the kinds of `GET /accounts`"
            raise InvalidInputError(
                f"{name}: this is none of ours.", field=f"{name}.{place}", allowed=source
            )


def _check_rank(call: Call, before: Agent, after: Agent) -> None:
    """Refuse what reaches above the caller's own role.

    Raises:
        ForbiddenError: Names the least role that may.
    """
    highest = max(before.role, after.role, key=lambda role: RANK[role])
    if RANK[call.who.role] < RANK[highest]:
        raise ForbiddenError(
            f"Only the role {highest} or above may change who has it.", needs=highest
        )


def picked(whole: Whole, agent_id: str) -> Agent:
    """Return the agent of an id.

    Raises:
        NotFoundError: There is none.
    """
    for found in whole.agents:
        if found.id == agent_id:
            return found
    raise _absent()


def refuse(problems: Sequence[Finding]) -> CommandError:
    """Return why a change is refused."""
    if any(found.place == NO_OWNER for found in problems):
        return RefusalError(
            409, "last_owner", "This is the last owner; make somebody else an owner first."
        )
    return refusal(problems)


def shown(found: Agent) -> dict[str, Any]:
    """Return what the record says: neither address nor password."""
    return {name: getattr(found, name) for name in AgentPatch.__struct_fields__}


def _absent() -> NotFoundError:
    return NotFoundError("There is no such agent.")


async def _reply(call: Call, found: Agent) -> Reply:
    [view] = await _views(call, [found])
    return Reply(body=view, headers=etag(found))


async def _views(call: Call, rows: Sequence[Agent]) -> tuple[AgentView, ...]:
    store, workspace = call.desk.store.port, call.who.workspace
    presences = call.desk.live.presences
    sees_all = RANK[call.who.role] >= RANK["admin"]
    loads = await store.get_many(LOADS, workspace, [row.id for row in rows])
    return tuple(
        AgentView(
            id=row.id,
            name=row.name,
            email=row.email if sees_all or row.id == call.who.agent else "",
            role=row.role,
            disabled=row.disabled,
            presence=presences.state(workspace, row.id),
            limit=row.limit,
            load=len(loads[row.id].held) if row.id in loads else 0,
            teams=row.teams,
            skills=row.skills,
            languages=row.languages,
            priority=row.priority,
            channels=row.channels,
            accounts=row.accounts,
            team_only=row.team_only,
        )
        for row in rows
    )
