"""How the delivery status of a message of ours moves: forward only, however the reports arrive.

A channel's receipts, its echoes and the sender's own reports come in any order and more than once.
Each is turned into a `Standing`, and `further` picks the one that holds: it is commutative,
associative and idempotent, so the set of reports decides and not their order.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from libs.common.documents import Message, SendStatus
from libs.common.events import DeliveryReported, InboundEvent, MessageEchoed, SendReported

BY_EMAIL = "email"
"""`SendReported.via` of what was shown in the web chat, and was to go out by email besides."""

_RANK: dict[SendStatus, int] = {
    "": 0,
    "queued": 1,
    "unknown": 2,
    "sent": 3,
    "failed": 4,
    "delivered": 5,
    "read": 6,
}
"""`failed` stands above `sent`, because WhatsApp accepts first and fails later, and below
`delivered`, because a late failure (another device, one of a group) never hides a delivery."""

_LATEST = datetime.max.replace(tzinfo=UTC)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A status, since when, and why; `reason` and `code` speak of a failure."""

    status: SendStatus = ""
    at: datetime | None = None
    reason: str = ""
    code: str = ""


def standing_of(message: Message) -> Standing:
    """Return what the stored document says."""
    return Standing(
        status=message.status,
        at=message.status_at,
        reason=message.status_reason,
        code=message.provider_code,
    )


def reported(event: InboundEvent | None, at: datetime) -> Standing:
    """Return what *event*, which happened at *at*, says about our message; empty for the rest.

    An echo proves that the provider took the message; `played` is a way of having read. That an
    email besides came to nothing takes nothing from what the chat has shown.
    """
    if isinstance(event, SendReported):
        if event.via == BY_EMAIL and event.status != "sent":
            return Standing()
        return Standing(status=event.status, at=at, reason=event.reason, code=event.provider_code)
    if isinstance(event, MessageEchoed):
        return Standing(status="sent", at=at)
    if isinstance(event, DeliveryReported):
        status: SendStatus = "read" if event.status == "played" else event.status
        return Standing(status=status, at=at, reason=event.reason, code=event.provider_code)
    return Standing()


def further(one: Standing, other: Standing) -> Standing:
    """Return the standing that holds when both were reported; of two equal ones the earlier."""
    if _RANK[one.status] != _RANK[other.status]:
        return one if _RANK[one.status] > _RANK[other.status] else other
    return min(one, other, key=lambda s: (s.at or _LATEST, s.reason, s.code))
