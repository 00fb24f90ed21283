"""Agents who listen: a stream of alerts as a page reads it, and facts to tell of."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec

from libs.common import subjects
from libs.common.documents import Agent
from libs.common.events import Fact, FactType
from services.desk.api.route import Desk
from services.desk.live import open_live
from tests.desk.world import World, agent_of, serving

_numbers = itertools.count(1)


class Page:
    """A page that listens; `last` is the id it would resume with."""

    def __init__(self, answer: aiohttp.ClientResponse, last: str) -> None:
        self.answer = answer
        self.last = last

    async def alert(self, within_s: float = 5.0) -> dict[str, Any]:
        """Return the next alert."""
        async with asyncio.timeout(within_s):
            while True:
                fields = await self.block()
                assert fields, "the stream has ended"
                if "data" in fields:
                    assert fields["event"] == "alert"
                    found: dict[str, Any] = msgspec.json.decode(fields["data"])
                    return found

    async def block(self) -> dict[str, str]:
        """Return what stands between two empty lines; nothing at the end."""
        fields: dict[str, str] = {}
        while line := (await self.answer.content.readline()).decode().rstrip("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.strip()
        self.last = fields.get("id", self.last)
        return fields

    async def ended(self, within_s: float = 5.0) -> bool:
        """Tell whether the stream comes to its end in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while await self.block():
                    pass
                return True
        return False


@asynccontextmanager
async def listening(
    world: World, who: str, *, base: str = "", last: str = ""
) -> AsyncIterator[Page]:
    """Open a stream as *who*; it is open once its place was told."""
    headers = {"Authorization": f"Bearer {world.tokens[who]}"}
    if last:
        headers["Last-Event-ID"] = last
    url = f"{base or world.base}/api/v1/alerts/stream"
    async with world.http.get(url, headers=headers) as answer:
        assert answer.status == 200, await answer.read()
        assert answer.content_type == "text/event-stream"
        page = Page(answer, last)
        assert "retry" in await page.block()
        yield page


@asynccontextmanager
async def second_desk(world: World) -> AsyncIterator[tuple[Desk, str]]:
    """Another process's desk, on the same bus and store; yields it and its address."""
    async with open_live(world.bus, world.store, lambda: datetime.now(UTC)) as live:
        desk = msgspec.structs.replace(world.desk, live=live)
        async with serving(desk) as port:
            yield desk, f"http://127.0.0.1:{port}"


def fact_of(world: World, kind: FactType, session: str = "ses-1", **more: Any) -> Fact:
    return Fact(
        fact_id=f"{world.workspace}:{next(_numbers)}",
        type=kind,
        workspace=more.pop("workspace", world.workspace),
        session=session,
        at=more.pop("at", datetime.now(UTC)),
        list=more.pop("list", "unassigned"),
        **more,
    )


async def happens(world: World, kind: FactType, session: str = "ses-1", **more: Any) -> Fact:
    """Publish a fact, as the router does."""
    fact = fact_of(world, kind, session, **more)
    subject = subjects.fact(fact.workspace, kind, session)
    await world.bus.publish(subject, msgspec.json.encode(fact), msg_id=fact.fact_id)
    return fact


def member(world: World, name: str) -> Agent:
    return agent_of(name, "agent", world.workspace)
