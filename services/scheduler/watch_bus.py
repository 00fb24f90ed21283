"""What lies on the bus, as gauges: streams, storage, readers, dead letters."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime

from libs.common.bus import census
from libs.common.bus.ask import ApiError, Asker
from libs.common.bus.census import Reading, StreamState
from libs.common.config import SERVICES
from libs.common.errors import BusUnavailableError
from libs.common.subjects import BUCKETS, DEAD, STREAMS, dead
from services.scheduler import watch_metrics as metrics

STREAM_NAMES = (
    *(stream.name for stream in STREAMS),
    *(f"KV_{bucket.name}" for bucket in BUCKETS),
)
MOST_READERS = 100
"""Lines of readers at most, should somebody make consumers without end."""


class BusWatch:
    """Reads what the bus tells and shows it.

    Args:
        asker: For the management calls.
        limit_bytes: What JetStream may store, where it does not say so itself; 0: not known.
        now: The clock, UTC.
    """

    gauges = (
        metrics.DEAD,
        metrics.STREAM_MESSAGES,
        metrics.STREAM_BYTES,
        metrics.STORAGE,
        metrics.STORAGE_LIMIT,
        metrics.LAG,
        metrics.OLDEST,
    )

    def __init__(self, asker: Asker, limit_bytes: int, now: Callable[[], datetime]) -> None:
        self._asker = asker
        self._limit_bytes = limit_bytes
        self._now = now
        self._dead_mark: tuple[str, int, int, int] | None = None
        self._dead: dict[tuple[str, ...], float] = {}

    async def look(self) -> None:
        """Read all and show it, or nothing of it.

        Raises:
            BusUnavailableError: No answer, or a refusal.
        """
        try:
            streams = await census.stream_states(self._asker, STREAM_NAMES)
            stored = await census.storage(self._asker)
            read = [name for name, state in streams.items() if state.consumers]
            readings = await census.readings(self._asker, read)
            await self._count_dead(streams.get(DEAD.name))
        except ApiError as error:
            raise BusUnavailableError(error.detail) from error
        self._show_streams(streams)
        self._show_readings(readings)
        metrics.STORAGE.set(stored.used)
        metrics.STORAGE_LIMIT.set(stored.limit or self._limit_bytes or math.nan)

    async def _count_dead(self, state: StreamState | None) -> None:
        if state is None or state.mark == self._dead_mark:
            return
        counts: dict[tuple[str, ...], float] = {(name,): 0 for name in (*SERVICES, "other")}
        if state.messages:
            for name in SERVICES:
                number = await census.count_of(self._asker, DEAD.name, dead(name, ">"))
                counts[name,] = number
            counts["other",] = max(state.messages - sum(counts.values()), 0)
        self._dead, self._dead_mark = counts, state.mark

    def _show_streams(self, streams: dict[str, StreamState]) -> None:
        metrics.show(
            metrics.STREAM_MESSAGES, {(name,): state.messages for name, state in streams.items()}
        )
        metrics.show(
            metrics.STREAM_BYTES, {(name,): state.bytes for name, state in streams.items()}
        )
        metrics.show(metrics.DEAD, self._dead if DEAD.name in streams else {})

    def _show_readings(self, readings: dict[tuple[str, str], Reading]) -> None:
        told = dict(sorted(readings.items())[:MOST_READERS])
        now = self._now()
        metrics.show(metrics.LAG, {key: reading.lag for key, reading in told.items()})
        metrics.show(metrics.OLDEST, {key: _age_s(reading, now) for key, reading in told.items()})


def _age_s(reading: Reading, now: datetime) -> float:
    if reading.oldest_at is None:
        return 0.0
    return max((now - reading.oldest_at).total_seconds(), 0.0)
