"""Ticks of broadcasts: who gets it when, once, through pauses, refusals and kills."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
import pytest

from libs.common import audience
from libs.common.broadcasts import cancelled, paused, resumed, started
from libs.common.bus.client import Bus
from libs.common.channel import Account
from libs.common.documents import ACCOUNTS, COLLECTIONS, CONTACTS, IDENTITIES, AccountDocument
from libs.common.errors import StaleRevisionError
from libs.common.events import TemplatePart, TextPart
from libs.common.ids import derive_id
from libs.common.later import BROADCASTS, RECIPIENTS, Broadcast, Recipient
from libs.common.seal import new_key_setting
from libs.common.store.open import open_store
from libs.common.switches import QuietHours
from services.scheduler.broadcast_plan import bound_of
from services.scheduler.broadcast_send import AT_ONCE
from services.scheduler.broadcasts import Tick
from services.scheduler.gather import gather
from tests.scheduler.broadcast_rig import Town
from tests.scheduler.broadcast_stage import BEGIN, Stage


@pytest.fixture
async def stage(ready_url: str) -> AsyncIterator[Stage]:
    async with open_store(ready_url, COLLECTIONS) as store:
        yield Stage(Town(cast(Bus, None), store, new_key_setting()))


async def shop(stage: Stage, channel: str = "line", *, people: int = 0) -> Account:
    """Return an account with so many followers of the audience."""
    slug = f"{stage.town.workspace}-{channel}"
    of = Account(workspace=stage.town.workspace, slug=slug, channel=channel, external_id=slug)
    document = AccountDocument(
        id=slug, workspace=stage.town.workspace, channel=channel, external_id=slug
    )
    await stage.town.store.insert(ACCOUNTS, document)
    await stage.town.people(people, of)
    return of


async def add(stage: Stage, of: Account, name: str, **more: Any) -> str:
    """Store one contact of the audience who follows the account; return its id."""
    contact = stage.town.contact(name, **more)
    await stage.town.store.insert(CONTACTS, contact)
    await stage.town.store.insert(IDENTITIES, stage.town.identity(contact, of, f"U-{name}"))
    return contact.id


async def rows(stage: Stage, id_: str) -> list[Recipient]:
    return await stage.town.recipients(await stage.town.broadcast(id_))


async def states(stage: Stage, id_: str) -> Counter[str]:
    return Counter(row.state for row in await rows(stage, id_))


# --- once each ---------------------------------------------------------------------------------


async def test_b03_whoever_is_killed_wherever_each_gets_it_once(stage: Stage) -> None:
    """A kill before and behind each write and command of a broadcast, one broadcast each."""
    of = await shop(stage, people=3)
    dies_at, died = 0, True
    while died:
        dies_at += 1
        stage.calls, stage.dies_at = 0, dies_at
        before = len(stage.router.made)
        id_ = await stage.start(stage.town.draft(per_minute=120), started)
        await stage.run()
        died = stage.dies_at == 0
        stage.restart()
        found = await rows(stage, id_)
        assert Counter(row.state for row in found) == {"sent": 3}, dies_at
        assert len(stage.router.made) - before == 3, dies_at
        assert {row.message for row in found} <= {m.id for m in stage.router.made.values()}
        assert (await stage.town.broadcast(id_)).state == "done"
    assert dies_at > 20
    assert of.slug in {command.account for command in stage.router.commands}


async def test_b03_1100_contacts_are_gathered_in_pages_and_counted_by_the_same(
    stage: Stage,
) -> None:
    of = await shop(stage, people=1100)
    await stage.town.people(300, of, tagged=False)
    draft = stage.town.draft()
    counted = await audience.count(
        stage.town.store, stage.town.workspace, draft.audience, stage.now
    )
    assert counted == audience.Count(1100, 0, {of.slug: 1100})
    running = await stage.town.store.insert(BROADCASTS, started(draft, stage.now) or draft)
    pages = 0
    while not running.gathered:
        late = msgspec.structs.replace(running, rev=running.rev + 1)
        with pytest.raises(StaleRevisionError):  # the rows are stored, the note is lost
            await gather(stage.town.store, late, "UTC", stage.now)
        running, pages = await gather(stage.town.store, running, "UTC", stage.now), pages + 1
    found = await rows(stage, draft.id)
    assert (pages, running.total, len(found)) == (3, 1100, 1100)
    assert len({row.contact for row in found}) == 1100


async def test_while_no_router_is_there_nothing_is_lost_and_nothing_doubled(stage: Stage) -> None:
    await shop(stage, people=20)
    stage.router.away = True
    id_ = await stage.start(stage.town.draft(), started)
    await stage.run(seconds=60)
    assert await states(stage, id_) == {"sending": 20}
    stage.router.away = False
    await stage.run(seconds=60)
    assert await states(stage, id_) == {"sent": 20}
    assert set(stage.router.asked.values()) == {1}
    assert (await stage.town.broadcast(id_)).state == "done"


async def test_an_outcome_of_which_the_fact_was_lost_is_found_in_the_store(stage: Stage) -> None:
    await shop(stage, people=2)
    stage.mute = True
    id_ = await stage.start(stage.town.draft(), started)
    await stage.run(seconds=10)
    one, other = stage.router.made.values()
    await stage.report(one, "sent")
    await stage.report(other, "failed", "rejected")
    await stage.run(seconds=10)
    assert await states(stage, id_) == {"sending": 2}, "facts may still come"
    await stage.run(seconds=30)
    assert {(row.state, row.reason) for row in await rows(stage, id_)} == {
        ("sent", ""),
        ("failed", "rejected"),
    }
    assert (await stage.town.broadcast(id_)).state == "done"


# --- pause, resume, cancel ---------------------------------------------------------------------

ACTS: dict[str, tuple[Callable[..., Broadcast | None], dict[str, int]]] = {
    "paused, and resumed later": (paused, {"sent": 60}),
    "cancelled": (cancelled, {"sent": 10, "cancelled": 50}),
}


@pytest.mark.parametrize(("act", "expected"), ACTS.values(), ids=ACTS)
async def test_b03_after_it_was_acknowledged_nothing_goes_out(
    stage: Stage, act: Callable[..., Broadcast | None], expected: dict[str, int]
) -> None:
    await shop(stage, people=60)
    id_ = await stage.start(stage.town.draft(per_minute=60), started)
    await stage.run(seconds=9)
    assert len(stage.router.made) == 10
    await stage.act(id_, act)
    await stage.run(seconds=60)
    assert len(stage.router.made) == 10
    if act is paused:
        await stage.act(id_, resumed)
        await stage.run()
    assert await states(stage, id_) == expected
    assert len(stage.router.made) == expected["sent"]
    ended = await stage.town.broadcast(id_)
    assert (ended.ended_at is not None, ended.fires_at) == (True, None)


async def test_a_pause_between_the_plan_and_the_slice_wins(stage: Stage) -> None:
    await shop(stage, people=10)
    id_ = await stage.start(stage.town.draft(per_minute=60), started)
    await stage.run(seconds=0)
    sent = len(stage.router.made)
    stage.now += timedelta(seconds=5)
    read = await stage.town.broadcast(id_)
    await stage.act(id_, paused)
    with pytest.raises(StaleRevisionError):
        await Tick(stage.means)._run(read)
    assert len(stage.router.made) == sent


TAKEN_BACK: dict[str, tuple[Callable[..., Broadcast | None], str]] = {
    "paused: they wait again": (paused, "pending"),
    "cancelled: they are cancelled": (cancelled, "cancelled"),
}


@pytest.mark.parametrize(("act", "state"), TAKEN_BACK.values(), ids=TAKEN_BACK)
async def test_claims_that_no_router_heard_of_are_taken_back(
    stage: Stage, act: Callable[..., Broadcast | None], state: str
) -> None:
    await shop(stage, people=3)
    stage.router.away = True
    id_ = await stage.start(stage.town.draft(), started)
    await stage.run(seconds=3)
    assert await states(stage, id_) == {"sending": 3}
    await stage.act(id_, act)
    stage.router.away = False
    await stage.run()
    assert await states(stage, id_) == {state: 3}
    assert not stage.router.made


# --- pace --------------------------------------------------------------------------------------


async def test_two_broadcasts_of_one_account_share_its_pace(stage: Stage) -> None:
    await shop(stage, people=50)
    ids = [await stage.start(stage.town.draft(per_minute=60), started) for _ in range(2)]
    await stage.run(seconds=30)
    assert 28 <= len(stage.router.made) <= 31
    await stage.run()
    assert [await states(stage, id_) for id_ in ids] == [{"sent": 50}] * 2
    minute = timedelta(seconds=60)
    times = stage.router.times
    most = max(sum(1 for t in times if begin <= t < begin + minute) for begin in times)
    assert most <= 61


async def test_few_are_under_way_at_an_account_over_all_broadcasts(stage: Stage) -> None:
    """So that they never stand in a queue before agents' replies."""
    await shop(stage, people=150)
    stage.mute = True
    ids = [await stage.start(stage.town.draft(), started) for _ in range(2)]
    await stage.run(seconds=20)
    found = sum([await states(stage, id_) for id_ in ids], Counter[str]())
    assert found["sending"] == len(stage.router.made) == bound_of(6000)
    assert stage.router.most_at_once <= AT_ONCE
    assert all(command.bulk for command in stage.router.commands)
    stage.mute = False
    await stage.tell()
    await stage.run()
    assert [await states(stage, id_) for id_ in ids] == [{"sent": 150}] * 2


# --- when --------------------------------------------------------------------------------------

ZONES = {  # BEGIN is a Monday, 12:00 in UTC
    "Pacific/Auckland": datetime(2026, 3, 2, 20, 0, tzinfo=UTC),
    "Asia/Tokyo": datetime(2026, 3, 3, 0, 0, tzinfo=UTC),
    "": datetime(2026, 3, 3, 8, 0, tzinfo=UTC),  # the workspace's
    "Nowhere/Such": datetime(2026, 3, 3, 8, 0, tzinfo=UTC),
    "America/New_York": datetime(2026, 3, 3, 14, 0, tzinfo=UTC),
}


async def test_d08_each_gets_it_at_that_time_of_their_own_clock(stage: Stage) -> None:
    of = await shop(stage)
    stage.settings = type(stage.settings)(zone="Europe/Berlin")
    ids = {
        await add(stage, of, f"z{n}", zone=zone): at for n, (zone, at) in enumerate(ZONES.items())
    }
    id_ = await stage.start(stage.town.draft(local="2026-03-03T09:00", zone="contact"), started)
    first = await stage.town.broadcast(id_)
    assert (first.state, first.due_at) == ("scheduled", datetime(2026, 3, 2, 19, 0, tzinfo=UTC))
    await stage.run(seconds=2 * 86400)
    went = zip(stage.router.commands, stage.router.times, strict=True)
    assert {command.contact: at for command, at in went} == ids
    assert await states(stage, id_) == {"sent": 5}


async def test_d08_quiet_hours_of_the_recipient_put_it_off(stage: Stage) -> None:
    of = await shop(stage)
    for zone in ("Asia/Tokyo", "UTC"):  # it is 21:00 and 12:00
        await add(stage, of, zone, zone=zone)
    quiet = QuietHours(start="21:00", end="08:00")
    await stage.start(stage.town.draft(quiet_hours=quiet), started)
    await stage.run(seconds=86400)
    assert stage.router.times == [BEGIN, datetime(2026, 3, 2, 23, 0, tzinfo=UTC)]


async def test_d08_what_is_resumed_in_quiet_hours_waits_for_their_end(stage: Stage) -> None:
    await shop(stage, people=3)
    quiet = QuietHours(start="21:00", end="08:00")
    id_ = await stage.start(stage.town.draft(quiet_hours=quiet, per_minute=1), started)
    await stage.run(seconds=30)
    await stage.act(id_, paused)
    stage.now = datetime(2026, 3, 2, 22, 0, tzinfo=UTC)
    await stage.act(id_, resumed)
    await stage.run(seconds=86400)
    assert stage.router.times[0] == BEGIN
    assert stage.router.times[1] == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)
    assert await states(stage, id_) == {"sent": 3}


# --- what, and what becomes of it --------------------------------------------------------------

TEMPLATE = TemplatePart(name="news", language="en", body=("{{contact.name}}",))
CONTENT: dict[str, tuple[dict[str, Any], TemplatePart | None]] = {
    "a template for closed windows goes along, with its values": (
        {"when_closed": "template", "template": TEMPLATE},
        TemplatePart(name="news", language="en", body=("Ann",)),
    ),
    "where it is to fail, none does": ({"when_closed": "fail", "template": TEMPLATE}, None),
}


@pytest.mark.parametrize(("more", "template"), CONTENT.values(), ids=CONTENT)
async def test_d08_the_router_is_asked_with_what_the_broadcast_says(
    stage: Stage, more: dict[str, Any], template: TemplatePart | None
) -> None:
    of = await shop(stage, "whatsapp")
    await add(stage, of, "Ann")
    id_ = await stage.start(
        stage.town.draft("Hi {{contact.name}}, {{account.name}} here", **more), started
    )
    await stage.run()
    (command,) = stage.router.commands
    assert command.parts == (TextPart(text="Hi Ann, Shop here"),)
    assert (command.template, command.origin) == (template, f"broadcast:{id_}")
    assert (command.bulk, command.over, command.hold) == (True, True, False)
    assert command.key == command.actor.id == (await rows(stage, id_))[0].id


REFUSALS = {
    "window_closed": ("failed", "window_closed"),
    "template_unknown": ("failed", "template_unknown"),
    "blocked": ("skipped", "blocked"),
}


@pytest.mark.parametrize(("code", "expected"), REFUSALS.items(), ids=REFUSALS)
async def test_d08_a_refusal_is_the_recipients_outcome(
    stage: Stage, code: str, expected: tuple[str, str]
) -> None:
    of = await shop(stage)
    stage.router.refuses[await add(stage, of, "Ann")] = code
    id_ = await stage.start(stage.town.draft(), started)
    await stage.run()
    (row,) = await rows(stage, id_)
    assert (row.state, row.reason) == expected
    assert (await stage.town.broadcast(id_)).state == "done"


async def test_who_blocked_the_account_is_skipped_and_said_so(stage: Stage) -> None:
    of = await shop(stage)
    contact = stage.town.contact("Ann")
    await stage.town.store.insert(CONTACTS, contact)
    await stage.town.talked(contact, of, "U-ann", blocked=True)
    id_ = await stage.start(stage.town.draft(), started)
    await stage.run()
    assert [(row.state, row.reason) for row in await rows(stage, id_)] == [("skipped", "blocked")]
    assert not stage.router.asked


LATER_ON: dict[str, Any] = {"zone": "Pacific/Honolulu"}
MERGES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, str]]]] = {
    "both are to come": (LATER_ON, LATER_ON, [("sent", ""), ("skipped", "merged")]),
    "the one that is left has it already": ({}, LATER_ON, [("sent", ""), ("skipped", "merged")]),
    "the one that is gone has it already": (LATER_ON, {}, [("skipped", "merged"), ("sent", "")]),
}


@pytest.mark.parametrize(("left", "gone", "expected"), MERGES.values(), ids=MERGES)
async def test_b03_who_became_one_with_another_gets_it_once(
    stage: Stage, left: dict[str, Any], gone: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    of = await shop(stage)
    contacts, identities = [], []
    for visitor, zone in (("U-ann", left), ("U-anna", gone)):
        place = (stage.town.workspace, of.slug, visitor)
        contact = stage.town.contact(visitor, **{"zone": "Asia/Tokyo", **zone})
        contacts.append(msgspec.structs.replace(contact, id=derive_id("con", *place)))
        identities.append(stage.town.identity(contacts[-1], of, visitor))
        await stage.town.store.insert(CONTACTS, contacts[-1])
        identities[-1] = await stage.town.store.insert(IDENTITIES, identities[-1])
    draft = stage.town.draft(local="2026-03-03T09:00", zone="contact")
    id_ = await stage.start(draft, started)
    await stage.run(22 * 3600.0)  # Tokyo has had it, Honolulu has not
    moved = msgspec.structs.replace(identities[1], contact=contacts[0].id)
    await stage.town.store.replace(IDENTITIES, moved)
    await stage.run(36 * 3600.0)
    found = {row.contact: (row.state, row.reason) for row in await rows(stage, id_)}
    assert [found[contact.id] for contact in contacts] == expected
    assert len(stage.router.made) == 1
    assert (await stage.town.broadcast(id_)).state == "done"


async def test_many_broadcasts_at_once_leave_places_for_other_timers(stage: Stage) -> None:
    await shop(stage, people=1)
    id_ = await stage.start(stage.town.draft(), started)
    stage.ticks._ticking = 1000
    await stage.run(seconds=0)
    assert not stage.router.made
    stage.ticks._ticking = 0
    await stage.run()
    assert await states(stage, id_) == {"sent": 1}


async def test_cancelled_while_it_gathers_it_says_how_many_there_are(stage: Stage) -> None:
    await shop(stage, people=3)
    id_ = await stage.start(stage.town.draft(), started)
    read = await stage.town.broadcast(id_)
    await stage.act(id_, cancelled)
    with pytest.raises(StaleRevisionError):  # the rows are stored, and nobody noted it
        await gather(stage.town.store, read, "UTC", stage.now)
    await stage.run()
    assert (await stage.town.broadcast(id_)).total == 3
    assert await states(stage, id_) == {"cancelled": 3}


async def test_by_a_clock_behind_the_servers_it_ticks_no_more_often(stage: Stage) -> None:
    """The server fires what is due by its own clock: armed for ours it would come at once."""
    await shop(stage, people=4)
    draft = stage.town.draft(local="2026-03-03T09:00", zone="UTC", per_minute=60)
    id_ = await stage.start(draft, started)
    server = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)
    behind, ticks = timedelta(seconds=3), 0
    while stage.armed:
        [timer] = stage.armed.values()
        server = max(server, timer.due)
        stage.now = server - behind
        del stage.armed[timer.ref]
        await stage.fire(timer)
        await stage.tell()
        ticks += 1
        assert ticks < 20
    assert await states(stage, id_) == {"sent": 4}
    assert server <= datetime(2026, 3, 3, 9, 0, 5, tzinfo=UTC)


async def test_a_timer_of_what_is_gone_or_over_does_nothing(stage: Stage) -> None:
    await shop(stage, people=1)
    stage.arm("brd_gone", stage.now)
    draft = stage.town.draft()
    await stage.town.store.insert(BROADCASTS, draft)
    stage.arm(draft.id, stage.now)
    await stage.run()
    assert (stage.armed, await rows(stage, draft.id), stage.router.made) == ({}, [], {})
    assert await stage.town.store.count(RECIPIENTS, stage.town.workspace, {}) == 0
