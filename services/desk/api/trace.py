"""Where a webhook or a message went: its whole journey hop by hop, and the raw body to download."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from libs.common import tracing
from libs.common.bus.client import Bus
from libs.common.documents import Message as Stored
from libs.common.documents import SendAttempt, SendStatus, Session
from libs.common.errors import BusUnavailableError, NotFoundError
from libs.common.events import Fact
from libs.common.subjects import EVENTS, fact
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.visible import channels_by_slug
from services.desk.journey import Step
from services.desk.journey_read import Asked, journey
from services.desk.rawlog import Webhook, find_webhook, made_at, webhook_at

MOST = 50
"""Entries that one answer tells of; a webhook rarely brings more."""
FACTS = 50
_fact = msgspec.json.Decoder(Fact)


class Hop(msgspec.Struct, frozen=True, kw_only=True):
    """A moment on the way.

    `occurred` at the provider, `received` by ingest, `stored` by the router, `queued` for sending,
    `send_started` by the sender, or the status that a report gave.
    """

    hop: str
    at: datetime


class TraceEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One stored entry: what it is, where it landed and why, and its hops in order of time.

    `because` is the recorded reason of its session's present list; `trace_id` names the W3C trace
    in which it was stored, where that is still known (seven days).
    """

    message: str
    event_id: str
    kind: str
    event_type: str
    account: str
    session: str
    list: str
    because: str
    provider_ids: tuple[str, ...]
    ingest_id: str
    sequence: int
    status: SendStatus
    status_reason: str
    provider_code: str
    via: str
    trace_id: str
    hops: tuple[Hop, ...]


class RawView(msgspec.Struct, frozen=True, kw_only=True):
    """The accepted webhook; its body is at `/trace/{id}/raw`.

    `sliced`: the body was cut down to this account's part of a shared webhook. `trace_id`: of the
    W3C trace that it came with or began; log lines and exemplars name it too.
    """

    ingest_id: str
    received_at: datetime | None
    stored_at: datetime
    subject: str
    method: str
    path: str
    body_bytes: int
    sliced: bool
    trace_id: str


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an id.

    Attributes:
        journey: Every hop of what the id names, in order of time: taken in, routed, stored, alerts,
            what answered it (or what it answers), webhooks out (to admins), dead letters, and what
            the ledgers miss. `entries` are only what the id itself names.
        complete: False when the bus could not be asked just now, or there was more than one
            answer looks through.
    """

    id: str
    journey: tuple[Step, ...]
    entries: tuple[TraceEntry, ...]
    raw: RawView | None
    complete: bool


async def trace(call: Call) -> Reply:
    """Follow an ingest id, event id, provider message id, or one of our message ids.

    Raises:
        NotFoundError: This workspace knows nothing of it.
    """
    wanted = call.params["id"]
    workspace = call.who.workspace
    stored, hidden = await _traced(call, wanted)
    complete = True
    webhook, told = None, dict[str, _Told]()
    try:
        webhook = None if hidden else await _webhook(call, wanted, stored)
        told = await _stored_at(call.desk.bus, workspace, stored)
    except BusUnavailableError:
        complete = False
    asked = Asked(
        id=wanted,
        workspace=workspace,
        named=stored,
        hidden=hidden or not call.who.scope.whole,
        hooks=RANK[call.who.role] >= RANK["admin"],
    )
    steps, whole = await journey(call.desk.store, call.desk.bus, asked)
    if not stored and webhook is None and not steps:
        raise NotFoundError("There is no trace of this id.")
    sessions = await call.desk.store.sessions(workspace, {entry.session for entry in stored})
    attempts = await call.desk.store.attempts(workspace, [entry.id for entry in stored])
    return Reply(
        body=Trace(
            id=wanted,
            journey=steps,
            entries=tuple(
                _entry(entry, sessions.get(entry.session), attempts.get(entry.id), told)
                for entry in stored
            ),
            raw=_raw_view(webhook) if webhook else None,
            complete=complete and whole,
        )
    )


async def raw(call: Call) -> Reply:
    """Return the body of the webhook as it came, byte for byte.

    Raises:
        NotFoundError: This workspace knows nothing of it, or it is older than seven days.
    """
    wanted = call.params["id"]
    stored, hidden = await _traced(call, wanted)
    webhook = None if hidden else await _webhook(call, wanted, stored)
    if webhook is None:
        raise NotFoundError("There is no trace of this id.")
    name = webhook.whole.ingest_id
    return Reply(
        body=webhook.whole.body,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}.bin"'},
    )


async def _traced(call: Call, wanted: str) -> tuple[list[Stored], bool]:
    """Return the entries in the caller's scope, and whether the webhook is out of it.

    A webhook may bring what is in scope together with what is not, or nothing that is stored; so
    to whom only some is shown, its body is not if there is anything that they do not see.
    """
    found = await call.desk.store.traced(call.who.workspace, wanted, limit=MOST)
    scope = call.who.scope
    if scope.whole:
        return found, False
    sessions = await call.desk.store.sessions(call.who.workspace, {one.session for one in found})
    channels = await channels_by_slug(call)
    seen = [
        one
        for one in found
        if scope.account(channels.get(one.account, ""), one.account)
        and (one.session not in sessions or scope.session(sessions[one.session]))
    ]
    return seen, len(seen) < len(found) or not found


async def _webhook(call: Call, wanted: str, stored: list[Stored]) -> Webhook | None:
    bus, workspace = call.desk.bus, call.who.workspace
    for entry in stored[:1]:
        if entry.ingest_id and entry.sequence:
            found = await webhook_at(bus, workspace, entry.sequence, entry.ingest_id)
            if found:
                return found
    ids = [wanted] if made_at(wanted) else [entry.ingest_id for entry in stored]
    for ingest_id in dict.fromkeys(filter(None, ids)):
        found = await find_webhook(bus, workspace, ingest_id)
        if found:
            return found
    return None


async def _stored_at(bus: Bus, workspace: str, stored: list[Stored]) -> dict[str, _Told]:
    """Return when the fact about each message was stored, by message id."""
    groups = await asyncio.gather(*(_told_at(bus, workspace, entry) for entry in stored[:10]))
    return {message: at for group in groups for message, at in group.items()}


class _Told(NamedTuple):
    """When the fact of a stored message was on the stream, and in which trace."""

    at: datetime
    trace_id: str


async def _told_at(bus: Bus, workspace: str, entry: Stored) -> dict[str, _Told]:
    if entry.kind != "message" or not entry.session:
        return {}
    subject = fact(workspace, "message.stored", entry.session)
    since = entry.received_at - timedelta(seconds=5)
    for read in await bus.read(EVENTS, subject, since=since, limit=FACTS):
        if _fact.decode(read.data).message == entry.id:
            at = datetime.fromtimestamp(read.stored_at_ns / 1e9, UTC)
            return {entry.id: _Told(at, tracing.trace_id(tracing.carried(read.headers)))}
    return {}


def _entry(
    entry: Stored, session: Session | None, attempt: SendAttempt | None, told: dict[str, _Told]
) -> TraceEntry:
    known = told.get(entry.id)
    return TraceEntry(
        message=entry.id,
        event_id=entry.key,
        kind=entry.kind,
        event_type=str(entry.event.__struct_config__.tag) if entry.event else "",
        account=entry.account,
        session=entry.session,
        list=session.list if session else "",
        because=session.because if session else "",
        provider_ids=entry.provider_ids,
        ingest_id=entry.ingest_id,
        sequence=entry.sequence,
        status=entry.status,
        status_reason=entry.status_reason,
        provider_code=entry.provider_code,
        via=entry.via or (attempt.via if attempt else ""),
        trace_id=known.trace_id if known else "",
        hops=_hops(entry, attempt, known.at if known else None),
    )


def _hops(entry: Stored, attempt: SendAttempt | None, told: datetime | None) -> tuple[Hop, ...]:
    ours = entry.direction == "out" and not entry.ingest_id
    found = [
        ("occurred", None if ours else entry.occurred_at),
        ("queued" if ours else "received", entry.received_at),
        ("stored", told),
        ("send_started", attempt.started_at if attempt else None),
        (entry.status, entry.status_at if entry.status not in {"", "queued"} else None),
    ]
    hops = [Hop(hop=hop, at=at) for hop, at in found if at is not None]
    return tuple(sorted(hops, key=lambda hop: hop.at))


def _raw_view(webhook: Webhook) -> RawView:
    whole = webhook.whole
    return RawView(
        ingest_id=whole.ingest_id,
        received_at=whole.received_at,
        stored_at=webhook.stored_at,
        subject=webhook.subject,
        method=whole.method,
        path=whole.path,
        body_bytes=len(whole.body),
        sliced=whole.sliced,
        trace_id=webhook.trace_id,
    )
