"""Scheduled messages: made, shown, listed, changed and cancelled until they are sent (B25, B26)."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import ATTACHMENTS, CONTACTS, WORKSPACES, Session
from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.store.api import Page
from libs.common.switches import QuietHours
from tests.desk.test_send_content import kept
from tests.desk.test_uploads import document
from tests.desk.world import Answer, World


def soon(minutes: float = 60) -> str:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    return at.isoformat(timespec="seconds")


async def schedule(world: World, who: str = "amy", key: str = "", **body: Any) -> Answer:
    body = {"name": "Call back", "at": soon(), **body}
    headers = {"Idempotency-Key": key or uuid.uuid4().hex}
    return await world.call("POST", "/scheduled-messages", who, body=body, headers=headers)


async def scheduled(world: World, session: Session, **body: Any) -> dict[str, Any]:
    """Schedule what must be possible; by default a text."""
    content = (
        {} if {"standard_message", "template", "attachments"} & body.keys() else {"text": "Hi"}
    )
    answer = await schedule(world, session=session.id, **{**content, **body})
    assert answer.status == 201, answer.body
    shown: dict[str, Any] = answer.json
    return shown


async def stored(world: World, shown: dict[str, Any]) -> ScheduledMessage:
    found = await world.store.get(SCHEDULED, world.workspace, shown["id"])
    assert found is not None
    return found


async def settle(world: World, shown: dict[str, Any], **more: Any) -> ScheduledMessage:
    """Write as the scheduler does."""
    changed = msgspec.structs.replace(await stored(world, shown), **more)
    return await world.store.replace(SCHEDULED, changed)


async def patch(world: World, shown: dict[str, Any], who: str = "amy", **body: Any) -> Answer:
    return await world.call("PATCH", f"/scheduled-messages/{shown['id']}", who, body=body)


async def cancel(world: World, shown: dict[str, Any], who: str = "amy") -> Answer:
    return await world.call("POST", f"/scheduled-messages/{shown['id']}/cancel", who)


async def switch(world: World, **settings: Any) -> None:
    found = await world.store.get(WORKSPACES, world.workspace, world.workspace)
    assert found is not None
    found.settings = msgspec.structs.replace(found.settings, **settings)
    await world.store.replace(WORKSPACES, found)


async def lives_in(world: World, session: Session, zone: str) -> None:
    found = await world.store.get(CONTACTS, world.workspace, session.contact)
    assert found is not None
    found.zone = zone
    await world.store.replace(CONTACTS, found)


# --- making ------------------------------------------------------------------------------------


async def test_b25_what_is_scheduled_is_shown_stored_and_armed(world: World) -> None:
    session = await world.writes("hello")
    at = soon()
    answer = await schedule(
        world, session=session.id, at=at, text="Hi {{contact.name|there}}", only_if_no_reply=True
    )
    assert answer.status == 201, answer.body
    shown = answer.json
    assert (shown["name"], shown["text"]) == ("Call back", "Hi {{contact.name|there}}")
    assert (shown["state"], shown["reason"], shown["status"], shown["message"]) == (
        "pending",
        "",
        "",
        "",
    )
    assert (shown["author"], shown["contact"], shown["session"]) == (
        {"id": "agt-amy", "name": "Amy"},
        session.contact,
        session.id,
    )
    assert (shown["zone"], shown["shifted"], shown["moved_by_quiet_hours"]) == ("UTC", "", False)
    assert shown["due_at"] == shown["wanted_at"]
    assert datetime.fromisoformat(shown["due_at"]) == datetime.fromisoformat(at)
    assert (shown["expected"], shown["only_if_no_reply"]) == ("goes", True)
    doc = await stored(world, shown)
    assert doc.fires_at == doc.due_at
    assert answer.headers["ETag"] == f'"{doc.rev}"'
    assert await world.get(f"/scheduled-messages/{shown['id']}", "rita") == shown


async def test_b25_the_same_key_schedules_once_even_when_its_time_has_passed(world: World) -> None:
    session = await world.writes("hello")
    body = {"session": session.id, "text": "Hi", "at": soon()}
    many = await asyncio.gather(*(schedule(world, key="k", **body) for _ in range(4)))
    assert sorted(answer.status for answer in many) == [200, 200, 200, 201]
    assert len({answer.json["id"] for answer in many}) == 1
    assert len(await world.store.find(SCHEDULED, world.workspace, {}, Page(order="due"))) == 1
    settings = msgspec.structs.replace(
        world.desk, now=lambda: datetime.now(UTC) + timedelta(days=2)
    )
    world.desk = settings
    async with world.serving_desk() as base:
        headers = {"Idempotency-Key": "k"}
        path = f"{base}/api/v1/scheduled-messages"
        whole = {"name": "Call back", **body}
        late = await world.call("POST", path, "amy", body=whole, headers=headers)
    assert (late.status, late.headers["Idempotent-Replayed"]) == (200, "true")
    other = await schedule(world, key="k", session=session.id, text="Other")
    assert (other.status, other.json["code"]) == (409, "idempotency_conflict")
    missing = await world.call("POST", "/scheduled-messages", "amy", body={**whole})
    assert (missing.status, missing.json["code"]) == (400, "idempotency_key_missing")


async def test_b25_files_are_kept_with_it_and_shown(world: World) -> None:
    session = await world.writes("hello", channel="messenger")
    file = await kept(world)
    shown = await scheduled(world, session, attachments=[file], text="look")
    assert [a["id"] for a in shown["attachments"]] == [file]
    assert [part["type"] for part in shown["parts"]] == ["media", "text"]
    assert (await document(world, file)).message == f"scheduled:{shown['id']}"
    later = datetime.now(UTC) + timedelta(days=3)
    assert await world.desk.attachments.sweep(world.workspace, later) == 0
    assert await world.store.get(ATTACHMENTS, world.workspace, file) is not None


async def test_a_file_of_what_was_refused_is_not_kept(world: World) -> None:
    session = await world.writes("hello", channel="messenger")
    file = await kept(world)
    answer = await schedule(world, session=session.id, attachments=[file], at=soon(-60))
    assert answer.status == 422
    assert (await document(world, file)).message == ""


async def test_b25_a_standard_message_goes_out_as_it_was_seen(world: World) -> None:
    session = await world.writes("hello", channel="messenger")
    file = await kept(world)
    body = {"title": "x", "text": "Hi {{contact.name|there}}", "attachments": [file]}
    made = (await world.call("POST", "/standard-messages", "lena", body=body)).json
    shown = await scheduled(world, session, standard_message=made["id"])
    assert (shown["text"], shown["standard_message"]) == ("Hi {{contact.name|there}}", made["id"])
    path = f"/standard-messages/{made['id']}"
    assert (await world.call("PATCH", path, "lena", body={"text": "new"})).status == 200
    assert (await world.call("DELETE", path, "lena")).status == 204
    again = await world.get(f"/scheduled-messages/{shown['id']}")
    assert (again["text"], again["parts"]) == (shown["text"], shown["parts"])


async def test_a_standard_message_that_the_channel_cannot_carry_is_named(world: World) -> None:
    session = await world.writes("hello", channel="line")  # takes links alone, and there are none
    body = {"title": "x", "attachments": [await kept(world)]}
    made = (await world.call("POST", "/standard-messages", "lena", body=body)).json
    answer = await schedule(world, session=session.id, standard_message=made["id"])
    assert answer.status in {409, 415}
    assert answer.json["facts"]["field"] == "standard_message"


async def test_a_contact_is_written_to_by_an_account_that_reaches_them(world: World) -> None:
    session = await world.writes("hello", channel="web")
    whom = {"contact": session.contact, "text": "Hi"}
    shown = (await schedule(world, account=session.account, **whom)).json
    assert (shown["session"], shown["account"]) == (session.id, session.account)
    other = await schedule(world, account=world.slug("line"), **whom)
    assert (other.status, other.json["facts"]["field"]) == (422, "account")
    assert other.json["facts"]["allowed"] == session.account


# --- time --------------------------------------------------------------------------------------


def next_(month: int, day: int) -> int:
    """Return the year in which the day comes next."""
    today = datetime.now(UTC)
    return today.year + ((month, day) <= (today.month, today.day))


async def test_d08_a_local_time_is_the_contacts_own_else_the_workspaces(world: World) -> None:
    session = await world.writes("hello")
    local = f"{next_(1, 15)}-01-15T09:00"
    await switch(world, zone="Asia/Tokyo")
    shown = await scheduled(world, session, at=local)
    assert (shown["local"], shown["zone"]) == (local, "Asia/Tokyo")
    assert shown["due_at"] == f"{next_(1, 15)}-01-15T00:00:00Z"
    await lives_in(world, session, "Europe/Berlin")
    shown = await scheduled(world, session, at=local, zone="contact")
    assert (shown["zone"], shown["due_at"]) == (
        "Europe/Berlin",
        f"{next_(1, 15)}-01-15T08:00:00Z",
    )
    shown = await scheduled(world, session, at=local, zone="America/New_York")
    assert (shown["zone"], shown["due_at"]) == (
        "America/New_York",
        f"{next_(1, 15)}-01-15T14:00:00Z",
    )
    shown = await scheduled(world, session, at=f"{next_(1, 15)}-01-15T09:00:00+09:00")
    assert (shown["local"], shown["zone"]) == (f"{next_(1, 15)}-01-15T01:00", "Europe/Berlin")


CHANGES: dict[str, tuple[datetime, str, str, str]] = {
    "a gap is moved forward by its length": (
        datetime(2026, 3, 1, tzinfo=UTC), "2026-03-29T02:30", "2026-03-29T01:30:00Z", "gap",
    ),
    "an overlap means the first": (
        datetime(2026, 10, 1, tzinfo=UTC), "2026-10-25T02:30", "2026-10-25T00:30:00Z", "overlap",
    ),
    "the second is named by its offset": (
        datetime(2026, 10, 1, tzinfo=UTC), "2026-10-25T02:30+01:00", "2026-10-25T01:30:00Z", "",
    ),
    "other nights mean one": (
        datetime(2026, 3, 1, tzinfo=UTC), "2026-03-28T02:30", "2026-03-28T01:30:00Z", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("now", "at", "due", "shifted"), CHANGES.values(), ids=CHANGES.keys())
async def test_d08_nights_in_which_clocks_change(
    world: World, now: datetime, at: str, due: str, shifted: str
) -> None:
    session = await world.writes("hello")
    world.desk = msgspec.structs.replace(world.desk, now=lambda: now)
    async with world.serving_desk() as base:
        body = {"session": session.id, "name": "x", "text": "x", "at": at, "zone": "Europe/Berlin"}
        answer = await world.call(
            "POST",
            f"{base}/api/v1/scheduled-messages",
            "amy",
            body=body,
            headers={"Idempotency-Key": "k"},
        )
    assert answer.status == 201, answer.body
    assert (answer.json["due_at"], answer.json["shifted"]) == (due, shifted)


async def test_d08_quiet_hours_move_it_to_their_end_and_say_so(world: World) -> None:
    session = await world.writes("hello")
    await switch(world, quiet_hours=QuietHours(start="22:00", end="08:00"), zone="Asia/Tokyo")
    year = next_(1, 15)
    shown = await scheduled(world, session, at=f"{year}-01-15T23:30")
    assert shown["wanted_at"] == f"{year}-01-15T14:30:00Z"
    assert shown["due_at"] == f"{year}-01-15T23:00:00Z"
    assert shown["moved_by_quiet_hours"]
    assert shown["reason"] == "quiet_hours"
    assert f"{year}-01-16 08:00 (Asia/Tokyo)" in shown["detail"]
    assert (await stored(world, shown)).fires_at == datetime.fromisoformat(shown["due_at"])
    shown = await scheduled(world, session, at=f"{year}-01-15T23:30", quiet_hours=None)
    assert (shown["due_at"], shown["quiet_hours"]) == (f"{year}-01-15T14:30:00Z", None)
    own = {"start": "23:00", "end": "23:45"}
    shown = await scheduled(world, session, at=f"{year}-01-15T23:30", quiet_hours=own)
    assert (shown["due_at"], shown["quiet_hours"]) == (f"{year}-01-15T14:45:00Z", own)


async def test_what_was_due_a_moment_ago_is_due_now(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session, at=soon(-0.04))
    assert datetime.fromisoformat(shown["due_at"]) >= datetime.now(UTC) - timedelta(seconds=3)
    assert not shown["moved_by_quiet_hours"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a time that has passed": ({"at": soon(-1)}, "at"),
    "more than a year ahead": ({"at": soon(367 * 24 * 60)}, "at"),
    "no time": ({"at": "tomorrow"}, "at"),
    "a day alone": ({"at": "2030-01-01"}, "at"),
    "a week": ({"at": "2030-W01-1T10:00Z"}, "at"),
    "an offset that is none": ({"at": "2026-12-24T10:00+99:00"}, "at"),
    "no zone": ({"zone": "Mars/Olympus"}, "zone"),
    "a zone that is a path": ({"zone": "../etc/passwd"}, "zone"),
    "quiet hours without an end": ({"quiet_hours": {"start": "22:00"}}, "quiet_hours.end"),
    "quiet hours of nonsense": ({"quiet_hours": {"start": "9", "end": "8"}}, "quiet_hours.start"),
    "quiet hours all day": ({"quiet_hours": {"start": "08:00", "end": "08:00"}}, "quiet_hours.end"),
    "no name": ({"name": " "}, "name"),
    "nothing to say": ({"text": " "}, "text"),
    "an unknown variable": ({"text": "Hi {{name}}"}, "text"),
    "a variable that does not end": ({"text": "Hi {{contact.name"}, "text"),
    "a variable in another": ({"text": "Hi {{contact.name|{{agent.name}}}}"}, "text"),
    "a text that may be blank": ({"text": "{{contact.name}}"}, "text"),
    "no such standard message": ({"text": "", "standard_message": "std_no"}, "standard_message"),
    "a standard message and a text": ({"standard_message": "std_no"}, "text"),
    "held until they write, unless they do": (
        {"when_closed": "hold", "only_if_no_reply": True}, "only_if_no_reply",
    ),
    "both whom": ({"contact": "con_1"}, "session"),
    "an account beside a session": ({"account": "acme-line"}, "account"),
    "nobody": ({"session": ""}, "session"),
    "a template where there are none": (
        {"text": "", "template": {"name": "hi", "language": "en"}}, "template",
    ),
    "template without one": ({"when_closed": "template"}, "fallback_template"),
    "a fallback where there are no templates": (
        {"when_closed": "template", "fallback_template": {"name": "hi", "language": "en"}},
        "fallback_template",
    ),
    "a fallback that nothing asks for": (
        {"fallback_template": {"name": "hi", "language": "en"}}, "fallback_template",
    ),
    "an end without hold": ({"hold_until": soon(99)}, "hold_until"),
    "an end before the beginning": ({"when_closed": "hold", "hold_until": soon(5)}, "hold_until"),
    "what is not known": ({"way": "private"}, "way"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "field"), WRONG.values(), ids=WRONG.keys())
async def test_what_is_wrong_is_refused_by_its_field(
    world: World, body: dict[str, Any], field: str
) -> None:
    session = await world.writes("hello")
    answer = await schedule(world, **{"session": session.id, "text": "Hi", **body})
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.body
    assert (await world.get("/scheduled-messages"))["items"] == []


NOBODY: dict[str, tuple[dict[str, Any], str]] = {
    "no such session": ({"session": "ses_nope"}, "session"),
    "no such contact": ({"contact": "con_nope", "account": "acme-line"}, "contact"),
}


@pytest.mark.parametrize(("body", "field"), NOBODY.values(), ids=NOBODY.keys())
async def test_whom_there_is_not_is_told_by_the_field(
    world: World, body: dict[str, Any], field: str
) -> None:
    answer = await schedule(world, text="Hi", **body)
    assert (answer.status, answer.json["facts"].get("field")) == (404, field), answer.body


# --- listing -----------------------------------------------------------------------------------


async def test_b26_the_list_has_every_state_with_its_reason(world: World) -> None:
    one = await world.writes("hello", visitor="U1")
    two = await world.writes("hello", visitor="U2")
    a = await scheduled(world, one, at=soon(10))
    b = await scheduled(world, two, at=soon(20))
    c = (await schedule(world, "bob", session=one.id, text="c", at=soon(30))).json
    d = await scheduled(world, one, at=soon(40))
    assert (await cancel(world, b)).status == 200
    await settle(world, c, state="failed", reason="window_closed", detail="Over.")
    await settle(world, d, state="sent", message="msg_1", status="read")

    async def ids(**query: Any) -> list[str]:
        return [item["id"] for item in (await world.get("/scheduled-messages", **query))["items"]]

    a, b, c, d = (shown["id"] for shown in (a, b, c, d))
    assert await ids() == [a, b, c, d]
    assert await ids(order="desc") == [d, c, b, a]
    assert await ids(session=one.id) == [a, c, d]
    assert await ids(contact=two.contact) == [b]
    assert await ids(author="me") == [a, b, d]
    assert await ids(author="agt-bob") == [c]
    assert await ids(state="pending") == [a]
    assert await ids(state="failed,sent") == [c, d]
    assert await ids(session=one.id, state="sent", author="me") == [d]
    assert await ids(contact=one.contact, session=two.id) == []
    items = (await world.get("/scheduled-messages"))["items"]
    assert [(i["state"], i["reason"], i["status"]) for i in items] == [
        ("pending", "", ""),
        ("cancelled", "cancelled", ""),
        ("failed", "window_closed", ""),
        ("sent", "", "read"),
    ]
    assert [i["expected"] for i in items] == ["goes", "", "", ""]


@pytest.mark.parametrize("filters", [{}, {"author": "me"}, {"state": "pending,sent"}])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_b26_pages_follow_each_other(
    world: World, filters: dict[str, str], order: str
) -> None:
    session = await world.writes("hello")
    at = soon(10)
    made = [
        (await scheduled(world, session, at=at if n < 3 else soon(10 + n)))["id"] for n in range(5)
    ]
    found: list[str] = []
    query: dict[str, Any] = {**filters, "order": order, "limit": 2}
    for pages in range(1, 9):
        page = await world.get("/scheduled-messages", **query)
        found += [item["id"] for item in page["items"]]
        if page["next"] is None:
            assert pages == 3
            break
        query["cursor"] = page["next"]
    assert sorted(found) == sorted(made)
    assert len(found) == 5


# --- changing ----------------------------------------------------------------------------------


async def test_b25_what_is_pending_can_be_changed(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session, text="Hi", at=soon(60))
    at = soon(90)
    answer = await patch(world, shown, "bob", at=at, name="Later", quiet_hours=None)
    assert answer.status == 200, answer.body
    assert (answer.json["name"], answer.json["text"]) == ("Later", "Hi")
    assert datetime.fromisoformat(answer.json["due_at"]) == datetime.fromisoformat(at)
    doc = await stored(world, shown)
    assert doc.fires_at == doc.due_at
    answer = await patch(world, shown, text="Bye")
    assert (answer.json["text"], answer.json["due_at"]) == ("Bye", answer.json["wanted_at"])
    old = {"If-Match": '"1"'}
    path = f"/scheduled-messages/{shown['id']}"
    late = await world.call("PATCH", path, "amy", body={"name": "x"}, headers=old)
    assert (late.status, late.json["code"]) == (412, "changed_meanwhile")


async def test_d08_another_zone_is_the_same_reading_of_another_clock(world: World) -> None:
    session = await world.writes("hello")
    year = next_(1, 15)
    shown = await scheduled(world, session, at=f"{year}-01-15T09:00", zone="UTC")
    answer = await patch(world, shown, zone="Asia/Tokyo")
    assert (answer.json["local"], answer.json["due_at"]) == (
        f"{year}-01-15T09:00",
        f"{year}-01-15T00:00:00Z",
    )


BAD_CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "into the past": ({"at": soon(-10)}, "at"),
    "an unknown variable": ({"text": "{{x}}"}, "text"),
    "no content": ({"text": ""}, "text"),
    "no zone": ({"zone": "x"}, "zone"),
    "no such standard message": ({"standard_message": "std_no"}, "standard_message"),
    "another session": ({"session": "ses_1"}, "session"),
    "template without one": ({"when_closed": "template"}, "fallback_template"),
}


@pytest.mark.parametrize(("body", "field"), BAD_CHANGES.values(), ids=BAD_CHANGES.keys())
async def test_a_wrong_change_changes_nothing(
    world: World, body: dict[str, Any], field: str
) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session)
    answer = await patch(world, shown, **body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field)
    assert await world.get(f"/scheduled-messages/{shown['id']}") == shown


async def test_i14_a_cancel_that_was_acknowledged_holds(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session)
    seen = await stored(world, shown)
    answer = await cancel(world, shown)
    assert (answer.status, answer.json["state"], answer.json["reason"]) == (
        200,
        "cancelled",
        "cancelled",
    )
    claim = msgspec.structs.replace(seen, claimed_at=datetime.now(UTC))
    refused = await world.store.replace_many(SCHEDULED, [claim])
    assert refused == {seen.id: "stale_revision"}
    doc = await stored(world, shown)
    assert (doc.state, doc.fires_at) == ("cancelled", None)
    again = await cancel(world, shown)
    assert (again.status, again.json) == (200, answer.json)


async def test_i14_of_a_cancel_and_a_claim_one_wins(world: World) -> None:
    session = await world.writes("hello")
    for _ in range(10):
        shown = await scheduled(world, session)
        claim = msgspec.structs.replace(await stored(world, shown), claimed_at=datetime.now(UTC))
        answer, refused = await asyncio.gather(
            cancel(world, shown), world.store.replace_many(SCHEDULED, [claim])
        )
        doc = await stored(world, shown)
        if answer.status == 200:
            assert (doc.state, doc.claimed_at, bool(refused)) == ("cancelled", None, True)
        else:
            assert answer.json["code"] == "being_sent"
            assert (doc.state, bool(doc.claimed_at), refused) == ("pending", True, {})


SETTLED: dict[str, tuple[dict[str, Any], str]] = {
    "being sent": ({"claimed_at": datetime(2026, 1, 1, tzinfo=UTC)}, "being_sent"),
    "sent": ({"state": "sent", "message": "msg_1"}, "already_sent"),
    "failed": ({"state": "failed", "reason": "window_closed"}, "already_over"),
    "skipped": ({"state": "skipped", "reason": "replied"}, "already_over"),
}


@pytest.mark.parametrize(("more", "code"), SETTLED.values(), ids=SETTLED.keys())
async def test_it_is_too_late_for_what_is(world: World, more: dict[str, Any], code: str) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session)
    await settle(world, shown, **more)
    for answer in (await cancel(world, shown), await patch(world, shown, name="x")):
        assert (answer.status, answer.json["code"]) == (409, code)


async def test_what_is_cancelled_cannot_be_changed(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session)
    await cancel(world, shown)
    answer = await patch(world, shown, name="x")
    assert (answer.status, answer.json["facts"]["state"]) == (409, "cancelled")


async def test_every_change_is_on_record_without_what_is_said(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session, text="a secret")
    await patch(world, shown, "bob", text="another secret")
    await cancel(world, shown, "lena")
    about = f"scheduled:{shown['id']}"
    found = (await world.get("/audit", "lena", object=about))["items"]
    assert [(e["action"], e["actor"]) for e in found] == [
        ("scheduled.cancel", "agent:agt-lena"),
        ("scheduled.patch", "agent:agt-bob"),
        ("scheduled.create", "agent:agt-amy"),
    ]
    assert found[1]["before"]["content"] != found[1]["after"]["content"]
    assert "secret" not in str(found)


async def test_who_may_only_read_changes_nothing(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session)
    assert (await schedule(world, "rita", session=session.id, text="x")).status == 403
    assert (await patch(world, shown, "rita", name="x")).status == 403
    assert (await cancel(world, shown, "rita")).status == 403
    assert (await world.get("/scheduled-messages", "rita"))["items"] == [shown]


async def test_another_workspace_has_none_of_it(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session)
    world.tokens["zack"] = await world.token(await world.hire("zack", "owner", world.other))
    assert (await world.get("/scheduled-messages", "zack"))["items"] == []
    assert (await world.call("GET", f"/scheduled-messages/{shown['id']}", "zack")).status == 404
    assert (await patch(world, shown, "zack", name="x")).status == 404
    assert (await cancel(world, shown, "zack")).status == 404
    assert (await schedule(world, "zack", session=session.id, text="x")).status == 404


async def test_there_is_an_end_of_what_is_pending(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.desk.api.scheduled.MOST_OF_CONTACT", 2)
    session = await world.writes("hello")
    first = await scheduled(world, session)
    await scheduled(world, session)
    full = await schedule(world, session=session.id, text="x")
    assert (full.status, full.json["code"]) == (409, "too_many")
    await cancel(world, first)
    assert (await schedule(world, session=session.id, text="x")).status == 201
