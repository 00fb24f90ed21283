"""The local spool: where an accepted webhook waits while JetStream does not confirm in time.

An append returns once its record is on disk; appends that arrive during a flush share the next
one. Replay takes the records from the oldest on; order across the spool and direct publishing is
not kept, and nobody needs it: state is a function of the set of events. Records replayed twice
(after a crash) are harmless, since they carry the same message ids.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from libs.common.errors import RetryableError, SettingsError
from services.ingest import metrics, spool_file
from services.ingest.record import Record
from services.ingest.spool_file import Extent, SegmentWriter, segment_path
from services.ingest.spool_format import Found, encode

log = logging.getLogger(__name__)

PENDING_BYTES = 24 * 1024 * 1024
"""Bytes that may wait for the disk; a disk that hangs must not fill the memory."""
LOCK_WAIT_S = 8.0
"""How long a new process waits for its predecessor to leave the folder."""

T = TypeVar("T")
Args = TypeVarTuple("Args")


class SpoolUnavailableError(RetryableError):
    """The spool is full or the disk refuses: answer 503, the provider tries again."""

    code = "spool_unavailable"


class Spool:
    """An append-only queue on disk. Make it with `open_spool`; belongs to one event loop."""

    def __init__(self, folder: Path, max_bytes: int, segments: dict[int, Extent]) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._segments = segments
        self._writer = SegmentWriter(folder, max(segments, default=0))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._disk = asyncio.Lock()
        self._waiting: deque[tuple[bytes, asyncio.Future[None]]] = deque()
        self._pending_bytes = 0
        self._committing: asyncio.Task[None] | None = None
        self._failing = False
        self._full = False
        self.filled = asyncio.Event()
        """Set while there is something to replay."""
        self._tell()

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return sum(extent.end for extent in self._segments.values())

    @property
    def record_count(self) -> int:
        """Webhooks that wait for replay."""
        return sum(extent.records for extent in self._segments.values())

    @property
    def usable(self) -> bool:
        """Whether an append is likely to succeed."""
        return not self._failing and not self._full

    async def append(self, records: Sequence[Record]) -> None:
        """Return once *records* are on disk, as one whole.

        Raises:
            SpoolUnavailableError: Full, too much waiting for the disk, or the disk refused. A
                caller that stops waiting may find the records stored all the same.
        """
        data = encode(records)
        waiting = self._pending_bytes + len(data)
        if self.size_bytes + waiting > self._max_bytes:
            self._full = True
            raise SpoolUnavailableError("the spool is full")
        if waiting > PENDING_BYTES:
            raise SpoolUnavailableError("too much waits for the disk")
        self._pending_bytes = waiting
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((data, done))
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        await done

    async def oldest(self) -> tuple[int, list[Found]] | None:
        """Return the number and content of the first segment with unreplayed bytes, or None."""
        for number, extent in self._segments.items():
            if extent.start < extent.end:
                try:
                    return number, await asyncio.to_thread(spool_file.read, extent)
                except OSError as error:
                    log.error(  # noqa: TRY400 (the trace adds nothing)
                        "spool.unreadable", extra={"segment": number, "reason": error.strerror}
                    )
        return None

    async def advance(self, number: int, found: Found) -> None:
        """Forget *found*, the first stretch of segment *number*; delete the segment at its end."""
        extent = self._segments[number]
        extent.start = found.end
        if found.records is None:
            metrics.SPOOL_TORN.inc()
            log.warning("spool.damaged", extra={"segment": number, "end": found.end})
        else:
            extent.records -= 1
        if extent.start >= extent.end:
            async with self._disk:
                await self._delete(number, extent)
            self._full = False
        self._tell()

    async def set_aside(self, record: Record) -> None:
        """Keep a message that JetStream will never take in the file `refused`, for a person."""
        path = self._folder / "refused"
        await self._in_thread(spool_file.append_to, path, encode([record]))

    async def sift(self, keep: Callable[[Sequence[Record]], Sequence[Record]]) -> None:
        """Leave of what was set aside only what *keep* returns of each webhook.

        Raises:
            OSError: The disk refuses; nothing was changed.
        """
        await self._in_thread(spool_file.sift, self._folder / "refused", keep)

    async def probe(self) -> bool:
        """Tell whether the spool is usable, asking the disk again after a failure."""
        if self._failing and not self._disk.locked():
            async with self._disk:
                try:
                    await self._in_thread(self._writer.probe)
                except OSError:
                    return False
                self._failing = False
        return self.usable

    async def close(self) -> None:
        """Finish what was begun and close the files."""
        if self._committing is not None:
            await self._committing
        await self._in_thread(self._writer.seal)
        self._thread.shutdown()

    async def _commit(self) -> None:
        """Write what waits until nothing does; one flush for all that arrived meanwhile."""
        async with self._disk:
            while self._waiting:
                taken = self._take()
                failure = await self._write([data for data, _ in taken])
                for data, done in taken:
                    self._pending_bytes -= len(data)
                    if done.done():  # nobody waits any more
                        continue
                    if failure:
                        done.set_exception(SpoolUnavailableError(failure))
                    else:
                        done.set_result(None)
                self._tell()
            self._committing = None

    def _take(self) -> list[tuple[bytes, asyncio.Future[None]]]:
        """Take what goes into one flush: at most about a segment, since replay reads it whole."""
        taken, size = [], 0
        while self._waiting and size < spool_file.SEGMENT_BYTES:
            taken.append(self._waiting.popleft())
            size += len(taken[-1][0])
        return taken

    async def _write(self, batch: list[bytes]) -> str:
        """Return why it failed; empty when it did not."""
        try:
            number, size = await self._in_thread(self._writer.write, b"".join(batch))
        except (OSError, RuntimeError) as error:
            reason = str(getattr(error, "strerror", "") or type(error).__name__)
            if not self._failing:
                log.error("spool.write_failed", extra={"reason": reason})  # noqa: TRY400
            self._failing = True
            return reason
        self._failing = False
        extent = self._segments.setdefault(number, Extent(segment_path(self._folder, number)))
        extent.end = size
        extent.records += len(batch)
        return ""

    async def _delete(self, number: int, extent: Extent) -> None:
        if extent.start < extent.end:  # grew while this waited for the disk
            return
        if number == max(self._segments):
            await self._in_thread(self._writer.seal)
        with suppress(OSError):
            await self._in_thread(extent.path.unlink)
        del self._segments[number]

    async def _in_thread(self, work: Callable[[*Args], T], *args: *Args) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _tell(self) -> None:
        metrics.SPOOL_LIMIT.set(self._max_bytes)
        metrics.SPOOL_BYTES.set(self.size_bytes)
        metrics.SPOOL_RECORDS.set(self.record_count)
        if any(extent.start < extent.end for extent in self._segments.values()):
            self.filled.set()
        else:
            self.filled.clear()


@asynccontextmanager
async def open_spool(folder: Path, max_bytes: int) -> AsyncIterator[Spool]:
    """Open the spool in *folder*, with what earlier processes left in it.

    Raises:
        SettingsError: The folder cannot be written, or another process keeps using it.
    """
    lock = await _locked(folder)
    try:
        segments = await asyncio.to_thread(spool_file.existing, folder)
        spool = Spool(folder, max_bytes, segments)
        try:
            yield spool
        finally:
            await spool.close()
    finally:
        os.close(lock)


async def _locked(folder: Path) -> int:
    try:
        lock = await asyncio.to_thread(spool_file.open_folder, folder)
    except OSError as error:
        reason = f"{folder} is not writable: {error.strerror}"
        raise SettingsError(f"RELAYDESK_SPOOL_DIR: {reason}") from None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if loop.time() > deadline:
                os.close(lock)
                reason = f"another process uses {folder}"
                raise SettingsError(f"RELAYDESK_SPOOL_DIR: {reason}") from None
            await asyncio.sleep(0.1)
        else:
            return lock
