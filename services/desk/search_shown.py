"""What a search shows of a text: the piece around what was found, and where in it that stands."""

from __future__ import annotations

import msgspec

from libs.common.words import Asked, spans

BEFORE = 60
"""Characters shown before what was found."""
LONGEST = 200
_CUT = "…"


class Excerpt(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a text on one line. `ranges`: (start, end) of what was found, in characters."""

    text: str
    ranges: tuple[tuple[int, int], ...] = ()


def excerpt_of(text: str, asked: Asked) -> Excerpt:
    """Return the piece of *text* around the first of what was asked for, else its beginning."""
    line = "".join(" " if c.isspace() else c for c in text)
    found = spans(line, asked)
    start = max(0, found[0][0] - BEFORE) if found else 0
    start = _word_start(line, start, found[0][0]) if start else 0
    end = min(len(line), start + LONGEST)
    before, after = _CUT if start else "", _CUT if end < len(line) else ""
    moved = len(before) - start
    ranges = tuple((a + moved, min(b, end) + moved) for a, b in found if start <= a < end)
    return Excerpt(text=f"{before}{line[start:end]}{after}", ranges=ranges)


def _word_start(line: str, start: int, found: int) -> int:
    """Return where the next word begins, if that is before what was *found*."""
    blank = line.find(" ", start, found)
    return blank + 1 if blank >= 0 else start
