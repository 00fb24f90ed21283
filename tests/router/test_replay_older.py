"""Replay into a store from a backup: it comes to the present, and what is newer in it stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from libs.common.bus.consume import consume_batches
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.bus.settled import is_read
from libs.common.documents import MESSAGES, SESSIONS, Session
from libs.common.errors import PermanentError, StaleRevisionError
from libs.common.subjects import INBOUND
from services.router.replay_stale import bring_on
from tests.nats_server import NatsProcess
from tests.router.replayed import Replayed, replayed_on
from tests.router.rig import WORKSPACE, Rig, said


@pytest.fixture
async def site(rig: Rig, nats_process: NatsProcess) -> AsyncIterator[Replayed]:
    async with replayed_on(rig, nats_process.url) as made:
        yield made


async def _as_of(site: Replayed, was: Session, old: dict[str, dict[str, Any]]) -> None:
    """Put an older store in the place of this one."""
    await site.drop(SESSIONS, MESSAGES)
    await site.rig.store.insert_many(SESSIONS, [msgspec.structs.replace(was, rev=was.rev - 1)])
    await site.rig.store.insert_many(
        MESSAGES, [msgspec.convert(row, MESSAGES.kind) for row in old["messages"].values()]
    )


async def _behind(site: Replayed) -> str:
    """Let a session go on, and put the store of its begin back; return its id."""
    rig = site.rig
    await site.take(said("one", 1))
    old = await site.documents()
    [was] = await rig.sessions()
    await rig.done(rig.claim(was.id, "amy"))
    await rig.done(rig.send(was.id, "amy", "amy's answer"))
    for note in ("n1", "n2", "n3"):
        await rig.done(rig.note(was.id, "amy", note))
    await site.take(said("two", 63))
    await _as_of(site, was, old)
    return was.id


async def test_d06_whoever_goes_on_with_an_older_store_is_not_undone(site: Replayed) -> None:
    """What was lost is added; whose it is stays, and later writes are told under new ids."""
    rig = site.rig
    id_ = await _behind(site)
    await rig.done(rig.claim(id_, "bob"))
    await rig.done(rig.send(id_, "bob", "bob's answer"))
    found = await site.replay()
    assert (found.stale, found.forked, found.restored) == (1, 1, 0)
    session = await rig.only()
    assert session.owner == "bob"
    texts = [p.text for m in await rig.timeline(id_) for p in m.parts if hasattr(p, "text")]
    assert {"one", "two", "amy's answer", "bob's answer"} <= set(texts)
    assert len(texts) == len(set(texts))
    ends = await site.ends()
    rig.restart()
    await rig.done(rig.note(id_, "bob", "told again"))
    await rig.outbox.flush()
    assert (await site.ends())["EVENTS"] > ends["EVENTS"]
    assert (await site.replay()).stale == 0


async def test_d06_who_writes_between_look_and_write_is_not_undone(site: Replayed) -> None:
    id_ = await _behind(site)
    held = await site.rig.only()
    wanted = msgspec.structs.replace(held, owner="amy")
    live = await site.rig.store.replace(SESSIONS, msgspec.structs.replace(held, owner="bob"))
    with pytest.raises(StaleRevisionError):
        await bring_on(site.rig.store, held, wanted, 9)
    assert await site.rig.store.get(SESSIONS, WORKSPACE, id_) == live


async def test_d06_an_older_store_is_not_replayed_into_beside_routers(site: Replayed) -> None:
    await _behind(site)
    old = await site.documents()

    async def taken(deliveries: Sequence[Delivery]) -> list[Outcome]:
        return [Ack() for _ in deliveries]

    stop = asyncio.Event()
    router = asyncio.create_task(
        consume_batches(site.bus, INBOUND, "router", taken, stop=stop, service="router")
    )
    try:
        async with asyncio.timeout(10):
            while not await is_read(site.bus.asker, INBOUND.name, "router"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert (await site.replay(dry_run=True)).stale == 1
        with pytest.raises(PermanentError, match="stop router and desk"):
            await site.replay()
    finally:
        stop.set()
        await router
    assert await site.documents() == old
