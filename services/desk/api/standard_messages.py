"""Standard messages: canned replies, written once by leads, with variables; agents pick them.

What is scheduled takes their content as it is at that time, so that what an agent saw goes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.attached import part_of
from libs.common.documents import Attachment
from libs.common.errors import InvalidInputError, NotFoundError, UniqueConflictError
from libs.common.events import ContentPart, MediaPart, TextPart
from libs.common.later import STANDARD_MESSAGES, StandardMessage
from libs.common.shown_files import AttachmentView
from libs.common.store.api import Page, cursor
from services.desk.api.compose import MOST_FILES, TEXT_LIMIT, FileBody, Id, NewMessage
from services.desk.api.cursor import text_cursor, write_text_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.audited import digest_of, entry, key_conflict, new_id, remove, retried, write
from services.desk.policy_store import etag, expected_version
from services.desk.scheduling import check_variables

MOST = 5000
"""Standard messages of one workspace."""
_PAGE = 500

Title = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$", min_length=1, max_length=100)
]
Text = Annotated[Plain, Meta(max_length=TEXT_LIMIT)]
Files = Annotated[tuple[Id | FileBody, ...], Meta(max_length=MOST_FILES)]


class NewStandardMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A canned reply: a text with variables, uploaded files, or both."""

    title: Title
    text: Text = ""
    attachments: Files = ()


class StandardPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays."""

    title: Title | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    attachments: Files | UnsetType = UNSET


class StandardView(msgspec.Struct, frozen=True, kw_only=True):
    """A standard message; `text` is its text parts, a line each."""

    id: str
    title: str
    text: str
    parts: tuple[ContentPart, ...]
    attachments: tuple[AttachmentView, ...]
    created_at: datetime
    updated_at: datetime


class StandardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page, by title."""

    q: Annotated[
        Plain, Meta(max_length=100, description="Words that the title has, whatever their case")
    ] = ""
    cursor: Cursor = ""
    limit: Limit = 50


class StandardList(msgspec.Struct, frozen=True, kw_only=True):
    """Standard messages by title."""

    items: tuple[StandardView, ...]
    next: str | None


# --- for others --------------------------------------------------------------------------------


async def picked(call: Call, wanted: str) -> StandardMessage:
    """Return the standard message that a body names in `standard_message`.

    Raises:
        InvalidInputError: There is none of this id.
    """
    found = await call.desk.store.port.get(STANDARD_MESSAGES, call.who.workspace, wanted)
    if found is None:
        raise InvalidInputError(
            "standard_message: there is no such standard message.",
            field="standard_message",
            allowed="an id of `GET /standard-messages`",
        )
    return found


def as_message(parts: Sequence[ContentPart]) -> NewMessage:
    """Return the body that a person would send for *parts*, to be checked against a channel."""
    files: list[FileBody] = []
    text = ""
    for place, part in enumerate(parts):
        if isinstance(part, MediaPart):
            files.append(FileBody(id=part.attachment))
        elif isinstance(part, TextPart) and place + 1 < len(parts) and files:
            files[-1] = FileBody(id=files[-1].id, caption=part.text)
        elif isinstance(part, TextPart):
            text = part.text
    return NewMessage(text=text, attachments=tuple(files))


# --- reading -----------------------------------------------------------------------------------


async def standard_messages(call: Call) -> Reply:
    """List standard messages by title, or those whose title has every word of `q`."""
    query: StandardQuery = call.query
    words = query.q.casefold().split()
    after = text_cursor(query.cursor)
    found: list[StandardMessage] = []
    while len(found) <= query.limit:
        page = Page(order="title", after=after, limit=_PAGE)
        rows = await call.desk.store.port.find(STANDARD_MESSAGES, call.who.workspace, {}, page)
        found += [row for row in rows if all(word in row.title.casefold() for word in words)]
        if len(rows) < _PAGE:
            break
        after = cursor(STANDARD_MESSAGES, "title", rows[-1])  # type: ignore[assignment]
    shown = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        body=StandardList(
            items=await _views(call, shown),
            next=write_text_cursor(shown[-1].title, shown[-1].id) if more else None,
        )
    )


async def standard_message(call: Call) -> Reply:
    """Show one; `ETag` names its version.

    Raises:
        NotFoundError: No such standard message in this workspace.
    """
    return await _reply(call, await _one(call))


# --- changing ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """Make a standard message; with an `Idempotency-Key` a repeat answers 200.

    Raises:
        InvalidInputError: A variable is unknown, or there is neither text nor file.
        NotFoundError: No such uploaded file.
        RefusalError: 409 `idempotency_conflict`, or `too_many`.
    """
    body: NewStandardMessage = call.body
    now, id_, digest = call.desk.now(), new_id(call, "std"), digest_of(call.body)
    known = await call.desk.store.port.get(STANDARD_MESSAGES, call.who.workspace, id_)
    if known is not None:
        return await _replayed(call, known, digest)
    files = await _files(call, body.attachments)
    made = StandardMessage(
        id=id_,
        workspace=call.who.workspace,
        title=body.title.strip(),
        parts=_parts(body.text, body.attachments, files),
        created_at=now,
        updated_at=now,
        digest=digest,
    )
    await _check_count(call)
    await _keep(call, made, files)
    record = entry(call, "standard_message.create", f"standard_message:{id_}", None, made)
    try:
        made = await write(call, STANDARD_MESSAGES, made, record)
    except UniqueConflictError:  # the same request, at the same time
        return await _replayed(call, await _one(call, id_), digest)
    return await _reply(call, made, status=201)


async def patch(call: Call) -> Reply:
    """Change a standard message; what was scheduled with it before keeps its content.

    Raises:
        InvalidInputError: A variable is unknown, or there is neither text nor file.
        NotFoundError: No such standard message, or uploaded file, in this workspace.
        RefusalError: 412, `If-Match` names another version.
    """
    body: StandardPatch = call.body

    async def step(before: StandardMessage) -> StandardMessage:
        as_it_is = as_message(before.parts)
        text = as_it_is.text if body.text is UNSET else body.text
        named = as_it_is.attachments if body.attachments is UNSET else body.attachments
        files = await _files(call, named)
        after = msgspec.structs.replace(
            before,
            title=before.title if body.title is UNSET else body.title.strip(),
            parts=_parts(text, named, files),
        )
        if after == before:
            return before
        after.updated_at = call.desk.now()
        await _keep(call, after, files)
        about = f"standard_message:{before.id}"
        record = entry(call, "standard_message.patch", about, before, after)
        return await write(call, STANDARD_MESSAGES, after, record)

    return await _reply(call, await retried(call, lambda: _one(call), step))


async def delete(call: Call) -> Reply:
    """Delete a standard message; what was scheduled with it keeps its content.

    Raises:
        NotFoundError: No such standard message in this workspace.
        RefusalError: 412, `If-Match` names another version.
    """
    found = await _one(call)
    expected = expected_version(call)
    if expected is not None and found.rev != expected:
        raise RefusalError(412, "changed_meanwhile", "It was changed since; read it again.")
    record = entry(call, "standard_message.delete", f"standard_message:{found.id}", found)
    await remove(call, STANDARD_MESSAGES, found, record)
    return Reply(status=204)


# --- parts -------------------------------------------------------------------------------------


async def _one(call: Call, id_: str = "") -> StandardMessage:
    wanted = id_ or call.params["id"]
    found = await call.desk.store.port.get(STANDARD_MESSAGES, call.who.workspace, wanted)
    if found is None:
        raise NotFoundError("There is no such standard message.")
    return found


async def _check_count(call: Call) -> None:
    held = await call.desk.store.port.count(STANDARD_MESSAGES, call.who.workspace, {}, limit=MOST)
    if held >= MOST:
        raise RefusalError(409, "too_many", f"There may be {MOST} standard messages.")


async def _files(call: Call, named: Sequence[str | FileBody]) -> dict[str, Attachment]:
    ids = [one if isinstance(one, str) else one.id for one in named]
    found = await call.desk.attachments.sendable(call.who.workspace, ids)
    for place, id_ in enumerate(ids):
        if id_ not in found:
            raise NotFoundError(
                "There is no such attachment; upload it first.", field=f"attachments.{place}"
            )
    return found


async def _keep(call: Call, made: StandardMessage, files: dict[str, Attachment]) -> None:
    """Note that it has its files, so that they are not swept as unsent uploads."""
    await call.desk.attachments.claim(files.values(), f"standard_message:{made.id}")


def _parts(
    text: str, named: Sequence[str | FileBody], files: dict[str, Attachment]
) -> tuple[ContentPart, ...]:
    parts: list[ContentPart] = []
    for one in named:
        file = FileBody(id=one) if isinstance(one, str) else one
        parts.append(part_of(files[file.id]))
        if file.caption.strip():
            parts.append(TextPart(text=file.caption))
    if text.strip():
        parts.append(TextPart(text=text))
    if not parts:
        raise InvalidInputError(
            "text: must not be blank.", field="text", allowed="some text, or attachments"
        )
    check_variables(parts, "text", bare=True)
    return tuple(parts)


async def _replayed(call: Call, known: StandardMessage, digest: str) -> Reply:
    """Answer a repeat with the message as it is by now."""
    if known.digest != digest:
        key_conflict()
    return await _reply(call, known, headers={"Idempotent-Replayed": "true"})


async def _reply(
    call: Call, found: StandardMessage, *, status: int = 200, headers: dict[str, str] | None = None
) -> Reply:
    [shown] = await _views(call, [found])
    return Reply(body=shown, status=status, headers={**etag(found), **(headers or {})})


async def _views(call: Call, found: Sequence[StandardMessage]) -> tuple[StandardView, ...]:
    ids = {id_: None for one in found for id_ in _file_ids(one)}
    views = await call.desk.attachments.views(call.who.workspace, tuple(ids), call.desk.now())
    return tuple(
        StandardView(
            id=one.id,
            title=one.title,
            text="\n".join(part.text for part in one.parts if isinstance(part, TextPart)),
            parts=one.parts,
            attachments=tuple(views[id_] for id_ in _file_ids(one) if id_ in views),
            created_at=one.created_at,
            updated_at=one.updated_at,
        )
        for one in found
    )


def _file_ids(found: StandardMessage) -> list[str]:
    return [part.attachment for part in found.parts if isinstance(part, MediaPart)]
