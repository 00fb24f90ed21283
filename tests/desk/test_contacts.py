"""Contacts: zone and fields that people set, the list, and merged contacts (B27, B29)."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import Any, Literal

import msgspec
import pytest

from libs.common.documents import COLLECTIONS, CONTACTS, IDENTITIES, Contact, Identity, Moment
from libs.common.store.open import open_store
from services.desk import contact_list
from services.desk.contact_list import ContactFilter, page_of_contacts
from services.router.contacts import Heard, News, tell
from tests.desk.test_tags import a_tag
from tests.desk.world import NOW, World


async def stored(world: World, contact_id: str) -> Contact:
    found = await world.store.get(CONTACTS, world.workspace, contact_id)
    assert found is not None
    return found


async def test_b27_one_field_is_changed_and_the_others_stay(world: World) -> None:
    session = await world.writes("hello")
    path = f"/contacts/{session.contact}"
    first = await world.call(
        "PATCH", path, "amy", body={"zone": "Asia/Tokyo", "fields": {"plan": "gold", "age": "40"}}
    )
    assert first.status == 200, first.body
    done = await world.call("PATCH", path, "bob", body={"fields": {"age": None, "city": "Oslo"}})
    assert done.json["fields"] == {"city": "Oslo", "plan": "gold"}
    assert (done.json["zone"], done.json["name"]) == ("Asia/Tokyo", "Visitor U1")
    assert (await world.get(path))["fields"] == done.json["fields"]
    assert (await world.call("PATCH", path, "bob", body={"zone": ""})).json["zone"] == ""


async def test_b27_of_two_editors_the_stale_one_is_told_and_nothing_is_lost(world: World) -> None:
    session = await world.writes("hello")
    path = f"/contacts/{session.contact}"
    seen = {"If-Match": (await world.call("GET", path, "amy")).headers["ETag"]}
    amy = await world.call("PATCH", path, "amy", body={"fields": {"a": "1"}}, headers=seen)
    bob = await world.call("PATCH", path, "bob", body={"fields": {"a": "2"}}, headers=seen)
    assert (amy.status, bob.status, bob.json["code"]) == (200, 412, "changed_meanwhile")
    assert (await stored(world, session.contact)).fields == {"a": "1"}
    again = {"If-Match": amy.headers["ETag"]}
    bob = await world.call("PATCH", path, "bob", body={"fields": {"a": "2"}}, headers=again)
    assert bob.status == 200


async def test_b27_what_people_and_the_channel_write_at_once_both_stand(world: World) -> None:
    session = await world.writes("hello")
    path = f"/contacts/{session.contact}"
    edits = [world.call("PATCH", path, "amy", body={"fields": {f"f{n}": "x"}}) for n in range(3)]
    heard = [
        tell(
            world.store,
            world.workspace,
            {session.contact: news(name=f"Name {n}", phone=f"+4{n}")},
        )
        for n in range(3)
    ]
    answers, _ = await asyncio.gather(asyncio.gather(*edits), asyncio.gather(*heard))
    assert {one.status for one in answers} == {200}
    found = await stored(world, session.contact)
    assert set(found.fields) == {f"f{n}" for n in range(3)}
    assert found.phone.startswith("+4")


def news(**facts: str) -> News:
    """Return what a channel tells later than anything before."""
    at = Moment(at=NOW.replace(year=2100))
    return {name: Heard(value=value, at=at) for name, value in facts.items()}


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "a zone that there is not": ({"zone": "Mars/Olympus"}, 422, "zone"),
    "a zone of the host": ({"zone": "localtime"}, 422, "zone"),
    "a field that is not known": ({"age": 3}, 422, "age"),
    "a value that is no text": ({"fields": {"age": 3}}, 422, "fields.age"),
    "a value of 1,001 characters": ({"fields": {"a": "x" * 1001}}, 422, "fields.a"),
    "a name of 61 characters": ({"fields": {"x" * 61: "1"}}, 422, f"fields.{'x' * 60}"),
    "a blank name": ({"fields": {" ": "1"}}, 422, "fields. "),
    "a name that no variable could have": ({"fields": {"a|b": "1"}}, 422, "fields.a|b"),
    "a name of two lines": ({"fields": {"a\nb": "1"}}, 422, "fields.a\nb"),
    "101 fields at once": ({"fields": {f"f{n}": "1" for n in range(101)}}, 422, "fields"),
}


@pytest.mark.parametrize(("body", "status", "field"), WRONG.values(), ids=WRONG)
async def test_what_cannot_be_kept_names_the_field(
    world: World, body: dict[str, Any], status: int, field: str
) -> None:
    session = await world.writes("hello")
    done = await world.call("PATCH", f"/contacts/{session.contact}", "amy", body=body)
    assert (done.status, done.json["facts"]["field"]) == (status, field)
    assert done.json["facts"]["allowed"]
    assert (await stored(world, session.contact)).fields == {}


async def test_a_hundred_fields_are_enough(world: World) -> None:
    session = await world.writes("hello")
    path = f"/contacts/{session.contact}"
    first, more = [
        await world.call("PATCH", path, "amy", body={"fields": {f"f{n}": "1" for n in some}})
        for some in (range(60), range(60, 120))
    ]
    assert (first.status, more.status, more.json["code"]) == (200, 409, "too_many")
    assert len((await stored(world, session.contact)).fields) == 60


# --- the list ------------------------------------------------------------------------------------

TAGS = ("t1", "t2", "t3")
CHANNELS = ("line", "web", "whatsapp")


async def test_an_address_that_people_set_holds_against_what_channels_tell(world: World) -> None:
    session = await world.writes("hello")
    path = f"/contacts/{session.contact}"
    edit = {"email": "eve@example.org"}
    assert (await world.call("PATCH", path, "amy", body=edit)).json["email"] == "eve@example.org"
    told_again = {session.contact: news(email="typo@example.org", phone="+49")}
    await tell(world.store, world.workspace, told_again)
    found = await stored(world, session.contact)
    assert (found.email, found.email_by, found.phone) == ("eve@example.org", "agt-amy", "+49")
    [record] = [one for one in await world.audited() if one.action == "contact.patch"]
    told_of = [msgspec.json.decode(one)["email"] for one in (record.before, record.after)]
    assert told_of == ["", "eve@example.org"]
    await world.call("PATCH", path, "amy", body={"email": ""})
    await tell(world.store, world.workspace, told_again)
    assert (await stored(world, session.contact)).email == "typo@example.org"


@pytest.mark.parametrize("email", ["eve", "eve@localhost", "e ve@example.org", "a@b.c\r\nX: y"])
async def test_what_is_no_address_names_the_field(world: World, email: str) -> None:
    session = await world.writes("hello")
    answer = await world.call("PATCH", f"/contacts/{session.contact}", "amy", body={"email": email})
    assert (answer.status, answer.json["facts"]["field"]) == (422, "email"), answer.body
    assert (await stored(world, session.contact)).email == ""


def people() -> tuple[list[Contact], list[Identity]]:
    """Return contacts of every set of tags on every set of channels, in no order of ids."""
    sets = [s for n in range(4) for s in itertools.combinations(TAGS, n)]
    places = [s for n in range(3) for s in itertools.combinations(CHANNELS, n)]
    pairs = list(itertools.product(sets, places)) * 2
    random.Random(7).shuffle(pairs)  # noqa: S311  the same mess each time
    contacts, identities = [], []
    for n, (tags, channels) in enumerate(pairs):
        merged = None if channels or n % 3 else "con-000"
        contacts.append(
            Contact(
                id=f"con-{n:03}",
                workspace="acme",
                first_seen_at=NOW,
                tags=tags,
                merged_into=merged,
            )
        )
        identities += [
            Identity(
                id=f"idn-{n}-{channel}",
                workspace="acme",
                account=f"{channel}-1",
                channel=channel,
                visitor=f"U{n}",
                contact=f"con-{n:03}",
                first_seen_at=NOW,
            )
            for channel in channels
        ]
    return contacts, identities


Match = Literal["any", "all"]
FILTERS: dict[str, tuple[tuple[str, ...], Match, tuple[str, ...]]] = {
    "everybody": ((), "any", ()),
    "one tag": (("t1",), "any", ()),
    "one of two tags": (("t1", "t3"), "any", ()),
    "one of three tags": (TAGS, "any", ()),
    "two tags": (("t1", "t3"), "all", ()),
    "all three tags": (TAGS, "all", ()),
    "a channel": ((), "any", ("web",)),
    "one of two channels": ((), "any", ("web", "line")),
    "a tag on a channel": (("t2",), "any", ("web",)),
    "two tags on a channel": (("t1", "t2"), "all", ("line",)),
    "one of two tags on a channel": (("t1", "t2"), "any", ("line",)),
}


@pytest.mark.parametrize("limit", [1, 3, 7, 200])
@pytest.mark.parametrize(("tags", "match", "channels"), FILTERS.values(), ids=FILTERS)
async def test_b29_page_by_page_it_is_what_a_plain_scan_finds(
    ready_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tags: tuple[str, ...],
    match: Match,
    channels: tuple[str, ...],
    limit: int,
) -> None:
    monkeypatch.setattr(contact_list, "SCAN_LIMIT", 20)
    contacts, identities = people()
    hold = {"any": any, "all": all}[match]
    wanted = [
        one.id
        for one in contacts
        for on in [{i.channel for i in identities if i.contact == one.id}]
        if one.merged_into is None
        and (not tags or hold(tag in one.tags for tag in tags))
        and (not channels or on & set(channels))
    ]
    async with open_store(ready_url, COLLECTIONS) as store:
        assert await store.insert_many(CONTACTS, contacts) == {}
        assert await store.insert_many(IDENTITIES, identities) == {}
        asked = ContactFilter(tags=tags, match=match, channels=channels)
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page = await page_of_contacts(store, "acme", asked, after=after, limit=limit)
            assert len(page.rows) <= limit
            found += [row.contact.id for row in page.rows]
            after = page.next
    assert found == sorted(wanted)
    assert found


async def test_the_list_pages_through_everybody_and_names_an_unknown_tag(world: World) -> None:
    ids = {(await world.writes("hello", visitor=f"U{n}")).contact for n in range(5)}
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = await world.get("/contacts", limit=2, cursor=page["next"])
        found += page["items"]
    assert [one["id"] for one in found] == sorted(ids)
    assert {one["channels"][0] for one in found} == {"line"}
    for query, field in ((("tag", "none"), "tag.0"), (("channel", "fax"), "channel")):
        answer = await world.call("GET", "/contacts", "amy", query=[query])
        assert (answer.status, answer.json["facts"]["field"]) == (422, field)
    tag = await a_tag(world)
    assert (await world.get("/contacts", tag=tag))["items"] == []
