"""Walk what search finds, newest first: from several places of one index, in one order, bounded.

A question of several words is walked by its rarest one, and the others are looked up for each
entry. That may be many entries for few rows, so a walk goes in steps of so many entries, each step
a little longer, and ends early with the place to go on from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from libs.common.documents import CONTACTS, MESSAGES, Contact, Message
from libs.common.store.api import All, Collection, Document, In, Page, Range, Store, Value
from libs.common.words import Asked, above

D = TypeVar("D", bound=Document)
Place = tuple[Any, ...]
"""A place in the order: a time, then what tells apart what has the same time."""
Filters = Mapping[str, Value | In | All | Range]

MOST_SPELLINGS = 24
"""Words that an unfinished one is taken for, each walked by itself."""
COMMON = 1000
"""Documents from which on a word is as good as any other to walk by."""
_STEPS = (400, 1600, 6400, 9000)
"""Entries of each step; together what one request looks at."""


class Ground(NamedTuple, Generic[D]):
    """What is searched: a collection whose index `words`, and the others, go by `time`."""

    collection: Collection[D]
    time: str
    newest: str
    """The index of all, by time."""
    place: Callable[[D], Place]
    lowest: Callable[[datetime], Place]
    """The place below all that has this time."""


MESSAGE_GROUND: Ground[Message] = Ground(
    MESSAGES,
    "occurred_at",
    "at",
    lambda m: (m.occurred_at, m.sequence, m.id),
    lambda at: (at, 0, ""),
)
CONTACT_GROUND: Ground[Contact] = Ground(
    CONTACTS, "first_seen_at", "seen", lambda c: (c.first_seen_at, c.id), lambda at: (at, "")
)


class Lead(NamedTuple):
    """One run of an index: `head` are the values of its fields before the time."""

    order: str
    where: Filters = {}
    head: tuple[Value, ...] = ()


class Between(NamedTuple):
    """From when (inclusive) until when (exclusive)."""

    since: datetime | None = None
    until: datetime | None = None


class Way(NamedTuple):
    """How to search: the runs to walk together, and what each row must be besides."""

    leads: tuple[Lead, ...]
    where: Filters = {}
    when: Between = Between()


class Walked(NamedTuple, Generic[D]):
    """Rows, newest first; `next` is the place to go on behind, None at the end."""

    rows: list[D]
    next: Place | None


async def way_of(store: Store, workspace: str, ground: Ground[Any], asked: Asked) -> Way:
    """Return how to find what is *asked*: by its rarest word."""
    if asked.either:
        spellings = await _spellings(store, workspace, ground, asked.begins[0])
        return Way(_by_words(dict.fromkeys((*asked.either, *spellings[:MOST_SPELLINGS]))))
    counts = await asyncio.gather(
        *(
            store.count(ground.collection, workspace, {"words": w}, limit=COMMON)
            for w in asked.words
        )
    )
    if 0 in counts:
        return Way(())
    words = sorted(zip(counts, asked.words, strict=True))
    rare = next(iter(words), None)
    if asked.begins and (rare is None or rare[0] >= COMMON):
        longest = max(asked.begins, key=len)
        spellings = await _spellings(store, workspace, ground, longest)
        rest = tuple(begin for begin in asked.begins if begin != longest)
        if len(spellings) <= MOST_SPELLINGS:
            return Way(_by_words(spellings), _all(tuple(word for _, word in words), rest))
    if rare is not None:
        others = tuple(word for _, word in words[1:])  # what fails most is looked up first
        return Way(_by_words([rare[1]]), _all(others, asked.begins))
    return Way((Lead(ground.newest),), _all((), asked.begins))


async def walk(
    store: Store,
    workspace: str,
    ground: Ground[D],
    way: Way,
    *,
    after: Place | None = None,
    limit: int = 50,
) -> Walked[D]:
    """Return at most *limit* rows behind *after*; fewer, with a place to go on, where it is far."""
    rows: dict[str, D] = {}
    steps = _Steps(store, workspace, ground, way)
    when = way.when
    for entries in _STEPS:
        if not way.leads:
            break
        end = await steps.end(entries, when, after)
        found = await steps.rows(
            when if end is None else Between(end, when.until), after, limit + 1
        )
        rows |= {row.id: row for row in found}
        if len(rows) > limit:
            page = sorted(rows.values(), key=ground.place, reverse=True)[:limit]
            return Walked(page, ground.place(page[-1]))
        if end is None:
            return Walked(sorted(rows.values(), key=ground.place, reverse=True), None)
        when, after = Between(when.since, end), None
    rest = ground.lowest(when.until) if way.leads and when.until else None
    return Walked(sorted(rows.values(), key=ground.place, reverse=True), rest)


class _Steps(Generic[D]):
    def __init__(self, store: Store, workspace: str, ground: Ground[D], way: Way) -> None:
        self._store = store
        self._workspace = workspace
        self._ground = ground
        self._way = way

    async def end(self, entries: int, when: Between, after: Place | None) -> datetime | None:
        """Return the time of the entry that is so many away; None: all are nearer."""
        each = entries // len(self._way.leads)
        if not self._way.where:  # every entry is a row: there is nothing to look past
            return None
        far = await asyncio.gather(
            *(self._find(lead, {}, when, after, limit=1, skip=each) for lead in self._way.leads)
        )
        times = [getattr(row, self._ground.time) for found in far for row in found]
        return max(times, default=None)

    async def rows(self, when: Between, after: Place | None, limit: int) -> list[D]:
        """Return the newest rows of all runs."""
        found = await asyncio.gather(
            *(
                self._find(lead, self._way.where, when, after, limit=limit)
                for lead in self._way.leads
            )
        )
        return sorted(
            {row.id: row for rows in found for row in rows}.values(),
            key=self._ground.place,
            reverse=True,
        )[:limit]

    async def _find(
        self,
        lead: Lead,
        where: Filters,
        when: Between,
        after: Place | None,
        *,
        limit: int,
        skip: int = 0,
    ) -> list[D]:
        both = _joined(lead.where, where)
        if when != Between():
            both[self._ground.time] = Range(when.since, when.until)
        page = Page(
            order=lead.order,
            descending=True,
            after=None if after is None else (*lead.head, *after),
            limit=limit,
            skip=skip,
        )
        return await self._store.find(self._ground.collection, self._workspace, both, page)


def _joined(lead: Filters, where: Filters) -> dict[str, Value | In | All | Range]:
    """Return both; where both are about one field, it holds the lead's value first."""
    both = {**where, **lead}
    for name in lead.keys() & where.keys():
        value, others = lead[name], where[name]
        if isinstance(value, str) and isinstance(others, All):
            both[name] = All((value, *others.values), others.begins)
    return both


def _by_words(words: Sequence[str] | Mapping[str, None]) -> tuple[Lead, ...]:
    return tuple(Lead("words", {"words": word}, (word,)) for word in words)


def _all(words: tuple[str, ...], begins: tuple[str, ...]) -> Filters:
    return {"words": All(words, begins)} if words or begins else {}


async def _spellings(store: Store, workspace: str, ground: Ground[Any], begin: str) -> list[str]:
    within = Range(begin, above(begin))
    return await store.values(
        ground.collection, workspace, "words", within, limit=MOST_SPELLINGS + 1
    )
