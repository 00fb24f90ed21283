"""The journey of a message: each hop with its time, what was decided and how it ended. Pure.

Made at reading time of what is durable: entries and sends, the facts, alerts, decisions, deliveries
and dead letters. It names people, rules and places by their ids and says nothing of what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.alerts import Alert, Attention, Watch
from libs.common.dead.letter import Letter
from libs.common.documents import DecisionRecord, Message, SendAttempt, Session
from libs.common.events import Fact
from libs.common.ledger.page import Missed
from libs.common.webhooks import WebhookDelivery

StepKind = Literal["ingest", "route", "store", "alert", "reply", "webhook", "dead", "ledger"]
_RANK: Mapping[str, int] = {
    "ingest": 0,
    "route": 1,
    "store": 2,
    "reply": 3,
    "alert": 4,
    "webhook": 5,
    "dead": 6,
    "ledger": 7,
}
"""What comes first of what has one time: routing and storing are one write."""
MOST_STEPS = 300
"""Hops that one answer tells."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One hop.

    Attributes:
        kind: Which part of the way: taken in (`ingest`), routed, stored, alerted, answered
            (`reply`), told to a customer's system (`webhook`), given up (`dead`), or missed by the
            ledger.
        hop: What happened: `occurred`, `received`, `on_bus`, `routed`, `stored`, `alert`, `queued`,
            `sending`, `sent`, `delivered`, `read`, `failed`, `unknown`, `delivery`, `buried`,
            `missed`.
        at: When. Of `routed` and `stored` when the router's write, which is both, was told.
        decision: What was decided, or by what, as a machine word: `accepted`, a list's `because`,
            `duplicate`, `quarantined`, `raised`, ...
        outcome: How it ended: `spooled`, the list, `told`, `failed`, ...
        actor: Who did it, or whom it was for: `agent:<id>`, `bot:<id>`, a consumer.
        message: Our message it is about; empty: nothing is stored of it.
        ref: Id of the decision, alert, delivery or dead letter.
        facts: What else is known, by name: `sink`, `sequence`, `reason`, `code`, `tries`, ...
    """

    kind: StepKind
    hop: str
    at: datetime
    decision: str
    outcome: str
    actor: str = ""
    message: str = ""
    ref: str = ""
    facts: dict[str, str] = {}


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """An event on INBOUND; `event` is its id, empty where nobody can read it.

    `spooled`: it waited on ingest's disk. `passed`: the router's ledger has counted it.
    """

    sequence: int
    at: datetime
    account: str
    event: str
    received_at: datetime
    spooled: bool = False
    passed: bool = False


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A fact, and when it was on the stream."""

    fact: Fact
    at: datetime


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """An alert by one sink, and when it was on the stream."""

    alert: Alert
    sink: str
    at: datetime


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts of `session` that happen from `begins` until the visitor's next word are of it."""

    message: str
    session: str
    begins: datetime
    ends: datetime | None = None


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a message and of what belongs to it.

    Attributes:
        entries: What the id names, the question and its answers.
        decisions: By session and its revision.
        reports: What tells how far messages of ours got, by message.
        missed: What the ledgers miss.
    """

    entries: Sequence[Message] = ()
    sessions: Mapping[str, Session] = {}
    windows: Sequence[Window] = ()
    arrivals: Sequence[Arrival] = ()
    told: Sequence[Told] = ()
    decisions: Mapping[tuple[str, int], Sequence[DecisionRecord]] = {}
    alerts: Sequence[Said] = ()
    attention: Mapping[str, Attention] = {}
    attempts: Mapping[str, SendAttempt] = {}
    reports: Mapping[str, Sequence[Message]] = {}
    deliveries: Sequence[WebhookDelivery] = ()
    letters: Sequence[Letter] = ()
    missed: Sequence[Missed] = ()


def in_order(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return *steps* by time; of one time in the order of the way."""
    return tuple(sorted(steps, key=lambda step: (step.at, _RANK[step.kind])))


def is_ours(entry: Message) -> bool:
    """Tell whether *entry* is what we said: no webhook brought it."""
    return entry.direction == "out" and not entry.ingest_id


def alerts_of(records: Records) -> Iterator[Step]:
    """Yield whom alerts of these messages told what, by which sink, and who waits untold."""
    of_alert: dict[str, Window] = {}
    for said in records.alerts:
        window = _window(records, said.alert.session, said.alert.at)
        if said.alert.kind != "cleared" and window is not None:
            of_alert.setdefault(said.alert.id, window)
    for said in records.alerts:
        window = of_alert.get(said.alert.id)
        if window is not None and said.alert.at >= window.begins:
            yield _alert(said, window.message)
    known = {said.alert.id for said in records.alerts}
    for session, attention in records.attention.items():
        for watch in attention.watches:
            window = _window(records, session, watch.last)
            if watch.alert not in known and window is not None:
                yield _untold(watch, window.message)


def _window(records: Records, session: str, at: datetime) -> Window | None:
    """Return the first of the windows in which something of *session* at *at* belongs."""
    for one in records.windows:
        if one.session == session and one.begins <= at and (one.ends is None or at < one.ends):
            return one
    return None


def _untold(watch: Watch, message: str) -> Step:
    return Step(
        kind="alert",
        hop="alert",
        at=watch.held_at or watch.last,
        decision="raised",
        outcome="held" if watch.held else "not_told",
        actor=f"agent:{watch.agent}",
        message=message,
        ref=watch.alert,
        facts={"trigger": watch.trigger},
    )


def _alert(said: Said, message: str) -> Step:
    alert = said.alert
    known = {"sink": said.sink, "trigger": alert.trigger, "because": alert.because}
    if alert.rung:
        known["rung"] = str(alert.rung)
    return Step(
        kind="alert",
        hop="alert",
        at=said.at,
        decision=alert.kind,
        outcome=alert.because if alert.kind == "cleared" and alert.because else "told",
        actor=f"agent:{alert.agent}",
        message=message,
        ref=alert.id,
        facts=filled(known),
    )


def deliveries_of(records: Records) -> Iterator[Step]:
    """Yield what customers' systems were told."""
    messages = {told.fact.fact_id: told.fact.message for told in records.told}
    for one in records.deliveries:
        last = one.attempts[-1] if one.attempts else None
        known = {
            "endpoint": one.endpoint,
            "tries": str(one.tries),
            "status": str(last.status) if last and last.status else "",
            "error": last.error if last else "",
        }
        yield Step(
            kind="webhook",
            hop="delivery",
            at=one.ended_at or (last.at if last else one.created_at),
            decision=one.type,
            outcome=one.state,
            message=messages.get(one.event_id, ""),
            ref=one.id,
            facts=filled(known),
        )


def letters_of(records: Records) -> Iterator[Step]:
    """Yield which dead letters hold it, and why."""
    for one in records.letters:
        known = {
            "stream": one.stream,
            "sequence": str(one.source),
            "tries": str(one.tries),
            "redrives": str(one.redrives) if one.redrives else "",
        }
        yield Step(
            kind="dead",
            hop="buried",
            at=one.buried_at,
            decision=one.reason,
            outcome="on_dead",
            actor=one.consumer or one.service,
            ref=str(one.sequence),
            facts=filled(known),
        )


def missed_of(records: Records) -> Iterator[Step]:
    """Yield what the ledgers miss."""
    for one in records.missed:
        yield Step(
            kind="ledger",
            hop="missed",
            at=one.found_at,
            decision="missing",
            outcome="nowhere",
            ref=one.event,
            facts={"sequence": str(one.sequence), "channel": one.channel},
        )


def filled(facts: Mapping[str, str]) -> dict[str, str]:
    """Return what is not empty."""
    return {name: text for name, text in facts.items() if text}
