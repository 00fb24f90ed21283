"""Rules on live sessions: every action, at the opening, at a message and in whatever list."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from libs.common.documents import Session
from libs.common.events import Profile
from libs.common.policy import Case, Policy, Standing
from libs.common.rules.case import case_of
from libs.common.rules.decide import decide
from services.router.decisions import is_idle
from services.router.kept import slim, standings_of
from tests.router.rig import at, said
from tests.router.stage import DAY, Stage, agents, policy
from tests.rules.test_replay import NOW, cases, crews, policies

OFF = {"auto_hosting": False}
AUTO = OFF | {"auto_assign": True}
BOTS = [{"id": "faq", "kind": "faq"}, {"id": "other", "kind": "faq", "channels": ["web"]}]
PEOPLE = agents("amy") + agents("bob", teams=["sales"], skills=["thai"]) + agents("lea", limit=0)
PARTS: dict[str, Any] = {"members": PEOPLE, "teams": [{"id": "sales"}]}
HOSTS = PARTS | {"bots": BOTS}


def when(word: str, *actions: dict[str, Any], on: str = "opened", **more: Any) -> dict[str, Any]:
    """Return a rule for messages with *word*."""
    conditions = [{"if": "words", "words": [word]}]
    return {"on": on, "conditions": conditions, "actions": list(actions)} | more


def place(session: Session) -> tuple[str, str | None, str]:
    return session.list, session.owner, session.bot_id


ACTIONS: dict[str, tuple[dict[str, Any], tuple[str, str | None, str]]] = {
    "bot": ({"do": "bot", "bot": "other"}, ("bot_hosted", None, "other")),
    "bot that is not there": ({"do": "bot", "bot": "gone"}, ("unassigned", None, "")),
    "team": ({"do": "team", "team": "sales"}, ("assigned", "bob", "")),
    "team and skill": (
        {"do": "team", "team": "sales", "skill": "thai"},
        ("assigned", "bob", ""),
    ),
    "a skill that nobody has": (
        {"do": "team", "team": "sales", "skill": "lao"},
        ("assigned", "bob", ""),
    ),
    "agent": ({"do": "agent", "agent": "amy"}, ("assigned", "amy", "")),
    "agent who takes none": ({"do": "agent", "agent": "lea"}, ("unassigned", None, "")),
    "agent who takes none, else a team": (
        {"do": "agent", "agent": "lea", "else_team": "sales"},
        ("assigned", "bob", ""),
    ),
    "end": ({"do": "end"}, ("ended", None, "")),
}


@pytest.mark.parametrize(("action", "expected"), ACTIONS.values(), ids=ACTIONS)
@pytest.mark.parametrize("on", ["opened", "message"])
async def test_a_rule_says_where_a_session_goes(
    stage: Stage, on: str, action: dict[str, Any], expected: tuple[str, str | None, str]
) -> None:
    stage.set(policy(settings=OFF, rules=[when("please", action, on=on)], **HOSTS), "amy", "bob")
    await stage.bot("other")
    stage.switch(auto_assign=action["do"] in {"team", "agent"})
    if on == "message":
        stage.rig.present = {}
        await stage.write("hello")
        stage.rig.present = {"amy": "online", "bob": "online"}
    session = await stage.write("please")
    gone = action.get("bot") == "gone"
    assert place(session) == expected
    assert (await stage.records())[-1].decision.rules == ("r0",)
    if on == "opened" and not gone:
        assert session.because == ("nobody_free" if expected[0] == "unassigned" else "rule")
    asked = (action.get("team") or action.get("else_team", ""), action.get("skill", ""))
    assert (session.team, session.skill, session.wanted) == (*asked, action.get("agent", ""))


async def test_what_is_wanted_at_the_opening_is_offered_when_it_can_be_taken(stage: Stage) -> None:
    stage.set(policy(settings=AUTO, rules=[when("x", {"do": "team", "team": "sales"})], **PARTS))
    stage.rig.present = {"amy": "online"}
    session = await stage.write("x")
    assert place(session) == ("unassigned", None, "")
    await stage.rig.assigner.look("acme")
    assert (await stage.session()).list == "unassigned"
    stage.rig.present = {"bob": "online"}
    await stage.rig.assigner.look("acme")
    assert (await stage.session()).owner == "bob"
    assert await stage.because() == ["nobody_free", "auto_assign"]


@pytest.mark.parametrize("on", ["opened", "message"])
async def test_a_rule_labels_answers_and_alerts(stage: Stage, on: str) -> None:
    actions = (
        {"do": "tag", "tag": "refund"},
        {"do": "priority", "priority": 5},
        {"do": "reply", "text": "We look into it."},
        {"do": "reply", "text": "It takes a day."},
        {"do": "notify", "agents": ["lea"], "team": "sales"},
    )
    stage.set(policy(settings=OFF, rules=[when("refund", *actions, on=on)], **PARTS))
    if on == "message":
        await stage.write("hello")
    session = await stage.write("refund")
    assert (session.tags, session.priority, session.said) == (("refund",), 5, ("rule:r0",))
    said = await stage.lines(session.id)
    assert said[-3:] == ["refund", "We look into it.", "It takes a day."]
    assert session.last_message is not None
    assert session.last_message.excerpt == "It takes a day."
    assert {send.sender for send in stage.rig.bus.sends()} == {"automation"}
    [notice] = stage.rig.bus.facts("session.notice")
    assert (notice.notify, notice.because) == (("lea", "bob"), "r0")
    [tagged] = stage.rig.bus.facts("session.tagged")
    assert tagged.actor == "automation:rules"


async def test_a_rules_answer_is_given_once_a_session(stage: Stage) -> None:
    rule = when("price", {"do": "reply", "text": "See the list."}, on="message")
    stage.set(policy(settings=OFF, rules=[rule], **PARTS))
    for text in ("hello", "price", "the price please", "price?"):
        await stage.write(text)
    assert len(stage.rig.bus.sends()) == 1
    assert len(await stage.records()) == 4


async def test_what_the_channel_does_not_let_us_say_is_not_noted_as_said(stage: Stage) -> None:
    rule = when("x", {"do": "reply", "text": "Hi."})
    stage.set(policy(settings=OFF, rules=[rule], **PARTS))
    session = await stage.write("x", standby=True)
    assert (stage.rig.bus.sends(), session.said) == ([], ())


async def test_a_session_that_a_rule_ends_is_in_the_record_and_the_next_message_opens_another(
    stage: Stage,
) -> None:
    stage.set(policy(rules=[when("spam", {"do": "end", "reason": "spam"})], **PARTS))
    ended = await stage.write("spam")
    assert (ended.list, ended.end_reason, ended.open_key, ended.queue_key) == (
        "ended",
        "spam",
        None,
        None,
    )
    assert (await stage.lines(ended.id))[-1] == "ended by a rule (spam)"
    more = await stage.write("hello")
    assert (more.list, more.returning) == ("bot_hosted", True)
    assert more.id != ended.id


async def test_two_messages_of_one_batch_each_opens_its_own_where_a_rule_ends_the_first(
    stage: Stage,
) -> None:
    stage.set(policy(rules=[when("spam", {"do": "end"})], **PARTS))
    await stage.rig.take(said("spam", 1), said("hello", 2), said("again", 3))
    first, second = await stage.rig.sessions()
    assert (first.list, first.inbound) == ("ended", 1)
    assert (second.list, second.inbound, second.returning) == ("bot_hosted", 2, True)
    assert second.contact == first.contact


async def test_no_rule_takes_a_session_from_its_owner_but_it_may_label_it(stage: Stage) -> None:
    rule = when("x", {"do": "bot", "bot": "faq"}, {"do": "tag", "tag": "t"}, on="message")
    stage.set(policy(settings=OFF, rules=[rule], **PARTS))
    session = await stage.write("hello")
    await stage.rig.done(stage.rig.claim(session.id, "amy"))
    session = await stage.write("x")
    assert (session.list, session.owner, session.bot, session.tags) == (
        "assigned",
        "amy",
        False,
        ("t",),
    )


async def test_a_rule_changes_the_bot_under_a_new_epoch(stage: Stage) -> None:
    rule = when("hello again", {"do": "bot", "bot": "other"}, on="message")
    stage.set(policy(rules=[rule], **HOSTS))
    await stage.bot("faq")
    await stage.bot("other")
    session = await stage.write("hello")
    changed = await stage.write("hello again")
    assert (session.bot_id, changed.bot_id) == ("faq", "other")
    assert changed.epoch == session.epoch + 1
    assert (await stage.lines(session.id))[-1] == "I am other."


KNOWN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "language": ({"if": "language", "any_of": ["th"]}, {"language": "th-TH"}),
    "name": ({"if": "field", "field": "name", "value": "vera"}, {"name": "Vera"}),
    "phone": ({"if": "field", "field": "phone", "op": "set"}, {"phone": "+66"}),
    "email": ({"if": "field", "field": "email", "op": "has", "value": "@x"}, {"email": "a@x.y"}),
}


@pytest.mark.parametrize(("condition", "profile"), KNOWN.values(), ids=KNOWN)
async def test_rules_see_at_the_opening_what_the_first_message_tells(
    stage: Stage, condition: dict[str, Any], profile: dict[str, Any]
) -> None:
    rule = {"conditions": [condition], "actions": [{"do": "tag", "tag": "hit"}]}
    stage.set(policy(rules=[rule], **PARTS))
    assert (await stage.write(profile=Profile(**profile))).tags == ("hit",)
    assert (await stage.write(profile=Profile(), visitor="U2")).tags == ()


async def test_a_message_that_no_rule_is_for_is_not_decided_on(stage: Stage) -> None:
    stage.set(policy(settings=OFF, rules=[when("x", {"do": "tag", "tag": "t"}, on="message")]))
    for text in ("hello", "more", "and more"):
        await stage.write(text)
    assert await stage.because() == ["auto_hosting_off"]


IDLE: dict[str, tuple[dict[str, Any], dict[str, Any], bool]] = {
    "no rules, always open": ({}, {}, True),
    "a rule for messages": ({"rules": [when("x", {"do": "end"}, on="message")]}, {}, False),
    "rules for other moments": ({"rules": [when("x", {"do": "end"})]}, {}, True),
    "closed and not told": (
        {"settings": {"calendar": "day"}, "calendars": [DAY]},
        {"list": "unassigned"},
        False,
    ),
    "closed and told": (
        {"settings": {"calendar": "day"}, "calendars": [DAY]},
        {"list": "unassigned", "said": ("away",)},
        True,
    ),
    "closed, with a bot": (
        {"settings": {"calendar": "day"}, "calendars": [DAY]},
        {"list": "bot_hosted"},
        True,
    ),
}


@pytest.mark.parametrize(("parts", "fields", "expected"), IDLE.values(), ids=IDLE)
def test_a_message_that_changes_nothing_costs_no_decision(
    parts: dict[str, Any], fields: dict[str, Any], expected: bool
) -> None:
    session = Session(
        id="s",
        workspace="acme",
        account="a",
        channel="line",
        visitor="v",
        contact="c",
        open_key="a|v",
        created_at=at(0),
        updated_at=at(0),
        **({"list": "unassigned"} | fields),
    )
    whole = policy(**parts)
    assert is_idle(session, whole, at(0)) == expected
    if expected:
        decision = decide(case_of(session, "message", text="x"), whole, (), at(0))
        assert (decision.rules, decision.says, decision.list) == ((), (), "")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(case=cases, whole=policies(), standings=crews)
def test_d04_what_is_kept_of_a_policy_decides_the_same(
    case: Case, whole: Policy, standings: tuple[Standing, ...]
) -> None:
    decision = decide(case, whole, standings, NOW)
    kept = slim(whole, case, decision)
    kept = msgspec.json.decode(msgspec.json.encode(kept), type=Policy)
    assert decide(case, kept, standings_of(decision, standings), NOW) == decision


def test_d04_what_was_not_looked_at_is_not_kept() -> None:
    whole = policy(
        settings=AUTO | {"channels": {"line": {}, "web": {}}},
        rules=[
            when("a", {"do": "tag", "tag": "t"}, stop=False),
            when("x", {"do": "team", "team": "sales"}),
            when("x", {"do": "end"}),
            when("x", {"do": "end"}, on="message"),
        ],
        calendars=[DAY],
        **HOSTS,
    )
    case = Case(trigger="opened", session="s", channel="line", account="a", text="x")
    decision = decide(case, whole, (), at(0))
    kept = slim(whole, case, decision)
    assert [rule.id for rule in kept.rules] == ["r0", "r1"]
    assert (kept.calendars, kept.bots, list(kept.settings.channels)) == ((), (), ["line"])
    assert len(kept.members) == 3
    hosted = msgspec.structs.replace(whole, settings=policy().settings)
    case = msgspec.structs.replace(case, text="hello")
    kept = slim(hosted, case, decide(case, hosted, (), at(0)))
    assert (kept.members, kept.teams) == ((), ())
    assert [bot.id for bot in kept.bots] == ["faq"]


async def test_a_repeat_of_the_delivery_says_and_decides_nothing_again(stage: Stage) -> None:
    rule = when("x", {"do": "reply", "text": "Hi."}, {"do": "notify", "agents": ["lea"]})
    stage.set(policy(settings=AUTO, rules=[rule, rule | {"on": "message"}], **PARTS), "amy")
    deliveries = await stage.rig.take(said("x", 1), said("x", 2, key="again"))
    kept = dict(stage.rig.bus.kept)
    stage.rig.restart()
    await stage.rig.deliver(deliveries)
    assert stage.rig.bus.kept == kept
    assert len(await stage.records()) == 2
