"""The settings as people see them: switches, automatic ends, rules tried, history, branding."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from libs.common.documents import WORKSPACES, Settings
from libs.common.switches import IdleRule
from tests.console.test_inbox import Sit, seats
from tests.desk.test_termination import session_of, set_short, store, terminate
from tests.desk.world import World, open_world

pytestmark = pytest.mark.asyncio(loop_scope="session")
expect.set_options(timeout=40_000)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(
    nats_url: str, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    path = tmp_path_factory.mktemp("settings") / "store.db"
    shutil.copy(empty_store, path)
    async with open_world(nats_url, f"sqlite:///{path}") as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def sit(world: World, browser: Browser) -> AsyncIterator[Sit]:
    """Seats people before pages of a workspace that nobody has set anything of."""
    found = await world.store.get(WORKSPACES, world.workspace, world.workspace)
    assert found is not None
    await world.store.replace(WORKSPACES, msgspec.structs.replace(found, settings=Settings()))
    async with seats(world, browser) as made:
        yield made


async def kept(world: World) -> Settings:
    """Return the settings as stored, which the router goes by from now on."""
    found = await world.store.get(WORKSPACES, world.workspace, world.workspace)
    assert found is not None
    world.switches[world.workspace] = found.settings
    return found.settings


async def saved(page: Page, name: str) -> None:
    await expect(page.get_by_text(f"Saved: {name}").last).to_be_visible()


async def test_a01_a02_a05_a_switch_says_what_will_happen_and_new_sessions_follow_it(
    sit: Sit, world: World
) -> None:
    page = await sit("adam", "/settings/switches")
    switch = page.get_by_role("switch", name="Auto hosting")
    await expect(switch).to_be_checked()
    await expect(page.get_by_text("Switched off: New sessions begin in Unassigned")).to_be_visible()
    before = await kept(world)
    assert (await world.writes("One", visitor=uuid.uuid4().hex)).list == "bot_hosted"
    await switch.click()
    await saved(page, "Auto hosting")
    await expect(page.get_by_text("Off: New sessions begin in Unassigned")).to_be_visible()
    after = await kept(world)
    assert after == msgspec.structs.replace(before, auto_hosting=False)
    assert (await world.writes("Two", visitor=uuid.uuid4().hex)).list == "unassigned"
    row = page.get_by_role("region", name="Auto hosting", exact=True)
    await expect(row.get_by_text("Last changed by Adam")).to_be_visible()
    await row.get_by_text("Channels and accounts that differ").click()
    await row.get_by_label("Auto hosting: LINE").select_option("on")
    await saved(page, "Auto hosting: LINE")
    await expect(row.get_by_text("1 differs")).to_be_visible()
    assert (await kept(world)).channels["line"].auto_hosting is True


async def test_a07_a08_a21_the_other_switches_are_saved_one_by_one(sit: Sit, world: World) -> None:
    page = await sit("adam", "/settings/switches")
    names = {
        "Auto assign": "auto_assign",
        "Session hosting": "session_hosting",
        "Confirm the end of a session": "end_session_confirm",
    }
    expected = Settings()
    for label, name in names.items():
        await page.get_by_role("switch", name=label).click()
        await saved(page, label)
        expected = msgspec.structs.replace(expected, **{name: True})
        assert await kept(world) == expected


async def test_two_who_change_one_switch_at_once_do_not_overwrite_each_other(
    sit: Sit, world: World
) -> None:
    page = await sit("adam", "/settings/switches")
    limit = page.get_by_role("spinbutton", name="Bot messages in a session")
    await limit.fill("7")
    await world.call("PATCH", "/settings", "adam", body={"bot_messages": 9, "show_read": False})
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("It is now: 9")
    assert (await kept(world)).bot_messages == 9
    await limit.fill("8")
    await page.get_by_role("button", name="Save").click()
    await saved(page, "Bot messages in a session")
    assert (await kept(world)).bot_messages == 8


async def test_d05_a_lead_sees_the_switches_and_simulates_but_may_not_change(sit: Sit) -> None:
    page = await sit("lena", "/settings/switches")
    await expect(page.get_by_text("You can see the switches.")).to_be_visible()
    await expect(page.get_by_role("switch", name="Auto hosting")).to_be_disabled()
    await page.get_by_label("Search the settings").fill("simul")
    await page.get_by_label("Search the settings").press("Enter")
    await page.get_by_label("Auto hosting").select_option("off")
    await page.get_by_role("button", name="Simulate").click()
    await expect(page.get_by_text("Waiting for an agent")).to_be_visible()


async def asked_before_leaving(page: Page) -> None:
    """Change the pace of ends, and try to leave without saving it."""
    pace = page.get_by_label("Most ends in a minute")
    await pace.fill("61")
    await page.get_by_role("link", name="Branding").click()
    await page.get_by_role("button", name="Stay").click()
    await expect(pace).to_have_value("61")
    await page.get_by_role("link", name="Branding").click()
    await page.get_by_role("button", name="Leave").click()
    await expect(page.get_by_role("heading", name="Branding")).to_be_visible()
    await page.go_back()
    await expect(pace).to_have_value("60")


async def test_a10_a12_d07_ends_are_looked_at_switched_on_and_taken_back(
    sit: Sit, world: World
) -> None:
    old = [session_of(world, idle_s=90_000) for _ in range(3)]
    spared = session_of(world, idle_s=90_000, channel="line")
    await store(world, *old, spared)
    page = await sit("adam", "/settings/termination")
    await asked_before_leaving(page)
    await expect(page.locator("[data-figure=idle]")).to_have_text("3")
    await expect(page.get_by_role("table", name="Those idle for longest")).to_be_visible()
    await page.get_by_role("button", name="Switch on…").click()
    await expect(page.get_by_role("dialog")).to_contain_text("None ends at once")
    await page.get_by_role("dialog").get_by_role("button", name="Switch on").click()
    await expect(page.get_by_role("button", name="Switch off")).to_be_visible()
    settings = await kept(world)
    assert settings.auto_termination
    assert settings.termination.since is not None
    assert await terminate(world, old) == []  # idle time before it was switched on does not count

    await set_short(world, IdleRule(channels=("messenger",), idle_s=1))
    assert len(await terminate(world, [*old, spared])) == 3
    page = await sit("lena", "/settings/termination")
    await expect(page.get_by_text("3 sessions have ended by themselves.")).to_be_visible()
    await page.get_by_role("button", name="Take back", exact=True).first.click()
    await expect(page.get_by_text("2 sessions have ended by themselves.")).to_be_visible()
    await page.get_by_role("button", name="Take all back").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take all back").click()
    await expect(page.locator("[data-undone]")).to_have_text("2 sessions stand again.")
    await expect(page.get_by_text("Nothing has ended by itself in this time.")).to_be_visible()


async def test_a_rule_is_made_and_tried_and_the_other_says_why_it_does_not_fire(
    sit: Sit, world: World
) -> None:
    page = await sit("lena", "/settings/rules")
    await page.get_by_role("button", name="New rule").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Prices")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("alert")).to_be_visible()  # a rule without an action
    await dialog.get_by_role("button", name="Add a condition").click()
    await dialog.get_by_label("Condition 1", exact=True).select_option("words")
    await dialog.get_by_label("Any of these words").fill("price\nquote")
    await dialog.get_by_role("button", name="Add an action").click()
    await dialog.get_by_label("Action 1", exact=True).select_option("tag")
    await dialog.get_by_label("Tag", exact=True).fill("price")
    await expect(dialog).to_contain_text("if the message has “price” or “quote”")
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("button", name="Prices", exact=True)).to_be_visible()
    other = {
        "name": "Refunds",
        "conditions": [{"if": "words", "words": ["refund"]}],
        "actions": [{"do": "tag", "tag": "refund"}],
    }
    assert (await world.call("PUT", "/rules/refunds", "lena", body=other)).status == 201
    await page.reload()
    await page.get_by_role("button", name="Prices, 1 of 2").press("ArrowDown")
    await expect(page.get_by_role("button", name="Prices, 2 of 2")).to_be_visible()
    order = (await world.call("GET", "/rules", "lena")).json["items"]
    assert [one["id"] for one in order] == ["refunds", "prices"]
    await page.get_by_label("What the visitor writes").fill("Your best price?")
    await page.get_by_role("button", name="Try", exact=True).click()
    fires = page.locator(".verdicts li[data-state=fired]")
    await expect(fires).to_contain_text("Prices")
    held = page.locator(".verdicts li[data-state=conditions]")
    await expect(held).to_contain_text("since this does not hold: the message has “refund”")
    await expect(page.get_by_text("Tagged: price.")).to_be_visible()


async def test_a22_branding_is_removed_from_chat_and_email_and_the_history_brings_it_back(
    sit: Sit, world: World
) -> None:
    page = await sit("adam", "/settings/branding")
    for name, label in (
        ("widget", "Remove it from the chat window"),
        ("email", "Remove it from emails"),
    ):
        await expect(page.locator(f"[data-brand={name}]")).to_have_text("Powered by Relaydesk")
        await page.get_by_role("switch", name=label).click()
        await expect(page.locator(f"[data-brand={name}]")).to_have_count(0)
    found = (await kept(world)).remove_branding
    assert (found.widget, found.email) == (True, True)
    await page.goto(f"{world.base}/#/settings/history")
    newest = page.locator(".version").first
    await expect(newest).to_contain_text("Adam")
    await newest.get_by_role("button", name="As before this").click()
    await page.get_by_role("dialog").get_by_role("button", name="Set them so").click()
    await expect(page.locator(".version").first).to_contain_text("restored")
    assert (await kept(world)).remove_branding.email is False


async def test_a14_an_event_is_set_for_everybody_and_locked(sit: Sit, world: World) -> None:
    page = await sit("adam", "/settings/workspace-alerts")
    await page.get_by_label("Mentions you: Email").click()
    await saved(page, "Mentions you")
    await expect(page.get_by_label("Mentions you: Email")).not_to_be_checked()
    await page.get_by_label("Mentions you: Locked").click()
    await expect(page.get_by_label("Mentions you: Locked")).to_be_checked()
    await saved(page, "Mentions you")
    found = (await kept(world)).alerts.triggers["mention"]
    assert (found.methods, found.locked) == (("browser",), True)
