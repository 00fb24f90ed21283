"""Sending through LINE: the free reply token while it lasts, otherwise push.

Source: LINE Messaging API reference, "Send reply message", "Send push message", "Retry failed API
requests", read 2026-10.
"""

from __future__ import annotations

import uuid

import msgspec

from libs.common.channel import Account, Exchange, HttpCall, HttpReply, Outbound, Sent
from libs.common.channels.line.bubbles import Bubble, bubbles
from libs.common.channels.line.calls import answer, headers, host
from libs.common.channels.line.wire import SendAnswer
from libs.common.errors import NotSentError, RejectedError
from libs.common.outgoing import raise_for_status

BUBBLES_PER_CALL = 5
REPLY_WITHIN_S = 50
"""The token lives one minute from LINE's side; ten seconds are left for the way."""

_RETRY_KEYS = uuid.UUID("6f1d3f0e-5c55-5d0c-9d52-52454c415944")
_ALREADY_ACCEPTED = 409


def send(account: Account, message: Outbound) -> Exchange:
    """Reply where the token is fresh, else push, five bubbles a call, in order.

    The retry key is derived from the message id and the call number, so a repeat after a crash is
    recognised by LINE (409) and not shown twice. A reply takes no such key; therefore

    - only a message that fits one call is replied: after a reply and a failed push behind it, a
      repeat would find the token used and push the first bubbles again;
    - a reply whose outcome is not known is never followed by a push: the failure passes through.

    Raises:
        RejectedError: `quota` (monthly limit), `bad_recipient`, `bad_content`, `permission`;
            before any call as in `bubbles`.
        CredentialError, ThrottledError, AmbiguousSendError: See `raise_for_status`.
    """
    shown = bubbles(message)
    if _may_reply(message, len(shown)):
        reply = yield _reply_call(account, message, shown)
        if not _token_refused(reply):
            return Sent(provider_ids=_accepted(reply), via="reply")
    ids: list[str] = []
    for start in range(0, len(shown), BUBBLES_PER_CALL):
        chunk = shown[start : start + BUBBLES_PER_CALL]
        reply = yield _push_call(account, message, chunk, number=start // BUBBLES_PER_CALL)
        try:
            ids += _accepted(reply)
        except (RejectedError, NotSentError) as error:
            error.provider_ids = tuple(ids)
            raise
    return Sent(provider_ids=tuple(ids), via="push")


def _may_reply(message: Outbound, count: int) -> bool:
    fresh = bool(message.reply_token) and message.reply_token_age_s < REPLY_WITHIN_S
    return fresh and count <= BUBBLES_PER_CALL


def _reply_call(account: Account, message: Outbound, shown: list[Bubble]) -> HttpCall:
    return HttpCall(
        url=f"{host(account)}/v2/bot/message/reply",
        headers=headers(account),
        body=msgspec.json.encode({"replyToken": message.reply_token, "messages": shown}),
    )


def _push_call(
    account: Account, message: Outbound, shown: list[Bubble], *, number: int
) -> HttpCall:
    key = uuid.uuid5(_RETRY_KEYS, f"{message.message_id}:{number}")
    return HttpCall(
        url=f"{host(account)}/v2/bot/message/push",
        headers={**headers(account), "x-line-retry-key": str(key)},
        body=msgspec.json.encode({"to": message.recipient, "messages": shown}),
        idempotent=True,
    )


def _token_refused(reply: HttpReply) -> bool:
    return reply.status == 400 and "invalid reply token" in answer(reply).message.lower()


def _accepted(reply: HttpReply) -> tuple[str, ...]:
    told = answer(reply)
    if reply.status != _ALREADY_ACCEPTED:
        _raise_refusal(reply, told)
    return tuple(str(sent.id) for sent in told.sent_messages if sent.id)


def _raise_refusal(reply: HttpReply, told: SendAnswer) -> None:
    if reply.status == 429 and "monthly limit" in told.message.lower():
        raise RejectedError("monthly limit reached", reason="quota", provider_code="429")
    if reply.status == 400:
        about = {detail.property for detail in told.details}
        reason = "bad_recipient" if "to" in about or "'to'" in told.message else "bad_content"
        raise RejectedError("HTTP 400", reason=reason, provider_code="400")
    raise_for_status(reply)
