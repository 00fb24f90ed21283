"""What is wrong with a policy, and where."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.policy import Policy
from libs.common.rules.check import problems, warnings

SPAN = {"days": [0], "opens": "09:00", "closes": "17:00"}
TAG = {"do": "tag", "tag": "x"}
GOOD: dict[str, Any] = {
    "settings": {"calendar": "office"},
    "members": [{"id": "ann", "limit": 1, "teams": ["sales"]}, {"id": "cem"}],
    "teams": [{"id": "sales", "calendar": "office"}],
    "calendars": [{"id": "office", "zone": "Asia/Bangkok", "spans": [SPAN]}],
    "bots": [{"id": "faq", "kind": "faq", "channels": ["line"]},
             {"id": "off", "kind": "faq", "enabled": False}],
    "rules": [{"id": "r", "conditions": [{"if": "channel", "any_of": ["line"]}], "actions": [TAG]}],
}  # fmt: skip


def found(**parts: Any) -> tuple[list[str], list[str]]:
    policy = msgspec.convert(GOOD | parts, Policy)
    return list(problems(policy, {"shop"})), list(warnings(policy, {"shop"}))


def rule(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"rules": [{"id": "r", "actions": list(actions) or [TAG]} | more]}


def when(condition: dict[str, Any], **more: Any) -> dict[str, Any]:
    return rule(conditions=[condition], **more)


C = "rules[0].conditions[0]"
A = "rules[0].actions[0]"
PROBLEMS: dict[str, tuple[dict[str, Any], str]] = {
    "the workspace's calendar": (
        {"settings": {"calendar": "x"}}, "settings.calendar: 'x' is no calendar; allowed: office"),
    "a channel of the settings": (
        {"settings": {"channels": {"fax": {}}}}, "settings.channels: 'fax' is no channel; allowed"),
    "an account of the settings": (
        {"settings": {"accounts": {"x": {}}}}, "settings.accounts: 'x' is no account; allowed"),
    "a number that is too low": (
        {"settings": {"bot_messages": 0}}, "settings.bot_messages: 0 is below 1"),
    "a blank word": ({"settings": {"handoff_words": [" "]}}, "settings.handoff_words[0]: is blank"),
    "a team's calendar": (
        {"teams": [{"id": "sales", "calendar": "x"}]}, "teams[0].calendar: 'x' is no calendar"),
    "a member's team": (
        {"members": [{"id": "ann", "teams": ["sales", "x"]}]},
        "members[0].teams[1]: 'x' is no team; allowed: sales"),
    "a zone": (
        {"calendars": [{"id": "office", "zone": "Siam", "spans": [SPAN]}]},
        "calendars[0].zone: 'Siam' is not a zone of the IANA list"),
    "two parts of one id": (
        {"teams": [{"id": "sales"}, {"id": "sales"}]},
        "teams[1].id: 'sales' is the id of teams[0], too"),
    "two rules of one id": (
        {"rules": [GOOD["rules"][0], GOOD["rules"][0]]}, "rules[1].id: 'r' is the id of rules[0]"),
    "a bot's channel": (
        {"bots": [{"id": "faq", "kind": "faq", "channels": ["fax"]}]},
        "bots[0].channels[0]: 'fax' is no channel; allowed: fb_comment, instagram, line"),
    "automation by a webhook": (
        {"bots": [{"id": "b", "kind": "webhook", "automation": True}]}, "bots[0].automation: is"),
    "a rule without actions": ({"rules": [{"id": "r", "actions": []}]}, "rules[0].actions: there"),
    "channel": (when({"if": "channel", "any_of": ["fax"]}), f"{C}.any_of[0]: 'fax' is no channel"),
    "channel: none": (when({"if": "channel", "any_of": []}), f"{C}.any_of: there are none"),
    "account": (when({"if": "account", "any_of": ["x"]}), f"{C}.any_of[0]: 'x' is no account"),
    "words": (when({"if": "words", "words": ["a", "\u200b"]}), f"{C}.words[1]: has nothing to see"),
    "words: none": (when({"if": "words", "words": []}), f"{C}.words: there are none"),
    "pattern": (
        when({"if": "regex", "pattern": "(a"}),
        f"{C}.pattern: missing ): (a; allowed is the syntax of RE2"),
    "language": (when({"if": "language", "any_of": []}), f"{C}.any_of: there are none"),
    "tag": (when({"if": "tag", "any_of": [" "]}), f"{C}.any_of[0]: is blank"),
    "field": (when({"if": "field", "field": ""}), f"{C}.field: is blank"),
    "field: no number": (
        when({"if": "field", "field": "x", "op": "above", "value": "many"}),
        f"{C}.value: 'many' is no number, such as 12.5, and no date"),
    "field: starts with nothing": (
        when({"if": "field", "field": "x", "op": "starts"}), f"{C}.value: is blank"),
    "hours": (when({"if": "hours", "calendar": "x"}), f"{C}.calendar: 'x' is no calendar"),
    "referral": (when({"if": "referral", "sources": [""]}), f"{C}.sources[0]: is blank"),
    "bot": (rule({"do": "bot", "bot": "x"}), f"{A}.bot: 'x' is no bot; allowed: faq, off"),
    "bot: where a human was asked for": (
        rule({"do": "bot", "bot": "faq"}, on="handoff"), f"{A}: a human was asked for"),
    "team": (rule({"do": "team", "team": "x"}), f"{A}.team: 'x' is no team; allowed: sales"),
    "agent": (rule({"do": "agent", "agent": "x"}), f"{A}.agent: 'x' is no agent; allowed"),
    "agent: the team": (
        rule({"do": "agent", "agent": "ann", "else_team": "x"}), f"{A}.else_team: 'x' is no team"),
    "add tag": (rule({"do": "tag", "tag": " "}), f"{A}.tag: is blank"),
    "reply": (rule({"do": "reply", "text": " "}), f"{A}.text: is blank"),
    "notify": (rule({"do": "notify", "agents": ["x"]}), f"{A}.agents[0]: 'x' is no agent"),
    "notify: the team": (rule({"do": "notify", "team": "x"}), f"{A}.team: 'x' is no team"),
    "notify: nobody": (rule({"do": "notify"}), f"{A}: nobody is named"),
}  # fmt: skip


@pytest.mark.parametrize("told", PROBLEMS.values(), ids=PROBLEMS)
def test_one_problem_with_its_place_and_what_is_allowed(told: tuple[dict[str, Any], str]) -> None:
    parts, beginning = told
    wrong, _odd = found(**parts)
    assert len(wrong) == 1, wrong
    assert wrong[0].startswith(beginning)


FIRST = {"id": "all", "actions": [TAG]}
NEXT = {"id": "next", "actions": [TAG]}
WARNINGS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "after one that always stops": ({"rules": [FIRST, NEXT]}, ["rules[1]: is never reached"]),
    "after one that always ends": (
        {"rules": [FIRST | {"stop": False, "actions": [{"do": "end"}]}, NEXT]}, ["rules[1]: is"]),
    "not after one that goes on": ({"rules": [FIRST | {"stop": False}, NEXT]}, []),
    "not after one that is off": ({"rules": [FIRST | {"enabled": False}, NEXT]}, []),
    "not after one of another trigger": ({"rules": [FIRST | {"on": "message"}, NEXT]}, []),
    "not what is off itself": ({"rules": [FIRST, NEXT | {"enabled": False}]}, []),
    "not after one with conditions": ({"rules": [GOOD["rules"][0], NEXT]}, []),
    "a list while it is opened": (when({"if": "list", "any_of": ["assigned"]}), [f"{C}: a"]),
    "a bot that is off": (rule({"do": "bot", "bot": "off"}), [f"{A}.bot: the bot 'off'"]),
    "nobody with the skill": (
        rule({"do": "team", "team": "sales", "skill": "x"}), [f"{A}: the team 'sales'"]),
    "an agent that gets none": (rule({"do": "agent", "agent": "cem"}), [f"{A}.agent: 'cem'"]),
    "a language by its name": (
        when({"if": "language", "any_of": ["en", "pt-BR", "zh_Hant_TW", "english"]}),
        [f"{C}.any_of[3]: 'english' is no tag"]),
    "given away and ended": (
        {"rules": [{"id": "r", "actions": [{"do": "end"}, {"do": "team", "team": "sales"}]}]},
        ["rules[0].actions[1]: the rule ends the session"]),
    "two bots of one channel": (
        {"bots": [{"id": "a", "kind": "faq", "channels": ["line"]},
                  {"id": "b", "kind": "faq", "channels": ["line"]}]},
        ["bots[1].channels[0]: 'a' hosts line"]),
}  # fmt: skip


@pytest.mark.parametrize("told", WARNINGS.values(), ids=WARNINGS)
def test_a_warning_is_no_problem(told: tuple[dict[str, Any], list[str]]) -> None:
    parts, beginnings = told
    wrong, odd = found(**parts)
    assert not wrong
    assert len(odd) == len(beginnings), odd
    for sentence, beginning in zip(odd, beginnings, strict=True):
        assert sentence.startswith(beginning)


def test_nothing_is_wrong_with_a_good_one_or_a_fresh_one() -> None:
    assert found() == ([], [])
    assert list(problems(Policy())) == []


def test_accounts_that_are_not_known_here_are_not_looked_at() -> None:
    policy = msgspec.convert(GOOD | when({"if": "account", "any_of": ["x"]}), Policy)
    assert list(problems(policy)) == []
