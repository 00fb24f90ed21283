"""A bus with every stream on a server of the test's own: DEAD is counted whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from libs.common.bus.client import Bus, open_bus
from tests.nats_server import NatsProcess


@pytest.fixture
async def bus(nats_process: NatsProcess) -> AsyncIterator[Bus]:
    async with open_bus(nats_process.url, name="test", publish_timeout_s=10.0) as opened:
        yield opened
