"""The page of alerts in a real browser before a real desk: what an agent sees, hears, clicks."""

from __future__ import annotations

import asyncio
import re
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Locator,
    Page,
    Worker,
    expect,
)

from libs.common.alerts import Alert
from libs.common.cli.front import front
from libs.common.documents import Agent
from libs.common.people import RESETS, PasswordReset, new_link
from services.desk.live import open_live
from tests.console.browser import open_browser
from tests.desk.listening import raised, then
from tests.desk.test_push_subscriptions import browser as subscription
from tests.desk.world import PASSWORD, World, open_world, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

WITHIN_S = 40.0
expect.set_options(timeout=WITHIN_S * 1000)


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
    async with open_browser(notifies=True) as opened:
        yield opened


SOUNDED = """
window.sounded = [];
document.addEventListener("relaydesk:sounded", (event) => window.sounded.push(event.detail));
"""


CLOSED = """
async () => {
  const registration = await navigator.serviceWorker.ready;
  (await registration.getNotifications()).forEach((one) => one.close());
}
"""
FORGOTTEN = """
async () => {
  if (location.origin === "null") return;
  localStorage.clear();
  for (const registration of await navigator.serviceWorker.getRegistrations())
    (await registration.getNotifications()).forEach((one) => one.close());
}
"""
SHOWN = """
async () => {
  const registration = await navigator.serviceWorker.ready;
  const shown = await registration.getNotifications();
  return shown.map(({ title, body, tag, data, silent }) => ({ title, body, tag, silent, ...data }));
}
"""


class Seat:
    """A browser of its own, and the page that each test begins with: to start one costs most."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.errors: list[str] = []
        self._first: Page | None = None

    async def page(self) -> Page:
        """Return an empty page: the first one, if it is free."""
        if not self.context.pages:
            self._first = None
        first, self._first = self._first, None
        return first or await self._new()

    async def _new(self) -> Page:
        page = await self.context.new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)
        page.on("dialog", self._dialog)
        await page.add_init_script(SOUNDED)
        return page

    def _console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Trusted" in message.text:
            self.errors.append(message.text)

    async def _dialog(self, dialog: Dialog) -> None:
        self.errors.append(f"a dialog: {dialog.message}")
        await dialog.dismiss()

    async def left(self) -> list[str]:
        """Make all as it was before the test; return what the pages complained of."""
        for page in self.context.pages[1:]:
            await page.close()
        for page in self.context.pages:
            await page.evaluate(FORGOTTEN)
            await page.goto("about:blank")
            self._first = page
        await self.context.clear_cookies()
        await self.context.clear_permissions()
        errors, self.errors = self.errors, []
        return errors


class Desk:
    """An agent before the browser; `name` is the agent's."""

    def __init__(self, world: World, seat: Seat, name: str, agent: Agent) -> None:
        self.world = world
        self.context = seat.context
        self.name = name
        self.agent = agent
        self._seat = seat

    async def open(self, path: str = "/#/alerts", *, base: str = "") -> Page:
        page = await self._seat.page()
        await page.goto((base or self.world.base) + path)
        return page

    async def allow_notifications(self, base: str = "") -> None:
        await self.context.grant_permissions(["notifications"], origin=base or self.world.base)

    async def log_in(self, path: str = "/#/alerts", *, base: str = "") -> Page:
        """Open a page with a login of before, and wait until it is connected."""
        until_ = datetime.now(UTC) + timedelta(days=1)
        text = await self.world.token(self.agent, kind="session", expires_at=until_)
        url = base or self.world.base
        await self.context.add_cookies([{"name": "relaydesk", "value": text, "url": url}])
        page = await self.open(path, base=base)
        await connected(page)
        return page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seat(world: World, browser: Browser) -> AsyncIterator[Seat]:
    """The browser's window for the whole file."""
    context = await browser.new_context(base_url=world.base)
    yield Seat(context)
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def agent(world: World, seat: Seat) -> AsyncIterator[Desk]:
    """A new agent before an empty browser, whose pages are without a fault at the end."""
    yield await seated(world, seat)
    assert await seat.left() == []


@pytest_asyncio.fixture(loop_scope="module")
async def newcomer(world: World, browser: Browser) -> AsyncIterator[Desk]:
    """An agent before a browser in which no permission was ever given or taken."""
    context = await browser.new_context(base_url=world.base)
    seat = Seat(context)
    yield await seated(world, seat)
    await context.close()
    assert seat.errors == []


async def seated(world: World, seat: Seat) -> Desk:
    name = f"ann{uuid.uuid4().hex[:6]}"
    return Desk(world, seat, name, await world.hire(name, "agent", world.workspace))


async def blocked(page: Page) -> None:
    """Ask for notifications until the page says no; headless, the question may stay unanswered."""
    words = page.get_by_text("This browser blocks notifications")
    for _ in range(6):
        if not await words.count():
            await page.get_by_role("button", name="Show notifications").click()
        with suppress(AssertionError):
            await expect(words).to_be_visible(timeout=3000)
            return
        await page.reload()
        await connected(page)
    await expect(words).to_be_visible()


async def connected(page: Page) -> None:
    await expect(page.locator(".connection")).to_have_text("Connected")


async def saved(page: Page) -> None:
    """Wait for the word that it was, and put it away."""
    word = page.locator(".toast", has_text="Saved")
    await expect(word).to_be_visible()
    await word.get_by_role("button", name="Close").click()
    await expect(word).to_have_count(0)


async def choose(page: Page, item: str) -> None:
    """Choose in the menu of who one is."""
    await page.locator(".you").click()
    await page.get_by_role("menu").get_by_text(item).click()


def row(page: Page, alert: Alert) -> Locator:
    return page.locator(f'[data-alert="{alert.id}"]')


async def until(
    found: Callable[[], Awaitable[Any]], wanted: Any, within_s: float = WITHIN_S
) -> None:
    """Wait until *found* answers *wanted*."""
    seen = None
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while (seen := await found()) != wanted:  # noqa: ASYNC110 (it happens elsewhere)
                await asyncio.sleep(0.05)
    assert seen == wanted


async def notifications(page: Page) -> list[dict[str, Any]]:
    """Return the system's notifications of this installation, as they stand."""
    found: list[dict[str, Any]] = await page.evaluate(SHOWN)
    return found


async def sounds(*pages: Page) -> list[str]:
    return [sound["sound"] for page in pages for sound in await page.evaluate("window.sounded")]


async def sound_unlocked(page: Page) -> None:
    await page.get_by_role("heading", name="Alerts").click()
    await expect(page.get_by_text("Click anywhere")).to_be_hidden()


async def test_who_logs_in_sees_that_nothing_waits(agent: Desk) -> None:
    page = await agent.open()
    await page.get_by_label("Email address").fill(agent.world.email(agent.name))
    await page.get_by_label("Password").fill("wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_have_text("Address or password is wrong.")
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
    await page.wait_for_url(f"**/#/sessions/{session.id}")
    await expect(page.get_by_role("main")).to_contain_text("Where is my parcel?")
    await expect(page.get_by_role("main")).to_contain_text("Bot hosted")
    await then(world, alert, "cleared")
    await expect(shown).to_have_count(0)


TRIGGERS = {
    "bot_hosted.message": "Message to a bot",
    "assigned.message": "Message for you",
    "handoff.requested": "Asks for a person",
}


async def test_a15_a16_a17_each_event_says_what_has_happened(agent: Desk, world: World) -> None:
    page = await agent.log_in()
    for number, (trigger, words) in enumerate(TRIGGERS.items()):
        alert = await raised(world, agent.name, f"ses-{number}", trigger=trigger)
        await expect(row(page, alert).locator(".what")).to_have_text(words)
    other = await world.hire(f"{agent.name}b", "agent", world.workspace)
    foreign = await raised(world, other.name.lower(), "ses-9", trigger="assigned.message")
    assert await row(page, foreign).count() == 0


async def test_an_alert_opens_by_keyboard_and_what_is_shown_has_been_read(
    agent: Desk, world: World
) -> None:
    session = await world.writes("Hello?", visitor=f"K-{agent.name}")
    page = await agent.log_in()
    alert = await raised(world, agent.name, session.id, contact_name="Kay")
    await row(page, alert).get_by_role("link").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_contain_text("Hello?")

    async def read() -> int:
        return (await world.session(session.id)).reads.get(f"agt-{agent.name}", 0)

    await until(read, 1)


async def test_with_permission_an_alert_is_a_notification_until_it_is_cleared(
    agent: Desk, world: World
) -> None:
    await agent.allow_notifications()
    page = await agent.log_in()
    await expect(page.locator(".hint[data-state=vendor]")).to_contain_text("has no push service")
    alert = await raised(world, agent.name, trigger="mention", contact_name="Marie", sound="pop")
    await expect(row(page, alert)).to_be_visible()

    async def shown() -> list[tuple[str, str, str]]:
        return [(one["tag"], one["title"], one["body"]) for one in await notifications(page)]

    await until(shown, [(alert.id, "You were mentioned in a note", "")])
    more = await then(world, alert, "updated", count=4)
    await until(shown, [(alert.id, "You were mentioned in a note", "4 messages")])
    await then(world, more, "cleared")
    await until(shown, [])
    await expect(row(page, alert)).to_have_count(0)


REFUSED_ONCE = """
const kind = globalThis.ServiceWorkerRegistration?.prototype;
const real = kind?.showNotification;
let refused = false;
if (kind)
  kind.showNotification = function (...told) {
    if (refused) return real.apply(this, told);
    refused = true;
    return Promise.reject(new TypeError("not now"));
  };
"""


async def test_a_notification_that_the_browser_refuses_once_is_shown_a_moment_later(
    agent: Desk, world: World
) -> None:
    await agent.allow_notifications()
    await agent.context.add_init_script(REFUSED_ONCE)
    page = await agent.log_in()
    await expect(page.locator(".hint[data-state=vendor]")).to_contain_text("has no push service")
    alert = await raised(world, agent.name, trigger="mention", contact_name="Marie")

    async def shown() -> list[str]:
        return [one["tag"] for one in await notifications(page)]

    await until(shown, [alert.id])


LOCK_SCREENS = {
    "generic": "2 messages",
    "contact": "Marie: 2 messages",
    "excerpt": "Marie: Where is my parcel?",
}


async def test_a_notification_shows_no_more_than_the_agent_lets_it(
    agent: Desk, world: World
) -> None:
    await agent.allow_notifications()
    page = await agent.log_in("/#/settings/alerts")
    for number, (choice, body) in enumerate(LOCK_SCREENS.items()):
        await page.get_by_label("What notifications show").select_option(choice)
        await page.get_by_role("button", name="Save").click()
        await saved(page)
        told = {"contact_name": "Marie", "excerpt": "Where is my parcel?", "count": 2}
        alert = await raised(world, agent.name, f"ses-{number}", **told)

        async def shown(alert: Alert = alert) -> list[str]:
            found = await notifications(page)
            return [one["body"] for one in found if one["tag"] == alert.id]

        await until(shown, [body])


async def test_without_permission_the_page_says_what_to_do(newcomer: Desk) -> None:
    page = await newcomer.log_in()
    await blocked(page)


async def test_many_tabs_notify_and_sound_once_and_the_next_takes_over(
    agent: Desk, world: World
) -> None:
    await agent.allow_notifications()
    first = await agent.log_in()
    second = await agent.open()
    third = await agent.open()
    for page in (second, third):
        await connected(page)
    for page in (second, third):  # the first leads, and may not sound
        await sound_unlocked(page)
    one = await raised(world, agent.name, "ses-1", sound="bell", volume=50)
    for page in (first, second, third):
        await expect(row(page, one)).to_be_visible()
    await until(lambda: sounds(first, second, third), ["bell"])
    await until(lambda: tags(second), [one.id])
    await first.close()
    await asyncio.sleep(1)  # what follows a sound at once has none of its own
    two = await raised(world, agent.name, "ses-2", sound="knock", volume=50)
    for page in (second, third):
        await expect(row(page, two)).to_be_visible()
        await expect(row(page, one)).to_be_visible()
    await until(lambda: sounds(second, third), ["bell", "knock"])
    await until(lambda: tags(second), sorted([one.id, two.id]))
    await row(third, one).get_by_role("button").click()
    await expect(row(second, one)).to_have_count(0)
    await until(lambda: tags(second), [two.id])


async def tags(page: Page) -> list[str]:
    return sorted(one["tag"] for one in await notifications(page))


async def test_a18_an_alert_without_a_sound_is_silent(agent: Desk, world: World) -> None:
    await agent.allow_notifications()
    page = await agent.log_in()
    await sound_unlocked(page)
    muted = await raised(world, agent.name, "ses-1", sound=None)
    await expect(row(page, muted)).to_be_visible()
    loud = await raised(world, agent.name, "ses-2", sound="chime", volume=20)
    await expect(row(page, loud)).to_be_visible()
    await until(lambda: sounds(page), ["chime"])
    assert await page.evaluate("window.sounded") == [{"sound": "chime", "volume": 20}]
    assert all(one["silent"] for one in await notifications(page))


async def test_a_page_that_is_loaded_again_knows_what_waits_and_announces_nothing_twice(
    agent: Desk, world: World
) -> None:
    await agent.allow_notifications()
    page = await agent.log_in()
    await sound_unlocked(page)
    old = await raised(world, agent.name, "ses-1", sound="pop", volume=10)
    gone = await raised(world, agent.name, "ses-2")
    await expect(row(page, gone)).to_be_visible()
    await then(world, gone, "cleared")
    await until(lambda: sounds(page), ["pop"])
    await until(lambda: tags(page), [old.id])
    await page.evaluate(CLOSED)
    await page.reload()
    await connected(page)
    await sound_unlocked(page)
    await expect(row(page, old)).to_be_visible()
    await expect(row(page, gone)).to_have_count(0)
    new = await raised(world, agent.name, "ses-3", sound="knock", volume=10)
    await expect(row(page, new)).to_be_visible()
    await until(lambda: sounds(page), ["knock"])
    await until(lambda: tags(page), [new.id])


async def test_nothing_is_lost_while_the_desk_is_restarted(agent: Desk, world: World) -> None:
    desks: dict[str, str] = {}
    async with front("127.0.0.1", 0, lambda: desks) as port:
        base = f"http://127.0.0.1:{port}"
        async with another_desk(world) as desks["desk"]:
            page = await agent.log_in(base=base)
            before = await raised(world, agent.name, "ses-1")
            await expect(row(page, before)).to_be_visible()
        del desks["desk"]  # as long as it is away, the front answers 503
        await page.wait_for_event("response", lambda response: response.status == 503)
        await expect(page.locator(".connection")).to_contain_text("The connection is lost")
        during = await raised(world, agent.name, "ses-2")
        await then(world, before, "cleared")
        async with another_desk(world) as desks["desk"]:
            await connected(page)
            await expect(row(page, during)).to_be_visible()
            await expect(row(page, before)).to_have_count(0)
            await page.close()


@asynccontextmanager
async def another_desk(world: World) -> AsyncIterator[str]:
    """Another process's desk, on the same bus and store; ends with its streams."""
    async with (
        open_live(world.bus, lambda: datetime.now(UTC)) as live,
        serving(msgspec.structs.replace(world.desk, live=live)) as port,
    ):
        yield f"http://127.0.0.1:{port}"


async def test_a_push_is_shown_in_the_words_it_has_and_a_click_opens_its_session(
    newcomer: Desk, world: World
) -> None:
    await newcomer.allow_notifications()
    session = await world.writes("Pushed?", visitor=f"P-{newcomer.name}")
    page = await newcomer.log_in()
    await page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
    payload = {
        "id": "ses:1:ann",
        "tag": "ses:1:ann",
        "title": "New message",
        "body": "Open Relaydesk to see it.",
        "url": f"/#/sessions/{session.id}",
        "count": 1,
    }
    await push(page, world.base, msgspec.json.encode(payload).decode())
    await until(lambda: tags(page), ["ses:1:ann"])
    [shown] = await notifications(page)
    assert (shown["title"], shown["body"]) == ("New message", "Open Relaydesk to see it.")
    await push(page, world.base, "what is this?")
    await until(lambda: tags(page), ["relaydesk", "ses:1:ann"])
    await click(newcomer.context, world.base, "ses:1:ann")
    await page.wait_for_url(f"**/#/sessions/{session.id}")
    await expect(page.get_by_role("main")).to_contain_text("Pushed?")
    await until(lambda: tags(page), ["relaydesk"])
    foreign = {**payload, "tag": "foreign", "url": "https://elsewhere.example/#/sessions/1"}
    await push(page, world.base, msgspec.json.encode(foreign).decode())
    await until(lambda: tags(page), ["foreign", "relaydesk"])
    await click(newcomer.context, world.base, "foreign")
    await page.wait_for_url(f"{world.base}/#/")


async def push(page: Page, origin: str, data: str) -> None:
    """Deliver a push to the page's service worker, as a push service does."""
    devtools = await page.context.new_cdp_session(page)
    known: asyncio.Queue[str] = asyncio.Queue()

    def updated(event: dict[str, Any]) -> None:
        for registration in event["registrations"]:
            if registration["scopeURL"].startswith(origin) and not registration["isDeleted"]:
                known.put_nowait(registration["registrationId"])

    devtools.on("ServiceWorker.workerRegistrationUpdated", updated)
    await devtools.send("ServiceWorker.enable")
    async with asyncio.timeout(WITHIN_S):
        registration = await known.get()
    await devtools.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": origin, "registrationId": registration, "data": data},
    )
    await devtools.detach()


def worker_of(context: BrowserContext, origin: str) -> Worker:
    """Return the service worker of an installation; those of others may still be there."""
    return next(one for one in context.service_workers if one.url.startswith(f"{origin}/"))


async def click(context: BrowserContext, origin: str, tag: str) -> None:
    """Click a notification: hand it to the worker as the browser does."""
    await worker_of(context, origin).evaluate(
        """async (tag) => {
          const [notification] = await self.registration.getNotifications({ tag });
          self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
        }""",
        tag,
    )


async def test_a_subscription_that_the_browser_gave_up_is_made_again(
    newcomer: Desk, world: World
) -> None:
    await newcomer.allow_notifications()
    page = await newcomer.log_in()
    await page.evaluate("() => navigator.serviceWorker.ready.then(() => null)")
    await worker_of(newcomer.context, world.base).evaluate(
        """(given) => {
          const event = new ExtendableEvent("pushsubscriptionchange");
          event.newSubscription = { toJSON: () => given };
          self.dispatchEvent(event);
        }""",
        subscription(newcomer.name),
    )

    async def hosts() -> list[str]:
        items = (await world.get("/push-subscriptions", newcomer.name))["items"]
        return [one["host"] for one in items]

    await until(hosts, ["fcm.googleapis.com"])


HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(2)>",
    "<svg/onload=alert(3)>",
    "\"><iframe srcdoc='<script>parent.alert(4)</script>'>",
    "javascript:alert(5)",
    "{{constructor.constructor('alert(6)')()}}",
    "</title><script>alert(7)</script>",
    "\u202egnp.exe \u0000 &lt;b&gt;bold&lt;/b&gt;",
)


async def test_names_and_messages_are_text_whatever_they_say(agent: Desk, world: World) -> None:
    await agent.allow_notifications()
    page = await agent.log_in()
    session = await world.writes(HOSTILE[1], visitor=f"X-{agent.name}")
    for number, text in enumerate(HOSTILE):
        url = f"javascript:alert('{number}')"
        told = {"contact_name": text, "excerpt": text, "channel": text, "account": text}
        alert = await raised(world, agent.name, f"ses-{number}", url=url, **told)
        shown = row(page, alert)
        await expect(shown).to_be_visible()
        who = await shown.locator(".who").text_content()
        assert who == text
        assert await shown.locator("script, img, iframe, b, svg:not(.icon)").count() == 0
        assert await shown.get_by_role("link").get_attribute("href") == "/#/"
    await page.goto(f"{world.base}/#/sessions/{session.id}")
    await expect(page.get_by_role("main")).to_contain_text(HOSTILE[1])
    await page.goto(f"{world.base}/#/sessions/{HOSTILE[1]}")
    await expect(page.get_by_text("There is no such conversation")).to_be_visible()
    await expect(page.get_by_role("complementary", name="Contact")).to_have_count(0)


async def test_a14_what_the_workspace_locks_cannot_be_changed(agent: Desk, world: World) -> None:
    locked = {"handoff.requested": {"methods": ["browser"], "locked": True}}
    answer = await world.call("PATCH", "/settings", "olga", body={"alerts": {"triggers": locked}})
    assert answer.status == 200, answer.body
    page = await agent.log_in("/#/settings/alerts")
    handoff = page.locator('[data-trigger="handoff.requested"]')
    await expect(handoff).to_contain_text("Set by your workspace.")
    boxes = await handoff.get_by_role("checkbox").all()
    assert [await box.is_disabled() for box in boxes] == [True, True, True]
    assert [await box.is_checked() for box in boxes] == [True, False, False]
    await expect(page.get_by_label("Mentions you: Email")).to_be_enabled()


async def test_an_agent_sets_how_to_be_alerted(agent: Desk, world: World) -> None:
    page = await agent.log_in("/#/settings/alerts")
    await page.get_by_label("Mentions you: Email").uncheck()
    await page.get_by_label("Mentions you: Sound").select_option("Bell")
    await page.get_by_label("Sound", exact=True).select_option("Knock")
    await page.get_by_label("Volume").fill("35")
    await page.get_by_label("Mute").select_option("For an hour")
    await page.get_by_label("Quiet hours").check()
    await page.get_by_label("From").fill("21:30")
    await page.get_by_label("Time zone").select_option("Europe/Berlin")
    await page.get_by_label("What notifications show").select_option("The contact's name")
    await page.get_by_role("button", name="Try").click()
    await until(lambda: sounds(page), ["knock"])
    await page.get_by_role("button", name="Save").click()
    await saved(page)
    kept = await world.get("/alerts/preferences", agent.name)
    names = ("triggers", "sound", "sounds", "volume", "zone", "quiet_hours", "lock_screen", "muted")
    assert [kept[name] for name in names] == [
        {"mention": ["browser"]},
        "knock",
        {"mention": "bell"},
        35,
        "Europe/Berlin",
        {"start": "21:30", "end": "07:00"},
        "contact",
        True,
    ]


async def test_what_was_set_elsewhere_meanwhile_stays_as_it_is(agent: Desk, world: World) -> None:
    page = await agent.log_in("/#/settings/alerts")
    await page.get_by_label("Mentions you: Email").uncheck()
    set_ = {"volume": 5, "quiet_hours": {"start": "01:00", "end": "02:00"}}
    elsewhere = await world.call("PATCH", "/alerts/preferences", agent.name, body=set_)
    assert elsewhere.status == 200, elsewhere.body
    await page.get_by_role("button", name="Save").click()
    await saved(page)
    kept = await world.get("/alerts/preferences", agent.name)
    assert (kept["volume"], kept["quiet_hours"]["start"]) == (5, "01:00")
    assert kept["triggers"] == {"mention": ["browser"]}
    await expect(page.get_by_label("Volume")).to_have_value("5")


async def test_a_reminder_says_since_when_somebody_waits(agent: Desk, world: World) -> None:
    page = await agent.log_in()
    since = datetime.now(UTC) - timedelta(minutes=7)
    alert = await raised(world, agent.name, rung=1, since=since)
    await expect(row(page, alert)).to_contain_text("7m")


async def test_an_alert_of_no_session_leads_to_words_about_it(agent: Desk, world: World) -> None:
    page = await agent.log_in()
    alert = await raised(world, agent.name, url="/#/webhook-endpoints/whe-1")
    await row(page, alert).get_by_role("link").click()
    await expect(page.get_by_role("heading", name="Webhooks")).to_be_visible()
    await expect(page.get_by_text("This needs the role admin or above.")).to_be_visible()
    await page.evaluate("location.hash = '#/accounts/demo-line'")
    await expect(page.get_by_role("heading", name="demo-line")).to_be_visible()
    await expect(page.get_by_text("There is no such account")).to_be_visible()


async def test_an_agent_ends_being_muted_and_tries_an_alert(agent: Desk, world: World) -> None:
    answer = await world.call("POST", "/alerts/mute", agent.name, body={})
    assert answer.status == 200
    page = await agent.log_in("/#/settings/alerts")
    await expect(page.get_by_label("Mute")).to_have_value("on")
    await page.get_by_label("Mute").select_option("Not muted")
    await page.get_by_role("button", name="Save").click()
    await saved(page)
    assert not (await world.get("/alerts/preferences", agent.name))["muted"]
    await page.get_by_role("button", name="Send me a test alert").click()
    await page.get_by_role("link", name="Alerts", exact=False).first.click()
    await expect(page.get_by_text("This is a test.")).to_be_visible()
    await until(lambda: sounds(page), ["chime"])


async def test_an_agent_goes_away_and_comes_back(agent: Desk, world: World) -> None:
    page = await agent.log_in()

    async def state() -> str:
        items = (await world.get("/presence", agent.name))["items"]
        return str(next(one["state"] for one in items if one["agent"] == f"agt-{agent.name}"))

    await until(state, "online")
    await choose(page, "Away")
    await until(state, "away")
    await expect(page.locator(".you")).to_have_attribute("aria-label", re.compile("Away"))
    await choose(page, "Online")
    await until(state, "online")


async def test_who_logs_out_is_told_nothing_more(agent: Desk, world: World) -> None:
    page = await agent.log_in()
    other = await agent.open()
    await connected(other)
    await raised(world, agent.name, contact_name="Marie Curie")
    await expect(page.locator("#said")).to_contain_text("Marie Curie")
    await choose(page, "Log out")
    await expect(page.get_by_label("Password")).to_be_visible()
    await expect(page.locator("body")).not_to_contain_text("Marie Curie")
    await expect(other.get_by_text("Your login has ended.")).to_be_visible()
    alert = await raised(world, agent.name)
    await asyncio.sleep(0.3)
    assert await row(other, alert).count() == 0


async def test_a_mailed_invitation_opens_a_form_that_lets_its_reader_in(
    agent: Desk, world: World
) -> None:
    email = f"new-{agent.name}@{world.workspace}.example"
    body = {"email": email, "role": "agent"}
    made = (await world.call("POST", "/invitations", "adam", body=body)).json
    page = await agent.open(f"/#/accept-invitation/{made['token']}")
    await page.get_by_label("Your name").fill("Nora New")
    await page.get_by_label("New password").fill("correct horse")
    await page.get_by_role("button", name="Begin").click()
    await connected(page)
    assert made["token"] not in page.url
    assert (await page.evaluate("fetch('/api/v1/me').then((a) => a.json())"))["agent"][
        "name"
    ] == "Nora New"
    again = await agent.open(f"/#/accept-invitation/{made['token']}")
    await again.get_by_label("Your name").fill("Eve")
    await again.get_by_label("New password").fill("correct horse")
    await again.get_by_role("button", name="Begin").click()
    await expect(again.get_by_role("alert")).to_contain_text("This link is not valid")


async def test_who_forgot_the_password_sets_a_new_one_by_the_mailed_link(
    agent: Desk, world: World
) -> None:
    secret = new_link("rst", world.workspace)
    now = datetime.now(UTC)
    reset = PasswordReset(
        id=secret.id,
        workspace=world.workspace,
        agent=agent.agent.id,
        secret_hash=secret.hash,
        created_at=now,
        expires_at=now + timedelta(hours=1),
    )
    await world.store.insert(RESETS, reset)
    page = await agent.open()
    await page.get_by_label("Email address").fill(world.email(agent.name))
    await page.get_by_role("button", name="Forgot your password?").click()
    await expect(page.get_by_role("alert")).to_contain_text("a mail is on its way")
    await page.goto(f"{world.base}/#/new-password/{secret.text}")
    await page.get_by_label("New password").fill("another horse")
    await page.get_by_role("button", name="Set it and log in").click()
    await connected(page)
    assert secret.text not in page.url
