"""One installation on each store, shared by the stories of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.stack import Stack, running
from tests.soak import SOAK

ON_MONGODB = frozenset({"messenger", "line", "web"})
"""Channels that stand for all of them on the MongoDB side, whose stand-in is slow."""
ON_SQLITE = frozenset({"test_erasure", "test_survey"})
"""Files that wait long; on MongoDB a soak alone tells them."""


@pytest_asyncio.fixture(scope="package", loop_scope="session", params=["sqlite", "mongodb"])
async def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    """An installation, which ends with this folder: idle beside the other tests it costs a lot."""
    environ: dict[str, str] = {}
    if request.param == "mongodb":
        url = request.getfixturevalue("mongo_url")
        environ["RELAYDESK_STORE_URL"] = f"{url.rstrip('/')}/e2e"
    async with running(tmp_path_factory.mktemp(request.param), typed=False, **environ) as started:
        yield started


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell the stories of a channel on SQLite, of a few on MongoDB too; a soak tells them all."""
    left_out = [] if SOAK else [item for item in items if _is_told_on_sqlite(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_told_on_sqlite(item: pytest.Item) -> bool:
    params = (
        item.callspec.params if isinstance(item, pytest.Function) and item.name[-1:] == "]" else {}
    )
    if params.get("stack") != "mongodb":
        return False
    channel = params.get("channel")
    return item.path.stem in ON_SQLITE or (channel is not None and channel not in ON_MONGODB)
