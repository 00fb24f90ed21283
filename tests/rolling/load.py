"""A bounded load on a fleet, in which every call must succeed the first time."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec

from libs.common.channels import CHANNELS
from libs.common.channels.web.wire import mint
from tests.chaos.ledger import Ledger
from tests.e2e.stack import Stack, until
from tests.e2e.talk import account_of, say

VISITORS = 12
LATE_S = 5.0


class Reading:
    """A reader of an event stream who comes back where it was, when it is told to."""

    def __init__(self, stack: Stack, path: str, token: str) -> None:
        self._stack, self._path, self._token = stack, path, token
        self.events: list[tuple[str, Any]] = []
        self.statuses: Counter[int | str] = Counter()
        self.retries: list[int] = []
        self._last = ""
        self._task = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            self._retry_s = 2.0
            with suppress(aiohttp.ClientPayloadError):
                await self._read()
            await asyncio.sleep(self._retry_s)

    async def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        if self._last:
            headers["Last-Event-ID"] = self._last
        url = self._stack.base_url + self._path
        try:
            async with self._stack.http.get(url, headers=headers, timeout=None) as answer:
                self.statuses[answer.status] += 1
                if answer.status == 200:
                    await self._take(answer)
        except aiohttp.ClientConnectionError as error:
            self.statuses[type(error).__name__] += 1

    async def _take(self, answer: aiohttp.ClientResponse) -> None:
        event, seen = "message", ""
        async for line in answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            match name:
                case "event":
                    event = value
                case "id":
                    seen = value
                case "data":
                    self.events.append((event, msgspec.json.decode(value)))
                case "retry":
                    self._retry_s = int(value) / 1000
                    self.retries.append(int(value))
                case "":
                    self._last, event = seen or self._last, "message"
                case _:
                    pass

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


class Load:
    """Webhooks, reads, replies, scheduled messages and streams, until `stop`."""

    def __init__(self, stack: Stack, *, pace: float = 1.0) -> None:
        self.stack = stack
        self.run = uuid.uuid4().hex[:8]
        self.pace = pace
        self.failures: list[tuple[str, int | str]] = []
        self.said: list[tuple[str, str, str]] = []
        """Channel, visitor and text of what was accepted, in order."""
        self.replied: list[tuple[str, str]] = []
        """Session and text of accepted replies, in order."""
        self.scheduled: dict[str, datetime] = {}
        self.streams: list[Reading] = []
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Open a session for each visitor, then start."""
        for number in range(VISITORS):
            await self._say(number)
        await until(self._sessions_there, "a session for each visitor")
        self._tasks = [
            asyncio.create_task(work)
            for work in (self._visitors(), self._agent(), self._reader(), self._scheduler())
        ]

    async def _sessions_there(self) -> bool:
        return len(await self.sessions()) >= VISITORS

    async def sessions(self) -> list[str]:
        """Return the sessions of this run; what is asked here must succeed, too."""
        lists = "bot_hosted,unassigned,assigned"
        page = await self.call("GET", f"/sessions?list={lists}&limit=100")
        return [row["id"] for row in page["items"]] if page else []

    async def call(self, method: str, path: str, *, body: Any = None, key: str = "") -> Any:
        """Call the API as the owner; what is not a 2xx is a failure."""
        try:
            status, answer = await self.stack.api(method, path, role="owner", body=body, key=key)
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append((f"{method} {path}", type(error).__name__))
            return None
        if status // 100 != 2:
            self.failures.append((f"{method} {path} {answer}", status))
            return None
        return answer

    def channel_of(self, number: int) -> str:
        return sorted(CHANNELS)[number % len(CHANNELS)]

    async def _say(self, number: int) -> None:
        channel, visitor = self.channel_of(number), f"v{self.run}{number}"
        text = f"{self.run}-{number}-{len(self.said)}-{uuid.uuid4().hex[:6]}"
        status: int | str
        try:
            status = await say(self.stack, channel, visitor, f"m{text}", text)
        except (aiohttp.ClientError, TimeoutError) as error:
            status = type(error).__name__
        if status == 200:
            self.said.append((channel, visitor, text))
        else:
            self.failures.append((f"webhook {channel}", status))

    async def _visitors(self) -> None:
        number = 0
        while not self._over.is_set():
            await self._say(number % VISITORS)
            number += 1
            await asyncio.sleep(0.12 / self.pace)

    async def _agent(self) -> None:
        sessions = await self.sessions()
        number = 0
        while not self._over.is_set():
            session, text = sessions[number % len(sessions)], f"reply-{self.run}-{number}"
            path = f"/sessions/{session}/messages"
            if await self.call("POST", path, body={"text": text}, key=text):
                self.replied.append((session, text))
            number += 1
            await asyncio.sleep(0.35 / self.pace)

    async def _reader(self) -> None:
        while not self._over.is_set():
            for session in await self.sessions():
                await self.call("GET", f"/sessions/{session}/messages?limit=5")
                await asyncio.sleep(0.25 / self.pace)
                if self._over.is_set():
                    return

    async def _scheduler(self) -> None:
        sessions = await self.sessions()
        number = 0
        while not self._over.is_set():
            at = datetime.now(UTC) + timedelta(seconds=3)
            text = f"later-{self.run}-{number}"
            body = {"session": sessions[number % len(sessions)], "text": text, "name": text}
            body["at"] = at.isoformat()
            if await self.call("POST", "/scheduled-messages", body=body, key=text):
                self.scheduled[text] = at
            number += 1
            await asyncio.sleep(1.0 / self.pace)

    def read(self, path: str, token: str) -> Reading:
        """Open a stream."""
        made = Reading(self.stack, path, token)
        self.streams.append(made)
        return made

    def read_as_visitor(self, number: int) -> Reading:
        """Open the stream of a web visitor."""
        visitor = f"v{self.run}{number}"
        token = mint(account_of(self.stack, "web"), visitor, int(time.time()))
        return self.read(self.stack.account("web")["webhook_path"] + "/events", token)

    def web_visitors(self) -> list[int]:
        """Return the numbers of visitors of the web plugin."""
        return [n for n in range(VISITORS) if self.channel_of(n) == "web"]

    async def stop(self) -> None:
        """End the load; the streams stay open."""
        self._over.set()
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        self._over.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for one in self.streams:
            await one.close()

    async def timelines(self) -> dict[str, list[dict[str, Any]]]:
        """Return the messages of each session, oldest first."""
        ledger = Ledger(self.stack)
        found = {}
        for row in await ledger.sessions():
            entries = await ledger.messages(row["id"])
            found[row["id"]] = [m for m in reversed(entries) if m["kind"] == "message"]
        return found
