"""A router's handlers beside a scheduler's, on SQLite."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.router.rig import UNHOSTED, Rig, rig_on

NewRig = Callable[[], AbstractAsyncContextManager[Rig]]


@pytest.fixture
def new_rig(empty_store: Path, tmp_path: Path) -> NewRig:
    """Make a router on a fresh store, again and again."""
    numbers = itertools.count()

    def make() -> AbstractAsyncContextManager[Rig]:
        path = tmp_path / f"rig-{next(numbers)}.db"
        shutil.copy(empty_store, path)
        return rig_on(f"sqlite:///{path}", UNHOSTED)

    return make


@pytest.fixture
async def rig(new_rig: NewRig) -> AsyncIterator[Rig]:
    """A router on a fresh store."""
    async with new_rig() as made:
        yield made
