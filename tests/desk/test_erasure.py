"""Erasing a contact: asked for twice, whole after a death at any step, and nobody else's loss."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common import merged
from libs.common.bus.delivery import KvEntry
from libs.common.documents import (
    AGENTS,
    AUDIT,
    CONTACTS,
    IDENTITIES,
    MESSAGES,
    SESSIONS,
    AuditEntry,
    Contact,
)
from libs.common.erased import SKEW, Erased, Tombstone, erasure_keys, event_mark, tombstone_key
from libs.common.erasures import ERASED_IDS, ERASURES, erasure_id
from libs.common.events import Inbound, MessageReceived, TextPart
from libs.common.jobs import JOBS, Job
from libs.common.seal import new_key_setting
from libs.common.store.api import Page
from services.desk import erasing
from services.desk.jobs import Work
from services.desk.store import DeskStore
from tests.desk.world import World
from tests.dying import DyingStore, KilledError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasing, "SETTLE_S", 0.0)
    monkeypatch.setattr(erasing, "OUTBOX_WAIT_S", 0.0)  # this world's router never empties them


async def asked(world: World, contact: str, who: str = "adam") -> Any:
    answer = await world.call("POST", f"/contacts/{contact}/erase", who, body={})
    assert (answer.status, answer.json["code"]) == (409, "confirmation_required"), answer.body
    return answer.json["facts"]


async def begun(world: World, contact: str) -> Job:
    body = {"confirm": (await asked(world, contact))["token"]}
    answer = await world.call("POST", f"/contacts/{contact}/erase", "adam", body=body)
    assert answer.status == 202, answer.body
    job = await world.store.get(JOBS, world.workspace, answer.json["id"])
    assert job is not None
    return job


async def done(world: World, job: Job, lives: int | None = None) -> None:
    """Run the job here; its process dies after *lives* writes."""
    agent = await world.store.get(AGENTS, world.workspace, job.agent)
    fresh = await world.store.get(JOBS, world.workspace, job.id)
    assert agent is not None
    assert fresh is not None
    desk = world.desk
    if lives is not None:
        dying: Any = DyingStore(world.store, lives)
        desk = msgspec.structs.replace(desk, store=DeskStore(dying))
    await erasing.run(Work(desk, agent, fresh))


async def rows_with(world: World, text: str) -> list[str]:
    """Return the collections in which *text* can be read."""
    found = []
    places: tuple[tuple[Any, str], ...] = (
        (SESSIONS, "updated"), (MESSAGES, "at"), (CONTACTS, "seen"), (IDENTITIES, "contact"),
    )  # fmt: skip
    for collection, order in places:
        page = Page(order=order, limit=1000)
        rows = await world.store.find(collection, world.workspace, {}, page)
        found += [collection.name for row in rows if text in msgspec.json.encode(row).decode()]
    return found


async def test_d15_whoever_dies_at_whatever_write_another_finishes(world: World) -> None:
    quiet = await world.writes("quiet", visitor="Uquiet")
    for lives in (0, 1, 2, 3, 5, 8, 12, 18, 27):
        mark = f"secret{uuid.uuid4().hex}"
        session = await world.writes(mark, visitor=f"U{mark}")
        job = await begun(world, session.contact)
        with pytest.raises(KilledError):
            await done(world, job, lives)
        await done(world, job)
        assert await rows_with(world, mark) == [], lives
        left = await world.store.get(CONTACTS, world.workspace, session.contact)
        assert left is None, lives
        erasure = erasure_id(world.workspace, session.contact)
        assert await world.store.get(ERASURES, world.workspace, erasure) is None
        where = {"erasure": erasure}
        assert await world.store.count(ERASED_IDS, world.workspace, where) == 0
        again = await world.writes("back", visitor=f"U{mark}")
        assert again.id != session.id
        await done(world, job)  # a repeat takes nothing of the new contact
        assert (await world.session(again.id)).contact
    assert (await world.session(quiet.id)).contact


async def test_d15_all_parts_of_a_person_go_and_what_the_record_of_jobs_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(merged, "MOST", 2)
    person = (await world.writes("hello")).contact
    parts = [
        Contact(
            id=f"con-part-{n}",
            workspace=world.workspace,
            name="Eve Marker",
            merged_into=person,
            first_seen_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
        for n in range(5)
    ]
    assert await world.store.insert_many(CONTACTS, parts) == {}
    told = {"kind": "contacts.export", "input": {"wanted": {"ref": person}}}
    entry = AuditEntry(
        id="aud-job",
        workspace=world.workspace,
        at=datetime.now(UTC),
        actor="agent:agt-olga",
        action="job.start",
        object="job:old",
        after=msgspec.json.encode(told).decode(),
    )
    await world.store.insert(AUDIT, entry)
    await done(world, await begun(world, person))
    assert await rows_with(world, "Eve Marker") == []
    kept = await world.store.get(AUDIT, world.workspace, "aud-job")
    assert kept is not None
    assert (kept.action, kept.after) == ("job.start", "")


async def test_d15_the_token_is_for_one_contact_and_one_agent(world: World) -> None:
    one, other = [await world.writes("hi", visitor=name) for name in ("Ua", "Ub")]
    token = (await asked(world, one.contact))["token"]
    path = f"/contacts/{other.contact}/erase"
    assert (await world.call("POST", path, "adam", body={"confirm": token})).status == 409


REFUSED: Mapping[str, tuple[str, str, int]] = {
    "a lead may not": ("lena", "", 403),
    "nobody there": ("adam", "con_unknown", 404),
}


@pytest.mark.parametrize(("who", "contact", "status"), REFUSED.values(), ids=REFUSED)
async def test_d15_refused(world: World, who: str, contact: str, status: int) -> None:
    session = await world.writes("hi")
    path = f"/contacts/{contact or session.contact}/erase"
    assert (await world.call("POST", path, who, body={})).status == status


async def test_d15_an_erasure_cannot_be_stopped_and_two_are_one(world: World) -> None:
    session = await world.writes("twice", visitor="Utwice")
    job, other = await begun(world, session.contact), await begun(world, session.contact)
    answer = await world.call("POST", f"/jobs/{job.id}/cancel", "adam")
    assert (answer.status, answer.json["code"]) == (409, "not_stoppable")
    await done(world, job)
    await done(world, other)
    path = f"/contacts/{session.contact}/erase"
    assert (await world.call("POST", path, "adam", body={})).status == 404
    erased = [one for one in await world.audited() if one.action == "contact.erased"]
    assert [one.object for one in erased] == [f"contact:{session.contact}"]


NOW = datetime(2026, 3, 1, tzinfo=UTC)
S = timedelta(seconds=1)
LATE: Mapping[str, tuple[str, str, timedelta, timedelta, bool]] = {
    "received before": ("U1", "e9", -S, -S, True),
    "delivered again, and old by the provider's clock": ("U1", "e9", S, -SKEW - S, True),
    "delivered again, of the last minutes, by its id": ("U1", "e1", S, -S, True),
    "new, by a provider whose clock is behind": ("U1", "e9", S, -S, False),
    "new": ("U1", "e9", S, S, False),
    "old, of another visitor": ("U2", "e1", -S, -SKEW - S, False),
}


@pytest.mark.parametrize(("visitor", "event", "got", "said", "drops"), LATE.values(), ids=LATE)
def test_d15_what_is_late_is_dropped(
    visitor: str, event: str, got: timedelta, said: timedelta, *, drops: bool
) -> None:
    old, new = new_key_setting(), new_key_setting()
    [written] = erasure_keys(old)
    stone = Tombstone(before=NOW, recent=(event_mark(written, "acme", "line", "e1"),))
    key = tombstone_key(written, "acme", "line", "U1")
    erased = Erased((*erasure_keys(new), written))  # the key was rotated since
    erased.see(KvEntry(key=key, value=msgspec.json.encode(stone), revision=1))
    message = MessageReceived(
        event_id=event, visitor=visitor, occurred_at=NOW + said, message_id=event,
        parts=(TextPart(text="x"),),
    )  # fmt: skip
    inbound = Inbound(
        workspace="acme", channel="line", account="line", ingest_id="", received_at=NOW + got,
        event=message,
    )  # fmt: skip
    assert erased.drops(inbound) is drops
