"""What each command does to a session, or why it is refused. Pure.

A command that finds the session as it asks changes nothing and writes nothing. Every one that
does change something leaves an entry under its own key, by which a repeat is recognised.
"""

from __future__ import annotations

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
    EditNote,
    EndSession,
    FireTimer,
    GiveContact,
    HandOff,
    MarkRead,
    OpenSession,
    RemoveAssignees,
    RestoreSession,
    RetrySend,
    SendMessage,
    SendScheduled,
    SetBot,
    Snooze,
    TagSession,
)
from libs.common.documents import Message, Session
from libs.common.errors import (
    AlreadyTakenError,
    ConfirmationRequiredError,
    InvalidInputError,
    NotFoundError,
    NotPermittedError,
    StaleEpochError,
)
from libs.common.events import ChoicesPart, TextPart
from libs.common.windows import PERSON
from services.router import hands, noting, scheduled
from services.router.botting import answered, done_with
from services.router.clocks import keep
from services.router.context import Context, refuse_ended, refuse_moved
from services.router.draft import Draft
from services.router.lines import entry_for, write_line
from services.router.permit import Answering
from services.router.restore import restore
from services.router.retry import again, refuse_retry
from services.router.say import say
from services.router.snooze import snooze
from services.router.survey import ask
from services.router.transition import Step, end, move, name_of, read, seat


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The session to write, with its outbox, and the entry that the command made."""

    session: Session
    message: Message | None = None


def apply(session: Session, command: AnyCommand, context: Context) -> Change | None:
    """Return what *command* makes of *session*; None when it is so already.

    Raises:
        CommandError: Refused; its code, facts and HTTP status say why.
    """
    draft = Draft(session, context.settings)
    message = _RULES[type(command)](draft, command, context)
    if message is None and not draft.changed:
        return None
    keep(draft, context.now)
    return Change(session=draft.finish(context.now), message=message)


# --- rules -------------------------------------------------------------------------------------


def _send(draft: Draft, command: SendMessage, context: Context) -> Message:
    session, actor = draft.session, command.actor
    if not command.parts:
        raise InvalidInputError("a message needs content", field="parts")
    refuse_ended(session)
    if actor.kind == PERSON:
        _step_in(draft, command, context.now)
    else:
        _refuse_stale(session, command)
    if actor.kind == "bot":
        _count_bot(draft, command, context)
    answering = Answering(
        parts=command.parts,
        actor_kind=actor.kind,
        way=command.way,
        quoted=context.quoted,
        offline=command.offline,
    )
    entry = entry_for(session, command, context.now, "message")
    entry.reply_to = command.reply_to
    return say(draft, entry, answering, context.room.reach, context.now)


def _retry(draft: Draft, command: RetrySend, context: Context) -> Message:
    session, failed = draft.session, context.failed
    if failed is None:
        raise NotFoundError("no such message in this conversation")
    refuse_retry(failed, command.actor)
    refuse_ended(session)
    _step_in(draft, command, context.now)
    entry = entry_for(session, command, context.now, "message")
    entry.reply_to = failed.reply_to
    entry.retry_of = failed.id
    answering = again(session, failed, command.actor, context.quoted)
    return say(draft, entry, answering, context.room.reach, context.now)


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
    refuse_ended(session)
    if session.list != "assigned":
        return _take(draft, command, context.now, "claimed")
    if session.owner != command.actor.id:
        raise _taken(session)
    return None


def _end(draft: Draft, command: EndSession, context: Context) -> Message | None:
    session = draft.session
    if session.list == "ended":
        return None
    refuse_moved(session, command.epoch)
    if command.actor.kind == "bot" and session.list != "bot_hosted":
        done_with(draft)  # a bot ends no session that a person has, or waits for
        return None
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
    entry = write_line(draft, command, context.now, "ended", text)
    if context.asks:
        ask(draft, session.owner or command.actor.id, context.room, context.now)
    return entry


def _read(draft: Draft, command: MarkRead, context: Context) -> None:
    read(draft, command.actor, context.now, command.up_to)


_RULES: dict[type, Callable[[Draft, Any, Context], Message | None]] = {
    SendMessage: _send,
    SendScheduled: scheduled.send,
    RetrySend: _retry,
    AddNote: noting.note,
    EditNote: noting.edit,
    GiveContact: noting.give_contact,
    OpenSession: _open,
    ClaimSession: _claim,
    AssignSession: hands.assign,
    RemoveAssignees: hands.remove,
    HandOff: hands.hand_off,
    SetBot: hands.set_bot,
    TagSession: hands.tag_it,
    FireTimer: hands.fire_timer,
    Snooze: snooze,
    RestoreSession: restore,
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
        write_line(draft, command, now, "joined", f"{name_of(actor)} joined", main=False)


def _take(
    draft: Draft, command: Command, now: datetime, because: str, *, main: bool = True
) -> Message:
    actor = command.actor
    seats = seat(draft.session, [(actor.id, actor.name)], now)
    move(draft, Step(actor, now, because), "assigned", assignees=seats)
    text = f"assigned by {name_of(actor)} to {name_of(actor)}"
    return write_line(draft, command, now, "assigned", text, main=main)


def _refuse_stale(session: Session, command: SendMessage) -> None:
    """Refuse a machine whose message was decided before the session last changed hands."""
    if command.epoch is None:
        raise InvalidInputError("a machine's message needs the epoch", field="epoch")
    refuse_moved(session, command.epoch)
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
