"""Teams: people who answer for the same things, in hours of their own."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.policy import Team
from services.desk.api.policy_parts import Kind, Name, created, delete, found, part_id_of, put
from services.desk.api.route import Call, Reply
from services.desk.policy_store import etag

KIND: Kind[Team] = Kind(word="team", field="teams", most=200)


class TeamBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team; `id` may repeat the one in the path. Without `calendar`: the workspace's hours."""

    id: str = ""
    name: Name = ""
    calendar: Annotated[str, Meta(max_length=48)] = ""


class TeamList(msgspec.Struct, frozen=True, kw_only=True):
    """Every team, in the order of their making."""

    items: tuple[Team, ...]
    next: str | None = None


class TeamKept(msgspec.Struct, frozen=True, kw_only=True):
    """The team as it is now, and what is allowed but hardly meant about it."""

    item: Team
    warnings: tuple[str, ...]


async def teams(call: Call) -> Reply:
    """List the teams."""
    document = await call.desk.store.policy(call.who.workspace)
    return Reply(body=TeamList(items=document.teams), headers=etag(document))


async def team(call: Call) -> Reply:
    """Show a team.

    Raises:
        NotFoundError: No such team in this workspace.
    """
    part, document = await found(call, KIND)
    return Reply(body=part, headers=etag(document))


async def put_team(call: Call) -> Reply:
    """Create or replace a team."""
    body: TeamBody = call.body
    part = Team(id=part_id_of(call, body.id), name=body.name, calendar=body.calendar)
    done = await put(call, KIND, part)
    return Reply(
        status=created(KIND, done, part.id),
        body=TeamKept(item=part, warnings=done.warnings),
        headers=etag(done.document),
    )


async def delete_team(call: Call) -> Reply:
    """Delete a team that nothing refers to."""
    return Reply(status=204, headers=etag((await delete(call, KIND)).document))
