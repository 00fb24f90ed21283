"""Two contacts made one and taken apart again, whoever breaks off or writes at the same time."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.contact_documents import CONTACT_MERGES, ContactMerge
from libs.common.documents import CONTACTS, IDENTITIES, SESSIONS, Contact
from libs.common.ids import derive_id
from libs.common.store.api import Page
from services.router.contacts import tell
from services.router.older import older
from tests.desk.test_contact_notes import about
from tests.desk.test_contacts import news, stored
from tests.desk.test_tags import a_tag
from tests.desk.world import Answer, World, ago


async def merge(world: World, into: str, source: str, who: str = "amy", key: str = "") -> Answer:
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    body = {"from": source}
    return await world.call("POST", f"/contacts/{into}/merge", who, body=body, headers=headers)


async def unmerge(world: World, source: str) -> Answer:
    return await world.call("POST", f"/contacts/{source}/unmerge", "amy", body={})


async def contact_of(world: World, visitor: str, channel: str = "line") -> str:
    identity = derive_id("idn", world.workspace, world.slug(channel), visitor)
    found = await world.store.get(IDENTITIES, world.workspace, identity)
    assert found is not None
    return found.contact


async def sessions_of(world: World, contact: str) -> set[str]:
    page = Page(order="contact", limit=100)
    found = await world.store.find(SESSIONS, world.workspace, {"contact": contact}, page)
    return {one.visitor for one in found}


async def two(world: World) -> tuple[str, str]:
    """Return two contacts: U1 with a zone and a plan, U2 with a city, another plan and a number."""
    one = (await world.writes("hello", visitor="U1")).contact
    other = (await world.writes("hello too", visitor="U2")).contact
    first = {"zone": "Asia/Tokyo", "fields": {"plan": "gold"}}
    second = {"phone": "+4915112345678", "fields": {"plan": "tin", "city": "Oslo"}}
    for contact, body in ((one, first), (other, second)):
        assert (await world.call("PATCH", f"/contacts/{contact}", "amy", body=body)).status == 200
    return one, other


async def test_d24_nobody_splits_who_would_then_be_out_of_their_scope(world: World) -> None:
    into = (await world.writes("hello", visitor="U1")).contact
    web = (await world.writes("hello", channel="web", visitor="W1")).contact
    assert (await merge(world, into, web, "lena")).status == 200
    limits = {"channels": ["line"]}
    assert (await world.call("PATCH", "/agents/agt-amy", "adam", body=limits)).status == 200
    assert (await unmerge(world, web)).status == 404
    assert (await stored(world, web)).merged_into == into
    assert not [one for one in await world.audited() if one.action == "contact.unmerge"]


async def test_merged_contacts_are_one_and_the_target_wins(world: World) -> None:
    one, other = await two(world)
    tag = await a_tag(world)
    await world.call("PUT", f"/contacts/{other}/tags/{tag}", "amy")
    await about(world, other, "likes tea")
    done = await merge(world, one, other, key="k")
    assert done.status == 200, done.body
    shown = done.json
    assert (shown["name"], shown["phone"]) == ("Visitor U1", "+4915112345678")
    assert shown["fields"] == {"plan": "gold", "city": "Oslo"}
    assert [held["id"] for held in shown["tags"]] == [tag]
    assert {identity["visitor"] for identity in shown["identities"]} == {"U1", "U2"}
    assert await sessions_of(world, one) == {"U1", "U2"}
    assert (await world.get(f"/contacts/{other}"))["merged_into"] == one
    assert [row["id"] for row in (await world.get("/contacts"))["items"]] == [one]
    notes = (await world.get(f"/contacts/{one}/notes"))["items"]
    assert [note["text"] for note in notes] == ["likes tea"]
    assert (await merge(world, one, other, key="k")).json == shown
    assert (await merge(world, one, other)).json["id"] == one
    [record] = [entry for entry in await world.audited() if entry.action == "contact.merge"]
    assert record.object == f"contact:{one}"
    assert (record.actor, msgspec.json.decode(record.after)["from"]) == ("agent:agt-amy", other)
    refused = await world.call("PATCH", f"/contacts/{other}", "amy", body={"zone": ""})
    assert (refused.status, refused.json["code"]) == (409, "merged")


async def test_what_was_merged_writes_on_in_the_one_contact(world: World) -> None:
    one, other = await two(world)
    assert (await merge(world, one, other)).status == 200
    ended = await world.writes("and more", visitor="U2")
    assert ended.contact == one
    await tell(world.store, world.workspace, {other: news(language="th")})
    assert (await stored(world, one)).language == "th"
    assert (await stored(world, other)).language == ""


async def test_an_undone_merge_gives_back_what_it_took_and_keeps_what_came_since(
    world: World,
) -> None:
    one, other = await two(world)
    before = await stored(world, one), await stored(world, other)
    tag, later = await a_tag(world, "old"), await a_tag(world, "new")
    await world.call("PUT", f"/contacts/{other}/tags/{tag}", "amy")
    assert (await merge(world, one, other)).status == 200
    await world.call("PUT", f"/contacts/{one}/tags/{later}", "amy")
    await world.call("PATCH", f"/contacts/{one}", "amy", body={"fields": {"city": "Bergen"}})
    await world.writes("since", visitor="U3")
    done = await unmerge(world, other)
    assert done.status == 200, done.body
    now = await stored(world, one), await stored(world, other)
    assert (now[0].tags, now[1].tags) == ((later,), (tag,))
    assert (now[0].phone, now[1].phone) == ("", before[1].phone)
    assert now[0].fields == {"plan": "gold", "city": "Bergen"}
    assert now[1].fields == before[1].fields
    assert {contact.merged_into for contact in now} == {None}
    assert {contact.merging for contact in now} == {""}
    assert (await contact_of(world, "U1"), await contact_of(world, "U2")) == (one, other)
    assert (await sessions_of(world, one), await sessions_of(world, other)) == ({"U1"}, {"U2"})
    assert (await unmerge(world, other)).status == 200
    assert [e.action for e in await world.audited()].count("contact.unmerge") == 1
    assert (await merge(world, other, one)).status == 200  # and again, the other way round
    assert await sessions_of(world, other) == {"U1", "U2"}


async def test_of_a_chain_of_merges_the_first_is_undone_alone(world: World) -> None:
    one, other = await two(world)
    third = (await world.writes("hi", visitor="U3")).contact
    assert (await merge(world, one, other)).status == 200
    assert (await merge(world, third, one)).status == 200
    listed = (await world.get(f"/contacts/{third}/merges"))["items"]
    assert [(row["source"], row["target"]) for row in listed] == [(one, third), (other, one)]
    assert (await unmerge(world, other)).status == 200
    assert await sessions_of(world, other) == {"U2"}
    assert await sessions_of(world, third) == {"U1", "U3"}
    found = await stored(world, third)
    assert (found.phone, found.fields, found.zone) == ("", {"plan": "gold"}, "Asia/Tokyo")


class Dying:
    """A store whose process dies before a write of what a merge writes, the one after *writes*."""

    def __init__(self, world: World, writes: int) -> None:
        self._replace = world.desk.store.port.replace
        self._left = writes

    async def replace(self, collection: Any, doc: Any) -> Any:
        if collection.name in {CONTACTS.name, IDENTITIES.name, CONTACT_MERGES.name}:
            self._left -= 1
            if self._left < 0:
                raise RuntimeError("the process dies here")
        return await self._replace(collection, doc)


BROKEN: dict[str, tuple[bool, bool]] = {
    "a merge, repeated with its key": (False, True),
    "a merge, asked for anew": (False, False),
    "an undone merge": (True, False),
}


@pytest.mark.parametrize(("undo", "same_key"), BROKEN.values(), ids=BROKEN)
async def test_what_breaks_off_at_any_write_is_finished_by_a_repeat(
    world: World, monkeypatch: pytest.MonkeyPatch, undo: bool, same_key: bool
) -> None:
    for writes in itertools.count():
        names = [f"{writes}-{n}" for n in range(2)]
        one, other = [(await world.writes("hi", visitor=name)).contact for name in names]
        if undo:
            assert (await merge(world, one, other)).status == 200
        keys = ["k1" + names[0], ("k1" if same_key else "k2") + names[0]]
        asks = [
            unmerge(world, other) if undo else merge(world, one, other, key=key) for key in keys
        ]
        with monkeypatch.context() as patched:
            patched.setattr(world.desk.store.port, "replace", Dying(world, writes).replace)
            first = await asks[0]
        second = await asks[1]
        assert second.status == 200, (writes, second.body)
        where = [await contact_of(world, name) for name in names]
        assert where == ([one, other] if undo else [one, one]), writes
        assert await sessions_of(world, one) == set(names[: 1 if undo else 2])
        contacts = [await stored(world, id_) for id_ in (one, other)]
        assert [contact.merging for contact in contacts] == ["", ""], writes
        assert contacts[1].merged_into == (None if undo else one)
        if first.status == 200:
            break
    assert writes > 4  # it did break off in between


async def test_merges_that_cross_each_other_leave_every_visitor_with_one_contact(
    world: World,
) -> None:
    for turn in range(4):
        names = [f"{turn}-{n}" for n in range(3)]
        ids = [(await world.writes("hi", visitor=name)).contact for name in names]
        pairs = [(0, 1), (1, 0), (1, 2), (2, 0)]
        answers = await asyncio.gather(*(merge(world, ids[a], ids[b]) for a, b in pairs))
        assert {answer.status for answer in answers} <= {200, 409}
        contacts = {id_: await stored(world, id_) for id_ in ids}
        assert any(answer.status == 200 for answer in answers)
        assert {contact.merging for contact in contacts.values()} == {""}
        roots = [id_ for id_, contact in contacts.items() if contact.merged_into is None]
        assert roots
        for name in names:
            assert await contact_of(world, name) in roots
        for id_ in ids:
            expected = {n for n in names if await contact_of(world, n) == id_}
            assert await sessions_of(world, id_) == expected


async def test_what_a_visitor_writes_during_a_merge_is_the_one_contacts(world: World) -> None:
    one, other = await two(world)
    ended = await world.writes("hello too", visitor="U2")
    await world.do("end", ended.id, "lena")
    fresh = world.writes("again", visitor="U2")
    done, *_ = await asyncio.gather(
        merge(world, one, other),
        fresh,
        tell(world.store, world.workspace, {other: news(language="th")}),
    )
    assert done.status == 200, done.body
    assert await sessions_of(world, other) == set()
    assert await contact_of(world, "U2") == one


async def test_what_a_channel_said_in_the_middle_of_a_merge_holds(world: World) -> None:
    holds, former, target = [
        (await world.writes("hello", visitor=visitor, at=ago(9 - n))).contact
        for n, visitor in enumerate(("U1", "U2", "U3"))
    ]
    record = ContactMerge(
        id="mrg-1",
        workspace=world.workspace,
        source=former,
        target=target,
        by="agt",
        at=datetime.now(UTC),
    )
    await world.store.insert(CONTACT_MERGES, record)
    for one in (former, target):  # it broke off here
        held = msgspec.structs.replace(await stored(world, one), merging=record.id)
        await world.store.replace(CONTACTS, held)
    assert await older(world.store, world.workspace, former, holds) == (holds, former)
    answer = await merge(world, target, former)
    assert (answer.status, answer.json["code"]) == (409, "merged")
    assert answer.json["facts"]["into"] == holds
    assert (await stored(world, former)).merged_into == holds
    assert [(await stored(world, one)).merging for one in (former, target)] == ["", ""]


async def test_duplicates_have_the_same_address_or_number(world: World) -> None:
    one, other = await two(world)
    third = (await world.writes("hi", visitor="U3")).contact
    number = {"phone": "0049 151 1234 5678"}
    address = {"email": "Eve@Example.org"}
    await world.call("PATCH", f"/contacts/{one}", "amy", body={**number, **address})
    await world.call("PATCH", f"/contacts/{third}", "amy", body={"email": "eve@example.org"})
    found = (await world.get(f"/contacts/{one}/duplicates"))["items"]
    assert {row["contact"]["id"]: row["by"] for row in found} == {
        other: ["phone"],
        third: ["email"],
    }
    assert (await merge(world, one, other)).status == 200
    found = (await world.get(f"/contacts/{one}/duplicates"))["items"]
    assert [row["contact"]["id"] for row in found] == [third]


REFUSED: dict[str, tuple[str, str, int, str]] = {
    "with itself": ("one", "one", 422, "invalid_input"),
    "with nobody": ("one", "con-nobody", 422, "invalid_input"),
    "into nobody": ("con-nobody", "one", 404, "not_found"),
    "of who is part of a third": ("third", "other", 409, "merged"),
    "into who is part of a third": ("other", "third", 409, "merged"),
}


@pytest.mark.parametrize(("into", "source", "status", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_merge_is_refused(
    world: World, into: str, source: str, status: int, code: str
) -> None:
    one, other = await two(world)
    third = (await world.writes("hi", visitor="U3")).contact
    assert (await merge(world, one, other)).status == 200
    ids = {"one": one, "other": other, "third": third}
    answer = await merge(world, ids.get(into, into), ids.get(source, source))
    assert (answer.status, answer.json["code"]) == (status, code), answer.body


async def test_what_a_channel_united_is_not_undone_by_hand(world: World) -> None:
    one, other = await two(world)
    found: Contact = await stored(world, other)
    await world.store.replace(CONTACTS, msgspec.structs.replace(found, merged_into=one))
    answer = await unmerge(world, other)
    assert (answer.status, answer.json["code"]) == (409, "not_merged_here")
