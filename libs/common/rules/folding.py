"""Comparing text as people mean it, and patterns that need linear time.

Folded text is in Unicode's compatibility form (NFKC), without case, with single blanks, straight
apostrophes and no invisible characters. Accents stay: `ano` and `año` are different words, and so
are most words of Vietnamese and Thai that differ in a mark only.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import re2

MATCHED_CHARACTERS = 4_000
"""Only so much of a text is looked at."""

PATTERN_BYTES = 1 << 19
"""Most memory of one pattern: what needs more, as letters of all scripts 50 times, is refused."""

_MENDED = str.maketrans(
    {"\u2019": "'", "\u02bc": "'"}
    | dict.fromkeys("\u00ad\u200b\u200e\u200f\u2060\ufeff")  # soft hyphen, zero width, direction
)
_UNSPACED = (  # scripts without blanks between words, and Korean, which glues particles on
    ("\u0e00", "\u0eff"),  # Thai, Lao
    ("\u0f00", "\u0fff"),  # Tibetan
    ("\u1000", "\u109f"),  # Myanmar
    ("\u1100", "\u11ff"),  # Hangul letters
    ("\u1780", "\u17ff"),  # Khmer
    ("\u3005", "\u30ff"),  # kana, ideographic marks
    ("\u3130", "\u318f"),
    ("\u31f0", "\u31ff"),
    ("\u3400", "\u9fff"),  # Han
    ("\ua960", "\ua97f"),
    ("\uac00", "\ud7ff"),  # Hangul
    ("\uf900", "\ufaff"),
    ("\U0001b000", "\U0001b16f"),
    ("\U00020000", "\U0003ffff"),
)


@lru_cache(maxsize=256)
def fold(text: str) -> str:
    """Return what *text* is compared by; of a long one only the first 4,000 characters."""
    text = text[:MATCHED_CHARACTERS]
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_MENDED)
        text = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(text.lower().split())


def has_word(folded: str, word: str) -> bool:
    """Tell whether *word* stands in the text, both folded, as a whole word.

    A border is any place but one between two letters or digits of scripts that put blanks between
    words; so in Thai, Chinese, Japanese or Korean any occurrence counts. None begins or ends inside
    a letter with its marks.
    """
    at = folded.find(word) if word else -1
    while at >= 0:
        end = at + len(word)
        if _is_border(folded, at) and _is_border(folded, end):
            return True
        at = folded.find(word, at + 1)
    return False


def pattern_problem(pattern: str) -> str:
    """Return what RE2 has against *pattern*; empty: nothing."""
    return _compiled(pattern)[1]


def read_patterns(patterns: Iterable[str]) -> None:
    """Compile *patterns*, so that the first who asks about them need not wait.

    One may take 50 ms; in a thread of its own it lets others have their turn between them.
    """
    for pattern in patterns:
        _compiled(pattern)


def matches(pattern: str, text: str) -> bool | None:
    r"""Tell whether RE2 finds *pattern* in the text, whatever the case; None: it refuses it.

    The text is as it was written, in composed form (NFC). `.` stops at the end of a line, `\d`,
    `\w` and `\b` know ASCII only (`\pN`, `\pL` know all), and `(?-i)` minds the case.
    """
    compiled = _compiled(pattern)[0]
    return None if compiled is None else compiled.search(_as_written(text)) is not None


def _is_border(text: str, at: int) -> bool:
    if at in {0, len(text)}:
        return True
    before, after = text[at - 1], text[at]
    if unicodedata.category(after)[0] == "M":
        return False
    return not (_is_spaced(before) and _is_spaced(after))


def _is_spaced(char: str) -> bool:
    """Tell whether *char* is part of a word that blanks set apart."""
    if char < "\u0300":
        return char.isalnum() or char == "_"
    if any(first <= char <= last for first, last in _UNSPACED):
        return False
    return char.isalnum() or unicodedata.category(char)[0] == "M"


@lru_cache(maxsize=64)
def _as_written(text: str) -> bytes:
    return unicodedata.normalize("NFC", text[:MATCHED_CHARACTERS]).encode(errors="replace")


@lru_cache(maxsize=1024)  # at most 512 MiB of the worst; most take a few KiB
def _compiled(pattern: str) -> tuple[re2._Regexp | None, str]:
    options = re2.Options()
    options.case_sensitive = False
    options.never_capture = True
    options.log_errors = False
    options.max_mem = PATTERN_BYTES  # with the usual 8 MiB one pattern may take a second to read
    try:
        return re2.compile(unicodedata.normalize("NFC", pattern).encode(), options), ""
    except UnicodeEncodeError:
        return None, "half a surrogate pair is no character"
    except re2.error as error:
        detail = error.args[0]
        return None, detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
