"""A session says what put it where it is, and keeps what it began by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from libs.common.commands import FireTimer
from tests.router.stage import Stage, agents, policy

OFF = {"auto_hosting": False}
Deed = Callable[[Stage, str], Awaitable[object]]


async def nothing(_stage: Stage, _session: str) -> None:
    """Leave it."""


async def ask_for_a_human(stage: Stage, _session: str) -> None:
    await stage.write("human")


async def let_the_bot_fail(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.hand_off(session, stage.rig.machine("bot", "b"), "bot_failed"))


async def claim(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.claim(session, "amy"))


async def open_it(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.open(session, "amy"))


async def reply(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.send(session, "amy", "yes?"))


async def assign(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.assign(session, "lea", "amy"))


async def let_another_in(stage: Stage, session: str) -> None:
    await claim(stage, session)
    await stage.rig.done(stage.rig.assign(session, "lea", "amy", "bob"))


async def pass_on(stage: Stage, session: str) -> None:
    await claim(stage, session)
    await stage.rig.done(stage.rig.assign(session, "lea", "bob"))


async def release(stage: Stage, session: str) -> None:
    await claim(stage, session)
    await stage.rig.done(stage.rig.assign(session, "lea"))


async def remove(stage: Stage, session: str) -> None:
    await claim(stage, session)
    await stage.rig.done(stage.remove(session, "lea", "amy"))


async def switch_the_bot(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.turn(session, "lea", on=True))


async def switch_the_bot_beside(stage: Stage, session: str) -> None:
    await claim(stage, session)
    await stage.rig.done(stage.turn(session, "amy", on=True))


async def serve_the_queue(stage: Stage, _session: str) -> None:
    stage.switch(auto_assign=True)
    await stage.rig.assigner.look("acme")


async def be_silent(stage: Stage, session: str) -> None:
    stage.switch(silent_owner_s=60, silent_owner="queue")
    await claim(stage, session)
    due = (await stage.session()).due["silent_owner"]
    stage.rig.now = due + timedelta(seconds=1)
    head = stage.rig.head(session, stage.rig.machine("system", "timer"))
    await stage.rig.done(FireTimer(**head, kind="silent_owner", due=due))


async def end(stage: Stage, session: str) -> None:
    await stage.rig.done(stage.rig.end(session, "amy"))


HERE = "amy"
WAYS: dict[str, tuple[dict[str, Any], Deed, tuple[str, str]]] = {
    "nothing happened yet": ({}, nothing, ("bot_hosted", "auto_hosting")),
    "the visitor asked for a human": ({}, ask_for_a_human, ("unassigned", "handoff")),
    "a bot failed": ({}, let_the_bot_fail, ("unassigned", "handoff")),
    "a human was asked for, and is there": (
        {"auto_assign": True},
        ask_for_a_human,
        ("assigned", "auto_assign"),
    ),
    "a claim": (OFF, claim, ("assigned", "claimed")),
    "being opened": (OFF, open_it, ("assigned", "opened")),
    "a reply": ({}, reply, ("assigned", "agent_reply")),
    "an assignment": (OFF, assign, ("assigned", "assigned")),
    "who joins moves nothing": (OFF, let_another_in, ("assigned", "claimed")),
    "another owner": (OFF, pass_on, ("assigned", "assigned")),
    "a release": (OFF, release, ("unassigned", "released")),
    "a removal": (OFF, remove, ("unassigned", "removed")),
    "the bot's switch": (OFF, switch_the_bot, ("bot_hosted", "bot_switch")),
    "the switch moves nothing where an agent has it": (
        OFF,
        switch_the_bot_beside,
        ("assigned", "claimed"),
    ),
    "the queue": (OFF, serve_the_queue, ("assigned", "auto_assign")),
    "an owner's silence": (OFF, be_silent, ("unassigned", "silent_owner")),
    "the end": (OFF, end, ("ended", "ended_by_agent")),
}


@pytest.mark.parametrize(("switches", "deed", "expected"), WAYS.values(), ids=WAYS)
async def test_because_names(
    stage: Stage, switches: dict[str, Any], deed: Deed, expected: tuple[str, str]
) -> None:
    stage.set(policy(settings=switches, members=agents("amy")), HERE)
    session = await stage.write()
    began = session.because
    assert began == ("auto_hosting" if session.list == "bot_hosted" else "auto_hosting_off")
    await deed(stage, session.id)
    session = await stage.session()
    assert (session.list, session.because) == expected
    assert session.opened_because == began
