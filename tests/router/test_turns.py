"""Who waits is served before who comes later, whatever room there is at that moment."""

from __future__ import annotations

from typing import Any

from tests.router.stage import Stage, agents, policy

AUTO: dict[str, Any] = {"auto_hosting": False, "auto_assign": True, "reopen": "queue"}


async def test_a07_who_comes_goes_behind_who_waits(stage: Stage) -> None:
    stage.set(policy(settings=AUTO, members=agents("amy", limit=1)))
    await stage.write(visitor="U1")
    stage.rig.present = {"amy": "online"}  # and the queue has not looked yet
    late = await stage.write(visitor="U2")
    assert (late.list, late.because) == ("unassigned", "others_first")
    [_, record] = await stage.records()
    assert [one.excluded for one in record.decision.candidates] == [""]
    await stage.rig.assigner.look("acme")
    assert {s.visitor: s.owner for s in await stage.rig.sessions()} == {"U1": "amy", "U2": None}


async def test_a07_so_does_who_is_handed_to_people(stage: Stage) -> None:
    stage.set(policy(settings=AUTO, members=agents("amy", limit=1)))
    await stage.write(visitor="U1")
    stage.switch(auto_hosting=True)
    await stage.write(visitor="U2")
    stage.rig.present = {"amy": "online"}
    late = await stage.write("human", visitor="U2")
    assert (late.list, late.because) == ("unassigned", "others_first")
    await stage.rig.assigner.look("acme")
    assert {s.visitor: s.owner for s in await stage.rig.sessions()} == {"U1": "amy", "U2": None}


async def test_a07_who_is_next_is_behind_nobody(stage: Stage) -> None:
    rule = {"on": "message", "actions": [{"do": "agent", "agent": "amy"}]}
    stage.set(policy(settings=AUTO, members=agents("amy", limit=1), rules=[rule]))
    await stage.write()
    stage.rig.present = {"amy": "online"}
    assert (await stage.write("please")).owner == "amy"


async def test_who_cannot_be_served_holds_up_nobody(stage: Stage) -> None:
    bills = {
        "conditions": [{"if": "words", "words": ["bill"]}],
        "actions": [{"do": "team", "team": "billing"}],
    }
    parts = {"teams": [{"id": "billing"}], "rules": [bills]}
    stage.set(policy(settings=AUTO, members=agents("amy"), **parts), "amy")
    await stage.write("my bill", visitor="U1")
    assert (await stage.write(visitor="U2")).because == "others_first"
    await stage.rig.assigner.look("acme")
    assert {s.visitor: s.owner for s in await stage.rig.sessions()} == {"U1": None, "U2": "amy"}


async def test_b16_a_returning_contact_goes_to_the_last_owner_at_once(stage: Stage) -> None:
    stage.set(policy(settings=AUTO | {"reopen": "owner"}, members=agents("amy")), "amy")
    first = await stage.write(visitor="U1")
    await stage.rig.done(stage.rig.end(first.id, "amy"))
    stage.rig.present = {}
    await stage.write(visitor="U2")
    stage.rig.present = {"amy": "online"}
    again = await stage.write(visitor="U1")
    assert (again.owner, again.because) == ("amy", "reopened_to_owner")


async def test_what_changes_in_the_queue_wakes_it(stage: Stage) -> None:
    """A team that is asked for only now, a priority; a word that changes nothing does not."""
    woken: list[str] = []
    stage.rig.outbox._queued = woken.append
    sales = {
        "on": "message",
        "conditions": [{"if": "words", "words": ["sales"]}],
        "actions": [{"do": "team", "team": "sales"}],
    }
    urgent = {
        "on": "message",
        "conditions": [{"if": "words", "words": ["urgent"]}],
        "actions": [{"do": "priority", "priority": 3}],
    }
    parts = {"teams": [{"id": "sales"}], "rules": [sales, urgent]}
    stage.set(policy(settings=AUTO, members=agents("amy"), **parts))
    for text, wakes in (("hello", 1), ("hello?", 0), ("sales", 1), ("sales", 0), ("urgent", 1)):
        woken.clear()
        await stage.write(text)
        assert len(woken) == wakes, text
