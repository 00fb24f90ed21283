"""What bots say to what visitors write, and for what they give up. All of it pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.documents import Assignee, Bot, FaqEntry, FlowStep
from libs.common.events import ActionPart, ContentPart, MediaPart, TextPart
from libs.common.switches import Settings
from services.router.botting import converse
from services.router.draft import Draft
from services.router.permit import Reach
from tests.router.bot_stage import PICTURE, T0, Stage, faq_bot, flow_bot, webhook_bot


class Turn(NamedTuple):
    """What the visitor sends, what is said to it, and why a human is asked; "" for nobody."""

    sends: str | ContentPart
    says: tuple[str, ...] = ()
    reason: str = ""


class Talk(NamedTuple):
    """A bot, and the turns of a talk with it."""

    bot: Bot
    turns: tuple[Turn, ...]
    more: dict[str, Any] = {}


HELLO = "Hello Vera! What is it about?"
ASKED = (HELLO,)
FULL = Settings(bot_messages=2)

TALKS = {
    "d19_an_exact_question_is_answered": Talk(
        faq_bot(), (Turn("when are you OPEN", ("From 9 to 17.",)),)
    ),
    "d19_a_keyword_is_answered": Talk(faq_bot(), (Turn("your hours please", ("From 9 to 17.",)),)),
    "d19_a_slip_of_the_pen_is_answered": Talk(
        faq_bot(), (Turn("when are yuo open", ("From 9 to 17.",)),)
    ),
    "d19_the_contacts_language_chooses_the_answer": Talk(
        faq_bot(), (Turn("hours", ("Von 9 bis 17.",)),), {"contact_language": "de-AT"}
    ),
    "d19_what_the_bot_does_not_know_goes_to_a_human": Talk(
        faq_bot(), (Turn("my cat is ill", (), "not_understood"),)
    ),
    "d19_only_so_many_misses_in_a_row_go_to_a_human": Talk(
        faq_bot(misses=2),
        (
            Turn("what?"),
            Turn("hours", ("From 9 to 17.",)),
            Turn("what?"),
            Turn("what??", (), "not_understood"),
        ),
        {"contact_language": "en"},
    ),
    "d19_an_answer_may_ask_for_a_human": Talk(
        faq_bot(), (Turn("a refund", ("A colleague looks.",), "bot_asked"),)
    ),
    "d19_a_picture_alone_is_nothing_an_faq_knows": Talk(
        faq_bot(), (Turn(PICTURE, (), "not_understood"),)
    ),
    "an_entry_whose_file_is_gone_goes_to_a_human": Talk(
        faq_bot(files={}), (Turn("price", (), "bot_failed"),)
    ),
    "an_entry_without_content_goes_to_a_human": Talk(
        Bot(
            id="faq",
            workspace="acme",
            name="Empty",
            kind="faq",
            faq=(FaqEntry(id="e", keywords=("x",), answers=()),),
        ),
        (Turn("x", (), "bot_failed"),),
    ),
    "d19_a_flow_begins_whatever_is_written": Talk(flow_bot(), (Turn("hi", ASKED),)),
    "d19_a_flow_begins_for_a_picture_too": Talk(flow_bot(), (Turn(PICTURE, ASKED),)),
    "d19_a_choice_is_taken_by_its_title_and_a_variable_is_filled": Talk(
        flow_bot(),
        (
            Turn("hi", ASKED),
            Turn("order", ("Which number?",)),
            Turn("77", ("Order 77 is on its way.",)),
            Turn("hello again", ASKED),
        ),
    ),
    "d19_a_branch_leads_by_a_variable_to_a_human": Talk(
        flow_bot(),
        (
            Turn("hi", ASKED),
            Turn("1", ("Which number?",)),
            Turn("0", ("A colleague comes.",), "bot_asked"),
        ),
    ),
    "d19_what_is_no_choice_is_asked_again_and_then_goes_to_a_human": Talk(
        flow_bot(),
        (Turn("hi", ASKED), Turn("maybe", ASKED), Turn("dunno", (), "not_understood")),
    ),
    "d19_a_picture_is_no_choice": Talk(
        flow_bot(), (Turn("hi", ASKED), Turn(PICTURE, ASKED), Turn(PICTURE, (), "not_understood"))
    ),
    "d19_a_flow_without_steps_goes_to_a_human": Talk(
        flow_bot(steps=()), (Turn("hi", (), "bot_failed"),)
    ),
    "d19_a_flow_that_goes_round_goes_to_a_human": Talk(
        flow_bot(steps=(FlowStep(id="a", to="b"), FlowStep(id="b", to="a"))),
        (Turn("hi", (), "bot_failed"),),
    ),
    "d19_the_budget_of_a_session_ends_in_a_human": Talk(
        faq_bot(),
        (
            Turn("hours", ("From 9 to 17.",)),
            Turn("your hours", ("From 9 to 17.",)),
            Turn("the hours", (), "bot_budget"),
        ),
        {"settings": FULL, "contact_language": "en"},
    ),
    "d19_what_says_more_than_the_budget_says_nothing_of_it": Talk(
        flow_bot(
            steps=(
                FlowStep(id="a", say="One", to="b"),
                FlowStep(id="b", say="Two", to="c"),
                FlowStep(id="c", say="Three"),
            )
        ),
        (Turn("hi", (), "bot_budget"),),
        {"settings": FULL},
    ),
    "d19_our_own_words_coming_back_are_a_loop": Talk(
        Bot(
            id="faq",
            workspace="acme",
            name="Echo",
            kind="faq",
            faq=(FaqEntry(id="e", keywords=("ping",), answers=("ping pong",)),),
        ),
        (
            Turn("ping", ("ping pong",)),
            Turn("ping pong", ("ping pong",)),
            Turn("ping pong", ("ping pong",)),
            Turn("ping pong", (), "bot_loop"),
        ),
    ),
    "no_bot_was_ever_set_up_so_it_waits_for_people": Talk(flow_bot(enabled=False), (Turn("hi"),)),
}


@pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)
def test_talk(talk: Talk) -> None:
    stage = Stage(talk.bot, **talk.more)
    for turn in talk.turns:
        stage.now += timedelta(seconds=5)
        reason = stage.hear(turn.sends)
        assert (tuple(stage.texts), reason) == (turn.says, turn.reason)
        assert all(entry.sender == "bot" for entry in stage.said)


# --- how it is written -------------------------------------------------------------------------


def test_a_reply_is_one_write_with_its_send_its_count_and_its_fact() -> None:
    stage = Stage(faq_bot(), bot_id="faq")
    assert stage.hear("hours") == ""
    [said] = stage.said
    [request] = stage.sends
    assert (said.status, said.sender_id, said.sender_name) == ("queued", "faq", "Answers")
    assert (request.message_id, request.parts) == (said.id, said.parts)
    assert stage.session.bot_sent == 1
    assert stage.session.last_message is not None
    assert stage.session.last_message.id == said.id
    told = [(fact.type, fact.actor, fact.message) for fact in stage.facts]
    assert told[-1] == ("message.stored", "bot:faq", said.id)
    before, after = stage.session_before, stage.session
    assert (after.list, after.owner, after.epoch, after.bot) == (
        before.list,
        before.owner,
        before.epoch,
        before.bot,
    )


def test_the_same_message_is_answered_under_the_same_id() -> None:
    stages = [Stage(faq_bot(), bot_id="faq"), Stage(faq_bot(), bot_id="faq")]
    stages[1].now += timedelta(seconds=9)  # planned again later
    for stage in stages:
        stage.hear("hours", key="e-1")
    one, other = ([entry.id for entry in stage.said] for stage in stages)
    assert one == other
    stages[0].hear("hours", key="e-2")
    assert [entry.id for entry in stages[0].said] != one


def test_d19_a_stored_file_goes_with_its_answer_as_an_agents_does() -> None:
    stage = Stage(faq_bot())
    stage.hear("price")
    [said] = stage.said
    [file, text] = said.parts
    assert isinstance(file, MediaPart)
    assert (file.attachment, text) == ("att-1", TextPart(text="See here."))


def test_replies_stand_behind_what_they_answer_and_in_order() -> None:
    steps = (FlowStep(id="a", say="One", to="b"), FlowStep(id="b", say="Two"))
    stage = Stage(flow_bot(steps=steps))
    ahead = stage.now + timedelta(seconds=3)  # the provider's clock
    stage.hear("hi", at=ahead)
    assert stage.texts == ["One", "Two"]
    one, two = stage.said
    assert ahead < one.occurred_at < two.occurred_at


def test_d19_several_answers_are_given_by_chance() -> None:
    entry = FaqEntry(id="e", keywords=("hi",), answers=("One", "Two", "Three"))
    found = []
    for chance in (0.0, 0.5, 0.99):
        stage = Stage(faq_bot(faq=(entry,)))
        stage.room = type(stage.room)(policy=stage.room.policy, bots=stage.room.bots, chance=chance)
        stage.hear("hi")
        found += stage.texts
    assert found == ["One", "Two", "Three"]


def test_each_message_of_a_burst_is_answered_by_an_faq() -> None:
    stage = Stage(faq_bot(), contact_language="en")
    stage.hear("hours", "price", "when are you open")
    assert stage.texts == ["From 9 to 17.", "See here.", "From 9 to 17."]


def test_a_burst_that_waited_is_no_loop() -> None:
    """What was written before we answered cannot be a machine's answer to it."""
    stage = Stage(faq_bot(), contact_language="en")
    before = stage.now
    stage.now += timedelta(minutes=1)
    words = ["hours", "the hours", "your hours", "hours?", "my hours", "these hours", "hours!"]
    assert stage.hear(*words, at=before) == ""
    assert len(stage.texts) == len(words)


# --- taps and times ----------------------------------------------------------------------------


def test_d19_a_tap_leads_where_its_button_leads_even_later() -> None:
    stage = Stage(flow_bot())
    stage.hear("hi")
    assert stage.tap("Order") == ""
    assert stage.texts == ["Which number?"]
    stage = Stage(flow_bot())
    stage.hear("hi")
    hello = stage.said
    stage.tap("Order")
    stage.said = hello
    assert stage.tap("Person") == "bot_asked"
    assert stage.texts == ["A colleague comes."]


def test_a_tap_on_what_is_not_ours_is_read_by_its_title() -> None:
    stage = Stage(flow_bot())
    stage.hear("hi")
    assert stage.hear(ActionPart(title="Order", payload="MENU_7")) == ""
    assert stage.texts == ["Which number?"]


def test_d19_a_step_waits_for_its_time_and_goes_on() -> None:
    stage = Stage(flow_bot())
    stage.hear("hi")
    assert stage.session.due == {"flow_wait": stage.now + timedelta(seconds=60)}
    assert stage.wait(59) == ""
    assert stage.texts == []
    assert stage.wait(1) == ""
    assert stage.texts == ["Still there?", HELLO]
    assert stage.session.due == {"flow_wait": stage.now + timedelta(seconds=60)}


def test_d19_a_step_without_another_way_goes_to_a_human_in_time() -> None:
    stage = Stage(flow_bot())
    stage.hear("hi")
    stage.hear("order")
    assert stage.wait(30) == "bot_silent"
    assert stage.session.due == {}


def test_an_answer_takes_the_time_out_back() -> None:
    stage = Stage(flow_bot())
    stage.hear("hi")
    stage.hear("order")
    stage.hear("77")
    assert stage.session.due == {}
    assert stage.wait(600) == ""


def test_two_time_outs_are_said_under_ids_of_their_own() -> None:
    stage = Stage(flow_bot())
    stage.hear("hi")
    stage.wait(60)
    first = {entry.id for entry in stage.said}
    stage.wait(60)
    assert len(first) == len(stage.said) == 2
    assert not first & {entry.id for entry in stage.said}


def test_d19_the_end_of_a_flow_ends_the_session_silently() -> None:
    stage = Stage(flow_bot())
    stage.hear("hi")
    assert stage.hear("nothing") == ""
    assert stage.texts == ["Goodbye."]
    ended = stage.session
    assert (ended.list, ended.end_reason, ended.open_key) == ("ended", "ended_by_bot", None)
    [line] = [entry for entry in stage.written if entry.kind == "system"]
    assert (line.what, line.parts) == ("ended", (TextPart(text="ended by Guide"),))
    assert [fact.actor for fact in stage.facts if fact.type == "session.ended"] == ["bot:flow"]


def test_an_faq_that_knows_nothing_waits_only_so_long_for_better_words() -> None:
    stage = Stage(faq_bot(misses=3), settings=Settings(bot_deadline_s=20))
    assert stage.hear("what?") == ""
    assert stage.wait(20) == "not_understood"


# --- which bot, and whether any ----------------------------------------------------------------


def test_the_sessions_own_bot_goes_before_the_channels() -> None:
    stage = Stage(faq_bot(), flow_bot(), bot_id="flow")
    stage.hear("hours")
    assert stage.texts == [HELLO]


def test_the_bot_that_names_the_channel_goes_before_one_that_names_none() -> None:
    stage = Stage(faq_bot(), flow_bot(channels=("web",)))
    stage.hear("hours")
    assert (stage.texts, stage.session.bot_id) == ([HELLO], "flow")


def test_b10_where_the_bot_is_gone_another_of_the_channel_goes_on() -> None:
    stage = Stage(flow_bot(), faq_bot(), bot_id="flow", contact_language="en")
    stage.hear("hi")
    epoch = stage.session.epoch
    stage.forget_bot("flow")
    assert stage.hear("hours") == ""
    assert (stage.texts, stage.session.bot_id) == (["From 9 to 17."], "faq")
    assert stage.session.epoch == epoch + 1  # what the former bot still says is stale
    assert stage.session.due == {}


def test_b10_where_the_bot_is_gone_and_no_other_is_there_a_human_is_asked() -> None:
    stage = Stage(flow_bot(), bot_id="flow")
    stage.hear("hi")
    stage.forget_bot("flow")
    assert stage.hear("order") == "bot_failed"
    assert stage.said == []


def test_a_bot_that_is_gone_is_noticed_by_its_time_out_too() -> None:
    stage = Stage(flow_bot(), bot_id="flow")
    stage.hear("hi")
    stage.forget_bot("flow")
    assert stage.wait(60) == "bot_failed"


def test_a_bot_that_the_store_does_not_have_is_a_failure() -> None:
    stage = Stage(flow_bot())
    stage.room = type(stage.room)(policy=stage.room.policy)
    assert stage.hear("hi") == "bot_failed"


def test_another_flow_knows_nothing_of_the_one_before() -> None:
    stage = Stage(flow_bot(), flow_bot("other"), bot_id="flow")
    stage.hear("hi")
    stage.hear("order")
    stage.forget_bot("flow")
    assert stage.hear("77") == ""
    assert stage.texts == [HELLO]
    assert "number" not in stage.session.bot_state


SILENT: dict[str, dict[str, Any]] = {
    "in_unassigned_nobody_answers": {"list": "unassigned", "bot": False},
    "an_ended_session_is_not_answered": {"list": "ended", "bot": False},
    "a05_in_assigned_nobody_answers_where_all_is_off": {"list": "assigned", "bot": False},
}


@pytest.mark.parametrize("session", SILENT.values(), ids=SILENT)
def test_no_bot_speaks(session: dict[str, Any]) -> None:
    stage = Stage(faq_bot(automation=True), flow_bot(automation=True), **session)
    assert stage.hear("hours") == ""
    assert stage.said == []
    assert stage.session.bot_sent == 0


def test_a_copy_of_what_another_application_got_is_not_answered() -> None:
    stage = Stage(faq_bot())
    assert stage.hear("hours", standby=True) == ""
    assert stage.said == []


def test_what_came_by_the_other_path_too_is_not_answered_again() -> None:
    stage = Stage(faq_bot())
    event = stage.event("hours")
    entry = stage.entry(event)
    entry.kind = "event"  # as its twin, which counted, left it
    draft = Draft(stage.session)
    assert converse(draft, entry, event, stage.room, stage.now) == ""
    assert not draft.changed


# --- automation in assigned --------------------------------------------------------------------

MANNED: dict[str, Any] = {"list": "assigned", "bot": False, "owner": "amy", "automation": True}


def test_a08_a09_an_faq_answers_an_assigned_session_as_automation() -> None:
    stage = Stage(faq_bot(automation=True), contact_language="en", **MANNED)
    before = stage.session
    assert stage.hear("hours") == ""
    assert stage.texts == ["From 9 to 17."]
    assert [entry.sender for entry in stage.said] == ["automation"]
    after = stage.session
    assert (after.owner, after.list, after.epoch) == (before.owner, before.list, before.epoch)


ASSIGNED: dict[str, tuple[Callable[[], Bot], dict[str, Any], str, tuple[str, ...]]] = {
    "a08_off_it_says_nothing": (
        lambda: faq_bot(automation=True), {"automation": False}, "hours", ()
    ),
    "a_bot_that_is_not_automation_says_nothing": (faq_bot, {}, "hours", ()),
    "the_bot_that_was_switched_on_answers": (
        faq_bot, {"bot": True, "bot_id": "faq", "automation": False}, "hours", ("From 9 to 17.",)
    ),
    "a_miss_says_nothing_and_asks_for_nobody": (
        lambda: faq_bot(automation=True), {}, "my cat is ill", ()
    ),
    "an_answer_that_asks_for_a_human_is_given_alone": (
        lambda: faq_bot(automation=True), {}, "refund", ("A colleague looks.",)
    ),
    "a_broken_flow_is_silent": (
        lambda: flow_bot(automation=True, steps=()), {}, "hi", ()
    ),
    "a_used_up_budget_is_silent": (
        lambda: faq_bot(automation=True), {"bot_sent": 30}, "hours", ()
    ),
}  # fmt: skip


@pytest.mark.parametrize(("bot", "more", "text", "says"), ASSIGNED.values(), ids=ASSIGNED)
def test_in_assigned(
    bot: Callable[[], Bot], more: dict[str, Any], text: str, says: tuple[str, ...]
) -> None:
    stage = Stage(bot(), **{**MANNED, "contact_language": "en", **more})
    assert stage.hear(text) == ""
    assert tuple(stage.texts) == says
    assert stage.session.list == "assigned"
    assert stage.session.owner == "amy"


def test_in_assigned_the_first_bot_that_knows_answers() -> None:
    other = faq_bot(
        "other", automation=True, faq=(FaqEntry(id="e", keywords=("x",), answers=("X",)),)
    )
    stage = Stage(other, faq_bot(automation=True), contact_language="en", **MANNED)
    stage.hear("hours")
    assert stage.texts == ["From 9 to 17."]


def test_in_assigned_a_flow_has_its_say_once_and_does_not_end_or_nag() -> None:
    stage = Stage(flow_bot(automation=True), **MANNED)
    stage.hear("hi")
    hello = stage.said
    assert stage.texts == [HELLO]
    assert stage.hear("I am talking to Amy") == ""
    assert stage.texts == []  # not asked again
    stage.hear("nothing")
    assert (stage.texts, stage.session.list) == (["Goodbye."], "assigned")
    stage.hear("so, Amy")
    assert stage.texts == []
    stage.said = hello
    stage.tap("Order")
    assert stage.texts == ["Which number?"]


def test_in_assigned_a_flow_knows_nothing_of_another() -> None:
    stage = Stage(flow_bot(automation=True), flow_bot("other", automation=True), **MANNED)
    stage.hear("hi")
    stage.forget_bot("flow")
    stage.hear("order")
    assert stage.texts == [HELLO]


def test_in_assigned_another_webhook_bot_is_asked_where_the_switched_on_one_is_gone() -> None:
    seat = Assignee(agent="amy", name="Amy", since=T0)
    hers = {**MANNED, "assignees": (seat,), "assignee_ids": ("amy",), "bot": True}
    stage = Stage(webhook_bot(), webhook_bot("other"), bot_id="hook", **hers)
    stage.forget_bot("hook")
    assert stage.hear("hi") == ""
    assert [fact.bot_id for fact in stage.facts if fact.type == "bot.asked"] == ["other"]
    after = stage.session
    assert (after.bot_id, after.owner, after.list, after.epoch) == ("other", "amy", "assigned", 1)


# --- the channel -------------------------------------------------------------------------------


def _closed(stage: Stage, channel: str) -> None:
    account = Account(slug="acme-web", workspace="acme", channel=channel, external_id="1")
    reach = Reach(channel=CHANNELS[channel], account=account)
    stage.room = type(stage.room)(policy=stage.room.policy, bots=stage.room.bots, reach=reach)


def test_a_closed_window_asks_for_a_human_and_leaves_nothing_behind() -> None:
    stage = Stage(faq_bot(), channel="messenger")
    _closed(stage, "messenger")
    long_ago = stage.now - timedelta(days=3)
    assert stage.hear("hours", at=long_ago) == "bot_failed"
    assert (stage.said, stage.sends, stage.session.bot_sent) == ([], (), 0)


def test_the_second_message_is_refused_so_the_first_is_not_said() -> None:
    steps = tuple(
        FlowStep(id=f"s{n}", say=f"Text {n}", to=f"s{n + 1}" if n < 7 else "") for n in range(8)
    )
    stage = Stage(flow_bot(steps=steps), channel="wechat")
    _closed(stage, "wechat")
    before = stage.now - timedelta(seconds=1)
    assert stage.hear("hi", at=before) == "bot_failed"  # WeChat takes five answers to a message
    assert (stage.said, stage.sends, stage.session.window_sends) == ([], (), 0)


def test_a_file_that_the_channel_does_not_carry_asks_for_a_human() -> None:
    stage = Stage(faq_bot(), channel="fb_comment")
    _closed(stage, "fb_comment")
    assert stage.hear("price") == "bot_failed"
    assert stage.said == []


# --- webhook bots ------------------------------------------------------------------------------


def _asked(stage: Stage) -> list[tuple[str, str, Any, int]]:
    return [
        (fact.bot_id, fact.message, fact.due, fact.epoch)
        for fact in stage.facts
        if fact.type == "bot.asked"
    ]


def test_b10_a_webhook_bot_is_asked_and_given_a_deadline() -> None:
    stage = Stage(webhook_bot(), settings=Settings(bot_deadline_s=20))
    assert stage.hear("hi") == ""
    due = stage.now + timedelta(seconds=20)
    asked = stage.session.bot_asked
    assert stage.said == []
    assert stage.session.due == {"bot_deadline": due}
    assert _asked(stage) == [("hook", asked, due, stage.session.epoch)]
    assert [timer.due for timer in stage.timers if timer.kind == "bot_deadline"] == [due]


def test_d19_the_deadline_counts_from_the_first_message_that_waits() -> None:
    stage = Stage(webhook_bot(), settings=Settings(bot_deadline_s=20))
    stage.hear("hi")
    first, due = stage.session.bot_asked, stage.session.due
    stage.now += timedelta(seconds=15)
    stage.hear("are you there?")
    assert stage.session.bot_asked != first
    assert stage.session.due == due
    assert _asked(stage)[0][2] == due["bot_deadline"]


def test_a_loop_or_a_used_up_budget_does_not_reach_a_webhook_bot() -> None:
    stage = Stage(webhook_bot(), bot_sent=30)
    assert stage.hear("hi") == "bot_budget"
    assert stage.session.bot_asked == ""
    assert _asked(stage) == []


def test_a_deleted_bot_that_was_asked_is_waited_for_no_more() -> None:
    stage = Stage(webhook_bot(), faq_bot(), bot_id="hook", contact_language="en")
    stage.hear("hi")
    epoch = stage.session.epoch
    stage.forget_bot("hook")
    assert stage.hear("hours") == ""
    assert (stage.session.bot_asked, stage.session.due) == ("", {})
    assert stage.session.epoch == epoch + 1
