"""A town for the tests of webhook bots: one installation for each module that asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.nats_server import NatsProcess
from tests.notifier.bot_rig import Town, open_town


@pytest.fixture(scope="module")
def nats_of_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of the module's own."""
    server = NatsProcess(tmp_path_factory.mktemp("nats-of-bots"))
    server.start()
    yield server.url
    server.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(nats_of_town: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Town]:
    """A running installation whose bots may be on this machine."""
    async with open_town(nats_of_town, tmp_path_factory.mktemp("town")) as made:
        yield made
