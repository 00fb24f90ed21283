"""Rigs: the router's handlers on SQLite, or on each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.router.rig import Rig, rig_on


@pytest.fixture
async def rig(sqlite_url: str) -> AsyncIterator[Rig]:
    """A router on a fresh SQLite store; auto-hosting is on."""
    async with rig_on(sqlite_url) as made:
        yield made


@pytest.fixture
async def rig_of_each(store_url: str) -> AsyncIterator[Rig]:
    """The same on each engine."""
    async with rig_on(store_url) as made:
        yield made
