"""What there is to replay: events and sessions' writes, in the order in which they were stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import StoredMessage
from libs.common.events import Inbound
from libs.common.subjects import HISTORY, INBOUND, Stream
from services.router.entry import Arrival
from services.router.history import Was, decode_was

PAGE = 500
_inbound = msgspec.json.Decoder(Inbound)


class Item(NamedTuple):
    """One message of either stream; one of the two is there."""

    at: datetime
    arrival: Arrival | None = None
    was: Was | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be rebuilt.

    Attributes:
        what: One session, one account, some events, or everything; `names` are the session's id,
            the account's slug, or what the events go by (event id, ingest id or message id).
        since: Of an account: only from then on.
        source: Where events come from: as they were read then, or the raw bodies read again.
        dry_run: Count, and change nothing.
        rate: Messages of the streams in a second at most; 0: as fast as it goes.
        settle_s: What came within the last seconds is left to the routers that run.
    """

    what: Literal["session", "account", "event", "all"]
    names: tuple[str, ...] = ()
    since: datetime | None = None
    source: Literal["events", "raw"] = "events"
    dry_run: bool = False
    rate: int = 0
    settle_s: float = 30.0


async def merged(
    bus: Bus, account: str, since: datetime | None, until: datetime
) -> AsyncIterator[Item]:
    """Yield what both streams hold of *account* (empty: of all), oldest first, up to *until*.

    What cannot be read is left out: it is on DEAD, and no router has handled it.
    """
    events = _read(bus, INBOUND, f"in.*.*.*.{account or '*'}", since, _event)
    writes = _read(bus, HISTORY, "was.*.*", since, _written)
    event, write = await anext(events, None), await anext(writes, None)
    while event is not None or write is not None:
        if write is None or (event is not None and event.at <= write.at):
            item, event = event, await anext(events, None)
        else:
            item, write = write, await anext(writes, None)
        if item is None or item.at > until:
            return
        if item.was is None or account in {"", item.was.session.account}:
            yield item


async def _read(
    bus: Bus,
    stream: Stream,
    subject: str,
    since: datetime | None,
    read: Callable[[StoredMessage], Item | None],
) -> AsyncIterator[Item]:
    place, last = await bus.bounds_of(stream)
    while place <= last:
        page = await bus.read(stream, subject, from_sequence=place, limit=PAGE, since=since)
        since = None  # from the second page on it is the place that counts
        for message in page:
            item = read(message)
            if message.sequence <= last and item is not None:
                yield item
        if len(page) < PAGE:
            return
        place = page[-1].sequence + 1


def _time(message: StoredMessage) -> datetime:
    return datetime.fromtimestamp(message.stored_at_ns / 1e9, UTC)


def _event(message: StoredMessage) -> Item | None:
    try:
        inbound = _inbound.decode(message.data)
    except (ValueError, RecursionError):
        return None
    return Item(at=_time(message), arrival=Arrival(inbound=inbound, sequence=message.sequence))


def _written(message: StoredMessage) -> Item | None:
    try:
        return Item(at=_time(message), was=decode_was(message.data))
    except (ValueError, RecursionError):
        return None
