"""What happens as it happens: who is there, and what calls for attention."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.presence import Presences, watched_presence
from services.desk import metrics
from services.desk.inbox_feed import InboxFeed
from services.desk.live_feed import Feed
from services.desk.live_stream import Streams
from services.desk.presence import Attendance


class Live(msgspec.Struct, frozen=True):
    """What handlers are given of it."""

    presences: Presences
    attendance: Attendance
    streams: Streams
    inbox: InboxFeed


@asynccontextmanager
async def open_live(bus: Bus, now: Callable[[], datetime]) -> AsyncIterator[Live]:
    """Watch and tell until the block ends."""
    async with watched_presence(bus) as presences:
        metrics.PRESENT.labels("online").set_function(lambda: presences.count("online"))
        metrics.PRESENT.labels("away").set_function(lambda: presences.count("away"))
        feed = Feed(bus, now)
        attendance = Attendance(bus, presences, now)
        streams = Streams(feed, attendance, presences)
        inbox = InboxFeed(bus)
        streams.also_close.append(inbox.begin_anew)
        works = (feed.run(), attendance.run(), streams.run(), inbox.run())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield Live(presences, attendance, streams, inbox)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
