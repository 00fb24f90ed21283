"""What was accepted, and the check at rest that all of it is there exactly once."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import aiohttp

from tests.e2e.stack import Stack
from tests.e2e.talk import say

DEADLINE_S = 1.9
RETRIES = 40


class Ledger:
    """Sends as a provider would: the same bytes again until a 2xx is read."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.accepted: set[str] = set()
        self.refused: Counter[int | str] = Counter()
        self.slowest_s = 0.0

    async def post(self, channel: str, visitor: str, mark: str) -> None:
        """Post the message whose text is *mark* until it is accepted."""
        for _ in range(RETRIES):
            started = time.monotonic()
            status: int | str
            try:
                status = await say(self.stack, channel, visitor, f"m{mark}", mark)
            except (aiohttp.ClientError, TimeoutError) as error:
                status = type(error).__name__
            self.slowest_s = max(self.slowest_s, time.monotonic() - started)
            if status == 200:
                self.accepted.add(mark)
                return
            self.refused[status] += 1
            await asyncio.sleep(0.25)

    async def stored(self) -> Counter[str]:
        """Return how often each visitor's text stands in the timelines of all sessions."""
        found: Counter[str] = Counter()
        for row in await self.sessions():
            for message in await self.messages(row["id"]):
                if message["kind"] == "message" and message["direction"] == "in":
                    found[message["text"]] += 1
        return found

    async def sessions(self) -> list[dict[str, Any]]:
        """Return every session of the workspace, ended ones as well."""
        lists = "bot_hosted,unassigned,assigned,ended"
        return await self._all(f"/sessions?list={lists}&limit=100")

    async def messages(self, session: str) -> list[dict[str, Any]]:
        """Return the whole timeline of a session."""
        return await self._all(f"/sessions/{session}/messages?limit=100")

    async def _all(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor = ""
        while True:
            status, page = await self.stack.api("GET", path + cursor, role="owner")
            assert status == 200, page
            rows += page["items"]
            if page["next"] is None:
                return rows
            cursor = f"&cursor={page['next']}"


async def reply_until_accepted(stack: Stack, session: str, text: str) -> bool:
    """Reply as an agent, with one idempotency key, until the API accepts it."""
    for _ in range(RETRIES):
        try:
            status, _ = await stack.api(
                "POST", f"/sessions/{session}/messages", body={"text": text}, key=text
            )
        except (aiohttp.ClientError, TimeoutError, ValueError):
            status = 0
        if status in {200, 201}:
            return True
        await asyncio.sleep(0.25)
    return False
