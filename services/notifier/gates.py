"""How many messages an account may have under way, and when it must wait.

One gate an account: a slow, throttled or dead account fills its own gate and no other. After a
"too fast" or a lost connection a single message tests the water; each success lets one more in.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.notifier import metrics

WIDEST = 8
"""Messages of one account under way at once."""


PATIENCE_S = 15.0
"""How long one that has not begun waits here; then its delivery may be given to another replica."""


class StoppingError(Exception):
    """The service stops: what has not begun is left for the next process."""


class BusyError(Exception):
    """No place within the time that one was willing to wait."""


class Gate:
    """The gate of one account; waiting is first come, first served."""

    def __init__(self, widest: int) -> None:
        self._widest = widest
        self._width = widest
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pause: asyncio.TimerHandle | None = None

    @property
    def paused(self) -> bool:
        """Whether the account waits for a time to pass."""
        return self._pause is not None

    async def enter(self) -> None:
        """Wait for a place.

        Raises:
            StoppingError: The service stops.
        """
        if not self._waiting and self._has_room():
            self._inside += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()  # the place came together with the cancellation
            raise

    def leave(self) -> None:
        """Give the place back."""
        self._inside -= 1
        self._admit()

    def widen(self) -> None:
        """Let one more in at once, after a success."""
        self._width = min(self._width + 1, self._widest)
        self._admit()

    def narrow(self) -> None:
        """Let only one in at once, after a failure that others would share."""
        self._width = 1

    def pause(self, delay_s: float) -> None:
        """Let nobody in for *delay_s* seconds; the later end of two pauses holds."""
        loop = asyncio.get_running_loop()
        if self._pause is None:
            metrics.PAUSED_ACCOUNTS.inc()
        elif self._pause.when() >= loop.time() + delay_s:
            return
        else:
            self._pause.cancel()
        self._pause = loop.call_later(delay_s, self.resume)

    def resume(self) -> None:
        """End a pause."""
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
            metrics.PAUSED_ACCOUNTS.dec()
        self._admit()

    def close(self) -> None:
        """Turn all away that wait."""
        if self._pause is not None:
            self._pause.cancel()
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(StoppingError())

    def _has_room(self) -> bool:
        return self._pause is None and self._inside < self._width

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)


class Gates:
    """The gates of all accounts, by slug."""

    def __init__(self, widest: int = WIDEST) -> None:
        self._widest = widest
        self._gates: dict[str, Gate] = {}
        self._closed = asyncio.Event()

    def closed(self) -> bool:
        """Tell whether the service stops."""
        return self._closed.is_set()

    def of(self, account: str) -> Gate:
        """Return the account's gate."""
        if account not in self._gates:
            self._gates[account] = Gate(self._widest)
        return self._gates[account]

    @asynccontextmanager
    async def inside(self, account: str, *, patience_s: float | None = None) -> AsyncIterator[Gate]:
        """Hold a place of the account until the block ends.

        Args:
            account: The account's slug.
            patience_s: How long to wait for the place; None: as long as it takes.

        Raises:
            StoppingError: The service stops, and there was no place yet.
            BusyError: There was no place in time.
        """
        gate = self.of(account)
        if self._closed.is_set():
            raise StoppingError
        try:
            async with asyncio.timeout(patience_s):
                await gate.enter()
        except TimeoutError:
            raise BusyError from None
        try:
            yield gate
        finally:
            gate.leave()

    async def sleep(self, delay_s: float) -> None:
        """Wait outside for *delay_s* seconds.

        Raises:
            StoppingError: The service stops meanwhile.
        """
        try:
            async with asyncio.timeout(delay_s):
                await self._closed.wait()
        except TimeoutError:
            return
        raise StoppingError

    def close(self) -> None:
        """Turn all away that wait, and all who come from now on."""
        self._closed.set()
        for gate in self._gates.values():
            gate.close()
