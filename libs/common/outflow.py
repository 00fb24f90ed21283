"""Large answers to readers who read slowly or not at all: bounded in number, in bytes and in time.

What an answer may hold is one piece in our hands and one on its way; the rest waits where it came
from until the reader has taken that.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

PIECE_BYTES = 128 * 1024
"""What is written at once. aiohttp waits for the reader only after more than 64 KiB."""
STALL_S = 30.0
"""Seconds in which a reader must take a piece, about 4 KiB/s; whoever does not is cut off."""
AT_ONCE = 32
AT_ONCE_PER_FILE = 8
PATIENCE_S = 3.0
"""Seconds to wait for room: a page shows many small pictures at once."""
_WAITING = 4
"""Those who may wait, as a multiple of those who are served."""
_UNSENT_BYTES = 64 * 1024


class FullError(Exception):
    """So many answers are going out already that no further one found room in time."""


class Room:
    """Bounds the answers that go out at once: all of them, and those of one key.

    Args:
        total: All at once.
        each: Of one key at once.
        patience_s: Seconds to wait for others to end.
    """

    def __init__(
        self,
        total: int = AT_ONCE,
        each: int = AT_ONCE_PER_FILE,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._total = total
        self._each = each
        self._patience_s = patience_s
        self._taken: Counter[str] = Counter()
        self._waiting = 0
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def place(self, key: str) -> AsyncIterator[None]:
        """Hold a place while the block runs.

        Raises:
            FullError: None became free in time, or too many wait already.
        """
        if not self._has_room(key):
            await self._wait(key)
        self._taken[key] += 1
        try:
            yield
        finally:
            self._taken[key] -= 1
            self._taken += Counter()  # forgets those at zero
            self._freed.set()
            self._freed = asyncio.Event()

    def _has_room(self, key: str) -> bool:
        return self._taken.total() < self._total and self._taken[key] < self._each

    async def _wait(self, key: str) -> None:
        if self._waiting >= _WAITING * self._total:
            raise FullError
        self._waiting += 1
        try:
            async with asyncio.timeout(self._patience_s):
                while not self._has_room(key):
                    await self._freed.wait()
        except TimeoutError:
            raise FullError from None
        finally:
            self._waiting -= 1


async def send(
    request: web.BaseRequest,
    response: web.StreamResponse,
    source: AsyncIterator[bytes],
    *,
    stall_s: float = STALL_S,
) -> None:
    """Write what *source* yields, no faster than it is read, and end *response*, a prepared one.

    Returns when the operating system has taken the last byte.

    Raises:
        TimeoutError: The reader has not taken a piece within *stall_s*.
        ConnectionResetError: The reader is gone.
    """
    hold_back(request)
    last = b""
    async for chunk in source:
        for at in range(0, len(chunk), PIECE_BYTES):
            if last:
                async with asyncio.timeout(stall_s):
                    await response.write(last)
            last = chunk[at : at + PIECE_BYTES]
    async with asyncio.timeout(stall_s):
        await response.write_eof(last)  # the end with bytes: without any, aiohttp waits for nobody


def cut_off(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """End an answer that cannot be completed, so that its reader sees that it is cut."""
    response.force_close()
    if request.transport is not None:
        request.transport.abort()


def hold_back(request: web.BaseRequest) -> None:
    """Let writing wait until the operating system has everything, and that it takes little ahead.

    With the usual buffers of some MiB a slow reader who does read would be seen to move only every
    other minute.
    """
    if request.transport is None:
        return
    request.transport.set_write_buffer_limits(high=0)
    connection: Any = request.transport.get_extra_info("socket")
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    if connection is not None and option is not None:
        connection.setsockopt(socket.IPPROTO_TCP, option, _UNSENT_BYTES)
