"""A message in pieces: cut, fallen back, or refused whole before any call."""

from __future__ import annotations

from typing import Any

import pytest

from libs.common.channel import Outbound, OutgoingFile
from libs.common.errors import RejectedError
from libs.common.events import (
    ActionPart,
    Choice,
    ChoicesPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaKind,
    MediaPart,
    TemplatePart,
    TextPart,
)
from libs.common.outgoing import MediaPiece, Piece, Rules, choices_text, pieces, place_text

TEXT_ONLY = Rules(text_limit=10)
RICH = Rules(
    text_limit=20,
    carries=frozenset({"text", "image", "video", "file", "sticker", "location", "choices"}),
    media_limits={"image": 100, "file": 1000},
    media_types={"sticker": frozenset({"image/webp"})},
    captions={"image": 10},
)
LINKED = Rules(text_limit=20, carries=frozenset({"text", "image"}), needs_link=True)


def file(name: str, mime_type: str, size_bytes: int = 50, link: str = "") -> OutgoingFile:
    return OutgoingFile(id=name, name=name, mime_type=mime_type, size_bytes=size_bytes, link=link)


FILES = {
    found.id: found
    for found in (
        file("a.png", "image/png"),
        file("big.png", "image/png", 500),
        file("huge.png", "image/png", 5000),
        file("a.mp4", "video/mp4"),
        file("a.mp3", "audio/mpeg"),
        file("a.webp", "image/webp"),
        file("a.pdf", "application/pdf"),
        file("linked.png", "image/png", link="https://files.example/1"),
    )
}


def message(*parts: ContentPart) -> Outbound:
    return Outbound(message_id="msg_1", recipient="v", parts=parts, files=FILES)


def media(name: str, kind: MediaKind = "image", **more: Any) -> MediaPart:
    return MediaPart(kind=kind, attachment=name, **more)


def piece(name: str, kind: MediaKind = "image", caption: str = "") -> MediaPiece:
    return MediaPiece(kind=kind, file=FILES[name], caption=caption)


def text(words: str) -> TextPart:
    return TextPart(text=words)


CHOICES = ChoicesPart(
    text="Which?",
    choices=(Choice(title="Red", payload="r"), Choice(title="Shop", url="https://shop.example")),
)
PLACE = LocationPart(latitude=13.75, longitude=100.5, name="Shop", address="1 Main St")

CASES: dict[str, tuple[Rules, tuple[ContentPart, ...], list[Piece]]] = {
    "a text within the limit": (TEXT_ONLY, (text("hello"),), [text("hello")]),
    "a long text is cut at blanks": (
        TEXT_ONLY,
        (text("hello there you"),),
        [text("hello"), text("there you")],
    ),
    "several texts keep their order": (TEXT_ONLY, (text("a"), text("b")), [text("a"), text("b")]),
    "control characters are dropped, half an emoji is replaced": (
        TEXT_ONLY,
        (text("a\x00b\x1b\ud83d"),),
        [text("ab\ufffd")],
    ),
    "blanks alone are nothing": (TEXT_ONLY, (text(" \n"), text("x")), [text("x")]),
    "a file goes as what it is": (RICH, (media("a.png"),), [piece("a.png")]),
    "a text behind a file is its caption": (
        RICH,
        (media("a.png"), text("see")),
        [piece("a.png", caption="see")],
    ),
    "a caption may be as long as its limit": (
        RICH,
        (media("a.png"), text("ten signs!")),
        [piece("a.png", caption="ten signs!")],
    ),
    "a text too long for a caption stays a text": (
        RICH,
        (media("a.png"), text("longer than ten")),
        [piece("a.png"), text("longer than ten")],
    ),
    "only the first text is a caption": (
        RICH,
        (media("a.png"), text("see"), text("this")),
        [piece("a.png", caption="see"), text("this")],
    ),
    "a text before a file is no caption": (
        RICH,
        (text("see"), media("a.png")),
        [text("see"), piece("a.png")],
    ),
    "what has no captions is followed by the text": (
        RICH,
        (media("a.mp4", "video"), text("see")),
        [piece("a.mp4", "video"), text("see")],
    ),
    "too large for its kind, it goes as a file": (
        RICH,
        (media("big.png"),),
        [piece("big.png", "file")],
    ),
    "a type that its kind does not take goes as a file": (
        RICH,
        (media("a.pdf"),),
        [piece("a.pdf", "file")],
    ),
    "a kind that the channel lacks goes as a file": (
        RICH,
        (media("a.mp3", "audio"),),
        [piece("a.mp3", "file")],
    ),
    "a sticker of the provider needs no file": (
        RICH,
        (MediaPart(kind="sticker", sticker_id="7", sticker_set="1"),),
        [MediaPiece(kind="sticker", sticker_id="7", sticker_set="1")],
    ),
    "a sticker from a file": (
        RICH,
        (media("a.webp", "sticker"),),
        [piece("a.webp", "sticker")],
    ),
    "a sticker of another type is a picture": (
        RICH,
        (media("a.png", "sticker"),),
        [piece("a.png", "image")],
    ),
    "a place that is carried stays whole": (RICH, (PLACE,), [PLACE]),
    "choices that are carried stay whole": (RICH, (CHOICES,), [CHOICES]),
    "choices that are not carried are numbered": (
        Rules(text_limit=100),
        (CHOICES,),
        [text("Which?\n1. Red\n2. Shop - https://shop.example")],
    ),
    "a file with a link": (LINKED, (media("linked.png"),), [piece("linked.png")]),
}


@pytest.mark.parametrize(("rules", "parts", "expected"), CASES.values(), ids=CASES)
def test_a_message_goes_out_as(
    rules: Rules, parts: tuple[ContentPart, ...], expected: list[Piece]
) -> None:
    assert pieces(message(*parts), rules) == expected


def test_a_channel_may_say_which_choices_it_shows() -> None:
    two = ChoicesPart(text="", choices=(Choice(title="Yes"), Choice(title="No")))
    assert pieces(message(two), RICH, lambda part: len(part.choices) == 2) == [two]
    assert pieces(message(two), RICH, lambda part: len(part.choices) < 2) == [text("1. Yes\n2. No")]


REFUSED: dict[str, tuple[Rules, tuple[ContentPart, ...], str]] = {
    "nothing": (TEXT_ONLY, (), "bad_content"),
    "blanks": (TEXT_ONLY, (text(" "),), "bad_content"),
    "a file where none is carried": (TEXT_ONLY, (text("x"), media("a.png")), "bad_content"),
    "a file too large for every kind": (RICH, (media("huge.png"),), "too_large"),
    "a type that no kind takes": (LINKED, (media("a.pdf"),), "bad_content"),
    "a file that is not stored": (RICH, (media("none"),), "file_missing"),
    "a provider's sticker where none is carried": (
        LINKED,
        (MediaPart(kind="sticker", sticker_id="7"),),
        "bad_content",
    ),
    "a file that nobody outside can fetch": (LINKED, (media("a.png"),), "file_needs_link"),
    "a place where none is carried": (TEXT_ONLY, (PLACE,), "bad_content"),
    "a business card where none is carried": (RICH, (ContactPart(name="Ada"),), "bad_content"),
    "a template where none is carried": (
        RICH,
        (TemplatePart(name="t", language="en"),),
        "bad_content",
    ),
    "what only visitors send": (RICH, (ActionPart(title="x"),), "bad_content"),
}


@pytest.mark.parametrize(("rules", "parts", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_go_is_refused_whole(
    rules: Rules, parts: tuple[ContentPart, ...], reason: str
) -> None:
    with pytest.raises(RejectedError) as caught:
        pieces(message(*parts), rules)
    assert caught.value.reason == reason


def test_choices_without_a_text_are_only_their_titles() -> None:
    assert choices_text(ChoicesPart(text="", choices=(Choice(title="Yes"),))) == "1. Yes"


def test_a_place_as_text_opens_a_map() -> None:
    link = "https://www.google.com/maps/search/?api=1&query=13.750000,100.500000"
    assert place_text(PLACE) == f"Shop\n1 Main St\n{link}"
    assert place_text(LocationPart(latitude=13.75, longitude=100.5)) == link
