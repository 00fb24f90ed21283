"""The connection to NATS: publish with confirmation, request-reply, key-value.

Consuming is in `consume.py`; everything that knows nats-py is in `connection.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from libs.common import tracing
from libs.common.bus import erase, kv, ordered
from libs.common.bus.ask import Asker, Server
from libs.common.bus.connection import Connection, connect_bus
from libs.common.bus.delivery import KvEntry, PubAck, StoredMessage
from libs.common.bus.provision import Provisioner
from libs.common.bus.publish import Publisher
from libs.common.bus.wire import checked_subject, pub
from libs.common.errors import SettingsError
from libs.common.subjects import BUCKETS, STREAMS, TIMERS, Bucket, Stream

_OLDEST_SERVER = (2, 12, 3)


class Bus:
    """One connection to NATS, reconnecting for ever. Make it with `open_bus`."""

    def __init__(
        self,
        connection: Connection,
        asker: Asker,
        publisher: Publisher,
        look_now: Callable[[], None],
    ) -> None:
        self.connection = connection
        """For the sibling modules only."""
        self.asker = asker
        """For the sibling modules only."""
        self._publisher = publisher
        self.look_now = look_now
        """Have missing streams recreated soon."""

    def on_return(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call *told* whenever the connection stands again; call the result to stop that.

        What was shouted meanwhile is lost.
        """
        self.connection.on_up.append(told)
        return lambda: self.connection.on_up.remove(told)

    @property
    def connected(self) -> bool:
        """Whether the connection stands now; readiness, not liveness."""
        return self.connection.is_connected

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PubAck]:
        """Hand a message to JetStream; the future resolves with the confirmation.

        Many calls in one loop tick are one write. The future fails at once with
        `BusUnavailableError` while disconnected, when the connection is lost or JetStream refuses,
        else after the publish time-out; with `PermanentError` when the message is too large or the
        subject no subject. After a `BusUnavailableError` the message may be stored all the same,
        so repeat only under the same *msg_id*. An empty *msg_id* sends none.
        """
        merged = {**headers} if headers else {}
        if tracing.HEADER not in merged and (context := tracing.here()):
            merged[tracing.HEADER] = context
        if msg_id:
            merged["Nats-Msg-Id"] = msg_id
        return self._publisher.publish_soon(subject, data, merged)

    async def publish(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> PubAck:
        """Publish one message and wait for its confirmation; raises as `publish_soon`."""
        return await self.publish_soon(subject, data, msg_id=msg_id, headers=headers)

    def shout(self, subject: str, data: bytes) -> None:
        """Publish on core NATS: no storage, no confirmation, for live fan-out only.

        Dropped while the connection is away or full.
        """
        if self.connection.is_connected and not self.connection.congested:
            self.connection.write(pub(checked_subject(subject), b"", data))

    async def listen(
        self, subject: str, handle: Callable[[str, bytes], None], *, queue: str = ""
    ) -> Callable[[], Awaitable[None]]:
        """Call *handle(subject, data)* for each core message; await the result to stop.

        Of those that name the same *queue*, one gets each message.
        """

        def take(where: bytes, _reply: bytes, data: bytes, _headers: bytes) -> None:
            handle(where.decode(), data)

        sid = self.connection.tap(subject, take, queue)

        async def stop() -> None:
            self.connection.untap(sid)

        return stop

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """Ask and wait for the answer.

        Raises:
            NoResponderError: Nobody listens there.
            BusUnavailableError: No answer in time, or not connected.
        """
        answer, _ = await self.asker.ask(subject, data, timeout_s)
        return answer

    async def serve(
        self, subject: str, *, queue: str, handle: Callable[[str, bytes], Awaitable[bytes]]
    ) -> Callable[[], Awaitable[None]]:
        """Answer requests on *subject*, shared among all that serve *queue*.

        Handlers run concurrently. One that raises is logged and gives no answer, so turn failures
        into an answer in the handler. Await the result to stop taking new requests and finish
        those begun.
        """
        return Server(self.connection, subject, queue, handle).stop

    async def kv_get(self, bucket: Bucket, key: str) -> KvEntry | None:
        """Return the entry, or None when the key is absent."""
        return await kv.get(self.asker, bucket, key)

    async def kv_put(
        self, bucket: Bucket, key: str, value: bytes, *, expected_revision: int | None = None
    ) -> int:
        """Write and return the revision.

        With *expected_revision* (0: must be absent) it is compare-and-set and raises
        `StaleRevisionError` when somebody was faster.
        """
        return await kv.put(self._publisher, bucket, key, value, expected_revision)

    async def kv_delete(self, bucket: Bucket, key: str) -> None:
        """Delete the key; deleting an absent one is fine."""
        await kv.delete(self._publisher, bucket, key)

    async def kv_keys(self, bucket: Bucket) -> list[str]:
        """Return all present keys, sorted."""
        return await kv.keys(self.connection, self.asker, bucket)

    def kv_watch(self, bucket: Bucket) -> AsyncIterator[KvEntry | None]:
        """Yield every present entry, then None once (now complete), then each change for ever.

        Survives reconnects; after the bucket was recreated, keys that are gone come as deleted.
        """
        return kv.watch(self.connection, self.asker, bucket)

    async def read(
        self,
        stream: Stream,
        subject: str,
        *,
        from_sequence: int = 1,
        limit: int = 100,
        since: datetime | None = None,
    ) -> list[StoredMessage]:
        """Return up to *limit* stored messages of *subject* (wildcards allowed), oldest first.

        With *since* it starts at what was stored then or later, and *from_sequence* is not used.
        """
        start = ordered.from_time(since) if since else ordered.from_place(from_sequence)
        return await ordered.read(
            self.connection, self.asker, stream.name, subject, start=start, limit=limit
        )

    async def newest(self, stream: Stream, subject: str) -> bytes | None:
        """Return the newest message of exactly *subject*, None without one.

        Raises:
            BusUnavailableError: No answer, or no such stream now.
        """
        return await ordered.newest(self.asker, stream.name, subject)

    async def end_of(self, stream: Stream) -> int:
        """Return the stream's last sequence, waiting while the stream is not there."""
        _created, last = await ordered.stream_state(self.asker, stream.name)
        return last

    async def bounds_of(self, stream: Stream) -> tuple[int, int]:
        """Return the sequences of the stream's oldest message and of its last.

        Of one that holds nothing the oldest is the one to come.

        Raises:
            BusUnavailableError: No answer, or no such stream now.
        """
        return await ordered.bounds(self.asker, stream.name)

    async def server_time(self) -> datetime:
        """Return the server's clock, as it stood when it answered.

        Raises:
            GatewayError: No answer, or the stream that is asked for is not there.
        """
        info = await self.asker.api(f"STREAM.INFO.{TIMERS.name}")
        return msgspec.convert(info["ts"], datetime)

    async def erase(self, stream: Stream, wanted: Callable[[StoredMessage], bool]) -> int:
        """Overwrite and delete the stored messages that are *wanted*; return how many.

        Looks at what the stream holds now, in bounded pages; consumers pass over what is gone.

        Raises:
            BusUnavailableError: No answer; what is deleted stays so, repeat it.
        """
        return await erase.erase(self.connection, self.asker, stream.name, wanted)

    async def stored(self, stream: Stream, sequence: int) -> StoredMessage | None:
        """Return the message at *sequence*, None where there is none (any more).

        Raises:
            BusUnavailableError: No answer, or no such stream now.
        """
        return await erase.stored(self.asker, stream.name, sequence)

    async def remove(self, stream: Stream, sequence: int) -> None:
        """Overwrite and delete the message at *sequence*; one that is gone already is fine.

        Raises:
            BusUnavailableError: It is not known to be gone.
        """
        await erase.remove(self.asker, stream.name, sequence)

    def follow(
        self, stream: Stream, subject: str, *, from_sequence: int | None = None
    ) -> AsyncIterator[StoredMessage]:
        """Yield messages of *subject* in order for ever.

        Starts at *from_sequence* (None: new ones only); heals itself over lost connections,
        restarted servers and a recreated stream.
        """
        return ordered.follow(self.connection, self.asker, stream.name, subject, from_sequence)


@asynccontextmanager
async def open_bus(
    url: str,
    *,
    name: str,
    publish_timeout_s: float = 1.0,
    provision: bool = True,
    replicas: int = 1,
    declared: Iterable[Stream | Bucket] = (*STREAMS, *BUCKETS),
) -> AsyncIterator[Bus]:
    """Connect (waiting until the server is there) and drain at the end.

    Args:
        url: One or more servers, with commas between.
        name: Shown by the server's monitoring.
        publish_timeout_s: Seconds until an unconfirmed publish fails.
        provision: Create and keep what is *declared*.
        replicas: Copies in a cluster; an existing stream with more keeps them.
        declared: Streams and buckets.

    Raises:
        SettingsError: The server is older than 2.12.3.
        PermanentError: JetStream refuses a stream for good.
    """
    connection = await connect_bus(url, name)
    try:
        _check_version(connection)
        asker = Asker(connection)
        provisioner = Provisioner(asker, declared, replicas)
        publisher = Publisher(connection, publish_timeout_s, provisioner.look_now)
        async with contextlib.AsyncExitStack() as stack:
            if provision:
                await provisioner.ensure()
                connection.on_up.append(provisioner.look_now)
                stack.push_async_callback(_cancel, asyncio.create_task(provisioner.keep()))
            yield Bus(connection, asker, publisher, provisioner.look_now)
            if connection.is_connected:
                await publisher.drain()
                await connection.settle(2.0)
    finally:
        await connection.end()


def _check_version(connection: Connection) -> None:
    version = connection.connected_server_version
    if (version.major, version.minor, version.patch) < _OLDEST_SERVER:
        raise SettingsError(f"NATS {version} is too old: 2.12.3 is the oldest that is safe")


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
