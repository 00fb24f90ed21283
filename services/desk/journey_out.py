"""The second half of a journey: what we said, and how far it got. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from libs.common.documents import Message, SendAttempt, Session
from libs.common.events import SendReported
from libs.common.status import reported, standing_of
from libs.common.timeline import CLOCKS_S, watermarked
from services.desk.journey import Records, Step, filled, is_ours


def replies_of(records: Records) -> Iterator[Step]:
    """Yield who said what we said, how it was sent, and every report of it."""
    for entry in records.entries:
        if not is_ours(entry) or entry.kind != "message":
            continue
        yield _queued(entry)
        attempt = records.attempts.get(entry.id)
        if attempt is not None:
            yield _sending(attempt)
        steps = [step for one in records.reports.get(entry.id, ()) for step in _report(entry, one)]
        yield from steps
        yield from _standing(entry, records.sessions.get(entry.session), {s.hop for s in steps})


def _queued(entry: Message) -> Step:
    """Say who it is of; a message that is not to be sent is only shown."""
    return Step(
        kind="reply",
        hop="queued",
        at=entry.received_at,
        decision=entry.sender,
        outcome="queued" if entry.status else "stored",
        actor=f"{entry.sender}:{entry.sender_id}" if entry.sender_id else entry.sender,
        message=entry.id,
        facts=filled(
            {"session": entry.session, "origin": entry.origin, "number": str(entry.number)}
        ),
    )


def _sending(attempt: SendAttempt) -> Step:
    known = {
        "tries": str(attempt.tries) if attempt.tries else "",
        "reason": attempt.reason,
        "code": attempt.provider_code,
    }
    return Step(
        kind="reply",
        hop="sending",
        at=attempt.started_at,
        decision=attempt.via or "send",
        outcome=attempt.state,
        actor="notifier",
        message=attempt.id,
        facts=filled(known),
    )


def _report(entry: Message, one: Message) -> Iterator[Step]:
    standing = reported(one.event, one.occurred_at)
    if not standing.status or one.id == entry.id:
        return
    ours = isinstance(one.event, SendReported)
    ids = one.event.provider_ids if isinstance(one.event, SendReported) else ()
    yield _outcome(
        entry,
        standing.status,
        one.occurred_at if ours else one.received_at,  # theirs may be in whole seconds: too early
        "sender" if ours else "provider",
        {
            "provider_at": "" if ours else one.occurred_at.isoformat(),
            "reason": standing.reason,
            "code": standing.code,
            "provider_ids": ", ".join(ids),
            "via": one.event.via if isinstance(one.event, SendReported) else "",
        },
    )


def _standing(entry: Message, session: Session | None, known: set[str]) -> Iterator[Step]:
    """Yield the status that stands where no report that is kept tells it."""
    standing = standing_of(entry)
    if standing.status in {"", "queued"}:
        return
    told = set(known)
    reason = {"reason": standing.reason, "code": standing.code}
    if standing.at is not None and standing.status not in told:
        told.add(standing.status)
        ids = {"provider_ids": ", ".join(entry.provider_ids)}
        yield _outcome(entry, standing.status, standing.at, "sender", reason | ids)
    if session is None:
        return
    sent_at = max(entry.occurred_at, (standing.at or entry.occurred_at) - CLOCKS_S)
    further = watermarked(standing, sent_at, session)
    if further.at is not None and further.status not in told:
        yield _outcome(entry, further.status, further.at, "provider", {})


def _outcome(
    entry: Message, status: str, at: datetime, decision: str, facts: dict[str, str]
) -> Step:
    return Step(
        kind="reply",
        hop=status,
        at=at,
        decision=decision,
        outcome=status,
        message=entry.id,
        facts=filled(facts),
    )
