"""What becomes of a scheduled message, as the document says it: state, reason, sentence. Pure.

Each returns the document as it is to be written. One that is settled has no timer any more, and
stays as it was settled first.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from libs.common.commands import Refused
from libs.common.documents import Message
from libs.common.events import TemplatePart
from libs.common.later import ScheduledMessage
from libs.common.wallclock import local_time

QUIET = "quiet_hours"
HELD = "held"
TEMPLATE = "template"
_SKIPPED = frozenset({"replied", "stale_epoch"})


def sent(doc: ScheduledMessage, message: Message, now: datetime) -> ScheduledMessage:
    """It has become *message*; what is known of that one's fate already stays.

    That it was moved out of quiet hours is still true; that it was held no longer matters.
    """
    if doc.state != "pending":  # its outcome was faster
        doc = replace(doc, message=doc.message or message.id)
        return _in_its_place(doc, message) if doc.state == "sent" else doc
    kept = doc.reason == QUIET
    doc = replace(
        _over(doc, now),
        state="sent",
        reason=doc.reason if kept else "",
        detail=doc.detail if kept else "",
        message=message.id,
        status=doc.status or message.status,
    )
    return _in_its_place(doc, message)


def _in_its_place(doc: ScheduledMessage, message: Message) -> ScheduledMessage:
    """Say so where the template went out, and not what was written."""
    named = next((part.name for part in message.parts if isinstance(part, TemplatePart)), None)
    own = any(isinstance(part, TemplatePart) for part in doc.parts)
    if named is None or own or doc.reason == TEMPLATE:
        return doc
    words = f"The window was closed: the template {named} went out in its place."
    return replace(doc, reason=TEMPLATE, detail=f"{doc.detail} {words}".strip())


def held(doc: ScheduledMessage, claim: datetime | None, until: datetime) -> ScheduledMessage:
    """The window is closed: it waits for the visitor, and may be changed again meanwhile.

    That holds only under the *claim* that found it so: who claimed it later may be sending it.
    """
    if doc.state != "pending" or doc.claimed_at != claim:
        return doc
    return replace(
        doc,
        held=True,
        claimed_at=None,
        faulty_since=None,
        hold_until=until,
        fires_at=until,
        reason=HELD,
        detail="The channel lets nobody write to the visitor now. It goes out when they write, "
        f"and fails if they have not by {_shown(until, doc.zone)}.",
    )


def moved_on(doc: ScheduledMessage, until: datetime) -> ScheduledMessage:
    """It came due inside its quiet hours: their end is its time.

    That is so as well where it waits for the visitor only until a time inside them: who has written
    by then is written to.
    """
    if doc.fires_at == until:
        return doc
    return replace(
        doc,
        due_at=until,
        wanted_at=doc.wanted_at or doc.due_at,
        fires_at=until,
        reason=QUIET,
        detail=f"Moved to {_shown(until, doc.zone)}, when the quiet hours are over.",
    )


def faulty(doc: ScheduledMessage, now: datetime) -> ScheduledMessage:
    """The router that was asked failed at it, for the first time."""
    return doc if doc.state != "pending" else replace(doc, faulty_since=doc.faulty_since or now)


def is_elsewhere(doc: ScheduledMessage, session: str) -> bool:
    """Tell whether it must not move, and would go into another session than it was meant for."""
    return doc.unless_moved and bool(doc.session) and session != doc.session


def moved(doc: ScheduledMessage, now: datetime) -> ScheduledMessage:
    """The session that it was meant for is not the visitor's newest any more."""
    if doc.state != "pending":
        return doc
    return replace(
        _over(doc, now),
        state="skipped",
        reason="stale_epoch",
        detail="The visitor has another session by now; it was to go out only if nothing moved.",
    )


def refused(doc: ScheduledMessage, answer: Refused, now: datetime) -> ScheduledMessage:
    """The router refused it for good."""
    if doc.state != "pending":
        return doc
    if answer.code in _SKIPPED:
        return replace(
            _over(doc, now), state="skipped", reason=answer.code, detail=_why_skipped(doc, answer)
        )
    detail = f"{answer.detail[:1].upper()}{answer.detail[1:].rstrip('.')}."
    if doc.held and doc.hold_until is not None and now >= doc.hold_until:
        detail = f"The visitor did not write by {_shown(doc.hold_until, doc.zone)}. {detail}"
    return replace(_over(doc, now), state="failed", reason=answer.code, detail=detail)


def _over(doc: ScheduledMessage, now: datetime) -> ScheduledMessage:
    return replace(doc, held=False, fires_at=None, settled_at=now, updated_at=now)


def _why_skipped(doc: ScheduledMessage, answer: Refused) -> str:
    if answer.code == "stale_epoch":
        return "The session changed hands after this was scheduled."
    at = answer.facts.get("at", "")
    when = f" on {_shown(datetime.fromisoformat(at), doc.zone)}" if at else ""
    return f"The visitor wrote{when}, after this was scheduled."


def _shown(at: datetime, zone: str) -> str:
    """Return the time as the clocks of *zone* show it."""
    return f"{local_time(at, zone).replace('T', ' ')[:16]} ({zone})"
