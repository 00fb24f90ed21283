"""What an FAQ bot knows, folded and sorted once for each list of entries.

A message is compared with every wording of a bot, and a bot may have thousands: so all wordings of
a language are looked through at once, and none is folded or parted into words a second time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from threading import Lock

import msgspec
from rapidfuzz import fuzz, process

from libs.common.bots.words import fold, has_words, is_unspaced
from libs.common.documents import FaqEntry

SHORTEST = 5
"""Characters below which a single letter makes another word of a text."""
SHORTEST_UNSPACED = 3  # a character there is half a word
_KEPT = 200_000
"""Wordings that are remembered, of the lists that were used last; they take some 100 MB."""


class Found(msgspec.Struct, frozen=True):
    """A wording that fits: the place of its entry, as it was written, and how well it fits."""

    entry: int
    wording: str
    degree: float


class Wordings(msgspec.Struct, frozen=True):
    """Wordings in the order of the list: places of entries, as written, and as compared."""

    entries: Sequence[int]
    written: Sequence[str]
    folded: Sequence[str]

    def found(self, at: int, degree: float) -> Found:
        """Return the wording at that place as found."""
        return Found(self.entries[at], self.written[at], degree)


class Section:
    """All entries in one language (`tag`, as compared; empty: in none)."""

    def __init__(self, tag: str, entries: Sequence[tuple[int, FaqEntry]]) -> None:
        self.tag = tag
        questions = [(at, text, fold(text)) for at, entry in entries for text in entry.questions]
        self._exact: dict[str, Found] = {}
        for at, text, folded in questions:
            self._exact.setdefault(folded, Found(at, text, 0))
        self._keywords = _wordings(
            (at, text, fold(text))
            for at, entry in entries
            for text in dict.fromkeys(entry.keywords)
        )
        self._like = {
            least: _by_letters_and_words(questions, least)
            for least in (SHORTEST_UNSPACED, SHORTEST)
        }

    def exact(self, asked: str) -> Found | None:
        """Return the first question that says just that."""
        return self._exact.get(asked)

    def by_keyword(self, asked: str) -> Found | None:
        """Return the longest keyword of the entry of which the most, by letters, is in *asked*."""
        words = self._keywords
        near = [at for at, word in enumerate(words.folded) if word in asked]
        fits = [at for at in near if has_words(asked, words.folded[at])]
        best: Found | None = None
        for _, group in groupby(fits, words.entries.__getitem__):
            places = list(group)
            longest = max(places, key=lambda at: len(words.folded[at]))
            degree = sum(len(words.folded[at]) for at in places)
            if best is None or degree > best.degree:
                best = words.found(longest, degree)
        return best

    def by_likeness(self, asked: str, least: int) -> Found | None:
        """Return the question most like *asked*, in letters or, in any order, in words."""
        if len(asked) < SHORTEST_UNSPACED:
            return None
        letters, words = self._like[SHORTEST if len(asked) >= SHORTEST else SHORTEST_UNSPACED]
        best: Found | None = None
        for known, text in ((letters, asked), (words, _in_order(asked))):
            cutoff = max(least, best.degree if best else 0)
            found = process.extractOne(text, known.folded, scorer=fuzz.ratio, score_cutoff=cutoff)
            if found and (best is None or found[1] > best.degree):
                best = known.found(found[2], found[1])
        return best


class Index:
    """The entries of a bot, by language."""

    def __init__(self, entries: Sequence[FaqEntry]) -> None:
        by_tag: dict[str, list[tuple[int, FaqEntry]]] = {}
        for at, entry in enumerate(entries):
            by_tag.setdefault(tag_of(entry.language), []).append((at, entry))
        self._sections = [Section(tag, found) for tag, found in by_tag.items()]
        self.size = sum(len(entry.questions) + len(entry.keywords) for entry in entries)

    def understood(self, language: str) -> list[list[Section]]:
        """Return the sections that may answer, those that go before others first.

        Of the contact's language, then of none; of others where the contact's is not known.
        """
        wanted = tag_of(language)
        own, neutral, other = [], [], []
        for section in self._sections:
            if not section.tag:
                neutral.append(section)
            elif not wanted:
                other.append(section)
            elif _is_understood(section.tag, wanted):
                own.append(section)
        return [own, neutral, other]


def best(sections: Sequence[Section], find: Callable[[Section], Found | None]) -> Found | None:
    """Return the best that *find* finds in any of *sections*; of equals the first in the list."""
    found = [one for section in sections if (one := find(section)) is not None]
    return max(found, key=lambda one: (one.degree, -one.entry), default=None)


class _Memory:
    """The indexes that were used last.

    Kept by the identity of a list, as hashing it takes longer than an answer; the list is kept
    with it, so that no other one gets its identity.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[Sequence[FaqEntry], Index]] = OrderedDict()
        self._size = 0
        self._lock = Lock()  # large ones are made aside

    def of(self, entries: Sequence[FaqEntry]) -> Index:
        with self._lock:
            kept = self._known.get(id(entries))
            if kept is not None:
                self._known.move_to_end(id(entries))
                return kept[1]
        made = Index(entries)
        with self._lock:
            self._keep(entries, made)
        return made

    def _keep(self, entries: Sequence[FaqEntry], made: Index) -> None:
        if id(entries) not in self._known:
            self._known[id(entries)] = entries, made
            self._size += made.size
        while self._size > _KEPT and len(self._known) > 1:
            _, (_, oldest) = self._known.popitem(last=False)
            self._size -= oldest.size


_memory = _Memory()


def index_of(entries: Sequence[FaqEntry]) -> Index:
    """Return the index of *entries*, made once for this very list."""
    return _memory.of(entries)


def tag_of(language: str) -> str:
    """Return the tag of a language as it is compared."""
    return language.strip().replace("_", "-").casefold()


def _is_understood(own: str, wanted: str) -> bool:
    return own == wanted or own.startswith(wanted + "-") or wanted.startswith(own + "-")


def _by_letters_and_words(
    questions: Sequence[tuple[int, str, str]], asked: int
) -> tuple[Wordings, Wordings]:
    """Return what may be like a text of *asked* characters: as it reads, and with words in order.

    No single short word is: one letter makes another of it.
    """
    long = [one for one in questions if _shortest(one[2]) <= min(asked, len(one[2]))]
    return _wordings(long), _wordings((at, text, _in_order(folded)) for at, text, folded in long)


def _wordings(found: Sequence[tuple[int, str, str]] | Iterator[tuple[int, str, str]]) -> Wordings:
    rows = list(found)
    return Wordings([one[0] for one in rows], [one[1] for one in rows], [one[2] for one in rows])


def _in_order(folded: str) -> str:
    return " ".join(sorted(folded.split()))


def _shortest(known: str) -> int:
    return SHORTEST_UNSPACED if is_unspaced(known) else SHORTEST
