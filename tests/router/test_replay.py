"""Replay: what the streams say of sessions comes back as it was, and nobody hears of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import cast

import msgspec
import pytest

from libs.common.documents import CONTACTS, IDENTITIES, MESSAGES, SESSIONS
from libs.common.errors import NotFoundError, PermanentError, StaleRevisionError
from libs.common.events import (
    ContactChanged,
    DeliveryReported,
    Fact,
    MessageDeleted,
    MessageEchoed,
    MessageEdited,
    Profile,
    ReactionChanged,
    SendReported,
    TextPart,
)
from libs.common.subjects import EVENTS, INBOUND
from services.router.batch import Batch
from services.router.entry import Arrival
from services.router.replay import Replayer, _apply
from services.router.replay_source import Wanted
from tests.nats_server import NatsProcess
from tests.router.replayed import Replayed, differences, replayed_on
from tests.router.rig import ACCOUNT, WORKSPACE, Rig, arrived, at, event, said


@pytest.fixture
async def site(rig: Rig, nats_process: NatsProcess) -> AsyncIterator[Replayed]:
    async with replayed_on(rig, nats_process.url) as made:
        yield made


@pytest.fixture
async def site_of_each(rig_of_each: Rig, nats_process: NatsProcess) -> AsyncIterator[Replayed]:
    async with replayed_on(rig_of_each, nats_process.url) as made:
        yield made


async def live(site: Replayed) -> str:
    """Play a day at the desk: visitors, agents, notes, receipts, ends; return a session."""
    rig = site.rig
    await site.take(event(ContactChanged, "f1", 0, visitor="U3", change="follow"))
    await site.take(said("hello", 1), said("are you there?", 2), said("hi", 2, visitor="U2"))
    await site.take(said("a third", 3))
    first = next(one for one in await rig.sessions() if one.visitor == "U1")
    rig.now = at(70)
    await rig.done(rig.open(first.id, "amy"))
    answer = await rig.done(rig.send(first.id, "amy", "yes, how can I help?"))
    sent = answer.message
    assert sent is not None
    await site.take(
        event(
            SendReported,
            "r1",
            71,
            message_id=sent.id,
            status="sent",
            provider_ids=("p1",),
        ),
        said("my parcel", 72),
    )
    rig.now = at(80)
    await rig.done(rig.note(first.id, "amy", "a regular"))
    await rig.done(rig.assign(first.id, "amy", "amy", "bob"))
    await site.take(
        event(DeliveryReported, "d1", 81, status="read", targets=("p1",)),
        event(
            MessageEdited, "x1", 82, target="m-my parcel", parts=(TextPart(text="my 2 parcels"),)
        ),
        event(ReactionChanged, "x2", 83, target="m-hello", emoji="👍"),
        said("thanks", 84),
        event(MessageDeleted, "x3", 85, target="m-thanks"),
    )
    await site.take(
        event(MessageEchoed, "x4", 86, message_id="o1", parts=(TextPart(text="from the app"),))
    )
    await rig.done(rig.read(first.id, "amy"))
    rig.now = at(90)
    await rig.done(rig.end(first.id, "amy", confirmed=True))
    await site.take(said("me again", 100), said("and the third", 101, visitor="U3"))
    second = next(one for one in await rig.sessions() if one.visitor == "U2")
    await rig.done(rig.bot(second.id, "amy", on=False))
    await site.take(said("hm", 110, visitor="U2", profile=Profile(name="Val")))
    return first.id


async def test_d06_dropped_sessions_come_back_equal(site_of_each: Replayed) -> None:
    """All of it: also agents' replies, notes, assignments, reads, ends, and people."""
    site = site_of_each
    await live(site)
    before, ends = await site.documents(), await site.ends()
    await site.drop(SESSIONS, MESSAGES, CONTACTS, IDENTITIES)
    found = await site.replay()
    assert differences(before, await site.documents()) == []
    assert (found.restored, found.repaired) == (4, 0)
    assert await site.ends() == ends, "something was published"


async def test_d06_revisions_go_on_behind_what_was_told(site: Replayed) -> None:
    """Facts' ids are made of them: one that came again would be taken for known."""
    id_ = await live(site)
    before = await site.documents()
    await site.drop(SESSIONS)
    await site.replay()
    after = await site.documents()
    told = {f.rev for f in await _facts(site, id_)}
    assert after["sessions"][id_]["rev"] >= max(told)
    await site.rig.done(site.rig.note(id_, "amy", "after the replay"))
    new = {f.fact_id for f in await _facts(site, id_)}
    assert len(new) > len(told)
    assert differences(before, after) == []


LOST = {
    "sessions": (SESSIONS,),
    "messages": (MESSAGES,),
    "sessions and messages": (SESSIONS, MESSAGES),
    "people": (CONTACTS, IDENTITIES),
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
async def test_d06_what_is_lost_alone_comes_back_alone(
    site: Replayed, lost: tuple[object, ...]
) -> None:
    await live(site)
    before = await site.documents()
    await site.drop(*lost)  # type: ignore[arg-type]
    await site.replay()
    assert differences(before, await site.documents()) == []


async def test_d06_a_replay_of_a_whole_store_changes_nothing(site_of_each: Replayed) -> None:
    site = site_of_each
    await live(site)
    before, ends = await site.documents(), await site.ends()
    for _ in range(2):
        found = await site.replay()
        assert (found.restored, found.entries, found.repaired) == (0, 0, 0)
    assert await site.documents() == before
    assert await site.ends() == ends


async def test_d06_a_dry_run_counts_and_changes_nothing(site: Replayed) -> None:
    await live(site)
    await site.drop(SESSIONS, MESSAGES)
    gone = await site.documents()
    counted = await site.replay(dry_run=True)
    assert await site.documents() == gone
    done = await site.replay()
    assert (counted.restored, counted.entries) == (done.restored, done.entries)
    assert done.entries > 15


async def test_d06_one_session_comes_back_alone(site: Replayed) -> None:
    id_ = await live(site)
    before = await site.documents()
    await site.drop(SESSIONS, MESSAGES)
    assert (await site.replay("session", id_)).restored == 1
    after = await site.documents()
    assert list(after["sessions"]) == [id_]
    mine = {k for k, row in before["messages"].items() if row["session"] == id_}
    assert set(after["messages"]) == mine
    with pytest.raises(NotFoundError, match="no stream tells"):
        await site.replay("session", "ses_none")


async def test_d06_one_account_comes_back_alone(site: Replayed) -> None:
    await site.take(said("one", 1))
    await site.take(arrived(said("two", 2), account="acme-web", channel="web"))
    before = await site.documents()
    await site.drop(SESSIONS, MESSAGES)
    await site.replay("account", ACCOUNT)
    assert [s.account for s in await site.rig.sessions()] == [ACCOUNT]
    await site.replay("account", "acme-web")
    assert differences(before, await site.documents()) == []


async def test_d06_an_event_that_no_router_handled_is_folded_in(site: Replayed) -> None:
    """As the ledger names it; its neighbours stay, and nobody is told of it."""
    await site.take(said("one", 1))
    await site.publish(said("lost", 2, key="lost"))
    await site.take(said("three", 3))
    before, ends = await site.documents(), await site.ends()
    found = await site.replay("event", "lost")
    assert found.repaired == 1
    session = await site.rig.only()
    assert (session.inbound, session.outbox_since) == (3, None)
    shown = [m.parts[0].text for m in await site.rig.timeline(session.id)]  # type: ignore[union-attr]
    assert shown == ["one", "lost", "three"]
    kept = await site.documents()
    assert all(kept["messages"][one] == row for one, row in before["messages"].items())
    assert (await site.replay("event", "lost")).repaired == 0
    assert await site.documents() == kept
    assert await site.ends() == ends
    with pytest.raises(NotFoundError, match="nowhere"):
        await site.replay("event", "nowhere")


async def test_d06_d01_an_entry_that_its_session_remembers_is_put_back(
    site_of_each: Replayed,
) -> None:
    """The fold takes its event for a duplicate; what came of it since comes back as well."""
    site = site_of_each
    await live(site)
    before, ends = await site.documents(), await site.ends()
    by_key = {row["key"]: id_ for id_, row in before["messages"].items()}
    for key in ("e-U1-hello", "e-U1-my parcel", "d1", "f1"):
        id_ = by_key[key]
        assert await site.rig.store.delete(MESSAGES, WORKSPACE, id_)
        assert (await site.replay("event", id_, dry_run=True)).entries == 1
        assert id_ not in (await site.documents())["messages"]
        found = await site.replay("event", id_)
        assert (found.entries, found.repaired) == (1, 0)
        assert differences(before, await site.documents()) == []
        assert (await site.replay("event", id_)).entries == 0
    assert await site.ends() == ends, "something was published"


async def test_d06_an_entry_is_put_back_where_the_stream_begins_after_its_session(
    site: Replayed,
) -> None:
    """The events alone would open another session; the ring tells the one and the number."""
    await site.take(said("one", 1), said("two", 2, key="event:01K7"))
    await site.take(said("three", 3))
    before = await site.documents()
    first, _ = await site.bus.bounds_of(INBOUND)
    await site.bus.asker.api(f"STREAM.PURGE.{INBOUND.name}", {"seq": first + 1})
    [id_] = [k for k, row in before["messages"].items() if row["key"] == "event:01K7"]
    assert await site.rig.store.delete(MESSAGES, WORKSPACE, id_)
    found = await site.replay("event", "01K7")  # as the provider tells it
    assert (found.entries, found.repaired) == (1, 0)
    assert differences(before, await site.documents()) == []


async def test_d06_what_does_not_come_back_is_said(
    site: Replayed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object, **__: object) -> set[str]:
        return set()

    await site.take(said("one", 1, key="e1"))
    [id_] = (await site.documents())["messages"]
    assert await site.rig.store.delete(MESSAGES, WORKSPACE, id_)
    monkeypatch.setattr("services.router.replay.put_back", nothing)
    with pytest.raises(PermanentError, match=r"1 events are not in the store .*e1.*--session"):
        await site.replay("event", "e1")


async def test_d06_a_replay_of_all_finds_such_events_too(site: Replayed) -> None:
    await site.take(said("one", 1))
    await site.publish(said("lost", 2, key="lost"), said("stranger", 3, visitor="U9"))
    found = await site.replay()
    assert found.repaired == 2
    assert {s.visitor: s.inbound for s in await site.rig.sessions()} == {"U1": 2, "U9": 1}


async def test_d06_a_store_from_a_backup_is_brought_to_the_present(site: Replayed) -> None:
    rig = site.rig
    await site.take(said("one", 1))
    old = await site.documents()
    [was] = await rig.sessions()
    await rig.done(rig.claim(was.id, "amy"))
    answer = await rig.done(rig.send(was.id, "amy", "an answer"))
    assert answer.message is not None
    report = {"message_id": answer.message.id, "status": "sent", "provider_ids": ("p1",)}
    await site.take(event(SendReported, "r1", 62, **report), said("two", 63))
    before = await site.documents()
    await site.drop(SESSIONS, MESSAGES)
    kept = msgspec.structs.replace(was, rev=was.rev - 1)
    await rig.store.insert_many(SESSIONS, [kept])
    await rig.store.insert_many(
        MESSAGES, [msgspec.convert(row, MESSAGES.kind) for row in old["messages"].values()]
    )
    found = await site.replay()
    assert (found.stale, found.restored) == (1, 1)
    assert differences(before, await site.documents()) == []


async def test_d06_who_writes_before_the_replay_keeps_the_new_session(site: Replayed) -> None:
    """The old one is there to be read, as ended."""
    await site.take(said("one", 1))
    await site.take(said("more", 2))
    [lost] = await site.rig.sessions()
    await site.drop(SESSIONS, MESSAGES)
    await site.take(said("two", 3))
    [fresh] = await site.rig.sessions()
    found = await site.replay()
    assert found.superseded == 1
    there = {s.id: s for s in await site.rig.sessions()}
    assert there[fresh.id] == fresh
    assert (there[lost.id].list, there[lost.id].end_reason) == ("ended", "superseded")
    assert [there[one].inbound for one in (lost.id, fresh.id)] == [2, 1]


async def test_d06_what_just_came_is_left_to_the_routers(site: Replayed) -> None:
    await site.publish(said("one", 1))
    wanted = await site.replay("all", rate=1000)
    assert wanted.repaired == 1
    await site.drop(SESSIONS, MESSAGES)
    site.rig.now += timedelta(seconds=1)
    replayer = Replayer(site.bus, site.rig.store, site.directory, site.erased, lambda _: None)
    found = await replayer.run(Wanted(what="all", settle_s=60))
    assert (found.events, found.repaired) == (0, 0)


async def _facts(site: Replayed, session: str) -> list[Fact]:
    rows = await site.bus.read(EVENTS, f"ev.{WORKSPACE}.*.*.{session}", limit=1000)
    return [msgspec.json.decode(row.data, type=Fact) for row in rows]


async def test_d06_an_account_that_nobody_knows_is_said_so(site: Replayed) -> None:
    for source in ("events", "raw"):
        with pytest.raises(NotFoundError, match="no account nope"):
            await site.replay("account", "nope", source=source)


class Contended:
    """A batch that leaves the last of its events out, so often."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.taken: list[int] = []

    async def apply(self, _workspace: str, arrivals: Sequence[Arrival]) -> dict[int, object]:
        done = arrivals[:-1] if self.times else arrivals
        self.times -= 1
        self.taken += [one.place for one in done]
        return {one.place: object() for one in done}


async def test_d06_what_lost_a_race_is_folded_again_or_said() -> None:
    arrivals = [Arrival(inbound=arrived(said(str(n), n)), sequence=n, place=n) for n in (1, 2)]
    twice = Contended(2)
    await _apply(cast("Batch", twice), WORKSPACE, arrivals)
    assert twice.taken == [1, 2]
    with pytest.raises(StaleRevisionError, match="1 events were not folded"):
        await _apply(cast("Batch", Contended(99)), WORKSPACE, arrivals)
