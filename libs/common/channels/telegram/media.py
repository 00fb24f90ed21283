"""A visitor's file at Telegram: asked for by its id, then fetched by a path that lives an hour.

Source: Telegram Bot API 10, "getFile" (read 2026-09).
"""

from __future__ import annotations

from libs.common.channel import Account, MediaExchange
from libs.common.channels.telegram import answers, calls
from libs.common.errors import NotSentError, RejectedError
from libs.common.events import MediaPart

LARGEST_BYTES = 20 * 1024 * 1024


def media(account: Account, part: MediaPart, _token: str) -> MediaExchange:
    """Ask for the file's path and return the call that fetches it.

    Raises:
        RejectedError: `too_large`: over the 20 MB that bots may fetch; `gone`: no such file.
        NotSentError: Telegram does not have it at hand just now.
        CredentialError, ThrottledError, AmbiguousSendError: See `answers.read`.
    """
    if (part.size_bytes or 0) > LARGEST_BYTES:
        raise RejectedError("over what bots may fetch", reason="too_large")
    reply = yield calls.call(account, "getFile", {"file_id": part.media_id}, harmless=True)
    if reply.status == 400 and b"temporarily" in reply.body:  # bad request
        raise NotSentError("the file is not at hand", delay_s=30.0)
    try:
        found = answers.read(reply).result
    except RejectedError as error:
        if error.reason == "bad_content":  # "wrong file_id", "invalid file_id"
            raise RejectedError(error.detail, reason="gone", provider_code="400") from None
        raise
    path = found.get("file_path") if isinstance(found, dict) else None
    if not isinstance(path, str) or not path:
        raise RejectedError("no path to the file", reason="gone")
    return calls.download(account, path)
