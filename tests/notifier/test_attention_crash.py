"""Two replicas at one session, and one that dies between its steps: told once, and never late."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from libs.common import subjects
from libs.common.alerts import ATTENTION, Alert, Attention
from libs.common.bus.client import Bus
from libs.common.bus.delivery import Ack, Delivery, PubAck, StoredMessage
from libs.common.documents import MESSAGES, Message, Session
from libs.common.errors import BusUnavailableError
from libs.common.events import Fact, TextPart, Timer
from libs.common.policy import Policy
from libs.common.preferences import Watched
from libs.common.presence import Presences
from libs.common.subjects import TIMERS
from libs.common.switches import Alerting, Settings
from services.notifier.attention_store import Place, Record
from services.notifier.attention_sweep import Sweep
from services.notifier.attention_worker import Engine, Known, place_of
from tests.notifier.attention_rig import MEMBERS, Desk, ago, now, open_desk

POLICY = Policy(settings=Settings(alerts=Alerting(escalation=(), window_s=30)), members=MEMBERS)


class Cut:
    """The bus of a process that dies before it has told what it wrote."""

    def __init__(self, bus: Bus, stream: str) -> None:
        self._bus = bus
        self._stream = stream

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PubAck]:
        if not subject.startswith(self._stream):
            return self._bus.publish_soon(subject, data, msg_id=msg_id, headers=headers)
        refused: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
        refused.set_exception(BusUnavailableError("dead by then"))
        return refused

    async def read(self, *asked: Any, **more: Any) -> list[StoredMessage]:
        return await self._bus.read(*asked, **more)


class Counting(Cut):
    """A bus that counts the alerts that are published, those that the stream drops included."""

    def __init__(self, bus: Bus) -> None:
        super().__init__(bus, "nothing")
        self.alerts = 0

    def publish_soon(
        self, subject: str, data: bytes, *, msg_id: str, headers: Mapping[str, str] | None = None
    ) -> asyncio.Future[PubAck]:
        self.alerts += subject.startswith("alert.")
        return super().publish_soon(subject, data, msg_id=msg_id, headers=headers)


def engine_of(desk: Desk, bus: Bus | Cut | None = None) -> Engine:
    known = Known(lambda _workspace: POLICY, Watched(), Presences())
    return Engine(desk.store, Record(desk.store, bus or desk.bus, now), known, now)


def delivered(fact: Fact) -> Delivery:
    return Delivery(
        subject=subjects.fact(fact.workspace, fact.type, fact.session),
        data=msgspec.json.encode(fact),
        headers={},
        sequence=1,
        attempt=1,
        partition=0,
        pending=0,
        reply="",
    )


@pytest_asyncio.fixture
async def desk(nats_url: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(nats_url, tmp_path) as made:
        yield made


async def raised(desk: Desk) -> Counter[str]:
    return Counter(a.id for a in await desk.alerts("browser") if a.kind == "raised")


def one(desk: Desk) -> str:
    """Return the id of a session that is of this workspace alone."""
    return f"one-{desk.workspace}"


def each(desk: Desk) -> dict[str, int]:
    """Return one alert of that session for each agent."""
    return {f"{one(desk)}:1:{agent}": 1 for agent in ("ada", "bob", "cleo")}


def untouched(_session: Session) -> None:
    """Change nothing."""


async def test_c03_what_was_written_and_not_told_is_told_by_the_repeat(desk: Desk) -> None:
    await desk.opens(one(desk))
    [fact] = await desk.writes(one(desk))
    with pytest.raises(BusUnavailableError):
        await engine_of(desk, Cut(desk.bus, "alert.")).handle(delivered(fact))
    assert await raised(desk) == {}
    written = await desk.attention(one(desk))
    for _ in range(2):  # and once more, by a third
        assert await engine_of(desk).handle(delivered(fact)) == Ack()
    assert await raised(desk) == each(desk)
    assert await desk.attention(one(desk)) == written


async def test_c03_or_by_whoever_writes_next(desk: Desk) -> None:
    await desk.opens(one(desk))
    [fact] = await desk.writes(one(desk))
    with pytest.raises(BusUnavailableError):
        await engine_of(desk, Cut(desk.bus, "alert.")).handle(delivered(fact))
    session = await desk.changes(one(desk), untouched)
    notice = desk.fact(session, "session.notice", actor="system", notify=("bob",))
    await engine_of(desk).handle(delivered(notice))
    assert await raised(desk) == each(desk)
    await engine_of(desk).handle(delivered(fact))
    assert await raised(desk) == each(desk)


async def test_c03_also_when_the_stream_would_not_know_a_repeat_any_more(desk: Desk) -> None:
    await desk.opens(one(desk))
    [fact] = await desk.writes(one(desk))
    with pytest.raises(BusUnavailableError):
        await engine_of(desk, Cut(desk.bus, "alert.")).handle(delivered(fact))
    published: list[int] = []
    for minutes in (10, 12):
        await ages(desk, minutes)
        bus = Counting(desk.bus)
        session = await desk.changes(one(desk), untouched)
        mention = desk.fact(session, "session.mention", actor="agent:ada", notify=("bob",))
        await engine_of(desk, bus).handle(delivered(mention))
        published.append(bus.alerts)
        assert await raised(desk) >= Counter(each(desk))
    assert (await raised(desk))[f"{one(desk)}:1:ada"] == 1
    assert published[0] > len(each(desk)) > published[1], "what was told is not told anew"


async def ages(desk: Desk, minutes: int) -> None:
    """Let the document be as old as that."""
    found = await desk.attention(one(desk))
    assert found is not None
    before = found.updated_at - timedelta(minutes=minutes)
    await desk.store.replace(ATTENTION, msgspec.structs.replace(found, updated_at=before))


async def test_c03_one_whose_timer_could_not_be_armed_has_written_nothing(desk: Desk) -> None:
    await desk.opens(one(desk))
    [fact] = await desk.writes(one(desk))
    with pytest.raises(BusUnavailableError):
        await engine_of(desk, Cut(desk.bus, "timer.")).handle(delivered(fact))
    assert await desk.attention(one(desk)) is None
    await engine_of(desk).handle(delivered(fact))
    assert await raised(desk) == each(desk)


async def test_c03_replicas_that_meet_at_one_session_alert_each_agent_once(desk: Desk) -> None:
    await desk.opens(one(desk))
    facts = await desk.writes(one(desk), 20)
    engines = [engine_of(desk) for _ in range(4)]
    told = [engine.handle(delivered(fact)) for fact in facts for engine in engines]
    assert set(map(type, await asyncio.gather(*told))) == {Ack}
    assert await raised(desk) == each(desk)


async def test_what_is_armed_is_never_later_than_what_is_written(desk: Desk) -> None:
    """Replicas arm at the same time; who loses the race must not have the last word."""
    names = [f"{one(desk)}-{n}" for n in range(10)]
    engines = [engine_of(desk) for _ in range(3)]
    for name in names:
        await desk.opens(name)
        facts = await desk.writes(name, 3)
        session = await desk.changes(name, untouched)
        facts.append(desk.fact(session, "session.mention", actor="agent:x", notify=("bob",)))
        await asyncio.gather(
            *(engines[n % 3].handle(delivered(fact)) for n, fact in enumerate(facts))
        )
        written = await desk.attention(name)
        newest = await desk.bus.newest(TIMERS, subjects.timer("attention", name))
        assert newest is not None
        assert written is not None
        assert written.due_at is not None
        armed = msgspec.json.decode(newest, type=Timer)
        assert armed.due <= written.due_at
        assert (armed.kind, armed.session) == ("attention", name)


async def test_a_timer_without_its_document_does_nothing(desk: Desk) -> None:
    await engine_of(desk).look(Place(desk.workspace, "nothing"))
    assert await desk.attention("nothing") is None


async def test_a_fact_that_cannot_be_dealt_with_costs_its_neighbours_nothing(desk: Desk) -> None:
    """The document of a newer version cannot be read; that of others can."""
    await desk.opens(one(desk))
    [good] = await desk.writes(one(desk))
    bad = desk.fact(await desk.changes(one(desk), untouched), "message.status")
    bad = msgspec.structs.replace(bad, status="failed", message="m" * 5, workspace="not/a/name")
    engine = engine_of(desk)
    told = await asyncio.gather(
        engine.handle(delivered(bad)), engine.handle(delivered(good)), return_exceptions=True
    )
    assert isinstance(told[0], ValueError)
    assert told[1] == Ack()
    assert await raised(desk) == each(desk)


def total(name: str, **labels: str) -> float:
    return sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


async def test_i15_what_is_raised_adds_up_to_what_is_published(desk: Desk) -> None:
    names = ("relaydesk_alerts_raised_total", "relaydesk_alerts_published_total")
    before = [total(names[0], sink="browser"), total(names[1], sink="browser", kind="raised")]
    facts_before = total("relaydesk_alerts_facts_total")
    engines = [engine_of(desk), engine_of(desk)]
    facts = []
    for name in (f"{one(desk)}-{n}" for n in range(3)):
        await desk.opens(name)
        facts += await desk.writes(name, 4)
    await asyncio.gather(*(engine.handle(delivered(fact)) for fact in facts for engine in engines))
    after = [total(names[0], sink="browser"), total(names[1], sink="browser", kind="raised")]
    assert [now - was for now, was in zip(after, before, strict=True)] == [9, 9]
    assert total("relaydesk_alerts_facts_total") - facts_before == 24


async def test_what_has_lost_its_timer_is_looked_at_by_the_sweep(desk: Desk) -> None:
    await desk.opens(one(desk))
    [fact] = await desk.writes(one(desk))
    engine = engine_of(desk)
    await engine.handle(delivered(fact))
    found = await desk.attention(one(desk))
    assert found is not None
    assert found.due_at is not None
    watches = tuple(
        msgspec.structs.replace(watch, since=ago(3600), last=ago(3600), email_at=ago(600))
        for watch in found.watches
    )
    late = msgspec.structs.replace(found, watches=watches, due_at=ago(600), outbox=())
    await desk.store.replace(ATTENTION, late)
    await desk.changes(one(desk), heard_long_ago)
    await sweep_of(desk, engine).sweep(desk.workspace)
    assert len(await desk.alerts("email")) == len(watches)


def heard_long_ago(session: Session) -> None:
    session.heard_at = ago(3600)


def sweep_of(desk: Desk, engine: Engine) -> Sweep:
    return Sweep(desk.store, lambda: [desk.workspace], engine.look, now)


async def test_no_workspace_takes_anothers_alert_of_the_same_job_for_its_own(desk: Desk) -> None:
    bus = Counting(desk.bus)
    record = Record(desk.store, bus, now)
    places = set()
    for workspace in (desk.workspace, f"other-{desk.workspace}"):
        about: dict[str, Any] = {"workspace": workspace, "session": "imp_1", "at": now()}
        places.add(place_of(Fact(fact_id="import:1", type="import.finished", **about)).id)
        soon = now() + timedelta(minutes=1)
        alert = Alert(
            id=f"{workspace}:a", agent="ada", trigger="import.finished", expires_at=soon, **about
        )
        told: Any = (("browser", alert),)
        await record.tell(
            Attention(id="same", workspace=workspace, updated_at=now(), outbox=told, rev=1)
        )
    assert (len(places), bus.alerts) == (2, 2)


FORGOTTEN: dict[str, tuple[str, dict[str, Any], float, bool]] = {
    "of a session that has ended": ("over", {"list": "ended"}, 9, True),
    "of a session that is no more": ("gone", {}, 9, True),
    "of no session": ("att_1", {}, 9, True),
    "not of one that ended a week ago: that can be undone": ("late", {"list": "ended"}, 7, False),
    "not of one that is open": ("open", {"list": "unassigned"}, 9, False),
}


@pytest.mark.parametrize(("name", "session", "days", "goes"), FORGOTTEN.values(), ids=FORGOTTEN)
async def test_what_is_long_over_is_forgotten(
    desk: Desk, name: str, session: dict[str, Any], days: float, goes: bool
) -> None:
    if session:
        await desk.opens(name, **session)
    at = now() - timedelta(days=days)
    doc = Attention(id=name, workspace=desk.workspace, updated_at=at)
    await desk.store.insert(ATTENTION, doc)
    await sweep_of(desk, engine_of(desk)).sweep(desk.workspace)
    assert (await desk.attention(name) is None) is goes


async def test_sessions_that_ended_long_ago_are_not_counted_as_handled(desk: Desk) -> None:
    def handled() -> float:
        return REGISTRY.get_sample_value("relaydesk_alerts_sessions_handled_total") or 0.0

    def ended(at: timedelta) -> Delivery:
        fact_id = f"{one(desk)}:{at}"
        return delivered(
            Fact(
                fact_id=fact_id,
                type="session.ended",
                workspace=desk.workspace,
                session=one(desk),
                at=now() - at,
            )
        )

    engine = engine_of(desk)
    before = handled()
    for age in (timedelta(days=6), timedelta(days=2), timedelta(seconds=1)):
        assert await engine.handle(ended(age)) == Ack()
    assert handled() == before + 1


async def test_a_mention_is_told_with_the_note_that_is_stored(desk: Desk) -> None:
    session = await desk.opens(one(desk), inbound=1)
    entry = Message(
        id="n1",
        workspace=desk.workspace,
        account="line-1",
        key="n1",
        session=session.id,
        visitor=session.visitor,
        kind="note",
        occurred_at=now(),
        received_at=now(),
        sender="agent",
        sender_id="ada",
        sender_name="Ada",
        parts=(TextPart(text="Bob: look"),),
    )
    await desk.store.insert(MESSAGES, entry)
    fact = desk.fact(
        session, "session.mention", actor="agent:ada", notify=("bob",), message=entry.id
    )
    await engine_of(desk).handle(delivered(fact))
    [alert] = await desk.alerts("browser")
    assert (alert.agent, alert.excerpt) == ("bob", "Ada: Bob: look")
