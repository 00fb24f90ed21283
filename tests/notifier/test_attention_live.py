"""Alerts on real NATS and SQLite: what one agent is told, by which sink, how often."""

from __future__ import annotations

from pathlib import Path

from libs.common.switches import Alerting
from tests.nats_server import NatsProcess
from tests.notifier.attention_rig import engine, later, open_desk


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
