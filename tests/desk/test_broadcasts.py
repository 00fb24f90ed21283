"""Broadcasts as leads make, change, start and stop them (B03)."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import msgspec
import pytest

from libs.common import subjects
from libs.common.channel import MessageTemplate
from libs.common.documents import ACCOUNTS, ATTACHMENTS, WORKSPACES
from libs.common.errors import StoreUnavailableError
from libs.common.events import Timer
from libs.common.later import BROADCASTS, RECIPIENTS, Broadcast, Recipient, RecipientState
from libs.common.store.api import Page
from libs.common.subjects import TIMERS
from libs.common.switches import QuietHours, Settings
from tests.desk.test_tags import a_tag
from tests.desk.world import NOW, Answer, World

HELLO: Mapping[str, Any] = {"name": "News", "audience": {}, "text": "Hello {{contact.name|there}}"}
PROMO = MessageTemplate(name="promo", language="en", body="Hi {{1}}, come in")


async def make(world: World, who: str = "lena", **more: Any) -> Answer:
    return await world.call("POST", "/broadcasts", who, body={**HELLO, **more})


async def made(world: World, **more: Any) -> dict[str, Any]:
    answer = await make(world, **more)
    assert answer.status == 201, answer.body
    return dict(answer.json)


async def act(world: World, broadcast: str, word: str, **more: Any) -> Answer:
    return await world.call("POST", f"/broadcasts/{broadcast}/{word}", "lena", **more)


async def stored(world: World, broadcast: str) -> Broadcast:
    found = await world.store.get(BROADCASTS, world.workspace, broadcast)
    assert found is not None
    return found


async def put(world: World, broadcast: str, **changes: Any) -> Broadcast:
    """Let the scheduler have changed it."""
    found = await stored(world, broadcast)
    return await world.store.replace(BROADCASTS, msgspec.structs.replace(found, **changes))


async def timers(world: World, broadcast: str) -> list[Timer]:
    """Return what is armed for it, or was due at once already."""
    found = []
    for subject in (subjects.timer("broadcast", broadcast), f"due.*.broadcast.{broadcast}"):
        read = await world.bus.read(TIMERS, subject)
        found += [msgspec.json.decode(message.data, type=Timer) for message in read]
    return found


async def with_recipients(world: World, broadcast: str, **counts: int) -> None:
    rows = [
        Recipient(
            id=f"rcp-{broadcast}-{state}-{n:03}",
            workspace=world.workspace,
            broadcast=broadcast,
            contact=f"con-{state}-{n:03}",
            name=f"Name {n}",
            account=world.slug("line"),
            channel="line",
            visitor=f"U{n}",
            due_at=NOW,
            state=msgspec.convert(state, RecipientState),
            reason="blocked" if state == "skipped" else "",
            updated_at=NOW,
        )
        for state, count in counts.items()
        for n in range(count)
    ]
    assert await world.store.insert_many(RECIPIENTS, rows) == {}


async def with_template(world: World) -> None:
    slug = world.slug("whatsapp")
    found = await world.store.get(ACCOUNTS, world.workspace, slug)
    assert found is not None
    await world.store.replace(ACCOUNTS, msgspec.structs.replace(found, templates=(PROMO,)))


def clock(**span: float) -> str:
    """Return a wall-clock time in UTC, so far from now."""
    return (datetime.now(UTC) + timedelta(**span)).strftime("%Y-%m-%dT%H:%M")


# --- making --------------------------------------------------------------------------------------


async def test_b03_a_draft_is_kept_and_nothing_is_armed(world: World) -> None:
    draft = await made(world)
    assert (draft["state"], draft["due_at"], draft["total"]) == ("draft", None, 0)
    assert (draft["text"], draft["author"]["id"]) == (HELLO["text"], "agt-lena")
    assert await timers(world, draft["id"]) == []
    assert [entry.action for entry in await world.audited()] == ["broadcast.create"]


async def test_b03_one_that_starts_at_once_is_running_and_armed(world: World) -> None:
    before = datetime.now(UTC)
    begun = await made(world, start=True)
    assert begun["state"] == "running"
    [timer] = await timers(world, begun["id"])
    assert (timer.ref, timer.kind) == (begun["id"], "broadcast")
    assert before <= timer.due <= datetime.now(UTC)


async def test_b03_one_that_starts_at_a_time_waits_for_it(world: World) -> None:
    at = clock(days=30)
    draft = await made(world, at=at, zone="Asia/Tokyo")
    begun = (await act(world, draft["id"], "start")).json
    due = datetime.fromisoformat(at).replace(tzinfo=UTC) - timedelta(hours=9)
    assert (begun["state"], begun["at"], begun["zone"]) == ("scheduled", at, "Asia/Tokyo")
    assert datetime.fromisoformat(begun["due_at"]) == due
    [timer] = await timers(world, begun["id"])
    assert timer.due == due


async def test_b03_at_each_ones_own_clock_the_first_is_where_the_day_begins(world: World) -> None:
    at = clock(days=30)
    begun = await made(world, at=at, zone="contact", start=True)
    first = datetime.fromisoformat(at).replace(tzinfo=UTC) - timedelta(hours=14)
    assert datetime.fromisoformat(begun["due_at"]) == first
    [timer] = await timers(world, begun["id"])
    assert timer.due == first


async def test_a_repeat_of_the_same_key_makes_one_broadcast(world: World) -> None:
    headers = {"Idempotency-Key": "k1"}
    body = {**HELLO, "start": True}
    answers = await asyncio.gather(
        *(world.call("POST", "/broadcasts", "lena", body=body, headers=headers) for _ in range(4))
    )
    assert sorted(one.status for one in answers) == [200, 200, 200, 201]
    assert len({one.json["id"] for one in answers}) == 1
    assert len((await world.get("/broadcasts", "lena"))["items"]) == 1
    for other in ({"name": "Other"}, {"text": "Corrected"}, {"start": False}, {"per_minute": 9}):
        refused = await world.call(
            "POST", "/broadcasts", "lena", body={**body, **other}, headers=headers
        )
        assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict"), other


async def test_a_repeat_is_one_after_a_change_too(world: World) -> None:
    headers = {"Idempotency-Key": "k1"}
    first = await world.call("POST", "/broadcasts", "lena", body=HELLO, headers=headers)
    path = f"/broadcasts/{first.json['id']}"
    changed = await world.call("PATCH", path, "lena", body={"name": "Renamed", "text": "Bye"})
    assert changed.status == 200
    again = await world.call("POST", "/broadcasts", "lena", body=HELLO, headers=headers)
    assert (again.status, again.json["name"]) == (200, "Renamed")


async def test_an_uploaded_file_belongs_to_the_broadcast_and_is_not_swept(world: World) -> None:
    form = aiohttp.FormData()
    form.add_field("file", b"\x89PNG\r\n\x1a\n" + b"\0" * 60, filename="dot.png")
    headers = {"Authorization": f"Bearer {world.tokens['lena']}"}
    async with world.http.post("/api/v1/attachments", data=form, headers=headers) as answer:
        file = (await answer.json())["id"]
    draft = await made(world, attachments=[file], audience={"channels": ["messenger"]})
    assert [one["id"] for one in draft["attachments"]] == [file]
    kept = await world.store.get(ATTACHMENTS, world.workspace, file)
    assert kept is not None
    assert kept.message == f"broadcast:{draft['id']}"


async def test_a_standard_message_is_taken_as_it_is_then(world: World) -> None:
    body = {"title": "Hi", "text": "Dear {{contact.name|friend}}"}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    std = await world.call("POST", "/standard-messages", "lena", body=body, headers=headers)
    draft = await made(world, text="", standard_message=std.json["id"])
    assert (draft["text"], draft["standard_message"]) == (body["text"], std.json["id"])
    await world.call("PATCH", f"/standard-messages/{std.json['id']}", "lena", body={"text": "X"})
    assert (await world.get(f"/broadcasts/{draft['id']}", "lena"))["text"] == body["text"]


async def test_the_workspaces_quiet_hours_hold_unless_others_are_named(world: World) -> None:
    workspace = await world.store.get(WORKSPACES, world.workspace, world.workspace)
    assert workspace is not None
    quiet = Settings(quiet_hours=QuietHours(start="21:00", end="08:00"))
    await world.store.replace(WORKSPACES, msgspec.structs.replace(workspace, settings=quiet))
    hours = {"start": "21:00", "end": "08:00"}
    assert (await made(world))["quiet_hours"] == hours
    assert (await made(world, quiet_hours=None))["quiet_hours"] is None
    own = {"start": "12:00", "end": "13:00"}
    assert (await made(world, quiet_hours=own))["quiet_hours"] == own


WHATSAPP = {"audience": {"channels": ["whatsapp"]}}
TEMPLATE = {"name": "promo", "language": "en", "body": ["you"]}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": " "}, "name"),
    "no content": ({"text": " "}, "text"),
    "an unknown tag": ({"audience": {"tags": ["{tag}", "none"]}}, "audience.tags.1"),
    "an unknown tag to leave out": ({"audience": {"without": ["none"]}}, "audience.without.0"),
    "an unknown channel": ({"audience": {"channels": ["fax"]}}, "audience.channels.0"),
    "an unknown account": ({"audience": {"accounts": ["nobody"]}}, "audience.accounts.0"),
    "accounts of another channel": (
        {"audience": {"channels": ["web"], "accounts": ["{line}"]}},
        "audience",
    ),
    "no language": ({"audience": {"languages": ["English please"]}}, "audience.languages.0"),
    "a time of writing below one second": (
        {"audience": {"wrote_within_s": 0}},
        "audience.wrote_within_s",
    ),
    "a field of the audience that there is not": ({"audience": {"tag": []}}, "audience.tag"),
    "a variable that there is not": ({"text": "Hi {{contact.nick}}"}, "text"),
    "a variable that does not end": ({"text": "Hi {{contact.name"}, "text"),
    "nothing left without a name": ({"text": "{{contact.name}}"}, "text"),
    "a zone that there is not": ({"at": "2030-01-01T09:00", "zone": "Mars"}, "zone"),
    "no time": ({"at": "tomorrow"}, "at"),
    "a time that has passed everywhere": ({"at": "{past}"}, "at"),
    "a time that has passed there": ({"at": "{now}", "zone": "Pacific/Kiritimati"}, "at"),
    "too far ahead": ({"at": "2999-01-01T09:00"}, "at"),
    "quiet hours all day": ({"quiet_hours": {"start": "09:00", "end": "09:00"}}, "quiet_hours.end"),
    "quiet hours of no clock": (
        {"quiet_hours": {"start": "25:00", "end": "09:00"}},
        "quiet_hours.start",
    ),
    "faster than a channel": (
        {"audience": {"channels": ["messenger", "whatsapp"]}, "per_minute": 99_999},
        "per_minute",
    ),
    "no pace at all": ({"per_minute": 0}, "per_minute"),
    "too long for a channel's window": (
        {"audience": {"channels": ["wechat"]}, "text": "x" * 9000},
        "text",
    ),
    "a template on a channel without": (
        {"text": "", "template": TEMPLATE, "audience": {"channels": ["line"]}},
        "template",
    ),
    "a template that is not approved": (
        {**WHATSAPP, "text": "", "template": {**TEMPLATE, "name": "other"}},
        "template.name",
    ),
    "a template with too few values": (
        {**WHATSAPP, "text": "", "template": {**TEMPLATE, "body": []}},
        "template.body",
    ),
    "a fallback that is not approved": (
        {
            **WHATSAPP,
            "when_closed": "template",
            "fallback_template": {**TEMPLATE, "language": "th"},
        },
        "fallback_template.name",
    ),
    "a fallback where nobody sends templates": (
        {
            "audience": {"channels": ["line"]},
            "when_closed": "template",
            "fallback_template": TEMPLATE,
        },
        "fallback_template",
    ),
    "a fallback that is missing": ({**WHATSAPP, "when_closed": "template"}, "fallback_template"),
    "a fallback that never goes out": (
        {**WHATSAPP, "fallback_template": TEMPLATE},
        "fallback_template",
    ),
    "an unknown standard message": ({"text": "", "standard_message": "none"}, "standard_message"),
    "a standard message beside a text": ({"standard_message": "none"}, "text"),
    "a file that there is not": ({"attachments": ["none"]}, "attachments.0"),
}


@pytest.mark.parametrize(("body", "field"), WRONG.values(), ids=WRONG)
async def test_b03_what_cannot_go_out_names_the_field_and_what_is_allowed(
    world: World, body: dict[str, Any], field: str
) -> None:
    await with_template(world)
    text = msgspec.json.encode({**HELLO, **body}).decode()
    for name, value in {
        "tag": await a_tag(world),
        "line": world.slug("line"),
        "past": clock(hours=-13),
        "now": clock(minutes=5),
    }.items():
        text = text.replace(f'"{{{name}}}"', f'"{value}"')
    answer = await world.call("POST", "/broadcasts", "lena", raw=text.encode())
    missing = field.startswith("attachments")
    assert (answer.status, answer.json["facts"]["field"]) == (404 if missing else 422, field)
    assert missing or answer.json["facts"]["allowed"]
    assert (await world.get("/broadcasts", "lena"))["items"] == []


async def test_b03_a_template_goes_out_by_itself_or_where_the_window_is_closed(
    world: World,
) -> None:
    await with_template(world)
    alone = await made(world, text="", template=TEMPLATE, **WHATSAPP)
    assert alone["text"] == "Hi you, come in"
    both = await made(
        world, when_closed="template", fallback_template=TEMPLATE, **WHATSAPP, per_minute=10
    )
    assert both["fallback_template"]["name"] == "promo"
    assert both["pace"] == {"whatsapp": 10}


# --- changing ------------------------------------------------------------------------------------


async def test_b03_of_two_editors_the_stale_one_is_told(world: World) -> None:
    draft = await made(world)
    path = f"/broadcasts/{draft['id']}"
    seen = {"If-Match": (await world.call("GET", path, "lena")).headers["ETag"]}
    answers = [
        await world.call("PATCH", path, "lena", body={"name": name}, headers=seen)
        for name in ("One", "Two")
    ]
    assert [one.status for one in answers] == [200, 412]
    assert (await world.get(path, "lena"))["name"] == "One"


LATER = clock(days=40)
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the text": ({"text": "Bye"}, {"text": "Bye", "parts": [{"type": "text", "text": "Bye"}]}),
    "its pace": ({"per_minute": 30}, {"per_minute": 30}),
    "no pace of its own": ({"per_minute": None}, {"per_minute": None}),
    "no quiet hours": ({"quiet_hours": None}, {"quiet_hours": None}),
    "its time": ({"at": LATER}, {"at": LATER, "zone": "contact"}),
    "nothing": ({}, {}),
}


@pytest.mark.parametrize(("patch", "shown"), CHANGES.values(), ids=CHANGES)
async def test_b03_what_is_left_out_stays(
    world: World, patch: dict[str, Any], shown: dict[str, Any]
) -> None:
    before = await made(world)
    answer = await world.call("PATCH", f"/broadcasts/{before['id']}", "lena", body=patch)
    assert answer.status == 200, answer.body
    after = answer.json
    different = {name for name, value in after.items() if value != before[name]}
    assert {name: after[name] for name in shown} == shown
    assert different <= {*shown, "updated_at", "pace"}


async def test_b03_an_earlier_time_of_one_that_waits_is_armed_a_later_one_when_it_fires(
    world: World,
) -> None:
    begun = await made(world, at=clock(days=2), zone="UTC", start=True)
    path = f"/broadcasts/{begun['id']}"
    for at, armed in ((clock(days=3), clock(days=2)), (clock(days=1), clock(days=1))):
        after = (await world.call("PATCH", path, "lena", body={"at": at})).json
        due = datetime.fromisoformat(at).replace(tzinfo=UTC)
        assert (after["state"], datetime.fromisoformat(after["due_at"])) == ("scheduled", due)
        assert (await stored(world, begun["id"])).fires_at == due
        [timer] = await timers(world, begun["id"])
        assert timer.due == datetime.fromisoformat(armed).replace(tzinfo=UTC)
    assert (await world.call("PATCH", path, "lena", body={"at": clock(days=-1)})).status == 422
    at_once = (await world.call("PATCH", path, "lena", body={"at": ""})).json
    assert at_once["state"] == "running"


LATE: dict[str, tuple[dict[str, Any], int]] = {
    "the audience": ({"audience": {}}, 409),
    "the time": ({"at": "2030-01-01T09:00"}, 409),
    "the zone": ({"zone": "UTC"}, 409),
    "quiet hours": ({"quiet_hours": None}, 409),
    "the text": ({"text": "Bye"}, 200),
    "the pace": ({"per_minute": 10}, 200),
    "the name": ({"name": "Other"}, 200),
}


@pytest.mark.parametrize(("patch", "status"), LATE.values(), ids=LATE)
async def test_b03_once_recipients_are_chosen_they_stay_the_same(
    world: World, patch: dict[str, Any], status: int
) -> None:
    begun = await made(world, start=True)
    await put(world, begun["id"], cursor="0:con-1")
    assert (await act(world, begun["id"], "pause")).status == 200
    path = f"/broadcasts/{begun['id']}"
    answer = await world.call("PATCH", path, "lena", body=patch)
    assert answer.status == status
    if status == 409:
        assert answer.json["code"] == "recipients_chosen"
        assert answer.json["facts"]["field"] in patch


# --- acting --------------------------------------------------------------------------------------

DONE = {
    "draft": {"start": "running", "cancel": "cancelled"},
    "scheduled": {
        "start": "scheduled",
        "pause": "paused",
        "resume": "scheduled",
        "cancel": "cancelled",
    },
    "running": {"start": "running", "pause": "paused", "resume": "running", "cancel": "cancelled"},
    "paused": {"pause": "paused", "resume": "running", "cancel": "cancelled"},
    "done": {},
    "cancelled": {"cancel": "cancelled"},
}
ACTS = {
    f"{word} one that is {state}": (state, word, DONE[state].get(word))
    for state in DONE
    for word in ("start", "pause", "resume", "cancel")
}


@pytest.mark.parametrize(("state", "word", "after"), ACTS.values(), ids=ACTS)
async def test_b03_each_act_is_done_or_refused_with_the_state(
    world: World, state: str, word: str, after: str | None
) -> None:
    begun = await made(world, at=clock(days=1) if state == "scheduled" else "")
    if state != "draft":
        assert (await act(world, begun["id"], "start")).status == 200
    if state == "paused":
        assert (await act(world, begun["id"], "pause")).status == 200
    if state in {"done", "cancelled"}:
        await put(world, begun["id"], state=state)
    for _ in range(2):  # a repeat is answered alike
        answer = await act(world, begun["id"], word)
        if after is None:
            assert (answer.status, answer.json["code"]) == (409, "wrong_state")
            assert answer.json["facts"]["state"] == state
        else:
            assert (answer.status, answer.json["state"]) == (200, after)
    assert (await stored(world, begun["id"])).state == (after or state)


async def test_b03_who_is_paused_or_cancelled_is_told_how_many_go_out_still(world: World) -> None:
    begun = await made(world, start=True)
    await with_recipients(world, begun["id"], sending=3, pending=5, sent=2, skipped=1)
    paused = (await act(world, begun["id"], "pause")).json
    assert paused["under_way"] == 3
    assert paused["counts"] == {"sending": 3, "pending": 5, "sent": 2, "skipped": 1}
    assert (await act(world, begun["id"], "cancel")).json["under_way"] == 3
    actions = [entry.action for entry in await world.audited()]
    assert actions == ["broadcast.create", "broadcast.pause", "broadcast.cancel"]


async def test_b03_a_pause_wins_though_the_scheduler_writes_all_the_time(world: World) -> None:
    begun = await made(world, start=True)

    async def ticks() -> None:
        while True:
            found = await stored(world, begun["id"])
            if found.state != "running":
                return
            await world.store.replace_many(BROADCASTS, [found])
            await asyncio.sleep(0.01)

    ticking = asyncio.create_task(ticks())
    answer = await act(world, begun["id"], "pause")
    assert (answer.status, answer.json["state"]) == (200, "paused")
    await asyncio.wait_for(ticking, 30)
    assert (await stored(world, begun["id"])).state == "paused"


async def test_b03_what_was_right_when_drafted_is_looked_at_when_it_starts(world: World) -> None:
    tag = await a_tag(world)
    draft = await made(world, audience={"tags": [tag]})
    assert (await world.call("DELETE", f"/tags/{tag}", "lena")).status == 204
    answer = await act(world, draft["id"], "start")
    assert (answer.status, answer.json["facts"]["field"]) == (422, "audience.tags.0")
    late = await made(world, at=clock(days=1), zone="UTC")
    await put(world, late["id"], local=clock(hours=-1))
    answer = await act(world, late["id"], "start")
    assert (answer.status, answer.json["facts"]["field"]) == (422, "at")
    assert (await stored(world, late["id"])).state == "draft"


async def test_b03_a_copy_is_a_draft_of_the_same_for_another_time(world: World) -> None:
    begun = await made(world, at=clock(days=1), zone="UTC", start=True, per_minute=30)
    headers = {"Idempotency-Key": "copy-1"}
    copied, again = [await act(world, begun["id"], "copy", headers=headers) for _ in "12"]
    assert (copied.status, again.status) == (201, 200)
    assert copied.json["id"] == again.json["id"] != begun["id"]
    assert (copied.json["state"], copied.json["at"], copied.json["name"]) == (
        "draft",
        "",
        "News (copy)",
    )
    for name in ("text", "audience", "zone", "per_minute"):
        assert copied.json[name] == begun[name]
    assert copied.json["copied_from"] == begun["id"]
    refused = await act(world, begun["id"], "copy", body={"name": "Autumn"}, headers=headers)
    assert (refused.status, refused.json["code"]) == (409, "idempotency_conflict")
    named = await act(world, begun["id"], "copy", body={"name": "Autumn"})
    assert named.json["name"] == "Autumn"


async def test_a_pace_is_that_of_the_channels_that_recipients_are_on(world: World) -> None:
    begun = await made(world, start=True)
    await put(world, begun["id"], state="paused", gathered=True, cursor="end")
    await with_recipients(world, begun["id"], pending=1)
    path = f"/broadcasts/{begun['id']}"
    refused = await make(world, per_minute=10_000)
    assert (refused.status, refused.json["facts"]["field"]) == (422, "per_minute")
    assert "audience.channels" in refused.json["facts"]["allowed"]
    changed = await world.call("PATCH", path, "lena", body={"per_minute": 10_000})
    assert (changed.status, changed.json["per_minute"]) == (200, 10_000)
    refused = await world.call("PATCH", path, "lena", body={"per_minute": 99_999})
    assert refused.json["detail"].startswith("per_minute: line takes")


async def test_of_a_recipient_whose_outcome_is_not_known_nothing_else_is_said(world: World) -> None:
    begun = await made(world, start=True)
    await with_recipients(world, begun["id"], sent=1)
    [row] = await world.store.find(RECIPIENTS, world.workspace, {}, Page(order="broadcast"))
    await world.store.replace(RECIPIENTS, msgspec.structs.replace(row, reason="unknown"))
    [shown] = (await world.get(f"/broadcasts/{begun['id']}/recipients", "lena"))["items"]
    assert (shown["state"], shown["reason"]) == ("sent", "unknown")
    assert shown["detail"].startswith("The provider did not say whether it took the message.")


async def test_b03_only_a_draft_is_deleted(world: World) -> None:
    draft = await made(world)
    path = f"/broadcasts/{draft['id']}"
    assert (await world.call("DELETE", path, "lena")).status == 204
    assert (await world.call("GET", path, "lena")).status == 404
    assert (await world.call("DELETE", path, "lena")).status == 404
    begun = await made(world, start=True)
    refused = await world.call("DELETE", f"/broadcasts/{begun['id']}", "lena")
    assert (refused.status, refused.json["facts"]["state"]) == (409, "running")


async def test_b03_who_deletes_is_on_record_and_may_try_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft = await made(world)
    path = f"/broadcasts/{draft['id']}"

    async def away(*_args: object) -> None:
        raise StoreUnavailableError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(world.desk.store.port, "delete", away)
        assert (await world.call("DELETE", path, "lena")).status == 503
    assert (await stored(world, draft["id"])).state == "cancelled"
    actions = [entry.action for entry in await world.audited()]
    assert actions == ["broadcast.create", "broadcast.delete"]
    assert (await world.call("DELETE", path, "lena")).status == 204
    assert (await world.call("GET", path, "lena")).status == 404
    assert [entry.action for entry in await world.audited()] == actions


# --- lists ---------------------------------------------------------------------------------------


async def test_b03_broadcasts_are_listed_newest_first_by_state(world: World) -> None:
    ids = [(await made(world, name=f"N{n}", start=n % 2 == 0))["id"] for n in range(5)]
    found: list[str] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = await world.get("/broadcasts", "lena", limit=2, cursor=page["next"])
        found += [one["id"] for one in page["items"]]
    assert found == ids[::-1]
    drafts = await world.get("/broadcasts", "lena", state="draft,cancelled")
    assert [one["id"] for one in drafts["items"]] == [ids[3], ids[1]]


async def test_b03_recipients_are_listed_by_state_with_reason_and_name(world: World) -> None:
    begun = await made(world, start=True)
    other = await made(world, start=True)
    await with_recipients(world, begun["id"], sent=5, skipped=2, failed=1)
    await with_recipients(world, other["id"], sent=2)
    path = f"/broadcasts/{begun['id']}/recipients"
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": ""}
    while page["next"] is not None:
        page = await world.get(path, "lena", limit=3, cursor=page["next"])
        found += page["items"]
    assert len({one["id"] for one in found}) == 8
    skipped = (await world.get(path, "lena", state="skipped,failed"))["items"]
    assert sorted(one["state"] for one in skipped) == ["failed", "skipped", "skipped"]
    blocked = next(one for one in skipped if one["reason"] == "blocked")
    assert blocked["contact"]["name"].startswith("Name ")
    assert blocked["detail"]
