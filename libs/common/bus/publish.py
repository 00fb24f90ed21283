"""Publishing with confirmation: one reply inbox, own futures, one write per loop tick."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping

import msgspec

from libs.common.bus.connection import Connection
from libs.common.bus.delivery import PubAck
from libs.common.bus.wire import checked_subject, encode_headers, hpub, status
from libs.common.errors import (
    BusUnavailableError,
    GatewayError,
    PermanentError,
    StaleRevisionError,
)

_NO_RESPONDERS = 503
_WRONG_LAST_SEQUENCE = {10071, 10164}
_TOO_LARGE = 10054


class _Refusal(msgspec.Struct):
    code: int = 0
    err_code: int = 0
    description: str = ""


class _Confirmation(msgspec.Struct):
    seq: int = 0
    duplicate: bool = False
    error: _Refusal | None = None


_decode = msgspec.json.Decoder(_Confirmation).decode


class Publisher:
    """Publishes on one connection; confirmations come back on one wildcard inbox.

    Args:
        connection: Where to publish.
        timeout_s: Seconds until an unconfirmed publish fails.
        on_no_stream: Called when no stream listens on a subject: perhaps it was deleted.
    """

    def __init__(
        self, connection: Connection, timeout_s: float, on_no_stream: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._on_no_stream = on_no_stream
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[bytes, tuple[float, asyncio.Future[PubAck]]] = {}
        self._sweeping = False
        self._numbers = itertools.count()
        self._inbox = f"{connection.new_inbox()}.".encode()
        connection.tap(f"{self._inbox.decode()}*", self._confirmed)
        connection.on_down.append(self.fail_waiting)

    def publish_soon(
        self, subject: str, data: bytes, headers: Mapping[str, str]
    ) -> asyncio.Future[PubAck]:
        """See `Bus.publish_soon`; the message id is among *headers*."""
        future: asyncio.Future[PubAck] = self._loop.create_future()
        try:
            block = encode_headers(headers)
            self._check(len(block) + len(data))
            token = b"%d" % next(self._numbers)
            command = hpub(checked_subject(subject), self._inbox + token, block, data)
        except GatewayError as error:
            future.set_exception(error)
            return future
        self._waiting[token] = (self._loop.time() + self._timeout_s, future)
        self._connection.write(command)
        if not self._sweeping:
            self._sweeping = True
            self._loop.call_later(self._timeout_s / 10, self._sweep)
        return future

    def _check(self, size: int) -> None:
        connection = self._connection
        if not connection.is_connected:
            raise BusUnavailableError("not connected")
        if connection.congested:
            raise BusUnavailableError("the connection takes no more for now")
        if size > connection.max_payload:
            raise PermanentError(
                f"message of {size} bytes is above the server's {connection.max_payload}"
            )

    def _confirmed(self, subject: bytes, _reply: bytes, data: bytes, headers: bytes) -> None:
        waiting = self._waiting.pop(subject[len(self._inbox) :], None)
        if waiting is None or waiting[1].done():  # too late: the caller was told already
            return
        try:
            if headers and status(headers) == _NO_RESPONDERS:
                self._on_no_stream()
                raise BusUnavailableError("no stream takes this subject")
            told = _decode(data)
            if told.error is not None:
                raise _refused(told.error)
        except GatewayError as error:
            waiting[1].set_exception(error)
        except msgspec.DecodeError:
            waiting[1].set_exception(BusUnavailableError("the confirmation cannot be read"))
        else:
            waiting[1].set_result(PubAck(told.seq, told.duplicate))

    def _sweep(self) -> None:
        """Fail what is overdue: the dict is in order of time, so the first young one ends it."""
        now = self._loop.time()
        overdue = []
        for token, (deadline, _) in self._waiting.items():
            if deadline > now:
                break
            overdue.append(token)
        for token in overdue:
            self._fail(token, f"not confirmed within {self._timeout_s} s")
        self._sweeping = bool(self._waiting)
        if self._sweeping:
            self._loop.call_later(self._timeout_s / 10, self._sweep)

    def fail_waiting(self) -> None:
        """Fail all that wait: the connection is lost, and with it their confirmations."""
        for token in list(self._waiting):
            self._fail(token, "the connection was lost before the confirmation")

    def _fail(self, token: bytes, why: str) -> None:
        _, future = self._waiting.pop(token)
        if not future.done():
            future.set_exception(BusUnavailableError(why))

    async def drain(self) -> None:
        """Wait until everything published is confirmed or has failed."""
        while self._waiting:
            futures = [future for _, future in self._waiting.values()]
            await asyncio.wait(futures, timeout=self._timeout_s)


def _refused(refusal: _Refusal) -> GatewayError:
    words = f"{refusal.err_code}: {refusal.description}"
    if refusal.err_code in _WRONG_LAST_SEQUENCE:
        return StaleRevisionError(words)
    if refusal.err_code == _TOO_LARGE:
        return PermanentError(words)
    return BusUnavailableError(words)
