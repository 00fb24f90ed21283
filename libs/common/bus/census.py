"""What lies on the bus, and how far its readers are: for whoever watches, never for work.

One look costs one question for each stream and bucket, one for each stream that has durable
consumers (one more for each 256 consumers), and one for each consumer that is behind. Dead letters
are counted by who buried them only when that stream has changed.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from libs.common.bus.ask import ApiError, Asker
from libs.common.bus.wire import decode_headers, status
from libs.common.errors import BusUnavailableError, NoResponderError

AT_ONCE = 16
MOST_PAGES = 8
"""Pages of consumers of one stream; followers beside ours are many at most, not without end."""
TIMEOUT_S = 3.0
_PAGE = 256
_NOT_FOUND = 404
_DURABLE = re.compile(r"([a-z][a-z_-]{0,60})-\d+")


class StreamState(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream holds; `mark` changes whenever that does."""

    messages: int
    bytes: int
    consumers: int
    mark: tuple[str, int, int, int]


class Storage(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes on disk of our account, and its limit; None: it has none of its own."""

    used: int
    limit: int | None


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """How far one reader of a stream is.

    `lag` counts what waits for it and what it has not settled; `oldest_at` is when the oldest of
    that was stored, None where there is none.
    """

    lag: int
    oldest_at: datetime | None = None


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """A durable consumer: `reader` is its name without the partition."""

    stream: str
    reader: str
    subject: str
    lag: int
    floor: int


Readings = dict[tuple[str, str], Reading]
"""By stream and reader."""


async def stream_states(asker: Asker, names: Sequence[str]) -> dict[str, StreamState]:
    """Return what these streams hold; one that is not there is left out.

    Raises:
        BusUnavailableError: No answer.
    """
    found = await asyncio.gather(*(_stream(asker, name) for name in names))
    return {name: state for name, state in zip(names, found, strict=True) if state}


async def storage(asker: Asker) -> Storage:
    """Return how much our account stores.

    The server's own limit, `max_file`, is told to no client: only that of an account that has one.

    Raises:
        ApiError: Refused.
        BusUnavailableError: No answer.
    """
    info = await asker.api("INFO", timeout_s=TIMEOUT_S)
    limit = int(info.get("limits", {}).get("max_storage", -1))
    return Storage(used=int(info["storage"]), limit=limit if limit > 0 else None)


async def readings(asker: Asker, names: Iterable[str]) -> Readings:
    """Return how far the durable consumers of these streams are, partitions taken together.

    Raises:
        ApiError: Refused.
        BusUnavailableError: No answer.
    """
    pages = await asyncio.gather(*(_consumers(asker, name) for name in names))
    consumers = list(itertools.chain.from_iterable(pages))
    room = asyncio.Semaphore(AT_ONCE)

    async def oldest(consumer: Consumer) -> datetime | None:
        async with room:
            return await _oldest(asker, consumer) if consumer.lag else None

    times = await asyncio.gather(*(oldest(consumer) for consumer in consumers))
    found: Readings = {}
    for consumer, at in zip(consumers, times, strict=True):
        key = (consumer.stream, consumer.reader)
        before = found.get(key, Reading(lag=0))
        known = [time for time in (before.oldest_at, at) if time]
        found[key] = Reading(lag=before.lag + consumer.lag, oldest_at=min(known, default=None))
    return found


async def count_of(asker: Asker, stream: str, subject: str) -> int:
    """Return how many messages of *subject* the stream holds, by a consumer that reads none.

    Raises:
        ApiError: Refused.
        BusUnavailableError: No answer.
    """
    config = {
        "filter_subject": subject,
        "deliver_policy": "all",
        "ack_policy": "none",
        "headers_only": True,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": 5_000_000_000,  # should deleting it fail
    }
    wanted = {"stream_name": stream, "config": config}
    made = await asker.api(f"CONSUMER.CREATE.{stream}", wanted, timeout_s=TIMEOUT_S)
    await asker.api(f"CONSUMER.DELETE.{stream}.{made['name']}", timeout_s=TIMEOUT_S)
    return int(made["num_pending"])


async def _stream(asker: Asker, name: str) -> StreamState | None:
    try:
        info = await asker.api(f"STREAM.INFO.{name}", timeout_s=TIMEOUT_S)
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    state = info["state"]
    first, last, messages = (int(state[key]) for key in ("first_seq", "last_seq", "messages"))
    return StreamState(
        messages=messages,
        bytes=int(state["bytes"]),
        consumers=int(state["consumer_count"]),
        mark=(str(info["created"]), first, last, messages),
    )


async def _consumers(asker: Asker, stream: str) -> list[Consumer]:
    found: list[Consumer] = []
    for page in range(MOST_PAGES):
        told = await asker.api(
            f"CONSUMER.LIST.{stream}", {"offset": page * _PAGE}, timeout_s=TIMEOUT_S
        )
        rows = told.get("consumers") or []
        found += (consumer for row in rows if (consumer := _consumer(stream, row)))
        if (page + 1) * _PAGE >= int(told["total"]):
            break
    return found


def _consumer(stream: str, row: dict[str, Any]) -> Consumer | None:
    """Return the consumer, if it is one of the durable ones that services keep."""
    config = row["config"]
    name = _DURABLE.fullmatch(config.get("durable_name") or "")
    if name is None:
        return None
    return Consumer(
        stream=stream,
        reader=name[1],
        subject=config.get("filter_subject") or ">",
        lag=int(row["num_pending"]) + int(row["num_ack_pending"]),
        floor=int(row["ack_floor"]["stream_seq"]),
    )


async def _oldest(asker: Asker, consumer: Consumer) -> datetime | None:
    """Return when the first message behind what is settled was stored.

    None where it is gone meanwhile.
    """
    wanted = {"seq": consumer.floor + 1, "next_by_subj": consumer.subject}
    where = f"$JS.API.DIRECT.GET.{consumer.stream}"
    try:
        _, raw = await asker.ask(where, msgspec.json.encode(wanted), TIMEOUT_S)
    except NoResponderError:
        raise BusUnavailableError(f"stream {consumer.stream} is not there") from None
    if status(raw) == _NOT_FOUND:
        return None
    return msgspec.convert(decode_headers(raw)["Nats-Time-Stamp"], datetime)
