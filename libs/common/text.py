"""Cutting text to a provider's limit without tearing what a reader sees as one character."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

TextUnit = Literal["characters", "utf16", "bytes"]
"""How a provider counts: code points, UTF-16 code units, or bytes of UTF-8."""

_ENCODING = {"utf16": ("utf-16-le", 2), "bytes": ("utf-8", 1)}
_JOINER = "\u200d"
_MARKS = frozenset({"Mn", "Me", "Mc"})
_VIRAMA = 9  # its combining class
_WIDEST = 4  # bytes of the longest code point
_EXTENDERS = re.compile(
    "[\u200c\u200d\uff9e\uff9f\u0e33\u0eb3"  # joiners, half-width kana marks, Thai and Lao am
    "\u1160-\u11ff\ud7b0-\ud7fb"  # Hangul vowels and finals
    "\udc00-\udfff"  # the second half of a surrogate pair
    "\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"  # skin tones, tags of sub-region flags
)
_SENTENCE_ENDS = frozenset("。！？；，、…")  # noqa: RUF001  # scripts that write no spaces


def measure(text: str, unit: TextUnit) -> int:
    """Return the length of *text* in *unit*."""
    if unit == "characters":
        return len(text)
    encoding, width = _ENCODING[unit]
    return len(text.encode(encoding, "surrogatepass")) // width


def split_text(text: str, limit: int, unit: TextUnit) -> list[str]:
    """Cut *text* into pieces of at most *limit* units, in order.

    A cut prefers the last line break in the second half of a piece, then the last blank, then the
    end of a sentence, then any place between two characters as a reader sees them: never inside a
    surrogate pair, a base with its marks, an emoji sequence, a flag or a Hangul syllable. Only a
    sequence that is itself longer than *limit* is cut between its code points.

    White space at a cut is dropped, and nothing else. Text without anything to show gives [].

    Raises:
        ValueError: *limit* is below 4, too small for one code point.
    """
    if limit < _WIDEST:
        raise ValueError(f"limit {limit} is too small to hold a code point")
    if not text.strip():
        return []
    if measure(text, unit) <= limit:
        return [text]
    pieces = []
    atoms = list(_atoms(text, limit, unit))
    sizes = [measure(atom, unit) for atom in atoms]
    start = 0
    while start < len(atoms):
        end = _fill(sizes, start, limit)
        if end < len(atoms):
            end = _best_cut(atoms, start, end)
        piece = "".join(atoms[start:end])
        pieces.append(piece.rstrip() if end < len(atoms) else piece)
        start = _skip_blanks(atoms, end)
    return [piece for piece in pieces if piece.strip()]


def clusters(text: str) -> Iterator[str]:
    """Yield what a reader sees as single characters, close to Unicode's extended clusters (UAX 29).

    Coarser than the standard in two harmless ways: everything behind a joiner stays with it, and
    so does the letter behind a virama.
    """
    start = 0
    flags = 0
    for at in range(1, len(text)):
        flags = flags + 1 if _is_flag_letter(text[at - 1]) else 0
        if not _sticks(text[at - 1], text[at], flags):
            yield text[start:at]
            start = at
    if text:
        yield text[start:]


def _atoms(text: str, limit: int, unit: TextUnit) -> Iterator[str]:
    for cluster in clusters(text):
        if len(cluster) > 1 and measure(cluster, unit) > limit:
            yield from cluster
        else:
            yield cluster


def _fill(sizes: list[int], start: int, limit: int) -> int:
    """Return the end of the longest run from *start* that fits; at least one atom."""
    end, used = start, 0
    while end < len(sizes) and used + sizes[end] <= limit:
        used += sizes[end]
        end += 1
    return max(end, start + 1)


def _skip_blanks(atoms: list[str], start: int) -> int:
    while start < len(atoms) and atoms[start].isspace():
        start += 1
    return start


def _best_cut(atoms: list[str], start: int, end: int) -> int:
    """Return where to cut the run `start:end`; more atoms follow at *end*."""
    blank = end if atoms[end].isspace() else 0
    sentence = 0
    for at in range(end - 1, start + (end - start) // 2 - 1, -1):
        atom = atoms[at]
        if "\n" in atom:
            return at + 1
        if not blank and atom.isspace():
            blank = at + 1
        elif not sentence and atom in _SENTENCE_ENDS:
            sentence = at + 1
    return blank or sentence or end


def _sticks(before: str, char: str, flags: int) -> bool:
    """Tell whether *char* belongs to the character that ends in *before*.

    *flags* counts the regional indicators that end in *before*.
    """
    if before < "\u0300" and char < "\u0300":  # the common case, decided without a table
        return before == "\r" and char == "\n"
    if _is_flag_letter(char):
        return flags % 2 == 1 or before == _JOINER
    return _extends(char) or _pulls(before, char)


def _extends(char: str) -> bool:
    return unicodedata.category(char) in _MARKS or _EXTENDERS.match(char) is not None


def _pulls(before: str, char: str) -> bool:
    """Tell whether *before* binds what follows it: joiner, virama, leading Hangul consonant."""
    if before == _JOINER:
        return not char.isspace()
    if unicodedata.combining(before) == _VIRAMA:
        return unicodedata.category(char) == "Lo"
    return "\u1100" <= before <= "\u115f" and "\u1100" <= char <= "\ud7a3"


def _is_flag_letter(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
