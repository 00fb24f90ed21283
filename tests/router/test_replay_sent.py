"""A store of before is told what went out since: marks of sends, and what was to go out later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from libs.common.awaited import AWAITED, Awaited, Letter, Reply
from libs.common.documents import MESSAGES, SENDS, SESSIONS, Message, SendAttempt
from libs.common.events import SendReported, TextPart
from libs.common.later import RECIPIENTS, SCHEDULED, Recipient, ScheduledMessage
from services.router.replay_sent import without
from tests.nats_server import NatsProcess
from tests.router.planned import due, on
from tests.router.replayed import Replayed, replayed_on
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, at, event, said

HEAD: dict[str, Any] = {"workspace": WORKSPACE, "account": ACCOUNT, "visitor": "U1"}
SCHEDULE = ScheduledMessage(
    **HEAD,
    id="sch1",
    name="n",
    contact="con1",
    channel="line",
    author="amy",
    parts=(TextPart(text="your parcel"),),
    local="2026-03-02T12:00",
    zone="UTC",
    due_at=at(61),
    fires_at=at(61),
    created_at=at(1),
    updated_at=at(1),
)
RECIPIENT = Recipient(
    **HEAD,
    id="rec1",
    broadcast="b1",
    contact="con1",
    channel="line",
    due_at=at(61),
    updated_at=at(1),
)


@pytest.fixture
async def site(rig: Rig, nats_process: NatsProcess) -> AsyncIterator[Replayed]:
    async with replayed_on(rig, nats_process.url) as made:
        yield made


async def _sent_since(site: Replayed, status: str) -> Message:
    """Let one go out by each, put the store of before back, and return the scheduled message."""
    rig = site.rig
    on(rig, "line")
    await site.take(said("hello", 1))
    old = await site.documents()
    [was] = await rig.sessions()
    rig.now = at(61)
    done = await rig.done(due(rig, was.id))
    many = await rig.done(due(rig, was.id, ref="rec1", origin="broadcast:b1", bulk=True))
    assert done.message is not None
    assert many.message is not None
    for number, one in enumerate((done.message, many.message)):
        told = {"message_id": one.id, "status": status, "reason": "blocked" * (status == "failed")}
        await site.take(event(SendReported, f"r{number}", 62 + number, **told))
    await site.drop(SESSIONS, MESSAGES)
    await rig.store.insert_many(SESSIONS, [msgspec.structs.replace(was, rev=was.rev - 1)])
    kept = [msgspec.convert(row, MESSAGES.kind) for row in old["messages"].values()]
    await rig.store.insert_many(MESSAGES, kept)
    await rig.store.insert(SCHEDULED, SCHEDULE)
    await rig.store.insert(RECIPIENTS, RECIPIENT)
    return done.message


CASES = {
    "what went out stands as sent": ("sent", "sent", "", "sent"),
    "what was refused stands as failed, and why": ("failed", "failed", "blocked", "failed"),
    "of what nobody knows, it is out": ("unknown", "sent", "", "sent"),
}


@pytest.mark.parametrize(("status", "state", "reason", "row"), CASES.values(), ids=CASES)
async def test_d14_what_went_out_since_the_copy_is_not_due_any_more(
    site: Replayed, status: str, state: str, reason: str, row: str
) -> None:
    message = await _sent_since(site, status)
    store = site.rig.store
    assert (await site.replay(dry_run=True)).later == 2
    found = await site.replay()
    assert (found.sends, found.later) == (2, 2)
    doc = await store.get(SCHEDULED, WORKSPACE, "sch1")
    assert doc is not None
    assert (doc.state, doc.reason, doc.fires_at) == (state, reason, None)
    assert (doc.message, doc.status) == (message.id, status)
    mark = await store.get(SENDS, WORKSPACE, message.id)
    assert mark is not None
    assert (mark.state, mark.session) == (status, message.session)
    recipient = await store.get(RECIPIENTS, WORKSPACE, "rec1")
    assert recipient is not None
    assert (recipient.state, recipient.session) == (row, message.session)
    again = await site.replay()
    assert (again.sends, again.later) == (0, 0)


async def test_d14_a_mark_without_outcome_gets_it_and_one_with_an_outcome_keeps_it(
    site: Replayed,
) -> None:
    message = await _sent_since(site, "sent")
    head: dict[str, Any] = {"workspace": WORKSPACE, "account": ACCOUNT, "session": message.session}
    store = site.rig.store
    begun = SendAttempt(**head, id=message.id, state="started", started_at=at(60), tries=2)
    await store.insert(SENDS, begun)
    found = await site.replay("session", message.session)
    assert (found.sends, found.later) == (2, 2)
    mark = await store.get(SENDS, WORKSPACE, message.id)
    assert mark is not None
    assert (mark.state, mark.started_at, mark.tries) == ("sent", at(60), 2)
    await store.replace(SENDS, msgspec.structs.replace(mark, state="failed"))
    assert (await site.replay()).sends == 0


def _reply(id_: str) -> Reply:
    return Reply(id=id_, at=at(1), said_at=at(1))


def _awaited(**more: Any) -> Awaited:
    return Awaited(**HEAD, id="ses1", updated_at=at(1), **more)


LETTER = Letter(key="ses1:m1", to="a@b.example", replies=("m1",), at=at(2))
MAILS = {
    "nothing was mailed": (_awaited(replies=(_reply("m1"),), due_at=at(5)), {}, None),
    "all was mailed": (
        _awaited(replies=(_reply("m1"),), due_at=at(5)),
        {"m1": at(4)},
        _awaited(settled=("m1",), mailed_at=at(4)),
    ),
    "some was mailed": (
        _awaited(replies=(_reply("m1"), _reply("m2")), due_at=at(5)),
        {"m1": at(4)},
        _awaited(replies=(_reply("m2"),), settled=("m1",), due_at=at(5), mailed_at=at(4)),
    ),
    "the letter that was begun went out": (
        _awaited(replies=(_reply("m1"),), letter=LETTER, due_at=at(5)),
        {"m1": at(4)},
        _awaited(settled=("m1",), mailed_at=at(4)),
    ),
    "it is settled already": (_awaited(settled=("m1",)), {"m1": at(4)}, None),
}


@pytest.mark.parametrize(("doc", "mailed", "after"), MAILS.values(), ids=MAILS)
def test_d14_a_reply_that_went_out_by_email_waits_for_none(
    doc: Awaited, mailed: dict[str, Any], after: Awaited | None
) -> None:
    assert without(doc, mailed) == after


async def test_d14_a_reply_that_was_mailed_since_the_copy_is_not_mailed_again(
    site: Replayed,
) -> None:
    message = await _sent_since(site, "sent")
    by_email = {"message_id": message.id, "status": "sent", "via": "email"}
    await site.take(event(SendReported, f"mail:{message.id}", 70, **by_email))
    doc = _awaited(replies=(_reply(message.id),), due_at=at(5))
    await site.rig.store.insert(AWAITED, msgspec.structs.replace(doc, id=message.session))
    await site.replay()
    after = await site.rig.store.get(AWAITED, WORKSPACE, message.session)
    assert after is not None
    assert (after.replies, after.due_at) == ((), None)
