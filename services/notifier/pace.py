"""How fast one account may call: a token bucket, on a clock that is given."""

from __future__ import annotations

from libs.common.channel import Pace


class Bucket:
    """Tokens that come back at a steady rate, at most `burst` of them.

    Each process has its own, so replicas together may be as many times as fast; what the provider
    says about it (`Retry-After`) holds them back as well.

    Args:
        pace: Rate and burst.
        now: Seconds on any steady clock, the same as later.
    """

    def __init__(self, pace: Pace, now: float) -> None:
        self._pace = pace
        self._tokens = float(pace.burst)
        self._at = now

    def wait_s(self, now: float, kept_back: float = 0.0) -> float:
        """Return the seconds until there is a token besides *kept_back* ones; 0: there is one."""
        self._fill(now)
        return max(0.0, (1.0 + kept_back - self._tokens) / self._pace.per_second)

    def take(self, now: float) -> None:
        """Take a token, on credit where there is none: those who come later wait for it."""
        self._fill(now)
        self._tokens -= 1.0

    def _fill(self, now: float) -> None:
        grown = self._tokens + (now - self._at) * self._pace.per_second
        self._tokens = min(grown, float(self._pace.burst))
        self._at = now
