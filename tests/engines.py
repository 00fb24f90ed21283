"""The store's engines for tests: a SQLite file, and something that speaks MongoDB's protocol.

The MongoDB side is the first of: the server that `MONGODB_URI` names, a real one in a container
where a container engine answers, or SecantusDB, started as a process of its own. Its server in
Python is slow but right; its faster one in Rust (0.6.0b17) never frees a unique key on update, so
with it no visitor could open a second session.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from pymongo import MongoClient

from libs.common.documents import COLLECTIONS
from libs.common.store import mongo
from libs.common.store.open import open_store

ENGINES = ("sqlite", "mongodb")
START_S = 20.0
PATIENT_S = 30.0
STOP_S = 10.0
_LISTENS = re.compile(r"listening on (\S+:\d+)")
_DOCKER_SOCKET = Path("/var/run/docker.sock")


def pytest_report_header() -> str:
    return f"MongoDB's part is played by: {_player()}"


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a MongoDB server without a database; see `database_url`.

    The tests' own calls to it bear a loaded machine, on which the stand-in is slower still.
    """
    mongo.DEADLINE_S = max(mongo.DEADLINE_S, PATIENT_S)
    player = _player()
    if player == "MONGODB_URI":
        yield os.environ["MONGODB_URI"]
    elif player == "container":
        with _container() as url:
            yield url
    else:
        with secantus(tmp_path_factory.mktemp("secantus")) as url:
            yield url


@pytest.fixture
def mongo_database_url(mongo_url: str) -> Iterator[str]:
    """The URL of a fresh database, dropped afterwards."""
    with fresh_database(mongo_url) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a fresh SQLite file."""
    return f"sqlite:///{tmp_path / 'store.db'}"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with its tables, to be copied: making them costs more than most tests."""
    path = tmp_path_factory.mktemp("store") / "empty.db"

    async def prepare() -> None:
        async with open_store(f"sqlite:///{path}", COLLECTIONS):
            pass

    asyncio.run(prepare())
    return path


@pytest.fixture
def ready_url(empty_store: Path, tmp_path: Path) -> str:
    """The URL of a fresh SQLite file that has the tables already."""
    path = tmp_path / "store.db"
    shutil.copy(empty_store, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=ENGINES)
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh store; the test runs once on each engine."""
    name = "sqlite_url" if request.param == "sqlite" else "mongo_database_url"
    return str(request.getfixturevalue(name))


def database_url(server_url: str, database: str) -> str:
    """Return the URL of a database on a server, options kept."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{database}"))


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Yield the URL of a database nobody else uses, and drop it at the end."""
    name = f"t_{uuid.uuid4().hex[:16]}"
    yield database_url(server_url, name)
    client: MongoClient[dict[str, object]]
    with MongoClient(server_url, timeoutMS=int(START_S * 1000)) as client:
        client.drop_database(name)


@contextmanager
def secantus(folder: Path, *, port: int = 0) -> Iterator[str]:
    """Run SecantusDB on *folder*, durable as MongoDB is, and yield its URL."""
    process, url = start_secantus(folder, port=port)
    try:
        yield url
    finally:
        stop(process)


def start_secantus(folder: Path, *, port: int = 0) -> tuple[subprocess.Popen[bytes], str]:
    """Start SecantusDB and return its process and URL once it listens."""
    log = folder / "log.txt"
    command = [
        str(Path(sys.executable).with_name("secantusd-py")),
        *("--host", "127.0.0.1", "--port", str(port), "--storage-path", str(folder / "data")),
        *("--sync-on-commit", "--cache-size", "256M"),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, cwd=folder)
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        if found := _LISTENS.search(log.read_text(errors="replace")):
            return process, f"mongodb://{found[1]}"
        time.sleep(0.02)
    stop(process)
    raise RuntimeError(f"secantusd-py did not start: {log.read_text(errors='replace')[-500:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, then make it."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _player() -> str:
    if os.environ.get("MONGODB_URI"):
        return "MONGODB_URI"
    if (os.environ.get("DOCKER_HOST") or _DOCKER_SOCKET.exists()) and shutil.which("docker"):
        answer = subprocess.run(
            ["docker", "version"],  # noqa: S607 whichever the developer has
            capture_output=True,
            timeout=10,
            check=False,
        )
        if answer.returncode == 0:
            return "container"
    return "secantusd-py"


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.mongodb import MongoDbContainer  # noqa: PLC0415 slow to import

    with MongoDbContainer("mongo:8") as container:
        yield f"{container.get_connection_url()}/?authSource=admin"
