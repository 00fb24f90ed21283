"""A process that takes places of a meter as fast as it can.

`python -m tests.scheduler.metering <store url> <per minute> <seconds>` writes how many it got.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime

from libs.common.later import METERS
from libs.common.store.open import open_store
from services.scheduler.meter import take


async def main(store_url: str, per_minute: int, seconds: float) -> int:
    """Return how many places it got."""
    got = 0
    async with open_store(store_url, (METERS,)) as store:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            got += (await take(store, "acme", "m", per_minute, 10, datetime.now(UTC))).n
            await asyncio.sleep(0.001)
    return got


if __name__ == "__main__":
    sys.stdout.write(str(asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))))
