"""What timers rely on of the server, seen on the real one: replaced, kept, and due once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.events import Timer
from libs.common.subjects import DEAD, TIMERS
from tests.nats_server import NatsProcess
from tests.scheduler.rig import arm, in_s, timer


def timers_bus(url: str) -> AbstractAsyncContextManager[Bus]:
    return open_bus(url, name="t", declared=(TIMERS, DEAD), publish_timeout_s=5.0)


async def came(bus: Bus, session: str) -> list[Timer]:
    """Return what came due for the session so far."""
    found = await bus.read(TIMERS, f"due.*.*.{session}")
    return [msgspec.json.decode(message.data, type=Timer) for message in found]


async def settled(bus: Bus, session: str, after_s: float) -> list[Timer]:
    """Return what came due once nothing more can come."""
    await asyncio.sleep(after_s)
    return await came(bus, session)


async def _once(bus: Bus) -> tuple[list[Timer], list[Timer]]:
    armed = timer("once", in_s(0.5))
    await arm(bus, armed)
    assert await came(bus, "once") == []  # not before its time
    return await settled(bus, "once", 1.5), [armed]


async def _replaced(bus: Bus) -> tuple[list[Timer], list[Timer]]:
    later = timer("replaced", in_s(1.2), rev=2)
    await arm(bus, timer("replaced", in_s(0.5)), later)
    return await settled(bus, "replaced", 2.2), [later]


async def _sooner(bus: Bus) -> tuple[list[Timer], list[Timer]]:
    sooner = timer("sooner", in_s(0.3), rev=2)
    await arm(bus, timer("sooner", in_s(1.2)), sooner)
    return await settled(bus, "sooner", 2.2), [sooner]


async def _repeated(bus: Bus) -> tuple[list[Timer], list[Timer]]:
    old, new = timer("repeated", in_s(1.5)), timer("repeated", in_s(0.3), rev=2)
    acks = await arm(bus, old, new, old)
    assert [ack.duplicate for ack in acks] == [False, False, True]
    return await settled(bus, "repeated", 2.5), [new]


async def _again(bus: Bus) -> tuple[list[Timer], list[Timer]]:
    due = in_s(0.6)
    back = timer("again", due, rev=3)
    await arm(bus, timer("again", due, rev=1), timer("again", in_s(9), rev=2), back)
    return await settled(bus, "again", 1.6), [back]


async def _overdue(bus: Bus) -> tuple[list[Timer], list[Timer]]:
    overdue = timer("overdue", in_s(-3600))
    await arm(bus, overdue)
    return await settled(bus, "overdue", 1.0), [overdue]


async def _published_again(bus: Bus) -> tuple[list[Timer], list[Timer]]:
    armed = timer("fired", in_s(0.1))
    await arm(bus, armed)
    await settled(bus, "fired", 1.0)
    await arm(bus, armed)
    return await settled(bus, "fired", 1.0), [armed]


Story = Callable[[Bus], Awaitable[tuple[list[Timer], list[Timer]]]]
STORIES: dict[str, Story] = {
    "one is due once, and not before its time": _once,
    "arming again replaces it by a later one": _replaced,
    "arming again replaces it by a sooner one": _sooner,
    "an older write that is published once more replaces nothing": _repeated,
    "moved away and back to the very same time it still comes": _again,
    "what is overdue when it is armed is due at once": _overdue,
    "a write that is published once more after it came brings nothing": _published_again,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_i14_schedules(story: Story, nats_url: str) -> None:
    async with timers_bus(nats_url) as bus:
        seen, expected = await story(bus)
        assert seen == expected


async def test_i14_timers_survive_kills_of_the_server_and_are_due_once(
    nats_process: NatsProcess,
) -> None:
    """Due before, during and after an outage, each is stored once; what is far stays armed."""
    armed = [timer(f"s{n}", in_s(0.5 + n * 0.03)) for n in range(100)]
    far = timer("far", in_s(3600))
    async with timers_bus(nats_process.url) as bus:
        await arm(bus, *armed, far)
        await asyncio.sleep(1.0)
        for pause_s in (1.0, 0.0):
            nats_process.kill()
            await asyncio.sleep(pause_s)
            nats_process.start()
            await asyncio.sleep(0.3)
        await asyncio.sleep(3.0)
        found = await bus.read(TIMERS, "due.>", limit=500)
        sessions = [msgspec.json.decode(message.data, type=Timer).session for message in found]
        assert sorted(sessions) == sorted(one.session for one in armed)
        assert [m.subject for m in await bus.read(TIMERS, "timer.>")] == ["timer.silent_owner.far"]


async def test_the_stream_drops_no_timer_and_lets_what_came_expire(nats_url: str) -> None:
    """No age, size or count limit may apply to a stream whose messages are schedules."""
    async with timers_bus(nats_url) as bus:
        await arm(bus, timer("ttl", in_s(0)))
        await asyncio.sleep(1.0)
        config = (await bus.asker.api("STREAM.INFO.TIMERS"))["config"]
        limits = [config[name] for name in ("max_age", "max_bytes", "max_msgs", "max_msg_size")]
        assert limits == [0, -1, -1, -1]
        assert config["allow_msg_schedules"] is True
        (message,) = await bus.read(TIMERS, "due.*.*.ttl")
        assert message.headers["Nats-TTL"] == "24h"
        assert "Nats-Msg-Id" not in message.headers
