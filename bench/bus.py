"""Publishing: the shared inbox against the client library's own, in one run on one server."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import nats

from libs.common.bus.client import open_bus
from libs.common.embedded import embedded_nats

MESSAGES = 20_000
IN_FLIGHT = 512
DATA = b"x" * 300


async def _rate(publish: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
    """Return messages per second and microseconds of CPU a message."""
    numbers = iter(range(MESSAGES))

    async def worker() -> None:
        for number in numbers:
            await publish(number)

    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return MESSAGES / wall, cpu * 1e6 / MESSAGES


async def main() -> None:
    """Print the ratios."""
    print(f"\n## Publishing with confirmation, {IN_FLIGHT} in flight, default sync\n")
    with tempfile.TemporaryDirectory() as folder:
        async with (
            embedded_nats(Path(folder), sync_always=False) as url,
            open_bus(url, name="bench", publish_timeout_s=30) as bus,
        ):
            client = await nats.connect(url)
            stream = client.jetstream()
            ours = await _rate(
                lambda n: bus.publish("ev.bench.message.stored.a", DATA, msg_id=f"ours-{n}")
            )
            theirs = await _rate(
                lambda n: stream.publish(
                    "ev.bench.message.stored.b", DATA, headers={"Nats-Msg-Id": f"theirs-{n}"}
                )
            )
            await client.close()
    print(
        f"shared inbox / js.publish: {ours[0] / theirs[0]:.1f} x the messages per second, "
        f"{ours[1] / theirs[1]:.2f} x the CPU ({ours[1]:.0f} us / {theirs[1]:.0f} us a message)"
    )
