"""Standard messages: canned replies, written once by leads, with variables; agents pick them.

What is scheduled takes their content as it is at that time, so that what an agent saw goes out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from libs.common.attached import part_of
from libs.common.documents import Attachment
from libs.common.errors import InvalidInputError, NotFoundError, UniqueConflictError
from libs.common.events import ContentPart, MediaPart, TextPart
from libs.common.later import STANDARD_MESSAGES, STANDARD_USES, StandardMessage
from libs.common.standard import keyed
from libs.common.store.api import Page
from services.desk.api.compose import FileBody, NewMessage
from services.desk.api.folder_body import MOST_MESSAGES
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.api.standard_body import NewStandardMessage, StandardPatch, views
from services.desk.audited import digest_of, entry, key_conflict, new_id, remove, retried, write
from services.desk.policy_store import etag, expected_version
from services.desk.scheduling import check_variables
from services.desk.standard_read import folder_of, message_of

# --- for others --------------------------------------------------------------------------------


async def picked(call: Call, wanted: str, channel: str = "") -> StandardMessage:
    """Return the standard message that a body names in `standard_message`.

    Raises:
        InvalidInputError: There is none of this id, for the caller and *channel*.
    """
    try:
        return await message_of(call, wanted, channel)
    except NotFoundError:
        raise InvalidInputError(
            "standard_message: there is no such standard message.",
            field="standard_message",
            allowed="an id of `GET /standard-messages`",
        ) from None


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
    folder = await _folder(call, body.folder)
    made = StandardMessage(
        id=id_,
        workspace=call.who.workspace,
        title=body.title.strip(),
        folder=folder,
        place=await next_place(call, folder) if body.place is UNSET else body.place,
        parts=_parts(body.text, body.attachments, files),
        created_at=now,
        updated_at=now,
        digest=digest,
    )
    made = keyed(made)
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
        after = keyed(await _placed(call, after, body))
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
    await call.desk.store.port.delete(STANDARD_USES, found.workspace, found.id)
    return Reply(status=204)


# --- parts -------------------------------------------------------------------------------------


async def _one(call: Call, id_: str = "") -> StandardMessage:
    return await message_of(call, id_ or call.params["id"])


async def _folder(call: Call, wanted: str) -> str:
    """Return the id of the folder that a body names.

    Raises:
        InvalidInputError: There is none of this id.
    """
    try:
        return (await folder_of(call, wanted)).id if wanted else ""
    except NotFoundError:
        raise InvalidInputError(
            "folder: there is no such folder.",
            field="folder",
            allowed="an id of `GET /standard-messages/folders`, or nothing",
        ) from None


async def next_place(call: Call, folder: str) -> int:
    """Return the place behind the last message of *folder*."""
    page = Page(order="folder", descending=True, limit=1)
    where = {"folder": folder}
    last = await call.desk.store.port.find(STANDARD_MESSAGES, call.who.workspace, where, page)
    return last[0].place + 1 if last else 0


async def _placed(call: Call, message: StandardMessage, body: StandardPatch) -> StandardMessage:
    """Return *message* in the folder, and at the place, that *body* names."""
    folder, place = message.folder, message.place
    if body.folder is not UNSET and body.folder != folder:
        folder = await _folder(call, body.folder)
        place = await next_place(call, folder)
    if body.place is not UNSET:
        place = body.place
    return msgspec.structs.replace(message, folder=folder, place=place)


async def _check_count(call: Call) -> None:
    held = await call.desk.store.port.count(
        STANDARD_MESSAGES, call.who.workspace, {}, limit=MOST_MESSAGES
    )
    if held >= MOST_MESSAGES:
        raise RefusalError(409, "too_many", f"There may be {MOST_MESSAGES} standard messages.")


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
    [shown] = await views(call, [found])
    return Reply(body=shown, status=status, headers={**etag(found), **(headers or {})})
