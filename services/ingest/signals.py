"""Typing and reading of ours, told to the open pages of a web visitor: now or never.

The sender takes the same subject for the other channels. One subscription an account, however many
pages are open.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.events import VisitorSignal

Tell = Callable[[bytes], None]
"""Takes one event for a page; never waits."""

_SIGNAL = msgspec.json.Decoder(VisitorSignal)


class Signals:
    """Who listens, by account and visitor."""

    def __init__(self) -> None:
        self._rooms: dict[tuple[Bus, str], _Room] = {}

    @asynccontextmanager
    async def heard(
        self, bus: Bus, account: tuple[str, str], visitor: str, tell: Tell
    ) -> AsyncIterator[None]:
        """Call *tell* with each signal for *visitor* of (workspace, account) in the block."""
        key = (bus, subjects.signal(*account))
        room = self._rooms.setdefault(key, _Room())
        pages = room.pages.setdefault(visitor, [])
        pages.append(tell)
        if not room.begun:
            room.begun = True
            room.stop = await bus.listen(key[1], room.take)
        try:
            yield
        finally:
            pages.remove(tell)
            if not pages:
                del room.pages[visitor]
            if not room.pages:
                del self._rooms[key]
                await room.stop()


class _Room:
    """The open pages of one account."""

    def __init__(self) -> None:
        self.pages: dict[str, list[Tell]] = {}
        self.begun = False
        self.stop: Callable[[], Awaitable[None]] = _nothing

    def take(self, _subject: str, data: bytes) -> None:
        try:
            given = _SIGNAL.decode(data)
        except (ValueError, RecursionError):
            return  # the sender, who takes them too, reports it
        for tell in self.pages.get(given.visitor, ()):
            tell(signal_event(given))


def signal_event(given: VisitorSignal) -> bytes:
    """Return *given* as one event; without an id, so that a page resumes behind a message."""
    return b"event: signal\ndata: %b\n\n" % msgspec.json.encode({"kind": given.kind})


async def _nothing() -> None:
    """Stand for what is not begun yet."""
