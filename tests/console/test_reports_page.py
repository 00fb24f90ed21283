"""Reports, the trace of a webhook, and why a session is where it is, as people read them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.console.test_inbox import Sit, seats
from tests.desk.test_trace import arrived
from tests.desk.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=40_000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    path = tmp_path_factory.mktemp("reports") / "store.db"
    shutil.copy(empty_store, path)
    async with open_world(nats_url, f"sqlite:///{path}") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def sit(world: World, browser: Browser) -> AsyncIterator[Sit]:
    async with seats(world, browser) as made:
        yield made


async def test_d01_d04_d22_d26_a_lead_follows_a_webhook_to_its_session_its_reasons_and_the_figures(
    sit: Sit, world: World
) -> None:
    session, ingest_id = await arrived(world)
    why = await world.get(f"/sessions/{session.id}/why", "lena")
    page = await sit("lena", f"/trace/{ingest_id}")
    journey = (await world.get(f"/trace/{ingest_id}", "lena"))["journey"]
    assert {"ingest", "route", "store"} <= {step["kind"] for step in journey}
    hops = page.locator("ol.journey > li")
    await expect(hops).to_have_count(len(journey))
    await expect(hops.first).to_contain_text("Occurred at the provider")
    await expect(hops.first).to_contain_text("Reported to us")
    await expect(page.get_by_role("link", name=session.id)).to_be_visible()

    await page.goto(f"{world.base}/#/sessions/{session.id}")
    await page.get_by_role("button", name="More to do with this conversation").click()
    await page.get_by_role("menu").get_by_text("Why").click()
    await expect(page.get_by_role("main")).to_contain_text(why["words"])
    assert why["decisions"]
    for text in why["decisions"][0]["words"]:
        await expect(page.get_by_role("main")).to_contain_text(text)

    await page.goto(f"{world.base}/#/reports/volume?days=7")
    today = datetime.now(UTC).date()
    period = f"from={today - timedelta(days=6)}&to={today + timedelta(days=1)}"
    totals = (await world.get(f"/reports/volume?{period}&by=day", "lena"))["totals"]
    tile = page.locator(".tile", has_text="Opened").first
    await expect(tile.locator(".tile-value")).to_have_text(str(totals["opened"]))
    assert totals["opened"] >= 1
