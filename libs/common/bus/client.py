"""The connection to NATS: publish with confirmation, request-reply, key-value.

Skeleton of the contract; see the sibling modules for consuming.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from libs.common.bus.delivery import KvEntry, PubAck, StoredMessage
from libs.common.subjects import Bucket, Stream


class Bus:
    """One connection to NATS, reconnecting for ever. Make it with `open_bus`."""

    @property
    def connected(self) -> bool:
        """Whether the connection stands now; readiness, not liveness."""
        raise NotImplementedError

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PubAck]:
        """Hand a message to JetStream; the future resolves with the confirmation.

        Many calls in one loop tick are one write. The future fails with `BusUnavailableError`
        after the connection's publish time-out, or at once when JetStream refuses; the message
        may be stored all the same, so repeat only under the same *msg_id*.
        """
        raise NotImplementedError

    async def publish(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> PubAck:
        """Publish one message and wait for its confirmation; raises as `publish_soon`."""
        raise NotImplementedError

    def shout(self, subject: str, data: bytes) -> None:
        """Publish on core NATS: no storage, no confirmation, for live fan-out only."""
        raise NotImplementedError

    async def listen(
        self, subject: str, handle: Callable[[str, bytes], None]
    ) -> Callable[[], Awaitable[None]]:
        """Call *handle(subject, data)* for each core message; await the result to stop."""
        raise NotImplementedError

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        """Ask and wait for the answer.

        Raises:
            NoResponderError: Nobody listens there.
            BusUnavailableError: No answer in time.
        """
        raise NotImplementedError

    async def serve(
        self, subject: str, *, queue: str, handle: Callable[[str, bytes], Awaitable[bytes]]
    ) -> Callable[[], Awaitable[None]]:
        """Answer requests on *subject*, shared among all that serve *queue*; handlers run
        concurrently. Await the result to stop taking new ones and finish those begun.
        """
        raise NotImplementedError

    async def kv_get(self, bucket: Bucket, key: str) -> KvEntry | None:
        """Return the entry, or None when the key is absent."""
        raise NotImplementedError

    async def kv_put(
        self, bucket: Bucket, key: str, value: bytes, *, expected_revision: int | None = None
    ) -> int:
        """Write and return the revision. With *expected_revision* (0: must be absent) it is
        compare-and-set and raises `StaleRevisionError` when somebody was faster.
        """
        raise NotImplementedError

    async def kv_delete(self, bucket: Bucket, key: str) -> None:
        """Delete the key; deleting an absent one is fine."""
        raise NotImplementedError

    async def kv_keys(self, bucket: Bucket) -> list[str]:
        """Return all present keys, sorted."""
        raise NotImplementedError

    def kv_watch(self, bucket: Bucket) -> AsyncIterator[KvEntry | None]:
        """Yield every present entry, then None once (now complete), then each change for ever;
        survives reconnects and a recreated bucket.
        """
        raise NotImplementedError

    async def read(
        self, stream: Stream, subject: str, *, from_sequence: int = 1, limit: int = 100
    ) -> list[StoredMessage]:
        """Return up to *limit* stored messages of *subject* (wildcards allowed), oldest first."""
        raise NotImplementedError

    def follow(
        self, stream: Stream, subject: str, *, from_sequence: int | None = None
    ) -> AsyncIterator[StoredMessage]:
        """Yield messages of *subject* in order for ever, starting at *from_sequence* (None: new
        ones only); an ephemeral ordered consumer that heals itself.
        """
        raise NotImplementedError


@asynccontextmanager
async def open_bus(
    url: str, *, name: str, publish_timeout_s: float = 1.0, provision: bool = True
) -> AsyncIterator[Bus]:
    """Connect (waiting until the server is there), create what is missing of STREAMS and BUCKETS
    when *provision*, and drain at the end.
    """
    raise NotImplementedError
    yield Bus()
