"""The first half of a journey: taken in, routed, stored. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from libs.common.documents import DecisionRecord, Message
from libs.common.events import Unparsed
from services.desk.journey import Arrival, Records, Step, Told, filled, is_ours

_MOVES = ("session.created", "session.moved", "session.assigned", "session.ended")


def taken_in(records: Records) -> Iterator[Step]:
    """Yield how each event came to us: at the provider, to ingest, and onto the bus."""
    by_place = {one.sequence: one for one in records.arrivals}
    for entry in records.entries:
        if not is_ours(entry) and entry.kind != "note":
            yield from _of_entry(entry, by_place.get(entry.sequence))
    stored = {one.sequence for one in records.entries if one.sequence}
    for arrival in records.arrivals:
        if arrival.sequence not in stored:
            yield _received(arrival.received_at, "", arrival)
            yield _on_bus(arrival, "")


def _of_entry(entry: Message, arrival: Arrival | None) -> Iterator[Step]:
    yield Step(
        kind="ingest",
        hop="occurred",
        at=entry.occurred_at,
        decision=event_type(entry),
        outcome="reported",
        message=entry.id,
    )
    if not entry.sequence and not entry.ingest_id:
        return
    yield _received(entry.received_at, entry.id, arrival)
    if arrival is not None:
        yield _on_bus(arrival, entry.id)


def _received(at: datetime, message: str, arrival: Arrival | None) -> Step:
    outcome = "accepted" if arrival is None else "spooled" if arrival.spooled else "published"
    return Step(
        kind="ingest",
        hop="received",
        at=at,
        decision="accepted",
        outcome=outcome,
        message=message,
    )


def _on_bus(arrival: Arrival, message: str) -> Step:
    return Step(
        kind="ingest",
        hop="on_bus",
        at=arrival.at,
        decision="replayed" if arrival.spooled else "published",
        outcome="confirmed",
        message=message,
        facts={"sequence": str(arrival.sequence)},
    )


def routed(records: Records) -> Iterator[Step]:
    """Yield where each event went and why, and that it is stored; or that it is not, and why."""
    arrived = {one.sequence: one.at for one in records.arrivals}
    by_key = {(entry.account, entry.key): entry for entry in records.entries}
    for entry in records.entries:
        if is_ours(entry):
            continue
        told = _stored_fact(entry, records.told)
        at = told.at if told else arrived.get(entry.sequence, entry.received_at)
        yield _route(entry, told, at, records)
        yield _stored(entry, at)
    for arrival in records.arrivals:
        first = by_key.get((arrival.account, arrival.event))
        if first is None or first.sequence != arrival.sequence:
            yield _not_stored(arrival, first, records)


def _route(entry: Message, told: Told | None, at: datetime, records: Records) -> Step:
    if isinstance(entry.event, Unparsed):
        return _step(entry, at, "quarantined", entry.event.reason)
    if told is None:
        session = records.sessions.get(entry.session)
        decision = "applied" if entry.kind == "event" else "not_known_any_more"
        return _step(entry, at, decision, session.list if session else "no_session")
    same = [
        one.fact
        for one in records.told
        if (one.fact.session, one.fact.rev) == (told.fact.session, told.fact.rev)
    ]
    moves = [fact for fact in same if fact.type in _MOVES]
    decided = records.decisions.get((told.fact.session, told.fact.rev), ())
    because = next((fact.because for fact in reversed(moves) if fact.because), "")
    known = {
        "previous_list": moves[0].previous_list if moves else "",
        "owner": told.fact.owner or (moves[-1].owner if moves else ""),
        "rules": ", ".join(rule for one in decided for rule in one.decision.rules),
        "trigger": decided[0].case.trigger if decided else "",
    }
    return Step(
        kind="route",
        hop="routed",
        at=at,
        decision=_why(decided) or because or "stays",
        outcome=moves[-1].list if moves else told.fact.list,
        actor=told.fact.actor,
        message=entry.id,
        ref=decided[0].id if decided else "",
        facts=filled(known),
    )


def _why(decided: Sequence[DecisionRecord]) -> str:
    return decided[-1].decision.because if decided else ""


def _stored(entry: Message, at: datetime) -> Step:
    known = {"session": entry.session, "number": str(entry.number) if entry.number else ""}
    return Step(
        kind="store",
        hop="stored",
        at=at,
        decision=entry.kind,
        outcome="stored",
        message=entry.id,
        facts=filled(known),
    )


def _not_stored(arrival: Arrival, first: Message | None, records: Records) -> Step:
    """Say what became of an event without an entry: again, given up, lost, or under way."""
    dead = {one.source for one in records.letters if one.stream == "INBOUND"}
    missed = {one.sequence for one in records.missed}
    if first is not None:
        decision, outcome = "duplicate", "not_stored_again"
    elif arrival.sequence in dead:
        decision, outcome = "given_up", "on_dead"
    elif arrival.sequence in missed:
        decision, outcome = "missing", "nowhere"
    else:
        decision, outcome = "none", "not_stored" if arrival.passed else "waiting"
    return Step(
        kind="route",
        hop="routed",
        at=arrival.at,
        decision=decision,
        outcome=outcome,
        message=first.id if first else "",
        facts={"sequence": str(arrival.sequence)},
    )


def _step(entry: Message, at: datetime, decision: str, outcome: str) -> Step:
    return Step(
        kind="route", hop="routed", at=at, decision=decision, outcome=outcome, message=entry.id
    )


def _stored_fact(entry: Message, told: Sequence[Told]) -> Told | None:
    return next(
        (one for one in told if one.fact.type == "message.stored" and one.fact.message == entry.id),
        None,
    )


def event_type(entry: Message) -> str:
    """Return the type of the event behind *entry*."""
    if entry.event is not None:
        return str(entry.event.__struct_config__.tag)
    if entry.kind == "message":
        return "message.received" if entry.direction == "in" else "message.echoed"
    return entry.what or entry.kind
