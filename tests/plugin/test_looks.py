"""The plugin as its settings make it, in a real browser before a real ingest (D25)."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, FilePayload, FloatRect, Locator, Page, Route, expect
from prometheus_client import REGISTRY

from libs.common.channel import Account
from libs.common.channels.web.identity import identified, signature
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
from libs.common.policy import Calendar, Policy, Present
from libs.common.presence import Presences, keep, watched_presence
from libs.common.subjects import POLICY_KV, signal, visitor
from libs.common.switches import RemoveBranding, Settings
from tests.ingest.harness import Here, account, events, ingest_here, until
from tests.plugin.site import WITHIN_MS, Site, Watched, violations, visitor_at, website

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=WITHIN_MS)

MOST_BYTES = 40_000
BLUE = "rgb(26, 86, 219)"
KEPT = "name => JSON.parse(localStorage.getItem(`relaydesk.${name}.me`))"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def here(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Here]:
    async with ingest_here(nats_url, Path(tmp_path_factory.mktemp("plugin"))) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(here: Here) -> AsyncIterator[Site]:
    async with website(here.base_url) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def device(browser: Browser, site: Site) -> AsyncIterator[Watched]:
    async with visitor_at(browser, site) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def seat(device: Watched) -> AsyncIterator[Watched]:
    """Give a visitor's browser, the same to all: what it keeps is of an account, each new."""
    yield device
    await device.check()
    for page in device.context.pages:
        await page.close()


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


async def box_of(seen: Locator) -> FloatRect:
    """Return where it stands; what is drawn anew just then stands nowhere for a moment."""
    found: list[FloatRect] = []

    async def stands() -> bool:
        box = await seen.bounding_box()
        found[:] = [box] if box else []
        return bool(found)

    await until(stands, "it stands somewhere")
    return found[0]


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
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here, Plugin(welcome="Good day!", launcher="Ask us"))
    page = await opened(await seat.page(), site, one)
    await expect(page.get_by_text("Good day!")).to_be_visible()
    await expect(page.get_by_text("Powered by Relaydesk")).to_be_visible()
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
    await expect(launcher(page)).to_have_accessible_name("Ask us, Open the chat, 1 unread message")


async def test_d25_a_reload_and_a_second_tab_show_the_same_and_nothing_doubles(
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here)
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
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here)
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


async def test_d25_what_is_refused_can_be_tried_again_or_discarded_and_holds_nothing_up(
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here)
    page = await opened(await seat.page(), site, one)

    async def refuse(route: Route) -> None:
        bad = any(word in (route.request.post_data or "") for word in ("bad", "worse"))
        await (route.fulfill(status=400) if bad else route.fallback())

    calls = f"{here.base_url}/webhooks/web/{one.slug}"
    await seat.context.route(calls, lambda route: route.abort())
    for text in ("bad", "worse", "good"):
        await write(page, text)
    await seat.context.unroute(calls)
    await seat.context.route(calls, refuse)
    await write(page, "hurry")  # what waits goes with it
    await heard(here, one, "good")
    failed = page.locator("li.failed")
    await expect(failed).to_have_count(2)
    await page.reload()
    await launcher(page).click()
    await expect(failed).to_have_count(2)
    await failed.filter(has_text="worse").get_by_role("button", name="Discard").click()
    await expect(failed).to_have_count(1)
    await seat.context.unroute(calls)
    await failed.get_by_role("button", name="Try again").click()
    await expect(failed).to_have_count(0)
    await heard(here, one, "bad")
    await page.reload()
    await launcher(page).click()
    await expect(page.locator("li.visitor")).to_have_count(3)
    assert await _texts(here, one, "worse") == []


async def test_d25_a_page_that_sleeps_gives_the_lead_to_the_one_that_is_looked_at(
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here)
    asleep = await opened(await seat.page(), site, one)
    await write(asleep, "one")
    page = await opened(await seat.page(), site, one)
    await expect(page.locator("li.visitor")).to_have_count(1)
    session = await seat.context.new_cdp_session(asleep)
    await session.send("Debugger.enable")
    await session.send("Debugger.pause")  # it holds its lock, and does nothing more
    await write(page, "two")
    await heard(here, one, "two")
    await tell(here, one, await visitor_of(page, one), 1, TextPart(text="here"))
    await expect(page.get_by_role("log")).to_contain_text("here")
    await session.send("Debugger.disable")
    await expect(asleep.locator("li.visitor")).to_have_count(2)
    await expect(asleep.get_by_role("log")).to_contain_text("here")


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
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here, Plugin(pre_chat=FORM))
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
    await page.get_by_label("Your message").fill("It is broken.")
    await page.keyboard.press("Enter")
    event = await heard(here, one, "It is broken.\n\nOrder number: 4711")
    assert (event.profile.name, event.profile.email) == ("Ada", "ada@example.org")
    await page.reload()
    await launcher(page).click()
    await expect(page.get_by_label("Your message")).to_be_visible()  # asked once


@pytest.mark.parametrize(("plugin", "words", "asks"), OFFLINE.values(), ids=OFFLINE)
async def test_d25_outside_business_hours_it_says_so(
    here: Here, site: Site, seat: Watched, plugin: Plugin, words: str, asks: bool
) -> None:
    one = await shop(here, plugin, calendar="shut", calendars=(CLOSED,))
    page = await opened(await seat.page(), site, one)
    await expect(page.locator(".away")).to_contain_text(words)
    if asks:
        await page.get_by_label("Email").fill("ada@example.org")
        await page.get_by_role("button", name="Start the chat").click()
    await write(page, "are you there?")
    event = await heard(here, one, "are you there?")
    assert event.profile.email == ("ada@example.org" if asks else "")


async def test_d25_an_account_has_settings_of_its_own_and_its_neighbour_the_workspaces(
    here: Here, site: Site, seat: Watched
) -> None:
    own = account("web")
    other = account("web", workspace=own.workspace, slug=f"{own.slug}-2")
    plugins = {own.slug: Plugin(title="Lamp help", colour="#7d0a3c", position="start")}
    settings = Settings(
        plugin=Plugin(title="Ask us all"),
        plugins=plugins,
        remove_branding=RemoveBranding(widget=True),
    )
    policy = msgspec.json.encode(Policy(settings=settings))
    await here.bus.kv_put(POLICY_KV, own.workspace, policy)
    here.connect(own, other)
    shown = ((own, "Lamp help", "rgb(125, 10, 60)", True), (other, "Ask us all", BLUE, False))
    for one, title, colour, at_start in shown:
        page = await opened(await seat.page(), site, one)
        await expect(page.get_by_role("dialog", name=title)).to_be_visible()
        await expect(launcher(page)).to_have_css("background-color", colour)
        box = await launcher(page).bounding_box()
        assert box is not None
        assert (box["x"] < 100) is at_start
        await expect(page.get_by_label("Your message")).to_be_visible()
        await expect(page.get_by_text("Powered by Relaydesk")).to_have_count(0)


@pytest_asyncio.fixture(loop_scope="session")
async def presences(here: Here) -> AsyncIterator[Presences]:
    """Who is there, as ingest sees it; nobody has been seen yet."""
    async with watched_presence(here.bus) as watched:
        here.reach.presences = watched
        await watched.complete.wait()
        yield watched
    here.reach.presences = None


@pytest.mark.usefixtures("presences")
async def test_d25_while_no_agent_is_online_it_says_so(
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here, Plugin(offline_when="nobody"))
    page = await opened(await seat.page(), site, one)
    await expect(page.locator(".away")).to_contain_text("Leave a message")
    url = f"{here.base_url}/webhooks/web/{one.slug}/config"
    await keep(here.bus, one.workspace, "agt_1", Present(state="online", since=datetime.now(UTC)))

    async def there() -> bool:
        async with here.http.get(url) as answer:
            return (await answer.json())["offline"] is False

    await until(there, "that somebody is seen")
    await page.reload()
    await launcher(page).click()
    await expect(page.get_by_label("Your message")).to_be_visible()
    await expect(page.locator(".away")).to_be_hidden()


# --- who it is -----------------------------------------------------------------------------------

IDENTIFY = """given => new Promise(done => {
  relaydesk("on", "identity", done);
  relaydesk("identify", given);
})"""


async def identify(page: Page, **given: str) -> str:
    return str(await page.evaluate(IDENTIFY, given))


async def test_d25_who_is_signed_sees_one_conversation_on_two_devices_and_nobody_else_does(
    here: Here, site: Site, browser: Browser, seat: Watched
) -> None:
    one = await shop(here)
    good = signature("s3cret", "user-7")
    async with visitor_at(browser, site) as other:
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


async def test_d25_nothing_of_who_was_here_reaches_who_comes_after(
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here)
    first, second = (
        {"user": user, "signature": signature("s3cret", user)} for user in ("user-1", "user-2")
    )
    page = await opened(await seat.page(), site, one)
    assert await identify(page, **first) == "known"
    await write(page, "of user 1")
    await heard(here, one, "of user 1")
    tab = await opened(await seat.page(), site, one)
    await tab.get_by_label("Your message").fill("begun in another tab")
    calls = f"{here.base_url}/webhooks/web/{one.slug}"
    await seat.context.route(calls, lambda route: route.abort())
    await write(page, "still waits")
    await page.get_by_label("Your message").fill("begun")
    await seat.context.route(f"{calls}/identify", lambda route: route.abort())
    assert await identify(page, **second) == "away"
    for seen in (page, tab):
        await expect(seen.locator("li.visitor")).to_have_count(0)  # at once, whoever they are
        await expect(seen.get_by_label("Your message")).to_have_value("")
    await write(page, "of user 2")
    await seat.context.unroute(f"{calls}/identify")
    await seat.context.unroute(calls)
    event = await heard(here, one, "of user 2")
    named = identified(one, "user-2", signature("s3cret", "user-2"))
    assert event.visitor == named  # not of a visitor without a name, however late it was known
    await page.reload()
    await launcher(page).click()
    await expect(page.locator("li.visitor")).to_have_count(1)
    assert await _texts(here, one, "still waits") == []


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
    here: Here, site: Site, seat: Watched
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
    page = await opened(await seat.page(), site, one, title=everywhere)
    await page.get_by_role("textbox", name=everywhere).fill(everywhere)
    await page.get_by_role("button", name="Start the chat").click()
    await page.locator("textarea").fill("Hello?")
    await page.keyboard.press("Enter")
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


async def accessible(page: Page, *schemes: Literal["light", "dark"]) -> None:
    """Fail where axe finds anything wrong, contrast included, in one of these colour schemes."""
    for scheme in schemes:
        await page.emulate_media(color_scheme=scheme)
        assert await violations(page) == [], scheme


async def test_d25_nothing_keeps_anybody_out(here: Here, site: Site, seat: Watched) -> None:
    one = await shop(here, Plugin(pre_chat=FORM, colour="#e0a800", launcher="Ask us"))
    page = await seat.page()
    await page.goto(site.page(one.slug))
    await launcher(page).wait_for()
    await accessible(page, "light")
    await launcher(page).click()
    await page.locator("button.begin").click()
    await expect(page.locator(".wrong").nth(1)).not_to_be_empty()
    await accessible(page, "light", "dark")
    await page.locator("input[type=email]").fill("ada@example.org")
    await page.locator("button.begin").click()
    await write(page, "hello, see https://shop.example/lamps")
    who = await visitor_of(page, one)
    choices = ChoicesPart(text="Which?", choices=(Choice(title="This"), Choice(title="That")))
    await tell(here, one, who, 1, choices)
    await expect(page.get_by_role("button", name="That")).to_be_visible()
    bad = {"name": "a.exe", "mimeType": "", "buffer": b"MZ"}
    await page.locator("input[type=file]").set_input_files(cast("FilePayload", bad))
    await expect(page.get_by_role("alert")).to_contain_text("a.exe cannot be sent")
    await accessible(page, "light", "dark")
    await page.set_viewport_size({"width": 390, "height": 700})
    await accessible(page, "light")


LANGUAGES = {
    "Arabic, from right to left": ("ar", "إرسال", True),
    "Traditional Chinese": ("zh-Hant", "傳送", False),
}


@pytest.mark.parametrize(("lang", "send", "mirrored"), LANGUAGES.values(), ids=LANGUAGES)
async def test_d25_it_speaks_the_language_of_the_page(
    here: Here, site: Site, seat: Watched, lang: str, send: str, mirrored: bool
) -> None:
    one = await shop(here)
    page = await opened(await seat.page(), site, one, lang=lang)
    await write(page, "Hello!")
    button, own = page.get_by_role("button", name=send), page.locator("li.visitor .bubble")
    for seen, after in ((launcher(page), 640), (button, 1000), (own, 1100)):
        box = await box_of(seen)
        assert (box["x"] < 1280 - after) is mirrored  # of a page 1280 wide
    if mirrored:
        await accessible(page, "dark")


async def test_d25_on_a_small_screen_the_focus_stays_in_the_window_until_escape(
    here: Here, site: Site, seat: Watched
) -> None:
    one = await shop(here)
    page = await seat.page()
    await page.set_viewport_size({"width": 390, "height": 700})
    await opened(page, site, one)
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
