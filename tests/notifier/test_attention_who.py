"""Whom a fact concerns, and what it is to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from libs.common.alerts import Preferences
from libs.common.documents import Message
from libs.common.events import Fact, FactType
from libs.common.policy import Member
from libs.common.switches import AlertDefault, Alerting, AlertTrigger, Rung
from libs.common.termination import TERMINATED
from services.notifier.attention_who import MOST_ABSENT
from services.notifier.attention_worker import place_of
from tests.notifier.attention_play import BEGAN, Play

BOTS: dict[AlertTrigger, Any] = {"bot_hosted.message": ("browser",)}
MINE: dict[str, Any] = {"list": "assigned", "owner": "ada", "assignee_ids": ("ada", "bob")}
Cast = Callable[[Play], Fact]


def wrote(play: Play) -> Fact:
    return play.written()


def says(kind: FactType, **more: Any) -> Cast:
    return lambda play: play.fact(kind, **more)


def read_by(agent: str) -> Cast:
    def cast(play: Play) -> Fact:
        fact = play.written()
        play.session.reads = {agent: play.session.inbound}
        return fact

    return cast


def answered(play: Play) -> Fact:
    fact = play.written()
    play.passes(1)
    play.session.answered_at = play.now
    return fact


def moved_on(to: str) -> Cast:
    def cast(play: Play) -> Fact:
        fact = play.written()
        play.session.list = to  # type: ignore[assignment]  # as it is given
        return fact

    return cast


def taken(play: Play) -> Fact:
    """A request for a human that is heard of when somebody has taken it."""
    fact = play.fact("session.handoff", actor="system")
    play.assigned("bob", by="agent:bob")
    return fact


UNASSIGNED: AlertTrigger = "unassigned.message"
CASES: dict[str, tuple[dict[str, Any], Cast, dict[str, str]]] = {
    "a15 a message to a bot concerns those who chose so": (
        {"list": "bot_hosted", "prefers": {"ada": {"triggers": BOTS}, "bob": {"triggers": BOTS}}},
        wrote,
        {"ada": "bot_hosted.message", "bob": "bot_hosted.message"},
    ),
    "a15 by default nobody": ({"list": "bot_hosted"}, wrote, {}),
    "a message in the queue concerns all who work here": (
        {},
        wrote,
        {"ada": UNASSIGNED, "bob": UNASSIGNED, "lea": UNASSIGNED},
    ),
    "of these who is there, if anybody is": ({"online": ["bob"]}, wrote, {"bob": UNASSIGNED}),
    "and who wants it even if others are": (
        {"online": ["bob"], "prefers": {"lea": {"absent": "always"}}},
        wrote,
        {"bob": UNASSIGNED, "lea": UNASSIGNED},
    ),
    "not who chose no method": (
        {"prefers": {"ada": {"triggers": {UNASSIGNED: ()}}}},
        wrote,
        {"bob": UNASSIGNED, "lea": UNASSIGNED},
    ),
    "a14 unless the workspace has locked it": (
        {
            "prefers": {"ada": {"triggers": {UNASSIGNED: ()}}},
            "alerts": Alerting(
                triggers={UNASSIGNED: AlertDefault(methods=("browser",), locked=True)}
            ),
        },
        wrote,
        {"ada": UNASSIGNED, "bob": UNASSIGNED, "lea": UNASSIGNED},
    ),
    "who may only read, if they chose it": (
        {"online": ["rita"], "prefers": {"rita": {"triggers": {UNASSIGNED: ("browser",)}}}},
        wrote,
        {"rita": UNASSIGNED},
    ),
    "of the team that is wanted": ({"team": "sales"}, wrote, {"bob": UNASSIGNED}),
    "the one who is wanted": ({"wanted": "lea"}, wrote, {"lea": UNASSIGNED}),
    "nobody outside of their hours": (
        {"members": [Member(id="ada", teams=("night",)), Member(id="bob")]},
        wrote,
        {"bob": UNASSIGNED},
    ),
    "not who has read it": ({}, read_by("ada"), {"bob": UNASSIGNED, "lea": UNASSIGNED}),
    "nobody once it is answered": ({}, answered, {}),
    "nobody where it has left the bot: what moved it says so": (
        {"list": "bot_hosted", "prefers": {"ada": {"triggers": BOTS}}},
        moved_on("unassigned"),
        {},
    ),
    "nobody once it has ended": ({}, moved_on("ended"), {}),
    "a16 a message to agents concerns the assignees only": (
        MINE,
        wrote,
        {"ada": "assigned.message", "bob": "assigned.message"},
    ),
    "a17 a request for a human concerns all who may take it": (
        {},
        says("session.handoff", actor="system"),
        dict.fromkeys(("ada", "bob", "lea"), "handoff.requested"),
    ),
    "a17 or those whom a rule names": (
        {},
        says("session.handoff", actor="system", notify=("lea",)),
        {"lea": "handoff.requested"},
    ),
    "a17 or who has the session already": (
        MINE,
        says("session.handoff", actor="system"),
        dict.fromkeys(("ada", "bob"), "handoff.requested"),
    ),
    "a17 nobody once somebody has taken it": ({}, taken, {}),
    "an assignment concerns who has joined": (
        MINE,
        says("session.assigned", actor="system", joined=("bob",)),
        {"bob": "assigned.to_me"},
    ),
    "not who took it themselves": (
        MINE,
        says("session.assigned", actor="agent:bob", joined=("bob",)),
        {},
    ),
    "a mention concerns who is mentioned, whatever the list": (
        {"list": "ended"},
        says("session.mention", actor="agent:ada", notify=("ada", "bob", "gone")),
        {"bob": "mention"},
    ),
    "a notice concerns whom a rule names": (
        {},
        says("session.notice", actor="system", notify=("ada",)),
        {"ada": "notice"},
    ),
    "an end by itself concerns the assignees who chose so": (
        {
            **MINE,
            "list": "ended",
            "prefers": {"ada": {"triggers": {"session.ended_automatically": ("email",)}}},
        },
        says("session.ended", actor="system", because=TERMINATED),
        {"ada": "session.ended_automatically"},
    ),
    "an end by a person concerns nobody": (
        {
            **MINE,
            "list": "ended",
            "prefers": {"ada": {"triggers": {"session.ended_automatically": ("email",)}}},
        },
        says("session.ended", actor="agent:bob", because="done"),
        {},
    ),
    "an account that is unhealthy concerns who can mend it": (
        {},
        says("account.unhealthy", actor="system"),
        {"lea": "account.unhealthy"},
    ),
    "an account that is unhealthy concerns leads who see it": (
        {
            "members": [
                Member(id="ana", name="Ana", role="admin", channels=("line",)),
                Member(id="all", name="All", role="lead"),
                Member(id="web", name="Web", role="lead", channels=("web",)),
                Member(id="line", name="Line", role="lead", channels=("line",)),
                Member(id="shop", name="Shop", role="lead", accounts=("acme-shop",)),
            ]
        },
        says("account.unhealthy", actor="system", channel="web"),
        dict.fromkeys(("ana", "all", "web"), "account.unhealthy"),
    ),
    "b38 an import that is over concerns whose it is": (
        {},
        says("import.finished", actor="agent:ada", notify=("ada",)),
        {"ada": "import.finished"},
    ),
}


@pytest.mark.parametrize(("given", "cast", "expected"), CASES.values(), ids=CASES)
def test_who_is_concerned(given: dict[str, Any], cast: Cast, expected: dict[str, str]) -> None:
    play = Play(**given)
    fact = cast(play)
    play.doc.id = place_of(fact).id
    play.hears(fact)
    assert {watch.agent: watch.trigger for watch in play.doc.watches} == expected


SENDERS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "a failed send concerns who wrote it": (
        {"sender": "agent", "sender_id": "bob"},
        {"bob": "send.failed"},
    ),
    "a bot's concerns the assignees": (
        {"sender": "bot", "sender_id": "robo"},
        {"ada": "send.failed"},
    ),
    "what a bot was about to say when a person took over concerns nobody": (
        {"sender": "bot", "sender_id": "robo", "status_reason": "stale_epoch"},
        {},
    ),
}


@pytest.mark.parametrize(("sender", "expected"), SENDERS.values(), ids=SENDERS)
def test_whom_a_failed_send_concerns(sender: dict[str, Any], expected: dict[str, str]) -> None:
    play = Play(list="assigned", owner="ada", assignee_ids=("ada",))
    message = Message(
        id="m1",
        workspace="acme",
        account="line-1",
        key="k",
        session="s1",
        visitor="U1",
        kind="message",
        occurred_at=BEGAN,
        received_at=BEGAN,
        **sender,
    )
    play.hears(
        play.fact("message.status", actor="system", status="failed", message="m1"), message=message
    )
    assert {watch.agent: watch.trigger for watch in play.doc.watches} == expected


CROWD = tuple(Member(id=f"a{number:03}") for number in range(120))


def alerted(play: Play) -> list[str]:
    return sorted(watch.agent for watch in play.doc.watches)


def test_of_a_crowd_that_is_absent_some_are_alerted_and_other_ones_of_the_next_session() -> None:
    wants: dict[str, Any] = {"a007": {"absent": "always"}, "a119": {"absent": "always"}}
    play = Play(members=CROWD, prefers=wants)
    play.writes()
    first = alerted(play)
    assert len(first) == MOST_ABSENT
    assert {"a007", "a119"} <= set(first), "who always wants to know"
    play.writes()
    assert alerted(play) == first, "the same ones of the same session"
    other = Play(members=CROWD, prefers=wants)
    other.session.id = other.doc.id = "s2"
    other.writes()
    assert len(alerted(other)) == MOST_ABSENT
    assert alerted(other) != first


def test_all_who_are_there_are_alerted_however_many() -> None:
    play = Play(members=CROWD, online=[member.id for member in CROWD[:100]])
    play.writes()
    assert len(alerted(play)) == 100


def test_a_rung_for_everyone_calls_no_more_of_those_who_are_absent() -> None:
    alerts = Alerting(escalation=(Rung(after_s=100, to="everyone"),))
    play = Play(members=CROWD, online=["a000"], alerts=alerts)
    play.writes()
    play.passes(200)
    assert len(alerted(play)) == 1 + MOST_ABSENT


def test_who_is_alerted_is_asked_for_once_while_nobody_chooses_anew() -> None:
    play = Play(members=CROWD, online=["a000", "a001"])
    play.writes()
    asked = play.asked
    play.writes()
    around = play.asked - asked
    assert around < len(CROWD) / 4, "not every member for every message"
    play.prefers["a001"] = Preferences(id="a001", workspace="acme", triggers={UNASSIGNED: ()})
    play.chosen += 1
    play.doc = Play().doc
    play.writes()
    assert alerted(play) == ["a000"]


def test_what_a_crowd_was_told_is_not_kept_and_a_further_message_only_counts() -> None:
    play = Play(members=CROWD, online=[member.id for member in CROWD])
    play.writes()
    assert len(play.doc.outbox) == len(CROWD)
    play.doc = play.again()
    play.passes(1)
    play.looked_for = 0
    made = play.hears(play.written())
    assert play.looked_for == 0, "nobody new can be alerted"
    assert (made.after.outbox, made.outcomes, made.said) == ((), ("coalesced",), ())
    assert play.doc.outbox == ()
    kept = play.doc
    assert play.hears(play.written()).after is kept, "and nothing is written for the next"
    play.passes(60)
    assert {alert.count for _, alert in play.told[-len(CROWD) :]} == {3}
