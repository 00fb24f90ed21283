"""The conversation: its timeline, page by page, and sending into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.commands import AddNote, RetrySend, SendMessage
from libs.common.documents import Attachment, Message, Session
from libs.common.errors import NotFoundError, RetryableError
from libs.common.reached import address_of
from libs.common.reasons import reason
from libs.common.shown_files import attached
from libs.common.timeline import Related, TimelineEntry, display_order, fold, higher, related
from services.desk.api.able import plain_account
from services.desk.api.compose import Given, NewMessage, check_note, check_offline, compose
from services.desk.api.cursor import sequence_cursor, write_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.read import checked_key, idempotency_key
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.api.visible import session_of
from services.desk.ask import UNAVAILABLE, ask, head
from services.desk.attachments import SENDING
from services.desk.standard_read import message_of
from services.desk.standard_uses import Use, count

LEVELS = 4
"""How far above a comment it is looked whether one was removed."""

Place = tuple[datetime, int, str]
"""Where an entry stands: (provider time, stream sequence, id)."""


class MessageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a timeline."""

    cursor: Cursor = ""
    limit: Limit = 50
    order: Annotated[
        Literal["desc", "asc"], Meta(description="`desc`: newest first; `asc`: oldest first")
    ] = "desc"


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Entries as they stand now: edits, receipts, reactions and deletions are folded in.

    A page may hold fewer entries than `limit`: echoes of our own messages are folded away.
    """

    items: tuple[TimelineEntry, ...]
    next: str | None


async def messages(call: Call) -> Reply:
    """Show one page of a session's timeline.

    Raises:
        NotFoundError: No such session in this workspace.
    """
    query: MessageQuery = call.query
    found = await session_of(call)
    newest_first = query.order == "desc"
    after = sequence_cursor(query.cursor)
    stored = await call.desk.store.timeline(
        call.who.workspace, found.id, after=after, limit=query.limit + 1, descending=newest_first
    )
    entries = with_pending(stored, found, after, newest_first=newest_first)
    page = entries[: query.limit]
    items = await folded(call, found, page)
    return Reply(
        body=Timeline(
            items=tuple(reversed(items) if newest_first else items),
            next=write_cursor(*display_order(page[-1])) if len(entries) > query.limit else None,
        )
    )


async def folded(call: Call, session: Session, page: Sequence[Message]) -> list[TimelineEntry]:
    """Return what a person sees of entries of *session*: with what changed them, and files."""
    events = await _around(call, session, page)
    ids = attached((*page, *events))
    views = await call.desk.attachments.views(session.workspace, ids, call.desk.now())
    return fold(page, events, session, views)


async def _around(call: Call, session: Session, page: Sequence[Message]) -> list[Message]:
    """Return what changed the entries of *page*, and the comments above them, up to the top."""
    touching = call.desk.store.touching
    asked = related(page)
    events = await touching(session.workspace, session.account, asked)
    for _ in range(LEVELS):
        more = higher(events, asked)
        if not more.targets:
            break
        events += await touching(session.workspace, session.account, more)
        asked = Related(targets=asked.targets + more.targets)
    return events


async def send(call: Call) -> Reply:
    """Send a message, or keep a note; 201 at first, 200 when the same key is repeated.

    Raises:
        NotFoundError: No such session or attachment in this workspace.
        InvalidInputError: Nothing to send, or something that cannot be sent.
        RefusalError: The channel does not take a file; the router refused, or did not answer.
    """
    body: NewMessage = call.body
    key = idempotency_key(call.headers)
    if body.private:
        check_note(body)
    session = await session_of(call)
    common = head(call.who, session, call.desk.now(), key)
    if body.private:
        return await shown(call, session, AddNote(**common, text=body.text))
    if body.offline:
        check_offline(body, session.channel, await _address(call, session))
    kept = call.desk.attachments
    files = await kept.sendable(call.who.workspace, body.files())
    parts = compose(body, await given_of(call, session, files))
    command = SendMessage(
        **common, parts=parts, reply_to=body.reply_to, way=body.way, offline=body.offline
    )
    claimed = await kept.claim(files.values(), SENDING + session.id)
    try:
        reply = await shown(call, session, command, tuple(files))
    except RefusalError as refusal:
        if refusal.status != UNAVAILABLE:  # else it may have been done all the same
            await kept.release(claimed)
        raise
    await _count(call, session, body.standard_message, reply.body.id)
    return reply


async def _count(call: Call, session: Session, standard_message: str, message: str) -> None:
    """Count that a standard message was sent, once a message."""
    if not standard_message:
        return
    try:
        found = await message_of(call, standard_message, session.channel)
    except (NotFoundError, RetryableError):  # the message is out: that alone matters
        return
    now, workspace = call.desk.now(), session.workspace
    use = Use(workspace=workspace, item=found.id, kind="sent", key=message, at=now)
    await count(call.desk.store.port, use)


async def retry(call: Call) -> Reply:
    """Send a failed message once more; however often it is asked for, there is one repeat.

    Raises:
        NotFoundError: No such session in this workspace.
        RefusalError: It did not certainly fail, a repeat cannot help, or the router is away.
    """
    session = await session_of(call)
    given = call.headers.get("idempotency-key", "")
    key = checked_key(given) if given else ""
    common = head(call.who, session, call.desk.now(), key)
    return await shown(call, session, RetrySend(**common, message=call.params["message"]))


async def _address(call: Call, session: Session) -> str:
    """Return the visitor's email address, as far as one is known."""
    contact = None
    with suppress(NotFoundError):
        contact = await call.desk.store.contact(session.workspace, session.contact)
    return address_of(session, contact)


async def given_of(call: Call, session: Session, files: Mapping[str, Attachment]) -> Given:
    """Return what a message into *session* is checked against.

    Raises:
        RefusalError: 409, its channel is not known to this version.
    """
    channel = call.desk.channels.get(session.channel)
    if channel is None:
        raise RefusalError(409, "account_unavailable", reason("account_unavailable").text)
    account = await call.desk.store.account(session.workspace, session.account)
    return Given(
        channel=channel,
        account=plain_account(account) if account else None,
        files=files,
        linkable=bool(call.desk.settings.public_url),
    )


async def shown(
    call: Call,
    session: Session,
    command: SendMessage | RetrySend | AddNote,
    files: tuple[str, ...] = (),
) -> Reply:
    """Ask for it, and show the entry that it left."""
    done = await ask(call.desk.bus, session, command)
    if done.message is None:
        raise LookupError("the router did not say which message it stored")
    if files:
        await call.desk.attachments.settle(session.workspace, files, done.message.id)
    views = await call.desk.attachments.views(
        session.workspace, attached([done.message]), call.desk.now()
    )
    entry = fold([done.message], [], done.session, views)[0]
    return Reply(
        status=200 if done.repeated else 201,
        body=entry,
        headers={"Idempotent-Replayed": "true"} if done.repeated else {},
    )


def with_pending(
    stored: list[Message], session: Session, after: Place | None, *, newest_first: bool
) -> list[Message]:
    """Add entries that are decided, and only in the session's outbox so far."""
    known = {message.id for message in stored}
    pending = [
        entry
        for entry in session.writes
        if entry.timeline == session.id
        and entry.id not in known
        and (after is None or (display_order(entry) < after) == newest_first)
        and (after is None or display_order(entry) != after)
    ]
    if not pending:
        return stored
    return sorted((*stored, *pending), key=display_order, reverse=newest_first)
