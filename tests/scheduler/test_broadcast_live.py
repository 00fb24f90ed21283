"""Broadcasts the whole way: router, notifier and scheduler as processes, and the provider stub."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.broadcasts import cancelled, paused, resumed
from libs.common.bus.client import open_bus
from libs.common.channel import MessageTemplate
from libs.common.documents import COLLECTIONS, CONTACTS
from libs.common.events import TemplatePart
from libs.common.seal import new_key_setting
from libs.common.simulate.stub import Stub
from libs.common.store.open import open_store
from tests.nats_server import NatsProcess
from tests.scheduler.broadcast_rig import Services, Town, until


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("broadcasts")
    nats = NatsProcess(folder / "nats")
    nats.start()
    services = Services(folder, nats.url, new_key_setting())
    with services.running():
        yield services
    nats.stop()


@pytest.fixture
async def town(services: Services) -> AsyncIterator[Town]:
    async with (
        open_bus(services.nats_url, name="test", publish_timeout_s=5.0) as bus,
        open_store(services.store_url, COLLECTIONS) as store,
    ):
        town = Town(bus, store, services.key)
        await town.settle()
        yield town


async def test_b03_of_1000_contacts_300_get_it_once_though_paused_and_killed(
    town: Town, services: Services, provider_stub: Stub
) -> None:
    line = await town.connect("line", provider_stub.base)
    await town.people(300, line)
    await town.people(700, line, tagged=False)
    broadcast = await town.start(town.draft("hello {{contact.name}}"))

    def shown() -> list[str]:
        return provider_stub.shown(line.slug)

    async def hundred() -> bool:
        return len(shown()) >= 100

    await until(hundred, "100 are sent")
    await town.act(broadcast, paused)
    at_pause = len(shown())

    async def at_rest() -> bool:
        return (await town.states(broadcast))["sending"] == 0

    await until(at_rest, "nothing is under way any more")
    rested = len(shown())
    assert 100 <= at_pause <= rested <= at_pause + 100, "at most the slice under way"
    await asyncio.sleep(1.5)
    assert (len(shown()), await at_rest()) == (rested, True)
    await town.act(broadcast, resumed)
    await until(lambda: _more(shown, rested), "it goes on")
    await asyncio.to_thread(services.scheduler.kill)
    await asyncio.to_thread(services.scheduler.start)
    done = await town.in_state(broadcast, "done", within_s=40)
    texts = shown()
    assert (len(texts), len(set(texts))) == (300, 300)
    rows = await town.recipients(done)
    assert Counter(row.state for row in rows) == {"sent": 300}
    assert {f"hello {row.name}" for row in rows} == set(texts)
    assert len({row.message for row in rows}) == done.total == 300


TEMPLATE = TemplatePart(name="news", language="en", body=("{{contact.name|you}}",))
APPROVED = (MessageTemplate(name="news", language="en", body="News for {{1}}"),)


async def test_d08_where_the_window_is_closed_the_template_goes_out_or_it_fails(
    town: Town, provider_stub: Stub
) -> None:
    shop = await town.connect("whatsapp", provider_stub.base, templates=APPROVED)
    for name, hours in (("open", 1), ("closed", 30)):
        contact = town.contact(name)
        await town.store.insert(CONTACTS, contact)
        at = datetime.now(UTC) - timedelta(hours=hours)
        await town.talked(contact, shop, f"49-{name}", window_at=at, last_inbound_at=at)
    with_template = town.draft("free", when_closed="template", template=TEMPLATE)
    without = town.draft("free only", when_closed="fail")
    for broadcast in (with_template, without):
        await town.start(broadcast)
        await town.in_state(broadcast, "done")
    found = [
        {row.name: (row.state, row.reason) for row in await town.recipients(broadcast)}
        for broadcast in (with_template, without)
    ]
    assert found == [
        {"open": ("sent", ""), "closed": ("sent", "")},
        {"open": ("sent", ""), "closed": ("failed", "window_closed")},
    ]
    went = [(item.recipient, item.body["type"]) for item in provider_stub.sent(shop.slug)]
    assert sorted(went) == [("49-closed", "template"), ("49-open", "text"), ("49-open", "text")]


async def test_b03_cancelled_midway_the_rest_gets_nothing(town: Town, provider_stub: Stub) -> None:
    line = await town.connect("line", provider_stub.base)
    await town.people(60, line)
    broadcast = await town.start(town.draft(per_minute=600))
    await until(lambda: _more(lambda: provider_stub.shown(line.slug), 10), "some are sent")
    await town.act(broadcast, cancelled)

    async def wound_up() -> bool:
        return (await town.broadcast(broadcast.id)).fires_at is None

    await until(wound_up, "it is wound up")
    found = await town.states(broadcast)
    sent = len(provider_stub.shown(line.slug))
    assert found == {"sent": sent, "cancelled": 60 - sent}
    assert 10 < sent <= 30
    ended = await town.broadcast(broadcast.id)
    assert (ended.state, ended.ended_at is not None) == ("cancelled", True)


async def _more(shown: Callable[[], list[str]], than: int) -> bool:
    return len(shown()) > than
