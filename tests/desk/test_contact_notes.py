"""Notes about contacts and in sessions: whose they are, their history, who never sees them."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.subjects import OUTBOUND, VISITORS
from tests.desk.test_notes import note
from tests.desk.world import Answer, World
from tests.ingest.harness import account, ingest_here
from tests.ingest.test_visitors import listening_page, minted, show


async def about(world: World, contact: str, text: str, who: str = "amy", key: str = "") -> Answer:
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    path = f"/contacts/{contact}/notes"
    return await world.call("POST", path, who, body={"text": text}, headers=headers)


async def conversation(world: World, contact: str, **query: Any) -> list[tuple[str, str]]:
    """Return (kind, text) of what agents see of the contact, oldest first, page by page."""
    found: list[tuple[str, str]] = []
    cursor = ""
    while cursor is not None:
        page = await world.get(f"/contacts/{contact}/messages", cursor=cursor, order="asc", **query)
        found += [(one["entry"]["kind"], one["entry"]["text"]) for one in page["items"]]
        cursor = page["next"]
    return [one for one in found if one[0] != "system"]


async def test_b31_a_note_about_a_contact_has_author_time_and_what_it_said_before(
    world: World,
) -> None:
    session = await world.writes("hello")
    made = await about(world, session.contact, "likes tea", key="k")
    again = await about(world, session.contact, "likes tea", key="k")
    other = await about(world, session.contact, "likes rum", key="k")
    assert (made.status, again.status, other.status) == (201, 200, 409)
    assert made.json == again.json
    assert (made.json["author"], made.json["history"]) == ("agt-amy", [])
    path = f"/contacts/{session.contact}/notes/{made.json['id']}"
    await world.call("PATCH", path, "amy", body={"text": "likes coffee"})
    shown = (await world.call("PATCH", path, "lena", body={"text": "likes both"})).json
    assert shown["text"] == "likes both"
    assert [(one["by"], one["before"]) for one in shown["history"]] == [
        ("agt-amy", "likes tea"),
        ("agt-lena", "likes coffee"),
    ]
    assert shown["edited_at"] == shown["history"][-1]["at"] > shown["at"]
    assert (await world.get(f"/contacts/{session.contact}/notes"))["items"] == [shown]
    actions = [one.action for one in await world.audited() if one.action.startswith("contact_note")]
    assert actions == ["contact_note.create", "contact_note.patch", "contact_note.patch"]


async def test_b31_only_the_author_and_leads_change_or_delete_a_note(world: World) -> None:
    session = await world.writes("hello")
    made = (await about(world, session.contact, "mine")).json
    path = f"/contacts/{session.contact}/notes/{made['id']}"
    foreign = await world.call("PATCH", path, "bob", body={"text": "yours"})
    assert (foreign.status, foreign.json["code"]) == (403, "not_yours")
    assert (await world.call("DELETE", path, "bob")).status == 403
    assert (await world.call("PATCH", path, "amy", body={"text": " "})).status == 422
    assert (await world.call("DELETE", path, "lena")).status == 204
    assert (await world.get(f"/contacts/{session.contact}/notes"))["items"] == []
    stranger = await world.writes("me too", visitor="U2")
    made = (await about(world, session.contact, "mine")).json
    elsewhere = f"/contacts/{stranger.contact}/notes/{made['id']}"
    assert (await world.call("GET", elsewhere, "amy")).status == 404


async def test_b31_of_two_who_change_a_note_at_once_the_stale_one_is_told(world: World) -> None:
    session = await world.writes("hello")
    made = await about(world, session.contact, "first")
    path = f"/contacts/{session.contact}/notes/{made.json['id']}"
    seen = {"If-Match": made.headers["ETag"]}
    answers = await asyncio.gather(
        *(
            world.call("PATCH", path, who, body={"text": who}, headers=seen)
            for who in ("amy", "lena")
        )
    )
    assert sorted(one.status for one in answers) == [200, 412]
    [kept] = [one.json["text"] for one in answers if one.status == 200]
    assert (await world.get(path))["text"] == kept


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_b31_notes_stand_in_the_timeline_that_agents_see(world: World, limit: int) -> None:
    session = await world.writes("hello")
    assert (await about(world, session.contact, "likes tea")).status == 201
    assert (await note(world, session.id)).status == 201
    assert await world.writes("more") is not None
    assert (await about(world, session.contact, "likes rum")).status == 201
    assert await conversation(world, session.contact, limit=limit) == [
        ("message", "hello"),
        ("note", "likes tea"),
        ("note", "look"),
        ("message", "more"),
        ("note", "likes rum"),
    ]


async def test_b31_a_sessions_note_is_changed_with_history_and_taken_back(world: World) -> None:
    session = await world.writes("hello")
    made = (await note(world, session.id)).json
    path = f"/sessions/{session.id}/notes/{made['id']}"
    foreign = await world.call("PATCH", path, "bob", body={"text": "no"})
    assert (foreign.status, foreign.json["code"]) == (403, "not_yours")
    key = {"Idempotency-Key": "e"}
    done = await world.call("PATCH", path, "amy", body={"text": "look here"}, headers=key)
    assert done.status == 200, done.body
    done = await world.call("PATCH", path, "amy", body={"text": "look there"})
    assert done.status == 200, done.body
    assert done.json["text"] == "look there"
    told = [(one["by"], one["before"]) for one in done.json["history"]]
    assert told == [("agt-amy", "look"), ("agt-amy", "look here")]
    [entry] = [
        one
        for one in (await world.get(f"/sessions/{session.id}/messages"))["items"]
        if one["kind"] == "note"
    ]
    assert (entry["id"], entry["text"], entry["edited"]) == (made["id"], "look there", True)
    gone = await world.call("DELETE", path, "lena")
    assert (gone.status, gone.json["deleted"], gone.json["text"]) == (200, True, "")
    assert gone.json["history"][-1]["before"] == "look there"
    late = await world.call("PATCH", path, "amy", body={"text": "again"})
    assert (late.status, late.json["code"]) == (409, "note_deleted")
    [entry] = [
        one
        for one in (await world.get(f"/sessions/{session.id}/messages"))["items"]
        if one["kind"] == "note"
    ]
    assert (entry["deleted"], entry["text"]) == (True, "")
    assert (await world.call("PATCH", f"{path}x", "amy", body={"text": "a"})).status == 404


async def test_b31_nothing_of_a_note_is_sent_or_told_to_the_visitor(world: World) -> None:
    session = await world.writes("hello", channel="web")
    where = f"visitor.{world.workspace}.{session.account}.*"
    before = await world.bus.read(VISITORS, where)
    made = (await note(world, session.id)).json
    path = f"/sessions/{session.id}/notes/{made['id']}"
    assert (await world.call("PATCH", path, "amy", body={"text": "secret"})).status == 200
    assert (await world.call("DELETE", path, "amy")).status == 200
    assert (await about(world, session.contact, "secret")).status == 201
    assert await world.bus.read(VISITORS, where) == before
    assert await world.bus.read(OUTBOUND, f"out.*.{session.account}.{session.id}") == []


async def test_b31_notes_are_absent_from_what_the_visitors_page_reads(
    world: World, nats_url: str, tmp_path: Path
) -> None:
    """The page of the real ingest hears what is shown to it, and nothing of four kinds of notes."""
    async with ingest_here(nats_url, tmp_path / "spool") as here:
        shop = account("web", workspace=world.workspace)
        here.connect(shop)
        visitor, token = await minted(here, shop)
        session = await world.writes("hello", visitor=visitor, channel="web")
        async with listening_page(here, shop, token) as page:
            made = (await note(world, session.id)).json
            path = f"/sessions/{session.id}/notes/{made['id']}"
            assert (await world.call("PATCH", path, "amy", body={"text": "secret"})).status == 200
            assert (await about(world, session.contact, "secret")).status == 201
            assert (await world.call("DELETE", path, "amy")).status == 200
            await show(here, shop, visitor, "the end")
            heard = await page.next()
        async with listening_page(here, shop, token, **{"Last-Event-ID": "0"}) as page:
            anew = await page.next()
        told = [msgspec.json.decode(one["data"])["text"] for one in (heard, anew)]
        assert told == ["the end", "the end"]
