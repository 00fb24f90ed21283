"""Telegram's webhooks: prove where they come from, and say what happened in our words.

Source: Telegram Bot API 10, "setWebhook" and "Update" (read 2026-09).
"""

from __future__ import annotations

import hmac

import msgspec

from libs.common.channel import Account, Parsed, WebhookRequest
from libs.common.channels.telegram.kinds import KINDS
from libs.common.channels.telegram.spot import Spot
from libs.common.errors import BadSignatureError, MalformedPayloadError
from libs.common.events import InboundEvent
from libs.common.items import decode_leniently, limited_to_items
from libs.common.providers.normal import Id, ident

_HEADER = "x-telegram-bot-api-secret-token"
_UPDATE = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NUMBER = msgspec.json.Decoder(Id)


def verify(account: Account, request: WebhookRequest) -> None:
    """Return only if the request carries the secret that `setWebhook` was given.

    Nothing is signed: who learns the secret can write anything. `secret_token_previous` is
    accepted beside it while a new one is being set.

    Raises:
        BadSignatureError: Header absent or wrong, or the account has no secret.
    """
    secrets = [account.secret("secret_token")]
    previous = account.secrets.get("secret_token_previous", "")
    if previous:
        secrets.append(previous)
    given = request.headers.get(_HEADER, "").encode(errors="surrogatepass")
    proven = [hmac.compare_digest(secret.encode(), given) for secret in secrets]
    if not any(proven):
        raise BadSignatureError(f"{_HEADER} is not the account's")


def parse(account: Account, request: WebhookRequest) -> Parsed:
    """Turn one update into gateway events: mostly one, none or several.

    Raises:
        MalformedPayloadError: The body is no object.
    """
    update = decode_leniently(_UPDATE, request.body)
    number = _number(update.pop("update_id", None))
    name = next((name for name in update if name in KINDS), "")
    if name:
        found = _translate(name, Spot(bytes(update[name]), number, account.external_id))
    else:
        spot = Spot(request.body, number, account.external_id)
        found = [spot.unparsed("unknown_kind" if update else "malformed_item")]
    limited_to_items(found)
    events = tuple(event for event in found if event is not None)
    return Parsed(events=events, ignored=len(found) - len(events))


def _translate(name: str, spot: Spot) -> list[InboundEvent | None]:
    try:
        return list(KINDS[name](spot))
    except MalformedPayloadError:
        return [spot.unparsed("malformed_item")]


def _number(raw: msgspec.Raw | None) -> str:
    try:
        return ident(decode_leniently(_NUMBER, bytes(raw))) if raw is not None else ""
    except MalformedPayloadError:
        return ""
