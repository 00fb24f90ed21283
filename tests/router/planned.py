"""What the scheduler asks of the router, in a few words, and the timers that the router arms."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.channel import Account, MessageTemplate
from libs.common.commands import Actor, SendScheduled
from libs.common.documents import Session
from libs.common.events import Fact, TemplatePart, TextPart, Timer
from tests.router.rig import ACCOUNT, UNHOSTED, Rig, arrived, said

HOUR = 3600
DAY = 24 * HOUR
HELLO = MessageTemplate(name="hello", language="en", body="Hi {{1}}")
TEMPLATE = TemplatePart(name="hello", language="en", body=("Ada",), text="Hi Ada")
NEVER = "ses_made_for_it"
"""The session of a visitor who never had one."""


def on(rig: Rig, channel: str, **fields: Any) -> None:
    """Connect the account to *channel*; nothing is hosted or given to anybody."""
    rig.settings = UNHOSTED
    rig.accounts[ACCOUNT] = Account(
        workspace="acme", slug=ACCOUNT, external_id="1", channel=channel, **fields
    )


async def wrote(rig: Rig, channel: str, text: str, seconds: float) -> Session:
    """Let the visitor write; return their newest session."""
    await rig.take(arrived(said(text, seconds, key=f"{text}-{seconds}"), channel=channel))
    return (await rig.sessions())[-1]


def due(
    rig: Rig, session: str, text: str = "your parcel", ref: str = "sch1", **more: Any
) -> SendScheduled:
    """Return the command of a scheduled message, or of a broadcast's recipient."""
    head = rig.head(session, Actor(kind="schedule", id=ref, name="Ann"), more.pop("key", ref))
    asked: dict[str, Any] = {
        "parts": (TextPart(text=text),),
        "origin": f"scheduled:{ref}",
        "account": ACCOUNT,
        "channel": "line",
        "visitor": "U1",
        "contact": "con1",
    }
    return SendScheduled(**head, **asked | more)


def timers(rig: Rig) -> list[Timer]:
    """Return the timers of what is scheduled that were armed, in order."""
    return [
        msgspec.json.decode(data, type=Timer)
        for subject, data in rig.bus.kept.values()
        if subject.startswith("timer.scheduled.")
    ]


def outcomes(rig: Rig) -> list[tuple[str, str, str]]:
    """Return how what was scheduled is said to stand: origin, status and why, in order."""
    return [(f.origin, f.status, f.detail) for f in told(rig)]


def told(rig: Rig) -> list[Fact]:
    return rig.bus.facts("scheduled.status")


def place(session: Session) -> tuple[Any, ...]:
    """Return what a scheduled message must not change."""
    return (
        session.list,
        session.owner,
        session.assignees,
        session.bot,
        session.bot_id,
        session.automation,
        session.epoch,
        session.hushed,
        session.awaiting_since,
        session.answered_at,
        session.due.get("silent_owner"),
        session.waiting_since,
        session.queue_key,
        session.reply_token,
        session.reads,
        session.inbound,
    )
