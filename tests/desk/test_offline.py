"""A20: how a reply reaches a web visitor who has left, as the agent says it for one message."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.documents import CONTACTS, Contact, Session
from libs.common.events import MessageReceived, Profile, SendReported, TextPart
from libs.common.reached import address_of
from tests.desk.test_messages import sends
from tests.desk.world import World

ADDRESS = "eve@example.org"


async def visited(world: World, visitor: str, channel: str = "web", email: str = "") -> Session:
    event = MessageReceived(
        event_id=f"web:{visitor}:1",
        visitor=visitor,
        occurred_at=datetime.now(UTC),
        message_id=f"web:{visitor}:1",
        parts=(TextPart(text="hello"),),
        profile=Profile(name="Eve", email=email),
    )
    await world.happens(event, channel=channel)
    return await world.writes("are you there?", visitor=visitor, channel=channel)


CARRIED: dict[str, tuple[str, str]] = {
    "by email": (ADDRESS, "email"),
    "in the plugin": (ADDRESS, "plugin"),
    "in the plugin, of nobody we could write to": ("", "plugin"),
    "by the settings": (ADDRESS, ""),
}


@pytest.mark.parametrize(("email", "choice"), CARRIED.values(), ids=CARRIED)
async def test_a20_the_agents_choice_goes_with_the_message(
    world: World, email: str, choice: str
) -> None:
    session = await visited(world, "v-carried", email=email)
    answer = await world.send(session.id, "here", **({"offline": choice} if choice else {}))
    assert answer.status == 201, answer.body
    [request] = await sends(world, session)
    assert request.offline == choice


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "email on another channel": ("line", {"offline": "email"}, "nothing on line"),
    "plugin on another channel": ("line", {"offline": "plugin"}, "nothing on line"),
    "email without an address": ("web", {"offline": "email"}, "plugin, or nothing"),
    "a note": ("web", {"offline": "plugin", "private": True}, "nothing in a private note"),
}


@pytest.mark.parametrize(("channel", "more", "allowed"), REFUSED.values(), ids=REFUSED)
async def test_a20_a_way_that_there_is_not_is_refused_by_name(
    world: World, channel: str, more: dict[str, Any], allowed: str
) -> None:
    session = await visited(world, "v-refused", channel)
    answer = await world.send(session.id, "here", **more)
    assert (answer.status, answer.json["facts"]["field"]) == (422, "offline")
    assert answer.json["facts"]["allowed"] == allowed
    assert await sends(world, session) == []


async def test_a20_an_unknown_way_is_refused(world: World) -> None:
    session = await visited(world, "v-unknown", email=ADDRESS)
    answer = await world.send(session.id, "here", offline="pigeon")
    assert answer.status == 422
    assert "offline" in answer.json["detail"]


async def test_a20_the_contacts_address_will_do(world: World) -> None:
    session = await visited(world, "v-contact")
    contact = await world.store.get(CONTACTS, session.workspace, session.contact)
    assert contact is not None
    await world.store.replace(CONTACTS, msgspec.structs.replace(contact, email=ADDRESS))
    answer = await world.send(session.id, "here", offline="email")
    assert answer.status == 201, answer.body


async def test_a20_the_address_that_an_agent_sets_goes_before_what_the_visitor_said() -> None:
    now = datetime.now(UTC)
    session = Session(
        id="s",
        workspace="w",
        account="a",
        channel="web",
        contact="c",
        list="unassigned",
        open_key="",
        visitor="v",
        contact_email="typo@example.org",
        created_at=now,
        updated_at=now,
    )
    contact = Contact(id="c", workspace="w", email=ADDRESS, first_seen_at=now)
    assert address_of(session, contact) == "typo@example.org"
    assert address_of(session, msgspec.structs.replace(contact, email_by="agt-amy")) == ADDRESS
    assert address_of(session, None) == "typo@example.org"


async def test_a20_an_agent_adds_the_address_that_was_missing(world: World) -> None:
    session = await visited(world, "v-added")
    refused = await world.send(session.id, "here", offline="email")
    assert refused.status == 422
    path = f"/contacts/{session.contact}"
    assert (await world.call("PATCH", path, "amy", body={"email": ADDRESS})).status == 200
    answer = await world.send(session.id, "here", offline="email")
    assert answer.status == 201, answer.body


async def test_a20_a_repeat_with_another_way_is_another_request(world: World) -> None:
    session = await visited(world, "v-repeat", email=ADDRESS)
    first = await world.send(session.id, "here", key="k-1", offline="email")
    assert first.status == 201, first.body
    assert (await world.send(session.id, "here", key="k-1", offline="email")).status == 200
    assert (await world.send(session.id, "here", key="k-1", offline="plugin")).status == 409


async def test_a20_the_timeline_tells_when_a_reply_went_out_by_email(world: World) -> None:
    session = await visited(world, "v-mailed", email=ADDRESS)
    answer = await world.send(session.id, "here")
    message = answer.json["id"]
    assert answer.json.get("emailed_at") is None
    shown, mailed = datetime(2026, 3, 1, 12, 0, tzinfo=UTC), datetime(2026, 3, 1, 12, 2, tzinfo=UTC)
    for event_id, via, at in (("send:1", "", shown), ("mail:1", "email", mailed)):
        report = SendReported(
            event_id=f"{event_id}:{message}",
            visitor="v-mailed",
            occurred_at=at,
            message_id=message,
            status="sent",
            via=via,
        )
        await world.happens(report, channel="web")
    page = await world.get(f"/sessions/{session.id}/messages")
    [entry] = [each for each in page["items"] if each["id"] == message]
    assert (entry["status"], entry["emailed_at"]) == ("sent", "2026-03-01T12:02:00Z")


async def test_a20_the_timeline_tells_why_no_email_went_out_and_the_chat_has_it_all_the_same(
    world: World,
) -> None:
    session = await visited(world, "v-bounced", email=ADDRESS)
    message = (await world.send(session.id, "here")).json["id"]
    shown = SendReported(
        event_id=f"send:2:{message}",
        visitor="v-bounced",
        occurred_at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
        message_id=message,
        status="sent",
    )
    bounced = msgspec.structs.replace(
        shown, event_id=f"mail:2:{message}", status="failed", via="email", reason="bounced"
    )
    for report in (shown, bounced):
        await world.happens(report, channel="web")
    page = await world.get(f"/sessions/{session.id}/messages")
    [entry] = [each for each in page["items"] if each["id"] == message]
    assert (entry["status"], entry["not_emailed"]) == ("sent", "bounced")
    assert (entry["emailed_at"], entry["failure"]) == (None, None)
