"""How many requests a caller may make: a bucket an agent, and one an address that proves nothing.

The headers are those of draft-ietf-httpapi-ratelimit-headers (its `RateLimit-*` form, which
clients know).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import msgspec

from services.desk.api.problem import RefusalError
from services.desk.throttle import Buckets, Limit

WRONG_CREDENTIALS = Limit(burst=300, refill_s=0.2)
"""Requests of an address whose credential proves nothing, before each costs a wait."""
_MINUTE_S = 60.0


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How a caller stands: of `limit` requests, `remaining` at once, all again in `reset_s`."""

    limit: int
    remaining: int
    reset_s: int

    def headers(self) -> Mapping[str, str]:
        """Return how the answer says so."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
        }


class Rates:
    """The buckets of one process.

    Args:
        per_minute: Requests of one agent in a minute, at most as many at once; 0: any number.
        clock: Seconds that only rise.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._limit = per_minute
        self._refill_s = _MINUTE_S / per_minute if per_minute else 0.0
        self._agents = Buckets(Limit(burst=max(per_minute, 1), refill_s=self._refill_s), clock)
        self._unproven = Buckets(WRONG_CREDENTIALS, clock)

    def take(self, workspace: str, agent: str) -> Rate | None:
        """Count a request; return how the agent stands, None where nothing is limited.

        Raises:
            RefusalError: 429, none is left.
        """
        if not self._limit:
            return None
        key = f"{workspace}/{agent}"
        wait_s = self._agents.take(key)
        if wait_s:
            raise too_many(Rate(limit=self._limit, remaining=0, reset_s=math.ceil(wait_s)))
        spent = self._agents.spent(key)
        return Rate(
            limit=self._limit,
            remaining=math.floor(self._limit - spent),
            reset_s=math.ceil(spent * self._refill_s),
        )

    def unproven(self, address: str) -> None:
        """Count a credential from *address* that proved nothing.

        Raises:
            RefusalError: 429, there were too many.
        """
        wait_s = self._unproven.take(address or "unknown")
        if wait_s:
            burst = WRONG_CREDENTIALS.burst
            raise too_many(Rate(limit=burst, remaining=0, reset_s=math.ceil(wait_s)))


def too_many(rate: Rate) -> RefusalError:
    """Return the refusal of a caller who has no request left."""
    return RefusalError(
        429,
        "too_many_requests",
        "Too many requests. Wait as long as Retry-After says.",
        headers={"Retry-After": str(max(1, rate.reset_s)), **rate.headers()},
        retry_after_s=str(max(1, rate.reset_s)),
    )
