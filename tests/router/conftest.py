"""Rigs: the router's handlers on SQLite, or on each engine."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.router.rig import Rig, rig_on
from tests.router.stage import Stage


@pytest.fixture
def fresh_url(empty_store: Path, tmp_path: Path) -> Callable[[], str]:
    """Make the URL of another fresh SQLite store, again and again."""
    numbers = itertools.count()

    def make() -> str:
        path = tmp_path / f"store-{next(numbers)}.db"
        shutil.copy(empty_store, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture
async def rig(ready_url: str) -> AsyncIterator[Rig]:
    """A router on a fresh SQLite store; auto-hosting is on."""
    async with rig_on(ready_url) as made:
        yield made


@pytest.fixture
async def rig_of_each(store_url: str) -> AsyncIterator[Rig]:
    """The same on each engine."""
    async with rig_on(store_url) as made:
        yield made


@pytest.fixture
async def stage(rig: Rig) -> AsyncIterator[Stage]:
    """A rig on which rules decide; at the end every decision is made again from its record."""
    made = Stage(rig)
    yield made
    await made.check()
