"""When alerts are raised, shown anew, sent by email, taken away, and climb the ladder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import LastMessage, Message
from libs.common.events import Fact, FactType, TextPart
from libs.common.policy import Member
from libs.common.switches import (
    AlertDefault,
    Alerting,
    AlertMethod,
    AlertTrigger,
    QuietHours,
    Rung,
)
from services.notifier.attention_worker import place_of
from tests.notifier.attention_play import BEGAN, Play

NO_LADDER = Alerting(escalation=())
EMAIL = {"triggers": {"unassigned.message": ("browser", "email")}}
JUST_ADA: dict[str, Any] = {"wanted": "ada", "online": ["ada"], "prefers": {"ada": EMAIL}}


def ada(**more: Any) -> Play:
    """Return a stage on which Ada alone is alerted, by browser and email, without a ladder."""
    return Play(**{"alerts": NO_LADDER, **JUST_ADA, **more})


def burst(play: Play) -> None:
    """30 messages within 30 seconds, and then quiet."""
    for _ in range(30):
        play.writes()
        play.passes(1)
    play.passes(200)


def by_email_only(play: Play) -> None:
    play.writes()
    play.passes(300)


def reads_soon(play: Play) -> None:
    play.writes()
    play.passes(30)
    play.reads("ada")
    play.passes(1000)


def talks(play: Play) -> None:
    """A conversation of less than a window in which every message is read within seconds."""
    for _ in range(11):
        play.writes()
        play.passes(2)
        play.reads("ada")
        play.passes(3)


def looks_away(play: Play) -> None:
    play.writes()
    play.passes(2)
    play.reads("ada")
    play.passes(3)
    play.writes()
    play.passes(56)


def goes_on(play: Play) -> None:
    play.writes()
    play.passes(70)
    play.writes()


def counts_and_goes_on(play: Play) -> None:
    play.writes()
    play.passes(10)
    play.writes()
    play.passes(100)


def bot_then_human(play: Play) -> None:
    play.writes()
    play.passes(10)
    play.session.list = "unassigned"
    moved = play.fact("session.moved", actor="system", previous_list="bot_hosted")
    play.hears(moved, play.fact("session.handoff", actor="system"))


def auto_assigned(play: Play) -> None:
    """The first message, and the assignment that it brings, in two steps."""
    told = play.written()
    facts = play.assigned("ada")
    told = type(told)(
        **{f: getattr(told, f) for f in told.__struct_fields__} | {"list": "assigned"}
    )
    play.hears(told)
    play.hears(*facts)


def mentioned(play: Play) -> None:
    play.writes()
    play.passes(5)
    play.reads("ada")
    play.passes(5)
    play.hears(play.fact("session.mention", actor="agent:bob", notify=("ada",)))


def twice(play: Play) -> None:
    fact = play.written()
    play.hears(fact)
    play.doc = play.again()
    play.hears(fact)


def after_the_answer(play: Play) -> None:
    """The answer is heard of before the message that it answers."""
    told = play.written()
    play.passes(1)
    play.answers("ada")
    play.hears(told)


def acted_since(play: Play) -> None:
    """A mention is heard of together with what the agent did after it."""
    mention = play.fact("session.mention", actor="agent:bob", notify=("ada",))
    play.passes(1)
    play.hears(mention, play.fact("session.snoozed", actor="agent:ada"))


def comes_back(play: Play) -> None:
    """A fact that was done with is delivered once more, long after."""
    mention = play.fact("session.mention", actor="agent:bob", notify=("ada",))
    play.hears(mention)
    play.passes(1)
    play.hears(play.fact("session.snoozed", actor="agent:ada"))
    play.passes(100)
    play.hears(mention)


def answered_between(play: Play) -> None:
    """An answer to the first message is heard of when the second has come."""
    play.writes()
    play.passes(1)
    answer = play.fact("message.stored", actor="agent:bob")
    play.session.answered_at = play.now
    play.passes(1)
    play.writes()
    play.hears(answer)


STORIES: dict[str, tuple[dict[str, Any], Callable[[Play], None], list[str]]] = {
    "c03 a burst of 30 is one alert, and one email after the quiet time": (
        {},
        burst,
        ["browser raised ada", "browser updated ada", "email raised ada"],
    ),
    "c03 one message: no update, as nothing has changed": (
        {},
        by_email_only,
        ["browser raised ada", "email raised ada"],
    ),
    "d09 who reads is not told again, nor by email": (
        {},
        reads_soon,
        ["browser raised ada", "browser cleared ada"],
    ),
    "d09 who reads along is alerted once": (
        {},
        talks,
        ["browser raised ada", "browser cleared ada"],
    ),
    "d09 who then looks away is told when the window is over": (
        {},
        looks_away,
        ["browser raised ada", "browser cleared ada", "browser raised ada"],
    ),
    "d09 unseen, it is raised again after the window, in the place of the first": (
        {},
        goes_on,
        ["browser raised ada", "browser cleared ada", "browser raised ada"],
    ),
    "what the update has shown is not raised again": (
        {"prefers": {}},
        counts_and_goes_on,
        ["browser raised ada", "browser updated ada"],
    ),
    "a17 a request for a human breaks through what a bot's visitor wrote": (
        {
            "list": "bot_hosted",
            "prefers": {
                "ada": {
                    "triggers": {
                        "bot_hosted.message": ("browser",),
                        "handoff.requested": ("browser",),
                    }
                }
            },
        },
        bot_then_human,
        ["browser raised ada", "browser cleared ada", "browser raised ada"],
    ),
    "the message that is assigned at once is one alert": (
        {"prefers": {}},
        auto_assigned,
        ["browser raised ada", "browser updated ada"],
    ),
    "a mention breaks through what was seen": (
        {},
        mentioned,
        ["browser raised ada", "browser cleared ada", "browser raised ada"],
    ),
    "not who did something in it since": ({}, acted_since, []),
    "a repeat long after changes nothing": (
        {},
        comes_back,
        ["browser raised ada", "browser cleared ada"],
    ),
    "an answer takes nothing away that came after it": (
        {},
        answered_between,
        ["browser raised ada"],
    ),
    "the same fact again changes nothing": ({}, twice, ["browser raised ada"]),
    "what is answered before it is heard of alerts nobody": ({}, after_the_answer, []),
    "who has no console open is pushed to as well": (
        {"online": [], "prefers": {}},
        lambda play: play.writes(),
        ["browser raised ada", "push raised ada"],
    ),
    "a14 by email only: nothing else is told": (
        {"online": [], "prefers": {"ada": {"triggers": {"unassigned.message": ("email",)}}}},
        by_email_only,
        ["email raised ada"],
    ),
    "a14 by webhook at once": (
        {"prefers": {"ada": {"triggers": {"unassigned.message": ("webhook",)}}}},
        by_email_only,
        ["webhook raised ada"],
    ),
}


@pytest.mark.parametrize(("given", "story", "expected"), STORIES.values(), ids=STORIES)
def test_what_is_told(
    given: dict[str, Any], story: Callable[[Play], None], expected: list[str]
) -> None:
    play = ada(**given)
    story(play)
    assert play.said() == expected


def claimed(play: Play) -> None:
    play.hears(*play.assigned("bob", by="agent:bob"))


def given_to_the_bot(play: Play) -> None:
    play.session.list = "bot_hosted"
    play.hears(play.fact("session.moved", actor="agent:lea"))


CLEARED: dict[str, tuple[Callable[[Play], object], dict[str, str]]] = {
    "read by one": (lambda play: play.reads("ada"), {"ada": "seen"}),
    "claimed by another": (claimed, {"ada": "claimed", "bob": "seen", "lea": "claimed"}),
    "answered": (
        lambda play: play.answers("bob"),
        dict.fromkeys(("ada", "bob", "lea"), "answered"),
    ),
    "ended": (lambda play: play.ends(), dict.fromkeys(("ada", "bob", "lea"), "ended")),
    "moved": (given_to_the_bot, dict.fromkeys(("ada", "bob", "lea"), "moved")),
}


@pytest.mark.parametrize(("act", "expected"), CLEARED.values(), ids=CLEARED)
def test_d09_alerts_are_taken_away_from_who_need_not_look(
    act: Callable[[Play], object], expected: dict[str, str]
) -> None:
    play = Play(alerts=NO_LADDER, online=["ada", "bob", "lea"])
    play.writes()
    play.passes(5)
    ids = {alert.agent: alert.id for _, alert in play.told}
    play.told.clear()
    act(play)
    found = [alert for sink, alert in play.told if alert.kind == "cleared" and sink == "browser"]
    assert {alert.agent: alert.because for alert in found} == expected
    assert {alert.agent: alert.id for alert in found} == {a: ids[a] for a in expected}
    assert {watch.agent for watch in play.doc.watches} == ids.keys() - expected.keys()
    assert len({f"{alert.id}:{alert.n}" for _, alert in play.told}) == len(play.told)


def test_a_claim_that_another_forces_on_someone_leaves_them_alerted() -> None:
    play = Play(alerts=NO_LADDER, online=["ada", "bob"])
    play.writes()
    play.passes(5)
    play.hears(*play.assigned("bob", by="agent:lea"))
    assert [watch.agent for watch in play.doc.watches] == ["bob"]
    assert play.watch("bob").trigger == "assigned.to_me"
    assert play.raised() == ["ada", "bob"], "a window has one sound"


def test_the_email_waits_for_quiet_but_not_for_ever() -> None:
    play = ada()
    for _ in range(14):  # a message a minute is never quiet for two
        play.writes()
        play.passes(60)
    emails = [alert.at - BEGAN for sink, alert in play.told if sink == "email"]
    assert emails == [timedelta(seconds=600)]


def test_the_email_waits_for_the_end_of_quiet_hours() -> None:
    quiet = {"quiet_hours": QuietHours(start="09:00", end="11:00"), **EMAIL}
    play = ada(prefers={"ada": quiet}, online=[])
    play.writes()
    assert play.said() == ["browser raised ada"], "no push either"
    play.passes(2 * 3600)
    assert [(a.at - BEGAN) for s, a in play.told if s == "email"] == [timedelta(hours=1)]


def test_b38_the_email_of_an_import_that_ends_in_quiet_hours_still_has_its_counts() -> None:
    quiet = QuietHours(start="09:00", end="11:00")
    chosen: dict[str, Any] = {"quiet_hours": quiet, "triggers": {"import.finished": ("email",)}}
    play = ada(prefers={"ada": chosen})
    counts = {"created": 7, "failed": 2}
    fact = play.fact("import.finished", actor="agent:ada", notify=("ada",), counts=counts)
    play.doc.id = place_of(fact).id
    play.hears(fact)
    assert play.told == []
    play.doc = play.again()
    play.passes(2 * 3600)
    assert [(sink, alert.counts, alert.url) for sink, alert in play.told] == [
        ("email", counts, "/#/imports/s1")
    ]


SOUNDS: dict[str, tuple[dict[str, Any], str | None]] = {
    "ours": ({}, "chime"),
    "the agent's": ({"sound": "bell", "volume": 20}, "bell"),
    "that of the trigger": ({"sound": "bell", "sounds": {"unassigned.message": "pop"}}, "pop"),
    "none": ({"sound": "none"}, None),
    "muted": ({"muted": True}, None),
    "muted until later": ({"muted": True, "muted_until": BEGAN + timedelta(seconds=1)}, None),
    "muted until now": ({"muted": True, "muted_until": BEGAN}, "chime"),
    "in quiet hours": ({"quiet_hours": QuietHours(start="09:00", end="11:00")}, None),
    "in quiet hours elsewhere": (
        {"quiet_hours": QuietHours(start="09:00", end="11:00"), "zone": "Asia/Tokyo"},
        "chime",
    ),
}


@pytest.mark.parametrize(("chosen", "sound"), SOUNDS.values(), ids=SOUNDS)
def test_a18_the_alert_carries_the_sound(chosen: dict[str, Any], sound: str | None) -> None:
    play = ada(prefers={"ada": chosen})
    play.writes()
    assert (play.last.sound, play.last.volume) == (sound, chosen.get("volume", 70))


def test_a19_the_alert_shows_whose_message_it_is_and_leads_there() -> None:
    play = ada()
    play.writes("where is my parcel?")
    alert = play.last
    assert (alert.id, alert.session, alert.list, alert.channel, alert.account) == (
        "s1:1:ada",
        "s1",
        "unassigned",
        "line",
        "line-1",
    )
    assert (alert.contact_name, alert.excerpt, alert.url, alert.count) == (
        "Vera",
        "where is my parcel?",
        "/#/sessions/s1",
        1,
    )
    assert alert.expires_at - alert.at == timedelta(seconds=900)


def test_what_we_said_last_is_not_shown_as_what_the_visitor_says() -> None:
    play = ada(list="assigned", owner="ada", assignee_ids=("ada",))
    play.session.last_message = LastMessage(
        id="m", at=BEGAN, direction="out", sender="agent", excerpt="Your refund is on its way"
    )
    play.hears(play.fact("session.mention", actor="agent:bob", notify=("ada",)))
    assert (play.last.trigger, play.last.contact_name, play.last.excerpt) == ("mention", "Vera", "")


def test_c03_the_page_counts_no_less_than_the_email() -> None:
    soon = Alerting(escalation=(), email_after_s=10, window_s=20)
    play = ada(alerts=soon)
    for _ in range(5):
        play.writes()
    play.passes(60)
    assert [(sink, alert.kind, alert.count) for sink, alert in play.told] == [
        ("browser", "raised", 1),
        ("browser", "updated", 5),
        ("email", "raised", 5),
    ]
    assert len({(alert.id, alert.n) for _, alert in play.told}) == 3


def test_the_count_is_of_what_waits_since_the_burst_began() -> None:
    play = ada(inbound=7, reads={"bob": 7})
    play.writes()
    play.passes(10)
    play.writes()
    play.passes(60)
    assert [(alert.kind, alert.count) for _, alert in play.told] == [("raised", 1), ("updated", 2)]


LADDER = Alerting(
    escalation=(Rung(after_s=180), Rung(after_s=600, to="leads", methods=("browser", "email")))
)


def test_d09_the_ladder_is_climbed_when_nobody_reacts() -> None:
    play = Play(alerts=LADDER, online=["ada"])
    play.writes()
    play.passes(2000)
    assert len({alert.since for _, alert in play.told if alert.agent == "ada"}) == 1
    assert len({alert.at for _, alert in play.told if alert.agent == "ada"}) > 1
    told = [
        (sink, alert.agent, alert.rung, (alert.at - BEGAN).seconds)
        for sink, alert in play.told
        if alert.kind == "raised"
    ]
    assert told == [
        ("browser", "ada", 0, 0),
        ("browser", "ada", 1, 180),
        ("browser", "lea", 2, 600),
        ("push", "lea", 2, 600),
        ("email", "lea", 2, 600),
    ]
    assert {alert.id for _, alert in play.told if alert.agent == "ada"} == {"s1:1:ada"}


def test_d09_the_same_agents_are_not_told_twice_in_one_window() -> None:
    play = Play(alerts=Alerting(escalation=(Rung(after_s=20),)), online=["ada"])
    play.writes()
    play.passes(300)
    times = [(alert.at - BEGAN).seconds for _, alert in play.told if alert.kind == "raised"]
    assert times == [0, 60]


REACTIONS: dict[str, Callable[[Play], object]] = {
    "who is alerted reads": lambda play: play.reads("bob"),
    "somebody answers": lambda play: play.answers("bob"),
    "somebody claims it": claimed,
    "it ends": lambda play: play.ends(),
}


@pytest.mark.parametrize("react", REACTIONS.values(), ids=REACTIONS)
def test_d09_nobody_climbs_once_somebody_reacts(react: Callable[[Play], object]) -> None:
    play = Play(alerts=LADDER, online=["ada", "bob"])
    play.writes()
    play.passes(100)
    play.told.clear()
    react(play)
    play.passes(3000)
    assert play.said(kind="raised") == []


def reads_late(play: Play) -> None:
    """That Ada read the first message is heard of when the second has come."""
    play.passes(1)
    play.session.reads = {"ada": 1}
    read = play.fact("session.read", actor="agent:ada")
    play.passes(1)
    play.writes()
    play.hears(read)
    play.passes(98)


NO_REACTIONS: dict[str, tuple[Callable[[Play], object], int]] = {
    "a note of a colleague's": (
        lambda play: play.hears(play.fact("message.stored", actor="agent:zoe")),
        600,
    ),
    "a note of one's own": (
        lambda play: play.hears(play.fact("message.stored", actor="agent:ada")),
        600,
    ),
    "a snooze": (
        lambda play: play.hears(play.fact("session.snoozed", actor="agent:bob")),
        600,
    ),
    "a notice": (
        lambda play: play.hears(play.fact("session.notice", actor="agent:bob", notify=("ada",))),
        600,
    ),
    "a look by one who is not alerted": (lambda play: play.reads("rita"), 600),
    "an assignment by the system": (
        lambda play: play.hears(*play.assigned("ada", by="system")),
        600,
    ),
    "what is read before the visitor writes once more": (reads_late, 602),
}


@pytest.mark.parametrize(("act", "called"), NO_REACTIONS.values(), ids=NO_REACTIONS)
def test_d09_the_ladder_is_climbed_while_the_visitor_waits(
    act: Callable[[Play], object], called: int
) -> None:
    play = Play(alerts=LADDER, online=["ada", "bob"])
    play.writes()
    began = play.now
    play.passes(0 if act is reads_late else 100)
    act(play)
    play.passes(3000)
    leads = [(a.at - began).seconds for s, a in play.told if s == "email" and a.agent == "lea"]
    assert leads == [called]


MINE: dict[str, Any] = {"list": "assigned", "owner": "ada", "assignee_ids": ("ada",)}


def test_d09_a_note_of_the_only_one_who_is_alerted_is_no_answer() -> None:
    play = Play(alerts=LADDER, online=["ada"], **MINE)
    play.writes()
    play.passes(100)
    play.hears(play.fact("message.stored", actor="agent:ada"))
    assert play.said("browser", kind="cleared") == []
    play.passes(600)
    assert play.raised("email")[-1] == "lea"


def failed_send(play: Play) -> None:
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
        sender="agent",
        sender_id="ada",
    )
    status = play.fact("message.status", actor="system", status="failed", message="m1")
    play.hears(status, message=message)


def note(play: Play) -> None:
    play.hears(play.fact("session.notice", actor="system", notify=("ada",)))


def mention(play: Play) -> None:
    play.hears(play.fact("session.mention", actor="agent:bob", notify=("ada",)))


CALLS: dict[str, tuple[Callable[[Play], None], str]] = {
    "a notice": (note, "notice"),
    "a failed send": (failed_send, "send.failed"),
    "a mention": (mention, "mention"),
}


@pytest.mark.parametrize(("call", "trigger"), CALLS.values(), ids=CALLS)
def test_d09_a_call_takes_nothing_from_the_visitor_who_waits(
    call: Callable[[Play], None], trigger: str
) -> None:
    play = Play(alerts=LADDER, online=["ada"], **MINE)
    play.writes()
    play.passes(100)
    call(play)
    play.passes(400)
    play.writes()
    play.passes(3000)
    told = [
        (alert.agent, alert.trigger, (alert.at - BEGAN).seconds)
        for sink, alert in play.told
        if sink == "browser" and alert.kind == "raised"
    ]
    assert told == [
        ("ada", "assigned.message", 0),
        ("ada", trigger, 100),
        ("ada", "assigned.message", 180),
        ("ada", "assigned.message", 500),
        ("lea", "notice", 600),
    ]
    assert {watch.agent for watch in play.again().watches} == {"ada", "lea"}, "it still waits"


@pytest.mark.parametrize(("call", "trigger"), CALLS.values(), ids=CALLS)
def test_what_is_claimed_by_another_leaves_the_call_alone(
    call: Callable[[Play], None], trigger: str
) -> None:
    play = Play(alerts=LADDER, online=["ada", "bob"])
    play.writes()
    play.passes(100)
    call(play)
    play.passes(100)
    claimed(play)
    assert play.doc.began_at is None
    assert [(w.agent, w.trigger, w.beside) for w in play.doc.watches] == [("ada", trigger, None)]
    play.told.clear()
    play.passes(3000)
    assert play.doc.watches == ()
    assert play.said("browser", "push") == []


def test_a_message_after_a_call_in_its_window_is_shown_as_what_it_is() -> None:
    play = Play(alerts=LADDER, online=["ada"], **MINE)
    mention(play)
    play.passes(10)
    play.writes("are you there?")
    play.passes(51)
    assert (play.last.kind, play.last.trigger, play.last.count) == (
        "updated",
        "assigned.message",
        1,
    )
    play.answers("bob")
    assert (play.last.kind, play.last.trigger) == ("updated", "mention"), "that is left"
    play.reads("ada")
    assert (play.last.kind, play.doc.watches) == ("cleared", ())


def test_what_is_mailed_of_a_call_is_not_mailed_of_a_message() -> None:
    play = ada(prefers={})
    mention(play)
    play.passes(10)
    play.writes()
    play.passes(600)
    assert [alert.trigger for sink, alert in play.told if sink == "email"] == ["mention"]


def heard_of_late(play: Play, *facts: Fact, message: Message | None = None) -> None:
    """An hour and more after they happened."""
    play.now += timedelta(hours=1)
    play.hears(*facts, message=message)


OLD_NEWS: dict[str, tuple[Callable[[Play], Fact], list[str]]] = {
    "a notice": (
        lambda play: play.fact("session.notice", actor="system", notify=("ada",)),
        ["email raised ada 0"],
    ),
    "an assignment": (
        lambda play: play.assigned("ada")[1],
        [
            "email raised ada 0",
            "browser raised ada 180",
            "browser raised lea 600",
            "push raised lea 600",
            "email raised lea 600",
        ],
    ),
    "a message": (
        lambda play: play.written(),
        [
            "browser raised ada 180",
            "browser raised lea 600",
            "push raised lea 600",
            "email raised lea 600",
        ],
    ),
}


@pytest.mark.parametrize(("cast", "expected"), OLD_NEWS.values(), ids=OLD_NEWS)
def test_what_happened_long_ago_is_told_nobody_at_once(
    cast: Callable[[Play], Fact], expected: list[str]
) -> None:
    play = Play(alerts=LADDER, online=["ada"])
    heard_of_late(play, cast(play))
    began = play.now
    play.passes(3000)
    assert [
        f"{sink} {alert.kind} {alert.agent} {(alert.at - began).seconds}"
        for sink, alert in play.told
    ] == expected


def test_what_is_of_now_is_told_behind_what_is_old() -> None:
    play = ada(prefers={})
    old = play.written()
    play.now += timedelta(hours=1)
    new = play.written()
    play.passes(300)
    play.hears(old)
    assert play.said() == []
    play.hears(new)
    assert play.said() == ["browser raised ada"]
    assert play.last.at == new.at
    assert play.last.expires_at == new.at + timedelta(seconds=900)


def test_d09_who_was_called_by_the_ladder_is_released_when_somebody_reads() -> None:
    play = Play(alerts=LADDER, online=["ada"])
    play.writes()
    play.passes(700)
    play.told.clear()
    play.reads("ada")
    assert play.said("browser") == ["browser cleared ada", "browser cleared lea"]
    assert play.doc.watches == ()


def test_what_was_told_and_waits_for_nobody_is_forgotten() -> None:
    play = ada()
    play.hears(play.fact("session.mention", actor="agent:bob", notify=("ada",)))
    assert play.said() == ["browser raised ada"]
    play.passes(3600)
    assert (play.doc.watches, play.due) == ((), None)
    assert play.said() == ["browser raised ada", "email raised ada"]


def test_facts_of_a_write_in_any_order_tell_the_same() -> None:
    seen = set()
    for turned in (False, True):
        play = ada()
        facts = [play.written() for _ in range(3)]
        for fact in reversed(facts) if turned else facts:
            play.hears(fact)
        play.passes(61)
        seen.add(tuple(play.said("browser", kind="raised")))
        assert play.last.count == 3
    assert len(seen) == 1


def test_d09_a_look_by_one_who_has_it_not_holds_no_ladder_up_before_it_begins() -> None:
    play = Play(alerts=LADDER, online=["ada"], **MINE)
    told = play.written()
    play.session.reads = {"rita": 1}
    play.hears(told)
    play.passes(600)
    assert play.raised("email")[-1:] == ["lea"]


def gives_to_bob(play: Play) -> None:
    play.writes("Where is it?")
    play.session.reads = {"ada": 1}
    play.hears(*play.assigned("bob", by="agent:ada"))


def asks_for_a_person(play: Play) -> None:
    play.writes("Where is it?")
    play.hears(play.fact("session.handoff", actor="visitor"))


@pytest.mark.parametrize(
    ("story", "trigger", "mine"),
    [
        (gives_to_bob, "notice", "assigned.to_me"),
        (asks_for_a_person, "handoff.requested", "handoff.requested"),
        (lambda play: play.writes("Where is it?"), "unassigned.message", "unassigned.message"),
    ],
)
def test_d09_whom_a_rung_alone_calls_is_told_so_and_not_in_the_words_of_another(
    story: Callable[[Play], None], trigger: str, mine: str
) -> None:
    sounds = {"lea": {"absent": "if_nobody", "sounds": {"notice": "bell"}, "sound": "pop"}}
    play = Play(alerts=LADDER, online=["bob"], prefers=sounds)
    story(play)
    play.passes(3000)
    hers = [(sink, alert) for sink, alert in play.told if alert.agent == "lea"]
    assert {sink for sink, _ in hers} >= {"browser", "push", "email"}
    for _, alert in hers:
        assert (alert.trigger, alert.because, alert.rung) == (trigger, "nobody_reacted", 2)
        assert alert.since == BEGAN
        assert alert.sound in (None, "bell" if trigger == "notice" else "pop")
    bobs = [alert for _, alert in play.told if alert.agent == "bob"]
    assert {alert.because for alert in bobs} <= {"", "renewed"}
    assert mine in {alert.trigger for alert in bobs}


@pytest.mark.parametrize(
    ("chosen", "locked", "mailed"),
    [(("browser",), False, 0), (("browser", "email"), False, 1), (("browser",), True, 1)],
)
def test_d09_who_took_email_off_the_ladder_is_called_without(
    chosen: tuple[AlertMethod, ...], locked: bool, mailed: int
) -> None:
    triggers: dict[AlertTrigger, AlertDefault] = (
        {"notice": AlertDefault(methods=("email",), locked=True)} if locked else {}
    )
    alerts = msgspec.structs.replace(LADDER, triggers=triggers)
    play = Play(alerts=alerts, online=["bob"], prefers={"lea": {"triggers": {"notice": chosen}}})
    gives_to_bob(play)
    play.passes(3000)
    assert play.raised("browser").count("lea") == 1
    assert play.raised("email").count("lea") == mailed


def remarks(play: Play, text: str) -> None:
    """Let Bob mention Ada in a note."""
    entry = Message(
        id="n1",
        workspace="acme",
        account="line-1",
        key="k",
        session="s1",
        visitor="U1",
        kind="note",
        occurred_at=play.now,
        received_at=play.now,
        sender="agent",
        sender_id="bob",
        parts=(TextPart(text=text),),
    )
    fact = play.fact("session.mention", actor="agent:bob", notify=("ada",), message=entry.id)
    play.hears(fact, message=entry)


def test_a_mention_says_who_and_what_aloud_and_once_in_a_window() -> None:
    play = Play(alerts=NO_LADDER, online=["ada"])
    play.writes("human")
    play.hears(play.fact("session.handoff", actor="visitor", notify=("ada",)))
    play.passes(2)
    remarks(play, "\n please look \nand more")
    play.passes(2)
    remarks(play, "really " * 100)
    adas = [
        (alert.kind, alert.trigger, alert.excerpt[:16], alert.sound)
        for sink, alert in play.told
        if sink == "browser" and alert.agent == "ada" and alert.kind != "cleared"
    ]
    assert adas[-3:] == [
        ("updated", "handoff.requested", "human", None),
        ("raised", "mention", "Bob: please look", "chime"),
        ("updated", "mention", "Bob: really real", None),
    ]
    assert len(play.last.excerpt) == 200
    assert play.last.excerpt.endswith("…")
    play.reads("ada")
    play.passes(1)
    remarks(play, "again")
    assert (play.last.kind, play.watch("ada").told) == ("cleared", {})
    play.passes(60)
    assert (play.last.kind, play.last.excerpt) == ("raised", "Bob: again")


def test_a_mention_keeps_its_words_beside_what_the_visitor_waits_for() -> None:
    play = Play(alerts=NO_LADDER, online=["ada"], **MINE)
    remarks(play, "please look")
    play.passes(2)
    play.writes("Where is it?")
    assert play.last.excerpt == "Bob: please look"
    play.passes(61)
    assert (play.last.trigger, play.last.excerpt) == ("assigned.message", "Where is it?")
    play.session.answered_at = play.now
    play.hears(play.fact("message.stored", actor="agent:"))
    assert (play.last.trigger, play.last.excerpt) == ("mention", "Bob: please look")


@pytest.mark.parametrize(
    ("kind", "account", "url"),
    [
        ("webhook.disabled", "", "/#/webhook-endpoints/s1"),
        ("account.unhealthy", "s1", "/#/accounts/s1"),
    ],
)
def test_what_is_mailed_after_quiet_hours_of_no_session_still_says_what(
    kind: FactType, account: str, url: str
) -> None:
    quiet = {"quiet_hours": QuietHours(start="09:00", end="11:00")}
    play = Play(members=[Member(id="lea", name="Lea", role="admin")], prefers={"lea": quiet})
    fact = play.fact(kind, actor="system", detail="it answers 410")
    play.doc.id = place_of(fact).id
    play.hears(fact)
    play.doc = play.again()
    play.passes(2 * 3600)
    [mail] = [alert for sink, alert in play.told if sink == "email"]
    assert (mail.excerpt, mail.account, mail.url) == ("it answers 410", account, url)
