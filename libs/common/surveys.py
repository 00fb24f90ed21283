"""The question how it was: what it looks like, and what counts as an answer. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from datetime import timedelta

from libs.common.events import ActionPart, Choice, ChoicesPart, ContentPart, TextPart
from libs.common.switches import Survey

WEEK = timedelta(days=7)
"""A contact is asked at most once in it."""
BEST = 5
TEXT_MOST = 500
"""Characters of the question, and of the thanks."""
WITHIN_LEAST_S = 60
WITHIN_MOST_S = 7 * 24 * 3600

RATED = "rated"
"""`because` of the fact that tells of an answer; `CHANGED` of a further one."""
CHANGED = "rated_again"

_PAYLOAD = "rate:"
_LONGEST = 40
"""Characters of an answer in words; what is longer says something else."""
_STAR, _HOLLOW = "\N{BLACK STAR}", "\N{WHITE STAR}"
_STARS = {"\N{WHITE MEDIUM STAR}": _STAR, "\N{GLOWING STAR}": _STAR}
_INVISIBLE = {
    "\N{VARIATION SELECTOR-16}",
    "\N{COMBINING ENCLOSING KEYCAP}",
    "\N{ZERO WIDTH JOINER}",
}
_NUMBER = re.compile(rf"([1-{BEST}])\s*(?:/\s*{BEST}|stars?|\*|{_STAR})?\s*[.!)]*", re.IGNORECASE)


def question(survey: Survey, session: str, carries: Collection[str]) -> tuple[ContentPart, ...]:
    """Return what the visitor of *session* is asked; with buttons where the channel has some."""
    if "choices" not in carries:
        return (TextPart(text=survey.question),)
    choices = tuple(
        Choice(title=str(score), payload=f"{_PAYLOAD}{score}:{session}")
        for score in range(1, BEST + 1)
    )
    return (ChoicesPart(text=survey.question, choices=choices),)


def score_of(parts: Collection[ContentPart], session: str) -> int | None:
    """Return the score that a visitor's message gives to *session*; None: it says something else.

    A tap on a button of another session's question says nothing about this one.
    """
    if len(parts) != 1:
        return None
    [part] = parts
    if isinstance(part, ActionPart):
        if part.payload.startswith(_PAYLOAD):
            score, _, of = part.payload.removeprefix(_PAYLOAD).partition(":")
            return int(score) if of == session and _NUMBER.fullmatch(score) else None
        return _score(part.title)
    return _score(part.text) if isinstance(part, TextPart) else None


def _score(text: str) -> int | None:
    """Return 1 to 5: a digit of any script, stars, `4/5`, `4 stars`."""
    if len(text) > _LONGEST:
        return None
    plain = "".join(map(_plain, unicodedata.normalize("NFKC", text))).strip()
    if plain and set(plain) <= {_STAR, _HOLLOW}:
        filled = plain.count(_STAR)
        return filled if 1 <= filled <= BEST and len(plain) <= BEST else None
    found = _NUMBER.fullmatch(plain)
    return int(found[1]) if found else None


def _plain(letter: str) -> str:
    """Return *letter* as the digit or star that it is, or as it was."""
    if letter in _INVISIBLE:
        return ""
    value = unicodedata.numeric(letter, None)
    if value is not None and value in range(10):
        return str(int(value))
    return _STARS.get(letter, letter)
