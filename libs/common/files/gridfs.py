"""Attachments in the MongoDB of the store: GridFS, bucket `attachments`.

A file's name is `<workspace>/<id>`, unique, so that of two who store the same file one keeps it.
Before its first piece a draft is noted; what a killed process left is removed by that note.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from bson import ObjectId
from gridfs.asynchronous import AsyncGridFSBucket
from gridfs.asynchronous.grid_file import AsyncGridIn
from gridfs.errors import CorruptGridFile, FileExists, NoFile
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from libs.common.errors import NotFoundError, StoreUnavailableError
from libs.common.files.pieces import PIECE_BYTES, pieces
from libs.common.store.mongo_link import MongoLink, linked

T = TypeVar("T")
Database = AsyncDatabase[dict[str, Any]]
Raw = AsyncCollection[dict[str, Any]]

BUCKET = "attachments"
DEADLINE_S = 10.0
_DRAFT_LIFE = timedelta(days=1)


class GridFiles:
    """`Files` in one MongoDB database."""

    def __init__(self, link: MongoLink) -> None:
        self._link = link
        self._made: tuple[Database, AsyncGridFSBucket] | None = None
        self._prepared = False

    @property
    def _bucket(self) -> AsyncGridFSBucket:
        database = self._link.database
        if self._made is None or self._made[0] is not database:
            made = AsyncGridFSBucket(database, BUCKET, chunk_size_bytes=PIECE_BYTES)
            self._made = (database, made)
        return self._made[1]

    @property
    def _files(self) -> Raw:
        return self._link.database[f"{BUCKET}.files"]

    @property
    def _chunks(self) -> Raw:
        return self._link.database[f"{BUCKET}.chunks"]

    @property
    def _drafts(self) -> Raw:
        return self._link.database[f"{BUCKET}.drafts"]

    async def put(self, workspace: str, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        """See `Files.put`."""
        name = f"{workspace}/{file_id}"
        await self._prepare()
        known = await self._answered(partial(self._files.find_one, {"filename": name}))
        if known is not None:
            return int(known["length"])
        draft = ObjectId()
        await self._answered(
            partial(self._drafts.insert_one, {"_id": draft, "at": datetime.now(UTC)})
        )
        upload = self._bucket.open_upload_stream_with_id(draft, name)
        try:
            size = await self._written(upload, chunks)
        except BaseException:
            with suppress(StoreUnavailableError):
                await self._discard(draft)
            raise
        await self._answered(partial(self._drafts.delete_one, {"_id": draft}))
        return size

    async def read(self, workspace: str, file_id: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """See `Files.read`."""
        name = f"{workspace}/{file_id}"
        file = await self._answered(partial(self._bucket.open_download_stream_by_name, name))
        if start:
            await self._answered(partial(file.seek, start))
        while piece := await self._answered(partial(file.read, PIECE_BYTES)):
            yield piece

    async def delete(self, workspace: str, file_id: str) -> None:
        """See `Files.delete`."""
        name = f"{workspace}/{file_id}"
        known = await self._answered(partial(self._files.find_one, {"filename": name}))
        if known is not None:
            with suppress(NotFoundError):
                await self._answered(partial(self._bucket.delete, known["_id"]))

    async def check(self) -> None:
        """See `Files.check`."""
        with _mapped():
            await self._link.ping(DEADLINE_S)

    async def _written(self, upload: AsyncGridIn, chunks: AsyncIterator[bytes]) -> int:
        """Write it all and give it its name; where another was faster, theirs stays."""
        async for piece in pieces(chunks):
            await self._answered(partial(upload.write, piece))
        try:
            await self._answered(upload.close)
        except FileExists:
            await self._discard(upload._id)  # noqa: SLF001 (the documented property)
            known = await self._answered(
                partial(self._files.find_one, {"filename": upload.filename})
            )
            return int(known["length"]) if known else 0
        return int(upload.length)  # a subclass of int, which the store refuses

    async def _discard(self, draft: ObjectId) -> None:
        """Remove the pieces of an upload that came to nothing."""
        if await self._answered(partial(self._files.find_one, {"_id": draft})) is None:
            await self._answered(partial(self._chunks.delete_many, {"files_id": draft}))
        await self._answered(partial(self._drafts.delete_one, {"_id": draft}))

    async def _prepare(self) -> None:
        """Make the unique index, and remove what killed processes left a day ago or earlier."""
        if self._prepared:
            return
        await self._answered(partial(self._files.create_index, "filename", unique=True))
        old = self._drafts.find({"at": {"$lt": datetime.now(UTC) - _DRAFT_LIFE}}).limit(1000)
        for draft in await self._answered(old.to_list):
            await self._discard(draft["_id"])
        self._prepared = True

    async def _answered(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what *call* answers; whoever is cancelled waits, as it may still be writing."""
        with _mapped():
            return await self._link.answered(call, limit_s=DEADLINE_S, finish=True)


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except (NoFile, CorruptGridFile):
        raise NotFoundError("no such file") from None
    except FileExists:
        raise
    except PyMongoError as error:
        raise StoreUnavailableError(f"GridFS: {type(error).__name__}") from None


@asynccontextmanager
async def open_gridfs(store_url: str) -> AsyncIterator[GridFiles]:
    """Open GridFS in the database of the store; the server may be away.

    Raises:
        SettingsError: The URL is malformed.
    """
    async with linked(store_url, appname="relaydesk-files", maxPoolSize=32, tz_aware=True) as link:
        yield GridFiles(link)
