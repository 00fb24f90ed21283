"""Decisions in words, from their records alone (D04)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.documents import DecisionRecord
from libs.common.policy import Case, Policy, Standing
from libs.common.rules.decide import decide
from libs.common.rules.explain import BECAUSE, EXCLUDED, words

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
PARTS: dict[str, Any] = {
    "members": [
        {"id": "a", "name": "Ann", "limit": 2},
        {"id": "b", "name": "Bob", "limit": 2},
        {"id": "c", "name": "Cem", "limit": 2},
    ],
    "bots": [{"id": "faq", "name": "Questions", "kind": "faq"}],
    "rules": [
        {"id": "urgent", "name": "Urgent first", "stop": False,
         "conditions": [{"if": "words", "words": ["urgent"]}],
         "actions": [{"do": "priority", "priority": 5}, {"do": "tag", "tag": "hot"},
                     {"do": "notify", "agents": ["c"]}, {"do": "reply", "text": "We hurry"}]},
    ],
}  # fmt: skip


def told(
    text: str = "", *, policy: str | None = None, returning: bool = False, **settings: Any
) -> str:
    """Return the words of a decision; a loads 1, b is full, c is offline."""
    whole = msgspec.convert(PARTS | {"settings": settings}, Policy)
    case = Case(
        trigger="opened",
        session="s",
        channel="line",
        account="shop",
        text=text,
        returning=returning,
    )
    standings = (
        Standing(id="a", online=True, load=1, idle_since=NOW),
        Standing(id="b", online=True, load=2, idle_since=NOW),
        Standing(id="c", online=False, load=0, idle_since=NOW),
    )
    record = DecisionRecord(
        id="d",
        workspace="w",
        session="s",
        at=NOW,
        case=case,
        standings=standings,
        policy=msgspec.json.encode(whole).decode() if policy is None else policy,
        decision=decide(case, whole, standings, NOW),
    )
    return "\n".join(words(record))


AUTO: dict[str, Any] = {"auto_hosting": False, "auto_assign": True}
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "hosted": ({}, """\
2026-01-05 12:00:00 UTC: A visitor's first message opened the session (line, account shop).
Auto-hosting is on, so a new session goes to the bot first.
It went to Bot Hosting, with the bot Questions."""),
    "assigned, with loads and reasons": (AUTO, """\
2026-01-05 12:00:00 UTC: A visitor's first message opened the session (line, account shop).
Auto-assign is on, and somebody could take it.
It was assigned to Ann.
3 agents were looked at; 1 could take it.
Could: Ann (1 of 2).
Could not, full: Bob (2 of 2).
Could not, offline: Cem (0 of 2)."""),
    "what rules added": ({"text": "URGENT!", "auto_hosting": False, "returning": True,
                          "reopen": "queue"}, """\
2026-01-05 12:00:00 UTC: A visitor's first message opened the session (line, account shop, from a \
contact who had one before).
This rule applied: Urgent first.
The contact came back, and returning contacts wait for an agent.
It went to Unassigned.
Tagged: hot.
Priority set to 5.
The visitor got the answer that a rule gives once per session.
Alerted: Cem."""),
    "without the policy by ids": (AUTO | {"policy": ""}, """\
2026-01-05 12:00:00 UTC: A visitor's first message opened the session (line, account shop).
Auto-assign is on, and somebody could take it.
It was assigned to a.
3 agents were looked at; 1 could take it.
Could: Ann (1 of 2).
Could not, full: Bob (2 of 2).
Could not, offline: Cem (0 of 2)."""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_d04_words(case: tuple[dict[str, Any], str]) -> None:
    given, expected = case
    assert told(**given) == expected


def test_a_policy_that_cannot_be_read_breaks_nothing() -> None:
    assert "It was assigned to a." in told(policy="{", **AUTO)


def test_every_word_is_a_sentence_or_a_phrase() -> None:
    assert all(sentence.endswith(".") for sentence in BECAUSE.values())
    assert not any(phrase.endswith(".") for phrase in EXCLUDED.values())
