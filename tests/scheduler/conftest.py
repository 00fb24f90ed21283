"""A router's handlers beside a scheduler's, on SQLite."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from libs.common.documents import COLLECTIONS
from libs.common.store.open import open_store
from tests.router.rig import UNHOSTED, Rig, rig_on

NewRig = Callable[[], AbstractAsyncContextManager[Rig]]


@pytest.fixture(scope="session")
def blank_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with its tables, to be copied: making them costs more than most tests."""
    path = tmp_path_factory.mktemp("store") / "blank.db"

    async def prepare() -> None:
        async with open_store(f"sqlite:///{path}", COLLECTIONS):
            pass

    asyncio.run(prepare())
    return path


@pytest.fixture
def new_rig(blank_store: Path, tmp_path: Path) -> NewRig:
    """Make a router on a fresh store, again and again."""
    numbers = itertools.count()

    def make() -> AbstractAsyncContextManager[Rig]:
        path = tmp_path / f"rig-{next(numbers)}.db"
        shutil.copy(blank_store, path)
        return rig_on(f"sqlite:///{path}", UNHOSTED)

    return make


@pytest.fixture
async def rig(new_rig: NewRig) -> AsyncIterator[Rig]:
    """A router on a fresh store."""
    async with new_rig() as made:
        yield made
