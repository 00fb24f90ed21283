"""What a policy holds, by name; made once for each policy value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeVar
from weakref import ReferenceType, ref

import msgspec

from libs.common.policy import BotRef, Calendar, Member, Policy, Rule, Team, Trigger
from libs.common.rules.hours import is_open, next_change
from libs.common.switches import ChannelSettings, Settings

Switch = Literal["auto_hosting", "auto_assign", "session_hosting", "auto_termination"]
Level = Literal["account", "channel", "workspace"]

_Part = TypeVar("_Part", Member, Team, Calendar, BotRef)
_A_DAY = timedelta(days=1)


Fit = tuple[Member, str]
"""A member, and why a session is nothing for them whatever they do now; "": it may be."""


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """The parts by id; of two with one id the first counts. `rules`: the enabled ones, in order."""

    members: Mapping[str, Member]
    teams: Mapping[str, Team]
    calendars: Mapping[str, Calendar]
    bots: Mapping[str, BotRef]
    rules: Mapping[Trigger, Sequence[Rule]]
    rosters: dict[tuple[str, str, str], tuple[Fit, ...]]
    """By (team, skill, agent), made when they are asked for."""
    hours: dict[str, tuple[datetime, datetime, bool]]
    """From when until when a calendar is open, or closed, as far as it was asked for."""


_known: dict[int, tuple[ReferenceType[Policy], Lookup]] = {}


def lookup(policy: Policy) -> Lookup:
    """Return the policy by name.

    Kept by identity, as hashing a policy takes longer than a decision, and as long as the policy
    itself is in use, so that no other one gets its identity.
    """
    kept = _known.get(id(policy))
    if kept is not None:
        return kept[1]
    made = _made(policy)
    place = id(policy)
    _known[place] = (ref(policy, lambda _gone: _known.pop(place, None)), made)
    return made


def calendar_of(policy: Policy, name: str = "") -> Calendar | None:
    """Return the calendar, or the workspace's for no name; None: there is none, so always open."""
    return lookup(policy).calendars.get(name or policy.settings.calendar)


def calendar_of_team(policy: Policy, team: str) -> Calendar | None:
    """Return the hours of a team: its own, or the workspace's."""
    found = lookup(policy).teams.get(team)
    return calendar_of(policy, found.calendar if found else "")


def open_at(policy: Policy, name: str, now: datetime) -> bool:
    """Tell whether the calendar of that name, or the workspace's for "", is open at *now*."""
    memory = lookup(policy).hours
    found = memory.get(name)
    if found is not None and found[0] <= now < found[1]:
        return found[2]
    calendar = calendar_of(policy, name)
    state = is_open(calendar, now)
    memory[name] = now, next_change(calendar, now) or now + _A_DAY, state
    return state


def open_of_team(policy: Policy, team: str, now: datetime) -> bool:
    """Tell whether it is open by the hours of a team: its own, or the workspace's."""
    found = lookup(policy).teams.get(team)
    return open_at(policy, found.calendar if found else "", now)


def on_duty(policy: Policy, teams: Sequence[str], team: str, now: datetime) -> bool:
    """Tell whether the hours that hold for who is in *teams* are open at *now*.

    Those of the wanted *team*, else of any team of theirs, else of the workspace.
    """
    if team:
        return open_of_team(policy, team, now)
    if not teams:
        return open_at(policy, "", now)
    return any(open_of_team(policy, each, now) for each in teams)


def roster(policy: Policy, *, team: str = "", skill: str = "", agent: str = "") -> Sequence[Fit]:
    """Return all members in their order, or the one agent, and who of them fits the wish."""
    known = lookup(policy)
    found = known.rosters.get((team, skill, agent))
    if found is None:
        asked = [known.members[agent]] if agent else known.members.values()
        found = tuple((member, _unfit(member, team, skill)) for member in asked)
        known.rosters[team, skill, agent] = found
    return found


def _unfit(member: Member, team: str, skill: str) -> str:
    if member.role == "read_only":
        return "read_only"
    if member.limit <= 0:
        return "limit_0"
    if team and team not in member.teams:
        return "not_in_team"
    return "no_skill" if skill and skill not in member.skills else ""


def switch(settings: Settings, name: Switch, channel: str, account: str) -> tuple[bool, Level]:
    """Return whether a switch is on for an account (slug), and which level says so."""
    of_account = _value(settings.accounts.get(account), name)
    if of_account is not None:
        return of_account, "account"
    of_channel = _value(settings.channels.get(channel), name)
    if of_channel is not None:
        return of_channel, "channel"
    whole: bool = getattr(settings, name)
    return whole, "workspace"


def bot_for(policy: Policy, channel: str) -> str:
    """Return the bot that hosts a channel by default, or "" where none does.

    The first enabled one that names the channel, else the first enabled one that names none.
    """
    bots = [bot for bot in policy.bots if bot.enabled]
    own = next((bot.id for bot in bots if channel in bot.channels), "")
    return own or next((bot.id for bot in bots if not bot.channels), "")


def _value(settings: ChannelSettings | None, name: Switch) -> bool | None:
    if settings is None:
        return None
    value: bool | None = getattr(settings, name)
    return value


def _named(parts: Iterable[_Part]) -> dict[str, _Part]:
    """Return the parts by id, in their order; of two with one id the first."""
    found: dict[str, _Part] = {}
    for part in parts:
        found.setdefault(part.id, part)
    return found


def _made(policy: Policy) -> Lookup:
    triggers: tuple[Trigger, ...] = ("opened", "message", "handoff")
    return Lookup(
        members=_named(policy.members),
        teams=_named(policy.teams),
        calendars=_named(policy.calendars),
        bots=_named(policy.bots),
        rules={
            trigger: tuple(rule for rule in policy.rules if rule.enabled and rule.on == trigger)
            for trigger in triggers
        },
        rosters={},
        hours={},
    )
