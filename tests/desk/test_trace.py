"""Following a webhook: by every id it has, with its hops, down to the raw body (I1)."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime

import msgspec
import pytest

from libs.common.channel import WebhookRequest
from libs.common.documents import SENDS, SendAttempt, Session
from libs.common.events import SendReported
from libs.common.ids import ordered_id
from libs.common.rawlog import INGEST_ID, split
from libs.common.subjects import raw
from services.desk import rawlog
from services.desk.rawlog import made_at
from tests.desk.world import World, ago


def new_ingest_id() -> str:
    return ordered_id(int(time.time() * 1000), secrets.token_bytes(10))


async def keep_raw(world: World, ingest_id: str, body: bytes, workspace: str = "") -> None:
    """Store a webhook as ingest does."""
    workspace = workspace or world.workspace
    request = WebhookRequest(
        method="POST",
        headers={"x-line-signature": "s", "authorization": "Bearer secret"},
        query={},
        body=body,
        received_at=datetime.now(UTC),
    )
    subject = raw(workspace, "line", world.slug("line", workspace))
    for part in split(request, ingest_id=ingest_id, path="/webhooks/line/x"):
        await world.bus.publish(
            subject,
            msgspec.json.encode(part),
            msg_id=f"{ingest_id}:{part.part}",
            headers={INGEST_ID: ingest_id},
        )


async def arrived(world: World, body: bytes = b'{"events":[]}') -> tuple[Session, str]:
    ingest_id = new_ingest_id()
    await keep_raw(world, ingest_id, body)
    return await world.writes("hello", ingest_id=ingest_id), ingest_id


@pytest.mark.parametrize("kind", ["ingest", "event", "provider", "message"])
async def test_a_webhook_is_found_by_each_of_its_ids(world: World, kind: str) -> None:
    session, ingest_id = await arrived(world)
    assert session.last_message is not None
    ids = {
        "ingest": ingest_id,
        "event": "e-U1-hello",
        "provider": "m-U1-hello",
        "message": session.last_message.id,
    }
    found = await world.get(f"/trace/{ids[kind]}")
    [entry] = found["entries"]
    assert (entry["session"], entry["event_id"]) == (session.id, "e-U1-hello")
    assert (entry["list"], entry["because"]) == ("bot_hosted", "auto_hosting")
    assert [hop["hop"] for hop in entry["hops"]] == ["occurred", "received", "stored"]
    assert [hop["at"] for hop in entry["hops"]] == sorted(hop["at"] for hop in entry["hops"])
    assert (found["raw"]["ingest_id"], found["raw"]["body_bytes"]) == (ingest_id, 13)
    assert found["complete"] is True
    assert "hello" not in {entry.get("text"), entry.get("parts")}


async def test_a_reply_shows_how_far_it_got(world: World) -> None:
    session = await world.writes("hello")
    sent = (await world.send(session.id, "hi")).json
    account = world.slug("line")
    attempt = SendAttempt(
        id=sent["id"],
        workspace=world.workspace,
        account=account,
        session=session.id,
        state="sent",
        started_at=ago(0),
        via="reply",
    )
    await world.store.insert(SENDS, attempt)
    report = SendReported(
        event_id="sr",
        visitor="U1",
        occurred_at=datetime.now(UTC),
        message_id=sent["id"],
        status="sent",
        provider_ids=("p-77",),
    )
    await world.happens(report)
    found = await world.get(f"/trace/{sent['id']}")
    ours = next(entry for entry in found["entries"] if entry["message"] == sent["id"])
    assert (ours["status"], ours["via"]) == ("sent", "reply")
    assert ours["hops"][0]["hop"] == "queued"
    assert {"send_started", "sent", "stored"} <= {hop["hop"] for hop in ours["hops"]}


@pytest.mark.parametrize("size", [13, 1_000_000], ids=["one part", "three parts"])
async def test_i1_the_raw_body_is_downloaded_byte_for_byte(world: World, size: int) -> None:
    body = secrets.token_bytes(size)
    _, ingest_id = await arrived(world, body)
    for _ in range(3):  # others in between and behind
        await keep_raw(world, new_ingest_id(), b"other")
    for wanted in (ingest_id, "e-U1-hello"):
        answer = await world.call("GET", f"/trace/{wanted}/raw", "lena")
        assert answer.status == 200
        assert answer.body == body
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_webhook_that_made_no_message_is_found_all_the_same(world: World) -> None:
    ingest_id = new_ingest_id()
    await keep_raw(world, ingest_id, b"{}")
    found = await world.get(f"/trace/{ingest_id}")
    assert (found["entries"], found["raw"]["path"]) == ([], "/webhooks/line/x")


async def test_i12_a_webhook_of_another_workspace_is_not_found(world: World) -> None:
    ingest_id = new_ingest_id()
    await keep_raw(world, ingest_id, b"theirs", world.other)
    assert (await world.get(f"/trace/{ingest_id}", "zoe"))["raw"]["body_bytes"] == 6
    for path in (f"/trace/{ingest_id}", f"/trace/{ingest_id}/raw"):
        foreign = await world.call("GET", path, "olga")
        random = await world.call("GET", path.replace(ingest_id, new_ingest_id()), "olga")
        assert (foreign.status, foreign.body) == (random.status, random.body)
        assert foreign.status == 404


async def test_an_incomplete_or_distant_webhook_is_not_made_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rawlog, "READ_AT_ONCE", 2)
    monkeypatch.setattr(rawlog, "READ_AT_MOST", 6)
    ingest_id = new_ingest_id()
    for _ in range(7):
        await keep_raw(world, new_ingest_id(), b"before")
    await keep_raw(world, ingest_id, b"x")
    assert (await world.call("GET", f"/trace/{ingest_id}", "amy")).status == 404


def test_an_ingest_id_says_when_it_was_made() -> None:
    now = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=UTC)
    made = ordered_id(int(now.timestamp() * 1000), b"0123456789")
    assert made_at(made) == now
    for other in ("", "msg_abc", made.lower(), made[:-1], made + "0", "7" + "Z" * 25, "U" * 26):
        assert made_at(other) is None
