"""Fixture: the provider stub in the test's own loop, on a free port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from libs.common.simulate.stub import Stub, running_stub


@pytest_asyncio.fixture
async def provider_stub() -> AsyncIterator[Stub]:
    """A fresh stub: `base(slug)` is an account's `api_base`, `sent`, `shown` and `script` follow.

    Its loop is the test's own: a test of another loop starts `running_stub` itself.
    """
    async with running_stub() as stub:
        yield stub
