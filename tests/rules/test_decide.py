"""Where sessions go and why: rules, reopening, hosting, assignment, in that order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.policy import Case, Decision, Policy, Standing
from libs.common.rules.decide import decide

NOW = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)  # a Monday
OFFICE = {"id": "office", "spans": [{"days": [0], "opens": "09:00", "closes": "17:00"}]}
NIGHT = {
    "id": "night",
    "spans": [{"days": [0], "opens": "22:00", "closes": "23:00"}],
    "away_text": "Back at ten",
}
MEMBERS: list[dict[str, Any]] = [
    {"id": "ann", "limit": 2, "teams": ["sales"], "skills": ["thai"]},
    {"id": "bob", "limit": 2, "teams": ["help"], "priority": 5},
    {"id": "cem", "limit": 0, "teams": ["sales"]},
]
BOTS: list[dict[str, Any]] = [
    {"id": "off", "kind": "faq", "channels": ["line"], "enabled": False},
    {"id": "faq", "kind": "faq"},
    {"id": "webflow", "kind": "flow", "channels": ["web"]},
]


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    """Return a policy with the rules, numbered; the rest are settings or parts by name."""
    parts: dict[str, Any] = {
        "members": MEMBERS,
        "teams": [{"id": "sales"}, {"id": "help"}, {"id": "late", "calendar": "night"}],
        "calendars": [OFFICE, NIGHT],
        "bots": BOTS,
    }
    parts |= {name: more.pop(name) for name in list(more) if name in parts}
    named = [{"id": f"r{number}"} | rule for number, rule in enumerate(rules)]
    return msgspec.convert(parts | {"settings": more, "rules": named}, Policy)


def case(trigger: str = "opened", **more: Any) -> Case:
    told = {"trigger": trigger, "session": "s", "channel": "line", "account": "shop"}
    return msgspec.convert(told | more, Case)


def standing(agent: str, load: int = 0, *, online: bool = True, **more: Any) -> Standing:
    return Standing(id=agent, online=online, load=load, idle_since=NOW, **more)


ALL = (standing("ann"), standing("bob"), standing("cem"))
BUSY = (standing("ann", 2), standing("bob", 3), standing("cem"))


def do(*actions: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"actions": list(actions), **more}


def bot(name: str) -> dict[str, Any]:
    return {"do": "bot", "bot": name}


def team(name: str, skill: str = "") -> dict[str, Any]:
    return {"do": "team", "team": name, "skill": skill}


def agent(name: str, else_team: str = "") -> dict[str, Any]:
    return {"do": "agent", "agent": name, "else_team": else_team}


def reply(text: str) -> dict[str, Any]:
    return {"do": "reply", "text": text}


def tag(text: str) -> dict[str, Any]:
    return {"do": "tag", "tag": text}


END = {"do": "end"}
ON = {"auto_assign": True}
OFF = {"auto_hosting": False}
HOSTED = case("message", list="bot_hosted")
WAITS = case("queued", list="unassigned")
OWNED = case("message", list="assigned")
BACK = case(returning=True, last_owner="bob")
BY_DAY = policy(
    members=[*MEMBERS, {"id": "dan", "limit": 2}],
    teams=[{"id": "sales", "calendar": "office"}],
    calendar="night",
)
VIP = {"conditions": [{"if": "tag", "any_of": ["vip"]}]}

Told = tuple[Case, Policy, tuple[Standing, ...], dict[str, Any]]
CASES: dict[str, Told] = {
    # hosting
    "a02: auto-hosting puts it before the bot of all channels": (
        case(), policy(), ALL, {"list": "bot_hosted", "bot": "faq", "because": "auto_hosting"}),
    "a02: the channel's own bot comes first": (
        case(channel="web"), policy(), ALL, {"list": "bot_hosted", "bot": "webflow"}),
    "a02: without any bot it is hosted all the same": (
        case(), policy(bots=[]), ALL, {"list": "bot_hosted", "bot": ""}),
    "a05: off: it waits, and no bot is asked": (
        case(), policy(**OFF), ALL,
        {"list": "unassigned", "bot": "", "owner": "", "because": "auto_hosting_off"}),
    "a01: the channel overrides the workspace": (
        case(), policy(channels={"line": {"auto_hosting": False}}), ALL,
        {"list": "unassigned", "because": "auto_hosting_off"}),
    "a01: the account overrides the channel": (
        case(),
        policy(channels={"line": {"auto_hosting": False}},
               accounts={"shop": {"auto_hosting": True}}), ALL,
        {"list": "bot_hosted", "because": "auto_hosting_of_account"}),
    "a01: an account that says nothing leaves it to the channel": (
        case(), policy(channels={"line": {"auto_hosting": True}}, accounts={"shop": {}}, **OFF),
        ALL, {"list": "bot_hosted", "because": "auto_hosting_of_channel"}),
    "standby: no bot and nobody": (
        case(standby=True), policy(**ON), ALL,
        {"list": "unassigned", "bot": "", "owner": "", "because": "standby"}),
    "standby: no rule puts a bot or a text into it": (
        case(standby=True), policy(do(bot("faq"), reply("hi"), tag("x"))), ALL,
        {"list": "unassigned", "bot": "", "replies": (), "says": (), "tags": ("x",),
         "because": "standby"}),
    "standby: nobody gets it from the queue": (
        case("queued", list="unassigned", standby=True), policy(**ON), ALL,
        {"list": "", "owner": "", "because": "standby"}),
    # assignment
    "a07: with auto-assign it goes to somebody": (
        case(), policy(**ON, **OFF), ALL,
        {"list": "assigned", "owner": "ann", "because": "auto_assign"}),
    "a07: from the queue": (
        WAITS, policy(**ON), ALL, {"list": "assigned", "owner": "ann", "because": "auto_assign"}),
    "a07: everybody full: it stays": (
        WAITS, policy(**ON), BUSY, {"list": "", "owner": "", "because": "nobody_free"}),
    "a07: off: it stays": (
        WAITS, policy(), ALL,
        {"list": "", "owner": "", "because": "auto_assign_off", "candidates": ()}),
    "a01: the channel may turn auto-assign on": (
        WAITS, policy(channels={"line": {"auto_assign": True}}), ALL, {"owner": "ann"}),
    "a01: the account may turn it off again": (
        WAITS, policy(accounts={"shop": {"auto_assign": False}}, **ON), ALL,
        {"owner": "", "because": "auto_assign_off"}),
    "a08: automation goes on in assigned while session hosting is on": (
        WAITS, policy(session_hosting=True, **ON), ALL, {"owner": "ann", "automation": True}),
    "a08: off: it does not": (WAITS, policy(**ON), ALL, {"owner": "ann", "automation": False}),
    "a08: the account says so": (
        WAITS, policy(accounts={"shop": {"session_hosting": True}}, **ON), ALL,
        {"automation": True}),
    "a08: only in assigned": (
        case(), policy(session_hosting=True), ALL, {"list": "bot_hosted", "automation": False}),
    # hand-off
    "a17: asked for a human: it waits": (
        case("handoff", list="bot_hosted"), policy(), ALL,
        {"list": "unassigned", "because": "handoff"}),
    "a17: or somebody gets it": (
        case("handoff", list="bot_hosted"), policy(**ON), ALL,
        {"list": "assigned", "owner": "ann", "because": "auto_assign"}),
    "a17: in the team asked for before": (
        case("handoff", list="bot_hosted", team="help"), policy(**ON), ALL, {"owner": "bob"}),
    "a17: a rule of the hand-off names another": (
        case("handoff", list="bot_hosted", team="help"),
        policy(do(team("sales"), on="handoff"), **ON), ALL,
        {"owner": "ann", "team": "sales", "because": "rule"}),
    "a17: no rule puts a bot where a human was asked for": (
        case("handoff", list="bot_hosted"), policy(do(bot("faq"), on="handoff")), ALL,
        {"list": "unassigned", "bot": "", "because": "handoff"}),
    "a17: who has an owner keeps it": (
        case("handoff", list="assigned"), policy(**ON), ALL, {"list": "", "because": "has_owner"}),
    # reopening
    "d18: back to the owner": (
        BACK, policy(), ALL,
        {"list": "assigned", "owner": "bob", "because": "reopened_to_owner"}),
    "d18: the owner is offline: as any other": (
        BACK, policy(), (standing("bob", online=False),),
        {"list": "bot_hosted", "because": "auto_hosting"}),
    "d18: the owner is full: as any other": (BACK, policy(), BUSY, {"list": "bot_hosted"}),
    "d18: why the owner did not get it is kept": (
        BACK, policy(), BUSY, {"candidates": ({"agent": "bob", "load": 3, "limit": 2,
                                               "excluded": "full"},)}),
    "d18: an owner with the limit 0 gets none": (
        case(returning=True, last_owner="cem"), policy(), ALL, {"list": "bot_hosted"}),
    "d18: an owner who is gone": (
        case(returning=True, last_owner="gone"), policy(), ALL, {"list": "bot_hosted"}),
    "d18: no owner before": (case(returning=True), policy(), ALL, {"list": "bot_hosted"}),
    "d18: always the queue": (
        BACK, policy(reopen="queue"), ALL, {"list": "unassigned", "because": "reopened_to_queue"}),
    "d18: the queue, and auto-assign": (
        BACK, policy(reopen="queue", **ON), ALL, {"owner": "ann", "because": "auto_assign"}),
    "d18: the bot, though auto-hosting is off": (
        BACK, policy(reopen="bot", **OFF), ALL,
        {"list": "bot_hosted", "bot": "faq", "because": "reopened_to_bot"}),
    "d18: the bot, but there is none": (
        BACK, policy(reopen="bot", bots=[], **OFF), ALL, {"list": "unassigned"}),
    "d18: a new contact is not received so": (
        case(last_owner="bob"), policy(), ALL, {"list": "bot_hosted"}),
    "d18: a rule comes before": (
        BACK, policy(do(bot("faq"))), ALL, {"list": "bot_hosted", "because": "rule"}),
    # rules: each action
    "bot: of the rule": (
        case(), policy(do(bot("webflow")), **OFF), ALL,
        {"list": "bot_hosted", "bot": "webflow", "because": "rule", "rules": ("r0",)}),
    "bot: one that is off is as if it were not there": (
        case(), policy(do(bot("off")), **OFF), ALL,
        {"list": "unassigned", "because": "auto_hosting_off", "rules": ("r0",)}),
    "bot: one that is not there, too": (
        case(), policy(do(bot("gone")), **OFF), ALL, {"list": "unassigned"}),
    "team: only its members": (
        case(), policy(do(team("help")), **ON), ALL,
        {"list": "assigned", "owner": "bob", "team": "help", "because": "rule"}),
    "team: without auto-assign it waits": (
        case(), policy(do(team("help"))), ALL,
        {"list": "unassigned", "team": "help", "because": "rule", "owner": ""}),
    "team: with a skill": (
        case(), policy(do(team("sales", "thai")), **ON), ALL, {"owner": "ann", "skill": "thai"}),
    "team: nobody with the skill": (
        case(), policy(do(team("help", "thai")), **ON), ALL,
        {"list": "unassigned", "because": "nobody_free"}),
    "team: one that is gone keeps nobody waiting": (
        case(), policy(do(team("gone")), **ON), ALL, {"owner": "ann"}),
    "agent: gets it without auto-assign": (
        case(), policy(do(agent("bob"))), ALL,
        {"list": "assigned", "owner": "bob", "agent": "bob", "because": "rule"}),
    "agent: while that one cannot, it waits": (
        case(), policy(do(agent("bob")), **ON), (standing("ann"), standing("bob", 2)),
        {"list": "unassigned", "owner": "", "agent": "bob", "because": "nobody_free"}),
    "agent: and is offered to that one later": (
        case("queued", list="unassigned", agent="bob"), policy(), ALL,
        {"list": "assigned", "owner": "bob", "because": "rule"}),
    "agent: or goes to the team": (
        case(), policy(do(agent("bob", "sales")), **ON), (standing("ann"), standing("bob", 2)),
        {"owner": "ann", "agent": "bob", "team": "sales"}),
    "agent: one that is gone keeps nobody waiting": (
        case(), policy(do(agent("gone")), **ON), ALL, {"owner": "ann"}),
    "tags, each once": (
        case(), policy(do(tag("x"), tag("y"), tag("x"))), ALL, {"tags": ("x", "y")}),
    "reply: once per session": (
        case(), policy(do(reply("hi"))), ALL, {"replies": ("hi",), "says": ("rule:r0",)}),
    "reply: not again": (
        case(said=("rule:r0",)), policy(do(reply("hi"))), ALL, {"replies": (), "says": ()}),
    "priority": (case(), policy(do({"do": "priority", "priority": 3})), ALL, {"priority": 3}),
    "priority: none said": (case(), policy(do(tag("x"))), ALL, {"priority": None}),
    "end: whatever else": (
        case(), policy(do(END, bot("faq"), tag("x"))), ALL,
        {"list": "ended", "end_reason": "ended_by_rule", "bot": "", "tags": ("x",)}),
    "end: no rule after it": (
        case(), policy(do(END, stop=False), do(tag("x"))), ALL, {"rules": ("r0",), "tags": ()}),
    "notify: agents and a team, each once": (
        case(), policy(do({"do": "notify", "agents": ["ann", "gone"], "team": "sales"})), ALL,
        {"notify": ("ann", "cem")}),
    # rules: order
    "the first that stops is the last": (
        case(), policy(do(tag("x")), do(tag("y"))), ALL, {"rules": ("r0",), "tags": ("x",)}),
    "without stop they add up": (
        case(), policy(do(tag("x"), stop=False), do(tag("y"))), ALL,
        {"rules": ("r0", "r1"), "tags": ("x", "y")}),
    "of two places the later counts": (
        case(), policy(do(bot("faq"), stop=False), do(team("help")), **ON), ALL,
        {"list": "assigned", "owner": "bob", "bot": ""}),
    "a bot first, with a team for later": (
        case(), policy(do(team("help"), bot("faq"))), ALL,
        {"list": "bot_hosted", "bot": "faq", "team": "help"}),
    "of two priorities the later counts": (
        case(),
        policy(do({"do": "priority", "priority": 3}, stop=False),
               do({"do": "priority", "priority": -1})), ALL, {"priority": -1}),
    "all conditions must hold": (
        case(tags=("vip",)),
        policy(do(tag("x"), conditions=[*VIP["conditions"], {"if": "channel", "any_of": ["web"]}])),
        ALL, {"rules": ()}),
    "one that does not fire does not stop": (
        case(), policy(do(tag("x"), **VIP), do(tag("y"))), ALL, {"rules": ("r1",)}),
    "one that is off does not count": (
        case(), policy(do(tag("x"), enabled=False)), ALL, {"rules": ()}),
    "one for another trigger does not count": (
        case(), policy(do(tag("x"), on="message")), ALL, {"rules": ()}),
    "no rule is tried from the queue": (
        WAITS, policy(do(tag("x")), do(tag("y"), on="message")), ALL, {"rules": ()}),
    # further messages
    "a further message goes nowhere": (
        HOSTED, policy(**ON), ALL, {"list": "", "because": "no_rule", "owner": ""}),
    "though a rule tags it": (
        HOSTED, policy(do(tag("x"), on="message"), **ON), ALL,
        {"list": "", "because": "rule", "tags": ("x",)}),
    "a rule may take it from the bot": (
        HOSTED, policy(do(team("help"), on="message"), **ON), ALL,
        {"list": "assigned", "owner": "bob"}),
    "a rule may give it to another bot": (
        HOSTED, policy(do(bot("webflow"), on="message")), ALL, {"list": "", "bot": "webflow"}),
    "no rule takes it from its owner": (
        OWNED, policy(do(bot("faq"), tag("x"), on="message")), ALL,
        {"list": "", "bot": "", "because": "has_owner", "tags": ("x",)}),
    "not even for another agent": (
        OWNED, policy(do(agent("bob"), on="message")), ALL, {"list": "", "owner": ""}),
    "but a rule may end it": (
        OWNED, policy(do(END, on="message")), ALL, {"list": "ended", "because": "rule"}),
    # what is no more
    "a team that is gone holds nobody up": (
        case("queued", list="unassigned", team="gone"), policy(**ON), ALL, {"owner": "ann"}),
    "nor does an agent who is gone": (
        case("queued", list="unassigned", agent="gone"), policy(**ON), ALL, {"owner": "ann"}),
    "nor does a skill that nobody has any more": (
        case("queued", list="unassigned", skill="latin"), policy(**ON), ALL, {"owner": "ann"}),
    "a skill that somebody has is waited for": (
        case("queued", list="unassigned", skill="thai"), policy(**ON), (standing("bob"),),
        {"owner": ""}),
    "who comes while others wait goes behind them": (
        case(behind=True), policy(**ON, **OFF), ALL,
        {"owner": "", "list": "unassigned", "because": "others_first"}),
    "d18: not who returns to the last owner": (
        case(returning=True, last_owner="bob", behind=True), policy(**ON), ALL, {"owner": "bob"}),
    # hours
    "d16: who waits for people is told of closed hours": (
        case(), policy(calendar="night", **OFF), ALL,
        {"replies": ("Back at ten",), "says": ("away",)}),
    "d16: once": (
        case("message", list="unassigned", said=("away",)), policy(calendar="night"), ALL,
        {"replies": ()}),
    "d16: not before a bot": (case(), policy(calendar="night"), ALL, {"replies": ()}),
    "d16: but when a human is asked for": (
        case("handoff", list="bot_hosted"), policy(calendar="night"), ALL, {"says": ("away",)}),
    "d16: the team's hours count": (
        case(), policy(do(team("late")), calendar="office", **OFF), ALL, {"says": ("away",)}),
    "d16: not from the queue": (WAITS, policy(calendar="night", **ON), ALL, {"replies": ()}),
    "d16: not beside an owner who is within their own hours": (
        case("message", list="assigned", owner="ann"), BY_DAY, ALL, {"replies": ()}),
    "d16: beside an owner who is outside theirs": (
        case("message", list="assigned", owner="dan"), BY_DAY, ALL, {"says": ("away",)}),
    "d16: beside an owner who is gone": (
        case("message", list="assigned", owner="eve"), BY_DAY, ALL, {"says": ("away",)}),
    "d16: not beside one who answered lately": (
        case("message", list="assigned", owner="dan", answered_at="2026-01-05T11:00:01Z"),
        BY_DAY, ALL, {"replies": ()}),
    "d16: beside one who answered long ago": (
        case("message", list="assigned", owner="dan", answered_at="2026-01-05T11:00:00Z"),
        BY_DAY, ALL, {"says": ("away",)}),
    "d16: nobody is given one outside them": (
        WAITS, policy(calendar="night", **ON), ALL, {"owner": "", "because": "nobody_free"}),
    "d16: nothing is told when it is open": (
        case(), policy(calendar="office", **OFF), ALL, {"replies": ()}),
    "d16: a calendar that is gone closes nothing": (
        WAITS, policy(calendar="gone", **ON), ALL, {"owner": "ann"}),
}  # fmt: skip


@pytest.mark.parametrize("told", CASES.values(), ids=CASES)
def test_decide(told: Told) -> None:
    given_case, given_policy, standings, expected = told
    found = decide(given_case, given_policy, standings, NOW)
    wanted = msgspec.to_builtins(msgspec.convert({"because": "-", **expected}, Decision))
    shown = msgspec.to_builtins(found)
    assert {name: shown.get(name) for name in expected} == {
        name: wanted.get(name) for name in expected
    }


def test_b16_who_was_removed_gets_it_back_only_later() -> None:
    removed = case("queued", list="unassigned", removed={"ann": NOW + timedelta(minutes=10)})
    assert decide(removed, policy(**ON), ALL, NOW).owner == "bob"
    later = decide(removed, policy(**ON), ALL, NOW + timedelta(minutes=10))
    assert later.owner == "ann"


def test_a07_three_agents_and_five_sessions() -> None:
    members = [{"id": "a", "limit": 2}, {"id": "b", "limit": 2}, {"id": "c", "limit": 0}]
    loads = dict.fromkeys("abc", 0)
    owners = []
    for _ in range(5):
        standings = tuple(standing(name, load) for name, load in loads.items())
        owner = decide(WAITS, policy(members=members, **ON), standings, NOW).owner
        owners.append(owner)
        if owner:
            loads[owner] += 1
    assert loads == {"a": 2, "b": 2, "c": 0}
    assert owners == ["a", "b", "a", "b", ""]
