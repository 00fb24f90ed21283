"""Attachments in S3 or storage that speaks its protocol: `<prefix>/<workspace>/<id>`.

An object appears whole or not at all: S3 shows it once it is complete. A second upload of the same
id, by a replica that raced, brings the same bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from libs.common.errors import NotFoundError, SettingsError, StoreUnavailableError
from libs.common.files.pieces import PIECE_BYTES, pieces

T = TypeVar("T")

PART_BYTES = 8 * 1024 * 1024
"""Size of a part of a large upload; this times `_PARALLEL` is what one upload holds in memory."""
_PARALLEL = 2
_OPTIONS = frozenset({"endpoint", "region", "virtual_hosted"})
_WORDS = "RELAYDESK_FILES_URL must be s3://bucket/prefix?endpoint=https://host&region=name"


class S3Files:
    """`Files` in one bucket, below *prefix*."""

    def __init__(self, store: S3Store, prefix: str) -> None:
        self._store = store
        self._prefix = prefix

    async def put(self, workspace: str, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        """See `Files.put`."""
        key = self._key(workspace, file_id)
        with suppress(NotFoundError):
            return (await _answered(obstore.head_async(self._store, key)))["size"]
        source = _Source(pieces(chunks))
        try:
            await _answered(
                obstore.put_async(
                    self._store,
                    key,
                    source,
                    chunk_size=PART_BYTES,
                    max_concurrency=_PARALLEL,
                )
            )
        except Exception:
            if source.failure is not None:
                raise source.failure from None
            raise
        return source.size

    async def read(self, workspace: str, file_id: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """See `Files.read`."""
        key = self._key(workspace, file_id)
        if start and start >= (await _answered(obstore.head_async(self._store, key)))["size"]:
            return
        options: Any = {"range": {"offset": start}} if start else None
        found = await _answered(obstore.get_async(self._store, key, options=options))
        stream = aiter(found.stream(min_chunk_size=PIECE_BYTES))
        while chunk := await _answered(anext(stream, b"")):
            plain = bytes(chunk)
            for at in range(0, len(plain), PIECE_BYTES):
                yield plain[at : at + PIECE_BYTES]

    async def delete(self, workspace: str, file_id: str) -> None:
        """See `Files.delete`."""
        with suppress(NotFoundError):
            await _answered(obstore.delete_async(self._store, self._key(workspace, file_id)))

    async def check(self) -> None:
        """See `Files.check`."""
        with suppress(NotFoundError):
            await _answered(obstore.head_async(self._store, self._key("_system", "check")))

    def _key(self, workspace: str, file_id: str) -> str:
        return "/".join(part for part in (self._prefix, workspace, file_id) if part)


class _Source:
    """What is uploaded. It counts, and keeps the failure that the library would wrap."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self.size = 0
        self.failure: BaseException | None = None

    def __aiter__(self) -> _Source:
        return self

    async def __anext__(self) -> bytes:
        try:
            piece = await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except BaseException as error:
            self.failure = error
            raise
        self.size += len(piece)
        return piece


async def _answered(call: Awaitable[T]) -> T:
    try:
        return await call
    except FileNotFoundError:
        raise NotFoundError("no such file") from None
    except (BaseError, OSError) as error:
        raise StoreUnavailableError(f"S3: {type(error).__name__}") from None


@asynccontextmanager
async def open_s3(url: str) -> AsyncIterator[S3Files]:
    """Open the bucket; credentials come from the usual `AWS_*` variables or the machine's role.

    Raises:
        SettingsError: The URL is not as it must be; says what is allowed.
    """
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    if not parts.netloc or not options.keys() <= _OPTIONS:
        raise SettingsError(_WORDS)
    config: Any = {name: value for name, value in options.items() if name != "virtual_hosted"}
    config["virtual_hosted_style_request"] = options.get("virtual_hosted") == "true"
    config["disable_bulk_delete"] = True  # not every storage of this kind knows it
    try:
        store = S3Store(
            parts.netloc,
            config=config,
            client_options={
                "allow_http": options.get("endpoint", "").startswith("http://"),
                "connect_timeout": timedelta(seconds=5),
                "timeout": timedelta(seconds=60),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=5)},
        )
    except (BaseError, ValueError) as error:
        raise SettingsError(f"{_WORDS}: {type(error).__name__}") from None
    yield S3Files(store, parts.path.strip("/"))
