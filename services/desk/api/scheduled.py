"""Scheduled messages: made, listed, changed and cancelled until they are sent (B25, B26, D08).

Every change is a write guarded by `rev`; the scheduler claims a message by such a write before it
sends. So whoever is answered first has won: a cancel that was acknowledged always holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from libs.common.documents import Attachment, Session
from libs.common.errors import NotFoundError, UniqueConflictError
from libs.common.events import MediaPart, TemplatePart, TextPart
from libs.common.later import SCHEDULED, ScheduledMessage
from libs.common.shown_files import AttachmentView
from libs.common.store.api import In, Page, Value, Where
from libs.common.windows import capabilities
from services.desk.addressee import addressee, again, blocked_here, newest_of, stranger
from services.desk.api.able import plain_account
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.login import AgentName
from services.desk.api.problem import RefusalError
from services.desk.api.read import idempotency_key
from services.desk.api.route import Call, Reply
from services.desk.api.scheduled_body import (
    NewScheduled,
    ScheduledList,
    ScheduledPatch,
    ScheduledQuery,
    ScheduledView,
)
from services.desk.api.scheduled_make import edited, made
from services.desk.api.visible import sessions_seen
from services.desk.armed import write_armed
from services.desk.audited import digest_of, entry, key_conflict, new_id, retried, write
from services.desk.filters import ME
from services.desk.policy_store import etag
from services.desk.scheduling import Outlook, expected

MOST_OF_CONTACT = 200
"""Pending messages of one contact; more is a loop in somebody's program."""
MOST = 20_000
"""Pending messages of a workspace; who is to reach more people makes a broadcast."""
CANCELLED = "cancelled"


# --- reading -----------------------------------------------------------------------------------


async def scheduled_messages(call: Call) -> Reply:
    """List scheduled messages by the time at which they are due (B26)."""
    query: ScheduledQuery = call.query
    named: dict[str, str] = {
        "contact": query.contact,
        "session": query.session,
        "author": call.who.agent if query.author == ME else query.author,
    }
    where: dict[str, Value | In] = {field: value for field, value in named.items() if value}
    if query.state:
        where["state"] = In(query.state) if len(query.state) > 1 else query.state[0]
    order = next((field for field in where if isinstance(where[field], str)), "due")
    found = await _page(call, where, order, query)
    page = found[: query.limit]
    more = len(found) > query.limit
    seen = await _seen(call, page)
    return Reply(
        body=ScheduledList(
            items=await _views(call, seen),
            next=write_cursor(page[-1].due_at, page[-1].id) if more else None,
        )
    )


async def _page(
    call: Call, where: Where, order: str, query: ScheduledQuery
) -> list[ScheduledMessage]:
    """Return one row more than a page, in the order of the index *order*."""
    after = time_cursor(query.cursor)
    lead = (where[order],) if order in where else ()
    page = Page(
        order=order,
        descending=query.order == "desc",
        after=None if after is None else (*lead, *after),
        limit=query.limit + 1,
    )
    return await call.desk.store.port.find(SCHEDULED, call.who.workspace, where, page)


async def scheduled_message(call: Call) -> Reply:
    """Show one; `ETag` names its version.

    Raises:
        NotFoundError: No such scheduled message in this workspace.
    """
    return await _reply(call, await _one(call))


# --- changing ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """Schedule a message; 201 at first, 200 when the same key is repeated.

    Raises:
        NotFoundError: No such session, contact or attachment in this workspace.
        InvalidInputError: A field is wrong: names it.
        RefusalError: 409 `idempotency_conflict` or `too_many`; 413, 415: the channel takes no such
            file; 422: it could never go out, or `window_closes_first`.
    """
    body: NewScheduled = call.body
    idempotency_key(call.headers)
    id_ = new_id(call, "sch")
    digest = digest_of(body)
    known = await call.desk.store.port.get(SCHEDULED, call.who.workspace, id_)
    if known is not None:
        return await _replayed(call, known, digest)
    whom = await addressee(call, body.session, body.contact, body.account)
    new = await made(call, whom, body, id_, digest)
    await _check_room(call, new.doc)
    claimed = await _keep(call, new.doc, new.files)
    record = entry(call, "scheduled.create", f"scheduled:{id_}", None, _recorded(new.doc))
    try:
        doc = await write_armed(call, SCHEDULED, None, new.doc, record)
    except UniqueConflictError:  # the same request, at the same time
        known = await _one(call, id_)
        if known.digest != digest:
            await call.desk.attachments.release(claimed)
        return await _replayed(call, known, digest)
    return await _reply(call, doc, status=201)


async def patch(call: Call) -> Reply:
    """Change what is pending; with `If-Match` that version only.

    Raises:
        NotFoundError: No such scheduled message, or attachment, in this workspace.
        InvalidInputError: A field is wrong: names it.
        RefusalError: 409 `being_sent`, `already_sent` or `already_over`; 412; as `create`.
    """
    wanted: ScheduledPatch = call.body

    async def step(before: ScheduledMessage) -> ScheduledMessage:
        _check_pending(before)
        after = await edited(call, await again(call, before), before, wanted)
        if after.doc == before:
            return before
        await _keep(call, after.doc, after.files)
        shown = _recorded(before), _recorded(after.doc)
        record = entry(call, "scheduled.patch", f"scheduled:{before.id}", *shown)
        return await write_armed(call, SCHEDULED, before, after.doc, record)

    return await _reply(call, await retried(call, lambda: _one(call), step))


async def cancel(call: Call) -> Reply:
    """Cancel what is pending, for good; who is cancelled already stays so.

    Raises:
        NotFoundError: No such scheduled message in this workspace.
        RefusalError: 409 `being_sent`, `already_sent` or `already_over`.
    """

    async def step(before: ScheduledMessage) -> ScheduledMessage:
        if before.state == CANCELLED:
            return before
        _check_pending(before)
        now = call.desk.now()
        after = replace(
            before,
            state="cancelled",
            reason=CANCELLED,
            detail=f"Cancelled by {call.who.name}.",
            held=False,
            fires_at=None,
            updated_at=now,
            settled_at=now,
        )
        shown = _recorded(before), _recorded(after)
        record = entry(call, "scheduled.cancel", f"scheduled:{before.id}", *shown)
        return await write(call, SCHEDULED, after, record)

    return await _reply(call, await retried(call, lambda: _one(call), step))


# --- parts -------------------------------------------------------------------------------------


async def _one(call: Call, id_: str = "") -> ScheduledMessage:
    wanted = id_ or call.params["id"]
    found = await call.desk.store.port.get(SCHEDULED, call.who.workspace, wanted)
    if found is None or not await _seen(call, [found]):
        raise NotFoundError("There is no such scheduled message.")
    return found


async def _seen(call: Call, docs: Sequence[ScheduledMessage]) -> list[ScheduledMessage]:
    """Return those in the caller's scope: their account is, and the session that they name."""
    near = [doc for doc in docs if call.who.scope.account(doc.channel, doc.account)]
    sessions = await sessions_seen(call, (doc.session for doc in near if doc.session))
    return [doc for doc in near if not doc.session or doc.session in sessions]


def _check_pending(doc: ScheduledMessage) -> None:
    if doc.state == "sent":
        raise RefusalError(409, "already_sent", "It has been sent.", message=doc.message)
    if doc.state != "pending":
        raise RefusalError(
            409, "already_over", f"It is {doc.state}.", state=doc.state, reason=doc.reason
        )
    if doc.claimed_at is not None:
        raise RefusalError(409, "being_sent", "It is being sent right now.")


async def _check_room(call: Call, doc: ScheduledMessage) -> None:
    """Refuse more than anybody means; of many at once a few more may pass."""
    port, pending = call.desk.store.port, {"state": "pending"}
    of_contact: Where = {"contact": doc.contact, **pending}
    for where, most, whose in (
        (of_contact, MOST_OF_CONTACT, "for this contact"),
        (pending, MOST, "in this workspace"),
    ):
        if await port.count(SCHEDULED, doc.workspace, where, limit=most) >= most:
            text = f"There are {most} scheduled messages {whose} already."
            raise RefusalError(409, "too_many", text, allowed=f"at most {most} pending")


async def _keep(call: Call, doc: ScheduledMessage, files: Sequence[Attachment]) -> list[Attachment]:
    """Note that it has its files, so that they are not swept as unsent uploads.

    They stay with one that is cancelled, too: it is still shown.

    Raises:
        NotFoundError: A file was swept just now.
    """
    if not files:
        return []
    claimed = await call.desk.attachments.claim(files, f"scheduled:{doc.id}")
    left = await call.desk.attachments.sendable(doc.workspace, [file.id for file in files])
    if any(file.id not in left for file in files):
        await call.desk.attachments.release(claimed)
        raise NotFoundError("There is no such attachment; upload it first.", field="attachments")
    return claimed


async def _replayed(call: Call, known: ScheduledMessage, digest: str) -> Reply:
    if known.digest != digest:
        key_conflict()
    return await _reply(call, known, headers={"Idempotent-Replayed": "true"})


def _recorded(doc: ScheduledMessage) -> dict[str, Any]:
    """Return what the record says: all that people set, of the content only whether it changed."""
    shown: dict[str, Any] = msgspec.to_builtins(doc)
    said = msgspec.json.encode((doc.parts, doc.template))
    content = hashlib.blake2b(said, digest_size=8).hexdigest()
    for name in ("parts", "template", "digest", "rev", "workspace", "updated_at", "fires_at"):
        shown.pop(name, None)
    return {**shown, "content": content}


async def _reply(
    call: Call,
    doc: ScheduledMessage,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    [shown] = await _views(call, [doc])
    return Reply(body=shown, status=status, headers={**etag(doc), **(headers or {})})


# --- showing -----------------------------------------------------------------------------------


async def _views(call: Call, docs: Sequence[ScheduledMessage]) -> tuple[ScheduledView, ...]:
    workspace, now = call.who.workspace, call.desk.now()
    ids = tuple(dict.fromkeys(id_ for doc in docs for id_ in _file_ids(doc)))
    files = await call.desk.attachments.views(workspace, ids, now)
    pending = [doc for doc in docs if doc.state == "pending"]
    sessions = await newest_of(call, pending) if pending else {}
    looks = await _outlooks(call, pending, sessions)
    return tuple(_view(doc, files, looks.get(doc.id, ("", None))) for doc in docs)


async def _outlooks(
    call: Call, docs: Sequence[ScheduledMessage], sessions: Mapping[tuple[str, str], Session]
) -> dict[str, tuple[Outlook, Any]]:
    """Return what is to be expected of each, and until when the channel's window is open."""
    now = call.desk.now()
    slugs = {doc.account for doc in docs}
    accounts = await call.desk.store.accounts_by_slug(call.who.workspace, slugs) if slugs else {}
    strangers = {(doc.account, doc.visitor) for doc in docs} - sessions.keys()
    blocked = await blocked_here(call, strangers) if strangers else set()
    found: dict[str, tuple[Outlook, Any]] = {}
    for doc in docs:
        channel, account = call.desk.channels.get(doc.channel), accounts.get(doc.account)
        if channel is None or account is None:
            found[doc.id] = ("account_unavailable", None)
            continue
        where = {name: getattr(doc, name) for name in _WHERE}
        place = (doc.account, doc.visitor)
        session = sessions.get(place) or stranger(where, now, blocked=place in blocked)
        plain = plain_account(account)
        look = expected(session, channel, plain, doc, now)
        can = capabilities(session, channel, plain, now)
        found[doc.id] = (look, can.can_free_text_until)
    return found


_WHERE = ("workspace", "account", "channel", "visitor", "contact")


def _view(
    doc: ScheduledMessage, files: Mapping[str, AttachmentView], look: tuple[Outlook | str, Any]
) -> ScheduledView:
    wanted = doc.wanted_at or doc.due_at
    own = msgspec.structs.asdict(doc)
    own |= {
        "author": AgentName(id=doc.author, name=doc.author_name),
        "being_sent": doc.state == "pending" and doc.claimed_at is not None,
        "text": "\n".join(part.text for part in doc.parts if isinstance(part, _WORDED)),
        "attachments": tuple(files[id_] for id_ in _file_ids(doc) if id_ in files),
        "wanted_at": wanted,
        "moved_by_quiet_hours": doc.quiet_hours is not None and doc.due_at > wanted,
        "fallback_template": doc.template,
        "expected": look[0],
        "window_until": look[1],
    }
    return ScheduledView(**{name: own[name] for name in ScheduledView.__struct_fields__})


_WORDED = (TextPart, TemplatePart)


def _file_ids(doc: ScheduledMessage) -> list[str]:
    shown = (part.header_media if isinstance(part, TemplatePart) else part for part in doc.parts)
    return [part.attachment for part in shown if isinstance(part, MediaPart)]
