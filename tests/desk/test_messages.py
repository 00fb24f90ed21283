"""The timeline and sending into it: B02, B04, B05, notes, and what cannot be sent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import MESSAGES, SESSIONS, Message, Session
from libs.common.events import (
    InteractionReceived,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    ReactionChanged,
    Referral,
    SendReported,
    SendRequest,
    TextPart,
    Thread,
)
from libs.common.store.api import Page
from libs.common.subjects import OUTBOUND
from tests.desk.world import World, ago


async def pages(world: World, session: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = await world.get(f"/sessions/{session}/messages", limit=limit, **query)
        found += page["items"]
        if page["next"] is None:
            return found
        query["cursor"] = page["next"]


async def sends(world: World, session: Session) -> list[SendRequest]:
    """Return what went to the sender."""
    subject = f"out.*.{session.account}.{session.id}"
    found = await world.bus.read(OUTBOUND, subject)
    return [msgspec.json.decode(message.data, type=SendRequest) for message in found]


def stored(session: Session, n: int) -> Message:
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=n // 3)  # three share a second
    return Message(
        id=f"msg-{n:05}",
        workspace=session.workspace,
        account=session.account,
        key=f"old-{n}",
        session=session.id,
        timeline=session.id,
        visitor=session.visitor,
        kind="message",
        occurred_at=at,
        received_at=at,
        sequence=n,
        number=n,
        direction="in",
        sender="visitor",
        parts=(TextPart(text=f"old {n}"),),
        provider_ids=(f"p-{n}",),
    )


async def test_b04_paging_10000_messages_while_100_arrive_skips_and_doubles_none(
    world: World,
) -> None:
    session = await world.writes("newest")
    old = [stored(session, n) for n in range(9999)]
    for start in range(0, len(old), 1000):
        await world.store.insert_many(MESSAGES, old[start : start + 1000])
    arrived = 0
    shown: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        path = f"/sessions/{session.id}/messages"
        page = await world.get(path, limit=200, **cursor)
        shown += [entry["id"] for entry in page["items"]]
        for n in range(arrived, arrived + 2):  # most are new, some claim to be from long ago
            at = ago(1) if n % 4 else datetime(2026, 2, 1, tzinfo=UTC) + timedelta(seconds=n)
            await world.writes(f"arrival {n}", at=at)
        arrived += 2
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert arrived >= 100
    assert len(shown) == len(set(shown))
    expected = [m.id for m in sorted(old, key=lambda m: (m.occurred_at, m.sequence), reverse=True)]
    assert [entry for entry in shown if entry.startswith("msg-")] == expected
    assert expected[0] in shown[1:2]  # behind the newest, which was there before


async def test_b04_both_orders_are_each_others_reverse(world: World) -> None:
    session = await world.writes("one")
    for text in ("two", "three"):
        await world.writes(text)
        await world.send(session.id, f"answer to {text}")
    down = await pages(world, session.id, 2)
    up = await pages(world, session.id, 2, order="asc")
    assert [entry["id"] for entry in down] == [entry["id"] for entry in reversed(up)]
    texts = [entry["text"] for entry in up if entry["kind"] == "message"]
    assert texts == ["one", "two", "answer to two", "three", "answer to three"]


async def test_b02_a_mixed_conversation_reads_back_complete_with_who_said_what(
    world: World,
) -> None:
    session = await world.writes("hello", at=ago(3))
    await world.send(session.id, "hi, I am Amy")
    await world.send(session.id, "tell nobody", private=True)
    await world.send(session.id, "and I am Bob", "bob")
    entries = await pages(world, session.id, 50, order="asc")
    seen = [(e["kind"], e["direction"], e["sender"]["kind"], e["sender"]["name"]) for e in entries]
    assert seen == [
        ("message", "in", "visitor", "Visitor U1"),
        ("system", None, "agent", "Amy"),
        ("message", "out", "agent", "Amy"),
        ("note", None, "agent", "Amy"),
        ("system", None, "agent", "Bob"),
        ("message", "out", "agent", "Bob"),
    ]
    assert [entry["number"] for entry in entries] == [1, 2, 3, 4, 5, 6]


async def test_what_happened_to_a_message_is_folded_in(world: World) -> None:
    session = await world.writes("draft", at=ago(9))
    await world.writes("gone", at=ago(8))
    sent = (await world.send(session.id, "an answer")).json
    common: Any = {"visitor": "U1", "occurred_at": ago(1)}
    await world.happens(
        MessageEdited(
            event_id="ed", target="m-U1-draft", parts=(TextPart(text="final"),), **common
        ),
        ReactionChanged(event_id="re", target="m-U1-draft", emoji="👍", **common),
        MessageDeleted(event_id="de", target="m-U1-gone", **common),
        SendReported(
            event_id="sr", message_id=sent["id"], status="sent", provider_ids=("p-1",), **common
        ),
    )
    await world.outbox.flush()
    found = {e["id"]: e for e in await pages(world, session.id, 50)}
    first = next(e for e in found.values() if e["text"] == "final")
    assert (first["edited"], first["reactions"][0]["emoji"]) == (True, "👍")
    gone = next(e for e in found.values() if e["deleted"])
    assert (gone["text"], gone["parts"]) == ("", [])
    assert (found[sent["id"]]["status"]) == "sent"


async def test_what_is_decided_and_not_yet_stored_is_shown_all_the_same(world: World) -> None:
    session = await world.writes("hello", at=ago(60))
    await world.send(session.id, "stored")
    known = await world.session(session.id)
    where = {"timeline": session.id}
    drained = await world.store.find(MESSAGES, world.workspace, where, Page(order="timeline"))
    waiting = stored(known, 7)
    waiting.occurred_at = ago(30)
    known.writes = (*drained, waiting)  # emptied a little later
    known.outbox_since = ago(30)
    await world.store.replace(SESSIONS, known)
    down = await pages(world, session.id, 1)
    assert [entry["text"] for entry in down if entry["kind"] == "message"] == [
        "stored",
        "old 7",
        "hello",
    ]
    up = await pages(world, session.id, 1, order="asc")
    assert [entry["id"] for entry in up] == [entry["id"] for entry in reversed(down)]


# --- sending -------------------------------------------------------------------------------------


async def test_b05_the_same_key_three_times_is_one_message_and_one_send(world: World) -> None:
    session = await world.writes("hello")
    text = "สวัสดี 👩‍👩‍👧 שלום\nsecond line"
    answers = [await world.send(session.id, text, key="once") for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 200, 200]
    assert len({answer.json["id"] for answer in answers}) == 1
    assert {answer.json["text"] for answer in answers} == {text}
    assert "Idempotent-Replayed" not in answers[0].headers
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    [request] = await sends(world, session)
    assert request.message_id == answers[0].json["id"]
    shown = await pages(world, session.id, 50)
    assert len([entry for entry in shown if entry["direction"] == "out"]) == 1


async def test_e9_the_same_key_fifty_times_at_once_is_one_message(world: World) -> None:
    session = await world.writes("hello")
    answers = await asyncio.gather(
        *(world.send(session.id, "hi", key="at-once") for _ in range(50))
    )
    assert sorted({answer.status for answer in answers}) == [200, 201]
    assert [answer.status for answer in answers].count(201) == 1
    assert len({answer.json["id"] for answer in answers}) == 1
    assert len(await sends(world, session)) == 1


OTHER_CONTENT: dict[str, dict[str, Any]] = {
    "another text": {"text": "other"},
    "a note instead of a message": {"text": "hi", "private": True},
}


@pytest.mark.parametrize("body", OTHER_CONTENT.values(), ids=OTHER_CONTENT)
async def test_g7_the_same_key_with_other_content_is_refused(
    world: World, body: dict[str, Any]
) -> None:
    session = await world.writes("hello")
    assert (await world.send(session.id, "hi", key="k")).status == 201
    refused = await world.send(session.id, key="k", **body)
    assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict")
    assert len(await sends(world, session)) == 1


async def test_g7_nor_does_a_key_serve_for_another_session(world: World) -> None:
    one, two = await world.writes("hello"), await world.writes("hello", visitor="U2")
    assert (await world.send(one.id, "hi", key="k")).status == 201
    refused = await world.send(two.id, "hi", key="k")
    assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict")


async def test_a_note_is_kept_and_moves_and_sends_nothing(world: World) -> None:
    session = await world.writes("hello")
    answer = await world.send(session.id, "careful with this one", private=True)
    assert (answer.status, answer.json["kind"], answer.json["status"]) == (201, "note", "")
    after = await world.session(session.id)
    assert (after.list, after.owner) == ("bot_hosted", None)
    assert await sends(world, session) == []


async def test_a_quoted_message_is_sent_by_the_channels_own_id(world: World) -> None:
    session = await world.writes("which one?")
    [asked] = await pages(world, session.id, 50)
    answer = await world.send(session.id, "this one", reply_to=asked["id"])
    assert (answer.status, answer.json["reply_to"]) == (201, asked["id"])
    [request] = await sends(world, session)
    assert request.reply_to == "m-U1-which one?"


async def test_nothing_is_sent_into_an_ended_session(world: World) -> None:
    session = await world.writes("hello")
    assert (await world.do("end", session.id)).status == 200
    refused = await world.send(session.id, "too late")
    assert (refused.status, refused.json["code"]) == (409, "session_ended")


async def test_an_idempotency_key_is_asked_for_by_name(world: World) -> None:
    session = await world.writes("hello")
    path = f"/sessions/{session.id}/messages"
    answer = await world.call("POST", path, "amy", body={"text": "hi"})
    assert (answer.status, answer.json["code"]) == (400, "idempotency_key_missing")
    assert answer.json["facts"]["field"] == "Idempotency-Key"
    for key in ("a" * 129, "with blanks", "ümlaut"):
        headers = {"Idempotency-Key": key}
        answer = await world.call("POST", path, "amy", body={"text": "hi"}, headers=headers)
        assert (answer.status, answer.json["facts"]["field"]) == (422, "Idempotency-Key")


UNSENDABLE: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "text"),
    "blank text": ({"text": " \n\t"}, "text"),
    "text that is no text": ({"text": {"$gt": ""}}, "text"),
    "text with U+0000": ({"text": "a\0b"}, "text"),
    "endless text": ({"text": "a" * 10_001}, "text"),
    "a file that is no id": ({"text": "see", "attachments": [7]}, "attachments.0"),
    "a file with an unknown word": (
        {"text": "see", "attachments": [{"id": "f", "url": "x"}]},
        "attachments.0.url",
    ),
    "eleven files": ({"attachments": ["f"] * 11}, "attachments"),
    "a note with a file": (
        {"text": "see", "attachments": ["f"], "private": True},
        "attachments",
    ),
    "a note with a way": ({"text": "see", "way": "public", "private": True}, "way"),
    "a way where no comment is": ({"text": "see", "way": "public"}, "way"),
    "a way that is none": ({"text": "see", "way": "secret"}, "way"),
    "choices without a text": ({"choices": {"choices": [{"title": "a"}]}}, "text"),
    "choices without a choice": ({"text": "a", "choices": {"choices": []}}, "choices.choices"),
    "a choice that opens a script": (
        {"text": "a", "choices": {"choices": [{"title": "a", "url": "javascript:alert(1)"}]}},
        "choices.choices.0.url",
    ),
    "a place beyond the pole": (
        {"location": {"latitude": 91, "longitude": 0}},
        "location.latitude",
    ),
    "a template where there are none": (
        {"template": {"name": "hi", "language": "en"}},
        "template",
    ),
    "a template with text beside it": (
        {"text": "a", "template": {"name": "hi", "language": "en"}},
        "text",
    ),
    "attachments that are no list": ({"text": "see", "attachments": "f"}, "attachments"),
    "a quote of nothing": ({"text": "hi", "reply_to": "msg_nothing"}, "reply_to"),
    "a note that quotes": ({"text": "hi", "private": True, "reply_to": "x"}, "reply_to"),
    "a switch that is no switch": ({"text": "hi", "private": "yes"}, "private"),
    "a sender of its own choosing": ({"text": "hi", "sender": "bot"}, "sender"),
    "an epoch": ({"text": "hi", "epoch": 3}, "epoch"),
}


@pytest.mark.parametrize(("body", "field"), UNSENDABLE.values(), ids=UNSENDABLE)
async def test_what_cannot_be_sent_is_refused_by_the_fields_name(
    world: World, body: dict[str, Any], field: str
) -> None:
    session = await world.writes("hello")
    headers = {"Idempotency-Key": "k"}
    path = f"/sessions/{session.id}/messages"
    answer = await world.call("POST", path, "amy", body=body, headers=headers)
    assert answer.status == 422, answer.body
    assert answer.json["facts"]["field"] == field
    assert (await world.session(session.id)).list == "bot_hosted"
    assert await sends(world, session) == []


def comment(visitor: str, number: int, parent: str = "post") -> MessageReceived:
    return MessageReceived(
        event_id=f"add-c{number}",
        visitor=visitor,
        occurred_at=ago(100 - number),
        message_id=f"c{number}",
        parts=(TextPart(text=f"comment {number}"),),
        thread=Thread(post="post", comment=f"c{number}", parent=parent),
    )


async def test_d5_a_removed_comment_hides_replies_in_every_conversation(world: World) -> None:
    """Of other visitors too, and replies to replies: nothing tells of them."""
    gone = MessageDeleted(event_id="gone", visitor="F", occurred_at=ago(1), target="c1")
    replies = (comment("G", 2, "c1"), comment("H", 3, "c2"), comment("I", 4, "c3"))
    await world.happens(comment("F", 1), *replies, comment("G", 5), gone, channel="fb_comment")
    shown = {}
    for row in (await world.get("/sessions"))["items"]:
        for entry in (await world.get(f"/sessions/{row['id']}/messages"))["items"]:
            shown[entry["provider_ids"][0]] = (entry["deleted"], entry["hidden"])
    below = (False, True)
    assert shown == {"c1": (True, False), "c2": below, "c3": below, "c4": below, "c5": (False,) * 2}


async def test_d6_where_a_visitor_came_from_is_shown(world: World) -> None:
    ad = Referral(source="ad", ad_id="7", headline="Sale", url="https://x.example")
    said = MessageReceived(
        event_id="e1",
        visitor="V",
        occurred_at=ago(9),
        message_id="m1",
        parts=(TextPart(text="hi"),),
        referral=ad,
    )
    again = InteractionReceived(
        event_id="e2",
        visitor="V",
        occurred_at=ago(5),
        kind="referral",
        referral=Referral(source="SHORTLINK", ref="spring"),
    )
    await world.happens(said, again, channel="messenger")
    [row] = (await world.get("/sessions"))["items"]
    newest, first = (await world.get(f"/sessions/{row['id']}/messages"))["items"]
    assert (newest["kind"], newest["what"], newest["text"]) == (
        "system",
        "referral",
        "came through a link: spring",
    )
    assert first["referral"] == {
        "source": "ad", "ad_id": "7", "headline": "Sale", "url": "https://x.example"
    }  # fmt: skip
    session = await world.get(f"/sessions/{row['id']}")
    assert session["referral"] == newest["referral"] == {"source": "SHORTLINK", "ref": "spring"}
