"""Open requests at one pull consumer: the messages and statuses that come back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import msgspec

from libs.common.bus.connection import Connection
from libs.common.bus.wire import description, header, pub, status

log = logging.getLogger(__name__)

GROUP = "g"
"""The one priority group of our pinned consumers."""
_S = 1_000_000_000
_GRACE_S = 1.0
_NO_RESPONDERS, _BAD_REQUEST, _CONFLICT, _WRONG_PIN = 503, 400, 409, 423


class Place(msgspec.Struct, frozen=True):
    """Where a message stands, from its reply subject; `stored_ns` is UTC nanoseconds."""

    attempt: int
    sequence: int
    consumer_sequence: int
    stored_ns: int
    pending: int


def place(reply: bytes) -> Place:
    """Read `$JS.ACK.…`, which comes in a short form and in one with domain and account."""
    tokens = reply.split(b".")
    start = 4 if len(tokens) == 9 else 6  # noqa: PLR2004 (ADR-15: 9 tokens, or 11 and more)
    return Place(*map(int, tokens[start : start + 5]))


class Pull:
    """Requests messages of one consumer; the answers arrive through *take*.

    Requests are not answered one by one: `wanted` counts what may still come. While the pin is
    unknown there is at most one request, because only one of them would be pinned.

    Args:
        connection: Where to ask.
        target: `<stream>.<consumer>`.
        take: Called with (subject, reply, data, raw headers) of each message.
        on_status: Called when requests have ended; ask again if more is wanted.
        pinned: Whether the consumer has our priority group with pinned clients.
    """

    def __init__(
        self,
        connection: Connection,
        target: str,
        take: Callable[[bytes, bytes, bytes, bytes], None],
        on_status: Callable[[], None],
        *,
        pinned: bool,
    ) -> None:
        self._connection = connection
        self._target = target.encode()
        self._message = take
        self._on_status = on_status
        self._pinned = pinned
        self._loop = asyncio.get_running_loop()
        inbox = connection.new_inbox()
        self._inbox = inbox.encode()
        self._sid = connection.tap(inbox, self._take)
        connection.on_up.append(self._restart)
        connection.on_down.append(self._forget)
        self.pin = ""
        """The pin's id while the server lets only us have the messages; *take* finds it."""
        self.wanted = 0
        """Messages that open requests may still bring."""
        self.listening = True
        self.missing = False
        """Whether the consumer (or its stream) turned out not to exist."""
        self.asked_at = float("-inf")
        self._ends_at = float("-inf")

    def close(self) -> None:
        """Take nothing more; what is on its way is delivered again later."""
        self._connection.untap(self._sid)
        self._connection.on_up.remove(self._restart)
        self._connection.on_down.remove(self._forget)

    def stop_listening(self) -> None:
        """Take nothing more, though the server may hold requests open for another second."""
        self._connection.untap(self._sid)
        self.listening = False
        self.wanted = 0

    def ask(self, batch: int, within_s: float) -> None:
        """Request up to *batch* messages, answered as they come during *within_s*."""
        if not self._connection.is_connected or not self.listening:
            return
        body: dict[str, Any] = {"batch": batch, "expires": int(within_s * _S)}
        if self._pinned:
            body["group"] = GROUP
            if self.pin:
                body["id"] = self.pin
        where = b"$JS.API.CONSUMER.MSG.NEXT." + self._target
        self._connection.write(pub(where, self._inbox, msgspec.json.encode(body)))
        self.wanted += batch
        self.asked_at = self._loop.time()
        self._ends_at = self.asked_at + within_s

    def check_overdue(self) -> None:
        """Forget requests whose end the server did not tell (it was restarted, or moved)."""
        if self.wanted and self._loop.time() > self._ends_at + _GRACE_S:
            self.wanted = 0

    def _take(self, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if reply.startswith(b"$JS.ACK."):
            self.wanted = max(self.wanted - 1, 0)
            self._message(subject, reply, data, headers)
            return
        code = status(headers)
        if code == 100:  # noqa: PLR2004 (an idle heartbeat)
            return
        left = header(headers, b"Nats-Pending-Messages")
        self.wanted = max(self.wanted - int(left), 0) if left else 0
        self._heed(code, description(headers))
        self._on_status()

    def _heed(self, code: int, words: str) -> None:
        if code == _WRONG_PIN:
            self.pin = ""
        elif code == _NO_RESPONDERS or (code == _CONFLICT and "Deleted" in words):
            self.missing = True
            self.pin = ""
        elif code == _BAD_REQUEST:
            log.error("bus.pull_refused", extra={"target": self._target.decode(), "reason": words})

    def _restart(self) -> None:
        self._forget()
        self._on_status()

    def _forget(self) -> None:
        self.wanted = 0
