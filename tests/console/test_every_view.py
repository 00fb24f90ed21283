"""Every view of the console: it is drawn, says all in words, fits its screen, and is accessible.

Each is looked at twice: wide, light and in English; narrow, dark and from right to left. What axe
(tests/vendor) finds against WCAG 2.2 AA fails it; the second look asks it what colours and width
change, for the rest of the page is that of the first.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from services.desk.console import FOLDER
from tests.desk.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=40_000)

AXE = (Path(__file__).parents[1] / "vendor" / "axe.min.js").read_text()
PATHS = re.findall(r'path: "(/[^"]*)"', (FOLDER / "routes.js").read_text())
FLAWS = """
async (contrast) => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const some = contrast ? ["color-contrast", "target-size"] : tags;
  const runOnly = { type: contrast ? "rule" : "tag", values: some };
  const found = await axe.run(document, { runOnly, resultTypes: ["violations"] });
  const places = (nodes) => nodes.slice(0, 4).map(({ target }) => target.join(" ")).join(" | ");
  return found.violations.map(({ id, nodes }) => `${id}: ${places(nodes)}`);
}
"""
WIDER = """() => {
  const most = document.documentElement.clientWidth;
  return [document.documentElement, document.body, document.getElementById("content")]
    .filter((one) => one.scrollWidth > most + 1).map((one) => one.tagName + one.scrollWidth);
}"""
UNSAID = re.compile(r"(?<![\w@./:-])[a-z]+(?:_[a-z]+)*\.[a-z_]+(?:\.[a-z_]+)*(?![\w@/])")
AREAS = {path.stem for path in (FOLDER / "words" / "en").glob("*.js")}
LOOKS = {
    "wide, light, English": ("en", "light", 1280),
    "narrow, dark, from right to left": ("ar", "dark", 400),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    path = tmp_path_factory.mktemp("console") / "store.db"
    shutil.copy(empty_store, path)
    async with open_world(nats_url, f"sqlite:///{path}") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def things(world: World) -> dict[str, str]:
    """Something of each kind, so that views show more than that there is nothing; by path."""
    session = await world.writes("Where is my parcel?", visitor="V-views")
    await world.writes("It was promised for Tuesday.", visitor="V-views")
    await world.writes("Hello?", visitor="V-other")
    message = (await world.get(f"/sessions/{session.id}/messages", "olga"))["items"][0]["id"]
    hours = {"id": "hours", "keywords": ["open"], "answers": ["From nine to five."]}
    bot = await made(world, "/bots", name="Opening hours", kind="faq", faq=[hours])
    await made(world, "/tags", name="vip")
    await made(world, f"/contacts/{session.contact}/notes", text="Calls on Mondays.")
    sent = await made(world, "/broadcasts", name="Spring", text="Spring is here.", audience={})
    return {
        "/sessions/:id": session.id,
        "/sessions/:id/why": session.id,
        "/contacts/:id": session.contact,
        "/trace/:id": message,
        "/reports/:name": "volume",
        "/settings/bots/:id": bot["id"],
        "/broadcasts/:id": sent["id"],
        "/settings/channels/:slug": (await world.get("/accounts", "olga"))["items"][0]["slug"],
    }


async def made(world: World, path: str, **body: Any) -> Any:
    answer = await world.call("POST", path, "olga", body=body)
    assert answer.status in {200, 201}, answer.body
    return answer.json


class Reader:
    """A page that goes from view to view as the owner; what it complains of is kept."""

    def __init__(self, page: Page, *, contrast: bool) -> None:
        self.page = page
        self.contrast = contrast
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Trusted" in message.text:
            self.errors.append(message.text)

    async def look(self, path: str, what: str) -> list[str]:
        """Open a view and return what is wrong with it."""
        self.errors.clear()
        await self.page.evaluate(
            "path => { location.hash = path; }",
            path.replace(":id", what).replace(":slug", what).replace(":name", what),
        )
        await expect(self.page.locator("#content .waiting")).to_have_count(0)
        title = self.page.locator("#content h1, #content h2, dialog h2").first
        try:
            await expect(title).to_have_text(re.compile(r"\S"), timeout=10_000)
        except AssertionError:
            return ["it has no heading"]
        wrong = [
            *self.errors,
            *await self.page.evaluate(FLAWS, self.contrast),
            *await self.page.evaluate(WIDER),
        ]
        text = await self.page.evaluate("() => document.body.innerText")
        known = {
            *await self.page.evaluate(
                "() => [...document.querySelectorAll('code,pre')].map((e) => e.textContent)"
            )
        }
        return wrong + [word for word in UNSAID.findall(text) if _key(word) and word not in known]


def _key(word: str) -> bool:
    """Tell whether *word* looks like the name of one of the console's words."""
    return word.split(".", maxsplit=1)[0] in AREAS


@pytest.mark.parametrize(("language", "scheme", "width"), LOOKS.values(), ids=LOOKS)
async def test_every_view_is_whole_in_words_in_size_and_for_everybody(
    world: World, browser: Browser, things: dict[str, str], language: str, scheme: Any, width: int
) -> None:
    context = await browser.new_context(
        base_url=world.base,
        color_scheme=scheme,
        viewport={"width": width, "height": 860},
        locale=language,
        reduced_motion="reduce",
    )
    text = await world.token(
        await world.hire(f"views-{language}", "owner", world.workspace),
        kind="session",
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )
    await context.add_cookies([{"name": "relaydesk", "value": text, "url": world.base}])
    page = await context.new_page()
    await page.goto("/")
    await expect(page.locator(".bar")).to_be_visible()
    assert await page.evaluate("document.documentElement.dir") == (
        "rtl" if language == "ar" else "ltr"
    )
    devtools = await context.new_cdp_session(page)
    await devtools.send("Runtime.evaluate", {"expression": AXE})
    reader = Reader(page, contrast=scheme == "dark")
    wrong = {
        path: found
        for path in PATHS
        if (found := await reader.look(path, things.get(path, "none")))
    }
    await context.close()
    assert not wrong, "\n".join(f"{path}: {one}" for path, all_ in wrong.items() for one in all_)
