"""What becomes of messages that were scheduled or broadcast: forward only, in whatever order."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.events import SendStatus, TextPart
from libs.common.later import Recipient, ScheduledMessage
from services.scheduler.outcomes_state import Told, moved, settled

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def recipient(**more: Any) -> Recipient:
    return Recipient(
        **{
            "id": "rcp_1",
            "workspace": "w",
            "broadcast": "brd_1",
            "contact": "con_1",
            "account": "a",
            "channel": "line",
            "visitor": "U1",
            "due_at": NOW,
            "state": "sending",
            "updated_at": NOW,
            **more,
        }
    )


def scheduled(**more: Any) -> ScheduledMessage:
    return ScheduledMessage(
        **{
            "id": "sch_1",
            "workspace": "w",
            "name": "n",
            "contact": "con_1",
            "account": "a",
            "channel": "line",
            "visitor": "U1",
            "author": "amy",
            "parts": (TextPart(text="hi"),),
            "local": "2026-03-02T12:00",
            "zone": "UTC",
            "due_at": NOW,
            "created_at": NOW,
            "updated_at": NOW,
            **more,
        }
    )


def told(status: SendStatus, reason: str = "") -> Told:
    return Told(message="msg_1", session="ses_1", status=status, reason=reason)


SENT = {"message": "msg_1", "session": "ses_1"}
MOVES: dict[str, tuple[dict[str, Any], Told, tuple[str, str]]] = {
    "sent": (SENT, told("sent"), ("sent", "")),
    "a refusal of the provider's": (SENT, told("failed", "rejected"), ("failed", "rejected")),
    "nobody knows": (SENT, told("unknown"), ("sent", "unknown")),
    "it was taken after all": (
        {**SENT, "state": "sent", "reason": "unknown"},
        told("sent"),
        ("sent", ""),
    ),
    "delivered": ({**SENT, "state": "sent"}, told("delivered"), ("delivered", "")),
    "read without a word of delivery": ({**SENT, "state": "sent"}, told("read"), ("read", "")),
    "a late failure hides no delivery": (
        {**SENT, "state": "delivered"},
        told("failed", "rejected"),
        ("delivered", ""),
    ),
    "accepted first and failed later": (
        {**SENT, "state": "sent"},
        told("failed", "rejected"),
        ("failed", "rejected"),
    ),
    "a fact before the answer brings the message along": ({}, told("sent"), ("sent", "")),
    "queued is nothing new": (SENT, told("queued"), ("sending", "")),
    "it was thought refused": (
        {"state": "failed", "reason": "internal"},
        told("sent"),
        ("sent", ""),
    ),
}


@pytest.mark.parametrize(("before", "fact", "expected"), MOVES.values(), ids=MOVES)
def test_b03_a_recipient_stands_where_its_message_does(
    before: dict[str, Any], fact: Told, expected: tuple[str, str]
) -> None:
    row = recipient(**before)
    after = moved(row, fact, NOW)
    assert (after.state, after.reason) == expected
    assert (after.message, after.session) == ("msg_1", "ses_1")
    assert moved(after, fact, NOW) is after, "a repeat changes nothing"


def test_b03_the_order_in_which_facts_arrive_changes_nothing() -> None:
    facts = [told("sent"), told("delivered"), told("read"), told("failed", "x"), told("unknown")]
    ends = set()
    for order in itertools.permutations(facts):
        row = recipient(**SENT)
        for fact in order:
            row = moved(row, fact, NOW)
        ends.add((row.state, row.reason))
    assert ends == {("read", "")}


SETTLES: dict[str, tuple[dict[str, Any], Told, tuple[str, str, str]]] = {
    "sent": ({"state": "sent", "message": "msg_1"}, told("sent"), ("sent", "sent", "")),
    "a fact before whoever sent it noted so": (
        {"claimed_at": NOW, "fires_at": NOW},
        told("sent"),
        ("sent", "sent", ""),
    ),
    "the provider refused it": (
        {"state": "sent", "message": "msg_1", "status": "sent"},
        told("failed", "rejected"),
        ("failed", "failed", "rejected"),
    ),
    "what went out in its place is delivered": (
        {"state": "sent", "reason": "template", "message": "msg_1", "status": "sent"},
        told("delivered"),
        ("sent", "delivered", "template"),
    ),
    "quiet hours had moved it, and a fact comes before that it was sent": (
        {"reason": "quiet_hours", "claimed_at": NOW, "fires_at": NOW},
        told("sent"),
        ("sent", "sent", "quiet_hours"),
    ),
    "what was held waits for nobody any more": (
        {"reason": "held", "held": True, "claimed_at": NOW, "fires_at": NOW},
        told("sent"),
        ("sent", "sent", ""),
    ),
    "delivered after a failure elsewhere": (
        {"state": "failed", "reason": "x", "message": "msg_1", "status": "failed"},
        told("delivered"),
        ("sent", "delivered", ""),
    ),
    "a late failure hides no delivery": (
        {"state": "sent", "message": "msg_1", "status": "delivered"},
        told("failed", "rejected"),
        ("sent", "delivered", ""),
    ),
}


@pytest.mark.parametrize(("before", "fact", "expected"), SETTLES.values(), ids=SETTLES)
def test_b26_a_scheduled_message_stands_where_its_message_does(
    before: dict[str, Any], fact: Told, expected: tuple[str, str, str]
) -> None:
    after = settled(scheduled(**before), fact, NOW)
    assert (after.state, after.status, after.reason) == expected
    assert (after.message, after.fires_at) == ("msg_1", None)
    assert settled(after, fact, NOW) is after, "a repeat changes nothing"


def test_what_was_cancelled_stays_so() -> None:
    doc = scheduled(state="cancelled")
    assert settled(doc, told("sent"), NOW) is doc
    assert msgspec.structs.asdict(doc)["state"] == "cancelled"


def test_b25_what_the_provider_refused_says_so_in_words() -> None:
    after = settled(scheduled(state="sent", message="msg_1"), told("failed", "blocked"), NOW)
    assert (after.state, after.reason) == ("failed", "blocked")
    assert after.detail.endswith(".")
