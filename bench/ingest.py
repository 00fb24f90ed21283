"""Ingest against bare aiohttp and against a naive publisher, as ratios within one run.

All servers are alive side by side, each pinned to core 0; nats-server and the generator share
core 1. Short slices in shuffled order, a ratio per cycle, the median over the cycles. The real
service is measured as it ships: real account directory, sealed secrets, metrics on.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import nats
from nats.js import JetStreamContext

from bench.load import Result, closed_loop, open_loop
from bench.webhook import Webhooks
from libs.common.cli.admin import apply_file, migrate
from libs.common.embedded import embedded_nats
from libs.common.seal import new_key_setting
from libs.common.subjects import INBOUND
from libs.common.workspace_file import AccountInFile, SecretRef, WorkspaceFile

SECRET = "bench-app-secret"
PAGE = "1001"
APP = "bench-app"
PATH = f"/webhooks/meta/{APP}"
CONNECTIONS = 128
LATENCY_CONNECTIONS = 64
SLICE_S = 1.0
LATENCY_S = 4.0
CYCLES = 10
TICKS = os.sysconf("SC_CLK_TCK")


class Server(msgspec.Struct, kw_only=True):
    """A server under test."""

    name: str
    port: int
    pid: int

    def cpu_s(self) -> float:
        """Return the CPU seconds that the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak_mib(self) -> float:
        """Return the most memory that was ever resident, in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0


def pinned(core: int) -> Callable[[], None]:
    """Return what a child runs first to stay on one core."""
    return lambda: os.sched_setaffinity(0, {core % (os.cpu_count() or 1)})


@asynccontextmanager
async def started(
    name: str,
    arguments: list[str],
    environ: dict[str, str],
    folder: Path,
    *,
    core: int | None = 0,
) -> AsyncIterator[Server]:
    """Run a server on one core, or on all, until the block ends; it writes its port to a file."""
    port_file = folder / f"{name}.json"
    port_file.unlink(missing_ok=True)
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 (pinned before its first thread starts)
            [sys.executable, *arguments],
            env={**os.environ, **environ},
            stdout=log,
            stderr=log,
            preexec_fn=None if core is None else pinned(core),  # noqa: PLW1509 (no thread runs yet)
        )
    try:
        while not port_file.exists():
            if process.poll() is not None:
                raise RuntimeError((folder / f"{name}.log").read_text()[-2000:])
            await asyncio.sleep(0.05)
        ports = msgspec.json.decode(port_file.read_bytes(), type=dict[str, int])
        yield Server(name=name, port=ports.get("port", 0), pid=process.pid)
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait)


def workspace() -> WorkspaceFile:
    secrets = {
        "app_secret": SecretRef(value=SECRET),
        "verify_token": SecretRef(value="v"),
        "access_token": SecretRef(value="t"),
    }
    account = AccountInFile(
        slug="bench-page", channel="messenger", external_id=PAGE, app=APP, secrets=secrets
    )
    return WorkspaceFile(workspace="bench", accounts=(account,))


@asynccontextmanager
async def all_servers(
    folder: Path, *, sync_always: bool
) -> AsyncIterator[tuple[list[Server], JetStreamContext]]:
    """Run bare, naive and ingest side by side on one broker."""
    os.sched_setaffinity(0, {1 % (os.cpu_count() or 1)})  # inherited by nats-server
    async with embedded_nats(folder / "nats", sync_always=sync_always) as url:
        settings = {
            "RELAYDESK_NATS_URL": url,
            "RELAYDESK_SECRET_KEY": new_key_setting(),
            "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'bench.db'}",
            "RELAYDESK_SPOOL_DIR": str(folder / "spool"),
            "RELAYDESK_PORT": "0",
        }
        await migrate(settings)
        await apply_file(settings, workspace())
        client = await nats.connect(url)
        bus = client.jetstream()
        await bus.add_stream(name="NAIVE", subjects=["naive.*"])
        naive = {"BENCH_SECRET": SECRET, "BENCH_NATS_URL": url}
        mine = {**settings, "RELAYDESK_PORT_FILE": str(folder / "ingest.json")}
        kinds = ["-m", "bench.servers"]
        async with (
            started("bare", [*kinds, "bare", str(folder / "bare.json")], {}, folder) as bare,
            started("naive", [*kinds, "naive", str(folder / "naive.json")], naive, folder) as slow,
            started("ingest", ["-m", "services.ingest"], mine, folder) as ingest,
        ):
            yield [bare, slow, ingest], bus
        await client.close()


class Slice(msgspec.Struct, kw_only=True):
    """One slice of one server."""

    per_second: float
    cpu_us: float
    result: Result


def measure(server: Server, requests: Webhooks, *, per_second: float = 0.0) -> Slice:
    """Load one server for a slice: closed loop, or open loop at a rate."""
    ready = [requests() for _ in range(30_000 if not per_second else int(per_second * 5))]
    waiting = iter(ready)

    def request() -> bytes:
        return next(waiting, None) or requests()

    before = server.cpu_s()
    if per_second:
        result = open_loop(
            server.port,
            request,
            per_second=per_second,
            seconds=LATENCY_S,
            connections=LATENCY_CONNECTIONS,
        )
    else:
        result = closed_loop(server.port, request, seconds=SLICE_S, connections=CONNECTIONS)
    cpu_us = (server.cpu_s() - before) * 1e6 / max(1, result.answered)
    if result.refused:
        raise RuntimeError(f"{server.name} refused {result.refused} requests")
    return Slice(per_second=result.per_second, cpu_us=cpu_us, result=result)


def spread(values: list[float]) -> str:
    """Return median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


async def compare(*, sync_always: bool, cycles: int) -> None:
    """Print the ratios with one setting of the broker's sync."""
    title = "sync_interval: always, as shipped" if sync_always else "the broker's default sync"
    print(f"\n## Ingest, one worker, {title}\n")
    with tempfile.TemporaryDirectory() as name:
        async with all_servers(Path(name), sync_always=sync_always) as (servers, bus):
            requests = Webhooks(path=PATH, page=PAGE, secret=SECRET, run=uuid.uuid4().hex[:8])
            shuffle = random.Random(7)
            slices: dict[str, list[Slice]] = {server.name: [] for server in servers}
            for _ in range(cycles + 1):
                shuffle.shuffle(servers)
                for server in servers:
                    slices[server.name].append(await asyncio.to_thread(measure, server, requests))
            for found in slices.values():
                del found[0]  # warming up
            print_throughput(slices)
            if not sync_always:
                await latency(servers, slices, requests)
            accepted = sum(s.result.answered for s in slices["ingest"])
            await print_stored(bus, at_least=accepted)
            peak = next(server for server in servers if server.name == "ingest").peak_mib()
            print(f"ingest's peak memory: {peak:.0f} MiB")


def print_throughput(slices: dict[str, list[Slice]]) -> None:
    bare, naive, mine = (slices[name] for name in ("bare", "naive", "ingest"))

    def ratios(above: list[Slice], below: list[Slice]) -> list[float]:
        return [a.per_second / b.per_second for a, b in zip(above, below, strict=True)]

    print(f"bare answers {statistics.median(s.per_second for s in bare):,.0f} requests/s")
    print(f"ingest / bare, requests/s:   {spread(ratios(mine, bare))}   (target 0.50, good 0.58)")
    print(f"naive / bare, requests/s:    {spread(ratios(naive, bare))}")
    print(f"ingest / naive, requests/s:  {spread(ratios(mine, naive))}   (target 1.4)")
    cpu = [a.cpu_us / b.cpu_us for a, b in zip(mine, bare, strict=True)]
    print(f"ingest / bare, CPU/request:  {spread(cpu)}   (target at most 1.9)")


async def latency(
    servers: list[Server], slices: dict[str, list[Slice]], requests: Webhooks
) -> None:
    """Print latencies at half of each server's own saturation."""
    found: dict[str, list[Slice]] = {server.name: [] for server in servers}
    for _ in range(3):
        for server in servers:
            half = statistics.median(s.per_second for s in slices[server.name]) / 2
            found[server.name].append(
                await asyncio.to_thread(measure, server, requests, per_second=half)
            )
            await asyncio.sleep(0.2)
    for share in (0.50, 0.99):
        middle = {
            name: statistics.median(s.result.percentile(share) for s in several)
            for name, several in found.items()
        }
        print(
            f"p{share * 100:.0f} at half load: ingest {middle['ingest'] * 1e3:.2f} ms, bare "
            f"{middle['bare'] * 1e3:.2f} ms, ratio {middle['ingest'] / middle['bare']:.2f}; naive "
            f"ratio {middle['naive'] / middle['bare']:.2f}   (target 2.5)"
        )


async def print_stored(bus: JetStreamContext, *, at_least: int) -> None:
    """Print that what was answered with 200 is on the stream."""
    await asyncio.sleep(0.5)
    stored = (await bus.stream_info(INBOUND.name)).state.messages
    verdict = "every 200 is stored" if stored >= at_least else "SOME 200 ARE NOT STORED"
    print(f"answered in slices {at_least:,}, stored in all {stored:,}: {verdict}")


async def main(cycles: int = CYCLES) -> None:
    """Measure with both settings."""
    begun = time.monotonic()
    await compare(sync_always=False, cycles=cycles)
    await compare(sync_always=True, cycles=max(3, cycles // 3))
    print(f"\n(took {time.monotonic() - begun:.0f} s)")
