"""The connected accounts, and how they are."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.channel import MessageTemplate
from libs.common.channels import CHANNELS
from libs.common.documents import AccountDocument
from libs.common.events import MediaKind
from libs.common.health import Seen, State
from libs.common.reasons import reason
from libs.common.rhythm import Silence
from services.desk.api.route import Call, Reply


class HealthView(msgspec.Struct, frozen=True, kw_only=True):
    """What all processes together have seen of an account; null is never, or not known.

    Attributes:
        state: `ok`; `failing`: the newest calls failed; `revoked`: the provider refuses the
            account's credential, so connect it anew; `unknown`: nothing was sent yet.
        last_webhook_at: When the last webhook was accepted in which something happened.
        silent: No webhook has come for so long that, by the account's own rhythm of the last weeks,
            it happens by chance once in 100,000 times; never in its first week. `silent_since` is
            when its last one came.
        last_success_at: When the provider last took a call.
        signature_failures: Webhooks with a bad signature, the last at `last_signature_failure_at`.
        errors: Failed calls by stable code; `sent`: calls taken by way (`reply`, `push`, ...).
        advice: What to do about the last failure, while the account is not `ok`.
    """

    state: State = "unknown"
    state_at: datetime | None = None
    last_webhook_at: datetime | None = None
    silent: bool = False
    silent_since: datetime | None = None
    last_success_at: datetime | None = None
    last_failure_at: datetime | None = None
    last_failure_code: str = ""
    advice: str = ""
    signature_failures: int = 0
    last_signature_failure_at: datetime | None = None
    token_expires_at: datetime | None = None
    errors: dict[str, int] = {}
    sent: dict[str, int] = {}


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """A connected account. `webhook_path` is what the provider is told, below our address.

    `carries` is what its channel can send, `limits` the largest file of a kind in bytes (a kind
    that is not there has none of its own), `features` what the provider granted to the account.
    """

    slug: str
    channel: str
    external_id: str
    name: str
    enabled: bool
    webhook_path: str
    health: HealthView
    carries: tuple[str, ...]
    limits: dict[MediaKind, int]
    features: tuple[str, ...]
    templates: tuple[MessageTemplate, ...]


class AccountList(msgspec.Struct, frozen=True, kw_only=True):
    """Every connected account, by channel; never their secrets."""

    items: tuple[AccountView, ...]
    next: str | None = None


async def accounts(call: Call) -> Reply:
    """List the connected accounts that the caller sees, with their health."""
    return Reply(body=AccountList(items=await shown_accounts(call)))


async def shown_accounts(call: Call) -> tuple[AccountView, ...]:
    """Return the connected accounts that the caller sees, with their health."""
    every = await call.desk.store.accounts(call.who.workspace)
    found = [one for one in every if call.who.scope.account(one.channel, one.id)]
    now = call.desk.now()
    seen = [await call.desk.board.of(account.id, now) for account in found]
    return tuple(account_view(call, *pair) for pair in zip(found, seen, strict=True))


def account_view(call: Call, account: AccountDocument, seen: Seen | None) -> AccountView:
    """Return what may be shown of an account."""
    channel = call.desk.channels.get(account.channel)
    silence = call.desk.board.silence(account.id, call.desk.now()) if account.enabled else None
    return AccountView(
        slug=account.id,
        channel=account.channel,
        external_id=account.external_id,
        name=account.name,
        enabled=account.enabled,
        webhook_path=webhook_path(account),
        health=health_view(seen, silence),
        carries=tuple(sorted(channel.carries)) if channel else (),
        limits=dict(channel.media_limits) if channel else {},
        features=account.features,
        templates=account.templates,
    )


def health_view(seen: Seen | None, silence: Silence | None = None) -> HealthView:
    """Return what was seen, in the words of the API."""
    since = silence.since if silence else None
    if seen is None:
        return HealthView(silent=silence is not None, silent_since=since, last_webhook_at=since)
    ill = seen.state in {"failing", "revoked"} and seen.failed_code
    return HealthView(
        state=seen.state,
        state_at=seen.state_at,
        last_webhook_at=seen.webhook_at,
        silent=silence is not None,
        silent_since=since,
        last_success_at=seen.sent_at,
        last_failure_at=seen.failed_at,
        last_failure_code=seen.failed_code,
        advice=reason(seen.failed_code).advice if ill else "",
        signature_failures=seen.refused,
        last_signature_failure_at=seen.refused_at,
        token_expires_at=seen.token_expires_at,
        errors=seen.errors,
        sent=seen.sent,
    )


def webhook_path(account: AccountDocument) -> str:
    """Return where the provider posts; accounts of one Meta app share a path."""
    channel = CHANNELS.get(account.channel)
    if channel is None:
        return ""
    name = account.app if channel.addressees is not None else account.id
    return f"/webhooks/{channel.endpoint}/{name}"
