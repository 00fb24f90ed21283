"""An account as admins see it, and as the record of changes keeps it: never a secret."""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.channels import CHANNELS
from libs.common.directory import seal_context
from libs.common.documents import AccountDocument
from libs.common.errors import SealError
from services.desk.api.account_body import AccountDetail, SecretSet
from services.desk.api.accounts import account_view, webhook_path
from services.desk.api.route import Call

VERIFY_TOKEN = "verify_token"  # noqa: S105 (a name)
"""Compared in a handshake, and signs nothing: who knows it can read and write nothing."""


async def detail(call: Call, found: AccountDocument) -> AccountDetail:
    """Return the account with its health."""
    seen = await call.desk.board.of(found.id, call.desk.now())
    plain = account_view(call, found, seen)
    return AccountDetail(
        id=found.id,
        app=found.app,
        api_base=found.api_base,
        webhook_url=webhook_url(call, found),
        verify_token=_verify_token(call, found),
        secrets=secrets_set(found),
        version=found.rev,
        **{name: getattr(plain, name) for name in plain.__struct_fields__},
    )


def webhook_url(call: Call, found: AccountDocument) -> str:
    """Return the whole address; empty where ours is not known."""
    public = call.desk.settings.public_url.rstrip("/")
    return f"{public}{webhook_path(found)}" if public else ""


def secrets_set(found: AccountDocument) -> tuple[SecretSet, ...]:
    """Return what is set, of all that the channel has."""
    channel = CHANNELS.get(found.channel)
    names = (*channel.secrets, *channel.optional_secrets) if channel else tuple(found.sealed)
    needed = channel.secrets if channel else ()
    return tuple(
        SecretSet(
            name=name,
            needed=name in needed,
            is_set=name in found.sealed,
            since=found.secrets_at.get(name),
        )
        for name in names
    )


def recorded(found: AccountDocument) -> dict[str, Any]:
    """Return what the record says: which secrets are set since when, and not what they are."""
    names = set(found.__struct_fields__) - {"workspace", "rev", "sealed", "digest"}
    shown = {name: getattr(found, name) for name in sorted(names)}
    built: dict[str, Any] = msgspec.to_builtins({**shown, "secrets": sorted(found.sealed)})
    return built


def _verify_token(call: Call, found: AccountDocument) -> str:
    sealed = found.sealed.get(VERIFY_TOKEN, "")
    try:
        context = seal_context(found.workspace, found.id, VERIFY_TOKEN)
        return call.desk.sealer.open(sealed, context) if sealed else ""
    except SealError:
        return ""
