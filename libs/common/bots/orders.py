"""From what a webhook bot answered to what the router is asked to do. Pure.

All commands of one answer share the id of the bot's call, so that whatever is repeated (the call,
the answer, the commands) has the effect of one, and of several answers to one message the first
counts. Each carries the epoch: what comes after a takeover is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from libs.common.attached import part_of
from libs.common.bots.webhook import BotAnswer, BotMessage, call_about
from libs.common.commands import Actor, EndSession, HandOff, SendMessage
from libs.common.documents import Attachment, Bot
from libs.common.errors import InvalidInputError
from libs.common.events import ContentPart

Because = Literal["bot_asked", "bot_silent", "bot_failed", "bot_budget"]
Order = SendMessage | HandOff | EndSession


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A bot's turn in a session: to answer `message`, as of `epoch`."""

    bot: Bot
    session: str
    epoch: int
    message: str

    @property
    def call(self) -> str:
        """The id of the call that asks it."""
        return call_about(self.bot, self.session, self.epoch, self.message)


def orders(
    turn: Turn, answer: BotAnswer, parts: Sequence[tuple[ContentPart, ...]], until: datetime
) -> tuple[Order, ...]:
    """Return the commands of *answer* in order; the last one settles the visitor's message.

    A bot that says nothing leaves nobody waiting: a human is asked at once.

    Args:
        turn: What is answered.
        answer: What the bot wants.
        parts: Of each of its messages, as `message_parts` makes them.
        until: The commands' deadline.
    """
    last = len(parts) - 1
    more = answer.hand_off or answer.end or not parts
    sends: list[Order] = [
        SendMessage(
            workspace=turn.bot.workspace,
            session=turn.session,
            actor=actor(turn.bot),
            key=f"{turn.call}:{number}",
            deadline=until,
            parts=given,
            epoch=turn.epoch,
            answers=turn.message if number == last and not more else "",
        )
        for number, given in enumerate(parts)
    ]
    if answer.end:
        return (*sends, _end(turn, until))
    if more:
        return (*sends, human(turn, "bot_asked" if answer.hand_off else "bot_silent", until))
    return tuple(sends)


def human(turn: Turn, because: Because, until: datetime, detail: str = "") -> HandOff:
    """Return the command that asks for a human instead of the bot; *detail*: see `HandOff`."""
    return HandOff(
        workspace=turn.bot.workspace,
        session=turn.session,
        actor=actor(turn.bot),
        key=f"{turn.call}:{because}",
        deadline=until,
        because=because,
        epoch=turn.epoch,
        detail=detail,
    )


def _end(turn: Turn, until: datetime) -> EndSession:
    return EndSession(
        workspace=turn.bot.workspace,
        session=turn.session,
        actor=actor(turn.bot),
        key=f"{turn.call}:end",
        deadline=until,
        reason="ended_by_bot",
        confirmed=True,
        epoch=turn.epoch,
    )


def actor(bot: Bot) -> Actor:
    """Return who asks."""
    return Actor(kind="bot", id=bot.id, name=bot.name)


def message_parts(
    message: BotMessage, files: dict[str, Attachment], place: str
) -> tuple[ContentPart, ...]:
    """Return what a message is sent as: files first, so that the text may be a caption.

    Args:
        message: As the bot gave it.
        files: Those of the workspace that may be sent, by id.
        place: Of the message in the answer, as `messages[0]`.

    Raises:
        InvalidInputError: It names a file that is not there.
    """
    media = []
    for number, file_id in enumerate(message.attachments):
        file = files.get(file_id)
        if file is None:
            field = f"{place}.attachments[{number}]"
            raise InvalidInputError(
                f"{field}: there is no such stored file.", field=field, allowed="ids of uploads"
            )
        media.append(part_of(file))
    return (*media, *message.parts)
