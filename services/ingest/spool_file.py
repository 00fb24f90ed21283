"""The spool's files: numbered segments, appended to and flushed before a record counts.

Everything here blocks and runs in threads of the spool. A new process never continues an old
segment, since that may end in a torn record.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from services.ingest.record import Record
from services.ingest.spool_format import Found, encode, scan

log = logging.getLogger(__name__)

SEGMENT_BYTES = 4 * 1024 * 1024
"""A segment this long is followed by a new one; it is also what a crash may replay twice."""
_SUFFIX = ".segment"


class Extent(msgspec.Struct):
    """A segment: its file, how far it is replayed, how far it is written, records in between."""

    path: Path
    start: int = 0
    end: int = 0
    records: int = 0


def segment_path(folder: Path, number: int) -> Path:
    """Return where segment *number* is."""
    return folder / f"{number:012d}{_SUFFIX}"


def open_folder(folder: Path) -> int:
    """Make *folder* for its owner alone; return its lock file, opened for writing.

    A volume of Kubernetes belongs to root and lets us in by its group (`fsGroup`), so its mode
    cannot be changed; the files in it are ours alone all the same.

    Raises:
        OSError: It cannot be made or written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        folder.chmod(0o700)
    except PermissionError:
        if folder.stat().st_mode & stat.S_IWOTH:
            log.warning("spool.folder_open_to_all", extra={"folder": str(folder)})
    return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def existing(folder: Path) -> dict[int, Extent]:
    """Return the segments of earlier processes by number; empty ones are removed."""
    found: dict[int, Extent] = {}
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        data = path.read_bytes()
        records = sum(stretch.records is not None for stretch in scan(data))
        if data:
            found[int(path.name.removesuffix(_SUFFIX))] = Extent(path, 0, len(data), records)
        else:
            path.unlink()
    return found


def read(extent: Extent) -> list[Found]:
    """Return what stands between `start` and `end`, as stretches counted from the file's start.

    Raises:
        OSError: The file cannot be read.
    """
    with extent.path.open("rb") as file:
        file.seek(extent.start)
        data = file.read(extent.end - extent.start)
    return [Found(found.records, extent.start + found.end) for found in scan(data)]


class SegmentWriter:
    """Appends to the newest segment; belongs to one thread."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder = folder
        self._number = number
        self._file: int | None = None
        self._size = 0

    def write(self, data: bytes) -> tuple[int, int]:
        """Append encoded records and force them to disk.

        Returns:
            The segment's number and its size. On failure nothing of *data* stays.

        Raises:
            OSError: The disk is full or broken. The segment is given up: after a failed flush the
                kernel may call the same pages clean, so trying again there would prove nothing.
        """
        try:
            if self._file is None or self._size >= SEGMENT_BYTES:
                self._next()
            self._append(data)
        except OSError:
            self._take_back()
            raise
        return self._number, self._size

    def seal(self) -> None:
        """Close the present segment; the next write opens another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def probe(self) -> None:
        """Write and flush a little, to see whether the disk takes it again.

        Raises:
            OSError: It does not.
        """
        path = self._folder / "probe"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(file, b"\0" * 4096)
            os.fdatasync(file)
        finally:
            os.close(file)
            path.unlink()

    def _next(self) -> None:
        self.seal()
        self._number += 1
        path = segment_path(self._folder, self._number)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._size = 0
        flush_folder(self._folder)

    def _append(self, data: bytes) -> None:
        assert self._file is not None  # noqa: S101 (opened by the caller)
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        os.fdatasync(self._file)
        self._size += len(data)

    def _take_back(self) -> None:
        if self._file is None:
            return
        with suppress(OSError):
            os.ftruncate(self._file, self._size)
            if not self._size:
                segment_path(self._folder, self._number).unlink()
        with suppress(OSError):
            self.seal()


def flush_folder(folder: Path) -> None:
    """Force the names in *folder* to disk: a file without a name is lost."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def sift(path: Path, keep: Callable[[Sequence[Record]], Sequence[Record]]) -> None:
    """Write a file for people anew with what *keep* returns of each webhook in it.

    Raises:
        OSError: It cannot be read or written; it is as it was.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    whole = [found.records for found in scan(data) if found.records is not None]
    left = [rest for records in whole if (rest := keep(records))]
    if left == whole:
        return
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    append_to(fresh, b"".join(encode(records) for records in left))
    fresh.replace(path)
    flush_folder(path.parent)


def append_to(path: Path, data: bytes) -> None:
    """Append *data* to a file for people.

    Raises:
        OSError: It cannot be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
        file.write(data)
