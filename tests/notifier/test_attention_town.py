"""From a visitor's words to the alert, through ingest's subject, the router and the notifier."""

from __future__ import annotations

import msgspec
import pytest

from libs.common import subjects
from libs.common.alerts import Alert
from libs.common.documents import AGENTS, Agent
from libs.common.policies import publish_policy
from libs.common.subjects import ALERTS
from tests.bot_stub import Play
from tests.notifier.bot_rig import Office, Town
from tests.notifier.rig import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def staffed(town: Town, *names: str) -> Office:
    """Return a workspace in which these people work."""
    office = await town.found()
    town.bots.plan(office.name, Play(body={"messages": [{"text": "hi"}]}))
    for name in names:
        email = f"{name}@{office.name}.example"
        agent = Agent(
            id=name, workspace=office.name, name=name, email=email, email_key=email, role="agent"
        )
        await town.store.insert(AGENTS, agent)
    await publish_policy(town.store, town.bus, office.name)
    return office


async def alerts(office: Office) -> list[Alert]:
    found = await office.town.bus.read(ALERTS, subjects.alert("browser", office.name, "*"))
    return [msgspec.json.decode(one.data, type=Alert) for one in found]


async def told(office: Office, count: int) -> list[Alert]:
    async def enough() -> list[Alert] | None:
        found = await alerts(office)
        return found if len(found) >= count else None

    return await until(enough, f"{count} alerts")


async def test_a17_who_asks_for_a_human_is_one_alert_each_that_leads_there(town: Town) -> None:
    office = await staffed(town, "ada", "bob")
    await office.writes("hello")
    await office.told(1)
    assert await alerts(office) == [], "the bot has it"
    await office.writes("agent")
    found = await told(office, 2)
    session = await office.session()
    [fact] = await office.facts("session.handoff")
    assert {(a.agent, a.trigger, a.kind) for a in found} == {
        ("ada", "handoff.requested", "raised"),
        ("bob", "handoff.requested", "raised"),
    }
    assert {alert.url for alert in found} == {f"/#/sessions/{session.id}"}
    assert all((alert.at - fact.at).total_seconds() < 1 for alert in found)

    await office.claims("ada")
    cleared = [alert for alert in await told(office, 4) if alert.kind == "cleared"]
    assert {(alert.agent, alert.because) for alert in cleared} == {
        ("ada", "seen"),
        ("bob", "claimed"),
    }


async def test_a16_what_is_written_to_an_agent_is_told_to_them_alone(town: Town) -> None:
    office = await staffed(town, "ada", "bob")
    await office.writes("hello")
    await office.told(1)
    await office.claims("bob")
    await office.writes("are you there?")
    [alert] = await told(office, 1)
    assert (alert.agent, alert.trigger, alert.list) == ("bob", "assigned.message", "assigned")
    assert alert.excerpt == "are you there?"
