"""Whether a visitor asks for a human: long messages are told apart without being folded."""

from __future__ import annotations

import unicodedata

import pytest

from libs.common.bots import words
from libs.common.bots.wishes import asks_for_human

WORDS = ("agent", "human", "\uc0c1\ub2f4\uc6d0")

CASES = {
    "a word": ("Human", True),
    "a word among much that is no letter": ("_" * 300 + " *** HUMAN *** " + "!" * 300, True),
    "a word in the parts of its syllables": (unicodedata.normalize("NFD", WORDS[2]), True),
    "a word and a little more": ("human now", False),
    "a word and much more": ("human, or I take all of my orders elsewhere", False),
    "letters beyond what is looked at": ("human" + " " * 3000 + "x" * 99, True),
}


@pytest.mark.parametrize(("text", "asked"), CASES.values(), ids=CASES)
def test_a17_a_wish_is_the_whole_message(text: str, asked: bool) -> None:
    assert asks_for_human(text, WORDS) is asked


def test_a_message_longer_than_every_word_is_not_folded() -> None:
    asks_for_human("human", WORDS)
    before = words._folded.cache_info().misses
    assert not asks_for_human("Where is my order? I have been waiting since Monday.", WORDS)
    assert words._folded.cache_info().misses == before


def test_without_words_nothing_is_a_wish() -> None:
    assert not asks_for_human("human", ())
    assert not asks_for_human("", ())
