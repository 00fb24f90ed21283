"""What a message's status makes of the recipient or the scheduled message that it is of.

Forward only, however facts arrive: a late failure hides no delivery, and a repeat changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from libs.common.documents import MESSAGES, Message
from libs.common.events import SendStatus
from libs.common.later import Recipient, RecipientState, ScheduledMessage
from libs.common.reasons import reason
from libs.common.status import Standing, further, reported, standing_of
from libs.common.store.api import Page, Store, Where
from libs.common.timeline import related
from services.scheduler.verdicts import QUIET

UNKNOWN = "unknown"
"""The reason where the provider did not say whether it took the message: perhaps it is out."""

_RANK: Mapping[RecipientState, int] = {
    "pending": 0,
    "sending": 1,
    "sent": 2,
    "failed": 3,
    "delivered": 4,
    "read": 5,
}
_STATES: Mapping[str, RecipientState] = {
    "unknown": "sent",
    "sent": "sent",
    "failed": "failed",
    "delivered": "delivered",
    "read": "read",
}
_PAGE = 200


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A message of ours, how far it got, and why not further."""

    message: str
    session: str
    status: SendStatus
    reason: str = ""


def moved(row: Recipient, told: Told, now: datetime) -> Recipient:
    """Return *row* after what was *told* of its message; the same where that is nothing new."""
    after = _STATES.get(told.status)
    changes: dict[str, str] = {}
    if not row.message:
        changes = {"message": told.message, "session": told.session}
    if after is not None and _goes(row, after, told.status):
        why = {"failed": told.reason or "failed", UNKNOWN: UNKNOWN}.get(told.status, "")
        changes |= {"state": after, "reason": why}
    return msgspec.structs.replace(row, updated_at=now, **changes) if changes else row


def settled(doc: ScheduledMessage, told: Told, now: datetime) -> ScheduledMessage:
    """Return *doc* after what was *told* of its message; the same where that is nothing new.

    Whoever sent it notes that it went out; a fact that comes before says so too.
    """
    if doc.state not in {"pending", "sent", "failed"}:
        return doc
    status = further(Standing(status=doc.status), Standing(status=told.status)).status
    if status == doc.status and doc.message:
        return doc
    failed = status == "failed"
    why, words = (told.reason or "failed", _words(told.reason)) if failed else _how(doc)
    return msgspec.structs.replace(
        doc,
        message=doc.message or told.message,
        status=status,
        state="failed" if failed else "sent",
        reason=why,
        detail=words,
        held=False,
        fires_at=None,
        settled_at=doc.settled_at or now,
        updated_at=now,
    )


def _how(doc: ScheduledMessage) -> tuple[str, str]:
    """Return reason and sentence of one that went out: how it came to, not what was in its way."""
    stays = doc.state == "sent" or (doc.state == "pending" and doc.reason == QUIET)
    return (doc.reason, doc.detail) if stays else ("", "")


def _words(code: str) -> str:
    known = reason(code)
    return f"{known.text} {known.advice}"


async def stored_status(store: Store, workspace: str, message: str) -> Standing:
    """Return how far a message of ours got by all that is stored about it.

    Raises:
        StoreUnavailableError: The store is away.
    """
    entry = await store.get(MESSAGES, workspace, message)
    if entry is None:
        return Standing()
    standing = standing_of(entry)
    for change in await _changes(store, entry):
        standing = further(standing, reported(change.event, change.occurred_at))
    return standing


async def _changes(store: Store, entry: Message) -> list[Message]:
    found: list[Message] = []
    for target in related([entry]).targets:
        where: Where = {"account": entry.account, "target": target}
        page = Page(order="target", limit=_PAGE)
        found += await store.find(MESSAGES, entry.workspace, where, page)
    return found


def _goes(row: Recipient, after: RecipientState, status: str) -> bool:
    """Tell whether *after* is further than where *row* stands."""
    if row.state not in _RANK or (row.state == "failed" and not row.message):
        return True  # it was thought to have no message
    if row.state == after:
        return row.reason == UNKNOWN and status != UNKNOWN
    return _RANK[after] > _RANK[row.state]
