"""Comparing what people type: folded, without punctuation, by words where a script has words."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

LONGEST = 2000
"""Characters of a text that are looked at; what visitors ask is shorter."""

# Scripts that write no blanks between words: Thai, Lao, Myanmar, Khmer, kana, Chinese characters.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNSPACED_CHAR = re.compile(f"[{_UNSPACED}]")
_BLANK_BESIDE = re.compile(rf"(?<=[{_UNSPACED}]) | (?=[{_UNSPACED}])")
_APOSTROPHES = frozenset("'\u2019\u02bc\u2018`")


def fold(text: str) -> str:
    """Return *text* as it is compared: lower case, letters and digits only, single blanks.

    Compatibility forms become the plain ones (full-width digits, ligatures, a keycap's digit).
    Apostrophes vanish, all other punctuation, symbols and emoji part words. Blanks beside a script
    that writes none vanish too, since people set them there as they like. "" is a text without
    letters and digits.
    """
    return _folded(text[:LONGEST])


@lru_cache(maxsize=512)
def _folded(text: str) -> str:
    """Return `fold` of a text that is not too long; a message is folded by all who look at it."""
    plain = unicodedata.normalize("NFKC", text)
    plain = unicodedata.normalize("NFKC", plain.casefold())
    words = "".join(map(_kept, plain)).split()
    shown = " ".join(word for word in words if any(map(str.isalnum, word)))  # no lone marks
    return _BLANK_BESIDE.sub("", shown)


@lru_cache(maxsize=20_000)
def _kept(char: str) -> str:
    if char.isalnum():
        return char
    kind = unicodedata.category(char)
    if kind in {"Cf", "Me"} or char in _APOSTROPHES or "\ufe00" <= char <= "\ufe0f":
        return ""  # joiners, keycaps and the choice between text and emoji
    return char if kind in {"Mn", "Mc"} else " "


def is_unspaced(folded: str) -> bool:
    """Tell whether a folded text is of a script that writes no blanks, at least in part."""
    return _UNSPACED_CHAR.search(folded) is not None


def same(one: str, other: str) -> bool:
    """Tell whether two texts say the same; what has no letters (an emoji) is compared as it is."""
    folded = fold(one)
    if folded:
        return folded == fold(other)
    return bool(one.strip()) and one.strip() == other.strip()


def has_words(text: str, words: str) -> bool:
    """Tell whether folded *text* has folded *words*, in that order and whole.

    Where the script writes no blanks, any place will do that does not tear a letter from its
    vowel or tone mark.
    """
    if not words or words not in text:
        return False
    if not is_unspaced(words):
        return f" {words} " in _parted(text)
    edges = _edges(text)
    at = text.find(words)
    while at >= 0:
        if edges[at] and edges[at + len(words)]:
            return True
        at = text.find(words, at + 1)
    return False


@lru_cache(maxsize=16)
def _parted(text: str) -> str:
    """Return what a text has of scripts that write blanks, between blanks."""
    return f" {_UNSPACED_CHAR.sub(' ', text)} "


@lru_cache(maxsize=16)
def _edges(text: str) -> tuple[bool, ...]:
    """Return by place whether a word may end before, and another begin at it."""
    return tuple(_is_edge(text, at) for at in range(len(text) + 1))


def _is_edge(text: str, at: int) -> bool:
    """Tell whether a word may end before, and another begin at, *at*."""
    if at in {0, len(text)} or " " in text[at - 1 : at + 1]:
        return True
    if unicodedata.category(text[at]).startswith("M"):
        return False
    return is_unspaced(text[at - 1 : at + 1])
