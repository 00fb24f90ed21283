"""Why a session stands where it does: the recorded reason and transitions, in words and data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from libs.common.documents import ListName, Message
from libs.common.events import TextPart
from libs.common.timeline import Sender
from services.desk.api.login import AgentName
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import owner_of

WORDS: Mapping[str, str] = {
    "auto_hosting": "Auto-hosting is on, so a new session goes to the bot first.",
    "auto_hosting_of_channel": "Auto-hosting is on for this channel: the bot first.",
    "auto_hosting_off": "Auto-hosting is off, so a new session waits for an agent.",
    "standby": "Another application holds the conversation, so no bot may answer.",
}
"""What the words of `because` mean: the rule that chose the list a session started in."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened to the session: `what` is its machine word, `text` says it."""

    at: datetime
    what: str
    text: str
    actor: Sender
    number: int


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Where the session is, which rule it started by, and all that happened since, oldest first.

    `complete` is false when the timeline is too long to be read at once: then the newest part of
    it was looked at.
    """

    session: str
    list: ListName
    owner: AgentName | None
    bot: bool
    epoch: int
    because: str
    words: str
    transitions: tuple[Transition, ...]
    complete: bool


async def why(call: Call) -> Reply:
    """Explain a session.

    Raises:
        NotFoundError: No such session in this workspace.
    """
    found = await call.desk.store.session(call.who.workspace, call.params["id"])
    entries, complete = await call.desk.store.system_entries(call.who.workspace, found.id)
    transitions = tuple(map(_transition, entries))
    return Reply(
        body=Why(
            session=found.id,
            list=found.list,
            owner=owner_of(found),
            bot=found.bot,
            epoch=found.epoch,
            because=found.because,
            words=words(found.because, transitions),
            transitions=transitions,
            complete=complete,
        )
    )


def words(because: str, transitions: tuple[Transition, ...]) -> str:
    """Return the rule it started by as a sentence, and what happened last."""
    reason = WORDS.get(because) or f"{because.replace('_', ' ').capitalize() or 'Not recorded'}."
    if not transitions:
        return reason
    last = transitions[-1]
    return f"{reason} Last: {last.text} ({last.at:%Y-%m-%d %H:%M:%S} UTC)."


def _transition(entry: Message) -> Transition:
    return Transition(
        at=entry.occurred_at,
        what=entry.what,
        text=" ".join(part.text for part in entry.parts if isinstance(part, TextPart)),
        actor=Sender(kind=entry.sender, id=entry.sender_id, name=entry.sender_name),
        number=entry.number,
    )
