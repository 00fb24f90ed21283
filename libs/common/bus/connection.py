"""nats-py's client with the seams that the bus needs, and its traps mended.

This file alone touches private parts of nats-py, which is therefore pinned to 2.16: messages of
`tap` subscriptions go straight to a plain function (no task, queue or `Msg`), and writes of one
loop tick leave together. TLS, authentication, reconnecting and re-subscribing stay nats-py's.
"""

# ruff: noqa: SLF001 (the module's purpose, see above)

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import nats.errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.aio.transport import TcpTransport

log = logging.getLogger(__name__)

Tap = Callable[[bytes, bytes, bytes, bytes], None]
"""Takes (subject, reply, data, raw headers); must not wait."""

MAX_BUFFERED_BYTES = 16 * 1024**2
"""Written but not yet taken by the socket; above it, publishing fails instead of growing."""

PING_EVERY_S = 2
MAX_PINGS_UNANSWERED = 2
"""A server that is paused or behind a cut cable is given up after 6 s at most."""

_QUIET_S = 10.0


class Connection(Client):
    """One connection to NATS. Make it with `connect_bus`."""

    def __init__(self) -> None:
        super().__init__()
        self._taps: dict[int, Tap] = {}
        self._flush_wanted = False
        self._told_at = float("-inf")
        self._told_down = False
        self._ending = False
        self.on_up: list[Callable[[], None]] = []
        self.on_down: list[Callable[[], None]] = []

    # --- what the bus adds ---------------------------------------------------------------------

    def write(self, command: bytes) -> None:
        """Send *command* with everything else of this loop tick in one write.

        The caller checks `is_connected` and `congested` first where that matters; while
        disconnected the bytes wait for the next connection.
        """
        self._pending.append(command)
        self._pending_data_size += len(command)
        if not self._flush_wanted:
            self._flush_wanted = True
            asyncio.get_running_loop().call_soon(self._kick)

    def _kick(self) -> None:
        self._flush_wanted = False
        queue = self._flush_queue
        if self.is_connected and queue is not None and queue.empty():
            queue.put_nowait(asyncio.get_running_loop().create_future())

    @property
    def congested(self) -> bool:
        """Whether more bytes wait for the socket than we want to hold."""
        return self._pending_data_size > MAX_BUFFERED_BYTES

    def tap(self, subject: str, take: Tap, queue: str = "") -> int:
        """Subscribe; *take* is called for each message, in order. Returns the id for `untap`."""
        self._sid += 1
        sid = self._sid
        subscription = Subscription(self, sid, subject, queue=queue)
        self._subs[sid] = subscription
        self._taps[sid] = take
        if self.is_connected:  # else nats-py subscribes when it has reconnected
            self.write(f"SUB {subject} {queue} {sid}\r\n".encode())
        return sid

    def untap(self, sid: int) -> None:
        """Stop the subscription; messages on their way are dropped."""
        self._taps.pop(sid, None)
        if self._subs.pop(sid, None) is not None and self.is_connected:
            self.write(f"UNSUB {sid}\r\n".encode())

    async def untap_gently(self, sid: int) -> None:
        """Stop the subscription, but take what the server had sent until it heard of that."""
        if self.is_connected:
            self.write(f"UNSUB {sid}\r\n".encode())
            await self.settle(1.0)
        self._taps.pop(sid, None)
        self._subs.pop(sid, None)

    async def settle(self, within_s: float) -> None:
        """Wait until the server has handled all that was written and we all it had sent.

        Gives up silently after *within_s*: what was lost is delivered again.
        """
        try:
            async with asyncio.timeout(within_s):
                await self.rtt(timeout=max(int(within_s), 1))
        except (TimeoutError, nats.errors.Error, OSError) as error:
            log.warning("bus.settle_failed", extra={"reason": type(error).__name__})

    async def end(self) -> None:
        """Close for good.

        What still waits for a server that is away is dropped; nats-py would fail on writing it.
        """
        self._ending = True
        if not self.is_connected:
            self._pending, self._pending_data_size = [], 0
        with contextlib.suppress(OSError):
            await self.close()
        self._abort_socket()

    # --- nats-py's traps -----------------------------------------------------------------------

    async def _process_msg(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes
    ) -> None:
        take = self._taps.get(sid)
        if take is None:
            await super()._process_msg(sid, subject, reply, data, headers)
            return
        try:
            take(subject, reply, data, headers or b"")
        except Exception:  # it would end nats-py's read loop: no more messages, no error
            log.exception("bus.tap_bug")

    async def _process_err(self, err_msg: str) -> None:
        """Reconnect on every fatal `-ERR`; nats-py closes for good on all but one."""
        if "permissions violation" in err_msg:
            await self._error_cb(nats.errors.Error(f"nats: {err_msg}"))
            return
        log.error("bus.refused", extra={"reason": err_msg})
        await self._process_op_err(nats.errors.Error(f"nats: {err_msg}"))

    async def _process_pong(self) -> None:
        """As nats-py, but a ping whose waiter gave up does not end the read loop."""
        if self._pongs:
            waiter = self._pongs.pop(0)
            if not waiter.done():
                waiter.set_result(True)
            self._pongs_received += 1
            self._pings_outstanding = 0

    def _connect_command(self) -> bytes:
        """Say nothing, and no password, in the clear where `tls://` asked for more.

        nats-py follows the server, which says so itself whether it wants TLS.
        """
        server = self._current_server
        if (
            server is not None
            and server.uri.scheme == "tls"
            and not self._server_info.get("tls_required")
        ):
            raise nats.errors.Error("nats: the server offers no TLS, and the URL asks for it")
        return super()._connect_command()

    async def _attempt_reconnect(self) -> None:
        """Cut the old socket first: closing it waits for a peer that may never read again."""
        self._abort_socket()
        await super()._attempt_reconnect()

    async def _connect_to_server(self, s: Any) -> None:
        """Do not leave the socket of a failed attempt open."""
        self._abort_socket()
        await super()._connect_to_server(s)

    def _abort_socket(self) -> None:
        transport = self._transport
        if isinstance(transport, TcpTransport) and transport._io_writer is not None:
            transport._io_writer.transport.abort()

    # --- telling -------------------------------------------------------------------------------

    async def report_error(self, error: Exception) -> None:
        """Log a connection error, at most one line in 10 s while the server is away."""
        now = time.monotonic()
        if now - self._told_at >= _QUIET_S:
            self._told_at = now
            reason = f"{type(error).__name__}: {error}"
            log.warning("bus.connection_error", extra={"reason": reason})

    async def report_down(self) -> None:
        """Fail what waits for answers: none can come any more."""
        if not self._told_down and not self._ending:
            log.warning("bus.disconnected")
        self._told_down = True
        for notify in self.on_down:
            notify()

    async def report_up(self) -> None:
        """Say so, and let the parts of the bus catch up."""
        url = self.connected_url
        log.warning("bus.reconnected", extra={"server": url.netloc if url else ""})
        self._told_down = False
        self._told_at = float("-inf")
        for notify in self.on_up:
            notify()


async def connect_bus(url: str, name: str) -> Connection:
    """Connect, waiting for as long as it takes; *url* may list servers with commas."""
    connection = Connection()
    login = login_of(url)
    connecting = connection.connect(
        user=login.user,
        password=login.password,
        token=login.token,
        servers=[part.strip() for part in url.split(",")],
        name=name,
        error_cb=connection.report_error,
        disconnected_cb=connection.report_down,
        reconnected_cb=connection.report_up,
        max_reconnect_attempts=-1,
        # Spread, so that a fleet does not come back in one instant.
        reconnect_time_wait=random.uniform(0.15, 0.3),  # type: ignore[arg-type]  # noqa: S311
        connect_timeout=2,
        ping_interval=PING_EVERY_S,
        max_outstanding_pings=MAX_PINGS_UNANSWERED,
        pending_size=2 * MAX_BUFFERED_BYTES,
    )
    await _cancellable(connecting)
    return connection


class Login(NamedTuple):
    """A login as nats-py's options have it."""

    user: str | None = None
    password: str | None = None
    token: str | None = None


def login_of(url: str) -> Login:
    """Return the login that the first server's URL names.

    nats-py takes it from the URL of the server at hand: a server of the cluster that it was told of
    later has none there. Escapes (`%2F`) are read, as they are in the store's URL.
    """
    first = urlsplit(url.partition(",")[0].strip())
    if first.username is None:
        return Login()
    if first.password is None:
        return Login(token=unquote(first.username))
    return Login(user=unquote(first.username), password=unquote(first.password))


async def _cancellable(work: Coroutine[Any, Any, None]) -> None:
    """Wait for *work*, which may overlook that it is cancelled, and so be cancelled again.

    nats-py waits by `asyncio.wait_for`, which loses a cancellation that comes in the instant in
    which an attempt fails: then it would try for ever, and the service could not be ended.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        raise
