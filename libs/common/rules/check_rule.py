"""What is wrong with one condition or action of a rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

import msgspec

from libs.common.policy import (
    AccountIs,
    Action,
    AddTag,
    AssignToAgent,
    AssignToTeam,
    ChannelIs,
    Condition,
    EndIt,
    FieldIs,
    HostWithBot,
    HoursAre,
    LanguageIs,
    ListIs,
    Notify,
    ReferralIs,
    ReplyWith,
    Rule,
    TagIs,
    TextHas,
    TextMatches,
)
from libs.common.rules.conditions import moment_of, number_of
from libs.common.rules.finding import Finding, odd, unknown, wrong
from libs.common.rules.folding import fold, pattern_problem
from libs.common.rules.lookup import Lookup

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule may name. `accounts`: None where they are not known here."""

    known: Lookup
    channels: Collection[str]
    accounts: Collection[str] | None


def check_rule(place: str, rule: Rule, scope: Scope) -> Iterator[Finding]:
    """Yield what is wrong with the rule at *place*, taken alone."""
    for number, condition in enumerate(rule.conditions):
        check = _CONDITIONS.get(type(condition))
        if check is not None:
            yield from check(f"{place}.conditions[{number}]", condition, rule, scope)
    if not rule.actions:
        yield wrong(f"{place}.actions", "there are none; a rule needs at least one")
    for number, action in enumerate(rule.actions):
        act = _ACTIONS.get(type(action))
        if act is not None:
            yield from act(f"{place}.actions[{number}]", action, rule, scope)
    yield from _ended(place, rule)


def _ended(place: str, rule: Rule) -> Iterator[Finding]:
    """Yield which actions come to nothing because the rule ends the session."""
    if not any(isinstance(action, EndIt) for action in rule.actions):
        return
    for number, action in enumerate(rule.actions):
        if isinstance(action, HostWithBot | AssignToTeam | AssignToAgent):
            yield odd(
                f"{place}.actions[{number}]", "the rule ends the session, so it is given to nobody"
            )


def _empty(place: str, values: Collection[str]) -> Iterator[Finding]:
    if not values:
        yield wrong(place, "there are none, so it never holds; name at least one")
    for number, value in enumerate(values):
        if not value.strip():
            yield wrong(f"{place}[{number}]", "is blank; say what to compare with")


def _channel(place: str, condition: ChannelIs, _rule: Rule, scope: Scope) -> Iterator[Finding]:
    yield from _empty(f"{place}.any_of", condition.any_of)
    for number, name in enumerate(condition.any_of):
        yield from unknown(f"{place}.any_of[{number}]", "channel", name, scope.channels)


def _account(place: str, condition: AccountIs, _rule: Rule, scope: Scope) -> Iterator[Finding]:
    yield from _empty(f"{place}.any_of", condition.any_of)
    for number, name in enumerate(condition.any_of):
        if scope.accounts is not None:
            yield from unknown(f"{place}.any_of[{number}]", "account", name, scope.accounts)


def _list(place: str, condition: ListIs, rule: Rule, _scope: Scope) -> Iterator[Finding]:
    yield from _empty(f"{place}.any_of", condition.any_of)
    if rule.on == "opened" and not condition.negate:
        yield odd(place, "a session that is being opened is in no list, so it never holds")


def _words(place: str, condition: TextHas, _rule: Rule, _scope: Scope) -> Iterator[Finding]:
    if not condition.words:
        yield wrong(f"{place}.words", "there are none, so it never holds; name at least one")
    for number, word in enumerate(condition.words):
        if not fold(word):
            yield wrong(f"{place}.words[{number}]", "has nothing to see; say a word or a phrase")


def _regex(place: str, condition: TextMatches, _rule: Rule, _scope: Scope) -> Iterator[Finding]:
    problem = pattern_problem(condition.pattern)
    if problem:
        yield wrong(
            f"{place}.pattern",
            f"{problem}; allowed is the syntax of RE2, which has no look-around and no references"
            " back",
        )


def _any_of(place: str, condition: TagIs, _rule: Rule, _scope: Scope) -> Iterator[Finding]:
    yield from _empty(f"{place}.any_of", condition.any_of)


def _language(place: str, condition: LanguageIs, _rule: Rule, _scope: Scope) -> Iterator[Finding]:
    yield from _empty(f"{place}.any_of", condition.any_of)
    for number, tag in enumerate(condition.any_of):
        if tag.strip() and not _LANGUAGE.fullmatch(tag):
            yield odd(
                f"{place}.any_of[{number}]",
                f"{tag!r} is no tag of a language such as en or pt-BR, so it hardly ever holds",
            )


def _field(place: str, condition: FieldIs, _rule: Rule, _scope: Scope) -> Iterator[Finding]:
    if not condition.field.strip():
        yield wrong(f"{place}.field", "is blank; name a field of the contact, such as email")
    value = fold(condition.value)
    if condition.op in {"above", "below"} and number_of(value) is None and moment_of(value) is None:
        yield wrong(
            f"{place}.value",
            f"{condition.value!r} is no number, such as 12.5, and no date, such as 2026-12-25",
        )
    if condition.op in {"has", "starts"} and not value:
        yield wrong(f"{place}.value", "is blank, so it never holds; say what to compare with")


def _hours(place: str, condition: HoursAre, _rule: Rule, scope: Scope) -> Iterator[Finding]:
    if condition.calendar:
        known = scope.known.calendars
        yield from unknown(f"{place}.calendar", "calendar", condition.calendar, known)


def _referral(place: str, condition: ReferralIs, _rule: Rule, _scope: Scope) -> Iterator[Finding]:
    if condition.sources:
        yield from _empty(f"{place}.sources", condition.sources)


def _host(place: str, action: HostWithBot, rule: Rule, scope: Scope) -> Iterator[Finding]:
    yield from unknown(f"{place}.bot", "bot", action.bot, scope.known.bots)
    bot = scope.known.bots.get(action.bot)
    if bot is not None and not bot.enabled:
        yield odd(f"{place}.bot", f"the bot {action.bot!r} is switched off, so nothing happens")
    if rule.on == "handoff":
        yield wrong(place, "a human was asked for, so no bot may take it; allowed: team, agent")


def _team(place: str, action: AssignToTeam, _rule: Rule, scope: Scope) -> Iterator[Finding]:
    yield from unknown(f"{place}.team", "team", action.team, scope.known.teams)
    able = (
        member
        for member in scope.known.members.values()
        if action.team in member.teams and (not action.skill or action.skill in member.skills)
    )
    if action.team in scope.known.teams and next(able, None) is None:
        skilled = f" with the skill {action.skill!r}" if action.skill else ""
        yield odd(
            place, f"the team {action.team!r} has no member{skilled}, so it waits for a claim"
        )


def _agent(place: str, action: AssignToAgent, _rule: Rule, scope: Scope) -> Iterator[Finding]:
    yield from unknown(f"{place}.agent", "agent", action.agent, scope.known.members)
    if action.else_team:
        yield from unknown(f"{place}.else_team", "team", action.else_team, scope.known.teams)
    member = scope.known.members.get(action.agent)
    if member is not None and (member.limit == 0 or member.role == "read_only"):
        yield odd(
            f"{place}.agent", f"{action.agent!r} has the limit 0 or may only read: never given"
        )


def _notify(place: str, action: Notify, _rule: Rule, scope: Scope) -> Iterator[Finding]:
    if not action.agents and not action.team:
        yield wrong(place, "nobody is named; name agents or a team")
    for number, agent in enumerate(action.agents):
        yield from unknown(f"{place}.agents[{number}]", "agent", agent, scope.known.members)
    if action.team:
        yield from unknown(f"{place}.team", "team", action.team, scope.known.teams)


def _blank_tag(place: str, action: AddTag, _rule: Rule, _scope: Scope) -> Iterator[Finding]:
    if not action.tag.strip():
        yield wrong(f"{place}.tag", "is blank; say a tag")


def _blank_text(place: str, action: ReplyWith, _rule: Rule, _scope: Scope) -> Iterator[Finding]:
    if not action.text.strip():
        yield wrong(f"{place}.text", "is blank; say a text of 1 to 4,000 characters")


_Check = Callable[[str, Any, Rule, Scope], Iterator[Finding]]

_CONDITIONS: dict[type[Condition], _Check] = {
    ChannelIs: _channel,
    AccountIs: _account,
    ListIs: _list,
    TextHas: _words,
    TextMatches: _regex,
    LanguageIs: _language,
    TagIs: _any_of,
    FieldIs: _field,
    HoursAre: _hours,
    ReferralIs: _referral,
}

_ACTIONS: dict[type[Action], _Check] = {
    HostWithBot: _host,
    AssignToTeam: _team,
    AssignToAgent: _agent,
    Notify: _notify,
    AddTag: _blank_tag,
    ReplyWith: _blank_text,
}
