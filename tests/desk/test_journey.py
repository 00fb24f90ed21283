"""D01: what each hop of a journey says, and that it says nothing to whom it is not for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.alerts import Alert, Attention, Watch
from libs.common.bus.delivery import StoredMessage
from libs.common.dead.letter import Letter, letter_of
from libs.common.documents import DecisionRecord, Message, SendAttempt, Session
from libs.common.events import DeliveryReported, Fact, FactType, SendReported, Unparsed
from libs.common.ledger.page import LEDGERS, Missed
from libs.common.ledger.page import Ledger as LedgerDocument
from libs.common.policy import Case, Decision
from libs.common.subjects import dead
from services.desk.journey import (
    Arrival,
    Records,
    Said,
    Step,
    Told,
    Window,
    alerts_of,
    in_order,
    letters_of,
    missed_of,
)
from services.desk.journey_in import routed, taken_in
from services.desk.journey_out import replies_of
from tests.desk.test_trace import arrived, new_ingest_id
from tests.desk.world import World

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def entry(**more: Any) -> Message:
    fields: dict[str, Any] = {
        "id": "msg_1",
        "workspace": "w",
        "account": "a",
        "key": "e1",
        "session": "s",
        "visitor": "v",
        "kind": "message",
        "direction": "in",
        "occurred_at": T0,
        "received_at": at(1),
        "sequence": 7,
        "number": 3,
        "ingest_id": "I",
    }
    return Message(**fields | more)


def ours(**more: Any) -> Message:
    return entry(
        id="msg_2",
        key="cmd:x:1",
        direction="out",
        sender="bot",
        sender_id="bot_1",
        sequence=0,
        ingest_id="",
        **more,
    )


def arrival(**more: Any) -> Arrival:
    fields: dict[str, Any] = {
        "sequence": 7,
        "at": at(2),
        "account": "a",
        "event": "e1",
        "received_at": at(1),
    }
    return Arrival(**fields | more)


def told(kind: FactType, n: int, **more: Any) -> Told:
    fact = Fact(fact_id=f"s:4:{n}", type=kind, workspace="w", session="s", at=at(1), rev=4, **more)
    return Told(fact=fact, at=at(3))


def letter(**more: str) -> Letter:
    headers = {
        "Relaydesk-Reason": "malformed_payload",
        "Relaydesk-Stream": "INBOUND",
        "Relaydesk-Sequence": "7",
        "Relaydesk-Attempts": "5",
        "Relaydesk-Subject": "in.3.w.line.a",
        "Relaydesk-Consumer": "router",
    }
    message = StoredMessage(
        subject="dead.router.in.3.w.line.a",
        sequence=44,
        data=b"",
        headers=headers | more,
        stored_at_ns=int(at(9).timestamp() * 1e9),
    )
    return letter_of(message)


def failed() -> Records:
    report = SendReported(
        event_id="sr",
        visitor="v",
        occurred_at=at(6),
        message_id="msg_2",
        status="failed",
        reason="window_closed",
        provider_code="131047",
    )
    kept = entry(id="msg_9", kind="event", direction=None, occurred_at=at(6), event=report)
    attempt = SendAttempt(
        id="msg_2",
        workspace="w",
        account="a",
        session="s",
        state="failed",
        started_at=at(5),
        tries=3,
    )
    return Records(
        entries=[ours(status="failed", status_at=at(6))],
        attempts={"msg_2": attempt},
        reports={"msg_2": [kept]},
    )


def decided() -> DecisionRecord:
    return DecisionRecord(
        id="dec_1",
        workspace="w",
        session="s",
        at=at(1),
        case=Case(trigger="opened", session="s", channel="line", account="a", text="secret words"),
        decision=Decision(because="rule", list="assigned", rules=("vip",), owner="agt"),
    )


def alert(kind: Any, seconds: float, **more: Any) -> Said:
    one = Alert(
        id="s:1:agt",
        kind=kind,
        workspace="w",
        agent="agt",
        trigger="unassigned.message",
        at=at(seconds),
        expires_at=at(99),
        session="s",
        excerpt="secret words",
        contact_name="secret words",
        **more,
    )
    return Said(alert=one, sink="push", at=at(seconds + 0.5))


WINDOW = Window(message="msg_1", session="s", begins=at(1), ends=at(20))
WATCH = Watch(
    agent="agt",
    alert="s:1:agt",
    trigger="mention",
    since=at(1),
    last=at(1),
    held=True,
    held_at=at(2),
)
MISSED = Missed(
    sequence=7,
    made="m",
    subject="in.3.w.line.a",
    channel="line",
    workspace="w",
    event="e1",
    stored_at=at(2),
    found_at=at(60),
)
Make = Callable[[Records], Any]

CASES: dict[str, tuple[Records, Make, list[tuple[str, str, str, float]]]] = {
    "a webhook that went straight to the bus": (
        Records(entries=[entry()], arrivals=[arrival()]),
        taken_in,
        [
            ("occurred", "message.received", "reported", 0),
            ("received", "accepted", "published", 1),
            ("on_bus", "published", "confirmed", 2),
        ],
    ),
    "one that waited in the spool": (
        Records(entries=[entry()], arrivals=[arrival(spooled=True, at=at(40))]),
        taken_in,
        [
            ("occurred", "message.received", "reported", 0),
            ("received", "accepted", "spooled", 1),
            ("on_bus", "replayed", "confirmed", 40),
        ],
    ),
    "one that the stream has forgotten": (
        Records(entries=[entry()]),
        taken_in,
        [
            ("occurred", "message.received", "reported", 0),
            ("received", "accepted", "accepted", 1),
        ],
    ),
    "routed by a rule": (
        Records(
            entries=[entry()],
            told=[
                told("session.created", 1, because="rule", list="assigned", owner="agt"),
                told("message.stored", 2, message="msg_1", list="assigned"),
            ],
            decisions={("s", 4): [decided()]},
        ),
        routed,
        [("routed", "rule", "assigned", 3), ("stored", "message", "stored", 3)],
    ),
    "a further message that moves nothing": (
        Records(
            entries=[entry()],
            told=[told("message.stored", 1, message="msg_1", list="bot_hosted")],
        ),
        routed,
        [("routed", "stays", "bot_hosted", 3), ("stored", "message", "stored", 3)],
    ),
    "a duplicate": (
        Records(
            entries=[entry()],
            arrivals=[arrival(), arrival(sequence=9, at=at(8))],
            told=[told("message.stored", 1, message="msg_1", list="ended")],
        ),
        routed,
        [
            ("routed", "stays", "ended", 3),
            ("stored", "message", "stored", 3),
            ("routed", "duplicate", "not_stored_again", 8),
        ],
    ),
    "quarantined": (
        Records(
            entries=[
                entry(
                    session="",
                    kind="event",
                    event=Unparsed(
                        event_id="e1",
                        visitor="",
                        occurred_at=T0,
                        reason="malformed_item",
                        raw="secret words",
                    ),
                )
            ],
            arrivals=[arrival()],
        ),
        routed,
        [("routed", "quarantined", "malformed_item", 2), ("stored", "event", "stored", 2)],
    ),
    "given up by the router": (
        Records(arrivals=[arrival()], letters=[letter()]),
        lambda records: [*routed(records), *letters_of(records)],
        [
            ("routed", "given_up", "on_dead", 2),
            ("buried", "malformed_payload", "on_dead", 9),
        ],
    ),
    "missed by the ledger": (
        Records(arrivals=[arrival()], missed=[MISSED]),
        lambda records: [*routed(records), *missed_of(records)],
        [("routed", "missing", "nowhere", 2), ("missed", "missing", "nowhere", 60)],
    ),
    "still under way": (
        Records(arrivals=[arrival()]),
        routed,
        [("routed", "none", "waiting", 2)],
    ),
    "counted, and nothing is stored of it": (
        Records(arrivals=[arrival(passed=True)]),
        routed,
        [("routed", "none", "not_stored", 2)],
    ),
    "a send that failed": (
        failed(),
        replies_of,
        [
            ("queued", "bot", "queued", 1),
            ("sending", "send", "failed", 5),
            ("failed", "sender", "failed", 6),
        ],
    ),
    "a send of which no report is kept, read by a watermark": (
        Records(
            entries=[ours(status="sent", status_at=at(6))],
            sessions={
                "s": Session(
                    id="s",
                    workspace="w",
                    account="a",
                    channel="line",
                    visitor="v",
                    contact="c",
                    list="assigned",
                    open_key=None,
                    created_at=T0,
                    updated_at=T0,
                    read_up_to=at(9),
                )
            },
        ),
        replies_of,
        [
            ("queued", "bot", "queued", 1),
            ("sent", "sender", "sent", 6),
            ("read", "provider", "read", 9),
        ],
    ),
    "a receipt in whole seconds of the provider's, by the time that it came": (
        Records(
            entries=[ours(status="delivered", status_at=at(0))],
            reports={
                "msg_2": [
                    entry(
                        id="msg_9",
                        kind="event",
                        direction=None,
                        occurred_at=at(0),
                        received_at=at(7),
                        event=DeliveryReported(
                            event_id="r", visitor="v", occurred_at=at(0), status="delivered"
                        ),
                    )
                ]
            },
        ),
        replies_of,
        [("queued", "bot", "queued", 1), ("delivered", "provider", "delivered", 7)],
    ),
    "alerts of it, until they are cleared": (
        Records(
            windows=[WINDOW],
            alerts=[alert("raised", 1), alert("cleared", 30, because="answered")],
        ),
        alerts_of,
        [("alert", "raised", "told", 1.5), ("alert", "cleared", "answered", 30.5)],
    ),
    "alerts of another message": (
        Records(windows=[WINDOW], alerts=[alert("raised", 20), alert("cleared", 21)]),
        alerts_of,
        [],
    ),
    "an alert that the storm breaker held": (
        Records(
            windows=[WINDOW],
            attention={"s": Attention(id="s", workspace="w", watches=(WATCH,), updated_at=T0)},
        ),
        alerts_of,
        [("alert", "raised", "held", 2)],
    ),
}


@pytest.mark.parametrize(("records", "make", "hops"), CASES.values(), ids=CASES)
def test_d01_each_hop_has_its_time_decision_and_outcome(
    records: Records, make: Make, hops: list[tuple[str, str, str, float]]
) -> None:
    found: tuple[Step, ...] = in_order(make(records))
    assert [(one.hop, one.decision, one.outcome, one.at) for one in found] == [
        (hop, decision, outcome, at(seconds)) for hop, decision, outcome, seconds in hops
    ]
    assert b"secret words" not in msgspec.json.encode(found)


def test_d01_a_failed_send_says_its_code_and_its_tries() -> None:
    steps = {one.hop: one for one in replies_of(failed())}
    assert steps["queued"].actor == "bot:bot_1"
    assert steps["sending"].facts["tries"] == "3"
    assert steps["failed"].facts == {"reason": "window_closed", "code": "131047"}


async def test_d01_i12_what_is_dead_or_missed_is_found_in_its_own_workspace_alone(
    world: World,
) -> None:
    event, lost = f"evt-{new_ingest_id()}", f"evt-{new_ingest_id()}"
    slug = world.slug("line")
    body = {"workspace": world.workspace, "account": slug, "event": {"event_id": event}}
    await world.bus.publish(
        dead("router", f"in.3.{world.workspace}.line.{slug}"),
        msgspec.json.encode(body | {"text": "secret words"}),
        msg_id=event,
        headers={"Relaydesk-Reason": "bug", "Relaydesk-Stream": "INBOUND"},
    )
    missed = msgspec.structs.replace(MISSED, workspace=world.workspace, event=lost)
    ledger = LedgerDocument(id="INBOUND", workspace="_system", missing=(missed,))
    await world.store.insert(LEDGERS, ledger)
    try:
        for id_, hop in ((event, ("buried", "bug")), (lost, ("missed", "missing"))):
            found = await world.get(f"/trace/{id_}")
            assert [(one["hop"], one["decision"]) for one in found["journey"]] == [hop]
            assert "secret" not in str(found)
            foreign = await world.call("GET", f"/trace/{id_}", "zoe")
            random = await world.call("GET", f"/trace/evt-{new_ingest_id()}", "zoe")
            assert (foreign.status, foreign.body) == (404, random.body)
    finally:
        await world.store.delete(LEDGERS, "_system", "INBOUND")


async def test_d01_the_answer_is_shown_with_its_question_and_the_question_with_its_answer(
    world: World,
) -> None:
    session, ingest_id = await arrived(world)
    sent = (await world.send(session.id, "secret answer")).json
    assert session.last_message is not None
    question = session.last_message.id
    for wanted in (ingest_id, question, sent["id"]):
        found = await world.get(f"/trace/{wanted}")
        about = {one["message"] for one in found["journey"]}
        assert {question, sent["id"]} <= about, wanted
        assert len(found["entries"]) == 1
        assert {"ingest", "route", "store", "reply"} == {one["kind"] for one in found["journey"]}
        assert "secret" not in str(found)
        assert "hello" not in {str(value) for one in found["journey"] for value in one.values()}
