"""A20: what becomes of replies to visitors of the web chat who have left. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.awaited import (
    MOST_REPLIES,
    Awaited,
    Letter,
    Reply,
    Written,
    first_address,
    written_id,
)
from libs.common.channels.web.wire import SignOfLife
from libs.common.events import SendRequest, TextPart
from libs.common.switches import OfflineVisitors
from services.notifier.offline import (
    LONGEST_QUIETS,
    MAILS_A_DAY,
    View,
    charged,
    closed,
    looked,
    noted,
    wants_mail,
)
from services.notifier.offline_lives import Lives
from services.notifier.offline_mail import short

T0 = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
EMAIL = OfflineVisitors(method="email", after_s=60, quiet_s=30)
PLUGIN = msgspec.structs.replace(EMAIL, method="plugin")
ADDRESS = "eve@example.org"


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def reply(number: int, seconds: float = 0, method: Any = "") -> Reply:
    return Reply(id=f"m{number}", at=at(seconds), said_at=at(seconds), method=method)


def doc(*replies: Reply, **more: Any) -> Awaited:
    return Awaited(
        id="ses",
        workspace="w",
        account="shop",
        visitor="v",
        replies=replies,
        due_at=at(0),
        updated_at=at(0),
        **more,
    )


def view(seconds: float, **more: Any) -> View:
    given: dict[str, Any] = {
        "seen": None,
        "known_since": at(-1000),
        "read_up_to": None,
        "settings": EMAIL,
        "address": ADDRESS,
    }
    return View(now=at(seconds), **{**given, **more})


DONE = ("done", None)


def mailed(*ids: str) -> tuple[str, Any]:
    return ("mail", ids)


def waits(seconds: float) -> tuple[str, Any]:
    return ("wait", at(seconds))


LOOKED: dict[str, tuple[Awaited, View, tuple[str, Any]]] = {
    "nobody came for so long": (doc(reply(1)), view(60), mailed("m1")),
    "not yet for so long": (doc(reply(1)), view(59), waits(60)),
    "seen just before the reply, and gone": (
        doc(reply(1)),
        view(60, seen=at(-1)),
        mailed("m1"),
    ),
    "seen since the reply": (doc(reply(1)), view(60, seen=at(1)), DONE),
    "seen in the moment of the reply": (doc(reply(1)), view(60, seen=at(0)), DONE),
    "has read it": (doc(reply(1)), view(60, read_up_to=at(0)), DONE),
    "has read what was before it": (doc(reply(1)), view(60, read_up_to=at(-1)), mailed("m1")),
    "came between two replies": (
        doc(reply(1), reply(2, 40)),
        view(100, seen=at(20)),
        mailed("m2"),
    ),
    "came between two replies, and left too shortly ago": (
        doc(reply(1), reply(2, 40)),
        view(99, seen=at(20)),
        waits(100),
    ),
    "two replies, quiet since": (doc(reply(1), reply(2, 40)), view(70), mailed("m1", "m2")),
    "two replies, perhaps a third": (doc(reply(1), reply(2, 40)), view(69), waits(70)),
    "replies without an end": (
        doc(*(reply(n, 20 * n) for n in range(20))),
        view(60 + LONGEST_QUIETS * 30),
        mailed(*(f"m{n}" for n in range(20))),
    ),
    "the notifier has just begun to listen": (
        doc(reply(1)),
        view(60, known_since=at(50)),
        waits(110),
    ),
    "the notifier has listened for long enough": (
        doc(reply(1)),
        view(110, known_since=at(50)),
        mailed("m1"),
    ),
    "the settings say plugin": (doc(reply(1)), view(60, settings=PLUGIN), DONE),
    "the settings say plugin, the agent email": (
        doc(reply(1, method="email")),
        view(60, settings=PLUGIN),
        mailed("m1"),
    ),
    "the settings say email, the agent plugin": (doc(reply(1, method="plugin")), view(60), DONE),
    "one for the plugin, one by email": (
        doc(reply(1, method="plugin"), reply(2)),
        view(60),
        mailed("m2"),
    ),
    "no address": (doc(reply(1)), view(60, address=""), DONE),
    "no address, though the agent said email": (
        doc(reply(1, method="email")),
        view(60, address=""),
        DONE,
    ),
    "an email went out just now": (
        doc(reply(1), mailed_at=at(50)),
        view(60),
        waits(80),
    ),
    "an email went out a while ago": (doc(reply(1), mailed_at=at(30)), view(60), mailed("m1")),
}


@pytest.mark.parametrize(("known", "seen", "expected"), LOOKED.values(), ids=LOOKED)
def test_a20_what_is_mailed_what_waits_and_what_is_over(
    known: Awaited, seen: View, expected: tuple[str, Any]
) -> None:
    found = looked(known, seen)
    if found.letter is not None:
        assert ("mail", found.letter.replies) == expected
        assert (found.letter.to, found.letter.key) == (ADDRESS, f"ses:{expected[1][-1]}")
    else:
        assert ("wait" if found.due_at else "done", found.due_at) == expected
    kept = {each.id for each in found.replies}
    assert kept | set(found.settled) == {each.id for each in known.replies}


def test_a20_what_is_seen_is_settled_once_and_not_told_again() -> None:
    over = looked(doc(reply(1)), view(60, seen=at(1)))
    assert noted(over, reply(1, 70), EMAIL) is None
    again = noted(over, reply(2, 70), EMAIL)
    assert again is not None
    assert (again.due_at, [each.id for each in again.replies]) == (at(130), ["m2"])


def test_a20_a_letter_is_finished_as_it_was_begun_whatever_came_since() -> None:
    begun = looked(doc(reply(1)), view(60))
    more = noted(begun, reply(2, 61), EMAIL)
    assert more is not None
    assert looked(more, view(62, seen=at(62))) == more
    shut = closed(more, EMAIL, at(63), mailed=True)
    assert shut.letter is None
    assert [each.id for each in shut.replies] == ["m2"]
    assert (shut.mailed_at, shut.due_at) == (at(63), at(121))
    assert noted(shut, reply(1, 64), EMAIL) is None


def test_a20_a_try_that_waits_is_not_put_off_by_another_reply() -> None:
    letter = Letter(key="ses:m1", to=ADDRESS, replies=("m1",), at=at(0))
    waiting = msgspec.structs.replace(doc(reply(1)), letter=letter, due_at=at(20))
    more = noted(waiting, reply(2, 10), EMAIL)
    assert more is not None
    assert more.due_at == at(20)


def test_a20_replies_are_bounded() -> None:
    known = doc()
    for number in range(3 * MOST_REPLIES):
        found = noted(known, reply(number, number), EMAIL)
        assert found is not None
        known = found
    assert len(known.replies) == len(known.settled) == MOST_REPLIES
    assert known.replies[-1].id == f"m{3 * MOST_REPLIES - 1}"


def test_g16_an_address_gets_so_many_emails_a_day() -> None:
    written = Written(id=written_id(ADDRESS), workspace="w", updated_at=at(0))
    for number in range(MAILS_A_DAY):
        found = charged(written, f"k{number}", at(number))
        assert found is not None
        written = found
    assert charged(written, "one more", at(100)) is None
    assert charged(written, "k3", at(100)) is not None  # the same email, tried again
    assert charged(written, "one more", at(24 * 3600)) is not None


WANTED: dict[str, tuple[dict[str, Any], OfflineVisitors, bool]] = {
    "by the settings": ({}, EMAIL, True),
    "by the settings, not": ({}, PLUGIN, False),
    "by the agent": ({"offline": "email"}, PLUGIN, True),
    "by the agent, not": ({"offline": "plugin"}, EMAIL, False),
    "another channel": ({"channel": "line"}, EMAIL, False),
}


@pytest.mark.parametrize(("more", "settings", "expected"), WANTED.values(), ids=WANTED)
def test_a20_which_messages_are_looked_after(
    more: dict[str, Any], settings: OfflineVisitors, expected: bool
) -> None:
    given: dict[str, Any] = {
        "message_id": "m",
        "workspace": "w",
        "channel": "web",
        "account": "shop",
        "session": "ses",
        "visitor": "v",
        "parts": (TextPart(text="hi"),),
        "queued_at": at(0),
        "sender": "agent:ada",
    }
    assert wants_mail(SendRequest(**{**given, **more}), settings) is expected


ADDRESSES: dict[str, tuple[tuple[str, ...], str]] = {
    "what the visitor said": (("eve@example.org", "old@example.org"), "eve@example.org"),
    "what the contact has": (("", "old@example.org"), "old@example.org"),
    "what the visitor said is none": (("eve", "old@example.org"), "old@example.org"),
    "blanks around it": ((" eve@example.org\n",), "eve@example.org"),
    "two of them": (("eve@example.org, bob@example.org",), ""),
    "a header behind it": (("eve@example.org\r\nBcc: all@example.org",), ""),
    "a name with it": (("Eve <eve@example.org>",), ""),
    "no domain": (("eve@localhost",), ""),
    "an empty label": (("eve@example..org",), ""),
    "too long": (("e" * 60 + "@" + "x." * 100 + "org",), ""),
}


@pytest.mark.parametrize(("known", "expected"), ADDRESSES.values(), ids=ADDRESSES)
def test_a20_where_the_visitor_reads_email(known: tuple[str, ...], expected: str) -> None:
    assert first_address(*known) == expected


# --- signs of life -----------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.connected = True

    def __call__(self) -> datetime:
        return at(self.seconds)


def sign(visitor: str, account: str = "shop") -> bytes:
    wrong_clock = datetime(2000, 1, 1, tzinfo=UTC)
    return msgspec.json.encode(SignOfLife(account=account, visitor=visitor, at=wrong_clock))


def test_a20_a_visitor_was_seen_by_our_own_clock() -> None:
    clock = Clock()
    lives = Lives(clock, lambda: clock.connected)
    clock.seconds = 5
    lives.take("rt.w.visitor.shop", sign("v"))
    assert lives.seen("shop", "v") == at(5)
    assert lives.seen("other", "v") is None
    assert lives.known_since == at(0)


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 2000])
def test_a_strange_sign_of_life_says_nothing(data: bytes) -> None:
    clock = Clock()
    lives = Lives(clock, lambda: clock.connected)
    lives.take("rt.w.visitor.shop", data)
    assert len(lives) == 0


def test_a20_who_is_forgotten_is_not_called_gone() -> None:
    clock = Clock()
    lives = Lives(clock, lambda: clock.connected, most=3)
    for number in range(5):
        clock.seconds = number
        lives.take("", sign(f"v{number}"))
        lives.take("", sign("v0"))  # who is there all the time stays known
    assert len(lives) == 3
    assert lives.seen("shop", "v0") == at(4)
    assert lives.seen("shop", "v1") is None
    assert lives.known_since == at(2)  # when v2, the last that was forgotten, was seen
    for visitor in ("v5", "v6"):
        lives.take("", sign(visitor))
    assert lives.seen("shop", "v0") == at(4)


def test_a20_what_was_missed_while_away_is_not_known() -> None:
    clock = Clock()
    lives = Lives(clock, lambda: clock.connected)
    clock.seconds, clock.connected = 10, False
    assert lives.known_since == at(10)
    clock.seconds, clock.connected = 20, True
    lives.begin()
    assert lives.known_since == at(20)


QUOTED: dict[str, tuple[str, str]] = {
    "a link": ("see https://spam.example/buy now", "see [link] now"),
    "a bare domain": ("Go to evil-bank.example.com or (evil.com?pay=1).", "Go to [link] or [link]"),
    "an address": ("mail pay@evil.com", "mail [link]"),
    "a domain in other letters": ("on bücher.рф and evil\u3002com", "on [link] and [link]"),
    "a price and two sentences": ("It was 3.50 EUR. Too much...", "It was 3.50 EUR. Too much..."),
    "Chinese sentences": ("你好\u3002谢谢\u3002", "你好\u3002谢谢\u3002"),
    "too much": ("x" * 400, "x" * 299 + "…"),
}


@pytest.mark.parametrize(("wrote", "quoted"), QUOTED.values(), ids=QUOTED)
def test_g16_what_a_visitor_wrote_is_quoted_without_links(wrote: str, quoted: str) -> None:
    assert short(wrote) == quoted
