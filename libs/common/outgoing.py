"""What every `send` needs: the texts, the credentials, and provider answers as our failures."""

from __future__ import annotations

import re

from libs.common.channel import Account, HttpReply, Outbound
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    RejectedError,
    ThrottledError,
)
from libs.common.events import TextPart
from libs.common.text import TextUnit, split_text

_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_REQUEST_TIMEOUT = 408
_LONGEST_WAIT_S = 3600.0
_REASONS = {403: "permission", 413: "bad_content", 415: "bad_content"}


def texts_of(message: Outbound, limit: int, unit: TextUnit) -> list[str]:
    """Return the texts of *message*, each at most *limit* units, in order.

    Control characters are dropped and lone surrogates replaced: no provider takes them.

    Raises:
        RejectedError: `bad_content`: a part that is not text, or nothing to show at all. Raised
            before any call, so that a message is never sent by halves.
    """
    texts: list[str] = []
    for part in message.parts:
        if not isinstance(part, TextPart):
            raise RejectedError(f"{type(part).__name__} cannot be sent", reason="bad_content")
        texts += split_text(_sendable(part.text), limit, unit)
    if not texts:
        raise RejectedError("nothing to send", reason="bad_content")
    return texts


def credential(account: Account, name: str) -> str:
    """Return the secret that a call to the provider needs.

    Raises:
        CredentialError: The account has none, so the provider would refuse every call.
    """
    value = account.secrets.get(name, "")
    if not value:
        raise CredentialError(f"account {account.slug} has no {name}", reason="credential")
    return value


def raise_for_status(reply: HttpReply) -> None:
    """Return only for 2xx; a channel handles what its provider words differently before this.

    Raises:
        ThrottledError: 429; waits for what `Retry-After` says in seconds.
        AmbiguousSendError: 408 and 5xx: the provider may have carried it out all the same.
        CredentialError: 401.
        RejectedError: Everything else, redirects too.
    """
    status = reply.status
    if 200 <= status < 300:  # noqa: PLR2004  # what HTTP calls success
        return
    if status == 429:  # noqa: PLR2004
        raise ThrottledError("HTTP 429", delay_s=_retry_after_s(reply))
    if status >= 500 or status == _REQUEST_TIMEOUT:  # noqa: PLR2004
        raise AmbiguousSendError(f"HTTP {status}")
    if status == 401:  # noqa: PLR2004
        raise CredentialError("HTTP 401", reason="credential", provider_code="401")
    raise RejectedError(
        f"HTTP {status}", reason=_REASONS.get(status, "rejected"), provider_code=str(status)
    )


def _retry_after_s(reply: HttpReply) -> float:
    text = reply.headers.get("retry-after", "")
    return min(float(text), _LONGEST_WAIT_S) if text.isdecimal() and text.isascii() else 1.0


def _sendable(text: str) -> str:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _UNSENDABLE.sub("", whole)
