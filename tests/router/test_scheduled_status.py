"""Each new status of what was scheduled is told once, whatever brings it and wherever it stands."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import pytest

from libs.common.events import DeliveryReported, InboundEvent, MessageEchoed, SendReported
from libs.common.timeline import fold, related
from tests.router.planned import due, on, outcomes, told, wrote
from tests.router.rig import Rig, arrived, at, event

OURS = "<ours>"
"""Stands for the id of the message."""


def sent(seconds: float, status: str = "sent", **more: Any) -> InboundEvent:
    ids = ("p1",) if status == "sent" else ()
    return event(
        SendReported,
        f"sent-{status}-{seconds}",
        seconds,
        message_id=OURS,
        status=status,
        **{"provider_ids": ids, **more},
    )


def receipt(seconds: float, status: str, **more: Any) -> InboundEvent:
    return event(DeliveryReported, f"{status}-{seconds}", seconds, status=status, **more)


class Story(NamedTuple):
    events: tuple[InboundEvent, ...]
    told: list[tuple[str, str]]
    """Status and why, in the order told."""
    shown: str
    """What the timeline shows in the end."""


STORIES = {
    "the sender's own report": Story((sent(61),), [("sent", "")], "sent"),
    "a refusal of the provider's": Story(
        (sent(61, "failed", reason="blocked"),), [("failed", "blocked")], "failed"
    ),
    "an unclear outcome that an echo settles": Story(
        (
            sent(61, "unknown", reason="no_answer"),
            event(MessageEchoed, "e", 62, message_id="p1", metadata=OURS, parts=()),
        ),
        [("unknown", "no_answer"), ("sent", "")],
        "sent",
    ),
    "an unclear outcome that a receipt settles": Story(
        (sent(61, "unknown", reason="no_answer"), receipt(62, "delivered", metadata=OURS)),
        [("unknown", "no_answer"), ("delivered", "")],
        "delivered",
    ),
    "receipts that name it by our id": Story(
        (sent(61), receipt(62, "delivered", metadata=OURS), receipt(63, "read", metadata=OURS)),
        [("sent", ""), ("delivered", ""), ("read", "")],
        "read",
    ),
    "receipts that name it by the provider's id": Story(
        (sent(61), receipt(62, "delivered", targets=("p1",)), receipt(63, "read", targets=("p1",))),
        [("sent", ""), ("delivered", ""), ("read", "")],
        "read",
    ),
    "a late refusal by the provider's id": Story(
        (sent(61), receipt(62, "failed", targets=("p1",), reason="blocked")),
        [("sent", ""), ("failed", "blocked")],
        "failed",
    ),
    "up to when the visitor has read": Story(
        (
            sent(61),
            receipt(64, "delivered", watermark=at(63)),
            receipt(66, "read", watermark=at(65)),
        ),
        [("sent", ""), ("delivered", ""), ("read", "")],
        "read",
    ),
    "a receipt that overtook the sender's report": Story(
        (receipt(66, "read", watermark=at(65)), sent(61)), [("sent", ""), ("read", "")], "read"
    ),
    "that the visitor read what came before": Story(
        (sent(61), receipt(62, "read", watermark=at(50))), [("sent", "")], "sent"
    ),
    "a receipt of another message": Story(
        (sent(61), receipt(62, "read", targets=("p2",))), [("sent", "")], "sent"
    ),
    "the same receipts again": Story(
        (
            sent(61),
            receipt(62, "delivered", targets=("p1",)),
            receipt(62.5, "delivered", targets=("p1",)),
        ),
        [("sent", ""), ("delivered", "")],
        "delivered",
    ),
}


def _named(one: InboundEvent, message: str) -> InboundEvent:
    """Return the event with the message's id in the place of `OURS`."""
    fields = [f for f in ("message_id", "metadata") if getattr(one, f, "") == OURS]
    return msgspec.structs.replace(one, **dict.fromkeys(fields, message))


async def _in_open(_rig: Rig, _session: str) -> None:
    return None


async def _in_ended(rig: Rig, session: str) -> None:
    await rig.done(rig.end(session, "ann"))


async def _before_another(rig: Rig, session: str) -> None:
    await rig.done(rig.end(session, "ann"))
    await wrote(rig, "messenger", "again", 60.2)


PLACES = {
    "in an open session": _in_open,
    "in one that ended since": _in_ended,
    "in the session before the present one": _before_another,
}


@pytest.mark.parametrize("then", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
async def test_b26_it_is_told_by(rig: Rig, story: Story, then: Any) -> None:
    on(rig, "messenger")
    session = (await wrote(rig, "messenger", "hello", 1)).id
    message = (await rig.done(due(rig, session, channel="messenger"))).message
    assert message is not None
    await then(rig, session)
    for one in story.events:
        rig.now = at(120)
        await rig.take(arrived(_named(one, message.id), channel="messenger"))
    assert outcomes(rig) == [("scheduled:sch1", *expected) for expected in story.told]
    assert {(fact.message, fact.session) for fact in told(rig)} == {(message.id, session)}
    newest = (await rig.sessions())[-1]
    messages = await rig.timeline(session)
    shown = fold(messages, await rig.related(related(messages)), newest)
    assert [entry.status for entry in shown if entry.id == message.id] == [story.shown]


async def test_b25_receipts_reach_the_session_made_for_it(rig: Rig) -> None:
    on(rig, "line")
    message = (await rig.done(due(rig, "ses_made"))).message
    assert message is not None
    before = await rig.only()
    await rig.take(
        _named(sent(61), message.id), _named(receipt(62, "read", metadata=OURS), message.id)
    )
    assert [status for _origin, status, _why in outcomes(rig)] == ["sent", "read"]
    after = await rig.only()
    assert (after.list, after.updated_at) == ("ended", before.updated_at)
    assert after.traced == ()


async def test_b26_what_an_agent_wrote_is_told_as_before(rig: Rig) -> None:
    on(rig, "line")
    session = (await wrote(rig, "line", "hello", 1)).id
    message = (await rig.done(rig.send(session, "ann", "yes"))).message
    assert message is not None
    await rig.take(_named(sent(61), message.id))
    assert outcomes(rig) == []
    assert [fact.status for fact in rig.bus.facts("message.status")] == ["sent"]
