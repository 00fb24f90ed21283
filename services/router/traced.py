"""How what was scheduled gets on, for those who follow it: each new status is told once. Pure.

The stored message knows what names it. A receipt may name it by the provider's id alone, or say up
to when the visitor has read: for that the session keeps what it sent last.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.documents import Message, Session, Traced
from libs.common.events import DeliveryReported, InboundEvent
from libs.common.status import Standing, further, reported
from libs.common.timeline import CLOCKS_S, watermarked
from services.router.draft import Draft

KEPT = 20
"""Messages that a session follows, the newest."""


def trace(draft: Draft, entry: Message) -> None:
    """Follow *entry*, which is about to be sent."""
    session = draft.session
    one = Traced(
        message=entry.id, origin=entry.origin, session=session.id, sent_at=entry.occurred_at
    )
    session.traced = (*session.traced, one)[-KEPT:]


def follow(draft: Draft, entry: Message, event: InboundEvent | None, ours: Message | None) -> None:
    """Tell what *event*, kept as *entry*, says of what was scheduled; *ours* is what it names."""
    session = draft.session
    if ours is not None and ours.origin:
        _learn(session, ours)
        _tell(draft, _named(session, ours), _standing(ours), entry.received_at)
    if not session.traced:  # nearly always
        return
    for one in session.traced:
        standing = Standing(status=one.status)
        if isinstance(event, DeliveryReported) and set(event.targets) & set(one.ids):
            standing = further(standing, reported(event, entry.occurred_at))
        _tell(draft, one, watermarked(standing, one.sent_at, session), entry.received_at)
    session.traced = tuple(one for one in session.traced if one.status != "read")


def _learn(session: Session, ours: Message) -> None:
    """Note by what ids receipts will name *ours*, and when the provider took it."""
    at = ours.status_at or ours.occurred_at
    sent_at = max(ours.occurred_at, at - CLOCKS_S) if ours.status == "sent" else None
    session.traced = tuple(
        msgspec.structs.replace(one, ids=ours.provider_ids, sent_at=sent_at or one.sent_at)
        if one.message == ours.id
        else one
        for one in session.traced
    )


def _named(session: Session, ours: Message) -> Traced:
    """Return what is followed of *ours*; one that is followed no more is told each time."""
    gone = Traced(
        message=ours.id, origin=ours.origin, session=ours.session, sent_at=ours.occurred_at
    )
    return next((one for one in session.traced if one.message == ours.id), gone)


def _standing(ours: Message) -> Standing:
    return Standing(status=ours.status, at=ours.status_at, reason=ours.status_reason)


def _tell(draft: Draft, one: Traced, standing: Standing, at: datetime) -> None:
    """Tell that *one* stands so now, unless it did or was further already."""
    holds = further(Standing(status=one.status), standing)
    if holds.status == one.status:
        return
    draft.tell(
        "scheduled.status",
        at,
        actor="system",
        message=one.message,
        session=one.session,
        status=holds.status,
        detail=holds.reason,
        origin=one.origin,
    )
    session = draft.session
    now = msgspec.structs.replace(one, status=holds.status)
    session.traced = tuple(now if kept.message == now.message else kept for kept in session.traced)
