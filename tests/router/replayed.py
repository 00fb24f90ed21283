"""A router whose streams are real, so that what it did can be replayed from them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import msgspec

from libs.common import subjects
from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import Ack, Delivery
from libs.common.directory import Directory
from libs.common.documents import CONTACTS, IDENTITIES, MESSAGES, SESSIONS
from libs.common.erased import Erased
from libs.common.events import Inbound, InboundEvent
from libs.common.seal import Sealer, new_key_setting
from libs.common.store.api import Collection, Page
from services.router.replay import Replayer
from services.router.replay_restore import Found
from services.router.replay_source import Wanted
from tests.router.rig import WORKSPACE, Rig, arrived

KINDS: tuple[tuple[Collection[Any], str], ...] = (
    (SESSIONS, "updated"),
    (MESSAGES, "at"),
    (CONTACTS, "seen"),
    (IDENTITIES, "contact"),
)


class Replayed:
    """A rig on real streams, and what a replay makes of them."""

    def __init__(self, rig: Rig, bus: Bus) -> None:
        self.rig = rig
        self.bus = bus
        rig.says = bus
        rig.restart()
        self.directory = Directory(Sealer.from_setting(new_key_setting()))
        self.erased = Erased(())

    async def publish(self, *events: InboundEvent | Inbound) -> list[Delivery]:
        """Let *events* be accepted: they are on INBOUND, and no router has seen them."""
        found = []
        for event in events:
            inbound = event if isinstance(event, Inbound) else arrived(event)
            what = inbound.event
            where = (inbound.workspace, inbound.channel, inbound.account, what.visitor)
            data = msgspec.json.encode(inbound)
            ack = await self.bus.publish(
                subjects.inbound(*where), data, msg_id=f"{inbound.account}/{what.event_id}"
            )
            found.append(
                Delivery(
                    subject=subjects.inbound(*where),
                    data=data,
                    headers={},
                    sequence=ack.sequence,
                    attempt=1,
                    partition=0,
                    pending=0,
                    reply="",
                )
            )
        return found

    async def take(self, *events: InboundEvent | Inbound) -> None:
        """Let *events* be accepted and routed, in one batch."""
        deliveries = await self.publish(*events)
        assert await self.rig.deliver(deliveries) == [Ack()] * len(deliveries)

    async def documents(self) -> dict[str, dict[str, Any]]:
        """Return every document that a replay may restore, by collection and id."""
        await self.rig.outbox.flush()
        found: dict[str, dict[str, Any]] = {}
        for collection, order in KINDS:
            page = Page(order=order, limit=1000)
            rows = await self.rig.store.find(collection, WORKSPACE, {}, page)
            found[collection.name] = {row.id: msgspec.to_builtins(row) for row in rows}
        return found

    async def drop(self, *collections: Collection[Any]) -> None:
        """Lose whole collections, as an operator's mistake does."""
        await self.rig.outbox.flush()
        for collection, order in KINDS:
            if collection in collections:
                page = Page(order=order, limit=1000)
                for row in await self.rig.store.find(collection, WORKSPACE, {}, page):
                    await self.rig.store.delete(collection, WORKSPACE, row.id)
        self.rig.restart()

    async def replay(self, what: str = "all", *names: str, **more: Any) -> Found:
        """Replay as the command does."""
        wanted = Wanted(what=cast("Any", what), names=names, settle_s=0.0, **more)
        replayer = Replayer(self.bus, self.rig.store, self.directory, self.erased, lambda _: None)
        return await replayer.run(wanted)

    async def ends(self) -> dict[str, int]:
        """Return the last sequence of every stream: what was published since shows here."""
        return {one.name: await self.bus.end_of(one) for one in subjects.STREAMS}


@asynccontextmanager
async def replayed_on(rig: Rig, url: str) -> AsyncIterator[Replayed]:
    async with open_bus(url, name="test", publish_timeout_s=10.0) as bus:
        yield Replayed(rig, bus)


def without_rev(documents: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return *documents* without their counters of writes, which alone may differ."""
    return {
        name: {id_: {k: v for k, v in row.items() if k != "rev"} for id_, row in rows.items()}
        for name, rows in documents.items()
    }


def differences(before: dict[str, dict[str, Any]], after: dict[str, dict[str, Any]]) -> list[str]:
    """Return what differs, by document and field, for a failure to be read."""
    told = []
    for name, rows in without_rev(before).items():
        others = without_rev(after)[name]
        told += [f"{name} {one}: missing" for one in sorted(rows.keys() - others.keys())]
        told += [f"{name} {one}: new" for one in sorted(others.keys() - rows.keys())]
        for one in rows.keys() & others.keys():
            fields = rows[one].keys() | others[one].keys()
            told += [
                f"{name} {one}.{field}: {rows[one].get(field)!r} != {others[one].get(field)!r}"
                for field in sorted(fields)
                if rows[one].get(field) != others[one].get(field)
            ]
    return told
