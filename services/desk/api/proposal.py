"""Settings and rules to try: the present policy with what is proposed in place of its parts."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common import policies
from libs.common.errors import InvalidInputError
from libs.common.policy import Calendar, Policy, Slug, Team
from libs.common.rules.check import findings
from services.desk.api.bot_content import refused
from services.desk.api.calendars import KIND as CALENDARS
from services.desk.api.calendars import CalendarBody
from services.desk.api.policy_parts import check_texts
from services.desk.api.route import Call
from services.desk.api.rules import MOST as MOST_RULES
from services.desk.api.rules import ListedRule, read_aside, rule_of
from services.desk.api.settings import SettingsPatch, patched
from services.desk.api.teams import KIND as TEAMS
from services.desk.api.teams import TeamBody
from services.desk.policy_whole import whole_of


class ListedTeam(TeamBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team of a list."""

    id: Slug


class ListedCalendar(CalendarBody, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A calendar of a list."""

    id: Slug


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would be changed; what is not named stays as it is.

    Attributes:
        settings: Switches to change, as `PATCH /settings` takes them.
        rules, teams, calendars: All of them, in place of the present ones.
        limits: Most sessions at once, by agent.
    """

    settings: SettingsPatch | None = None
    rules: Annotated[tuple[ListedRule, ...], Meta(max_length=MOST_RULES)] | None = None
    teams: Annotated[tuple[ListedTeam, ...], Meta(max_length=TEAMS.most)] | None = None
    calendars: Annotated[tuple[ListedCalendar, ...], Meta(max_length=CALENDARS.most)] | None = None
    limits: dict[str, Annotated[int, Meta(ge=0, le=1000)]] | None = None


async def proposed(
    call: Call, proposal: Proposal, at: str = "proposal."
) -> tuple[Policy, tuple[str, ...]]:
    """Return the present policy with what is proposed, and what is hardly meant in it.

    *at* is where the proposal stands in the body. A proposal has the limits of what is kept.

    Raises:
        InvalidInputError: Something proposed is wrong; names the place.
    """
    whole = await whole_of(call.desk.store, call.who.workspace)
    disabled = {agent.id for agent in whole.agents if agent.disabled}
    present = whole.policy()
    members = tuple(one for one in present.members if one.id not in disabled)
    present = msgspec.structs.replace(present, members=members)
    policy = _with(present, proposal, at)
    if proposal.rules is not None:
        await read_aside(policy.rules, f"{at}rules")
    await asyncio.to_thread(_check_texts, proposal, at)
    too_large = policies.too_large(policy)
    if too_large:
        field = at.rstrip(".") or "body"
        raise InvalidInputError(f"{too_large}.", field=field, allowed=too_large)
    known = {str(one) for one in findings(present, whole.accounts)}
    await asyncio.sleep(0)  # each takes a while for many rules
    found = [one for one in findings(policy, whole.accounts) if str(one) not in known]
    wrong = [f"{at}{one}" for one in found if not one.warning]
    if wrong:
        raise refused(wrong)
    return policy, tuple(str(one) for one in found)


def _with(present: Policy, proposal: Proposal, at: str) -> Policy:
    parts = _parts(proposal)
    if proposal.settings is not None:
        parts["settings"] = patched(present.settings, proposal.settings)
    limits = proposal.limits or {}
    members = {one.id for one in present.members}
    for agent in limits:
        if agent not in members:
            raise InvalidInputError(
                f"{at}limits: {agent[:50]!r} is no agent of this workspace.",
                field=f"{at}limits.{agent[:50]}",
                allowed="ids of `GET /agents`",
            )
    if limits:
        parts["members"] = tuple(
            msgspec.structs.replace(one, limit=limits.get(one.id, one.limit))
            for one in present.members
        )
    return msgspec.structs.replace(present, **parts)


def _parts(proposal: Proposal) -> dict[str, object]:
    """Return the rules, teams and calendars that are proposed, as they would be kept.

    Raises:
        InvalidInputError: The id of a rule is the name of something else.
    """
    parts: dict[str, object] = {}
    if proposal.rules is not None:
        parts["rules"] = tuple(rule_of(one, one.id) for one in proposal.rules)
    if proposal.teams is not None:
        parts["teams"] = tuple(Team(**msgspec.structs.asdict(one)) for one in proposal.teams)
    if proposal.calendars is not None:
        parts["calendars"] = tuple(
            Calendar(**msgspec.structs.asdict(one)) for one in proposal.calendars
        )
    return parts


def _check_texts(proposal: Proposal, at: str) -> None:
    for name in ("teams", "calendars"):
        for number, one in enumerate(getattr(proposal, name) or ()):
            check_texts(one, f"{at}{name}.{number}")
