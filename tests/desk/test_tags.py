"""Tags of contacts: made, renamed by one write, deleted everywhere, given and taken (B29, B30)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from libs.common.documents import CONTACTS, TAGS, Contact
from libs.common.later import BROADCASTS
from services.desk import tagging
from services.desk.app import _detach
from tests.desk.world import NOW, World


async def a_tag(world: World, name: str = "VIP", who: str = "lena", **more: Any) -> str:
    made = await world.call("POST", "/tags", who, body={"name": name, **more})
    assert made.status == 201, made.body
    return str(made.json["id"])


async def some_contacts(world: World, count: int, *tags: str) -> list[str]:
    """Store contacts that hold *tags*."""
    made = [
        Contact(id=f"con-{n:04}", workspace=world.workspace, first_seen_at=NOW, tags=tags)
        for n in range(count)
    ]
    assert await world.store.insert_many(CONTACTS, made) == {}
    return [one.id for one in made]


async def contact(world: World, contact_id: str) -> Contact:
    found = await world.store.get(CONTACTS, world.workspace, contact_id)
    assert found is not None
    return found


async def test_b30_a_new_name_is_one_write_and_every_contact_shows_it(world: World) -> None:
    tag = await a_tag(world, color="#1e90ff")
    ids = await some_contacts(world, 3, tag)
    before = [await contact(world, one) for one in ids]
    done = await world.call("PATCH", f"/tags/{tag}", "lena", body={"name": "Gold"})
    assert (done.status, done.json["name"]) == (200, "Gold")
    assert [await contact(world, one) for one in ids] == before
    for one in ids:
        shown = (await world.get(f"/contacts/{one}"))["tags"]
        assert shown == [{"id": tag, "name": "Gold", "color": "#1e90ff"}]
    assert (await world.get(f"/tags/{tag}"))["contacts"] == 3
    assert [entry.action for entry in await world.audited()] == ["tag.create", "tag.patch"]


async def test_b30_a_deleted_tag_is_off_every_contact_page_by_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag, other = await a_tag(world), await a_tag(world, "Other")
    ids = await some_contacts(world, 12, tag, other)
    monkeypatch.setattr(tagging, "PAGE", 5)
    monkeypatch.setattr(tagging, "PAGES_AT_ONCE", 1)
    assert (await world.call("DELETE", f"/tags/{tag}", "lena")).status == 204
    held = [one for one in ids if tag in (await contact(world, one)).tags]
    assert len(held) == 7  # the others wait for the next look
    assert [t["name"] for t in (await world.get(f"/contacts/{held[0]}"))["tags"]] == ["Other"]
    assert (await world.call("GET", f"/tags/{tag}", "lena")).status == 404
    assert (await world.call("DELETE", f"/tags/{tag}", "lena")).status == 404
    assert [t["id"] for t in (await world.get("/tags"))["items"]] == [other]
    again = await a_tag(world)  # its name is free
    for _ in range(3):
        await _detach(world.store)
    assert [(await contact(world, one)).tags for one in ids] == [(other,)] * 12
    assert await world.store.get(TAGS, world.workspace, tag) is None
    assert again != tag


NAMES = {
    "the same name": ("VIP", 409, "name_taken"),
    "another case": ("vip", 409, "name_taken"),
    "more blanks": ("  v\u200bip ", 409, "name_taken"),
    "full-width letters": ("\uff36\uff29\uff30", 409, "name_taken"),
    "another name": ("VIPs", 201, ""),
    "blank": ("   ", 422, "invalid_input"),
    "nothing that can be seen": ("\u200b", 422, "invalid_input"),
    "two lines": ("a\nb", 422, "invalid_input"),
    "61 characters": ("x" * 61, 422, "invalid_input"),
}


@pytest.mark.parametrize(("name", "status", "code"), NAMES.values(), ids=NAMES)
async def test_a_name_is_unique_as_people_read_it(
    world: World, name: str, status: int, code: str
) -> None:
    first = await a_tag(world)
    made = await world.call("POST", "/tags", "amy", body={"name": name})
    assert (made.status, made.json.get("code", "")) == (status, code)
    if code:
        assert made.json["facts"]["field"] == "name"
        assert made.json["facts"]["allowed"]
    if code == "name_taken":
        assert made.json["facts"]["id"] == first


async def test_a_repeat_of_the_same_key_makes_one_tag(world: World) -> None:
    key = {"Idempotency-Key": "k1"}
    first, again = [
        await world.call("POST", "/tags", "amy", body={"name": "VIP"}, headers=key) for _ in "12"
    ]
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json
    other = await world.call("POST", "/tags", "amy", body={"name": "Gold"}, headers=key)
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    assert len((await world.get("/tags"))["items"]) == 1
    path = f"/tags/{first.json['id']}"
    assert (await world.call("PATCH", path, "lena", body={"name": "Silver"})).status == 200
    again, other = [
        await world.call("POST", "/tags", "amy", body={"name": name}, headers=key)
        for name in ("VIP", "Gold")
    ]
    assert (again.status, again.json["name"], other.status) == (200, "Silver", 409)


async def test_b03_a_tag_that_a_broadcast_still_chooses_by_is_not_deleted(world: World) -> None:
    tag, none = await a_tag(world), await a_tag(world, "No news")
    body = {"name": "News", "text": "Hi", "audience": {"tags": [tag], "without": [none]}}
    made = await world.call("POST", "/broadcasts", "lena", body=body)
    draft = f"/broadcasts/{made.json['id']}"
    found = await world.store.get(BROADCASTS, world.workspace, made.json["id"])
    assert found is not None
    found = await world.store.replace(BROADCASTS, msgspec.structs.replace(found, state="scheduled"))
    for one in (tag, none):
        refused = await world.call("DELETE", f"/tags/{one}", "lena")
        assert (refused.status, refused.json["code"]) == (409, "in_use")
        assert refused.json["facts"]["used_by"] == found.id
    gathered = msgspec.structs.replace(found, state="running", gathered=True)
    await world.store.replace(BROADCASTS, gathered)
    assert (await world.call("DELETE", f"/tags/{none}", "lena")).status == 204
    assert (await world.call("POST", f"{draft}/cancel", "lena")).status == 200
    assert (await world.call("DELETE", f"/tags/{tag}", "lena")).status == 204


async def test_of_two_who_rename_the_one_who_saw_an_older_version_is_told(world: World) -> None:
    tag = await a_tag(world)
    seen = (await world.call("GET", f"/tags/{tag}", "lena")).headers["ETag"]
    answers = [
        await world.call(
            "PATCH", f"/tags/{tag}", "lena", body={"name": name}, headers={"If-Match": seen}
        )
        for name in ("Gold", "Silver")
    ]
    assert [one.status for one in answers] == [200, 412]
    assert (await world.get(f"/tags/{tag}"))["name"] == "Gold"


async def test_b29_a_tag_given_twice_is_one_and_the_filter_finds_it(world: World) -> None:
    tag = await a_tag(world)
    session = await world.writes("hello")
    await world.writes("hi", visitor="U2")
    where = f"/contacts/{session.contact}/tags/{tag}"
    for _ in range(2):
        done = await world.call("PUT", where, "amy")
        assert (done.status, [t["id"] for t in done.json["tags"]]) == (200, [tag])
    found = await world.get("/contacts", tag=tag)
    assert [one["id"] for one in found["items"]] == [session.contact]
    for _ in range(2):
        done = await world.call("DELETE", where, "amy")
        assert (done.status, done.json["tags"]) == (200, [])
    assert (await world.get("/contacts", tag=tag))["items"] == []
    record = [one for one in await world.audited() if one.object == f"contact:{session.contact}"]
    assert [msgspec.json.decode(one.after)["tags"] for one in record] == [[tag], []]
    assert {one.action for one in record} == {"contact.tags"}
    assert (await world.call("PUT", f"/contacts/{session.contact}/tags/none", "amy")).status == 404


async def test_b29_two_tags_given_at_once_both_stay(world: World) -> None:
    tags = [await a_tag(world, f"T{n}") for n in range(5)]
    session = await world.writes("hello")
    paths = [f"/contacts/{session.contact}/tags/{tag}" for tag in tags]
    done = await asyncio.gather(*(world.call("PUT", path, "amy") for path in paths))
    assert {one.status for one in done} == {200}
    assert set((await contact(world, session.contact)).tags) == set(tags)


async def test_many_contacts_are_tagged_at_once_each_for_itself(world: World) -> None:
    red, blue = await a_tag(world, "red"), await a_tag(world, "blue")
    ids = await some_contacts(world, 3, red)
    body = {"contacts": [*ids, "nobody"], "add": [blue], "take": [red]}
    for changed in (3, 0):
        done = (await world.call("POST", "/contacts/tags", "amy", body=body)).json
        assert (done["done"], done["changed"]) == (3, changed)
        assert [item["done"] for item in done["items"]] == [True, True, True, False]
        assert done["items"][-1]["problem"]["code"] == "not_found"
    assert {(await contact(world, one)).tags for one in ids} == {(blue,)}
    [entry] = [one for one in await world.audited() if one.object == "contacts"]
    assert (entry.action, entry.actor) == ("contact.tags", "agent:agt-amy")
    assert msgspec.json.decode(entry.after) == body


async def test_a_hundred_tags_are_enough_for_one_contact(world: World) -> None:
    ids = await some_contacts(world, 1)
    one = await contact(world, ids[0])
    tags = tuple(f"gone-{n}" for n in range(100))
    await world.store.replace(CONTACTS, msgspec.structs.replace(one, tags=tags))
    done = await world.call("PUT", f"/contacts/{ids[0]}/tags/{await a_tag(world)}", "amy")
    assert (done.status, done.json["code"]) == (409, "too_many")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown tag to add": ({"add": ["{tag}", "none"]}, "add.1"),
    "an unknown tag to take": ({"take": ["none"]}, "take.0"),
    "a tag both added and taken": ({"add": ["{tag}"], "take": ["{tag}"]}, "take.0"),
    "nobody": ({"contacts": []}, "contacts"),
    "too many": ({"contacts": ["c"] * 501}, "contacts"),
}


@pytest.mark.parametrize(("body", "field"), WRONG.values(), ids=WRONG)
async def test_what_cannot_be_done_names_the_field(
    world: World, body: dict[str, Any], field: str
) -> None:
    tag = await a_tag(world)
    text = msgspec.json.encode({"contacts": ["c"], **body}).replace(b"{tag}", tag.encode())
    done = await world.call("POST", "/contacts/tags", "amy", raw=text)
    assert (done.status, done.json["facts"]["field"]) == (422, field)
    assert done.json["facts"]["allowed"]
