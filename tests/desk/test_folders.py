"""Folders of standard messages: who sees them, their order, how they go (B32-B34, B39, B40)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from libs.common.later import Folder
from libs.common.standard import Reader, sees
from tests.desk.test_standard_messages import make
from tests.desk.world import NOW, Answer, World

PATH = "/standard-messages/folders"


async def fold(world: World, name: str, who: str = "lena", key: str = "", **body: Any) -> Answer:
    headers = {"Idempotency-Key": key} if key else {}
    return await world.call("POST", PATH, who, body={"name": name, **body}, headers=headers)


async def team(world: World, team_id: str, name: str, *members: str) -> None:
    """Make a team of people."""
    made = await world.call("PUT", f"/teams/{team_id}", "olga", body={"name": name})
    assert made.status == 201, made.body
    for one in members:
        body = {"teams": [team_id]}
        changed = await world.call("PATCH", f"/agents/agt-{one}", "olga", body=body)
        assert changed.status == 200, changed.body


def folder(**scope: Any) -> Folder:
    """Return a folder for *scope*."""
    made: dict[str, Any] = {"id": "f", "workspace": "w", "name": "F", "name_key": "f"}
    return Folder(**made, created_at=NOW, updated_at=NOW, **scope)


AMY = Reader(agent="amy", teams=("x",))
SEEN: dict[str, tuple[Folder, Reader, str, bool]] = {
    "for all": (folder(), AMY, "line", True),
    "of the channel": (folder(channels=("line", "web")), AMY, "line", True),
    "of another channel": (folder(channels=("web",)), AMY, "line", False),
    "of any channel where none is meant": (folder(channels=("web",)), AMY, "", True),
    "of the team": (folder(teams=("y", "x")), AMY, "line", True),
    "of another team": (folder(teams=("y",)), AMY, "line", False),
    "of the agent in charge": (folder(users=("amy",)), AMY, "line", True),
    "of another agent": (folder(users=("bob",)), AMY, "line", False),
    "of the team, and of another agent": (folder(teams=("x",), users=("bob",)), AMY, "", False),
    "of the agent, and of another team": (folder(teams=("y",), users=("amy",)), AMY, "", False),
    "of another team, for who keeps it": (
        folder(teams=("y",)),
        Reader(agent="lena", keeps=True),
        "line",
        True,
    ),
    "of a channel out of the reader's scope": (
        folder(channels=("web",)),
        Reader(agent="lena", keeps=True, channels=("line",)),
        "",
        False,
    ),
}


@pytest.mark.parametrize(("found", "reader", "channel", "seen"), SEEN.values(), ids=SEEN)
def test_b33_a_folder_is_seen_by_one_of_each_that_is_given(
    found: Folder, reader: Reader, channel: str, seen: bool
) -> None:
    assert sees(found, reader, channel) is seen


async def test_b33_b40_a_folder_is_made_changed_and_found_by_its_channel(world: World) -> None:
    await team(world, "sales", "Sales", "amy")
    scope: dict[str, Any] = {"channels": ["line"], "teams": ["sales"], "users": ["agt-amy"]}
    made = await fold(world, " Offers ", key="k", **scope)
    assert made.status == 201, made.body
    again = await fold(world, " Offers ", key="k", **scope)
    assert (again.status, again.json) == (200, made.json)
    assert (await fold(world, "Other", key="k")).json["code"] == "idempotency_conflict"
    taken = await fold(world, "ÓFFERS")
    assert (taken.status, taken.json["code"]) == (409, "name_taken")
    assert taken.json["facts"]["id"] == made.json["id"]
    await fold(world, "All")
    await fold(world, "Web", channels=["web"])
    names = {
        query: [one["name"] for one in (await world.get(f"{PATH}?{query}", who))["items"]]
        for query, who in (
            ("", "lena"),
            ("channel=line", "olga"),
            ("channel=web", "bob"),
            ("q=off", "amy"),
            ("user=me", "adam"),
        )
    }
    assert names == {
        "": ["Offers", "All", "Web"],
        "channel=line": ["Offers", "All"],
        "channel=web": ["All", "Web"],
        "q=off": ["Offers"],
        "user=me": ["All", "Web"],
    }
    path = f"{PATH}/{made.json['id']}"
    body = {"name": "Old offers", "channels": []}
    changed = await world.call("PATCH", path, "lena", body=body, headers={"If-Match": '"1"'})
    assert (changed.status, changed.json["name"], changed.json["channels"]) == (
        200,
        "Old offers",
        [],
    )
    stale = await world.call("PATCH", path, "lena", body=body, headers={"If-Match": '"1"'})
    assert stale.status == 412
    assert (await world.call("GET", path, "bob")).status == 404  # of another team
    entries = (await world.get("/audit", "lena", object=f"folder:{made.json['id']}"))["items"]
    assert [one["action"] for one in entries] == ["folder.patch", "folder.create"]
    assert (entries[0]["before"]["name"], entries[0]["after"]["name"]) == ("Offers", "Old offers")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no such channel": ({"channels": ["line", "fax"]}, "channels.1"),
    "no such team": ({"teams": ["none"]}, "teams.0"),
    "no such agent": ({"users": ["agt-zoe"]}, "users.0"),
    "nothing to be seen": ({"name": "\u200b"}, "name"),
    "a place below none": ({"place": -1}, "place"),
}


async def test_b33_what_is_wrong_is_refused_by_its_field(world: World) -> None:
    for body, field in WRONG.values():
        answer = await fold(world, **{"name": "F", **body})
        assert (answer.status, answer.json["facts"]["field"]) == (422, field)
    wrong = await world.call("GET", PATH, "amy", query=[("channel", "fax")])
    assert (wrong.status, wrong.json["facts"]["field"]) == (422, "channel")
    assert (await world.get(PATH))["items"] == []


async def test_b32_only_leads_keep_folders(world: World) -> None:
    made = (await fold(world, "F")).json["id"]
    for who in ("amy", "rita"):
        answers = [
            await fold(world, "G", who),
            await world.call("PATCH", f"{PATH}/{made}", who, body={"name": "G"}),
            await world.call("DELETE", f"{PATH}/{made}", who),
            await world.call("PUT", f"{PATH}/order", who, body={"folders": [made]}),
            await world.call("PUT", f"{PATH}/{made}/order", who, body={"messages": []}),
            await world.call("GET", "/standard-messages/template.xlsx", who),
            await world.call("GET", "/standard-messages/export.xlsx", who),
            await world.call("POST", "/standard-messages/import", who, raw=b"x"),
        ]
        assert {answer.status for answer in answers} == {403}


async def test_b34_messages_stand_in_order_and_move_between_folders(world: World) -> None:
    one, other = [(await fold(world, name)).json["id"] for name in ("One", "Other")]
    ids = [(await make(world, t, text=t, folder=one)).json["id"] for t in ("c", "a", "b")]
    last = (await make(world, "z", text="z", folder=other)).json["id"]

    async def stand(folder_id: str) -> list[str]:
        listed = await world.get("/standard-messages", "lena", folder=folder_id, order="place")
        return [item["title"] for item in listed["items"]]

    assert await stand(one) == ["c", "a", "b"]
    order = {"messages": [ids[1], ids[2], ids[0]]}
    put = await world.call("PUT", f"{PATH}/{one}/order", "lena", body=order)
    assert (put.status, put.json) == (200, {"moved": 3})
    again = await world.call("PUT", f"{PATH}/{one}/order", "lena", body=order)
    assert again.json == {"moved": 0}
    assert await stand(one) == ["a", "b", "c"]
    for wrong in (ids[:2], [*ids, ids[0]], [*ids, last]):
        body = {"messages": wrong}
        refused = await world.call("PUT", f"{PATH}/{one}/order", "lena", body=body)
        assert (refused.status, refused.json["facts"]["field"]) == (422, "messages")
    move = {"folder": other}
    assert (await world.call("PATCH", f"/standard-messages/{ids[0]}", "lena", body=move)).json[
        "place"
    ] == 1
    assert (await stand(one), await stand(other)) == (["a", "b"], ["z", "c"])
    lost = await make(world, "x", text="x", folder="fld_none")
    assert (lost.status, lost.json["facts"]["field"]) == (422, "folder")
    first = await world.get("/standard-messages", "lena", folder=one, order="place", limit=1)
    more = {"folder": one, "order": "place", "limit": 1, "cursor": first["next"]}
    second = await world.get("/standard-messages", "lena", **more)
    assert [p["items"][0]["title"] for p in (first, second)] == ["a", "b"]
    assert second["next"] is None
    turned = {"folders": [other, one]}
    assert (await world.call("PUT", f"{PATH}/order", "lena", body=turned)).json == {"moved": 2}
    assert [f["name"] for f in (await world.get(PATH))["items"]] == ["Other", "One"]


async def test_b39_a_folder_goes_with_what_is_in_it_once_that_is_confirmed(world: World) -> None:
    session = await world.writes("hello")
    made = (await fold(world, "Gone")).json["id"]
    ids = [(await make(world, t, text=t, folder=made)).json["id"] for t in ("a", "b")]
    await make(world, "stays", text="stays")
    path = f"{PATH}/{made}"
    asked = await world.call("DELETE", path, "lena")
    assert (asked.status, asked.json["code"]) == (409, "confirmation_required")
    facts = asked.json["facts"]
    assert facts["count"] == "2"
    assert "Gone" in facts["summary"]
    for who, token in (("adam", facts["token"]), ("lena", facts["token"][:-2] + "xx")):
        refused = await world.call("DELETE", path, who, query=[("confirm", token)])
        assert refused.status == 409
    late = await make(world, "c", text="c", folder=made)
    refused = await world.call("DELETE", path, "lena", query=[("confirm", facts["token"])])
    assert (refused.status, refused.json["facts"]["count"]) == (409, "3")  # it is another question
    token = refused.json["facts"]["token"]
    stale = {"If-Match": '"7"'}
    query = [("confirm", token)]
    assert (await world.call("DELETE", path, "lena", query=query, headers=stale)).status == 412
    gone = await world.call("DELETE", path, "lena", query=query)
    assert (gone.status, gone.json) == (200, {"deleted": 3})
    picked = await world.get(f"/sessions/{session.id}/standard-messages")
    assert ([i["title"] for i in picked["items"]], picked["folders"]) == (["stays"], [])
    for id_ in (*ids, late.json["id"]):
        assert (await world.call("GET", f"/standard-messages/{id_}", "lena")).status == 404
        newest = (await world.get("/audit", "lena", object=f"standard_message:{id_}"))["items"][0]
        assert newest["action"] == "standard_message.delete"
        assert newest["before"]["title"] in {"a", "b", "c"}
    newest = (await world.get("/audit", "lena", object=f"folder:{made}"))["items"][0]
    assert (newest["action"], newest["before"]["name"]) == ("folder.delete", "Gone")
    assert (await world.call("DELETE", path, "lena")).status == 404


async def test_b33_another_workspace_has_folders_of_its_own(world: World) -> None:
    made = (await fold(world, "Same")).json["id"]
    theirs = await fold(world, "Same", "zoe", key=uuid.uuid4().hex)
    assert theirs.status == 201
    assert (await world.call("GET", f"{PATH}/{made}", "zoe")).status == 404
    assert [f["id"] for f in (await world.get(PATH, "zoe"))["items"]] == [theirs.json["id"]]
    lost = await make(world, "x", "zoe", text="x", folder=made)
    assert (lost.status, lost.json["facts"]["field"]) == (422, "folder")
