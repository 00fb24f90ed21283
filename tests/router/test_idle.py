"""A10, A12, D07: what ends by itself, by the pure rules on a clock in the test's hand."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.commands import FireTimer
from libs.common.documents import Assignee, LastMessage, Moment, Session
from libs.common.events import TextPart
from libs.common.idle import idle_end, idle_since, last_speaker
from libs.common.policy import Policy
from libs.common.switches import ChannelSettings, IdleRule, Settings, Speaker, Termination
from services.router.clocks import keep
from services.router.draft import Draft
from services.router.idle import duration
from services.router.permit import Reach
from services.router.room import Room
from services.router.timed import fire
from services.router.transition import TIMER
from tests.router.idle_stage import DAY, HOUR, LONG_AGO, idle_settings
from tests.router.rig import T0, at

ON = idle_settings()
LISTS = ("bot_hosted", "unassigned", "assigned", "ended")
SPEAKERS: tuple[Speaker, ...] = ("visitor", "agent", "bot", "automation")
AMY = Assignee(agent="amy", name="Amy", since=T0)
OF_LIST: dict[str, dict[str, Any]] = {
    "bot_hosted": {"bot": True, "bot_id": "faq"},
    "unassigned": {"waiting_since": T0, "queue_key": "500 2026"},
    "assigned": {"owner": "amy", "assignees": (AMY,), "assignee_ids": ("amy",)},
    "ended": {"open_key": None, "ended_at": T0, "owner": "amy"},
}


def session_of(list_: str = "unassigned", **fields: Any) -> Session:
    """Return a session in which the visitor wrote at T0, and nothing happened since."""
    known: dict[str, Any] = {
        "id": "ses_1",
        "workspace": "acme",
        "account": "acme-page",
        "channel": "messenger",
        "visitor": "U1",
        "contact": "c1",
        "list": list_,
        "open_key": "acme-page|U1",
        "created_at": T0,
        "updated_at": T0,
        "rev": 1,
        "inbound": 1,
        "spoke": "visitor",
        "idle_since": T0,
        "newest": {"spoke": Moment(at=T0)},
    }
    return Session(**(known | OF_LIST[list_] | fields))


def fired(
    session: Session, settings: Settings, now: float, *, due: datetime | None = None
) -> Session:
    """Return *session* after the timer of its idle end came."""
    reach = Reach(
        channel=CHANNELS[session.channel],
        account=Account(
            workspace="acme", slug="acme-page", channel=session.channel, external_id="1"
        ),
    )
    room = Room(policy=Policy(settings=settings), reach=reach)
    draft = Draft(session, settings)
    command = FireTimer(
        workspace="acme",
        session=session.id,
        actor=TIMER,
        key="k",
        deadline=at(now + 3),
        kind="idle_end",
        due=due or at(now),
    )
    fire(draft, command, room, at(now))
    keep(draft, at(now))
    return draft.finish(at(now))


def line_of(session: Session) -> str:
    """Return what the line of the end says."""
    [line] = [entry for entry in session.writes if entry.what == "ended"]
    [part] = line.parts
    assert isinstance(part, TextPart)
    return part.text


# --- the matrix --------------------------------------------------------------------------------

ENDING = {
    (channel, list_, spoke)
    for channel in ("messenger", "fb_comment")
    for list_ in ("bot_hosted", "unassigned")
    for spoke in ("visitor", "bot", "automation")
}
"""A10: all that ends by default; whatever is not here never does."""
CHANNELS_SEEN = ("messenger", "fb_comment", "line", "web", "whatsapp")
MATRIX = {
    f"{channel}, {list_}, {spoke} spoke last": (channel, list_, spoke)
    for channel, list_, spoke in itertools.product(CHANNELS_SEEN, LISTS, SPEAKERS)
}


@pytest.mark.parametrize("place", MATRIX.values(), ids=MATRIX)
def test_a10_d07_by_default_comments_and_messenger_end_where_no_agent_has_them(
    place: tuple[str, str, Speaker],
) -> None:
    channel, list_, spoke = place
    session = session_of(list_, channel=channel, spoke=spoke)
    ends = place in ENDING
    for idle_s in (DAY - 1, DAY, DAY + 1, 30 * DAY):
        after = fired(session, ON, idle_s)
        expected = ends and idle_s >= DAY
        assert (after.list == "ended") == (expected or list_ == "ended"), idle_s
        if expected:
            assert (after.end_reason, after.ended_at) == ("auto_terminated", at(idle_s))
            assert [fact.type for fact in after.facts] == ["session.ended"]
            assert after.sends == ()


OWN = IdleRule(channels=("line",), lists=("assigned",), last=("agent",), idle_s=HOUR)
FIRST = IdleRule(lists=("assigned",), last=SPEAKERS, idle_s=2 * HOUR)
EVERYWHERE = IdleRule(lists=("unassigned", "assigned"), idle_s=60)
RULES: dict[str, tuple[tuple[IdleRule, ...], dict[str, Any], int | None]] = {
    "a rule of one's own, for another channel, list and speaker": (
        (OWN,),
        {"list_": "assigned", "channel": "line", "spoke": "agent"},
        HOUR,
    ),
    "it holds for its channel alone": (
        (OWN,),
        {"list_": "assigned", "channel": "messenger", "spoke": "agent"},
        None,
    ),
    "it holds for its list alone": ((OWN,), {"channel": "line", "spoke": "agent"}, None),
    "it holds for its speaker alone": (
        (OWN,),
        {"list_": "assigned", "channel": "line", "spoke": "visitor"},
        None,
    ),
    "the first rule that fits counts, not the shortest": (
        (FIRST, OWN),
        {"list_": "assigned", "channel": "line", "spoke": "agent"},
        2 * HOUR,
    ),
    "a rule that names no channel holds for all": ((EVERYWHERE,), {"channel": "web"}, 60),
    "without rules nothing ends": ((), {}, None),
    "what is held by another application does not end": (
        (EVERYWHERE,),
        {"standby": True},
        None,
    ),
    "what is put aside does not end": (
        (EVERYWHERE,),
        {"snoozed_until": at(10 * DAY), "snoozed_by": "amy"},
        None,
    ),
}


@pytest.mark.parametrize(("rules", "fields", "idle_s"), RULES.values(), ids=RULES)
def test_d07_rules(rules: tuple[IdleRule, ...], fields: dict[str, Any], idle_s: int | None) -> None:
    settings = Settings(auto_termination=True, termination=Termination(rules=rules, since=LONG_AGO))
    session = session_of(**fields)
    if idle_s is None:
        assert fired(session, settings, 9 * DAY).list == session.list
        return
    assert fired(session, settings, idle_s - 1).list == session.list
    assert fired(session, settings, idle_s).list == "ended"


ONLY_HERE = ChannelSettings(auto_termination=True)
NOT_HERE = ChannelSettings(auto_termination=False)
SWITCHES: dict[str, tuple[dict[str, Any], bool]] = {
    "off for the workspace": ({}, False),
    "on for the workspace": ({"auto_termination": True}, True),
    "on for this channel": ({"channels": {"messenger": ONLY_HERE}}, True),
    "on for another channel": ({"channels": {"line": ONLY_HERE}}, False),
    "off for this channel": (
        {"auto_termination": True, "channels": {"messenger": NOT_HERE}},
        False,
    ),
    "on for this account, off for the channel": (
        {"channels": {"messenger": NOT_HERE}, "accounts": {"acme-page": ONLY_HERE}},
        True,
    ),
    "off for this account": (
        {"auto_termination": True, "accounts": {"acme-page": NOT_HERE}},
        False,
    ),
}


@pytest.mark.parametrize(("switches", "ends"), SWITCHES.values(), ids=SWITCHES)
def test_a12_where_it_is_switched_on(switches: dict[str, Any], ends: bool) -> None:
    session = session_of()
    settings = Settings(**switches, termination=Termination(since=LONG_AGO))
    assert (fired(session, settings, 2 * DAY).list == "ended") == ends


# --- since when --------------------------------------------------------------------------------

SINCE: dict[str, tuple[float, float]] = {
    "switched on before the session began": (-9 * DAY, DAY),
    "switched on while it was idle": (10 * HOUR, 34 * HOUR),
    "switched on long after it was idle for long enough": (40 * DAY, 41 * DAY),
}


@pytest.mark.parametrize(("since", "due"), SINCE.values(), ids=SINCE)
def test_a12_idle_time_before_it_was_switched_on_does_not_count(since: float, due: float) -> None:
    settings = Settings(auto_termination=True, termination=Termination(since=at(since)))
    found = idle_end(session_of(), settings)
    assert found is not None
    assert found.due == at(due)
    assert fired(session_of(), settings, due - 1).list == "unassigned"
    assert fired(session_of(), settings, due).list == "ended"


def test_a12_nothing_ends_before_it_is_said_since_when_idle_time_counts() -> None:
    former = msgspec.json.decode(b'{"auto_termination":true}', type=Settings)
    assert idle_end(session_of(), former) is None
    assert fired(session_of(), former, 400 * DAY).list == "unassigned"


def last(sender: Any, seconds: float) -> LastMessage:
    return LastMessage(id="m", at=at(seconds), direction="in", sender=sender, excerpt="")


OLD: dict[str, Any] = {"spoke": None, "idle_since": None, "newest": {}, "updated_at": at(99)}
FALLBACKS: dict[str, tuple[dict[str, Any], float, Speaker]] = {
    "its last message, of whomever": (
        {"last_inbound_at": at(10), "last_message": last("bot", 20)},
        20,
        "bot",
    ),
    "the visitor's last, where a clock makes the row's older": (
        {"last_inbound_at": at(30), "last_message": last("agent", 20)},
        30,
        "agent",
    ),
    "its beginning, where nothing was said": ({}, 0, "visitor"),
    "what it says itself, where it does": (
        {"spoke": "automation", "idle_since": at(5), "last_message": last("visitor", 50)},
        5,
        "automation",
    ),
}


@pytest.mark.parametrize(("fields", "since", "spoke"), FALLBACKS.values(), ids=FALLBACKS)
def test_a12_a_session_that_does_not_say_since_when_it_is_idle(
    fields: dict[str, Any], since: float, spoke: Speaker
) -> None:
    session = session_of(**(OLD | fields))
    assert (idle_since(session), last_speaker(session)) == (at(since), spoke)


# --- arming ------------------------------------------------------------------------------------

ARMING: dict[str, tuple[dict[str, Any], float, float | None, list[float]]] = {
    "none yet: it is armed": ({}, 0, DAY, [DAY]),
    "a later message puts off the end, not the timer": (
        {"idle_since": at(HOUR), "due": {"idle_end": at(DAY)}},
        HOUR,
        DAY,
        [],
    ),
    "its time is over, and the scheduler armed it for nobody knows when": (
        {"idle_since": at(30 * HOUR), "due": {"idle_end": at(DAY)}},
        30 * HOUR,
        54 * HOUR,
        [54 * HOUR],
    ),
    "its time is over, and it waits for its place in the pace": (
        {"due": {"idle_end": at(DAY)}},
        25 * HOUR,
        DAY,
        [],
    ),
    "it is due earlier than it was": ({"due": {"idle_end": at(9 * DAY)}}, 0, DAY, [DAY]),
    "it does not end where it is now": (
        {"list_": "assigned", "due": {"idle_end": at(DAY)}},
        0,
        None,
        [],
    ),
    "it does not end, and never did": ({"channel": "line"}, 0, None, []),
}


@pytest.mark.parametrize(("fields", "now", "due", "armed"), ARMING.values(), ids=ARMING)
def test_d07_a_timer_is_armed_as_seldom_as_can_be(
    fields: dict[str, Any], now: float, due: float | None, armed: list[float]
) -> None:
    draft = Draft(session_of(**fields), ON)
    keep(draft, at(now))
    after = draft.finish(at(now))
    assert after.due.get("idle_end") == (None if due is None else at(due))
    assert [timer.due for timer in after.timers] == [at(one) for one in armed]


def test_a12_switched_off_nothing_is_armed_and_what_was_is_forgotten() -> None:
    draft = Draft(session_of(due={"idle_end": at(DAY)}), Settings())
    keep(draft, at(HOUR))
    after = draft.finish(at(HOUR))
    assert (after.due, after.timers) == ({}, ())


def test_d07_a_timer_that_comes_too_early_is_armed_again() -> None:
    session = session_of(idle_since=at(HOUR), due={"idle_end": at(DAY)})
    after = fired(session, ON, DAY)
    assert after.list == "unassigned"
    assert [timer.due for timer in after.timers] == [at(DAY + HOUR)]
    assert (after.facts, after.writes) == ((), ())


@pytest.mark.parametrize("behind_s", [0.1, 30.0])
def test_d07_a_clock_behind_the_servers_makes_no_circle(behind_s: float) -> None:
    """To the server its time is over: armed again, it would come again at once."""
    after = fired(session_of(), ON, DAY - behind_s, due=at(DAY))
    assert after.list == "ended"


def test_d07_what_comes_again_does_nothing() -> None:
    ended = fired(session_of(), ON, DAY)
    again = msgspec.structs.replace(ended, facts=(), writes=(), rev=2)
    after = fired(again, ON, DAY + 1)
    assert (after.facts, after.writes, after.timers) == ((), (), ())
    assert after.epoch == ended.epoch


# --- the end -----------------------------------------------------------------------------------

KEPT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "with a bot": (
        {"list_": "bot_hosted", "switched": True},
        {"list": "bot_hosted", "bot": True, "bot_id": "faq", "switched": True},
    ),
    "waiting": ({"list_": "unassigned"}, {"list": "unassigned", "waiting_since": T0}),
    "with an agent": ({"list_": "assigned"}, {"list": "assigned", "assignees": (AMY,)}),
}


@pytest.mark.parametrize(("fields", "expected"), KEPT.values(), ids=KEPT)
def test_d07_an_end_keeps_where_it_stood_and_until_when_it_can_be_undone(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    rule = IdleRule(lists=("bot_hosted", "unassigned", "assigned"))
    termination = Termination(rules=(rule,), undo_s=60, since=LONG_AGO)
    settings = Settings(auto_termination=True, termination=termination)
    after = fired(session_of(**fields), settings, DAY + 5)
    known = {"bot": False, "bot_id": "", "switched": None, "assignees": (), "waiting_since": None}
    kept = after.ended_from
    assert kept is not None
    wanted = known | expected | {"until": at(DAY + 65)}
    assert {name: getattr(kept, name) for name in wanted} == wanted
    assert (after.open_key, after.due, after.bot) == (None, {}, False)


BYE = IdleRule(channels=("messenger",), idle_s=HOUR, farewell="Bye {{contact.name}}!")
FIRST_RULE = IdleRule(channels=("line",), idle_s=60)
WHY: dict[str, tuple[tuple[IdleRule, ...], dict[str, Any], float, str]] = {
    "by how long, which rule, and where": (
        (FIRST_RULE, IdleRule(idle_s=HOUR)),
        {},
        HOUR + 120,
        "ended automatically: no message for 1 hour 2 minutes (rule 2: after 1 hour in unassigned)",
    ),
    "and that it was answered elsewhere": (
        (IdleRule(idle_s=HOUR),),
        {"list_": "bot_hosted", "outside_at": at(HOUR - 1)},
        HOUR,
        (
            "ended automatically: no message for 1 hour (rule 1: after 1 hour in bot hosted); "
            "answered outside at 2026-03-01 12:59 UTC"
        ),
    ),
    "but not where somebody spoke here after that": (
        (IdleRule(idle_s=HOUR),),
        {"outside_at": at(-5)},
        HOUR,
        "ended automatically: no message for 1 hour (rule 1: after 1 hour in unassigned)",
    ),
    "answered elsewhere, then moved": (
        (IdleRule(idle_s=HOUR),),
        {"outside_at": at(60), "idle_since": at(120)},
        HOUR + 120,
        (
            "ended automatically: no message for 1 hour (rule 1: after 1 hour in unassigned); "
            "answered outside at 2026-03-01 12:01 UTC"
        ),
    ),
    "and that the farewell could not be said": (
        (BYE,),
        {"window_at": at(-DAY)},
        HOUR,
        (
            "ended automatically: no message for 1 hour (rule 1: after 1 hour in unassigned); "
            "the farewell was not sent: the time in which one may answer is over; "
            "it begins anew when the visitor writes"
        ),
    ),
}


@pytest.mark.parametrize(("rules", "fields", "now", "text"), WHY.values(), ids=WHY)
def test_a11_d07_a_line_says_why(
    rules: tuple[IdleRule, ...], fields: dict[str, Any], now: float, text: str
) -> None:
    settings = Settings(auto_termination=True, termination=Termination(rules=rules, since=LONG_AGO))
    after = fired(session_of(**fields), settings, now)
    assert line_of(after) == text
    assert after.sends == ()


def test_d07_a_farewell_is_said_before_the_end_in_the_same_write() -> None:
    settings = Settings(
        auto_termination=True, termination=Termination(rules=(BYE,), since=LONG_AGO)
    )
    after = fired(session_of(window_at=at(0)), settings, HOUR)
    farewell, line = after.writes
    assert (farewell.sender, farewell.direction) == ("automation", "out")
    assert farewell.parts == (TextPart(text="Bye {{contact.name}}!"),)
    assert (line.what, farewell.number, line.number) == ("ended", 1, 2)
    assert (farewell.occurred_at, farewell.sequence) < (line.occurred_at, line.sequence)
    [send] = after.sends
    assert (send.message_id, send.parts) == (farewell.id, farewell.parts)
    assert (send.epoch or 0) >= after.hushed  # its own end takes the word from nobody
    assert [fact.type for fact in after.facts] == ["message.stored", "session.ended"]
    assert line_of(after).startswith("ended automatically: no message for 1 hour (")


DURATIONS = {
    0: "0 seconds",
    1: "1 second",
    59: "59 seconds",
    60: "1 minute",
    3_661: "1 hour 1 minute",
    86_400: "1 day",
    86_460: "1 day",
    90_000: "1 day 1 hour",
    200_000: "2 days 7 hours",
}


@pytest.mark.parametrize(("seconds", "text"), DURATIONS.items())
def test_a_duration_in_words(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_the_clock_of_the_farewell_does_not_move_the_reason() -> None:
    settings = Settings(
        auto_termination=True, termination=Termination(rules=(BYE,), since=LONG_AGO)
    )
    after = fired(session_of(window_at=at(0)), settings, 2 * HOUR)
    assert "no message for 2 hours" in line_of(after)
    assert after.idle_since == at(2 * HOUR)
    assert after.updated_at == T0 + timedelta(seconds=2 * HOUR)
