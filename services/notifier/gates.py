"""How many messages an account may have under way, how fast, and when it must wait.

One gate an account: a slow, throttled or dead account fills its own gate and no other. At first,
and after a "too fast" or a lost connection, a single message tests the water; each success lets
one more in. Who waits is let in first come, first served; as a session has one message under way,
its sessions take turns.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.common.channel import Pace
from services.notifier import metrics
from services.notifier.pace import Bucket

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

    def __init__(self, widest: int, width: int, pace: Pace | None = None) -> None:
        self._widest = widest
        self._width = width
        self._bucket = Bucket(pace, _clock()) if pace else None
        self._token: asyncio.TimerHandle | None = None
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._pause: asyncio.TimerHandle | None = None

    @property
    def paused(self) -> bool:
        """Whether the account waits for a time to pass."""
        return self._pause is not None

    async def enter(self) -> None:
        """Wait for a place, and for a token to make one call with.

        Raises:
            StoppingError: The service stops.
        """
        if not self._waiting and self._has_room():
            self._let_in()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._come_back()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.leave()  # the place came together with the cancellation
            raise

    def further_s(self) -> float:
        """Take a token for one more call of who is inside; return the seconds to wait before it."""
        if self._bucket is None:
            return 0.0
        wait_s = self._bucket.wait_s(_clock())
        self._bucket.take(_clock())
        return wait_s

    def spare(self) -> bool:
        """Take a token for a call that may as well not be made; tell whether there was one."""
        if self._waiting or self._pause is not None or self._wait_s() > 0.0:
            return False
        self.further_s()
        return True

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
        for timer in (self._pause, self._token):
            if timer is not None:
                timer.cancel()
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(StoppingError())

    def _has_room(self) -> bool:
        return self._pause is None and self._inside < self._width and self._wait_s() == 0.0

    def _let_in(self) -> None:
        self._inside += 1
        if self._bucket is not None:
            self._bucket.take(_clock())

    def _wait_s(self) -> float:
        return self._bucket.wait_s(_clock()) if self._bucket is not None else 0.0

    def _admit(self) -> None:
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            if not turn.done():
                self._let_in()
                turn.set_result(None)
        self._come_back()

    def _come_back(self) -> None:
        """Look again when there is a token, where only that is missing."""
        if self._waiting and self._token is None and (wait_s := self._wait_s()) > 0.0:
            self._token = asyncio.get_running_loop().call_later(wait_s, self._token_is_there)

    def _token_is_there(self) -> None:
        self._token = None
        self._admit()


def _clock() -> float:
    return asyncio.get_running_loop().time()


class Gates:
    """The gates of all accounts, by slug.

    Args:
        widest: Most messages of an account under way at once.
        first: How many, before the first success.
    """

    def __init__(self, widest: int = WIDEST, first: int = WIDEST) -> None:
        self._widest = widest
        self._first = min(first, widest)
        self._gates: dict[str, Gate] = {}
        self._closed = asyncio.Event()

    def closed(self) -> bool:
        """Tell whether the service stops."""
        return self._closed.is_set()

    def of(self, account: str, pace: Pace | None = None) -> Gate:
        """Return the account's gate; *pace* counts where it is made."""
        if account not in self._gates:
            self._gates[account] = Gate(self._widest, self._first, pace)
        return self._gates[account]

    @asynccontextmanager
    async def inside(
        self, account: str, *, patience_s: float | None = None, pace: Pace | None = None
    ) -> AsyncIterator[Gate]:
        """Hold a place of the account until the block ends.

        Args:
            account: The account's slug.
            pace: How fast its channel lets it call; None: as fast as it likes.
            patience_s: How long to wait for the place; None: as long as it takes.

        Raises:
            StoppingError: The service stops, and there was no place yet.
            BusyError: There was no place in time.
        """
        gate = self.of(account, pace)
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
