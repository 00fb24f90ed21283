"""Settings of channels, people, tokens, webhooks and one's own account, as people use them."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from libs.common.bus.client import open_bus
from libs.common.config import IngestSettings
from libs.common.directory import Directory, watched
from libs.common.documents import ACCOUNTS, AGENTS
from libs.common.health import Seen
from libs.common.seal import Sealer, new_key_setting
from libs.common.subjects import HEALTH_KV
from services.ingest.app import make_site
from services.ingest.outlet import Outlet
from services.ingest.reach import Reach
from services.ingest.server import listening
from services.ingest.spool import open_spool
from tests.desk.world import PASSWORD, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

expect.set_options(timeout=40_000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A desk whose front door leads to a real ingest, so that a test of an account gets in."""
    folder = tmp_path_factory.mktemp("connect")
    shutil.copy(empty_store, folder / "store.db")
    async with AsyncExitStack() as opened:
        enter = opened.enter_async_context
        key = new_key_setting()
        reach = Reach(Directory(Sealer.from_setting(key)))
        reach.bus = await enter(open_bus(nats_url, name="connect-test"))
        spool = await enter(open_spool(folder / "spool", 1 << 20))
        outlet = Outlet(reach, spool, publish_timeout_s=5)
        settings = IngestSettings(nats_url=nats_url, secret_key=key, spool_dir=str(folder))
        site = make_site(settings, reach, outlet)
        port = await enter(listening(site.table, "127.0.0.1", 0, closing=site.close))
        url = f"http://127.0.0.1:{port}"
        made = await enter(open_world(nats_url, f"sqlite:///{folder / 'store.db'}", public_url=url))
        reach.directory = await enter(watched(made.bus, made.desk.sealer, policies=False))
        yield made


class Office:
    """One page in which different people work, and what it complained of."""

    def __init__(self, world: World, page: Page) -> None:
        self.world = world
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._told)

    def _told(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.faults.append(message.text)

    async def open(self, who: str, path: str) -> Page:
        agent = await self.world.store.get(AGENTS, self.world.workspace, f"agt-{who}")
        assert agent is not None
        until = datetime.now(UTC) + timedelta(days=1)
        text = await self.world.token(agent, kind="session", expires_at=until)
        context = self.page.context
        await context.clear_cookies()
        await context.add_cookies([{"name": "relaydesk", "value": text, "url": self.world.base}])
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.world.base}/#{path}")
        await expect(self.page.get_by_role("heading", level=1)).to_be_visible()
        return self.page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def office(world: World, browser: Browser) -> AsyncIterator[Office]:
    context = await browser.new_context(base_url=world.base)
    yield Office(world, await context.new_page())
    await context.close()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def faultless(office: Office) -> AsyncIterator[None]:
    """A refusal that a test provokes is told by the browser, too; all else is a fault."""
    office.faults.clear()
    yield
    told = [one for one in office.faults if "Failed to load resource" not in one]
    assert told == []


async def test_d10_an_account_is_connected_by_the_guide_and_tested(office: Office) -> None:
    page, world = await office.open("adam", "/settings/channels"), office.world
    await page.get_by_role("button", name="Connect a channel").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="LINE").click()
    await expect(dialog.get_by_role("listitem").first).to_contain_text("developers.line.biz")
    await dialog.get_by_label("Name", exact=True).fill("Lamp shop")
    slug = dialog.get_by_label("Short name")
    await expect(slug).to_have_value("lamp-shop-line")
    await slug.fill(world.slug("line"))
    await dialog.get_by_label("Id at the provider").fill("U" + "0" * 32)
    await dialog.get_by_label("Channel secret", exact=True).fill("0" * 32)
    await dialog.get_by_label("Channel access token").fill("the-access-token")
    await dialog.get_by_role("button", name="Connect", exact=True).click()
    wrong = dialog.get_by_role("alert")
    await expect(wrong).to_contain_text("has this name already")
    await expect(slug).to_have_attribute("aria-invalid", "true")
    await slug.fill(f"{world.workspace}-lamp")
    await dialog.get_by_role("button", name="Connect", exact=True).click()
    address = dialog.get_by_label("Webhook address", exact=True)
    await expect(address).to_have_value(
        f"{world.desk.settings.public_url}/webhooks/line/{world.workspace}-lamp"
    )
    await dialog.get_by_role("button", name="Test").click()
    steps = dialog.locator(".test-steps li")
    from_outside = steps.filter(has_text="A webhook from outside")
    await expect(from_outside.get_by_role("img", name="right")).to_be_visible()
    public = steps.filter(has_text="Public address")
    await expect(public.get_by_role("img", name="wrong")).to_be_visible()
    await expect(public).to_contain_text("RELAYDESK_PUBLIC_URL")
    await dialog.get_by_role("button", name="Open the account").click()
    await expect(page.get_by_role("heading", name="Lamp shop", level=1)).to_be_visible()
    await expect(page.locator("body")).not_to_contain_text("the-access-token")


async def test_d10_an_account_gets_a_new_secret_is_switched_off_and_disconnected(
    office: Office,
) -> None:
    world, slug = office.world, f"{office.world.workspace}-lamp2"
    body = {
        "slug": slug,
        "channel": "line",
        "name": "Second shop",
        "external_id": f"U-{slug}",
        "secrets": {"channel_secret": "0" * 32, "access_token": "t"},
    }
    assert (await world.call("POST", "/accounts", "adam", body=body)).status == 201
    page = await office.open("adam", f"/settings/channels/{slug}")
    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Replace: Channel access token").click()
    await dialog.get_by_label("Channel access token").fill("another")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_have_count(0)
    switch = page.get_by_role("switch", name="Switched on")
    await switch.click()
    await page.get_by_role("button", name="Switch off").click()
    await expect(switch).to_have_attribute("aria-checked", "false")
    found = await world.store.get(ACCOUNTS, world.workspace, slug)
    assert found is not None
    assert not found.enabled

    await page.get_by_role("button", name="Disconnect").click()
    await dialog.get_by_role("button", name="Disconnect").click()
    await expect(page.get_by_role("heading", name="Channels", level=1)).to_be_visible()
    await expect(page.get_by_text("Second shop", exact=True)).to_have_count(0)
    assert await world.store.get(ACCOUNTS, world.workspace, found.id) is None


async def test_d10_the_list_shows_the_worst_first_with_advice(office: Office) -> None:
    world, now = office.world, datetime.now(UTC)
    seen = {
        "whatsapp": Seen(
            at=now, state="revoked", state_at=now, failed_at=now, failed_code="credential"
        ),
        "messenger": Seen(at=now, state="ok", state_at=now, token_expires_at=now + timedelta(3)),
    }
    for channel, one in seen.items():
        key = f"{world.slug(channel)}.here"
        await world.bus.kv_put(HEALTH_KV, key, msgspec.json.encode(one))
    page = await office.open("adam", "/settings/channels")
    rows = page.locator(".accounts li")
    await expect(rows.nth(0)).to_contain_text("Refused")
    await expect(rows.nth(0)).to_contain_text("Our whatsapp")
    await expect(rows.nth(0).locator(".account-advice")).not_to_be_empty()
    await expect(rows.nth(1)).to_contain_text("Token ends soon")


async def test_d10_disconnecting_says_how_many_sessions_are_open(office: Office) -> None:
    world = office.world
    await world.writes("hello", channel="wechat")
    page = await office.open("adam", f"/settings/channels/{world.slug('wechat')}")
    await page.get_by_role("button", name="Disconnect").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Disconnect").click()
    await expect(dialog).to_contain_text("1 session is still open")
    await dialog.get_by_role("button", name="Cancel").click()
    assert await world.store.get(ACCOUNTS, world.workspace, world.slug("wechat")) is not None


async def test_d25_a_website_gets_its_script_tag_and_options_of_its_own(office: Office) -> None:
    world = office.world
    slug = world.slug("web")
    page = await office.open("adam", f"/settings/channels/{slug}")
    tag = page.get_by_role("textbox", name="Script tag")
    public = world.desk.settings.public_url
    await expect(tag).to_have_value(f'<script src="{public}/plugin/{slug}.js" async></script>')
    await page.get_by_text("How the chat looks and behaves").click()
    await page.get_by_label("Welcome").fill("Ask us about lamps")
    await page.get_by_role("button", name="Save").first.click()
    await expect(page.get_by_text("options of its own")).to_be_visible()
    settings = await world.get("/settings", "adam")
    assert settings["plugins"][slug]["welcome"] == "Ask us about lamps"
    assert settings["plugin"]["welcome"] == ""


async def test_who_is_no_admin_sees_the_health_and_no_way_to_change_it(office: Office) -> None:
    page = await office.open("amy", f"/settings/channels/{office.world.slug('line')}")
    await expect(page.get_by_text("Admins can change and test the account")).to_be_visible()
    await expect(page.get_by_role("button", name="Test")).to_have_count(0)
    await page.goto(f"{office.world.base}/#/settings/people")
    await expect(page.get_by_role("cell", name="Bob")).to_be_visible()
    await expect(page.get_by_role("button", name="Invite")).to_have_count(0)
    await page.goto(f"{office.world.base}/#/settings/audit")
    await expect(page.get_by_text("You may not see this")).to_be_visible()


async def test_people_are_invited_limited_and_disabled(office: Office) -> None:
    page, world = await office.open("adam", "/settings/people"), office.world
    await page.get_by_role("button", name="Invite").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Email address").fill(world.email("bob"))
    await dialog.get_by_role("button", name="Send the invitation").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await dialog.get_by_label("Email address").fill("kim@elsewhere.example")
    await dialog.get_by_label("Role").select_option("lead")
    await dialog.get_by_role("button", name="Send the invitation").click()
    link = dialog.get_by_role("textbox", name="Link")
    await expect(link).to_have_value(re.compile(f"^{re.escape(world.desk.settings.public_url)}/"))
    await dialog.get_by_role("button", name="Done").click()
    row = page.locator(".lined li").filter(has_text="kim@elsewhere.example")
    await expect(row).to_contain_text("Lead")
    await row.get_by_role("button", name="Withdraw").click()
    await dialog.get_by_role("button", name="Withdraw").click()
    await expect(row).to_have_count(0)

    await page.get_by_role("button", name="Edit: Bob").click()
    await dialog.get_by_label("Limit").fill("7")
    await dialog.get_by_label("LINE", exact=True).check()
    await dialog.get_by_role("button", name="Save").click()
    bob = page.get_by_role("row").filter(has_text="Bob")
    await expect(bob).to_contain_text("0 of 7")
    await expect(bob).to_contain_text("LINE")
    await page.get_by_role("button", name="Edit: Bob").click()
    await dialog.get_by_role("button", name="Disable").click()
    await page.get_by_role("dialog").last.get_by_role("button", name="Disable").click()
    await expect(bob).to_contain_text("Disabled")


async def test_d16_hours_with_a_holiday_and_a_team_that_keeps_them(office: Office) -> None:
    page, world = await office.open("adam", "/settings/calendars"), office.world
    await page.get_by_role("button", name="Add hours").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name", exact=True).fill("Office")
    await dialog.get_by_label("Time zone").fill("Asia/Nowhere")
    await dialog.get_by_role("button", name="Saturday").click()
    await dialog.get_by_role("button", name="Add a holiday").click()
    await dialog.get_by_label("Date").fill("2026-12-25")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Time zone").fill("Asia/Tokyo")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("1 holiday")).to_be_visible()
    kept = (await world.get("/calendars", "adam"))["items"][0]
    assert (kept["id"], kept["zone"]) == ("office", "Asia/Tokyo")
    assert 5 in kept["spans"][0]["days"]

    await page.goto(f"{world.base}/#/settings/teams")
    await page.get_by_role("button", name="Add a team").first.click()
    await dialog.get_by_label("Name", exact=True).fill("Support")
    await dialog.get_by_label("Business hours").select_option("office")
    await dialog.get_by_label("Amy").check()
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Answers in the hours of Office")).to_be_visible()
    assert (await world.get("/agents/agt-amy", "adam"))["teams"] == ["support"]


async def test_a_token_is_shown_once_and_ends(office: Office) -> None:
    page = await office.open("adam", "/settings/tokens")
    await page.get_by_role("button", name="New token").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name", exact=True).fill("Nightly report")
    await dialog.get_by_label("Opens").select_option("some")
    await dialog.get_by_label("Scopes").fill("nonsense:read")
    await dialog.get_by_role("button", name="Make it").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()
    await dialog.get_by_label("Scopes").fill("reports:read")
    await dialog.get_by_role("button", name="Make it").click()
    secret = await dialog.get_by_label("Token", exact=True).input_value()
    assert secret.startswith("rdk_")
    await dialog.get_by_role("button", name="Done").click()
    row = page.get_by_role("row").filter(has_text="Nightly report")
    await expect(row).to_contain_text("reports:read")
    await expect(page.locator("body")).not_to_contain_text(secret)
    await row.get_by_role("button", name="End").click()
    await dialog.get_by_role("button", name="End").click()
    await expect(row).to_have_count(0)


async def test_d20_an_endpoint_is_made_with_its_secret_tested_and_read_about(
    office: Office,
) -> None:
    page = await office.open("adam", "/settings/webhooks")
    await page.get_by_role("button", name="Add an endpoint").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Address").fill("https://10.0.0.1/hook")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_label("Address")).to_have_attribute("aria-invalid", "true")
    await dialog.get_by_label("Address").fill("https://hooks.example/relaydesk")
    await dialog.get_by_label("A session ended").check()
    await dialog.get_by_role("button", name="Save").click()
    secret = dialog.get_by_role("textbox", name="Signing secret")
    assert (await secret.input_value()).startswith("whsec_")
    await dialog.get_by_role("button", name="Close").click()
    await page.get_by_role("button", name="What to do with").click()
    await page.get_by_role("menuitem", name="Send a test").click()
    delivery = dialog.locator(".lined li").first
    await expect(delivery).to_contain_text("Test")
    await delivery.get_by_role("button", name="Details").click()
    await expect(delivery.locator("pre")).to_contain_text("webhook.test")


async def test_d14_the_record_shows_what_was_and_what_is(office: Office) -> None:
    world = office.world
    rename = {"name": "Renamed shop"}
    answer = await world.call("PATCH", f"/accounts/{world.slug('line')}", "adam", body=rename)
    assert answer.status == 200
    page = await office.open("olga", "/settings/audit")
    await page.get_by_label("Object").fill(f"account:{world.slug('line')}")
    await page.get_by_role("button", name="Search").click()
    rows = page.locator(".audit > li")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("Adam")
    await rows.first.get_by_role("button", name="What changed").click()
    await expect(rows.first.locator("del")).to_have_text("Before: Our line")
    await expect(rows.first.locator("ins")).to_have_text("After: Renamed shop")
    async with page.expect_download() as began:
        await page.get_by_role("link", name="Export").click()
    text = Path(await (await began.value).path()).read_text()
    assert "Renamed shop" in text
    await page.get_by_label("Object").fill("account:none")
    await page.get_by_role("button", name="Search").click()
    await expect(page.get_by_text("Nothing was changed")).to_be_visible()


async def test_ones_own_name_language_and_theme(office: Office) -> None:
    page, world = await office.open("lena", "/settings/me"), office.world
    await page.get_by_label("Name", exact=True).fill("Lena Lamp")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("button", name="Lena Lamp")).to_be_visible()
    assert (await world.get("/me", "lena"))["agent"]["name"] == "Lena Lamp"
    await page.get_by_label("Light or dark").select_option("dark")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.get_by_label("Language").select_option("ar")
    await expect(page.locator("html")).to_have_attribute("dir", "rtl")
    await expect(page.get_by_role("heading", level=1)).to_have_text("حسابك")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.get_by_label("اللغة").select_option("en")
    await page.get_by_label("Light or dark").select_option("system")


async def test_ones_own_password_and_logins(office: Office) -> None:
    page, world = await office.open("rita", "/settings/me"), office.world
    await page.get_by_label("Password until now").fill("wrong, surely")
    await page.get_by_label("New password", exact=True).fill("a better password")
    await page.get_by_label("New password once more").fill("a better passwort")
    await expect(page.get_by_text("The two differ")).to_be_visible()
    await page.get_by_label("New password once more").fill("a better password")
    await page.get_by_role("button", name="Change the password").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_label("Password until now").fill(PASSWORD)
    await page.get_by_role("button", name="Change the password").click()
    await expect(page.get_by_text("The password is changed")).to_be_visible()

    rita = await world.store.get(AGENTS, world.workspace, "agt-rita")
    assert rita is not None
    until = datetime.now(UTC) + timedelta(days=1)
    device = "Mozilla/5.0 (X11; Linux) Firefox/1"
    await world.token(rita, kind="session", expires_at=until, device=device)
    await page.reload()
    other = page.locator(".lined li").filter(has_text="Firefox")
    await other.get_by_role("button", name="End").click()
    await expect(other).to_have_count(0)
    await expect(page.get_by_text("this browser", exact=True)).to_be_visible()
