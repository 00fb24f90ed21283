"""Waiting for a server that is away can be ended, however nats-py takes it."""

from __future__ import annotations

import asyncio

import pytest

from libs.common.bus.connection import _cancellable, connect_bus


async def test_a_cancellation_that_was_overlooked_is_repeated() -> None:
    overlooked = 0

    async def stubborn() -> None:
        nonlocal overlooked
        while overlooked < 2:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                overlooked += 1
        await asyncio.sleep(60)

    task = asyncio.create_task(_cancellable(stubborn()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 20)
    assert overlooked == 2


async def test_what_ends_by_itself_is_not_disturbed() -> None:
    async def failing() -> None:
        raise OSError("refused")

    with pytest.raises(OSError, match="refused"):
        await _cancellable(failing())


async def test_connecting_to_nobody_ends_when_it_is_cancelled() -> None:
    for delay_s in (0, 0.001, 0.002, 0.003, 0.01, 0.2):
        task = asyncio.create_task(connect_bus("nats://127.0.0.1:9", "test"))
        await asyncio.sleep(delay_s)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=20)
        assert done
