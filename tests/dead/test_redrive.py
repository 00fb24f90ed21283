"""Redrive: what any service gave up comes back to it alone, once, and leaves DEAD only then."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import pytest

from libs.common.bus.client import Bus
from libs.common.bus.consume import consume_batches, consume_lanes
from libs.common.bus.delivery import Ack, Bury, Delivery, Outcome, Retry, StoredMessage
from libs.common.bus.options import Options
from libs.common.bus.shared import consume_shared
from libs.common.dead.letter import Chosen, Letter, fits, letter_of, publication
from libs.common.dead.redrive import letter_at, letters, redrive
from libs.common.errors import PermanentError
from libs.common.subjects import (
    ALERTS,
    DEAD,
    EVENTS,
    INBOUND,
    OUTBOUND,
    TIMERS,
    Stream,
    dues,
)
from tests.bus.kit import eventually

BODY = msgspec.json.encode({"workspace": "acme", "account": "acme-line", "text": "hello"})


class Reader(NamedTuple):
    """A consumer of a service: its engine, stream, durable, what it takes, and one subject."""

    engine: str
    stream: Stream
    durable: str
    service: str
    filter: str
    subject: str


READERS = {
    "router: an event": Reader(
        "batches", INBOUND, "router", "router", "", "in.3.acme.line.acme-line"
    ),
    "sender: a message to send": Reader(
        "lanes", OUTBOUND, "sender", "notifier", "", "out.3.acme-line.ses_1"
    ),
    "media: a fact with a file": Reader(
        "batches", EVENTS, "media", "notifier", "ev.*.message.stored.*", "ev.acme.message.stored.s"
    ),
    "bots: a question": Reader(
        "lanes", EVENTS, "bots", "notifier", "ev.*.bot.asked.*", "ev.acme.bot.asked.ses_1"
    ),
    "attention: a fact": Reader(
        "shared", EVENTS, "attention", "notifier", "ev.>", "ev.acme.session.moved.ses_1"
    ),
    "webhooks out: a fact": Reader(
        "shared", EVENTS, "hooks", "notifier", "ev.>", "ev.acme.session.ended.ses_1"
    ),
    "e-mail: an alert": Reader(
        "shared", ALERTS, "sink-email", "notifier", "alert.email.*.*", "alert.email.acme.amy"
    ),
    "push: an alert": Reader(
        "shared", ALERTS, "sink-push", "notifier", "alert.push.*.*", "alert.push.acme.amy"
    ),
    "scheduler: a fired timer": Reader(
        "shared",
        TIMERS,
        "scheduler-silent_owner",
        "scheduler",
        dues("silent_owner"),
        "due.3.silent_owner.ses_1",
    ),
    "scheduler: an outcome": Reader(
        "lanes",
        EVENTS,
        "outcomes",
        "scheduler",
        "ev.*.message.status.*",
        "ev.acme.message.status.s",
    ),
}


class Hand:
    """A handler that gives up all it gets, until the cause is gone."""

    def __init__(self, outcome: Outcome | None = None) -> None:
        self.outcome = outcome or Bury("malformed", "it says nothing")
        self.taken: list[Delivery] = []

    async def one(self, delivery: Delivery) -> Outcome:
        self.taken.append(delivery)
        return self.outcome

    async def many(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        return [await self.one(delivery) for delivery in deliveries]


@asynccontextmanager
async def consuming(bus: Bus, reader: Reader, hand: Hand) -> AsyncIterator[None]:
    """Run the consumer, as its service does, in the block."""
    stop = asyncio.Event()
    filters = (reader.filter,) if reader.filter else None
    options = Options(filters=filters, backoff=lambda _: 0.01)
    where: dict[str, Any] = {"stop": stop, "service": reader.service, "options": options}
    running: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
        "batches": lambda: consume_batches(bus, reader.stream, reader.durable, hand.many, **where),
        "lanes": lambda: consume_lanes(
            bus, reader.stream, reader.durable, hand.one, lane=lambda d: d.subject, **where
        ),
        "shared": lambda: consume_shared(
            bus, reader.stream, reader.durable, hand.one, subject=reader.filter, at_once=4, **where
        ),
    }
    task = asyncio.create_task(running[reader.engine]())
    try:
        yield
    finally:
        stop.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait_for(task, 15)


async def on_dead(bus: Bus) -> list[Letter]:
    return [letter async for letter in letters(bus, Chosen())]


async def until_dead(bus: Bus, count: int) -> list[Letter]:
    async with asyncio.timeout(30):
        while len(found := await on_dead(bus)) < count:  # noqa: ASYNC110 (another process tells)
            await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
async def test_i10_what_a_service_gave_up_comes_back_to_it_alone_and_once(
    bus: Bus, reader: Reader
) -> None:
    """Its neighbour on the same stream, which had the message, does not get it again."""
    hand, beside = Hand(), Hand(Ack())
    neighbour = reader._replace(durable=f"{reader.durable}-beside")
    async with consuming(bus, reader, hand), consuming(bus, neighbour, beside):
        await bus.publish(reader.subject, BODY, msg_id="m1", headers={"ce-type": "t"})
        [letter] = await until_dead(bus, 1)
        assert (letter.service, letter.consumer) == (reader.service, reader.durable)
        assert (letter.reason, letter.workspace) == ("malformed", "acme")
        await eventually(lambda: len(beside.taken) == 1)
        hand.outcome = Ack()
        told = await redrive(bus, letter)
        assert (told.done, told.subject) == ("redriven", reader.subject)
        await eventually(lambda: len(hand.taken) == 2)
        back = hand.taken[-1]
        assert (back.data, back.headers["ce-type"]) == (BODY, "t")
        again = await redrive(bus, letter)
        assert (again.done, again.sequence) == ("repeated", told.sequence)
        await bus.publish(reader.subject, b"the next", msg_id="m2")
        await eventually(lambda: len(hand.taken) == 3 and len(beside.taken) == 2)
    assert await on_dead(bus) == []
    assert [each.data for each in beside.taken] == [BODY, b"the next"]


async def test_i10_two_who_give_up_the_same_message_bury_it_each(bus: Bus) -> None:
    first, second = READERS["attention: a fact"], READERS["webhooks out: a fact"]
    async with consuming(bus, first, Hand()), consuming(bus, second, Hand()):
        await bus.publish("ev.acme.session.ended.ses_1", BODY, msg_id="m1")
        found = await until_dead(bus, 2)
    assert {letter.consumer for letter in found} == {"attention", "hooks"}


async def test_i10_a_race_of_two_redrives_has_one_effect(bus: Bus) -> None:
    reader, hand = READERS["router: an event"], Hand()
    async with consuming(bus, reader, hand):
        await bus.publish(reader.subject, BODY, msg_id="m1")
        [letter] = await until_dead(bus, 1)
        hand.outcome = Ack()
        told = await asyncio.gather(*(redrive(bus, letter) for _ in range(8)))
        assert sorted(one.done for one in told) == ["redriven", *["repeated"] * 7]
        await bus.publish(reader.subject, b"the next", msg_id="m2")
        await eventually(lambda: len(hand.taken) == 3)
    assert [each.data for each in hand.taken] == [BODY, BODY, b"the next"]


async def test_i10_what_fails_again_is_dead_again_and_counted(bus: Bus) -> None:
    reader, hand = READERS["router: an event"], Hand(Retry("bug", 0.0))
    async with consuming(bus, reader, hand):
        await bus.publish(reader.subject, BODY, msg_id="m1")
        [letter] = await until_dead(bus, 1)
        assert (letter.tries, letter.redrives) == (5, 0)
        await redrive(bus, letter)
        await eventually(lambda: len(hand.taken) == 10)
        [again] = await until_dead(bus, 1)
    assert (again.tries, again.redrives, again.message.data) == (5, 1, BODY)
    assert again.sequence > letter.sequence


async def test_i10_what_nobody_would_take_stays_on_dead(bus: Bus) -> None:
    """Its consumer is gone, as after an upgrade; the others would let it pass, unseen."""
    reader = READERS["webhooks out: a fact"]
    async with consuming(bus, reader, Hand()):
        await bus.publish(reader.subject, BODY, msg_id="m1")
        [letter] = await until_dead(bus, 1)
    await bus.asker.api(f"CONSUMER.DELETE.{reader.stream.name}.{reader.durable}-0")
    before = await bus.end_of(reader.stream)
    told = await redrive(bus, letter)
    assert (told.done, "no consumer hooks" in told.why) == ("kept", True)
    assert (await on_dead(bus), await bus.end_of(reader.stream)) == ([letter], before)


async def test_i10_a_dry_run_changes_nothing(bus: Bus) -> None:
    reader = READERS["router: an event"]
    async with consuming(bus, reader, Hand()):
        await bus.publish(reader.subject, BODY, msg_id="m1")
        [letter] = await until_dead(bus, 1)
    before = await bus.end_of(INBOUND)
    assert (await redrive(bus, letter, dry_run=True)).done == "would be redriven"
    assert (await on_dead(bus), await bus.end_of(INBOUND)) == ([letter], before)


async def test_i10_a_body_too_large_for_dead_comes_from_its_own_stream(bus: Bus) -> None:
    """Where it is gone from there as well, that is said, and the letter stays."""
    reader, hand = READERS["router: an event"], Hand()
    large = b"x" * (bus.connection.max_payload - 60)
    async with consuming(bus, reader, hand):
        await bus.publish(reader.subject, large, msg_id="m1")
        await bus.publish(reader.subject, large[:-1], msg_id="m2")
        first, second = await until_dead(bus, 2)
        assert (first.truncated, first.message.data) == (len(large), b"")
        await bus.remove(INBOUND, second.source)
        hand.outcome = Ack()
        done = [(await redrive(bus, one)).done for one in (first, second)]
    assert done[1] == "kept"
    assert [letter.sequence for letter in await on_dead(bus)][-1] == second.sequence


ODD = {
    "without a stream": {"Relaydesk-Subject": "in.3.acme.line.a"},
    "of a stream that is none of ours": {
        "Relaydesk-Stream": "OTHER",
        "Relaydesk-Subject": "in.3.acme.line.a",
    },
    "with a subject of another stream": {
        "Relaydesk-Stream": "INBOUND",
        "Relaydesk-Subject": "out.3.a.s",
    },
    "without anything": {},
}


@pytest.mark.parametrize("headers", ODD.values(), ids=ODD)
async def test_a_letter_that_names_no_place_is_kept_and_says_why(
    bus: Bus, headers: dict[str, str]
) -> None:
    ack = await bus.publish("dead.router.x", b"{", msg_id="odd", headers=headers)
    letter = await letter_at(bus, ack.sequence)
    assert letter is not None
    told = await redrive(bus, letter)
    assert (told.done, "cannot be brought back" in told.why) == ("kept", True)
    assert await on_dead(bus) == [letter]


def test_a_redrive_takes_off_what_the_burial_put_on() -> None:
    message = StoredMessage(
        subject="dead.scheduler.due.3.snooze.ses_1",
        sequence=7,
        data=b"{}",
        headers={
            "Relaydesk-Stream": "TIMERS",
            "Relaydesk-Subject": "due.3.snooze.ses_1",
            "Relaydesk-Consumer": "scheduler-snooze",
            "Relaydesk-Reason": "bug",
            "Relaydesk-Detail": "d",
            "Relaydesk-Redrives": "2",
            "traceparent": "00-1",
            "Nats-Expected-Stream": "DEAD",
        },
        stored_at_ns=99,
    )
    made = publication(letter_of(message), b"{}")
    assert dict(made.headers) == {
        "traceparent": "00-1",
        "Relaydesk-Redrives": "3",
        "Relaydesk-For": "scheduler-snooze",
        "Nats-TTL": "24h",
    }
    assert (made.subject, made.msg_id) == ("due.3.snooze.ses_1", "redrive:7:99")


def test_a_letter_of_an_older_version_comes_back_to_all_of_its_stream() -> None:
    headers = {"Relaydesk-Stream": "EVENTS", "Relaydesk-Subject": "ev.acme.session.ended.s"}
    message = StoredMessage(
        subject="dead.notifier.x", sequence=1, data=b"", headers=headers, stored_at_ns=1
    )
    assert dict(publication(letter_of(message), b"").headers) == {"Relaydesk-Redrives": "1"}
    with pytest.raises(PermanentError):
        publication(letter_of(msgspec.structs.replace(message, headers={})), b"")


@pytest.mark.parametrize(
    ("pattern", "subject", "is_so"),
    [
        ("in.*.*", "in.1.a", True),
        ("in.*.*", "in.1", False),
        ("ev.>", "ev.a.b.c", True),
        ("ev.>", "ev", False),
        ("ev.>", "out.a", False),
        ("due.*.*.*", "due.1.k.s", True),
        ("timer.>", "timer.x", True),
    ],
)
def test_subjects_fit_patterns(pattern: str, subject: str, *, is_so: bool) -> None:
    assert fits(pattern, subject) is is_so


async def test_letters_are_chosen_by_each_filter(bus: Bus) -> None:
    for number, (service, reason, account) in enumerate(
        [("router", "malformed", "a"), ("router", "bug", "b"), ("notifier", "bug", "a")]
    ):
        headers = {
            "Relaydesk-Reason": reason,
            "Relaydesk-Subject": f"in.1.ws{number}.line.{account}",
        }
        await bus.publish(f"dead.{service}.x", b"{}", msg_id=str(number), headers=headers)
    found = await on_dead(bus)

    async def chosen(**by: Any) -> list[int]:
        return [one.sequence - found[0].sequence async for one in letters(bus, Chosen(**by))]

    assert await chosen(service="router") == [0, 1]
    assert await chosen(reason="bug") == [1, 2]
    assert await chosen(reason="bug", service="notifier") == [2]
    assert await chosen(account="a") == [0, 2]
    assert await chosen(workspace="ws1") == [1]
    assert await chosen(since=datetime(2100, 1, 1, tzinfo=UTC)) == []
    assert await chosen(sequences=frozenset({found[1].sequence})) == [1]
    assert await bus.bounds_of(DEAD) == (1, 3)
