"""What agents do to sessions: A03, A04, A06, A21, B07, B11, B13 to B16, and `why`."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.commands import Refused
from libs.common.documents import AGENTS, SESSIONS, Assignee, Session, Settings
from libs.common.events import Fact
from libs.common.subjects import EVENTS
from services.desk import ask as asking
from services.desk.api.act import CONFIRM_TTL
from tests.desk.world import World, ago, serving


async def facts(world: World, session: str, *kinds: str) -> list[Fact]:
    found: list[Fact] = []
    for kind in kinds:
        subject = f"ev.{world.workspace}.{kind}.{session}"
        read = await world.bus.read(EVENTS, subject)
        found += [msgspec.json.decode(message.data, type=Fact) for message in read]
    return found


def unhosted(world: World) -> None:
    world.switches[world.workspace] = Settings(auto_hosting=False)


# --- reading and opening -------------------------------------------------------------------------


async def test_a03_a_hosted_session_is_looked_at_five_times_without_being_claimed(
    world: World,
) -> None:
    session = await world.writes("hello")
    for _ in range(5):
        assert (await world.do("open", session.id)).status == 200
        await world.get(f"/sessions/{session.id}")
        await world.get(f"/sessions/{session.id}/messages")
    mine = await world.get(f"/sessions/{session.id}")
    assert (mine["list"], mine["owner"], mine["unread"]) == ("bot_hosted", None, 0)
    assert (await world.get(f"/sessions/{session.id}", "bob"))["unread"] == 1
    assert await facts(world, session.id, "session.moved", "session.assigned") == []


async def test_b07_unread_counts_rise_clear_for_one_agent_and_add_up(world: World) -> None:
    for text in ("one", "two"):
        await world.writes(text)
    session = await world.writes("three")
    await world.writes("other", visitor="U2", channel="web")
    line, web = world.slug("line"), world.slug("web")
    assert await world.get("/unread") == {
        "total": 4,
        "accounts": {line: 3, web: 1},
        "complete": True,
    }
    assert (await world.do("read", session.id, body={"up_to": 2})).json["unread"] == 1
    assert (await world.do("read", session.id, body={"up_to": 1})).json["unread"] == 1
    assert (await world.do("read", session.id)).json["unread"] == 0
    assert (await world.get("/unread"))["accounts"] == {web: 1}
    assert (await world.get("/unread", "bob"))["total"] == 4
    rows = (await world.get("/sessions", "bob"))["items"]
    assert sum(row["unread"] for row in rows) == 4


async def test_a06_opening_an_unassigned_session_takes_it(world: World) -> None:
    unhosted(world)
    session = await world.writes("hello")
    opened = (await world.do("open", session.id)).json
    assert (opened["list"], opened["owner"]["id"]) == ("assigned", "agt-amy")
    assert (await world.do("open", session.id)).status == 200  # again, by its owner


async def test_a06_of_fifty_agents_who_open_at_once_one_gets_it_and_49_learn_who(
    world: World,
) -> None:
    unhosted(world)
    session = await world.writes("hello")
    names = [f"agent{n}" for n in range(50)]
    for name in names:
        await world.hire(name, "agent", world.workspace, login=False)
    answers = await asyncio.gather(*(world.do("open", session.id, name) for name in names))
    won = [answer for answer in answers if answer.status == 200]
    lost = [answer for answer in answers if answer.status == 409]
    assert (len(won), len(lost)) == (1, 49)
    owner = won[0].json["owner"]
    for answer in lost:
        assert answer.json["code"] == "already_taken"
        assert answer.json["facts"]["owner"] == owner["id"]
        assert answer.json["detail"] == f"already taken by {owner['name']}"
    assert len(await facts(world, session.id, "session.assigned")) == 1


async def test_a06_who_says_they_saw_it_waiting_learns_that_it_was_taken(world: World) -> None:
    unhosted(world)
    session = await world.writes("hello")
    await world.do("open", session.id, "bob")
    await world.outbox.flush()
    seat = Assignee(agent="agt-bob", since=ago(60), name="Bob")
    stored = await world.session(session.id)
    await world.store.replace(SESSIONS, msgspec.structs.replace(stored, assignees=(seat,)))
    late = await world.do("open", session.id, "amy", {"expect": "unassigned"})
    assert (late.status, late.json["facts"]["owner"]) == (409, "agt-bob")
    read = await world.do("open", session.id, "amy")  # long after: just reading a colleague's
    assert (read.status, read.json["owner"]["id"]) == (200, "agt-bob")


async def test_a04_the_first_reply_takes_a_hosted_session(world: World) -> None:
    session = await world.writes("hello")
    assert (await world.send(session.id, "I take over")).status == 201
    [moved] = await facts(world, session.id, "session.moved")
    assert (moved.previous_list, moved.list, moved.owner) == ("bot_hosted", "assigned", "agt-amy")


async def test_a_claim_takes_from_the_bot_and_is_refused_when_taken(world: World) -> None:
    session = await world.writes("hello")
    claimed = (await world.do("claim", session.id)).json
    assert (claimed["list"], claimed["bot"], claimed["owner"]["name"]) == ("assigned", False, "Amy")
    refused = await world.do("claim", session.id, "bob")
    assert (refused.status, refused.json["code"]) == (409, "already_taken")


async def test_a13_a_visitor_who_writes_after_the_end_opens_a_new_session(world: World) -> None:
    first = await world.writes("hello")
    await world.do("end", first.id)
    second = await world.writes("me again")
    assert second.id != first.id
    contact = await world.get(f"/contacts/{first.contact}")
    assert [session["id"] for session in contact["sessions"]] == [second.id, first.id]
    assert [session["list"] for session in contact["sessions"]] == ["bot_hosted", "ended"]


# --- assigning -----------------------------------------------------------------------------------


async def test_b13_b15_any_agent_assigns_and_the_row_names_assignees_and_owner(
    world: World,
) -> None:
    session = await world.writes("hello")
    body = {"assignees": ["agt-bob", "agt-lena"]}
    row = (await world.do("assignees", session.id, "amy", body)).json
    assert (row["list"], row["bot"], row["owner"]) == (
        "assigned",
        False,
        {"id": "agt-bob", "name": "Bob"},
    )
    seats = [(seat["id"], seat["name"], seat["owner"]) for seat in row["assignees"]]
    assert seats == [("agt-bob", "Bob", True), ("agt-lena", "Lena", False)]
    assert all(seat["since"] for seat in row["assignees"])


async def test_b14_an_assignment_is_told_in_the_timeline_with_actor_and_time(
    world: World,
) -> None:
    session = await world.writes("hello")
    await world.do("assignees", session.id, "amy", {"assignees": ["agt-bob"]})
    entries = (await world.get(f"/sessions/{session.id}/messages"))["items"]
    [told] = [entry for entry in entries if entry["kind"] == "system"]
    assert (told["what"], told["text"]) == ("assigned", "assigned by Amy to Bob")
    assert (told["sender"]["id"], bool(told["at"])) == ("agt-amy", True)


async def test_b16_the_last_assignee_removed_returns_it_to_unassigned(world: World) -> None:
    session = await world.writes("hello")
    await world.do("assignees", session.id, body={"assignees": ["agt-bob", "agt-lena"]})
    one = (await world.do("assignees", session.id, body={"assignees": ["agt-lena"]})).json
    assert (one["list"], one["owner"]["id"]) == ("assigned", "agt-lena")
    none = (await world.do("assignees", session.id, body={"assignees": []})).json
    assert (none["list"], none["owner"], none["assignees"]) == ("unassigned", None, [])


UNASSIGNABLE: dict[str, tuple[Any, str]] = {
    "an unknown agent": ({"assignees": ["agt-bob", "agt-nobody"]}, "assignees.1"),
    "a disabled agent": ({"assignees": ["agt-gone"]}, "assignees.0"),
    "one who may only read": ({"assignees": ["agt-bob", "agt-rita"]}, "assignees.1"),
    "the same agent twice": ({"assignees": ["agt-bob", "agt-bob"]}, "assignees.1"),
    "no list": ({"assignees": "agt-bob"}, "assignees"),
    "an operator": ({"assignees": [{"$ne": ""}]}, "assignees.0"),
    "a field of its own": ({"assignees": [], "owner": "agt-bob"}, "owner"),
    "nothing": ({}, "assignees"),
    "too many": ({"assignees": [f"a{n}" for n in range(21)]}, "assignees"),
}


@pytest.mark.parametrize(("body", "field"), UNASSIGNABLE.values(), ids=UNASSIGNABLE)
async def test_only_agents_of_the_workspace_are_assigned(
    world: World, body: Any, field: str
) -> None:
    gone = await world.hire("gone", "agent", world.workspace)
    await world.store.replace(AGENTS, msgspec.structs.replace(gone, disabled=True))
    session = await world.writes("hello")
    answer = await world.do("assignees", session.id, body=body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field)
    assert (await world.session(session.id)).list == "bot_hosted"


async def test_b11_the_bot_switch_is_idempotent_and_shown_in_the_row(world: World) -> None:
    unhosted(world)
    session = await world.writes("hello")
    await world.do("claim", session.id)
    for _ in range(2):
        assert (await world.do("bot", session.id, body={"on": True})).json["bot"] is True
    assert (await world.get("/sessions", with_="bot"))["items"][0]["id"] == session.id
    assert len(await facts(world, session.id, "session.bot")) == 1
    assert (await world.do("bot", session.id, body={"on": False})).json["bot"] is False


# --- ending --------------------------------------------------------------------------------------


async def ask_to_confirm(world: World) -> None:
    answer = await world.call("PATCH", "/settings", "olga", body={"end_session_confirm": True})
    assert answer.status == 200
    world.switches[world.workspace] = Settings(end_session_confirm=True)


async def test_a21_without_the_switch_a_session_ends_at_once(world: World) -> None:
    session = await world.writes("hello")
    ended = await world.do("end", session.id)
    assert (ended.status, ended.json["list"]) == (200, "ended")
    assert ended.json["ended_at"]


async def test_a21_with_the_switch_the_first_call_asks_and_the_second_ends(world: World) -> None:
    await ask_to_confirm(world)
    session = await world.writes("hello")
    asked = await world.do("end", session.id)
    assert (asked.status, asked.json["code"]) == (409, "confirmation_required")
    found = asked.json["facts"]
    assert "Visitor U1" in found["summary"]
    assert (await world.session(session.id)).list == "bot_hosted"
    ended = await world.do("end", session.id, body={"confirm": found["token"]})
    assert (ended.status, ended.json["list"]) == (200, "ended")


async def test_a21_the_router_asks_too_when_the_switch_was_only_just_turned_on(
    world: World,
) -> None:
    session = await world.writes("hello")
    world.switches[world.workspace] = Settings(end_session_confirm=True)
    asked = await world.do("end", session.id)
    assert (asked.status, asked.json["code"]) == (409, "confirmation_required")
    token = asked.json["facts"]["token"]
    assert (await world.do("end", session.id, body={"confirm": token})).status == 200


async def test_a21_an_expired_token_is_asked_for_again(world: World) -> None:
    await ask_to_confirm(world)
    session = await world.writes("hello")
    token = (await world.do("end", session.id)).json["facts"]["token"]
    later = world.desk.now() + CONFIRM_TTL + timedelta(seconds=1)
    async with serving(msgspec.structs.replace(world.desk, now=lambda: later)) as port:
        url = f"http://127.0.0.1:{port}/api/v1/sessions/{session.id}/end"
        again = await world.call("POST", url, "amy", body={"confirm": token})
        assert (again.status, again.json["code"]) == (409, "confirmation_required")
        fresh = again.json["facts"]["token"]
        assert fresh != token
        assert (await world.call("POST", url, "amy", body={"confirm": fresh})).status == 200


OTHERS = {
    "of another session": lambda tokens: tokens["session"],
    "of another agent": lambda tokens: tokens["agent"],
    "cut": lambda tokens: tokens["right"][:-4],
    "made up": lambda _tokens: "true",
    "not ASCII": lambda _tokens: "k1.ä.ö",
}


@pytest.mark.parametrize("pick", OTHERS.values(), ids=OTHERS)
async def test_a21_a_token_confirms_one_session_for_one_agent(world: World, pick: Any) -> None:
    await ask_to_confirm(world)
    session, other = await world.writes("hello"), await world.writes("hi", visitor="U2")

    async def token(of: str, who: str = "amy") -> str:
        return str((await world.do("end", of, who)).json["facts"]["token"])

    tokens = {
        "right": await token(session.id),
        "session": await token(other.id),
        "agent": await token(session.id, "bob"),
    }
    answer = await world.do("end", session.id, body={"confirm": pick(tokens)})
    assert (answer.status, answer.json["code"]) == (409, "confirmation_required")
    assert (await world.session(session.id)).list == "bot_hosted"


# --- why, and a router that does not answer ------------------------------------------------------


async def test_why_gives_the_rule_and_every_transition_in_words_and_data(world: World) -> None:
    session = await world.writes("hello")
    await world.do("assignees", session.id, "amy", {"assignees": ["agt-bob"]})
    await world.do("end", session.id, "bob")
    found = await world.get(f"/sessions/{session.id}/why", "rita")
    assert (found["because"], found["now"], found["list"]) == (
        *("auto_hosting", "ended_by_agent", "ended"),
    )
    assert found["words"].startswith(
        "Auto-hosting is on, so a new session goes to the bot first. Now: An agent ended it. Last: "
    )
    told = [(step["what"], step["actor"]) for step in found["transitions"]]
    assert told == [
        ("assigned", {"kind": "agent", "id": "agt-amy", "name": "Amy"}),
        ("ended", {"kind": "agent", "id": "agt-bob", "name": "Bob"}),
    ]
    assert "ended by Bob" in found["words"]
    assert found["complete"] is True


async def in_workspace(world: World, name: str) -> Session:
    """Return a session of a workspace whose commands no router serves, with an agent `mia`."""
    session = await world.writes("hello", workspace=world.other)
    workspace = world.other.replace("zeta", name)
    await world.hire("mia", "agent", workspace)
    moved = msgspec.structs.replace(session, workspace=workspace, rev=0)
    return await world.store.insert(SESSIONS, moved)


async def test_without_a_router_a_command_is_a_503_that_says_when_to_try_again(
    world: World,
) -> None:
    session = await in_workspace(world, "mute")
    answer = await world.do("claim", session.id, "mia")
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_a_router_that_does_not_answer_in_time_is_a_503_that_tells_how_to_repeat(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "DEADLINE_S", 0.2)
    session = await in_workspace(world, "slow")

    async def handle(_subject: str, _data: bytes) -> bytes:
        await asyncio.sleep(1)
        return b""

    stop = await world.bus.serve(f"cmd.*.{session.workspace}.*", queue="router", handle=handle)
    answer = await world.do("claim", session.id, "mia")
    await stop()
    assert answer.status == 503
    assert "Idempotency-Key" in answer.json["detail"]


async def test_what_the_router_refuses_is_answered_with_its_own_status_code_and_facts(
    world: World,
) -> None:
    session = await in_workspace(world, "busy")
    refused = Refused(code="stale_revision", status=503, detail="try again", facts={"code": "x"})

    async def handle(_subject: str, _data: bytes) -> bytes:
        return msgspec.json.encode(refused)

    stop = await world.bus.serve(f"cmd.*.{session.workspace}.*", queue="router", handle=handle)
    answer = await world.do("claim", session.id, "mia")
    await stop()
    found = answer.json
    assert (answer.status, found["code"], found["detail"]) == (503, "stale_revision", "try again")
    assert answer.headers["Retry-After"] == "1"
    assert found["facts"] == {"code": "x"}


async def test_an_action_repeated_under_its_key_has_the_effect_of_one(world: World) -> None:
    session = await world.writes("hello")
    path = f"/sessions/{session.id}/bot"
    headers = {"Idempotency-Key": "one-switch"}
    off, on = {"on": False}, {"on": True}
    assert (await world.call("PUT", path, "amy", body=off, headers=headers)).json["bot"] is False
    assert (await world.call("PUT", path, "amy", body=on)).json["bot"] is True
    repeated = await world.call("PUT", path, "amy", body=off, headers=headers)
    assert (repeated.status, repeated.json["bot"]) == (200, True)  # done before: not done again
    assert len(await facts(world, session.id, "session.bot")) == 2
    other = await world.call("PUT", path, "amy", body=on, headers=headers)
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
