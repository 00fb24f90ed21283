"""A bot's session goes to people: by the visitor's word, by a command, by a rule."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.documents import Session
from tests.router.stage import Stage, agents, policy

AUTO = {"auto_assign": True}
BOT: dict[str, Any] = {"bots": [{"id": "faq", "kind": "faq", "automation": True}]}


def state(session: Session) -> tuple[str, str | None, bool]:
    return session.list, session.owner, session.bot


WORDS = {
    "a word of the list": ("agent", {}, True),
    "whatever its case and blanks": ("  HUMAN ", {}, True),
    "a word of the workspace": ("ขอคน", {"handoff_words": ["ขอคน"]}, True),
    "whatever its punctuation": ("\u201cHuman!!\u201d", {}, True),
    "in full width": ("\uff28\uff55\uff4d\uff41\uff4e\uff01", {}, True),
    "a phrase, with a question mark": (
        "Agent, please?",
        {"handoff_words": ["agent please"]},
        True,
    ),
    "an emoji of the workspace": ("🙋 ", {"handoff_words": ["🙋"]}, True),
    "no other emoji": ("🙂", {"handoff_words": ["🙋"]}, False),
    "nothing but punctuation": ("!!!", {}, False),
    "only as the whole message": ("which agent sells this?", {}, False),
    "not a word that was taken off the list": ("agent", {"handoff_words": ["person"]}, False),
    "nothing is no word": ("", {}, False),
}


@pytest.mark.parametrize(("text", "switches", "asked"), WORDS.values(), ids=WORDS)
async def test_a17_a_visitor_asks_for_a_human(
    stage: Stage, text: str, switches: dict[str, Any], asked: bool
) -> None:
    stage.set(policy(settings=switches))
    await stage.write("hello")
    session = await stage.write(text)
    assert state(session) == (("unassigned", None, False) if asked else ("bot_hosted", None, True))
    facts = stage.rig.bus.facts("session.handoff")
    assert [(fact.because, fact.actor, fact.list) for fact in facts] == (
        [("visitor_asked", "visitor", "unassigned")] if asked else []
    )
    assert all(fact.message == session.last_ids[0] for fact in facts)


async def test_a17_in_the_first_message_too(stage: Stage) -> None:
    stage.set(policy())
    session = await stage.write("human")
    assert state(session) == ("unassigned", None, False)
    assert await stage.because() == ["auto_hosting", "handoff"]
    assert [fact.type for fact in stage.rig.bus.facts()] == [
        "session.created",
        "message.stored",
        "session.moved",
        "session.bot",
        "session.handoff",
    ]


async def test_a17_with_auto_assign_it_goes_to_who_is_there(stage: Stage) -> None:
    stage.set(policy(settings=AUTO, members=agents("amy")), "amy")
    await stage.write("hello")
    session = await stage.write("agent")
    assert state(session) == ("assigned", "amy", False)
    [fact] = stage.rig.bus.facts("session.handoff")
    assert fact.owner == "amy"
    assert await stage.because() == ["auto_hosting", "auto_assign"]


async def test_a17_who_waits_or_is_served_already_is_not_handed_over_again(stage: Stage) -> None:
    stage.set(policy())
    await stage.write("human")
    await stage.write("human")
    session = await stage.session()
    await stage.rig.done(stage.rig.claim(session.id, "amy"))
    await stage.write("human")
    assert len(stage.rig.bus.facts("session.handoff")) == 1
    assert (await stage.session()).owner == "amy"


async def test_a17_a_rule_says_whom_a_hand_off_goes_to_and_who_is_alerted(stage: Stage) -> None:
    rule = {
        "on": "handoff",
        "conditions": [{"if": "channel", "any_of": ["line"]}],
        "actions": [
            {"do": "team", "team": "sales"},
            {"do": "reply", "text": "One moment."},
            {"do": "notify", "agents": ["lea"]},
        ],
    }
    people = agents("amy") + agents("bob", teams=["sales"]) + agents("lea", limit=0)
    stage.set(
        policy(settings=AUTO, members=people, teams=[{"id": "sales"}], rules=[rule]),
        *("amy", "bob"),
    )
    session = await stage.write("agent")
    assert (session.owner, session.team) == ("bob", "sales")
    [fact] = stage.rig.bus.facts("session.handoff")
    assert fact.notify == ("lea",)
    assert "One moment." in await stage.lines(session.id)


@pytest.mark.parametrize("kind", ["bot", "agent", "system"])
async def test_a17_by_command_once_however_often_it_is_asked(stage: Stage, kind: str) -> None:
    stage.set(policy())
    session = await stage.write()
    who = stage.rig.machine(kind, "x1")
    command = stage.hand_off(session.id, who, "bot_silent", epoch=session.epoch, key="same")
    done = await stage.rig.done(command)
    assert state(done.session) == ("unassigned", None, False)
    again = await stage.rig.done(command)
    assert again.repeated
    more = await stage.rig.done(stage.hand_off(session.id, who, "bot_failed"))
    assert state(more.session) == ("unassigned", None, False)
    assert [fact.because for fact in stage.rig.bus.facts("session.handoff")] == ["bot_silent"]
    assert "handed to a person by x1 (bot silent)" in await stage.lines(session.id)


async def test_d19_how_a_bot_failed_is_told_in_one_word(stage: Stage) -> None:
    stage.set(policy())
    session = await stage.write()
    bot = stage.rig.machine("bot", "x1")
    first = stage.hand_off(session.id, bot, "bot_failed", detail="http_503", key="same")
    await stage.rig.done(first)
    other = stage.hand_off(session.id, bot, "bot_failed", detail="no_answer", key="same")
    assert (await stage.rig.done(other)).repeated  # after a crash it may have failed otherwise
    [fact] = stage.rig.bus.facts("session.handoff")
    assert (fact.because, fact.detail) == ("bot_failed", "http_503")
    assert "handed to a person by x1 (bot failed: http 503)" in await stage.lines(session.id)


@pytest.mark.parametrize("detail", ["https://x.test/?key=1", "Token", "x" * 41])
async def test_d19_a_detail_is_one_word_and_no_more(stage: Stage, detail: str) -> None:
    stage.set(policy())
    session = await stage.write()
    bot = stage.rig.machine("bot", "x1")
    command = stage.hand_off(session.id, bot, "bot_failed", detail=detail)
    assert (await stage.rig.refused(command)).code == "invalid_input"


async def test_d03_a_hand_off_decided_before_the_session_moved_is_refused(stage: Stage) -> None:
    stage.set(policy())
    session = await stage.write()
    await stage.rig.done(stage.turn(session.id, "amy", on=False))
    await stage.rig.done(stage.turn(session.id, "amy", on=True))
    command = stage.hand_off(session.id, stage.rig.machine("bot", "x1"), "bot_asked", epoch=0)
    assert (await stage.rig.refused(command)).code == "stale_epoch"
    assert state(await stage.session()) == ("bot_hosted", None, True)


async def test_a17_where_an_agent_has_it_only_the_bot_is_turned_off(stage: Stage) -> None:
    stage.set(policy())
    session = await stage.write()
    await stage.rig.done(stage.rig.claim(session.id, "amy"))
    await stage.rig.done(stage.turn(session.id, "amy", on=True))
    await stage.write("human")
    assert state(await stage.session()) == ("assigned", "amy", False)
    [fact] = stage.rig.bus.facts("session.handoff")
    assert (fact.owner, fact.because) == ("amy", "visitor_asked")


async def test_a17_what_a_bot_does_not_know_goes_to_a_human(stage: Stage) -> None:
    stage.set(policy(**BOT))
    await stage.bot("faq", automation=True)
    session = await stage.write("hello")
    assert state(session) == ("bot_hosted", None, True)
    assert await stage.lines(session.id) == ["hello", "I am faq."]
    session = await stage.write("what is the meaning of this?")
    assert state(session) == ("unassigned", None, False)
    [fact] = stage.rig.bus.facts("session.handoff")
    assert (fact.actor, fact.because) == ("bot:faq", "not_understood")


async def test_a09_automation_in_assigned_answers_and_takes_nothing(stage: Stage) -> None:
    stage.set(policy(settings={"session_hosting": True}, **BOT))
    await stage.bot("faq", automation=True)
    session = await stage.write("hello")
    await stage.rig.done(stage.rig.claim(session.id, "amy"))
    before = await stage.session()
    after = await stage.write("hello")
    assert (after.owner, after.epoch, after.list) == ("amy", before.epoch, "assigned")
    assert [send.sender for send in stage.rig.bus.sends()] == ["bot", "automation"]
    await stage.write("something it does not know")
    assert stage.rig.bus.facts("session.handoff") == []


async def test_standby_ends_no_bots_turn_by_words(stage: Stage) -> None:
    stage.set(policy())
    await stage.write()
    session = await stage.write("human", standby=True)
    assert state(session) == ("bot_hosted", None, True)
    assert stage.rig.bus.facts("session.handoff") == []
