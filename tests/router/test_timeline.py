"""What a person sees of a conversation, whatever the order in which it came."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations
from typing import Any

import msgspec
import pytest

from libs.common.documents import Message, SendStatus, Session
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    InboundEvent,
    InteractionReceived,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageHidden,
    ReactionChanged,
    Referral,
    SendReported,
    TextPart,
    Thread,
)
from libs.common.status import Standing, further
from libs.common.timeline import Related, TimelineEntry, fold, higher, related
from services.router.entry import Arrival, entry_of
from tests.router.rig import arrived, at, event, said

OURS = "msg_ours"
SESSION = Session(
    id="ses_1",
    workspace="acme",
    account="acme-line",
    channel="line",
    visitor="U1",
    contact="con_1",
    list="assigned",
    open_key="acme-line|U1",
    created_at=at(0),
    updated_at=at(0),
)


def kept(event: InboundEvent, sequence: int = 1, *, of_ours: bool = False) -> Message:
    arrival = Arrival(inbound=arrived(event), sequence=sequence)
    return entry_of(arrival, f"msg_{event.event_id}", of_ours=of_ours)


def ours(status: SendStatus = "queued", **more: Any) -> Message:
    return Message(
        id=OURS,
        workspace="acme",
        account="acme-line",
        key="cmd:agent:amy:k1",
        session="ses_1",
        visitor="U1",
        kind="message",
        direction="out",
        sender="agent",
        sender_id="amy",
        occurred_at=at(10),
        received_at=at(10),
        sequence=1,
        parts=(TextPart(text="answer"),),
        status=status,
        status_at=more.pop("status_at", at(10)),
        **more,
    )


HELLO = kept(said("hello", 1, key="1"))


def edited(text: str, seconds: float, version: int = 0) -> Message:
    parts = (TextPart(text=text),)
    key = f"edit-{text}"
    return kept(event(MessageEdited, key, seconds, target="m-1", parts=parts, version=version))


def reacted(emoji: str, seconds: float, author: str = "", sequence: int = 1) -> Message:
    key = f"react-{emoji}-{author}-{seconds}"
    found = event(ReactionChanged, key, seconds, target="m-1", emoji=emoji, author=author)
    return kept(found, sequence)


def hidden(*, yes: bool, seconds: float) -> Message:
    return kept(event(MessageHidden, f"hide-{seconds}", seconds, target="m-1", hidden=yes))


DELETED = kept(event(MessageDeleted, "unsend", 2, target="m-1"))

FOLDS: dict[str, tuple[list[Message], dict[str, Any]]] = {
    "as it was written": ([], {"text": "hello", "edited": False, "before": (), "deleted": False}),
    "the last edit shows": (
        [edited("one", 5), edited("two", 9)],
        {"text": "two", "edited": True, "before": ("hello", "one")},
    ),
    "a version outranks a time": (
        [edited("new", 5, version=2), edited("old", 9, version=1)],
        {"text": "new", "before": ("hello", "old")},
    ),
    "an edit that left the text as it was": ([edited("hello", 5)], {"edited": True, "before": ()}),
    "an unsend takes everything away, even from a later edit": (
        [DELETED, edited("again", 99), reacted("❤", 50)],
        {"text": "", "parts": (), "deleted": True, "edited": False, "before": (), "reactions": ()},
    ),
    "a hidden comment": ([hidden(yes=True, seconds=5)], {"hidden": True, "text": "hello"}),
    "a comment shown again": (
        [hidden(yes=False, seconds=9), hidden(yes=True, seconds=5)],
        {"hidden": False},
    ),
}


@pytest.mark.parametrize(("events", "expected"), FOLDS.values(), ids=FOLDS)
def test_fold(events: list[Message], expected: dict[str, Any]) -> None:
    for given in (events, events[::-1]):
        [entry] = fold([HELLO], given, SESSION)
        assert {name: getattr(entry, name) for name in expected} == expected


def test_each_author_has_one_reaction() -> None:
    events = [reacted("👍", 5, "U2"), reacted("❤", 7), reacted("😮", 6), reacted("", 9, "U2")]
    [entry] = fold([HELLO], events, SESSION)
    assert [(r.emoji, r.author, r.at) for r in entry.reactions] == [("❤", "U1", at(7))]


def test_two_changes_of_one_second_follow_the_stream() -> None:
    events = [reacted("", 5, sequence=9), reacted("❤", 5, sequence=8)]
    assert fold([HELLO], events, SESSION)[0].reactions == ()


def report(status: str, seconds: float = 12, **more: Any) -> Message:
    key = f"report-{status}"
    return kept(event(SendReported, key, seconds, message_id=OURS, status=status, **more))


def receipt(status: str, seconds: float = 20, **more: Any) -> Message:
    targets = {"targets": ("p1",), **more}
    return kept(event(DeliveryReported, f"receipt-{status}", seconds, status=status, **targets))


SENT = report("sent", provider_ids=("p1",))
ECHO = kept(
    event(
        MessageEchoed, "echo", 11, message_id="p1", parts=(TextPart(text="answer"),), metadata=OURS
    ),
    of_ours=True,
)
UP_TO = msgspec.structs.replace(SESSION, read_up_to=at(30), delivered_up_to=at(30))
JUST_BEFORE = msgspec.structs.replace(SESSION, read_up_to=at(11.2))
EARLIER = msgspec.structs.replace(SESSION, read_up_to=at(9))

STATUSES: dict[str, tuple[Message, list[Message], Session, SendStatus]] = {
    "nothing is known yet": (ours(), [], SESSION, "queued"),
    "the sender's report": (ours(), [SENT], SESSION, "sent"),
    "a receipt by provider id": (ours(), [SENT, receipt("delivered")], SESSION, "delivered"),
    "read outranks delivered": (
        ours(),
        [SENT, receipt("read"), receipt("delivered", 40)],
        SESSION,
        "read",
    ),
    "played is read": (ours(), [SENT, receipt("played")], SESSION, "read"),
    "failed after sent is failed": (ours(), [SENT, receipt("failed")], SESSION, "failed"),
    "a late failure never hides a delivery": (
        ours(),
        [SENT, receipt("delivered"), receipt("failed", 90)],
        SESSION,
        "delivered",
    ),
    "an echo settles the unknown": (ours("unknown"), [ECHO], SESSION, "sent"),
    "a receipt that names us settles the unknown": (
        ours("unknown"),
        [receipt("delivered", targets=(), metadata=OURS)],
        SESSION,
        "delivered",
    ),
    "all before the watermark is read": (ours("sent"), [], UP_TO, "read"),
    "a watermark taken from the provider's own time counts": (
        ours(),
        [report("sent", 12)],
        JUST_BEFORE,
        "read",
    ),
    "a watermark from before is not for us": (ours("sent"), [], EARLIER, "sent"),
    "a watermark does not prove the unknown": (ours("unknown"), [], UP_TO, "unknown"),
    "nor that what failed arrived": (ours("failed"), [], UP_TO, "failed"),
    "nor what still waits": (ours(), [], UP_TO, "queued"),
}


@pytest.mark.parametrize(
    ("message", "events", "session", "expected"), STATUSES.values(), ids=STATUSES
)
def test_d21_status(
    message: Message, events: list[Message], session: Session, expected: SendStatus
) -> None:
    for given in permutations(events):
        [entry] = fold([message], given, session)
        assert entry.status == expected


def elsewhere(key: str, mid: str, seconds: float = 11) -> Message:
    parts = (TextPart(text="answer"),)
    return kept(event(MessageEchoed, key, seconds, message_id=mid, parts=parts))


def test_an_echo_of_ours_is_not_shown_twice() -> None:
    mine = ours("sent", provider_ids=("p1",))
    entries = fold([HELLO, mine, elsewhere("e1", "p1")], [], SESSION)
    assert [(entry.id, entry.status) for entry in entries] == [("msg_1", ""), (OURS, "sent")]


def test_an_echo_that_came_before_the_report_is_recognised_by_it() -> None:
    entries = fold([ours("unknown"), elsewhere("e1", "p1")], [SENT], SESSION)
    assert [(entry.id, entry.status) for entry in entries] == [(OURS, "sent")]


def test_an_echo_alone_on_its_page_is_recognised_by_what_is_related() -> None:
    echo = elsewhere("e1", "p1")
    assert related([echo, HELLO]).provider_ids == ("p1",)
    assert fold([echo], [ours("sent", provider_ids=("p1",))], SESSION) == []


def test_what_was_typed_elsewhere_is_shown() -> None:
    [entry] = fold([elsewhere("e1", "p9")], [ours("sent", provider_ids=("p1",))], SESSION)
    assert (entry.sender.kind, entry.sender.id, entry.text) == ("agent", "", "answer")


def test_related_names_what_changes_a_page() -> None:
    mine = ours("sent", provider_ids=("p1", "p2"))
    found = related([HELLO, mine, DELETED])
    assert found.targets == ("m-1", "msg_1", "p1", "p2", OURS)
    assert found.provider_ids == ()


def test_display_is_by_time_then_stream() -> None:
    same = [
        kept(said("b", 5, key="b"), 3),
        kept(said("a", 5, key="a"), 2),
        kept(said("c", 4, key="c"), 9),
    ]
    for given in permutations(same):
        assert [entry.text for entry in fold(given, [], SESSION)] == ["c", "a", "b"]


def test_a_quote_is_resolved_on_the_page() -> None:
    answer = kept(said("yes", 3, key="2", reply_to="m-1"))
    stray = kept(said("no", 4, key="3", reply_to="m-old"))
    assert [e.reply_to for e in fold([HELLO, answer, stray], [], SESSION)] == ["", "msg_1", "m-old"]


SIX = [
    HELLO,
    edited("hello!", 3),
    DELETED,
    receipt("read"),
    reacted("❤", 5),
    reacted("", 6),
]
SIX_OF_OURS = [
    ours("unknown"),
    SENT,
    receipt("delivered"),
    receipt("failed", 25),
    ECHO,
    reacted("❤", 5),
]


@pytest.mark.parametrize("six", [SIX, SIX_OF_OURS], ids=["a visitor's", "ours"])
def test_d4_all_720_orders_show_the_same(six: list[Message]) -> None:
    shown = {
        msgspec.json.encode(fold([m for m in order if m.kind == "message"], order, UP_TO))
        for order in permutations(six)
    }
    assert len(shown) == 1
    assert len(msgspec.json.decode(shown.pop(), type=list[TimelineEntry])) == 1


STANDINGS = [
    Standing(status=status, at=time, reason=reason)
    for status in ("queued", "unknown", "sent", "failed", "delivered", "read")
    for time, reason in ((at(1), ""), (at(2), ""), (at(1), "blocked"), (None, ""))
]


def test_the_standing_that_holds_does_not_depend_on_order() -> None:
    for one in STANDINGS:
        assert further(one, one) == one
        for other in STANDINGS:
            assert further(one, other) == further(other, one)
            for third in STANDINGS:
                assert further(further(one, other), third) == further(one, further(other, third))


def test_the_earliest_of_equal_reports_tells_when() -> None:
    times: list[datetime | None] = [at(5), at(3)]
    first, second = (Standing(status="read", at=time) for time in times)
    assert further(first, second).at == at(3)


# --- comments ----------------------------------------------------------------------------------

TOP = Thread(post="p", comment="m-top", parent="p")
BELOW = Thread(post="p", comment="m-below", parent="m-top")
ELSEWHERE = Thread(post="p", comment="m-other", parent="p")

REMOVED = kept(event(MessageDeleted, "gone", 9, target="m-top"), 9)
HIDDEN = kept(event(MessageHidden, "hide", 9, target="m-top", hidden=True), 9)

# what stands where, and what happened to the comment at the top: whether the public sees it
BELOW_A_COMMENT: dict[str, tuple[Message, list[Message], bool]] = {
    "a reply below a comment that was removed": (
        kept(said("below", 2, thread=BELOW)),
        [REMOVED],
        True,
    ),
    "a reply of ours below it": (ours(thread=TOP), [REMOVED], True),
    "a private reply is no comment": (ours(thread=TOP, way="private"), [REMOVED], False),
    "a reply of the page, from elsewhere": (
        kept(event(MessageEchoed, "echo", 3, message_id="g", parts=(), thread=BELOW)),
        [REMOVED],
        True,
    ),
    "another comment on the same post": (
        kept(said("other", 2, thread=ELSEWHERE)),
        [REMOVED],
        False,
    ),
    "a reply below a comment that was only hidden": (
        kept(said("below", 2, thread=BELOW)),
        [HIDDEN],
        False,
    ),
    "a comment that is hidden itself": (kept(said("top", 1, thread=TOP)), [HIDDEN], True),
}


@pytest.mark.parametrize("case", BELOW_A_COMMENT.values(), ids=BELOW_A_COMMENT)
def test_a_removed_comment_hides_what_stands_below_it(case: Any) -> None:
    message, events, hidden = case
    [entry] = fold([message], events, SESSION)
    assert entry.hidden == hidden
    assert not entry.deleted
    if hidden:
        assert "m-top" in related([message]).targets


DEEP = Thread(post="p", comment="m-deep", parent="m-below")
BETWEEN = kept(said("below", 2, thread=BELOW))
REPLIES_TO_REPLIES: dict[str, tuple[Message, list[Message], bool]] = {
    "below a reply to the comment that was removed": (
        kept(said("deep", 3, thread=DEEP)),
        [BETWEEN, REMOVED],
        True,
    ),
    "an answer of ours to such a reply": (ours(thread=BELOW), [BETWEEN, REMOVED], True),
    "nothing was removed": (kept(said("deep", 3, thread=DEEP)), [BETWEEN], False),
    "comments that name each other": (
        kept(said("deep", 3, thread=DEEP)),
        [kept(said("below", 2, thread=Thread(post="p", comment="m-below", parent="m-deep")))],
        False,
    ),
}


@pytest.mark.parametrize("case", REPLIES_TO_REPLIES.values(), ids=REPLIES_TO_REPLIES)
def test_d5_a_removed_comment_hides_what_stands_further_below(case: Any) -> None:
    message, events, hidden = case
    [entry] = fold([message], events, SESSION)
    assert entry.hidden == hidden


def test_d5_what_is_above_is_asked_for_until_the_top() -> None:
    deep = kept(said("deep", 3, thread=DEEP))
    first = related([deep])
    assert "m-below" in first.targets
    assert "m-below" in first.provider_ids
    second = higher([BETWEEN], first)
    assert (second.targets, second.provider_ids) == (("m-top",), ("m-top",))
    top = kept(said("top", 1, thread=TOP))
    assert higher([top], second) == Related()


# --- where a visitor came from -----------------------------------------------------------------

AD = Referral(source="ad", ad_id="7", headline="Sale", url="https://x.example")
CAME: dict[str, tuple[InboundEvent, Referral | None]] = {
    "with a message": (said("hi", referral=AD), AD),
    "into a thread that is there": (
        event(InteractionReceived, "r", 1, kind="referral", referral=AD),
        AD,
    ),
    "by following through a code": (
        event(ContactChanged, "f", 1, change="follow", referral=AD),
        AD,
    ),
    "a message of nowhere": (said("hi"), None),
    "a follow of nowhere": (event(ContactChanged, "f", 1, change="follow"), None),
}


@pytest.mark.parametrize(("came", "expected"), CAME.values(), ids=CAME)
def test_d6_an_entry_shows_where_the_visitor_came_from(
    came: InboundEvent, expected: Referral | None
) -> None:
    [entry] = fold([kept(came)], [], SESSION)
    assert entry.referral == expected
