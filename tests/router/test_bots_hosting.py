"""Bots inside the router: what a visitor's webhook sets off, and what people do to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.bus.delivery import Ack, Delivery
from libs.common.commands import FireTimer, HandOff
from libs.common.documents import ATTACHMENTS, BOTS, Attachment, Bot, FaqEntry, Message
from libs.common.events import ActionPart, ChoicesPart, MediaPart, MessageReceived, SendReported
from libs.common.policy import BotRef
from libs.common.switches import ChannelSettings, Settings
from tests.router.bot_stage import faq_bot, flow_bot, ref_of, text_of, webhook_bot
from tests.router.faulty import Crashed, FaultyBus, FaultyStore, Steps, When
from tests.router.rig import UNHOSTED, WORKSPACE, Rig, at, event, rig_on, said

OPEN = "From 9 to 17."


def english(**more: Any) -> Bot:
    """Return an FAQ bot that knows one thing."""
    entry = FaqEntry(id="hours", keywords=("hours",), answers=(OPEN,))
    return Bot(id="faq", workspace=WORKSPACE, name="Answers", kind="faq", faq=(entry,), **more)


async def keep(rig: Rig, *bots: Bot) -> None:
    """Store *bots*, and let the policy name them as they are stored."""
    refs = []
    for bot in (msgspec.structs.replace(given, files={}) for given in bots):
        stored = await rig.store.get(BOTS, WORKSPACE, bot.id)
        if stored is None:
            await rig.store.insert_many(BOTS, [bot])
        else:
            await rig.store.replace(BOTS, msgspec.structs.replace(bot, rev=stored.rev))
        found = await rig.store.get(BOTS, WORKSPACE, bot.id)
        assert found is not None
        refs.append(ref_of(found))
    name(rig, *refs)


def name(rig: Rig, *refs: BotRef) -> None:
    """Let the policy name these bots."""
    rig.policy = msgspec.structs.replace(rig.policy, bots=refs)


async def ours(rig: Rig) -> list[Message]:
    """Return what the only session's timeline shows of us, in order."""
    session = await rig.only()
    timeline = await rig.timeline(session.id)
    return [entry for entry in timeline if entry.direction == "out" and entry.kind == "message"]


async def texts(rig: Rig) -> list[tuple[str, str]]:
    """Return who said what, of us."""
    return [(entry.sender, text_of(entry.parts)) for entry in await ours(rig)]


def again(deliveries: list[Delivery]) -> list[Delivery]:
    """Return *deliveries* as the server repeats them."""
    return [msgspec.structs.replace(one, attempt=2) for one in deliveries]


# --- hosting -----------------------------------------------------------------------------------


async def test_a04_a_bots_reply_moves_nothing(rig: Rig) -> None:
    await keep(rig, english())
    await rig.take(said("your hours?", 1))
    session = await rig.only()
    assert (session.list, session.owner, session.bot, session.epoch) == (
        "bot_hosted",
        None,
        True,
        0,
    )
    assert await texts(rig) == [("bot", OPEN)]
    assert rig.bus.facts("session.moved", "session.assigned", "session.bot") == []
    [request] = rig.bus.sends()
    assert (request.sender, request.parts) == ("bot", (await ours(rig))[0].parts)


async def test_a04_the_first_reply_of_an_agent_takes_it_from_the_bot(rig: Rig) -> None:
    await keep(rig, english())
    await rig.take(said("your hours?", 1))
    session = await rig.only()
    await rig.done(rig.send(session.id, "amy", "Hello!"))
    await rig.take(said("hours again?", 70))
    session = await rig.only()
    assert (session.list, session.owner, session.bot) == ("assigned", "amy", False)
    assert await texts(rig) == [("bot", OPEN), ("agent", "Hello!")]
    [moved] = rig.bus.facts("session.moved")
    assert (moved.previous_list, moved.list) == ("bot_hosted", "assigned")


OFF = {
    "for_the_workspace": UNHOSTED,
    "for_the_channel": Settings(channels={"line": ChannelSettings(auto_hosting=False)}),
}


@pytest.mark.parametrize("settings", OFF.values(), ids=OFF)
@pytest.mark.parametrize("bot", [english(), flow_bot(), webhook_bot()], ids=lambda b: b.kind)
async def test_a05_switched_off_no_bot_is_called(rig: Rig, bot: Bot, settings: Settings) -> None:
    rig.settings = settings
    await keep(rig, bot)
    await rig.take(said("your hours?", 1), said("hello?", 2))
    session = await rig.only()
    assert (session.list, session.bot, session.bot_id) == ("unassigned", False, "")
    assert await texts(rig) == []
    assert rig.bus.facts("bot.asked") == []


async def test_a08_on_an_faq_keyword_in_an_assigned_session_gets_one_reply(rig: Rig) -> None:
    rig.settings = msgspec.structs.replace(UNHOSTED, session_hosting=True)
    await keep(rig, english(automation=True))
    await rig.take(said("hello", 1))
    session = await rig.only()
    await rig.done(rig.claim(session.id, "amy"))
    deliveries = await rig.take(said("what are your hours?", 70))
    await rig.deliver(again(deliveries))
    assert await texts(rig) == [("automation", OPEN)]


async def test_a08_off_it_gets_none(rig: Rig) -> None:
    rig.settings = UNHOSTED
    await keep(rig, english(automation=True))
    await rig.take(said("hello", 1))
    session = await rig.only()
    await rig.done(rig.claim(session.id, "amy"))
    await rig.take(said("what are your hours?", 70))
    assert await texts(rig) == []


@pytest.mark.parametrize("hosting", [True, False])
async def test_a08_what_is_set_for_the_session_beats_the_workspace(rig: Rig, hosting: bool) -> None:
    rig.settings = msgspec.structs.replace(UNHOSTED, session_hosting=hosting)
    await keep(rig, english(automation=True))
    await rig.take(said("hello", 1))
    session = await rig.only()
    await rig.done(rig.claim(session.id, "amy"))
    await rig.done(rig.bot(session.id, "amy", on=not hosting))
    await rig.take(said("what are your hours?", 70))
    assert await texts(rig) == ([] if hosting else [("automation", OPEN)])


async def test_a09_an_automatic_reply_never_takes_ownership(rig: Rig) -> None:
    rig.settings = msgspec.structs.replace(UNHOSTED, session_hosting=True)
    await keep(rig, english(automation=True))
    await rig.take(said("hello", 1))
    session = await rig.only()
    await rig.done(rig.claim(session.id, "amy"))
    before = await rig.only()
    await rig.take(said("hours?", 70), said("an operator!", 71), said("a cat", 72))
    after = await rig.only()
    assert [sender for sender, _ in await texts(rig)] == ["automation"]
    assert (after.list, after.owner, after.assignees, after.epoch) == (
        before.list,
        before.owner,
        before.assignees,
        before.epoch,
    )
    assert rig.bus.facts("session.handoff") == []


# --- the switch, and giving up -----------------------------------------------------------------


async def test_b11_turned_on_the_bot_answers_what_waits_and_from_then_on(rig: Rig) -> None:
    rig.settings = UNHOSTED
    await keep(rig, english())
    await rig.take(said("hours one", 1))
    session = await rig.only()
    await rig.done(rig.bot(session.id, "amy", on=True))
    await rig.done(rig.bot(session.id, "amy", on=True))
    assert await texts(rig) == [("bot", OPEN)]
    await rig.take(said("hours two", 70))
    assert await texts(rig) == [("bot", OPEN)] * 2
    assert len(rig.bus.facts("session.bot")) == 1
    assert (await rig.only()).bot


async def test_b12_turned_off_the_bot_is_silent_at_once(rig: Rig) -> None:
    await keep(rig, flow_bot())
    await rig.take(said("hi", 1))
    session = await rig.only()
    assert "flow_wait" in session.due
    await rig.done(rig.bot(session.id, "amy", on=False))
    session = await rig.only()
    assert (session.list, session.bot, session.due) == ("unassigned", False, {})
    await rig.take(said("order", 70))
    assert len(await texts(rig)) == 1


async def test_b12_a_late_answer_of_a_webhook_bot_is_refused(rig: Rig) -> None:
    await keep(rig, webhook_bot())
    await rig.take(said("hi", 1))
    session = await rig.only()
    await rig.done(rig.bot(session.id, "amy", on=False))
    bot = rig.machine("bot", "hook")
    refused = await rig.refused(rig.send(session.id, bot, "late", epoch=session.epoch))
    assert refused.code == "stale_epoch"
    assert await texts(rig) == []


async def test_b10_inside_the_deadline_the_answer_of_a_webhook_bot_is_sent(rig: Rig) -> None:
    await keep(rig, webhook_bot())
    await rig.take(said("hi", 1))
    session = await rig.only()
    [asked] = rig.bus.facts("bot.asked")
    assert (asked.bot_id, asked.message, asked.epoch) == ("hook", session.bot_asked, session.epoch)
    assert asked.due == rig.now + timedelta(seconds=30) == session.due["bot_deadline"]
    more: dict[str, Any] = {"epoch": asked.epoch, "answers": asked.message}
    await rig.done(rig.send(session.id, rig.machine("bot", "hook"), "Hello!", **more))
    session = await rig.only()
    assert (session.list, session.bot_asked, session.due, session.bot_sent) == (
        "bot_hosted",
        "",
        {},
        1,
    )
    assert await texts(rig) == [("bot", "Hello!")]


async def test_b10_without_an_answer_a_human_is_asked_once(rig: Rig) -> None:
    await keep(rig, webhook_bot())
    await rig.take(said("hi", 1))
    session = await rig.only()
    due = session.due["bot_deadline"]
    rig.now = due
    timer = FireTimer(
        **rig.head(session.id, rig.machine("schedule", "timer")), kind="bot_deadline", due=due
    )
    await rig.done(timer)
    await rig.ask(timer)
    session = await rig.only()
    assert (session.list, session.bot, session.bot_asked) == ("unassigned", False, "")
    [alert] = rig.bus.facts("session.handoff")
    assert alert.because == "bot_silent"


async def test_d19_an_answer_to_the_earlier_message_leaves_the_newer_one_its_whole_time(
    rig: Rig,
) -> None:
    await keep(rig, webhook_bot())
    await rig.take(said("one", 1))
    first = (await rig.only()).bot_asked
    rig.now += timedelta(seconds=20)
    await rig.take(said("two", 2))
    session = await rig.only()
    rig.now += timedelta(seconds=9)
    bot = rig.machine("bot", "hook")
    await rig.done(rig.send(session.id, bot, "To one", epoch=session.epoch, answers=first))
    session = await rig.only()
    assert session.bot_asked not in {"", first}
    assert session.due == {"bot_deadline": rig.now + timedelta(seconds=30)}


async def test_d19_a_bot_that_answers_ten_times_ends_at_its_budget(rig: Rig) -> None:
    rig.settings = Settings(bot_messages=3)
    await keep(rig, webhook_bot())
    await rig.take(said("hi", 1))
    session = await rig.only()
    bot = rig.machine("bot", "hook")
    codes = []
    for number in range(10):
        answer = await rig.ask(rig.send(session.id, bot, f"No. {number}", epoch=session.epoch))
        codes.append(getattr(answer, "code", ""))
    assert codes == [""] * 3 + ["bot_budget"] * 7
    hand = HandOff(**rig.head(session.id, bot), because="bot_budget", epoch=session.epoch)
    await rig.done(hand)
    session = await rig.only()
    assert (session.list, session.due) == ("unassigned", {})


HANDED: dict[str, tuple[Bot, str, str]] = {
    "d19_an_faq_does_not_know": (english(), "my cat is ill", "not_understood"),
    "d19_a_flow_is_broken": (flow_bot(steps=()), "hi", "bot_failed"),
    "d19_the_visitor_asks_for_one": (flow_bot(), "HUMAN", "visitor_asked"),
}


@pytest.mark.parametrize(("bot", "text", "because"), HANDED.values(), ids=HANDED)
async def test_a_human_is_asked(rig: Rig, bot: Bot, text: str, because: str) -> None:
    await keep(rig, bot)
    await rig.take(said(text, 1))
    await rig.take(said(f"{text} again", 70))
    session = await rig.only()
    assert (session.list, session.bot, session.due) == ("unassigned", False, {})
    [alert] = rig.bus.facts("session.handoff")
    assert (alert.because, alert.session) == (because, session.id)
    assert await texts(rig) == []


async def test_d19_an_answer_that_did_not_go_out_goes_to_a_human(rig: Rig) -> None:
    await keep(rig, english())
    await rig.take(said("hours", 1))
    [answer] = await ours(rig)
    failed = {"message_id": answer.id, "status": "failed", "reason": "blocked"}
    await rig.take(event(SendReported, "report-1", 2, **failed))
    await rig.take(event(SendReported, "report-2", 3, **failed))
    assert (await rig.only()).list == "unassigned"
    [alert] = rig.bus.facts("session.handoff")
    assert alert.because == "bot_failed"


async def test_d19_a_flow_is_walked_by_taps_to_its_end_and_the_next_message_begins_anew(
    rig: Rig,
) -> None:
    await keep(rig, flow_bot())
    await rig.take(said("hi", 1))
    [hello] = await ours(rig)
    [part] = hello.parts
    assert isinstance(part, ChoicesPart)
    tap = part.choices[2]
    parts = (ActionPart(title=tap.title, payload=tap.payload),)
    await rig.take(event(MessageReceived, "tap", 70, message_id="tap", parts=parts))
    session = await rig.only()
    assert (session.list, session.end_reason, session.due) == ("ended", "ended_by_bot", {})
    await rig.take(said("one more thing", 80))
    ended, opened = await rig.sessions()
    assert (ended.id, opened.list) == (session.id, "bot_hosted")
    assert opened.bot_state["@step"] == "begin"


async def test_a_message_behind_the_end_in_one_batch_opens_the_next_session(rig: Rig) -> None:
    await keep(rig, flow_bot())
    await rig.take(said("hi", 1))
    await rig.take(said("nothing", 70), said("well, one thing", 71))
    ended, opened = await rig.sessions()
    assert (ended.list, opened.list, opened.inbound) == ("ended", "bot_hosted", 1)


# --- which bot ---------------------------------------------------------------------------------


async def test_a_changed_bot_answers_as_it_is_now(rig: Rig) -> None:
    await keep(rig, english())
    await rig.take(said("hours one", 1))
    later = FaqEntry(id="hours", keywords=("hours",), answers=("From 10.",))
    await keep(rig, msgspec.structs.replace(english(), faq=(later,)))
    await rig.take(said("hours two", 70))
    assert [text for _, text in await texts(rig)] == [OPEN, "From 10."]


async def test_where_the_hosting_bot_is_disabled_another_goes_on(rig: Rig) -> None:
    await keep(rig, flow_bot(), english())
    await rig.take(said("hi", 1))
    assert (await rig.only()).bot_id == "flow"
    await keep(rig, flow_bot(enabled=False), english())
    await rig.take(said("your hours", 70))
    session = await rig.only()
    assert (session.list, session.bot_id) == ("bot_hosted", "faq")
    assert (await texts(rig))[-1] == ("bot", OPEN)


async def test_where_the_hosting_bot_is_deleted_and_alone_a_human_is_asked(rig: Rig) -> None:
    await keep(rig, flow_bot())
    await rig.take(said("hi", 1))
    name(rig)
    await rig.store.delete(BOTS, WORKSPACE, "flow")
    await rig.take(said("order", 70))
    assert (await rig.only()).list == "unassigned"
    [alert] = rig.bus.facts("session.handoff")
    assert alert.because == "bot_failed"


async def test_a_stored_file_goes_with_an_answer(rig: Rig) -> None:
    file = Attachment(
        id="att-1",
        workspace=WORKSPACE,
        direction="out",
        state="stored",
        kind="file",
        name="prices.pdf",
        mime_type="application/pdf",
        size_bytes=9,
        created_at=at(0),
    )
    await rig.store.insert_many(ATTACHMENTS, [file])
    await keep(rig, faq_bot())
    await rig.take(said("your price?", 1))
    [answer] = await ours(rig)
    [part, _] = answer.parts
    assert isinstance(part, MediaPart)
    assert (part.attachment, part.mime_type) == ("att-1", "application/pdf")


# --- once --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bot", [english(), flow_bot(), webhook_bot()], ids=lambda b: b.kind)
async def test_i3_the_same_webhook_is_answered_once(rig: Rig, bot: Bot) -> None:
    await keep(rig, bot)
    deliveries = await rig.take(said("hours", 1))
    for _ in range(2):
        assert await rig.deliver(again(deliveries)) == [Ack()]
    rig.restart()
    await rig.deliver(again(deliveries))
    asked = bot.kind == "webhook"
    assert len(rig.bus.sends()) == len(await ours(rig)) == (0 if asked else 1)
    assert len(rig.bus.facts("bot.asked")) == (1 if asked else 0)
    session = await rig.only()
    assert (session.inbound, session.bot_sent) == (1, 0 if asked else 1)


async def _story(url: str, bot: Bot, steps: Steps, *, crash: bool) -> dict[str, Any]:
    """Let a visitor be answered, killed at a step; then delivered again, and swept."""
    async with rig_on(url) as rig:
        await keep(rig, bot)
        store, bus = rig.store, rig.bus
        faulty = rig.process(FaultyStore(store, steps), FaultyBus(bus, steps))
        deliveries = rig.number([said("hours", 1)])
        if crash:
            with pytest.raises(Crashed):
                await faulty.deliver(deliveries)
        else:
            await faulty.deliver(deliveries)
        rig.restart()
        await rig.deliver(again(deliveries))
        rig.now += timedelta(seconds=30)
        await rig.outbox.sweep()
        session = await rig.only()
        return {
            "texts": await texts(rig),
            "sends": [request.message_id for request in rig.bus.sends()],
            "facts": sorted((f.type, f.message, f.because) for f in rig.bus.facts()),
            "session": (session.list, session.bot_sent, session.inbound, session.entries),
        }


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("bot", [english(), flow_bot(), webhook_bot()], ids=lambda b: b.kind)
async def test_i3_a_crash_at_any_step_leaves_one_answer(
    fresh_url: Any, bot: Bot, moment: When
) -> None:
    steps = Steps()
    told = await _story(fresh_url(), bot, steps, crash=False)
    for number in range(1, steps.count + 1):
        assert await _story(fresh_url(), bot, Steps(number, moment), crash=True) == told
