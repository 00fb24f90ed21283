"""Decisions a second of the pure rules: 500 agents, 100 rules, every kind of condition."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.policy import Case, Policy, Standing
from libs.common.rules.decide import decide

AGENTS = 500
RULES = 100
TEAMS = 10
DECISIONS = 400
ROUNDS = 5
NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)

CONDITIONS: tuple[dict[str, Any], ...] = (
    {"if": "words", "words": ["invoice 9", "คืนเงิน", "退款"]},
    {"if": "regex", "pattern": r"order\s+#?\d{9}"},
    {"if": "channel", "any_of": ["telegram", "wechat"]},
    {"if": "field", "field": "orders", "op": "above", "value": "1000"},
    {"if": "language", "any_of": ["th", "ja"]},
    {"if": "hours", "calendar": "c3", "open": False},
    {"if": "tag", "any_of": ["vip", "press"]},
    {"if": "referral", "sources": ["ads"]},
)


def policy() -> Policy:
    """Return one whose rules must all be tried, as none of them stops."""
    rules = [
        {
            "id": f"r{number}",
            "conditions": [
                CONDITIONS[number % len(CONDITIONS)],
                CONDITIONS[(number + 1) % len(CONDITIONS)],
            ],
            "actions": [{"do": "team", "team": f"t{number % TEAMS}"}],
            "stop": False,
        }
        for number in range(RULES)
    ]
    days = {"days": [0, 1, 2, 3, 4], "opens": "08:00", "closes": "20:00"}
    return msgspec.convert(
        {
            "settings": {"auto_hosting": False, "auto_assign": True},
            "members": [
                {
                    "id": f"a{number}",
                    "name": f"Agent {number}",
                    "limit": 5,
                    "teams": [f"t{number % TEAMS}"],
                }
                for number in range(AGENTS)
            ],
            "teams": [{"id": f"t{number}", "calendar": f"c{number}"} for number in range(TEAMS)],
            "calendars": [
                {"id": f"c{number}", "zone": "Europe/Berlin", "spans": [days]}
                for number in range(TEAMS)
            ],
            "rules": rules,
        },
        Policy,
    )


def cases(trigger: str) -> list[Case]:
    return [
        msgspec.convert(
            {
                "trigger": trigger,
                "session": f"s{number}",
                "channel": "line",
                "account": "shop",
                "text": f"Hello, where is my parcel {number}? " + "I wait for it. " * 10,
                "language": "en-GB",
                "fields": {"orders": "12"},
            },
            Case,
        )
        for number in range(DECISIONS)
    ]


def rate(given: list[Case], found: Policy, standings: tuple[Standing, ...]) -> float:
    """Return decisions per second of CPU; each has another text and a clock that moves on."""
    start = time.process_time()
    for number, case in enumerate(given):
        decide(case, found, standings, NOW + timedelta(milliseconds=number))
    return len(given) / (time.process_time() - start)


async def main() -> None:
    """Print the medians."""
    print(f"\n## Rules: {AGENTS} agents, {RULES} rules, one process\n")
    found = policy()
    standings = tuple(
        Standing(id=f"a{number}", online=number % 3 > 0, load=number % 6, idle_since=NOW)
        for number in range(AGENTS)
    )
    for trigger, what in {
        "opened": "all rules and all agents",
        "queued": "all agents, no rules",
        "message": "no rule for it",
    }.items():
        rates = [rate(cases(trigger), found, standings) for _ in range(ROUNDS)]
        print(f"{trigger} ({what}): {statistics.median(rates):,.0f} decisions per second of CPU")
