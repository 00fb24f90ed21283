"""A visitor's file at WhatsApp: looked up by its id, then fetched within five minutes.

Source: WhatsApp Cloud API, "Media" (read 2026-09).
"""

from __future__ import annotations

from urllib.parse import quote

from libs.common.channel import Account, HttpCall, MediaExchange
from libs.common.channels.whatsapp.codes import CODES
from libs.common.errors import CredentialError, RejectedError
from libs.common.events import MediaPart
from libs.common.outgoing import credential
from libs.common.providers import graph

_GONE = frozenset({"bad_content", "bad_recipient", "rejected"})
"""How a lookup is refused whose file is no longer there, or never was this number's."""


def media(account: Account, part: MediaPart, token: str) -> MediaExchange:
    """Look up where the file lies and return the call that fetches it, with the same bearer.

    The address that came with the webhook is not used: it may be hours old.

    Raises:
        RejectedError: `gone`: WhatsApp knows no such file (any more).
        CredentialError, ThrottledError, AmbiguousSendError: See `graph.accepted`.
    """
    if not part.media_id:
        raise RejectedError("no media id", reason="gone")
    bearer = {"authorization": f"Bearer {token or credential(account, 'access_token')}"}
    start = account.api_base.rstrip("/") or graph.HOST
    query = f"phone_number_id={quote(account.external_id, safe='')}"
    reply = yield HttpCall(
        method="GET",
        url=f"{start}/{graph.VERSION}/{quote(part.media_id, safe='')}?{query}",
        headers=bearer,
        harmless=True,
    )
    try:
        answer = graph.accepted(reply, CODES)
    except CredentialError:
        raise
    except RejectedError as error:
        reason = "gone" if error.reason in _GONE else error.reason
        raise RejectedError(
            error.detail, reason=reason, provider_code=error.provider_code
        ) from None
    url = answer.get("url")
    if not isinstance(url, str) or not url:
        raise RejectedError("no address of the file", reason="gone")
    return HttpCall(method="GET", url=url, headers=bearer, harmless=True)
