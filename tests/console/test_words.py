"""What is written once, said by machines, or goes out later, as people see it in the console."""

from __future__ import annotations

import io
import json
import re
import shutil
import uuid
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.console.test_contacts import Seat, unique
from tests.desk.test_contact_import import as_xlsx, at_work
from tests.desk.test_folders import team
from tests.desk.test_tags import a_tag
from tests.desk.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=40_000)

STANDARD = "/settings/standard-messages"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A desk for the whole file, whose jobs are done; each test names its own things."""
    path = tmp_path_factory.mktemp("words") / "store.db"
    shutil.copy(empty_store, path)
    async with open_world(nats_url, f"sqlite:///{path}") as made, at_work(made):
        yield made


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


async def made(world: World, path: str, who: str = "lena", **body: Any) -> dict[str, Any]:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = await world.call("POST", path, who, body=body, headers=headers)
    assert answer.status in {200, 201}, answer.body
    return dict(answer.json)


def dialog(page: Page) -> Locator:
    return page.locator("dialog[open]")


def folders(page: Page) -> Locator:
    return page.get_by_role("region", name="Folders").locator(".ordered > li")


async def test_b32_b33_b34_b40_a_lead_makes_a_folder_with_its_scope_and_fills_it(
    seat: Seat, world: World
) -> None:
    await team(world, "sales", "Sales", "amy")
    other, name = unique("Web only"), unique("Offers")
    await made(world, "/standard-messages/folders", name=other, channels=["web"])
    page = await seat.sit("lena", STANDARD)
    await page.get_by_role("button", name="New folder").click()
    form = dialog(page)
    await form.get_by_label("Name").fill(other)
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("alert")).to_contain_text("name")
    await form.get_by_label("Name").fill(name)
    await form.get_by_label("LINE").check()
    await form.get_by_label("Sales").check()
    await form.get_by_role("group", name="Assignees in charge").get_by_label("Amy").check()
    await form.get_by_role("button", name="Save").click()
    row = folders(page).filter(has_text=name)
    await expect(row).to_contain_text("LINE")
    await expect(row).to_contain_text("Sales")
    await expect(row).to_contain_text("Amy")
    await page.get_by_label("Channel", exact=True).select_option("web")
    await expect(folders(page)).to_have_count(1)
    await expect(folders(page)).to_contain_text(other)
    page = await seat.sit("bob", STANDARD)  # of no team: the folder is not for him
    await expect(folders(page).filter(has_text=other)).to_be_visible()
    await expect(folders(page).filter(has_text=name)).to_have_count(0)
    await expect(page.get_by_role("button", name="Add content")).to_have_count(0)


async def test_b32_b34_content_is_added_with_variables_and_seen_as_it_reads(
    seat: Seat, world: World
) -> None:
    folder = await made(world, "/standard-messages/folders", name=unique("Texts"))
    page = await seat.sit("lena", f"{STANDARD}?folder={folder['id']}")
    await page.get_by_role("button", name="Add content").click()
    form = dialog(page)
    await form.get_by_label("Title").fill("Ten percent")
    await form.get_by_label("Text").fill("Hi ")
    await form.get_by_role("button", name="Insert variable").click()
    await form.get_by_role("menuitem", name=re.compile("^Contact.s name")).click()
    fallback = page.locator("dialog[open]").last
    await fallback.get_by_label("If it is not known, say").fill("friend")
    await fallback.get_by_role("button", name="Insert", exact=True).click()
    await expect(form.get_by_label("Text")).to_have_value("Hi {{contact.name|friend}}")
    await expect(form.get_by_role("region", name="How it reads")).to_contain_text("Hi friend")
    await form.get_by_label("Text").fill("Hi {{nobody}}")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("alert")).to_contain_text("{{nobody}} is no variable")
    await form.get_by_label("Text").fill("Hi {{contact.name|friend}}")
    await form.get_by_role("button", name="Save").click()
    messages = page.get_by_role("region", name="Messages")
    await expect(messages).to_contain_text("contact.name|friend")
    await expect(messages).to_contain_text("Sent 0 · picked 0")


async def test_b34_messages_are_put_in_order_by_keyboard_and_by_dragging(
    seat: Seat, world: World
) -> None:
    folder = await made(world, "/standard-messages/folders", name=unique("Order"))
    for title in ("One", "Two", "Three"):
        await made(world, "/standard-messages", title=title, text="x", folder=folder["id"])
    page = await seat.sit("lena", f"{STANDARD}?folder={folder['id']}")
    titles = page.get_by_role("region", name="Messages").locator("h2")
    await expect(titles).to_have_text(["One", "Two", "Three"])
    await page.get_by_role("button", name="Move Three").press("ArrowUp")
    await expect(titles).to_have_text(["One", "Three", "Two"])
    await expect(page.get_by_role("button", name="Move Three")).to_be_focused()
    await page.get_by_role("button", name="Move One").drag_to(titles.nth(2))
    await expect(titles).to_have_text(["Three", "Two", "One"])
    await page.reload()
    await expect(titles).to_have_text(["Three", "Two", "One"])


async def test_b39_a_message_is_changed_and_a_folder_goes_with_its_count(
    seat: Seat, world: World
) -> None:
    name = unique("Old")
    folder = await made(world, "/standard-messages/folders", name=name)
    for title in ("First", "Second"):
        await made(world, "/standard-messages", title=title, text="x", folder=folder["id"])
    page = await seat.sit("lena", f"{STANDARD}?folder={folder['id']}")
    await page.get_by_role("button", name="Edit First").click()
    await dialog(page).get_by_label("Title").fill("Changed")
    await dialog(page).get_by_role("button", name="Save").click()
    messages = page.get_by_role("region", name="Messages")
    await expect(messages.get_by_role("heading", name="Changed")).to_be_visible()
    await page.get_by_role("button", name="Delete Second").click()
    await dialog(page).get_by_role("button", name="Delete", exact=True).click()
    await expect(messages.locator("h2")).to_have_text(["Changed"])
    await page.get_by_role("button", name=f"What to do with the folder {name}").click()
    await page.get_by_role("menuitem", name="Delete folder").click()
    await expect(dialog(page)).to_contain_text("1 message in it is deleted with it")
    await dialog(page).get_by_role("button", name="Delete with 1 message").click()
    await expect(page.get_by_role("status").filter(has_text="with 1 message")).to_be_visible()
    await expect(folders(page).filter(has_text=name)).to_have_count(0)
    left = await world.get("/standard-messages", "lena")
    assert "Changed" not in [one["title"] for one in left["items"]]


async def choose(page: Page, file: str, raw: bytes) -> None:
    """Give the open dialog a file."""
    async with page.expect_file_chooser() as chooser:
        await dialog(page).get_by_role("button", name=re.compile("^Choose")).click()
    await (await chooser.value).set_files(
        {"name": file, "mimeType": "application/octet-stream", "buffer": raw}
    )


async def downloaded(page: Page, item: str) -> bytes:
    """Take a workbook by the menu."""
    await page.get_by_role("button", name="Workbook").click()
    async with page.expect_download() as coming:
        await page.get_by_role("menuitem", name=item).click()
    return Path(await (await coming.value).path()).read_bytes()


async def test_b35_b36_b37_b38_a_workbook_is_tried_imported_and_told_of(
    seat: Seat, world: World
) -> None:
    name = unique("Imported")
    page = await seat.sit("lena", STANDARD)
    assert zipfile.is_zipfile(io.BytesIO(await downloaded(page, "Download the template")))
    await page.get_by_role("button", name="Workbook").click()
    await page.get_by_role("menuitem", name="Import from XLS or XLSX").click()
    form = dialog(page)

    await choose(page, "list.xlsx", b"Channels,Message\nline,hello\n")
    await expect(form.get_by_role("alert")).to_contain_text("xls")
    head = ["Message", "User", "Folder_name", "Channels", "Team"]  # in an order of its own
    good = ["Hello {{contact.name|there}}", "", name, "line", ""]
    rows = [head, good, ["Bye", "", name, "", ""], ["Lost", "nobody@x.example", "F", "line", ""]]
    await choose(page, "list.xlsx", await as_xlsx(rows))
    await expect(form.locator("[data-tally=created] dd")).to_have_text("2")
    await expect(form.locator("[data-tally=failed] dd")).to_have_text("1")
    await expect(form.locator(".refused")).to_contain_text("Row 4")
    assert name not in json.dumps(await world.get("/standard-messages/folders", "lena"))
    await form.get_by_role("button", name="Import 2 messages").click()
    await expect(form).to_contain_text("The import is finished")
    await expect(page.locator(".toasts")).to_contain_text("2 new, 0 as they were, 1 refused")
    await form.get_by_role("button", name="Close").last.click()
    await expect(folders(page).filter(has_text=name)).to_contain_text("2")
    page = await seat.sit("lena", STANDARD)
    assert zipfile.is_zipfile(io.BytesIO(await downloaded(page, "Export all as XLSX")))


async def test_b30_tags_are_made_renamed_united_and_deleted_with_their_counts(
    seat: Seat, world: World
) -> None:
    name, other = unique("Loyal"), unique("Regular")
    tag = await a_tag(world, other)
    contact = await made(world, "/contacts", "amy", name=unique("Tagged"))
    answer = await world.call("PUT", f"/contacts/{contact['id']}/tags/{tag}", "amy")
    assert answer.status == 200
    page = await seat.sit("lena", "/settings/tags")
    await page.get_by_role("button", name="New tag").click()
    await dialog(page).get_by_label("Name").fill(name)
    await dialog(page).get_by_label("Colour 2").check(force=True)
    await dialog(page).get_by_role("button", name="Save").click()
    row = page.get_by_role("row").filter(has_text=other)
    await expect(row.get_by_role("link")).to_have_text("1")
    await row.get_by_role("button", name=f"Edit {other}").click()
    await expect(dialog(page)).to_contain_text("1 contact shows the new name at once")
    await dialog(page).get_by_label("Name").fill(f"{other} too")
    await dialog(page).get_by_role("button", name="Save").click()
    await page.get_by_role("button", name=f"Unite {other} too with another tag").click()
    await dialog(page).get_by_label("The tag that stays").select_option(label=name)
    await dialog(page).get_by_role("button", name="Unite").click()
    await expect(page.get_by_role("row").filter(has_text=other)).to_have_count(0)
    found = await world.get(f"/contacts/{contact['id']}")
    assert [one["name"] for one in found["tags"]] == [name]
    await page.get_by_role("button", name=f"Delete {name}").click()
    await expect(dialog(page)).to_contain_text("1 contact loses it")
    await dialog(page).get_by_role("button", name="Delete", exact=True).click()
    await expect(page.get_by_role("row").filter(has_text=name)).to_have_count(0)


async def test_b10_a_flow_is_drawn_flagged_tried_and_saved(seat: Seat, world: World) -> None:
    steps = [
        {"id": "hello", "say": "What is it?", "choices": [{"title": "Order", "to": "human"}]},
        {"id": "human", "say": "A colleague comes.", "hand_off": True},
    ]
    bot = await made(world, "/bots", name=unique("Guide"), kind="flow", start="hello", steps=steps)
    page = await seat.sit("lena", f"/settings/bots/{bot['id']}")
    picture = page.get_by_role("group", name="The flow as a picture")
    await expect(picture.get_by_role("button")).to_have_count(2)
    await page.get_by_role("button", name="Add a step").first.click()
    await expect(page.get_by_text("Nothing leads here")).to_be_visible()
    await expect(page.get_by_text("The way ends here without a human")).to_be_visible()
    await page.get_by_label("Name of the step").fill("price")
    await page.get_by_label("What it says").fill("It is ten.")
    await page.get_by_label("Then", exact=True).select_option("end")
    await picture.get_by_role("button", name=re.compile("^hello")).press("Enter")
    await page.get_by_role("button", name="Add a button").click()
    await page.get_by_label("Button 2", exact=True).fill("Price")
    await page.get_by_label("leads to", exact=True).nth(1).select_option("price")
    await expect(page.get_by_text("Nothing leads here")).to_have_count(0)
    await page.get_by_label("A visitor writes…").fill("hi")
    await page.keyboard.press("Enter")
    talk = page.get_by_role("log")
    await talk.get_by_role("button", name="Price").click()
    await expect(talk).to_contain_text("It is ten.")
    await expect(talk).to_contain_text("The session ends")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".toasts")).to_contain_text("Saved")
    kept = await world.get(f"/bots/{bot['id']}", "lena")
    assert [step["id"] for step in kept["steps"]] == ["hello", "human", "price"]


async def test_b10_questions_are_edited_and_tried_as_they_stand(seat: Seat, world: World) -> None:
    faq = [{"id": "hours", "questions": ["When are you open?"], "answers": ["From nine."]}]
    bot = await made(world, "/bots", name=unique("Helper"), kind="faq", faq=faq)
    page = await seat.sit("lena", f"/settings/bots/{bot['id']}")
    await page.get_by_label("Answers of row 1").fill("From ten.")
    await page.get_by_label("A visitor writes…").fill("when are you open")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("log")).to_contain_text("From ten.")
    await expect(page.get_by_role("log")).to_contain_text("Matched by the exact question")
    await page.get_by_role("button", name="Add a question").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert").first).to_contain_text("faq")
    await page.get_by_role("button", name="Delete row 2").click()
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".toasts")).to_contain_text("Saved")
    kept = await world.get(f"/bots/{bot['id']}", "lena")
    assert kept["faq"][0]["answers"] == ["From ten."]


async def test_b25_b26_what_is_scheduled_is_seen_changed_and_cancelled(
    seat: Seat, world: World
) -> None:
    session = await world.writes("hi", visitor=unique("Later").replace(" ", "-"))
    name = unique("Ask again")
    at = (datetime.now(UTC) + timedelta(hours=20)).strftime("%Y-%m-%dT%H:%M")
    body = {"session": session.id, "name": name, "text": "How did it go?", "at": at}
    await made(world, "/scheduled-messages", "amy", zone="UTC", when_closed="fail", **body)
    page = await seat.sit("amy", "/scheduled")
    row = page.get_by_role("listitem").filter(has_text=name)
    await expect(row).to_contain_text("How did it go?")
    await row.get_by_role("button", name=f"Edit {name}").click()
    await dialog(page).get_by_label("Text").fill("Did it arrive?")
    await dialog(page).get_by_label("Day and time").fill("2001-01-01T09:00")
    await dialog(page).get_by_role("button", name="Save").click()
    await expect(dialog(page).get_by_role("alert")).to_be_visible()
    await dialog(page).get_by_label("Day and time").fill(at)
    await dialog(page).get_by_role("button", name="Save").click()
    await expect(row).to_contain_text("Did it arrive?")
    await row.get_by_role("button", name=f"Cancel {name}").click()
    await dialog(page).get_by_role("button", name="Cancel it").click()
    await expect(row).to_have_count(0)
    await page.get_by_role("button", name="Cancelled", exact=True).click()
    await expect(row).to_contain_text("Cancelled")
    await page.get_by_label("Scheduled by").select_option(label="Bob")
    await expect(row).to_have_count(0)


async def test_b03_a_broadcast_is_drafted_counted_copied_and_cancelled(
    seat: Seat, world: World
) -> None:
    tag = await a_tag(world, unique("Fans"))
    session = await world.writes("hello", visitor=unique("Fan").replace(" ", "-"))
    answer = await world.call("PUT", f"/contacts/{session.contact}/tags/{tag}", "amy")
    assert answer.status == 200
    [label] = [one["name"] for one in (await world.get("/tags"))["items"] if one["id"] == tag]
    name = unique("Spring")
    page = await seat.sit("lena", "/broadcasts")
    await page.get_by_role("button", name="New broadcast").click()
    form = dialog(page)
    await form.get_by_label("Name").fill(name)
    await form.get_by_label("Text").fill("Hi {{contact.name|friend}}, spring is here.")
    await form.get_by_role("group", name="Tags").get_by_label(label).check()
    await expect(form.get_by_text("1 contact would get it")).to_be_visible()
    await form.get_by_role("button", name="Save as a draft").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(f"{name} Draft")
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(dialog(page)).to_contain_text("1 contact would get it")
    await dialog(page).get_by_role("button", name="Start").click()
    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Paused")
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Running")
    await page.get_by_role("button", name="More to do").click()
    await page.get_by_role("menuitem", name="Cancel the broadcast").click()
    await dialog(page).get_by_role("button", name="Cancel the broadcast").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")
    await page.get_by_role("button", name="More to do").click()
    await page.get_by_role("menuitem", name="Make a copy").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Draft")
