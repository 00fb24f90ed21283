"""What each command does to a session, or why it is refused. Pure.

A command that finds the session as it asks changes nothing and writes nothing. Every one that
does change something leaves an entry under its own key, by which a repeat is recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from libs.common.bots import guard
from libs.common.commands import (
    Actor,
    AddNote,
    AnyCommand,
    AssignSession,
    ClaimSession,
    Command,
    EndSession,
    MarkRead,
    OpenSession,
    RetrySend,
    SendMessage,
    SetBot,
)
from libs.common.documents import Message, SenderKind, Session, Settings
from libs.common.errors import (
    AlreadyTakenError,
    ConfirmationRequiredError,
    InvalidInputError,
    NotFoundError,
    NotPermittedError,
    SessionEndedError,
    StaleEpochError,
)
from libs.common.events import ChoicesPart, TextPart
from libs.common.timeline import COMMAND_KEY
from libs.common.windows import PERSON
from services.router.botting import answered
from services.router.draft import Draft
from services.router.entry import message_id
from services.router.permit import Answering, Reach
from services.router.retry import again, refuse_retry
from services.router.room import Room
from services.router.say import behind, say
from services.router.transition import OpenList, Step, end, move, name_of, read, seat, tag

MAX_ASSIGNEES = 50

_SENDERS: dict[str, SenderKind] = {
    "agent": "agent",
    "bot": "bot",
    "automation": "automation",
    "schedule": "automation",
    "system": "system",
}


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the shell looked up for the command.

    `quoted` is the message that a send answers; `failed` the one that is to be sent once more, as
    its timeline shows it; `was_unassigned` tells that the session was seen unassigned by this very
    command before it lost a race.
    """

    settings: Settings
    now: datetime
    reach: Reach = Reach()
    room: Room = Room()
    quoted: Message | None = None
    failed: Message | None = None
    was_unassigned: bool = False


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The session to write, with its outbox, and the entry that the command made."""

    session: Session
    message: Message | None = None


def apply(session: Session, command: AnyCommand, context: Context) -> Change | None:
    """Return what *command* makes of *session*; None when it is so already.

    Raises:
        CommandError: Refused; its code, facts and HTTP status say why.
    """
    draft = Draft(session)
    message = _RULES[type(command)](draft, command, context)
    if message is None and not draft.changed:
        return None
    return Change(session=draft.finish(context.now), message=message)


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
    """Return the hash of what the command asks for, to tell a repeat from another request."""
    content = msgspec.to_builtins(command)
    for circumstance in ("actor", "key", "deadline", "epoch", "names", "expect"):
        content.pop(circumstance, None)
    if not content.get("answers"):
        content.pop("answers", None)
    if isinstance(command, RetrySend):
        del content["session"]  # the message says whose it is
    return hashlib.blake2b(msgspec.json.encode(content), digest_size=16).hexdigest()


# --- rules -------------------------------------------------------------------------------------


def _send(draft: Draft, command: SendMessage, context: Context) -> Message:
    session, actor = draft.session, command.actor
    if not command.parts:
        raise InvalidInputError("a message needs content", field="parts")
    _refuse_ended(session)
    if actor.kind == PERSON:
        _step_in(draft, command, context.now)
    else:
        _refuse_stale(session, command)
    if actor.kind == "bot":
        _count_bot(draft, command, context)
    answering = Answering(
        parts=command.parts, actor_kind=actor.kind, way=command.way, quoted=context.quoted
    )
    entry = _entry(session, command, context.now, kind="message")
    entry.reply_to = command.reply_to
    return say(draft, entry, answering, context.reach, context.now)


def _retry(draft: Draft, command: RetrySend, context: Context) -> Message:
    session, failed = draft.session, context.failed
    if failed is None:
        raise NotFoundError("no such message in this conversation")
    refuse_retry(failed, command.actor)
    _refuse_ended(session)
    _step_in(draft, command, context.now)
    entry = _entry(session, command, context.now, kind="message")
    entry.reply_to = failed.reply_to
    entry.retry_of = failed.id
    answering = again(session, failed, command.actor, context.quoted)
    return say(draft, entry, answering, context.reach, context.now)


def _note(draft: Draft, command: AddNote, context: Context) -> Message:
    if not command.text.strip():
        raise InvalidInputError("a note needs text", field="text")
    entry = _entry(draft.session, command, context.now, kind="note")
    entry.parts = (TextPart(text=command.text),)
    draft.write(entry)
    draft.tell("message.stored", context.now, actor=tag(command.actor), message=entry.id)
    return entry


def _open(draft: Draft, command: OpenSession, context: Context) -> Message | None:
    session = draft.session
    entry = None
    if session.list == "unassigned":
        entry = _take(draft, command, context.now, "opened")
    elif context.was_unassigned or command.expect == "unassigned":
        _refuse_taken(session, command.actor)
    read(draft, command.actor, context.now)
    return entry


def _claim(draft: Draft, command: ClaimSession, context: Context) -> Message | None:
    session = draft.session
    _refuse_ended(session)
    if session.list != "assigned":
        return _take(draft, command, context.now, "claimed")
    if session.owner != command.actor.id:
        raise _taken(session)
    return None


def _assign(draft: Draft, command: AssignSession, context: Context) -> Message | None:
    session, now = draft.session, context.now
    _refuse_ended(session)
    agents = [(agent, command.names.get(agent, "")) for agent in dict.fromkeys(command.assignees)]
    if len(agents) > MAX_ASSIGNEES:
        raise InvalidInputError(f"at most {MAX_ASSIGNEES} assignees", field="assignees")
    by = name_of(command.actor)
    if not agents:
        if not move(draft, Step(command.actor, now, "released"), "unassigned"):
            return None
        return _line(draft, command, now, "unassigned", f"returned to Unassigned by {by}")
    seats = seat(session, agents, now)
    step = Step(command.actor, now, "assigned")
    if not move(draft, step, "assigned", assignees=seats):
        return None
    names = ", ".join(assignee.name or assignee.agent for assignee in seats)
    return _line(draft, command, now, "assigned", f"assigned by {by} to {names}")


def _set_bot(draft: Draft, command: SetBot, context: Context) -> Message | None:
    session, now = draft.session, context.now
    _refuse_ended(session)
    to: OpenList = "bot_hosted" if command.on else "unassigned"
    if session.list == "assigned":
        to = "assigned"
    step = Step(command.actor, now, "bot_switch")
    changed = move(draft, step, to, assignees=session.assignees, bot=command.on)
    if not changed:
        return None
    switch = "on" if command.on else "off"
    text = f"bot turned {switch} by {name_of(command.actor)}"
    return _line(draft, command, now, f"bot_{switch}", text)


def _end(draft: Draft, command: EndSession, context: Context) -> Message | None:
    session = draft.session
    if session.list == "ended":
        return None
    if command.epoch not in {None, session.epoch}:
        raise StaleEpochError("the session has moved since", epoch=str(session.epoch))
    asks = context.settings.end_session_confirm and command.actor.kind == "agent"
    if asks and not command.confirmed:
        raise ConfirmationRequiredError(
            "ending a session has to be confirmed here",
            list=session.list,
            owner=session.owner or "",
            inbound=str(session.inbound),
        )
    end(draft, Step(command.actor, context.now, command.reason))
    text = f"ended by {name_of(command.actor)}"
    return _line(draft, command, context.now, "ended", text)


def _read(draft: Draft, command: MarkRead, context: Context) -> None:
    read(draft, command.actor, context.now, command.up_to)


_RULES: dict[type, Callable[[Draft, Any, Context], Message | None]] = {
    SendMessage: _send,
    RetrySend: _retry,
    AddNote: _note,
    OpenSession: _open,
    ClaimSession: _claim,
    AssignSession: _assign,
    SetBot: _set_bot,
    EndSession: _end,
    MarkRead: _read,
}

# --- parts of rules ----------------------------------------------------------------------------


def _step_in(draft: Draft, command: SendMessage | RetrySend, now: datetime) -> None:
    """Let an agent who replies have the session, or join those who have it."""
    session, actor = draft.session, command.actor
    if session.list != "assigned":
        _take(draft, command, now, "agent_reply", main=False)
    elif actor.id not in session.assignee_ids:
        joined = [*((a.agent, a.name) for a in session.assignees), (actor.id, actor.name)]
        seats = seat(session, joined, now)
        move(draft, Step(actor, now, "joined"), "assigned", assignees=seats, bot=session.bot)
        _line(draft, command, now, "joined", f"{name_of(actor)} joined", main=False)


def _take(
    draft: Draft, command: Command, now: datetime, because: str, *, main: bool = True
) -> Message:
    actor = command.actor
    seats = seat(draft.session, [(actor.id, actor.name)], now)
    move(draft, Step(actor, now, because), "assigned", assignees=seats)
    text = f"assigned by {name_of(actor)} to {name_of(actor)}"
    return _line(draft, command, now, "assigned", text, main=main)


def _line(
    draft: Draft, command: Command, now: datetime, what: str, text: str, *, main: bool = True
) -> Message:
    entry = _entry(draft.session, command, now, kind="system", what="" if main else what)
    entry.what = what
    entry.parts = (TextPart(text=text),)
    draft.write(entry)
    return entry


def _entry(session: Session, command: Any, now: datetime, *, kind: Any, what: str = "") -> Message:
    actor: Actor = command.actor
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
        sender=_SENDERS.get(actor.kind, "system"),
        sender_id=actor.id,
        sender_name=actor.name,
        digest=digest(command),
    )


def _refuse_ended(session: Session) -> None:
    if session.list == "ended":
        raise SessionEndedError("the session has ended")


def _refuse_stale(session: Session, command: SendMessage) -> None:
    """Refuse a machine whose message was decided before the session last changed hands."""
    if command.epoch is None:
        raise InvalidInputError("a machine's message needs the epoch", field="epoch")
    if command.epoch != session.epoch:
        raise StaleEpochError("the session has moved since", epoch=str(session.epoch))
    if command.actor.kind == "bot" and not session.bot:
        raise StaleEpochError("the bot is off", epoch=str(session.epoch))


def _count_bot(draft: Draft, command: SendMessage, context: Context) -> None:
    """Keep a bot's message in bounds, and note what it has answered."""
    session = draft.session
    if not guard.room(session, context.settings):
        raise NotPermittedError("bot_budget", "the bot has said all that it may in this session")
    session.bot_sent += 1
    for part in command.parts:
        if isinstance(part, TextPart | ChoicesPart):
            session.bot_state = guard.said(session.bot_state, part.text, context.now)
    answered(draft, command.answers, context.settings.bot_deadline_s, context.now)


def _refuse_taken(session: Session, actor: Actor) -> None:
    if session.list == "assigned" and actor.id not in session.assignee_ids:
        raise _taken(session)


def _taken(session: Session) -> AlreadyTakenError:
    owner = session.assignees[0]
    return AlreadyTakenError(
        f"already taken by {owner.name or owner.agent}", owner=owner.agent, name=owner.name
    )
