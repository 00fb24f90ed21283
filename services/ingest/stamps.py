"""When a request came in and the ids that are made for it, cheaply."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from libs.common.ids import ordered_id

_BLOCK = 4096
_ID_BYTES = 10
_TRACE_BYTES = 24
_CHANCE_BYTES = _TRACE_BYTES + _ID_BYTES
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")
_NO_TRACE = "0" * 32


class Stamp(msgspec.Struct, frozen=True):
    """One request's moment: as a value, as CloudEvents writes it, and in milliseconds.

    `chance` is 34 random bytes, for the trace and the first ingest id.
    """

    at: datetime
    text: str
    ms: int
    chance: bytes

    def ingest_id(self) -> str:
        """Return the first id of this request."""
        return ordered_id(self.ms, self.chance[_TRACE_BYTES:])

    def another_id(self) -> str:
        """Return one more id; safe in any thread."""
        return ordered_id(self.ms, os.urandom(_ID_BYTES))

    def traceparent(self, given: str) -> str:
        """Return a W3C trace context: a new span of the caller's trace, or of a new one."""
        trace, span = self.chance[:16].hex(), self.chance[16:_TRACE_BYTES].hex()
        found = _TRACEPARENT.fullmatch(given) if given else None
        if found is None or found[1] == _NO_TRACE:
            return f"00-{trace}-{span}-01"
        return f"00-{found[1]}-{span}-{found[2]}"


class Stamps:
    """Draws randomness in blocks and writes the date once a second; belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._date = ""
        self._block = b""
        self._used = 0

    def next(self) -> Stamp:
        """Return a stamp for now."""
        now = self._clock()
        ms = int(now * 1000)
        second = ms // 1000
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        start = self._used
        end = self._used = start + _CHANCE_BYTES
        if end > len(self._block):
            self._block = os.urandom(_BLOCK)
            start, end = 0, _CHANCE_BYTES
            self._used = end
        return Stamp(
            datetime.fromtimestamp(ms / 1000, UTC),
            f"{self._date}.{ms % 1000:03}Z",
            ms,
            self._block[start:end],
        )
