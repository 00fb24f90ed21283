"""Key-value buckets: streams with one message a key, laid out as every NATS client does."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from libs.common.bus.ask import ApiError, Asker
from libs.common.bus.connection import Connection
from libs.common.bus.delivery import KvEntry, StoredMessage
from libs.common.bus.ordered import Reader, stream_state
from libs.common.bus.publish import Publisher
from libs.common.bus.wire import decode_headers, status
from libs.common.errors import BusUnavailableError, NoResponderError, PermanentError
from libs.common.subjects import Bucket

log = logging.getLogger(__name__)

_KEY = re.compile(r"[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*")
_NOT_FOUND = 404
_TIMEOUT_S = 2.0
_PAUSE_S = 0.2


def _subject(bucket: Bucket, key: str) -> str:
    if not _KEY.fullmatch(key):
        raise PermanentError(f"not a key of a bucket: {key[:80]!r}")
    return f"$KV.{bucket.name}.{key}"


def _removed(headers: dict[str, str]) -> bool:
    return "Nats-Marker-Reason" in headers or headers.get("KV-Operation") in {"DEL", "PURGE"}


def _entry(message: StoredMessage) -> KvEntry:
    key = message.subject.split(".", 2)[2]
    gone = _removed(dict(message.headers))
    return KvEntry(key=key, value=None if gone else message.data, revision=message.sequence)


async def get(asker: Asker, bucket: Bucket, key: str) -> KvEntry | None:
    """See `Bus.kv_get`.

    Raises:
        BusUnavailableError: No answer, or no such bucket now.
    """
    where = f"$JS.API.DIRECT.GET.KV_{bucket.name}.{_subject(bucket, key)}"
    try:
        data, raw = await asker.ask(where, b"", _TIMEOUT_S)
    except NoResponderError:
        raise BusUnavailableError(f"bucket {bucket.name} is not there") from None
    headers = decode_headers(raw)
    if status(raw) == _NOT_FOUND or _removed(headers):
        return None
    return KvEntry(key=key, value=data, revision=int(headers["Nats-Sequence"]))


async def put(
    publisher: Publisher, bucket: Bucket, key: str, value: bytes, expected_revision: int | None
) -> int:
    """See `Bus.kv_put`."""
    headers = {}
    if expected_revision is not None:
        headers["Nats-Expected-Last-Subject-Sequence"] = str(expected_revision)
    ack = await publisher.publish_soon(_subject(bucket, key), value, headers)
    return ack.sequence


async def delete(publisher: Publisher, bucket: Bucket, key: str) -> None:
    """See `Bus.kv_delete`."""
    await publisher.publish_soon(_subject(bucket, key), b"", {"KV-Operation": "DEL"})


async def keys(connection: Connection, asker: Asker, bucket: Bucket) -> list[str]:
    """See `Bus.kv_keys`.

    Raises:
        BusUnavailableError: No answer, or interrupted.
    """
    config = {
        "filter_subject": f"$KV.{bucket.name}.>",
        "deliver_policy": "last_per_subject",
        "headers_only": True,
    }
    reader = Reader(connection, asker, f"KV_{bucket.name}", config)
    found = []
    try:
        await reader.open()
        while reader.pending > 0:
            message = await reader.next(within_s=_TIMEOUT_S)
            if message is None:
                raise BusUnavailableError(f"reading bucket {bucket.name} was interrupted")
            if not _removed(dict(message.headers)):
                found.append(message.subject.split(".", 2)[2])
    except ApiError as error:
        raise BusUnavailableError(error.detail) from error
    finally:
        reader.close()
    return sorted(found)


class Watch:
    """What a watcher has seen, over all the consumers that it needs one after the other."""

    def __init__(self) -> None:
        self.position = 0
        """The last revision seen."""
        self.in_snapshot = True
        """Whether not every present key was seen yet."""
        self._told_complete = False
        self._known: set[str] = set()
        self._seen: set[str] = set()

    def begin_snapshot(self) -> None:
        """Everything present comes again from here on."""
        self.in_snapshot = True
        self._seen = set()

    def see(self, message: StoredMessage) -> KvEntry | None:
        """Return what to tell about *message*; None for the removal of an unknown key."""
        self.position = message.sequence
        entry = _entry(message)
        if entry.value is None:
            was_known = entry.key in self._known
            self._known.discard(entry.key)
            return entry if was_known else None
        self._known.add(entry.key)
        self._seen.add(entry.key)
        return entry

    def end_snapshot(self) -> list[KvEntry | None]:
        """Return removals that happened unseen, and the marker if this is the first time."""
        self.in_snapshot = False
        gone = sorted(self._known - self._seen)
        self._known -= set(gone)
        told: list[KvEntry | None] = [KvEntry(key=key, value=None, revision=0) for key in gone]
        if not self._told_complete:
            told.append(None)
        self._told_complete = True
        return told


async def watch(
    connection: Connection, asker: Asker, bucket: Bucket
) -> AsyncIterator[KvEntry | None]:
    """See `Bus.kv_watch`."""
    seen = Watch()
    name = f"KV_{bucket.name}"
    created = ""
    while True:
        was_created, (created, last) = created, await stream_state(asker, name)
        if created != was_created or last < seen.position:
            seen.in_snapshot = True
        async with aclosing(_episode(connection, asker, bucket, seen)) as episode:
            try:
                async for told in episode:
                    yield told
            except (ApiError, BusUnavailableError) as error:
                log.warning("bus.watch_waits", extra={"bucket": name, "reason": error.detail})
        await asyncio.sleep(_PAUSE_S)


async def _episode(
    connection: Connection, asker: Asker, bucket: Bucket, seen: Watch
) -> AsyncGenerator[KvEntry | None, None]:
    """Watch by one consumer until it breaks."""
    if seen.in_snapshot:
        seen.begin_snapshot()
        start: dict[str, object] = {"deliver_policy": "last_per_subject"}
    else:
        start = {"deliver_policy": "by_start_sequence", "opt_start_seq": seen.position + 1}
    reader = Reader(
        connection, asker, f"KV_{bucket.name}", {"filter_subject": f"$KV.{bucket.name}.>", **start}
    )
    try:
        await reader.open()
        while True:
            if seen.in_snapshot and reader.pending == 0:
                for told in seen.end_snapshot():
                    yield told
            message = await reader.next()
            if message is None:
                return
            if entry := seen.see(message):
                yield entry
    finally:
        reader.close()
