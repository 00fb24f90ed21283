"""What is kept of a policy and of the agents with a decision: all that it was made of. Pure.

`decide` gives the same decision from what is kept as it gave from the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from libs.common.policy import (
    BotRef,
    Calendar,
    Case,
    Decision,
    HostWithBot,
    HoursAre,
    Member,
    Policy,
    Rule,
    Standing,
    Team,
)
from libs.common.rules.lookup import lookup
from libs.common.switches import ChannelSettings, Settings

_encode = msgspec.json.Encoder().encode
_UNREAD = Settings()


def standings_of(decision: Decision, standings: Sequence[Standing]) -> tuple[Standing, ...]:
    """Return how those stood who were looked at."""
    looked = {candidate.agent for candidate in decision.candidates}
    return tuple(one for one in standings if one.id in looked) if looked else ()


def policy_text(policy: Policy, case: Case, decision: Decision) -> str:
    """Return as JSON what *decision* read of *policy*: see `slim`."""
    return _encode(slim(policy, case, decision)).decode()


def slim(policy: Policy, case: Case, decision: Decision) -> Policy:
    """Return the rules that were tried, who was looked at, and the hours, teams and bots of both.

    Where no bot could have it, one is kept, to show that some are set up.

    Of what was not looked at nothing is kept, so that a record stays small in a large workspace.
    """
    rules = _tried(policy, case, decision)
    people = {candidate.agent for candidate in decision.candidates} | {*decision.notify}
    people |= {case.owner} - {""}
    members = tuple(one for one in policy.members if one.id in people) if people else ()
    teams = _teams(policy, case, decision, members)
    bots = {decision.bot} | {
        action.bot for rule in rules for action in rule.actions if isinstance(action, HostWithBot)
    }
    return Policy(
        version=policy.version,
        settings=_settings(policy.settings, case),
        members=members,
        teams=teams,
        calendars=_calendars(policy, rules, teams),
        rules=rules,
        bots=tuple(bot for bot in policy.bots if bot.id in bots)
        or _any_bot(policy, case, decision),
    )


def _any_bot(policy: Policy, case: Case, decision: Decision) -> tuple[BotRef, ...]:
    """Return a bot that could not have a new session, if that may be why it waits for people."""
    asked = decision.team or decision.skill or decision.agent
    return policy.bots[:1] if case.trigger == "opened" and not asked else ()


def _settings(settings: Settings, case: Case) -> Settings:
    """Return the switches without what no decision reads, and without other places' overrides."""
    return msgspec.structs.replace(
        settings,
        handoff_words=_UNREAD.handoff_words,
        alerts=_UNREAD.alerts,
        offline_visitors=_UNREAD.offline_visitors,
        remove_branding=_UNREAD.remove_branding,
        survey=_UNREAD.survey,
        plugin=_UNREAD.plugin,
        plugins=_UNREAD.plugins,
        channels=_only(settings.channels, case.channel),
        accounts=_only(settings.accounts, case.account),
    )


def _only(overrides: dict[str, ChannelSettings], name: str) -> dict[str, ChannelSettings]:
    return {name: overrides[name]} if name in overrides else {}


def _tried(policy: Policy, case: Case, decision: Decision) -> tuple[Rule, ...]:
    """Return the rules up to the last that was tried, those that did not hold among them."""
    if case.trigger == "queued":
        return ()
    rules = lookup(policy).rules[case.trigger]
    if not decision.rules:
        return tuple(rules)
    last = max(place for place, rule in enumerate(rules) if rule.id == decision.rules[-1])
    stops = rules[last].stop or decision.end_reason
    return tuple(rules[: last + 1] if stops else rules)


def _teams(
    policy: Policy, case: Case, decision: Decision, members: Iterable[Member]
) -> tuple[Team, ...]:
    names = {case.team, decision.team}.union(*(member.teams for member in members))
    return tuple(team for team in policy.teams if team.id in names)


def _calendars(
    policy: Policy, rules: Iterable[Rule], teams: Iterable[Team]
) -> tuple[Calendar, ...]:
    names = {policy.settings.calendar} | {team.calendar for team in teams}
    names |= {
        condition.calendar
        for rule in rules
        for condition in rule.conditions
        if isinstance(condition, HoursAre)
    }
    return tuple(calendar for calendar in policy.calendars if calendar.id in names)
