"""What the ledger says became of each event: judged by the store, the tombstones and DEAD."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Delivery, StoredMessage
from libs.common.documents import MESSAGES
from libs.common.erased import Erased, Tombstone, tombstone_key
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    Inbound,
    InboundEvent,
    SendReported,
    Unparsed,
)
from libs.common.ledger.trail import Item
from libs.common.subjects import Stream
from services.router.entry import message_id
from services.router.ledger import EventJudge
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, arrived, at, event, said

SUBJECT = subjects.inbound(WORKSPACE, "line", ACCOUNT, "U1")
KEY = b"k" * 32
STORED_NS = int(datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC).timestamp() * 1e9)


class Graves:
    """DEAD, at the edge: what lies there, and how often it was read."""

    def __init__(self, *places: int, stream: str = "INBOUND") -> None:
        self.places = places
        self.stream = stream
        self.reads = 0

    async def read(self, _stream: Stream, subject: str, **_: Any) -> list[StoredMessage]:
        self.reads += 1
        named = {"Relaydesk-Stream": self.stream}
        return [
            StoredMessage(
                subject=subject,
                sequence=number,
                data=b"",
                headers={**named, "Relaydesk-Sequence": str(place)},
                stored_at_ns=STORED_NS,
            )
            for number, place in enumerate(self.places, 1)
            if subject == f"dead.router.{SUBJECT}"
        ]


def judge(rig: Rig, graves: Graves, erased: Callable[[Inbound], bool] | None = None) -> EventJudge:
    return EventJudge(cast(Bus, graves), rig.store, erased or Erased(()).drops)


def lying(delivery: Delivery, subject: str = SUBJECT) -> StoredMessage:
    """Return a delivery as it lies in the stream."""
    return StoredMessage(
        subject=subject,
        sequence=delivery.sequence,
        data=delivery.data,
        headers={},
        stored_at_ns=STORED_NS,
    )


async def judged(
    judging: EventJudge, deliveries: Sequence[Delivery], subject: str = SUBJECT
) -> list[str]:
    return await judging.judge([judging.read(lying(one, subject)) for one in deliveries])


TAKEN: dict[str, tuple[InboundEvent, str]] = {
    "a message is stored": (said("hello"), "stored"),
    "a receipt is stored": (event(DeliveryReported, "r1", 3, status="read"), "stored"),
    "a stray from before any session is stored": (
        event(ContactChanged, "f1", 1, change="follow"),
        "stored",
    ),
    "what nobody can read is quarantined": (
        event(Unparsed, "x1", 1, visitor="", reason="malformed_item", raw="{"),
        "quarantined",
    ),
    "the report of a send is ours": (
        event(SendReported, "s1", 1, message_id="msg_none", status="sent"),
        "reported",
    ),
}


@pytest.mark.parametrize(("one", "outcome"), TAKEN.values(), ids=TAKEN)
async def test_d01_what_is_kept_is_found(rig: Rig, one: InboundEvent, outcome: str) -> None:
    graves = Graves()
    deliveries = await rig.take(one)
    assert await judged(judge(rig, graves), deliveries) == [outcome]
    assert graves.reads == 0, "DEAD is asked for what is found nowhere else"


@pytest.mark.parametrize(("one", "outcome"), TAKEN.values(), ids=TAKEN)
async def test_d01_what_was_deleted_behind_our_back_is_nowhere(
    rig: Rig, one: InboundEvent, outcome: str
) -> None:
    deliveries = await rig.take(one)
    assert outcome
    assert await rig.store.delete(MESSAGES, WORKSPACE, message_id(WORKSPACE, ACCOUNT, one.event_id))
    assert await judged(judge(rig, Graves()), deliveries) == [""]


async def test_d01_the_same_event_again_is_a_duplicate(rig: Rig) -> None:
    deliveries = await rig.take(said("hello"), said("there", 1), said("hello"))
    assert await judged(judge(rig, Graves()), deliveries) == ["stored", "stored", "duplicate"]


async def test_d01_a_redelivery_is_no_duplicate(rig: Rig) -> None:
    deliveries = await rig.take(said("hello"))
    await rig.deliver([msgspec.structs.replace(deliveries[0], attempt=2)])
    assert await judged(judge(rig, Graves()), deliveries) == ["stored"]


BURIED: dict[str, tuple[Graves, str]] = {
    "its place is on DEAD": (Graves(7, 1), "buried"),
    "another place is on DEAD": (Graves(7), ""),
    "the place of another stream is on DEAD": (Graves(1, stream="OUTBOUND"), ""),
    "nothing is on DEAD": (Graves(), ""),
}


@pytest.mark.parametrize(("graves", "outcome"), BURIED.values(), ids=BURIED)
@pytest.mark.parametrize("data", [b'{"not": "an event"}', b"\xff\xfe", b"[" * 100_000, b""])
async def test_d01_poison_is_buried_or_nowhere(
    rig: Rig, graves: Graves, outcome: str, data: bytes
) -> None:
    [delivery] = rig.number([data])
    assert await judged(judge(rig, graves), [delivery]) == [outcome]


ERASED: dict[str, tuple[str, float, str]] = {
    "theirs, from before": ("U1", 60.0, "erased"),
    "theirs, from afterwards": ("U1", -600.0, ""),
    "another visitor's": ("U2", 60.0, ""),
}


@pytest.mark.parametrize(("visitor", "before", "outcome"), ERASED.values(), ids=ERASED)
async def test_d01_what_was_erased_is_not_missing(
    rig: Rig, visitor: str, before: float, outcome: str
) -> None:
    [delivery] = rig.number([said("hello")])
    erased = Erased([KEY])
    stone = Tombstone(before=at(before))
    erased._known[tombstone_key(KEY, WORKSPACE, ACCOUNT, visitor)] = stone
    assert await judged(judge(rig, Graves(), erased.drops), [delivery]) == [outcome]


CHANNELS: dict[str, tuple[str, str]] = {
    "a channel of ours": (SUBJECT, "line"),
    "no channel of ours": ("in.0.acme.fax.a", "other"),
    "a shorter subject": ("in.0", "other"),
}


@pytest.mark.parametrize(("subject", "channel"), CHANNELS.values(), ids=CHANNELS)
async def test_d01_labels_come_from_a_closed_set(rig: Rig, subject: str, channel: str) -> None:
    [delivery] = rig.number([said("hello")])
    assert judge(rig, Graves()).read(lying(delivery, subject)).channel == channel


async def test_i12_an_event_that_names_no_workspace_is_not_looked_for(rig: Rig) -> None:
    crooked = [msgspec.structs.replace(arrived(said("x")), workspace=name) for name in ("", "a/b")]
    deliveries = rig.number(crooked)
    assert await judged(judge(rig, Graves()), deliveries) == ["", ""]


async def test_d01_what_left_the_stream_is_looked_for_by_its_name(rig: Rig) -> None:
    [delivery] = await rig.take(said("hello"))
    item = Item(
        sequence=99,
        subject=SUBJECT,
        stored_at=at(0),
        channel="line",
        workspace=WORKSPACE,
        account=ACCOUNT,
        event=said("hello").event_id,
    )
    assert await judge(rig, Graves()).judge([item]) == ["duplicate"]
    assert delivery.sequence == 1
