"""What is wrong with a policy, before it is published; each sentence begins with its place."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from libs.common.channels import CHANNELS
from libs.common.policy import EndIt, Policy, Rule
from libs.common.rules import hours
from libs.common.rules.check_alerts import check_alerts
from libs.common.rules.check_plugin import check_plugin
from libs.common.rules.check_rule import Scope, check_rule
from libs.common.rules.check_survey import check_survey
from libs.common.rules.check_termination import check_termination
from libs.common.rules.finding import Finding, odd, unknown, wrong
from libs.common.rules.lookup import lookup


class _Named(Protocol):
    @property
    def id(self) -> str: ...


def problems(policy: Policy, accounts: Collection[str] | None = None) -> Iterator[str]:
    """Yield what must be mended before this policy may count, like `teams[0].calendar: ...`.

    With *accounts* (slugs) the accounts that it names are looked at, too.
    """
    return (str(finding) for finding in findings(policy, accounts) if not finding.warning)


def warnings(policy: Policy, accounts: Collection[str] | None = None) -> Iterator[str]:
    """Yield what is allowed but hardly meant, such as a rule that can never be reached."""
    return (str(finding) for finding in findings(policy, accounts) if finding.warning)


def findings(policy: Policy, accounts: Collection[str] | None = None) -> Iterator[Finding]:
    """Yield both, in the order of the policy."""
    scope = Scope(known=lookup(policy), channels=CHANNELS, accounts=accounts)
    yield from _settings(policy, scope)
    yield from _people(policy, scope)
    yield from _calendars(policy)
    yield from _rules(policy, scope)
    yield from _bots(policy, scope)


_LEAST = {"removed_for_s": 0, "silent_owner_s": 0, "bot_messages": 1, "bot_deadline_s": 1}


def _settings(policy: Policy, scope: Scope) -> Iterator[Finding]:
    settings = policy.settings
    if settings.calendar:
        known = scope.known.calendars
        yield from unknown("settings.calendar", "calendar", settings.calendar, known)
    for channel in settings.channels:
        yield from unknown("settings.channels", "channel", channel, scope.channels)
    for account in settings.accounts if scope.accounts is not None else ():
        yield from unknown("settings.accounts", "account", account, scope.accounts or ())
    for name, least in _LEAST.items():
        if getattr(settings, name) < least:
            yield wrong(
                f"settings.{name}", f"{getattr(settings, name)} is below {least}, the least"
            )
    for number, word in enumerate(settings.handoff_words):
        if not word.strip():
            yield wrong(f"settings.handoff_words[{number}]", "is blank; say a word or a phrase")
    yield from check_termination(settings, scope.channels)
    yield from check_alerts(settings)
    yield from check_survey(settings, scope.channels)
    yield from check_plugin(settings, scope.accounts)


def _people(policy: Policy, scope: Scope) -> Iterator[Finding]:
    yield from _doubles("teams", policy.teams)
    for number, team in enumerate(policy.teams):
        if team.calendar:
            known = scope.known.calendars
            yield from unknown(f"teams[{number}].calendar", "calendar", team.calendar, known)
    yield from _doubles("members", policy.members)
    for number, member in enumerate(policy.members):
        for index, name in enumerate(member.teams):
            yield from unknown(f"members[{number}].teams[{index}]", "team", name, scope.known.teams)


def _calendars(policy: Policy) -> Iterator[Finding]:
    yield from _doubles("calendars", policy.calendars)
    for number, calendar in enumerate(policy.calendars):
        for place, text in hours.problems(calendar):
            yield wrong(f"calendars[{number}].{place}", text)


def _rules(policy: Policy, scope: Scope) -> Iterator[Finding]:
    yield from _doubles("rules", policy.rules)
    ends: dict[str, Rule] = {}
    for number, rule in enumerate(policy.rules):
        yield from check_rule(f"rules[{number}]", rule, scope)
        if not rule.enabled:
            continue
        end = ends.get(rule.on)
        if end is not None:
            yield odd(
                f"rules[{number}]",
                f"is never reached: {end.id!r} stops before it, and has no conditions",
            )
        elif not rule.conditions and (rule.stop or _ends(rule)):
            ends[rule.on] = rule


def _ends(rule: Rule) -> bool:
    return any(isinstance(action, EndIt) for action in rule.actions)


def _bots(policy: Policy, scope: Scope) -> Iterator[Finding]:
    yield from _doubles("bots", policy.bots)
    hosts: dict[str, str] = {}
    for number, bot in enumerate(policy.bots):
        for index, channel in enumerate(bot.channels):
            place = f"bots[{number}].channels[{index}]"
            yield from unknown(place, "channel", channel, scope.channels)
            if bot.enabled and hosts.setdefault(channel, bot.id) != bot.id:
                yield odd(place, f"{hosts[channel]!r} hosts {channel} before this one")
        if bot.automation and bot.kind == "webhook":
            yield wrong(f"bots[{number}].automation", "is for bots of the kinds faq and flow")


def _doubles(place: str, parts: Sequence[_Named]) -> Iterator[Finding]:
    seen: dict[str, int] = {}
    for number, part in enumerate(parts):
        first = seen.setdefault(part.id, number)
        if first != number:
            text = f"{part.id!r} is the id of {place}[{first}], too; ids must differ"
            yield wrong(f"{place}[{number}].id", text)
