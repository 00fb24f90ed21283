"""What webhook bots answer later: posted to the `reply_url` of the call that asked them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import msgspec

from libs.common.bot_answers import Means, Result, carry_out
from libs.common.bots.orders import Turn
from libs.common.bots.secrets import fresh_secret, open_secret
from libs.common.bots.webhook import ANSWER_BYTES, BotAnswer, CallbackBody, read_callback
from libs.common.documents import MESSAGES, SESSIONS, Bot, Session
from libs.common.errors import (
    BadSignatureError,
    BusUnavailableError,
    CommandError,
    NotFoundError,
    RetryableError,
    SealError,
    StoreUnavailableError,
)
from services.desk import metrics
from services.desk.api.problem import RefusalError, unavailable
from services.desk.api.route import Call, Reply, Route
from services.desk.throttle import Buckets, Limit

LIMIT = Limit(burst=100, refill_s=0.1)
"""Answers of one bot: a hundred at once, then ten a second."""

_HEADERS = {
    "webhook-id": "Of the answer: the same for a repeat",
    "webhook-timestamp": "Seconds since 1970; at most five minutes off",
    "webhook-signature": "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`",
}
_PROBLEMS = {
    401: "Not signed by this bot just now, or there is no such bot",
    404: "The bot was never asked to answer such a message",
    409: "The session has moved on, the message was answered before, or the channel or the bot's "
    "budget do not allow it (then a human was asked)",
    413: f"The body is larger than {ANSWER_BYTES} bytes",
    429: "Too many answers of this bot; wait as long as Retry-After says",
}


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The answer was carried out, now or when it first came."""

    accepted: bool = True


class Answers:
    """Takes the answers of all bots.

    Args:
        clock: Seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float], limit: Limit = LIMIT) -> None:
        self._buckets = Buckets(limit, clock)

    async def take(self, call: Call) -> Reply:
        """Carry out an answer; 202, also for a repeat.

        Raises:
            RefusalError: 401 for whoever is not proven to be the bot, 409, 413, 429, 503.
            InvalidInputError: A field is wrong.
            NotFoundError: No such session or message.
        """
        try:
            bot, answer = await _read(call)
            self._limit(bot)
            session = await _session(call, bot, answer)
            result = await _done(call, session, bot, answer)
        except CommandError as error:
            metrics.BOT_ANSWERS.labels(_OUTCOMES.get(error.status, "malformed")).inc()
            raise
        metrics.BOT_ANSWERS.labels(result.verdict).inc()
        if result.verdict == "done":
            return Reply(status=202, body=Taken())
        raise _refusal(result)

    def _limit(self, bot: Bot) -> None:
        """Count the answers that are proven to be the bot's: nobody else can use them up."""
        wait_s = self._buckets.take(f"{bot.workspace}/{bot.id}")
        if wait_s:
            headers = {"Retry-After": str(math.ceil(wait_s))}
            raise RefusalError(
                429, "throttled", "Too many answers; wait a little.", headers=headers
            )


_OUTCOMES = {401: "unsigned", 404: "unknown", 409: "stale", 429: "throttled", 503: "unavailable"}
_NOBODY = Bot(id="", workspace="", name="", kind="webhook")
_NOBODYS = fresh_secret()


async def _read(call: Call) -> tuple[Bot, BotAnswer]:
    """Return who answers and what; an unknown bot takes as long to refuse as a known one."""
    if len(call.body) > ANSWER_BYTES:
        limit = str(ANSWER_BYTES)
        raise RefusalError(
            413, "body_too_large", f"The body is larger than {limit} bytes.", allowed=limit
        )
    bot, secret = await _bot(call)
    try:
        answer = read_callback(bot, secret, call.headers, call.body, call.desk.now())
    except BadSignatureError:
        raise RefusalError(401, "bad_signature", "This is not signed by the bot.") from None
    return bot, answer


async def _bot(call: Call) -> tuple[Bot, str]:
    found = await call.desk.store.bot(call.params["workspace"], call.params["bot"])
    if found is None:
        return _NOBODY, _NOBODYS
    try:
        return found, open_secret(call.desk.sealer, found)
    except SealError:
        return _NOBODY, _NOBODYS


async def _session(call: Call, bot: Bot, answer: BotAnswer) -> Session:
    """Return the session that is answered.

    Raises:
        NotFoundError: There is no such session, or no such message of its visitor.
        RefusalError: 409: it is not the bot's any more, or nothing is waited for.
    """
    port = call.desk.store.port
    session = await port.get(SESSIONS, bot.workspace, answer.session)
    if session is None:
        raise NotFoundError("There is no such session.", field="session")
    if not bot.enabled or _is_not_its(session, bot, answer.epoch):
        raise _refusal(Result(verdict="stale", detail="the session is not this bot's any more"))
    message = await port.get(MESSAGES, bot.workspace, answer.message)
    if message is None or message.session != session.id or message.sender != "visitor":
        raise NotFoundError("There is no such message of the visitor.", field="message")
    unasked = session.epoch == answer.epoch and session.bot_asked != answer.message
    if unasked and not answer.messages:  # what it says is known by its key, this would not be
        raise _refusal(Result(verdict="answered", detail="the message was answered before"))
    return session


def _is_not_its(session: Session, bot: Bot, epoch: int) -> bool:
    """Tell whether the bot cannot speak in this epoch; of an earlier one the router knows more.

    There it tells a repeat of what was done from what comes too late.
    """
    return epoch > session.epoch or (epoch == session.epoch and session.bot_id != bot.id)


async def _done(call: Call, session: Session, bot: Bot, answer: BotAnswer) -> Result:
    desk = call.desk
    means = Means(
        bus=desk.bus,
        store=desk.store.port,
        channels=desk.channels,
        linkable=bool(desk.settings.public_url),
        now=desk.now,
    )
    turn = Turn(bot=bot, session=session.id, epoch=answer.epoch, message=answer.message)
    try:
        return await carry_out(means, session, turn, answer)
    except (BusUnavailableError, StoreUnavailableError):
        raise unavailable("No answer in time; send it again with the same webhook-id.") from None
    except RetryableError:
        raise unavailable("It cannot be done right now; send it again.") from None


def _refusal(result: Result) -> RefusalError:
    code = result.code if result.verdict == "handed_off" else result.verdict
    tail = "; a human was asked" if result.verdict == "handed_off" else ""
    return RefusalError(409, code, f"Not sent: {result.detail}{tail}.")


ROUTE = Route(
    name="bot_answer",
    method="POST",
    path="/bots/{workspace}/{bot}/answers",
    handler=Answers(time.monotonic).take,
    role=None,
    summary="Answer later, as the webhook bot that was asked; signed per Standard Webhooks",
    body=CallbackBody,
    raw=True,
    answers={202: Taken},
    problems=_PROBLEMS,
    headers=_HEADERS,
)
