"""Hours that open by themselves: whoever waited through the night is given at that moment."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.events import Timer
from libs.common.policy import Calendar, Span, Team
from libs.common.subjects import TIMERS
from libs.common.switches import Settings
from tests.nats_server import NatsProcess
from tests.router.floor import AUTO, floor_on, team_of

OPENS = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BEFORE = timedelta(seconds=1)
"""How long before that the router's clock begins."""
HOURS = Calendar(id="hours", spans=(Span(days=(0,), opens="09:00", closes="17:00"),))
AMY = team_of(amy=1)
OF_DAY = (msgspec.structs.replace(AMY[0], teams=("day",)),)

WHOSE: dict[str, dict[str, Any]] = {
    "of the workspace": {
        "members": AMY,
        "settings": Settings(auto_hosting=False, auto_assign=True, calendar="hours"),
    },
    "of the agent's team": {
        "members": OF_DAY,
        "settings": AUTO,
        "teams": (Team(id="day", calendar="hours"),),
    },
}


@pytest.mark.parametrize("policy", WHOSE.values(), ids=WHOSE)
async def test_d16_who_waits_is_given_when_the_hours_open_and_nothing_else_happens(
    nats_process: NatsProcess, ready_url: str, policy: dict[str, Any]
) -> None:
    began: list[datetime] = []

    def clock() -> datetime:
        """Stand still until all is set up, however slow the machine is."""
        return OPENS - BEFORE + sum((datetime.now(UTC) - at for at in began), timedelta())

    async with floor_on(nats_process.url, ready_url, now=clock) as floor:
        await floor.change(**policy, calendars=(HOURS,))
        await floor.present("amy")
        await floor.write("v1", "v2")
        await floor.until_owned(v1="", v2="")
        began.append(datetime.now(UTC))
        await asyncio.sleep(0.5)
        assert await floor.owners() == {"v1": "", "v2": ""}
        await floor.until_owned(v1="amy", v2="")
        [assignee] = (await floor.sessions())["v1"].assignees
        assert OPENS <= assignee.since < OPENS + timedelta(seconds=1)
        await floor.until_at_rest(("amy",))


async def test_all_routers_are_to_be_woken_by_a_timer_when_hours_change(
    nats_process: NatsProcess, ready_url: str
) -> None:
    """It stands armed for the moment as long as somebody waits for it."""
    policy = WHOSE["of the workspace"]
    async with floor_on(
        nats_process.url, ready_url, now=lambda: OPENS - timedelta(hours=2)
    ) as floor:
        await floor.change(**policy, calendars=(HOURS,))
        await floor.present("amy")
        await floor.write("v1")
        await floor.until_owned(v1="")

        async def due() -> bool:
            return bool(await floor.bus.read(TIMERS, "due.*.hours.*"))

        await floor.until(due, "the timer comes")
        found = await floor.bus.read(TIMERS, "due.*.hours.*")
        armed = [msgspec.json.decode(one.data, type=Timer) for one in found]
        assert [(one.kind, one.key == one.workspace, one.due) for one in armed] == [
            ("hours", True, OPENS)
        ]
