"""What Telegram's answers prove.

Source: Telegram Bot API 10, "Making requests" and "ResponseParameters" (read 2026-09). There are
no error numbers beside HTTP's; the description is English text.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.channel import HttpReply
from libs.common.decode import salvage
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    MalformedPayloadError,
    RejectedError,
    ThrottledError,
)
from libs.common.outgoing import raise_for_status
from libs.common.providers.normal import count

_LONGEST_WAIT_S = 3600.0

_WORDS = (
    ("bot was blocked", "blocked"),
    ("user is deactivated", "blocked"),
    ("bot was kicked", "blocked"),
    ("can't initiate conversation", "blocked"),  # they never pressed Start
    ("not a member", "blocked"),
    ("chat not found", "bad_recipient"),
    ("user not found", "bad_recipient"),
    ("group chat was deactivated", "bad_recipient"),
    ("peer_id_invalid", "bad_recipient"),
    ("group chat was upgraded", "bad_recipient"),
    ("not enough rights", "permission"),
    ("have no rights", "permission"),
    ("need administrator rights", "permission"),
    ("chat_write_forbidden", "permission"),
    ("file is too big", "too_large"),
    ("request entity too large", "too_large"),
)
"""Words of a description, in lower case, with the stable word for them."""

_NO_PHOTO = ("photo_invalid_dimensions", "image_process_failed")

_BY_STATUS = {400: "bad_content", 403: "permission", 413: "too_large"}


class Answer(msgspec.Struct, frozen=True):
    """`result` where it was taken, else why it can be sent otherwise.

    `moved_to` is the supergroup that a group became; `no_photo`: too long, wide or odd for one.
    """

    result: Any = None
    moved_to: str = ""
    no_photo: bool = False


def read(reply: HttpReply) -> Answer:
    """Return what an answer says.

    Raises:
        ThrottledError: 429, with the seconds that Telegram asks for.
        CredentialError: 401, and 404, by which it answers an address with a malformed token.
        RejectedError: Refused for good.
        AmbiguousSendError: 5xx, or an answer that nobody can read.
    """
    answer = _object(reply.body)
    status = reply.status
    if status // 100 == 2:
        if answer.get("ok") is not True:
            raise AmbiguousSendError("an answer that says nothing")
        return Answer(result=answer.get("result"))
    found = answer.get("parameters")
    parameters: dict[str, Any] = found if isinstance(found, dict) else {}
    if status == 400 and parameters.get("migrate_to_chat_id"):  # bad request
        return Answer(moved_to=str(parameters["migrate_to_chat_id"]))
    description = str(answer.get("description") or "").lower()
    if status == 400 and any(word in description for word in _NO_PHOTO):  # bad request
        return Answer(no_photo=True)
    _refuse(reply, description, parameters)
    raise AmbiguousSendError(f"HTTP {status}")  # a redirect or a stranger's answer


def message_id(answer: Answer) -> str:
    """Return the id of the message that went out.

    Raises:
        RejectedError: `bad_content`: nothing went out.
        AmbiguousSendError: It says ok without one: nobody knows what became of it.
    """
    if answer.no_photo:
        raise RejectedError("HTTP 400", reason="bad_content", provider_code="400")
    found = answer.result.get("message_id") if isinstance(answer.result, dict) else None
    if not isinstance(found, int | str) or isinstance(found, bool) or not found:
        raise AmbiguousSendError("an answer without a message id")
    return str(found)


def _refuse(reply: HttpReply, description: str, parameters: dict[str, Any]) -> None:
    status = reply.status
    if status == 429 and "retry_after" in parameters:  # too many requests
        wait = parameters["retry_after"]
        delay_s = float(count(wait if isinstance(wait, int | float | str) else None))
        raise ThrottledError("HTTP 429", delay_s=min(max(delay_s, 1.0), _LONGEST_WAIT_S))
    if status in {401, 404}:
        raise CredentialError(f"HTTP {status}", reason="credential", provider_code=str(status))
    if status in _BY_STATUS:
        known = (word for words, word in _WORDS if words in description)
        raise RejectedError(
            f"HTTP {status}", reason=next(known, _BY_STATUS[status]), provider_code=str(status)
        )
    raise_for_status(reply)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = salvage(body)
    except MalformedPayloadError:
        return {}
    return value if isinstance(value, dict) else {}
