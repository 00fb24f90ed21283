"""Alerts on real NATS and SQLite: what one agent is told, by which sink, how often."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from libs.common import subjects
from libs.common.alerts import ATTENTION, Alert, Watch
from libs.common.simulate.stub import Stub
from libs.common.subjects import DEAD, EVENTS
from libs.common.switches import Alerting, Rung
from services.notifier.alerting import DURABLE
from tests.nats_server import NatsProcess
from tests.notifier.attention_rig import Desk, engine, later, open_desk
from tests.notifier.rig import spawned, staged, until
from tests.soak import sized


async def test_c03_a_burst_of_thirty_is_one_alert_with_their_count_and_one_email(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    alerts = Alerting(window_s=2, email_after_s=2, escalation=())
    async with open_desk(nats_process.url, tmp_path, alerts=alerts) as desk:
        await desk.prefers("bob", triggers={"unassigned.message": ("browser", "email")})
        await desk.opens("s1")
        await desk.is_online("bob")
        async with engine(desk):
            await desk.writes("s1", 30)
            [first] = await desk.told(1, sink="browser", agent="bob")
            await desk.writes("s1", 5)
            [email] = await desk.told(1, sink="email", agent="bob")
            await later(1)
            shown = await desk.alerts("browser", "bob")
        assert [alert.kind for alert in shown] == ["raised", "updated"]
        assert first.count in range(1, 31)
        assert shown[-1].count == email.count == 35
        assert (first.id, email.id) == ("s1:1:bob", "s1:1:bob")
        assert len(await desk.alerts("email")) == 1
        assert await desk.alerts("*", "cleo") == [], "who is not there is not told while one is"


async def test_d09_who_reads_gets_no_email(nats_process: NatsProcess, tmp_path: Path) -> None:
    alerts = Alerting(window_s=1, email_after_s=2, escalation=())
    async with open_desk(nats_process.url, tmp_path, alerts=alerts) as desk:
        await desk.prefers("bob", triggers={"unassigned.message": ("browser", "email")})
        await desk.is_online("bob")
        await desk.opens("s1")
        async with engine(desk):
            await desk.writes("s1", 3)
            await desk.told(1, sink="browser", agent="bob")
            await desk.reads("s1", "bob")
            [*_, last] = await desk.told(2, sink="browser", agent="bob")
            assert (last.kind, last.because) == ("cleared", "seen")
            await later(3)
        assert await desk.alerts("email") == []
        attention = await desk.attention("s1")
        assert attention is not None
        assert attention.watches == ()


async def test_d09_a_claim_takes_the_alert_from_the_others(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with open_desk(nats_process.url, tmp_path) as desk:
        await desk.is_online("bob")
        await desk.is_online("cleo")
        await desk.opens("s1")
        async with engine(desk):
            await desk.writes("s1")
            await desk.told(2, sink="browser")
            await desk.claims("s1", "cleo")
            bobs = await desk.told(2, sink="browser", agent="bob")
            cleos = await desk.told(2, sink="browser", agent="cleo")
        assert [(alert.kind, alert.because) for alert in bobs] == [
            ("raised", ""),
            ("cleared", "claimed"),
        ]
        assert [alert.kind for alert in cleos] == ["raised", "cleared"]


async def test_d09_nobody_reacts_and_the_ladder_is_climbed(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    ladder = (Rung(after_s=1), Rung(after_s=2, to="leads", methods=("browser",)))
    alerts = Alerting(window_s=1, escalation=ladder)
    async with open_desk(nats_process.url, tmp_path, alerts=alerts) as desk:
        await desk.is_online("bob")
        await desk.opens("s1")
        async with engine(desk):
            await desk.writes("s1")
            bobs = await desk.told(2, sink="browser", agent="bob")
            adas = await desk.told(1, sink="browser", agent="ada")
        assert [(alert.id, alert.rung) for alert in bobs] == [("s1:1:bob", 0), ("s1:1:bob", 1)]
        assert [(alert.kind, alert.rung) for alert in adas] == [("raised", 2)]
        assert (adas[0].at - bobs[0].at).total_seconds() >= 1.8


async def test_what_nobody_can_read_is_buried_and_the_rest_goes_on(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with open_desk(nats_process.url, tmp_path) as desk:
        await desk.is_online("bob")
        await desk.opens("s1")
        async with engine(desk):
            subject = subjects.fact(desk.workspace, "message.stored", "s1")
            await desk.bus.publish(subject, b"{", msg_id="bad")
            await desk.writes("s1")
            assert [a.session for a in await desk.told(1, sink="browser")] == ["s1"]

            async def buried() -> object:
                return await desk.bus.read(DEAD, "dead.notifier.>")

            assert await until(buried, "a burial")


async def test_what_a_bot_hosts_costs_nothing_where_nobody_asked_for_it(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    async with open_desk(nats_process.url, tmp_path) as desk:
        await desk.opens("s1", list="bot_hosted")
        await desk.opens("s2")
        async with engine(desk):
            await desk.writes("s1", 5)
            await desk.writes("s2")
            await desk.told(1, sink="browser")
        assert await desk.attention("s1") is None


def per_window(alerts: Iterable[Alert], window_s: float) -> Counter[tuple[str, str]]:
    """Return, by agent and session, the most raises within one window."""
    times: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for alert in alerts:
        if alert.kind == "raised" and not alert.summary:
            times[alert.agent, alert.session].append(alert.at.timestamp())
    most: Counter[tuple[str, str]] = Counter()
    for key, found in times.items():
        most[key] = max(sum(at <= other < at + window_s for other in found) for at in found)
    return most


def most_a_minute(alerts: Iterable[Alert], *, summary: bool) -> Counter[str]:
    """Return, by agent, the most raises within any 60 seconds."""
    times: defaultdict[str, list[float]] = defaultdict(list)
    for alert in alerts:
        if alert.kind == "raised" and alert.summary == summary:
            times[alert.agent].append(alert.at.timestamp())
    return Counter(
        {
            agent: max(sum(at <= other < at + 60 for other in found) for at in found)
            for agent, found in times.items()
        }
    )


async def test_d09_a_storm_floods_nobody_and_loses_nothing(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    sessions, each = sized(200, 2000), 5
    alerts = Alerting(window_s=60, escalation=(), storm_per_minute=10)
    async with open_desk(nats_process.url, tmp_path, alerts=alerts) as desk:
        for agent in ("bob", "cleo"):
            await desk.is_online(agent)
        names = [f"s{n}" for n in range(sessions)]
        await asyncio.gather(*(desk.opens(name) for name in names))
        async with engine(desk):
            began = time.monotonic()
            for start in [*range(0, sessions, 100)] * each:
                await asyncio.gather(*(desk.writes(name) for name in names[start : start + 100]))

            async def all_wait() -> bool:
                found = await desk.store.get_many(ATTENTION, desk.workspace, names[-400:])
                return all(len(one.watches) == 2 for one in found.values()) and bool(found)

            await until(all_wait, "a watch of each session and agent", within_s=120)
            await drained(desk)
            took_s = time.monotonic() - began
        told = await desk.alerts("browser")
        assert set(per_window(told, 60).values()) == {1}
        assert max(most_a_minute(told, summary=False).values()) <= 10
        assert all(found <= 2 for found in most_a_minute(told, summary=True).values())
        raised = [alert for alert in told if alert.kind == "raised"]
        assert len(raised) <= 2 * (10 + 2) * (1 + took_s // 60)
        watches = [watch for name in names for watch in await watches_of(desk, name)]
        assert Counter(watch.agent for watch in watches) == {"bob": sessions, "cleo": sessions}
        assert sum(not watch.held for watch in watches) == sum(not a.summary for a in raised)


async def watches_of(desk: Desk, name: str) -> tuple[Watch, ...]:
    attention = await desk.attention(name)
    return attention.watches if attention else ()


async def drained(desk: Desk) -> None:
    """Wait until all facts are settled."""

    async def done() -> bool:
        info = await desk.bus.asker.api(f"CONSUMER.INFO.{EVENTS.name}.{DURABLE}-0")
        return bool(info["num_pending"] == info["num_ack_pending"] == 0)

    await until(done, "all facts are settled", within_s=120)


async def test_c03_two_replicas_of_which_one_is_killed_tell_everybody_once(
    nats_process: NatsProcess, tmp_path: Path, provider_stub: Stub
) -> None:
    count = sized(80, 600)
    alerts = Alerting(escalation=(), storm_per_minute=100_000)
    async with (
        staged(nats_process.url, tmp_path, provider_stub) as rig,
        open_desk(nats_process.url, tmp_path, alerts=alerts) as desk,
        spawned(rig, tmp_path, "one") as one,
        spawned(rig, tmp_path, "two"),
    ):
        for agent in ("bob", "cleo"):
            await desk.is_online(agent)
        names = [f"s{n}" for n in range(count)]
        await asyncio.gather(*(desk.opens(name) for name in names))
        await desk.opens("first")
        await desk.writes("first")
        await desk.told(1, sink="browser")  # both are there

        async def write() -> None:
            for start in range(0, count, 20):
                batch = names[start : start + 20]
                await asyncio.gather(*(desk.writes(name, 3) for name in batch))
                await asyncio.sleep(0.03)

        writing = asyncio.create_task(write())
        await desk.told(count // 2, sink="browser")
        await one.kill()
        await writing
        await desk.told(2 * count + 2, sink="browser")
        await drained(desk)
        told = await desk.alerts("browser")
        raised = Counter((alert.agent, alert.session) for alert in told if alert.kind == "raised")
        assert raised == {(a, s): 1 for a in ("bob", "cleo") for s in (*names, "first")}
