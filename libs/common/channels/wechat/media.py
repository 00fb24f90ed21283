"""Fetching what a visitor sent from WeChat, and the sign that we type.

Source: WeChat Official Account documentation, "Get temporary media", "Customer service typing
state", read 2026-10.
"""

from __future__ import annotations

import msgspec

from libs.common.channel import (
    Account,
    HttpCall,
    HttpReply,
    MediaExchange,
    Signal,
    SignalExchange,
)
from libs.common.channels.wechat.calls import (
    JSON_HEADERS,
    address,
    answer,
    host,
    raise_refusal,
    raise_unless_taken,
)
from libs.common.channels.wechat.wire import MediaAnswer
from libs.common.decode import decode
from libs.common.errors import AmbiguousSendError, MalformedPayloadError, RejectedError
from libs.common.events import MediaPart
from libs.common.outgoing import raise_for_status

LIFE_S = 3 * 24 * 3600.0
"""Temporary media live three days."""
_UNKNOWN_MEDIA = 40007
_DECODER = msgspec.json.Decoder(MediaAnswer, strict=False)


def media(account: Account, part: MediaPart, access_token: str) -> MediaExchange:
    """Lead to the content of *part*.

    WeChat words a refusal as JSON with status 200, in the content's place, and answers for a film
    with JSON that names another address. So the first call is made to be read, and its answer
    thrown away where it is content: the caller then fetches that as a stream.

    Raises:
        CredentialError: The token is invalid or expired; fetch another and go on.
        RejectedError: `gone`: older than three days; else as `calls.raise_refusal`.
        NotSentError, AmbiguousSendError: See `raise_for_status`.
    """
    if not part.media_id:
        if not part.url:
            raise RejectedError("nothing to fetch", reason="bad_content")
        return HttpCall(url=part.url, method="GET", harmless=True)
    url = address(account, "media/get", access_token, media_id=part.media_id)
    content = HttpCall(url=url, method="GET", idempotent=True, harmless=True)
    try:
        reply = yield content
    except AmbiguousSendError:
        return content  # longer than an answer may be: it is the content
    elsewhere = _told(reply).video_url
    return (
        HttpCall(url=_safe(account, elsewhere), method="GET", harmless=True)
        if elsewhere
        else (content)
    )


def signal(account: Account, given: Signal) -> SignalExchange:
    """Show for about 15 s that we type; WeChat has no sign for reading.

    Raises:
        CredentialError, NotSentError, AmbiguousSendError, RejectedError: As `media`. WeChat
            refuses where the visitor wrote nothing lately.
    """
    if given.kind != "typing":
        return
    reply = yield HttpCall(
        url=address(account, "message/custom/typing", given.access_token),
        headers=JSON_HEADERS,
        body=msgspec.json.encode({"touser": given.recipient, "command": "Typing"}),
        harmless=True,
    )
    raise_unless_taken(answer(reply))


def _told(reply: HttpReply) -> MediaAnswer:
    """Return what JSON says in the content's place, nothing where it is the content."""
    raise_for_status(reply)
    try:
        told = decode(_DECODER, reply.body)
    except MalformedPayloadError:
        return MediaAnswer()
    if told.errcode == _UNKNOWN_MEDIA:
        raise RejectedError("gone", reason="gone", provider_code=str(told.errcode))
    raise_refusal(told.errcode)
    return told


def _safe(account: Account, url: str) -> str:
    """Return *url* by https: WeChat still words some of its own as http."""
    if url.startswith("http://") and not url.startswith(f"{host(account)}/"):
        return f"https://{url.removeprefix('http://')}"
    return url
