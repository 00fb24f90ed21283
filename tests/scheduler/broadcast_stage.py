"""A stage for ticks of broadcasts: a real store, a clock of the test's own, a stand-in router.

The stand-in knows a command by its key, as the router does, and keeps each message with the report
of its sending. Timers are kept, not waited for: `run` sets the clock to the next one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec

from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Delivery, Outcome, PubAck
from libs.common.channel import Account
from libs.common.commands import Answer, Done, Refused, SendScheduled
from libs.common.directory import Directory
from libs.common.documents import MESSAGES, Message, Session
from libs.common.errors import NoResponderError
from libs.common.events import Fact, SendReported, SendStatus, Timer
from libs.common.ids import derive_id
from libs.common.later import BROADCASTS, Broadcast
from libs.common.store.api import Store
from libs.common.switches import Settings
from services.scheduler.broadcasts import Broadcasts
from services.scheduler.means import Means
from services.scheduler.outcomes import Outcomes
from tests.scheduler.broadcast_rig import Town

BEGIN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_command = msgspec.json.Decoder(SendScheduled)


class Killed(BaseException):
    """The process is killed here."""


class Router:
    """Answers `SendScheduled`; `made` has the messages by key, `asked` counts requests by key.

    `refuses` says by contact what is refused, `away` that nobody answers, `mute` that no outcome
    is told.
    """

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        self.made: dict[str, Message] = {}
        self.commands: list[SendScheduled] = []
        self.times: list[datetime] = []
        self.asked: Counter[str] = Counter()
        self.refuses: dict[str, str] = {}
        self.away = False
        self.told: set[str] = set()
        self.most_at_once = 0
        self._at_once = 0

    async def request(self, data: bytes) -> bytes:
        if self.away:
            raise NoResponderError("nobody")
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(0)
        try:
            return msgspec.json.encode(await self._answer(_command.decode(data)))
        finally:
            self._at_once -= 1

    async def _answer(self, command: SendScheduled) -> Answer:
        self.asked[command.key] += 1
        code = self.refuses.get(command.contact)
        if code is not None:
            return Refused(code=code, status=409, detail="no")
        message = self.made.get(command.key)
        if message is None:
            message = self._message(command)
            self.made[command.key] = message
            self.commands.append(command)
            self.times.append(self._now())
            await self._store.insert(MESSAGES, message)
        return Done(session=_session(command, self._now()), message=message)

    def _message(self, command: SendScheduled) -> Message:
        now = self._now()
        return Message(
            id=derive_id("msg", command.workspace, "", f"cmd:schedule:{command.key}:{command.key}"),
            workspace=command.workspace,
            account=command.account,
            key=f"cmd:schedule:{command.key}:{command.key}",
            session=command.session,
            visitor=command.visitor,
            kind="message",
            occurred_at=now,
            received_at=now,
            direction="out",
            sender="automation",
            sender_id=command.actor.id,
            parts=command.parts,
            status="queued",
            origin=command.origin,
        )


class Stage:
    """The scheduler's handlers, its clock, and what is armed."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.now = BEGIN
        self.router = Router(town.store, lambda: self.now)
        self.settings = Settings()
        self.armed: dict[str, Timer] = {}
        self.calls = 0
        self.dies_at = 0
        self.mute = False
        self.means = self._means()
        self.ticks = Broadcasts(self.means)
        self.outcomes = Outcomes(self.means)

    def restart(self) -> None:
        """Begin anew, as a process does that was started again."""
        self.dies_at = 0
        self.ticks = Broadcasts(self.means)

    async def start(self, broadcast: Broadcast, change: Callable[..., Broadcast | None]) -> str:
        """Store *broadcast* after *change* and arm it; return its id."""
        ready = change(broadcast, self.now)
        assert ready is not None
        await self.town.store.insert(BROADCASTS, ready)
        assert ready.fires_at is not None
        self.arm(ready.id, ready.fires_at)
        return ready.id

    async def act(self, id_: str, change: Callable[..., Broadcast | None]) -> Broadcast:
        """Change it as desk does, and arm what there is to arm."""
        after = change(await self.town.broadcast(id_), self.now)
        assert after is not None
        written = await self.town.store.replace(BROADCASTS, after)
        if written.fires_at is not None:
            self.arm(id_, written.fires_at)
        return written

    def arm(self, id_: str, due: datetime) -> None:
        self.armed[id_] = Timer(kind="broadcast", workspace=self.town.workspace, ref=id_, due=due)

    async def run(self, seconds: float = 3600.0, ticks: int = 2000) -> None:
        """Fire what is armed, in its order, until nothing is, or the time or the ticks are over."""
        until = self.now + timedelta(seconds=seconds)
        for _ in range(ticks):
            timer = min(self.armed.values(), key=lambda one: one.due, default=None)
            if timer is None or timer.due > until:
                break
            self.now = max(self.now, timer.due)
            del self.armed[timer.ref]
            await self.fire(timer)
            if not self.mute:
                await self.tell()
        else:
            raise AssertionError("it ticks for ever")

    async def fire(self, timer: Timer) -> None:
        """Deliver it until it is acknowledged."""
        await self._until_acked(lambda delivery: self.ticks.fire(timer, delivery), b"")

    async def _until_acked(
        self, handle: Callable[[Delivery], Awaitable[Outcome]], data: bytes
    ) -> None:
        """Deliver *data*; a kill delivers it to the next process."""
        for _ in range(20):
            try:
                outcome = await handle(_delivery(data))
            except Killed:
                self.restart()
                continue
            assert outcome == Ack()
            return
        raise AssertionError("never acknowledged")

    async def tell(self, status: SendStatus = "sent", reason: str = "") -> None:
        """Have the outcome of each new message told, by report and fact."""
        for key, message in self.router.made.items():
            if (key + status) in self.router.told:
                continue
            self.router.told.add(key + status)
            await self.report(message, status, reason)
            fact = Fact(
                fact_id=f"{message.id}:{status}",
                type="scheduled.status",
                workspace=message.workspace,
                session=message.session,
                at=self.now,
                message=message.id,
                status=status,
                origin=message.origin,
                detail=reason,
            )
            await self._until_acked(self.outcomes.handle, msgspec.json.encode(fact))

    async def report(self, message: Message, status: SendStatus, reason: str = "") -> None:
        """Store what the sender reported of a message, as the router does."""
        event = SendReported(
            event_id=f"{message.id}-{status}",
            visitor=message.visitor,
            occurred_at=self.now,
            message_id=message.id,
            status=cast(Any, status),
            reason=reason,
        )
        entry = Message(
            id=derive_id("msg", message.id, status),
            workspace=message.workspace,
            account=message.account,
            key=event.event_id,
            session=message.session,
            visitor=message.visitor,
            kind="event",
            occurred_at=self.now,
            received_at=self.now,
            target=(message.id,),
            event=event,
        )
        await self.town.store.insert(MESSAGES, entry)

    def _means(self) -> Means:
        async def nothing(_timer: Timer, _delivery: Delivery) -> Ack:
            return Ack()

        return Means(
            cast(Bus, _Bus(self)),
            cast(Store, _Mortal(self)),
            cast(Directory, _Directory(self)),
            lambda: self.now,
            nothing,
        )

    def step(self) -> None:
        """Count a call to the outside; die at the one that was chosen."""
        self.calls += 1
        if self.calls == self.dies_at:
            raise Killed


class _Bus:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def request(self, _subject: str, data: bytes, *, timeout_s: float) -> bytes:
        del timeout_s
        self._stage.step()
        answer = await self._stage.router.request(data)
        self._stage.step()
        return answer

    async def publish(
        self, _subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> PubAck:
        del msg_id, headers
        self._stage.step()
        timer = msgspec.json.decode(data, type=Timer)
        self._stage.armed[timer.ref] = timer
        self._stage.step()
        return PubAck(sequence=1, duplicate=False)


class _Mortal:
    """The store, of which each write is a step before and one behind."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._store = stage.town.store

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)
        if not name.startswith(("insert", "replace")):
            return call

        async def write(*args: Any) -> Any:
            self._stage.step()
            found = await call(*args)
            self._stage.step()
            return found

        return write


class _Directory:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def settings(self, _workspace: str) -> Settings:
        return self._stage.settings

    def known(self, slug: str) -> Account:
        return Account(workspace="w", slug=slug, channel="line", external_id="x", name="Shop")


def _session(command: SendScheduled, now: datetime) -> Session:
    return Session(
        id=command.session,
        workspace=command.workspace,
        account=command.account,
        channel=command.channel,
        visitor=command.visitor,
        contact=command.contact,
        list="ended",
        open_key=None,
        created_at=now,
        updated_at=now,
    )


def _delivery(data: bytes) -> Delivery:
    return Delivery(
        subject="due.0.broadcast.x",
        data=data,
        headers={},
        sequence=1,
        attempt=1,
        partition=0,
        pending=0,
        reply="",
    )
