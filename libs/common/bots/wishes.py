"""Whether a visitor asks for a human."""

from __future__ import annotations

from functools import lru_cache

from libs.common.bots.words import fold


def asks_for_human(text: str, words: tuple[str, ...]) -> bool:
    """Tell whether the whole of *text* is one of *words*, whatever its case and punctuation."""
    said = _bare(text)
    return bool(said) and said in _folded(words)


@lru_cache(maxsize=256)
def _folded(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(filter(None, map(_bare, words)))


def _bare(text: str) -> str:
    """Return what a text says; what has no letters, as an emoji, says itself."""
    return fold(text) or text.strip()
