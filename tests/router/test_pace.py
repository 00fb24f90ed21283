"""A batch lets others have their turn, however long its conversations take."""

from __future__ import annotations

import asyncio
import time

from services.router.pace import PATIENCE_S, each


async def test_i11_others_have_their_turn_while_a_batch_is_planned() -> None:
    waits: list[float] = []

    async def others() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0)
            waits.append(time.perf_counter() - began)

    def slow(key: int) -> int:
        time.sleep(PATIENCE_S / 3)
        return key * 2

    task = asyncio.create_task(others())
    await asyncio.sleep(0)
    waits.clear()
    done = await each(range(12), slow)
    task.cancel()
    assert done == {key: key * 2 for key in range(12)}
    assert len(waits) >= 3


async def test_quick_work_is_done_in_one_go() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    await each(range(10), str)
    task.cancel()
    assert turns == 0
