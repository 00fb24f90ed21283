"""Gathering what is known of a message's journey: from the store, and from the streams if they can.

All of it by ids of the caller's own workspace; texts are left where they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from libs.common.alerts import ATTENTION
from libs.common.bus.client import Bus
from libs.common.documents import DECISIONS, MESSAGES, SYSTEM, DecisionRecord, Message
from libs.common.errors import BusUnavailableError
from libs.common.ids import derive_id
from libs.common.ledger.page import LEDGERS, Missed
from libs.common.store.api import Page
from libs.common.subjects import INBOUND, OUTBOUND
from libs.common.timeline import Related
from libs.common.webhooks import DELIVERIES, ENDPOINTS, MOST_ENDPOINTS, WebhookDelivery, delivery_id
from services.desk.journey import (
    MOST_STEPS,
    Records,
    Said,
    Step,
    Told,
    Window,
    alerts_of,
    deliveries_of,
    in_order,
    is_ours,
    letters_of,
    missed_of,
)
from services.desk.journey_bus import StreamReader, Wanted
from services.desk.journey_in import routed, taken_in
from services.desk.journey_out import replies_of
from services.desk.store import DeskStore

MOST_HEADS = 5
"""Messages that an id names, of which the question and its answers are looked for."""
MOST_NEAR = 50
"""Entries before and behind a message that are looked at for that."""
MOST_ANSWERS = 10
MOST_SESSIONS = 3
MOST_DECISIONS = 4
"""Decisions of one write."""
_COUNTED = (INBOUND.name, OUTBOUND.name)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for.

    Attributes:
        id: As given.
        named: The entries that it names and that the caller sees.
        hidden: It names others besides, or none: what no entry tells is not shown.
        hooks: The caller may read what customers' systems are told.
    """

    id: str
    workspace: str
    named: Sequence[Message]
    hidden: bool
    hooks: bool


async def journey(store: DeskStore, bus: Bus, asked: Asked) -> tuple[tuple[Step, ...], bool]:
    """Return the hops in order, and whether all could be asked and is told."""
    if asked.hidden and not asked.named:
        return (), True
    entries, windows = await _around(store, asked)
    records = await _of_store(store, asked, entries, windows)
    reader = StreamReader(bus, asked.workspace)
    whole = True
    try:
        records = await _of_streams(store, reader, asked, records)
    except BusUnavailableError:
        whole = False
    if asked.hooks:
        found = await _deliveries(store, asked.workspace, records)
        records = msgspec.structs.replace(records, deliveries=found)
    steps = in_order(
        [
            *taken_in(records),
            *routed(records),
            *replies_of(records),
            *alerts_of(records),
            *deliveries_of(records),
            *letters_of(records),
            *missed_of(records),
        ]
    )
    return steps[:MOST_STEPS], whole and reader.whole and len(steps) <= MOST_STEPS


# --- the store -----------------------------------------------------------------------------------


async def _around(store: DeskStore, asked: Asked) -> tuple[list[Message], list[Window]]:
    """Return what is named with its question and answers, and until when alerts are of each."""
    entries = {entry.id: entry for entry in asked.named}
    windows: dict[str, Window] = {}
    for entry in await _heads(store, asked):
        question = entry if entry.direction == "in" else await _question(store, entry)
        behind, ends = await _behind(store, question or entry)
        for one in (question, entry, *behind):
            if one is not None:
                entries.setdefault(one.id, one)
        first = question or entry
        windows[first.id] = Window(
            message=first.id, session=first.session, begins=first.received_at, ends=ends
        )
    return list(entries.values()), list(windows.values())


async def _heads(store: DeskStore, asked: Asked) -> list[Message]:
    """Return the messages that are named, by themselves or by a report or change of them."""
    heads = {one.id: one for one in asked.named if one.kind == "message" and one.session}
    for event in [one for one in asked.named if one.kind == "event"][:MOST_HEADS]:
        for target in event.target[:MOST_HEADS]:
            by_id = await store.port.get(MESSAGES, asked.workspace, target)
            where = {"account": event.account, "provider_ids": target}
            page = Page(order="provider", limit=MOST_HEADS)
            found = (
                [by_id] if by_id else await store.port.find(MESSAGES, asked.workspace, where, page)
            )
            same = [one for one in found if one.kind == "message" and one.session == event.session]
            heads |= {one.id: one for one in same if one.session}
    return list(heads.values())[:MOST_HEADS]


async def _question(store: DeskStore, answer: Message) -> Message | None:
    """Return what the visitor had said last before *answer*."""
    place = (answer.occurred_at, answer.sequence, answer.id)
    near = await store.timeline(
        answer.workspace, answer.session, after=place, limit=MOST_NEAR, descending=True
    )
    return next((one for one in near if one.kind == "message" and one.direction == "in"), None)


async def _behind(store: DeskStore, first: Message) -> tuple[list[Message], datetime | None]:
    """Return what was answered next, up to the visitor's next word, and when that first came."""
    place = (first.occurred_at, first.sequence, first.id)
    near = await store.timeline(
        first.workspace, first.session, after=place, limit=MOST_NEAR, descending=False
    )
    answers: list[Message] = []
    ends: datetime | None = None
    for one in near:
        if one.kind != "message":
            continue
        if one.direction == "in":
            ends = ends or one.received_at
            if answers:
                break
        elif len(answers) < MOST_ANSWERS:
            answers.append(one)
    return answers, ends


async def _of_store(
    store: DeskStore, asked: Asked, entries: list[Message], windows: list[Window]
) -> Records:
    ours = [one for one in entries if is_ours(one)]
    sessions = await store.sessions(asked.workspace, {one.session for one in entries} - {""})
    attention = await store.port.get_many(ATTENTION, asked.workspace, sorted(sessions))
    return Records(
        entries=entries,
        sessions=sessions,
        windows=windows,
        attempts=await store.attempts(asked.workspace, [one.id for one in ours]),
        reports=await _reports(store, asked.workspace, ours[:MOST_ANSWERS]),
        attention=attention,
        missed=await _missed(store, asked, entries),
    )


async def _reports(
    store: DeskStore, workspace: str, ours: Sequence[Message]
) -> dict[str, list[Message]]:
    async def of(one: Message) -> list[Message]:
        wanted = Related(targets=(*one.provider_ids, one.id))
        return await store.touching(workspace, one.account, wanted)

    found = await asyncio.gather(*map(of, ours))
    return {
        one.id: list({report.id: report for report in reports}.values())
        for one, reports in zip(ours, found, strict=True)
    }


async def _missed(store: DeskStore, asked: Asked, entries: Iterable[Message]) -> list[Missed]:
    """Return what the ledgers miss of it; of what no entry tells, only to who sees everything."""
    keys = {entry.key for entry in entries} | {entry.id for entry in entries}
    keys |= set() if asked.hidden else {asked.id}
    ledgers = await store.port.get_many(LEDGERS, SYSTEM, _COUNTED)
    return [
        one
        for ledger in ledgers.values()
        for one in ledger.missing
        if one.workspace == asked.workspace and one.event in keys
    ]


async def _deliveries(store: DeskStore, workspace: str, records: Records) -> list[WebhookDelivery]:
    page = Page(order="created", limit=MOST_ENDPOINTS)
    endpoints = await store.port.find(ENDPOINTS, workspace, {}, page)
    events = [*_facts_of(records), *{said.alert.id for said in _of_windows(records)}]
    ids = [delivery_id(one.id, event) for one in endpoints for event in events]
    found: list[WebhookDelivery] = []
    for start in range(0, len(ids), 500):
        part = await store.port.get_many(DELIVERIES, workspace, ids[start : start + 500])
        found += part.values()
    return found


def _facts_of(records: Records) -> list[str]:
    """Return the facts about these messages, and what was told in the same writes."""
    messages = {entry.id for entry in records.entries}
    writes = {
        (one.fact.session, one.fact.rev) for one in records.told if one.fact.message in messages
    }
    return [one.fact.fact_id for one in records.told if (one.fact.session, one.fact.rev) in writes][
        :MOST_STEPS
    ]


def _of_windows(records: Records) -> list[Said]:
    shown = {step.ref for step in alerts_of(records)}
    return [said for said in records.alerts if said.alert.id in shown]


# --- the streams ---------------------------------------------------------------------------------


async def _of_streams(
    store: DeskStore, reader: StreamReader, asked: Asked, records: Records
) -> Records:
    replace = msgspec.structs.replace
    entries = records.entries
    since = min((one.received_at for one in entries), default=None)
    arrivals = {one.sequence: one for one in await reader.places(entries)}
    if not asked.hidden:
        arrivals |= {one.sequence: one for one in await reader.brought(asked.id)}
    passed = await _passed(store)
    records = replace(
        records,
        arrivals=[replace(one, passed=one.sequence <= passed) for one in arrivals.values()],
    )
    records = await _with_firsts(store, asked, records)
    if since is not None:
        names = sorted(records.sessions)[:MOST_SESSIONS]
        told = [one for name in names for one in await reader.facts(name, since)]
        records = replace(
            records,
            told=told,
            decisions=await _decisions(store, asked.workspace, entries, told),
            alerts=await reader.alerts(names, since) if names else (),
        )
    return replace(records, letters=await reader.letters(_wanted(asked, records), since))


async def _passed(store: DeskStore) -> int:
    ledger = await store.port.get(LEDGERS, SYSTEM, INBOUND.name)
    return ledger.sequence if ledger else 0


async def _with_firsts(store: DeskStore, asked: Asked, records: Records) -> Records:
    """Add the entries that were stored first of what came again."""
    known = {(entry.account, entry.key) for entry in records.entries}
    again = [one for one in records.arrivals if one.event and (one.account, one.event) not in known]
    ids = {derive_id("msg", asked.workspace, one.account, one.event) for one in again}
    found = await store.port.get_many(MESSAGES, asked.workspace, sorted(ids)[:MOST_NEAR])
    if not found:
        return records
    sessions = await store.sessions(asked.workspace, {e.session for e in found.values()} - {""})
    return msgspec.structs.replace(
        records,
        entries=[*records.entries, *found.values()],
        sessions={**records.sessions, **sessions},
    )


async def _decisions(
    store: DeskStore, workspace: str, entries: Iterable[Message], told: Iterable[Told]
) -> dict[tuple[str, int], list[DecisionRecord]]:
    """Return what the router decided in the writes that stored *entries*."""
    messages = {entry.id for entry in entries}
    writes = {(o.fact.session, o.fact.rev) for o in told if o.fact.message in messages}
    ids = {
        f"{derive_id('dec', session, str(rev))}{number:02d}": (session, rev)
        for session, rev in sorted(writes)[:MOST_NEAR]
        for number in range(MOST_DECISIONS)
    }
    found = await store.port.get_many(DECISIONS, workspace, sorted(ids))
    grouped: dict[tuple[str, int], list[DecisionRecord]] = {}
    for id_ in sorted(found):
        grouped.setdefault(ids[id_], []).append(found[id_])
    return grouped


def _wanted(asked: Asked, records: Records) -> Wanted:
    entries = records.entries
    ids = {entry.id for entry in entries} | {entry.key for entry in entries}
    return Wanted(
        ids=frozenset(ids if asked.hidden else ids | {asked.id}),
        places=frozenset(one.sequence for one in records.arrivals),
        sessions={one.id: one.account for one in records.sessions.values()},
        alerts=frozenset(said.alert.id for said in _of_windows(records)),
    )
