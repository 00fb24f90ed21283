"""Sending through WeChat's customer-service API, and fetching the token that it needs.

Source: WeChat Official Account documentation, "Customer service messages", "Stable access token",
"Upload temporary media", read 2026-10.
"""

from __future__ import annotations

import msgspec

from libs.common.channel import (
    Account,
    Exchange,
    HttpCall,
    HttpReply,
    Outbound,
    OutgoingFile,
    Sent,
    Token,
    TokenExchange,
    Upload,
)
from libs.common.channels.wechat.calls import (
    JSON_HEADERS,
    address,
    answer,
    host,
    raise_refusal,
    raise_unless_taken,
)
from libs.common.channels.wechat.drafts import Draft, drafts_of
from libs.common.channels.wechat.occurrence import app_id_of
from libs.common.errors import AmbiguousSendError, CredentialError
from libs.common.outgoing import credential


def token(account: Account) -> TokenExchange:
    """Fetch the access token by the stable call, which leaves an older valid one alone.

    Raises:
        CredentialError: The account has no `app_id`, or WeChat refuses it or the secret.
        NotSentError, AmbiguousSendError, RejectedError: As in `send`.
    """
    app_id = app_id_of(account)
    if not app_id:
        raise CredentialError(f"account {account.slug} has no app_id", reason="credential")
    request = {
        "grant_type": "client_credential",
        "appid": app_id,
        "secret": credential(account, "app_secret"),
    }
    reply = yield HttpCall(
        url=f"{host(account)}/cgi-bin/stable_token",
        headers=JSON_HEADERS,
        body=msgspec.json.encode(request),
        idempotent=True,
    )
    told = answer(reply)
    if not told.access_token:
        raise_refusal(told.errcode or 0)
        raise AmbiguousSendError("an answer without a token")
    return Token(value=told.access_token, expires_in_s=max(told.expires_in, 0))


def send(account: Account, message: Outbound) -> Exchange:
    """Upload the files, then send the parts in order; WeChat gives no ids and takes no retry key.

    The uploads come first, so that a file that WeChat refuses costs nothing that was shown. A
    failure is about the part whose call failed: the earlier ones are out. The shell that tries
    again tells the earlier answers once more, and so goes on with that part.

    Raises:
        CredentialError: The token is invalid or expired; fetch another and go on.
        NotSentError: Busy, or too often: proof that it was not taken.
        AmbiguousSendError: An answer that proves nothing.
        RejectedError: `window_closed`, `blocked`, `bad_recipient`, `bad_content`, `quota`,
            `permission`, `policy`, `rejected`; before any call as in `drafts_of`.
    """
    drafts = drafts_of(message)
    ready: list[Draft] = []
    for draft in drafts:
        if draft.file is None:
            ready.append(draft)
            continue
        reply = yield _upload_call(account, message, draft.type, draft.file)
        content = {"media_id": _media_id(reply), **draft.content}
        ready.append(msgspec.structs.replace(draft, content=content))
    for draft in ready:
        reply = yield _send_call(account, message, draft)
        raise_unless_taken(answer(reply))
    return Sent(via="custom")


def _send_call(account: Account, message: Outbound, draft: Draft) -> HttpCall:
    body = {"touser": message.recipient, "msgtype": draft.type, draft.type: draft.content}
    return HttpCall(
        url=address(account, "message/custom/send", message.access_token),
        headers=JSON_HEADERS,
        body=msgspec.json.encode(body),  # UTF-8 as it is: WeChat refuses \u escapes (40033)
    )


def _upload_call(account: Account, message: Outbound, kind: str, file: OutgoingFile) -> HttpCall:
    return HttpCall(
        url=address(account, "media/upload", message.access_token, type=kind),
        upload=Upload(file=file, field="media"),
        harmless=True,
    )


def _media_id(reply: HttpReply) -> str:
    told = answer(reply)
    raise_refusal(told.errcode or 0)
    if not told.media_id:
        raise AmbiguousSendError("an upload without a media id")
    return told.media_id
