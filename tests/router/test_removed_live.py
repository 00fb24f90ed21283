"""Agents who are taken off a session, and labels that are put on it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.router.stage import Stage, agents, policy

OFF = {"auto_hosting": False, "removed_for_s": 600}


async def seated(stage: Stage, *who: str, **switches: Any) -> str:
    """Return a session that these agents have."""
    stage.set(policy(settings=OFF | switches, members=agents("amy", "bob")))
    session = await stage.write()
    await stage.rig.done(stage.rig.assign(session.id, "lea", *who))
    return session.id


REMOVED: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, tuple[str, ...]]]] = {
    "b16: one of two": (("amy", "bob"), ("bob",), ("assigned", ("amy",))),
    "b16: the owner of two, so the next one owns it": (
        ("amy", "bob"),
        ("amy",),
        ("assigned", ("bob",)),
    ),
    "b16: the last": (("amy",), ("amy",), ("unassigned", ())),
    "b16: all at once": (("amy", "bob"), ("bob", "amy"), ("unassigned", ())),
    "b16: somebody who is not there": (("amy",), ("eve",), ("assigned", ("amy",))),
    "b16: one who is there and one who is not": (("amy",), ("eve", "amy"), ("unassigned", ())),
}


@pytest.mark.parametrize(("who", "gone", "expected"), REMOVED.values(), ids=REMOVED)
async def test_b16_assignees_are_removed_together(
    stage: Stage,
    who: tuple[str, ...],
    gone: tuple[str, ...],
    expected: tuple[str, tuple[str, ...]],
) -> None:
    session = await seated(stage, *who)
    done = await stage.rig.done(stage.remove(session, "lea", *gone))
    assert (done.session.list, done.session.assignee_ids) == expected
    assert done.session.owner == (expected[1][0] if expected[1] else None)
    until = stage.rig.now + timedelta(seconds=600)
    assert done.session.removed == {agent: until for agent in gone if agent in who}
    assert (done.session.waiting_since is not None) == (expected[0] == "unassigned")


async def test_b16_the_line_names_who_was_removed_and_by_whom(stage: Stage) -> None:
    session = await seated(stage, "amy", "bob")
    await stage.rig.done(stage.remove(session, "lea", "amy", "bob"))
    assert (await stage.lines(session))[-1] == "Amy, Bob removed by Lea"


async def test_b16_removing_nobody_is_refused_and_repeating_it_is_not(stage: Stage) -> None:
    session = await seated(stage, "amy", "bob")
    refused = await stage.rig.refused(stage.remove(session, "lea"))
    assert refused.facts["field"] == "agents"
    command = stage.remove(session, "lea", "amy", key="same")
    assert not (await stage.rig.done(command)).repeated
    assert (await stage.rig.done(command)).repeated
    await stage.rig.done(stage.rig.end(session, "lea"))
    refused = await stage.rig.refused(stage.remove(session, "lea", "bob"))
    assert refused.code == "session_ended"


async def test_b16_what_is_over_is_forgotten_with_the_next_removal(stage: Stage) -> None:
    session = await seated(stage, "amy", "bob")
    await stage.rig.done(stage.remove(session, "lea", "amy"))
    stage.rig.now += timedelta(seconds=601)
    done = await stage.rig.done(stage.remove(session, "lea", "bob"))
    assert set(done.session.removed) == {"bob"}


async def test_b16_for_no_time_at_all_nobody_is_left_out(stage: Stage) -> None:
    session = await seated(stage, "amy", removed_for_s=0)
    done = await stage.rig.done(stage.remove(session, "lea", "amy"))
    assert done.session.removed == {}


async def test_b16_the_removed_do_not_get_it_back_until_the_time_is_over(stage: Stage) -> None:
    session = await seated(stage, "amy")
    stage.rig.present = {"amy": "online"}
    await stage.rig.done(stage.remove(session, "lea", "amy"))
    stage.switch(auto_assign=True)
    await stage.rig.assigner.look("acme")
    assert (await stage.session()).list == "unassigned"
    stage.rig.now += timedelta(seconds=601)
    await stage.rig.assigner.look("acme")
    assert (await stage.session()).owner == "amy"


async def test_b16_who_was_wanted_by_a_rule_and_is_removed_is_wanted_no_more(stage: Stage) -> None:
    rule = {"actions": [{"do": "agent", "agent": "amy"}]}
    stage.set(policy(settings=OFF, members=agents("amy"), rules=[rule]), "amy")
    session = await stage.write()
    assert (session.owner, session.wanted) == ("amy", "amy")
    done = await stage.rig.done(stage.remove(session.id, "lea", "amy"))
    assert (done.session.list, done.session.wanted) == ("unassigned", "")


TAGS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], int]] = {
    "added": (("vip", "late"), (), ("old", "vip", "late"), 1),
    "taken": ((), ("old",), (), 1),
    "both": (("vip",), ("old",), ("vip",), 1),
    "there already": (("old",), (), ("old",), 0),
    "not there": ((), ("vip",), ("old",), 0),
    "without blanks around it, once": ((" vip ", "vip"), (), ("old", "vip"), 1),
    "taken wins": (("vip",), ("vip",), ("old",), 0),
}


@pytest.mark.parametrize(("add", "take", "expected", "facts"), TAGS.values(), ids=TAGS)
async def test_tags(
    stage: Stage,
    add: tuple[str, ...],
    take: tuple[str, ...],
    expected: tuple[str, ...],
    facts: int,
) -> None:
    session = await seated(stage, "amy")
    await stage.rig.done(stage.label(session, "amy", add=["old"]))
    for _ in range(2):
        done = await stage.rig.done(stage.label(session, "amy", add, take))
        assert done.session.tags == expected
    assert len(stage.rig.bus.facts("session.tagged")) == 1 + facts


BAD_TAGS: dict[str, tuple[dict[str, Any], str]] = {
    "empty": ({"add": [" "]}, "add"),
    "too long": ({"take": ["x" * 65]}, "take"),
    "too many": ({"add": [f"t{number}" for number in range(51)]}, "add"),
}


@pytest.mark.parametrize(("tags", "field"), BAD_TAGS.values(), ids=BAD_TAGS)
async def test_tags_that_are_none_are_refused_by_field(
    stage: Stage, tags: dict[str, Any], field: str
) -> None:
    session = await seated(stage, "amy")
    refused = await stage.rig.refused(stage.label(session, "amy", **tags))
    assert (refused.code, refused.facts["field"]) == ("invalid_input", field)
