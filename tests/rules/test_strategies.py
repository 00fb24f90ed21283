"""Who is chosen among those who can, and why the others could not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.policy import Case, Policy, Standing
from libs.common.rules.strategies import choose

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)  # a Monday
CALENDARS = [
    {"id": "day", "spans": [{"days": [0], "opens": "09:00", "closes": "17:00"}]},
    {"id": "night", "spans": [{"days": [0], "opens": "22:00", "closes": "23:00"}]},
]
TEAMS = [{"id": "days", "calendar": "day"}, {"id": "nights", "calendar": "night"}, {"id": "any"}]

Row = tuple[str, dict[str, Any], dict[str, Any]]


def row(agent: str, load: int = 0, idle_min: int = 0, turn: int = 0, **member: Any) -> Row:
    """Return one agent, as a member and as it stands."""
    away = member.pop("away", False)
    online = member.pop("online", True)
    stands = {
        "online": online,
        "away": away,
        "load": load,
        "turn": turn,
        "idle_since": NOW - timedelta(minutes=idle_min),
    }
    return agent, {"limit": 5} | member, stands


def chosen(rows: list[Row], strategy: str = "least_loaded", **more: Any) -> tuple[str, list[str]]:
    """Return who is chosen, and why each could not be; "" where they could."""
    settings = {
        "strategy": strategy,
        "strategy_returning": more.pop("strategy_returning", None),
        "calendar": more.pop("calendar", ""),
    }
    policy = msgspec.convert(
        {
            "settings": settings,
            "members": [{"id": name} | member for name, member, _ in rows],
            "teams": TEAMS,
            "calendars": CALENDARS,
        },
        Policy,
    )
    standings = tuple(Standing(id=name, **stands) for name, _, stands in rows)
    told = {"trigger": "queued", "session": "s", "channel": "line", "account": "shop"}
    agent, looked = choose(msgspec.convert(told | more, Case), policy, standings, NOW)
    return agent, [candidate.excluded for candidate in looked]


CHOICES: dict[str, tuple[list[Row], dict[str, Any], str]] = {
    "nobody there": ([], {}, ""),
    "least loaded": ([row("a", 2), row("b", 1)], {}, "b"),
    "then longest idle": ([row("a", 1, 5), row("b", 1, 9)], {}, "b"),
    "then by id": ([row("b"), row("a")], {}, "a"),
    "the load counts, not its share of the limit": (
        [row("a", 2, limit=100), row("b", 1, limit=2)], {}, "b"),
    "round robin: the lowest turn": (
        [row("a", 0, turn=7), row("b", 4, turn=6)], {"strategy": "round_robin"}, "b"),
    "round robin: of equal turns the longest idle": (
        [row("a", turn=0, idle_min=1), row("b", turn=0, idle_min=2)],
        {"strategy": "round_robin"}, "b"),
    "sticky: the last owner": (
        [row("a"), row("b", 4)], {"strategy": "sticky", "last_owner": "b"}, "b"),
    "sticky: else the least loaded": (
        [row("a", 1), row("b", 5), row("c")], {"strategy": "sticky", "last_owner": "b"}, "c"),
    "sticky: nobody had it": ([row("a", 1), row("b")], {"strategy": "sticky"}, "b"),
    "priority: the highest": (
        [row("a"), row("b", 4, priority=2)], {"strategy": "priority"}, "b"),
    "priority: then least loaded": (
        [row("a", 1, priority=2), row("b", 0, priority=2), row("c", priority=-1)],
        {"strategy": "priority"}, "b"),
    "a returning contact has a strategy of its own": (
        [row("a"), row("b", 4)],
        {"strategy_returning": "sticky", "returning": True, "last_owner": "b"}, "b"),
    "a new contact has not": (
        [row("a"), row("b", 4)], {"strategy_returning": "sticky", "last_owner": "b"}, "a"),
    "a returning one without: the usual": (
        [row("a", 1), row("b")], {"returning": True, "last_owner": "a"}, "b"),
    "the agent asked for, whatever the strategy": (
        [row("a"), row("b", 4)], {"agent": "b"}, "b"),
    "the agent asked for, in no team asked for": (
        [row("a", teams=["any"]), row("b")], {"agent": "b", "team": "any"}, "b"),
    "nobody else for the agent asked for": ([row("a"), row("b", 5)], {"agent": "b"}, ""),
    "but the team that is named, too": (
        [row("a", teams=["any"]), row("b", 5), row("c")], {"agent": "b", "team": "any"}, "a"),
}  # fmt: skip


@pytest.mark.parametrize("told", CHOICES.values(), ids=CHOICES)
def test_a07_chosen(told: tuple[list[Row], dict[str, Any], str]) -> None:
    rows, more, expected = told
    assert chosen(rows, **more)[0] == expected


REASONS: dict[str, tuple[Row, dict[str, Any], str]] = {
    "can": (row("a"), {}, ""),
    "may only read": (row("a", role="read_only"), {}, "read_only"),
    "the limit 0 is never": (row("a", limit=0), {}, "limit_0"),
    "at the limit": (row("a", 5), {}, "full"),
    "over the limit, which was lowered": (row("a", 9), {}, "full"),
    "one below it": (row("a", 4), {}, ""),
    "offline": (row("a", online=False), {}, "offline"),
    "away": (row("a", away=True), {}, "away"),
    "away and not online": (row("a", online=False, away=True), {}, "away"),
    "in the team": (row("a", teams=["any"]), {"team": "any"}, ""),
    "not in the team": (row("a", teams=["any"]), {"team": "days"}, "not_in_team"),
    "with the skill": (row("a", skills=["x"]), {"skill": "x"}, ""),
    "a skill that nobody has is no wish": (row("a", skills=["x"]), {"skill": "y"}, ""),
    "removed": (row("a"), {"removed": {"a": NOW + timedelta(seconds=1)}}, "removed"),
    "removed long ago": (row("a"), {"removed": {"a": NOW}}, ""),
    "out of the workspace's hours": (row("a"), {"calendar": "night"}, "out_of_hours"),
    "in them": (row("a"), {"calendar": "day"}, ""),
    "the team's hours come before the workspace's": (
        row("a", teams=["days"]), {"calendar": "night"}, ""),
    "in the hours of one team of theirs": (
        row("a", teams=["nights", "days"]), {}, ""),
    "out of the hours of the team asked for": (
        row("a", teams=["nights", "days"]), {"team": "nights"}, "out_of_hours"),
    "a team without hours has the workspace's": (
        row("a", teams=["any"]), {"team": "any", "calendar": "night"}, "out_of_hours"),
    "the first reason counts": (
        row("a", 9, limit=0, online=False), {"team": "any", "calendar": "night"}, "limit_0"),
    "the team before the presence": (row("a", online=False), {"team": "any"}, "not_in_team"),
}  # fmt: skip


@pytest.mark.parametrize("told", REASONS.values(), ids=REASONS)
def test_a07_excluded(told: tuple[Row, dict[str, Any], str]) -> None:
    one, more, expected = told
    agent, reasons = chosen([one], **more)
    assert (agent, reasons) == ("" if expected else "a", [expected])


def test_everybody_is_looked_at_in_the_order_of_the_policy() -> None:
    rows = [row("b", 5), row("a"), row("c", online=False)]
    assert chosen(rows) == ("a", ["full", "", "offline"])


def test_who_has_no_standing_is_offline() -> None:
    policy = msgspec.convert({"members": [{"id": "a", "limit": 1}]}, Policy)
    told = {"trigger": "queued", "session": "s", "channel": "line", "account": "shop"}
    agent, looked = choose(msgspec.convert(told, Case), policy, (), NOW)
    assert (agent, [one.excluded for one in looked]) == ("", ["offline"])
