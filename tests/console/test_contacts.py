"""Contacts as people see them: facts, tags, notes, schedules, merges, imports and exports."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from libs.common.documents import AGENTS
from tests.desk.listening import raised
from tests.desk.test_contact_import import as_xlsx, at_work
from tests.desk.test_tags import a_tag
from tests.desk.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")

expect.set_options(timeout=40_000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A desk for the whole file, whose jobs are done; each test has contacts of its own."""
    path = tmp_path_factory.mktemp("contacts") / "store.db"
    shutil.copy(empty_store, path)
    async with open_world(nats_url, f"sqlite:///{path}") as made, at_work(made):
        yield made


class Seat:
    """One browser window, before which one after the other sits."""

    def __init__(self, world: World, context: BrowserContext, page: Page) -> None:
        self.world = world
        self.context = context
        self.page = page
        self.faults: list[str] = []
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text or "Trusted" in message.text:
            self.faults.append(message.text)

    async def sit(self, who: str, path: str) -> Page:
        """Log *who* in and open the view at *path*."""
        agent = await self.world.store.get(AGENTS, self.world.workspace, f"agt-{who}")
        assert agent is not None
        until = datetime.now(UTC) + timedelta(days=1)
        text = await self.world.token(agent, kind="session", expires_at=until)
        await self.context.clear_cookies()
        await self.context.add_cookies(
            [{"name": "relaydesk", "value": text, "url": self.world.base}]
        )
        await self.page.goto("about:blank")
        await self.page.goto(f"{self.world.base}/#{path}")
        return self.page


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def window(world: World, browser: Browser) -> AsyncIterator[Seat]:
    context = await browser.new_context(base_url=world.base, accept_downloads=True)
    yield Seat(world, context, await context.new_page())
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def seat(window: Seat) -> AsyncIterator[Seat]:
    """The window, whose page is without a fault at the end."""
    yield window
    faults, window.faults = window.faults, []
    assert faults == []


async def a_contact(world: World, **facts: Any) -> str:
    """Make a contact by hand; return its id."""
    answer = await world.call("POST", "/contacts", "amy", body={"name": "Eve Example", **facts})
    assert answer.status in {200, 201}, answer.body
    return str(answer.json["id"])


def unique(name: str) -> str:
    return f"{name} {uuid.uuid4().hex[:6]}"


def section(page: Page, name: str) -> Locator:
    return page.locator(f'[data-section="{name}"]')


async def edit(page: Page, label: str, value: str) -> None:
    """Open a fact, and type another value; nothing is saved yet."""
    await page.get_by_role("button", name=re.compile(f"^(Change|Add) {label}")).click()
    await page.get_by_label(label, exact=True).fill(value)


async def patched(world: World, contact: str, **facts: Any) -> None:
    answer = await world.call("PATCH", f"/contacts/{contact}", "bob", body=facts)
    assert answer.status == 200, answer.body


async def test_b27_two_editors_of_one_fact_see_both_values_and_one_chooses(
    seat: Seat, world: World
) -> None:
    contact = await a_contact(world, email="old@example.org")
    page = await seat.sit("amy", f"/contacts/{contact}")
    await edit(page, "Email", "mine@example.org")
    await patched(world, contact, email="theirs@example.org")
    await page.keyboard.press("Enter")
    clash = page.get_by_role("alertdialog")
    await expect(clash).to_contain_text("theirs@example.org")
    await expect(clash).to_contain_text("mine@example.org")
    assert (await world.get(f"/contacts/{contact}"))["email"] == "theirs@example.org"
    await clash.get_by_role("button", name="Keep theirs").click()
    email = page.get_by_role("button", name="Change Email:")
    await expect(email).to_have_text("theirs@example.org")
    await edit(page, "Email", "mine@example.org")
    await patched(world, contact, email="again@example.org")
    await page.keyboard.press("Enter")
    await expect(clash).to_contain_text("again@example.org")
    await clash.get_by_role("button", name="Use mine").click()
    await expect(email).to_have_text("mine@example.org")
    assert (await world.get(f"/contacts/{contact}"))["email"] == "mine@example.org"


async def test_b27_facts_are_edited_in_place_by_keyboard_and_others_changes_stay(
    seat: Seat, world: World
) -> None:
    field = {"name": "plan", "label": "Contract", "type": "choice", "choices": ["Gold", "Tin"]}
    assert (await world.call("POST", "/contact-fields", "lena", body=field)).status == 201
    contact = await a_contact(world)
    page = await seat.sit("amy", f"/contacts/{contact}")
    await page.get_by_role("button", name="Add Phone").press("Enter")
    await page.get_by_label("Phone", exact=True).fill("1")
    await page.keyboard.press("Enter")
    await expect(section(page, "facts").get_by_role("alert")).to_contain_text("5 digits")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Add Phone")).to_be_focused()
    await edit(page, "Phone", "+49 151 12345678")
    await patched(world, contact, zone="Asia/Taipei")  # another fact: nothing to choose
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Change Phone:")).to_have_text("+4915112345678")
    await expect(page.get_by_role("button", name="Change Time zone:")).to_have_text("Asia/Taipei")
    await page.get_by_role("button", name="Add Contract").click()
    await page.get_by_label("Contract", exact=True).select_option("Gold")
    await page.get_by_label("Contract", exact=True).press("Enter")
    await expect(page.get_by_role("button", name="Change Contract:")).to_have_text("Gold")
    await edit(page, "Birthday", "1990-05-17")
    await page.keyboard.press("Enter")
    await expect(section(page, "facts")).to_contain_text("years old")
    found = await world.get(f"/contacts/{contact}")
    assert (found["fields"], found["birthday"], found["zone"]) == (
        {"plan": "Gold"},
        "1990-05-17",
        "Asia/Taipei",
    )
    page = await seat.sit("rita", f"/contacts/{contact}")
    await expect(section(page, "facts")).to_contain_text("+4915112345678")
    await expect(page.get_by_role("button", name=re.compile("^(Change|Add) "))).to_have_count(0)


async def test_b29_b30_tags_are_given_made_taken_and_show_their_new_names(
    seat: Seat, world: World
) -> None:
    name, other = unique("Wholesale"), unique("Fair")
    tag = await a_tag(world, name)
    contact = await a_contact(world)
    page = await seat.sit("amy", f"/contacts/{contact}")
    tags = section(page, "tags")
    picker = page.get_by_role("combobox", name="Find or make a tag")
    await tags.get_by_role("button", name="Add tag").click()
    await picker.fill(name)
    await expect(page.get_by_role("option")).to_have_text([name])
    await picker.press("Enter")
    await expect(tags.get_by_role("listitem").filter(has_text=name)).to_be_visible()
    await tags.get_by_role("button", name="Add tag").click()
    await picker.fill(name)  # it is given already
    await expect(tags).to_contain_text("No such tag")
    await picker.fill(other)
    await page.get_by_role("option", name=f"Make “{other}”").click()
    await expect(tags.get_by_role("listitem").filter(has_text=other)).to_be_visible()
    await tags.get_by_role("button", name=f"Remove tag {other}").click()
    await expect(tags.get_by_role("listitem").filter(has_text=other)).to_have_count(0)
    await page.get_by_role("button", name="Undo").click()
    await expect(tags.get_by_role("listitem").filter(has_text=other)).to_be_visible()
    renamed = unique("Trade")
    headers = {"If-Match": (await world.call("GET", f"/tags/{tag}", "lena")).headers["ETag"]}
    answer = await world.call(
        "PATCH", f"/tags/{tag}", "lena", body={"name": renamed}, headers=headers
    )
    assert answer.status == 200
    page = await seat.sit("amy", f"/contacts?tag={tag}")
    row = page.get_by_role("row").filter(has_text="Eve Example")
    await expect(row).to_contain_text(renamed)
    await expect(page.get_by_text("1 contact", exact=True)).to_be_visible()


async def test_b31_a_note_is_kept_changed_with_its_history_and_deleted(
    seat: Seat, world: World
) -> None:
    contact = await a_contact(world)
    path = f"/contacts/{contact}/notes"
    theirs = await world.call("POST", path, "bob", body={"text": "Bob's own word"})
    assert theirs.status == 201
    page = await seat.sit("amy", f"/contacts/{contact}")
    notes = section(page, "notes")
    await notes.get_by_label("New note").fill("Likes blue lamps")
    await notes.get_by_label("New note").press("Control+Enter")
    mine = notes.get_by_role("listitem").filter(has_text="Likes blue lamps")
    await expect(mine).to_contain_text("Amy")
    await expect(notes.get_by_label("New note")).to_have_value("")
    foreign = notes.get_by_role("listitem").filter(has_text="Bob's own word")
    await expect(foreign.get_by_role("button")).to_have_count(0)
    await mine.get_by_role("button", name="Edit note").click()
    await notes.get_by_role("textbox", name="Edit note").fill("Likes green lamps")
    await notes.get_by_role("button", name="Save").last.click()
    changed = notes.get_by_role("listitem").filter(has_text="Likes green lamps")
    await changed.get_by_role("button", name="Edited").click()
    await expect(changed).to_contain_text("Likes blue lamps")
    await changed.get_by_role("button", name="Delete note").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    await expect(changed).to_have_count(0)
    assert [one["text"] for one in (await world.get(path))["items"]] == ["Bob's own word"]


async def test_b01_the_contact_shows_its_channels_sessions_and_all_that_was_said(
    seat: Seat, world: World
) -> None:
    session = await world.writes("hello", visitor=uuid.uuid4().hex[:8])
    page = await seat.sit("amy", f"/contacts/{session.contact}")
    await expect(page.locator(".all-said")).to_contain_text("hello")
    await expect(section(page, "channels")).to_contain_text("LINE")
    await expect(section(page, "sessions")).to_contain_text("With the bot")
    assert (await world.do("end", session.id, body={})).status == 200
    await page.reload()
    await expect(section(page, "sessions")).to_contain_text("by an agent")
    pane = (await seat.sit("amy", f"/sessions/{session.id}")).locator(".contact-pane")
    await expect(pane).to_contain_text(f"Visitor {session.visitor}")
    await expect(section(seat.page, "notes")).to_be_visible()


async def scheduled(world: World, contact: str) -> Any:
    [made] = (await world.get("/scheduled-messages", contact=contact))["items"]
    return made


async def acted(page: Page, row: Locator, act: str) -> None:
    await row.get_by_role("button", name="Actions for Ask again").click()
    await page.get_by_role("menuitem", name=act).click()


async def test_b25_b26_a_message_is_scheduled_changed_and_cancelled_from_the_contact(
    seat: Seat, world: World
) -> None:
    contact = (await world.writes("hello", visitor=uuid.uuid4().hex[:8])).contact
    page = await seat.sit("amy", f"/contacts/{contact}")
    later = section(page, "later")
    await later.get_by_role("button", name="Schedule").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name", exact=True).fill("Ask again")
    await dialog.get_by_label("Message", exact=True).fill("Hi ")
    await dialog.get_by_role("button", name="contact's name").click()
    await dialog.get_by_label("When").fill("2020-01-01T09:00")
    await dialog.get_by_role("button", name="Schedule").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()  # that has passed
    await dialog.get_by_role("button", name="In a week").click()
    await dialog.get_by_label("Only if they have not replied").check()
    await dialog.get_by_role("button", name="Schedule").click()
    await expect(dialog).to_have_count(0)
    row = later.get_by_role("listitem").filter(has_text="Ask again")
    await expect(row).to_contain_text("Waits")
    made = await scheduled(world, contact)
    assert (made["text"], made["only_if_no_reply"]) == ("Hi {{contact.name}}", True)
    await acted(page, row, "Edit")
    await dialog.get_by_label("Message", exact=True).fill("Did it arrive?")
    await dialog.get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("Did it arrive?")
    await acted(page, row, "Cancel message")
    await dialog.get_by_role("button", name="Cancel message").click()
    await later.get_by_text("1 earlier").click()
    await expect(row).to_contain_text("Cancelled")
    assert (await scheduled(world, contact))["state"] == "cancelled"


async def test_a_duplicate_is_compared_merged_and_taken_apart_again(
    seat: Seat, world: World
) -> None:
    email = f"{uuid.uuid4().hex[:8]}@example.org"
    one = await a_contact(world, name="Ada Byron", email=email, zone="Europe/London")
    other = await a_contact(world, name="A. Lovelace", email=email, gender="female")
    page = await seat.sit("amy", f"/contacts/{one}")
    twins = page.get_by_role("region", name="May be the same person")
    await twins.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog")
    wins = dialog.locator("td.wins")
    await expect(wins).to_contain_text(["Ada Byron", email, "Female", "Europe/London"])
    await dialog.get_by_role("button", name="Swap").click()
    await expect(wins).to_contain_text(["A. Lovelace", email, "Female", "Europe/London"])
    await dialog.get_by_role("button", name="Swap").click()
    await dialog.get_by_role("button", name="Merge").click()
    await expect(page.get_by_role("button", name="Change Gender:")).to_have_text("Female")
    merged = section(page, "merged")
    await expect(merged).to_contain_text("A. Lovelace")
    assert (await world.get(f"/contacts/{other}"))["merged_into"] == one
    await merged.get_by_role("button", name="Undo").click()
    await dialog.get_by_role("button", name="Undo the merge").click()
    await expect(merged).to_have_count(0)
    await expect(page.get_by_role("button", name="Add Gender")).to_be_visible()
    assert (await world.get(f"/contacts/{other}"))["merged_into"] is None


ROWS = (
    ("name", "email", "phone"),
    ("Bo Good", "bo-import@example.org", "+49 151 0000001"),
    ("Cy Bad", "no address", ""),
    ("Di Good", "di-import@example.org", "+49 151 0000002"),
    ("Ed Bad", "ed-import@example.org", "1"),
)


async def test_b28_a_workbook_is_tried_imported_and_its_refused_rows_are_told(
    seat: Seat, world: World, tmp_path: Path
) -> None:
    page = await seat.sit("lena", "/contacts/import")
    await expect(page.get_by_role("button", name="Try it")).to_be_disabled()
    book = tmp_path / "people.xlsx"
    book.write_bytes(await as_xlsx(ROWS))
    await page.locator("input[type=file]").set_input_files(book)
    await page.get_by_role("button", name="Try it").click()
    refused = page.get_by_role("region", name="Rows that were refused").get_by_role("row")
    await expect(refused).to_have_count(3)
    await expect(refused.nth(1)).to_contain_text(re.compile("3.*email.*Cy Bad", re.DOTALL))
    await expect(refused.nth(2)).to_contain_text(re.compile("5.*phone.*Ed Bad", re.DOTALL))
    await expect(page.get_by_text("would be created").first).to_be_visible()
    assert (await world.get("/contacts", email="bo-import@example.org"))["items"] == []
    await page.get_by_role("button", name="Import", exact=True).click()
    progress = page.get_by_role("group", name="Import of contacts")
    words = ["created", "updated", "unchanged", "failed"]
    await expect(progress.locator("dt")).to_have_text(words)  # no longer what the try told
    await expect(progress).to_contain_text("Done")
    await expect(progress.locator("dd")).to_have_text(["2", "0", "0", "2"])
    async with page.expect_download() as coming:
        await progress.get_by_role("link", name="Refused rows, CSV").click()
    told = Path(await (await coming.value).path()).read_text("utf-8-sig")
    assert "Cy Bad" in told
    assert "Bo Good" not in told
    [job] = [one for one in (await world.get("/jobs", "lena"))["items"] if not one["dry_run"]]
    assert [job["counts"][name] for name in ("created", "failed")] == [2, 2]


async def test_b38_who_imports_is_told_wherever_they_are_how_it_ended(
    seat: Seat, world: World
) -> None:
    page = await seat.sit("lena", "/contacts")
    await expect(page.get_by_role("heading", name="Contacts")).to_be_visible()
    counts = {"created": 2, "updated": 1, "failed": 3}
    await raised(world, "lena", "", trigger="import.finished", counts=counts, url="/#/imports")
    toast = page.locator(".toast")
    await expect(toast).to_contain_text("Import finished: 2 created, 1 updated, 3 failed.")
    await toast.get_by_role("button", name="See it").click()
    await expect(page.get_by_role("heading", name="Imports and exports")).to_be_visible()
    template = page.get_by_role("link", name="Template")
    assert await template.get_attribute("href") == "/api/v1/contacts/import/template.xlsx"


async def test_b28_contacts_are_found_tagged_together_and_exported_by_filter(
    seat: Seat, world: World
) -> None:
    mark = uuid.uuid4().hex[:8]
    for name in ("Uma", "Vic", "Wes"):
        await a_contact(world, name=f"{name} {mark}")
    tag = await a_tag(world, unique("Fair"))
    page = await seat.sit("amy", "/contacts")
    await page.keyboard.press("/")
    await page.get_by_role("searchbox").fill(mark)
    rows = page.get_by_role("row").filter(has_text=mark)
    await expect(page.get_by_text("3 contacts", exact=True)).to_be_visible()
    await page.get_by_label(f"Choose Uma {mark}").check()
    await page.get_by_label(f"Choose Wes {mark}").check()
    bulk = page.get_by_role("region", name="Chosen contacts")
    await expect(bulk).to_contain_text("2 chosen")
    await bulk.get_by_role("button", name="Add tag").click()
    await page.get_by_role("combobox", name="Find or make a tag").fill("Fair")
    await page.get_by_role("combobox", name="Find or make a tag").press("Enter")
    await expect(rows.filter(has=page.locator(".tag-chip"))).to_have_count(2)
    await page.get_by_role("button", name="Columns").click()
    await page.get_by_role("menuitemcheckbox", name="Time zone").click()
    await expect(page.get_by_role("columnheader", name="Time zone")).to_be_visible()
    tagged = (await world.get("/contacts", q=mark, tag=tag))["items"]
    assert sorted(one["name"] for one in tagged) in ([], [f"Uma {mark}", f"Wes {mark}"])
    await page.get_by_role("button", name="Export").click()
    await page.get_by_role("menuitem", name="As CSV").click()
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download file").click()
    told = Path(await (await coming.value).path()).read_text("utf-8-sig")
    assert (told.count(mark), told.count("Bo Good")) == (3, 0)
    await page.get_by_role("searchbox").fill("nobody is called so")
    await expect(page.get_by_text("Nobody fits these filters")).to_be_visible()


async def test_d15_a_contact_is_erased_once_its_name_is_typed(seat: Seat, world: World) -> None:
    name = unique("Gone")
    contact = await a_contact(world, name=name)
    page = await seat.sit("amy", f"/contacts/{contact}")
    await page.get_by_role("button", name="Contact actions").click()
    await expect(page.get_by_role("menuitem", name="Export all of it")).to_be_visible()
    await expect(page.get_by_role("menuitem", name="Erase for good")).to_have_count(0)
    page = await seat.sit("adam", f"/contacts/{contact}")
    await page.get_by_role("button", name="Contact actions").click()
    await page.get_by_role("menuitem", name="Erase for good").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"Erase {name} for good? With them go 0 sessions")
    do = dialog.get_by_role("button", name="Erase for good")
    await expect(do).to_be_disabled()
    await dialog.get_by_label("to confirm").fill(name)
    await do.click()
    await expect(dialog).to_contain_text("The contact is erased.")
    await dialog.get_by_role("button", name="Close").last.click()
    await expect(page.get_by_role("heading", name="Contacts")).to_be_visible()
    assert (await world.call("GET", f"/contacts/{contact}", "adam")).status == 404
