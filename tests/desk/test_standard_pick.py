"""Taking a standard message in a session: theirs only, found by typing, filled in (B08, B34)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from libs.common.documents import CONTACTS
from libs.common.events import TextPart
from libs.common.later import FOLDERS, STANDARD_MESSAGES, STANDARD_USES, Folder, StandardMessage
from libs.common.standard import keyed
from libs.common.store.open import open_store
from libs.common.variables import Missing, missing
from services.desk.standard_search import Wanted, search
from services.desk.standard_uses import KNOWN, Use, count
from tests.desk.test_folders import fold, team
from tests.desk.test_send_content import kept
from tests.desk.test_standard_messages import make
from tests.desk.world import NOW, Answer, World


async def titles(world: World, session: str, who: str = "amy", **query: Any) -> list[str]:
    found = await world.get(f"/sessions/{session}/standard-messages", who, **query)
    return [item["title"] for item in found["items"]]


async def render(world: World, session: str, item: str, who: str = "amy", key: str = "") -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    path = f"/sessions/{session}/standard-messages/{item}/render"
    return await world.call("POST", path, who, headers=headers)


async def test_b08_an_agent_sees_what_is_for_the_channel_the_teams_and_themselves(
    world: World,
) -> None:
    await team(world, "x", "Team X", "amy")
    await team(world, "y", "Team Y", "bob")
    scopes: dict[str, dict[str, Any]] = {
        "all": {},
        "line x": {"channels": ["line"], "teams": ["x"]},
        "line y": {"channels": ["line"], "teams": ["y"]},
        "web x": {"channels": ["web"], "teams": ["x"]},
        "bob": {"users": ["agt-bob"]},
    }
    items = {}
    for name, scope in scopes.items():
        folder = (await fold(world, name, **scope)).json["id"]
        items[name] = (await make(world, name, text="hello", folder=folder)).json["id"]
    await make(world, "none", text="hello")
    line = (await world.writes("hi")).id
    web = (await world.writes("hi", channel="web")).id
    assert await titles(world, line) == ["all", "line x", "none"]
    assert await titles(world, line, "bob") == ["all", "line y", "bob", "none"]
    assert await titles(world, web) == ["all", "web x", "none"]
    assert await titles(world, line, q="hello") == ["all", "line x", "none"]
    everything = await world.get(f"/sessions/{line}/standard-messages", "lena", all="true")
    assert {f["name"]: f["yours"] for f in everything["folders"]} == {
        "all": True,
        "line x": False,
        "line y": False,
        "bob": False,
    }
    assert await titles(world, line, "lena") == ["all", "none"]
    refused = await world.call(
        "GET", f"/sessions/{line}/standard-messages", "amy", query=[("all", "true")]
    )
    assert (refused.status, refused.json["facts"]["field"]) == (422, "all")
    for name, status in {"all": 200, "line x": 200, "line y": 404, "web x": 404}.items():
        assert (await render(world, line, items[name])).status == status, name
    assert (await world.call("GET", f"/standard-messages/{items['line y']}", "amy")).status == 404
    kept_list = (await world.get("/standard-messages"))["items"]
    assert [item["title"] for item in kept_list] == ["all", "line x", "none", "web x"]
    later = {"session": line, "name": "n", "at": "2030-01-01T10:00", "zone": "UTC"}
    for name, status in {"line y": 422, "web x": 422}.items():
        body = {**later, "standard_message": items[name]}
        headers = {"Idempotency-Key": name.replace(" ", "-")}
        answer = await world.call("POST", "/scheduled-messages", "amy", body=body, headers=headers)
        assert (answer.status, answer.json["facts"]["field"]) == (status, "standard_message")


FOUND: dict[str, tuple[str, str, list[str]]] = {
    "the title that begins so comes first, the text last": (
        "ref",
        "",
        ["Refund", "A refund", "Angry", "Late"],
    ),
    "beginnings of words": ("refu lat", "", ["Late"]),
    "the folder's name counts": ("comp", "", ["Angry"]),
    "the folder's name and the title together": ("ang compl", "", ["Angry"]),
    "of one folder": ("ref", "complaints", ["Angry"]),
    "in none": ("", "none", ["A refund", "Late", "Refund", "สวัสดี"]),
    "whatever the case and the accents": ("RÉFUND A", "", ["A refund", "Angry"]),
    "a script without spaces": ("วัส", "", ["สวัสดี"]),
    "no word of it": ("zebra", "", []),
    "signs alone": ("?!", "", []),
    "not in the middle of a word": ("fund", "", []),
}


async def test_b08_what_is_typed_is_found_the_best_first(world: World) -> None:
    folder = (await fold(world, "Complaints")).json["id"]
    await make(world, "Late", text="your refund is late")
    await make(world, "Angry", text="refund at once", folder=folder)
    await make(world, "A refund", text="x")
    await make(world, "Refund", text="x")
    await make(world, "สวัสดี", text="x")
    session = (await world.writes("hi")).id
    for said, (typed, where, expected) in FOUND.items():
        query = {"folder": folder if where == "complaints" else where} if where else {}
        found = await titles(world, session, q=typed, **query)
        assert (sorted(found) if where == "none" else found) == expected, said
    few = await world.get(f"/sessions/{session}/standard-messages", q="ref", limit=2)
    assert ([i["title"] for i in few["items"]], few["more"]) == (["Refund", "A refund"], True)
    lost = await world.call(
        "GET", f"/sessions/{session}/standard-messages", "amy", query=[("folder", "fld_x")]
    )
    assert (lost.status, lost.json["facts"]["field"]) == (422, "folder")


async def test_b08_five_thousand_are_searched_while_somebody_types(world: World) -> None:
    text = "thank you for writing to us about order number"
    docs = [
        keyed(
            StandardMessage(
                id=f"std_{n}",
                workspace=world.workspace,
                title=f"Answer {n}",
                parts=(TextPart(text=f"{text} {n} rare{n % 50}"),),
                created_at=NOW,
                updated_at=NOW,
            )
        )
        for n in range(5000)
    ]
    for at in range(0, 5000, 500):
        await world.store.insert_many(STANDARD_MESSAGES, docs[at : at + 500])
    for typed, least in {
        "a": 50,
        "answer 49": 50,
        "rare7": 50,
        "thank num 4999": 1,
        "zz": 0,
    }.items():
        wanted = Wanted(workspace=world.workspace, text=typed, folders={"": ""}, limit=50)
        found, _ = await search(world.store, wanted)
        assert len(found) == least, typed


async def test_b08_both_engines_find_the_same(store_url: str) -> None:
    def doc(n: int, title: str, text: str, folder: str = "") -> StandardMessage:
        made = StandardMessage(
            id=f"std_{n}",
            workspace="acme",
            title=title,
            folder=folder,
            parts=(TextPart(text=text),),
            created_at=NOW,
            updated_at=NOW,
        )
        return keyed(made)

    docs = [
        doc(1, "Late", "your refund is late"),
        doc(2, "Angry", "refund at once", "f1"),
        doc(3, "A refund", "x"),
        doc(4, "Refund", "x", "f2"),
        doc(5, "Refund of others", "x", "f3"),
    ]
    async with open_store(store_url, (STANDARD_MESSAGES, STANDARD_USES)) as store:
        assert await store.insert_many(STANDARD_MESSAGES, docs) == {}
        folders = {"f1": "Complaints", "f2": "Money", "": ""}
        for typed, expected in {
            "ref": ["Refund", "A refund", "Angry", "Late"],
            "compl": ["Angry"],
            "money ref": ["Refund"],
            "": ["Angry", "Refund", "A refund", "Late"],
        }.items():
            wanted = Wanted(workspace="acme", text=typed, folders=folders, limit=9)
            found, more = await search(store, wanted)
            titles = [one.title for one in found]
            assert (titles if typed else sorted(titles[:2]) + sorted(titles[2:]), more) == (
                expected,
                False,
            ), typed
        uses = [Use(workspace="acme", item="std_1", kind="sent", key=k, at=NOW) for k in "aabc"]
        await asyncio.gather(*(count(store, use) for use in uses))
        held = await store.get(STANDARD_USES, "acme", "std_1")
        assert held is not None
        assert held.sent == 3


PREVIEWS: dict[str, tuple[dict[str, str], int, Any]] = {
    "for a contact": (
        {"text": "Hi {{contact.name|there}} on {{channel}}"},
        200,
        "Hi Visitor Vera on line",
    ),
    "for nobody": ({"text": "Hi {{contact.name|there}}", "contact": ""}, 200, "Hi there"),
    "who writes": ({"text": "I am {{agent.name}}"}, 200, "I am Amy"),
    "no such variable": ({"text": "Hi {{nobody}}"}, 422, "text"),
    "one that does not end": ({"text": "Hi {{contact.name"}, 422, "text"),
    "nothing might be left": ({"text": "{{contact.phone}}"}, 422, "text"),
    "a contact of nobody's": ({"text": "Hi", "contact": "con_x"}, 422, "contact"),
}


async def test_b34_a_text_is_shown_as_it_would_read_before_it_is_kept(world: World) -> None:
    session = await world.writes("hi", visitor="Vera")
    for said, (given, status, expected) in PREVIEWS.items():
        body = {"contact": session.contact, **given}
        answer = await world.call("POST", "/standard-messages/preview", "amy", body=body)
        assert answer.status == status, (said, answer.body)
        found = answer.json
        assert (found["text"] if status == 200 else found["facts"]["field"]) == expected, said
    assert (await world.get("/standard-messages"))["items"] == []


MISSING: dict[str, tuple[str, list[Missing]]] = {
    "what is known": ("{{contact.name|there}}", []),
    "with a fallback": (
        "{{contact.phone| your phone }}",
        [Missing(name="contact.phone", fallback="your phone")],
    ),
    "without": ("{{contact.field.plan}}", [Missing(name="contact.field.plan", fallback="")]),
    "each once": ("{{contact.zone}} {{contact.zone}}", [Missing(name="contact.zone", fallback="")]),
    "no variable": ("{{shape}}", []),
}


@pytest.mark.parametrize(("text", "expected"), MISSING.values(), ids=MISSING)
def test_b34_what_is_not_known_is_named(text: str, expected: list[Missing]) -> None:
    assert missing((TextPart(text=text),), {"contact.name": "Ann"}) == expected


async def test_b34_it_is_filled_in_for_the_contact_and_the_agent(world: World) -> None:
    file = await kept(world)
    text = "Hi {{contact.name|there}}, I am {{agent.name}} of {{account.name}}: {{contact.email|-}}"
    made = (await make(world, "Hi", text=text, attachments=[{"id": file, "caption": "c"}])).json
    session = await world.writes("hi")
    shown = (await render(world, session.id, made["id"])).json
    assert shown["text"] == "c\nHi Visitor U1, I am Amy of Our line: -"
    assert shown["missing"] == [{"name": "contact.email", "fallback": "-"}]
    assert [one["id"] for one in shown["attachments"]] == [file]
    assert (shown["takes"], shown["problem"]["facts"]["field"]) == (False, "attachments.0")
    assert shown["calls"] == 0  # LINE fetches files from a public address, and there is none here
    messenger = await world.writes("hi", channel="messenger")
    ready = (await render(world, messenger.id, made["id"])).json
    assert (ready["takes"], ready["problem"], ready["calls"] >= 1) == (True, None, True)
    assert (await world.do("claim", messenger.id)).status == 200
    headers = {"Idempotency-Key": "k"}
    path = f"/sessions/{messenger.id}/messages"
    sent = await world.call("POST", path, "amy", body=ready["body"], headers=headers)
    assert sent.status == 201, sent.body
    assert sent.json["text"].endswith("Hi Visitor U1, I am Amy of Our messenger: -")
    contact = await world.store.get(CONTACTS, world.workspace, messenger.contact)
    assert contact is not None
    await world.store.replace(CONTACTS, msgspec.structs.replace(contact, name="{{agent.name}}"))
    again = (await render(world, messenger.id, made["id"])).json
    assert again["text"].startswith("c\nHi {{agent.name}}, I am Amy")  # a name stays a name


async def test_b08_uses_are_counted_once_and_do_not_make_edits_stale(world: World) -> None:
    made = await make(world, "Often", text="hello")
    item = made.json["id"]
    await make(world, "Never", text="hello")
    rare = (await make(world, "Rare", text="hello")).json["id"]
    session = (await world.writes("hi")).id
    await world.do("claim", session)
    for key in ("p1", "p1", "p2"):
        assert (await render(world, session, item, key=key)).status == 200
    for key in ("s1", "s1", "s2"):
        sent = await world.send(session, "hello", key=key, standard_message=item)
        assert sent.status in {200, 201}, sent.body
    assert (await world.send(session, "hello", standard_message=rare)).status == 201
    lost = await world.send(session, "hello", standard_message="std_gone")
    assert lost.status == 201  # it is out: deleted meanwhile counts nothing
    shown = (await world.get(f"/standard-messages/{item}"))["uses"]
    assert (shown["picked"], shown["sent"]) == (2, 2)
    assert shown["last_used_at"] is not None
    old = {"If-Match": made.headers["ETag"]}
    path = f"/standard-messages/{item}"
    assert (await world.call("PATCH", path, "lena", body={"text": "x"}, headers=old)).status == 200
    by_use: list[str] = []
    cursor = ""
    while len(by_use) < 5:
        page = await world.get("/standard-messages", order="used", limit=1, cursor=cursor)
        by_use += [one["title"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert by_use == ["Often", "Rare", "Never"]
    note = await world.send(session, "n", private=True, standard_message=item)
    assert (note.status, note.json["facts"]["field"]) == (422, "standard_message")


async def test_b08_uses_at_the_same_time_are_all_counted(world: World) -> None:
    for n in range(KNOWN + 5):
        use = Use(workspace=world.workspace, item="std_1", kind="sent", key=f"m{n}", at=NOW)
        await count(world.store, use)
    found = await world.store.get(STANDARD_USES, world.workspace, "std_1")
    assert found is not None
    assert (found.sent, len(found.known)) == (KNOWN + 5, KNOWN)
    many = [
        Use(workspace=world.workspace, item="std_2", kind="picked", key=f"p{n}", at=NOW)
        for n in range(40)
    ]
    await asyncio.gather(*(count(world.store, use) for use in many))
    found = await world.store.get(STANDARD_USES, world.workspace, "std_2")
    assert found is not None
    assert found.picked == len(many)


async def test_b08_what_lies_in_a_folder_that_is_gone_is_seen_by_leads_alone(world: World) -> None:
    item = (await make(world, "Lost", text="x")).json["id"]
    folder = Folder(
        id="fld_1",
        workspace=world.workspace,
        name="F",
        name_key="f",
        created_at=NOW,
        updated_at=NOW,
    )
    await world.store.insert(FOLDERS, folder)
    path = f"/standard-messages/{item}"
    assert (await world.call("PATCH", path, "lena", body={"folder": "fld_1"})).status == 200
    await world.store.delete(FOLDERS, world.workspace, "fld_1")
    session = (await world.writes("hi")).id
    assert await titles(world, session) == []
    assert (await render(world, session, item, "lena")).status == 404
    assert (await world.call("GET", path, "amy")).status == 404
    assert (await world.call("PATCH", path, "lena", body={"folder": ""})).status == 200
    assert await titles(world, session) == ["Lost"]
