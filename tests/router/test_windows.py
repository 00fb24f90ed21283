"""When one may write: every edge of every kind of window, on a clock in the test's hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from libs.common.channel import Account, Channel, MessageTemplate, Parsed, WindowRule
from libs.common.documents import Moment, Session
from libs.common.errors import RejectedError
from libs.common.events import ContentPart, MediaPart, TemplatePart, TextPart, Thread
from libs.common.windows import (
    Capabilities,
    Comment,
    Permit,
    Refusal,
    Wish,
    capabilities,
    permitted,
)

HOUR = 3600.0
DAY = 24 * HOUR
WROTE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

MESSENGER = WindowRule(free_s=DAY, human_agent_s=7 * DAY)
WHATSAPP = WindowRule(free_s=DAY, templates=True, free_entry_s=3 * DAY)
WECHAT = WindowRule(free_s=2 * DAY, most_sends=5)
BRIEF = WindowRule(free_s=2 * DAY, most_sends=5, brief_s=60, brief_sends=3)
COMMENTS = WindowRule(private_reply_s=7 * DAY)
OPEN = WindowRule()

HELLO = MessageTemplate(name="hello", language="en", body="Hi {{1}}, your {{2}} is here. {{1}}!")
PHOTO = MessageTemplate(name="photo", language="th", body="Look", header="image")
DRAFT = MessageTemplate(name="draft", language="en", body="x", approved=False)
MUTE = MessageTemplate(name="mute", language="en")
TEXT = (TextPart(text="hi"),)
THREAD = Thread(post="p", comment="c1")


def after(seconds: float) -> datetime:
    return WROTE + timedelta(seconds=seconds)


def channel(rule: WindowRule) -> Channel:
    def send(_account: Account, _message: Any) -> Any:
        raise AssertionError("nothing is sent here")

    return Channel(
        name="x",
        endpoint="x",
        secrets=("key",),
        verify=lambda _account, _request: None,
        parse=lambda _account, _request: Parsed(),
        send=send,
        window=rule,
        carries=frozenset({"text", "image"}),
    )


def account(**fields: Any) -> Account:
    known: dict[str, Any] = {"workspace": "acme", "slug": "a", "channel": "x", "external_id": "1"}
    return Account(**{**known, **fields})


def session(**fields: Any) -> Session:
    known: dict[str, Any] = {
        "id": "ses_1",
        "workspace": "acme",
        "account": "a",
        "channel": "x",
        "visitor": "U1",
        "contact": "con_1",
        "list": "unassigned",
        "open_key": "a|U1",
        "created_at": WROTE,
        "updated_at": WROTE,
        "window_at": WROTE,
    }
    return Session(**{**known, **fields})


def sent(**each: tuple[float, int]) -> dict[str, Any]:
    """Return what a session knows of messages sent so many seconds after *WROTE*, and of calls."""
    return {
        "window_sent": {id_: after(seconds) for id_, (seconds, _) in each.items()},
        "window_calls": {id_: calls for id_, (_, calls) in each.items() if calls != 1},
    }


CLICKED: dict[str, Any] = {"window_at": None, "brief_at": WROTE}
PLAIN = account()
TRUSTED = account(features=("human_agent",))
BUSINESS = account(templates=(HELLO, PHOTO, DRAFT, MUTE))

# rule, what the session is like, account, seconds after the visitor wrote: free text, and why not
FREE: dict[str, tuple[WindowRule, dict[str, Any], Account | None, float, bool, str]] = {
    "24 h: at once": (MESSENGER, {}, PLAIN, 0, True, ""),
    "24 h: a second before its end": (MESSENGER, {}, PLAIN, DAY - 1, True, ""),
    "24 h: at its end": (MESSENGER, {}, PLAIN, DAY, False, "window_closed"),
    "24 h: a second after": (MESSENGER, {}, PLAIN, DAY + 1, False, "window_closed"),
    "24 h: of a visitor who never wrote": (
        MESSENGER,
        {"window_at": None},
        PLAIN,
        0,
        False,
        "no_window",
    ),
    "24 h: before it, by a clock that is behind": (MESSENGER, {}, PLAIN, -5, True, ""),
    "48 h: a second before its end": (WECHAT, {}, PLAIN, 2 * DAY - 1, True, ""),
    "48 h: at its end": (WECHAT, {}, PLAIN, 2 * DAY, False, "window_closed"),
    "a count: one is left": (WECHAT, {"window_sends": 4}, PLAIN, 1, True, ""),
    "a count: used up": (WECHAT, {"window_sends": 5}, PLAIN, 1, False, "count_used_up"),
    "a count: more than used up": (WECHAT, {"window_sends": 6}, PLAIN, 1, False, "count_used_up"),
    "a count: used up, and the window closed": (
        WECHAT,
        {"window_sends": 5},
        PLAIN,
        2 * DAY,
        False,
        "window_closed",
    ),
    "a click: at once, though nothing was written": (BRIEF, CLICKED, PLAIN, 0, True, ""),
    "a click: a second before its minute ends": (BRIEF, CLICKED, PLAIN, 59, True, ""),
    "a click: when its minute ends": (BRIEF, CLICKED, PLAIN, 60, False, "window_closed"),
    "a click: three are sent": (
        BRIEF,
        {**CLICKED, **sent(one=(1, 1), two=(2, 2))},
        PLAIN,
        3,
        False,
        "count_used_up",
    ),
    "a click: two are sent, and one before it": (
        BRIEF,
        {**CLICKED, **sent(early=(-1, 1), one=(1, 2))},
        PLAIN,
        3,
        True,
        "",
    ),
    "a click never shortens the window that a message opened": (
        BRIEF,
        {"brief_at": after(HOUR)},
        PLAIN,
        2 * HOUR,
        True,
        "",
    ),
    "a click late in it does not lengthen it by more than its minute": (
        BRIEF,
        {"brief_at": after(2 * DAY - 30)},
        PLAIN,
        2 * DAY + 30,
        False,
        "window_closed",
    ),
    "a click late in it lengthens it by its minute": (
        BRIEF,
        {"brief_at": after(2 * DAY - 30)},
        PLAIN,
        2 * DAY + 29,
        True,
        "",
    ),
    "a click where the message's five are used up": (
        BRIEF,
        {"window_sends": 5, "brief_at": after(10)},
        PLAIN,
        20,
        True,
        "",
    ),
    "five used up, and the click's minute over": (
        BRIEF,
        {"window_sends": 5, "brief_at": after(10)},
        PLAIN,
        70,
        False,
        "count_used_up",
    ),
    "a click where the channel has no brief window": (
        WECHAT,
        {"window_at": None, "brief_at": WROTE},
        PLAIN,
        1,
        False,
        "no_window",
    ),
    "no count where none is set": (MESSENGER, {"window_sends": 99}, PLAIN, 1, True, ""),
    "an ad: a second before the end of its 72 h": (
        WHATSAPP,
        {"ad_at": WROTE},
        PLAIN,
        3 * DAY - 1,
        True,
        "",
    ),
    "an ad: at the end of its 72 h": (
        WHATSAPP,
        {"ad_at": WROTE},
        PLAIN,
        3 * DAY,
        False,
        "window_closed",
    ),
    "an old ad does not shorten the window": (
        WHATSAPP,
        {"ad_at": after(-9 * DAY)},
        PLAIN,
        DAY - 1,
        True,
        "",
    ),
    "an ad opens nothing where the rule has none": (
        MESSENGER,
        {"ad_at": WROTE},
        PLAIN,
        DAY,
        False,
        "window_closed",
    ),
    "no window: always": (OPEN, {"window_at": None}, PLAIN, 900 * DAY, True, ""),
    "no window: comments too": (COMMENTS, {"window_at": None}, PLAIN, 900 * DAY, True, ""),
    "blocked": (OPEN, {"blocked": True}, PLAIN, 0, False, "blocked"),
    "blocked inside the window": (MESSENGER, {"blocked": True}, PLAIN, 0, False, "blocked"),
    "another application has it: a warning only": (
        MESSENGER,
        {"standby": True},
        PLAIN,
        0,
        True,
        "standby",
    ),
    "another application has it, and the window closed": (
        MESSENGER,
        {"standby": True},
        PLAIN,
        DAY,
        False,
        "window_closed",
    ),
    "the account is switched off": (
        OPEN,
        {},
        account(enabled=False),
        0,
        False,
        "account_unavailable",
    ),
    "an account nobody knows refuses nothing": (MESSENGER, {}, None, 99 * DAY, True, ""),
    "but a block stands": (MESSENGER, {"blocked": True}, None, 0, False, "blocked"),
}


@pytest.mark.parametrize("case", FREE.values(), ids=FREE)
def test_d08_free_text(case: Any) -> None:
    rule, fields, of, seconds, free, reason = case
    can = capabilities(session(**fields), channel(rule), of, after(seconds))
    assert (can.can_free_text, can.reason) == (free, reason)
    assert bool(can.detail) == bool(reason)
    assert can.carries == ("image", "text")
    if rule.free_s is not None and of is not None and can.can_free_text:
        assert can.can_free_text_until is not None
        assert can.can_free_text_until > after(seconds)


HUMAN: dict[str, tuple[WindowRule, Account | None, float, bool]] = {
    "with the feature, inside the free window": (MESSENGER, TRUSTED, 0, True),
    "with the feature, after it": (MESSENGER, TRUSTED, DAY, True),
    "a second before the end of 7 days": (MESSENGER, TRUSTED, 7 * DAY - 1, True),
    "at the end of 7 days": (MESSENGER, TRUSTED, 7 * DAY, False),
    "without the feature": (MESSENGER, PLAIN, DAY, False),
    "where the channel has none": (WHATSAPP, TRUSTED, DAY, False),
    "an unknown account": (MESSENGER, None, DAY, False),
}


@pytest.mark.parametrize("case", HUMAN.values(), ids=HUMAN)
def test_d08_human_agent(case: Any) -> None:
    rule, of, seconds, can_write = case
    can = capabilities(session(), channel(rule), of, after(seconds))
    assert can.can_human_agent == can_write
    has = of is TRUSTED and rule is MESSENGER
    assert can.human_agent_until == (after(7 * DAY) if has else None)


def test_d08_allowed_templates_are_the_approved_ones_where_the_channel_has_any() -> None:
    can = capabilities(session(), channel(WHATSAPP), BUSINESS, after(DAY))
    assert can.allowed_templates == ("hello/en", "mute/en", "photo/th")
    none = capabilities(session(), channel(MESSENGER), BUSINESS, after(DAY))
    assert none.allowed_templates == ()
    blocked = capabilities(session(blocked=True), channel(WHATSAPP), BUSINESS, after(0))
    assert blocked.allowed_templates == ()


COMMENTED = {"thread": THREAD, "newest": {"thread": Moment(at=WROTE)}}

PRIVATE: dict[str, tuple[dict[str, Any], float, bool]] = {
    "at once": (COMMENTED, 0, True),
    "a second before the end of 7 days": (COMMENTED, 7 * DAY - 1, True),
    "at the end of 7 days": (COMMENTED, 7 * DAY, False),
    "once only": ({**COMMENTED, "private_replied": ("c1",)}, 0, False),
    "another comment was answered": ({**COMMENTED, "private_replied": ("c0",)}, 0, True),
    "no comment": ({}, 0, False),
}


@pytest.mark.parametrize("case", PRIVATE.values(), ids=PRIVATE)
def test_d08_private_reply(case: Any) -> None:
    fields, seconds, can_reply = case
    can = capabilities(session(**fields), channel(COMMENTS), PLAIN, after(seconds))
    assert can.can_reply_privately == can_reply
    assert can.private_reply_until == (after(7 * DAY) if fields else None)


BANGKOK = timezone(timedelta(hours=7))
BERLIN = ZoneInfo("Europe/Berlin")
NEW_YORK = ZoneInfo("America/New_York")

# when the visitor wrote, when the window of 24 h closes; both clocks in whatever zone
ZONES: dict[str, tuple[datetime, datetime]] = {
    "both in another zone": (
        datetime(2026, 3, 1, 19, 0, tzinfo=BANGKOK),
        datetime(2026, 3, 2, 19, 0, tzinfo=BANGKOK),
    ),
    "in two zones": (WROTE, datetime(2026, 3, 2, 19, 0, tzinfo=BANGKOK)),
    "over the night that is an hour short": (
        datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN),
        datetime(2026, 3, 29, 13, 0, tzinfo=BERLIN),
    ),
    "over the night that is an hour long": (
        datetime(2026, 10, 24, 12, 0, tzinfo=BERLIN),
        datetime(2026, 10, 25, 11, 0, tzinfo=BERLIN),
    ),
    "closing in the hour that comes twice, the second time": (
        datetime(2026, 10, 31, 2, 30, tzinfo=NEW_YORK),
        datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK, fold=1),
    ),
}


@pytest.mark.parametrize("case", ZONES.values(), ids=ZONES)
def test_d08_a_window_is_as_long_in_every_zone_and_over_a_change_of_clocks(case: Any) -> None:
    wrote, closes = case
    of, second = channel(MESSENGER), timedelta(seconds=1)
    end = closes.astimezone(UTC)
    seen = session(window_at=wrote)
    assert capabilities(seen, of, PLAIN, closes).can_free_text_until == end
    assert not capabilities(seen, of, PLAIN, closes).can_free_text
    before = (end - second).astimezone(closes.tzinfo)
    assert capabilities(seen, of, PLAIN, before).can_free_text


# --- one message -------------------------------------------------------------------------------


def template(name: str, *values: str, **fields: Any) -> tuple[ContentPart, ...]:
    known: dict[str, Any] = {"language": "en"}
    return (TemplatePart(name=name, body=values, **{**known, **fields}),)


PICTURE = MediaPart(kind="image", attachment="att_1")
FREE_UNTIL, HUMAN_UNTIL, PRIVATE_UNTIL = after(DAY), after(7 * DAY), after(7 * DAY)
NOW = Permit(open_until=FREE_UNTIL)
WHENEVER = Permit()

# rule, session, account, seconds after the visitor wrote, who, what and how: the answer
SENDS: dict[str, tuple[Any, ...]] = {
    "a person, in the window": (MESSENGER, {}, PLAIN, 0, "agent", TEXT, "", NOW),
    "a bot, in the window": (MESSENGER, {}, PLAIN, 0, "bot", TEXT, "", NOW),
    "where there is no window": (OPEN, {}, PLAIN, 0, "bot", TEXT, "", WHENEVER),
    "a person after the window": (
        MESSENGER, {}, PLAIN, DAY, "agent", TEXT, "", "window_closed"
    ),
    "a person in the longer window": (
        MESSENGER, {}, TRUSTED, DAY, "agent", TEXT, "",
        Permit(human_agent=True, open_until=HUMAN_UNTIL),
    ),
    "a person who still has the free window does not use the longer one": (
        MESSENGER, {}, TRUSTED, DAY - 1, "agent", TEXT, "", NOW
    ),
    "a person after the longer window": (
        MESSENGER, {}, TRUSTED, 7 * DAY, "agent", TEXT, "", "window_closed"
    ),
    "a bot in the longer window": (
        MESSENGER, {}, TRUSTED, DAY, "bot", TEXT, "", "window_closed"
    ),
    "an automation in the longer window": (
        MESSENGER, {}, TRUSTED, DAY, "automation", TEXT, "", "window_closed"
    ),
    "the system in the longer window": (
        MESSENGER, {}, TRUSTED, DAY, "system", TEXT, "", "window_closed"
    ),
    "a person where another application has it": (
        MESSENGER, {"standby": True}, PLAIN, 0, "agent", TEXT, "", NOW
    ),
    "a bot where another application has it": (
        MESSENGER, {"standby": True}, PLAIN, 0, "bot", TEXT, "", "standby"
    ),
    "an automation where another application has it": (
        OPEN, {"standby": True}, None, 0, "automation", TEXT, "", "standby"
    ),
    "to one who never wrote": (
        WHATSAPP, {"window_at": None}, BUSINESS, 0, "agent", TEXT, "", "no_window"
    ),
    "one too many": (
        WECHAT, {"window_sends": 5}, PLAIN, 1, "agent", TEXT, "", "count_used_up"
    ),
    "to one who blocked us": (OPEN, {"blocked": True}, PLAIN, 0, "agent", TEXT, "", "blocked"),
    "from an account that is off": (
        OPEN, {}, account(enabled=False), 0, "agent", TEXT, "", "account_unavailable"
    ),
    "a template after the window": (
        WHATSAPP, {}, BUSINESS, DAY, "agent", template("hello", "Ada", "hat"), "", WHENEVER
    ),
    "a template to one who never wrote, by a machine": (
        WHATSAPP, {"window_at": None}, BUSINESS, 0, "schedule",
        template("hello", "Ada", "hat"), "", WHENEVER,
    ),
    "a template in the window may wait beyond it": (
        WHATSAPP, {}, BUSINESS, 0, "agent", template("hello", "Ada", "hat"), "", WHENEVER
    ),
    "a template with a text behind it, in the window": (
        WHATSAPP, {}, BUSINESS, 0, "agent", (*template("hello", "Ada", "hat"), *TEXT), "", NOW
    ),
    "a template with a text behind it, after the window": (
        WHATSAPP, {}, BUSINESS, DAY, "agent", (*template("hello", "Ada", "hat"), *TEXT), "",
        "window_closed",
    ),
    "a template to one who blocked us": (
        WHATSAPP, {"blocked": True}, BUSINESS, 0, "agent", template("hello", "A", "h"), "",
        "blocked",
    ),
    "a template that is not there": (
        WHATSAPP, {}, BUSINESS, 0, "agent", template("bye"), "", "template_unknown"
    ),
    "a template in another language": (
        WHATSAPP, {}, BUSINESS, 0, "agent", template("hello", "A", "h", language="th"), "",
        "template_unknown",
    ),
    "a template that is not approved": (
        WHATSAPP, {}, BUSINESS, 0, "agent", template("draft"), "", "template_unknown"
    ),
    "a template where the channel has none": (
        MESSENGER, {}, BUSINESS, 0, "agent", template("hello", "A", "h"), "", "template_unknown"
    ),
    "a template with a value too few": (
        WHATSAPP, {}, BUSINESS, DAY, "agent", template("hello", "A"), "", "template_values"
    ),
    "a template with a value too many": (
        WHATSAPP, {}, BUSINESS, 0, "agent", template("hello", "A", "h", "x"), "",
        "template_values",
    ),
    "a template whose text we do not know": (
        WHATSAPP, {}, BUSINESS, DAY, "agent", template("mute", "A", "h", "x"), "", WHENEVER
    ),
    "a template without its picture": (
        WHATSAPP, {}, BUSINESS, DAY, "agent", template("photo", language="th"), "",
        "template_values",
    ),
    "a template with its picture": (
        WHATSAPP, {}, BUSINESS, DAY, "agent",
        template("photo", language="th", header_media=PICTURE), "", WHENEVER,
    ),
    "a template with a picture that it has no place for": (
        WHATSAPP, {}, BUSINESS, DAY, "agent",
        template("hello", "A", "h", header_media=PICTURE), "", "template_values",
    ),
    "a template of an account nobody knows": (
        WHATSAPP, {}, None, DAY, "agent", template("bye"), "", WHENEVER
    ),
    "a public reply": (
        COMMENTS, COMMENTED, PLAIN, 99 * DAY, "agent", TEXT, "public", Permit(way="public")
    ),
    "a private reply": (
        COMMENTS, COMMENTED, PLAIN, 0, "agent", TEXT, "private",
        Permit(way="private", open_until=PRIVATE_UNTIL),
    ),
    "a private reply that is too late": (
        COMMENTS, COMMENTED, PLAIN, 7 * DAY, "agent", TEXT, "private", "private_reply_closed"
    ),
    "a second private reply": (
        COMMENTS, {**COMMENTED, "private_replied": ("c1",)}, PLAIN, 0, "agent", TEXT, "private",
        "private_reply_used",
    ),
    "a second private reply, too late as well": (
        COMMENTS, {**COMMENTED, "private_replied": ("c1",)}, PLAIN, 7 * DAY, "agent", TEXT,
        "private", "private_reply_used",
    ),
    "a private reply where there are no comments": (
        MESSENGER, {}, PLAIN, 0, "agent", TEXT, "private", "private_reply_impossible"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", SENDS.values(), ids=SENDS)
def test_d08_a_message_goes_or_is_refused(case: Any) -> None:
    rule, fields, of, seconds, who, parts, way, expected = case
    wish = Wish(parts=parts, actor_kind=who, way=way)
    answer = permitted(session(**fields), channel(rule), of, wish, after(seconds))
    if isinstance(expected, str):
        assert isinstance(answer, Refusal), answer
        assert answer.code == expected
        assert answer.detail
    else:
        assert answer == expected


def test_d08_a_private_reply_to_another_comment_goes_by_that_ones_age() -> None:
    old = Comment(thread=Thread(post="p", comment="c0"), at=after(-7 * DAY))
    fresh = Comment(thread=Thread(post="p", comment="c2"), at=after(0))
    answers = [
        permitted(
            session(**COMMENTED, private_replied=("c1",)),
            channel(COMMENTS),
            PLAIN,
            Wish(parts=TEXT, actor_kind="agent", way="private", comment=comment),
            after(1),
        )
        for comment in (old, fresh)
    ]
    assert isinstance(answers[0], Refusal)
    assert answers[0].code == "private_reply_closed"
    assert answers[1] == Permit(way="private", open_until=PRIVATE_UNTIL)


def test_d08_a_refusal_says_until_when_and_what_goes_all_the_same() -> None:
    wish = Wish(parts=TEXT, actor_kind="agent")
    late = permitted(session(), channel(WHATSAPP), BUSINESS, wish, after(DAY))
    assert isinstance(late, Refusal)
    assert late.facts == {
        "until": "2026-03-02T12:00:00+00:00",
        "templates": "hello/en,mute/en,photo/th",
    }
    robot = Wish(parts=TEXT, actor_kind="bot")
    tagged = permitted(session(), channel(MESSENGER), TRUSTED, robot, after(DAY))
    assert isinstance(tagged, Refusal)
    assert tagged.facts["human_agent_until"] == "2026-03-08T12:00:00+00:00"


def test_d08_capabilities_have_no_limit_where_the_channel_has_none() -> None:
    can = capabilities(session(), channel(OPEN), PLAIN, after(0))
    assert can == Capabilities(can_free_text=True, carries=("image", "text"))


# --- how many of the provider's messages a message becomes -----------------------------------

WRITTEN: dict[str, Any] = {"window_at": WROTE}

# what the session is like, calls of the message, seconds since; until when it may go, or why not
CALLS: dict[str, tuple[dict[str, Any], int, float, float | str]] = {
    "as many as the window takes": (WRITTEN, 5, 1, 2 * DAY),
    "more than the window ever takes": (WRITTEN, 6, 1, "5 more"),
    "as many as are left": ({"window_sends": 3}, 2, 1, 2 * DAY),
    "one more than are left": ({"window_sends": 3}, 3, 1, "2 more"),
    "as many as a click takes": (CLICKED, 3, 1, 60),
    "more than a click takes": (CLICKED, 4, 1, "3 more"),
    "the long window has no room for it, and the brief one has": (
        {"window_sends": 3, "brief_at": WROTE},
        3,
        1,
        60,
    ),
    "what two windows have left is not added up": (
        {"window_sends": 2, "brief_at": WROTE},
        4,
        1,
        "3 more",
    ),
    "the long window where both have room": ({"brief_at": WROTE}, 3, 1, 2 * DAY),
    "the brief window is over": ({"window_sends": 3, "brief_at": WROTE}, 3, 60, "2 more"),
}


@pytest.mark.parametrize(("known", "calls", "seconds", "expected"), CALLS.values(), ids=CALLS)
def test_d08_a_message_goes_whole_or_not_at_all(
    known: dict[str, Any], calls: int, seconds: float, expected: float | str
) -> None:
    counting = msgspec.structs.replace(channel(BRIEF), calls=lambda _message: calls)
    wish = Wish(parts=TEXT, actor_kind="agent")
    answer = permitted(session(**known), counting, PLAIN, wish, after(seconds))
    if isinstance(expected, str):
        assert isinstance(answer, Refusal)
        assert (answer.code, answer.facts["messages"]) == ("count_used_up", str(calls))
        assert f"as {calls} messages" in answer.detail
        assert expected in answer.detail
    else:
        assert answer == Permit(open_until=after(expected))


def test_d08_what_a_channel_cannot_send_is_left_to_the_send() -> None:
    def refuse(_message: Any) -> int:
        raise RejectedError("no", reason="bad_content")

    counting = msgspec.structs.replace(channel(BRIEF), calls=refuse)
    wish = Wish(parts=TEXT, actor_kind="agent")
    assert isinstance(permitted(session(), counting, PLAIN, wish, after(1)), Permit)


LEFT: dict[str, tuple[dict[str, Any], float, int | None]] = {
    "all": ({}, 1, 5),
    "some": ({"window_sends": 3}, 1, 2),
    "none": ({"window_sends": 7}, 1, 0),
    "of the minute after a click": (CLICKED, 1, 3),
    "nothing to say where the window is closed": ({}, 2 * DAY, None),
    "nor where there was none": ({"window_at": None}, 1, None),
}


@pytest.mark.parametrize(("known", "seconds", "left"), LEFT.values(), ids=LEFT)
def test_d08_the_desk_shows_how_many_are_left(
    known: dict[str, Any], seconds: float, left: int | None
) -> None:
    shown = capabilities(session(**known), channel(BRIEF), PLAIN, after(seconds))
    assert shown.sends_left == left
