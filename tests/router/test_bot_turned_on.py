"""A bot that somebody turns on answers what waits for an answer, or a human is asked (D19)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from libs.common.commands import FireTimer, SetBot
from libs.common.documents import Bot
from tests.router.bot_stage import flow_bot, webhook_bot
from tests.router.rig import UNHOSTED, Rig, said
from tests.router.test_bots_hosting import OPEN, english, keep, ours, texts


def turn_on(rig: Rig, session: str, bot: str, key: str = "") -> SetBot:
    return SetBot(**rig.head(session, "amy", key), on=True, bot=bot)


BOTS: dict[str, tuple[Bot, str, list[tuple[str, str]]]] = {
    "an_faq_that_knows_it": (english(), "your hours?", [("bot", OPEN)]),
    "a_flow": (flow_bot(), "hello", [("bot", "Hello Vera! What is it about?")]),
}


@pytest.mark.parametrize(("bot", "text", "expected"), BOTS.values(), ids=BOTS)
async def test_it_answers_what_waits(
    rig: Rig, bot: Bot, text: str, expected: list[tuple[str, str]]
) -> None:
    rig.settings = UNHOSTED
    await keep(rig, bot)
    await rig.take(said(text, 1))
    session = await rig.only()
    assert session.list == "unassigned"
    command = turn_on(rig, session.id, bot.id)
    await rig.done(command)
    assert (await rig.only()).list == "bot_hosted"
    assert await texts(rig) == expected
    assert (await rig.done(command)).repeated
    await rig.done(turn_on(rig, session.id, bot.id))
    assert await texts(rig) == expected


async def test_a_webhook_bot_is_asked_and_has_its_time(rig: Rig) -> None:
    rig.settings = UNHOSTED
    await keep(rig, webhook_bot())
    await rig.take(said("hello", 1))
    session = await rig.only()
    await rig.done(turn_on(rig, session.id, "hook"))
    session = await rig.only()
    assert session.bot_asked == session.last_ids[0]
    assert "bot_deadline" in session.due
    due = session.due["bot_deadline"]
    rig.now = due + timedelta(seconds=1)
    head = rig.head(session.id, "amy")
    await rig.done(FireTimer(**head, kind="bot_deadline", due=due))
    assert (await rig.only()).list == "unassigned"


async def test_another_bot_takes_over_what_one_was_asked(rig: Rig) -> None:
    await keep(rig, webhook_bot(channels=("line",)), english())
    await rig.take(said("your hours?", 1))
    session = await rig.only()
    assert (session.bot_id, bool(session.bot_asked)) == ("hook", True)
    await rig.done(turn_on(rig, session.id, "faq"))
    session = await rig.only()
    assert (session.bot_id, session.bot_asked) == ("faq", "")
    assert await texts(rig) == [("bot", OPEN)]


async def test_what_it_cannot_answer_goes_to_a_human(rig: Rig) -> None:
    rig.settings = UNHOSTED
    await keep(rig, english(misses=1))
    await rig.take(said("boats?", 1))
    session = await rig.only()
    await rig.done(turn_on(rig, session.id, "faq"))
    session = await rig.only()
    assert (session.list, session.bot) == ("unassigned", False)


async def test_what_a_person_answered_waits_no_more(rig: Rig) -> None:
    rig.settings = UNHOSTED
    await keep(rig, english())
    await rig.take(said("your hours?", 1))
    session = await rig.only()
    await rig.done(rig.send(session.id, "amy", "Nine to five"))
    await rig.done(turn_on(rig, session.id, "faq"))
    assert [entry.sender for entry in await ours(rig)] == ["agent"]
