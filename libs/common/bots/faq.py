"""Answer a visitor's question from a bot's list of questions, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from libs.common.bots.faq_index import Found, Section, best, index_of
from libs.common.bots.words import fold
from libs.common.documents import Bot, FaqEntry

How = Literal["exact", "keyword", "fuzzy"]

CERTAIN = 100
"""Likeness of a match that is none of likeness."""
FUZZY_LONGEST = 300
"""Characters, folded: a longer message is like no question."""


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
    sections = index_of(bot.faq).understood(language)
    for how, find in _ways(asked, bot.fuzzy):
        for rank in sections:
            found = best(rank, find)
            if found is not None:
                return _answer(bot.faq[found.entry], how, found, chance)
    return None


def _ways(asked: str, least: int) -> Iterator[tuple[How, Callable[[Section], Found | None]]]:
    """Yield the ways to compare a folded text with what a bot knows, the surest first."""
    yield "exact", lambda section: section.exact(asked)
    yield "keyword", lambda section: section.by_keyword(asked)
    if least <= CERTAIN and len(asked) <= FUZZY_LONGEST:
        yield "fuzzy", lambda section: section.by_likeness(asked, least)


def _answer(entry: FaqEntry, how: How, found: Found, chance: float) -> Answer:
    count = len(entry.answers)
    return Answer(
        entry=entry.id,
        text=entry.answers[max(0, min(int(chance * count), count - 1))] if count else "",
        attachments=entry.attachments,
        hand_off=entry.hand_off,
        how=how,
        matched=found.wording,
        score=int(found.degree) if how == "fuzzy" else CERTAIN,
    )
