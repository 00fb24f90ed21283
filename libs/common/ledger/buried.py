"""Which messages of a stream were given up and lie on DEAD."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from libs.common.bus.client import Bus
from libs.common.ledger.trail import Item
from libs.common.subjects import DEAD, Stream, dead

_PAGE = 200
_CLOCKS = timedelta(seconds=2)


async def buried(bus: Bus, service: str, stream: Stream, items: Sequence[Item]) -> set[int]:
    """Return the places of those *items* of *stream* that *service* has buried.

    Raises:
        BusUnavailableError: DEAD could not be read.
    """
    by_subject: defaultdict[str, list[Item]] = defaultdict(list)
    for one in items:
        by_subject[one.subject].append(one)
    found: set[int] = set()
    for subject, some in by_subject.items():
        oldest = min(one.stored_at for one in some)
        found |= await _places(bus, dead(service, subject), stream.name, oldest - _CLOCKS)
    return found & {one.sequence for one in items}


async def _places(bus: Bus, subject: str, stream: str, since: datetime | None) -> set[int]:
    found: set[int] = set()
    begins = 1
    while True:
        page = await bus.read(DEAD, subject, from_sequence=begins, since=since, limit=_PAGE)
        headers = [{name.lower(): text for name, text in one.headers.items()} for one in page]
        found |= {
            int(each.get("relaydesk-sequence", "0"))
            for each in headers
            if each.get("relaydesk-stream") == stream
        }
        if len(page) < _PAGE:
            return found
        begins, since = page[-1].sequence + 1, None


def stored_time(stored_at_ns: int) -> datetime:
    """Return a stream's own time of a message."""
    return datetime.fromtimestamp(stored_at_ns / 1e9, UTC)
