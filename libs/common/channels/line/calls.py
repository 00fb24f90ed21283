"""What LINE's calls have in common: hosts, the bearer token, answers in words."""

from __future__ import annotations

import msgspec

from libs.common.channel import Account, HttpReply
from libs.common.channels.line.wire import SendAnswer
from libs.common.decode import decode
from libs.common.errors import MalformedPayloadError
from libs.common.outgoing import credential

HOST = "https://api.line.me"
DATA_HOST = "https://api-data.line.me"
"""Where content is kept; an account's `api_base` stands in for both."""

_ANSWER = msgspec.json.Decoder(SendAnswer, strict=False)


def host(account: Account) -> str:
    """Return the origin of calls."""
    return account.api_base.rstrip("/") or HOST


def data_host(account: Account) -> str:
    """Return the origin of content."""
    return account.api_base.rstrip("/") or DATA_HOST


def bearer(account: Account) -> dict[str, str]:
    """Return the header that every call needs.

    Raises:
        CredentialError: The account has no access token.
    """
    return {"authorization": f"Bearer {credential(account, 'access_token')}"}


def headers(account: Account) -> dict[str, str]:
    """Return the headers of a call with a JSON body.

    Raises:
        CredentialError: The account has no access token.
    """
    return {**bearer(account), "content-type": "application/json"}


def answer(reply: HttpReply) -> SendAnswer:
    """Return what an answer says, nothing where it cannot be read: the status alone decides."""
    try:
        return decode(_ANSWER, reply.body)
    except MalformedPayloadError:
        return SendAnswer()
