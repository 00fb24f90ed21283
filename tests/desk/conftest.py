"""A furnished world on SQLite and real NATS."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.desk.world import Stage, World, furnished, open_stage


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """One desk for a file, which costs more than most of its tests."""
    path = tmp_path_factory.mktemp("desk") / "store.db"
    shutil.copy(empty_store, path)
    async with open_stage(nats_url, f"sqlite:///{path}") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def world(stage: Stage) -> AsyncIterator[World]:
    """Two workspaces of the test's own on the desk of its file, and a router."""
    async with furnished(stage) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what uses the desk of its file in that desk's loop."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent != here or not isinstance(item, pytest.Function):
            continue
        if "stage" in item.fixturenames and item.get_closest_marker("asyncio") is not None:
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)
