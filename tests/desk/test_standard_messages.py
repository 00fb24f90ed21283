"""Standard messages: what leads write once and agents pick (B25)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from tests.desk.test_send_content import kept
from tests.desk.test_uploads import document
from tests.desk.world import Answer, World


async def make(world: World, title: str, who: str = "lena", key: str = "", **body: Any) -> Answer:
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    body = {"title": title, **body}
    return await world.call("POST", "/standard-messages", who, body=body, headers=headers)


async def test_what_a_lead_writes_everybody_reads(world: World) -> None:
    file = await kept(world)
    made = await make(
        world,
        " Thanks ",
        text="Hi {{contact.name|there}}",
        attachments=[{"id": file, "caption": "x"}],
    )
    assert made.status == 201, made.body
    shown = made.json
    assert (shown["title"], shown["text"]) == ("Thanks", "x\nHi {{contact.name|there}}")
    assert [a["id"] for a in shown["attachments"]] == [file]
    assert (await document(world, file)).message == f"standard_message:{shown['id']}"
    read = await world.call("GET", f"/standard-messages/{shown['id']}", "rita")
    assert read.json == shown
    assert read.headers["ETag"] == made.headers["ETag"]
    [entry] = (await world.get("/audit", "lena", object=f"standard_message:{shown['id']}"))["items"]
    assert (entry["action"], entry["actor"]) == ("standard_message.create", "agent:agt-lena")


async def test_a_change_keeps_what_it_does_not_name(world: World) -> None:
    file = await kept(world)
    made = (await make(world, "Thanks", text="one", attachments=[file])).json
    path = f"/standard-messages/{made['id']}"
    old = {"If-Match": '"1"'}
    changed = await world.call("PATCH", path, "lena", body={"text": "two"}, headers=old)
    assert changed.status == 200, changed.body
    assert (changed.json["title"], changed.json["text"]) == ("Thanks", "two")
    assert [a["id"] for a in changed.json["attachments"]] == [file]
    late = await world.call("PATCH", path, "lena", body={"text": "three"}, headers=old)
    assert (late.status, late.json["code"]) == (412, "changed_meanwhile")
    late = await world.call("DELETE", path, "lena", headers=old)
    assert (late.status, late.json["code"]) == (412, "changed_meanwhile")
    assert (await world.call("PATCH", path, "lena", body={"attachments": []})).json["text"] == "two"
    assert (await world.call("DELETE", path, "lena")).status == 204
    assert (await world.call("GET", path, "amy")).status == 404


async def test_the_same_key_makes_one(world: World) -> None:
    first = await make(world, "Thanks", key="k", text="one")
    again = await make(world, "Thanks", key="k", text="one")
    other = await make(world, "Thanks", key="k", text="two")
    assert (first.status, again.status, other.status) == (201, 200, 409)
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert other.json["code"] == "idempotency_conflict"
    path = f"/standard-messages/{first.json['id']}"
    assert (await world.call("PATCH", path, "lena", body={"text": "three"})).status == 200
    again = await make(world, "Thanks", key="k", text="one")
    other = await make(world, "Thanks", key="k", text="two")
    assert (again.status, again.json["text"], other.status) == (200, "three", 409)


async def test_they_are_found_by_words_of_their_title_page_by_page(world: World) -> None:
    for title in ("Order shipped", "Order is late", "Welcome", "late ORDER"):
        assert (await make(world, title, text="x")).status == 201
    found: list[str] = []
    cursor = ""
    while True:
        page = await world.get("/standard-messages", q="order", limit=2, cursor=cursor)
        assert len(page["items"]) <= 2
        found += [item["title"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]
    assert found == ["Order is late", "Order shipped", "late ORDER"]
    both = await world.get("/standard-messages", q="LATE order")
    assert [item["title"] for item in both["items"]] == ["Order is late", "late ORDER"]
    assert (await world.get("/standard-messages", q="nothing"))["items"] == []


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing to say": ({"title": "x"}, 422, "text"),
    "blanks": ({"title": "x", "text": " \n "}, 422, "text"),
    "no title": ({"title": " ", "text": "x"}, 422, "title"),
    "a title of two lines": ({"title": "a\nb", "text": "x"}, 422, "title"),
    "a variable that does not end": ({"title": "x", "text": "{{channel"}, 422, "text"),
    "an unknown variable": ({"title": "x", "text": "{{contact.shape}}"}, 422, "text"),
    "no such file": ({"title": "x", "attachments": ["att_none"]}, 404, "attachments.0"),
    "a field of another thing": ({"title": "x", "text": "x", "at": "now"}, 422, "at"),
}


@pytest.mark.parametrize(("body", "status", "field"), WRONG.values(), ids=WRONG.keys())
async def test_what_is_wrong_is_refused_by_its_field(
    world: World, body: dict[str, Any], status: int, field: str
) -> None:
    answer = await make(world, **body)
    assert (answer.status, answer.json["facts"]["field"]) == (status, field)
    assert (await world.get("/standard-messages"))["items"] == []


@pytest.mark.parametrize("who", ["amy", "rita"])
async def test_only_leads_write_them(world: World, who: str) -> None:
    assert (await make(world, "x", who, text="x")).status == 403
    made = (await make(world, "x", text="x")).json
    path = f"/standard-messages/{made['id']}"
    assert (await world.call("PATCH", path, who, body={"text": "y"})).status == 403
    assert (await world.call("DELETE", path, who)).status == 403


async def test_another_workspace_sees_none_of_it(world: World) -> None:
    made = (await make(world, "x", text="x")).json
    world.tokens["zoe"] = world.tokens.get("zoe") or await world.token(
        await world.hire("zack", "owner", world.other)
    )
    assert (await world.get("/standard-messages", "zoe"))["items"] == []
    assert (await world.call("GET", f"/standard-messages/{made['id']}", "zoe")).status == 404
