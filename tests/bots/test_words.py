"""How what people type is compared."""

from __future__ import annotations

import pytest

from libs.common.bots.words import fold, has_words, same

FOLDS = {
    "case, punctuation and blanks do not matter": ("  Hello,   WORLD!! ", "hello world"),
    "an apostrophe parts no word": ("L\u2019heure d'ete?", "lheure dete"),
    "full-width digits are digits": ("\uff12\uff10\uff12\uff16", "2026"),
    "a keycap is its digit": ("1\ufe0f\u20e3", "1"),
    "an emoji is nothing to read": ("\U0001f44d\U0001f3fd", ""),
    "a sharp s is two": ("Stra\u00dfe", "strasse"),
    "accents stay, composed or not": ("Ma\u0301", "m\u00e1"),
    "blanks in Thai are as people like": ("ราคา เท่าไร ครับ", "ราคาเท่าไรครับ"),
    "blanks between Thai and Latin vanish too": ("ราคา iPhone 15", "ราคาiphone 15"),
    "a lone surrogate is nothing": ("a\ud800b", "a b"),
    "an accent on nothing is nothing": ("\u00af \u0301", ""),
    "what is endless is cut": ("a" * 5000, "a" * 2000),
}

WORDS = {
    "a whole word": ("what is the price", "price", True),
    "no part of a word": ("pricey things", "price", False),
    "a later place counts where an earlier one is torn": ("pricey price", "price", True),
    "several words in order": ("can i get a refund please", "get a refund", True),
    "several words in another order": ("a refund get", "get a refund", False),
    "Thai anywhere": ("อยากทราบราคาสินค้า", "ราคา", True),
    "Thai, but not without its tone mark": ("ม้า", "มา", False),
    "Thai, but not without its vowel": ("ที่", "ท", False),
    "Chinese anywhere": ("请问价格是多少", "价格", True),
    "Latin beside Thai": ("ราคาiphone", "iphone", True),
    "Latin inside a Latin word beside Thai": ("ราคาiphones", "iphone", False),
    "Latin between Thai": ("ราคาiphoneเท่าไร", "iphone", True),
    "Latin and Thai as one": ("ขอราคาiphoneครับ", "ราคาiphone", True),
    "no word is nowhere": ("anything", "", False),
}

SAME = {
    "by letters": ("Yes!", "yes", True),
    "emoji as they are": ("\U0001f44d", " \U0001f44d", True),
    "another emoji": ("\U0001f44d", "\U0001f44e", False),
    "nothing is like nothing": ("", "", False),
}


@pytest.mark.parametrize(("text", "expected"), FOLDS.values(), ids=FOLDS)
def test_fold(text: str, expected: str) -> None:
    assert fold(text) == expected
    assert fold(expected) == expected


@pytest.mark.parametrize(("text", "words", "expected"), WORDS.values(), ids=WORDS)
def test_has_words(text: str, words: str, expected: bool) -> None:
    assert has_words(fold(text), fold(words)) is expected


@pytest.mark.parametrize(("one", "other", "expected"), SAME.values(), ids=SAME)
def test_same(one: str, other: str, expected: bool) -> None:
    assert same(one, other) is expected
