"""Bots on the desk API: made, checked, changed, tried, deleted, and their secrets (B10, D19)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from libs.common.bots.secrets import open_secret
from libs.common.documents import (
    ATTACHMENTS,
    AUDIT,
    BOTS,
    POLICIES,
    AuditEntry,
    Bot,
    PolicyDocument,
)
from libs.common.errors import BadSignatureError
from libs.common.ids import derive_id
from libs.common.policy import HostWithBot, Policy, Rule
from libs.common.signing import sign, verify
from libs.common.subjects import POLICY_KV
from tests.desk.world import Answer, World, ago

FAQ: dict[str, Any] = {
    "name": "Helper",
    "kind": "faq",
    "faq": [
        {
            "id": "hours",
            "questions": ["When are you open?"],
            "keywords": ["opening hours"],
            "answers": ["From nine to five."],
        }
    ],
}
FLOW: dict[str, Any] = {
    "name": "Guide",
    "kind": "flow",
    "start": "hello",
    "steps": [
        {
            "id": "hello",
            "say": "Hello {{contact.name}}. What is it about?",
            "choices": [{"title": "Order", "to": "order"}, {"title": "Human", "to": "human"}],
            "wait_s": 60,
            "late_to": "human",
        },
        {"id": "order", "say": "Its number?", "ask": "number", "to": "thanks"},
        {"id": "thanks", "say": "Thank you, we look at {{number}}.", "end": True},
        {"id": "human", "say": "A colleague comes.", "hand_off": True},
    ],
    "layout": {"hello": [0, 0], "order": [200, -40]},
}
HOOK: dict[str, Any] = {"name": "Brain", "kind": "webhook", "url": "https://bot.example/hook?k=v"}


async def make(world: World, content: Any, who: str = "adam") -> dict[str, Any]:
    answer = await world.call("POST", "/bots", who, body=content)
    assert answer.status == 201, answer.body
    assert answer.headers["ETag"] == f'"{answer.json["version"]}"'
    return dict(answer.json)


async def published(world: World) -> Policy:
    entry = await world.bus.kv_get(POLICY_KV, world.workspace)
    assert entry is not None
    assert entry.value is not None
    return msgspec.json.decode(entry.value, type=Policy)


# --- made, listed, changed, deleted -----------------------------------------------------------


@pytest.mark.parametrize("content", [FAQ, FLOW, HOOK], ids=["faq", "flow", "webhook"])
async def test_a_bot_is_made_shown_and_published(world: World, content: dict[str, Any]) -> None:
    made = await make(world, content)
    shown = await world.get(f"/bots/{made['id']}", "lena")
    assert {name: shown[name] for name in content if name not in {"faq", "steps"}} == {
        name: value for name, value in content.items() if name not in {"faq", "steps"}
    }
    assert [step["id"] for step in shown["steps"]] == [s["id"] for s in content.get("steps", ())]
    [row] = (await world.get("/bots", "rita"))["items"]
    assert (row["id"], row["kind"], row["version"]) == (made["id"], content["kind"], 1)
    assert "url" not in row
    [ref] = (await published(world)).bots
    assert (ref.id, ref.kind, ref.rev) == (made["id"], content["kind"], 1)


async def test_what_is_shown_can_be_put_back_unchanged(world: World) -> None:
    made = await make(world, FLOW)
    shown = await world.get(f"/bots/{made['id']}", "lena")
    body = {name: shown[name] for name in shown if name in FLOW}
    again = await world.call("PUT", f"/bots/{made['id']}", "lena", body=body)
    assert (again.status, again.json["version"]) == (200, 1)  # nothing changed, nothing written
    assert [entry.action for entry in await world.audited()] == ["bot.create"]


async def test_a_change_is_guarded_by_its_etag_and_published(world: World) -> None:
    made = await make(world, FAQ)
    path, changed = f"/bots/{made['id']}", {**FAQ, "misses": 3}
    done = await world.call("PUT", path, "lena", body=changed, headers={"If-Match": '"1"'})
    assert (done.status, done.headers["ETag"], done.json["misses"]) == (200, '"2"', 3)
    late = await world.call("PUT", path, "lena", body=FAQ, headers={"If-Match": '"1"'})
    assert (late.status, late.json["code"]) == (412, "changed_meanwhile")
    [ref] = (await published(world)).bots
    assert ref.rev == 2


async def test_of_many_changes_at_once_all_are_on_record(world: World) -> None:
    made = await make(world, FAQ)
    answers = await asyncio.gather(
        *(
            world.call("PUT", f"/bots/{made['id']}", "lena", body={**FAQ, "misses": n})
            for n in range(2, 6)
        )
    )
    assert {answer.status for answer in answers} <= {200, 409}
    done = sum(answer.status == 200 for answer in answers)
    assert done >= 1
    puts = [entry for entry in await world.audited() if entry.action == "bot.put"]
    assert len(puts) == done
    stored = await world.store.get(BOTS, world.workspace, made["id"])
    assert stored is not None
    [ref] = (await published(world)).bots
    assert ref.rev == stored.rev == 1 + done


async def test_a_bot_that_a_rule_names_is_not_deleted(world: World) -> None:
    made = await make(world, FAQ)
    rule = Rule(id="vip", actions=(HostWithBot(bot=made["id"]),))
    parts = PolicyDocument(id=world.workspace, workspace=world.workspace, rules=(rule,))
    stored = await world.store.insert(POLICIES, parts)
    refused = await world.call("DELETE", f"/bots/{made['id']}", "lena")
    assert (refused.status, refused.json["code"]) == (409, "in_use")
    assert refused.json["facts"]["rules"] == "vip"
    await world.store.replace(POLICIES, msgspec.structs.replace(stored, rules=()))
    other = await world.call("DELETE", f"/bots/{made['id']}", "lena", headers={"If-Match": '"9"'})
    assert other.status == 412
    assert (await world.call("DELETE", f"/bots/{made['id']}", "lena")).status == 204
    assert (await world.call("GET", f"/bots/{made['id']}", "lena")).status == 404
    assert (await published(world)).bots == ()
    assert [entry.action for entry in await world.audited()] == ["bot.create", "bot.delete"]


async def meanwhile(world: World, monkeypatch: Any, deed: Any) -> None:
    """Let *deed* be done just before the next bot is written."""
    store = world.desk.store.port
    replace = store.replace

    async def first(collection: Any, document: Any) -> Any:
        if collection is BOTS:
            monkeypatch.undo()
            await deed()
        return await replace(collection, document)

    monkeypatch.setattr(store, "replace", first)


async def test_a_bot_that_a_rule_comes_to_name_while_it_is_deleted_stays(
    world: World, monkeypatch: Any
) -> None:
    made = await make(world, FAQ)
    rule = {"actions": [{"do": "bot", "bot": made["id"]}]}

    async def deed() -> None:
        assert (await world.call("PUT", "/rules/vip", "lena", body=rule)).status == 201

    await meanwhile(world, monkeypatch, deed)
    refused = await world.call("DELETE", f"/bots/{made['id']}", "lena")
    assert (refused.status, refused.json["code"]) == (409, "in_use")
    assert refused.json["facts"]["rules"] == "vip"
    kept = await world.get(f"/bots/{made['id']}", "lena")
    assert (kept["enabled"], kept["faq"]) == (True, made["faq"])
    assert [entry.action for entry in await world.audited()] == ["bot.create", "rule.put"]


async def test_a_rule_that_names_a_bot_just_deleted_is_refused(
    world: World, monkeypatch: Any
) -> None:
    made = await make(world, FAQ)
    await world.call("PUT", "/rules/other", "lena", body={"actions": [{"do": "tag", "tag": "a"}]})
    store = world.desk.store.port
    replace = store.replace

    async def deleted(collection: Any, document: Any) -> Any:
        if collection is POLICIES:
            monkeypatch.undo()
            assert (await world.call("DELETE", f"/bots/{made['id']}", "lena")).status == 204
        return await replace(collection, document)

    monkeypatch.setattr(store, "replace", deleted)
    body = {"actions": [{"do": "bot", "bot": made["id"]}]}
    refused = await world.call("PUT", "/rules/vip", "lena", body=body)
    assert (refused.status, refused.json["facts"]["field"]) == (422, "actions.0.bot")
    assert [rule.id for rule in (await published(world)).rules] == ["other"]


async def test_a_bot_changed_meanwhile_is_not_deleted_with_the_version_before(
    world: World, monkeypatch: Any
) -> None:
    made = await make(world, FAQ)
    path = f"/bots/{made['id']}"

    async def deed() -> None:
        answer = await world.call("PUT", path, "lena", body={**FAQ, "misses": 3})
        assert answer.status == 200

    await meanwhile(world, monkeypatch, deed)
    refused = await world.call("DELETE", path, "lena", headers={"If-Match": '"1"'})
    assert (refused.status, refused.json["code"]) == (412, "changed_meanwhile")
    assert (await world.get(path, "lena"))["misses"] == 3
    assert [entry.action for entry in await world.audited()] == ["bot.create", "bot.put"]


async def test_a_bot_whose_deletion_was_cut_off_is_gone_all_the_same(world: World) -> None:
    made = await make(world, HOOK)
    stored = await world.store.get(BOTS, world.workspace, made["id"])
    assert stored is not None
    await world.store.replace(BOTS, msgspec.structs.replace(stored, deleted=True))
    assert (await world.get("/bots", "rita"))["items"] == []
    for method, body in (("GET", None), ("PUT", HOOK), ("DELETE", None)):
        answer = await world.call(method, f"/bots/{made['id']}", "adam", body=body)
        assert answer.status == 404
    rule = {"actions": [{"do": "bot", "bot": made["id"]}]}
    assert (await world.call("PUT", "/rules/vip", "lena", body=rule)).status == 422
    assert (await published(world)).bots != ()  # nothing was published since
    await world.call("PUT", "/teams/vip", "lena", body={})
    assert (await published(world)).bots == ()


# --- made once per key --------------------------------------------------------------------------


async def test_a_bot_is_made_once_however_often_it_is_asked_for(world: World) -> None:
    key = {"Idempotency-Key": "k-1"}
    answers = await asyncio.gather(
        *(world.call("POST", "/bots", "adam", body=HOOK, headers=key) for _ in range(3))
    )
    assert sorted(answer.status for answer in answers) == [200, 200, 201]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert [bool(a.json["secret"]) for a in answers] == [a.status == 201 for a in answers]
    again = [a for a in answers if a.status == 200]
    assert all(answer.headers["Idempotent-Replayed"] == "true" for answer in again)
    other = await world.call("POST", "/bots", "olga", body=HOOK, headers=key)
    assert other.status == 201  # everybody has keys of their own
    assert len(await world.audited()) == 2


async def test_a_bot_whose_record_alone_is_written_yet_is_not_taken_for_a_deleted_one(
    world: World,
) -> None:
    parts = (world.workspace, "agt-adam", "k-1")
    about = f"bot:{derive_id('bot', *parts).replace('_', '-')}"
    record = AuditEntry(
        id="aud_1",
        workspace=world.workspace,
        at=ago(0),
        actor="",
        action="bot.create",
        object=about,
    )
    await world.store.insert(AUDIT, record)
    key = {"Idempotency-Key": "k-1"}
    assert (await world.call("POST", "/bots", "adam", body=HOOK, headers=key)).status == 201


async def test_a_key_stands_for_one_bot_alone(world: World) -> None:
    key = {"Idempotency-Key": "k-1"}
    made = await world.call("POST", "/bots", "lena", body=FAQ, headers=key)
    path = f"/bots/{made.json['id']}"
    another = await world.call("POST", "/bots", "lena", body=FLOW, headers=key)
    assert (another.status, another.json["code"]) == (409, "idempotency_conflict")
    await world.call("PUT", path, "lena", body={**FAQ, "misses": 3})
    again = await world.call("POST", "/bots", "lena", body=FAQ, headers=key)
    assert (again.status, again.json["version"], again.json["misses"]) == (200, 2, 3)
    assert (await world.call("DELETE", path, "lena")).status == 204
    late = await world.call("POST", "/bots", "lena", body=FAQ, headers=key)
    assert (late.status, late.json["code"]) == (409, "idempotency_conflict")
    long = {"Idempotency-Key": "k" * 129}
    assert (await world.call("POST", "/bots", "lena", body=FAQ, headers=long)).status == 422


# --- checked --------------------------------------------------------------------------------


def flow(**more: Any) -> dict[str, Any]:
    return {**FLOW, **more}


def faq(**more: Any) -> dict[str, Any]:
    return {**FAQ, "faq": [{**FAQ["faq"][0], **more}]}


WRONG = {
    "no entries": ({**FAQ, "faq": []}, "faq"),
    "an entry without questions": (faq(questions=[], keywords=[]), "faq.0.questions"),
    "an empty answer": (faq(answers=[" "]), "faq.0.answers.0"),
    "a field of an entry that is misspelt": (faq(reply=["x"]), "faq.0.reply"),
    "a file that is not there": (faq(attachments=["att_none"]), "faq.0.attachments.0"),
    "a likeness out of range": ({**FAQ, "fuzzy": 20}, "fuzzy"),
    "a start that is no step": (flow(start="nowhere"), "start"),
    "a choice that leads nowhere": (
        flow(steps=[{"id": "hello", "say": "Hi", "choices": [{"title": "A", "to": "x"}]}]),
        "steps.0.choices.0.to",
    ),
    "a loop without an answer": (
        flow(start="", layout={}, steps=[{"id": "a", "say": "round", "to": "a"}]),
        "steps.0",
    ),
    "a place in the editor of no step": (flow(layout={"gone": [1, 2]}), "layout.gone"),
    "a place that is no number": (flow(layout={"hello": [1, "x"]}), "layout.hello.1"),
    "steps of an FAQ bot": ({**FAQ, "steps": FLOW["steps"]}, "steps"),
    "an address without TLS": ({**HOOK, "url": "http://bot.example/"}, "url"),
    "an address inside": ({**HOOK, "url": "https://127.0.0.1/"}, "url"),
    "automation of a webhook bot": ({**HOOK, "automation": True}, "automation"),
    "an unknown channel": ({**FAQ, "channels": ["fax"]}, "channels.0"),
    "a blank name": ({**FAQ, "name": " "}, "name"),
    "an unknown kind": ({**FAQ, "kind": "oracle"}, "kind"),
    "an unknown field": ({**FAQ, "colour": "red"}, "colour"),
}


@pytest.mark.parametrize(("content", "field"), WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_with_its_place(
    world: World, content: dict[str, Any], field: str
) -> None:
    answer = await world.call("POST", "/bots", "adam", body=content)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.body
    assert answer.json["facts"]["allowed"]
    assert (await world.get("/bots", "rita"))["items"] == []
    assert await world.audited() == []


async def test_a_bot_stays_of_its_kind(world: World) -> None:
    made = await make(world, FAQ)
    answer = await world.call("PUT", f"/bots/{made['id']}", "adam", body=FLOW)
    assert (answer.status, answer.json["facts"]["field"]) == (422, "kind")


async def test_a_bot_for_a_channel_that_has_one_is_warned_of(world: World) -> None:
    first = await make(world, {**FAQ, "channels": ["line"]})
    second = await make(world, {**FLOW, "channels": ["line"]})
    assert len(first["warnings"] + second["warnings"]) == 1


async def test_files_of_a_bot_are_not_swept_as_unsent(world: World) -> None:
    upload = await world.call(
        "POST",
        "/attachments",
        "lena",
        raw=b"%PDF-1.4 hello",
        headers={"Content-Type": "application/octet-stream"},
        query=[("name", "menu.pdf")],
    )
    assert upload.status == 201, upload.body
    file = upload.json["id"]
    made = await make(world, faq(attachments=[file]), "lena")
    stored = await world.store.get(ATTACHMENTS, world.workspace, file)
    assert stored is not None
    assert stored.message == f"bot:{made['id']}"


# --- secrets --------------------------------------------------------------------------------


async def bot_of(world: World, made: dict[str, Any]) -> Bot:
    found = await world.store.get(BOTS, world.workspace, made["id"])
    assert found is not None
    return found


def fits(secret: str, known: str, world: World) -> bool:
    now = world.desk.now()
    try:
        verify(known, sign(secret, "call_1", b"{}", now), b"{}", now)
    except BadSignatureError:
        return False
    return True


async def test_d19_a_secret_is_shown_once_and_the_old_one_stays_until_the_next_change(
    world: World,
) -> None:
    made = await make(world, HOOK)
    first = made["secret"]
    assert first.startswith("whsec_")
    path = f"/bots/{made['id']}"
    shown = await world.call("GET", path, "adam")
    assert (shown.json["secret"], shown.json["secrets"]) == ("", 1)
    second = (await world.call("POST", f"{path}/secret", "adam")).json
    assert second["secrets"] == 2
    known = open_secret(world.desk.sealer, await bot_of(world, made))
    assert [fits(one, known, world) for one in (first, second["secret"])] == [True, True]
    third = (await world.call("POST", f"{path}/secret", "adam")).json
    known = open_secret(world.desk.sealer, await bot_of(world, made))
    given = (first, second["secret"], third["secret"])
    assert [fits(one, known, world) for one in given] == [False, True, True]
    await world.call("PUT", path, "adam", body={**HOOK, "name": "Mind"})
    assert open_secret(world.desk.sealer, await bot_of(world, made)) == known
    answers = [await world.call("GET", where, "adam") for where in (path, "/bots", "/audit")]
    entries = (await world.audited())[0].before + "".join(e.after for e in await world.audited())
    told = b"".join(answer.body for answer in answers).decode() + entries
    assert not any(secret in told for secret in given)
    assert "k=v" not in entries  # the query of an address may be a secret


async def test_another_kind_of_bot_has_no_secret(world: World) -> None:
    made = await make(world, FAQ)
    assert made["secret"] == ""
    answer = await world.call("POST", f"/bots/{made['id']}/secret", "adam")
    assert (answer.status, answer.json["code"]) == (409, "no_webhook")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_webhook_bot_takes_an_admin(world: World, method: str) -> None:
    made = await make(world, HOOK)
    path = "/bots" if method == "POST" else f"/bots/{made['id']}"
    body = None if method == "DELETE" else HOOK
    answer = await world.call(method, path, "lena", body=body)
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


# --- tried ----------------------------------------------------------------------------------


async def tried(world: World, bot: str, **trial: Any) -> Answer:
    return await world.call("POST", f"/bots/{bot}/try", "lena", body=trial)


async def test_a_flow_is_tried_step_by_step_and_nothing_is_sent(world: World) -> None:
    made = await make(world, FLOW)
    first = (await tried(world, made["id"], text="hi", about={"contact.name": "Ann"})).json
    assert first["says"][0]["text"] == "Hello Ann. What is it about?"
    assert first["wait_s"] == 60
    payload = first["says"][0]["choices"][0]["payload"]
    second = (await tried(world, made["id"], payload=payload, state=first["state"])).json
    assert (second["steps"], second["says"][0]["text"]) == (["order"], "Its number?")
    third = (await tried(world, made["id"], text="42", state=second["state"])).json
    assert (third["end"], third["says"][0]["text"]) == (True, "Thank you, we look at 42.")
    late = (await tried(world, made["id"], late=True, state=first["state"])).json
    assert (late["hand_off"], late["because"], late["steps"]) == (True, "bot_asked", ["human"])
    assert (await world.get("/sessions"))["items"] == []


ASKED = {
    "an exact question": ("When are you open", "exact", "From nine to five."),
    "a keyword": ("tell me your opening hours please", "keyword", "From nine to five."),
    "a likeness": ("when are you open then", "fuzzy", "From nine to five."),
    "something else": ("do you sell boats", None, None),
}


@pytest.mark.parametrize(("text", "how", "says"), ASKED.values(), ids=ASKED)
async def test_an_faq_bot_is_tried(world: World, text: str, how: Any, says: Any) -> None:
    made = await make(world, FAQ)
    found = (await tried(world, made["id"], text=text)).json
    assert (found["matched"] or {}).get("how") == how
    assert [part["text"] for part in found["says"]] == ([says] if says else [])
    assert found["hand_off"] == (how is None)


async def test_misses_count_over_trials(world: World) -> None:
    made = await make(world, {**FAQ, "misses": 2})
    first = (await tried(world, made["id"], text="boats")).json
    assert (first["hand_off"], first["wait_s"]) == (False, 30)
    late = (await tried(world, made["id"], late=True, state=first["state"])).json
    assert (late["hand_off"], late["because"]) == (True, "not_understood")
    assert not (await tried(world, made["id"], late=True)).json["hand_off"]
    second = (await tried(world, made["id"], text="boats", state=first["state"])).json
    assert (second["hand_off"], second["because"]) == (True, "not_understood")


async def test_content_that_is_not_stored_is_tried(world: World) -> None:
    made = await make(world, FAQ)
    content = faq(answers=["Always."])
    found = (await tried(world, made["id"], text="When are you open?", content=content)).json
    assert found["says"][0]["text"] == "Always."
    wrong = await tried(world, made["id"], text="x", content=faq(answers=[" "]))
    assert (wrong.status, wrong.json["facts"]["field"]) == (422, "content.faq.0.answers.0")
    assert (await world.get(f"/bots/{made['id']}", "lena"))["faq"][0]["answers"] != ["Always."]


async def test_a_webhook_bot_shows_what_it_would_be_asked(world: World) -> None:
    made = await make(world, HOOK)
    found = (await tried(world, made["id"], text="hello")).json
    assert found["asks"]["type"] == "message.received"
    assert found["asks"]["data"]["message"]["parts"][0]["text"] == "hello"
    assert found["says"] == []


# --- the wall -------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["GET", "PUT", "DELETE", "secret", "try"])
async def test_g13_a_bot_of_another_workspace_does_not_exist(world: World, verb: str) -> None:
    made = await make(world, HOOK)
    method = verb if verb.isupper() else "POST"
    path = f"/bots/{made['id']}" + ("" if verb.isupper() else f"/{verb}")
    body = {"PUT": HOOK, "try": {"text": "x"}}.get(verb)
    answers = [
        await world.call(method, where, "zoe", body=body)
        for where in (path, path.replace(made["id"], "bot-000000000000"))
    ]
    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].body == answers[1].body
    assert (await world.get("/bots", "zoe"))["items"] == []
