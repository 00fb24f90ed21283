"""The metric of a late event loop, and that of what readiness depends on."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest
from prometheus_client import REGISTRY

from libs.common.admin import serve_admin
from libs.common.loop import Lateness, watching_loop

READINGS = {
    "the greatest of a window stands": ([(0.5, 1), (0.1, 2)], 0.5),
    "it stands through the window after": ([(0.5, 1), (0.1, 61), (0.1, 100)], 0.5),
    "two windows later it is forgotten": ([(0.5, 1), (0.1, 61), (0.2, 122)], 0.2),
}


@pytest.mark.parametrize(("readings", "shown"), READINGS.values(), ids=READINGS)
def test_i11_the_lateness_of_the_loop(readings: list[tuple[float, float]], shown: float) -> None:
    seen = Lateness(0.0)
    assert [seen.note(*reading) for reading in readings][-1] == shown


async def test_i11_a_block_of_the_loop_shows_in_its_metric() -> None:
    async with watching_loop(0.01):
        await asyncio.sleep(0.05)
        time.sleep(0.3)  # noqa: ASYNC251 (the fault)
        await asyncio.sleep(0.05)
        late = REGISTRY.get_sample_value("relaydesk_loop_lag_seconds")
    assert late is not None
    assert late >= 0.25


async def test_a_scrape_tells_what_readiness_depends_on_now() -> None:
    found = {"bus": True, "store": True}

    async def checks() -> dict[str, bool]:
        return dict(found)

    async with (
        serve_admin("127.0.0.1", 0, checks) as port,
        aiohttp.ClientSession() as http,
    ):

        async def told() -> set[str]:
            async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            return {line for line in lines if line.startswith("relaydesk_ready{")}

        assert {'relaydesk_ready{check="bus"} 1.0', 'relaydesk_ready{check="store"} 1.0'} <= (
            await told()
        )
        found["bus"] = False
        assert 'relaydesk_ready{check="bus"} 0.0' in await told()
