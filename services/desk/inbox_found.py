"""Pages and counts of sessions that a search found: few enough to be looked at one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from libs.common.channels import CHANNELS
from libs.common.documents import Session
from services.desk.filters import LISTS, ME, NEW, OTHERS, PARTIES, SessionFilter, matches
from services.desk.inbox import (
    COUNT_LIMIT,
    MOST_TAGS,
    Facets,
    Position,
    SessionPage,
    once,
    order_of,
)


def page_of(
    rows: Iterable[Session], wanted: SessionFilter, *, after: Position | None, limit: int
) -> SessionPage:
    """Return one page of those of *rows* that *wanted* means, in the order of the list."""
    position, descending = order_of(wanted)
    meant = [row for row in once(rows) if matches(row, wanted)]
    if after is not None:
        meant = [
            row for row in meant if (position(row) < after if descending else position(row) > after)
        ]
    meant.sort(key=position, reverse=descending)
    more = len(meant) > limit
    return SessionPage(rows=tuple(meant[:limit]), next=position(meant[limit - 1]) if more else None)


def facets_of(rows: Iterable[Session], wanted: SessionFilter) -> Facets:
    """Count, of *rows*, the values of each filter under the other filters."""
    known = tuple(once(rows))
    by_tag = Counter(tag for row in _under(known, wanted, tags=()) for tag in set(row.tags))
    tags = sorted(by_tag.items(), key=lambda one: (-one[1], one[0]))[:MOST_TAGS]
    accounts = Counter(row.account for row in _under(known, wanted, accounts=()))
    channels = _each(known, wanted, "channels", sorted(CHANNELS))
    return Facets(
        lists=_each(known, wanted, "lists", LISTS),
        parties=_each(known, wanted, "parties", PARTIES),
        assignee=_each(known, wanted, "assignees", (ME, NEW, OTHERS)),
        channels={name: n for name, n in channels.items() if n},
        accounts={name: min(n, COUNT_LIMIT) for name, n in sorted(accounts.items())},
        tags={name: min(n, COUNT_LIMIT) for name, n in tags},
    )


def _under(rows: Sequence[Session], wanted: SessionFilter, **other: Any) -> list[Session]:
    meant = msgspec.structs.replace(wanted, **other)
    return [row for row in rows if matches(row, meant)]


def _each(
    rows: Sequence[Session], wanted: SessionFilter, field: str, values: Iterable[str]
) -> dict[str, int]:
    return {
        value: min(len(_under(rows, wanted, **{field: (value,)})), COUNT_LIMIT) for value in values
    }
