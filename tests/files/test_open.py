"""Which storage a setting opens, and what the folder leaves behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from libs.common.errors import NotFoundError, SettingsError
from libs.common.files.folder import FolderFiles
from libs.common.files.gridfs import GridFiles
from libs.common.files.open import open_files
from libs.common.files.s3 import S3Files

OPENED = {
    "a folder beside an SQLite file": ("", "sqlite:////srv/x/relaydesk.db", FolderFiles),
    "GridFS with MongoDB": ("", "mongodb://127.0.0.1:1/x", GridFiles),
    "a folder that is named": ("file:///srv/x", "mongodb://127.0.0.1:1/x", FolderFiles),
    "GridFS that is named": ("gridfs:", "mongodb://127.0.0.1:1/x", GridFiles),
    "S3": ("s3://box/a/b?region=eu", "sqlite:///x.db", S3Files),
}
REFUSED = {
    "another scheme": ("ftp://x/y", "sqlite:///x.db"),
    "GridFS without MongoDB": ("gridfs:", "sqlite:///x.db"),
    "a relative folder": ("file://folder", "sqlite:///x.db"),
    "the root": ("file:///", "sqlite:///x.db"),
    "S3 without a bucket": ("s3:///a", "sqlite:///x.db"),
    "S3 with an option of its own": ("s3://box?secret=x", "sqlite:///x.db"),
}


@pytest.mark.parametrize(("url", "store_url", "kind"), OPENED.values(), ids=OPENED)
async def test_opened(url: str, store_url: str, kind: type) -> None:
    async with open_files(url, store_url) as files:
        assert isinstance(files, kind)


@pytest.mark.parametrize(("url", "store_url"), REFUSED.values(), ids=REFUSED)
async def test_refused(url: str, store_url: str) -> None:
    with pytest.raises(SettingsError, match="RELAYDESK_FILES_URL"):
        async with open_files(url, store_url):
            pass


async def one(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.mark.parametrize("bad", ["../x", "a/b", "", ".", "x\x00", "é", "x" * 200])
async def test_no_name_leads_out_of_the_folder(tmp_path: Path, bad: str) -> None:
    files = FolderFiles(tmp_path / "files")
    for workspace, file_id in ((bad, "att_1"), ("acme", bad)):
        with pytest.raises(NotFoundError):
            await files.put(workspace, file_id, one(b"x"))
        with pytest.raises(NotFoundError):
            await anext(files.read(workspace, file_id))
    assert not (tmp_path / "files").exists()


async def test_only_we_may_read_the_files(tmp_path: Path) -> None:
    files = FolderFiles(tmp_path / "files")
    await files.put("acme", "att_1", one(b"x"))
    (stored,) = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert stored.stat().st_mode & 0o077 == 0
    assert (tmp_path / "files" / "acme").stat().st_mode & 0o077 == 0
    assert len(stored.relative_to(tmp_path / "files").parts) == 4


WRITER = """
import asyncio, sys
from pathlib import Path
from libs.common.files.folder import FolderFiles

async def endless():
    while True:
        yield bytes(300_000)
        print("piece", flush=True)
        await asyncio.sleep(0.01)

asyncio.run(FolderFiles(Path(sys.argv[1])).put("acme", "att_1", endless()))
"""


async def test_a_kill_leaves_no_half_of_a_file_and_its_draft_is_swept(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path / "files"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(3):
        await asyncio.wait_for(process.stdout.readline(), 20)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    async with open_files((tmp_path / "files").as_uri(), "") as files:
        with pytest.raises(NotFoundError):
            await anext(files.read("acme", "att_1"))
        (draft,) = (tmp_path / "files" / ".drafts").iterdir()
        assert await files.put("acme", "att_1", one(b"whole")) == 5
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(draft, (two_days_ago, two_days_ago))
    async with open_files((tmp_path / "files").as_uri(), "") as files:
        assert not draft.exists()
        assert await anext(files.read("acme", "att_1")) == b"whole"


@pytest.mark.parametrize("turns", range(12))
async def test_d22_a_put_that_is_cancelled_at_any_point_leaves_nothing(
    tmp_path: Path, turns: int
) -> None:
    files = FolderFiles(tmp_path)
    putting = asyncio.create_task(files.put("acme", "att_1", one(b"whole")))
    for _ in range(turns):
        await asyncio.sleep(0)
    await asyncio.sleep(turns % 3 / 1000)
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    del putting
    gc.collect()  # a file that was left open would warn, and warnings are errors
    drafts = tmp_path / ".drafts"
    assert not drafts.exists() or list(drafts.iterdir()) == []
