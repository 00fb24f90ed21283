"""The plugin before a whole installation: a visitor here, an agent behind the API there (D25)."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
import pytest_asyncio
from playwright.async_api import Browser, FilePayload, Page, expect

from libs.common.simulate.samples import sample
from tests.e2e.acts import messages, upload
from tests.e2e.stack import Stack, running, until
from tests.e2e.test_round_trip import session_with
from tests.plugin.site import WITHIN_MS, Site, violations, visitor_at, website

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=WITHIN_MS)

BACK_WITHIN_MS = 40_000
SLUG = "demo-web"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("plugin")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(stack: Stack) -> AsyncIterator[Site]:
    async with website(stack.base_url) as opened:
        yield opened


async def write(page: Page, text: str) -> None:
    await page.locator("textarea").fill(text)
    await page.keyboard.press("Enter")
    await expect(page.locator("li.visitor").get_by_text(text, exact=True)).to_be_visible()


async def answer(stack: Stack, session: str, **body: Any) -> None:
    path = f"/sessions/{session}/messages"
    status, told = await stack.api("POST", path, body=body, key=uuid.uuid4().hex)
    assert status == 201, told


async def begun(stack: Stack, page: Page, site: Site) -> str:
    """Let the visitor write, and an agent take it; return the session."""
    text = f"hello {uuid.uuid4().hex[:8]}"
    await page.goto(site.page(SLUG))
    await page.locator("button.launcher").click()
    await write(page, text)
    row = await session_with(stack, "web", text)
    status, told = await stack.api("POST", f"/sessions/{row['id']}/claim", key=uuid.uuid4().hex)
    assert status == 200, told
    return str(row["id"])


async def test_d25_agent_and_visitor_talk_with_files_both_ways_typing_and_reading(
    stack: Stack, site: Site, browser: Browser
) -> None:
    async with visitor_at(browser, site) as seat:
        page = await seat.page()
        session = await begun(stack, page, site)
        log = page.get_by_role("log")
        status, told = await stack.api("POST", f"/sessions/{session}/typing")
        assert status in {200, 202, 204}, told
        await expect(log.get_by_text("is typing")).to_be_visible()
        file_id, _ = await upload(stack, "png")
        await answer(stack, session, text="here it is", attachments=[file_id])
        picture = log.locator("li.ours .media img")
        await expect(picture).to_be_visible()
        assert await picture.evaluate("async one => (await one.decode(), one.naturalWidth > 0)")
        await expect(log).to_contain_text("here it is")
        await _visitor_sends_files(stack, page, session)
        await expect(log.locator("li.visitor").last).to_contain_text("Delivered")
        status, told = await stack.api("PUT", f"/sessions/{session}/read")
        assert status in {200, 204}, told
        await expect(log.locator("li.visitor").last).to_contain_text("Read")

        async def read() -> bool:
            ours = [m for m in await messages(stack, session) if m["text"] == "here it is"]
            return bool(ours) and ours[0]["status"] == "read"

        await until(read, "that the visitor has read it")


FILE = """
  const data = new DataTransfer();
  data.items.add(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" }));
  const given = { bubbles: true, cancelable: true, composed: true };
"""
HANDED = {
    "dropped.jpg": """for (const kind of ["dragover", "drop"]) {
      text.dispatchEvent(new DragEvent(kind, { ...given, dataTransfer: data }));
    }""",
    "pasted.jpg": """text.dispatchEvent(
      new ClipboardEvent("paste", { ...given, clipboardData: data }));""",
}


async def _visitor_sends_files(stack: Stack, page: Page, session: str) -> None:
    given = sample("jpg")
    payload: FilePayload = {
        "name": "lamp.jpg",
        "mimeType": given.mime_type,
        "buffer": given.content,
    }
    refused: tuple[tuple[Any, str], ...] = (
        ({"name": "run.exe", "mimeType": "", "buffer": b"MZ"}, "run.exe cannot be sent"),
        ({"name": "a.png", "mimeType": "image/png", "buffer": b""}, "a.png is empty"),
        ({"name": "b.png", "mimeType": "image/png", "buffer": b"no"}, "b.png cannot be sent"),
    )
    for file, words in refused:
        await page.locator("input[type=file]").set_input_files(file)
        await expect(page.get_by_role("alert")).to_contain_text(words)
    await page.locator("input[type=file]").set_input_files(payload)
    await expect(page.locator("li.visitor .media img")).to_have_count(1)
    for number, (name, hand_over) in enumerate(HANDED.items(), start=2):
        await page.locator("textarea").evaluate(
            f"(text, [name, bytes]) => {{ {FILE} {hand_over} }}", [name, list(given.content)]
        )
        await expect(page.locator("li.visitor .media img")).to_have_count(number)

    async def stored() -> bool:
        said = [m for m in await messages(stack, session) if m["attachments"]]
        names = {file["name"] for m in said for file in m["attachments"]}
        return {"lamp.jpg", *HANDED} <= names

    await until(stored, "all files at the agent's")


async def test_d25_ingest_is_killed_and_comes_back_and_no_word_is_lost_or_doubled(
    stack: Stack, site: Site, browser: Browser
) -> None:
    async with visitor_at(browser, site) as seat:
        page = await seat.page()
        session = await begun(stack, page, site)
        log = page.get_by_role("log")
        os.kill(stack.pid("ingest"), signal.SIGKILL)
        await write(page, "said while you were away")
        await answer(stack, session, text="answered while away")
        await expect(log).to_contain_text("answered while away", timeout=BACK_WITHIN_MS)
        await expect(log.locator("li.waiting")).to_have_count(0, timeout=BACK_WITHIN_MS)

        async def arrived() -> bool:
            return "said while you were away" in [m["text"] for m in await messages(stack, session)]

        await until(arrived, "what was said meanwhile")
        texts = [m["text"] for m in await messages(stack, session)]
        assert texts.count("said while you were away") == 1
        await page.reload()
        await page.locator("button.launcher").click()
        for text in ("said while you were away", "answered while away"):
            await expect(log.get_by_text(text, exact=True)).to_have_count(1)


async def test_d25_a_demo_page_shows_it(stack: Stack, site: Site, browser: Browser) -> None:
    async with visitor_at(browser, site) as seat:
        page = await seat.page()
        await page.goto(f"{stack.base_url}/plugin/demo")
        await page.locator("button.launcher").wait_for()
        await page.get_by_role("button", name="Ask us about a lamp").click()
        await expect(page.get_by_label("Your message")).to_be_focused()
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await violations(page) == []
