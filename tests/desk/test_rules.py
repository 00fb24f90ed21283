"""Rules over the API: kept, ordered, checked with all they refer to, and never by halves."""

from __future__ import annotations

import asyncio
import io
import re
from pathlib import Path
from typing import Any

import msgspec

from libs.common.documents import AGENTS, AUDIT, POLICIES
from libs.common.policies import policy_of
from libs.common.policy import Policy
from libs.common.store.api import D, Page
from libs.common.subjects import POLICY_KV
from services.desk.policy_whole import PATTERNS_MOST
from tests.desk.world import Answer, World

GUIDE = Path(__file__).parents[2] / "docs" / "rules.md"
TAG = {"do": "tag", "tag": "x"}
RULE: dict[str, Any] = {"name": "VIPs", "actions": [TAG]}


async def put(world: World, path: str, body: Any, who: str = "lena", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.call("PUT", path, who, body=body, headers=named)


async def ids(world: World) -> list[str]:
    return [rule["id"] for rule in (await world.get("/rules", "lena"))["items"]]


async def published(world: World) -> Policy:
    found = await world.bus.kv_get(POLICY_KV, world.workspace)
    assert found is not None
    assert found.value is not None
    return msgspec.json.decode(found.value, type=Policy)


async def test_a_rule_is_made_read_replaced_in_its_place_and_deleted_on_record(
    world: World,
) -> None:
    first = await put(world, "/rules/vip", RULE)
    assert (first.status, first.headers["ETag"]) == (201, '"1"')
    whole = {"id": "vip", "on": "opened", "enabled": True, "conditions": [], "stop": True, **RULE}
    assert first.json["item"] == whole
    assert (await put(world, "/rules/late", RULE)).status == 201
    again = await put(world, "/rules/vip", {"id": "vip", **RULE, "enabled": False})
    assert (again.status, again.headers["ETag"]) == (200, '"3"')
    assert await ids(world) == ["vip", "late"]
    assert await world.get("/rules/vip", "lena") == {**whole, "enabled": False}
    assert [rule.id for rule in (await published(world)).rules] == ["vip", "late"]
    gone = await world.call("DELETE", "/rules/vip", "lena")
    assert (gone.status, gone.headers["ETag"], gone.body) == (204, '"4"', b"")
    for method in ("GET", "DELETE"):
        assert (await world.call(method, "/rules/vip", "lena")).status == 404
    page = await world.get("/audit", "adam", object="rule:vip")
    told = [(e["action"], e["actor"], bool(e["before"]), bool(e["after"])) for e in page["items"]]
    assert told == [
        ("rule.delete", "agent:agt-lena", True, False),
        ("rule.put", "agent:agt-lena", True, True),
        ("rule.put", "agent:agt-lena", False, True),
    ]
    assert await world.audited(world.other) == []


async def test_the_versions_of_one_rule_are_paged_by_themselves(world: World) -> None:
    for n in range(3):
        await put(world, "/rules/vip", {**RULE, "name": f"n{n}"})
        await put(world, "/rules/other", {**RULE, "name": f"n{n}"})
    names, query = [], {"object": "rule:vip", "limit": 2}
    while True:
        page = await world.get("/audit", "adam", **query)
        names += [entry["after"]["name"] for entry in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert names == ["n2", "n1", "n0"]
    assert (await world.get("/audit", "zoe", object="rule:vip"))["items"] == []


async def test_rules_are_replaced_at_once_and_put_into_another_order(world: World) -> None:
    body = {"items": [{"id": name, "actions": [TAG]} for name in ("a", "b", "c")]}
    answer = await put(world, "/rules", body)
    assert answer.status == 200
    never = [f"rules.{name}: is never reached" for name in "bc"]
    assert [text.partition(": 'a'")[0] for text in answer.json["warnings"]] == never
    assert (await world.get("/rules", "lena"))["warnings"] == answer.json["warnings"]
    assert (await put(world, "/rules/order", {"ids": ["c", "a", "b"]})).status == 200
    assert await ids(world) == ["c", "a", "b"]
    for wrong in (["c", "a"], ["c", "a", "b", "d"], ["a", "a", "b"], []):
        refused = await put(world, "/rules/order", {"ids": wrong})
        assert (refused.status, refused.json["facts"]["field"]) == (422, "ids")
        assert refused.json["facts"]["allowed"] == "c, a, b"
    assert await ids(world) == ["c", "a", "b"]
    [_, entry] = await world.audited()
    assert (entry.action, entry.object) == ("rules.order", "rules")
    assert (entry.before, entry.after) == ('["a","b","c"]', '["c","a","b"]')


ITEM = {"id": "b", "actions": [TAG]}
TOO_LONG = "x" * 4_001
WRONG: dict[str, tuple[str, Any, str, str]] = {
    "no action": ("/rules/a", {"actions": []}, "actions", "at least one"),
    "no actions at all": ("/rules/a", {}, "actions", "a value"),
    "an action that nobody can do": (
        "/rules/a", {"actions": [{"do": "sing"}]}, "actions.0.do",
        "bot, team, agent, tag, reply, priority, end, notify",
    ),
    "an action without a kind": ("/rules/a", {"actions": [{"tag": "x"}]}, "actions.0.do", "bot"),
    "a condition nobody knows": (
        "/rules/a", {**RULE, "conditions": [{"if": "moon"}]}, "conditions.0.if", "channel, account",
    ),
    "a misspelt field of an action": (
        "/rules/a", {"actions": [{**TAG, "tagg": "y"}]}, "actions.0.tagg", "do, tag",
    ),
    "a misspelt field of a rule": ("/rules/a", {**RULE, "stopp": True}, "stopp", "stop"),
    "an unknown trigger": ("/rules/a", {**RULE, "on": "closed"}, "on", "opened, message, handoff"),
    "an unknown team": (
        "/rules/a", {"actions": [TAG, {"do": "team", "team": "x"}]}, "actions.1.team",
        "there is no team yet",
    ),
    "an agent of another workspace": (
        "/rules/a", {"actions": [{"do": "agent", "agent": "agt-zoe"}]}, "actions.0.agent",
        "agt-adam, agt-amy",
    ),
    "an unknown bot": (
        "/rules/a", {"actions": [{"do": "bot", "bot": "x"}]}, "actions.0.bot", "no bot yet",
    ),
    "an account of another workspace": (
        "/rules/a", {**RULE, "conditions": [{"if": "account", "any_of": ["zeta-line"]}]},
        "conditions.0.any_of.0", "acme",
    ),
    "an unknown channel": (
        "/rules/a", {**RULE, "conditions": [{"if": "channel", "any_of": ["fax"]}]},
        "conditions.0.any_of.0", "line",
    ),
    "an unknown calendar": (
        "/rules/a", {**RULE, "conditions": [{"if": "hours", "calendar": "x"}]},
        "conditions.0.calendar", "there is no calendar yet",
    ),
    "a pattern that looks around": (
        "/rules/a", {**RULE, "conditions": [{"if": "regex", "pattern": "(?=a)"}]},
        "conditions.0.pattern", "RE2",
    ),
    "a pattern that needs too much room": (
        "/rules/a", {**RULE, "conditions": [{"if": "regex", "pattern": r"\pL{2,60}"}]},
        "conditions.0.pattern", "RE2",
    ),
    "a pattern without an end": (
        "/rules/a", {**RULE, "conditions": [{"if": "regex", "pattern": "x" * 501}]},
        "conditions.0.pattern", "500",
    ),
    "more patterns than any message is held against": (
        "/rules", {"items": [{
            "id": f"r{n}", "actions": [TAG],
            "conditions": [{"if": "regex", "pattern": f"{n}"}],
        } for n in range(PATTERNS_MOST + 1)]}, "items", "at most 100",
    ),
    "too many conditions": (
        "/rules/a", {**RULE, "conditions": [{"if": "contact", "kind": "new"}] * 51}, "conditions",
        "50",
    ),
    "too many actions": ("/rules/a", {"actions": [TAG] * 21}, "actions", "20"),
    "too many rules": (
        "/rules", {"items": [{**ITEM, "id": f"r{n}"} for n in range(501)]}, "items", "500",
    ),
    "two rules with one id": ("/rules", {"items": [ITEM, ITEM]}, "rules.b.id", "differ"),
    "a rule without an id in a list": ("/rules", {"items": [RULE]}, "items.0.id", "a value"),
    "an id that is no id": ("/rules/A_b", RULE, "id", "small letters"),
    "an id that is too long": ("/rules/" + "a" * 49, RULE, "id", "1 to 48"),
    "an id that means something else": ("/rules", {"items": [{**ITEM, "id": "order"}]}, "id", "id"),
    "another id in the body": ("/rules/a", {**RULE, "id": "b"}, "id", "a"),
    "U+0000 in a tag": (
        "/rules/a", {"actions": [{"do": "tag", "tag": "a\0"}]}, "actions.0.tag", "U+0000",
    ),
    "an endless tag": (
        "/rules/a", {"actions": [{"do": "tag", "tag": TOO_LONG}]}, "actions.0.tag", "4000",
    ),
    "U+0000 in a list": ("/rules", {"items": [{**ITEM, "name": "\0"}]}, "items.0.name", "U+0000"),
    "an endless list of words": (
        "/rules/a", {**RULE, "conditions": [{"if": "words", "words": ["x"] * 501}]},
        "conditions.0.words", "500",
    ),
    "a name that is a list": ("/rules/a", {**RULE, "name": ["a"]}, "name", "str"),
    "a list instead of a body": ("/rules", [ITEM], "body", "object"),
}  # fmt: skip


async def test_what_is_wrong_is_refused_by_place_with_what_is_allowed(world: World) -> None:
    found = {}
    for name, (path, body, _, allowed) in WRONG.items():
        answer = await put(world, path, body)
        facts = answer.json.get("facts", {})
        told = allowed in facts.get("allowed", "") or facts.get("allowed")
        found[name] = (answer.status, facts.get("field"), told)
    assert found == {name: (422, field, True) for name, (_, _, field, _) in WRONG.items()}
    assert await ids(world) == []
    assert await world.audited() == []
    assert await world.bus.kv_get(POLICY_KV, world.workspace) is None


async def test_all_places_that_are_wrong_are_told_at_once(world: World) -> None:
    conditions = [{"if": "channel", "any_of": ["fax"]}, {"if": "regex", "pattern": "("}]
    answer = await put(world, "/rules/a", {**RULE, "conditions": conditions})
    places = [line.partition(":")[0] for line in answer.json["facts"]["problems"].splitlines()]
    assert places == ["conditions.0.any_of.0", "conditions.1.pattern"]


async def test_a_change_based_on_an_old_version_is_refused_whatever_part_it_changes(
    world: World,
) -> None:
    tag = (await world.call("GET", "/rules", "lena")).headers["ETag"]
    assert (await put(world, "/rules/a", RULE, If_Match=tag)).status == 201
    body = {"items": [ITEM]}
    for path, given in (("/rules/b", RULE), ("/rules", body), ("/rules/order", {"ids": ["a"]})):
        refused = await put(world, path, given, If_Match=tag)
        assert (refused.status, refused.json["code"]) == (412, "changed_meanwhile")
    refused = await world.call("DELETE", "/rules/a", "lena", headers={"If-Match": tag})
    assert refused.status == 412
    assert await ids(world) == ["a"]


async def test_of_many_changes_at_once_all_stand_and_the_newest_is_published(world: World) -> None:
    answers = await asyncio.gather(*(put(world, f"/rules/r{n}", RULE) for n in range(4)))
    assert [answer.status for answer in answers] == [201] * 4
    assert sorted(await ids(world)) == [f"r{n}" for n in range(4)]
    assert sorted(answer.headers["ETag"] for answer in answers) == [f'"{n}"' for n in range(1, 5)]
    assert len(await world.audited()) == 4
    stored = await policy_of(world.store, world.workspace)
    assert await published(world) == stored


async def test_of_two_changes_of_one_version_at_once_one_is_refused(world: World) -> None:
    tag = (await world.call("GET", "/rules", "lena")).headers["ETag"]
    answers = await asyncio.gather(
        *(put(world, f"/rules/r{n}", RULE, If_Match=tag) for n in range(2))
    )
    assert sorted(answer.status for answer in answers) == [201, 412]
    assert len(await ids(world)) == len(await world.audited()) == 1


async def test_of_two_changes_that_do_not_go_together_none_is_left_by_half(
    world: World, monkeypatch: Any
) -> None:
    """Somebody joins a team just when it is deleted: each was right when it was looked at."""
    await put(world, "/teams/vip", {})
    store = world.desk.store.port
    replace = store.replace

    async def joined(collection: Any, document: D) -> D:
        if collection is POLICIES:
            monkeypatch.undo()
            amy = await store.get(AGENTS, world.workspace, "agt-amy")
            assert amy is not None
            await store.replace(AGENTS, msgspec.structs.replace(amy, teams=("vip",)))
        written: D = await replace(collection, document)
        return written

    monkeypatch.setattr(store, "replace", joined)
    answer = await world.call("DELETE", "/teams/vip", "lena")
    assert (answer.status, answer.json["code"]) == (409, "in_use")
    assert answer.json["facts"]["used_by"] == "members.agt-amy.teams.0"
    assert (await world.get("/teams/vip", "lena"))["id"] == "vip"
    entries = await world.store.find(AUDIT, world.workspace, {}, Page(order="at"))
    assert [entry.action for entry in entries] == ["team.put"]


async def test_what_is_broken_already_blocks_no_other_change(world: World) -> None:
    await put(world, "/teams/vip", {})
    await put(world, "/rules/a", {"actions": [{"do": "team", "team": "vip"}]})
    stored = await world.store.get(POLICIES, world.workspace, world.workspace)
    assert stored is not None
    await world.store.replace(POLICIES, msgspec.structs.replace(stored, teams=()))
    assert (await put(world, "/rules/b", RULE)).status == 201
    refused = await put(world, "/rules/c", {"actions": [{"do": "team", "team": "vip"}]})
    assert (refused.status, refused.json["facts"]["field"]) == (422, "actions.0.team")


async def test_the_examples_of_the_guide_are_taken_as_they_stand(world: World) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    examples = re.findall(r"```json (PUT|PATCH) (/\S+)\n(.*?)```", text, flags=re.DOTALL)
    assert len(examples) >= 8
    for method, path, body in examples:
        who = "adam" if method == "PATCH" else "lena"
        given = msgspec.json.decode(
            body.replace("acme-line", world.slug("line")).replace("{amy}", "agt-amy")
        )
        answer = await world.call(method, path.replace("{amy}", "agt-amy"), who, body=given)
        assert answer.status in {200, 201}, (path, answer.json)
    assert len(await ids(world)) >= 4
    table = set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))
    spoken = msgspec.json.schema(Policy)
    tags = {
        value
        for name, schema in spoken["$defs"].items()
        for tag in ("if", "do")
        for value in schema.get("properties", {}).get(tag, {}).get("enum", ())
    }
    assert tags
    assert tags <= table


async def test_all_rules_may_be_set_at_once_up_to_what_a_policy_holds(world: World) -> None:
    """About 600 KB; what is larger than any policy is refused by its size."""
    words = [[f"word {rule} {number} {'x' * 120}" for number in range(9)] for rule in range(450)]
    items = [
        {
            "id": f"r{number}",
            "conditions": [{"if": "words", "words": some}],
            "actions": [{"do": "tag", "tag": "x"}],
        }
        for number, some in enumerate(words)
    ]
    done = await world.call("PUT", "/rules", "lena", body={"items": items})
    assert (done.status, len(done.json["items"])) == (200, 450)
    tried = {"account": world.slug("line"), "proposal": {"rules": items}}
    assert (await world.call("POST", "/rules/dry-run", "lena", body=tried)).status == 200
    large = {"items": [{**one, "name": "n" * 199} for one in items * 3]}
    raw = io.BytesIO(msgspec.json.encode(large))
    refused = await world.call("PUT", "/rules", "lena", raw=raw)
    assert (refused.status, refused.json["facts"]["allowed"]) == (413, str(1024 * 1024))


async def test_a_rule_that_names_who_was_disabled_is_warned_of(world: World) -> None:
    to_amy = {"actions": [{"do": "agent", "agent": "agt-amy"}]}
    assert (await world.call("PATCH", "/agents/agt-amy", "adam", body={"limit": 3})).status == 200
    assert (await put(world, "/rules/amy", to_amy)).json["warnings"] == []
    gone = await world.call("PATCH", "/agents/agt-amy", "adam", body={"disabled": True})
    assert gone.status == 200
    [warning] = (await world.get("/rules", "lena"))["warnings"]
    assert "agt-amy" in warning
    assert "never given" in warning
