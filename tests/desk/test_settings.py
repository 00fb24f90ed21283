"""The switches (A01): each alone, each change on record, each workspace its own."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from libs.common.bus.client import Bus
from libs.common.documents import ACCOUNTS, WORKSPACES, Settings
from libs.common.errors import BusUnavailableError
from libs.common.policy import Policy
from libs.common.subjects import POLICY_KV
from services.desk.api.settings import ChannelPatch, SettingsPatch, patched
from tests.desk.world import Answer, World, serving

SWITCHES = ("auto_hosting", "auto_assign", "session_hosting", "auto_termination")
OTHERS: dict[str, tuple[Any, ...]] = {
    "end_session_confirm": (True,),
    "show_read": (False,),
    "strategy": ("round_robin", "sticky", "priority", "least_loaded"),
    "strategy_returning": ("sticky", None),
    "reopen": ("queue", "bot", "owner"),
    "removed_for_s": (0, 2_592_000),
    "handoff_words": (["person", "人"], []),
    "silent_owner_s": (2_592_000, 0),
    "silent_owner": ("reassign", "queue", "alert_lead", "remind"),
    "bot_messages": (1, 1000),
    "bot_deadline_s": (1, 3600),
    "zone": ("Asia/Bangkok", "UTC"),
    "quiet_hours": ({"start": "22:00", "end": "07:00"}, None),
}
"""Values of the other settings, of ranges both ends; of automatic ends, see `test_termination`."""
ALERTS: dict[str, tuple[Any, ...]] = {
    "window_s": (5, 3600),
    "email_within_s": (86400,),
    "email_after_s": (10, 86400),
    "escalation": (
        [],
        [{"after_s": n, "to": "everyone", "methods": ["email"]} for n in (10, 11, 12, 13, 86400)],
    ),
    "storm_per_minute": (1, 1000),
    "stale_s": (60, 86400),
}
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA"
    "60e6kgAAAABJRU5ErkJggg=="
)
VISITORS: dict[str, tuple[Any, ...]] = {
    "method": ("plugin", "email"),
    "after_s": (20, 3600),
    "quiet_s": (0, 86400),
}
BRANDING: dict[str, tuple[Any, ...]] = {"widget": (True, False), "email": (True, False)}
SURVEY: dict[str, tuple[Any, ...]] = {
    "channels": (["line", "web"], []),
    "question": ("How was it, 1 to 5?",),
    "thanks": ("", "Thanks"),
    "within_s": (60, 604_800),
}
PLUGIN: dict[str, tuple[Any, ...]] = {
    "title": ("Ask us", ""),
    "welcome": ("Good day", ""),
    "launcher": ("Chat", ""),
    "colour": ("#0a7D3c", "#1a56db"),
    "position": ("start", "end"),
    "theme": ("dark", "light", "auto"),
    "language": ("zh-Hant", "ar", "en", ""),
    "avatar": (PNG, ""),
    "sound": (True, False),
    "offline_when": ("never", "nobody", "hours"),
    "offline_mode": ("email", "chat"),
    "offline_text": ("Gone", ""),
    "pre_chat": (
        {
            "when": "always",
            "text": "First",
            "fields": [{"id": "order", "label": "Order", "required": True}],
        },
        {"when": "never", "text": "", "fields": []},
    ),
    "origins": (["https://shop.example", "http://127.0.0.1:8080"], []),
}
NESTED = {
    "plugin": PLUGIN,
    "alerts": ALERTS,
    "offline_visitors": VISITORS,
    "remove_branding": BRANDING,
    "survey": SURVEY,
}
"""Values of the settings that have parts of their own, likewise."""
PARTS = {"calendar", "channels", "accounts", "plugins", "termination", *NESTED}


async def patch(world: World, body: Any, who: str = "adam", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.call("PATCH", "/settings", who, body=body, headers=named)


async def test_a01_each_other_setting_takes_its_values_and_nothing_else_changes(
    world: World,
) -> None:
    for name, values in OTHERS.items():
        for value in values:
            before = await world.get("/settings")
            answer = await patch(world, {name: value})
            assert (answer.status, answer.json) == (200, {**before, name: value}), name
    assert set(SWITCHES) | set(OTHERS) | PARTS == set(await world.get("/settings"))


@pytest.mark.parametrize("part", NESTED)
async def test_a01_each_setting_of_a_part_takes_its_values_and_nothing_else_changes(
    world: World, part: str
) -> None:
    for name, values in NESTED[part].items():
        for value in values:
            before = await world.get("/settings")
            answer = await patch(world, {part: {name: value}})
            expected = {**before, part: {**before[part], name: value}}
            assert (answer.status, answer.json) == (200, expected), (name, value)
    assert set(NESTED[part]) | {"triggers"} >= set((await world.get("/settings"))[part])


async def test_a14_the_defaults_of_triggers_are_set_locked_and_given_back(world: World) -> None:
    async def triggers(change: Any) -> Any:
        answer = await patch(world, {"alerts": {"triggers": change}})
        assert answer.status == 200, answer.body
        return answer.json["alerts"]["triggers"]

    assert await triggers({"mention": {"methods": ["email"]}, "send.failed": {"locked": True}}) == {
        "mention": {"methods": ["email"], "locked": False},
        "send.failed": {"methods": ["browser"], "locked": True},  # those that hold anyhow
    }
    assert await triggers({"mention": {"locked": True}, "send.failed": None}) == {
        "mention": {"methods": ["email"], "locked": True}
    }
    assert await triggers({"mention": None}) == {}


@pytest.mark.parametrize("name", SWITCHES)
async def test_a01_one_switch_changes_and_nothing_else_does(world: World, name: str) -> None:
    before = await world.get("/settings")
    answer = await patch(world, {name: not before[name]})
    assert answer.status == 200
    after = await world.get("/settings", "rita")
    assert answer.json == after
    expected = {**before, name: not before[name]}
    if name == "auto_termination":  # idle time counts from now on
        since = after["termination"]["since"]
        assert since is not None
        expected["termination"] = {**before["termination"], "since": since}
    assert after == expected
    assert await world.get("/settings", "zoe") == before
    [entry] = await world.audited()
    assert (entry.actor, entry.action) == ("agent:agt-adam", "settings.patch")
    assert msgspec.json.decode(entry.before) == before
    assert msgspec.json.decode(entry.after) == after
    assert await world.audited(world.other) == []


async def test_a01_router_and_ingest_learn_of_it_through_the_bucket(world: World) -> None:
    await patch(world, {"session_hosting": True})
    found = await world.bus.kv_get(POLICY_KV, world.workspace)
    assert found is not None
    assert found.value is not None
    assert msgspec.json.decode(found.value, type=Policy).settings.session_hosting
    assert await world.bus.kv_get(POLICY_KV, world.other) is None


async def test_a01_a_channel_overrides_and_gives_the_override_back(world: World) -> None:
    await patch(world, {"channels": {"line": {"auto_hosting": False}, "web": {}}})
    await patch(world, {"channels": {"line": {"session_hosting": True}}})
    both = (await world.get("/settings"))["channels"]
    assert both == {"line": {"auto_hosting": False, "session_hosting": True}}
    await patch(world, {"channels": {"line": {"auto_hosting": None}}})
    assert (await world.get("/settings"))["channels"] == {"line": {"session_hosting": True}}
    await patch(world, {"channels": {"line": None}})
    assert (await world.get("/settings"))["channels"] == {}
    assert len(await world.audited()) == 4


async def test_a01_an_account_overrides_its_channel_and_gives_the_override_back(
    world: World,
) -> None:
    line = world.slug("line")
    await patch(world, {"accounts": {line: {"auto_assign": True, "auto_termination": True}}})
    await patch(world, {"accounts": {line: {"auto_termination": None}}})
    assert (await world.get("/settings"))["accounts"] == {line: {"auto_assign": True}}
    stored = await world.store.get(ACCOUNTS, world.workspace, line)
    assert stored is not None
    await world.store.delete(ACCOUNTS, world.workspace, line)
    assert (await patch(world, {"auto_hosting": False})).status == 200  # it is in nobody's way
    assert (await patch(world, {"accounts": {line: None}})).json["accounts"] == {}


async def test_i12_an_account_of_another_workspace_is_as_unknown_as_one_that_is_nowhere(
    world: World,
) -> None:
    theirs = world.slug("line", world.other)
    seen = set()
    for slug in (theirs, theirs[:-4] + "fine"):
        answer = await patch(world, {"accounts": {slug: {"auto_assign": True}}})
        seen.add((answer.status, answer.body.replace(slug.encode(), b"?")))
    assert [status for status, _ in seen] == [422]


async def test_the_hours_of_the_workspace_must_be_there(world: World) -> None:
    refused = await patch(world, {"calendar": "office"})
    assert (refused.status, refused.json["facts"]["field"]) == (422, "calendar")
    spans = [{"days": [0], "opens": "09:00", "closes": "17:00"}]
    made = await world.call("PUT", "/calendars/office", "lena", body={"spans": spans})
    assert made.status == 201
    assert (await patch(world, {"calendar": "office"})).json["calendar"] == "office"
    assert (await patch(world, {"calendar": ""})).json["calendar"] == ""


async def test_a01_the_versions_of_the_settings_are_read_with_author_and_time(
    world: World,
) -> None:
    await patch(world, {"auto_assign": True})
    await world.call("PUT", "/teams/vip", "lena", body={})
    await patch(world, {"strategy": "sticky"}, "olga")
    page = await world.get("/audit", "adam", object=f"workspace:{world.workspace}")
    assert [entry["actor"] for entry in page["items"]] == ["agent:agt-olga", "agent:agt-adam"]
    newest, first = page["items"]
    assert (newest["before"], newest["after"]["strategy"]) == (first["after"], "sticky")
    assert first["at"] <= newest["at"]


async def test_a_patch_that_changes_nothing_leaves_no_record(world: World) -> None:
    tag = (await world.call("GET", "/settings", "adam")).headers["ETag"]
    answer = await patch(world, {"auto_hosting": True})
    assert (answer.status, answer.headers["ETag"]) == (200, tag)
    assert (await patch(world, {})).status == 200
    assert await world.audited() == []


async def test_a_change_based_on_an_old_version_is_refused(world: World) -> None:
    tag = (await world.call("GET", "/settings", "adam")).headers["ETag"]
    first = await patch(world, {"auto_hosting": False}, If_Match=tag)
    assert first.status == 200
    assert first.headers["ETag"] != tag
    refused = await patch(world, {"auto_hosting": True}, If_Match=tag)
    assert (refused.status, refused.json["code"]) == (412, "changed_meanwhile")
    for none in ('"no-version"', "*, *"):
        refused = await patch(world, {"auto_hosting": True}, If_Match=none)
        assert (refused.status, refused.json["facts"]["field"]) == (422, "If-Match")
    assert (
        await patch(world, {"auto_hosting": True}, If_Match=first.headers["ETag"])
    ).status == 200
    assert len(await world.audited()) == 2


async def test_changes_of_different_switches_at_once_all_stand_and_reach_the_bucket(
    world: World,
) -> None:
    bodies = [{name: name != "auto_hosting"} for name in SWITCHES]
    answers = await asyncio.gather(*(patch(world, body) for body in bodies))
    assert [answer.status for answer in answers] == [200, 200, 200, 200]
    expected = {name: name != "auto_hosting" for name in SWITCHES}
    found = await world.get("/settings")
    assert {name: found[name] for name in SWITCHES} == expected
    assert len(await world.audited()) == 4
    entry = await world.bus.kv_get(POLICY_KV, world.workspace)
    assert entry is not None
    assert entry.value is not None
    told = msgspec.json.decode(entry.value, type=Policy).settings
    assert told == Settings(
        auto_hosting=False,
        auto_assign=True,
        session_hosting=True,
        auto_termination=True,
        termination=told.termination,
    )


class DeafBus:
    """Refuses every write of a bucket."""

    async def kv_get(self, *_args: object) -> None:
        return None

    async def kv_put(self, *_args: object, **_more: object) -> int:
        raise BusUnavailableError("away")


async def test_a_change_that_only_the_store_took_says_so_and_stays(world: World) -> None:
    deaf: Any = DeafBus()
    async with serving(msgspec.structs.replace(world.desk, bus=deaf)) as port:
        url = f"http://127.0.0.1:{port}/api/v1/settings"
        answer = await world.call("PATCH", url, "adam", body={"auto_hosting": False})
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    stored = await world.store.get(WORKSPACES, world.workspace, world.workspace)
    assert stored is not None
    assert not stored.settings.auto_hosting
    assert len(await world.audited()) == 1
    assert (await patch(world, {"auto_hosting": False})).status == 200  # as who was told 503 does
    entry = await world.bus.kv_get(POLICY_KV, world.workspace)
    assert entry is not None
    assert entry.value is not None
    assert not msgspec.json.decode(entry.value, type=Policy).settings.auto_hosting
    assert len(await world.audited()) == 1


class SlowBus:
    """Does not answer the first write of a bucket in time."""

    def __init__(self, bus: Bus) -> None:
        self.kv_get = bus.kv_get
        self._bus = bus
        self._late = True

    async def kv_put(self, *asked: Any, **more: Any) -> int:
        revision = await self._bus.kv_put(*asked, **more)
        if self._late:
            self._late = False
            raise BusUnavailableError("no answer in time")
        return revision


async def test_a_single_late_answer_of_the_bus_is_no_outage(world: World) -> None:
    slow: Any = SlowBus(world.bus)
    async with serving(msgspec.structs.replace(world.desk, bus=slow)) as port:
        url = f"http://127.0.0.1:{port}/api/v1/settings"
        answer = await world.call("PATCH", url, "adam", body={"auto_assign": True})
    assert answer.status == 200


WRONG: dict[str, tuple[Any, str]] = {
    "an unknown switch": ({"auto_pilot": True}, "auto_pilot"),
    "a misspelt switch beside a right one": (
        {"auto_hosting": False, "auto_hostin": True},
        "auto_hostin",
    ),
    "a word for a switch": ({"auto_hosting": "off"}, "auto_hosting"),
    "a word for auto_assign": ({"auto_assign": "on"}, "auto_assign"),
    "a strategy nobody has": ({"strategy": "luck"}, "strategy"),
    "no strategy": ({"strategy": None}, "strategy"),
    "a place nobody comes back to": ({"reopen": "ended"}, "reopen"),
    "less than no time": ({"removed_for_s": -1}, "removed_for_s"),
    "more than 30 days": ({"silent_owner_s": 2_592_001}, "silent_owner_s"),
    "a budget of nothing": ({"bot_messages": 0}, "bot_messages"),
    "no deadline": ({"bot_deadline_s": 0}, "bot_deadline_s"),
    "a deadline that is a fraction": ({"bot_deadline_s": 1.5}, "bot_deadline_s"),
    "an empty word": ({"handoff_words": [""]}, "handoff_words.0"),
    "a blank word": ({"handoff_words": ["agent", " "]}, "handoff_words.1"),
    "a word with U+0000": ({"handoff_words": ["a\0"]}, "handoff_words.0"),
    "a word without an end": ({"handoff_words": ["x" * 101]}, "handoff_words.0"),
    "too many words": ({"handoff_words": ["x"] * 101}, "handoff_words"),
    "hours that are not there": ({"calendar": "none"}, "calendar"),
    "an account that is not there": ({"accounts": {"fax": {}}}, "accounts.fax"),
    "null for a switch": ({"auto_hosting": None}, "auto_hosting"),
    "a number for a switch": ({"session_hosting": 0}, "session_hosting"),
    "an operator": ({"auto_hosting": {"$set": True}}, "auto_hosting"),
    "an unknown channel": ({"channels": {"fax": {"auto_hosting": True}}}, "channels.fax"),
    "a path for a channel": ({"channels": {"$where": {}}}, "channels.$where"),
    "an unknown switch of a channel": ({"channels": {"line": {"bot": True}}}, "channels.line.bot"),
    "a list of channels": ({"channels": ["line"]}, "channels"),
    "a version": ({"rev": 7}, "rev"),
    "a prototype": ({"__proto__": {}}, "__proto__"),
    **{
        f"{word} of {part}": ({part: {name: value}}, f"{part}.{name}")
        for part, ranges in NESTED.items()
        for name, values in ranges.items()
        if isinstance(values[-1], int) and not isinstance(values[-1], bool)
        for word, value in (
            (f"less than the least {name}", values[0] - 1),
            (f"more than the most {name}", values[-1] + 1),
        )
        if name != "email_within_s" or value > values[0]
    },
    "an email before it is quiet": ({"alerts": {"email_within_s": 119}}, "alerts.email_within_s"),
    "an email within no time": ({"alerts": {"email_within_s": 9}}, "alerts.email_within_s"),
    "quiet for longer than an email waits": (
        {"alerts": {"email_after_s": 601}},
        "alerts.email_within_s",
    ),
    "a rung that does not rise": (
        {"alerts": {"escalation": [{"after_s": 60}, {"after_s": 60}]}},
        "alerts.escalation.1.after_s",
    ),
    "a rung at once": (
        {"alerts": {"escalation": [{"after_s": 9}]}},
        "alerts.escalation.0.after_s",
    ),
    "a rung after more than a day": (
        {"alerts": {"escalation": [{"after_s": 86401}]}},
        "alerts.escalation.0.after_s",
    ),
    "a rung without a time": ({"alerts": {"escalation": [{}]}}, "alerts.escalation.0.after_s"),
    "a rung to nobody": (
        {"alerts": {"escalation": [{"after_s": 60, "to": "nobody"}]}},
        "alerts.escalation.0.to",
    ),
    "six rungs": (
        {"alerts": {"escalation": [{"after_s": n} for n in range(10, 16)]}},
        "alerts.escalation",
    ),
    "an unknown trigger": ({"alerts": {"triggers": {"rain": None}}}, "alerts.triggers.rain"),
    "an unknown method": (
        {"alerts": {"triggers": {"notice": {"methods": ["fax"]}}}},
        "alerts.triggers.notice.methods.0",
    ),
    "a method twice": (
        {"alerts": {"triggers": {"notice": {"methods": ["email", "email"]}}}},
        "alerts.triggers.notice.methods",
    ),
    "an unknown switch of alerts": ({"alerts": {"windows": 60}}, "alerts.windows"),
    "no alerts": ({"alerts": None}, "alerts"),
    "an unknown method for visitors": (
        {"offline_visitors": {"method": "fax"}},
        "offline_visitors.method",
    ),
    "our name somewhere else": ({"remove_branding": {"page": True}}, "remove_branding.page"),
    "a word for our name": ({"remove_branding": {"email": "no"}}, "remove_branding.email"),
    "a colour by name": ({"plugin": {"colour": "red"}}, "plugin.colour"),
    "a page as an origin": (
        {"plugin": {"origins": ["https://shop.example/"]}},
        "plugin.origins[0]",
    ),
    "an address for a picture": (
        {"plugin": {"avatar": "https://cdn.example/a.png"}},
        "plugin.avatar",
    ),
    "a field without a label": (
        {"plugin": {"pre_chat": {"fields": [{"id": "order"}]}}},
        "plugin.pre_chat.fields[0].label",
    ),
    "a field twice": (
        {"plugin": {"pre_chat": {"fields": [{"id": "name"}, {"id": "name"}]}}},
        "plugin.pre_chat.fields[1].id",
    ),
    "a plugin of nobody": ({"plugins": {"no-such": {"title": "x"}}}, "plugins.no-such"),
    "a list": ([], "body"),
    "a word": ("auto_hosting", "body"),
}


async def test_a01_what_is_not_a_switch_is_refused_by_name_and_changes_nothing(
    world: World,
) -> None:
    before = await world.get("/settings")
    found = {}
    for name, (body, _) in WRONG.items():
        answer = await patch(world, body)
        found[name] = (answer.status, answer.json.get("facts", {}).get("field"))
    assert found == {name: (422, field) for name, (_, field) in WRONG.items()}
    assert await world.get("/settings") == before
    assert await world.audited() == []


def test_a_patch_of_everything_is_what_it_says() -> None:
    change = SettingsPatch(
        auto_hosting=False,
        session_hosting=True,
        end_session_confirm=True,
        show_read=False,
        channels={"web": ChannelPatch(auto_hosting=True)},
    )
    after = patched(Settings(), change)
    assert msgspec.to_builtins(after) == msgspec.to_builtins(Settings()) | {
        "auto_hosting": False,
        "session_hosting": True,
        "end_session_confirm": True,
        "show_read": False,
        "channels": {"web": {"auto_hosting": True}},
    }
    assert patched(after, SettingsPatch()) == after


async def test_the_record_is_paged_newest_first_for_administrators(world: World) -> None:
    for n in range(5):
        await patch(world, {"auto_hosting": bool(n % 2)})
    seen: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 2}
    while True:
        page = await world.get("/audit", "adam", **query)
        seen += page["items"]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert len(seen) == 5
    assert [entry["at"] for entry in seen] == sorted((e["at"] for e in seen), reverse=True)
    assert seen[0]["before"]["auto_hosting"] is True
    assert seen[0]["after"]["auto_hosting"] is False
    assert (await world.get("/audit", "zoe"))["items"] == []
