"""D18: where the new session of a contact goes who had one before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.router.stage import Stage, agents, policy

BOTS = [{"id": "faq", "kind": "faq"}]
PLACES = {
    "owner online": {"amy": "online"},
    "owner away": {"amy": "away"},
    "owner offline": {},
    "owner offline, another online": {"bob": "online"},
    "both online": {"amy": "online", "bob": "online"},
}
HOSTED, WAITS = ("bot_hosted", None), ("unassigned", None)
AMY, BOB = ("assigned", "amy"), ("assigned", "bob")

OWNER, QUEUE, BOT = {"reopen": "owner"}, {"reopen": "queue"}, {"reopen": "bot"}
OFF, AUTO = {"auto_hosting": False}, {"auto_assign": True}
Row = tuple[str, str | None]
REOPENED: dict[str, tuple[dict[str, Any], dict[str, Row]]] = {
    "to the owner, else as any other": (
        OWNER,
        {
            "owner online": AMY,
            "owner away": HOSTED,
            "owner offline": HOSTED,
            "owner offline, another online": HOSTED,
            "both online": AMY,
        },
    ),
    "to the owner, else waiting": (
        OWNER | OFF,
        {
            "owner online": AMY,
            "owner away": WAITS,
            "owner offline": WAITS,
            "owner offline, another online": WAITS,
            "both online": AMY,
        },
    ),
    "to the owner, else to whom auto-assign finds": (
        OWNER | OFF | AUTO,
        {
            "owner online": AMY,
            "owner away": WAITS,
            "owner offline": WAITS,
            "owner offline, another online": BOB,
            "both online": AMY,
        },
    ),
    "to the queue": (QUEUE, dict.fromkeys(PLACES, WAITS)),
    "to the queue, with auto-assign": (
        QUEUE | AUTO | {"strategy_returning": "sticky"},
        {
            "owner online": AMY,
            "owner away": WAITS,
            "owner offline": WAITS,
            "owner offline, another online": BOB,
            "both online": AMY,
        },
    ),
    "to the bot": (BOT | OFF, dict.fromkeys(PLACES, HOSTED)),
}
TABLE = {
    f"{policy_}: {presence}": (switches, PLACES[presence], row)
    for policy_, (switches, rows) in REOPENED.items()
    for presence, row in rows.items()
}


@pytest.mark.parametrize(("switches", "present", "expected"), TABLE.values(), ids=TABLE)
async def test_d18_reopened(
    stage: Stage, switches: dict[str, Any], present: dict[str, str], expected: Row
) -> None:
    stage.set(policy(settings=switches, members=agents("amy", "bob"), bots=BOTS))
    await stage.bot("faq")
    first = await stage.write()
    await stage.rig.done(stage.rig.claim(first.id, "amy"))
    await stage.rig.done(stage.rig.end(first.id, "amy"))
    stage.rig.present = dict(present)
    session = await stage.write()
    assert session.id != first.id
    assert session.contact == first.contact
    assert (session.returning, session.last_owner) == (True, "amy")
    assert (session.list, session.owner) == expected


async def test_a13_who_is_new_is_not_returning(stage: Stage) -> None:
    stage.set(policy(settings=OWNER, members=agents("amy")), "amy")
    session = await stage.write()
    assert (session.returning, session.last_owner, session.list) == (False, "", "bot_hosted")


async def test_d18_a_session_that_nobody_had_keeps_who_had_the_one_before(stage: Stage) -> None:
    stage.set(policy(settings=OWNER, members=agents("amy")))
    for name in ("amy", ""):
        session = await stage.write()
        if name:
            await stage.rig.done(stage.rig.claim(session.id, name))
        await stage.rig.done(stage.rig.end(session.id, "lea"))
    stage.rig.present = {"amy": "online"}
    assert (await stage.write()).owner == "amy"


async def test_d18_an_owner_who_is_full_gets_none(stage: Stage) -> None:
    stage.set(policy(settings=OWNER, members=agents("amy", limit=1)), "amy")
    first = await stage.write()
    await stage.rig.done(stage.rig.claim(first.id, "amy"))
    await stage.rig.done(stage.rig.end(first.id, "amy"))
    other = await stage.write(visitor="U2")
    await stage.rig.done(stage.rig.claim(other.id, "amy"))
    await stage.write(visitor="U1")
    [session] = await stage.rig.sessions("bot_hosted")
    assert (session.visitor, session.last_owner) == ("U1", "amy")
