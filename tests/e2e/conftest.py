"""One installation on each store, shared by the stories of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.stack import Stack, running


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["sqlite", "mongodb"])
async def stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stack]:
    environ: dict[str, str] = {}
    if request.param == "mongodb":
        url = request.getfixturevalue("mongo_url")
        environ["RELAYDESK_STORE_URL"] = f"{url.rstrip('/')}/e2e"
    async with running(tmp_path_factory.mktemp(request.param), **environ) as started:
        yield started
