"""`relaydesk backup` and `restore`: the data folder of `relaydesk up`, whole, as one folder.

While it runs, the store, the files and the key can be copied (`--online`): the streams cannot, as
a file that the NATS server writes to is no copy. Production backs up its servers by their own
tools, see docs/operations/backup.md.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from libs.common.errors import SettingsError

STORE = "relaydesk.db"
ALWAYS = ("secret.key", "files", "demo.json")
STOPPED = ("nats", "spool")
MANIFEST = "backup.json"
_LEFT_OUT = frozenset({"nats.pid", "nats.log", "nats.conf", "lock"})


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds: SHA-256 by file, below the backup's folder."""

    made_at: datetime
    online: bool
    files: dict[str, str]


def add_parsers(commands: Any) -> None:
    """Add the sub-commands."""
    folder = Path(os.environ.get("RELAYDESK_DATA_DIR", ".relaydesk"))
    backup = commands.add_parser("backup", help="copy the data folder of `relaydesk up`")
    backup.add_argument("to", type=Path, help="a folder that is not there yet")
    backup.add_argument("--data-dir", type=Path, default=folder)
    backup.add_argument("--online", action="store_true", help="while it runs: without the streams")
    backup.set_defaults(run=_backup)
    restore = commands.add_parser("restore", help="make a data folder of a backup")
    restore.add_argument("source", type=Path, metavar="from", help="a folder made by `backup`")
    restore.add_argument("--data-dir", type=Path, default=folder)
    restore.set_defaults(run=_restore)


def _backup(args: argparse.Namespace) -> int:
    made = backup_folder(args.data_dir, args.to, online=args.online)
    print(f"{len(made.files)} files are in {args.to}; it holds the key: keep it as one")
    if made.online:
        print("without the streams: what the store did not hold yet is not in it")
    return 0


def _restore(args: argparse.Namespace) -> int:
    made = restore_folder(args.source, args.data_dir)
    print(f"{args.data_dir} is as of {made.made_at:%Y-%m-%d %H:%M:%S} UTC")
    return 0


def backup_folder(data_dir: Path, to: Path, *, online: bool) -> Manifest:
    """Copy a data folder; what is written meanwhile is in it or not, never half.

    Raises:
        SettingsError: There is nothing to copy, *to* is there already, or it runs and not *online*.
    """
    if not (data_dir / STORE).is_file():
        raise SettingsError(
            f"{data_dir} holds no {STORE}: is it the data folder of `relaydesk up`?"
        )
    if to.exists():
        raise SettingsError(f"{to} is there already; name a folder that is not")
    with contextlib.nullcontext() if online else _stopped(data_dir):
        to.mkdir(parents=True, mode=0o700)
        for name in ALWAYS if online else (*ALWAYS, *STOPPED):
            _copy(data_dir / name, to / name)
        copy_sqlite(data_dir / STORE, to / STORE)  # after the files that it names
        made = Manifest(made_at=datetime.now(UTC), online=online, files=_sums(to))
    (to / MANIFEST).write_bytes(msgspec.json.encode(made))
    return made


def restore_folder(source: Path, data_dir: Path) -> Manifest:
    """Make *data_dir* what *source* holds.

    Raises:
        SettingsError: *source* is no whole backup, or *data_dir* holds a store already.
    """
    try:
        made = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        raise SettingsError(f"{source} is no backup: it has no {MANIFEST} to read") from None
    found = _sums(source)
    found.pop(MANIFEST, None)
    wrong = sorted(
        name for name in made.files.keys() | found if made.files.get(name) != found.get(name)
    )
    if wrong:
        raise SettingsError(f"{source} is damaged: {wrong[0]} and {len(wrong) - 1} other files")
    if (data_dir / STORE).exists():
        raise SettingsError(f"{data_dir} holds a store already; move it away first")
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in sorted(source.iterdir()):
        if path.name != MANIFEST:
            _copy(path, data_dir / path.name)
    return made


def copy_sqlite(source: Path, to: Path) -> None:
    """Copy an SQLite file as of one instant, while others read and write it."""
    with (
        contextlib.closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
        contextlib.closing(sqlite3.connect(to)) as new,
    ):
        old.backup(new)
        new.execute("PRAGMA journal_mode=WAL")


@contextlib.contextmanager
def _stopped(data_dir: Path) -> Iterator[None]:
    with (data_dir / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(
                f"`relaydesk up` runs on {data_dir}: stop it, or copy `--online` without streams"
            ) from None
        yield


def _copy(path: Path, to: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, to, ignore=lambda _folder, names: _LEFT_OUT & set(names))
    elif path.is_file():
        shutil.copy2(path, to)


def _sums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
