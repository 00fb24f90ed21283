"""What is to be thought of an account after its last calls, and whether it may call at all. Pure.

`revoked`: the provider refuses its credential, so every message would fail the same way; they do
so without a call, but for one probe a minute. `failing`: so many calls in a row failed in a way
that others share (no connection, no answer, 5xx) that the account tries one at a time, ever more
rarely; messages wait meanwhile. One success closes it, and so does a change of the account.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common.health import State

FAILURES = 5
"""Failures in a row that make an account `failing`."""
PROBE_EVERY_S = 60.0
FIRST_REST_S = 5.0
LONGEST_REST_S = 30.0


class Breaker:
    """The state of one account; times are aware."""

    def __init__(self) -> None:
        self.state: State = "unknown"
        self.since: datetime | None = None
        self._failures = 0
        self._probe_at: datetime | None = None

    def admits(self, now: datetime) -> bool:
        """Tell whether a message may call; a yes while `revoked` is the one probe of its minute."""
        if self.state != "revoked":
            return True
        if self._probe_at is not None and now < self._probe_at:
            return False
        self._probe_at = now + timedelta(seconds=PROBE_EVERY_S)
        return True

    def answered(self, now: datetime) -> None:
        """The provider took a message, or refused it for its own sake."""
        self._failures = 0
        self._turn("ok", now)

    def refused(self, now: datetime) -> None:
        """The provider refused the account's credential for good."""
        self._probe_at = now + timedelta(seconds=PROBE_EVERY_S)
        self._turn("revoked", now)

    def failed(self, now: datetime) -> float:
        """A call failed as others would; return the seconds that the account should rest.

        A revoked account stays so: that it cannot be reached either proves nothing.
        """
        self._failures += 1
        if self._failures < FAILURES or self.state == "revoked":
            return 0.0
        self._turn("failing", now)
        doublings = min(self._failures - FAILURES, 8)
        return min(FIRST_REST_S * 2.0**doublings, LONGEST_REST_S)

    def _turn(self, state: State, now: datetime) -> None:
        if self.state != state:
            self.state, self.since = state, now
