"""A stream of its own for each test, on the session's server."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator

import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.subjects import DEAD, Stream

_numbers = itertools.count(1)


@pytest.fixture
def stream() -> Stream:
    """A partitioned stream that no other test uses: `t<n>.<partition>.<key>`."""
    number = next(_numbers)
    return Stream(name=f"T{number}", subjects=(f"t{number}.*.*",))


@pytest.fixture
async def bus(nats_url: str, stream: Stream) -> AsyncIterator[Bus]:
    """A bus with *stream* and DEAD on the shared server."""
    async with open_bus(
        nats_url, name="test", declared=(stream, DEAD), publish_timeout_s=5.0
    ) as opened:
        yield opened
