"""The page behind the link in an email, in a real browser before a real ingest (A20, A22)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from libs.common.channel import Account
from libs.common.channels.web.wire import RETURN_LIFE_S, VisitorMessage, mint_return
from libs.common.events import Choice, ChoicesPart, ContentPart, MessageReceived, TextPart
from libs.common.ids import derive_id
from libs.common.policy import Policy
from libs.common.subjects import POLICY_KV, visitor, visitor_signs
from libs.common.switches import RemoveBranding, Settings
from tests.ingest.harness import Here, account, events, ingest_here, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WHO = "visitor-1"
HOSTILE = "<img src=x onerror=\"document.title='owned'\"><b>late</b>"
WITHIN_MS = 8_000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def here(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    async with ingest_here(nats_url, Path(tmp_path_factory.mktemp("chat"))) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def shop(here: Here) -> Account:
    one = account("web")
    here.connect(one)
    return one


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    made = await browser.new_context()
    yield made
    await made.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page whose every complaint fails its test."""
    opened = await context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on(
        "console",
        lambda said: (
            wrong.append(said.text)
            if said.type == "error" and "Content Security" in said.text
            else None
        ),
    )
    yield opened
    assert wrong == []


def address(here: Here, shop: Account, *, age_s: int = 0) -> str:
    token = mint_return(shop, WHO, "ses_1", int(time.time()) - age_s)
    return f"{here.base_url}/chat/{shop.slug}#t={token}"


async def reply(here: Here, shop: Account, number: int, *parts: ContentPart) -> None:
    told = VisitorMessage(
        id=f"msg_{number}", at=datetime.now(UTC), sender="agent", agent="Ada", parts=parts
    )
    subject = visitor(shop.workspace, shop.slug, derive_id("vis", shop.slug, WHO))
    await here.bus.publish(subject, msgspec.json.encode(told), msg_id=f"{shop.slug}-{number}")


async def test_a20_the_link_shows_the_conversation_and_the_visitor_writes_on(
    here: Here, shop: Account, page: Page
) -> None:
    beats: list[bytes] = []
    subject = visitor_signs(shop.workspace, shop.slug)
    stop = await here.bus.listen(subject, lambda _, data: beats.append(data))
    await reply(here, shop, 1, TextPart(text=HOSTILE))
    await page.goto(address(here, shop))
    talk = page.get_by_role("log")
    await expect(talk.get_by_text(HOSTILE, exact=True)).to_be_visible(timeout=WITHIN_MS)
    await expect(talk).to_contain_text("Ada")
    assert "#" not in page.url  # the token is out of the address bar
    assert await page.title() != "owned"
    await page.get_by_label("Your message").fill("thank you")
    await page.get_by_role("button", name="Send").click()
    await expect(talk.get_by_text("thank you", exact=True)).to_be_visible(timeout=WITHIN_MS)
    said: list[str] = []
    while "thank you" not in said:
        await asyncio.sleep(0.05)
        found = [each.event for each in await events(here.bus, shop.workspace)]
        said = [
            part.text
            for event in found
            if isinstance(event, MessageReceived) and event.visitor == WHO
            for part in event.parts
            if isinstance(part, TextPart)
        ]
    assert beats
    await stop()


async def test_a20_a_reload_is_the_same_visitor_and_new_replies_come(
    here: Here, shop: Account, page: Page
) -> None:
    await page.goto(address(here, shop))
    await expect(page.get_by_label("Your message")).to_be_visible(timeout=WITHIN_MS)
    await page.reload()
    choices = ChoicesPart(
        text="Shall we send another?", choices=(Choice(title="Yes", payload="y"),)
    )
    await reply(here, shop, 2, choices)
    await expect(page.get_by_role("log")).to_contain_text("another", timeout=WITHIN_MS)
    await page.get_by_role("button", name="Yes").click()
    mine = page.get_by_role("log").locator("li.visitor:not(.waiting)")
    await expect(mine).to_contain_text("Yes", timeout=WITHIN_MS)


async def test_a20_an_old_link_is_refused_in_words(here: Here, shop: Account, page: Page) -> None:
    await page.goto(address(here, shop, age_s=RETURN_LIFE_S + 1))
    await expect(page.get_by_role("status")).to_contain_text("expired", timeout=WITHIN_MS)
    await expect(page.get_by_label("Your message")).to_be_hidden()
    assert "#" not in page.url


async def test_a20_without_a_link_the_page_says_what_to_do(
    here: Here, shop: Account, page: Page
) -> None:
    await page.goto(f"{here.base_url}/chat/{shop.slug}")
    await expect(page.get_by_role("status")).to_contain_text("Open the link", timeout=WITHIN_MS)


@pytest.mark.parametrize("removed", [False, True])
async def test_a22_our_name_stands_on_the_page_unless_it_is_removed(
    here: Here, shop: Account, page: Page, removed: bool
) -> None:
    policy = Policy(settings=Settings(remove_branding=RemoveBranding(widget=removed)))
    await here.bus.kv_put(POLICY_KV, shop.workspace, msgspec.json.encode(policy))

    async def heeded() -> bool:
        answer = await page.request.get(f"{here.base_url}/webhooks/web/{shop.slug}/config")
        return (await answer.json())["branding"] is not removed

    await until(heeded, "ingest has heard of it")
    async with page.expect_response(lambda answer: answer.url.endswith("/config")):
        await page.goto(address(here, shop))
    await expect(page.get_by_label("Your message")).to_be_visible(timeout=WITHIN_MS)
    brand = page.get_by_text("Powered by Relaydesk")
    if removed:
        await expect(brand).to_have_count(0)
    else:
        await expect(brand).to_be_visible(timeout=WITHIN_MS)
