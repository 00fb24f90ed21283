"""Sending through LINE: the free reply token while it lasts, otherwise push.

Source: LINE Messaging API reference, "Send reply message", "Send push message", "Retry failed API
requests", read 2026-10.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from libs.common.channel import Account, Exchange, HttpCall, HttpReply, Outbound, Sent
from libs.common.channels.line.wire import SendAnswer
from libs.common.decode import decode
from libs.common.errors import MalformedPayloadError, NotSentError, RejectedError
from libs.common.outgoing import credential, raise_for_status, texts_of

HOST = "https://api.line.me"
TEXT_LIMIT = 5000
"""UTF-16 code units of one bubble."""
BUBBLES_PER_CALL = 5
REPLY_WITHIN_S = 50
"""The token lives one minute from LINE's side; ten seconds are left for the way."""

_RETRY_KEYS = uuid.UUID("6f1d3f0e-5c55-5d0c-9d52-52454c415944")
_ALREADY_ACCEPTED = 409
_ANSWER = msgspec.json.Decoder(SendAnswer, strict=False)


def send(account: Account, message: Outbound) -> Exchange:
    """Reply where the token is fresh, else push, five bubbles a call, in order.

    The retry key is derived from the message id and the call number, so a repeat after a crash is
    recognised by LINE (409) and not shown twice. A reply takes no such key; therefore

    - only a message that fits one call is replied: after a reply and a failed push behind it, a
      repeat would find the token used and push the first bubbles again;
    - a reply whose outcome is not known is never followed by a push: the failure passes through.

    Raises:
        RejectedError: `quota` (monthly limit), `bad_recipient`, `bad_content`, `permission`.
        CredentialError, ThrottledError, AmbiguousSendError: See `raise_for_status`.
    """
    texts = texts_of(message, TEXT_LIMIT, "utf16")
    bubbles: list[dict[str, Any]] = [{"type": "text", "text": text} for text in texts]
    if _may_reply(message, len(bubbles)):
        reply = yield _reply_call(account, message, bubbles)
        if not _token_refused(reply):
            return Sent(provider_ids=_accepted(reply), via="reply")
    ids: list[str] = []
    for start in range(0, len(bubbles), BUBBLES_PER_CALL):
        chunk = bubbles[start : start + BUBBLES_PER_CALL]
        reply = yield _push_call(account, message, chunk, number=start // BUBBLES_PER_CALL)
        try:
            ids += _accepted(reply)
        except (RejectedError, NotSentError) as error:
            error.provider_ids = tuple(ids)
            raise
    return Sent(provider_ids=tuple(ids), via="push")


def _may_reply(message: Outbound, bubbles: int) -> bool:
    fresh = bool(message.reply_token) and message.reply_token_age_s < REPLY_WITHIN_S
    return fresh and bubbles <= BUBBLES_PER_CALL


def _reply_call(account: Account, message: Outbound, bubbles: list[dict[str, Any]]) -> HttpCall:
    return HttpCall(
        url=f"{_host(account)}/v2/bot/message/reply",
        headers=_headers(account),
        body=msgspec.json.encode({"replyToken": message.reply_token, "messages": bubbles}),
    )


def _push_call(
    account: Account, message: Outbound, bubbles: list[dict[str, Any]], *, number: int
) -> HttpCall:
    key = uuid.uuid5(_RETRY_KEYS, f"{message.message_id}:{number}")
    return HttpCall(
        url=f"{_host(account)}/v2/bot/message/push",
        headers={**_headers(account), "x-line-retry-key": str(key)},
        body=msgspec.json.encode({"to": message.recipient, "messages": bubbles}),
        idempotent=True,
    )


def _host(account: Account) -> str:
    return account.api_base.rstrip("/") or HOST


def _headers(account: Account) -> dict[str, str]:
    token = credential(account, "access_token")
    return {"authorization": f"Bearer {token}", "content-type": "application/json"}


def _answer(reply: HttpReply) -> SendAnswer:
    try:
        return decode(_ANSWER, reply.body)
    except MalformedPayloadError:
        return SendAnswer()  # the status alone decides; ids are a courtesy


def _token_refused(reply: HttpReply) -> bool:
    return reply.status == 400 and "invalid reply token" in _answer(reply).message.lower()


def _accepted(reply: HttpReply) -> tuple[str, ...]:
    answer = _answer(reply)
    if reply.status != _ALREADY_ACCEPTED:
        _raise_refusal(reply, answer)
    return tuple(str(sent.id) for sent in answer.sent_messages if sent.id)


def _raise_refusal(reply: HttpReply, answer: SendAnswer) -> None:
    if reply.status == 429 and "monthly limit" in answer.message.lower():
        raise RejectedError("monthly limit reached", reason="quota", provider_code="429")
    if reply.status == 400:
        about = {detail.property for detail in answer.details}
        reason = "bad_recipient" if "to" in about or "'to'" in answer.message else "bad_content"
        raise RejectedError("HTTP 400", reason=reason, provider_code="400")
    raise_for_status(reply)
