"""Why a session stands where it does (D04), and what would happen to a message now."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.documents import AGENTS, DECISIONS, LOADS, DecisionRecord, Held, Load
from libs.common.ids import derive_id
from libs.common.policy import (
    AddTag,
    AssignToTeam,
    Case,
    Member,
    Policy,
    Rule,
    Standing,
    Team,
    TextHas,
)
from libs.common.rules.decide import decide
from libs.common.switches import Settings
from tests.desk.world import Answer, World

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
POLICY = Policy(
    settings=Settings(auto_hosting=False, auto_assign=True),
    members=(
        Member(id="agt-amy", name="Amy", limit=2, teams=("sales",)),
        Member(id="agt-bob", name="Bob", limit=1, teams=("sales",)),
        Member(id="agt-lena", name="Lena"),
    ),
    teams=(Team(id="sales", name="Sales"),),
    rules=(
        Rule(
            id="orders",
            name="Orders",
            conditions=(TextHas(words=("order",)),),
            actions=(AssignToTeam(team="sales"), AddTag(tag="order")),
        ),
    ),
)
STANDINGS = (
    Standing(id="agt-amy", online=True, load=1, idle_since=AT),
    Standing(id="agt-bob", online=True, load=1, idle_since=AT),
)


def recorded(world: World, session: str, *, at: datetime = AT, text: str = "order") -> Any:
    case = Case(trigger="opened", session=session, channel="line", account="a", text=text)
    return DecisionRecord(
        id=derive_id("dec", session, at.isoformat()),
        workspace=world.workspace,
        session=session,
        at=at,
        case=case,
        standings=STANDINGS,
        policy=msgspec.json.encode(POLICY).decode(),
        decision=decide(case, POLICY, STANDINGS, at),
    )


async def test_d04_a_decision_tells_its_rule_its_candidates_and_their_loads(world: World) -> None:
    session = await world.writes("hello")
    made = await world.store.insert(DECISIONS, recorded(world, session.id))
    found = (await world.get(f"/sessions/{session.id}/why", "rita"))["decisions"]
    [one] = [decision for decision in found if decision["id"] == made.id]
    assert (one["because"], one["rules"], one["owner"]) == ("rule", ["orders"], "agt-amy")
    looked = {c["agent"]: (c["load"], c["limit"], c["words"]) for c in one["candidates"]}
    assert looked == {
        "agt-amy": (1, 2, "could take it"),
        "agt-bob": (1, 1, "full"),
        "agt-lena": (0, 0, "gets none automatically (limit 0)"),
    }
    assert "This rule applied: Orders." in one["words"]
    assert "It was assigned to Amy." in one["words"]
    assert one["replays"] is True


SPOILED = {
    "another owner": {"owner": "agt-bob"},
    "another reason": {"because": "handoff"},
    "another load": {"candidates": ()},
}


@pytest.mark.parametrize("change", SPOILED.values(), ids=SPOILED)
async def test_d04_a_record_that_the_rules_would_not_make_again_says_so(
    world: World, change: dict[str, Any]
) -> None:
    session = await world.writes("hello")
    record = recorded(world, session.id)
    record.decision = msgspec.structs.replace(record.decision, **change)
    await world.store.insert(DECISIONS, record)
    found = (await world.get(f"/sessions/{session.id}/why", "rita"))["decisions"]
    assert [d["replays"] for d in found if d["id"] == record.id] == [False]


async def test_d04_what_the_router_decides_is_recorded_and_replays(world: World) -> None:
    session = await world.writes("hello")
    found = await world.get(f"/sessions/{session.id}/why", "rita")
    [one] = found["decisions"]
    assert (one["trigger"], one["because"], one["list"]) == ("opened", "auto_hosting", "bot_hosted")
    assert one["replays"] is True


async def test_d04_the_newest_fifty_are_shown_oldest_first(world: World) -> None:
    session = await world.writes("hello")
    made = [recorded(world, session.id, at=AT.replace(minute=n)) for n in range(60)]
    assert await world.store.insert_many(DECISIONS, made) == {}
    found = (await world.get(f"/sessions/{session.id}/why", "rita"))["decisions"]
    times = [one["at"] for one in found]
    assert (len(times), times) == (50, sorted(times))
    assert made[-1].id in {one["id"] for one in found}


async def test_d04_a_lead_reads_the_record_itself(world: World) -> None:
    session = await world.writes("hello")
    made = await world.store.insert(DECISIONS, recorded(world, session.id))
    found = await world.get(f"/decisions/{made.id}", "lena")
    assert (found["session"], found["replays"]) == (session.id, True)
    assert msgspec.convert(found["policy"], Policy) == POLICY
    assert msgspec.convert(found["standings"], tuple[Standing, ...]) == STANDINGS
    assert (await world.call("GET", f"/decisions/{made.id}", "amy")).status == 403
    other = await world.call("GET", f"/decisions/{made.id}", "zoe")
    assert (other.status, other.json["detail"]) == (404, "There is no such decision.")


async def test_a_policy_that_cannot_be_read_is_shown_as_none(world: World) -> None:
    session = await world.writes("hello")
    record = recorded(world, session.id)
    record.policy = "{"
    await world.store.insert(DECISIONS, record)
    found = await world.get(f"/decisions/{record.id}", "lena")
    assert (found["policy"], found["replays"]) == (None, False)


# --- dry run --------------------------------------------------------------------------------

ORDERS: dict[str, Any] = {
    "id": "orders",
    "conditions": [{"if": "words", "words": ["order"]}],
    "actions": [{"do": "team", "team": "sales"}, {"do": "tag", "tag": "order"}],
}


async def run(world: World, who: str = "lena", **body: Any) -> Answer:
    return await world.call("POST", "/rules/dry-run", who, body=body)


async def staffed(world: World) -> None:
    """Amy is online with one of two places taken, Bob is not there."""
    for name, limit in (("amy", 2), ("bob", 2)):
        agent = await world.store.get(AGENTS, world.workspace, f"agt-{name}")
        assert agent is not None
        agent.limit, agent.teams = limit, ("sales",)
        await world.store.replace(AGENTS, agent)
    held = (Held(session="ses_x", since=AT),)
    load = Load(id="agt-amy", workspace=world.workspace, held=held, idle_since=AT)
    await world.store.insert(LOADS, load)
    assert (await world.call("PUT", "/presence", "amy", body={"state": "online"})).status == 200


async def test_a_message_that_would_open_a_session_is_told_of(world: World) -> None:
    answer = await run(world, account=world.slug("line"), text="hello")
    assert answer.status == 200, answer.body
    found = answer.json
    assert (found["trigger"], found["decision"]["list"]) == ("opened", "bot_hosted")
    assert any("Auto-hosting is on" in sentence for sentence in found["words"])
    assert (await world.get("/sessions"))["items"] == []


async def test_a_proposal_is_tried_without_being_made(world: World) -> None:
    await staffed(world)
    proposal = {
        "settings": {"auto_hosting": False, "auto_assign": True},
        "rules": [ORDERS],
        "teams": [{"id": "sales"}],
    }
    body: dict[str, Any] = {"account": world.slug("line"), "text": "my order", "proposal": proposal}
    found = (await run(world, **body)).json
    assert (found["decision"]["owner"], found["decision"]["because"]) == ("agt-amy", "rule")
    looked = {one["agent"]: (one["load"], one["words"]) for one in found["candidates"]}
    assert looked["agt-amy"] == (1, "could take it")
    assert looked["agt-bob"] == (0, "offline")
    full = {**proposal, "limits": {"agt-amy": 1}}
    found = (await run(world, **{**body, "proposal": full})).json
    assert (found["decision"]["list"], found["decision"]["because"]) == (
        "unassigned",
        "nobody_free",
    )
    assert (await world.get("/settings", "lena"))["auto_assign"] is False
    assert await world.audited() == []
    assert (await world.get("/sessions"))["items"] == []


async def test_a_further_message_and_a_handoff_of_a_session(world: World) -> None:
    session = await world.writes("hello")
    rule = {
        "id": "angry",
        "on": "message",
        "conditions": [{"if": "words", "words": ["complaint"]}],
        "actions": [{"do": "priority", "priority": 5}],
    }
    body: dict[str, Any] = {
        "session": session.id,
        "text": "a complaint",
        "proposal": {"rules": [rule]},
    }
    found = (await run(world, **body)).json
    assert (found["trigger"], found["decision"]["priority"]) == ("message", 5)
    assert found["case"]["list"] == "bot_hosted"
    asked = (await run(world, session=session.id, trigger="handoff")).json
    assert (asked["decision"]["list"], asked["decision"]["because"]) == ("unassigned", "handoff")
    after = await world.session(session.id)
    assert (after.list, after.priority) == ("bot_hosted", 0)


async def test_a_message_after_the_end_opens_the_next_session_of_a_returning_contact(
    world: World,
) -> None:
    session = await world.writes("hello")
    await world.do("claim", session.id)
    await world.do("end", session.id)
    found = (await run(world, session=session.id, text="again")).json
    assert (found["trigger"], found["case"]["returning"]) == ("opened", True)
    assert found["case"]["last_owner"] == "agt-amy"
    refused = await run(world, session=session.id, trigger="queued")
    assert (refused.status, refused.json["facts"]["field"]) == (422, "trigger")


REFUSED = {
    "neither session nor account": ({}, 422, "account"),
    "an account that is not here": ({"account": "nobody"}, 422, "account"),
    "a rule that names no team": (
        {"account": "LINE", "proposal": {"rules": [ORDERS]}},
        422,
        "proposal.rules.0.actions.0.team",
    ),
    "a switch that does not exist": (
        {"account": "LINE", "proposal": {"settings": {"auto": True}}},
        422,
        "proposal.settings.auto",
    ),
    "a limit of nobody": (
        {"account": "LINE", "proposal": {"limits": {"agt-none": 1}}},
        422,
        "proposal.limits.agt-none",
    ),
    "a rule of more conditions than one may have": (
        {
            "account": "LINE",
            "proposal": {
                "rules": [
                    {
                        **ORDERS,
                        "conditions": [{"if": "contact", "kind": "new"}] * 51,
                    }
                ]
            },
        },
        422,
        "proposal.rules.0.conditions",
    ),
    "more patterns than all rules may have": (
        {
            "account": "LINE",
            "proposal": {
                "rules": [
                    {
                        "id": f"r{n}",
                        "conditions": [{"if": "regex", "pattern": f"a{n}b{m}"} for m in range(26)],
                        "actions": [{"do": "tag", "tag": "x"}],
                    }
                    for n in range(4)
                ]
            },
        },
        422,
        "proposal.rules",
    ),
    "a rule named as the order of rules": (
        {"account": "LINE", "proposal": {"rules": [{**ORDERS, "id": "order"}]}},
        422,
        "id",
    ),
    "a name of a calendar that no store keeps": (
        {"account": "LINE", "proposal": {"calendars": [{"id": "c", "away_text": "\0"}]}},
        422,
        "proposal.calendars.0.away_text",
    ),
    "a time after those that calendars know": (
        {"account": "LINE", "at": "9999-12-31T23:00:00Z"},
        422,
        "at",
    ),
    "a time before those that calendars know": (
        {"account": "LINE", "at": "0001-01-01T00:00:00Z"},
        422,
        "at",
    ),
    "a time without a zone": ({"account": "LINE", "at": "2026-01-01T00:00:00"}, 422, "at"),
}


@pytest.mark.parametrize(("body", "status", "field"), REFUSED.values(), ids=REFUSED)
async def test_a_dry_run_that_cannot_be_is_refused(
    world: World, body: dict[str, Any], status: int, field: str
) -> None:
    if body.get("account") == "LINE":
        body = {**body, "account": world.slug("line")}
    answer = await run(world, **body)
    assert (answer.status, answer.json["facts"]["field"]) == (status, field), answer.body


async def test_g13_a_dry_run_reaches_over_no_wall(world: World) -> None:
    session = await world.writes("hello")
    bodies: list[dict[str, Any]] = [{"session": session.id}, {"account": world.slug("line")}]
    for body in bodies:
        mine, theirs = await run(world, **body), await run(world, "zoe", **body)
        assert mine.status == 200
        assert theirs.status in {404, 422}
        assert session.id.encode() not in theirs.body


async def test_the_patterns_of_a_proposal_are_read_while_others_are_served(world: World) -> None:
    """Twenty take a good part of a second; meanwhile the process answers."""
    patterns = [f"(a|b|c|d|e\\pN){{60}}y{n}{uuid.uuid4().hex}" for n in range(20)]
    rules = [
        {
            "id": "slow",
            "conditions": [{"if": "regex", "pattern": one} for one in patterns],
            "actions": [{"do": "tag", "tag": "x"}],
        }
    ]
    body: dict[str, Any] = {
        "account": world.slug("line"),
        "text": "a",
        "proposal": {"rules": rules},
    }
    asking = asyncio.create_task(run(world, **body))
    turns = 0
    while not asking.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert (await asking).status == 200
    assert turns > len(patterns) / 2, "all were read at a stretch"


# --- dry run of what a bot has --------------------------------------------------------------

FAQ = {
    "name": "Helper",
    "kind": "faq",
    "faq": [{"id": "hours", "questions": ["When are you open?"], "answers": ["From nine."]}],
}
SAID: dict[str, tuple[str, str, str, list[str], str]] = {
    "a hand-off word": ("Human!", "visitor_asked", "unassigned", [], "hand-off words"),
    "what the bot knows": ("when are you open", "", "", ["From nine."], "Helper would answer"),
    "what it does not know": ("boats", "not_understood", "unassigned", [], "not understand"),
}


@pytest.mark.parametrize("case", SAID.values(), ids=SAID)
@pytest.mark.parametrize("new", [False, True], ids=["in its session", "as the first message"])
async def test_a_dry_run_before_a_bot_says_what_the_bot_or_the_hand_off_would_do(
    world: World, case: tuple[str, str, str, list[str], str], new: bool
) -> None:
    text, handoff, to, says, told = case
    session = await world.writes("hello")
    assert (await world.call("POST", "/bots", "adam", body=FAQ)).status == 201
    where = {"account": world.slug("line")} if new else {"session": session.id}
    found = (await run(world, **where, text=text)).json
    assert (found["handoff"], found["decision"].get("list", "")) == (
        handoff,
        to or ("bot_hosted" if new else ""),
    )
    assert [part["text"] for part in (found["bot"] or {}).get("says", [])] == says
    sentences = " ".join(found["words"])
    assert told in sentences
    assert ("It stayed." in sentences) == (not handoff and not new)
    assert (found["before"] is not None) == bool(handoff)
    after = await world.session(session.id)
    assert (after.list, after.bot_sent, after.rev) == ("bot_hosted", 0, session.rev)


async def test_what_an_agent_has_is_not_handed_over_by_a_word(world: World) -> None:
    session = await world.writes("hello")
    await world.do("claim", session.id)
    found = (await run(world, session=session.id, text="human")).json
    assert (found["handoff"], found["bot"], found["decision"]["because"]) == ("", None, "has_owner")


async def test_who_would_come_while_others_wait_goes_behind_them(world: World) -> None:
    await staffed(world)
    waiting = await world.writes("hello")
    assert (await world.do("handoff", waiting.id)).status == 200
    settings = {"auto_hosting": False, "auto_assign": True}
    body: dict[str, Any] = {"account": world.slug("line"), "proposal": {"settings": settings}}
    assert (await run(world, **body)).json["decision"]["because"] == "others_first"
    assert (await world.do("end", waiting.id)).status == 200
    assert (await run(world, **body)).json["decision"]["because"] == "auto_assign"
