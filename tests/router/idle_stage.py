"""A rig with a scheduler on the same clock in the test's hand: what is armed comes at its time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec

from libs.common.commands import FireTimer, RestoreSession, Snooze
from libs.common.documents import SESSIONS, Message, Session
from libs.common.events import InboundEvent, MessageEchoed, TextPart, Timer
from libs.common.idle import idle_end
from libs.common.switches import IdleRule, Settings, Termination
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, arrived, at, event, said

HOUR = 3600
DAY = 24 * HOUR
SCHEDULER = "scheduler"
LONG_AGO = at(-90 * DAY)


def idle_settings(*rules: IdleRule, **switches: Any) -> Settings:
    """Return switches with the idle ends on, by *rules*, or else as they are by default."""
    termination = Termination(since=LONG_AGO)
    if rules:
        termination = msgspec.structs.replace(termination, rules=rules)
    return Settings(**{"auto_termination": True, "termination": termination, **switches})


class Days:
    """Days of a few visitors. Time passes by `until`, and what is due then is brought.

    The scheduler is as the real one: an idle end that is not due any more it arms again itself,
    and the router does not hear of it.
    """

    def __init__(self, rig: Rig, first: int = 0) -> None:
        self.rig = rig
        self.armed: dict[tuple[str, str], Timer] = {}
        self.brought: list[tuple[float, str]] = []
        self._seen = 0
        self._said = first

    @property
    def now_s(self) -> float:
        return (self.rig.now - at(0)).total_seconds()

    # --- the scheduler

    def arm(self) -> None:
        """Take over what the router has armed since the last look; arming again replaces."""
        published = list(self.rig.bus.kept.values())
        for subject, data in published[self._seen :]:
            if subject.startswith("timer."):
                timer = msgspec.json.decode(data, type=Timer)
                self.armed[timer.kind, timer.key] = timer
        self._seen = len(published)

    async def until(self, seconds: float) -> None:
        """Let the time pass until *seconds* after the start."""
        self.arm()
        while self.armed and min(self._dues()) <= at(seconds):
            place = min(self.armed, key=lambda one: self.armed[one].due)
            timer = self.armed.pop(place)
            self.rig.now = max(self.rig.now, timer.due)
            await self._bring(timer)
            self.arm()
        self.rig.now = at(seconds)

    def _dues(self) -> list[datetime]:
        return [timer.due for timer in self.armed.values()]

    async def _bring(self, timer: Timer) -> None:
        if timer.kind == "idle_end":
            session = await self.rig.store.get(SESSIONS, WORKSPACE, timer.session)
            found = idle_end(session, self.rig.settings) if session is not None else None
            if found is None:
                return
            if found.due > self.rig.now:
                again = msgspec.structs.replace(timer, due=found.due)
                self.armed[timer.kind, timer.key] = again
                return
        self.brought.append((self.now_s, timer.kind))
        await self.rig.done(self.timer(timer.session, timer.kind, timer.due))

    def timer(self, session: str, kind: str, due: datetime) -> FireTimer:
        actor = self.rig.machine("system", SCHEDULER)
        head = self.rig.head(session, actor, f"{kind}:{session}:{due.isoformat()}")
        return FireTimer(**head, kind=kind, due=due)  # type: ignore[arg-type]

    # --- what people do

    async def write(self, text: str = "hello", **how: Any) -> Session:
        """Let the visitor write now; return the session."""
        channel = how.pop("channel", "messenger")
        self._said += 1
        wrote = said(text, self.now_s, key=f"k{self._said}", **how)
        await self.take(wrote, channel)
        return [s for s in await self.rig.sessions() if s.visitor == wrote.visitor][-1]

    async def answer_outside(self, text: str = "from the page's inbox", **how: Any) -> None:
        """Let an agent answer now, in the provider's own inbox."""
        channel = how.pop("channel", "messenger")
        self._said += 1
        fields = {"message_id": f"echo-{self._said}", "parts": (TextPart(text=text),), **how}
        await self.take(event(MessageEchoed, f"e{self._said}", self.now_s, **fields), channel)

    async def take(self, happened: InboundEvent, channel: str = "messenger") -> None:
        """Let the router take an event now."""
        await self.rig.take(
            arrived(happened, channel=channel, account=ACCOUNT, received_at=self.rig.now)
        )

    def snooze(self, session: str, agent: str, until_s: float | None, key: str = "") -> Snooze:
        until = None if until_s is None else at(until_s)
        return Snooze(**self.rig.head(session, agent, key), until=until)

    def restore(self, session: str, agent: str = "lea", key: str = "") -> RestoreSession:
        return RestoreSession(**self.rig.head(session, agent, key))

    async def session(self) -> Session:
        """Return the newest session."""
        return (await self.rig.sessions())[-1]

    async def lines(self, session: str, what: str) -> list[str]:
        """Return the texts of the system lines of this kind."""
        entries = await self.rig.timeline(session)
        return [text_of(entry) for entry in entries if (entry.kind, entry.what) == ("system", what)]

    async def pass_time(self, seconds: float) -> None:
        """Let so much time pass from now."""
        await self.until(self.now_s + timedelta(seconds=seconds).total_seconds())


def text_of(entry: Message) -> str:
    """Return the text of an entry with one part."""
    [part] = entry.parts
    assert isinstance(part, TextPart)
    return part.text
