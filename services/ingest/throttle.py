"""Token buckets in a table of bounded size. Pure: the clock is an argument."""

from __future__ import annotations

from collections import OrderedDict


class Throttle:
    """Allows each key *burst* calls at once and *rate* a second after that.

    The longest unused key is forgotten when the table is full.
    """

    def __init__(self, *, rate: float, burst: float, keys: int = 20_000) -> None:
        self._rate = rate
        self._burst = burst
        self._most = keys
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allow(self, key: str, now: float) -> bool:
        """Take one token of *key* at *now* (seconds of a clock that never goes back)."""
        tokens, at = self._buckets.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        allowed = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if allowed else tokens, now)
        if len(self._buckets) > self._most:
            self._buckets.popitem(last=False)
        return allowed


class Slots:
    """Counts what is open at the same time, by key and in all."""

    def __init__(self, *, each: int, total: int) -> None:
        self._each = each
        self._total = total
        self._open: dict[str, int] = {}
        self.count = 0

    def take(self, key: str) -> bool:
        """Open one more for *key*, unless that is too many."""
        held = self._open.get(key, 0)
        if held >= self._each or self.count >= self._total:
            return False
        self._open[key] = held + 1
        self.count += 1
        return True

    def free(self, key: str) -> None:
        """Close one of *key*."""
        self.count -= 1
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]
