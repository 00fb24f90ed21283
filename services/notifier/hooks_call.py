"""One call of an endpoint: signed, through the door, with a record of what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime

import msgspec

from libs.common.channel import HttpCall
from libs.common.errors import BadSignatureError, GatewayError, RejectedError, SealError
from libs.common.http import Door
from libs.common.seal import Sealer
from libs.common.signing import sign
from libs.common.webhooks import MOST_ANSWER, Attempt, WebhookDelivery, WebhookEndpoint, sealed_for
from services.notifier import metrics
from services.notifier.bots_call import local_base
from services.notifier.hooks_retry import Tried, shown, wait_s

TIMEOUT_S = 15.0
KEPT_BYTES = 4 * MOST_ANSWER
"""Of an answer; its status says whether the receiver has taken it, however much follows."""
_ERROR_STATUS = 300


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """What calling needs.

    Attributes:
        local: Endpoints may be on this machine (trials).
        now: UTC.
    """

    door: Door
    sealer: Sealer
    local: bool
    now: Callable[[], datetime]
    timeout_s: float = TIMEOUT_S


async def call(reach: Reach, endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> Tried:
    """Send *delivery* once; whatever happens is in what is returned, as a code and never a text.

    Only public addresses are dialled, and redirects are not followed.
    """
    at, began = reach.now(), time.monotonic()
    try:
        request = _request(reach, endpoint, delivery, at)
        allow = local_base(endpoint.url) if reach.local else None
        reply = await reach.door.perform(
            request, timeout_s=reach.timeout_s, allow=allow, kept=KEPT_BYTES
        )
    except GatewayError as error:
        took_ms = _ms(began)
        attempt = Attempt(at=at, status=_status(error), error=_code(error), took_ms=took_ms)
        return Tried(attempt=attempt)
    finally:
        metrics.HOOK_SECONDS.observe(time.monotonic() - began)
    failed = reply.status >= _ERROR_STATUS
    attempt = Attempt(
        at=at,
        status=reply.status,
        error=f"http_{reply.status}" if failed else "",
        took_ms=_ms(began),
        answer=shown(reply.body),
    )
    wait = wait_s(reply.status, reply.headers.get("retry-after", ""), at)
    return Tried(attempt=attempt, wait_s=wait)


def _request(
    reach: Reach, endpoint: WebhookEndpoint, delivery: WebhookDelivery, at: datetime
) -> HttpCall:
    """Return the call, signed by every secret that signs at *at*.

    Raises:
        BadSignatureError: There is no secret.
        SealError: A secret cannot be opened.
    """
    body = delivery.body.encode()
    context = sealed_for(endpoint.workspace, endpoint.id)
    secrets = [
        reach.sealer.open(secret.sealed, context)
        for secret in endpoint.secrets
        if secret.until is None or secret.until > at
    ]
    headers: Mapping[str, str] = {
        "Content-Type": "application/json",
        "User-Agent": "Relaydesk-Webhooks/1",
        **sign(" ".join(secrets), delivery.id, body, at),
    }
    return HttpCall(url=endpoint.url, headers=headers, body=body, idempotent=True)


def _code(error: GatewayError) -> str:
    if isinstance(error, SealError | BadSignatureError):
        return "secret"
    return error.reason if isinstance(error, RejectedError) else error.code


def _status(error: GatewayError) -> int:
    """Return the status of a redirect; other failures have none."""
    code = error.provider_code if isinstance(error, RejectedError) else ""
    return int(code) if code.isdigit() else 0


def _ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
