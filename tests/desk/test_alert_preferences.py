"""How agents choose to be alerted: what they set, what holds, and who else learns of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.alerts import DEFAULTS, PREFERENCES, SOUNDS, Alert, Preferences
from libs.common.documents import AGENTS
from libs.common.errors import BusUnavailableError
from libs.common.subjects import ALERTS, PREFERENCES_KV
from services.desk.preferences import mend_preferences, publish_preferences
from tests.desk.listening import listening
from tests.desk.world import Answer, World, open_world, serving


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """A desk of each test's own: some change what belongs to no workspace."""
    async with open_world(nats_url, ready_url) as made:
        yield made


PATH = "/alerts/preferences"
NIGHT = {"start": "22:00", "end": "07:00"}
CHOSEN: dict[str, Any] = {
    "triggers": {"mention": ["email"], "unassigned.message": [], "notice": ["browser", "webhook"]},
    "sound": "bell",
    "sounds": {"mention": "none", "handoff.requested": "knock"},
    "volume": 0,
    "quiet_hours": NIGHT,
    "zone": "Asia/Bangkok",
    "absent": "always",
    "lock_screen": "excerpt",
}
NEVER: dict[str, Any] = {
    "triggers": {},
    "sound": "chime",
    "sounds": {},
    "volume": 70,
    "quiet_hours": None,
    "zone": "",
    "absent": "if_nobody",
    "lock_screen": "generic",
}


async def change(
    world: World, body: Any, who: str = "amy", method: str = "PATCH", **headers: str
) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.call(method, PATH, who, body=body, headers=named)


async def told(world: World, agent: str = "agt-amy") -> Preferences | None:
    """Return what the bucket says."""
    found = await world.bus.kv_get(PREFERENCES_KV, f"{world.workspace}.{agent}")
    return msgspec.json.decode(found.value, type=Preferences) if found and found.value else None


def chosen(shown: dict[str, Any]) -> dict[str, Any]:
    return {name: shown[name] for name in NEVER}


def effective(shown: dict[str, Any], trigger: str) -> dict[str, Any]:
    [found] = [one for one in shown["effective"] if one["trigger"] == trigger]
    return {name: found[name] for name in ("methods", "source", "locked", "sound")}


async def test_a14_who_chose_nothing_is_alerted_as_the_defaults_say(world: World) -> None:
    answer = await world.call("GET", PATH, "amy")
    assert answer.headers["ETag"] == '"0"'
    shown = answer.json
    assert chosen(shown) == NEVER
    assert (shown["muted"], shown["muted_until"]) == (False, None)
    assert {one["trigger"]: tuple(one["methods"]) for one in shown["effective"]} == {
        trigger: default.methods for trigger, default in DEFAULTS.items()
    }
    assert {(one["source"], one["locked"], one["sound"]) for one in shown["effective"]} == {
        ("default", False, "chime")
    }
    assert shown["available"]["sounds"] == list(SOUNDS)
    assert await told(world) is None


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a14_a18_what_is_chosen_holds_and_the_engine_learns_of_it(
    world: World, method: str
) -> None:
    answer = await change(world, CHOSEN, method=method)
    assert answer.status == 200, answer.body
    assert chosen(answer.json) == CHOSEN
    assert answer.json == await world.get(PATH, "amy")
    assert effective(answer.json, "mention") == {
        "methods": ["email"],
        "source": "chosen",
        "locked": False,
        "sound": "none",
    }
    assert effective(answer.json, "unassigned.message")["methods"] == []
    stored = await world.store.get(PREFERENCES, world.workspace, "agt-amy")
    assert stored == await told(world)
    assert stored is not None
    assert stored.triggers["notice"] == ("browser", "webhook")
    assert chosen(await world.get(PATH, "bob")) == NEVER
    [record] = await world.audited()
    assert (record.actor, record.action) == ("agent:agt-amy", "alerts.preferences")
    assert (record.object, msgspec.json.decode(record.after)["sound"]) == ("agent:agt-amy", "bell")


async def test_a14_a_patch_leaves_the_rest_and_a_put_does_not(world: World) -> None:
    await change(world, CHOSEN)
    patched = await change(
        world,
        {"triggers": {"mention": None, "send.failed": ["email"]}, "sounds": {"mention": None}},
    )
    assert chosen(patched.json) == {
        **CHOSEN,
        "triggers": {
            "unassigned.message": [],
            "notice": ["browser", "webhook"],
            "send.failed": ["email"],
        },
        "sounds": {"handoff.requested": "knock"},
    }
    patched = await change(world, {"quiet_hours": None})
    assert patched.json["quiet_hours"] is None
    put = await change(world, {"volume": 100}, method="PUT")
    assert chosen(put.json) == {**NEVER, "volume": 100}


async def test_a14_the_workspaces_default_holds_for_who_chose_nothing(world: World) -> None:
    await change(world, {"triggers": {"notice": ["email"]}}, "bob")
    triggers = {"notice": {"methods": ["webhook"]}}
    await world.call("PATCH", "/settings", "adam", body={"alerts": {"triggers": triggers}})
    for who, methods, source in (("amy", ["webhook"], "workspace"), ("bob", ["email"], "chosen")):
        found = effective(await world.get(PATH, who), "notice")
        assert (found["methods"], found["source"]) == (methods, source)


async def test_a14_a_locked_trigger_is_as_the_workspace_has_it(world: World) -> None:
    await change(world, {"triggers": {"notice": ["email"], "mention": ["email"]}})
    triggers = {"notice": {"methods": ["browser"], "locked": True}}
    await world.call("PATCH", "/settings", "adam", body={"alerts": {"triggers": triggers}})
    assert effective(await world.get(PATH, "amy"), "notice") == {
        "methods": ["browser"],
        "source": "workspace",
        "locked": True,
        "sound": "chime",
    }
    allowed = "browser: your workspace has set it for everybody"
    for method in ("PUT", "PATCH"):
        refused = await change(world, {"triggers": {"notice": []}}, method=method)
        assert (refused.status, refused.json["facts"]["field"]) == (422, "triggers.notice")
        assert refused.json["facts"]["allowed"] == allowed
    kept = await change(world, {"triggers": {"notice": ["email"], "mention": []}})
    assert kept.status == 200  # what was chosen before the lock may stand
    assert (await change(world, {"triggers": {"notice": None}})).json["triggers"] == {"mention": []}


WRONG: dict[str, tuple[Any, str]] = {
    "an unknown trigger": ({"triggers": {"rain": ["email"]}}, "triggers.rain"),
    "an unknown method": ({"triggers": {"notice": ["fax"]}}, "triggers.notice.0"),
    "a method twice": ({"triggers": {"notice": ["email", "email"]}}, "triggers.notice"),
    "a word for methods": ({"triggers": {"notice": "email"}}, "triggers.notice"),
    "an unknown sound": ({"sound": "gong"}, "sound"),
    "no sound": ({"sound": ""}, "sound"),
    "an unknown sound of a trigger": ({"sounds": {"notice": "gong"}}, "sounds.notice"),
    "a sound of an unknown trigger": ({"sounds": {"rain": "bell"}}, "sounds.rain"),
    "too loud": ({"volume": 101}, "volume"),
    "less than silent": ({"volume": -1}, "volume"),
    "half of it": ({"volume": 0.5}, "volume"),
    "a zone nobody has": ({"zone": "Moon/Base"}, "zone"),
    "hours without an end": ({"quiet_hours": {"start": "22:00"}}, "quiet_hours.end"),
    "hours that end as they start": (
        {"quiet_hours": {"start": "22:00", "end": "22:00"}},
        "quiet_hours.end",
    ),
    "no hours": ({"quiet_hours": {"start": "25:00", "end": "07:00"}}, "quiet_hours.start"),
    "an unknown absence": ({"absent": "never"}, "absent"),
    "an unknown lock screen": ({"lock_screen": "all"}, "lock_screen"),
    "muting, which has its own place": ({"muted": True}, "muted"),
    "an unknown field": ({"sonud": "bell"}, "sonud"),
    "a list": ([], "body"),
}


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a14_what_cannot_be_is_refused_by_name_and_changes_nothing(
    world: World, method: str
) -> None:
    found = {}
    for name, (body, _) in WRONG.items():
        answer = await change(world, body, method=method)
        found[name] = (answer.status, answer.json.get("facts", {}).get("field"))
    assert found == {name: (422, field) for name, (_, field) in WRONG.items()}
    assert chosen(await world.get(PATH, "amy")) == NEVER
    assert await world.audited() == []


async def test_a_change_based_on_an_old_version_is_refused(world: World) -> None:
    first = await change(world, {"volume": 1}, If_Match='"0"')
    assert (first.status, first.headers["ETag"]) == (200, '"1"')
    for method in ("PUT", "PATCH"):
        refused = await change(world, {"volume": 2}, method=method, If_Match='"0"')
        assert (refused.status, refused.json["code"]) == (412, "changed_meanwhile")
    again = await change(world, {"volume": 1})
    assert again.headers["ETag"] == '"1"'  # nothing changed
    assert len(await world.audited()) == 1


async def test_changes_at_once_all_stand_and_reach_the_bucket(world: World) -> None:
    bodies = [{"triggers": {name: ["email"]}} for name in list(DEFAULTS)[:6]]
    answers = await asyncio.gather(*(change(world, body) for body in bodies))
    assert {answer.status for answer in answers} == {200}
    found = await told(world)
    assert found is not None
    assert set(found.triggers) == set(list(DEFAULTS)[:6])


# --- mute ----------------------------------------------------------------------------------------


async def test_a18_muting_lasts_as_long_as_was_said(world: World) -> None:
    answer = await world.call("POST", "/alerts/mute", "amy", body={"minutes": 30})
    until = datetime.fromisoformat(answer.json["muted_until"])
    assert answer.json["muted"]
    assert abs(until - datetime.now(UTC) - timedelta(minutes=30)) < timedelta(minutes=1)
    found = await told(world)
    assert found is not None
    assert (found.muted, found.muted_until) == (True, until)
    later = datetime.now(UTC) + timedelta(minutes=20)
    answer = await world.call("POST", "/alerts/mute", "amy", body={"until": later.isoformat()})
    assert datetime.fromisoformat(answer.json["muted_until"]) == later
    for method in ("PUT", "PATCH"):  # neither ends it
        assert (await change(world, {"volume": 3}, method=method)).json["muted"]
    over = msgspec.structs.replace(world.desk, now=lambda: datetime.now(UTC) + timedelta(hours=1))
    async with serving(over) as port:
        url = f"http://127.0.0.1:{port}/api/v1{PATH}"
        shown = (await world.call("GET", url, "amy")).json
    assert (shown["muted"], shown["muted_until"]) == (False, None)
    answer = await world.call("POST", "/alerts/mute", "amy")
    assert (answer.json["muted"], answer.json["muted_until"]) == (True, None)
    answer = await world.call("DELETE", "/alerts/mute", "amy")
    assert (answer.status, answer.json["muted"]) == (200, False)
    assert [entry.action for entry in await world.audited()] == [
        "alerts.mute",
        "alerts.mute",
        "alerts.preferences",
        "alerts.mute",
        "alerts.unmute",
    ]


LONG = (datetime.now(UTC) + timedelta(days=8)).isoformat()
WRONG_MUTE: dict[str, tuple[Any, str, str]] = {
    "no time": ({"minutes": 0}, "minutes", ""),
    "more than a week": ({"minutes": 10_081}, "minutes", ""),
    "until more than a week": ({"until": LONG}, "until", "more than 7 days ahead"),
    "until what is past": ({"until": "2020-01-01T00:00:00Z"}, "until", "does not lie ahead"),
    "until nobody knows when": ({"until": "2120-01-01T00:00:00"}, "until", "no offset"),
    "both": ({"minutes": 5, "until": LONG}, "until", "minutes are given, too"),
    "for whom": ({"agent": "agt-bob"}, "agent", ""),
}


async def test_a18_a_time_that_is_none_is_refused_by_name(world: World) -> None:
    found = {}
    for name, (body, _, why) in WRONG_MUTE.items():
        answer = await world.call("POST", "/alerts/mute", "amy", body=body)
        assert why in answer.json["detail"]
        found[name] = (answer.status, answer.json.get("facts", {}).get("field"))
    assert found == {name: (422, field) for name, (_, field, _) in WRONG_MUTE.items()}
    assert not (await world.get(PATH, "amy"))["muted"]


# --- the bucket ----------------------------------------------------------------------------------


class DeafBus:
    """Refuses every write of a bucket."""

    async def kv_get(self, *_args: object) -> None:
        return None

    async def kv_put(self, *_args: object, **_more: object) -> int:
        raise BusUnavailableError("away")


async def test_what_only_the_store_took_is_told_later_by_the_mending(world: World) -> None:
    deaf: Any = DeafBus()
    async with serving(msgspec.structs.replace(world.desk, bus=deaf)) as port:
        url = f"http://127.0.0.1:{port}/api/v1{PATH}"
        answer = await world.call("PATCH", url, "amy", body={"volume": 7})
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    assert await told(world) is None
    assert await mend_preferences(world.store, world.bus, [world.workspace, world.other]) >= 1
    found = await told(world)
    assert found is not None
    assert found.volume == 7
    assert await mend_preferences(world.store, world.bus, [world.workspace, world.other]) == 0


async def test_the_entry_of_who_is_disabled_or_gone_goes_and_comes_back(world: World) -> None:
    for who in ("amy", "bob"):
        await change(world, {"volume": 7}, who)
    amy, bob = [
        await world.store.get(AGENTS, world.workspace, f"agt-{who}") for who in ("amy", "bob")
    ]
    assert amy is not None
    assert bob is not None
    off = await world.store.replace(AGENTS, msgspec.structs.replace(amy, disabled=True))
    await world.store.delete(AGENTS, world.workspace, bob.id)
    await mend_preferences(world.store, world.bus, [world.workspace])
    assert (await told(world), await told(world, "agt-bob")) == (None, None)
    await world.store.replace(AGENTS, msgspec.structs.replace(off, disabled=False))
    await mend_preferences(world.store, world.bus, [world.workspace])
    found = await told(world)
    assert found is not None
    assert found.volume == 7


async def test_an_entry_of_an_older_version_is_brought_up_to_the_store(world: World) -> None:
    await change(world, {"volume": 7})
    key = f"{world.workspace}.agt-amy"
    old = Preferences(id="agt-amy", workspace=world.workspace, rev=1, volume=1)
    await world.bus.kv_put(PREFERENCES_KV, key, msgspec.json.encode(old))
    assert await publish_preferences(world.store, world.bus, world.workspace, "agt-amy")
    found = await told(world)
    assert found is not None
    assert found.volume == 7


# --- a trial -------------------------------------------------------------------------------------


async def test_a18_a_trial_is_seen_and_heard_as_chosen_by_the_caller_alone(world: World) -> None:
    await change(world, {"sounds": {"notice": "pop"}, "volume": 40})
    async with listening(world, "amy") as amy, listening(world, "bob") as bob:
        body = {"methods": ["browser", "email", "browser"][:2]}
        answer = await world.call("POST", "/alerts/test", "amy", body=body)
        assert (answer.status, answer.json["sinks"]) == (202, ["browser", "push", "email"])
        alert = await amy.alert()
        assert (alert["id"], alert["kind"]) == (answer.json["id"], "raised")
        assert (alert["trigger"], alert["sound"], alert["volume"]) == ("notice", "pop", 40)
        answer = await world.call("POST", "/alerts/test", "bob", body={"methods": ["browser"]})
        assert (await bob.alert())["id"] == answer.json["id"]
    for sink in ("push", "email"):
        [found] = await world.bus.read(ALERTS, f"alert.{sink}.{world.workspace}.agt-amy")
        assert msgspec.json.decode(found.data, type=Alert).id == alert["id"]


AROUND_NOW = {
    "start": f"{datetime.now(UTC) - timedelta(hours=2):%H:%M}",
    "end": f"{datetime.now(UTC) + timedelta(hours=2):%H:%M}",
}
SILENT: dict[str, tuple[str, str, Any]] = {
    "muted": ("POST", "/alerts/mute", {}),
    "by choice": ("PATCH", PATH, {"sounds": {"notice": "none"}}),
    "in quiet hours": ("PATCH", PATH, {"quiet_hours": AROUND_NOW, "zone": "UTC"}),
}


@pytest.mark.parametrize(("method", "path", "body"), SILENT.values(), ids=SILENT)
async def test_a18_the_trial_of_who_wants_no_sound_is_silent(
    world: World, method: str, path: str, body: Any
) -> None:
    assert (await world.call(method, path, "amy", body=body)).status == 200
    async with listening(world, "amy") as amy:
        answer = await world.call("POST", "/alerts/test", "amy", body={"methods": ["browser"]})
        assert (await amy.alert())["sound"] is answer.json["sound"] is None


@pytest.mark.parametrize("methods", [[], ["webhook"], ["browser", "browser", "email"], "email"])
async def test_a_trial_names_how(world: World, methods: Any) -> None:
    answer = await world.call("POST", "/alerts/test", "amy", body={"methods": methods})
    assert answer.status == 422
    assert answer.json["facts"]["field"].startswith("methods")


async def test_trials_that_are_repeated_at_once_are_one(world: World) -> None:
    now = datetime.now(UTC)
    async with serving(msgspec.structs.replace(world.desk, now=lambda: now)) as port:
        url = f"http://127.0.0.1:{port}/api/v1/alerts/test"
        for _ in range(3):
            await world.call("POST", url, "amy", body={"methods": ["email"]})
    assert len(await world.bus.read(ALERTS, f"alert.email.{world.workspace}.agt-amy")) == 1
