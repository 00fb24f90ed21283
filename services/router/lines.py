"""The entry that a command leaves in the timeline, by which a repeat of it is recognised. Pure."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common.commands import AnyCommand, Command, RetrySend, SendScheduled
from libs.common.documents import Message, SenderKind, Session
from libs.common.events import TextPart
from libs.common.timeline import COMMAND_KEY
from services.router.draft import Draft
from services.router.entry import message_id
from services.router.say import behind

_SENDERS: dict[str, SenderKind] = {
    "agent": "agent",
    "bot": "bot",
    "automation": "automation",
    "schedule": "automation",
    "system": "system",
}
_CIRCUMSTANCES = ("actor", "key", "deadline", "epoch", "names", "expect", "detail")
_LATER = ("answers", "mentions", "offline")
"""Fields that commands did not always have: without a value they leave the hash as it was."""


def command_key(command: Command, what: str = "") -> str:
    """Return the dedup key of the command's entry; *what* names a second entry of the same."""
    who = f"{command.actor.kind}:{command.actor.id}:{command.key}"
    if isinstance(command, RetrySend):
        who = f"retry:{command.message}"  # one repeat of a message, whoever asks, however often
    kind, _, rest = who.partition(":")
    return f"{COMMAND_KEY}{kind}/{what}:{rest}" if what else f"{COMMAND_KEY}{who}"


def command_entry_id(command: Command, what: str = "") -> str:
    """Return the id of the command's entry: one for the whole workspace, whatever the session."""
    return message_id(command.workspace, "", command_key(command, what))


def digest(command: AnyCommand) -> str:
    """Return the hash of what the command asks for, to tell a repeat from another request.

    What is scheduled goes out once, whatever has become of the contact or the session at a repeat.
    """
    if isinstance(command, SendScheduled):
        return hashlib.blake2b(command.origin.encode(), digest_size=16).hexdigest()
    content = msgspec.to_builtins(command)
    for circumstance in _CIRCUMSTANCES:
        content.pop(circumstance, None)
    for field in _LATER:
        if not content.get(field):
            content.pop(field, None)
    if isinstance(command, RetrySend):
        del content["session"]  # the message says whose it is
    return hashlib.blake2b(msgspec.json.encode(content), digest_size=16).hexdigest()


def entry_for(
    session: Session,
    command: Any,
    now: datetime,
    kind: Literal["message", "note", "system", "event"],
    what: str = "",
) -> Message:
    """Return the command's entry, or the further one that *what* names, still without content."""
    actor = command.actor
    return Message(
        id=command_entry_id(command, what),
        workspace=session.workspace,
        account=session.account,
        key=command_key(command, what),
        session=session.id,
        visitor=session.visitor,
        kind=kind,
        occurred_at=behind(session, now),
        received_at=now,
        sender=_sender(session, actor.kind, kind),
        sender_id=actor.id,
        sender_name=actor.name,
        digest=digest(command),
    )


def _sender(session: Session, actor: str, kind: str) -> SenderKind:
    """Return who speaks: in a session that a person has, a bot does so as automation."""
    if actor == "bot" and kind == "message" and session.list != "bot_hosted":
        return "automation"
    return _SENDERS.get(actor, "system")


def write_line(
    draft: Draft, command: Command, now: datetime, what: str, text: str, *, main: bool = True
) -> Message:
    """Write into the timeline what the command did; not *main*: besides its own entry."""
    entry = entry_for(draft.session, command, now, "system", "" if main else what)
    entry.what = what
    entry.parts = (TextPart(text=text),)
    draft.write(entry)
    return entry
