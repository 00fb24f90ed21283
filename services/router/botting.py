"""Let a bot answer what a visitor wrote, in the same write that counts the message. Pure.

Nobody is left in limbo: after a visitor's message in `bot_hosted` a bot has answered, or a reason
is returned for which a human is to be asked, or a timer runs that asks for one. In `assigned` a
person has the session: there a bot that knows nothing says nothing.

FAQ bots and flows answer each message of a burst. A webhook bot is asked about the newest message
only: `Session.bot_asked` names it, and the earlier ones reach the bot as history. Its deadline
counts from the first message that it has not answered.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from libs.common.bots import guard
from libs.common.bots.replies import Chance, Reply, Words, lapsed, reply_of, words_in, words_of
from libs.common.commands import Actor
from libs.common.documents import Bot, Message, Session
from libs.common.errors import InvalidInputError, NotPermittedError, RejectedError
from libs.common.events import InboundEvent, MessageReceived
from services.router.bot_speech import Turn, speak
from services.router.draft import Draft
from services.router.hosts import host, is_forsaken, is_hosted, speakers
from services.router.room import Room
from services.router.transition import OpenList, Step, move


class Heard(NamedTuple):
    """A visitor's message, as it is kept and as a bot reads it."""

    entry: Message
    words: Words
    language: str


REPLACED = "bot_replaced"
"""Why a session gets a bot: it had none, or the one that it had is gone."""


def converse(draft: Draft, entry: Message, event: InboundEvent, room: Room, now: datetime) -> str:
    """Let a bot answer *entry*, which the session has absorbed; return why a human is to be asked.

    Nothing is answered that only came by the other path, or while another application holds the
    conversation. A repeat of the delivery says the same under the same ids.

    Args:
        draft: Of the session; what is said is added to it.
        entry: The visitor's message as it is kept.
        event: What brought it.
        room: The workspace around it; `bots` holds the enabled ones.
        now: Of this write.

    Returns:
        The reason of a hand-off: `bot_asked`, `bot_failed`, `bot_budget`, `bot_loop` or
        `not_understood`; empty where none is needed.
    """
    session = draft.session
    if not isinstance(event, MessageReceived) or not _is_for_us(session, entry, event):
        return ""
    heard = Heard(entry=entry, words=words_of(event), language=_language(session, event))
    return _reply_to(draft, heard, room, now)


def catch_up(draft: Draft, entry: Message, room: Room, now: datetime) -> str:
    """Let a bot that was just turned on answer *entry*, which nobody has answered.

    Returns:
        The reason of a hand-off, as `converse` does.
    """
    session = draft.session
    if session.standby:
        return ""
    heard = Heard(entry=entry, words=words_in(entry.parts), language=session.contact_language)
    return _reply_to(draft, heard, room, now)


def _reply_to(draft: Draft, heard: Heard, room: Room, now: datetime) -> str:
    session = draft.session
    bots = speakers(session, room)
    if not bots:
        return "bot_failed" if is_forsaken(session, room) else ""
    turn = Turn(draft=draft, room=room, now=now, key=heard.entry.id, about=heard.entry)
    _settle_host(turn)
    stop = _listen(session, room, heard)
    if stop:
        return stop if is_hosted(session) else ""
    for bot in bots:
        reason = _answer(turn, bot, heard)
        if reason is not None:
            if not session.bot:
                session.bot_id = bot.id  # automation: the row says which one answers
            return reason if is_hosted(session) else ""
    return ""


def late(draft: Draft, room: Room, now: datetime) -> str:
    """Go on where the visitor gave no answer in time; return why a human is to be asked, or "".

    For the timer `flow_wait`, once the session says that it is due. It is disarmed, and perhaps
    armed anew.
    """
    session = draft.session
    draft.disarm("flow_wait")
    if session.standby:
        return ""
    bots = speakers(session, room)
    if not bots:
        return "bot_failed" if is_forsaken(session, room) else ""
    turn = Turn(draft=draft, room=room, now=now, key=f"late:{session.id}:{draft.rev}")
    _settle_host(turn)
    for bot in bots:
        reply = lapsed(session, bot)
        if reply is not None:
            reason = _carry_out(turn, bot, reply)
            return reason if is_hosted(session) else ""
    return ""


def answered(draft: Draft, message: str, deadline_s: float, now: datetime) -> None:
    """Note that a webhook bot has answered the visitor's *message* wholly.

    Where it was asked about a newer one meanwhile, it has shown that it lives, and gets the whole
    time for that one. No *message*: there is more of the answer to come.
    """
    session = draft.session
    if not message or not session.bot_asked:
        return
    if message == session.bot_asked:
        done_with(draft)
    elif "bot_deadline" in session.due:
        draft.arm("bot_deadline", now + timedelta(seconds=deadline_s))


def done_with(draft: Draft) -> None:
    """Wait for the webhook bot no more."""
    if draft.session.bot_asked:
        draft.session.bot_asked = ""
        draft.disarm("bot_deadline")


def undelivered(session: Session, ours: Message) -> str:
    """Return why a human is to be asked when *ours*, with its newest status, did not go out."""
    of_bot = ours.sender == "bot" and ours.session == session.id
    refused = ours.status == "failed" and ours.status_reason != "stale_epoch"
    return "bot_failed" if of_bot and is_hosted(session) and refused else ""


def _is_for_us(session: Session, entry: Message, event: MessageReceived) -> bool:
    return entry.kind == "message" and not event.standby and not session.standby


def _language(session: Session, event: MessageReceived) -> str:
    return session.contact_language or event.profile.language


def _listen(session: Session, room: Room, heard: Heard) -> str:
    """Note what the visitor wrote, as of its arrival; return why the bot must not answer."""
    text, at = heard.words.text, heard.entry.received_at
    stop = guard.verdict(session, room.policy.settings, text, at)
    session.bot_state = guard.heard(session.bot_state, text, at)
    return stop


def _answer(turn: Turn, bot: Bot, heard: Heard) -> str | None:
    """Let *bot* answer; None: it has no answer, and another may try."""
    if bot.kind == "webhook":
        _ask(turn, bot, heard.entry)
        return ""
    chance = Chance(turn.room.chance, turn.room.policy.settings.bot_deadline_s)
    reply = reply_of(turn.session, bot, heard.words, heard.language, chance)
    return None if reply is None else _carry_out(turn, bot, reply)


def _settle_host(turn: Turn) -> None:
    """Note who hosts; what the one before it still answers was decided for another bot."""
    session = turn.session
    bot = host(session, turn.room) if session.bot else None
    if bot is None or session.bot_id == bot.id:
        return
    step = Step(Actor(kind="bot", id=bot.id, name=bot.name), turn.now, REPLACED)
    to: OpenList = "bot_hosted" if is_hosted(session) else "assigned"
    move(turn.draft, step, to, assignees=session.assignees, bot=True, bot_id=bot.id)


def _carry_out(turn: Turn, bot: Bot, reply: Reply) -> str:
    session, draft = turn.session, turn.draft
    if len(reply.says) > guard.room(session, turn.room.policy.settings):
        return "bot_budget"
    try:
        speak(turn, bot, reply)
    except (NotPermittedError, InvalidInputError, RejectedError):
        return "bot_failed"
    draft.disarm("flow_wait")
    if reply.wait_s:
        draft.arm("flow_wait", turn.now + timedelta(seconds=reply.wait_s))
    return reply.because


def _ask(turn: Turn, bot: Bot, entry: Message) -> None:
    """Ask a webhook bot about *entry*; its deadline is that of what it has not answered before."""
    session, draft = turn.session, turn.draft
    due = session.due.get("bot_deadline")
    if not session.bot_asked or due is None or due <= turn.now:
        due = turn.now + timedelta(seconds=turn.room.policy.settings.bot_deadline_s)
        draft.arm("bot_deadline", due)
    session.bot_asked = entry.id
    draft.tell("bot.asked", turn.now, actor="visitor", message=entry.id, bot_id=bot.id, due=due)
