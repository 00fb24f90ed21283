"""Answer a visitor's question from a bot's list of questions, or not at all."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import msgspec
from rapidfuzz import fuzz, process

from libs.common.bots.words import fold, fold_known, has_words, is_unspaced
from libs.common.documents import Bot, FaqEntry

How = Literal["exact", "keyword", "fuzzy"]

CERTAIN = 100
"""Likeness of a match that is none of likeness."""
FUZZY_LONGEST = 300
"""Characters, folded: a longer message is like no question."""
_SHORTEST = 5
_SHORTEST_UNSPACED = 3  # a character there is half a word
_NO_DEGREE = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What to say, and why.

    Attributes:
        entry: Id of the entry.
        text: The answer that was chosen; empty where the entry only hands off or sends files.
        attachments: Ids of stored files to send behind it.
        hand_off: A human is to go on from here.
        how: `exact` question, `keyword`, or a `fuzzy` likeness.
        matched: The entry's question or keyword that fitted, as it was written.
        score: Likeness of 100; 100 where it is not fuzzy.
    """

    entry: str
    text: str
    attachments: tuple[str, ...] = ()
    hand_off: bool = False
    how: How
    matched: str
    score: int = CERTAIN


class _Match(msgspec.Struct, frozen=True):
    how: How
    matched: str
    score: int = CERTAIN
    degree: int = _NO_DEGREE
    """Tells the better of two matches of the same kind."""


def answer(bot: Bot, text: str, language: str, chance: float) -> Answer | None:
    """Return the answer to *text*, or None where the bot has none.

    An exact question goes before keywords, and those before likeness. Among matches of one kind,
    entries in the contact's *language* go before those without one; then the more and longer
    keywords, or the greater likeness; then the order of the list. Entries in another language
    are used only where the contact's is not known (empty).

    Args:
        bot: Its `faq` and `fuzzy` count.
        text: What the visitor wrote; punctuation, case and forms of letters do not matter.
        language: A tag such as `en` or `en-GB`; `en` and `en-GB` understand each other.
        chance: From 0 up to 1, drawn by the caller: which of several answers is given.
    """
    asked = fold(text)
    if not asked:
        return None
    entries = _understood(bot.faq, language)
    for find in (_exact, _by_keyword, _by_likeness):
        best: tuple[tuple[int, int], FaqEntry, _Match] | None = None
        for rank, entry in entries:
            match = find(entry, asked, bot.fuzzy)
            if match and (best is None or (-rank, match.degree) > best[0]):
                best = (-rank, match.degree), entry, match
        if best is not None:
            return _answer(best[1], best[2], chance)
    return None


def _answer(entry: FaqEntry, match: _Match, chance: float) -> Answer:
    count = len(entry.answers)
    return Answer(
        entry=entry.id,
        text=entry.answers[max(0, min(int(chance * count), count - 1))] if count else "",
        attachments=entry.attachments,
        hand_off=entry.hand_off,
        how=match.how,
        matched=match.matched,
        score=match.score,
    )


def _understood(entries: tuple[FaqEntry, ...], language: str) -> list[tuple[int, FaqEntry]]:
    """Return the entries that may answer, each with its rank: 0 is best."""
    wanted = _tag(language)
    found = []
    for entry in entries:
        own = _tag(entry.language)
        if not own:
            found.append((1, entry))
        elif not wanted:
            found.append((2, entry))
        elif own == wanted or own.startswith(wanted + "-") or wanted.startswith(own + "-"):
            found.append((0, entry))
    return found


def _tag(language: str) -> str:
    return language.strip().replace("_", "-").casefold()


def _exact(entry: FaqEntry, asked: str, _: int) -> _Match | None:
    for question in entry.questions:
        if fold_known(question) == asked:
            return _Match("exact", question)
    return None


def _by_keyword(entry: FaqEntry, asked: str, _: int) -> _Match | None:
    found = [word for word in entry.keywords if has_words(asked, fold_known(word))]
    if not found:
        return None
    longest = max(found, key=lambda word: len(fold_known(word)))
    return _Match("keyword", longest, degree=sum(len(fold_known(word)) for word in found))


def _by_likeness(entry: FaqEntry, asked: str, least: int) -> _Match | None:
    """Return the question that is most like *asked*, in letters or, in any order, in words."""
    if least > CERTAIN or len(asked) > FUZZY_LONGEST:
        return None
    known = {at: text for at, text in _comparable(entry) if len(asked) >= _shortest(text)}
    best: _Match | None = None
    for scorer in (fuzz.ratio, fuzz.token_sort_ratio):
        found = process.extractOne(asked, known, scorer=scorer, score_cutoff=max(least, 0))
        if found and (best is None or int(found[1]) > best.score):
            best = _Match("fuzzy", entry.questions[found[2]], int(found[1]), int(found[1]))
    return best


@lru_cache(maxsize=10_000)
def _comparable(entry: FaqEntry) -> tuple[tuple[int, str], ...]:
    """Return the entry's questions, folded, each with its place, that are no single short word."""
    known = ((at, fold_known(question)) for at, question in enumerate(entry.questions))
    return tuple((at, text) for at, text in known if len(text) >= _shortest(text))


def _shortest(known: str) -> int:
    """Return the length below which a single letter makes another word of a text."""
    return _SHORTEST_UNSPACED if is_unspaced(known) else _SHORTEST
