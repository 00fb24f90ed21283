"""D26: whatever happens, reports equal what a scan of all facts and messages gives."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from libs.common.commands import EndSession, FireTimer, HandOff, RestoreSession
from libs.common.documents import MESSAGES, Message, Session
from libs.common.errors import StoreUnavailableError
from libs.common.events import Fact
from libs.common.figures import FIGURES
from libs.common.store.api import In, Page
from libs.common.switches import IdleRule, Settings, Survey, Termination
from services.desk.report_agents import Agents
from services.desk.report_bits import REPORTS, By
from services.desk.report_read import Wanted, alive, ended
from services.desk.report_rows import Number, Period, Row, Sheet
from services.desk.scope import WHOLE
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, arrived, at, rig_on, said
from tests.router.stage import agents, policy

PARIS = ZoneInfo("Europe/Paris")
PERIOD = Period(at(-86_400), at(14 * 86_400), PARIS)
HOUR = 3600
RULE = IdleRule(lists=("bot_hosted", "unassigned", "assigned"), last=("visitor", "agent"))
SETTINGS = Settings(
    handoff_words=("human",),
    auto_termination=True,
    termination=Termination(
        rules=(msgspec.structs.replace(RULE, idle_s=HOUR),), since=at(-86_400), undo_s=86_400
    ),
    survey=Survey(channels=("line",)),
)
PEOPLE = ("amy", "bob")


class Town:
    """Visitors, agents, a bot and a clock, who do what chance says."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.chance = random.Random(seed)  # noqa: S311 (a history that is told again)
        self.said = 0
        rig.settings = SETTINGS
        rig.policy = msgspec.structs.replace(policy(members=agents(*PEOPLE)), settings=SETTINGS)

    async def live(self, steps: int) -> None:
        doings = (self.write, self.write, self.write, self.answer, self.act, self.act, self.idle)
        for _ in range(steps):
            self.rig.now += timedelta(seconds=self.chance.choice((1, 30, 700, 4000)))
            await self.chance.choice(doings)()
        await self.rig.outbox.sweep()

    async def write(self) -> None:
        self.said += 1
        text = self.chance.choice(("hello", "human", "5", "and?"))
        seconds = (self.rig.now - at(0)).total_seconds()
        visitor = self.chance.choice(("U1", "U2", "U3"))
        event = said(text, seconds, visitor=visitor, key=f"k{self.said}")
        late = timedelta(seconds=self.chance.choice((0, 0.4)))
        deliveries = await self.rig.take(arrived(event, received_at=self.rig.now - late))
        if self.chance.random() < 0.2:
            await self.rig.deliver(deliveries)

    async def answer(self) -> None:
        for session in await self.some():
            await self.rig.ask(self.rig.send(session.id, self.chance.choice(PEOPLE), "hi"))

    async def act(self) -> None:
        rig, who = self.rig, self.chance.choice(PEOPLE)
        for session in await self.some():
            doings: Sequence[Any] = (
                rig.claim(session.id, who),
                rig.assign(session.id, who, self.chance.choice(PEOPLE)),
                rig.assign(session.id, who),
                rig.bot(session.id, who, on=self.chance.random() < 0.5),
                rig.note(session.id, who, "a note"),
                rig.end(session.id, who),
                EndSession(**rig.head(session.id, rig.machine("bot", "faq"))),
                HandOff(**rig.head(session.id, rig.machine("bot", "faq")), because="asked"),
            )
            await rig.ask(self.chance.choice(doings))

    async def idle(self) -> None:
        rig = self.rig
        rig.now += timedelta(seconds=2 * HOUR)
        timer = rig.machine("system", "timer")
        for session in await self.some():
            head = rig.head(session.id, timer)
            await rig.ask(FireTimer(**head, kind="idle_end", due=rig.now))
        for session in await rig.sessions("ended"):
            if self.chance.random() < 0.3:
                rig.now += timedelta(seconds=200)
                await rig.ask(RestoreSession(**rig.head(session.id, "amy")))

    async def some(self) -> list[Session]:
        found = await self.rig.sessions("bot_hosted", "unassigned", "assigned")
        return self.chance.sample(found, min(1, len(found)))


class Scan:
    """What happened in one session, from its facts and messages alone."""

    def __init__(self, facts: list[Fact], messages: dict[str, Message]) -> None:
        self.facts = sorted(facts, key=lambda fact: (fact.rev, int(fact.fact_id.split(":")[2])))
        self.messages = messages
        wrote = (messages.get(fact.message) for fact in self.facts)
        self.bot = any(one is not None and one.sender == "bot" for one in wrote)
        self.began = self.facts[0].list
        self.created = self.facts[0].at
        self.ended = self.facts[-1].at
        self.ender = ""
        self.needed: datetime | None = None
        self.answered: datetime | None = None
        self.people = False
        self.waited, self.spells, self.closed = 0.0, 0, 0.0
        self.held: list[tuple[str, datetime, datetime | None]] = []
        self._walk()
        self.open = self.facts[-1].list != "ended"

    def _walk(self) -> None:  # noqa: C901 (one pass over what was told)
        place, since, ended_at = "", self.created, self.created
        owner = ""
        heard = False
        for fact in self.facts:
            self.people |= fact.list in {"unassigned", "assigned"}
            if fact.list != place:
                if place == "unassigned":
                    self.waited += (fact.at - since).total_seconds()
                if place == "ended":
                    self.closed += (fact.at - ended_at).total_seconds()
                self.spells += fact.list == "unassigned"
                if fact.list == "ended":
                    ended_at, self.ender = fact.at, fact.actor
                place, since = fact.list, fact.at
            now_owner = fact.owner if fact.list == "assigned" else ""
            if now_owner != owner:
                if owner:
                    self.held[-1] = (*self.held[-1][:2], fact.at)
                if now_owner:
                    self.held.append((now_owner, fact.at, None))
                owner = now_owner
            self._need(fact, heard=heard)
            heard |= fact.type == "message.stored" and fact.actor == "visitor"
        self.ended = ended_at

    def _need(self, fact: Fact, *, heard: bool) -> None:
        if self.answered is not None:
            return
        message = self.messages.get(fact.message)
        if fact.type == "message.stored" and message is not None and message.kind == "message":
            if message.sender == "agent":
                self.answered = message.received_at
            if fact.actor == "visitor" and fact.list in {"unassigned", "assigned"}:
                self.needed = self.needed or message.received_at
        by_person = fact.actor.startswith("agent:") and fact.list == "assigned"
        from_bot = fact.type == "session.moved" and fact.previous_list == "bot_hosted"
        if from_bot and heard and not by_person:
            self.needed = self.needed or fact.at

    @property
    def by(self) -> str:
        kind = self.ender.partition(":")[0]
        return {"agent": "by_agent", "bot": "by_bot", "system": "by_automatic"}[kind]


async def scanned(rig: Rig) -> tuple[list[Scan], dict[str, Message]]:
    rows = await rig.store.find(
        MESSAGES, WORKSPACE, {"account": In((ACCOUNT,))}, Page(order="key", limit=1000)
    )
    assert len(rows) < 1000
    messages = {row.id: row for row in rows}
    by: defaultdict[str, list[Fact]] = defaultdict(list)
    for fact in rig.bus.facts():
        if fact.rev:
            by[fact.session].append(fact)
    return [Scan(facts, messages) for facts in by.values()], messages


async def reported(
    rig: Rig, name: str, by: By | None = None
) -> tuple[dict[str, Number], list[Row]]:
    wanted = Wanted(scope=WHOLE)
    sheet = Agents(PERIOD, rig.now) if name == "agents" else Sheet(REPORTS[name], PERIOD, by)
    whole = name == "agents" or REPORTS[name].open
    async for page in (alive if whole else ended)(rig.store, WORKSPACE, PERIOD, wanted):
        for one in page:
            sheet.add(one)
    return sheet.finish({})


def mean(numbers: list[float]) -> float | None:
    return round(sum(numbers) / len(numbers), 3) if numbers else None


def times(name: str, numbers: list[float]) -> dict[str, Number]:
    ordered = sorted(numbers)
    count = len(ordered)
    if not count:
        return {f"{name}_{k}": None for k in ("mean_s", "max_s")} | {f"{name}_count": 0}
    return {
        f"{name}_count": count,
        f"{name}_mean_s": mean(ordered),
        f"{name}_max_s": round(ordered[-1], 3),
    }


async def check(rig: Rig) -> int:
    scans, messages = await scanned(rig)
    over = [scan for scan in scans if not scan.open]
    expected: dict[str, dict[str, Any]] = {
        "response": {
            "needed": sum(s.needed is not None for s in over),
            "abandoned": sum(s.needed is not None and s.answered is None for s in over),
            **times(
                "first_response",
                [(s.answered - s.needed).total_seconds() for s in over if s.needed and s.answered],
            ),
        },
        "resolution": times(
            "resolution", [(s.ended - s.created).total_seconds() - s.closed for s in over]
        ),
        "waiting": {
            "sessions": len(over),
            "spells": sum(s.spells for s in over),
            **times("waiting", [s.waited for s in over if s.spells]),
        },
        "bots": {
            "began_with_bot": sum(s.began == "bot_hosted" and s.bot for s in over),
            "contained": sum(s.began == "bot_hosted" and s.bot and not s.people for s in over),
        },
        "terminations": {"ended": len(over)} | Counter(s.by for s in over),
        "transfers": {
            "owned": sum(bool(s.held) for s in over),
            "transfers": sum(
                one[0] != other[0]
                for s in over
                for one, other in zip(s.held, s.held[1:], strict=False)
            ),
        },
        "volume": volume(scans, messages),
    }
    for name, figures in expected.items():
        totals, _ = await reported(rig, name)
        assert {key: totals[key] for key in figures} == pytest.approx(figures), name
    await check_days(rig, over, messages)
    await check_agents(rig, scans, messages)
    return len(over)


def volume(scans: list[Scan], messages: dict[str, Message]) -> dict[str, Any]:
    spoken = [m for m in messages.values() if m.kind == "message"]
    return {
        "opened": len(scans),
        "ended": sum(not s.open for s in scans),
        "received": sum(m.direction == "in" for m in spoken),
        "sent": sum(m.direction == "out" for m in spoken),
        "sent_by_agents": sum(m.sender == "agent" for m in spoken),
        "sent_automatically": sum(m.sender == "automation" for m in spoken),
    }


async def check_days(rig: Rig, over: list[Scan], messages: dict[str, Message]) -> None:
    received = Counter(
        m.received_at.astimezone(PARIS).date().isoformat()
        for m in messages.values()
        if m.kind == "message" and m.direction == "in"
    )
    _, rows = await reported(rig, "volume", "day")
    assert {row.key: row.values["received"] for row in rows if row.values["received"]} == received
    ends = Counter(s.ended.astimezone(PARIS).strftime("%a %H").lower() for s in over)
    _, rows = await reported(rig, "terminations", "hour")
    assert len(rows) == 168
    assert {row.key: row.values["ended"] for row in rows if row.values["ended"]} == ends


async def check_agents(rig: Rig, scans: list[Scan], messages: dict[str, Message]) -> None:
    _, rows = await reported(rig, "agents")
    found = {row.key: row.values for row in rows}
    for agent in PEOPLE:
        spells = [
            (since, until or rig.now)
            for s in scans
            for who, since, until in s.held
            if who == agent and (until or rig.now) > since
        ]
        owned = sum(any(a == agent and (u or rig.now) > f for a, f, u in s.held) for s in scans)
        sent = sum(
            (m.kind, m.sender, m.sender_id) == ("message", "agent", agent)
            for m in messages.values()
        )
        length = (rig.now - PERIOD.since).total_seconds()
        at_once = max((sum(f <= one < u for f, u in spells) for one, _ in spells), default=0)
        load = sum((u - f).total_seconds() for f, u in spells) / length
        values = found.get(agent, {"owned": 0, "sent": 0, "load_mean": 0, "load_max": 0})
        assert values == {
            "owned": owned,
            "sent": sent,
            "load_mean": pytest.approx(load, abs=1e-4),
            "load_max": at_once,
        }


@pytest.mark.parametrize("seed", range(3))
async def test_d26_reports_equal_a_scan_of_what_happened(ready_url: str, seed: int) -> None:
    async with rig_on(ready_url) as rig:
        await Town(rig, seed).live(90)
        assert await check(rig) >= 3


async def test_d26_so_they_do_on_each_engine(store_url: str) -> None:
    async with rig_on(store_url) as rig:
        await Town(rig, 99).live(50)
        assert await check(rig) >= 1


async def test_d26_a_restored_session_counts_once_it_has_ended_again(ready_url: str) -> None:
    async with rig_on(ready_url) as rig:
        town = Town(rig, 1)
        await town.write()
        [session] = await rig.sessions()
        timer = rig.machine("system", "timer")
        rig.now += timedelta(hours=3)
        await rig.ask(FireTimer(**rig.head(session.id, timer), kind="idle_end", due=rig.now))
        first = await rig.store.get(FIGURES, WORKSPACE, session.id)
        rig.now += timedelta(hours=5)
        await rig.done(RestoreSession(**rig.head(session.id, "amy")))
        between = (await reported(rig, "resolution"))[0]
        rig.now += timedelta(hours=1)
        await rig.done(rig.end(session.id, "amy"))
        again = await rig.store.get(FIGURES, WORKSPACE, session.id)
        after = (await reported(rig, "resolution"))[0]
    assert first is not None
    assert again is not None
    assert (first.course.ended_by, again.course.ended_by) == ("automatic", "agent")
    assert again.course.closed_s == 5 * HOUR
    assert (between["resolution_count"], after["resolution_count"]) == (0, 1)


async def test_d26_what_a_crash_left_undone_is_counted_once(ready_url: str) -> None:
    async with rig_on(ready_url) as rig:
        town = Town(rig, 1)
        await town.write()
        [session] = await rig.sessions()
        insert = rig.store.insert_many
        rig.store.insert_many = _away  # type: ignore[method-assign, assignment]
        await rig.ask(rig.end(session.id, "amy"))
        rig.store.insert_many = insert  # type: ignore[method-assign]
        assert await rig.store.get(FIGURES, WORKSPACE, session.id) is None
        rig.restart()
        rig.now += timedelta(seconds=60)
        for _ in range(2):
            await rig.outbox.sweep()
        assert (await reported(rig, "terminations"))[0]["by_agent"] == 1


async def _away(*_: object) -> dict[str, str]:
    raise StoreUnavailableError("away")
