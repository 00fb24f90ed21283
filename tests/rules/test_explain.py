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


def told(text: str = "", *, policy: str | None = None, last_owner: str = "", **more: Any) -> str:
    """Return the words of a decision; a loads 1, b is full, c is offline."""
    returning = more.pop("returning", bool(last_owner))
    whole = msgspec.convert(PARTS | {"settings": more}, Policy)
    case = Case(
        trigger="opened",
        session="s",
        channel="line",
        account="shop",
        text=text,
        returning=returning,
        last_owner=last_owner,
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


RETURNED: dict[str, tuple[dict[str, Any], str]] = {
    "they could": ({"last_owner": "a"}, ""),
    "they could not": (
        {"last_owner": "b"},
        "Returning contacts go to their last agent first; Bob could not take it.",
    ),
    "they are gone": (
        {"last_owner": "z"},
        "Returning contacts go to their last agent first, who is not here any more.",
    ),
    "they are not asked": ({"last_owner": "b", "reopen": "queue"}, ""),
    "nobody had one": ({"returning": True}, ""),
}


@pytest.mark.parametrize("hosting", [True, False], ids=["to the bot", "to the queue"])
@pytest.mark.parametrize(("given", "sentence"), RETURNED.values(), ids=RETURNED)
def test_d18_words_tell_that_the_last_owner_was_asked_first(
    given: dict[str, Any], sentence: str, hosting: bool
) -> None:
    found = [
        line for line in told(**given, auto_hosting=hosting).splitlines() if "last agent" in line
    ]
    assert found == ([sentence] if sentence else [])
