"""The page of alerts in a real browser, before a real desk: what an agent sees, hears and clicks."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.console.browser import open_browser
from tests.desk.listening import raised, then
from tests.desk.world import PASSWORD, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHIN_MS = 5_000
expect.set_options(timeout=WITHIN_MS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A desk for the whole file; each test has an agent of its own."""
    path = tmp_path_factory.mktemp("console") / "store.db"
    shutil.copy(empty_store, path)
    async with open_world(nats_url, f"sqlite:///{path}") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as opened:
        yield opened


class Desk:
    """An agent's browser: `name` is the agent's, `errors` what the pages complained of."""

    def __init__(self, world: World, context: BrowserContext, name: str) -> None:
        self.world = world
        self.context = context
        self.name = name
        self.errors: list[str] = []

    async def open(self, path: str = "/", *, base: str = "") -> Page:
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        await page.goto((base or self.world.base) + path)
        return page

    async def log_in(self, path: str = "/", *, base: str = "") -> Page:
        """Open a page, log in, and wait until it is connected."""
        page = await self.open(path, base=base)
        await page.get_by_label("Email address").fill(self.world.email(self.name))
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Log in").click()
        await connected(page)
        return page


@pytest_asyncio.fixture(loop_scope="module")
async def agent(world: World, browser: Browser) -> AsyncIterator[Desk]:
    """A new agent before an empty browser, whose pages are without a fault at the end."""
    name = f"ann{uuid.uuid4().hex[:6]}"
    await world.hire(name, "agent", world.workspace)
    context = await browser.new_context(base_url=world.base)
    made = Desk(world, context, name)
    yield made
    await context.close()
    assert made.errors == []


async def connected(page: Page) -> None:
    await expect(page.locator(".connection")).to_have_text("Connected")


def row(page: Page, alert: Any) -> Any:
    return page.locator(f'[data-alert="{alert.id}"]')


async def test_who_logs_in_sees_that_nothing_waits(agent: Desk) -> None:
    page = await agent.open()
    await page.get_by_label("Email address").fill(agent.world.email(agent.name))
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_contain_text("wrong")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await connected(page)
    await expect(page.get_by_text("Nothing waits for you.")).to_be_visible()


async def test_a19_an_alert_shows_channel_contact_and_excerpt_and_opens_its_session(
    agent: Desk, world: World
) -> None:
    session = await world.writes("Where is my parcel?", visitor=f"V-{agent.name}")
    page = await agent.log_in()
    alert = await raised(
        world,
        agent.name,
        session.id,
        trigger="unassigned.message",
        channel="line",
        contact_name="Marie Curie",
        excerpt="Where is my parcel?",
        count=3,
    )
    shown = row(page, alert)
    for text in ("Message without an owner", "LINE", "Marie Curie", "Where is my parcel?"):
        await expect(shown).to_contain_text(text)
    await expect(shown).to_contain_text("3 messages")
    await shown.get_by_role("link").click()
    assert page.url.endswith(f"/#/sessions/{session.id}")
    await expect(page.locator(".talk")).to_contain_text("Where is my parcel?")
    await expect(page.locator(".session-head")).to_contain_text("Bot hosted")
    await then(world, alert, "cleared")
    await expect(shown).to_have_count(0)
