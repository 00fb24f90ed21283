"""What happens between the calls of one message: its pace, a stop, another process, a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from libs.common.bus.delivery import Delivery, Retry
from libs.common.channel import (
    Account,
    Channel,
    Exchange,
    HttpCall,
    HttpReply,
    Outbound,
    Pace,
    Sent,
)
from libs.common.documents import ATTACHMENTS, SENDS, Attachment
from libs.common.events import MediaPart, SendRequest
from libs.common.recorder import Recorder
from libs.common.simulate.stub import Scripted, running_stub
from libs.common.store.api import Store
from libs.common.store.open import open_store
from services.notifier import breaker
from services.notifier.content import Content
from services.notifier.gates import Gates
from services.notifier.ledger import Ledger
from services.notifier.sender import NotNowError, Sender
from services.notifier.standing import Standings
from services.notifier.work import Limits, Outside
from tests.nats_server import NatsProcess
from tests.notifier.rig import notifying, staged

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
ACCOUNT = Account(workspace="acme", slug="a", channel="slow", external_id="1")
REQUEST = SendRequest(
    message_id="msg_1",
    workspace="acme",
    channel="slow",
    account="a",
    session="ses_1",
    visitor="v",
    parts=(MediaPart(kind="image", attachment="att_1"),),
    queued_at=NOW,
    sender="agent:ada",
)
FILE = Attachment(
    id="att_1", workspace="acme", direction="out", state="stored", created_at=NOW, size_bytes=3
)


class Door:
    """The outside: takes every call, and lets a test happen to it."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.made = asyncio.Event()

    async def perform(self, call: HttpCall, **_: Any) -> HttpReply:
        self.called.append(call.url)
        self.made.set()
        return HttpReply(status=200)


def send(_account: Account, _message: Outbound) -> Exchange:
    yield HttpCall(url="look", harmless=True)
    yield HttpCall(url="message")
    return Sent(via="message")


SLOW = Channel(
    name="slow",
    endpoint="slow",
    secrets=(),
    verify=lambda _account, _request: None,
    parse=lambda _account, _request: None,  # type: ignore[arg-type,return-value]
    send=send,
    pace=Pace(per_second=0.01, burst=1),
)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'x.db'}", [SENDS, ATTACHMENTS]) as found:
        await found.insert(ATTACHMENTS, FILE)
        yield found


def outside(store: Store, door: Door, gates: Gates, channel: Channel) -> Outside:
    def account(_slug: str) -> Account:
        return ACCOUNT

    def now() -> datetime:
        return NOW

    return Outside(
        bus=None,  # type: ignore[arg-type]  # nothing is reported here
        door=door,  # type: ignore[arg-type]
        ledger=Ledger(store, now=now, stopping=gates.closed),
        tokens=None,  # type: ignore[arg-type]
        gates=gates,
        standings=Standings(account, gates, Recorder("notifier"), now),
        content=Content(store, (b"k",), ""),
        channels={"slow": channel},
        account=account,
        now=now,
    )


DELIVERY = Delivery(
    subject="out.0.a.ses_1",
    data=msgspec.json.encode(REQUEST),
    headers={},
    sequence=1,
    attempt=1,
    partition=0,
    pending=0,
    reply="",
)


async def test_a_stop_while_the_pace_is_waited_for_leaves_the_message_for_the_next_process(
    store: Store,
) -> None:
    door, gates = Door(), Gates()
    sender = Sender(outside(store, door, gates, SLOW), Limits(call_timeout_s=1, tries=3))
    handling = asyncio.create_task(sender.handle(DELIVERY))
    await asyncio.wait_for(door.made.wait(), 5)
    await asyncio.sleep(0.05)
    gates.close()
    with pytest.raises(NotNowError):
        await asyncio.wait_for(handling, 2)
    mark = await store.get(SENDS, "acme", "msg_1")
    assert mark is not None
    assert (mark.state, mark.reason) == ("waiting", "")
    assert door.called == ["look"]


async def test_a_message_that_another_process_has_begun_meanwhile_is_left_to_it(
    store: Store,
) -> None:
    door, gates = Door(), Gates()
    quick = msgspec.structs.replace(SLOW, pace=Pace(per_second=4, burst=1))
    sender = Sender(outside(store, door, gates, quick), Limits(call_timeout_s=1, tries=3))
    handling = asyncio.create_task(sender.handle(DELIVERY))
    await asyncio.wait_for(door.made.wait(), 5)
    mark = await store.get(SENDS, "acme", "msg_1")
    assert mark is not None
    elsewhere = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
    await store.replace(SENDS, msgspec.structs.replace(mark, state="started", started_at=elsewhere))
    answer = await asyncio.wait_for(handling, 5)
    assert isinstance(answer, Retry)
    assert door.called == ["look"], "the message itself is the other's"


async def test_a_probe_may_fetch_a_new_token(
    nats_process: NatsProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "PROBE_EVERY_S", 0.5)
    refused = Scripted(status=200, taken=False, body={"errcode": 40001})
    async with (
        running_stub() as stub,
        staged(nats_process.url, tmp_path, stub) as rig,
        notifying(rig),
    ):
        of = await rig.connect("wechat", "probed")
        stub.script(of.slug, Scripted(), refused, Scripted(), refused)
        assert (await rig.report(of, await rig.send(of, "one"))).reason == "credential"
        assert (await rig.report(of, await rig.send(of, "two"))).reason == "credential"
        assert len(stub.sent(of.slug)) == 4, "the second made no call"
        await asyncio.sleep(0.6)
        stub.script(of.slug, refused)
        assert (await rig.report(of, await rig.send(of, "three"))).status == "sent"
        assert stub.shown(of.slug) == ["three"]
