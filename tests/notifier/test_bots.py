"""Webhook bots from a visitor's message to what the customer sees, whatever the bot does (D19)."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from libs.common.documents import ATTACHMENTS, MESSAGES, Message, Session, Settings
from libs.common.simulate.stub import Scripted
from libs.common.store.api import Page
from tests.bot_stub import HUGE, Later, Play
from tests.notifier.bot_rig import DEADLINE_S, Office, Town
from tests.notifier.rig import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def asked(town: Town, *plays: Play, **more: Any) -> Office:
    """Return an office whose bot has these plans, with a customer who has just written."""
    office = await town.found(**more)
    town.bots.plan(office.name, *plays)
    await office.writes("hello")
    return office


def says(*texts: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"text": text} for text in texts], **more}


LATER = {"later": True}

# --- answers -----------------------------------------------------------------------------------


async def test_b10_an_answer_at_once_is_sent_and_nobody_is_bothered(town: Town) -> None:
    office = await asked(town, Play(body=says("one", "two")))
    assert await office.told(2) == ["one", "two"]
    [call] = office.calls
    assert call.signed
    assert call.text == "hello"
    session = await office.session()
    assert (session.list, session.bot_asked, session.bot_sent) == ("bot_hosted", "", 2)
    await asyncio.sleep(DEADLINE_S + 0.5)
    assert (await office.session()).list == "bot_hosted", "its deadline is over, and was kept"


async def test_b10_an_answer_that_comes_later_is_sent(town: Town) -> None:
    later = Later(body=says("one", "two"), after_s=0.5)
    office = await asked(town, Play(status=202, later=(later,)))
    assert await office.told(2) == ["one", "two"]
    [(status, body)] = town.bots.answers[office.name]
    assert (status, body) == (202, {"accepted": True})
    assert (await office.session()).bot_asked == ""


async def test_the_bot_is_told_what_was_said_before_and_by_whom(town: Town) -> None:
    office = await asked(town, Play(body=says("hi there")))
    await office.told(1)
    await office.writes("and now?")
    await office.told(2)
    data = office.calls[1].data
    before = [(line["sender"], line["parts"][0]["text"]) for line in data["history"]]
    assert before == [("visitor", "hello"), ("bot", "hi there")]
    assert (data["message"]["sender"], data["channel"]) == ("visitor", "line")
    assert data["reply_url"] == f"{town.desk_url}/api/v1/bots/{office.name}/{office.name}/answers"
    session = await office.session()
    assert (data["session"], data["epoch"]) == (session.id, session.epoch)


async def test_a_bot_may_end_the_session(town: Town) -> None:
    office = await asked(town, Play(body=says("bye", end=True)))

    async def ended() -> Session | None:
        found = await office.sessions()
        return found[0] if found and found[0].list == "ended" else None

    session = await until(ended, "the end")
    assert session.end_reason == "ended_by_bot"
    assert await office.told(1) == ["bye"]


AGAIN = {
    "500": Play(status=500),
    "a cut connection": Play(drop=True),
    "too many requests": Play(status=429, headers={"Retry-After": "1"}),
    "no answer in the time of a call": Play(hang=True),
}


async def test_what_may_pass_is_tried_again_under_the_same_id(town: Town) -> None:
    async def served(play: Play) -> tuple[list[str], int, int]:
        office = await asked(town, play, Play(body=says("here I am")))
        shown = await office.told(1)
        return shown, len(office.calls), len({call.id for call in office.calls})

    found = await asyncio.gather(*(served(play) for play in AGAIN.values()))
    assert dict(zip(AGAIN, found, strict=True)) == dict.fromkeys(AGAIN, (["here I am"], 2, 1))


# --- nobody is left in limbo -------------------------------------------------------------------

LIMBO = {
    "hangs": (Play(hang=True), "bot_failed no_answer"),
    "is slower than its deadline": (
        Play(delay_s=DEADLINE_S + 1, body=says("x")),
        "bot_failed no_answer",
    ),
    "says 500 again and again": (Play(status=500), "bot_failed http_500"),
    "cuts every connection": (Play(drop=True), "bot_failed no_answer"),
    "asks for an hour of patience": (
        Play(status=429, headers={"Retry-After": "3600"}),
        "bot_failed http_429",
    ),
    "is not there": (Play(status=404), "bot_failed http_404"),
    "wants no more calls": (Play(status=410), "bot_failed gone"),
    "sends us elsewhere": (
        Play(status=302, headers={"Location": "/other"}),
        "bot_failed redirected",
    ),
    "answers no JSON": (Play(body=b"<html>"), "bot_failed malformed_answer"),
    "answers another shape": (Play(body={"messages": "hi"}), "bot_failed malformed_answer"),
    "answers without end": (Play(body=HUGE), "bot_failed no_answer"),
    "says more at once than is allowed": (
        Play(body=says(*"123456")),
        "bot_failed malformed_answer",
    ),
    "names a file that is not there": (
        Play(body={"messages": [{"attachments": ["f-1"]}]}),
        "bot_failed malformed_answer",
    ),
    "promises an answer and gives none": (Play(status=202), "bot_silent"),
    "promises so in words": (Play(body=LATER), "bot_silent"),
    "says nothing": (Play(body={}), "bot_silent"),
    "asks for a human": (Play(body={"hand_off": True}), "bot_asked"),
}


async def test_d19_whatever_a_bot_does_a_human_is_asked_in_time(town: Town) -> None:
    async def because(play: Play) -> tuple[str, list[str]]:
        office = await asked(town, play)
        await office.handed_off()
        fact = await office.alert()
        return f"{fact.because} {fact.detail}".strip(), office.shown

    found = await asyncio.gather(*(because(play) for play, _ in LIMBO.values()))
    expected: dict[str, tuple[str, list[str]]] = {
        name: (why, []) for name, (_, why) in LIMBO.items()
    }
    by_name = dict(zip(LIMBO, found, strict=True))
    if by_name["hangs"] == ("bot_silent", []):  # its deadline came before the call was given up
        by_name["hangs"] = expected["hangs"]
    assert by_name == expected


async def test_d19_a_bot_whose_server_is_down_hands_off(town: Town) -> None:
    office = await asked(town, url="http://127.0.0.1:1/closed")
    await office.handed_off()
    fact = await office.alert()
    assert (fact.because, fact.detail) == ("bot_failed", "not_reached")


async def test_d19_a_bot_that_is_gone_from_the_store_hands_off_at_once(town: Town) -> None:
    office = await town.found(url="ftp://no.such/bot")
    await office.writes("hello")
    await office.handed_off()  # no call is waited for


async def test_d19_what_the_channel_cannot_carry_goes_to_a_human_whole(town: Town) -> None:
    office = await town.found(channel="messenger")
    await office.keeps_file("f-film", kind="video", mime_type="video/mp4", size_bytes=30_000_000)
    film = {"messages": [{"text": "look"}, {"attachments": ["f-film"]}]}
    town.bots.plan(office.name, Play(body=film))
    await office.writes("show me")
    await office.handed_off()
    assert office.shown == [], "nothing is sent by halves"


async def test_d19_what_the_window_refuses_goes_to_a_human(town: Town) -> None:
    office = await town.found(channel="messenger")
    town.bots.plan(office.name, Play(body=says("hi")))
    await office.writes("hello", ago=timedelta(hours=25))
    await office.handed_off()
    assert (len(office.calls), office.shown) == (1, [])


async def test_a_bot_may_send_a_stored_file_and_it_is_kept(town: Town) -> None:
    office = await town.found(channel="messenger")
    await office.keeps_file("f-map", kind="image", mime_type="image/png", size_bytes=10)
    town.bots.plan(
        office.name, Play(body={"messages": [{"text": "map", "attachments": ["f-map"]}]})
    )
    await office.writes("where are you?")

    async def marked() -> str:
        file = await town.store.get(ATTACHMENTS, office.name, "f-map")
        return file.message if file and not file.message.startswith("sending:") else ""

    message = await town.store.get(MESSAGES, office.name, await until(marked, "a mark"))
    assert message is not None
    assert [getattr(part, "attachment", "") for part in message.parts] == ["f-map", ""]


async def test_a_bot_out_of_its_budget_says_what_it_may_and_hands_off(town: Town) -> None:
    settings = Settings(bot_deadline_s=DEADLINE_S, bot_messages=2)
    office = await asked(town, Play(body=says("1", "2", "3")), settings=settings)
    await office.handed_off()
    assert await office.told(2) == ["1", "2"]
    assert await office.handoff() == "bot_budget"


async def test_a_bot_that_keeps_failing_is_not_called_any_more(town: Town) -> None:
    office = await town.found()
    town.bots.plan(office.name, Play(status=404))
    for number in range(7):
        await office.writes("hello", visitor=f"U{number}")

        async def served(count: int = number + 1) -> bool:
            found = await office.sessions()
            return len(found) == count and all(one.list == "unassigned" for one in found)

        await until(served, "a hand-off each", within_s=DEADLINE_S + 1)
    assert len(office.calls) == 5


async def test_calls_of_one_bot_are_bounded_and_all_are_made(town: Town) -> None:
    office = await town.found(settings=Settings(bot_deadline_s=10))
    town.bots.plan(office.name, Play(delay_s=0.3, body=says("yes")))
    for number in range(40):
        await office.writes("hello", visitor=f"U{number}")
    await office.told(40)
    assert town.bots.peak[office.name] == 16
    assert len(office.calls) == 40


# --- too often, too late -----------------------------------------------------------------------


async def test_d19_a_bot_that_answers_ten_times_is_heard_once(town: Town) -> None:
    at_once = await asked(
        town, Play(body=says("first"), later=(Later(body=says("more"), after_s=0.3, times=10),))
    )
    later = await asked(town, Play(status=202, later=(Later(body=says("first"), times=10),)))
    longer = await asked(
        town,
        Play(
            status=202, later=(Later(body=says("first")), Later(body=says("a", "b"), after_s=0.5))
        ),
    )
    same = await asked(
        town, Play(status=202, later=(Later(body=says("first"), times=10, id="one"),))
    )
    await answered(town, at_once, later, same, times=10)
    await answered(town, longer, times=2)
    for office in (at_once, later, longer, same):
        assert await office.told(1) == ["first"]
        assert (await office.session()).list == "bot_hosted"
    assert statuses(town, at_once) == [409] * 10
    assert statuses(town, later) == [202] * 10, "word for word the same is a repeat"
    assert statuses(town, longer) == [202, 409]
    assert statuses(town, same) == [202] * 10


async def answered(town: Town, *offices: Office, times: int) -> None:
    """Wait until each bot has answered so often."""

    async def all_answered() -> bool:
        return all(len(town.bots.answers[office.name]) == times for office in offices)

    await until(all_answered, f"{times} answers each")


def statuses(town: Town, office: Office) -> list[int]:
    return [status for status, _ in town.bots.answers[office.name]]


async def test_d19_what_comes_after_a_takeover_is_refused(town: Town) -> None:
    later = Later(body=says("too late"), after_s=0.4)
    slow = await asked(town, Play(delay_s=0.5, body=says("too late")))
    posts = await asked(town, Play(status=202, later=(later,)))
    for office in (slow, posts):
        await office.called()
        await office.claims()
    await answered(town, posts, times=1)
    assert [body["code"] for _, body in town.bots.answers[posts.name]] == ["stale"]
    await asyncio.sleep(DEADLINE_S + 0.5)
    for office in (slow, posts):
        session = await office.session()
        assert (session.list, session.owner, office.shown) == ("assigned", "ada", [])


async def test_b12_a_bot_that_is_switched_off_while_it_computes_is_not_heard(town: Town) -> None:
    later = Later(body=says("too late"), after_s=0.4)
    slow = await asked(town, Play(delay_s=0.5, body=says("too late")))
    posts = await asked(town, Play(status=202, later=(later,)))
    for office in (slow, posts):
        await office.called()
        await office.switches_bot(on=False)
    await answered(town, posts, times=1)
    await asyncio.sleep(0.5)
    assert statuses(town, posts) == [409]
    for office in (slow, posts):
        session = await office.session()
        assert (session.list, session.bot, office.shown) == ("unassigned", False, [])


@pytest.mark.parametrize("takes", ["claim", "switch"])
async def test_d03_b12_what_is_on_its_way_when_a_person_takes_over_stays_here(
    town: Town, takes: str
) -> None:
    """The first of three is at the provider when the person comes; the others are held back."""
    office = await town.found()
    town.bots.plan(office.name, Play(body=says("one", "two", "three")))
    town.provider.script(office.name, Scripted(delay_s=0.6))
    await office.writes("hello")
    await office.called()

    async def said() -> list[Message] | None:
        session = await office.session()
        page = Page(order="timeline", limit=50)
        found = await town.store.find(MESSAGES, office.name, {"timeline": session.id}, page)
        of_bot = [message for message in found if message.sender == "bot"]
        return of_bot if len(of_bot) == 3 else None

    await until(said, "all three in the timeline")
    await (office.claims() if takes == "claim" else office.switches_bot(on=False))

    async def settled() -> list[Message] | None:
        found = await said() or []
        return found if found and all(one.status != "queued" for one in found) else None

    found = await until(settled, "an outcome of all three")
    assert [(one.status, one.status_reason) for one in found] == [
        ("sent", ""),
        ("failed", "stale_epoch"),
        ("failed", "stale_epoch"),
    ]
    assert office.shown == ["one"]
    assert (await office.session()).list == ("assigned" if takes == "claim" else "unassigned")


async def test_a05_with_auto_hosting_off_no_bot_is_called(town: Town) -> None:
    off = Settings(auto_hosting=False, bot_deadline_s=DEADLINE_S)
    office = await asked(town, Play(body=says("hi")), settings=off)
    await office.handed_off()
    await asyncio.sleep(0.3)
    assert office.calls == []


async def test_i3_a_fact_that_comes_again_has_no_further_effect(town: Town) -> None:
    office = await asked(town, Play(delay_s=0.4, body=says("once")))
    await office.called()
    for _ in range(3):
        await office.asks_again()
    assert await office.told(1) == ["once"]
    await office.asks_again()
    await asyncio.sleep(0.7)
    assert (len(office.calls), office.shown) == (1, ["once"])


async def test_a_burst_is_answered_about_its_newest_message(town: Town) -> None:
    office = await town.found()
    town.bots.plan(office.name, Play(delay_s=0.3, body=says("I see")))
    for text in ("I have", "a question", "about shoes"):
        await office.writes(text)
        await asyncio.sleep(0.02)
    await office.told(1)
    await asyncio.sleep(0.8)
    assert office.calls[-1].text == "about shoes"
    assert (await office.session()).list == "bot_hosted"
    assert len(office.shown) == len(office.calls) <= 2
