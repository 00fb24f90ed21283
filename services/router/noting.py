"""Commands about what agents know of a session: its notes, and whose contact it is. Pure."""

from __future__ import annotations

from libs.common.commands import AddNote, EditNote, GiveContact
from libs.common.documents import Message
from libs.common.errors import InvalidInputError
from libs.common.events import MessageDeleted, MessageEdited, TextPart
from services.router.context import Context
from services.router.draft import Draft
from services.router.lines import entry_for
from services.router.transition import tag


def note(draft: Draft, command: AddNote, context: Context) -> Message:
    """Keep a note, and tell whom it mentions.

    Raises:
        InvalidInputError: It is blank.
    """
    _refuse_blank(command.text)
    entry = entry_for(draft.session, command, context.now, "note")
    entry.parts = (TextPart(text=command.text),)
    draft.write(entry)
    actor = tag(command.actor)
    draft.tell("message.stored", context.now, actor=actor, message=entry.id)
    notify = tuple(who for who in dict.fromkeys(command.mentions) if who != command.actor.id)
    if notify:
        draft.tell("session.mention", context.now, actor=actor, message=entry.id, notify=notify)
    return entry


def edit(draft: Draft, command: EditNote, context: Context) -> Message:
    """Keep beside the note what it says from now on.

    Raises:
        InvalidInputError: It would be blank.
    """
    if command.text is not None:
        _refuse_blank(command.text)
    session = draft.session
    entry = entry_for(session, command, context.now, "event")
    entry.target = (command.note,)
    entry.event = _event(command, entry)
    draft.write(entry)
    draft.tell("message.changed", context.now, actor=tag(command.actor), message=entry.id)
    return entry


def give_contact(draft: Draft, command: GiveContact, context: Context) -> None:
    """Let the session be of the contact that its visitor has become part of."""
    session = draft.session
    if session.contact == command.contact or session.contact not in command.former:
        return
    session.contact = command.contact
    session.contact_name = session.contact_name or command.name
    draft.tell("contact.changed", context.now, actor=tag(command.actor))


def _event(command: EditNote, entry: Message) -> MessageEdited | MessageDeleted:
    key, visitor, at, target = entry.key, entry.visitor, entry.occurred_at, command.note
    if command.text is None:
        return MessageDeleted(event_id=key, visitor=visitor, occurred_at=at, target=target)
    text = TextPart(text=command.text)
    return MessageEdited(
        event_id=key, visitor=visitor, occurred_at=at, target=target, parts=(text,)
    )


def _refuse_blank(text: str) -> None:
    if not text.strip():
        raise InvalidInputError("a note needs text", field="text")
