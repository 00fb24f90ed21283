"""Idle ends and their undoing as races: several routers on a real NATS server and a real store."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.commands import (
    Actor,
    Answer,
    Done,
    FireTimer,
    Refused,
    RestoreSession,
    SendMessage,
    Snooze,
)
from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.events import TextPart
from libs.common.store.api import Page
from libs.common.switches import IdleRule, Settings, Termination
from tests.nats_server import NatsProcess
from tests.router.floor import Floor, floor_on, team_of
from tests.router.idle_stage import LONG_AGO

ROUTERS = 3
ROUNDS = 12
IDLE_S = 3600
RULE = IdleRule(lists=("unassigned", "assigned"), idle_s=IDLE_S)
SETTINGS = Settings(
    auto_hosting=False,
    auto_termination=True,
    termination=Termination(rules=(RULE,), since=LONG_AGO),
)


class Race:
    """A floor whose clock jumps: between two jumps nothing is idle for long enough."""

    def __init__(self, floor: Floor, clock: Jumping) -> None:
        self.floor = floor
        self.clock = clock

    def head(self, session: str, kind: str, name: str) -> dict[str, Any]:
        return {
            "workspace": self.floor.workspace,
            "session": session,
            "actor": Actor(kind=kind, id=name, name=name.title()),
            "key": uuid.uuid4().hex,
            "deadline": self.clock() + timedelta(seconds=60),
        }

    def timer(self, session: Session) -> FireTimer:
        """Return what the scheduler asks when the session was idle for an hour."""
        due = (session.idle_since or session.created_at) + timedelta(seconds=IDLE_S)
        return FireTimer(**self.head(session.id, "system", "scheduler"), kind="idle_end", due=due)

    def restore(self, session: str) -> RestoreSession:
        return RestoreSession(**self.head(session, "agent", "lea"))

    def reply(self, session: str) -> SendMessage:
        parts = (TextPart(text="yes?"),)
        return SendMessage(**self.head(session, "agent", "amy"), parts=parts)

    def snooze(self, session: str) -> Snooze:
        until = self.clock() + timedelta(hours=1)
        return Snooze(**self.head(session, "agent", "amy"), until=until)

    async def waiting(self, *visitors: str) -> dict[str, Session]:
        """Let *visitors* write, and wait until they wait."""
        await self.floor.write(*visitors)
        await self.floor.until_owned(**dict.fromkeys(visitors, ""))
        found = await self.floor.sessions()
        return {visitor: found[visitor] for visitor in visitors}

    async def all_of(self, visitor: str) -> list[Session]:
        page = Page(order="updated", limit=1000)
        found = await self.floor.store.find(SESSIONS, self.floor.workspace, {}, page)
        return [session for session in found if session.visitor == visitor]

    async def said(self, session: str) -> list[Message]:
        page = Page(order="timeline", limit=100)
        where = {"timeline": session}
        return await self.floor.store.find(MESSAGES, self.floor.workspace, where, page)


class Jumping:
    """The real clock, and the hours that a test lets pass at once."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def jump(self) -> None:
        self.ahead += timedelta(seconds=IDLE_S + 60)


@pytest.fixture
async def race(nats_process: NatsProcess, ready_url: str) -> AsyncIterator[Race]:
    clock = Jumping()
    async with floor_on(nats_process.url, ready_url, ROUTERS, clock) as floor:
        await floor.change(settings=SETTINGS, members=team_of(amy=50))
        yield Race(floor, clock)


def outcome(answer: Answer) -> str:
    return answer.code if isinstance(answer, Refused) else "done"


VISITORS = tuple(f"v{number}" for number in range(ROUNDS))


async def test_d07_restored_and_opened_anew_at_once_there_is_one_open_session(race: Race) -> None:
    """The visitor writes while an agent undoes the end: whichever wins, the other joins it."""
    sessions = await race.waiting(*VISITORS)
    race.clock.jump()
    for session in sessions.values():
        await race.floor.done(race.timer(session))
    seen: Counter[str] = Counter()
    for number, (visitor, session) in enumerate(sessions.items()):

        async def undo(id_: str = session.id, wait_s: float = number % 4 * 0.002) -> Answer:
            await asyncio.sleep(wait_s)
            return await race.floor.ask(race.restore(id_))

        answer, _ = await asyncio.gather(undo(), race.floor.write(visitor, text="again"))

        async def arrived(who: str = visitor) -> bool:
            return sum(one.inbound for one in await race.all_of(who)) == 2

        await race.floor.until(arrived, "the second message is in")
        found = await race.all_of(visitor)
        [opened] = [one for one in found if one.open_key is not None]
        seen[outcome(answer)] += 1
        assert outcome(answer) in {"done", "another_open"}
        assert (opened.id == session.id) == isinstance(answer, Done)
        assert len(found) == (1 if isinstance(answer, Done) else 2)
    assert sum(seen.values()) == ROUNDS


async def test_d07_restored_by_many_at_once_it_is_restored_once(race: Race) -> None:
    sessions = await race.waiting("v1")
    await race.floor.done(race.floor.assign(sessions["v1"].id, "amy"))
    session = (await race.floor.sessions())["v1"]
    race.clock.jump()
    await race.floor.done(race.timer(session))
    ended = (await race.floor.sessions())["v1"]
    answers = await asyncio.gather(*(race.floor.ask(race.restore(session.id)) for _ in range(12)))
    assert {outcome(answer) for answer in answers} == {"done"}
    after = (await race.floor.sessions())["v1"]
    assert (after.list, after.owner, after.epoch) == ("assigned", "amy", ended.epoch + 1)
    lines = [entry for entry in await race.said(session.id) if entry.what == "restored"]
    assert len(lines) == 1
    await race.floor.until_at_rest(("amy",))


async def test_a11_a_reply_and_the_end_at_once(race: Race) -> None:
    """A reply that is acknowledged while the session is open is not followed by its idle end."""
    sessions = await race.waiting(*VISITORS)
    race.clock.jump()
    seen: Counter[str] = Counter()
    for number, session in enumerate(sessions.values()):

        async def end(one: Session = session, wait_s: float = number % 3 * 0.001) -> Answer:
            await asyncio.sleep(wait_s)
            return await race.floor.ask(race.timer(one))

        reply, fired = await asyncio.gather(race.floor.ask(race.reply(session.id)), end())
        assert outcome(fired) == "done"
        after = await race.floor.store.get(SESSIONS, race.floor.workspace, session.id)
        assert after is not None
        seen[outcome(reply)] += 1
        if isinstance(reply, Done):
            assert (after.list, after.owner, after.ended_from) == ("assigned", "amy", None)
        else:
            assert (reply.code, after.end_reason) == ("session_ended", "auto_terminated")
        await race.floor.done(race.timer(session))  # brought again
        again = await race.floor.store.get(SESSIONS, race.floor.workspace, session.id)
        assert again is not None
        assert again.list == after.list
    assert sum(seen.values()) == ROUNDS
    await race.floor.until_at_rest(("amy",))


async def test_d07_brought_many_times_at_once_it_ends_once_and_says_farewell_once(
    race: Race,
) -> None:
    rule = IdleRule(lists=("unassigned",), idle_s=IDLE_S, farewell="Goodbye!")
    termination = Termination(rules=(rule,), since=LONG_AGO)
    await race.floor.change(
        settings=Settings(auto_hosting=False, auto_termination=True, termination=termination)
    )
    sessions = await race.waiting("v1", "v2", "v3")
    race.clock.jump()
    for session in sessions.values():
        answers = await asyncio.gather(
            *(race.floor.ask(race.timer(session)) for _ in range(8)),
        )
        assert {outcome(answer) for answer in answers} == {"done"}
    for session in sessions.values():

        async def stored(id_: str = session.id) -> bool:
            return any(entry.what == "ended" for entry in await race.said(id_))

        await race.floor.until(stored, "the line is stored")
        said = [entry.what or entry.sender for entry in await race.said(session.id)]
        assert said == ["visitor", "automation", "ended"]


async def test_a12_switched_off_and_acknowledged_before_nothing_ends(race: Race) -> None:
    """The timer comes at once after the switch: a router that has not heard of it yet looks."""
    sessions = await race.waiting(*VISITORS)
    race.clock.jump()
    await race.floor.change(settings=Settings(auto_hosting=False))
    answers = await asyncio.gather(
        *(race.floor.ask(race.timer(session)) for session in sessions.values())
    )
    assert {outcome(answer) for answer in answers} == {"done"}
    after = (await race.floor.sessions()).values()
    assert {session.list for session in after} == {"unassigned"}


async def test_put_aside_and_written_to_at_once_it_is_put_aside_or_awake(race: Race) -> None:
    """A message and a snooze race: the later of the two writes decides, and the queue agrees."""
    sessions = await race.waiting(*VISITORS)
    seen: Counter[bool] = Counter()
    for visitor, session in sessions.items():
        answer, _ = await asyncio.gather(
            race.floor.ask(race.snooze(session.id)), race.floor.write(visitor, text="again")
        )
        assert outcome(answer) == "done"

        async def arrived(who: str = visitor) -> bool:
            return sum(one.inbound for one in await race.all_of(who)) == 2

        await race.floor.until(arrived, "the second message is in")
        [after] = await race.all_of(visitor)
        asleep = after.snoozed_until is not None
        seen[asleep] += 1
        assert (after.queue_key is None) == asleep
        assert ("snooze" in after.due) == asleep
        wanted = ["snoozed"] if asleep else ["snoozed", "woken"]

        async def told(id_: str = session.id, lines: tuple[str, ...] = tuple(wanted)) -> bool:
            said = await race.said(id_)
            return tuple(entry.what for entry in said if entry.kind == "system") == lines

        await race.floor.until(told, "the lines say so too")
    assert sum(seen.values()) == ROUNDS
