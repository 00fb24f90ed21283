"""The wire of webhook bots: what they are asked, and what they may answer.

A bot answers a call at once (200 with an answer as its body), or later: any other 2xx, or 200
without a body, is a receipt, and the answer is posted to `reply_url` before the deadline, with
`session`, `epoch` and `message` (its id) as the call named them. Either answer is a JSON object:
`messages` (each `text`, `choices` of `title`, `payload`, `url`, and `attachments`, ids of stored
files), `hand_off`, `end`, and `later` for an answer at once that is a receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from libs.common.channel import HttpCall, HttpReply
from libs.common.documents import Bot
from libs.common.errors import (
    BadSignatureError,
    CommandError,
    InvalidInputError,
    MalformedPayloadError,
    RejectedError,
)
from libs.common.events import Choice, ChoicesPart, ContentPart, TextPart
from libs.common.ids import derive_id
from libs.common.outgoing import raise_for_status
from libs.common.signing import sign, verify

MOST_MESSAGES = 5
LONGEST_TEXT = 4000
MOST_CHOICES = 10
LONGEST_TITLE = 80
LONGEST_PAYLOAD = 60
"""Bytes: Telegram's buttons carry no more than 64."""
MOST_ATTACHMENTS = 10
ANSWER_BYTES = 64 * 1024
CALL_BYTES = 256 * 1024
MOST_HISTORY = 20

_OK = 200
_GONE = 410


# --- what a bot is asked -----------------------------------------------------------------------


class BotContact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who writes, as far as known."""

    id: str
    name: str = ""
    language: str = ""
    fields: Mapping[str, str] = {}


class BotLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message of the session. `sender` is `visitor`, `agent`, `bot` or `automation`."""

    id: str
    at: datetime
    sender: str
    parts: tuple[ContentPart, ...]


class BotCase(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a bot: to answer `message`.

    Attributes:
        epoch: Of the session now; an answer to another epoch is not sent.
        history: What was said before, oldest first; at most the last 20 messages go out, and
            fewer where the whole gets too long.
        deadline: After it the session goes to a human.
        reply_url: Where a later answer is posted.
    """

    workspace: str
    session: str
    epoch: int
    channel: str
    account: str
    message: BotLine
    contact: BotContact
    history: tuple[BotLine, ...] = ()
    reply_url: str
    deadline: datetime


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    session: str
    epoch: int
    channel: str
    account: str
    message: BotLine
    contact: BotContact
    history: tuple[BotLine, ...]
    reply_url: str
    deadline: datetime


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    type: Literal["message.received"]
    timestamp: datetime
    data: _Data


def call_id(bot: Bot, case: BotCase) -> str:
    """Return the id of a call, the same for a repeat of it: a bot knows by it what it has done."""
    return call_about(bot, case.session, case.epoch, case.message.id)


def call_about(bot: Bot, session: str, epoch: int, message: str) -> str:
    """Return the id of the call that asks *bot* to answer *message*."""
    return derive_id("call", bot.workspace, bot.id, session, str(epoch), message)


def request(bot: Bot, secret: str, case: BotCase, now: datetime) -> HttpCall:
    """Return the signed call that asks *bot*; it may be repeated, signed anew, with the same id.

    Args:
        bot: A webhook bot; `url` counts.
        secret: One `whsec_...`, or several parted by blanks while it is being changed.
        case: What is asked.
        now: When it is sent.

    Raises:
        BadSignatureError: There is no usable secret.
        RejectedError: The message alone is larger than `CALL_BYTES`; give it to a human.
    """
    body = _body(case, now)
    headers = sign(secret, call_id(bot, case), body, now)
    return HttpCall(
        url=bot.url,
        headers={**headers, "content-type": "application/json"},
        body=body,
        idempotent=True,
    )


def _body(case: BotCase, now: datetime) -> bytes:
    history = case.history[-MOST_HISTORY:]
    named = msgspec.structs.asdict(case)
    del named["workspace"]
    while True:
        data = _Data(**{**named, "history": history})
        body = msgspec.json.encode(_Call(type="message.received", timestamp=now, data=data))
        if len(body) <= CALL_BYTES:
            return body
        if not history:
            raise RejectedError("the message is too large for a bot", reason="too_large")
        history = history[(len(history) + 1) // 2 :]


# --- what a bot answers ------------------------------------------------------------------------


class BotMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message to send: `parts`, and behind them stored files by id, yet to be looked up."""

    parts: tuple[ContentPart, ...]
    attachments: tuple[str, ...] = ()


class BotAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot wants.

    Attributes:
        messages: To send in order; with none of them, no `hand_off` and no `end`, the bot has
            chosen to say nothing.
        accepted_later: It has the call, and answers to `reply_url` before the deadline.
        call: Of a callback: the id of the bot's request, equal for its repeat.
        session, epoch, message: Of a callback: what it answers, as the call named it.
    """

    messages: tuple[BotMessage, ...] = ()
    hand_off: bool = False
    end: bool = False
    accepted_later: bool = False
    call: str = ""
    session: str = ""
    epoch: int = 0
    message: str = ""


class AnswerChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something to tap: `payload` comes back with the tap; a `url` is opened instead."""

    title: str
    payload: str = ""
    url: str = ""


class AnswerMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message to send; `attachments` are ids of stored files."""

    text: str = ""
    choices: tuple[AnswerChoice, ...] = ()
    attachments: tuple[str, ...] = ()


class AnswerBody(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. Fields it does not know are passed over, so that bots may send more."""

    messages: tuple[AnswerMessage, ...] = ()
    hand_off: bool = False
    end: bool = False
    later: bool = False


class CallbackBody(AnswerBody, frozen=True, kw_only=True):
    """A later answer: what it answers, as the call named it."""

    session: str
    epoch: int
    message: str


_reply = msgspec.json.Decoder(AnswerBody)
_callback = msgspec.json.Decoder(CallbackBody)


def read_answer(reply: HttpReply) -> BotAnswer:
    """Return what a bot answered to a call.

    Raises:
        MalformedPayloadError: The body is no answer; `detail` names the field.
        ThrottledError, AmbiguousSendError: As by `outgoing.raise_for_status`; a repeat is safe.
        RejectedError: Any other status; 410 has the reason `gone`: the bot wants no more calls.
    """
    if reply.status == _GONE:
        raise RejectedError("HTTP 410", reason="gone", provider_code="410")
    raise_for_status(reply)
    if reply.status != _OK or not reply.body.strip():
        return BotAnswer(accepted_later=True)
    try:
        given = _decoded(_reply, reply.body)
        return BotAnswer(
            messages=_messages(given),
            hand_off=given.hand_off,
            end=given.end,
            accepted_later=given.later,
        )
    except CommandError as error:
        raise MalformedPayloadError(f"answer of the bot: {error.detail}") from None


def read_callback(
    bot: Bot, secret: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> BotAnswer:
    """Return what a bot posted to its `reply_url`.

    Raises:
        BadSignatureError: It is not proven to come from this bot, see `signing.verify`; 401.
        InvalidInputError: A field is wrong, or the body too large; names what is allowed. 422.
    """
    if bot.kind != "webhook":
        raise BadSignatureError("the bot is no webhook bot")
    if len(body) > ANSWER_BYTES:
        raise _too_large()
    call = verify(secret, headers, body, now)
    given = _decoded(_callback, body)
    return BotAnswer(
        messages=_messages(given),
        hand_off=given.hand_off,
        end=given.end,
        call=call,
        session=given.session,
        epoch=given.epoch,
        message=given.message,
    )


def _decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    if len(body) > ANSWER_BYTES:
        raise _too_large()
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _unfit(error) from None
    except (ValueError, RecursionError):
        raise InvalidInputError("The body is no JSON.", field="", allowed="a JSON object") from None


def _too_large() -> InvalidInputError:
    return InvalidInputError(
        f"The body is larger than {ANSWER_BYTES} bytes.", field="", allowed=f"{ANSWER_BYTES} bytes"
    )


def _unfit(error: msgspec.ValidationError) -> InvalidInputError:
    """Name the place and the types; msgspec's words hold no values of ours."""
    words = str(error)
    what, _, place = words.partition(" - at ")
    field = place.strip("`").removeprefix("$").removeprefix(".")
    return InvalidInputError(f"{field or 'body'}: {what}.", field=field, allowed=what)


def _messages(given: AnswerBody) -> tuple[BotMessage, ...]:
    if len(given.messages) > MOST_MESSAGES:
        raise _wrong("messages", f"at most {MOST_MESSAGES} are allowed")
    if given.hand_off and given.end:
        raise _wrong("end", "either hand_off or end is allowed")
    return tuple(_message(one, f"messages[{at}]") for at, one in enumerate(given.messages))


def _message(one: AnswerMessage, place: str) -> BotMessage:
    text = one.text.strip()
    _check_plain(f"{place}.text", text)
    if not text and (one.choices or not one.attachments):
        raise _wrong(f"{place}.text", "a text is needed, or attachments alone")
    if len(text) > LONGEST_TEXT:
        raise _wrong(f"{place}.text", f"at most {LONGEST_TEXT} characters are allowed")
    if len(one.attachments) > MOST_ATTACHMENTS or "" in one.attachments:
        raise _wrong(
            f"{place}.attachments", f"at most {MOST_ATTACHMENTS} ids of stored files are allowed"
        )
    if one.choices:
        return BotMessage(parts=(_choices(one, text, place),), attachments=one.attachments)
    return BotMessage(parts=(TextPart(text=text),) if text else (), attachments=one.attachments)


def _choices(one: AnswerMessage, text: str, place: str) -> ChoicesPart:
    if len(one.choices) > MOST_CHOICES:
        raise _wrong(f"{place}.choices", f"at most {MOST_CHOICES} are allowed")
    for at, choice in enumerate(one.choices):
        where = f"{place}.choices[{at}]"
        _check_plain(f"{where}.title", choice.title)
        _check_plain(f"{where}.payload", choice.payload)
        if not 1 <= len(choice.title.strip()) <= LONGEST_TITLE:
            raise _wrong(f"{where}.title", f"1 to {LONGEST_TITLE} characters are allowed")
        if len(choice.payload.encode("utf-8", "surrogatepass")) > LONGEST_PAYLOAD:
            raise _wrong(f"{where}.payload", f"at most {LONGEST_PAYLOAD} bytes are allowed")
        if choice.url and not choice.url.startswith("https://"):
            raise _wrong(f"{where}.url", "an https address is allowed, or none")
    shown = tuple(
        Choice(title=choice.title.strip(), payload=choice.payload, url=choice.url)
        for choice in one.choices
    )
    return ChoicesPart(
        text=text,
        choices=shown,
        style="button" if any(choice.url for choice in one.choices) else "quick_reply",
    )


def _check_plain(field: str, text: str) -> None:
    if "\x00" in text:
        raise _wrong(field, "text without U+0000 is allowed")


def _wrong(field: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {allowed}.", field=field, allowed=allowed)
