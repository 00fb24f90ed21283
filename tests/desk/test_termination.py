"""Automatic ends at desk: their policy, what it would do, and taking them back (D07, A10, A12)."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.commands import Actor, Done, FireTimer
from libs.common.documents import SESSIONS, WORKSPACES, ListName, Session, Settings
from libs.common.switches import IdleRule, Speaker, Termination
from libs.common.termination import counted
from services.desk.api import termination
from services.desk.idle_preview import paced
from tests.desk.world import NOW, Answer, World, ago
from tests.soak import sized

GUIDE = Path(__file__).parents[2] / "docs" / "termination.md"
MANY = sized(300, 10_000)
HOUR_S = 3600
LONG_AGO = NOW - timedelta(days=90)
OPTED = {"channels": ["messenger", "fb_comment"]}


async def patch(world: World, body: Any, who: str = "adam") -> Answer:
    return await world.call("PATCH", "/settings", who, body=body)


async def preview(world: World, body: Any = None, who: str = "lena") -> Any:
    answer = await world.call("POST", "/termination/preview", who, body=body)
    assert answer.status == 200, answer.body
    return answer.json


async def undo(world: World, who: str = "lena", **body: Any) -> Any:
    answer = await world.call("POST", "/termination/undo", who, body=body)
    assert answer.status == 200, answer.body
    return answer.json


def session_of(
    world: World,
    *,
    idle_s: float,
    list_: ListName = "unassigned",
    channel: str = "messenger",
    spoke: Speaker = "visitor",
    visitor: str = "",
) -> Session:
    visitor, at = visitor or uuid.uuid4().hex, ago(idle_s)
    account = world.slug(channel)
    return Session(
        id=f"ses_{uuid.uuid4().hex}",
        workspace=world.workspace,
        account=account,
        channel=channel,
        visitor=visitor,
        contact=f"con_{visitor}",
        list=list_,
        open_key=f"{account}|{visitor}",
        bot=list_ == "bot_hosted",
        created_at=at,
        updated_at=at,
        spoke=spoke,
        idle_since=at,
    )


async def store(world: World, *sessions: Session) -> None:
    for place in range(0, len(sessions), 500):
        assert await world.store.insert_many(SESSIONS, sessions[place : place + 500]) == {}


async def set_short(world: World, *rules: IdleRule, **more: Any) -> Settings:
    """Set what people may not: idle times of seconds. Desk and router know it."""
    termination = Termination(rules=rules, **{"since": LONG_AGO, **more})
    settings = Settings(auto_termination=True, termination=termination)
    found = await world.store.get(WORKSPACES, world.workspace, world.workspace)
    assert found is not None
    await world.store.replace(WORKSPACES, msgspec.structs.replace(found, settings=settings))
    world.switches[world.workspace] = settings
    return settings


async def terminate(world: World, sessions: list[Session]) -> list[Session]:
    """Fire the timer of each, as the scheduler does; return those that have ended by it."""
    gate = asyncio.Semaphore(32)

    async def one(session: Session) -> Session:
        async with gate:
            now = world.desk.now()
            command = FireTimer(
                workspace=session.workspace,
                session=session.id,
                actor=Actor(kind="system", id="scheduler"),
                key=f"idle:{session.id}:{now.isoformat()}",
                deadline=now + timedelta(seconds=10),
                kind="idle_end",
                due=now,
            )
            answer = await world.executor.execute(command)
        assert isinstance(answer, Done)
        return answer.session

    done = await asyncio.gather(*map(one, sessions))
    return [session for session in done if session.list == "ended"]


# --- the policy ----------------------------------------------------------------------------------

RULE: dict[str, Any] = {
    "channels": ["line"],
    "lists": ["assigned"],
    "last": ["agent"],
    "idle_s": 60,
    "farewell": "Bye",
}
TAKEN: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], Any], Any]] = {
    "a rule": (
        {"termination": {"rules": [RULE]}},
        lambda found: found["termination"]["rules"],
        [RULE],
    ),
    "no rule": ({"termination": {"rules": []}}, lambda found: found["termination"]["rules"], []),
    "the slowest pace": (
        {"termination": {"per_minute": 1}},
        lambda found: found["termination"]["per_minute"],
        1,
    ),
    "the fastest pace": (
        {"termination": {"per_minute": 6000}},
        lambda found: found["termination"]["per_minute"],
        6000,
    ),
    "no undoing": ({"termination": {"undo_s": 0}}, lambda found: found["termination"]["undo_s"], 0),
    "a zone": ({"zone": "Asia/Bangkok"}, lambda found: found["zone"], "Asia/Bangkok"),
    "hours over midnight": (
        {"quiet_hours": {"start": "22:00", "end": "07:30"}},
        lambda found: found["quiet_hours"],
        {"start": "22:00", "end": "07:30"},
    ),
    "no quiet hours": ({"quiet_hours": None}, lambda found: found["quiet_hours"], None),
}


async def test_each_part_of_the_policy_is_taken_and_read_back(world: World) -> None:
    for name, (body, pick, expected) in TAKEN.items():
        answer = await patch(world, body)
        assert answer.status == 200, (name, answer.body)
        assert pick(answer.json) == expected, name
        assert await world.get("/settings") == answer.json
    assert len(await world.audited()) == len(TAKEN)


def of_rule(**more: Any) -> dict[str, Any]:
    return {"termination": {"rules": [RULE, {**RULE, **more}]}}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a channel nobody has": (of_rule(channels=["line", "fax"]), "termination.rules.1.channels.1"),
    "a list in which nothing ends": (of_rule(lists=["ended"]), "termination.rules.1.lists.0"),
    "no list": (of_rule(lists=[]), "termination.rules.1.lists"),
    "nobody who speaks": (of_rule(last=["system"]), "termination.rules.1.last.0"),
    "nobody at all": (of_rule(last=[]), "termination.rules.1.last"),
    "less than a minute": (of_rule(idle_s=59), "termination.rules.1.idle_s"),
    "more than 90 days": (of_rule(idle_s=90 * 86_400 + 1), "termination.rules.1.idle_s"),
    "a long farewell": (of_rule(farewell="x" * 1001), "termination.rules.1.farewell"),
    "a farewell with a variable": (
        of_rule(farewell="Bye {{contact.name|x}}"),
        "termination.rules.1.farewell",
    ),
    "a blank farewell": (of_rule(farewell="  "), "termination.rules.1.farewell"),
    "a misspelt field": (of_rule(idle=60), "termination.rules.1.idle"),
    "too many rules": ({"termination": {"rules": [RULE] * 51}}, "termination.rules"),
    "no pace": ({"termination": {"per_minute": 0}}, "termination.per_minute"),
    "a pace without bounds": ({"termination": {"per_minute": 6001}}, "termination.per_minute"),
    "undoing for ever": ({"termination": {"undo_s": 30 * 86_400 + 1}}, "termination.undo_s"),
    "since when, which we say": (
        {"termination": {"since": "2020-01-01T00:00:00Z"}},
        "termination.since",
    ),
    "no policy": ({"termination": None}, "termination"),
    "a zone nobody knows": ({"zone": "Mars/Olympus"}, "zone"),
    "a path for a zone": ({"zone": "../../etc/passwd"}, "zone"),
    "no zone": ({"zone": ""}, "zone"),
    "a time that is none": (
        {"quiet_hours": {"start": "25:00", "end": "07:00"}},
        "quiet_hours.start",
    ),
    "hours without an end": ({"quiet_hours": {"start": "22:00"}}, "quiet_hours.end"),
    "hours that are all day": (
        {"quiet_hours": {"start": "22:00", "end": "22:00"}},
        "quiet_hours.end",
    ),
}


async def test_what_is_wrong_is_refused_by_name_and_changes_nothing(world: World) -> None:
    before = await world.get("/settings")
    found = {}
    for name, (body, _) in WRONG.items():
        answer = await patch(world, body)
        facts = answer.json.get("facts", {})
        found[name] = (answer.status, facts.get("field"), bool(facts.get("allowed")))
    assert found == {name: (422, field, True) for name, (_, field) in WRONG.items()}
    assert await world.get("/settings") == before


ON = Settings(auto_termination=True, termination=Termination(since=NOW - timedelta(days=9)))
OFF = msgspec.structs.replace(ON, auto_termination=False)


def rules(*made: IdleRule, **more: Any) -> Termination:
    return Termination(rules=made or Termination().rules, since=ON.termination.since, **more)


POLITE = msgspec.structs.replace(Termination().rules[0], farewell="Bye")


def with_(settings: Settings, **more: Any) -> Settings:
    return msgspec.convert(msgspec.to_builtins(msgspec.structs.replace(settings, **more)), Settings)


SINCE: dict[str, tuple[Settings, Settings, bool]] = {
    "switched on": (OFF, ON, True),
    "switched on for a channel": (
        OFF,
        with_(OFF, channels={"line": {"auto_termination": True}}),
        True,
    ),
    "switched on for an account": (
        OFF,
        with_(OFF, accounts={"acme": {"auto_termination": True}}),
        True,
    ),
    "an exception taken back": (
        with_(ON, channels={"line": {"auto_termination": False}}),
        ON,
        True,
    ),
    "a shorter time": (ON, with_(ON, termination=rules(IdleRule(idle_s=60))), True),
    "another channel": (ON, with_(ON, termination=rules(IdleRule(channels=("web",)))), True),
    "switched off": (ON, OFF, False),
    "an exception made": (ON, with_(ON, channels={"line": {"auto_termination": False}}), False),
    "a faster pace": (ON, with_(ON, termination=rules(per_minute=600)), False),
    "longer undoing": (ON, with_(ON, termination=rules(undo_s=1)), False),
    "another farewell": (
        ON,
        with_(
            ON,
            termination=rules(POLITE),
        ),
        False,
    ),
    "another switch": (ON, with_(ON, auto_assign=True), False),
    "other rules while it is off": (OFF, with_(OFF, termination=rules(IdleRule(idle_s=60))), False),
    "on since before there was a policy": (
        Settings(auto_termination=True),
        Settings(auto_termination=True, auto_assign=True),
        True,
    ),
    "what the caller says of it": (
        ON,
        with_(ON, termination=Termination(since=NOW - timedelta(days=99))),
        False,
    ),
}


@pytest.mark.parametrize(("before", "after", "anew"), SINCE.values(), ids=SINCE)
def test_a12_since_when_idle_time_counts(before: Settings, after: Settings, anew: bool) -> None:
    found = counted(before, after, NOW)
    assert found.termination.since == (NOW if anew else before.termination.since)
    assert found == with_(
        after,
        termination=msgspec.structs.replace(after.termination, since=found.termination.since),
    )


async def test_a12_switching_it_on_counts_from_now_and_a_pace_does_not_change_that(
    world: World,
) -> None:
    began = world.desk.now()
    first = (await patch(world, {"auto_termination": True})).json["termination"]["since"]
    assert began <= datetime.fromisoformat(first) <= world.desk.now()
    body = {"termination": {"per_minute": 7, "undo_s": 5}}
    assert (await patch(world, body)).json["termination"]["since"] == first
    again = (await patch(world, {"auto_termination": True})).json["termination"]
    assert again["since"] == first
    later = (await patch(world, of_rule(idle_s=61))).json["termination"]["since"]
    assert later > first


async def test_the_examples_of_the_document_are_taken(world: World) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    examples = re.findall(r"```json (PATCH|POST) (/\S+)\n(.*?)```", text, flags=re.DOTALL)
    assert [path for _, path, _ in examples] == [
        "/settings",
        "/termination/preview",
        "/termination/undo",
    ]
    for method, path, body in examples:
        answer = await world.call(method, path, "adam", body=msgspec.json.decode(body))
        assert answer.status == 200, (path, answer.body)


# --- the preview ---------------------------------------------------------------------------------


async def furnish(world: World) -> None:
    """Seven that are idle for a day by the standard rule or another, and as many that are not."""
    day = 25 * HOUR_S
    await store(
        world,
        session_of(world, idle_s=day),
        session_of(world, idle_s=day, list_="bot_hosted"),
        session_of(world, idle_s=day, list_="bot_hosted", spoke="bot"),
        session_of(world, idle_s=day, channel="fb_comment"),
        session_of(world, idle_s=2 * HOUR_S),  # too short
        session_of(world, idle_s=day, spoke="agent"),  # the visitor's turn
        session_of(world, idle_s=day, list_="assigned"),
        session_of(world, idle_s=day, channel="line"),
        session_of(world, idle_s=day, channel="web"),
    )


async def test_d07_the_preview_counts_what_is_idle_by_the_present_policy(world: World) -> None:
    await furnish(world)
    found = await preview(world)
    assert (found["on"], found["looked_at"], found["cut"]) == (False, 8, False)
    assert (found["idle"], found["rules"]) == (4, {"1": 4})
    assert found["channels"] == {"fb_comment": 1, "messenger": 3}
    assert found["lists"] == {"bot_hosted": 2, "unassigned": 2}
    assert (found["within_hour"], found["within_day"], found["per_minute"]) == (0, 1, 60)
    assert (await world.get("/settings"))["auto_termination"] is False


PROPOSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "of all channels and lists": (
        {
            "auto_termination": True,
            "termination": {"rules": [{"lists": ["bot_hosted", "unassigned", "assigned"]}]},
        },
        {"on": True, "looked_at": 9, "idle": 7, "rules": {"1": 7}},
    ),
    "two rules, of which the first that fits counts": (
        {"termination": {"rules": [{"channels": ["line"], "idle_s": HOUR_S}, {"idle_s": HOUR_S}]}},
        {"on": False, "idle": 7, "rules": {"1": 1, "2": 6}},
    ),
    "whoever spoke last": (
        {"termination": {"rules": [{"last": ["agent"]}]}},
        {"idle": 1, "lists": {"unassigned": 1}},
    ),
    "one channel alone": (
        {"channels": {"line": {"auto_termination": True}}, "termination": {"rules": [{}]}},
        {"on": True, "idle": 1, "channels": {"line": 1}},
    ),
    "nowhere": ({"termination": {"rules": []}}, {"looked_at": 0, "idle": 0, "rules": {}}),
    "within an hour, but paced": (
        {
            "auto_termination": True,
            "termination": {"rules": [{"idle_s": 1800}], "per_minute": 1},
        },
        {"on": True, "idle": 7, "within_hour": 7, "within_day": 7, "per_minute": 1},
    ),
    "within a day, not within an hour": (
        {"auto_termination": True, "termination": {"rules": [{"idle_s": 2 * HOUR_S}]}},
        {"within_hour": 0, "within_day": 7},
    ),
}


async def test_d07_the_preview_of_a_proposal_changes_nothing(world: World) -> None:
    await furnish(world)
    before = await world.get("/settings")
    for name, (settings, expected) in PROPOSED.items():
        found = await preview(world, {"settings": settings})
        assert {key: found[key] for key in expected} == expected, name
    assert await world.get("/settings") == before
    assert await world.audited() == []


async def test_a_wrong_proposal_is_refused_by_name(world: World) -> None:
    for settings, field in ((of_rule(channels=["fax"]), "rules.1.channels.0"), ({"x": 1}, "x")):
        body = {"settings": settings}
        answer = await world.call("POST", "/termination/preview", "lena", body=body)
        assert answer.status == 422
        assert answer.json["facts"]["field"].endswith(field)
        assert answer.json["facts"]["field"].startswith("settings.")


async def test_the_preview_says_where_it_stops(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(world, *(session_of(world, idle_s=25 * HOUR_S) for _ in range(12)))
    for most, page, expected in ((5, 4, (5, True)), (12, 4, (12, False)), (13, 5, (12, False))):
        monkeypatch.setattr(termination, "LOOKED_AT_MOST", most)
        monkeypatch.setattr(termination, "PAGE", page)
        found = await preview(world)
        assert (found["looked_at"], found["cut"], found["idle"]) == (*expected, expected[0])


PACED: dict[str, tuple[list[float], int, list[float]]] = {
    "each at its time where there is room": ([60, 0, 30], 60, [0, 30, 60]),
    "one after the other where there is none": ([5, 5, 5], 30, [5, 7, 9]),
    "what is overdue begins now": ([-50, -50, 1], 60, [0, 1, 2]),
    "nothing": ([], 1, []),
}


@pytest.mark.parametrize(("dues", "per_minute", "expected"), PACED.values(), ids=PACED)
def test_when_they_end(dues: list[float], per_minute: int, expected: list[float]) -> None:
    at = [NOW + timedelta(seconds=due) for due in dues]
    assert paced(at, per_minute, NOW) == [NOW + timedelta(seconds=end) for end in expected]


async def test_d07_what_the_preview_counts_is_what_then_ends(world: World) -> None:
    """The same policy, a moment apart, each session's timer fired: as many, by list and channel."""
    rule = IdleRule(channels=("messenger", "line"), idle_s=1)
    await set_short(world, rule, since=world.desk.now())
    lists: tuple[ListName, ...] = ("bot_hosted", "unassigned", "assigned")
    speakers: tuple[Speaker, ...] = ("visitor", "agent", "bot")
    made = [
        session_of(world, idle_s=50 * n, list_=list_, channel=channel, spoke=spoke)
        for n, list_ in enumerate(lists, 1)
        for channel in ("messenger", "line", "web")
        for spoke in speakers
    ]
    await store(world, *made)
    told = await preview(world)
    await asyncio.sleep(1.1)
    ended = await terminate(world, made)
    assert told["on"] is True
    assert (told["idle"], len(ended)) == (8, 8)
    assert {one["session"] for one in told["samples"]} == {session.id for session in ended}
    assert [one["rule"] for one in told["samples"]] == [1] * 8
    idle_since = [one["idle_since"] for one in told["samples"]]
    assert idle_since == sorted(idle_since)
    by = {"channels": {"line": 4, "messenger": 4}, "lists": {"bot_hosted": 4, "unassigned": 4}}
    assert {name: told[name] for name in by} == by
    before = {session.id: session for session in made}
    for name, pick in (("channels", "channel"), ("lists", "list")):
        found = [getattr(before[session.id], pick) for session in ended]
        assert {value: found.count(value) for value in found} == by[name]
    assert {session.end_reason for session in ended} == {"auto_terminated"}


# --- the undoing ---------------------------------------------------------------------------------


async def ended(world: World, count: int, **more: Any) -> list[Session]:
    """Let some sessions end by themselves."""
    await set_short(world, IdleRule(idle_s=1), **more)
    made = [session_of(world, idle_s=60) for _ in range(count)]
    await store(world, *made)
    found = await terminate(world, made)
    assert len(found) == count
    return found


async def test_d07_undo_restores_all_page_by_page(world: World) -> None:
    gone = await ended(world, MANY)
    restored, pages = 0, 0
    cursor: dict[str, str] = {}
    while True:
        found = await undo(world, limit=100, **cursor)
        assert (found["another_open"], found["too_late"], found["failed"]) == (0, 0, 0)
        restored, pages = restored + found["restored"], pages + 1
        if found["next"] is None:
            break
        cursor = {"cursor": found["next"]}
    assert (restored, pages >= MANY // 100) == (MANY, True)
    rows = await world.store.count(SESSIONS, world.workspace, {"list": "unassigned"}, limit=100_000)
    assert rows == MANY
    after = await world.session(gone[0].id)
    assert (after.open_key, after.end_reason) == (f"{after.account}|{after.visitor}", "")
    assert (await undo(world))["restored"] == 0


async def test_undo_tells_what_it_could_not_restore_and_leaves_other_ends_alone(
    world: World,
) -> None:
    one, two, three = await ended(world, 3)
    by_hand = await world.writes("bye", visitor="U9", channel="messenger")
    await world.do("end", by_hand.id)
    await store(world, session_of(world, idle_s=0, visitor=two.visitor))  # it came again
    late = await world.session(three.id)
    assert late.ended_from is not None
    over = msgspec.structs.replace(late.ended_from, until=ago(1))
    await world.store.replace(SESSIONS, msgspec.structs.replace(late, ended_from=over))
    found = await undo(world)
    assert found == {"restored": 1, "another_open": 1, "too_late": 1, "failed": 0, "next": None}
    [entry] = [one for one in await world.audited() if one.action == "termination.undo"]
    asked = {session.id for session in (one, two, three)}
    assert set(msgspec.json.decode(entry.after)["sessions"]) == asked
    assert (await world.session(one.id)).list == "unassigned"
    for session in (two, three, by_hand):
        assert (await world.session(session.id)).list == "ended"


async def test_undo_takes_back_what_has_ended_since(world: World) -> None:
    [first] = await ended(world, 1)
    await asyncio.sleep(0.01)
    since = world.desk.now()
    [second] = await ended(world, 1)
    assert (await undo(world, since=since.isoformat()))["restored"] == 1
    lists = [(await world.session(session.id)).list for session in (first, second)]
    assert lists == ["ended", "unassigned"]
    assert (await undo(world, since=ago(90 * 86_400).isoformat()))["restored"] == 1


@pytest.mark.parametrize("since", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"])
async def test_undo_takes_only_times_that_are_some_in_utc(world: World, since: str) -> None:
    answer = await world.call("POST", "/termination/undo", "lena", body={"since": since})
    assert (answer.status, answer.json["facts"]["field"]) == (422, "since"), answer.body


async def test_undo_leaves_what_ended_before_and_was_only_touched_since(world: World) -> None:
    """An echo that comes late falls into a session that has ended, and writes it."""
    [first, second] = await ended(world, 2)
    await asyncio.sleep(0.01)
    since = world.desk.now()
    await ended(world, 1)
    touched = await world.session(first.id)
    await world.store.replace(SESSIONS, msgspec.structs.replace(touched, updated_at=ago(-1)))
    assert (await undo(world, since=since.isoformat()))["restored"] == 1
    for session in (first, second):
        assert (await world.session(session.id)).list == "ended"
    assert (await undo(world, limit=2))["restored"] == 2


NOT_ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "more than a page": ({"limit": 501}, "limit"),
    "none": ({"limit": 0}, "limit"),
    "a time without a zone": ({"since": "2026-01-01T00:00:00"}, "since"),
    "a cursor of somewhere else": ({"cursor": "nonsense"}, "cursor"),
    "which ones": ({"ids": []}, "ids"),
}


@pytest.mark.parametrize(("body", "field"), NOT_ASKED.values(), ids=NOT_ASKED)
async def test_a_wrong_undo_is_refused_by_name(
    world: World, body: dict[str, Any], field: str
) -> None:
    answer = await world.call("POST", "/termination/undo", "lena", body=body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field)


async def test_i12_leads_preview_and_undo_in_their_own_workspace_only(world: World) -> None:
    [session] = await ended(world, 1)
    await store(world, session_of(world, idle_s=90 * HOUR_S))
    for path in ("/termination/preview", "/termination/undo"):
        for who in ("rita", "amy"):
            assert (await world.call("POST", path, who)).status == 403
        assert (await world.call("POST", path)).status == 401
    assert (await preview(world, who="zoe"))["looked_at"] == 0
    assert (await undo(world, who="zoe"))["restored"] == 0
    assert (await world.session(session.id)).list == "ended"
