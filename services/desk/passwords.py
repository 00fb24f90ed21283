"""Checking passwords so that time tells nothing: whoever asks, the same number of hashes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from libs.common.credentials import hash_password, new_secret, verify_password
from libs.common.documents import Agent

AT_ONCE = 2
"""Hashes computed at a time: each takes 19 MiB and a core for some 50 ms."""


class Passwords:
    """Verifies off the event loop, a few at a time; make it with `open_passwords`."""

    def __init__(self, decoy: str, verify: Callable[[str, str], bool] = verify_password) -> None:
        self._decoy = decoy
        self._verify = verify
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def matching(
        self, agents: Sequence[Agent | None], password: str, *, tries: int
    ) -> list[Agent]:
        """Return the agents whose password it is, after exactly *tries* comparisons.

        An absent or disabled agent, or one without a password, is compared with a decoy.
        """
        found: list[Agent] = []
        for n in range(tries):
            agent = agents[n] if n < len(agents) else None
            usable = agent is not None and not agent.disabled and bool(agent.password_hash)
            stored = agent.password_hash if agent is not None and usable else self._decoy
            async with self._turn:
                fits = await asyncio.to_thread(self._verify, stored, password)
            if fits and usable and agent is not None:
                found.append(agent)
        return found

    async def hashed(self, password: str) -> str:
        """Return what is kept of a new password."""
        async with self._turn:
            return await asyncio.to_thread(hash_password, password)


async def open_passwords() -> Passwords:
    """Make the decoy, which no password fits."""
    return Passwords(await asyncio.to_thread(hash_password, new_secret()))
