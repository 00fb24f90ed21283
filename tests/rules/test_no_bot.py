"""A session is hosted by nobody only where nobody has set up a bot (D19)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.documents import DecisionRecord
from libs.common.policy import Case, Policy
from libs.common.rules.decide import decide
from libs.common.rules.explain import words
from services.router.kept import policy_text

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
OFF = {"id": "help", "name": "Helper", "kind": "faq", "enabled": False}
WEB = {"id": "web", "name": "Web", "kind": "faq", "channels": ["web"]}
HOST = {"id": "fb", "name": "First", "actions": [{"do": "bot", "bot": "help"}]}

CASES: dict[str, tuple[dict[str, Any], tuple[str, str, str], str]] = {
    "no_bot_was_ever_set_up": ({}, ("bot_hosted", "auto_hosting", ""), "none is set up"),
    "the_only_bot_is_off": ({"bots": [OFF]}, ("unassigned", "no_bot", ""), "no bot that is"),
    "the_only_bot_serves_another_channel": (
        {"bots": [WEB]},
        ("unassigned", "no_bot", ""),
        "no bot that is switched on serves this channel",
    ),
    "a_rule_names_a_bot_that_is_off": (
        {"bots": [OFF], "rules": [HOST]},
        ("unassigned", "no_bot", ""),
        "The bot Helper, which First names, is switched off or gone",
    ),
    "a_rule_names_a_bot_that_is_off_and_another_serves": (
        {"bots": [OFF, {**WEB, "channels": []}], "rules": [HOST]},
        ("bot_hosted", "auto_hosting", "web"),
        "The bot Helper, which First names, is switched off or gone",
    ),
}


@pytest.mark.parametrize(("parts", "expected", "told"), CASES.values(), ids=CASES)
def test_d19_who_hosts(parts: dict[str, Any], expected: tuple[str, str, str], told: str) -> None:
    policy = msgspec.convert({**parts, "settings": {"auto_hosting": True}}, Policy)
    case = Case(trigger="opened", session="s", channel="line", account="shop")
    decision = decide(case, policy, (), NOW)
    assert (decision.list, decision.because, decision.bot) == expected
    kept = policy_text(policy, case, decision)
    assert decide(case, msgspec.json.decode(kept, type=Policy), (), NOW) == decision
    record = DecisionRecord(
        id="d",
        workspace="acme",
        session="s",
        at=NOW,
        case=case,
        policy=kept,
        decision=decision,
    )
    assert told in " ".join(words(record))
