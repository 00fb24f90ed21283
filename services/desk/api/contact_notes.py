"""Notes about a contact: for agents, with what they said before; no visitor ever gets one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.contact_documents import CONTACT_NOTES, ContactNote, NoteBefore
from libs.common.errors import InvalidInputError, NotFoundError
from libs.common.merged import made_of
from services.desk.api.compose import TEXT_LIMIT
from services.desk.api.contact_edit import refuse_merged
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.api.visible import contact_of
from services.desk.audited import digest_of, entry, key_conflict, new_id, remove, retried, write
from services.desk.contact_noted import notes_of, place_of
from services.desk.policy_store import etag

MOST_EDITS = 100
"""Changes of one note, each of which is kept."""


class NoteText(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a note says."""

    text: Annotated[Plain, Meta(max_length=TEXT_LIMIT)]


class NoteQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of notes, newest first."""

    cursor: Cursor = ""
    limit: Limit = 50


class NoteEdit(msgspec.Struct, frozen=True, kw_only=True):
    """Who changed a note when, and what it said before."""

    by: str
    by_name: str
    at: datetime
    before: str


class NoteView(msgspec.Struct, frozen=True, kw_only=True):
    """A note. `contact` is whom it was written of, who may have been merged since."""

    id: str
    contact: str
    author: str
    author_name: str
    text: str
    at: datetime
    edited_at: datetime | None
    history: tuple[NoteEdit, ...]


class NoteList(msgspec.Struct, frozen=True, kw_only=True):
    """Notes, newest first."""

    items: tuple[NoteView, ...]
    next: str | None


async def notes(call: Call) -> Reply:
    """List the notes of a contact, and of all who were merged into it.

    Raises:
        NotFoundError: No such contact in this workspace.
    """
    query: NoteQuery = call.query
    contact = await contact_of(call)
    found = await notes_of(
        call.desk.store.port,
        contact.workspace,
        contact.id,
        after=time_cursor(query.cursor),
        limit=query.limit + 1,
    )
    page = found[: query.limit]
    following = write_cursor(*place_of(page[-1])) if len(found) > query.limit else None
    return Reply(body=NoteList(items=tuple(map(view, page)), next=following))


async def create(call: Call) -> Reply:
    """Keep a note; with an `Idempotency-Key` a repeat answers 200 with the one it made.

    Raises:
        NotFoundError: No such contact in this workspace.
        InvalidInputError: It is blank.
        RefusalError: 409 `merged`; 409 `idempotency_conflict`.
    """
    body: NoteText = call.body
    refuse_blank(body.text)
    contact = await contact_of(call)
    made = ContactNote(
        id=new_id(call, "cnt"),
        workspace=contact.workspace,
        contact=contact.id,
        author=call.who.agent,
        author_name=call.who.name,
        text=body.text,
        at=call.desk.now(),
        digest=digest_of(contact.id, body),
    )
    before = await call.desk.store.port.get(CONTACT_NOTES, made.workspace, made.id)
    if before is not None:
        if before.digest != made.digest:
            key_conflict()
        headers = {**etag(before), "Idempotent-Replayed": "true"}
        return Reply(body=view(before), headers=headers)
    refuse_merged(contact)
    record = entry(call, "contact_note.create", _about(made), None, {"text": made.text})
    made = await write(call, CONTACT_NOTES, made, record)
    return Reply(status=201, body=view(made), headers=etag(made))


async def note(call: Call) -> Reply:
    """Show a note; `ETag` names its version.

    Raises:
        NotFoundError: No such contact, or note of theirs, in this workspace.
    """
    found = await _note(call)
    return Reply(body=view(found), headers=etag(found))


async def patch(call: Call) -> Reply:
    """Change what a note says; its author may, and whoever is lead or above.

    Raises:
        NotFoundError: No such contact, or note of theirs, in this workspace.
        InvalidInputError: It is blank.
        RefusalError: 403 `not_yours`; 409 `too_many` changes; 412, `If-Match` names another
            version.
    """
    body: NoteText = call.body
    refuse_blank(body.text)

    async def step(before: ContactNote) -> ContactNote:
        refuse_foreign(call, before.author)
        if body.text == before.text:
            return before
        if len(before.history) >= MOST_EDITS:
            allowed = f"at most {MOST_EDITS} changes of one note"
            raise RefusalError(409, "too_many", f"text: {allowed}.", field="text", allowed=allowed)
        now = call.desk.now()
        said = NoteBefore(by=call.who.agent, by_name=call.who.name, at=now, text=before.text)
        after = msgspec.structs.replace(
            before, text=body.text, edited_at=now, history=(*before.history, said)
        )
        words = ({"text": before.text}, {"text": after.text})
        record = entry(call, "contact_note.patch", _about(before), *words)
        return await write(call, CONTACT_NOTES, after, record)

    after = await retried(call, lambda: _note(call), step)
    return Reply(body=view(after), headers=etag(after))


async def delete(call: Call) -> Reply:
    """Delete a note; its author may, and whoever is lead or above. The record of changes has it.

    Raises:
        NotFoundError: No such contact, or note of theirs, in this workspace.
        RefusalError: 403 `not_yours`; 412, `If-Match` names another version.
    """

    async def step(before: ContactNote) -> ContactNote:
        refuse_foreign(call, before.author)
        record = entry(call, "contact_note.delete", _about(before), {"text": before.text})
        await remove(call, CONTACT_NOTES, before, record)
        return before

    await retried(call, lambda: _note(call), step)
    return Reply(status=204)


def view(found: ContactNote) -> NoteView:
    """Return a note as agents see it."""
    return NoteView(
        id=found.id,
        contact=found.contact,
        author=found.author,
        author_name=found.author_name,
        text=found.text,
        at=found.at,
        edited_at=found.edited_at,
        history=tuple(
            NoteEdit(by=one.by, by_name=one.by_name, at=one.at, before=one.text)
            for one in found.history
        ),
    )


def refuse_blank(text: str) -> None:
    """Refuse a note that says nothing.

    Raises:
        InvalidInputError: Names `text`.
    """
    if not text.strip():
        raise InvalidInputError("text: must not be blank.", field="text", allowed="some text")


def refuse_foreign(call: Call, author: str) -> None:
    """Refuse to change what somebody else wrote, unless the caller is lead or above.

    Raises:
        RefusalError: 403 `not_yours`.
    """
    if author != call.who.agent and RANK[call.who.role] < RANK["lead"]:
        text = "Somebody else wrote this note; its author may change it, a lead, or who is above."
        raise RefusalError(403, "not_yours", text, author=author)


async def _note(call: Call) -> ContactNote:
    contact = await contact_of(call)
    port = call.desk.store.port
    found = await port.get(CONTACT_NOTES, contact.workspace, call.params["note"])
    if found is None or found.contact not in await made_of(port, contact.workspace, contact.id):
        raise NotFoundError("There is no such note.")
    return found


def _about(note: ContactNote) -> str:
    return f"contact:{note.contact}"
