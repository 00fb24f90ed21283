"""Ingest as a process of its own while NATS, the disk and the process itself fail."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import msgspec
import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.channel import Account
from libs.common.events import Inbound
from libs.common.simulate.signing import signed
from tests.ingest.harness import (
    Answered,
    There,
    account,
    connect,
    events,
    ingest_there,
    now,
    raws,
    said,
    until,
    webhook,
)
from tests.nats_server import NatsProcess

NEVER_LATER_S = 1.9


@contextlib.asynccontextmanager
async def bus_of(nats: NatsProcess) -> AsyncIterator[Bus]:
    async with open_bus(nats.url, name="test") as bus:
        yield bus


async def started(there: There, bus: Bus, *accounts: Account) -> None:
    """Connect the accounts and wait until ingest knows them."""
    await connect(bus, *accounts)
    await until(there.ready, "ready")
    for one in accounts:

        async def known(one: Account = one) -> bool:
            return (await there.post(one, webhook(one, "known"))).status == 200

        await until(known, "the account is known")


async def exactly_once(bus: Bus, workspace: str, names: Sequence[str]) -> None:
    """Wait until each of *names* is stored; none may be there twice."""

    async def all_there() -> bool:
        found = await events(bus, workspace)
        return len({e.event.event_id for e in found}) >= len(names) + 1

    await until(all_there, f"{len(names)} events")
    found = Counter(e.event.event_id.rpartition(":")[2] for e in await events(bus, workspace))
    assert found == Counter([*names, "known"])


async def test_i7_a_paused_broker_delays_nobody_and_loses_nothing(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    one = account("messenger")
    async with bus_of(nats_process) as bus, ingest_there(nats_process.url, tmp_path) as there:
        await started(there, bus, one)
        nats_process.pause()
        sending = []
        for number in range(150):
            sending.append(asyncio.create_task(there.post(one, webhook(one, f"m-{number}"))))
            await asyncio.sleep(0.02)
        answers = await asyncio.gather(*sending)
        nats_process.resume()
        assert {a.status for a in answers} == {200}
        assert max(a.seconds for a in answers) < NEVER_LATER_S
        assert await there.metric("requests_total") > 0
        names = [f"m-{n}" for n in range(150)]
        await exactly_once(bus, one.workspace, names)
        await until(lambda: drained(there), "an empty spool")
        assert len(await raws(bus, one.workspace)) >= 151


async def test_b2_a_broker_that_is_away_is_replaced_by_the_spool(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    one = account("line")
    names = [f"m-{n}" for n in range(100)]
    async with ingest_there(nats_process.url, tmp_path) as there:
        async with bus_of(nats_process) as bus:
            await started(there, bus, one)
        nats_process.kill()
        answers = await asyncio.gather(*[there.post(one, webhook(one, n)) for n in names])
        assert {a.status for a in answers} == {200}
        assert max(a.seconds for a in answers) < NEVER_LATER_S
        assert await there.ready()  # the spool takes over
        assert await there.metric("spool_records") > 0
        nats_process.start()
        async with bus_of(nats_process) as bus:
            await line_once(bus, one, names)
        await until(lambda: drained(there), "an empty spool")
        answer = await there.post(one, webhook(one, names[0]))  # the provider's retry
        assert answer.status == 200
        async with bus_of(nats_process) as bus:
            await line_once(bus, one, names)


async def test_a03_kill_9_between_spool_and_replay_loses_nothing(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    one = account("line")
    names = [f"m-{n}" for n in range(200)]
    accepted: list[str] = []
    async with ingest_there(nats_process.url, tmp_path) as there:
        async with bus_of(nats_process) as bus:
            await started(there, bus, one)
        nats_process.kill()

        async def send(name: str) -> None:
            with contextlib.suppress(aiohttp.ClientError):
                if (await there.post(one, webhook(one, name))).status == 200:
                    accepted.append(name)

        sending = [asyncio.create_task(send(name)) for name in names]
        await until(lambda: some(accepted, 50), "50 accepted")
        assert await there.end(signal.SIGKILL) == -9  # in the middle of spooling
        await asyncio.gather(*sending)
    # NATS is still away: the accounts come from the cache, and it is ready all the same.
    async with ingest_there(nats_process.url, tmp_path) as there:
        await until(there.ready, "ready from the cache")
        assert (await there.post(one, webhook(one, "late"))).status == 200
        nats_process.start()
        await asyncio.sleep(0.1)
        await there.end(signal.SIGKILL)  # in the middle of the replay
    async with ingest_there(nats_process.url, tmp_path) as there:
        await until(lambda: drained(there), "an empty spool")
    async with bus_of(nats_process) as bus:
        found = Counter(line_ids(await events(bus, one.workspace)))
        assert set(accepted) | {"late"} <= set(found)
        assert set(found.values()) == {1}


async def test_a02_kill_9_under_load_and_retries_store_once(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    one = account("line")
    names = [f"m-{n}" for n in range(300)]
    done: list[str] = []
    async with bus_of(nats_process) as bus:
        current: list[There] = []

        async def send(name: str) -> None:
            while name not in done:
                with contextlib.suppress(aiohttp.ClientError, IndexError):
                    if (await current[-1].post(one, webhook(one, name))).status == 200:
                        done.append(name)
                        return
                await asyncio.sleep(0.1)

        async with ingest_there(nats_process.url, tmp_path) as there:
            await started(there, bus, one)
            current.append(there)
            sending = [asyncio.create_task(send(name)) for name in names]
            await until(lambda: some(done, 30), "30 accepted")
            await there.end(signal.SIGKILL)
            current.clear()
        async with ingest_there(nats_process.url, tmp_path) as there:
            current.append(there)
            await asyncio.wait_for(asyncio.gather(*sending), 30)
            await until(lambda: drained(there), "an empty spool")
        await line_once(bus, one, names)


async def test_b2_a_full_spool_is_an_honest_refusal(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    one = account("messenger")
    async with ingest_there(
        nats_process.url, tmp_path, RELAYDESK_SPOOL_MAX_BYTES=str(1 << 20)
    ) as there:
        async with bus_of(nats_process) as bus:
            await started(there, bus, one)
        nats_process.stop()
        answers: list[Answered] = []
        for number in range(40):
            body = said(one, f"m-{number}", "x" * 50_000)
            answers.append(await there.post(one, signed(one, body, now=now())))
        statuses = [a.status for a in answers]
        assert statuses[0] == 200
        assert statuses[-1] == 503
        assert answers[-1].headers["Retry-After"] == "5"
        assert max(a.seconds for a in answers) < NEVER_LATER_S
        assert not await there.ready()
        nats_process.start()
        await until(lambda: drained(there), "an empty spool")
        await until(there.ready, "ready again")
        assert (await there.post(one, webhook(one, "again"))).status == 200
        async with bus_of(nats_process) as bus:
            found = await events(bus, one.workspace)
            assert len(found) == statuses.count(200) + 2


async def test_i11_a_flood_of_large_bodies_stays_bounded(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    one = account("line")
    event = msgspec.json.decode(said(one, "m-1"))["events"][0]
    many = [{**event, "webhookEventId": f"E{i}", "pad": "x" * 4000} for i in range(900)]
    body = msgspec.json.encode({"destination": one.external_id, "events": many})
    request = signed(one, body, now=now())
    async with ingest_there(nats_process.url, tmp_path) as there:
        async with bus_of(nats_process) as bus:
            await started(there, bus, one)
        waits: list[float] = []

        async def small() -> None:
            for number in range(100):
                answer = await there.post(one, webhook(one, f"s-{number}"))
                waits.append(answer.seconds)
                await asyncio.sleep(0.03)

        large = [asyncio.create_task(there.post(one, request)) for _ in range(24)]
        nats_process.pause()
        await small()
        nats_process.resume()
        answers = await asyncio.gather(*large)
        assert {a.status for a in answers} <= {200, 503}
        assert max(a.seconds for a in answers) < NEVER_LATER_S + 1.0  # much of it is sending
        assert max(waits) < NEVER_LATER_S
        assert peak_mib(there.process.pid) < 256
        await until(lambda: drained(there), "an empty spool")


async def test_i17_sigterm_finishes_what_was_begun(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    one = account("line")
    async with bus_of(nats_process) as bus, ingest_there(nats_process.url, tmp_path) as there:
        await started(there, bus, one)
        nats_process.pause()  # so that requests are under way when the signal comes
        names = [f"m-{n}" for n in range(20)]
        sending = [asyncio.create_task(there.post(one, webhook(one, n))) for n in names]
        await asyncio.sleep(0.2)
        began = time.monotonic()
        there.process.send_signal(signal.SIGTERM)
        answers = await asyncio.gather(*sending)
        nats_process.resume()
        assert {a.status for a in answers} == {200}
        assert await asyncio.wait_for(there.process.wait(), 10) == 0
        assert time.monotonic() - began < 10
        async with ingest_there(nats_process.url, tmp_path) as again:
            await until(lambda: drained(again), "an empty spool")
        await line_once(bus, one, names)


async def test_h2_a_spool_that_cannot_be_used_stops_the_start(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = str(tmp_path / "file" / "spool")
    with pytest.raises(AssertionError, match="RELAYDESK_SPOOL_DIR"):
        async with ingest_there(nats_process.url, tmp_path, RELAYDESK_SPOOL_DIR=folder):
            pass


async def test_a_start_without_broker_and_without_accounts_is_not_ready(tmp_path: Path) -> None:
    async with ingest_there("nats://127.0.0.1:9", tmp_path) as there:
        assert not await there.ready()
        one = account("line")
        answer = await there.post(one, webhook(one, "m-1"))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert await there.end(signal.SIGTERM) == 0


def line_ids(found: Sequence[Inbound]) -> list[str]:
    return [getattr(e.event, "message_id", "") for e in found]


async def line_once(bus: Bus, one: Account, names: Sequence[str]) -> None:
    async def all_there() -> bool:
        return set(names) <= set(line_ids(await events(bus, one.workspace)))

    await until(all_there, f"{len(names)} events")
    found = Counter(line_ids(await events(bus, one.workspace)))
    assert set(found.values()) == {1}, found.most_common(3)


async def drained(there: There) -> bool:
    return await there.metric("spool_records") == 0


async def some(found: Sequence[str], count: int) -> bool:
    return len(found) >= count


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024
