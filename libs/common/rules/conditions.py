"""Whether the conditions of a rule hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from libs.common.policy import (
    AccountIs,
    AnyCondition,
    Case,
    ChannelIs,
    Condition,
    ContactIs,
    FieldIs,
    HoursAre,
    LanguageIs,
    ListIs,
    Policy,
    ReferralIs,
    Rule,
    TagIs,
    TextHas,
    TextMatches,
)
from libs.common.rules.folding import fold, has_word, matches, read_patterns
from libs.common.rules.lookup import lookup, open_at

Test = Callable[[Any, Case, Policy, datetime], bool | None]


def holds(condition: AnyCondition, case: Case, policy: Policy, now: datetime) -> bool:
    """Tell whether a condition holds for the case at *now* (aware).

    What cannot be told, as by a pattern that RE2 refuses, a calendar that is not there or a field
    that is no number, does not hold, not even negated: a mistake in a rule never makes it fire.
    """
    told = _TESTS[type(condition)](condition, case, policy, now)
    return told is not None and told != condition.negate


def patterns_of(rules: Iterable[Rule]) -> list[str]:
    """Return the regular expressions of the rules."""
    return [
        condition.pattern
        for rule in rules
        for condition in rule.conditions
        if isinstance(condition, TextMatches)
    ]


def read_ahead(policy: Policy) -> None:
    """Compile the patterns of a policy, which may take seconds, before it counts."""
    read_patterns(patterns_of(policy.rules))


def _channel(condition: ChannelIs, case: Case, _policy: Policy, _now: datetime) -> bool:
    return case.channel in condition.any_of


def _account(condition: AccountIs, case: Case, _policy: Policy, _now: datetime) -> bool:
    return case.account in condition.any_of


def _list(condition: ListIs, case: Case, _policy: Policy, _now: datetime) -> bool:
    return case.list in condition.any_of


def _words(condition: TextHas, case: Case, _policy: Policy, _now: datetime) -> bool | None:
    words = _folded(condition.words)
    if not words:
        return None
    text = fold(case.text)
    found = (has_word(text, word) for word in words)
    return all(found) if condition.all_of else any(found)


def _regex(condition: TextMatches, case: Case, _policy: Policy, _now: datetime) -> bool | None:
    return matches(condition.pattern, case.text)


def _language(condition: LanguageIs, case: Case, _policy: Policy, _now: datetime) -> bool:
    spoken = _tag_of_language(case.language)
    return any(
        spoken == wanted or spoken.startswith(f"{wanted}-")
        for wanted in map(_tag_of_language, condition.any_of)
        if wanted
    )


def _tag(condition: TagIs, case: Case, _policy: Policy, _now: datetime) -> bool:
    if not case.tags:
        return False
    return not set(_folded(condition.any_of)).isdisjoint(map(fold, case.tags))


def _field(condition: FieldIs, case: Case, _policy: Policy, _now: datetime) -> bool | None:
    value = fold(case.fields.get(condition.field, ""))
    if condition.op in {"above", "below"}:
        return _compared(condition, value)
    return _FIELD[condition.op](value, fold(condition.value))


def _hours(condition: HoursAre, case: Case, policy: Policy, now: datetime) -> bool | None:
    del case
    if condition.calendar and condition.calendar not in lookup(policy).calendars:
        return None
    return open_at(policy, condition.calendar, now) == condition.open


def _contact(condition: ContactIs, case: Case, _policy: Policy, _now: datetime) -> bool:
    return case.returning == (condition.kind == "returning")


def _referral(condition: ReferralIs, case: Case, _policy: Policy, _now: datetime) -> bool:
    """Of sources and `ref_has` each that is given must hold; with neither any referral counts."""
    source, ref = fold(case.referral_source), fold(case.referral_ref)
    if not source and not ref:
        return False
    if condition.sources and source not in _folded(condition.sources):
        return False
    return fold(condition.ref_has) in ref


_FIELD: dict[str, Callable[[str, str], bool]] = {
    "is": lambda value, wanted: value == wanted,
    "is_not": lambda value, wanted: value != wanted,
    "has": lambda value, wanted: bool(wanted) and wanted in value,
    "starts": lambda value, wanted: bool(wanted) and value.startswith(wanted),
    "set": lambda value, _wanted: bool(value),
    "unset": lambda value, _wanted: not value,
}

_TESTS: dict[type[Condition], Test] = {
    ChannelIs: _channel,
    AccountIs: _account,
    ListIs: _list,
    TextHas: _words,
    TextMatches: _regex,
    LanguageIs: _language,
    TagIs: _tag,
    FieldIs: _field,
    HoursAre: _hours,
    ContactIs: _contact,
    ReferralIs: _referral,
}


@lru_cache(maxsize=4096)
def _folded(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is left of the words when folded; one without anything to see is left out."""
    return tuple(filter(None, map(fold, words)))


@lru_cache(maxsize=1024)
def _tag_of_language(text: str) -> str:
    return text.strip().replace("_", "-").lower()


def _compared(condition: FieldIs, value: str) -> bool | None:
    """Compare as numbers, or else as moments (ISO 8601); None where the two are not one kind."""
    for kind in (number_of, moment_of):
        mine, wanted = kind(value), kind(fold(condition.value))
        if mine is not None and wanted is not None:
            above: bool = mine > wanted  # type: ignore[operator]
            below: bool = mine < wanted  # type: ignore[operator]
            return above if condition.op == "above" else below
    return None


@lru_cache(maxsize=1024)
def number_of(text: str) -> Decimal | None:
    """Return a finite number with a decimal point, or None."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


@lru_cache(maxsize=1024)
def moment_of(text: str) -> datetime | None:
    """Return a date or time of ISO 8601, in UTC where it names no zone, or None."""
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
