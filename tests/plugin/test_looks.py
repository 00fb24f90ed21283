"""The plugin as its settings make it, in a real browser before a real ingest (D25)."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect
from prometheus_client import REGISTRY

from libs.common.channel import Account
from libs.common.channels.web.identity import signature
from libs.common.channels.web.wire import VisitorMessage
from libs.common.events import (
    Choice,
    ChoicesPart,
    ContentPart,
    LocationPart,
    MediaPart,
    MessageReceived,
    TextPart,
    VisitorSignal,
)
from libs.common.ids import derive_id
from libs.common.plugin import Plugin, PluginField, PreChat
from libs.common.policy import Calendar, Policy
from libs.common.subjects import POLICY_KV, signal, visitor
from libs.common.switches import RemoveBranding, Settings
from tests.console.browser import open_browser
from tests.ingest.harness import Here, account, events, ingest_here, until
from tests.plugin.site import WITHIN_MS, Site, violations, visitor_at, website

pytestmark = pytest.mark.asyncio(loop_scope="module")
expect.set_options(timeout=WITHIN_MS)

MOST_BYTES = 40_000
KEPT = "name => JSON.parse(localStorage.getItem(`relaydesk.${name}.me`))"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with open_browser() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    async with ingest_here(nats_url, Path(tmp_path_factory.mktemp("plugin"))) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(here: Here) -> AsyncIterator[Site]:
    async with website(here.base_url) as opened:
        yield opened


async def shop(here: Here, plugin: Plugin | None = None, **settings: Any) -> Account:
    """Return a web account whose plugin is set so; `identity_secret` is `s3cret`."""
    one = account("web")
    one = msgspec.structs.replace(one, secrets={**one.secrets, "identity_secret": "s3cret"})
    here.connect(one)
    calendars = settings.pop("calendars", ())
    chosen = Settings(plugin=plugin or Plugin(), **settings)
    policy = Policy(settings=chosen, calendars=calendars)
    await here.bus.kv_put(POLICY_KV, one.workspace, msgspec.json.encode(policy))
    return one


async def tell(
    here: Here, shop: Account, who: str, number: int, *parts: ContentPart, agent: str = "Ada"
) -> None:
    """Say something to a visitor, as the sender does."""
    told = VisitorMessage(
        id=f"msg_{number}", at=datetime.now(UTC), sender="agent", agent=agent, parts=parts
    )
    subject = visitor(shop.workspace, shop.slug, derive_id("vis", shop.slug, who))
    await here.bus.publish(subject, msgspec.json.encode(told), msg_id=f"{shop.slug}-{who}-{number}")


async def show(here: Here, shop: Account, who: str, kind: Any) -> None:
    """Signal that we are typing, or have seen it, as the router does."""
    given = VisitorSignal(
        workspace=shop.workspace,
        channel="web",
        account=shop.slug,
        session="ses_1",
        visitor=who,
        kind=kind,
    )
    here.bus.shout(signal(shop.workspace, shop.slug), msgspec.json.encode(given))


async def said(here: Here, shop: Account) -> list[MessageReceived]:
    found = [each.event for each in await events(here.bus, shop.workspace)]
    return [event for event in found if isinstance(event, MessageReceived)]


async def heard(here: Here, shop: Account, text: str) -> MessageReceived:
    """Wait until exactly one message says *text*; return it."""
    found: list[MessageReceived] = []

    async def there() -> bool:
        found[:] = [event for event in await said(here, shop) if TextPart(text=text) in event.parts]
        return bool(found)

    await until(there, f"a message {text!r}")
    assert len(found) == 1
    return found[0]


def launcher(page: Page) -> Locator:
    return page.locator("button.launcher")


async def opened(page: Page, site: Site, shop: Account, **query: str) -> Page:
    await page.goto(site.page(shop.slug, **query))
    await launcher(page).click()
    return page


async def write(page: Page, text: str) -> None:
    await page.locator("textarea").fill(text)
    await page.keyboard.press("Enter")
    await expect(page.locator("li.visitor").get_by_text(text, exact=True)).to_be_visible()


async def visitor_of(page: Page, shop: Account) -> str:
    """Return who the page is, once it is somebody."""
    await page.wait_for_function(KEPT, arg=shop.slug)
    return str((await page.evaluate(KEPT, shop.slug))["visitor"])


# --- the script ----------------------------------------------------------------------------------


async def test_d25_the_script_is_small_known_again_and_of_accounts_that_are_there(
    here: Here,
) -> None:
    one = await shop(here)
    url = f"{here.base_url}/plugin/{one.slug}.js"
    async with here.http.get(url, headers={"Accept-Encoding": "gzip"}) as answer:
        body = await answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"
        tag = answer.headers["ETag"]
    assert len(body) <= MOST_BYTES
    async with here.http.get(url, headers={"Accept-Encoding": "identity"}) as answer:
        plain = await answer.read()
        assert "Content-Encoding" not in answer.headers
    assert gzip.decompress(body) == plain
    for word in (b"innerHTML", b"eval(", b"new Function", b"document.cookie", b"insertAdjacent"):
        assert word not in plain
    known = {"Accept-Encoding": "gzip", "If-None-Match": tag}
    async with here.http.get(url, headers=known) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    for path in ("/plugin/nobody.js", f"/plugin/{one.slug}", f"/plugin/{one.slug}.png"):
        async with here.http.get(here.base_url + path) as answer:
            assert answer.status == 404


async def test_d25_the_settings_are_told_with_a_version_and_without_secrets(here: Here) -> None:
    one = await shop(here, Plugin(title="Ask us", origins=("https://shop.example",)))
    url = f"{here.base_url}/webhooks/web/{one.slug}/config"
    async with here.http.get(url) as answer:
        told = await answer.json()
        tag = answer.headers["ETag"]
    assert told["title"] == "Ask us"
    assert told["files"]["max_bytes"] == 10 * 1024 * 1024
    assert "png" in told["files"]["types"]
    assert "shop.example" not in str(told)
    async with here.http.get(url, headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304


ORIGINS = {
    "a page that is named": ("https://shop.example", 200),
    "its neighbour": ("https://shop.example.evil.example", 403),
    "without encryption": ("http://shop.example", 403),
    "a page of nowhere": ("null", 403),
    "our own page": ("{desk}", 200),
    "a program": ("", 200),
}


@pytest.mark.parametrize(("origin", "status"), ORIGINS.values(), ids=ORIGINS)
async def test_d25_only_pages_that_are_named_may_use_it(
    here: Here, origin: str, status: int
) -> None:
    one = await shop(here, Plugin(origins=("https://shop.example",)))
    headers = {"Origin": origin.format(desk=here.base_url)} if origin else {}
    base = f"{here.base_url}/webhooks/web/{one.slug}"
    async with here.http.get(f"{base}/config", headers=headers) as answer:
        assert answer.status == status
    async with here.http.options(base, headers=headers) as answer:
        assert answer.status == (204 if status == 200 else 403)
    async with here.http.post(f"{base}/visitors", headers=headers) as answer:
        assert answer.status == (201 if status == 200 else 403)


# --- one visitor ---------------------------------------------------------------------------------


async def test_d25_a_visitor_writes_and_is_answered_on_a_page_with_a_strict_policy(
    here: Here, site: Site, browser: Browser
) -> None:
    one = await shop(here, Plugin(welcome="Good day!", launcher="Ask us"))
    async with visitor_at(browser, site) as seat:
        page = await opened(await seat.page(), site, one)
        await expect(page.get_by_text("Good day!")).to_be_visible()
        await write(page, "Do you ship to Norway?")
        event = await heard(here, one, "Do you ship to Norway?")
        assert event.referral is not None
        assert event.referral.url == f"{site.url}/{one.slug}"
        who = await visitor_of(page, one)
        await expect(page.get_by_role("log")).to_contain_text("Sent")
        await show(here, one, who, "typing")
        await expect(page.get_by_text("is typing")).to_be_visible()
        place = LocationPart(latitude=59.9, longitude=10.7, name="Oslo")
        await tell(here, one, who, 1, TextPart(text="Yes: https://shop.example/no."), place)
        link = page.get_by_role("link", name="https://shop.example/no", exact=True)
        await expect(link).to_have_attribute("href", "https://shop.example/no")
        await expect(page.get_by_text("is typing")).to_have_count(0)
        choices = (Choice(title="Lamp", payload="l"), Choice(title="x", url="javascript:alert(1)"))
        await tell(here, one, who, 2, ChoicesPart(text="Which?", choices=choices))
        await page.get_by_role("button", name="Lamp").click()
        await expect(page.get_by_text("Lamp", exact=True).last).to_be_visible()
        await show(here, one, who, "seen")
        await expect(page.get_by_role("log")).to_contain_text("Read")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await expect(launcher(page)).to_be_focused()
        await tell(here, one, who, 3, TextPart(text="Anything else?"))
        await expect(page.locator(".badge")).to_have_text("1")
        await expect(launcher(page)).to_have_accessible_name(
            "Ask us, Open the chat, 1 unread message"
        )


async def test_d25_a_reload_and_a_second_tab_show_the_same_and_nothing_doubles(
    here: Here, site: Site, browser: Browser
) -> None:
    one = await shop(here)
    async with visitor_at(browser, site) as seat:
        first = await opened(await seat.page(), site, one)
        await write(first, "one")
        who = await visitor_of(first, one)
        second = await opened(await seat.page(), site, one)
        await expect(second.locator("li.visitor")).to_have_count(1)
        await write(second, "two")
        await expect(first.locator("li.visitor")).to_have_count(2)
        await until(_one_stream, "one stream for both")
        await tell(here, one, who, 1, TextPart(text="both"))
        for page in (first, second):
            await expect(page.get_by_role("log")).to_contain_text("both")
        await first.close()  # it led
        await tell(here, one, who, 2, TextPart(text="after the leader"))
        await expect(second.get_by_role("log")).to_contain_text("after the leader")
        await second.reload()
        await launcher(second).click()
        await expect(second.locator("li.ours")).to_have_count(2)
        await expect(second.locator("li.visitor")).to_have_count(2)
        assert [len(await _texts(here, one, text)) for text in ("one", "two")] == [1, 1]


async def _one_stream() -> bool:
    return REGISTRY.get_sample_value("relaydesk_ingest_visitor_streams") == 1.0


async def _texts(here: Here, one: Account, text: str) -> list[MessageReceived]:
    return [event for event in await said(here, one) if TextPart(text=text) in event.parts]


async def test_d25_what_is_said_while_we_are_away_goes_out_once_after_a_reload(
    here: Here, site: Site, browser: Browser
) -> None:
    one = await shop(here)
    async with visitor_at(browser, site) as seat:
        page = await opened(await seat.page(), site, one)
        await write(page, "before")
        await heard(here, one, "before")
        who = await visitor_of(page, one)
        calls = f"{here.base_url}/webhooks/**"
        await seat.context.route(calls, lambda route: route.abort())
        await page.reload()
        await launcher(page).click()
        await write(page, "while away")
        await expect(page.locator("li.waiting")).to_contain_text("Sending")
        await page.reload()
        await launcher(page).click()
        await expect(page.locator("li.waiting")).to_contain_text("while away")
        await expect(page.locator(".notice")).to_contain_text("Connecting")
        await tell(here, one, who, 1, TextPart(text="said meanwhile"))
        await seat.context.unroute(calls)
        await expect(page.get_by_role("log")).to_contain_text("said meanwhile", timeout=30_000)
        await expect(page.locator("li.waiting")).to_have_count(0, timeout=30_000)
        await expect(page.locator(".notice")).to_be_empty()
        await heard(here, one, "while away")
        await heard(here, one, "before")


# --- forms and hours -----------------------------------------------------------------------------

FORM = PreChat(
    when="always",
    fields=(
        PluginField(id="name"),
        PluginField(id="email", required=True),
        PluginField(id="order", label="Order number"),
    ),
)
CLOSED = Calendar(id="shut", spans=())
OFFLINE: dict[str, tuple[Plugin, str, bool]] = {
    "chat goes on": (Plugin(), "Leave a message", False),
    "with our own words": (Plugin(offline_text="Back on Monday"), "Back on Monday", False),
    "an address is asked for": (Plugin(offline_mode="email"), "Leave your email", True),
    "a form is asked for": (Plugin(pre_chat=PreChat(when="offline")), "Leave your email", True),
}


async def test_d25_a_form_comes_first_and_names_what_is_wrong_at_its_field(
    here: Here, site: Site, browser: Browser
) -> None:
    one = await shop(here, Plugin(pre_chat=FORM))
    async with visitor_at(browser, site) as seat:
        page = await opened(await seat.page(), site, one)
        await expect(page.get_by_label("Name")).to_be_focused()
        await expect(page.get_by_label("Your message")).to_have_count(0)
        email, begin = page.get_by_label("Email"), page.get_by_role("button", name="Start the chat")
        await begin.click()
        await expect(email).to_be_focused()
        await expect(email).to_have_accessible_description("Please fill this in.")
        await email.fill("ada")
        await begin.click()
        await expect(email).to_have_accessible_description(
            "Please enter an email address, like ada@example.org."
        )
        await page.get_by_label("Name").fill("Ada")
        await email.fill("ada@example.org")
        await page.get_by_label("Order number").fill("4711")
        await begin.click()
        event = await heard(here, one, "Order number: 4711")
        assert (event.profile.name, event.profile.email) == ("Ada", "ada@example.org")
        await page.reload()
        await launcher(page).click()
        await expect(page.get_by_label("Your message")).to_be_visible()  # asked once


@pytest.mark.parametrize(("plugin", "words", "asks"), OFFLINE.values(), ids=OFFLINE)
async def test_d25_outside_business_hours_it_says_so(
    here: Here, site: Site, browser: Browser, plugin: Plugin, words: str, asks: bool
) -> None:
    one = await shop(here, plugin, calendar="shut", calendars=(CLOSED,))
    async with visitor_at(browser, site) as seat:
        page = await opened(await seat.page(), site, one)
        await expect(page.locator(".away")).to_contain_text(words)
        if asks:
            await page.get_by_label("Email").fill("ada@example.org")
            await page.get_by_role("button", name="Start the chat").click()
        await write(page, "are you there?")
        event = await heard(here, one, "are you there?")
        assert event.profile.email == ("ada@example.org" if asks else "")


@pytest.mark.parametrize("removed", [False, True])
async def test_d25_our_name_stands_below_unless_it_is_removed(
    here: Here, site: Site, browser: Browser, removed: bool
) -> None:
    one = await shop(here, remove_branding=RemoveBranding(widget=removed))
    async with visitor_at(browser, site) as seat:
        page = await opened(await seat.page(), site, one)
        await expect(page.get_by_label("Your message")).to_be_visible()
        await expect(page.get_by_text("Powered by Relaydesk")).to_have_count(0 if removed else 1)


# --- who it is -----------------------------------------------------------------------------------

IDENTIFY = """given => new Promise(done => {
  relaydesk("on", "identity", done);
  relaydesk("identify", given);
})"""


async def identify(page: Page, **given: str) -> str:
    return str(await page.evaluate(IDENTIFY, given))


async def test_d25_who_is_signed_sees_one_conversation_on_two_devices_and_nobody_else_does(
    here: Here, site: Site, browser: Browser
) -> None:
    one = await shop(here)
    good = signature("s3cret", "user-7")
    async with visitor_at(browser, site) as seat, visitor_at(browser, site) as other:
        page = await opened(await seat.page(), site, one)
        given = {"user": "user-7", "signature": good, "name": "Ada", "email": "ada@example.org"}
        assert await identify(page, **given) == "known"
        await write(page, "from the first device")
        event = await heard(here, one, "from the first device")
        assert (event.profile.name, event.profile.email) == ("Ada", "ada@example.org")
        who = await visitor_of(page, one)
        await tell(here, one, who, 1, TextPart(text="only for user 7"))
        await expect(page.get_by_role("log")).to_contain_text("only for user 7")
        away = await opened(await other.page(), site, one)
        for forged in (signature("guess", "user-7"), signature("s3cret", "user-8"), "x"):
            assert await identify(away, user="user-7", signature=forged) == "refused"
        assert await identify(away, user="user-7") == "introduced"  # without one: a mere word
        await write(away, "hello")
        assert await visitor_of(away, one) != who
        await expect(away.get_by_role("log")).not_to_contain_text("only for user 7")
        assert await identify(away, user="user-7", signature=good) == "known"
        await expect(away.get_by_role("log")).to_contain_text("only for user 7")
        await expect(away.get_by_role("log")).not_to_contain_text("hello")
        await away.evaluate("relaydesk('logout')")
        await launcher(away).click()
        await expect(away.get_by_role("log")).not_to_contain_text("only for user 7")
        assert await away.evaluate(KEPT, one.slug) is None


# --- hostile words -------------------------------------------------------------------------------

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "<iframe src=https://evil.example/></iframe>",
    "javascript:alert(1)",
    'https://evil.example/"onmouseover=alert(1)//',
    "{{constructor.constructor('alert(1)')()}}",
    "</style><style>@import 'https://evil.example/x.css'</style>",
    "\u202egnp.exe",
)


async def test_d25_hostile_words_are_words_wherever_they_stand(
    here: Here, site: Site, browser: Browser
) -> None:
    everywhere = HOSTILE[0]
    fields = PreChat(text=everywhere, fields=(PluginField(id="x", label=everywhere),))
    one = await shop(
        here,
        Plugin(
            title=everywhere,
            welcome=everywhere,
            launcher=everywhere[:40],
            offline_text=everywhere,
            pre_chat=msgspec.structs.replace(fields, when="always"),
        ),
        calendar="shut",
        calendars=(CLOSED,),
    )
    async with visitor_at(browser, site) as seat:
        page = await opened(await seat.page(), site, one, title=everywhere)
        await page.get_by_role("textbox", name=everywhere).fill(everywhere)
        await page.get_by_role("button", name="Start the chat").click()
        who = await visitor_of(page, one)
        for number, words in enumerate(HOSTILE):
            file = MediaPart(kind="image", name=words, url=f"https://evil.example/{number}.png")
            choice = Choice(title=words, payload=words)
            parts = (TextPart(text=words), file, ChoicesPart(text="", choices=(choice,)))
            await tell(here, one, who, number, *parts, agent=words)
        last = page.locator("li.ours").nth(len(HOSTILE) - 1)
        await expect(last).to_contain_text(HOSTILE[-1])
        for words in HOSTILE:
            await expect(page.locator("li.ours .bubble .text").get_by_text(words)).to_have_count(1)
        assert await page.locator("li.ours img, li.ours script, li.ours iframe").count() == 0
        links = await page.locator("li.ours a").evaluate_all("all => all.map(one => one.protocol)")
        assert set(links) == {"https:"}
        await page.locator("li.ours button").first.click()
        await expect(page.locator("li.visitor").last).to_contain_text(everywhere)


# --- for everybody -------------------------------------------------------------------------------

EVERYBODY: dict[str, tuple[dict[str, Any], str, str]] = {
    "light": ({"color_scheme": "light"}, "en", "Send"),
    "dark": ({"color_scheme": "dark"}, "en", "Send"),
    "small": ({"viewport": {"width": 390, "height": 700}}, "en", "Send"),
    "Arabic, from right to left": ({"color_scheme": "dark"}, "ar", "إرسال"),
    "Traditional Chinese": ({"color_scheme": "light"}, "zh-Hant", "傳送"),
}


@pytest.mark.parametrize(("options", "lang", "send"), EVERYBODY.values(), ids=EVERYBODY)
async def test_d25_nothing_keeps_anybody_out(
    here: Here, site: Site, browser: Browser, options: dict[str, Any], lang: str, send: str
) -> None:
    one = await shop(here, Plugin(pre_chat=FORM, colour="#e0a800"))
    async with visitor_at(browser, site, **options) as seat:
        page = await seat.page()
        await page.goto(site.page(one.slug, lang=lang))
        await launcher(page).wait_for()
        assert await violations(page) == []
        await launcher(page).click()
        await page.locator("button.begin").click()
        await expect(page.locator(".wrong").nth(1)).not_to_be_empty()
        assert await violations(page) == []
        await page.locator("input[type=email]").fill("ada@example.org")
        await page.locator("button.begin").click()
        await write(page, "hello")
        who = await visitor_of(page, one)
        choices = ChoicesPart(text="Which?", choices=(Choice(title="This"), Choice(title="That")))
        await tell(here, one, who, 1, choices)
        await expect(page.get_by_role("button", name="That")).to_be_visible()
        await expect(page.get_by_role("button", name=send)).to_be_visible()
        assert await violations(page) == []


async def test_d25_on_a_small_screen_the_focus_stays_in_the_window_until_escape(
    here: Here, site: Site, browser: Browser
) -> None:
    one = await shop(here)
    async with visitor_at(browser, site, viewport={"width": 390, "height": 700}) as seat:
        page = await opened(await seat.page(), site, one)
        await expect(page.get_by_label("Your message")).to_be_focused()
        box = await page.get_by_role("dialog").bounding_box()
        assert box is not None
        assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 390, 700)
        for _ in range(12):
            await page.keyboard.press("Tab")
            assert await page.evaluate("document.activeElement.localName") == "relaydesk-chat"
        await page.keyboard.press("Escape")
        await expect(launcher(page)).to_be_focused()


IDENTITIES: dict[str, tuple[Any, int]] = {
    "signed": ({"user": "user-7", "signature": signature("s3cret", "user-7")}, 200),
    "forged": ({"user": "user-7", "signature": signature("guess", "user-7")}, 401),
    "without a signature": ({"user": "user-7"}, 400),
    "a number": ({"user": 7, "signature": "x"}, 400),
    "no object": ([], 400),
}


@pytest.mark.parametrize(("body", "status"), IDENTITIES.values(), ids=IDENTITIES)
async def test_d25_an_identity_is_exchanged_for_a_token_or_refused_in_words(
    here: Here, body: Any, status: int
) -> None:
    one = await shop(here)
    url = f"{here.base_url}/webhooks/web/{one.slug}"
    async with here.http.post(f"{url}/identify", json=body) as answer:
        assert answer.status == status
        told = await answer.json(content_type=None) if status != 400 else {}
    if status == 401:
        assert told["code"] == "identity_invalid"
    if status == 200:
        item = {"id": "c-1", "text": "it is me"}
        headers = {"Authorization": f"Bearer {told['token']}"}
        async with here.http.post(url, json=item, headers=headers) as answer:
            assert answer.status == 200
        assert (await heard(here, one, "it is me")).visitor == told["visitor"]
