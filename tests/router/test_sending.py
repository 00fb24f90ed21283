"""What a send may do now: windows, ways and retries, on the real router and store."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from libs.common.channel import Account, MessageTemplate, WindowRule
from libs.common.commands import Done, Refused
from libs.common.documents import Message, Session
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MediaPart,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    ReactionChanged,
    Referral,
    SendReported,
    TemplatePart,
    TextPart,
    Thread,
    ThreadControlChanged,
)
from tests.router.rig import UNHOSTED, Rig, arrived, at, event, said

HOUR = 3600
DAY = 24 * HOUR
PAGE = "acme-line"
HELLO = MessageTemplate(name="hello", language="en", body="Hi {{1}}")
TEMPLATE = (TemplatePart(name="hello", language="en", body=("Ada",), text="Hi Ada"),)
COMMENT = Thread(post="p", comment="c1")
UNSENT = {"status": "failed", "reason": "not_sent"}


def account(channel: str, **fields: Any) -> Account:
    known: dict[str, Any] = {"workspace": "acme", "slug": PAGE, "external_id": "1"}
    return Account(**{**known, "channel": channel, **fields})


async def begun(
    rig: Rig, channel: str, *events: InboundEvent, window: WindowRule | None = None, **fields: Any
) -> Session:
    """Let *events* of the one visitor arrive on *channel*, whose account has *fields*."""
    rig.settings = UNHOSTED
    rig.accounts[PAGE] = account(channel, **fields)
    if window is not None:
        rig.channels[channel] = msgspec.structs.replace(rig.channels[channel], window=window)
    await arrive(rig, channel, *events)
    return (await rig.sessions())[-1]


async def arrive(rig: Rig, channel: str, *events: InboundEvent) -> None:
    await rig.take(*(arrived(one, channel=channel) for one in events))


def after(rig: Rig, seconds: float) -> None:
    """Let it be *seconds* after the start of the story."""
    rig.now = at(seconds)


WHATSAPP = WindowRule(free_s=DAY, templates=True, free_entry_s=3 * DAY)
WECHAT = WindowRule(free_s=2 * DAY, most_sends=2)


# --- the window --------------------------------------------------------------------------------


async def test_d08_a_send_inside_the_window_says_until_when(rig: Rig) -> None:
    session = await begun(rig, "messenger", said("hi", 1))
    after(rig, DAY)
    await rig.done(rig.send(session.id, "amy", "hello"))
    [request] = rig.bus.sends()
    assert (request.open_until, request.human_agent, request.way) == (at(DAY + 1), False, "")


async def test_d08_a_send_after_the_window_is_refused_and_changes_nothing(rig: Rig) -> None:
    session = await begun(rig, "messenger", said("hi", 1))
    after(rig, DAY + 1)
    refused = await rig.refused(rig.send(session.id, "amy", "hello"))
    assert (refused.code, refused.status) == ("window_closed", 409)
    assert refused.facts == {"until": at(DAY + 1).isoformat()}
    assert rig.bus.sends() == []
    assert (await rig.only()).list == "unassigned"
    assert [entry.kind for entry in await rig.entries(session.id)] == ["message"]


async def test_d08_a_person_writes_in_the_longer_window_and_a_bot_does_not(rig: Rig) -> None:
    session = await begun(rig, "messenger", said("hi", 1), features=("human_agent",))
    after(rig, 2 * DAY)
    robot = rig.machine("automation", "hours")
    refused = await rig.refused(rig.send(session.id, robot, "we are back", epoch=0))
    assert refused.code == "window_closed"
    assert refused.facts["human_agent_until"] == at(7 * DAY + 1).isoformat()
    await rig.done(rig.send(session.id, "amy", "hello"))
    [request] = rig.bus.sends()
    assert (request.human_agent, request.open_until) == (True, at(7 * DAY + 1))


async def test_d08_after_the_window_a_template_goes(rig: Rig) -> None:
    session = await begun(rig, "whatsapp", said("hi", 1), window=WHATSAPP, templates=(HELLO,))
    after(rig, 2 * DAY)
    refused = await rig.refused(rig.send(session.id, "amy", "hello"))
    assert (refused.code, refused.facts["templates"]) == ("window_closed", "hello/en")
    send = rig.send(session.id, "amy", "")
    done = await rig.done(msgspec.structs.replace(send, parts=TEMPLATE))
    [request] = rig.bus.sends()
    assert (request.parts, request.open_until) == (TEMPLATE, None)
    assert done.session.owner == "amy"
    other = msgspec.structs.replace(TEMPLATE[0], language="th")
    again = msgspec.structs.replace(rig.send(session.id, "amy", ""), parts=(other,))
    assert (await rig.refused(again)).code == "template_unknown"


async def test_d08_an_ad_opens_the_longer_window(rig: Rig) -> None:
    ad = Referral(source="ad", ad_id="77")
    session = await begun(rig, "whatsapp", said("hi", 1, referral=ad), window=WHATSAPP)
    after(rig, 3 * DAY)
    await rig.done(rig.send(session.id, "amy", "hello"))
    after(rig, 3 * DAY + 1)
    assert (await rig.refused(rig.send(session.id, "amy", "hello"))).code == "window_closed"


async def test_d08_a_count_is_used_up_until_the_visitor_writes(rig: Rig) -> None:
    session = await begun(rig, "wechat", said("hi", 1), window=WECHAT)
    for number in (1, 2):
        await rig.done(rig.send(session.id, "amy", str(number)))
    refused = await rig.refused(rig.send(session.id, "amy", "3"))
    assert (refused.code, refused.status) == ("count_used_up", 409)
    await arrive(rig, "wechat", said("early", 30))  # written before the two
    assert (await rig.refused(rig.send(session.id, "amy", "3"))).code == "count_used_up"
    after(rig, 100)
    await arrive(rig, "wechat", said("more", 90))
    done = await rig.done(rig.send(session.id, "amy", "3"))
    assert done.session.window_sends == 1


async def test_d08_what_failed_uses_nothing_up(rig: Rig) -> None:
    session = await begun(rig, "wechat", said("hi", 1), window=WECHAT)
    sent = [(await rig.done(rig.send(session.id, "amy", n))).message for n in "12"]
    assert sent[0] is not None
    failed = event(SendReported, "s1", 61, message_id=sent[0].id, **UNSENT)
    await arrive(rig, "wechat", failed)
    assert (await rig.only()).window_sends == 1
    await rig.done(rig.send(session.id, "amy", "3"))


PARTLY = {"status": "failed", "reason": "partly_sent"}


async def test_d08_each_of_the_providers_messages_counts(rig: Rig) -> None:
    session = await begun(rig, "wechat", said("hi", 1))
    long = await rig.done(rig.send(session.id, "amy", "x" * 1601))
    assert long.message is not None
    assert long.session.window_sends == 2
    longer = rig.send(session.id, "amy", "y" * 4801)
    refused = await rig.refused(longer)
    assert (refused.code, refused.facts["messages"], refused.facts["left"]) == (
        "count_used_up",
        "4",
        "3",
    )
    assert len(rig.bus.sends()) == 1
    await arrive(rig, "wechat", event(SendReported, "s1", 61, message_id=long.message.id, **PARTLY))
    assert (await rig.only()).window_sends == 2  # some of it is out


async def test_d08_what_failed_gives_back_all_of_its_calls(rig: Rig) -> None:
    session = await begun(rig, "wechat", said("hi", 1))
    done = await rig.done(rig.send(session.id, "amy", "x" * 4801))
    assert done.message is not None
    assert done.session.window_sends == 4
    await arrive(rig, "wechat", event(SendReported, "s", 61, message_id=done.message.id, **UNSENT))
    found = await rig.only()
    assert (found.window_sends, found.window_calls) == (0, {})


def clicked(seconds: float) -> InboundEvent:
    return event(
        MessageReceived, f"c{seconds}", seconds, message_id=f"c{seconds}", parts=(), brief=True
    )


# what the visitor does, and the places of (window_at, brief_at) in any order of arrival
OPENED: dict[str, tuple[tuple[InboundEvent, ...], tuple[int | None, int | None]]] = {
    "a click alone": ((clicked(5),), (None, 5)),
    "two clicks": ((clicked(5), clicked(9)), (None, 9)),
    "a message, then a click": ((said("hi", 1), clicked(5)), (1, 5)),
    "a click, then a message": ((clicked(5), said("hi", 9)), (9, 5)),
    "a message between clicks": ((clicked(5), said("hi", 7), clicked(9)), (7, 9)),
    "a follow that lets us write": (
        (event(ContactChanged, "a", 3, change="follow", brief=True), said("hi", 1)),
        (1, 3),
    ),
    "a scan": (
        (event(InteractionReceived, "a", 3, kind="scan", brief=True), said("hi", 1)),
        (1, 3),
    ),
}


@pytest.mark.parametrize("turn", [False, True], ids=["in order", "the other way round"])
@pytest.mark.parametrize(("events", "expected"), OPENED.values(), ids=OPENED)
async def test_d08_what_opens_the_brief_window(
    rig: Rig, events: tuple[InboundEvent, ...], expected: tuple[int | None, int | None], turn: bool
) -> None:
    rig.settings = UNHOSTED
    rig.accounts[PAGE] = account("wechat")
    for one in reversed(events) if turn else events:
        await arrive(rig, "wechat", one)
    found = await rig.only()
    assert (found.window_at, found.brief_at) == tuple(
        None if seconds is None else at(seconds) for seconds in expected
    )


async def test_d08_after_a_click_one_may_write_for_a_minute(rig: Rig) -> None:
    session = await begun(rig, "wechat", clicked(5))
    after(rig, 64)
    await rig.done(rig.send(session.id, "amy", "hello"))
    [request] = rig.bus.sends()
    assert request.open_until == at(65)
    after(rig, 65)
    refused = await rig.refused(rig.send(session.id, "amy", "hello"))
    assert (refused.code, refused.facts["until"]) == ("window_closed", at(65).isoformat())
    await rig.done(rig.end(session.id, "amy"))
    after(rig, 90)
    await arrive(rig, "wechat", clicked(3))  # comes late
    second = next(one for one in await rig.sessions() if one.open_key)
    assert second.brief_at == at(5)
    await arrive(rig, "wechat", clicked(80))
    await arrive(rig, "wechat", clicked(6))  # comes late
    await rig.done(rig.send(second.id, "amy", "hello"))
    assert rig.bus.sends()[-1].open_until == at(140)


async def test_d08_who_taps_again_has_come_back(rig: Rig) -> None:
    unfollow = event(ContactChanged, "a", 5, **UNFOLLOW)
    session = await begun(rig, "wechat", said("hi", 1), unfollow, clicked(6))
    assert session.blocked is False


async def test_d08_a_switched_off_account_says_so(rig: Rig) -> None:
    session = await begun(rig, "line", said("hi", 1), enabled=False)
    refused = await rig.refused(rig.send(session.id, "amy", "hello"))
    assert (refused.code, refused.status) == ("account_unavailable", 409)


@pytest.mark.parametrize("of", [None, "another workspace"], ids=["unknown", "given away"])
async def test_d08_for_an_account_that_is_not_known_the_provider_decides(
    rig: Rig, of: str | None
) -> None:
    session = await begun(rig, "messenger", said("hi", 1))
    del rig.accounts[PAGE]
    if of:
        rig.accounts[PAGE] = account("messenger", workspace="other", enabled=False)
    after(rig, 9 * DAY)
    await rig.done(rig.send(session.id, "amy", "hello"))
    assert rig.bus.sends()[0].open_until is None


FOLLOW, UNFOLLOW = {"change": "follow"}, {"change": "unfollow"}
OUT, BACK = {"change": "opt_out"}, {"change": "opt_in"}

# events after a message at second 1, in the order of their arrival: whether we are blocked
BLOCKS: dict[str, tuple[tuple[InboundEvent, ...], bool]] = {
    "who unfollows blocks": ((event(ContactChanged, "a", 5, **UNFOLLOW),), True),
    "who opts out blocks": ((event(ContactChanged, "a", 5, **OUT),), True),
    "who leaves with us blocks": ((event(ContactChanged, "a", 5, change="leave"),), True),
    "who opts out of one kind of message does not": (
        (event(ContactChanged, "a", 5, **OUT, detail="marketing_messages"),),
        False,
    ),
    "who follows again comes back": (
        (event(ContactChanged, "a", 5, **UNFOLLOW), event(ContactChanged, "b", 6, **FOLLOW)),
        False,
    ),
    "also when it arrives the other way round": (
        (event(ContactChanged, "b", 6, **FOLLOW), event(ContactChanged, "a", 5, **UNFOLLOW)),
        False,
    ),
    "who opts in again comes back": (
        (event(ContactChanged, "a", 5, **OUT), event(ContactChanged, "b", 6, **BACK)),
        False,
    ),
    "who writes again has come back": (
        (event(ContactChanged, "a", 5, **UNFOLLOW), said("hi again", 6)),
        False,
    ),
    "also when that arrives the other way round": (
        (said("hi again", 6), event(ContactChanged, "a", 5, **UNFOLLOW)),
        False,
    ),
    "an older message that comes late takes nothing back": (
        (event(ContactChanged, "a", 5, **UNFOLLOW), said("earlier", 4)),
        True,
    ),
}


@pytest.mark.parametrize("case", BLOCKS.values(), ids=BLOCKS)
async def test_d08_who_blocked_us_is_not_written_to(rig: Rig, case: Any) -> None:
    events, blocked = case
    session = await begun(rig, "line", said("hi", 1), *events)
    assert session.blocked == blocked
    answer = await rig.ask(rig.send(session.id, "amy", "hello"))
    assert (answer.code if isinstance(answer, Refused) else "") == ("blocked" if blocked else "")


CALL = {"kind": "call", "data": {"event": "connect", "direction": "USER_INITIATED"}}

# what happens at second 50, after a message at second 1: whether it opens the window anew
OPENS: dict[str, tuple[InboundEvent, bool]] = {
    "a message": (said("more", 50), True),
    "a reaction": (event(ReactionChanged, "a", 50, target="m-hi", emoji="❤"), True),
    "a reaction taken back": (event(ReactionChanged, "a", 50, target="m-hi"), False),
    "a reaction of the account's own": (
        event(ReactionChanged, "a", 50, target="m-hi", emoji="❤", author="1"),
        False,
    ),
    "a link into the thread": (event(InteractionReceived, "a", 50, kind="referral"), True),
    "a call": (event(InteractionReceived, "a", 50, **CALL), True),
    "a call of ours": (
        event(InteractionReceived, "a", 50, kind="call", data={"direction": "BUSINESS_INITIATED"}),
        False,
    ),
    "the end of a call": (
        event(InteractionReceived, "a", 50, kind="call", data={"event": "terminate"}),
        False,
    ),
    "a beacon": (event(InteractionReceived, "a", 50, kind="beacon"), False),
    "an echo": (event(MessageEchoed, "a", 50, message_id="m9", parts=()), False),
    "a receipt": (event(DeliveryReported, "a", 50, status="read", watermark=at(50)), False),
    "an edit": (event(MessageEdited, "a", 50, target="m-hi", parts=()), False),
    "a follow": (event(ContactChanged, "a", 50, **FOLLOW), False),
}


@pytest.mark.parametrize("case", OPENS.values(), ids=OPENS)
async def test_d08_what_opens_the_window(rig: Rig, case: Any) -> None:
    happened, opens = case
    session = await begun(rig, "messenger", happened, said("hi", 1))
    assert session.window_at == (at(50) if opens else at(1))


async def test_d08_a_new_session_goes_on_with_the_window_of_the_ended_one(rig: Rig) -> None:
    ad = Referral(source="ad", ad_id="77")
    session = await begun(rig, "whatsapp", said("hi", 1, referral=ad), window=WHATSAPP)
    await rig.done(rig.end(session.id, "amy"))
    await arrive(rig, "whatsapp", event(ContactChanged, "a", 40, **UNFOLLOW))
    await arrive(rig, "whatsapp", said("again", 2))  # comes late
    second = next(one for one in await rig.sessions() if one.open_key)
    assert (second.window_at, second.ad_at, second.blocked) == (at(2), at(1), True)
    await arrive(rig, "whatsapp", said("I am back", 50))
    after(rig, 3 * DAY)
    await rig.done(rig.send(second.id, "amy", "hello"))


async def test_d08_also_when_nothing_came_in_between(rig: Rig) -> None:
    """The batch that opens the new session has nothing that asks for the last one by itself."""
    ad = Referral(source="ad", ad_id="77")
    session = await begun(rig, "wechat", said("hi", 1, referral=ad), window=WECHAT)
    await rig.done(rig.send(session.id, "amy", "1"))
    await rig.done(rig.end(session.id, "amy"))
    await arrive(rig, "wechat", said("again", 2), said("new here", 3, visitor="U2"))
    opened = {one.visitor: one for one in await rig.sessions() if one.open_key}
    assert (opened["U1"].ad_at, opened["U1"].window_sends) == (at(1), 1)
    assert (opened["U2"].ad_at, opened["U2"].window_sends) == (None, 0)


# --- standby -----------------------------------------------------------------------------------

HELD: dict[str, tuple[tuple[InboundEvent, ...], bool]] = {
    "a message on standby": ((said("hi", 5, standby=True),), True),
    "then one for us": ((said("hi", 5, standby=True), said("you", 6)), False),
    "the same the other way round": ((said("you", 6), said("hi", 5, standby=True)), False),
    "taken by another": ((said("x", 4), event(ThreadControlChanged, "a", 5, change="taken")), True),
    "and passed back": (
        (
            said("x", 4),
            event(ThreadControlChanged, "b", 6, change="passed"),
            event(ThreadControlChanged, "a", 5, change="taken"),
        ),
        False,
    ),
    "asked for only": (
        (said("x", 4), event(ThreadControlChanged, "a", 5, change="requested")),
        False,
    ),
}


@pytest.mark.parametrize("case", HELD.values(), ids=HELD)
async def test_standby_stores_and_machines_keep_quiet(rig: Rig, case: Any) -> None:
    events, held = case
    session = await begun(rig, "messenger", *events)
    assert session.standby == held
    assert session.inbound == sum(isinstance(one, MessageReceived) for one in events)
    robot = rig.machine("automation", "hours")
    answer = await rig.ask(rig.send(session.id, robot, "hello", epoch=session.epoch))
    assert (answer.code if isinstance(answer, Refused) else "") == ("standby" if held else "")
    await rig.done(rig.send(session.id, "amy", "a person may"))


# --- comments ----------------------------------------------------------------------------------


async def test_d12_a_comment_is_answered_publicly_often_and_privately_once(rig: Rig) -> None:
    session = await begun(rig, "fb_comment", said("price?", 1, thread=COMMENT))
    for way in ("", "public", "private"):
        await rig.done(rig.send(session.id, "amy", f"12 euro {way}", way=way))
    sends = rig.bus.sends()
    assert [(one.way, one.thread, one.open_until) for one in sends] == [
        ("", COMMENT, None),
        ("public", COMMENT, None),
        ("private", COMMENT, at(7 * DAY + 1)),
    ]
    refused = await rig.refused(rig.send(session.id, "amy", "once more", way="private"))
    assert (refused.code, refused.status) == ("private_reply_used", 409)
    shown = await rig.timeline(session.id)
    assert [entry.way for entry in shown if entry.direction == "out"] == ["", "public", "private"]
    another = Thread(post="p", comment="c2")
    await arrive(rig, "fb_comment", said("and size?", 70, thread=another))
    rig.now = at(80)
    await rig.done(rig.send(session.id, "amy", "10 cm", way="private"))
    assert rig.bus.sends()[-1].thread == another


async def test_d12_a_private_reply_goes_to_the_quoted_comment(rig: Rig) -> None:
    second = Thread(post="p", comment="c2")
    session = await begun(
        rig, "fb_comment", said("price?", 1, thread=COMMENT), said("size?", 2, thread=second)
    )
    first = (await rig.timeline(session.id))[0]
    await rig.done(rig.send(session.id, "amy", "12", way="private", reply_to=first.id))
    assert rig.bus.sends()[0].thread == COMMENT
    assert (await rig.only()).private_replied == ("c1",)


async def test_d12_a_comment_that_takes_no_private_reply_is_not_offered_one_again(rig: Rig) -> None:
    session = await begun(rig, "fb_comment", said("price?", 1, thread=COMMENT))
    done = await rig.done(rig.send(session.id, "amy", "12", way="private"))
    assert done.message is not None
    refused = {"status": "failed", "reason": "not_answerable"}
    report = event(SendReported, "s", 61, message_id=done.message.id, **refused)
    await arrive(rig, "fb_comment", report)
    assert (await rig.only()).private_replied == ("c1",)


async def test_d12_a_private_reply_that_failed_may_be_tried_again(rig: Rig) -> None:
    session = await begun(rig, "fb_comment", said("price?", 1, thread=COMMENT))
    done = await rig.done(rig.send(session.id, "amy", "12", way="private"))
    assert done.message is not None
    await arrive(
        rig, "fb_comment", event(SendReported, "s1", 61, message_id=done.message.id, **UNSENT)
    )
    assert (await rig.only()).private_replied == ()
    again = await rig.done(rig.retry(session.id, "amy", done.message.id))
    assert again.message is not None
    assert (again.message.way, again.message.thread) == ("private", COMMENT)
    assert (await rig.only()).private_replied == ("c1",)


async def test_d12_in_a_new_session_a_comment_stays_answered(rig: Rig) -> None:
    session = await begun(rig, "fb_comment", said("price?", 1, thread=COMMENT))
    await rig.done(rig.send(session.id, "amy", "12", way="private"))
    await rig.done(rig.end(session.id, "amy"))
    await arrive(rig, "fb_comment", said("hm", 70, thread=Thread(post="p", comment="c2")))
    rig.now = at(80)
    second = next(one for one in await rig.sessions() if one.open_key)
    first = (await rig.timeline(session.id))[0]
    send = rig.send(second.id, "amy", "12", way="private", reply_to=first.id)
    assert (await rig.refused(send)).code == "private_reply_used"


@pytest.mark.parametrize(
    ("way", "code", "status"),
    [("public", "invalid_input", 422), ("private", "private_reply_impossible", 409)],
)
async def test_d12_only_a_comment_has_ways(rig: Rig, way: str, code: str, status: int) -> None:
    session = await begun(rig, "messenger", said("hi", 1))
    refused = await rig.refused(rig.send(session.id, "amy", "hello", way=way))
    assert (refused.code, refused.status) == (code, status)


# --- tokens and files --------------------------------------------------------------------------


async def test_what_quotes_and_what_marks_as_read_come_with_the_newest_message(rig: Rig) -> None:
    session = await begun(
        rig,
        "line",
        said("new", 2, read_token="r2", quote_token="q2"),
        said("old", 1, read_token="r1", quote_token="q1"),
        event(MessageEdited, "e", 3, target="m-new", parts=(), reply_token="t3"),
    )
    assert (session.read_token, session.quote_token, session.reply_token) == ("r2", "q2", "t3")
    old = (await rig.timeline(session.id))[0]
    await rig.done(rig.send(session.id, "amy", "as you said", reply_to=old.id))
    [request] = rig.bus.sends()
    assert (request.quote_token, request.reply_to, request.reply_token) == ("q1", "m-old", "t3")
    await rig.done(rig.send(session.id, "amy", "and"))
    assert rig.bus.sends()[1].quote_token == ""


async def test_tokens_are_not_kept_where_nothing_needs_them(rig: Rig) -> None:
    late = said("late", 1, standby=True, reply_token="t", read_token="r", quote_token="q")
    edit = event(MessageEdited, "e", 3, target="m-late", parts=(), reply_token="t3")
    session = await begun(rig, "line", late, edit)
    for entry in await rig.entries(session.id):
        kept = entry.event
        assert isinstance(kept, MessageReceived | MessageEdited)
        assert kept.reply_token == ""
        if isinstance(kept, MessageReceived):
            assert (kept.read_token, kept.quote_token) == ("", "")


async def test_d22_the_fact_says_how_many_files_are_still_at_the_provider(rig: Rig) -> None:
    away = MediaPart(kind="image", media_id="9")
    here = MediaPart(kind="image", attachment="att_1")
    parts = (away, TextPart(text="look"), away, here)
    with_files = msgspec.structs.replace(said("x", 1), parts=parts)
    session = await begun(rig, "line", with_files, said("y", 2))
    assert [fact.media for fact in rig.bus.facts("message.stored")] == [2, 0]
    send = msgspec.structs.replace(rig.send(session.id, "amy", ""), parts=(here,))
    await rig.done(send)
    assert rig.bus.facts("message.stored")[-1].media == 0


# --- once more ---------------------------------------------------------------------------------


async def sent(rig: Rig, text: str = "hello", **more: Any) -> Message:
    """Let Amy send to a visitor of the web plugin; return her message."""
    session = await begun(rig, "line", said("hi", 1))
    done = await rig.done(rig.send(session.id, "amy", text, **more))
    assert done.message is not None
    return done.message


def told(message: Message, key: str, seconds: float, **fields: Any) -> InboundEvent:
    return event(SendReported, key, seconds, message_id=message.id, **fields)


async def test_d21_a_message_that_certainly_failed_is_sent_once_more(rig: Rig) -> None:
    first = await sent(rig)
    await arrive(rig, "line", told(first, "s1", 61, **UNSENT))
    done = await rig.done(rig.retry(first.session, "bob", first.id))
    again = done.message
    assert again is not None
    assert (again.retry_of, again.parts, again.status) == (first.id, first.parts, "queued")
    assert (again.sender_id, done.session.assignee_ids) == ("bob", ("amy", "bob"))
    assert [one.message_id for one in rig.bus.sends()] == [first.id, again.id]


async def test_a20_a_repeat_reaches_who_has_left_as_its_author_chose(rig: Rig) -> None:
    first = await sent(rig, offline="plugin")
    await arrive(rig, "line", told(first, "s1", 61, **UNSENT))
    await rig.done(rig.retry(first.session, "bob", first.id))
    assert [one.offline for one in rig.bus.sends()] == ["plugin", "plugin"]


async def test_d21_however_often_one_asks_there_is_one_repeat(rig: Rig) -> None:
    first = await sent(rig)
    await arrive(rig, "line", told(first, "s1", 61, **UNSENT))
    asked = [rig.retry(first.session, who, first.id) for who in ("amy", "bob", "amy")]
    answers = [await rig.ask(one) for one in asked]
    ids = {one.message.id for one in answers if isinstance(one, Done) and one.message}
    assert len(ids) == 1
    assert [isinstance(one, Done) and one.repeated for one in answers] == [False, True, True]
    assert len(rig.bus.sends()) == 2


async def test_d21_a_repeat_that_failed_may_be_repeated_itself(rig: Rig) -> None:
    message = await sent(rig)
    for number in range(3):
        await arrive(rig, "line", told(message, f"s{number}", 61 + number, **UNSENT))
        done = await rig.done(rig.retry(message.session, "amy", message.id))
        assert done.message is not None
        assert done.message.retry_of == message.id
        message = done.message
    assert len(rig.bus.sends()) == 4


UNKNOWN = {"status": "unknown"}
FINAL = {"status": "failed", "reason": "bad_content"}

# what is reported of our message: the words in the answer
REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "nothing yet": ([], "waiting"),
    "nobody knows": ([UNKNOWN], "may have gone out"),
    "sent": ([{"status": "sent", "provider_ids": ("p1",)}], "did go out"),
    "refused for its content": ([FINAL], "does not take this content"),
    "sent in part": ([{"status": "failed", "reason": "partly_sent"}], "only what is missing"),
    "failed without a reason": ([{"status": "failed"}], "refused the message"),
    "failed, and delivered after all": (
        [{"status": "failed", "reason": "not_sent", "provider_ids": ("p1",)}, {"late": "p1"}],
        "did go out",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
async def test_d21_what_may_have_gone_out_is_not_sent_once_more(rig: Rig, case: Any) -> None:
    reports, words = case
    first = await sent(rig)
    for number, report in enumerate(reports):
        if "late" in report:  # a receipt that names the provider's id alone
            late = event(DeliveryReported, "d", 99, status="delivered", targets=(report["late"],))
            await arrive(rig, "line", late)
        else:
            await arrive(rig, "line", told(first, f"s{number}", 61 + number, **report))
    refused = await rig.refused(rig.retry(first.session, "amy", first.id))
    assert (refused.code, refused.status) == ("not_retryable", 409)
    assert words in refused.detail
    assert len(rig.bus.sends()) == 1


async def test_d21_only_what_we_sent_here_is_sent_once_more(rig: Rig) -> None:
    first = await sent(rig)
    await arrive(rig, "line", said("else", 3, visitor="U2"))
    theirs, system, _ = await rig.timeline(first.session)
    assert system.kind == "system"
    for one in (theirs.id, system.id):
        refused = await rig.refused(rig.retry(first.session, "amy", one))
        assert refused.code == "not_retryable"
    other = next(one for one in await rig.sessions() if one.visitor == "U2")
    for session, one in ((first.session, "msg_nothing"), (other.id, first.id)):
        assert (await rig.refused(rig.retry(session, "amy", one))).status == 404


async def test_d21_a_machine_does_not_repeat(rig: Rig) -> None:
    first = await sent(rig)
    await arrive(rig, "line", told(first, "s1", 61, **UNSENT))
    robot = rig.machine("bot", "faq")
    assert (await rig.refused(rig.retry(first.session, robot, first.id))).code == "forbidden"


async def test_d21_a_repeat_needs_the_window_like_any_message(rig: Rig) -> None:
    session = await begun(rig, "messenger", said("hi", 1))
    done = await rig.done(rig.send(session.id, "amy", "hello"))
    assert done.message is not None
    await arrive(rig, "messenger", told(done.message, "s1", 61, **UNSENT))
    after(rig, 2 * DAY)
    refused = await rig.refused(rig.retry(session.id, "amy", done.message.id))
    assert refused.code == "window_closed"
    await rig.done(rig.end(session.id, "amy"))
    refused = await rig.refused(rig.retry(session.id, "amy", done.message.id))
    assert refused.code == "session_ended"


async def test_d21_a_repeat_answers_what_the_first_answered(rig: Rig) -> None:
    session = await begun(rig, "line", said("hi", 1, quote_token="q1"))
    hi = (await rig.timeline(session.id))[0]
    done = await rig.done(rig.send(session.id, "amy", "hello", reply_to=hi.id))
    assert done.message is not None
    await arrive(rig, "line", told(done.message, "s1", 61, **UNSENT))
    again = await rig.done(rig.retry(session.id, "amy", done.message.id))
    assert again.message is not None
    assert again.message.reply_to == hi.id
    assert [(one.reply_to, one.quote_token) for one in rig.bus.sends()] == [("m-hi", "q1")] * 2
