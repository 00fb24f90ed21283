"""Calls to the Bot API. The bot's token stands in the address, so addresses are never shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from libs.common.channel import Account, HttpCall, OutgoingFile, Upload
from libs.common.outgoing import credential

HOST = "https://api.telegram.org"


def call(
    account: Account, method: str, fields: Mapping[str, Any], *, harmless: bool = False
) -> HttpCall:
    """Return the call of a method with JSON fields.

    Raises:
        CredentialError: The account has no `bot_token`.
    """
    return HttpCall(
        url=f"{_host(account)}/bot{_token(account)}/{method}",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(fields),
        harmless=harmless,
    )


def upload(
    account: Account, method: str, fields: Mapping[str, Any], name: str, file: OutgoingFile
) -> HttpCall:
    """Return the call of a method that takes *file* as its field *name*, and sends it at once.

    Raises:
        CredentialError: The account has no `bot_token`.
    """
    plain = {
        key: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for key, value in fields.items()
    }
    return HttpCall(
        url=f"{_host(account)}/bot{_token(account)}/{method}",
        upload=Upload(file=file, field=name, fields=plain),
    )


def download(account: Account, file_path: str) -> HttpCall:
    """Return the call whose answer is the content of a file.

    Raises:
        CredentialError: The account has no `bot_token`.
    """
    path = quote(file_path.lstrip("/"), safe="/")
    return HttpCall(
        method="GET", url=f"{_host(account)}/file/bot{_token(account)}/{path}", harmless=True
    )


def _host(account: Account) -> str:
    return account.api_base.rstrip("/") or HOST


def _token(account: Account) -> str:
    return quote(credential(account, "bot_token"), safe=":")
