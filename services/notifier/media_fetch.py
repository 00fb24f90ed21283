"""Fetching one visitor's file: through its channel to the call, through the door to the storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from libs.common.channel import Account, Channel, HttpCall, HttpReply
from libs.common.documents import Attachment
from libs.common.errors import (
    CredentialError,
    NotFoundError,
    NotSentError,
    RejectedError,
)
from libs.common.events import MediaPart
from libs.common.files.api import Files
from libs.common.http import AllowedBase, Door, allowed_base
from services.notifier.deliver import Perform, Transcript, drive
from services.notifier.media_content import Content, ErrorDocumentError, Facts
from services.notifier.tokens import Tokens

_OK = frozenset({200, 206})
_UNAUTHORISED = 401
_GONE = frozenset({404, 410})
_LATER = frozenset({202, 204, 408, 425, 429})
_CLIENT_ERRORS = range(400, 500)


class GoneError(RejectedError):
    """The provider has it no more, or a link to it has expired."""

    code = "gone"


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What fetching needs; `account` looks up a slug.

    Seconds: `call_s` for a call that leads to a file, `download_s` for the file itself.
    """

    door: Door
    files: Files
    tokens: Tokens
    channels: Mapping[str, Channel]
    account: Callable[[str], Account | None]
    max_bytes: int
    call_s: float
    download_s: float = 300.0


async def fetch(means: Means, doc: Attachment, part: MediaPart) -> Facts:
    """Store a file and return what it is.

    Raises:
        FileRefusedError: It is of a kind that is not kept.
        RejectedError: As the provider or the door refused; `GoneError` where it is not there.
        NotSentError: It did not work out this time.
        StoreUnavailableError: The storage is away.
        BusUnavailableError: The bucket of tokens is away.
    """
    if doc.tries > 1 and (kept := await _kept(means, doc, part)):
        return kept  # stored by one who was stopped before it could say so
    account = means.account(doc.account)
    if account is None or account.workspace != doc.workspace:
        raise NotSentError("the account is gone or switched off")
    channel = means.channels.get(account.channel)
    if channel is None:
        raise NotSentError("no such channel here")
    try:
        return await _fetch(means, doc, part, account, None)
    except (CredentialError, ErrorDocumentError) as error:
        if channel.token is None:
            raise
        refused = await _token(means, account, channel, None)
        if not refused:
            raise error from None
        return await _fetch(means, doc, part, account, refused)


async def _kept(means: Means, doc: Attachment, part: MediaPart) -> Facts | None:
    """Return the facts of what is in the storage already."""
    content = Content(means.files.read(doc.workspace, doc.id), part)
    try:
        async for _ in content.pieces():
            pass
    except NotFoundError:
        return None
    return content.facts()


async def _fetch(
    means: Means, doc: Attachment, part: MediaPart, account: Account, refused: str | None
) -> Facts:
    channel = means.channels[account.channel]
    token = await _token(means, account, channel, refused)
    allow = allowed_base(account.api_base)
    call = HttpCall(url=part.url, method="GET")
    if channel.media is not None:
        exchange = channel.media(account, part, token)
        call = await drive(exchange, _performing(means, allow), Transcript())
    async with means.door.download(
        call, timeout_s=means.download_s, max_bytes=means.max_bytes, allow=allow
    ) as answer:
        _judge(answer.status)
        content = Content(answer.chunks, part)
        await means.files.put(doc.workspace, doc.id, content.pieces())
    if content.ended:
        return content.facts()
    kept = await _kept(means, doc, part)  # it was there already, and our stream was not read
    if kept is None:
        raise NotSentError("removed while it was fetched")
    return kept


async def _token(means: Means, account: Account, channel: Channel, refused: str | None) -> str:
    if channel.token is None:
        return ""
    perform = _performing(means, allowed_base(account.api_base))
    return await means.tokens.get(account, channel.token, perform, refused=refused)


def _performing(means: Means, allow: AllowedBase | None) -> Perform:
    async def perform(call: HttpCall) -> HttpReply:
        return await means.door.perform(call, timeout_s=means.call_s, allow=allow)

    return perform


def _judge(status: int) -> None:
    """Let a file pass.

    Raises:
        RejectedError, NotSentError: By the status.
    """
    if status in _OK:
        return
    if status == _UNAUTHORISED:
        raise CredentialError("401 for a file", reason="credential", provider_code=str(status))
    if status in _GONE:
        raise GoneError(f"{status} for a file", reason="gone", provider_code=str(status))
    if status in _CLIENT_ERRORS and status not in _LATER:
        raise RejectedError(f"{status} for a file", reason="refused", provider_code=str(status))
    raise NotSentError(f"{status} for a file")
