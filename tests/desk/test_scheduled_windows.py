"""What is known of a channel's window when something is scheduled, by a virtual clock (D08)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.channel import Account
from libs.common.channels import CHANNELS
from libs.common.documents import ACCOUNTS, SESSIONS, Session
from libs.common.events import ContactChanged, TemplatePart, TextPart
from libs.common.ids import derive_id
from libs.common.later import ScheduledMessage
from services.desk.scheduling import moment, outlook, too_many
from tests.desk.test_scheduled import cancel, patch, schedule, scheduled, settle, soon, stored
from tests.desk.test_send_content import HI, with_templates
from tests.desk.world import World, ago

WROTE = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
"""Berlin's clocks change in the night after."""
FALL = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
TICK = timedelta(microseconds=1)


def session_of(channel: str, **more: Any) -> Session:
    return Session(
        id="ses_1",
        workspace="acme",
        account="acme-1",
        channel=channel,
        visitor="U1",
        contact="con_1",
        list="assigned",
        open_key="acme-1|U1",
        created_at=WROTE,
        updated_at=WROTE,
        epoch=3,
        **more,
    )


def doc_of(due: datetime, **more: Any) -> ScheduledMessage:
    default: dict[str, Any] = {
        "parts": (TextPart(text="Hi"),),
        "created_at": WROTE,
        "epoch": 3,
        "session": "ses_1",
    }
    return ScheduledMessage(
        id="sch_1",
        workspace="acme",
        name="x",
        contact="con_1",
        account="acme-1",
        channel="x",
        visitor="U1",
        author="agt",
        local="x",
        zone="UTC",
        due_at=due,
        updated_at=WROTE,
        **{**default, **more},
    )


def account_of(channel: str, **more: Any) -> Account:
    return Account(workspace="acme", slug="acme-1", channel=channel, external_id="1", **more)


TEMPLATE = (TemplatePart(name="hi", language="en", body=("a", "b")),)
OPEN = {"window_at": WROTE, "last_inbound_at": WROTE}

WINDOWS: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "messenger: inside": ("messenger", OPEN, {"due": DAY / 2}, "goes"),
    "messenger: the last instant": ("messenger", OPEN, {"due": DAY - TICK}, "goes"),
    "messenger: the end itself": ("messenger", OPEN, {"due": DAY}, "window_closed"),
    "messenger: a machine has no longer one": (
        "messenger", OPEN, {"due": 2 * DAY}, "window_closed",
    ),
    "messenger: never wrote": ("messenger", {}, {"due": DAY}, "no_window"),
    "instagram: the end itself": ("instagram", OPEN, {"due": DAY}, "window_closed"),
    "whatsapp: the last instant": ("whatsapp", OPEN, {"due": DAY - TICK}, "goes"),
    "whatsapp: the end itself": ("whatsapp", OPEN, {"due": DAY}, "window_closed"),
    "whatsapp: a click on an ad opens three days": (
        "whatsapp", {**OPEN, "ad_at": WROTE}, {"due": 3 * DAY - TICK}, "goes",
    ),
    "whatsapp: these end, too": (
        "whatsapp", {**OPEN, "ad_at": WROTE}, {"due": 3 * DAY}, "window_closed",
    ),
    "whatsapp: a template at any time": (
        "whatsapp", {}, {"due": 30 * DAY, "parts": TEMPLATE}, "goes",
    ),
    "whatsapp: a template that is not there": (
        "whatsapp", {}, {"due": DAY, "parts": (TemplatePart(name="ho", language="en"),)},
        "template_unknown",
    ),
    "whatsapp: a template with too few values": (
        "whatsapp", {}, {"due": DAY, "parts": (TemplatePart(name="hi", language="en"),)},
        "template_values",
    ),
    "wechat: two days": ("wechat", OPEN, {"due": 2 * DAY - TICK}, "goes"),
    "wechat: not longer": ("wechat", OPEN, {"due": 2 * DAY}, "window_closed"),
    "wechat: five are used up": (
        "wechat", {**OPEN, "window_sends": 5}, {"due": DAY}, "count_used_up",
    ),
    "line: at any time": ("line", {}, {"due": 300 * DAY}, "goes"),
    "web: at any time": ("web", {}, {"due": 300 * DAY}, "goes"),
    "blocked": ("line", {"blocked": True}, {"due": DAY}, "blocked"),
    "another application has it": (
        "messenger", {**OPEN, "standby": True}, {"due": DAY / 2}, "standby",
    ),
    "has replied": (
        "line", {"last_inbound_at": WROTE + TICK}, {"due": DAY, "only_if_no_reply": True},
        "replied",
    ),
    "has replied in the second that the provider's time names": (
        "line", {"last_inbound_at": WROTE, "heard_at": WROTE + TICK},
        {"due": DAY, "only_if_no_reply": True}, "replied",
    ),
    "wrote before, and not since": (
        "line", {"last_inbound_at": WROTE}, {"due": DAY, "only_if_no_reply": True}, "goes",
    ),
    "has moved": ("line", {}, {"due": DAY, "unless_moved": True, "epoch": 2}, "stale_epoch"),
    "has not moved": ("line", {}, {"due": DAY, "unless_moved": True}, "goes"),
    "has another session": (
        "line", {}, {"due": DAY, "unless_moved": True, "session": "ses_0"}, "stale_epoch",
    ),
    "overdue, it counts what is now": (
        "messenger", OPEN, {"due": -DAY, "now": DAY}, "window_closed",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("channel", "session", "given", "expected"), WINDOWS.values(), ids=WINDOWS.keys()
)
def test_d08_what_is_to_be_expected(
    channel: str, session: dict[str, Any], given: dict[str, Any], expected: str
) -> None:
    more = {name: value for name, value in given.items() if name not in {"due", "now"}}
    found = outlook(
        session_of(channel, **session),
        CHANNELS[channel],
        account_of(channel, templates=(HI,)),
        doc_of(WROTE + given["due"], **more),
        WROTE + given.get("now", timedelta()),
    )
    assert found == expected


CLOCKS: dict[str, tuple[datetime, str, str]] = {
    "a day that is an hour short: inside": (WROTE, "2026-03-29T13:59", "goes"),
    "a day that is an hour short: the end": (WROTE, "2026-03-29T14:00", "window_closed"),
    "the gap before the end": (
        WROTE - 10 * HOUR - 31 * MINUTE,
        "2026-03-29T02:30",
        "window_closed",
    ),
    "the gap inside of it": (WROTE - 10 * HOUR - 29 * MINUTE, "2026-03-29T02:30", "goes"),
    "a day that is an hour long: inside": (FALL, "2026-10-25T12:59", "goes"),
    "a day that is an hour long: the end": (FALL, "2026-10-25T13:00", "window_closed"),
    "the overlap means the first: inside": (FALL - 11 * HOUR, "2026-10-25T02:30", "goes"),
    "its second is too late": (FALL - 11 * HOUR, "2026-10-25T02:30+01:00", "window_closed"),
}


@pytest.mark.parametrize(("wrote", "local", "expected"), CLOCKS.values(), ids=CLOCKS.keys())
def test_d08_a_window_is_real_time_whatever_the_clocks_do(
    wrote: datetime, local: str, expected: str
) -> None:
    session = session_of("messenger", window_at=wrote)
    due = moment(local, "Europe/Berlin").at
    account = account_of("messenger")
    assert outlook(session, CHANNELS["messenger"], account, doc_of(due), wrote) == expected


def test_an_account_that_is_off_sends_nothing() -> None:
    account = account_of("line", enabled=False)
    found = outlook(session_of("line"), CHANNELS["line"], account, doc_of(WROTE), WROTE)
    assert found == "account_unavailable"


def test_d08_a_window_takes_so_many_messages_of_the_channel_and_no_more() -> None:
    wechat = CHANNELS["wechat"]
    text = TextPart(text="x")
    assert too_many(wechat, doc_of(WROTE, parts=(text,) * 5)) is None
    assert too_many(wechat, doc_of(WROTE, parts=(text,) * 6)) == 5
    assert too_many(CHANNELS["line"], doc_of(WROTE, parts=(text,) * 6)) is None


# --- through the API ---------------------------------------------------------------------------


async def far(world: World, channel: str = "messenger") -> Session:
    """Return a session whose window closes in an hour, of 24."""
    return await world.writes("hello", channel=channel, at=ago(23 * 3600))


async def test_d08_a_window_that_closes_first_must_be_answered_for(world: World) -> None:
    session = await far(world)
    answer = await schedule(world, session=session.id, text="Hi", at=soon(120))
    assert (answer.status, answer.json["code"]) == (422, "window_closes_first")
    facts = answer.json["facts"]
    assert (facts["field"], facts["reason"], facts["choices"]) == (
        "when_closed",
        "window_closed",
        "fail,hold",
    )
    until = datetime.fromisoformat(facts["until"])
    assert abs(until - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=30)
    assert (await scheduled(world, session, at=soon(55)))["expected"] == "goes"
    for choice in ("fail", "hold"):
        shown = await scheduled(world, session, at=soon(120), when_closed=choice)
        assert (shown["expected"], shown["when_closed"]) == ("window_closed", choice)
        assert datetime.fromisoformat(shown["window_until"]) == until


async def test_d08_quiet_hours_may_move_it_out_of_the_window(world: World) -> None:
    session = await far(world)
    start, end = (datetime.now(UTC) + timedelta(minutes=n) for n in (-30, 90))
    quiet = {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
    answer = await schedule(world, session=session.id, text="Hi", at=soon(5), quiet_hours=quiet)
    assert answer.json["code"] == "window_closes_first"


async def test_d08_a_template_goes_where_the_window_is_closed(world: World) -> None:
    await with_templates(world, HI)
    session = await far(world, "whatsapp")
    wanted = {"name": "hi", "language": "en", "body": ["{{contact.name|there}}", "7"]}
    body: dict[str, Any] = {"at": soon(120), "when_closed": "template"}
    refused = await schedule(world, session=session.id, text="Hi", at=soon(120))
    assert refused.json["facts"]["choices"] == "fail,hold,template"
    assert refused.json["facts"]["templates"] == "hi/en"
    shown = await scheduled(world, session, **body, fallback_template=wanted)
    assert (shown["text"], shown["expected"]) == ("Hi", "template")
    soon_ = await scheduled(world, session, **{**body, "at": soon(55)}, fallback_template=wanted)
    assert soon_["expected"] == "goes"
    assert shown["fallback_template"]["text"] == (
        "Dear {{contact.name|there}}, order 7 is here. Bye {{contact.name|there}}"
    )
    alone = await scheduled(world, session, at=soon(120), template=wanted)
    assert (alone["expected"], alone["parts"][0]["type"]) == ("goes", "template")


FALLBACKS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"name": "ho", "language": "en"}, "fallback_template.name"),
    "of another language": ({"name": "hi", "language": "de"}, "fallback_template.name"),
    "with too few values": ({"name": "hi", "language": "en"}, "fallback_template.body"),
    "with an unknown variable": (
        {"name": "hi", "language": "en", "body": ["{{x}}", "7"]}, "fallback_template.body",
    ),
    "with a value that may be blank": (
        {"name": "hi", "language": "en", "body": ["{{contact.name}}", "7"]},
        "fallback_template.body",
    ),
    "with a file": (
        {"name": "hi", "language": "en", "body": ["a", "b"], "header_attachment": "att_1"},
        "fallback_template.header_attachment",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "field"), FALLBACKS.values(), ids=FALLBACKS.keys())
async def test_d08_a_fallback_that_could_never_go_is_refused(
    world: World, wanted: dict[str, Any], field: str
) -> None:
    await with_templates(world, HI)
    session = await far(world, "whatsapp")
    body: dict[str, Any] = {
        "text": "Hi",
        "when_closed": "template",
        "fallback_template": wanted,
    }
    answer = await schedule(world, session=session.id, **body)
    assert (answer.status, answer.json["facts"]["field"]) == (422, field), answer.body


async def test_d08_whom_nothing_reaches_nothing_is_scheduled_for(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session)
    gone = ContactChanged(
        event_id="e-gone", visitor="U1", occurred_at=datetime.now(UTC), change="unfollow"
    )
    await world.happens(gone)
    answer = await schedule(world, session=session.id, text="Hi", when_closed="fail")
    assert (answer.status, answer.json["code"]) == (422, "blocked")
    assert answer.json["facts"]["field"] == "session"
    assert (await world.get(f"/scheduled-messages/{shown['id']}"))["expected"] == "blocked"
    assert (await patch(world, shown, text="Bye")).json["code"] == "blocked"
    assert (await patch(world, shown, name="Gone")).status == 200


async def test_d08_nor_for_a_follower_who_never_wrote_and_has_gone(world: World) -> None:
    now = datetime.now(UTC)
    come = ContactChanged(event_id="e-come", visitor="U7", occurred_at=now, change="follow")
    await world.happens(come)
    account = world.slug("line", world.workspace)
    whom = {"contact": derive_id("con", world.workspace, account, "U7"), "account": account}
    kept = await schedule(world, **whom, text="Hi")
    assert (kept.status, kept.json["expected"]) == (201, "goes")
    gone = ContactChanged(
        event_id="e-gone", visitor="U7", occurred_at=now + TICK, change="unfollow"
    )
    await world.happens(gone)
    answer = await schedule(world, **whom, text="Hi")
    assert (answer.status, answer.json["code"]) == (422, "blocked")
    assert (await world.get(f"/scheduled-messages/{kept.json['id']}"))["expected"] == "blocked"


async def test_d08_by_an_account_that_is_off_nothing_is_scheduled(world: World) -> None:
    session = await world.writes("hello")
    account = await world.store.get(ACCOUNTS, world.workspace, session.account)
    assert account is not None
    account.enabled = False
    await world.store.replace(ACCOUNTS, account)
    answer = await schedule(world, session=session.id, text="Hi", when_closed="hold")
    assert (answer.status, answer.json["code"], answer.json["facts"]["field"]) == (
        422,
        "account_unavailable",
        "account",
    )


async def test_d08_of_a_stranger_the_channel_alone_decides(world: World) -> None:
    session = await world.writes("hello", channel="messenger")
    blank = msgspec.structs.replace(session, window_at=None, last_inbound_at=None)
    await world.store.replace(SESSIONS, blank)
    answer = await schedule(world, contact=session.contact, account=session.account, text="Hi")
    assert (answer.json["code"], answer.json["facts"]["reason"]) == (
        "window_closes_first",
        "no_window",
    )
    assert answer.json["facts"]["until"] == ""


async def test_d08_a_change_out_of_the_window_must_be_answered_for(world: World) -> None:
    session = await far(world)
    shown = await scheduled(world, session, at=soon(30))
    refused = await patch(world, shown, at=soon(120))
    assert (refused.status, refused.json["code"]) == (422, "window_closes_first")
    held = await patch(world, shown, at=soon(120), when_closed="hold", hold_until=soon(240))
    assert (held.status, held.json["expected"]) == (200, "window_closed")
    assert (await patch(world, shown, text="Bye")).status == 200
    dropped = await patch(world, shown, when_closed="fail")
    assert (dropped.json["when_closed"], dropped.json["hold_until"]) == ("fail", None)
    assert (await patch(world, shown, text="Hi again", at=soon(150))).status == 200  # known by now


async def test_d08_a_change_behind_the_end_of_holding_is_refused(world: World) -> None:
    session = await far(world)
    at = datetime.now(UTC) + timedelta(days=1)
    clock = (at.replace(hour=hour, minute=0) for hour in (10, 11))
    begin, end = (one.strftime("%Y-%m-%dT%H:%M") for one in clock)
    shown = await scheduled(
        world, session, at=begin, zone="UTC", when_closed="hold", hold_until=end
    )
    for changes, field in (
        ({"at": at.replace(hour=12, minute=0).strftime("%Y-%m-%dT%H:%M")}, "hold_until"),
        ({"quiet_hours": {"start": "09:00", "end": "13:00"}}, "hold_until"),
        ({"zone": "Etc/GMT+5"}, "hold_until"),
        ({"only_if_no_reply": True}, "only_if_no_reply"),
    ):
        refused = await patch(world, shown, **changes)
        assert (refused.status, refused.json["facts"]["field"]) == (422, field), changes
    assert (await patch(world, shown, name="Later")).status == 200
    assert (await patch(world, shown, hold_until="", zone="Etc/GMT+5")).status == 200


async def test_d08_the_open_session_counts_where_a_newer_one_has_ended(world: World) -> None:
    old = await world.writes("hello", channel="messenger")
    assert (await world.do("end", old.id)).status == 200
    new = await world.writes("again", channel="messenger")
    assert (await world.do("end", new.id)).status == 200
    ended = await world.session(old.id)
    reopened = {"list": "unassigned", "open_key": f"{old.account}|{old.visitor}"}
    await world.store.replace(SESSIONS, msgspec.structs.replace(ended, **reopened))
    gone = msgspec.structs.replace(await world.session(new.id), window_at=ago(90 * 86_400))
    await world.store.replace(SESSIONS, gone)
    shown = await scheduled(world, old, unless_moved=True)
    assert (shown["session"], shown["expected"]) == (old.id, "goes")
    whom = {"contact": old.contact, "account": old.account}
    answer = await schedule(world, **whom, text="Hi")
    assert (answer.status, answer.json["session"]) == (201, old.id)


async def test_what_is_held_stays_held_unless_its_time_changes(world: World) -> None:
    session = await far(world)
    shown = await scheduled(world, session, at=soon(120), when_closed="hold")
    end = datetime.now(UTC) + timedelta(days=7)
    held: dict[str, Any] = {"held": True, "fires_at": end, "hold_until": end, "reason": "held"}
    await settle(world, shown, **held)
    assert (await patch(world, shown, text="Bye")).json["held"]
    doc = await stored(world, shown)
    assert doc.fires_at is not None
    assert abs(doc.fires_at - end) < timedelta(seconds=1)
    answer = await patch(world, shown, hold_until=soon(300))
    assert (answer.json["held"], answer.json["reason"]) == (False, "")
    doc = await stored(world, shown)
    assert doc.fires_at == doc.due_at
    await settle(world, shown, **held)
    answer = await patch(world, shown, at=soon(180))
    assert (answer.json["held"], answer.json["reason"]) == (False, "")
    assert (await cancel(world, shown)).json["state"] == "cancelled"


async def test_d08_the_template_that_takes_its_place_is_on_record_without_its_values(
    world: World,
) -> None:
    await with_templates(world, HI)
    session = await far(world, "whatsapp")
    wanted = {"name": "hi", "language": "en", "body": ["a secret", "7"]}
    body: dict[str, Any] = {"at": soon(120), "when_closed": "template"}
    shown = await scheduled(world, session, **body, fallback_template=wanted)
    wanted["body"] = ["another secret", "7"]
    assert (await patch(world, shown, fallback_template=wanted)).status == 200
    about = f"scheduled:{shown['id']}"
    [changed, made] = (await world.get("/audit", "lena", object=about))["items"]
    assert made["after"]["content"] == changed["before"]["content"] != changed["after"]["content"]
    assert "secret" not in str([changed, made])


async def test_d03_a_message_that_is_not_to_move_names_the_epoch(world: World) -> None:
    session = await world.writes("hello")
    shown = await scheduled(world, session, unless_moved=True)
    assert (await stored(world, shown)).epoch == session.epoch
    assert shown["expected"] == "goes"
    assert (await world.do("claim", session.id)).status == 200
    assert (await world.get(f"/scheduled-messages/{shown['id']}"))["expected"] == "stale_epoch"
    assert (await patch(world, shown, unless_moved=False)).json["expected"] == "goes"
    assert (await stored(world, shown)).epoch is None
    again = await patch(world, shown, unless_moved=True)
    assert (again.json["unless_moved"], again.json["expected"]) == (True, "goes")
    assert (await stored(world, shown)).epoch == (await world.session(session.id)).epoch


async def test_a_message_that_is_not_to_move_needs_the_newest_session(world: World) -> None:
    old = await world.writes("hello")
    assert (await world.do("end", old.id)).status == 200
    new = await world.writes("again")
    assert new.id != old.id
    answer = await schedule(world, session=old.id, text="Hi", unless_moved=True)
    assert (answer.status, answer.json["facts"]["field"]) == (422, "unless_moved")
    shown = await scheduled(world, old)
    assert (shown["session"], shown["expected"]) == (old.id, "goes")


async def test_has_the_visitor_replied_it_says_so(world: World) -> None:
    session = await world.writes("hello", at=ago(60))
    shown = await scheduled(world, session, only_if_no_reply=True)
    assert shown["expected"] == "goes"
    await world.writes("again")
    assert (await world.get(f"/scheduled-messages/{shown['id']}"))["expected"] == "replied"
