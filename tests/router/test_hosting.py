"""Where a session begins, whom it is given to, and what answers there afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.events import ThreadControlChanged
from tests.router.rig import event, said
from tests.router.stage import DAY, Stage, agents, policy

OFF = {"auto_hosting": False}
ALWAYS = {"days": [0, 1, 2, 3, 4, 5, 6], "opens": "00:00", "closes": "24:00"}
AUTO = {"auto_hosting": False, "auto_assign": True}


def over(level: str, name: str, **switches: bool) -> dict[str, Any]:
    """Return what a channel or an account overrides."""
    return {level: {name: switches}}


STARTS: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str]]] = {
    "b09: a fresh workspace hosts by bot": ({}, {}, ("bot_hosted", "auto_hosting")),
    "a02: plugin": ({}, {"channel": "web"}, ("bot_hosted", "auto_hosting")),
    "a02: messenger": ({}, {"channel": "messenger"}, ("bot_hosted", "auto_hosting")),
    "a02: comments": ({}, {"channel": "fb_comment"}, ("bot_hosted", "auto_hosting")),
    "a02: whatsapp": ({}, {"channel": "whatsapp"}, ("bot_hosted", "auto_hosting")),
    "a02: wechat": ({}, {"channel": "wechat"}, ("bot_hosted", "auto_hosting")),
    "a05: switched off, it waits for a person": (OFF, {}, ("unassigned", "auto_hosting_off")),
    "a01: a channel may host although the workspace does not": (
        OFF | over("channels", "line", auto_hosting=True),
        {},
        ("bot_hosted", "auto_hosting_of_channel"),
    ),
    "a01: a channel may wait although the workspace hosts": (
        over("channels", "line", auto_hosting=False),
        {},
        ("unassigned", "auto_hosting_off"),
    ),
    "a01: another channel's override is not ours": (
        over("channels", "line", auto_hosting=False),
        {"channel": "web"},
        ("bot_hosted", "auto_hosting"),
    ),
    "a01: an account may host although its channel does not": (
        OFF
        | over("channels", "line", auto_hosting=False)
        | over("accounts", "acme-line", auto_hosting=True),
        {},
        ("bot_hosted", "auto_hosting_of_account"),
    ),
    "a01: another account's override is not ours": (
        OFF | over("accounts", "acme-web", auto_hosting=True),
        {},
        ("unassigned", "auto_hosting_off"),
    ),
    "no bot of ours where another application answers": (
        {},
        {"standby": True},
        ("unassigned", "standby"),
    ),
    "auto-assign gives it at once to who is there": (AUTO, {}, ("assigned", "auto_assign")),
    "a01: auto-assign of the channel": (
        OFF | over("channels", "line", auto_assign=True),
        {},
        ("assigned", "auto_assign"),
    ),
    "a01: auto-assign not of this account": (
        AUTO | over("accounts", "acme-line", auto_assign=False),
        {},
        ("unassigned", "auto_hosting_off"),
    ),
    "standby is assigned to nobody": (AUTO, {"standby": True}, ("unassigned", "standby")),
}


@pytest.mark.parametrize(("switches", "how", "expected"), STARTS.values(), ids=STARTS)
async def test_where_a_session_begins(
    stage: Stage, switches: dict[str, Any], how: dict[str, Any], expected: tuple[str, str]
) -> None:
    stage.set(policy(settings=switches, members=agents("amy")), "amy")
    session = await stage.write(**how)
    assert (session.list, session.because) == expected
    assert session.bot == (session.list == "bot_hosted")
    assert session.owner == ("amy" if session.list == "assigned" else None)
    waits = session.list == "unassigned"
    assert (session.waiting_since is not None) == waits
    assert (session.queue_key is not None) == (waits and not session.standby)
    [created] = stage.rig.bus.facts("session.created")
    assert (created.list, created.owner, created.because) == (
        session.list,
        session.owner or "",
        session.because,
    )
    [record] = await stage.records()
    assert (record.id, record.session) == (session.decision, session.id)


async def test_an_assignment_at_the_opening_is_told_to_the_agent_and_in_the_timeline(
    stage: Stage,
) -> None:
    stage.set(policy(settings=AUTO, members=agents("amy")), "amy")
    session = await stage.write()
    [assigned] = stage.rig.bus.facts("session.assigned")
    assert (assigned.owner, assigned.joined, assigned.because) == ("amy", ("amy",), "auto_assign")
    assert "assigned automatically to Amy" in await stage.lines(session.id)
    assert (session.epoch, session.assignees[0].name) == (0, "Amy")


async def test_standby_that_ends_lets_the_session_into_the_queue(stage: Stage) -> None:
    stage.set(policy(settings=OFF))
    session = await stage.write(standby=True)
    assert session.queue_key is None
    back = event(ThreadControlChanged, "c1", 200, change="passed")
    await stage.rig.take(back)
    assert (await stage.session()).queue_key is not None
    await stage.rig.take(event(ThreadControlChanged, "c2", 201, change="taken"))
    assert (await stage.session()).queue_key is None


async def test_the_queue_serves_high_priority_first_and_then_the_oldest(stage: Stage) -> None:
    urgent = {
        "conditions": [{"if": "words", "words": ["urgent"]}],
        "actions": [{"do": "priority", "priority": 5}],
    }
    late = {
        "conditions": [{"if": "words", "words": ["whenever"]}],
        "actions": [{"do": "priority", "priority": -3}],
    }
    stage.set(policy(settings=OFF, rules=[urgent, late, urgent | {"id": "m", "on": "message"}]))
    await stage.write("whenever", visitor="U1")
    await stage.write("hello", visitor="U2")
    await stage.write("hello", visitor="U3")
    await stage.write("urgent", visitor="U4")
    await stage.write("urgent", visitor="U3")
    found = sorted(await stage.rig.sessions("unassigned"), key=lambda one: one.queue_key or "")
    assert [one.visitor for one in found] == ["U3", "U4", "U2", "U1"]


async def claim(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.claim(session, "amy"))


async def reply(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.send(session, "amy", "yes?"))


async def opened(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.open(session, "amy"))


async def assigned(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.assign(session, "lea", "amy"))


async def queued(stage: Stage, _session: str) -> None:
    stage.switch(auto_assign=True)
    await stage.rig.assigner.look("acme")


async def by_rule(stage: Stage, _session: str) -> None:
    rule = {"on": "message", "actions": [{"do": "agent", "agent": "amy"}]}
    settings = stage.rig.settings
    stage.set(policy(members=agents("amy"), rules=[rule]), "amy")
    stage.rig.settings = settings
    await stage.write("please")


WAYS = {
    "claim": claim,
    "first reply": reply,
    "opening": opened,
    "assignment by a person": assigned,
    "auto-assign": queued,
    "rule": by_rule,
}
HOSTING: dict[str, tuple[dict[str, Any], bool]] = {
    "on": ({"session_hosting": True}, True),
    "off": ({"session_hosting": False}, False),
    "on for the channel": (over("channels", "line", session_hosting=True), True),
    "off for the account": (
        {"session_hosting": True} | over("accounts", "acme-line", session_hosting=False),
        False,
    ),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(("switches", "expected"), HOSTING.values(), ids=HOSTING)
async def test_a08_session_hosting_counts_by_whatever_way_it_becomes_assigned(
    stage: Stage, way: Any, switches: dict[str, Any], expected: bool
) -> None:
    stage.set(policy(settings=OFF | switches, members=agents("amy")), "amy")
    session = await stage.write()
    assert not session.automation
    await way(stage, session.id)
    session = await stage.session()
    assert (session.list, session.owner) == ("assigned", "amy")
    assert (session.automation, session.bot) == (expected, False)


async def test_a08_a_switch_of_the_session_beats_the_workspace(stage: Stage) -> None:
    stage.set(policy(settings={"session_hosting": True}, members=agents("amy")), "amy")
    session = await stage.write()
    await stage.rig.done(stage.turn(session.id, "amy", on=False))
    await claim(stage, session.id)
    session = await stage.session()
    assert (session.list, session.automation) == ("assigned", False)
    await stage.rig.done(stage.turn(session.id, "amy", on=True))
    await stage.rig.done(stage.rig.assign(session.id, "amy", "bob"))
    session = await stage.session()
    assert (session.owner, session.automation, session.bot) == ("bob", True, False)


async def test_a08_in_assigned_the_switch_turns_bot_and_automation_alike(stage: Stage) -> None:
    stage.set(policy(settings=OFF | {"session_hosting": True}))
    session = await stage.write()
    await claim(stage, session.id)
    for on in (True, True, False, False):
        await stage.rig.done(stage.turn(session.id, "amy", on=on))
        session = await stage.session()
        assert (session.bot, session.automation) == (on, on)
        assert (session.list, session.owner) == ("assigned", "amy")
    assert len(stage.rig.bus.facts("session.bot")) == 2


async def test_b12_automation_that_runs_alone_is_turned_off_as_well(stage: Stage) -> None:
    stage.set(policy(settings=OFF | {"session_hosting": True}))
    session = await stage.write()
    await claim(stage, session.id)
    await stage.rig.done(stage.turn(session.id, "amy", on=False))
    session = await stage.session()
    assert (session.bot, session.automation) == (False, False)
    assert "bot turned off by Amy" in await stage.lines(session.id)


BOTS: list[dict[str, Any]] = [
    {"id": "faq", "kind": "faq"},
    {"id": "lines", "kind": "faq", "channels": ["line"]},
    {"id": "old", "kind": "faq", "enabled": False},
]
NAMED = {
    "b11: without a name the channel's": ("", "lines"),
    "b11: the one that is named": ("faq", "faq"),
}


@pytest.mark.parametrize(("bot", "expected"), NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("place", ["unassigned", "assigned"])
async def test_which_bot_is_turned_on(stage: Stage, place: str, bot: str, expected: str) -> None:
    stage.set(policy(settings=OFF, bots=BOTS))
    for one in ("faq", "lines"):
        await stage.bot(one)
    session = await stage.write()
    if place == "assigned":
        await claim(stage, session.id)
    await stage.rig.done(stage.turn(session.id, "amy", on=True, bot=bot))
    assert (await stage.session()).bot_id == expected


NO_BOT = {"unknown": "gone", "disabled": "old"}


@pytest.mark.parametrize("bot", NO_BOT.values(), ids=NO_BOT)
async def test_b11_a_bot_that_cannot_answer_is_refused_by_name(stage: Stage, bot: str) -> None:
    stage.set(policy(settings=OFF, bots=BOTS))
    session = await stage.write()
    refused = await stage.rig.refused(stage.turn(session.id, "amy", on=True, bot=bot))
    assert (refused.code, refused.facts["field"]) == ("invalid_input", "bot")
    assert (await stage.session()).list == "unassigned"


async def test_b12_another_bot_begins_afresh_under_a_new_epoch(stage: Stage) -> None:
    stage.set(policy(bots=BOTS))
    await stage.bot("lines")
    await stage.bot("faq")
    session = await stage.write()
    assert session.bot_id == "lines"
    await stage.rig.done(stage.turn(session.id, "amy", on=True, bot="faq"))
    changed = await stage.session()
    assert (changed.bot_id, changed.bot_state, changed.epoch) == ("faq", {}, session.epoch + 1)
    await claim(stage, session.id)
    changed = await stage.session()
    assert (changed.bot_id, changed.bot_state, changed.bot_asked) == ("", {}, "")


async def test_b13_assigning_a_hosted_session_turns_the_bot_off_and_tells_the_agent(
    stage: Stage,
) -> None:
    stage.set(policy(members=agents("amy")))
    session = await stage.write()
    await stage.rig.done(stage.rig.assign(session.id, "lea", "amy"))
    session = await stage.session()
    assert (session.list, session.owner, session.bot) == ("assigned", "amy", False)
    [fact] = stage.rig.bus.facts("session.assigned")
    assert (fact.actor, fact.joined) == ("agent:lea", ("amy",))


AWAY: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "d16: to a session that is opened": (OFF, ()),
    "d16: to who is handed to people": ({"auto_hosting": True}, ("human",)),
    "d16: at the first message out of hours": (OFF, ("again", "and again")),
}


@pytest.mark.parametrize(("switches", "texts"), AWAY.values(), ids=AWAY)
async def test_d16_hours_that_are_closed_are_told_once_a_session(
    stage: Stage, switches: dict[str, Any], texts: tuple[str, ...]
) -> None:
    stage.set(policy(settings=switches | {"calendar": "day"}, calendars=[DAY]))
    session = await stage.write()
    for text in (*texts, "once more"):
        await stage.write(text)
    session = await stage.session()
    assert (await stage.lines(session.id)).count("We are closed.") == 1
    assert session.said == ("away",)
    [sent] = stage.rig.bus.sends()
    assert sent.sender == "automation"


async def test_d16_closed_hours_are_not_told_beside_who_is_there(stage: Stage) -> None:
    parts = {"settings": OFF | {"calendar": "day"}, "members": agents("amy"), "calendars": [DAY]}
    noon = policy(**parts | {"calendars": [DAY | {"spans": [ALWAYS]}]})
    stage.set(noon)
    session = await stage.write()
    await claim(stage, session.id)
    await stage.rig.done(stage.rig.send(session.id, "amy", "I am Amy"))
    stage.set(policy(**parts))
    await stage.write("thanks Amy")
    await stage.write("and something else")
    assert "We are closed." not in await stage.lines(session.id)
    assert (await stage.session()).answered_at is not None
    stage.rig.now = said("x", 7200).occurred_at
    await stage.write("are you still there?")
    assert (await stage.lines(session.id)).count("We are closed.") == 1


async def test_d16_closed_hours_are_told_of_an_owner_who_has_not_answered(stage: Stage) -> None:
    parts = {"settings": OFF | {"calendar": "day"}, "members": agents("amy", "bob")}
    stage.set(policy(**parts, calendars=[DAY | {"spans": [ALWAYS]}]))
    session = await stage.write()
    await claim(stage, session.id)
    await stage.rig.done(stage.rig.send(session.id, "amy", "I am Amy"))
    await stage.rig.done(stage.rig.assign(session.id, "amy", "bob"))
    stage.set(policy(**parts, calendars=[DAY]))
    await stage.write("hello Bob")
    assert (await stage.lines(session.id)).count("We are closed.") == 1


async def test_d16_who_began_in_hours_is_told_with_the_first_message_outside(stage: Stage) -> None:
    noon = DAY | {"spans": [{"days": [6], "opens": "09:00", "closes": "12:05"}]}
    stage.set(policy(settings=OFF | {"calendar": "day"}, calendars=[noon]))
    await stage.write()
    await claim(stage, (await stage.session()).id)
    await stage.write("still open")
    assert stage.rig.bus.sends() == []
    stage.rig.now = said("x", 600).occurred_at
    await stage.write("closed by now")
    await stage.write("and still")
    [sent] = stage.rig.bus.sends()
    assert sent.sender == "automation"
    assert (await stage.session()).owner == "amy"


async def test_d16_a_bot_answers_at_any_hour(stage: Stage) -> None:
    stage.set(policy(settings={"calendar": "day"}, calendars=[DAY]))
    await stage.write()
    await stage.write("again")
    assert stage.rig.bus.sends() == []


async def test_d16_nobody_is_assigned_out_of_hours(stage: Stage) -> None:
    stage.set(
        policy(settings=AUTO | {"calendar": "day"}, calendars=[DAY], members=agents("amy")), "amy"
    )
    session = await stage.write()
    assert (session.list, session.because) == ("unassigned", "nobody_free")
