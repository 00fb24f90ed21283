"""What search finds things by: the words of a text, folded.

Where a script has no spaces between words, pairs of letters stand for them. Both engines serve it
from one multikey index, so no search engine is needed beside the store.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

MOST_WORDS = 200
"""Words of one document; what is longer is found by its beginning."""
LONGEST = 40
"""Letters of a word that count."""
_WORD = re.compile(r"\w+")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
"""Thai, Lao, Burmese, Khmer, kana, Han; Hangul, whose words take endings."""


def fold(text: str) -> str:
    """Return *text* without case, accents and compatibility forms."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize(
        "NFC", "".join(c for c in plain if unicodedata.category(c) != "Mn" or _UNSPACED.match(c))
    )


def words_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Return what *texts* are found by, each once, in order, at most `MOST_WORDS`."""
    found: dict[str, None] = {}
    for text in texts:
        for word in _words(text):
            found.setdefault(word)
            if len(found) == MOST_WORDS:
                return tuple(found)
    return tuple(found)


def _words(text: str) -> Iterator[str]:
    for match in _WORD.finditer(fold(text)):
        word = match[0]
        start = 0
        for run in _UNSPACED.finditer(word):
            if run.start() > start:
                yield word[start : run.start()][:LONGEST]
            yield from _pairs(run[0])
            start = run.end()
        if start < len(word):
            yield word[start:][:LONGEST]


def _pairs(run: str) -> Iterator[str]:
    yield from (run[i : i + 2] for i in range(max(1, len(run) - 1)))
