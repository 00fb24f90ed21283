"""The conversation: its timeline, page by page, and sending into it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from libs.common.commands import AddNote, SendMessage
from libs.common.documents import Message, Session
from libs.common.errors import InvalidInputError
from libs.common.events import TextPart
from libs.common.timeline import TimelineEntry, display_order, fold, related
from services.desk.api.cursor import sequence_cursor, write_cursor
from services.desk.api.read import Plain, idempotency_key
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.ask import ask, head

TEXT_LIMIT = 10_000
"""Characters of one message; a channel with a smaller limit gets it in pieces."""

Place = tuple[datetime, int, str]
"""Where an entry stands: (provider time, stream sequence, id)."""


class MessageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a timeline."""

    cursor: Cursor = ""
    limit: Limit = 50
    order: Annotated[
        Literal["desc", "asc"], Meta(description="`desc`: newest first; `asc`: oldest first")
    ] = "desc"


class NewMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to send. `private` makes it a note that the visitor never sees.

    `reply_to` is the id of an entry of this session. `attachments` must be empty: they cannot be
    sent yet.
    """

    text: Annotated[Plain, Meta(max_length=TEXT_LIMIT)] = ""
    attachments: tuple[Any, ...] = ()
    reply_to: Annotated[Plain, Meta(max_length=100)] = ""
    private: bool = False


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
    found = await call.desk.store.session(call.who.workspace, call.params["id"])
    newest_first = query.order == "desc"
    after = sequence_cursor(query.cursor)
    stored = await call.desk.store.timeline(
        call.who.workspace, found.id, after=after, limit=query.limit + 1, descending=newest_first
    )
    entries = _with_pending(stored, found, after, newest_first=newest_first)
    page = entries[: query.limit]
    events = await call.desk.store.touching(call.who.workspace, found.account, related(page))
    items = fold(page, events, found)
    return Reply(
        body=Timeline(
            items=tuple(reversed(items) if newest_first else items),
            next=write_cursor(*display_order(page[-1])) if len(entries) > query.limit else None,
        )
    )


async def send(call: Call) -> Reply:
    """Send a message, or keep a note; 201 at first, 200 when the same key is repeated.

    Raises:
        NotFoundError: No such session in this workspace.
        InvalidInputError: Nothing to send, or something that cannot be sent.
        RefusalError: The router refused, or did not answer.
    """
    body: NewMessage = call.body
    key = idempotency_key(call.headers)
    _check(body)
    session = await call.desk.store.session(call.who.workspace, call.params["id"])
    common = head(call.who, session, call.desk.now(), key)
    command: SendMessage | AddNote
    if body.private:
        command = AddNote(**common, text=body.text)
    else:
        command = SendMessage(**common, parts=(TextPart(text=body.text),), reply_to=body.reply_to)
    done = await ask(call.desk.bus, session, command)
    if done.message is None:
        raise LookupError("the router did not say which message it stored")
    entry = fold([done.message], [], done.session)[0]
    return Reply(
        status=200 if done.repeated else 201,
        body=entry,
        headers={"Idempotent-Replayed": "true"} if done.repeated else {},
    )


def _check(body: NewMessage) -> None:
    if body.attachments:
        raise InvalidInputError(
            "attachments: files cannot be sent yet; leave it empty.",
            field="attachments",
            allowed="an empty list",
        )
    if not body.text.strip():
        raise InvalidInputError("text: must not be blank.", field="text", allowed="some text")
    if body.private and body.reply_to:
        raise InvalidInputError(
            "reply_to: a private note quotes nothing.", field="reply_to", allowed="nothing"
        )


def _with_pending(
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
