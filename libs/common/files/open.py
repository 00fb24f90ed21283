"""Open the storage of attachments that a URL names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from libs.common.errors import SettingsError, StoreUnavailableError
from libs.common.files.api import Files
from libs.common.files.folder import FolderFiles

_SQLITE = "sqlite:///"
_MONGODB = ("mongodb://", "mongodb+srv://")
_WORDS = "RELAYDESK_FILES_URL must be file:///folder, gridfs: or s3://bucket/prefix"


@asynccontextmanager
async def open_files(url: str, store_url: str) -> AsyncIterator[Files]:
    """Open the storage until the block ends. It may be away: see `Files.check`.

    Args:
        url: As the setting `files_url`; empty takes what fits the store.
        store_url: As the setting `store_url`.

    Raises:
        SettingsError: The URL is of no known kind or does not fit the store; says what.
    """
    url = url or _beside(store_url)
    if url.startswith("file://"):
        folder = FolderFiles(_folder(url))
        with suppress(StoreUnavailableError):
            await folder.sweep()
        yield folder
    elif url == "gridfs:":
        if not store_url.startswith(_MONGODB):
            raise SettingsError("RELAYDESK_FILES_URL: gridfs: needs a mongodb:// store")
        from libs.common.files.gridfs import open_gridfs  # noqa: PLC0415 only the one in use loads

        async with open_gridfs(store_url) as files:
            yield files
    elif url.startswith("s3://"):
        from libs.common.files.s3 import open_s3  # noqa: PLC0415 only the one in use loads

        async with open_s3(url) as files:
            yield files
    else:
        raise SettingsError(_WORDS)


def _beside(store_url: str) -> str:
    """Return the default: `files` beside an SQLite file, else GridFS."""
    if store_url.startswith(_SQLITE):
        return (Path(store_url.removeprefix(_SQLITE)).absolute().parent / "files").as_uri()
    return "gridfs:"


def _folder(url: str) -> Path:
    parts = urlsplit(url)
    path = Path(unquote(parts.path))
    if parts.netloc not in {"", "localhost"} or not path.is_absolute() or path == Path("/"):
        raise SettingsError(f"{_WORDS}; the folder needs a whole path, as in file:///var/files")
    return path
