"""Facts of contacts that people set, fields that a workspace defines, filters of the list."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest

from libs.common.contact_facts import age_on, fact
from libs.common.contact_keys import keyed, phone_key
from libs.common.documents import AGENTS, CONTACTS, Contact
from services.router.contacts import tell
from tests.desk.test_contacts import news, stored
from tests.desk.test_tags import a_tag
from tests.desk.world import Answer, World

FACTS: dict[str, Any] = {
    "name": "Eve Adams",
    "email": "eve@example.org",
    "phone": "+4915112345678",
    "gender": "female",
    "birthday": "1990-02-28",
    "language": "pt-BR",
    "zone": "Asia/Tokyo",
    "ref": "crm-7",
}


async def edit(world: World, contact: str, who: str = "amy", **body: Any) -> Answer:
    return await world.call("PATCH", f"/contacts/{contact}", who, body=body)


async def test_b27_every_fact_is_set_shown_and_found_by(world: World) -> None:
    session = await world.writes("hello")
    done = await edit(world, session.contact, **{**FACTS, "phone": "+49 (0)151 12345678"})
    assert done.status == 200, done.body
    assert {name: done.json[name] for name in FACTS} == FACTS
    assert done.json["age"] == age_on("1990-02-28", datetime.now(UTC).date())
    assert done.json["first_seen_at"]
    assert set(done.json["set_by"]) == {"name", "email", "phone", "language"}
    for query in ({"ref": "crm-7"}, {"email": "EVE@example.org"}, {"phone": "0049151 12345678"}):
        assert [row["id"] for row in (await world.get("/contacts", **query))["items"]] == [
            session.contact
        ]
    found = await stored(world, session.contact)
    assert {"eve", "adams", "4915112345678"} <= set(found.words)
    assert (await edit(world, session.contact, ref="", birthday="")).json["age"] is None


@pytest.mark.parametrize("fact", ["name", "phone", "email", "language"])
async def test_b27_a_fact_that_a_person_set_is_not_overwritten_by_a_channel(
    world: World, fact: str
) -> None:
    session = await world.writes("hello")
    told = {
        "name": "From Line",
        "phone": "+4930123456",
        "email": "line@example.org",
        "language": "th",
    }
    heard = {session.contact: news(**told)}
    assert (await edit(world, session.contact, **{fact: FACTS[fact]})).status == 200
    await tell(world.store, world.workspace, heard)
    found = await stored(world, session.contact)
    for name, value in told.items():
        assert getattr(found, name) == (FACTS[fact] if name == fact else value), name
    assert found.phone_key == phone_key(found.phone)
    assert (await edit(world, session.contact, **{fact: ""})).json["set_by"] == {}
    await tell(world.store, world.workspace, heard)
    assert getattr(await stored(world, session.contact), fact) == told[fact]


async def test_b27_a_name_that_a_person_gave_stands_wherever_the_session_does(world: World) -> None:
    session = await world.writes("Hello?", visitor="V-named")
    assert (await edit(world, session.contact, name="Marie Curie")).status == 200
    rows = (await world.get("/sessions", "amy"))["items"]
    assert [row["contact"]["name"] for row in rows if row["id"] == session.id] == ["Marie Curie"]
    shown = await world.get(f"/sessions/{session.id}", "amy")
    taken = await world.call("POST", f"/sessions/{session.id}/claim", "amy", body={})
    assert shown["contact"]["name"] == taken.json["contact"]["name"] == "Marie Curie"


async def test_b27_who_wrote_last_and_when_is_told_apart_from_what_agents_did(world: World) -> None:
    session = await world.writes("Still there?", visitor="V-seen")
    await world.call("POST", f"/sessions/{session.id}/messages", "amy", body={"text": "Yes"})
    stands = await world.session(session.id)
    [one] = (await world.get(f"/contacts/{session.contact}"))["sessions"]
    wrote, changed = (datetime.fromisoformat(one[k]) for k in ("last_inbound_at", "updated_at"))
    assert wrote == stands.last_inbound_at
    assert wrote < changed


async def test_b27_two_editors_race_and_no_update_is_lost(world: World) -> None:
    session = await world.writes("hello")
    path = f"/contacts/{session.contact}"
    for turn in range(5):
        seen = {"If-Match": (await world.call("GET", path, "amy")).headers["ETag"]}
        bodies = {"amy": {"name": f"Amy's {turn}"}, "bob": {"zone": "Asia/Tokyo", "ref": f"{turn}"}}
        answers = await asyncio.gather(
            *(world.call("PATCH", path, w, body=b, headers=seen) for w, b in bodies.items())
        )
        assert sorted(answer.status for answer in answers) == [200, 412]
        [won] = [answer.json for answer in answers if answer.status == 200]
        assert (await world.get(path)) == won


WRONG: dict[str, dict[str, str]] = {
    "a name of two lines": {"name": "Eve\nAdams"},
    "a number of four digits": {"phone": "1234"},
    "a number with letters": {"phone": "12345 call me"},
    "an address of nowhere": {"email": "eve@localhost"},
    "a day that there is not": {"birthday": "2023-02-29"},
    "a birthday that has not been": {"birthday": "2999-01-01"},
    "a birthday the other way round": {"birthday": "28.02.1990"},
    "a gender that is not listed": {"gender": "f"},
    "a language that is none": {"language": "Portuguese (Brazil)"},
    "a zone that there is not": {"zone": "Mars/Olympus"},
    "a ref that is too long": {"ref": "x" * 101},
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
async def test_what_cannot_be_a_fact_names_the_field(world: World, body: dict[str, str]) -> None:
    session = await world.writes("hello")
    before = await stored(world, session.contact)
    done = await edit(world, session.contact, **body)
    assert (done.status, done.json["facts"]["field"]) == (422, *body)
    assert done.json["facts"]["allowed"]
    made = await world.call("POST", "/contacts", "amy", body={"name": "Eve", **body})
    assert (made.status, made.json["facts"]["field"]) == (422, *body)
    assert await stored(world, session.contact) == before


TAGS = {
    "another case": ("EN-us", "en-US"),
    "as some channels write it": ("pt_br", "pt-BR"),
    "with a script": ("ZH_hant_tw", "zh-Hant-TW"),
    "a language alone": ("TH", "th"),
    "none": ("", ""),
}


@pytest.mark.parametrize(("told", "kept"), TAGS.values(), ids=TAGS)
def test_b27_a_language_is_one_however_its_tag_is_written(told: str, kept: str) -> None:
    who = Contact(id="c", workspace="w", language=told, first_seen_at=datetime.now(UTC))
    assert keyed(who).language == kept
    assert (fact("language", told) or "") == kept


async def test_b27_contacts_are_filtered_by_language_however_it_is_written(world: World) -> None:
    session = await world.writes("hello")
    assert (await edit(world, session.contact, language="EN-us")).json["language"] == "en-US"
    for tag in ("en-US", "EN_us"):
        [row] = (await world.get("/contacts", language=tag))["items"]
        assert row["id"] == session.contact


AGES = {
    "the day before": ("1990-03-01", date(2026, 2, 28), 35),
    "on the day": ("1990-03-01", date(2026, 3, 1), 36),
    "a leap day in a common year": ("2000-02-29", date(2026, 2, 28), 25),
    "not born yet": ("2030-01-01", date(2026, 3, 1), None),
    "no year": ("--03-01", date(2026, 3, 1), None),
}


@pytest.mark.parametrize(("birthday", "day", "age"), AGES.values(), ids=AGES)
def test_b27_the_age_is_derived(birthday: str, day: date, age: int | None) -> None:
    assert age_on(birthday, day) == age


async def test_b27_a_contact_is_made_by_hand_once(world: World) -> None:
    tag = await a_tag(world)
    body = {**FACTS, "tags": [tag], "fields": {"plan": "gold"}}
    key = {"Idempotency-Key": "k"}
    made = await world.call("POST", "/contacts", "amy", body=body, headers=key)
    again = await world.call("POST", "/contacts", "amy", body=body, headers=key)
    other = await world.call("POST", "/contacts", "amy", body={"name": "x"}, headers=key)
    assert (made.status, again.status, other.status) == (201, 200, 409)
    assert made.json == again.json
    assert {name: made.json[name] for name in FACTS} == FACTS
    assert (made.json["identities"], made.json["fields"]) == ([], {"plan": "gold"})
    taken = await world.call("POST", "/contacts", "amy", body={"ref": "crm-7"})
    assert (taken.status, taken.json["code"]) == (409, "ref_taken")
    assert taken.json["facts"]["id"] == made.json["id"]
    session = await world.writes("hello")
    taken = await edit(world, session.contact, ref="crm-7")
    assert (taken.status, taken.json["code"]) == (409, "ref_taken")
    limits = {"channels": ["web"]}
    assert (await world.call("PATCH", "/agents/agt-bob", "adam", body=limits)).status == 200
    web = await world.writes("hello", channel="web", visitor="W")
    held = await edit(world, session.contact, ref="crm-8")
    assert held.status == 200
    hidden = await world.call("PATCH", f"/contacts/{web.contact}", "bob", body={"ref": "crm-8"})
    assert (hidden.status, hidden.json["facts"]["id"]) == (409, "")
    nobody = await world.call("POST", "/contacts", "amy", body={"zone": "Asia/Tokyo"})
    assert (nobody.status, nobody.json["facts"]["field"]) == (422, "name")
    listed = {row["id"] for row in (await world.get("/contacts"))["items"]}
    assert listed == {made.json["id"], session.contact, web.contact}


# --- fields that are defined ---------------------------------------------------------------------

TYPED: dict[str, tuple[dict[str, Any], dict[str, str], tuple[str, ...]]] = {
    "number": ({"type": "number"}, {"12": "12", " -3.5 ": "-3.5"}, ("a dozen", "1_0", "NaN", "")),
    "boolean": ({"type": "boolean"}, {"true": "true", "No": "false"}, ("maybe", "")),
    "date": ({"type": "date"}, {"2024-02-29": "2024-02-29"}, ("2023-02-29", "--02-01", "soon")),
    "choice": (
        {"type": "choice", "choices": ["Gold", "Tin"]},
        {"gold": "Gold", "Tin": "Tin"},
        ("silver", ""),
    ),
    "url": (
        {"type": "url"},
        {"https://example.org/a?b": "https://example.org/a?b"},
        ("javascript:alert(1)", "https://", "http://a b", "example.org"),
    ),
    "text": ({"type": "text"}, {"any thing": "any thing", "": ""}, ()),
}


@pytest.mark.parametrize(("definition", "right", "wrong"), TYPED.values(), ids=TYPED)
async def test_b27_values_are_checked_by_the_fields_type(
    world: World, definition: dict[str, Any], right: dict[str, str], wrong: tuple[str, ...]
) -> None:
    body = {"name": "it", **definition}
    made = await world.call("POST", "/contact-fields", "lena", body=body)
    assert made.status == 201, made.body
    session = await world.writes("hello")
    for given, kept in right.items():
        done = await edit(world, session.contact, fields={"it": given, "free": "anything"})
        assert (done.status, done.json["fields"]) == (200, {"it": kept, "free": "anything"})
    for given in wrong:
        done = await edit(world, session.contact, fields={"it": given})
        assert (done.status, done.json["facts"]["field"]) == (422, "fields.it"), given
    assert (await edit(world, session.contact, fields={"it": None})).json["fields"] == {
        "free": "anything"
    }


async def test_b27_fields_are_defined_changed_and_taken_away(world: World) -> None:
    body = {"name": "plan", "type": "choice", "choices": ["Gold"], "order": 2}
    agent = await world.call("POST", "/contact-fields", "amy", body=body)
    assert agent.status == 403
    made = await world.call("POST", "/contact-fields", "lena", body=body)
    taken = await world.call("POST", "/contact-fields", "lena", body={"name": "plan"})
    assert (taken.status, taken.json["facts"]["id"]) == (409, made.json["id"])
    await world.call("POST", "/contact-fields", "lena", body={"name": "zip", "order": 1})
    names = [one["name"] for one in (await world.get("/contact-fields"))["items"]]
    assert names == ["zip", "plan"]
    session = await world.writes("hello")
    assert (await edit(world, session.contact, fields={"plan": "gold"})).status == 200
    path = f"/contact-fields/{made.json['id']}"
    for change, field in (
        ({"name": "x"}, "name"),
        ({"choices": []}, "choices"),
        ({"type": "text"}, "choices"),
        ({"choices": ["a", "A"]}, "choices"),
    ):
        refused = await world.call("PATCH", path, "lena", body=change)
        assert (refused.status, refused.json["facts"]["field"]) == (422, field)
    seen = {"If-Match": made.headers["ETag"]}
    label = {"label": "Contract"}
    done = [
        await world.call("PATCH", path, "lena", body=label | {"order": n}, headers=seen)
        for n in (3, 4)
    ]
    assert [one.status for one in done] == [200, 412]
    assert (await world.get(path))["label"] == "Contract"
    assert (await world.call("DELETE", path, "lena")).status == 204
    assert (await world.get(f"/contacts/{session.contact}"))["fields"] == {"plan": "Gold"}
    assert (await edit(world, session.contact, fields={"plan": "any"})).status == 200
    actions = [one.action for one in await world.audited() if one.action.startswith("contact_f")]
    assert sorted(set(actions)) == [
        "contact_field.create",
        "contact_field.delete",
        "contact_field.patch",
    ]


# --- filters ----------------------------------------------------------------------------------


def day(number: int) -> datetime:
    return datetime(2026, 1, 1 + number, tzinfo=UTC)


FILTERS: dict[str, tuple[dict[str, str], set[int]]] = {
    "a language": ({"language": "th"}, {0, 2, 4, 6, 8}),
    "who has an address": ({"has_email": "true"}, {0, 3, 6, 9}),
    "who has none": ({"has_email": "false"}, {1, 2, 4, 5, 7, 8}),
    "who has a number": ({"has_phone": "true", "language": "en"}, {5}),
    "first seen in a range": (
        {"first_seen_from": "2026-01-03T00:00:00Z", "first_seen_before": "2026-01-06T00:00:00Z"},
        {2, 3, 4},
    ),
    "all of it": (
        {"first_seen_from": "2026-01-03T00:00:00Z", "language": "th", "has_email": "true"},
        {6},
    ),
    "the newest first": ({"order": "newest"}, set(range(10))),
}


@pytest.mark.parametrize(("query", "wanted"), FILTERS.values(), ids=FILTERS)
async def test_b27_the_list_is_narrowed_page_by_page_and_counted(
    world: World, query: dict[str, str], wanted: set[int]
) -> None:
    people = [
        Contact(
            id=f"con-{(n * 7) % 10}-{n}",
            workspace=world.workspace,
            first_seen_at=day(n),
            language="en" if n % 2 else "th",
            email="" if n % 3 else f"u{n}@example.org",
            email_key=None if n % 3 else f"u{n}@example.org",
            phone="" if n % 5 else "12345",
            phone_key=None if n % 5 else "12345",
        )
        for n in range(10)
    ]
    assert await world.store.insert_many(CONTACTS, people) == {}
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = await world.get("/contacts", limit=2, cursor=cursor, total="true", **query)
        assert page["total"] == {"count": len(wanted), "complete": True}
        found += [row["id"] for row in page["items"]]
        cursor = page["next"]
    expected = [people[n].id for n in wanted]
    newest = "order" in query or "first_seen_before" in query
    by_time = {one.id: one.first_seen_at for one in people}
    assert found == sorted(expected, key=by_time.__getitem__ if newest else None, reverse=newest)


async def test_who_sees_one_channel_sees_its_contacts_and_those_made_by_hand(world: World) -> None:
    line = (await world.writes("hello", visitor="U1")).contact
    web = (await world.writes("hello", visitor="U2", channel="web")).contact
    made = await world.call("POST", "/contacts", "amy", body={"name": "Eve"})
    bob = await world.store.get(AGENTS, world.workspace, "agt-bob")
    assert bob is not None
    await world.store.replace(AGENTS, msgspec.structs.replace(bob, channels=("line",)))
    listed = {row["id"] for row in (await world.get("/contacts", "bob"))["items"]}
    assert listed == {line, made.json["id"]}
    for method, path in (("GET", ""), ("GET", "/notes"), ("GET", "/duplicates"), ("PATCH", "")):
        body = {"zone": ""} if method == "PATCH" else None
        answer = await world.call(method, f"/contacts/{web}{path}", "bob", body=body)
        assert answer.status == 404, path
    joined = await world.call("POST", f"/contacts/{line}/merge", "bob", body={"from": web})
    assert (joined.status, joined.json["facts"]["field"]) == (422, "from")
