"""The inbox as agents see it: the list as it happens, its filters, races, bulk actions, search."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, Route, expect

from libs.common.cli.front import front
from libs.common.documents import AGENTS, Session, Settings
from tests.console.test_alert_page import another_desk
from tests.desk.world import CONNECTED, World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHIN_S = 40.0
AXE = (Path(__file__).parents[1] / "vendor" / "axe.min.js").read_text()
AUDIT = """
async () => (await axe.run(
  {exclude: [[".inbox-talk > .talk"], [".contact-pane"]]}, {resultTypes: ["violations"]}
)).violations.map(
  (one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)
"""
expect.set_options(timeout=WITHIN_S * 1000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A desk for the whole file; what visitors write waits for an agent, except by `hosted`."""
    path = tmp_path_factory.mktemp("inbox") / "store.db"
    shutil.copy(empty_store, path)
    async with open_world(nats_url, f"sqlite:///{path}") as made:
        made.switches[made.workspace] = Settings(auto_hosting=False)
        yield made


Sit = Callable[..., Awaitable[Page]]


@asynccontextmanager
async def seats(world: World, browser: Browser) -> AsyncIterator[Sit]:
    """Yield what seats an agent before a window of their own; no page may have had a fault."""
    faults: list[str] = []
    contexts = []

    def told(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Trusted" in message.text:
            faults.append(message.text)

    async def sit(who: str, path: str, *, base: str = "", **more: Any) -> Page:
        agent = await world.store.get(AGENTS, world.workspace, f"agt-{who}")
        assert agent is not None
        until = datetime.now(UTC) + timedelta(days=1)
        text = await world.token(agent, kind="session", expires_at=until)
        view = {"width": 1440, "height": 1800}
        context = await browser.new_context(**{"viewport": view, **more})
        contexts.append(context)
        url = base or world.base
        await context.add_cookies([{"name": "relaydesk", "value": text, "url": url}])
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", told)
        await page.goto(f"{url}/#{path}")
        return page

    try:
        yield sit
    finally:
        for context in contexts:
            await context.close()
    assert faults == []


@pytest_asyncio.fixture(loop_scope="session")
async def sit(world: World, browser: Browser) -> AsyncIterator[Sit]:
    async with seats(world, browser) as made:
        yield made


def unique(name: str = "V") -> str:
    return f"{name}-{uuid.uuid4().hex[:6]}"


async def hosted(world: World, text: str, **more: Any) -> Session:
    """Let a visitor write whose session begins with the bot."""
    world.switches[world.workspace] = Settings()
    try:
        return await world.writes(text, visitor=unique("B"), **more)
    finally:
        world.switches[world.workspace] = Settings(auto_hosting=False)


def row(page: Page, session: Session) -> Locator:
    return page.locator(f'li[data-session="{session.id}"]')


async def shown(page: Page) -> set[str]:
    """Return the ids of the rows in sight."""
    found = await page.locator("li[data-session]").evaluate_all(
        "all => all.map((one) => one.dataset.session)"
    )
    return set(found)


async def until(found: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    seen = None
    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S):
            while (seen := await found()) != wanted:  # noqa: ASYNC110 (it happens elsewhere)
                await asyncio.sleep(0.05)
    assert seen == wanted


async def test_a06_two_agents_open_one_session_at_once_and_one_is_told_who_has_it(
    sit: Sit, world: World
) -> None:
    session = await world.writes("Anybody?", visitor=unique())
    pages = [await sit(who, "/?list=unassigned") for who in ("amy", "bob")]
    asking: list[Route] = []
    both = asyncio.Event()

    async def hold(route: Route) -> None:
        asking.append(route)
        if len(asking) == len(pages):
            both.set()
        await both.wait()
        await route.continue_()

    for page in pages:
        await page.route("**/open", hold)
        await expect(row(page, session)).to_be_visible()
    await asyncio.gather(*(row(page, session).get_by_role("link").click() for page in pages))
    words = [page.locator(".toast").filter(has_text="Taken by") for page in pages]

    async def told() -> int:
        return sum([await one.count() for one in words])

    await until(told, 1)
    kept = await world.session(session.id)
    winner, loser = (0, 1) if kept.owner == "agt-amy" else (1, 0)
    name = ("Amy", "Bob")[winner]
    await expect(words[loser]).to_contain_text(f"Taken by {name}. You can read along.")
    await expect(row(pages[loser], session)).to_contain_text(f"Taken by {name}")
    await expect(row(pages[winner], session)).to_contain_text("Yours now")
    assert kept.assignee_ids == (f"agt-{name.lower()}",)


async def test_a03_a_session_with_the_bot_or_of_a_colleague_is_read_without_being_taken(
    sit: Sit, world: World
) -> None:
    machine = await hosted(world, "Bot, are you there?")
    theirs = await world.writes("Bob?", visitor=unique())
    assert (await world.do("claim", theirs.id, "bob")).status == 200
    page = await sit("amy", "/?show=all")
    for session in (machine, theirs):
        await expect(row(page, session).locator(".badge")).to_be_visible()
        await row(page, session).get_by_role("link").click()
        await page.wait_for_url(f"**/sessions/{session.id}?show=all")
        await expect(row(page, session).locator(".badge")).to_have_count(0)
        kept = await world.session(session.id)
        assert (kept.list, kept.owner) == (
            ("bot_hosted", None) if session is machine else ("assigned", "agt-bob")
        )
        assert kept.reads == {"agt-amy": 1}


FILTERS = {
    "B21 one account": {"account": "{line}"},
    "B22 with the bot": {"with": "bot"},
    "B22 with agents": {"with": "agent"},
    "B24 mine": {"assignee": "me"},
    "B24 new and others": {"assignee": "new,others"},
    "B17 all three": {"channel": "line,web", "with": "agent", "assignee": "me,new"},
    "a tag": {"tag": "vip"},
    "words": {"q": "parcel"},
}


async def test_b17_b21_b22_b24_filters_show_what_the_api_answers_with_its_counts(
    sit: Sit, world: World
) -> None:
    parcel = await world.writes("Where is my parcel?", visitor=unique(), channel="line")
    assert (await world.do("claim", parcel.id, "amy")).status == 200
    web = await world.writes("A question", visitor=unique(), channel="web")
    tagged = await world.call("PUT", f"/sessions/{web.id}/tags", "amy", body={"add": ["vip"]})
    assert tagged.status == 200, tagged.body
    await hosted(world, "Hello machine", channel="web")
    page = await sit("amy", "/?show=all")
    await expect(row(page, web)).to_contain_text("vip")
    for name, given in FILTERS.items():
        query = {key: value.format(line=world.slug("line")) for key, value in given.items()}
        pairs = "&".join(f"{key}={value}" for key, value in query.items())
        await page.evaluate("(to) => (location.hash = to)", f"#/?{pairs}")
        answer = await world.get("/sessions", limit=50, **query)
        wanted = {one["id"] for one in answer["items"]}
        assert wanted, name
        await until(lambda: shown(page), wanted)
        lists = answer["counts"]["lists"]
        tabs = page.get_by_role("group", name="Lists").get_by_role("button")
        for at, list_ in enumerate(("bot_hosted", "unassigned", "assigned", "ended"), 1):
            await expect(tabs.nth(at).locator(".tally")).to_have_text(str(lists[list_]))
    await page.go_back()
    await expect(page.get_by_role("button", name="Tags")).to_have_text("vip")
    await page.reload()
    await expect(page.get_by_role("button", name="Tags")).to_have_text("vip")
    await until(lambda: shown(page), {web.id})


async def test_b07_b20_every_account_shows_what_is_unread_and_a_click_all_of_its_sessions(
    sit: Sit, world: World
) -> None:
    session = await world.writes("Through WeChat", visitor=unique(), channel="wechat")
    await world.writes("By phone", visitor=unique(), channel="whatsapp")
    page = await sit("amy", "/?show=all")
    accounts = page.get_by_role("group", name="Accounts").get_by_role("button")
    await expect(accounts).to_have_count(6)
    unread = await world.get("/unread")
    icon = page.get_by_role("button", name="Our wechat (WeChat): 1 unread message")
    assert unread["accounts"][world.slug("wechat")] == 1
    badge = page.get_by_role("link", name="Inbox").locator(".badge")
    await expect(badge).to_have_text(str(unread["total"]))
    await icon.click()
    await until(lambda: shown(page), {session.id})
    await row(page, session).get_by_role("link").click()
    await expect(badge).to_have_text(str(unread["total"] - 1))
    await expect(page.get_by_role("button", name="Our wechat (WeChat)", exact=True)).to_be_visible()


async def _see_what_left_before_the_stream_began(page: Page, world: World) -> None:
    """Log in while a session is put aside between the page's first answer and its stream."""
    left = await world.writes("Here and gone", visitor=unique())
    await expect(row(page, left)).to_be_visible()

    async def late(route: Route) -> None:
        answer = await route.fetch()
        until_ = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        assert (await world.do("snooze", left.id, "amy", {"until": until_})).status == 200
        await route.fulfill(response=answer)

    await page.route("**/inbox?limit=50", late)
    await page.goto("about:blank")
    await page.goto(f"{world.base}/")
    await page.wait_for_url("**/#/?with=agent")
    await expect(row(page, left)).to_contain_text("Snoozed")
    await expect(row(page, left)).to_have_count(0)
    await page.unroute("**/inbox?limit=50")


async def test_b23_a_login_shows_conversations_with_agents_until_the_agent_chooses(
    sit: Sit, world: World
) -> None:
    await world.hire("nora", "agent", world.workspace)
    page = await sit("nora", "/?show=all")
    await _see_what_left_before_the_stream_began(page, world)
    await page.get_by_role("button", name="Shown: Chat with agent").click()
    await page.get_by_role("menuitemcheckbox", name="Assigned to me").click()
    await page.wait_for_url("**/#/?assignee=me")
    await expect(page.get_by_text("Nothing here right now")).to_be_visible()
    menu = page.get_by_role("button", name="What to do with these filters")
    await menu.click()
    await page.get_by_role("menuitem", name="Keep these filters").click()
    await page.get_by_label("Name").fill("Only mine")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Shown: Only mine")).to_be_visible()
    await menu.click()
    await page.get_by_role("menuitem", name="Show this at login").click()
    await expect(page.get_by_text("Your next login shows this.")).to_be_visible()
    await page.goto("about:blank")
    await page.goto(f"{world.base}/")
    await page.wait_for_url("**/#/?assignee=me")


async def test_new_rows_wait_while_the_pointer_is_over_the_list_and_counts_go_on(
    sit: Sit, world: World
) -> None:
    await world.writes("First", visitor=unique(), channel="messenger")
    slug = world.slug("messenger")
    page = await sit("amy", f"/?account={slug}")
    rows = page.locator("li[data-session]")
    await expect(rows).to_have_count(1)
    await rows.first.hover()
    newer = await world.writes("Second", visitor=unique(), channel="messenger")
    pill = page.get_by_role("button", name="1 new")
    await expect(pill).to_be_visible()
    assert newer.id not in await shown(page)
    tabs = page.get_by_role("group", name="Lists").get_by_role("button")
    await expect(tabs.nth(2)).to_have_text("Unassigned 2")
    await pill.click()
    await expect(rows.first).to_have_attribute("data-session", newer.id)
    await expect(row(page, newer)).to_contain_text("Second")


async def test_b11_b14_b15_rows_show_the_bot_who_has_it_and_how_long_the_customer_waits(
    sit: Sit, world: World
) -> None:
    machine = await hosted(world, "To the bot")
    theirs = await world.writes("To a person", visitor=unique(), at=datetime.now(UTC))
    body = {"assignees": ["agt-bob", "agt-amy"]}
    assert (await world.do("assignees", theirs.id, "amy", body)).status == 200
    page = await sit("amy", "/?show=all")
    await expect(row(page, machine).get_by_label("Bot on")).to_be_visible()
    await expect(row(page, theirs).get_by_label("Bot off")).to_be_visible()
    await expect(row(page, theirs).locator(".assignees")).to_have_attribute("title", "Bob, You")
    await expect(row(page, theirs).locator(".row-words")).to_have_text("To a person")
    assert (await world.do("bot", machine.id, "amy", {"on": False})).status == 200
    await expect(row(page, machine).get_by_label("Bot off")).to_be_visible()


async def test_a21_many_are_ended_after_one_question_and_each_has_its_result(
    sit: Sit, world: World
) -> None:
    mine = [await world.writes(f"Bulk {n}", visitor=unique(), channel="fb_comment") for n in "12"]
    theirs = await world.writes("Bulk 3", visitor=unique(), channel="fb_comment")
    answer = await world.call("PATCH", "/settings", "olga", body={"end_session_confirm": True})
    assert answer.status == 200, answer.body
    page = await sit("amy", f"/?account={world.slug('fb_comment')}")
    await expect(row(page, theirs)).to_be_visible()
    await page.keyboard.press("j")
    for _ in range(2):
        await page.keyboard.press("x")
        await page.keyboard.press("j")
    await page.keyboard.press("x")
    await expect(page.get_by_role("toolbar", name="3 selected")).to_be_visible()
    assert (await world.do("claim", theirs.id, "bob")).status == 200
    await page.get_by_role("button", name="More", exact=True).click()
    await page.get_by_role("menuitem", name="Take", exact=True).click()
    results = page.get_by_role("dialog", name="2 of 3 done")
    await expect(results.get_by_role("listitem")).to_have_count(3)
    await expect(results.locator(".failed")).to_contain_text("Bob")
    await results.get_by_role("button", name="Close").last.click()
    for one in mine:
        assert (await world.session(one.id)).owner == "agt-amy"
        await row(page, one).get_by_role("checkbox").check(force=True)
    await row(page, theirs).get_by_role("checkbox").uncheck(force=True)
    await page.get_by_role("button", name="End", exact=True).click()
    question = page.get_by_role("dialog", name="End 2 conversations?")
    await question.get_by_role("button", name="End", exact=True).click()
    await expect(page.get_by_text("Done for 2 conversations.")).to_be_visible()
    assert {(await world.session(one.id)).list for one in mine} == {"ended"}
    await expect(row(page, mine[0])).to_contain_text("Ended")


async def test_d23_the_palette_finds_people_and_words_and_goes_to_the_place(
    sit: Sit, world: World
) -> None:
    word = unique("zebra").replace("-", "")
    session = await world.writes(f"My {word} is broken", visitor=word)
    page = await sit("amy", "/contacts")
    await expect(page.get_by_role("heading", name="Contacts")).to_be_visible()
    await page.keyboard.press("Control+k")
    field = page.get_by_role("combobox", name="A name, a number")
    await field.fill(word)
    messages = page.get_by_role("group", name="Messages").get_by_role("option")
    await expect(messages).to_have_count(1)
    await expect(messages.locator("mark")).to_have_text(word)
    await expect(page.get_by_role("group", name="Contacts").get_by_role("option")).to_have_count(1)
    await messages.click()
    await page.wait_for_url(f"**/sessions/{session.id}?at=*")
    await expect(page.get_by_text(f"My {word} is broken").first).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await page.keyboard.type(word)
    await until(lambda: shown(page), {session.id})


async def test_no_row_is_lost_while_the_desk_is_away(sit: Sit, world: World) -> None:
    before = await world.writes("Before", visitor=unique(), channel="web")
    desks: dict[str, str] = {}
    async with front("127.0.0.1", 0, lambda: desks) as port:
        base = f"http://127.0.0.1:{port}"
        async with another_desk(world) as desks["desk"]:
            page = await sit("amy", "/?channel=web&list=unassigned", base=base)
            await expect(row(page, before)).to_be_visible()
        del desks["desk"]
        await page.wait_for_event("response", lambda response: response.status == 503)
        await expect(page.locator(".connection")).to_contain_text("The connection is lost")
        during = await world.writes("During", visitor=unique(), channel="web")
        assert (await world.do("claim", before.id, "bob")).status == 200
        async with another_desk(world) as desks["desk"]:
            await expect(row(page, during)).to_be_visible()
            await expect(row(page, before)).to_have_count(0)
            await expect(page.locator(".connection")).to_be_hidden()
            await page.close()


ROOMS = {
    "wide and light": (1440, "light"),
    "middle and dark": (1100, "dark"),
    "narrow": (400, "dark"),
}


async def test_the_inbox_is_for_everybody_at_every_width(sit: Sit, world: World) -> None:
    session = await world.writes("Wide or narrow?", visitor=unique())
    for width, scheme in ROOMS.values():
        view = {"width": width, "height": 900}
        page = await sit("amy", "/?show=all", viewport=view, color_scheme=scheme)
        called = await row(page, session).locator(".row-name").text_content() or ""
        await row(page, session).get_by_role("link").click()
        await expect(page.get_by_text("Wide or narrow?").last).to_be_visible()
        assert called.startswith("Visitor ")  # one name everywhere: it left none
        await expect(page.locator(".talk-who h2")).to_have_text(called)
        await expect(page.locator(".talk-message .talk-name").first).to_have_text(called)
        contact = page.get_by_role("complementary", name="Contact")
        if width == 1440:
            await expect(contact.locator(".contact-who")).to_contain_text(called)
        await expect(contact).to_have_count(1 if width == 1440 else 0)
        if width == 400:
            await expect(row(page, session)).to_be_hidden()
            await page.get_by_role("link", name="Conversations").click()
            await expect(row(page, session)).to_be_visible()
        else:
            toggle = page.get_by_role("button", name="the contact", exact=False)
            await toggle.click()
            await expect(contact).to_have_count(0 if width == 1440 else 1)
        await page.evaluate(f"(() => {{ {AXE} }})()")
        assert await page.evaluate(AUDIT) == [], (width, scheme)


async def test_b09_b18_b19_a_first_message_on_any_channel_is_with_the_bot(
    sit: Sit, world: World
) -> None:
    first = [await hosted(world, "Is anybody there?", channel=channel) for channel in CONNECTED]
    page = await sit("amy", "/?list=bot_hosted")
    for session in first:
        await expect(row(page, session)).to_contain_text("Is anybody there?")
        await expect(row(page, session).locator("[data-channel]").first).to_have_attribute(
            "data-channel", session.channel
        )


async def test_a13_who_writes_after_an_end_stands_in_the_list_anew(sit: Sit, world: World) -> None:
    who = unique()
    before = await world.writes("One thing", visitor=who)
    page = await sit("amy", "/?show=all")
    await expect(row(page, before)).to_be_visible()
    at_once = {"end_session_confirm": False}
    assert (await world.call("PATCH", "/settings", "olga", body=at_once)).status == 200
    assert (await world.do("end", before.id, "lena", {})).status == 200
    after = await world.writes("And another", visitor=who)
    assert (after.id != before.id, after.contact) == (True, before.contact)
    await expect(row(page, after)).to_contain_text("And another")
