"""Agents who listen: a stream of alerts as a page reads it, and alerts to be told."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import aiohttp
import msgspec

from libs.common import subjects
from libs.common.alerts import Alert
from libs.common.documents import Agent
from services.desk.api.route import Desk
from services.desk.live import open_live
from tests.desk.world import World, agent_of, serving

AlertKind = Literal["raised", "updated", "cleared"]

_numbers = itertools.count(1)


class Page:
    """A page that listens; `last` is the id it would resume with."""

    def __init__(self, answer: aiohttp.ClientResponse, last: str) -> None:
        self.answer = answer
        self.last = last

    async def alert(self, within_s: float = 30.0) -> dict[str, Any]:
        """Return the next alert."""
        return await self.event("alert", within_s)

    async def event(self, name: str, within_s: float = 30.0) -> dict[str, Any]:
        """Return the next event of this name."""
        async with asyncio.timeout(within_s):
            while True:
                fields = await self.block()
                assert fields, "the stream has ended"
                assert fields.get("event") in {None, "alert", "presence"}
                if fields.get("event") == name:
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

    async def ended(self, within_s: float = 30.0) -> bool:
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
    async with open_live(world.bus, lambda: datetime.now(UTC)) as live:
        desk = msgspec.structs.replace(world.desk, live=live)
        async with serving(desk) as port:
            yield desk, f"http://127.0.0.1:{port}"


def alert_of(world: World, agent: str, session: str = "ses-1", **more: Any) -> Alert:
    """Return an alert of *agent* (a name), as the notifier makes them."""
    at = more.pop("at", datetime.now(UTC))
    workspace = more.pop("workspace", world.workspace)
    given = {
        "id": f"{session}:{next(_numbers)}:agt-{agent}",
        "trigger": "notice",
        "at": at,
        "expires_at": at + timedelta(minutes=15),
        "list": "unassigned",
        "url": f"/#/sessions/{session}",
        **more,
    }
    return Alert(workspace=workspace, agent=f"agt-{agent}", session=session, **given)


async def publish(world: World, alert: Alert, *, agent: str = "", workspace: str = "") -> Alert:
    """Publish an alert to browsers as the notifier does; under another name if so told."""
    subject = subjects.alert("browser", workspace or alert.workspace, agent or alert.agent)
    msg_id = f"{world.workspace}:{alert.id}:{alert.n}:{next(_numbers)}"
    await world.bus.publish(subject, msgspec.json.encode(alert), msg_id=msg_id)
    return alert


async def raised(world: World, agent: str = "amy", session: str = "ses-1", **more: Any) -> Alert:
    """Raise an alert."""
    return await publish(world, alert_of(world, agent, session, **more))


async def then(world: World, alert: Alert, kind: AlertKind, **more: Any) -> Alert:
    """Say more of an alert: it was `updated`, `cleared`, or `raised` again."""
    return await publish(world, msgspec.structs.replace(alert, kind=kind, n=alert.n + 1, **more))


def member(world: World, name: str) -> Agent:
    return agent_of(name, "agent", world.workspace)
