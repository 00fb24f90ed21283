"""How many messages an account may have under way, how fast, and when it must wait.

One gate an account: a slow, throttled or dead account fills its own gate and no other. At first,
and after a "too fast" or a lost connection, a single message tests the water; each success lets
one more in. Who waits is let in first come, first served; as a session has one message under way,
its sessions take turns.

A broadcast's messages (bulk) wait behind all others, and leave them half of the places and half of
the burst: who answers a visitor finds room at once. One that somebody's words wait behind, in the
same session, is lifted among the others, else these would wait for the whole broadcast.
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


class Turn:
    """One that waits at a gate.

    Attributes:
        let_in: Done as soon as it has a place.
        session: Names a bulk message that may be lifted; "" where it is none.
        inside_as_bulk: Whether its place counts as a bulk message's.
    """

    __slots__ = ("inside_as_bulk", "let_in", "session")

    def __init__(self, session: str) -> None:
        self.let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.session = session
        self.inside_as_bulk = False


class Gate:
    """The gate of one account; waiting is first come, first served, bulk behind all others."""

    def __init__(self, widest: int, width: int, pace: Pace | None = None) -> None:
        self._widest = widest
        self._width = width
        self._bucket = Bucket(pace, _clock()) if pace else None
        self._kept_back = float(pace.burst // 2) if pace else 0.0
        self._token: asyncio.TimerHandle | None = None
        self._inside = 0
        self._bulk_inside = 0
        self._waiting: deque[Turn] = deque()
        self._bulk_waiting: deque[Turn] = deque()
        self._pause: asyncio.TimerHandle | None = None

    @property
    def paused(self) -> bool:
        """Whether the account waits for a time to pass."""
        return self._pause is not None

    async def enter(self, session: str = "") -> Turn:
        """Wait for a place, and for a token to make one call with; `leave` gives the place back.

        Args:
            session: Of a bulk message its session; "": this is none.

        Raises:
            StoppingError: The service stops.
        """
        turn = Turn(session)
        (self._bulk_waiting if session else self._waiting).append(turn)
        self._admit()
        try:
            await turn.let_in
        except asyncio.CancelledError:
            if not turn.let_in.cancelled() and turn.let_in.exception() is None:
                self.leave(turn)  # the place came together with the cancellation
            self._next()  # drops it, so that a long pause gathers none of these
            raise
        return turn

    def lift(self, session: str) -> None:
        """Let the session's bulk message wait with the others from now on, if one waits here."""
        for turn in self._bulk_waiting:
            if turn.session == session:
                self._bulk_waiting.remove(turn)
                self._waiting.append(turn)
                self._admit()
                return

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

    def leave(self, turn: Turn) -> None:
        """Give the place back."""
        self._inside -= 1
        self._bulk_inside -= turn.inside_as_bulk
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
        for turn in (*self._waiting, *self._bulk_waiting):
            if not turn.let_in.done():
                turn.let_in.set_exception(StoppingError())
        self._waiting.clear()
        self._bulk_waiting.clear()

    def _admit(self) -> None:
        while self._pause is None and self._inside < self._width:
            queue, bulk = self._next()
            if not queue or (bulk and self._bulk_inside >= max(1, self._width // 2)):
                return
            if (wait_s := self._wait_s(self._kept_back if bulk else 0.0)) > 0.0:
                self._come_back(wait_s)
                return
            self._let_in(queue.popleft(), bulk=bulk)

    def _next(self) -> tuple[deque[Turn], bool]:
        """Return the queue whose first is next, and whether it is that of bulk messages."""
        for queue in (self._waiting, self._bulk_waiting):
            while queue and queue[0].let_in.done():  # given up meanwhile
                queue.popleft()
        return (self._waiting, False) if self._waiting else (self._bulk_waiting, True)

    def _let_in(self, turn: Turn, *, bulk: bool) -> None:
        self._inside += 1
        self._bulk_inside += bulk
        turn.inside_as_bulk = bulk
        if self._bucket is not None:
            self._bucket.take(_clock())
        turn.let_in.set_result(None)

    def _wait_s(self, kept_back: float = 0.0) -> float:
        return self._bucket.wait_s(_clock(), kept_back) if self._bucket is not None else 0.0

    def _come_back(self, wait_s: float) -> None:
        """Look again when there is a token, the earliest of those that were asked for."""
        loop = asyncio.get_running_loop()
        if self._token is not None:
            if self._token.when() <= loop.time() + wait_s:
                return
            self._token.cancel()
        self._token = loop.call_later(wait_s, self._token_is_there)

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
        self,
        account: str,
        *,
        patience_s: float | None = None,
        pace: Pace | None = None,
        bulk: str = "",
    ) -> AsyncIterator[Gate]:
        """Hold a place of the account until the block ends.

        Args:
            account: The account's slug.
            pace: How fast its channel lets it call; None: as fast as it likes.
            patience_s: How long to wait for the place; None: as long as it takes.
            bulk: The session of a broadcast's message, which waits behind all others.

        Raises:
            StoppingError: The service stops, and there was no place yet.
            BusyError: There was no place in time.
        """
        gate = self.of(account, pace)
        if self._closed.is_set():
            raise StoppingError
        try:
            async with asyncio.timeout(patience_s):
                turn = await gate.enter(bulk)
        except TimeoutError:
            raise BusyError from None
        try:
            yield gate
        finally:
            gate.leave(turn)

    def lift(self, account: str, session: str) -> None:
        """Let the session's bulk message, if one waits, wait with the others from now on."""
        if account in self._gates:
            self._gates[account].lift(session)

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
