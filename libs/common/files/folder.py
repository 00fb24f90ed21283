"""Attachments in a folder: for one machine, such as the embedded installation.

`<root>/<workspace>/<two letters>/<two letters>/<id>`, the letters from a hash of the id, so that no
folder grows large. A file appears whole or not at all: it is written beside, flushed to the disk,
and then linked to its name, which never replaces what has that name.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, TypeVar

from libs.common.errors import NotFoundError, StoreUnavailableError
from libs.common.files.pieces import PIECE_BYTES, pieces

T = TypeVar("T")

_DRAFTS = ".drafts"
_DRAFT_LIFE_S = 24 * 3600
_SAFE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)


class FolderFiles:
    """`Files` below *root*, which is made where it is missing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, workspace: str, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        """See `Files.put`."""
        path = self._path(workspace, file_id)
        known = await _done(lambda: _size(path))
        if known is not None:
            return known
        draft = self._root / _DRAFTS / f"{file_id}.{secrets.token_hex(8)}"
        try:
            file = await _opening(lambda: _new(draft))
        except asyncio.CancelledError:
            draft.unlink(missing_ok=True)
            raise
        try:
            async for piece in pieces(chunks):
                await _done(lambda: file.write(piece))  # noqa: B023 (it is awaited here)
            return await _done(lambda: _settle(file, draft, path))
        finally:
            await _done(lambda: _discard(file, draft))

    async def read(self, workspace: str, file_id: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """See `Files.read`."""
        path = self._path(workspace, file_id)
        file = await _opening(lambda: _opened(path, start))
        try:
            while piece := await _done(lambda: file.read(PIECE_BYTES)):
                yield piece
        finally:
            file.close()

    async def delete(self, workspace: str, file_id: str) -> None:
        """See `Files.delete`."""
        path = self._path(workspace, file_id)
        await _done(lambda: path.unlink(missing_ok=True))

    async def check(self) -> None:
        """See `Files.check`."""
        draft = self._root / _DRAFTS / f"check.{secrets.token_hex(8)}"

        def trial() -> None:
            with _new(draft) as file:
                file.write(b"ok")
            draft.unlink()

        await _done(trial)

    async def sweep(self) -> None:
        """Remove drafts that a killed process left a day ago or earlier."""

        def work() -> None:
            for draft in (self._root / _DRAFTS).glob("*"):
                with suppress(FileNotFoundError):
                    if draft.stat().st_mtime < time.time() - _DRAFT_LIFE_S:
                        draft.unlink()

        await _done(work)

    def _path(self, workspace: str, file_id: str) -> Path:
        """Return where a file lies.

        Raises:
            NotFoundError: A name that could lead elsewhere; nothing is stored under it.
        """
        if not (_SAFE.fullmatch(workspace) and _SAFE.fullmatch(file_id)):
            raise NotFoundError("no such file")
        fan = blake2b(file_id.encode(), digest_size=2).hexdigest()
        return self._root / workspace / fan[:2] / fan[2:] / file_id


async def _done(work: Callable[[], T]) -> T:
    """Run *work* in a thread and wait for its end even when cancelled: it holds an open file."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # seen, so that nobody reports it as lost
        raise
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, type(error).__name__)
        raise StoreUnavailableError(f"folder of files: {name}") from None


async def _opening(work: Callable[[], BinaryIO]) -> BinaryIO:
    """Open a file in a thread; one that was opened for nobody, as the caller is gone, is closed."""
    opened: list[BinaryIO] = []
    try:
        await _done(lambda: opened.append(work()))
    except asyncio.CancelledError:
        for file in opened:
            file.close()
        raise
    return opened[0]


def _new(draft: Path) -> BinaryIO:
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")  # noqa: PTH123


def _settle(file: BinaryIO, draft: Path, path: Path) -> int:
    file.flush()
    os.fsync(file.fileno())
    size = file.tell()
    _make_folders(path.parent)
    try:
        os.link(draft, path)
    except FileExistsError:
        return path.stat().st_size
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        draft.replace(path)  # a file system without hard links
    _flush_folder(path.parent)
    return size


def _make_folders(folder: Path) -> None:
    """Make a folder and those above it, each flushed into the one that names it."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _flush_folder(folder.parent)


def _flush_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _discard(file: BinaryIO, draft: Path) -> None:
    with suppress(OSError):  # a full disk refuses what is still in the buffer
        file.close()
    draft.unlink(missing_ok=True)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _opened(path: Path, start: int) -> BinaryIO:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFoundError("no such file") from None
    file.seek(start)
    return file
