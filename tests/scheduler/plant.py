"""Schedulers and routers as processes that can be killed, and what is planned for them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from libs.common import armed
from libs.common.bus.client import Bus, open_bus
from libs.common.documents import COLLECTIONS, DIRECTORY, MESSAGES, SYSTEM, DirectoryEntry, Message
from libs.common.events import SendRequest, TextPart
from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.seal import new_key_setting
from libs.common.store.api import Page, Store, cursor
from libs.common.store.open import open_store
from libs.common.subjects import OUTBOUND
from tests.nats_server import NatsProcess
from tests.router.processes import Process
from tests.scheduler.rig import Scheduler

WORKSPACE = "acme"
ACCOUNT = "acme-line"
_PAGE = 1000


class Plant(NamedTuple):
    """Three schedulers and a router on one server and one store."""

    nats: NatsProcess
    bus: Bus
    store: Store
    router: Process
    schedulers: Sequence[Process]

    async def plan(
        self, count: int, first: datetime, over_s: float, *, name: str = "sch"
    ) -> list[ScheduledMessage]:
        """Schedule so many messages to as many people from *first* on, as desk does."""
        step = timedelta(seconds=over_s / count)
        docs = [_doc(f"{name}{number}", first + number * step) for number in range(count)]
        for start in range(0, count, _PAGE):
            page = docs[start : start + _PAGE]
            assert not await self.store.insert_many(SCHEDULED, page)
            timers = (armed.timer_of(SCHEDULED, doc, 1) for doc in page)
            await asyncio.gather(*(armed.publish(self.bus, timer) for timer in timers))
        return docs

    async def docs(self) -> list[ScheduledMessage]:
        """Return all that is scheduled."""
        found: list[ScheduledMessage] = []
        page = Page(order="due", limit=_PAGE)
        while rows := await self.store.find(SCHEDULED, WORKSPACE, {}, page):
            found += rows
            page = msgspec.structs.replace(page, after=cursor(SCHEDULED, "due", rows[-1]))
        return found

    async def pending(self) -> int:
        """Return how many are not settled, up to a thousand."""
        return await self.store.count(SCHEDULED, WORKSPACE, {"state": "pending"})

    async def settled(self, within_s: float) -> None:
        """Wait until nothing is pending."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + within_s
        while left := await self.pending():
            assert loop.time() < ends, f"{left} are still pending"
            await asyncio.sleep(0.1)

    async def messages(self) -> list[Message]:
        """Return the messages that were made of what was scheduled."""
        found: list[Message] = []
        page = Page(order="key", limit=_PAGE)
        while rows := await self.store.find(MESSAGES, WORKSPACE, {"account": ACCOUNT}, page):
            found += (row for row in rows if row.origin)
            page = msgspec.structs.replace(page, after=cursor(MESSAGES, "key", rows[-1]))
        return found

    async def sends(self) -> Counter[str]:
        """Return how often each visitor is to be sent something."""
        found = await self.bus.read(OUTBOUND, "out.>", limit=100_000)
        sends = (msgspec.json.decode(one.data, type=SendRequest) for one in found)
        return Counter(one.visitor for one in sends)


async def check_once(plant: Plant, docs: Iterable[ScheduledMessage]) -> None:
    """See that each was sent, once: one message, one request to send, and the document says so.

    What was planned before them is counted again: it was not sent again either.
    """
    wanted = {doc.id for doc in docs}
    settled = {doc.id: doc for doc in await plant.docs()}
    unsent = [settled[id_] for id_ in wanted if settled[id_].state != "sent"]
    assert not unsent, unsent[:3]
    made = Counter(sent_of(message) for message in await plant.messages())
    assert made == Counter(settled.keys())
    async with asyncio.timeout(30):  # a killed router's outbox is said by the next one's sweep
        while (sends := await plant.sends()) != Counter(doc.visitor for doc in settled.values()):
            assert not [who for who, times in sends.items() if times > 1]
            await asyncio.sleep(0.5)


def sent_of(message: Message) -> str:
    """Return the id of the scheduled message that *message* was made of."""
    return message.origin.partition(":")[2]


@asynccontextmanager
async def plant_on(folder: Path) -> AsyncIterator[Plant]:
    """Start everything; stop what runs at the end."""
    nats = NatsProcess(folder / "nats")
    nats.start()
    url = f"sqlite:///{folder / 'store.db'}"
    environ = {
        "RELAYDESK_NATS_URL": nats.url,
        "RELAYDESK_STORE_URL": url,
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_LOG_LEVEL": "warning",
    }
    router = Process("router", folder, environ)
    schedulers = [Scheduler(name, folder, environ) for name in ("a", "b", "c")]
    begun = [router, *schedulers]
    try:
        async with (
            open_bus(nats.url, name="t", publish_timeout_s=10.0) as bus,
            open_store(url, COLLECTIONS) as store,
        ):
            await store.insert(
                DIRECTORY,
                DirectoryEntry(
                    id=f"workspace:{WORKSPACE}",
                    workspace=SYSTEM,
                    kind="workspace",
                    targets=(WORKSPACE,),
                ),
            )
            await asyncio.gather(*(asyncio.to_thread(process.start) for process in begun))
            yield Plant(nats, bus, store, router, schedulers)
    finally:
        await asyncio.gather(*(asyncio.to_thread(process.stop) for process in begun))
        nats.stop()


def _doc(id_: str, due: datetime) -> ScheduledMessage:
    now = datetime.now(UTC)
    return ScheduledMessage(
        id=id_,
        workspace=WORKSPACE,
        name="Parcel",
        contact=f"con_{id_}",
        account=ACCOUNT,
        channel="line",
        visitor=f"U_{id_}",
        author="ann",
        parts=(TextPart(text="Your parcel"),),
        local="",
        zone="UTC",
        due_at=due,
        fires_at=due,
        created_at=now,
        updated_at=now,
    )
