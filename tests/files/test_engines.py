"""What every engine of the file store does: one suite over a folder, GridFS and S3."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from libs.common.errors import NotFoundError, StoreUnavailableError
from libs.common.files import gridfs
from libs.common.files.api import Files
from libs.common.files.open import open_files
from libs.common.files.pieces import PIECE_BYTES
from tests.files import s3_stand_in

MEBIBYTE = 1024 * 1024
SIZES = {
    "an empty file": 0,
    "one byte": 1,
    "exactly one piece": PIECE_BYTES,
    "one byte more than a piece": PIECE_BYTES + 1,
    "several parts of an upload": 17 * MEBIBYTE + 3,
}


@pytest_asyncio.fixture(params=["folder", "gridfs", "s3"])
async def files(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Files]:
    if request.param == "folder":
        async with open_files("", f"sqlite:///{tmp_path}/relaydesk.db") as files:
            yield files
    elif request.param == "gridfs":
        async with open_files("", str(request.getfixturevalue("mongo_database_url"))) as files:
            yield files
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_stand_in.KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_stand_in.SECRET)
        async with s3_stand_in.standing_in() as bucket:
            url = f"s3://box/some/where?endpoint={bucket.base}&region={s3_stand_in.REGION}"
            async with open_files(url, "") as files:
                yield files


def content(size: int) -> bytes:
    return hashlib.shake_128(str(size).encode()).digest(size)


async def in_chunks(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def whole(files: Files, workspace: str, file_id: str, start: int = 0) -> bytes:
    found = [piece async for piece in files.read(workspace, file_id, start=start)]
    assert all(0 < len(piece) <= PIECE_BYTES for piece in found)
    return b"".join(found)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_what_was_put_is_read(files: Files, size: int) -> None:
    data = content(size)
    stored = await files.put("acme", "att_1", in_chunks(data))
    assert (stored, type(stored)) == (size, int)  # no subclass of a driver: the store refuses it
    assert await whole(files, "acme", "att_1") == data


@pytest.mark.parametrize("start", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 299_999, 300_000, 400_000])
async def test_reading_begins_where_it_is_told(files: Files, start: int) -> None:
    data = content(300_000)
    await files.put("acme", "att_1", in_chunks(data))
    assert await whole(files, "acme", "att_1", start) == data[start:]


async def test_what_is_there_stays(files: Files) -> None:
    await files.put("acme", "att_1", in_chunks(b"first"))
    assert await files.put("acme", "att_1", in_chunks(b"another")) == 5
    assert await whole(files, "acme", "att_1") == b"first"


async def test_two_who_store_the_same_at_once_leave_one_whole_file(files: Files) -> None:
    data = content(600_000)

    async def slowly() -> AsyncIterator[bytes]:
        async for chunk in in_chunks(data):
            await asyncio.sleep(0.005)
            yield chunk

    sizes = await asyncio.gather(*(files.put("acme", "att_1", slowly()) for _ in range(4)))
    assert sizes == [600_000] * 4
    assert await whole(files, "acme", "att_1") == data


class BrokenOffError(Exception):
    pass


@pytest.mark.parametrize("size", [10, 300_000, 12 * MEBIBYTE])
async def test_a_source_that_breaks_off_leaves_nothing_and_passes_its_error(
    files: Files, size: int
) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        async for chunk in in_chunks(content(size)):
            yield chunk
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        await files.put("acme", "att_1", breaking())
    with pytest.raises(NotFoundError):
        await whole(files, "acme", "att_1")
    assert await files.put("acme", "att_1", in_chunks(b"again")) == 5


async def test_a_cancelled_put_leaves_nothing(files: Files) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            begun.set()
            yield bytes(100_000)
            await asyncio.sleep(0.01)

    task = asyncio.ensure_future(files.put("acme", "att_1", endless()))
    await begun.wait()
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(NotFoundError):
        await whole(files, "acme", "att_1")


async def test_workspaces_do_not_see_each_other(files: Files) -> None:
    await files.put("acme", "att_1", in_chunks(b"acme's"))
    await files.put("other", "att_1", in_chunks(b"other's"))
    assert await whole(files, "acme", "att_1") == b"acme's"
    await files.delete("acme", "att_1")
    assert await whole(files, "other", "att_1") == b"other's"


async def test_what_is_not_there_is_not_found_and_may_be_deleted(files: Files) -> None:
    await files.delete("acme", "att_1")
    with pytest.raises(NotFoundError):
        await whole(files, "acme", "att_1")
    with pytest.raises(NotFoundError):
        await whole(files, "acme", "att_1", 5)


async def test_deleted_is_gone(files: Files) -> None:
    await files.put("acme", "att_1", in_chunks(b"x"))
    await files.delete("acme", "att_1")
    with pytest.raises(NotFoundError):
        await whole(files, "acme", "att_1")


async def test_it_tells_that_it_can_be_used(files: Files) -> None:
    await files.check()


AWAY = {
    "folder": ("file://{folder}/taken", ""),
    "gridfs": ("gridfs:", "mongodb://127.0.0.1:1/x"),
    "s3": ("s3://box?endpoint=http://127.0.0.1:1&region=eu-test-1", ""),
}


@pytest.mark.parametrize(("url", "store_url"), AWAY.values(), ids=AWAY)
async def test_storage_that_is_away_is_said_to_be(
    url: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_stand_in.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_stand_in.SECRET)
    (tmp_path / "taken").write_text("a file stands in the folder's place")
    monkeypatch.setattr(gridfs, "DEADLINE_S", 0.5)
    async with open_files(url.format(folder=tmp_path), store_url) as files:
        with pytest.raises(StoreUnavailableError):
            await files.check()
        with pytest.raises(StoreUnavailableError):
            await files.put("acme", "att_1", in_chunks(b"x"))
    with warnings.catch_warnings():  # PyMongo's monitor leaves a socket when it is cancelled
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
