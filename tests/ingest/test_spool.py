"""The spool keeps what it took through crashes, damage and full disks."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from libs.common.errors import SettingsError
from services.ingest import metrics
from services.ingest import spool as spool_module
from services.ingest.record import Record
from services.ingest.spool import Spool, SpoolUnavailableError, open_spool
from services.ingest.spool_file import SEGMENT_BYTES, existing
from services.ingest.spool_format import HEAD_BYTES, encode, scan

ROOM = 64 * 1024 * 1024


def webhook(name: str, size: int = 10) -> list[Record]:
    return [
        Record(f"raw.w.{name}", f"{name}/0", {"h": "ä"}, b"\x00\xff" + bytes(size)),
        Record(f"in.1.w.{name}", name, {}, b"{}"),
    ]


FILES: dict[str, tuple[bytes, list[str], int]] = {
    "whole records come back in order": (
        encode(webhook("a")) + encode(webhook("b")),
        ["a", "b"],
        0,
    ),
    "an empty file holds nothing": (b"", [], 0),
    "a record cut in its payload is skipped": (
        encode(webhook("a")) + encode(webhook("b"))[:-1],
        ["a"],
        1,
    ),
    "a record cut in its head is skipped": (
        encode(webhook("a")) + encode(webhook("b"))[: HEAD_BYTES - 1],
        ["a"],
        1,
    ),
    "a rotten record in the middle costs only itself": (
        encode(webhook("a")) + b"x" + encode(webhook("b"))[1:] + encode(webhook("c")),
        ["a", "c"],
        1,
    ),
    "a flipped bit in a payload costs only that record": (
        encode(webhook("a"))[:-1] + b"!" + encode(webhook("b")),
        ["b"],
        1,
    ),
    "a length that lies does not swallow what follows": (
        encode(webhook("a"))[:4]
        + b"\xff\xff\xff\x7f"
        + encode(webhook("a"))[8:]
        + encode(webhook("b")),
        ["b"],
        1,
    ),
    "zeros behind the last record are damage": (encode(webhook("a")) + bytes(4096), ["a"], 1),
}


@pytest.mark.parametrize(("data", "names", "damaged"), FILES.values(), ids=FILES)
def test_scan(data: bytes, names: list[str], damaged: int) -> None:
    found = list(scan(data))
    assert [f.records[1].msg_id for f in found if f.records] == names
    assert sum(f.records is None for f in found) == damaged
    assert not data or found[-1].end == len(data)
    assert all(
        f.records == webhook(n) for f, n in zip((f for f in found if f.records), names, strict=True)
    )


async def names_in(spool: Spool) -> list[str]:
    """Drain the spool as replay does; return the names in order."""
    names = []
    while (oldest := await spool.oldest()) is not None:
        number, stretches = oldest
        for found in stretches:
            if found.records is not None:
                names.append(found.records[1].msg_id)
            await spool.advance(number, found)
    return names


async def test_a_record_survives_the_process(tmp_path: Path) -> None:
    async with open_spool(tmp_path, ROOM) as spool:
        await spool.append(webhook("a"))
        await spool.append(webhook("b"))
    async with open_spool(tmp_path, ROOM) as spool:
        assert spool.record_count == 2
        assert spool.filled.is_set()
        await spool.append(webhook("c"))
        assert await names_in(spool) == ["a", "b", "c"]
        assert (spool.record_count, spool.size_bytes) == (0, 0)
        assert not spool.filled.is_set()
    assert list(tmp_path.glob("*.segment")) == []


async def test_a03_a_torn_tail_is_skipped_and_counted(tmp_path: Path) -> None:
    async with open_spool(tmp_path, ROOM) as spool:
        await spool.append(webhook("a"))
        await spool.append(webhook("b"))
    (segment,) = tmp_path.glob("*.segment")
    segment.write_bytes(segment.read_bytes()[:-3])
    before = metrics.SPOOL_TORN._value.get()
    async with open_spool(tmp_path, ROOM) as spool:
        await spool.append(webhook("c"))  # never behind a torn tail
        assert await names_in(spool) == ["a", "c"]
    assert metrics.SPOOL_TORN._value.get() == before + 1


async def test_many_appends_share_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = []
    real = os.fdatasync

    def counted(file: int) -> None:
        flushes.append(file)
        real(file)

    monkeypatch.setattr(os, "fdatasync", counted)
    async with open_spool(tmp_path, ROOM) as spool:
        await asyncio.gather(*[spool.append(webhook(f"n{i}")) for i in range(500)])
        assert spool.record_count == 500
        assert 0 < len(flushes) < 20
        assert await names_in(spool) == [f"n{i}" for i in range(500)]


async def test_segments_roll_and_go_as_they_are_drained(tmp_path: Path) -> None:
    async with open_spool(tmp_path, ROOM) as spool:
        for i in range(5):
            await spool.append(webhook(f"n{i}", SEGMENT_BYTES // 2))
        assert len(list(tmp_path.glob("*.segment"))) >= 2
        oldest = await spool.oldest()
        assert oldest is not None
        number, stretches = oldest
        for found in stretches:
            await spool.advance(number, found)
        assert number not in existing(tmp_path)
        await spool.append(webhook("late"))
        assert (await names_in(spool))[-1] == "late"
    assert existing(tmp_path) == {}


@pytest.mark.parametrize("append_first", [False, True])
async def test_an_append_during_the_drain_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, append_first: bool
) -> None:
    real = os.fdatasync

    def slow(file: int) -> None:
        time.sleep(0.05)
        real(file)

    async with open_spool(tmp_path, ROOM) as spool:
        await spool.append(webhook("first"))
        oldest = await spool.oldest()
        assert oldest is not None
        number, (found,) = oldest
        monkeypatch.setattr(os, "fdatasync", slow)
        if append_first:
            appending = asyncio.create_task(spool.append(webhook("second")))
            await asyncio.sleep(0.01)  # it is being written to the same segment
            await spool.advance(number, found)
            await appending
        else:
            await asyncio.gather(spool.advance(number, found), spool.append(webhook("second")))
        assert await names_in(spool) == ["second"]


async def test_a_full_spool_refuses_and_takes_again_when_drained(tmp_path: Path) -> None:
    async with open_spool(tmp_path, 1 << 20) as spool:
        await spool.append(webhook("a", 900_000))
        with pytest.raises(SpoolUnavailableError):
            await spool.append(webhook("b", 200_000))
        assert await names_in(spool) == ["a"]
        await spool.append(webhook("b", 200_000))


async def test_b4_a_full_disk_refuses_keeps_the_rest_and_heals(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with open_spool(tmp_path, ROOM) as spool:
        await spool.append(webhook("a"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # writing beyond fails with EFBIG
        try:
            with pytest.raises(SpoolUnavailableError):
                await spool.append(webhook("b", 100_000))
            assert not spool.usable
            on_disk = sum(path.stat().st_size for path in tmp_path.glob("*.segment"))
            assert on_disk == spool.size_bytes  # nothing of what was refused
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await spool.probe()
        assert spool.usable
        await spool.append(webhook("c"))
        assert await names_in(spool) == ["a", "c"]
    assert existing(tmp_path) == {}


async def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(SettingsError, match="RELAYDESK_SPOOL_DIR"):
        async with open_spool(blocked / "spool", ROOM):
            pass


USER = 10001
FOREIGN: dict[str, tuple[int, bool, list[str]]] = {
    "a volume of Kubernetes, where our group may write, is taken": (0o2775, True, []),
    "one that everybody may write is taken, and told": (0o777, True, ["spool.folder_open_to_all"]),
    "one that we may not write stops the start": (0o755, False, []),
}


@pytest.fixture
def volume() -> Iterator[Path]:
    """Yield a folder of root with the group *USER*, and be that user for as long."""
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, 0, USER)
    os.setegid(USER)
    os.seteuid(USER)
    try:
        yield folder
    finally:
        os.seteuid(0)
        os.setegid(0)
        shutil.rmtree(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a folder of somebody else")
@pytest.mark.parametrize(("mode", "taken", "told"), FOREIGN.values(), ids=FOREIGN)
async def test_a_folder_of_somebody_else(
    volume: Path, mode: int, taken: bool, told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    os.seteuid(0)
    volume.chmod(mode)
    os.seteuid(USER)
    refused = nullcontext() if taken else pytest.raises(SettingsError, match="not writable")
    with refused:
        async with open_spool(volume, ROOM) as spool:
            await spool.append(webhook("a"))
            (segment,) = volume.glob("*.segment")
            assert segment.stat().st_mode & 0o777 == 0o600
    assert [entry.message for entry in caplog.records] == told


async def test_one_process_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "LOCK_WAIT_S", 0.2)
    async with open_spool(tmp_path, ROOM):
        with pytest.raises(SettingsError, match="another process"):
            async with open_spool(tmp_path, ROOM):
                pass


async def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    async with open_spool(folder, ROOM) as spool:
        await spool.append(webhook("a"))
        assert folder.stat().st_mode & 0o777 == 0o700
        (segment,) = folder.glob("*.segment")
        assert segment.stat().st_mode & 0o777 == 0o600
