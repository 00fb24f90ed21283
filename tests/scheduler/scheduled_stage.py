"""A stage for scheduled messages: a router's real decisions, a clock and timers in the hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Delivery, PubAck
from libs.common.commands import Refused
from libs.common.directory import Directory
from libs.common.documents import Session
from libs.common.events import SendRequest, TextPart, Timer
from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.seal import Sealer, new_key_setting
from services.scheduler.means import Means
from services.scheduler.scheduled import Scheduled
from tests.router.faulty import FaultyStore, Steps
from tests.router.planned import on, wrote
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, at

DUE = at(100)
MANY = 1000
DELIVERY = Delivery(
    subject="due.0.scheduled.sch1",
    data=b"",
    headers={},
    sequence=1,
    attempt=1,
    partition=0,
    pending=0,
    reply="",
)


def scheduled(**more: Any) -> ScheduledMessage:
    """Return what desk writes: a message that is due at `DUE`."""
    fields: dict[str, Any] = {
        "id": "sch1",
        "workspace": WORKSPACE,
        "name": "Parcel",
        "contact": "con1",
        "account": ACCOUNT,
        "channel": "line",
        "visitor": "U1",
        "author": "ann",
        "author_name": "Ann",
        "parts": (TextPart(text="Your parcel, {{contact.name|friend}}"),),
        "local": "2026-03-01T12:01:40",
        "zone": "UTC",
        "due_at": DUE,
        "fires_at": DUE,
        "created_at": at(10),
        "updated_at": at(10),
    }
    return ScheduledMessage(**fields | more)


class Line:
    """The bus between scheduler and router; each use is a step, at which it may crash."""

    def __init__(self, rig: Rig, steps: Steps) -> None:
        self._rig = rig
        self.steps = steps
        self.armed: dict[str, Timer] = {}
        """By subject, as the server keeps them."""
        self.answer: Refused | None = None
        """What the router answers instead."""

    async def request(self, subject: str, data: bytes, *, timeout_s: float) -> bytes:
        assert timeout_s > 0
        if self.answer is not None:
            return msgspec.json.encode(self.answer)
        return await self.steps.step("ask", lambda: self._rig.executor.handle(subject, data))

    async def publish(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> PubAck:
        assert headers is not None
        assert not msg_id

        async def keep() -> PubAck:
            self.armed[subject] = msgspec.json.decode(data, type=Timer)
            return PubAck(sequence=1, duplicate=False)

        return await self.steps.step("publish", keep)


class Scene:
    """One scheduled message, a router and a scheduler; `plans` is how the message is scheduled."""

    def __init__(self, rig: Rig, channel: str = "messenger", **account: Any) -> None:
        on(rig, channel, **account)
        self.rig = rig
        self.channel = channel
        self.plans: dict[str, Any] = {"channel": channel}
        self.line = Line(rig, Steps())
        self.fired = 0
        """How often its timer came."""
        self._seen = 0

    async def writes(self, text: str, seconds: float) -> Session:
        """Let the visitor write; return their session, for which the message may be scheduled."""
        self.rig.now = max(self.rig.now, at(seconds))
        session = await wrote(self.rig, self.channel, text, seconds)
        self._hear_router()
        return session

    async def plan(self, **more: Any) -> ScheduledMessage:
        """Store it and arm it."""
        doc = await self.rig.store.insert(SCHEDULED, scheduled(**self.plans | more))
        self.line.armed["timer.scheduled.sch1"] = self.timer(doc.due_at)
        return doc

    def timer(self, due: datetime) -> Timer:
        return Timer(kind="scheduled", workspace=WORKSPACE, ref="sch1", due=due)

    def handler(self, steps: Steps | None = None) -> Scheduled:
        """Return a scheduler that has just been started; it fails at one of *steps*."""
        self.line.steps = steps or Steps()
        return Scheduled(self.means())

    def means(self) -> Means:
        """Return what a handler stands on."""
        return Means(
            bus=cast(Bus, self.line),
            store=FaultyStore(self.rig.store, self.line.steps),
            directory=Directory(Sealer.from_setting(new_key_setting())),
            now=lambda: self.rig.now,
            bring=nobody,
        )

    async def run(self, until: datetime | None = None, steps: Steps | None = None) -> None:
        """Fire what is armed as its time comes, up to *until*."""
        while True:
            self._hear_router()
            armed = self.line.armed.items()
            due = [(one.due, subject) for subject, one in armed if one.due <= (until or DUE)]
            if not due:
                break
            at_, subject = min(due)
            self.rig.now = max(self.rig.now, at_)
            timer = self.line.armed[subject]
            handler = self.handler(steps)
            steps = None
            self.fired += 1
            assert self.fired < MANY, "it fires for ever"
            assert await handler.fire(timer, DELIVERY) == Ack()
            if self.line.armed.get(subject) is timer:
                del self.line.armed[subject]
        self.rig.now = max(self.rig.now, until or DUE)

    def _hear_router(self) -> None:
        """Keep the timers that the router has armed since."""
        kept = list(self.rig.bus.kept.values())
        for subject, data in kept[self._seen :]:
            if subject.startswith("timer.scheduled."):
                self.line.armed[subject] = msgspec.json.decode(data, type=Timer)
        self._seen = len(kept)

    async def doc(self) -> ScheduledMessage:
        found = await self.rig.store.get(SCHEDULED, WORKSPACE, "sch1")
        assert found is not None
        return found

    def sent(self) -> list[SendRequest]:
        """Return what went out of it."""
        return [one for one in self.rig.bus.sends() if one.sender == "automation"]


async def nobody(_timer: Timer, _delivery: Delivery) -> Ack:
    raise AssertionError("it is not brought to the router as a timer")
