"""Fetching what a visitor sent from LINE, which keeps it for an unspecified time.

Source: LINE Messaging API reference, "Get content", "Verify the preparation status of a video or
audio file", read 2026-10.
"""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from libs.common.channel import Account, HttpCall, HttpReply, MediaExchange
from libs.common.channels.line.calls import bearer, data_host
from libs.common.channels.line.wire import Transcoding
from libs.common.decode import decode
from libs.common.errors import MalformedPayloadError, NotSentError, RejectedError
from libs.common.events import MediaPart
from libs.common.outgoing import raise_for_status

LIFE_S = 24 * 3600.0
"""Our own assumption: LINE only says that content disappears after some time."""
_NOT_READY_S = 5.0
_GONE = frozenset({404, 410})
_TRANSCODED = frozenset({"video", "audio"})
_DECODER = msgspec.json.Decoder(Transcoding, strict=False)


def media(account: Account, part: MediaPart, _access_token: str) -> MediaExchange:
    """Lead to the content of *part*; what is kept outside LINE is fetched without the token.

    Raises:
        NotSentError: LINE still converts the video or sound; ask again later.
        RejectedError: `gone`: deleted, or LINE could not convert it; `bad_content`: not a file.
        CredentialError, ThrottledError, AmbiguousSendError: See `raise_for_status`.
    """
    if not part.media_id:
        if not part.url:
            raise RejectedError("nothing to fetch", reason="bad_content")
        return HttpCall(url=part.url, method="GET", harmless=True)
    address = f"{data_host(account)}/v2/bot/message/{quote(part.media_id, safe='')}/content"
    if part.kind in _TRANSCODED:
        reply = yield _get(account, f"{address}/transcoding")
        _raise_unless_ready(reply)
    return _get(account, address)


def _get(account: Account, url: str) -> HttpCall:
    return HttpCall(url=url, method="GET", headers=bearer(account), idempotent=True, harmless=True)


def _raise_unless_ready(reply: HttpReply) -> None:
    if reply.status in _GONE:
        raise RejectedError("the content is gone", reason="gone", provider_code=str(reply.status))
    raise_for_status(reply)
    try:
        state = decode(_DECODER, reply.body).status
    except MalformedPayloadError:
        return  # a 2xx in other words: the content call itself will tell
    if state == "processing":
        raise NotSentError("still converting", delay_s=_NOT_READY_S)
    if state == "failed":
        raise RejectedError("could not be converted", reason="gone", provider_code=state)
