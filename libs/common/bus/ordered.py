"""Reading streams in order by short-lived consumers of one's own: no acks, no shared state."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from libs.common.bus.ask import ApiError, Asker
from libs.common.bus.connection import Connection
from libs.common.bus.delivery import StoredMessage
from libs.common.bus.pull import Pull, place
from libs.common.bus.wire import decode_headers, pub, status
from libs.common.errors import BusUnavailableError, NoResponderError

log = logging.getLogger(__name__)

_BATCH = 256
_PULL_S = 5.0
_PAUSE_S = 0.2
_S = 1_000_000_000
_NOT_FOUND = 404
_DIRECT_S = 2.0
_SILENT_S = 1.0
"""After so long without a message it is asked whether there is one."""
_REST_S = 4.0


class Reader:
    """One ephemeral consumer, read in order until something breaks; then make another.

    Args:
        connection: Where to read.
        asker: For the management calls.
        stream: The stream's name.
        config: Consumer settings on top of the fixed ones: filter and starting point.
    """

    def __init__(
        self, connection: Connection, asker: Asker, stream: str, config: dict[str, Any]
    ) -> None:
        self._connection = connection
        self._asker = asker
        self._stream = stream
        self._config = config
        self._name = connection.new_inbox().rsplit(".", 1)[1]
        self._arrived: deque[StoredMessage] = deque()
        self._wake = asyncio.Event()
        self._pull: Pull | None = None
        self._last = 0
        self._broken = False
        self.pending = 0
        """Messages that the stream held for us behind the last one returned."""

    async def open(self) -> None:
        """Create the consumer.

        Raises:
            ApiError: No such stream, or refused.
            BusUnavailableError: No answer.
        """
        config = {
            "name": self._name,
            "ack_policy": "none",
            "mem_storage": True,
            "num_replicas": 1,
            "max_deliver": 1,
            "inactive_threshold": 30 * _S,
            **self._config,
        }
        where = f"CONSUMER.CREATE.{self._stream}.{self._name}"
        body = {"stream_name": self._stream, "config": config, "action": "create"}
        answer = await self._asker.api(where, body)
        self.pending = int(answer.get("num_pending", 0))
        target = f"{self._stream}.{self._name}"
        self._pull = Pull(self._connection, target, self._take, self._wake.set, pinned=False)
        self._connection.on_up.append(self._lose)

    def _lose(self) -> None:
        """Give the consumer up: its last messages may have gone down with the old connection.

        A gap shows only when the next message comes, which may be much later.
        """
        self._broken = True
        self._wake.set()

    def _take(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self._wake.set()
        at = place(reply)
        if self._broken or at.consumer_sequence != self._last + 1:
            self._broken = True  # one was lost on the way: start again behind the last good one
            return
        self._last = at.consumer_sequence
        self._arrived.append(
            StoredMessage(
                subject=subject.decode(),
                sequence=at.sequence,
                data=data,
                headers=decode_headers(headers),
                stored_at_ns=at.stored_ns,
            )
        )
        self.pending = at.pending + len(self._arrived)

    async def next(self, within_s: float | None = None) -> StoredMessage | None:
        """Return the next message, or None when the consumer is lost or the time is up."""
        pull = self._pull
        assert pull is not None, "open() first"  # noqa: S101
        loop = asyncio.get_running_loop()
        ends = loop.time() + within_s if within_s is not None else float("inf")
        while not self._arrived:
            pull.check_overdue()
            if self._broken or pull.missing or loop.time() >= ends:
                return None
            if pull.wanted == 0:
                pull.ask(_BATCH, _PULL_S)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(1.0, max(ends - loop.time(), 0))):
                    await self._wake.wait()
        self.pending -= 1
        return self._arrived.popleft()

    async def left(self) -> int:
        """Ask how many messages are to come, which is then `pending`.

        What was counted at the beginning may be gone since: a subject that keeps one message only
        has a newer one, or a schedule has been carried out.

        Raises:
            BusUnavailableError: No answer, or the consumer is gone.
        """
        try:
            info = await self._asker.api(f"CONSUMER.INFO.{self._stream}.{self._name}")
        except ApiError as error:
            raise BusUnavailableError(error.detail) from error
        if not self._broken and info["delivered"]["consumer_seq"] == self._last:
            self.pending = int(info["num_pending"]) + len(self._arrived)
        return self.pending

    def close(self) -> None:
        """Drop the consumer without waiting."""
        if self._pull is not None:
            self._pull.close()
            self._pull = None
            self._connection.on_up.remove(self._lose)
            where = f"$JS.API.CONSUMER.DELETE.{self._stream}.{self._name}"
            self._connection.write(pub(where.encode(), b"", b""))


def from_place(sequence: int) -> dict[str, Any]:
    """Return the starting point of a reader: the first message at *sequence* or behind it."""
    return {"deliver_policy": "by_start_sequence", "opt_start_seq": max(sequence, 1)}


def from_time(since: datetime) -> dict[str, Any]:
    """Return the starting point of a reader: the first message stored at *since* or later."""
    return {"deliver_policy": "by_start_time", "opt_start_time": since.isoformat()}


async def read(
    connection: Connection,
    asker: Asker,
    stream: str,
    subject: str,
    *,
    start: dict[str, Any],
    limit: int,
) -> list[StoredMessage]:
    """See `Bus.read`."""
    reader = Reader(connection, asker, stream, {"filter_subject": subject, **start})
    found: list[StoredMessage] = []
    try:
        await reader.open()
        while len(found) < limit and reader.pending > 0:
            message = await reader.next(within_s=_SILENT_S)
            if message is None and await reader.left() > 0:
                message = await reader.next(within_s=_REST_S)
            if message is not None:
                found.append(message)
            elif reader.pending > 0:
                raise BusUnavailableError(f"reading {stream} was interrupted")
    except ApiError as error:
        if error.status == _NOT_FOUND:
            return []
        raise BusUnavailableError(error.detail) from error
    finally:
        reader.close()
    return found


async def newest(asker: Asker, stream: str, subject: str) -> bytes | None:
    """See `Bus.newest`."""
    try:
        data, raw = await asker.ask(f"$JS.API.DIRECT.GET.{stream}.{subject}", b"", _DIRECT_S)
    except NoResponderError:
        raise BusUnavailableError(f"stream {stream} is not there") from None
    return None if status(raw) == _NOT_FOUND else data


async def stream_state(asker: Asker, stream: str) -> tuple[str, int]:
    """Return the stream's creation time and last sequence, waiting while it is not there."""
    while True:
        try:
            info = await asker.api(f"STREAM.INFO.{stream}")
        except (ApiError, BusUnavailableError):
            await asyncio.sleep(_PAUSE_S)
        else:
            return str(info["created"]), int(info["state"]["last_seq"])


async def bounds(asker: Asker, stream: str) -> tuple[int, int]:
    """See `Bus.bounds_of`."""
    try:
        info = await asker.api(f"STREAM.INFO.{stream}")
    except ApiError as error:
        raise BusUnavailableError(error.detail) from error
    state = info["state"]
    last = int(state["last_seq"])
    return (int(state["first_seq"]) if state["messages"] else last + 1), last


async def follow(
    connection: Connection, asker: Asker, stream: str, subject: str, from_sequence: int | None
) -> AsyncIterator[StoredMessage]:
    """See `Bus.follow`."""
    created, last = await stream_state(asker, stream)
    position = last + 1 if from_sequence is None else max(from_sequence, 1)
    while True:
        start = from_place(position)
        reader = Reader(connection, asker, stream, {"filter_subject": subject, **start})
        try:
            await reader.open()
            while (message := await reader.next()) is not None:
                position = message.sequence + 1
                yield message
        except (ApiError, BusUnavailableError) as error:
            log.warning("bus.follow_waits", extra={"stream": stream, "reason": error.detail})
        finally:
            reader.close()
        await asyncio.sleep(_PAUSE_S)
        was_created, (created, last) = created, await stream_state(asker, stream)
        if created != was_created or last + 1 < position:
            log.warning("bus.follow_restarts", extra={"stream": stream, "was_at": position})
            position = 1
