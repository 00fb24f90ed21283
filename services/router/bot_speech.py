"""Say what a bot replies: wholly, or, where the channel does not allow it, not at all. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from libs.common.bots import guard
from libs.common.bots.replies import Reply
from libs.common.commands import Actor
from libs.common.documents import Bot, Message, SenderKind, Session
from libs.common.events import ChoicesPart, ContentPart, TextPart
from libs.common.outgoing import refuse_unfit
from libs.common.windows import Comment
from services.router.draft import Draft
from services.router.hosts import is_hosted
from services.router.permit import Answering
from services.router.room import Room
from services.router.say import machine_entry, say
from services.router.transition import Step, end

ENDED = "ended_by_bot"


class Turn(NamedTuple):
    """A bot's turn to speak.

    Attributes:
        key: The same for a repeat of what brought it.
        about: The visitor's message that is answered, if it is one.
    """

    draft: Draft
    room: Room
    now: datetime
    key: str
    about: Message | None = None

    @property
    def session(self) -> Session:
        """The session as it is now."""
        return self.draft.session


def speak(turn: Turn, bot: Bot, reply: Reply) -> None:
    """Send all that *reply* says, keep its state, and end the session if it ends.

    Raises:
        NotPermittedError, InvalidInputError: The channel does not allow it now.
        RejectedError: The channel never carries it. In each case nothing of it is in the draft.
    """
    channel = turn.room.reach.channel
    if channel is not None:
        for parts in reply.says:
            refuse_unfit(channel, parts)
    if len(reply.says) > 1:  # so that the second is not refused after the first is said
        trial = turn._replace(draft=Draft(turn.session, turn.draft.settings))
        _say_all(trial, bot, reply)
    _say_all(turn, bot, reply)
    session = turn.session
    state = dict(reply.state)
    for parts in reply.says:
        for text in _texts(parts):
            state = guard.said(state, text, turn.now)
    session.bot_state = state
    session.bot_sent += len(reply.says)
    if reply.end and is_hosted(session):
        _end(turn, bot)


def _say_all(turn: Turn, bot: Bot, reply: Reply) -> None:
    sender: SenderKind = "bot" if is_hosted(turn.session) else "automation"
    for number, parts in enumerate(reply.says, start=1):
        key = f"{turn.key}:{number}"
        entry = machine_entry(turn.session, key, turn.now, sender, bot.id, bot.name)
        answering = Answering(parts=parts, actor_kind=sender, comment=_comment(turn))
        say(turn.draft, entry, answering, turn.room.reach, turn.now)


def _comment(turn: Turn) -> Comment | None:
    """Return the comment that is answered, which need not be the newest."""
    about = turn.about
    if about is None or about.thread is None or not about.thread.comment:
        return None
    return Comment(thread=about.thread, at=about.occurred_at)


def _texts(parts: tuple[ContentPart, ...]) -> list[str]:
    return [part.text for part in parts if isinstance(part, TextPart | ChoicesPart)]


def _end(turn: Turn, bot: Bot) -> None:
    """End the session for who has got all they came for; a line of the timeline says so."""
    draft = turn.draft
    end(draft, Step(Actor(kind="bot", id=bot.id, name=bot.name), turn.now, ENDED))
    line = machine_entry(turn.session, f"{turn.key}:end", turn.now, "bot", bot.id, bot.name)
    line.kind = "system"
    line.what = "ended"
    line.parts = (TextPart(text=f"ended by {bot.name or bot.id}"),)
    draft.write(line)
