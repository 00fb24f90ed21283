"""Whether a visitor asks for a human."""

from __future__ import annotations

import re
from functools import lru_cache

from libs.common.bots.words import LONGEST, fold

_MOST_IN_ONE = 3
"""Letters that fold into one at most: the parts of a Hangul syllable."""


def asks_for_human(text: str, words: tuple[str, ...]) -> bool:
    """Tell whether the whole of *text* is one of *words*, whatever its case and punctuation."""
    if _longer(words).match(text, 0, LONGEST):
        return False  # most messages, whose folding costs more than all else about them
    said = _bare(text)
    return bool(said) and said in _folded(words)


@lru_cache(maxsize=256)
def _folded(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(None, map(_bare, words)))


@lru_cache(maxsize=256)
def _longer(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return what texts match that have too many letters and digits to be one of *words*."""
    longest = max(map(len, _folded(words)), default=0)
    return re.compile(rf"(?:[\W_]*+[^\W_]){{{_MOST_IN_ONE * longest + 1}}}")


def _bare(text: str) -> str:
    """Return what a text says; what has no letters, as an emoji, says itself."""
    return fold(text) or text.strip()
