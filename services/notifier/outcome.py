"""What a failed try means for a message: try again, fetch a new token, or an outcome for good.

Pure rules. The law behind them: a message that the provider may have taken is never sent again,
unless the call carries a retry key that makes the provider recognise the repeat.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from libs.common.channel import Sent
from libs.common.documents import SendAttempt
from libs.common.errors import (
    AmbiguousSendError,
    CredentialError,
    GatewayError,
    NotSentError,
    RejectedError,
    ThrottledError,
)

LONGEST_WAIT_S = 3600.0
"""A provider that names a longer wait is not believed."""
LONGEST_BACKOFF_S = 30.0
JITTER = 0.25


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A message's outcome for good; fields as in `events.SendReported`."""

    status: Literal["sent", "failed", "unknown"]
    provider_ids: tuple[str, ...] = ()
    via: str = ""
    reason: str = ""
    provider_code: str = ""
    linked_visitor: str = ""


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Try again after `delay_s`; `pause` makes the whole account wait as long."""

    delay_s: float
    pause: bool = False


class Refresh(msgspec.Struct, frozen=True):
    """The provider refused a fetched token: fetch another, then try again at once."""


Verdict = Result | Again | Refresh


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How far the message has come.

    Attributes:
        tries: Tries so far, this one included; `limit` is the most.
        called: A call was made in this try, so the failure is about a call.
        keyed: The call that failed carries a retry key.
        harmless: The call that failed shows the visitor nothing, whether it was taken or not.
        doubtful: An earlier try may have been taken by the provider.
        partly: The provider took an earlier part of the message.
        refreshable: The token was fetched and has not been refreshed yet.
        chance: Between 0 and 1, for the jitter.
    """

    tries: int
    limit: int
    called: bool = True
    keyed: bool = False
    harmless: bool = False
    doubtful: bool = False
    partly: bool = False
    refreshable: bool = False
    chance: float = 0.0


def judge(error: GatewayError, tried: Tried) -> Verdict:
    """Return what to do after *error*."""
    if isinstance(error, CredentialError) and tried.refreshable:
        return Refresh()
    if _may_repeat(error, tried):
        told = getattr(error, "delay_s", 0.0)
        delay_s = min(max(told, backoff_s(tried.tries)), LONGEST_WAIT_S)
        pause = isinstance(error, ThrottledError)
        return Again(delay_s=delay_s * (1 + JITTER * tried.chance), pause=pause)
    reason = error.reason if isinstance(error, RejectedError) else error.code
    code = error.provider_code if isinstance(error, RejectedError) else ""
    ids = tuple(getattr(error, "provider_ids", ()))  # of the parts that went out
    if not _is_certain(error, tried):
        return Result(status="unknown", reason=reason, provider_code=code, provider_ids=ids)
    reason = "partly_sent" if tried.partly else reason
    return Result(status="failed", reason=reason, provider_code=code, provider_ids=ids)


def backoff_s(tries: int) -> float:
    """Return the seconds to wait after the *tries*-th try: 1, 2, 4, ... up to 30."""
    return min(2.0 ** (tries - 1), LONGEST_BACKOFF_S)


def sent(answer: Sent) -> Result:
    """Return the outcome of a send that the provider took."""
    return Result(
        status="sent",
        provider_ids=answer.provider_ids,
        via=answer.via,
        linked_visitor=answer.linked_visitor,
    )


def recorded(attempt: SendAttempt) -> Result | None:
    """Return the outcome that *attempt* holds, or None while it has none."""
    if attempt.state == "started" or attempt.state == "waiting":  # noqa: PLR1714 (narrows the type)
        return None
    return Result(
        status=attempt.state,
        provider_ids=attempt.provider_ids,
        via=attempt.via,
        reason=attempt.reason,
        provider_code=attempt.provider_code,
        linked_visitor=attempt.linked_visitor,
    )


def _may_repeat(error: GatewayError, tried: Tried) -> bool:
    if tried.tries >= tried.limit:
        return False
    return isinstance(error, NotSentError) or (
        isinstance(error, AmbiguousSendError) and (tried.keyed or tried.harmless)
    )


def _is_certain(error: GatewayError, tried: Tried) -> bool:
    """Tell whether the provider has certainly not taken what failed."""
    if tried.doubtful:
        return False
    harmless = tried.harmless or not tried.called
    return harmless or isinstance(error, NotSentError | RejectedError)
