"""`relaydesk backup` and `restore`: what they copy, check and refuse."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from libs.common.cli.backup import backup_folder, restore_folder
from libs.common.errors import SettingsError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for name in ("nats/jetstream", "spool", "files"):
        (folder / name).mkdir(parents=True)
    (folder / "nats" / "jetstream" / "1.blk").write_bytes(b"stream")
    (folder / "nats" / "nats.pid").write_text("1")
    (folder / "spool" / "1.spool").write_bytes(b"webhook")
    (folder / "files" / "f").write_bytes(b"file")
    (folder / "secret.key").write_text("k1:abc")
    (folder / "lock").touch()
    with contextlib.closing(sqlite3.connect(folder / "relaydesk.db")) as store:
        store.execute("PRAGMA journal_mode=WAL")
        store.execute("CREATE TABLE t (n INTEGER)")
        store.execute("INSERT INTO t VALUES (1)")
        store.commit()
    return folder


def rows(folder: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(folder / "relaydesk.db")) as store:
        return [n for (n,) in store.execute("SELECT n FROM t ORDER BY n")]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_d14_a_stopped_folder_comes_back_whole(data: Path, tmp_path: Path) -> None:
    backup_folder(data, tmp_path / "b", online=False)
    restore_folder(tmp_path / "b", tmp_path / "again")
    expected = {"nats/jetstream/1.blk", "spool/1.spool", "files/f", "secret.key", "relaydesk.db"}
    assert names(tmp_path / "again") == expected
    assert rows(tmp_path / "again") == [1]
    assert (tmp_path / "again" / "nats" / "jetstream" / "1.blk").read_bytes() == b"stream"
    assert (tmp_path / "b").stat().st_mode & 0o077 == 0


def test_d14_a_store_is_copied_as_of_one_instant_while_it_is_written(
    data: Path, tmp_path: Path
) -> None:
    over = threading.Event()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(data / "relaydesk.db", timeout=10)) as store:
            n = 2
            while not over.is_set():
                with store:  # two rows, always together
                    store.execute("INSERT INTO t VALUES (?)", (n,))
                    store.execute("INSERT INTO t VALUES (?)", (n + 1,))
                n += 2

    thread = threading.Thread(target=write)
    thread.start()
    try:
        made = backup_folder(data, tmp_path / "b", online=True)
    finally:
        over.set()
        thread.join()
    assert made.online
    assert not any(name.startswith(("nats/", "spool/")) for name in made.files)
    restore_folder(tmp_path / "b", tmp_path / "again")
    found = rows(tmp_path / "again")
    assert found == list(range(1, len(found) + 1))
    assert len(found) % 2 == 1


def _nothing_there(_data: Path, root: Path) -> None:
    backup_folder(root, root / "b", online=False)


def _there_already(data: Path, root: Path) -> None:
    (root / "b").mkdir()
    backup_folder(data, root / "b", online=False)


def _running(data: Path, root: Path) -> None:
    with (data / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        backup_folder(data, root / "b", online=False)


def _no_backup(data: Path, root: Path) -> None:
    restore_folder(data, root / "again")


def _damaged(data: Path, root: Path) -> None:
    backup_folder(data, root / "b", online=False)
    (root / "b" / "files" / "f").write_bytes(b"FILE")
    restore_folder(root / "b", root / "again")


def _cut(data: Path, root: Path) -> None:
    backup_folder(data, root / "b", online=False)
    (root / "b" / "spool" / "1.spool").unlink()
    restore_folder(root / "b", root / "again")


def _onto_a_store(data: Path, root: Path) -> None:
    backup_folder(data, root / "b", online=False)
    restore_folder(root / "b", data)


REFUSED: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "a folder without a store": (_nothing_there, "holds no relaydesk.db"),
    "a place that is taken": (_there_already, "is there already"),
    "a folder that is in use": (_running, "stop it, or copy `--online`"),
    "a folder that is no backup": (_no_backup, "is no backup"),
    "a backup with a file that was changed": (_damaged, "is damaged: files/f"),
    "a backup that lacks a file": (_cut, "is damaged: spool/1.spool"),
    "a place that holds a store": (_onto_a_store, "holds a store already"),
}


@pytest.mark.parametrize(("act", "said"), REFUSED.values(), ids=REFUSED)
def test_d14_what_cannot_be_copied_is_refused(
    act: Callable[[Path, Path], None], said: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=said):
        act(data, tmp_path)
