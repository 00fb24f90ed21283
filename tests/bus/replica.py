"""A replica in a process of its own, to be killed: `python replica.py URL STREAM FILE`.

Consumes in batches and appends `<monotonic ns> <partition> <sequence> <body>` for each delivery,
before it acknowledges.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from libs.common.bus.client import open_bus
from libs.common.bus.consume import consume_batches
from libs.common.bus.delivery import Ack, Delivery, Outcome
from libs.common.bus.options import Options
from libs.common.subjects import Stream

ACK_WAIT_S = 1.5
PIN_TTL_S = 2.0


async def main(url: str, name: str, path: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    stream = Stream(name=name, subjects=(f"{name.lower()}.*.*",))
    with path.open("a", buffering=1) as out:

        async def handle(deliveries: Sequence[Delivery]) -> Sequence[Outcome]:
            for each in deliveries:
                out.write(
                    f"{time.monotonic_ns()} {each.partition} {each.sequence} {each.data.decode()}\n"
                )
            await asyncio.sleep(0.002)
            return [Ack()] * len(deliveries)

        async with open_bus(url, name="replica", provision=False) as bus:
            await consume_batches(
                bus,
                stream,
                "work",
                handle,
                stop=stop,
                service="test",
                batch=20,
                options=Options(ack_wait_s=ACK_WAIT_S, pin_ttl_s=PIN_TTL_S),
            )


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
