"""What the bus tests share: waiting, filling a stream, running a consumer, a cable to cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Self

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.consume import consume_batches, consume_lanes
from libs.common.bus.delivery import Ack, BatchHandler, Delivery, LaneHandler, Outcome
from libs.common.bus.options import Observed, Options
from libs.common.subjects import DEAD, Stream


async def eventually(is_true: Callable[[], bool], within_s: float = 30.0) -> None:
    """Return as soon as *is_true()*, fail after *within_s*."""
    async with asyncio.timeout(within_s):
        while not is_true():  # noqa: ASYNC110 (the state of another process, often)
            await asyncio.sleep(0.01)


def patient_bus(url: str, stream: Stream) -> AbstractAsyncContextManager[Bus]:
    """A bus whose publishing bears a busy machine."""
    return open_bus(url, name="t", declared=(stream, DEAD), publish_timeout_s=5.0)


@asynccontextmanager
async def reconnecting(bus: Bus) -> AsyncIterator[None]:
    """Break the connection in the block; on return a new one stands."""
    before = bus.connection.stats["reconnects"]
    yield
    await eventually(lambda: bus.connection.stats["reconnects"] > before and bus.connected)


def subject(stream: Stream, partition: int, key: str = "k") -> str:
    return f"{stream.subjects[0].split('.')[0]}.{partition}.{key}"


async def fill(bus: Bus, stream: Stream, keys: Sequence[tuple[int, str]], start: int = 0) -> None:
    """Publish one message for each (partition, key); the body is its number."""
    numbered = list(enumerate(keys, start))
    for first in range(0, len(numbered), 500):  # more at once may run into the time-out
        await asyncio.gather(
            *(
                bus.publish_soon(
                    subject(stream, partition, key), str(number).encode(), msg_id=str(number)
                )
                for number, (partition, key) in numbered[first : first + 500]
            )
        )


def quick(**more: object) -> Options:
    """Options whose pauses suit a test."""
    settings = {"backoff": lambda _: 0.05, "observe": Observed(), **more}
    return Options(**settings)  # type: ignore[arg-type]


class Seen:
    """A handler's memory: (sequence, body, attempt) in the order of the calls."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.sizes: list[int] = []

    @property
    def bodies(self) -> list[str]:
        return [delivery.data.decode() for delivery in self.deliveries]

    def note(self, deliveries: Sequence[Delivery]) -> None:
        self.sizes.append(len(deliveries))
        self.deliveries.extend(deliveries)

    async def batch(self, deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
        self.note(deliveries)
        return [Ack()] * len(deliveries)

    async def lane(self, delivery: Delivery) -> Outcome:
        self.note([delivery])
        return Ack()


@asynccontextmanager
async def batches(
    bus: Bus, stream: Stream, handle: BatchHandler, options: Options | None = None, batch: int = 200
) -> AsyncIterator[asyncio.Event]:
    """Consume while the block runs; yields the event that stops it."""
    stop = asyncio.Event()
    task = asyncio.create_task(
        consume_batches(
            bus,
            stream,
            "work",
            handle,
            stop=stop,
            service="test",
            batch=batch,
            options=options or quick(),
        )
    )
    with _watched(task):
        yield stop
        stop.set()
        await asyncio.wait_for(task, 15)


@asynccontextmanager
async def lanes(
    bus: Bus, stream: Stream, handle: LaneHandler, options: Options | None = None
) -> AsyncIterator[asyncio.Event]:
    """Consume in lanes by subject while the block runs."""
    stop = asyncio.Event()
    task = asyncio.create_task(
        consume_lanes(
            bus,
            stream,
            "work",
            handle,
            lane=lambda delivery: delivery.subject,
            stop=stop,
            service="test",
            options=options or quick(),
        )
    )
    with _watched(task):
        yield stop
        stop.set()
        await asyncio.wait_for(task, 15)


@contextlib.contextmanager
def _watched(task: asyncio.Task[None]) -> Iterator[None]:
    try:
        yield
    finally:
        task.cancel()


class Cable:
    """A TCP relay to the server that can be cut, or lose what the server says."""

    def __init__(self, url: str) -> None:
        self._port = int(url.rsplit(":", 1)[1])
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.mute = False
        self.up = True
        self.lost = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.url = f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection now."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        if not self.up:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, far_writer}
        # A cancelled relay would be reported as an error by the stream server.
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(
                self._copy(reader, far_writer, toward_client=False),
                self._copy(far_reader, writer, toward_client=True),
            )
        writer.transport.abort()
        far_writer.transport.abort()

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, toward_client: bool
    ) -> None:
        while data := await reader.read(65536):
            if toward_client and self.mute:
                self.lost += len(data)
                continue
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
