"""Whatever takes a session from an agent or gives it one: places are the sessions owned."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from libs.common.commands import Actor, FireTimer, HandOff, SetBot
from libs.common.switches import Settings
from tests.nats_server import NatsProcess
from tests.router.floor import AUTO, Floor, floor_on, team_of

Steps = Callable[[Floor], Awaitable[object]]

SILENT: dict[str, Any] = {"auto_hosting": False, "auto_assign": True, "silent_owner_s": 600}
HOSTED = Settings(auto_hosting=True, auto_assign=True)


@pytest.fixture
async def floor(nats_process: NatsProcess, ready_url: str) -> AsyncIterator[Floor]:
    async with floor_on(nats_process.url, ready_url) as made:
        yield made


async def fire(floor: Floor, visitor: str) -> None:
    """Let the timer of a silent owner come, as the scheduler sends it when it is due."""
    session = (await floor.sessions())[visitor]
    due = session.due["silent_owner"]
    head = floor.head(session.id, "") | {"actor": Actor(kind="system", id="timer")}
    await floor.done(FireTimer(**head, kind="silent_owner", due=due))


async def hand_off(floor: Floor, visitor: str) -> None:
    """Let the bot ask for a human."""
    session = (await floor.sessions())[visitor]
    head = floor.head(session.id, "") | {"actor": Actor(kind="bot", id="faq")}
    await floor.done(HandOff(**head, because="bot_asked", epoch=session.epoch))


async def turn(floor: Floor, visitor: str, *, on: bool) -> None:
    """Turn the bot on or off, as a lead does."""
    session = (await floor.sessions())[visitor]
    await floor.done(SetBot(**floor.head(session.id, "lead"), on=on))


async def end(floor: Floor, visitor: str) -> None:
    await floor.done(floor.end((await floor.sessions())[visitor].id))


async def hosted(floor: Floor, *visitors: str) -> None:
    """Let new visitors write, and wait until the bot has them."""
    await floor.write(*visitors)

    async def so() -> bool:
        found = await floor.sessions()
        return all(v in found and found[v].list == "bot_hosted" for v in visitors)

    await floor.until(so, f"the bot has {visitors}")


async def a_silent_owner_loses_it_to_another(floor: Floor) -> None:
    await floor.change(settings=Settings(**SILENT, silent_owner="reassign"))
    await floor.write("v1")
    await floor.until_owned(v1="amy")
    await floor.present("bob")
    await fire(floor, "v1")
    await floor.until_owned(v1="bob")
    await floor.write("v2")
    await floor.until_owned(v1="bob", v2="amy")


async def a_silent_owner_loses_it_to_who_waits_with_it(floor: Floor) -> None:
    await floor.change(settings=Settings(**SILENT, silent_owner="reassign"))
    await floor.write("v1")
    await floor.until_owned(v1="amy")
    await floor.write("v2")
    await floor.until_owned(v1="amy", v2="")
    await fire(floor, "v1")
    await floor.until_owned(v1="", v2="amy")


async def a_timer_comes_twice(floor: Floor) -> None:
    await floor.change(settings=Settings(**SILENT, silent_owner="queue"))
    await floor.write("v1")
    await floor.until_owned(v1="amy")
    session = (await floor.sessions())["v1"]
    await fire(floor, "v1")
    head = floor.head(session.id, "") | {"actor": Actor(kind="system", id="timer")}
    await floor.done(FireTimer(**head, kind="silent_owner", due=session.due["silent_owner"]))
    await floor.write("v2")
    await floor.until_owned(v1="", v2="amy")


async def a_bot_hands_off_to_who_is_free(floor: Floor) -> None:
    await floor.change(settings=HOSTED)
    await hosted(floor, "v1", "v2")
    await hand_off(floor, "v1")
    await floor.until_owned(v1="amy")
    await hand_off(floor, "v2")
    await floor.until_owned(v1="amy", v2="")
    await end(floor, "v1")
    await floor.until_owned(v2="amy")


async def a_bot_is_turned_off(floor: Floor) -> None:
    await floor.change(settings=HOSTED)
    await hosted(floor, "v1", "v2")
    await turn(floor, "v1", on=False)
    await floor.until_owned(v1="amy")
    await turn(floor, "v2", on=False)
    await floor.until_owned(v1="amy", v2="")
    await end(floor, "v1")
    await floor.until_owned(v2="amy")


async def a_bot_is_turned_on_for_who_waits(floor: Floor) -> None:
    await floor.write("v1")
    await floor.until_owned(v1="amy")
    await floor.write("v2", "v3")
    await floor.until_owned(v1="amy", v2="", v3="")
    await turn(floor, "v2", on=True)
    await end(floor, "v1")
    await floor.until_owned(v3="amy")
    assert (await floor.sessions())["v2"].list == "bot_hosted"


async def a_bot_helps_the_owner_and_stops(floor: Floor) -> None:
    await floor.write("v1")
    await floor.until_owned(v1="amy")
    await turn(floor, "v1", on=True)
    await floor.until_owned(v1="amy")
    await turn(floor, "v1", on=False)
    await floor.write("v2")
    await floor.until_owned(v1="amy", v2="")


MOVES: dict[str, tuple[Steps, dict[str, str]]] = {
    "d17 a silent owner loses it to another": (
        a_silent_owner_loses_it_to_another,
        {"v1": "bob", "v2": "amy"},
    ),
    "d17 a silent owner loses it, and who waits gets the place": (
        a_silent_owner_loses_it_to_who_waits_with_it,
        {"v2": "amy"},
    ),
    "d17 a timer comes twice": (a_timer_comes_twice, {"v2": "amy"}),
    "a17 a bot hands off to who is free": (a_bot_hands_off_to_who_is_free, {"v2": "amy"}),
    "b12 a bot is turned off": (a_bot_is_turned_off, {"v2": "amy"}),
    "b12 a bot is turned on for who waits": (a_bot_is_turned_on_for_who_waits, {"v3": "amy"}),
    "b12 a bot helps the owner, and stops": (a_bot_helps_the_owner_and_stops, {"v1": "amy"}),
}


@pytest.mark.parametrize(("steps", "owners"), MOVES.values(), ids=MOVES)
async def test_places_are_the_sessions_owned_when(
    floor: Floor, steps: Steps, owners: dict[str, str]
) -> None:
    """With one place each for two agents, so that one too many, or too few, shows."""
    await floor.change(members=team_of(amy=1, bob=1), settings=AUTO)
    await floor.present("amy")
    await steps(floor)
    await floor.until_at_rest(("amy", "bob", "lead"), 5)
    sessions = await floor.sessions()
    assert await floor.places(("amy", "bob", "lead")) == {
        agent: {sessions[visitor].id} for visitor, agent in owners.items()
    }
