"""Attachments in the MongoDB of the store: GridFS, bucket `attachments`.

A file's name is `<workspace>/<id>`, unique, so that of two who store the same file one keeps it.
Before its first piece a draft is noted; what a killed process left is removed by that note.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pymongo
from bson import ObjectId
from gridfs.asynchronous import AsyncGridFSBucket
from gridfs.asynchronous.grid_file import AsyncGridIn
from gridfs.errors import CorruptGridFile, FileExists, NoFile
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConfigurationError, InvalidURI, PyMongoError

from libs.common.errors import NotFoundError, SettingsError, StoreUnavailableError
from libs.common.files.pieces import PIECE_BYTES, pieces

T = TypeVar("T")

BUCKET = "attachments"
DEADLINE_S = 10.0
_DRAFT_LIFE = timedelta(days=1)


class GridFiles:
    """`Files` in one MongoDB database."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._bucket = AsyncGridFSBucket(database, BUCKET, chunk_size_bytes=PIECE_BYTES)
        self._files = database[f"{BUCKET}.files"]
        self._chunks = database[f"{BUCKET}.chunks"]
        self._drafts = database[f"{BUCKET}.drafts"]
        self._prepared = False

    async def put(self, workspace: str, file_id: str, chunks: AsyncIterator[bytes]) -> int:
        """See `Files.put`."""
        name = f"{workspace}/{file_id}"
        await self._prepare()
        known = await _answered(self._files.find_one({"filename": name}))
        if known is not None:
            return int(known["length"])
        draft = ObjectId()
        await _answered(self._drafts.insert_one({"_id": draft, "at": datetime.now(UTC)}))
        upload = self._bucket.open_upload_stream_with_id(draft, name)
        try:
            size = await self._written(upload, chunks)
        except BaseException:
            with suppress(StoreUnavailableError):
                await self._discard(draft)
            raise
        await _answered(self._drafts.delete_one({"_id": draft}))
        return size

    async def read(self, workspace: str, file_id: str, *, start: int = 0) -> AsyncIterator[bytes]:
        """See `Files.read`."""
        name = f"{workspace}/{file_id}"
        file = await _answered(self._bucket.open_download_stream_by_name(name))
        if start:
            await _answered(file.seek(start))
        while piece := await _answered(file.read(PIECE_BYTES)):
            yield piece

    async def delete(self, workspace: str, file_id: str) -> None:
        """See `Files.delete`."""
        name = f"{workspace}/{file_id}"
        known = await _answered(self._files.find_one({"filename": name}))
        if known is not None:
            with suppress(NotFoundError):
                await _answered(self._bucket.delete(known["_id"]))

    async def check(self) -> None:
        """See `Files.check`."""
        await _answered(self._database.client.admin.command("ping"))

    async def _written(self, upload: AsyncGridIn, chunks: AsyncIterator[bytes]) -> int:
        """Write it all and give it its name; where another was faster, theirs stays."""
        async for piece in pieces(chunks):
            await _answered(upload.write(piece))
        try:
            await _answered(upload.close())
        except FileExists:
            await self._discard(upload._id)  # noqa: SLF001 (the documented property)
            known = await _answered(self._files.find_one({"filename": upload.filename}))
            return int(known["length"]) if known else 0
        return int(upload.length)  # a subclass of int, which the store refuses

    async def _discard(self, draft: ObjectId) -> None:
        """Remove the pieces of an upload that came to nothing."""
        if await _answered(self._files.find_one({"_id": draft})) is None:
            await _answered(self._chunks.delete_many({"files_id": draft}))
        await _answered(self._drafts.delete_one({"_id": draft}))

    async def _prepare(self) -> None:
        """Make the unique index, and remove what killed processes left a day ago or earlier."""
        if self._prepared:
            return
        await _answered(self._files.create_index("filename", unique=True))
        old = self._drafts.find({"at": {"$lt": datetime.now(UTC) - _DRAFT_LIFE}}).limit(1000)
        for draft in await _answered(old.to_list()):
            await self._discard(draft["_id"])
        self._prepared = True


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


async def _answered(call: Awaitable[T]) -> T:
    with _mapped(), pymongo.timeout(DEADLINE_S):
        return await call


@asynccontextmanager
async def open_gridfs(store_url: str) -> AsyncIterator[GridFiles]:
    """Open GridFS in the database of the store; the server may be away.

    Raises:
        SettingsError: The URL is malformed.
    """
    try:
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            store_url,
            appname="relaydesk-files",
            w="majority",
            journal=True,
            serverSelectionTimeoutMS=1500,
            connectTimeoutMS=1500,
            maxPoolSize=32,
            tz_aware=True,
        )
    except (InvalidURI, ConfigurationError, ValueError) as error:
        raise SettingsError(f"the store's URL is malformed: {type(error).__name__}") from None
    async with client:
        yield GridFiles(client.get_default_database("relaydesk"))
