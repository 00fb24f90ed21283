"""When visitors of the web chat were last there, as ingest tells: heard, and kept nowhere else.

What is not heard is not known: who is not in the table was last seen before `known_since`, or
never. So a notifier that has just started, or was cut off, calls nobody gone.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

import msgspec

from libs.common.bus.client import Bus
from libs.common.channels.web.wire import SignOfLife
from libs.common.subjects import VISITOR_SIGNS

log = logging.getLogger(__name__)

MOST = 50_000
"""Visitors that are remembered, about 400 bytes each."""

_SIGN = msgspec.json.Decoder(SignOfLife)


class Lives:
    """Who was there when, by our own clock: those of other machines may be wrong.

    Args:
        now: UTC.
        connected: Whether what is told reaches us at the moment.
        most: Visitors that are remembered; beyond, those who were seen longest ago are forgotten.
    """

    def __init__(
        self, now: Callable[[], datetime], connected: Callable[[], bool], most: int = MOST
    ) -> None:
        self._now = now
        self._connected = connected
        self._most = most
        self._seen: OrderedDict[tuple[str, str], datetime] = OrderedDict()
        self._floor = now()

    def begin(self) -> None:
        """Know of nothing that was told until now."""
        self._floor = self._now()

    @property
    def known_since(self) -> datetime:
        """Since when nobody's sign of life was missed, but of those in the table."""
        return self._floor if self._connected() else self._now()

    def seen(self, account: str, visitor: str) -> datetime | None:
        """Return when the visitor was last there; None: not since `known_since`."""
        return self._seen.get((account, visitor))

    def take(self, _subject: str, data: bytes) -> None:
        """Note one sign of life."""
        try:
            sign = _SIGN.decode(data)
        except (ValueError, RecursionError) as error:
            log.warning("visitor_sign.malformed", extra={"reason": type(error).__name__})
            return
        key = (sign.account, sign.visitor)
        self._seen[key] = self._now()
        self._seen.move_to_end(key)
        while len(self._seen) > self._most:
            _, forgotten = self._seen.popitem(last=False)
            self._floor = max(self._floor, forgotten)

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._seen)


@asynccontextmanager
async def listening(bus: Bus, now: Callable[[], datetime]) -> AsyncIterator[Lives]:
    """Hear of visitors until the block ends."""
    lives = Lives(now, lambda: bus.connected)
    stop = await bus.listen(VISITOR_SIGNS, lives.take)
    lives.begin()
    forget = bus.on_return(lives.begin)
    try:
        yield lives
    finally:
        forget()
        await stop()
