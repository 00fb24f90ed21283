"""Search over contacts and messages (D23): what is found, by what, and by whom."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.contact_keys import keyed
from libs.common.documents import CONTACTS, Contact
from libs.common.events import (
    ActionPart,
    MediaPart,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    TextPart,
)
from libs.common.words import query_words
from services.desk import search as searching
from services.desk.search_shown import excerpt_of
from tests.desk.world import World

T0 = datetime(2026, 3, 1, 9, tzinfo=UTC)
SAID = (
    ("Ann", "Where is my invoice for order 12345?"),
    ("Ann", "The Straße is closed, the INVOICE was wrong"),
    ("Bob", "Invoices and receipts please"),
    ("Cem", "申請書を送ります"),
    ("Cem", "ขอใบเสร็จน้ำดื่มครับ"),
    ("Cem", "أين الفَاتُورَة"),
    ("Dee", "Call me at +44 (20) 7946-0958 or mail dee.smith@example.org"),
)
Q: dict[str, tuple[str, list[str]]] = {
    "a word": ("receipts", ["Invoices and receipts please"]),
    "a beginning": (
        "invo",
        ["Invoices and receipts please", SAID[1][1], SAID[0][1]],
    ),
    "several words, in any order and case": ("WRONG the", [SAID[1][1]]),
    "all words, or nothing": ("invoice umbrella", []),
    "a sharp s, written out": ("strasse", [SAID[1][1]]),
    "two signs of a script without spaces": ("申請", [SAID[3][1]]),
    "signs further on": ("書を送り", [SAID[3][1]]),
    "a single sign": ("請", [SAID[3][1]]),
    "the last sign": ("す", [SAID[3][1]]),
    "signs that are there, but not next to one another": ("申書", []),
    "a piece of Thai with its vowels": ("น้ำดื่ม", [SAID[4][1]]),
    "Arabic without its vowel points": ("الفاتورة", [SAID[5][1]]),
    "a number": ("12345", [SAID[0][1]]),
    "a telephone number": ("+44 20 7946 0958", [SAID[6][1]]),
    "the number without its country": ("020 7946 0958", [SAID[6][1]]),
    "an address": ("Dee.Smith@example.org", [SAID[6][1]]),
    "a piece of an address": ("smith example", [SAID[6][1]]),
    "signs that mean something elsewhere": (".*|(invoice$", [SAID[2][1], SAID[1][1], SAID[0][1]]),
    "punctuation alone": ("?!…", []),
    "an emoji": ("🎉", []),
}


@pytest.fixture
async def told(world: World) -> AsyncIterator[World]:
    for n, (visitor, text) in enumerate(SAID):
        await world.writes(text, visitor=visitor, at=T0 + timedelta(minutes=n))
    yield world


async def messages(world: World, who: str = "amy", **query: Any) -> list[str]:
    found = await world.get("/search", who, kind="messages", **query)
    return [hit["excerpt"]["text"] for hit in found["messages"]["items"]]


async def test_d23_messages_are_found_by_words_newest_first(told: World) -> None:
    for sentence, (text, expected) in Q.items():
        assert await messages(told, q=text) == expected, sentence


async def test_d23_whatever_is_typed_is_answered(told: World) -> None:
    typed = {
        "one letter": "i",
        "a thousand words": " ".join(f"word{n}" for n in range(1000)),
        "common words alone": "the is my",
        "seven thousand characters": "ab " * 2300,
        "one long word": "x" * 7_000,
        "signs of formatting": "%_\\'\"`$({[",
        "only accents": "e" + "\u0301\u0323" * 500,
    }
    for sentence, text in typed.items():
        answer = await told.call("GET", "/search", "amy", query=[("q", text)])
        assert answer.status == 200, sentence
    assert await messages(told, q="i")
    long = await told.call("GET", "/search", "amy", query=[("q", "ab " * 3300)])
    assert long.status == 400, "longer than an address may be"
    for odd in ("%00", "%ed%a0%80", "%ff"):
        answer = await told.call("GET", f"{told.base}/api/v1/search?q={odd}", "amy")
        assert answer.status in {200, 400}, odd
    wrong = {
        "nothing is asked for": ({}, "q"),
        "an unknown kind": ({"q": "a", "kind": "spells"}, "kind.0"),
        "an unknown channel": ({"q": "a", "channel": "pigeon"}, "channel.0"),
        "a cursor for two groups": ({"q": "a", "cursor": "WzEsMSwieCJd"}, "kind"),
        "no cursor": ({"q": "a", "kind": "messages", "cursor": "zz"}, "cursor"),
        "a time without a zone": ({"from": "2026-03-01T00:00:00"}, "from"),
        "too many rows": ({"q": "a", "limit": "101"}, "limit"),
    }
    for sentence, (query, field) in wrong.items():
        answer = await told.call("GET", "/search", "amy", query=list(query.items()))
        assert (answer.status, answer.json["facts"]["field"]) == (422, field), sentence
