"""The conversation and its composer in a real browser before a real desk, as agents see them."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Request,
    Response,
    Route,
    expect,
)

from libs.common.documents import ACCOUNTS, Agent, Session, Settings
from libs.common.events import (
    ActionPart,
    Choice,
    ChoicesPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaPart,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    OrderPart,
    Profile,
    ReactionChanged,
    SendReported,
    SharePart,
    TextPart,
    Thread,
    UnsupportedPart,
)
from tests.desk.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHIN_S = 40.0
expect.set_options(timeout=WITHIN_S * 1000)
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TOO_LARGE = """input => {
  const list = new DataTransfer();
  list.items.add(new File([new Uint8Array(27 * 1024 ** 2)], "huge.png", { type: "image/png" }));
  input.files = list.files;
  input.dispatchEvent(new Event("change"));
}"""
AN_HOUR_AGO = """() => {
  for (const key of Object.keys(localStorage).filter((one) => one.startsWith("relaydesk:out:"))) {
    const at = new Date(Date.now() - 3_600_000).toISOString();
    localStorage.setItem(key, JSON.stringify({ ...JSON.parse(localStorage.getItem(key)), at }));
  }
}"""
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    '"><svg onload=alert(1)>',
    "{{constructor.constructor('alert(1)')()}}",
    "</title><iframe src=//evil.example>",
    "\u202egnp.exe",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    path = tmp_path_factory.mktemp("talk") / "store.db"
    shutil.copy(empty_store, path)
    async with open_world(nats_url, f"sqlite:///{path}") as made:
        yield made


class Pane:
    """An agent's browser; `faults` is what its pages complained of, or asked of others."""

    def __init__(self, world: World, context: BrowserContext, agent: Agent) -> None:
        self.world = world
        self.context = context
        self.agent = agent
        self.faults: list[str] = []
        self._page: Page | None = None

    async def begin(self) -> None:
        until = datetime.now(UTC) + timedelta(days=1)
        text = await self.world.token(self.agent, kind="session", expires_at=until)
        cookie = {"name": "relaydesk", "value": text, "url": self.world.base}
        await self.context.add_cookies([cookie])  # type: ignore[list-item]
        self._page = page = await self.context.new_page()
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("dialog", lambda dialog: self.faults.append(f"a dialog: {dialog.message}"))
        page.on("request", self._asked)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.world.base, "blob:", "data:")):
            self.faults.append(f"asks {request.url}")

    @property
    def page(self) -> Page:
        assert self._page is not None
        return self._page

    async def open(self, session: Session | str) -> Page:
        """Open a session by its id, with `?` and filters of the list behind it or without."""
        name = session if isinstance(session, str) else session.id
        address = f"{self.world.base}/#/sessions/{name}"
        if self.page.url.startswith(self.world.base):
            await self.page.evaluate("hash => { location.hash = hash; }", f"/sessions/{name}")
        else:
            await self.page.goto(address)
        shown = self.page.locator(f".talk[data-session='{name.split('?')[0]}']")
        await expect(shown).to_be_visible()
        return self.page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pane(world: World, browser: Browser) -> AsyncIterator[Pane]:
    """Amy before her browser, for the whole file: to start one costs most."""
    context = await browser.new_context(viewport={"width": 1500, "height": 900})
    made = Pane(world, context, await amy_of(world))
    await made.begin()
    yield made
    await context.close()
    assert made.faults == []


async def amy_of(world: World) -> Agent:
    return await world.hire(f"amy{uuid.uuid4().hex[:5]}", "agent", world.workspace)


def talk(page: Page) -> Locator:
    return page.locator(".talk")


def bubbles(page: Page) -> Locator:
    return page.locator(".talk-message")


def composer(page: Page) -> Locator:
    return page.get_by_role("textbox", name=re.compile("Write a (reply|note)"))


def visitor() -> str:
    return f"V{uuid.uuid4().hex[:8]}"


async def say(page: Page, text: str) -> None:
    await composer(page).fill(text)
    await composer(page).press("Enter")


async def sends(world: World, parts: tuple[ContentPart, ...], who: str, **more: Any) -> str:
    """Let a visitor send *parts*; return the provider's id of the message."""
    key = uuid.uuid4().hex
    event = MessageReceived(
        event_id=key,
        visitor=who,
        occurred_at=datetime.now(UTC),
        message_id=key,
        parts=parts,
        profile=Profile(name=f"Visitor {who}"),
        **more,
    )
    await world.happens(event)
    return key


async def switched(world: World, **switches: Any) -> None:
    """Set the workspace's switches for the router and desk alike."""
    settings = msgspec.structs.replace(world.switches.get(world.workspace, Settings()), **switches)
    world.switches[world.workspace] = settings
    answer = await world.call("PATCH", "/settings", "olga", body=switches)
    assert answer.status == 200, answer.body


# --- reading -----------------------------------------------------------------------------------


async def test_a11_b01_b02_b04_every_kind_of_content_stands_in_order_with_who_said_it(
    world: World, pane: Pane
) -> None:
    who = visitor()
    session = await world.writes("First of all https://example.org/a?b=1, ok", visitor=who)
    parts: dict[str, tuple[ContentPart, ...]] = {
        "place": (LocationPart(latitude=25.033, longitude=121.565, name="Taipei 101"),),
        "card": (ContactPart(name="Carl Card", phones=("+886 2 1234",), emails=("c@d.example",)),),
        "tap": (ActionPart(title="Track my order", payload="track"),),
        "share": (SharePart(title="A lamp", url="https://shop.example/lamp"),),
        "order": (OrderPart(items=(("Blue lamp", "2", "19.50", "EUR"),), note="gift wrap"),),
        "odd": (UnsupportedPart(what="poll"),),
        "file": (
            MediaPart(kind="file", media_id="f1", name="bill.pdf", mime_type="application/pdf"),
        ),
        "choice": (
            ChoicesPart(text="Which?", choices=(Choice(title="Red"), Choice(title="Blue"))),
        ),
    }
    for some in parts.values():
        await sends(world, some, who)
    quoted = await sends(world, (TextPart(text="Please quote me"),), who)
    await sends(world, (TextPart(text="This is the answer"),), who, reply_to=quoted)
    edited = await sends(world, (TextPart(text="Helo"),), who)
    gone = await sends(world, (TextPart(text="secret"),), who)
    now = datetime.now(UTC)
    common: dict[str, Any] = {"visitor": who, "occurred_at": now}
    await world.happens(
        MessageEdited(
            event_id=f"e{edited}", target=edited, parts=(TextPart(text="Hello"),), **common
        ),
        MessageDeleted(event_id=f"d{gone}", target=gone, **common),
        ReactionChanged(event_id=f"r{edited}", target=edited, emoji="❤️", author=who, **common),
        MessageEchoed(
            event_id=f"o{gone}",
            message_id=f"o{gone}",
            parts=(TextPart(text="typed in the provider's inbox"),),
            **common,
        ),
    )
    page = await pane.open(session)
    pane_ = talk(page)
    for words in (
        "Taipei 101",
        "Carl Card",
        "Track my order",
        "A lamp",
        "Order of 1 product",
        "2 \N{MULTIPLICATION SIGN} Blue lamp",
        "gift wrap",
        "The channel did not pass this on",
        "bill.pdf",
        "Blue",
        "This message was unsent",
        "Answered outside",
        "❤️",
    ):
        await expect(pane_.get_by_text(words).first).to_be_visible()
    await expect(pane_.get_by_text("secret")).to_have_count(0)
    link = pane_.get_by_role("link", name="https://example.org/a?b=1", exact=True)
    await expect(link).to_have_attribute("rel", re.compile("noopener"))
    answer = bubbles(page).filter(has_text="This is the answer")
    await expect(answer.locator(".talk-quote")).to_contain_text("Please quote me")
    changed = bubbles(page).filter(has_text="Hello")
    await changed.get_by_text("edited").click()
    await expect(changed.locator("s")).to_have_text(["Helo"])
    order = await bubbles(page).all_inner_texts()
    place = [
        next(i for i, text in enumerate(order) if what in text)
        for what in ("First of all", "Taipei", "Please quote")
    ]
    assert place == sorted(place)


async def test_b04_pages_of_what_was_said_keep_the_place_when_something_arrives(
    world: World, pane: Pane
) -> None:
    who = visitor()
    session = await world.writes("line 0", visitor=who)
    for n in range(1, 130):
        await sends(world, (TextPart(text=f"line {n}"),), who)
    page = await pane.open(session)
    await expect(page.get_by_text("line 129", exact=True)).to_be_visible()
    box = page.locator(".talk-scroll")
    await expect(page.get_by_text("line 60", exact=True)).to_have_count(0)
    await box.evaluate("it => { it.scrollTop = 0; }")
    await expect(page.get_by_text("line 60", exact=True)).to_have_count(1)
    await box.evaluate("it => { it.scrollTop = it.scrollHeight / 2; }")
    middle = page.locator(".talk-row", has_text="line 80")
    await middle.scroll_into_view_if_needed()
    before = await middle.evaluate("it => it.getBoundingClientRect().top")
    await sends(world, (TextPart(text="just arrived"),), who)
    await expect(page.get_by_role("button", name="1 new message")).to_be_visible()
    assert abs(await middle.evaluate("it => it.getBoundingClientRect().top") - before) < 2
    await page.get_by_role("button", name="1 new message").click()
    await expect(page.get_by_text("just arrived", exact=True)).to_be_in_viewport()
    await expect(page.locator("#said")).to_contain_text("just arrived")
    while await page.get_by_text("line 0", exact=True).count() == 0:
        await box.evaluate("it => { it.scrollTop = 0; }")
        await page.wait_for_timeout(50)
    texts = await page.locator(".talk-list .talk-message .talk-text").all_inner_texts()
    lines = [text for text in texts if text.startswith("line ")]
    assert lines == [f"line {n}" for n in range(130)]


async def test_b04_a_line_stands_above_what_was_unread_however_soon_it_is_marked_as_read(
    world: World, pane: Pane
) -> None:
    who = visitor()
    session = await world.writes("read before", visitor=who)
    page = await pane.open(session)
    await expect(page.get_by_text("read before", exact=True)).to_be_visible()
    path = f"**/api/v1/sessions/{session.id}"
    await pane.open(await world.writes("elsewhere", visitor=visitor()))
    for text in ("unread one", "unread two"):
        await sends(world, (TextPart(text=text),), who)
    marked, first = asyncio.Event(), asyncio.Event()

    async def late(route: Route) -> None:
        if first.is_set():  # that of the pane; the one before was the inbox's
            await asyncio.wait_for(marked.wait(), WITHIN_S)
        first.set()
        await route.continue_()

    def seen(answer: Response) -> None:
        if answer.url.endswith(f"{session.id}/read"):
            marked.set()

    page.on("response", seen)
    await page.route(path, late)
    await pane.open(f"{session.id}?list=ended")  # a list that has no row of it
    line = page.locator(".talk-row", has=page.get_by_role("separator"))
    await expect(line).to_contain_text("unread one")
    assert marked.is_set()
    page.remove_listener("response", seen)
    await page.unroute(path)


async def test_a03_a04_a_bots_session_is_read_without_taking_it_until_one_replies(
    world: World, pane: Pane
) -> None:
    session = await world.writes("is anybody there?", visitor=visitor())
    page = await pane.open(session)
    await expect(talk(page).get_by_text("With the bot")).to_be_visible()
    await expect(talk(page).get_by_text("Your reply takes the conversation over.")).to_be_visible()
    assert (await world.session(session.id)).list == "bot_hosted"
    await page.keyboard.press("n")
    await say(page, "only for us")
    await expect(page.locator(".talk-note", has_text="only for us")).to_be_visible()
    assert (await world.session(session.id)).list == "bot_hosted"
    await page.keyboard.press("Escape")
    await page.keyboard.press("r")
    await say(page, "yes, I am 🙂")
    await expect(bubbles(page).filter(has_text="yes, I am 🙂")).to_contain_text("Queued")
    await expect(talk(page).locator(".talk-where")).to_contain_text("Assigned")
    stands = await world.session(session.id)
    assert (stands.list, stands.owner) == ("assigned", pane.agent.id)


# --- what is done with a session ---------------------------------------------------------------


async def test_b11_b12_the_robot_is_green_while_the_bot_is_on_and_grey_after_a_press(
    world: World, pane: Pane
) -> None:
    page = await pane.open(await world.writes("hello robot", visitor=visitor()))
    robot = page.locator(".talk-bot")
    await expect(robot).to_have_attribute("aria-pressed", "true")
    await expect(robot).to_have_class(re.compile(r"\bon\b"))
    await robot.click()
    await expect(robot).to_have_attribute("aria-pressed", "false")
    await expect(robot).not_to_have_class(re.compile(r"\bon\b"))
    await expect(page.locator(".talk-event")).to_contain_text(re.compile("Bot switched off by"))


async def test_b13_b14_b15_b16_assigning_shows_who_has_it_and_taking_off_gives_it_back(
    world: World, pane: Pane
) -> None:
    session = await world.writes("who takes me?", visitor=visitor())
    page = await pane.open(session)
    await page.keyboard.press("a")
    dialog = page.get_by_role("dialog", name="Who has this conversation")
    await dialog.get_by_placeholder("Find a colleague").fill("Bob")
    await expect(dialog.get_by_text(re.compile("conversations"))).to_be_visible()
    await dialog.get_by_role("button", name="Assign to Bob").click()
    await expect(page.locator(".talk-seats")).to_contain_text("Bob")
    line = page.locator(".talk-event", has_text=f"Assigned by {pane.agent.name} to Bob")
    await expect(line).to_be_visible()
    await expect(line.locator("time")).to_be_visible()
    await page.keyboard.press("a")
    await dialog.get_by_role("button", name="Add Amy beside").click()
    await expect(page.locator(".talk-seats")).to_contain_text("Amy")
    await expect(page.locator(".talk-seat").first.get_by_label("Owner")).to_be_visible()
    await page.keyboard.press("a")
    await dialog.get_by_role("button", name="Take people off").click()
    await dialog.get_by_label(re.compile("Amy")).check()
    await dialog.get_by_role("button", name="Finish").click()
    await expect(page.locator(".talk-seats")).not_to_contain_text("Amy")
    assert (await world.session(session.id)).list == "assigned"
    await page.keyboard.press("a")
    await dialog.get_by_role("button", name="Take people off").click()
    await dialog.get_by_label(re.compile("Bob")).check()
    await dialog.get_by_role("button", name="Finish").click()
    await expect(page.locator(".talk-where")).to_contain_text("Unassigned")


async def test_a21_ending_asks_first_where_the_workspace_wants_it(world: World, pane: Pane) -> None:
    await switched(world, end_session_confirm=True)
    try:
        session = await world.writes("please end me", visitor=visitor())
        page = await pane.open(session)
        await page.keyboard.press("e")
        question = page.get_by_role("dialog", name="End this conversation?")
        await expect(question).to_contain_text("Messages of the visitor: 1")
        await question.get_by_role("button", name="Cancel").click()
        assert (await world.session(session.id)).list == "bot_hosted"
        await page.keyboard.press("e")
        await question.get_by_role("button", name="End").click()
        await expect(talk(page).get_by_text("This conversation has ended.")).to_be_visible()
        await expect(page.locator(".talk-event")).to_contain_text(re.compile("Ended by"))
        assert (await world.session(session.id)).list == "ended"
    finally:
        await switched(world, end_session_confirm=False)


# --- writing -----------------------------------------------------------------------------------


async def test_b05_b06_text_emoji_and_files_go_out_and_bad_files_are_refused_before(
    world: World, pane: Pane
) -> None:
    session = await world.writes("send me a picture", visitor=visitor(), channel="messenger")
    page = await pane.open(session)
    await page.get_by_role("button", name="Emoji", exact=True).click()
    await page.get_by_placeholder("Find an emoji").fill("grinning squinting")
    await page.get_by_placeholder("Find an emoji").press("Enter")
    await expect(composer(page)).to_have_value("😆")
    files = [
        {"name": "dot.png", "mimeType": "image/png", "buffer": PNG},
        {"name": "virus.exe", "mimeType": "application/octet-stream", "buffer": b"MZ"},
    ]
    await uploads_while_one_looks_elsewhere(world, pane, session, files)
    listed = page.locator(".talk-files li")
    await expect(listed.filter(has_text="virus.exe")).to_contain_text("This type is not taken")
    await page.locator(".composer input[type=file]").evaluate(TOO_LARGE)
    await expect(listed.filter(has_text="huge.png")).to_contain_text("26.2 MB")
    send = page.get_by_role("button", name="Send", exact=True)
    await expect(send).to_be_disabled()
    await page.get_by_role("button", name="Take virus.exe out").click()
    await page.get_by_role("button", name="Take huge.png out").click()
    await expect(send).to_be_enabled()
    await composer(page).press("Enter")
    mine = bubbles(page).filter(has_text="😆")
    await expect(mine.locator("img")).to_have_js_property("naturalWidth", 1)
    await mine.get_by_role("button", name="dot.png").click()
    await expect(page.get_by_role("dialog", name="dot.png")).to_be_visible()
    await page.keyboard.press("Escape")


async def uploads_while_one_looks_elsewhere(
    world: World, pane: Pane, session: Session, files: list[dict[str, Any]]
) -> None:
    page = pane.page
    listed = page.locator(".talk-files li")
    left = page.locator(".talk-notices")
    await expect(left).to_contain_text(re.compile(r"another 23 hr \d+ min"))
    elsewhere = asyncio.Event()

    async def slow(route: Route) -> None:
        await asyncio.wait_for(elsewhere.wait(), WITHIN_S)
        await route.continue_()

    await page.route("**/api/v1/attachments", slow)
    await page.locator(".composer input[type=file]").set_input_files(files)  # type: ignore[arg-type]
    await expect(listed).to_have_count(2)
    await pane.open(await world.writes("look here", visitor=visitor()))
    elsewhere.set()
    await pane.open(session)
    await expect(listed.filter(has_text="dot.png")).to_have_attribute("data-state", "done")
    await page.unroute("**/api/v1/attachments")


async def test_b08_a_slash_finds_standard_messages_and_the_keyboard_chooses_one(
    world: World, pane: Pane
) -> None:
    head = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"title": "Refund rules", "text": "Dear {{contact.name|customer}}, refunds take 5 days."}
    made = await world.call("POST", "/standard-messages", "lena", body=body, headers=head)
    assert made.status == 201, made.body
    page = await pane.open(await world.writes("my refund?", visitor=visitor()))
    await composer(page).press_sequentially("/refu")
    option = page.get_by_role("option", name=re.compile("Refund rules"))
    await expect(option).to_have_attribute("aria-selected", "true")
    await expect(page.locator(".talk-preview")).to_contain_text("Dear Visitor V")
    await composer(page).press("Enter")
    await expect(composer(page)).to_have_value(re.compile("Dear .+, refunds take 5 days."))
    await composer(page).press("Enter")
    await expect(bubbles(page).filter(has_text="refunds take 5 days.")).to_be_visible()
    kept = await world.get(f"/standard-messages/{made.json['id']}", "lena")
    assert kept["uses"] != {"picked": 0, "sent": 0}
    await page.get_by_role("button", name="Standard messages", exact=True).click()
    await expect(page.get_by_placeholder("Find a standard message")).to_be_focused()
    await page.keyboard.press("Escape")


async def test_b31_a_note_calls_a_colleague_and_keeps_what_it_said_before(
    world: World, pane: Pane
) -> None:
    session = await world.writes("note this", visitor=visitor())
    page = await pane.open(session)
    await page.keyboard.press("n")
    await composer(page).press_sequentially("ask @Bo")
    await page.get_by_role("option", name="Bob").click()
    await expect(composer(page)).to_have_value("ask @Bob ")
    await composer(page).press("Enter")
    note = page.locator(".talk-note", has_text="ask @Bob")
    await note.get_by_role("button", name="What to do with this note").click()
    await page.get_by_role("menuitem", name="Edit").click()
    await page.get_by_role("dialog").get_by_label("Note").fill("ask Bob tomorrow")
    await page.get_by_role("dialog").get_by_role("button", name="Save").click()
    after = page.locator(".talk-note", has_text="ask Bob tomorrow")
    await after.get_by_role("button", name="edited").click()
    await expect(page.get_by_role("dialog").locator("s")).to_have_text("ask @Bob")
    await page.keyboard.press("Escape")
    await page.keyboard.press("r")


async def test_b25_a_message_is_scheduled_from_the_composer(world: World, pane: Pane) -> None:
    session = await world.writes("call me tomorrow", visitor=visitor())
    page = await pane.open(session)
    await composer(page).fill("Good morning!")
    await page.get_by_role("button", name="More ways to send").click()
    await page.get_by_role("menuitem", name="Send later").click()
    dialog = page.get_by_role("dialog", name="Schedule a message")
    await expect(dialog.get_by_label("Message", exact=True)).to_have_value("Good morning!")
    await dialog.get_by_label("Name", exact=True).fill("Morning call")
    await dialog.get_by_label("Only if they have not replied").check()
    await dialog.get_by_role("button", name="Schedule", exact=True).click()
    await page.locator(".talk-scheduled").get_by_text("1 scheduled message").click()
    await page.locator(".talk-scheduled").get_by_role("button", name="Edit").click()
    change = page.get_by_role("dialog", name="Change scheduled message")
    await expect(change.get_by_label("Message", exact=True)).to_have_value("Good morning!")
    await change.get_by_role("button", name="Cancel").click()
    listed = await world.get("/scheduled-messages", "lena", session=session.id)
    [one] = listed["items"]
    assert (one["name"], one["text"], one["only_if_no_reply"]) == (
        "Morning call",
        "Good morning!",
        True,
    )
    await expect(composer(page)).to_have_value("")


async def test_d08_a_closed_window_says_so_and_offers_what_can_be_sent(
    world: World, pane: Pane
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=3)
    template = {
        "name": "hello_again",
        "language": "en",
        "body": "Hi {{1}}, your order {{2}} is here.",
    }
    await give_template(world, template)
    session = await world.writes("old news", visitor=visitor(), channel="whatsapp", at=long_ago)
    page = await pane.open(session)
    await page.reload()
    notice = page.locator(".talk-notice[data-kind=bad]")
    await expect(notice).to_contain_text("The time for answers ended")
    await composer(page).fill("too late")
    await expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    await composer(page).fill("")
    await notice.get_by_role("button", name="Templates").click()
    dialog = page.get_by_role("dialog", name="Templates")
    await dialog.get_by_label("Value of {{1}}").fill("Vera")
    await dialog.get_by_label("Value of {{2}}").fill("4711")
    await expect(dialog.get_by_text("Hi Vera, your order 4711 is here.")).to_be_visible()
    await dialog.get_by_role("button", name="Send", exact=True).click()
    await expect(bubbles(page).filter(has_text="Hi Vera, your order 4711 is here.")).to_be_visible()


async def give_template(world: World, template: dict[str, Any]) -> None:
    account = await world.store.get(ACCOUNTS, world.workspace, world.slug("whatsapp"))
    assert account is not None
    kind = next(f.type for f in msgspec.structs.fields(type(account)) if f.name == "templates")
    account.templates = msgspec.convert([template], kind)
    await world.store.replace(ACCOUNTS, account)


async def test_d12_a_comment_is_answered_publicly_or_once_privately(
    world: World, pane: Pane
) -> None:
    who, key = visitor(), uuid.uuid4().hex
    comment = MessageReceived(
        event_id=key,
        visitor=who,
        occurred_at=datetime.now(UTC),
        message_id=key,
        parts=(TextPart(text="how much is it?"),),
        profile=Profile(name="Connie"),
        thread=Thread(post="p1", comment=key, parent="p1", permalink="https://www.facebook.com/p1"),
    )
    await world.happens(comment, channel="fb_comment")
    listed = await world.get("/sessions", channel="fb_comment", limit=50)
    [row] = [one for one in listed["items"] if one["contact"]["name"] == "Connie"]
    page = await pane.open(row["id"])
    way = page.get_by_role("combobox", name="Reply")
    await way.select_option("private")
    await expect(page.get_by_text("One private reply is possible for a comment.")).to_be_visible()
    await say(page, "I have written to you")
    mine = bubbles(page).filter(has_text="I have written to you")
    await expect(mine).to_contain_text("Private reply")
    await expect(way.locator("option[value=private]")).to_be_disabled()
    await say(page, "see your messages")
    await expect(bubbles(page).filter(has_text="see your messages")).to_contain_text("Public reply")


async def test_a20_an_answer_to_who_left_the_web_chat_may_wait_in_the_plugin_or_go_by_email(
    world: World, pane: Pane
) -> None:
    session = await world.writes("bye", visitor=visitor(), channel="web")
    page = await pane.open(session)
    way = page.get_by_label("If the visitor has left")
    await way.select_option("email")
    await say(page, "by mail, please")
    refused = bubbles(page).filter(has_text="by mail, please")
    await expect(refused).to_contain_text("no email address of this visitor is known")
    await composer(page).fill("and more")
    await refused.get_by_role("button", name="Edit").click()
    await expect(composer(page)).to_have_value("by mail, please\nand more")
    await expect(way).to_have_value("email")
    await way.select_option("plugin")
    await composer(page).press("Enter")
    await expect(refused).to_contain_text("Queued")


async def test_d21_a_failed_message_says_why_and_is_repeated_where_that_is_safe(
    world: World, pane: Pane
) -> None:
    session = await world.writes("answer me", visitor=visitor())
    page = await pane.open(session)
    failures = {"goes nowhere": ("not_sent", True), "who knows": ("blocked", False)}
    for text, (reason, _) in failures.items():
        await say(page, text)
        await expect(bubbles(page).filter(has_text=text)).to_contain_text("Queued")
        timeline = await world.get(f"/sessions/{session.id}/messages")
        [entry] = [one for one in timeline["items"] if one["text"] == text]
        report = SendReported(
            event_id=uuid.uuid4().hex,
            visitor=session.visitor,
            occurred_at=datetime.now(UTC),
            message_id=entry["id"],
            status="failed",
            reason=reason,
            provider_code="X1",
        )
        await world.happens(report)
    first = bubbles(page).filter(has_text="goes nowhere").first
    await expect(first).to_contain_text("The provider could not be reached.")
    await expect(first).to_contain_text("Repeat it once the connection works again.")
    second = bubbles(page).filter(has_text="who knows")
    await expect(second).to_contain_text("X1")
    await expect(second.get_by_role("button", name="Try again")).to_have_count(0)
    await first.get_by_role("button", name="Try again").click()
    await expect(bubbles(page).filter(has_text="Sent again")).to_have_count(1)
    await expect(first.get_by_role("button", name="Try again")).to_have_count(0)


# --- a connection that is away -----------------------------------------------------------------


async def test_b05_three_messages_written_offline_are_sent_once_each_and_in_order(
    world: World, pane: Pane
) -> None:
    session = await world.writes("still there?", visitor=visitor())
    page = await pane.open(session)
    await expect(composer(page)).to_be_visible()
    await pane.context.set_offline(True)
    for text in ("one", "two", "three"):
        await say(page, f"offline {text}")
    await expect(bubbles(page).filter(has_text="Waits for the connection")).to_have_count(3)
    await expect(bubbles(page).filter(has_text="offline")).to_have_count(3)
    await pane.context.set_offline(False)
    for text in ("one", "two", "three"):
        mine = bubbles(page).filter(has_text=f"offline {text}")
        await expect(mine).to_contain_text("Queued")
        await expect(mine).to_have_count(1)
    await pane.context.set_offline(True)
    await say(page, "offline three")
    again = bubbles(page).filter(has_text="offline three")
    await expect(again).to_have_count(2)
    await expect(again.last).to_contain_text("Waits for the connection")
    await pane.context.set_offline(False)
    await expect(again.last).to_contain_text("Queued")
    said = ["offline one", "offline two", "offline three", "offline three"]
    assert await sent(world, session) == said


async def test_b05_a_reload_while_a_message_is_being_sent_loses_nothing_and_doubles_nothing(
    world: World, pane: Pane
) -> None:
    session = await world.writes("reload me", visitor=visitor())
    page = await pane.open(session)
    taken: list[str] = []

    async def swallow(route: Any) -> None:
        await route.fetch()  # the desk has taken it; its answer never comes
        taken.append(route.request.headers["idempotency-key"])

    await page.route("**/api/v1/sessions/*/messages", swallow, times=1)
    await say(page, "sent once")
    await say(page, "sent behind it")
    await composer(page).fill("a draft")
    await expect(page.locator(".talk-message", has_text="sent behind it")).to_be_visible()
    await page.wait_for_function("() => true")
    while not taken:
        await page.wait_for_timeout(20)
    await page.reload()
    await expect(bubbles(page).filter(has_text="sent once")).to_contain_text("Queued")
    await expect(bubbles(page).filter(has_text="sent behind it")).to_contain_text("Queued")
    await expect(composer(page)).to_have_value("a draft")
    await expect(bubbles(page).filter(has_text="sent once")).to_have_count(1)
    assert await sent(world, session) == ["sent once", "sent behind it"]
    await composer(page).fill("")


async def sent(world: World, session: Session) -> list[str]:
    timeline = await world.get(f"/sessions/{session.id}/messages", order="asc")
    return [one["text"] for one in timeline["items"] if one["direction"] == "out"]


# --- hostile words, other roles, everybody -----------------------------------------------------


async def test_hostile_names_texts_and_file_names_are_shown_as_they_are(
    world: World, pane: Pane
) -> None:
    who = visitor()
    for text in HOSTILE:
        key = uuid.uuid4().hex
        event = MessageReceived(
            event_id=key,
            visitor=who,
            occurred_at=datetime.now(UTC),
            message_id=key,
            parts=(
                TextPart(text=text),
                MediaPart(kind="file", media_id=key, name=text),
                SharePart(title=text, url="javascript:alert(1)"),
            ),
            profile=Profile(name=HOSTILE[0]),
        )
        await world.happens(event)
    listed = await world.get("/sessions", limit=100)
    [row] = [one for one in listed["items"] if one["contact"]["name"] == HOSTILE[0]]
    page = await pane.open(row["id"])
    await expect(page.locator(".talk-head h2")).to_have_text(HOSTILE[0])
    await expect(page.locator(".talk-message .talk-text")).to_have_text(list(HOSTILE))
    for place, text in enumerate(HOSTILE):
        await expect(page.locator(".talk-file").nth(place)).to_contain_text(text)
    assert await page.locator(".talk a[href^='javascript:']").count() == 0
    assert await page.locator(".talk iframe, .talk script").count() == 0
    await page.keyboard.press("n")
    await say(page, HOSTILE[0])
    await expect(page.locator(".talk-note .talk-text")).to_have_text(HOSTILE[0])
    await page.keyboard.press("Escape")


async def test_who_may_only_read_sees_no_controls(world: World, browser: Browser) -> None:
    session = await world.writes("read me", visitor=visitor())
    rita = await world.hire(f"rita{uuid.uuid4().hex[:5]}", "read_only", world.workspace)
    context = await browser.new_context(viewport={"width": 1200, "height": 800})
    reader = Pane(world, context, rita)
    await reader.begin()
    try:
        page = await reader.open(session)
        await expect(talk(page).get_by_text("You may read here, and not write.")).to_be_visible()
        assert await page.locator(".talk textarea").count() == 0
        for name in ("End", "Take it"):
            assert await talk(page).get_by_role("button", name=name, exact=True).count() == 0
        await page.keyboard.press("e")
        assert (await world.session(session.id)).list == "bot_hosted"
        await page.get_by_role("button", name="Show the contact").click()
        await expect(page.locator(".inbox-contact .contact-head")).to_be_visible()
        limits = {"channels": ["whatsapp"]}
        answer = await world.call("PATCH", f"/agents/{rita.id}", "olga", body=limits)
        assert answer.status == 200, answer.body
        await expect(page.get_by_text("read me", exact=True)).to_have_count(0)
        await expect(page.locator(".inbox-contact")).to_have_count(0)
    finally:
        await context.close()
    assert reader.faults == []


async def test_logging_out_asks_first_and_leaves_nothing_of_what_was_written(
    world: World, pane: Pane
) -> None:
    page = await pane.open(await world.writes("the last one", visitor=visitor()))

    async def nobody_answers(route: Route) -> None:
        await route.abort()

    await page.route("**/api/v1/sessions/*/messages", nobody_answers)
    await say(page, "never sent")
    waits = bubbles(page).filter(has_text="never sent")
    await expect(waits).to_contain_text("Waits for")
    await page.evaluate(AN_HOUR_AGO)
    await page.reload()
    await expect(waits).to_contain_text("It has waited here since")
    await composer(page).fill("half a thought")
    question = page.get_by_role("dialog", name="Log out and lose what you wrote?")
    for answer in ("Stay", "Log out"):
        await page.locator(".bar .you").click()
        await page.get_by_role("menuitem", name="Log out").click()
        await expect(question).to_contain_text("not sent yet. There is 1 draft.")
        assert await kept(page) >= 2
        await question.get_by_role("button", name=answer).click()
    await expect(page.get_by_label("Password")).to_be_visible()
    assert await kept(page) == 0


async def kept(page: Page) -> int:
    """Return how much of what was written the browser keeps."""
    keys: list[str] = await page.evaluate("Object.keys(localStorage)")
    return sum(key.startswith(("relaydesk:out:", "relaydesk:draft:")) for key in keys)
