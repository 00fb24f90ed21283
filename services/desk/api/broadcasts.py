"""Broadcasts: drafted, changed and counted here; started and stopped in `broadcast_acts`."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from libs.common.broadcasts import first_due, started
from libs.common.documents import Attachment
from libs.common.errors import NotFoundError, UniqueConflictError
from libs.common.later import BROADCASTS, Broadcast
from services.desk.api.broadcast_body import (
    AudienceCount,
    BroadcastList,
    BroadcastPatch,
    BroadcastQuery,
    CountBody,
    NewBroadcast,
    RecipientList,
    RecipientQuery,
)
from services.desk.api.broadcast_checks import places
from services.desk.api.broadcast_make import Made, drafted, patched
from services.desk.api.broadcast_shown import recipient, recorded, row, shown
from services.desk.api.cursor import id_cursor, time_cursor, write_cursor, write_id_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.api.visible import sees_audience
from services.desk.armed import write_armed
from services.desk.audited import digest_of, entry, key_conflict, new_id, retried, write
from services.desk.broadcast_count import Ground, tally
from services.desk.broadcast_store import (
    broadcast_of,
    newest_broadcasts,
    place_of,
    recipients_of,
)

DELETED = "deleted"
CHANGEABLE = ("draft", "scheduled", "paused")


async def broadcasts(call: Call) -> Reply:
    """List broadcasts, newest first; those that reach beyond the caller's scope are left out."""
    query: BroadcastQuery = call.query
    found = await newest_broadcasts(
        call.desk.store.port,
        call.who.workspace,
        query.state,
        after=time_cursor(query.cursor),
        limit=query.limit + 1,
    )
    page = found[: query.limit]
    seen = [one for one in page if await sees_audience(call, one.audience)]
    return Reply(
        body=BroadcastList(
            items=tuple(map(row, seen)),
            next=write_cursor(*place_of(page[-1])) if len(found) > query.limit else None,
        )
    )


async def broadcast(call: Call) -> Reply:
    """Show a broadcast with how many recipients are in each state; `ETag` names its version.

    Raises:
        NotFoundError: No such broadcast in this workspace.
    """
    return await shown(call, await one(call))


async def recipients(call: Call) -> Reply:
    """Show one page of recipients, and what became of each.

    Raises:
        NotFoundError: No such broadcast in this workspace.
    """
    query: RecipientQuery = call.query
    found = await recipients_of(
        call.desk.store.port,
        await one(call),
        query.state,
        after=id_cursor(query.cursor),
        limit=query.limit + 1,
    )
    page = found[: query.limit]
    return Reply(
        body=RecipientList(
            items=tuple(map(recipient, page)),
            next=write_id_cursor(page[-1].id) if len(found) > query.limit else None,
        )
    )


async def count(call: Call) -> Reply:
    """Count whom an audience has, and how many can be written to now; nothing is sent.

    Raises:
        InvalidInputError: A tag, channel or account is not known.
    """
    body: CountBody = call.body
    audience = body.audience.wanted()
    accounts = await places(call, audience)
    ground = Ground(
        accounts={account.slug: account for account in accounts},
        channels=call.desk.channels,
        now=call.desk.now(),
    )
    port = call.desk.store.port
    found = await tally(port, call.who.workspace, audience, ground, time.monotonic)
    return Reply(
        body=AudienceCount(
            total=found.total,
            channels=dict(sorted(found.channels.items())),
            accounts=dict(sorted(found.accounts.items())),
            free_text=found.outlooks["free_text"],
            template_only=found.outlooks["template_only"],
            closed=found.outlooks["closed"],
            blocked=found.outlooks["blocked"],
            reasons=dict(sorted(found.reasons.items())),
            complete=found.complete,
        )
    )


# --- changing ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """Make a broadcast, as a draft or started; with an `Idempotency-Key` a repeat answers 200.

    Raises:
        InvalidInputError: Something in it is wrong; names the field and what is allowed.
        RefusalError: 409 `idempotency_conflict`, the key made another.
    """
    body: NewBroadcast = call.body
    id_ = new_id(call, "brd")
    before = await call.desk.store.port.get(BROADCASTS, call.who.workspace, id_)
    if before is not None:
        return await _replayed(call, before, body)
    made = await drafted(call, body, id_)
    doc = _begun(call, made.doc) if body.start else made.doc
    await keep(call, doc.id, made.files)
    record = entry(call, "broadcast.create", about(doc), None, recorded(doc))
    try:
        doc = await write_armed(call, BROADCASTS, None, doc, record)
    except UniqueConflictError:  # the same request, at the same time
        before = await broadcast_of(call.desk.store.port, call.who.workspace, id_)
        return await _replayed(call, before, body)
    return await shown(call, doc, status=201)


async def patch(call: Call) -> Reply:
    """Change a broadcast that is a draft, waits for its time, or rests.

    Raises:
        NotFoundError: No such broadcast in this workspace.
        InvalidInputError: Something in it is wrong; names the field and what is allowed.
        RefusalError: 409 `wrong_state`, or recipients are chosen by what is to change; 412.
    """
    body: BroadcastPatch = call.body

    async def step(before: Broadcast) -> Broadcast:
        if before.state not in CHANGEABLE:
            raise wrong_state(before, CHANGEABLE)
        made = await patched(call, before, body)
        if made.doc == before:
            return before
        after = msgspec.structs.replace(_timed(call, before, made), updated_at=call.desk.now())
        await keep(call, after.id, made.files)
        record = entry(call, "broadcast.patch", about(before), recorded(before), recorded(after))
        return await write_armed(call, BROADCASTS, before, after, record)

    return await shown(call, await retried(call, lambda: one(call), step))


async def delete(call: Call) -> Reply:
    """Delete a draft; what was started is cancelled instead, and stays on record.

    Raises:
        NotFoundError: No such broadcast in this workspace.
        RefusalError: 409 `wrong_state`, it is no draft; 412, `If-Match` names another version.
    """

    async def step(before: Broadcast) -> Broadcast:
        if before.state == "cancelled" and before.reason == DELETED:
            return before  # it is on record; who did so came no further
        if before.state != "draft":
            raise wrong_state(before, ("draft",))
        # so that nobody starts it meanwhile
        gone = msgspec.structs.replace(before, state="cancelled", reason=DELETED)
        record = entry(call, "broadcast.delete", about(before), recorded(before))
        return await write(call, BROADCASTS, gone, record)

    gone = await retried(call, lambda: one(call), step)
    await call.desk.store.port.delete(BROADCASTS, gone.workspace, gone.id)
    return Reply(status=204)


# --- for others --------------------------------------------------------------------------------


async def one(call: Call) -> Broadcast:
    """Return the broadcast that the path names.

    Raises:
        NotFoundError: No such broadcast in this workspace.
    """
    found = await broadcast_of(call.desk.store.port, call.who.workspace, call.params["id"])
    if not await sees_audience(call, found.audience):
        raise NotFoundError("There is no such broadcast.")
    return found


async def keep(call: Call, broadcast_id: str, files: Mapping[str, Attachment]) -> None:
    """Note that it has its files, so that they are not swept as unsent uploads."""
    await call.desk.attachments.claim(files.values(), about_id(broadcast_id))


def about(doc: Broadcast) -> str:
    """Return what the record calls it."""
    return about_id(doc.id)


def about_id(broadcast_id: str) -> str:
    """Return what the record calls the broadcast of this id."""
    return f"broadcast:{broadcast_id}"


def wrong_state(found: Broadcast, allowed: tuple[str, ...]) -> RefusalError:
    """Return the 409 that names the state, and those in which it could be done."""
    words = ", ".join(allowed)
    return RefusalError(
        409,
        "wrong_state",
        f"The broadcast is {found.state}; this takes one that is {words}.",
        state=found.state,
        allowed=words,
    )


# --- inside ------------------------------------------------------------------------------------


def _begun(call: Call, doc: Broadcast) -> Broadcast:
    after = started(doc, call.desk.now())
    if after is None:
        raise wrong_state(doc, ("draft",))
    return after


def _timed(call: Call, before: Broadcast, made: Made) -> Broadcast:
    """Return the broadcast with the times that its new time of day means."""
    doc = made.doc
    if not made.timed or before.state == "draft":
        return doc
    if before.state == "scheduled":
        return _begun(call, msgspec.structs.replace(doc, state="draft"))
    return msgspec.structs.replace(doc, due_at=first_due(doc, call.desk.now()))


async def _replayed(call: Call, before: Broadcast, body: NewBroadcast) -> Reply:
    """Answer a repeat with the broadcast as it is by now."""
    if before.digest != digest_of(body):
        key_conflict()
    return await shown(call, before, headers={"Idempotent-Replayed": "true"})
