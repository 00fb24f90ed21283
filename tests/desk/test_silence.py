"""Whether the webhooks of a connected account have stopped, as `GET /accounts` says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.health import Seen
from libs.common.rhythm import WEEK_H, Rhythm, hour_of
from libs.common.subjects import HEALTH_KV, RHYTHM_KV
from tests.desk.world import World


async def health(world: World, channel: str, *, silent: bool) -> dict[str, Any]:
    """Return the account's health once it says so."""
    slug = world.slug(channel)
    async with asyncio.timeout(20):
        while True:
            items = (await world.get("/accounts"))["items"]
            found: dict[str, Any] = next(a["health"] for a in items if a["slug"] == slug)
            if found["silent"] is silent:
                return found
            await asyncio.sleep(0.05)


async def test_d10_silent_account_is_shown_and_its_next_webhook_clears_it(world: World) -> None:
    now = datetime.now(UTC)
    stopped = now - timedelta(hours=6)
    busy = Rhythm(
        last_at=stopped, upto=hour_of(now) - 1, hours=("cccc",) * WEEK_H, weeks=(2016,) * 4
    )
    await world.bus.kv_put(RHYTHM_KV, world.slug("line"), msgspec.json.encode(busy))

    found = await health(world, "line", silent=True)
    assert datetime.fromisoformat(found["silent_since"]) == stopped
    assert datetime.fromisoformat(found["last_webhook_at"]) == stopped
    others = await health(world, "web", silent=False)
    assert others["silent_since"] is None

    seen = Seen(at=now, webhook_at=datetime.now(UTC))
    await world.bus.kv_put(HEALTH_KV, f"{world.slug('line')}.ingest.01", msgspec.json.encode(seen))

    found = await health(world, "line", silent=False)
    assert found["silent_since"] is None
