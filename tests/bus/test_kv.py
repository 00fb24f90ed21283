"""Key-value buckets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Self

import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.bus.delivery import KvEntry
from libs.common.errors import BusUnavailableError, PermanentError, StaleRevisionError
from libs.common.subjects import Bucket
from tests.bus.kit import Cable, eventually, reconnecting
from tests.nats_server import NatsProcess

PLAIN = Bucket(name="kvtest")
SHORT = Bucket(name="kvshort", ttl_s=1)


@pytest.fixture
async def kv(nats_url: str) -> AsyncIterator[Bus]:
    async with open_bus(nats_url, name="t", declared=(PLAIN, SHORT)) as bus:
        for bucket in (PLAIN, SHORT):
            await bus.asker.api(f"STREAM.PURGE.KV_{bucket.name}")
        yield bus


async def test_what_was_put_is_got_until_it_is_deleted(kv: Bus) -> None:
    assert await kv.kv_get(PLAIN, "a") is None
    revision = await kv.kv_put(PLAIN, "a", b"1")
    assert await kv.kv_get(PLAIN, "a") == KvEntry(key="a", value=b"1", revision=revision)
    await kv.kv_delete(PLAIN, "a")
    assert await kv.kv_get(PLAIN, "a") is None
    await kv.kv_delete(PLAIN, "a")


async def test_an_empty_value_is_a_value(kv: Bus) -> None:
    await kv.kv_put(PLAIN, "a", b"")
    entry = await kv.kv_get(PLAIN, "a")
    assert entry is not None
    assert entry.value == b""


async def test_keys_are_sorted_and_without_the_deleted(kv: Bus) -> None:
    assert await kv.kv_keys(PLAIN) == []
    for key in ("b", "a.x", "c"):
        await kv.kv_put(PLAIN, key, b"1")
    await kv.kv_delete(PLAIN, "c")
    assert await kv.kv_keys(PLAIN) == ["a.x", "b"]


async def test_compare_and_set_has_one_winner(kv: Bus) -> None:
    first = await kv.kv_put(PLAIN, "a", b"1", expected_revision=0)
    with pytest.raises(StaleRevisionError):
        await kv.kv_put(PLAIN, "a", b"2", expected_revision=0)
    results = await asyncio.gather(
        *(kv.kv_put(PLAIN, "a", b"%d" % n, expected_revision=first) for n in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, StaleRevisionError) for result in results) == 4


@pytest.mark.parametrize("key", ["", "a b", "a..b", ".a", "a.", "*", ">", "a\r\nb", "ä"])
async def test_a_bad_key_is_refused(kv: Bus, key: str) -> None:
    with pytest.raises(PermanentError):
        await kv.kv_put(PLAIN, key, b"1")


async def test_a_bucket_that_is_not_there_is_unavailable(kv: Bus) -> None:
    with pytest.raises(BusUnavailableError):
        await kv.kv_get(Bucket(name="never"), "a")
    with pytest.raises(BusUnavailableError):
        await kv.kv_put(Bucket(name="never"), "a", b"1")


class Watcher:
    """Collects what a watch yields."""

    def __init__(self, bus: Bus, bucket: Bucket) -> None:
        self.told: list[tuple[str, bytes | None] | None] = []
        self._task = asyncio.create_task(self._run(bus, bucket))

    async def _run(self, bus: Bus, bucket: Bucket) -> None:
        async with aclosing(bus.kv_watch(bucket)) as watch:  # type: ignore[type-var]
            async for entry in watch:
                self.told.append((entry.key, entry.value) if entry else None)

    async def told_so_far(self, count: int) -> list[tuple[str, bytes | None] | None]:
        await eventually(lambda: len(self.told) >= count)
        return self.told

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def test_a_watch_tells_what_is_there_then_a_marker_then_changes(kv: Bus) -> None:
    await kv.kv_put(PLAIN, "a", b"1")
    await kv.kv_put(PLAIN, "b", b"1")
    await kv.kv_delete(PLAIN, "b")
    async with Watcher(kv, PLAIN) as watcher:
        assert await watcher.told_so_far(2) == [("a", b"1"), None]
        await kv.kv_put(PLAIN, "a", b"2")
        await kv.kv_delete(PLAIN, "a")
        assert await watcher.told_so_far(4) == [("a", b"1"), None, ("a", b"2"), ("a", None)]


async def test_a_watch_of_an_empty_bucket_tells_the_marker_at_once(kv: Bus) -> None:
    async with Watcher(kv, PLAIN) as watcher:
        assert await watcher.told_so_far(1) == [None]


async def test_an_expired_entry_is_told_as_deleted(kv: Bus) -> None:
    async with Watcher(kv, SHORT) as watcher:
        await watcher.told_so_far(1)
        await kv.kv_put(SHORT, "a", b"1")
        assert await watcher.told_so_far(3) == [None, ("a", b"1"), ("a", None)]
        assert await kv.kv_keys(SHORT) == []


async def test_a_watch_goes_on_after_a_cut_without_repeating(nats_url: str, kv: Bus) -> None:
    async with (
        Cable(nats_url) as cable,
        open_bus(cable.url, name="t", provision=False) as far,
        Watcher(far, PLAIN) as watcher,
    ):
        await watcher.told_so_far(1)
        await kv.kv_put(PLAIN, "a", b"1")
        await watcher.told_so_far(2)
        cable.up = False
        async with reconnecting(far):
            cable.cut()
            await kv.kv_put(PLAIN, "b", b"1")
            cable.up = True
        assert await watcher.told_so_far(3) == [None, ("a", b"1"), ("b", b"1")]


async def test_a_watch_goes_on_over_a_kill_of_the_server(nats_process: NatsProcess) -> None:
    async with (
        open_bus(nats_process.url, name="t", declared=(PLAIN,)) as bus,
        Watcher(bus, PLAIN) as watcher,
    ):
        await bus.kv_put(PLAIN, "a", b"1")
        await watcher.told_so_far(2)
        async with reconnecting(bus):
            nats_process.kill()
            nats_process.start()
        await bus.kv_put(PLAIN, "b", b"2")
        assert (await watcher.told_so_far(3))[-1] == ("b", b"2")
        assert watcher.told.count(None) == 1


async def test_after_the_bucket_was_recreated_vanished_keys_are_told(kv: Bus) -> None:
    await kv.kv_put(PLAIN, "a", b"1")
    await kv.kv_put(PLAIN, "b", b"1")
    async with Watcher(kv, PLAIN) as watcher:
        await watcher.told_so_far(3)
        await kv.asker.api(f"STREAM.DELETE.KV_{PLAIN.name}")
        kv.look_now()
        async with asyncio.timeout(30):
            while True:
                try:
                    await kv.kv_put(PLAIN, "b", b"2")
                except BusUnavailableError:
                    await asyncio.sleep(0.05)
                else:
                    break
        await eventually(lambda: ("b", b"2") in watcher.told)
        await eventually(lambda: ("a", None) in watcher.told)
        assert watcher.told.count(None) == 1
