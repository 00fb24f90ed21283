"""A furnished world on SQLite and real NATS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.desk.world import World, open_world


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """Desk with two workspaces and a router."""
    async with open_world(nats_url, ready_url) as made:
        yield made
