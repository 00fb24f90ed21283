"""Notes of agents to each other, in the timeline and never shown to the visitor."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.commands import AddNote, EditNote
from libs.common.documents import MESSAGES, Message, Session
from libs.common.errors import InvalidInputError, NotFoundError
from libs.common.events import ContentPart, MessageDeleted, MessageEdited, TextPart
from libs.common.timeline import Related, display_order
from services.desk.api.act import AgentId
from services.desk.api.compose import TEXT_LIMIT
from services.desk.api.contact_notes import NoteEdit, NoteText, refuse_blank, refuse_foreign
from services.desk.api.messages import shown
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain, checked_key, idempotency_key
from services.desk.api.route import Call, Reply
from services.desk.api.visible import session_of
from services.desk.ask import ask, head

MOST_MENTIONS = 20


class NewNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note. `mentions` are ids of agents, who are alerted of it; the author never is."""

    text: Annotated[Plain, Meta(max_length=TEXT_LIMIT)]
    mentions: Annotated[tuple[AgentId, ...], Meta(max_length=MOST_MENTIONS)] = ()


async def note(call: Call) -> Reply:
    """Keep a note; 201 at first, 200 when the same key is repeated.

    Raises:
        NotFoundError: No such session in this workspace.
        InvalidInputError: The text is blank, or somebody is mentioned who is not here.
        RefusalError: The router refused, or did not answer.
    """
    body: NewNote = call.body
    key = idempotency_key(call.headers)
    if not body.text.strip():
        raise InvalidInputError("text: must not be blank.", field="text", allowed="some text")
    session = await session_of(call)
    await _refuse_strangers(call, body.mentions)
    common = head(call.who, session, call.desk.now(), key)
    return await shown(call, session, AddNote(**common, text=body.text, mentions=body.mentions))


class SessionNote(msgspec.Struct, frozen=True, kw_only=True):
    """A note of a session as it stands, and its changes, oldest first; `deleted` has no text."""

    id: str
    session: str
    author: str
    author_name: str
    text: str
    at: datetime
    deleted: bool
    history: tuple[NoteEdit, ...]


async def history(call: Call) -> Reply:
    """Show a note with what it said before.

    Raises:
        NotFoundError: No such session, or note of it, in this workspace.
    """
    session, found = await _note(call)
    return Reply(body=await _with_history(call, session, found))


async def change(call: Call) -> Reply:
    """Change what a note says; its author may, and whoever is lead or above.

    The router keeps what it said, as an event beside the note.

    Raises:
        NotFoundError: No such session, or note of it, in this workspace.
        InvalidInputError: The text is blank.
        RefusalError: 403 `not_yours`; 409 `note_deleted`; the router refused, or did not answer.
    """
    body: NoteText = call.body
    refuse_blank(body.text)
    return await _changed(call, body.text)


async def take_back(call: Call) -> Reply:
    """Take a note back; its author may, and whoever is lead or above. That it was there is shown.

    Raises:
        NotFoundError: No such session, or note of it, in this workspace.
        RefusalError: 403 `not_yours`; the router refused, or did not answer.
    """
    return await _changed(call, None)


async def _changed(call: Call, text: str | None) -> Reply:
    session, found = await _note(call)
    refuse_foreign(call, found.sender_id)
    stands = await _with_history(call, session, found)
    if stands.deleted and text is not None:
        raise RefusalError(409, "note_deleted", "This note was taken back; write a new one.")
    if not stands.deleted and stands.text != text:
        given = call.headers.get("idempotency-key", "")
        key = checked_key(given) if given else ""
        common = head(call.who, session, call.desk.now(), key)
        await ask(call.desk.bus, session, EditNote(**common, note=found.id, text=text))
        stands = await _with_history(call, await session_of(call), found)
    return Reply(body=stands)


async def _note(call: Call) -> tuple[Session, Message]:
    """Return the note that the path names, which may be on its way to the store still."""
    session = await session_of(call)
    wanted = call.params["note"]
    waiting = [entry for entry in session.writes if entry.id == wanted]
    found = waiting[0] if waiting else None
    found = found or await call.desk.store.port.get(MESSAGES, session.workspace, wanted)
    if found is None or found.kind != "note" or found.session != session.id:
        raise NotFoundError("There is no such note.")
    return session, found


async def _with_history(call: Call, session: Session, found: Message) -> SessionNote:
    related = Related(targets=(found.id,))
    events = await call.desk.store.touching(session.workspace, session.account, related)
    waiting = [entry for entry in session.writes if found.id in entry.target]
    about = {one.id: one for one in (*events, *waiting)}
    edits = sorted(
        (one for one in about.values() if isinstance(one.event, MessageEdited | MessageDeleted)),
        key=display_order,
    )
    text, changes = _text(found.parts), []
    for one in edits:
        changes.append(
            NoteEdit(by=one.sender_id, by_name=one.sender_name, at=one.received_at, before=text)
        )
        text = _text(one.event.parts) if isinstance(one.event, MessageEdited) else ""
    return SessionNote(
        id=found.id,
        session=session.id,
        author=found.sender_id,
        author_name=found.sender_name,
        text=text,
        at=found.occurred_at,
        deleted=any(isinstance(one.event, MessageDeleted) for one in edits),
        history=tuple(changes),
    )


def _text(parts: tuple[ContentPart, ...]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


async def _refuse_strangers(call: Call, mentions: tuple[str, ...]) -> None:
    """Refuse mentions of who is no agent of this workspace, or disabled.

    Raises:
        InvalidInputError: Names the place in the list.
    """
    found = await call.desk.store.agents(call.who.workspace, sorted(set(mentions)))
    for place, agent_id in enumerate(mentions):
        agent = found.get(agent_id)
        if agent is None or agent.disabled or agent_id in mentions[:place]:
            raise InvalidInputError(
                "mentions: each must be an agent of this workspace, named once.",
                field=f"mentions.{place}",
                allowed="ids of `GET /agents` that are not disabled",
            )
