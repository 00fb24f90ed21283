"""Carrying out what a webhook bot answered, at once or later: all of it, or a human is asked.

The notifier and desk's callback share it. Everything may be repeated, see `bots.orders`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from libs.common import subjects
from libs.common.bots.orders import Because, Order, Turn, human, message_parts, orders
from libs.common.bots.webhook import BotAnswer
from libs.common.bus.client import Bus
from libs.common.channel import Channel
from libs.common.commands import Answer, Done, Refused
from libs.common.documents import ATTACHMENTS, Attachment, Session
from libs.common.errors import (
    BusUnavailableError,
    NoResponderError,
    RejectedError,
    RetryableError,
)
from libs.common.events import ContentPart
from libs.common.ids import partition_of
from libs.common.outgoing import Rules, pieces, preview
from libs.common.store.api import Store

log = logging.getLogger(__name__)

ANSWER_S = 3.0
"""Seconds that the router has for one command."""
_UNAVAILABLE = 503
_MOVED = frozenset({"stale_epoch", "session_ended", "not_found"})
_SENDING = "sending:"

_answer: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_encode = msgspec.json.Encoder().encode


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What carrying out needs.

    Attributes:
        channels: By name.
        linkable: The installation has a public address, from which providers fetch files.
        now: UTC.
    """

    bus: Bus
    store: Store
    channels: Mapping[str, Channel]
    linkable: bool
    now: Callable[[], datetime]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an answer.

    `done`: all of it. `stale`: the session has moved on, what was left was not done. `answered`:
    another answer to the same message was faster. `handed_off`: a human was asked, since the
    channel, the budget or the bot itself wanted it so; `code` says which of them, and `detail`
    tells it in words.
    """

    verdict: Literal["done", "stale", "answered", "handed_off"]
    code: str = ""
    detail: str = ""


async def carry_out(means: Means, session: Session, turn: Turn, answer: BotAnswer) -> Result:
    """Do what the bot wants, or ask for a human where that cannot be done wholly.

    Raises:
        InvalidInputError: A file that the bot names is not there; nothing was done.
        BusUnavailableError, StoreUnavailableError, RetryableError: Repeat it; some of it may have
            been done.
    """
    files = await _files(means.store, turn.bot.workspace, answer)
    parts = [
        message_parts(message, files, f"messages[{at}]")
        for at, message in enumerate(answer.messages)
    ]
    refusal = _refusal(means, session, parts)
    if refusal is not None:
        return await hand_off(means, session, turn, "bot_failed", refusal)
    await _mark(means.store, files.values(), f"{_SENDING}{session.id}")
    for order in orders(turn, answer, parts, means.now() + timedelta(seconds=ANSWER_S)):
        told = await _ask(means.bus, session, _in_time(order, means.now()))
        if isinstance(told, Refused):
            return await _refused(means, session, turn, told)
        if told.message is not None:
            sent = {part.attachment for part in told.message.parts if hasattr(part, "attachment")}
            used = [file for file in files.values() if file.id in sent]
            await _mark(means.store, used, told.message.id)
    return Result(verdict="done")


async def hand_off(
    means: Means, session: Session, turn: Turn, because: Because, why: Result | None = None
) -> Result:
    """Ask for a human; return *why*, or `stale` where there is nobody to ask for any more.

    The code of *why* is told to people.

    Raises:
        BusUnavailableError, RetryableError: Repeat it.
    """
    detail = why.code if why is not None and why.code != because else ""
    order = human(turn, because, means.now() + timedelta(seconds=ANSWER_S), detail)
    told = await _ask(means.bus, session, order)
    if isinstance(told, Done):
        return why or Result(verdict="handed_off", code=because)
    if told.code in _MOVED:
        return Result(verdict="stale", code=told.code, detail=told.detail)
    log.error("bot.hand_off_refused", extra={"session": session.id, "code": told.code})
    raise RetryableError(f"the hand-off was refused: {told.code}")


async def _refused(means: Means, session: Session, turn: Turn, told: Refused) -> Result:
    if told.code in _MOVED:
        return Result(verdict="stale", code=told.code, detail=told.detail)
    if told.code == "idempotency_conflict":
        return Result(verdict="answered", code="answered", detail="the message was answered before")
    because: Because = "bot_budget" if told.code == "bot_budget" else "bot_failed"
    why = Result(verdict="handed_off", code=told.code, detail=told.detail)
    return await hand_off(means, session, turn, because, why)


async def _ask(bus: Bus, session: Session, order: Order) -> Answer:
    """Return the router's answer.

    Raises:
        BusUnavailableError: There was none, or the router cannot work just now.
    """
    verb = str(order.__struct_config__.tag)
    partition = partition_of(session.workspace, session.account, session.visitor)
    subject = subjects.command(partition, session.workspace, verb)
    try:
        told = _answer.decode(await bus.request(subject, _encode(order), timeout_s=ANSWER_S))
    except NoResponderError as error:
        raise BusUnavailableError(error.detail) from None
    if isinstance(told, Refused) and told.status >= _UNAVAILABLE:
        raise BusUnavailableError(f"the router: {told.code}")
    return told


def _in_time(order: Order, now: datetime) -> Order:
    """Return *order* with its whole time before it, however long those before it took."""
    return msgspec.structs.replace(order, deadline=now + timedelta(seconds=ANSWER_S))


def _refusal(
    means: Means, session: Session, messages: Iterable[tuple[ContentPart, ...]]
) -> Result | None:
    """Say why the channel would not carry one of the messages; None: it carries all."""
    channel = means.channels.get(session.channel)
    if channel is None:
        return None  # the sender will say
    for parts in messages:
        outbound = preview(parts, linkable=means.linkable)
        try:
            if channel.calls is not None:
                channel.calls(outbound)
            else:
                pieces(outbound, _rules(channel))
        except RejectedError as error:
            return Result(verdict="handed_off", code=error.reason, detail=error.detail)
    return None


def _rules(channel: Channel) -> Rules:
    return Rules(
        text_limit=channel.text_limit,
        text_unit=channel.text_unit,  # type: ignore[arg-type]  # each names one of them
        carries=channel.carries,
        media_limits=channel.media_limits,
        media_types=channel.media_types,
        needs_link=channel.needs_link,
    )


async def _files(store: Store, workspace: str, answer: BotAnswer) -> dict[str, Attachment]:
    """Return those of the named files that people of this workspace uploaded to be sent."""
    ids = [file for message in answer.messages for file in message.attachments]
    found = await store.get_many(ATTACHMENTS, workspace, ids) if ids else {}
    return {
        file.id: file
        for file in found.values()
        if file.direction == "out" and file.state == "stored"
    }


async def _mark(store: Store, files: Collection[Attachment], message: str) -> None:
    """Note that *message* has these files, where none is noted: what is sent is never swept.

    Somebody else who notes it at the same time is as good.
    """
    ids = [file.id for file in files if not file.message or file.message.startswith(_SENDING)]
    if not ids:
        return
    workspace = next(file.workspace for file in files)
    found = await store.get_many(ATTACHMENTS, workspace, ids)
    fresh = [
        msgspec.structs.replace(file, message=message)
        for file in found.values()
        if not file.message or file.message.startswith(_SENDING)
    ]
    if fresh:
        await store.replace_many(ATTACHMENTS, fresh)
