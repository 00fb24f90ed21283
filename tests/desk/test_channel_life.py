"""What channels add: windows, typing and reading, retry, health, and one contact over all."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.documents import ACCOUNTS, IDENTITIES, MESSAGES, SESSIONS, Message
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    MessageReceived,
    SendReported,
    TextPart,
    Thread,
    VisitorSignal,
)
from libs.common.health import Seen
from libs.common.ids import derive_id
from libs.common.store.api import Page
from libs.common.subjects import HEALTH_KV, signal
from tests.desk.test_messages import sends
from tests.desk.world import CONNECTED, NOW, World, ago

# --- capabilities


async def test_d08_a_session_tells_what_may_be_sent_and_until_when(world: World) -> None:
    at = ago(3600)
    session = await world.writes("hello", channel="whatsapp", at=at)
    for shown in (
        (await world.get(f"/sessions/{session.id}"))["capabilities"],
        (await world.get("/sessions"))["items"][0]["capabilities"],
        (await world.do("open", session.id)).json["capabilities"],
    ):
        assert shown["can_free_text"] is True
        until = datetime.fromisoformat(shown["can_free_text_until"])
        assert until == at + timedelta(hours=24)
        assert {"text", "image", "template"} <= set(shown["carries"])
    line = await world.writes("hello", channel="line")
    shown = (await world.get(f"/sessions/{line.id}"))["capabilities"]
    assert (shown["can_free_text"], shown["can_free_text_until"]) == (True, None)


async def test_d08_when_the_window_is_over_the_session_says_so_and_sending_is_refused(
    world: World,
) -> None:
    session = await world.writes("hello", channel="whatsapp", at=ago(25 * 3600))
    shown = (await world.get(f"/sessions/{session.id}"))["capabilities"]
    assert (shown["can_free_text"], shown["reason"]) == (False, "window_closed")
    assert shown["detail"]
    refused = await world.send(session.id, "too late")
    assert (refused.status, refused.json["code"]) == (409, "window_closed")
    assert await sends(world, session) == []


async def test_d08_a_visitor_who_left_cannot_be_written_to(world: World) -> None:
    session = await world.writes("hello", at=ago(5))
    gone = ContactChanged(event_id="u1", visitor="U1", occurred_at=ago(1), change="unfollow")
    await world.happens(gone)
    shown = (await world.get(f"/sessions/{session.id}"))["capabilities"]
    assert (shown["can_free_text"], shown["reason"]) == (False, "blocked")


# --- typing and reading


class Ear:
    """What goes out for visitors, as the sender hears it."""

    def __init__(self) -> None:
        self.heard: list[VisitorSignal] = []

    def take(self, _subject: str, data: bytes) -> None:
        self.heard.append(msgspec.json.decode(data, type=VisitorSignal))

    async def kinds(self, count: int) -> list[str]:
        """Return what came, once *count* have come and no more do."""
        for _ in range(50):
            if len(self.heard) >= count:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        return [found.kind for found in self.heard]


async def listening_to(world: World, channel: str = "line") -> Ear:
    ear = Ear()
    await world.bus.listen(signal(world.workspace, world.slug(channel)), ear.take)
    await asyncio.sleep(0.05)
    return ear


async def test_typing_is_shown_once_in_three_seconds_a_session(world: World) -> None:
    one, two = await world.writes("hello"), await world.writes("hello", visitor="U2")
    ear = await listening_to(world)
    answers = [await world.do("typing", s.id) for s in (one, one, two, one)]
    assert [(a.status, a.json["shown"]) for a in answers] == [
        (200, True),
        (200, False),
        (200, True),
        (200, False),
    ]
    assert await ear.kinds(2) == ["typing", "typing"]
    first = ear.heard[0]
    assert (first.session, first.visitor, first.channel) == (one.id, "U1", "line")
    assert first.message_id == "m-U1-hello"


async def test_typing_is_not_shown_where_the_channel_cannot_or_the_session_ended(
    world: World,
) -> None:
    comment = await world.writes("hello", channel="fb_comment")
    ended = await world.writes("hello")
    await world.do("end", ended.id)
    for session in (comment, ended):
        answer = await world.do("typing", session.id)
        assert (answer.status, answer.json) == (200, {"shown": False})
    assert (await world.do("typing", "ses_none")).status == 404
    assert (await world.do("typing", comment.id, "rita")).status == 403


async def test_reading_is_shown_when_an_assignee_read_everything_and_not_before(
    world: World,
) -> None:
    session = await world.writes("hello", at=ago(9))
    ear = await listening_to(world)
    await world.do("read", session.id, "bob")  # a peek at what the bot has
    assert await ear.kinds(0) == []
    await world.do("claim", session.id, "amy")
    heard = await ear.kinds(0)
    await world.writes("hello?")
    await world.writes("are you there?")
    await world.do("read", session.id, "bob")  # it is not his
    await world.do("read", session.id, "amy", {"up_to": 2})  # not all of it
    assert await ear.kinds(0) == heard
    await world.do("read", session.id, "amy")
    assert await ear.kinds(len(heard) + 1) == [*heard, "seen"]
    assert ear.heard[-1].message_id == "m-U1-are you there?"
    await world.do("read", session.id, "amy")  # nothing new
    assert len(await ear.kinds(0)) == len(heard) + 1


async def test_reading_is_not_shown_where_the_workspace_says_so(world: World) -> None:
    session = await world.writes("hello", at=ago(9))
    await world.do("claim", session.id, "amy")
    answer = await world.call("PATCH", "/settings", "adam", body={"show_read": False})
    assert (answer.status, answer.json["show_read"]) == (200, False)
    await world.writes("again")
    ear = await listening_to(world)
    await world.do("read", session.id, "amy")
    assert await ear.kinds(0) == []


# --- failures and retry


def told(message: str, status: Any, **more: Any) -> SendReported:
    return SendReported(
        event_id=f"sent-{message}-{status}",
        visitor="U1",
        occurred_at=datetime.now(UTC),
        message_id=message,
        status=status,
        **more,
    )


async def test_d21_a_failure_says_why_and_what_to_do_and_a_safe_one_is_repeated_once(
    world: World,
) -> None:
    session = await world.writes("hello")
    first = (await world.send(session.id, "hi")).json
    assert first["failure"] is None
    await world.happens(told(first["id"], "failed", reason="quota", provider_code="429"))
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    failure = entry["failure"]
    assert (entry["status"], failure["code"], failure["provider_code"]) == (
        "failed",
        "quota",
        "429",
    )
    assert failure["can_retry"] is True
    assert failure["text"].endswith(".")
    assert failure["advice"].endswith(".")
    path = f"/sessions/{session.id}/messages/{first['id']}/retry"
    answers = [await world.call("POST", path, who) for who in ("amy", "bob")]
    assert [answer.status for answer in answers] == [201, 200]
    assert {answer.json["retry_of"] for answer in answers} == {first["id"]}
    assert len(await sends(world, session)) == 2
    entries = (await world.get(f"/sessions/{session.id}/messages"))["items"]
    shown = {e["id"]: e for e in entries}
    assert shown[first["id"]]["failure"]["can_retry"] is False  # it has its repeat


NOT_REPEATED: dict[str, dict[str, Any]] = {
    "what may have gone out": {"status": "unknown", "reason": "ambiguous"},
    "what the provider would refuse again": {"status": "failed", "reason": "bad_content"},
    "what went out": {"status": "sent"},
}


@pytest.mark.parametrize("report", NOT_REPEATED.values(), ids=NOT_REPEATED)
async def test_d21_what_is_not_safely_repeated_is_refused(
    world: World, report: dict[str, Any]
) -> None:
    session = await world.writes("hello")
    first = (await world.send(session.id, "hi")).json
    await world.happens(told(first["id"], **report))
    path = f"/sessions/{session.id}/messages/{first['id']}/retry"
    answer = await world.call("POST", path, "amy")
    assert (answer.status, answer.json["code"]) == (409, "not_retryable")
    assert len(await sends(world, session)) == 1
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    assert not (entry["failure"] or {"can_retry": False})["can_retry"]
    assert (await world.call("POST", path.replace(first["id"], "msg_none"), "amy")).status == 404


ORDERS = list(itertools.permutations(("sent", "delivered", "read", "failed")))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_d21_out_of_order_receipts_give_one_final_state(
    world: World, order: tuple[str, ...]
) -> None:
    session = await world.writes("hello", channel="whatsapp")
    first = (await world.send(session.id, "hi")).json["id"]
    for place, status in enumerate(order):
        if status == "sent":
            event: Any = told(first, "sent", provider_ids=("wamid.1",))
        else:
            event = DeliveryReported(
                event_id=f"{status}-1",
                visitor="U1",
                occurred_at=NOW + timedelta(seconds=place),
                status=status,  # type: ignore[arg-type]
                targets=("wamid.1",),
            )
        await world.happens(event, channel="whatsapp")
    [entry] = (await world.get(f"/sessions/{session.id}/messages", limit=1))["items"]
    assert (entry["status"], entry["failure"]) == ("read", None)


# --- accounts


async def see(world: World, account: str, writer: str, seen: Seen) -> None:
    await world.bus.kv_put(HEALTH_KV, f"{account}.{writer}", msgspec.json.encode(seen))


async def test_b20_six_connected_accounts_each_with_its_last_seen_webhook(world: World) -> None:
    now = datetime.now(UTC)
    times = {world.slug(c): now - timedelta(minutes=n) for n, c in enumerate(CONNECTED)}
    for slug, at in times.items():
        await see(world, slug, "ingest.a", Seen(at=now, webhook_at=at - timedelta(hours=1)))
        await see(world, slug, "ingest.b", Seen(at=now, webhook_at=at, refused=3))
    line = world.slug("line")
    await see(
        world,
        line,
        "notifier.a",
        Seen(
            at=now,
            sent_at=now,
            failed_at=now,
            failed_code="credential",
            errors={"credential": 2},
            sent={"reply": 5},
            state="revoked",
            state_at=now,
            token_expires_at=now,
        ),
    )
    found: dict[str, Any] = {}
    for _ in range(100):
        found = {a["slug"]: a for a in (await world.get("/channels", "rita"))["items"]}
        if found[line]["health"]["state"] == "revoked":
            break
        await asyncio.sleep(0.02)
    assert len(found) == 6
    webhooks = {
        slug: datetime.fromisoformat(a["health"]["last_webhook_at"]) for slug, a in found.items()
    }
    assert webhooks == times
    health = found[line]["health"]
    assert (health["signature_failures"], health["errors"]) == (3, {"credential": 2})
    assert (health["sent"], health["last_failure_code"]) == ({"reply": 5}, "credential")
    assert health["advice"].startswith("Connect the account again")
    assert health["last_success_at"] is not None
    assert health["token_expires_at"] is not None
    assert found[world.slug("web")]["health"]["state"] == "unknown"


async def test_an_account_that_nothing_was_seen_of_is_listed_all_the_same(world: World) -> None:
    old = datetime.now(UTC) - timedelta(days=9)
    await see(world, world.slug("line"), "ingest.a", Seen(at=old, webhook_at=old))
    await world.bus.kv_put(HEALTH_KV, f"{world.slug('web')}.x.y", b"not json")
    await asyncio.sleep(0.1)
    found = (await world.get("/accounts"))["items"]
    assert [a["health"]["last_webhook_at"] for a in found] == [None] * 6
    stored = await world.store.get(ACCOUNTS, world.workspace, world.slug("messenger"))
    assert stored is not None
    stored.features = ("human_agent",)
    await world.store.replace(ACCOUNTS, stored)
    shown = {a["channel"]: a for a in (await world.get("/accounts"))["items"]}
    assert shown["messenger"]["features"] == ["human_agent"]
    assert "template" in shown["whatsapp"]["carries"]


async def test_b21_a_channel_alone_counts_what_the_store_counts(world: World) -> None:
    for n in range(5):
        session = await world.writes("hello", visitor=f"L{n}")
        await world.writes("hello", visitor=f"M{n}", channel="messenger")
        if n % 2:
            await world.do("claim", session.id)
    account = world.slug("line")
    stored = await world.store.count(SESSIONS, world.workspace, {"account": account})
    for query in ({"channel": "line"}, {"account": account}):
        found = await world.get("/sessions", **query)
        assert len(found["items"]) == found["counts"]["accounts"][account] == stored == 5
        assert {row["list"] for row in found["items"]} == {"bot_hosted", "assigned"}


# --- one contact


async def test_d12_comment_public_reply_private_reply_and_answer_are_one_conversation(
    world: World,
) -> None:
    comment = MessageReceived(
        event_id="c1",
        visitor="post-1_U1",
        occurred_at=ago(60),
        message_id="c1",
        author="U1",
        parts=(TextPart(text="How much?"),),
        thread=Thread(post="post-1", comment="c1"),
    )
    await world.happens(comment, channel="fb_comment")
    [session] = await world.store.find(
        SESSIONS,
        world.workspace,
        {"open_key": f"{world.slug('fb_comment')}|post-1_U1"},
        Page(order="open", limit=1),
    )
    public = await world.send(session.id, "See our page", way="public")
    assert (public.status, public.json["way"]) == (201, "public"), public.body
    private = await world.send(session.id, "9 euros", way="private")
    assert (private.status, private.json["way"]) == (201, "private"), private.body
    report = SendReported(
        event_id="s1",
        visitor="post-1_U1",
        occurred_at=datetime.now(UTC),
        message_id=private.json["id"],
        status="sent",
        provider_ids=("mid.1",),
        linked_visitor="PSID-1",
    )
    await world.happens(report, channel="fb_comment")
    answer = await world.writes("I take it", visitor="PSID-1", channel="messenger")
    contact = (await world.session(session.id)).contact
    for limit in (2, 50):
        entries: list[dict[str, Any]] = []
        query: dict[str, Any] = {"limit": limit}
        while True:
            page = await world.get(f"/contacts/{contact}/messages", **query)
            entries += page["items"]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert len({e["entry"]["id"] for e in entries}) == len(entries)
        said = [e for e in reversed(_by_page(entries)) if e["entry"]["kind"] == "message"]
        assert [(e["channel"], e["entry"]["text"], e["entry"]["way"]) for e in said] == [
            ("fb_comment", "How much?", ""),
            ("fb_comment", "See our page", "public"),
            ("fb_comment", "9 euros", "private"),
            ("messenger", "I take it", ""),
        ]
        assert {e["session"] for e in said} == {session.id, answer.id}
        assert said[2]["entry"]["status"] == "sent"
    assert (await world.call("GET", f"/contacts/{contact}/messages", "zoe")).status == 404
    up = await world.get(f"/contacts/{contact}/messages", order="asc")
    assert up["items"][0]["entry"]["text"] == "How much?"


async def test_d12_a_session_from_before_the_contacts_were_one_is_found_by_its_visitor(
    world: World,
) -> None:
    one = await world.writes("by line")
    two = await world.writes("by web", visitor="W1", channel="web")
    [identity] = await world.store.find(
        IDENTITIES, world.workspace, {"contact": two.contact}, Page(order="contact", limit=1)
    )
    identity.contact = one.contact
    await world.store.replace(IDENTITIES, identity)
    found = (await world.get(f"/contacts/{one.contact}/messages", order="asc"))["items"]
    said = [e["entry"]["text"] for e in found if e["entry"]["kind"] == "message"]
    assert said == ["by line", "by web"]


def _by_page(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda e: (e["entry"]["at"], e["entry"]["number"]), reverse=True)


async def test_a_conversation_over_many_sessions_pages_without_gap_or_double(
    world: World,
) -> None:
    session = await world.writes("hello")
    rows = [
        Message(
            id=derive_id("msg", str(n)),
            workspace=world.workspace,
            account=session.account,
            key=f"old-{n}",
            session=(place := f"ses_{n % 4}"),
            timeline=place,
            visitor="U1",
            kind="message",
            occurred_at=NOW + timedelta(seconds=n // 3),
            received_at=NOW,
            sequence=n,
            direction="in",
            sender="visitor",
            parts=(TextPart(text=str(n)),),
        )
        for n in range(40)
    ]
    assert await world.store.insert_many(MESSAGES, rows) == {}
    for n in range(4):
        other = msgspec.structs.replace(session, id=f"ses_{n}", open_key=None, rev=0)
        await world.store.insert(SESSIONS, other)
    for order, expected in (("asc", list(range(40))), ("desc", list(range(39, -1, -1)))):
        seen: list[str] = []
        query: dict[str, Any] = {"limit": 7, "order": order}
        while True:
            page = await world.get(f"/contacts/{session.contact}/messages", **query)
            seen += [e["entry"]["text"] for e in page["items"]]
            if page["next"] is None:
                break
            query["cursor"] = page["next"]
        assert [text for text in seen if text != "hello"] == [str(n) for n in expected]
