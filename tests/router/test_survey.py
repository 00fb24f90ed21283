"""D27: who is asked how it was, once, and what becomes of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.commands import EndSession, FireTimer
from libs.common.documents import CONTACTS, SESSIONS, Message, Session
from libs.common.events import (
    ActionPart,
    ChoicesPart,
    ContactChanged,
    ContentPart,
    SendReported,
    TextPart,
    Thread,
)
from libs.common.figures import FIGURES
from libs.common.policy import Policy
from libs.common.surveys import score_of
from libs.common.switches import IdleRule, Settings, Survey, Termination
from services.router import metrics
from tests.router.idle_stage import HOUR
from tests.router.rig import ACCOUNT, UNHOSTED, WORKSPACE, Rig, arrived, at, event, said
from tests.router.stage import agents, policy

DAY = 24 * HOUR
ASKS = msgspec.structs.replace(UNHOSTED, survey=Survey(channels=("line", "web", "fb_comment")))


@pytest.fixture
def desk(rig: Rig) -> Rig:
    return asking(rig)


def asking(rig: Rig, channel: str = "line", **survey: Any) -> Rig:
    rig.settings = msgspec.structs.replace(
        ASKS, survey=msgspec.structs.replace(ASKS.survey, **survey)
    )
    rig.policy = Policy(settings=rig.settings)
    rig.accounts[ACCOUNT] = Account(
        workspace=WORKSPACE, slug=ACCOUNT, external_id="1", channel=channel
    )
    return rig


async def wrote(rig: Rig, text: str, **how: Any) -> Session:
    """Let the visitor write, a minute later; return their newest session."""
    await wrote_parts(rig, (TextPart(text=text),), **how)
    return (await rig.sessions())[-1]


async def wrote_parts(rig: Rig, parts: tuple[ContentPart, ...], **how: Any) -> None:
    rig.now += rig.patience * 12
    seconds = (rig.now - at(0)).total_seconds()
    channel, account = how.pop("channel", "line"), how.pop("account", ACCOUNT)
    found = said("", seconds, key=how.pop("key", f"k{seconds}"), **how)
    found = msgspec.structs.replace(found, parts=parts)
    await rig.take(arrived(found, channel=channel, account=account, received_at=rig.now))


async def ended(rig: Rig, text: str = "hello", **how: Any) -> Session:
    """Let an agent answer and end a session; return it."""
    session = await wrote(rig, text, **how)
    rig.now += rig.patience
    await rig.done(rig.send(session.id, "amy", "hi"))
    rig.now += rig.patience
    return (await rig.done(rig.end(session.id, "amy"))).session


def asked(rig: Rig) -> list[str]:
    """Return the sessions in which the question went out, in order."""
    return [s.session for s in rig.bus.sends() if any(isinstance(p, ChoicesPart) for p in s.parts)]


def tap(session: Session, score: int) -> tuple[ContentPart, ...]:
    return (ActionPart(title=str(score), payload=f"rate:{score}:{session.id}"),)


async def texts(rig: Rig, session: str) -> list[str]:
    rows = await rig.timeline(session)
    return [p.text for m in rows for p in m.parts if isinstance(p, TextPart | ChoicesPart)]


async def newest(rig: Rig) -> Session:
    return (await rig.sessions())[-1]


# --- who is asked


async def test_d27_who_was_served_by_an_agent_is_asked_with_buttons_and_thanked(desk: Rig) -> None:
    before = metrics.SURVEY_ASKED._value.get(), metrics.SURVEY_ANSWERED._value.get()
    session = await ended(desk)
    [question] = [s for s in desk.bus.sends() if s.session == session.id][1:]
    [part] = question.parts
    assert isinstance(part, ChoicesPart)
    assert [choice.title for choice in part.choices] == ["1", "2", "3", "4", "5"]
    facts = len(desk.bus.facts())
    await wrote_parts(desk, tap(session, 4))
    only = await desk.only()
    assert (only.list, only.survey and only.survey.score) == ("ended", 4)
    assert only.survey is not None
    assert only.survey.agent == "amy"
    assert only.inbound == session.inbound, "nothing is unread"
    assert {f.actor for f in desk.bus.facts()[facts:]} == {"system", "automation:survey"}
    assert await texts(desk, session.id) == [
        "hello",
        "assigned by Amy to Amy",
        "hi",
        "ended by Amy",
        "How was our service? Please answer from 1 (bad) to 5 (very good).",
        "rated 4 of 5 by the visitor",
        "Thank you!",
    ]
    kept = await desk.store.get(FIGURES, WORKSPACE, session.id)
    assert kept is not None
    assert kept.survey == only.survey
    after = metrics.SURVEY_ASKED._value.get(), metrics.SURVEY_ANSWERED._value.get()
    assert after == (before[0] + 1, before[1] + 1)


async def by_bot(rig: Rig) -> None:
    rig.settings = msgspec.structs.replace(rig.settings, auto_hosting=True)
    session = await wrote(rig, "hello")
    assert session.list == "bot_hosted"
    await rig.done(EndSession(**rig.head(session.id, rig.machine("bot", "faq"))))
    assert (await newest(rig)).list == "ended"


async def by_idleness(rig: Rig) -> None:
    rule = IdleRule(lists=("assigned", "unassigned"), last=("visitor", "agent"), idle_s=HOUR)
    rig.settings = msgspec.structs.replace(
        rig.settings,
        auto_termination=True,
        termination=Termination(rules=(rule,), since=at(-DAY)),
    )
    session = await wrote(rig, "hello")
    await rig.done(rig.send(session.id, "amy", "hi"))
    rig.now += rig.patience * 1000
    timer = rig.machine("system", "timer")
    await rig.done(FireTimer(**rig.head(session.id, timer), kind="idle_end", due=rig.now))
    assert (await newest(rig)).end_reason == "auto_terminated"


async def by_rule(rig: Rig) -> None:
    rule = {"name": "spam", "trigger": "opened", "actions": [{"do": "end", "reason": "spam"}]}
    switches = msgspec.to_builtins(rig.settings)
    rig.policy = policy(settings=switches, members=agents("amy"), rules=[rule])
    session = await wrote(rig, "buy")
    assert session.list == "ended"


async def blocked(rig: Rig) -> None:
    session = await wrote(rig, "hello")
    await rig.take(event(ContactChanged, "u1", 500, change="unfollow"))
    await rig.done(rig.end(session.id, "amy"))


async def window_closed(rig: Rig) -> None:
    asking(rig, "whatsapp", channels=("whatsapp",))
    session = await wrote(rig, "hello", channel="whatsapp")
    rig.now += rig.patience * 12 * 60 * 25
    await rig.done(rig.end(session.id, "amy"))


async def other_channel(rig: Rig) -> None:
    asking(rig, channels=("web",))
    await ended(rig)


async def below_a_comment(rig: Rig) -> None:
    asking(rig, "fb_comment", channels=("fb_comment",))
    await ended(rig, channel="fb_comment", thread=Thread(post="p", comment="c"))


NOT_ASKED: dict[str, Callable[[Rig], Awaitable[None]]] = {
    "a bot ended it": by_bot,
    "it ended automatically": by_idleness,
    "a rule ended it": by_rule,
    "they have blocked us": blocked,
    "the window is closed": window_closed,
    "it is on a channel that was not chosen": other_channel,
    "it is below a public comment": below_a_comment,
}


@pytest.mark.parametrize("happens", NOT_ASKED.values(), ids=NOT_ASKED)
async def test_d27_nobody_is_asked_where(
    desk: Rig, happens: Callable[[Rig], Awaitable[None]]
) -> None:
    await happens(desk)
    assert (await newest(desk)).list == "ended"
    assert (await newest(desk)).survey is None
    assert asked(desk) == []


@pytest.mark.parametrize(("days", "times"), [(6, 1), (7, 2)])
async def test_d27_a_contact_is_asked_once_a_week(desk: Rig, days: int, times: int) -> None:
    await ended(desk)
    desk.now += desk.patience * 12 * 60 * 24 * days
    again = await ended(desk, "again")
    assert len(asked(desk)) == times
    assert (again.list, again.survey is not None) == ("ended", times == 2)


async def test_d27_of_one_contact_on_two_accounts_one_is_asked_even_at_once(rig: Rig) -> None:
    desk = asking(rig)
    desk.accounts["acme-web"] = Account(
        workspace=WORKSPACE, slug="acme-web", external_id="2", channel="web"
    )
    one = await wrote(desk, "hello")
    other = await wrote(desk, "hello", visitor="U2", account="acme-web", channel="web")
    await desk.outbox.flush()
    known = await desk.store.get(SESSIONS, WORKSPACE, other.id)
    assert known is not None
    await desk.store.replace(SESSIONS, msgspec.structs.replace(known, contact=one.contact))
    second = desk.twin()
    await asyncio.gather(
        desk.done(desk.end(one.id, "amy")), second.done(second.end(other.id, "bob"))
    )
    assert len(asked(desk)) == 1
    assert [s.list for s in await desk.sessions()] == ["ended", "ended"]


async def test_d27_who_was_asked_as_another_contact_that_was_merged_is_not_asked(
    desk: Rig,
) -> None:
    session = await ended(desk)
    former = await desk.store.get(CONTACTS, WORKSPACE, session.contact)
    assert former is not None
    other = await wrote(desk, "hello", visitor="U2")
    merged = msgspec.structs.replace(former, merged_into=other.contact)
    await desk.store.replace(CONTACTS, merged)
    await desk.done(desk.end(other.id, "amy"))
    assert asked(desk) == [session.id]


async def test_d27_the_question_is_asked_once_whatever_is_repeated(desk: Rig) -> None:
    session = await wrote(desk, "hello")
    desk.bus.away = True
    command = desk.end(session.id, "amy", key="end-1")
    await desk.done(command)
    desk.restart()
    desk.bus.away = False
    desk.now += desk.patience * 3
    await desk.outbox.sweep()
    await desk.outbox.sweep()
    await desk.done(msgspec.structs.replace(command, deadline=desk.now + desk.patience))
    assert asked(desk) == [session.id]


# --- what counts as an answer

ANSWERS: dict[str, tuple[str, int | None]] = {
    "a digit": ("5", 5),
    "a digit and a full stop": (" 4. ", 4),
    "of five": ("3/5", 3),
    "in words": ("4 stars", 4),
    "Thai": ("๕", 5),
    "Arabic": ("٣", 3),
    "full width": ("\N{FULLWIDTH DIGIT TWO}", 2),
    "Chinese": ("五", 5),
    "circled": ("④", 4),
    "a keycap": ("5️⃣", 5),
    "emoji stars": ("⭐⭐⭐", 3),
    "filled and hollow stars": ("★★★★☆", 4),
    "zero": ("0", None),
    "six": ("6", None),
    "two digits": ("55", None),
    "six stars": ("⭐⭐⭐⭐⭐⭐", None),
    "no filled star": ("☆☆☆", None),
    "a sentence with a digit": ("I want 5 of them", None),
    "nothing": ("", None),
    "a fraction": ("½", None),
    "something endless": ("5" + " " * 100_000, None),
}


@pytest.mark.parametrize(("text", "score"), ANSWERS.values(), ids=ANSWERS)
def test_d27_an_answer_is(text: str, score: int | None) -> None:
    assert score_of((TextPart(text=text),), "ses_1") == score


TAPS: dict[str, tuple[ActionPart, int | None]] = {
    "a tap": (ActionPart(title="5", payload="rate:5:ses_1"), 5),
    "a tap of another session": (ActionPart(title="5", payload="rate:5:ses_2"), None),
    "a tap that was made up": (ActionPart(title="5", payload="rate:9:ses_1"), None),
    "a tap that tells its title alone": (ActionPart(title="2"), 2),
}


@pytest.mark.parametrize(("part", "score"), TAPS.values(), ids=TAPS)
def test_d27_a_button_is(part: ActionPart, score: int | None) -> None:
    assert score_of((part,), "ses_1") == score


async def test_d27_the_last_answer_counts_and_thanks_are_said_once(desk: Rig) -> None:
    session = await ended(desk)
    sends = len(desk.bus.sends())
    await wrote(desk, "2")
    await wrote(desk, "5")
    only = await desk.only()
    assert only.survey is not None
    assert only.survey.score == 5
    assert len(desk.bus.sends()) == sends + 1
    assert "rated 5 of 5 by the visitor" in await texts(desk, session.id)


async def too_late(rig: Rig, _session: Session) -> None:
    rig.now += rig.patience * 12 * 60 * 24


async def under_way(rig: Rig, session: Session) -> None:
    """Nothing: the message is received before the end, and delivered behind it."""


async def came_back(rig: Rig, _session: Session) -> None:
    await wrote(rig, "one more thing")


async def undelivered(rig: Rig, session: Session) -> None:
    assert session.survey is not None
    await rig.take(
        event(
            SendReported,
            "r1",
            500,
            message_id=session.survey.question,
            status="failed",
            reason="blocked",
        )
    )


NO_ANSWER: dict[str, tuple[Callable[[Rig, Session], Awaitable[None]], str]] = {
    "it comes too late": (too_late, "5"),
    "another session was opened since": (came_back, "5"),
    "it says something else": (under_way, "thanks a lot"),
    "the question did not go out": (undelivered, "5"),
}


@pytest.mark.parametrize(("before", "text"), NO_ANSWER.values(), ids=NO_ANSWER)
async def test_d27_it_is_a_normal_message_where(
    desk: Rig, before: Callable[[Rig, Session], Awaitable[None]], text: str
) -> None:
    session = await ended(desk)
    await before(desk, session)
    found = await wrote(desk, text)
    first, second = await desk.sessions()
    assert first.id == session.id
    assert first.survey is not None
    assert first.survey.score is None
    assert (second.id, second.list) == (found.id, "unassigned")
    assert second.survey is None


async def test_d27_what_was_under_way_at_the_end_is_no_answer(desk: Rig) -> None:
    session = await wrote(desk, "how many?")
    sent = desk.now
    desk.now += desk.patience
    await desk.done(desk.end(session.id, "amy"))
    seconds = (sent - at(0)).total_seconds() + 1
    await desk.take(arrived(said("5", seconds)))
    first, second = await desk.sessions()
    assert first.survey is not None
    assert (first.survey.score, second.list) == (None, "unassigned")


async def test_d27_an_end_and_a_message_at_once_ask_once_and_lose_nothing(desk: Rig) -> None:
    session = await wrote(desk, "hello")
    seconds = (desk.now - at(0)).total_seconds()
    wait = desk.take(arrived(said("wait", seconds), received_at=desk.now))
    await asyncio.gather(desk.done(desk.end(session.id, "amy")), wait)
    rows: list[Message] = []
    for found in await desk.sessions():
        rows += await desk.timeline(found.id)
    heard = [m for m in rows if m.direction == "in"]
    assert len(heard) == 2
    assert asked(desk) == [session.id]


async def test_d27_an_answer_that_is_delivered_again_counts_once(rig_of_each: Rig) -> None:
    desk = asking(rig_of_each)
    session = await ended(desk)
    desk.now += desk.patience
    seconds = (desk.now - at(0)).total_seconds()
    deliveries = await desk.take(arrived(said("5", seconds), received_at=desk.now))
    once = await desk.everything()
    desk.restart()
    await desk.deliver([msgspec.structs.replace(d, attempt=2) for d in deliveries])
    assert await desk.everything() == once
    [only] = await desk.sessions()
    assert only.survey is not None
    assert (only.id, only.survey.score) == (session.id, 5)


def test_d27_nobody_is_asked_by_default() -> None:
    assert Settings().survey.channels == ()
