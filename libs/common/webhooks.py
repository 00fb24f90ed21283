"""Webhooks out: the endpoints of customers' systems, and the log of what they are told.

Desk writes `WebhookEndpoint`s for people; the notifier writes `WebhookDelivery`s, and switches off
an endpoint that takes nothing. Each write is guarded by `rev`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from urllib.parse import urlsplit

import msgspec

from libs.common.events import Fact
from libs.common.ids import derive_id
from libs.common.store.api import Collection, Document, Index, Page, Range, Where

EventType = Literal[
    "session.created",
    "session.moved",
    "session.assigned",
    "session.ended",
    "session.handoff",
    "session.tagged",
    "message.received",
    "message.sent",
    "message.status",
    "contact.changed",
    "alert.raised",
    "account.unhealthy",
    "import.finished",
    "webhook.test",
]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)

MOST_ENDPOINTS = 20
"""Endpoints of a workspace."""
MOST_BODY = 256 * 1024
"""Bytes of a body; a larger event is sent without its parts, see `webhook_events.fitted`."""
KEPT = timedelta(days=30)
"""How long the log is kept."""
WAITS = timedelta(days=7)
"""How long a delivery that could not even be tried waits for its endpoint, such as while that is
switched off for its failures."""
NOTED = {"failing": WAITS, "gone": timedelta(days=1)}
"""How long events are noted for an endpoint that is off, by the reason for it; no other is."""
OLD_SIGNS = timedelta(hours=24)
"""How long the secret before the newest signs beside it."""
MOST_SECRETS = 5
"""Secrets of an endpoint that sign at the same time."""
MOST_ATTEMPTS = 20
_EVER = datetime(2000, 1, 1, tzinfo=UTC)
MOST_ANSWER = 512
"""Characters of an answer that are kept."""

DeliveryState = Literal["pending", "delivered", "failed", "cancelled"]
Disabler = Literal["", "person", "failing", "gone"]
"""What switched an endpoint off: a person; that it failed for days; that it answered 410."""


class WebhookSecret(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A signing secret, sealed; it signs until `until` (None: until there is a newer one)."""

    sealed: str
    until: datetime | None = None


class WebhookEndpoint(Document, kw_only=True):
    """Where a workspace's events go.

    Attributes:
        events: The types that it gets; empty: all.
        channels, accounts: Only what is about one of these; empty: all. What is about no channel
            or account (an import) goes to every endpoint.
        disabled_reason: Why it is off; `disabled_at` since when.
        failing_since: Since when every try has failed; None: the last one succeeded.
        secrets: Newest first.
        per_s: Most calls a second that each notifier makes; 0: no limit but those in flight.
        digest: Hash of the request that made it, to tell a repeat from another one.
    """

    url: str
    description: str = ""
    events: tuple[EventType, ...] = ()
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    enabled: bool = True
    disabled_reason: Disabler = ""
    disabled_at: datetime | None = None
    failing_since: datetime | None = None
    secrets: tuple[WebhookSecret, ...] = ()
    per_s: int = 0
    created_at: datetime
    digest: str = ""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One try.

    Attributes:
        status: The answer's HTTP status; 0 without an answer.
        error: Why it failed, as code; empty: it did not.
        answer: How the answer's body begins, without control characters.
    """

    at: datetime
    status: int = 0
    error: str = ""
    took_ms: int = 0
    answer: str = ""


class WebhookDelivery(Document, kw_only=True):
    """One event for one endpoint; its id is the `webhook-id` of every try.

    Attributes:
        event_id: The fact, alert or test that it tells.
        body: The JSON text exactly as it is sent.
        queued_at: When it was created, or ordered again by a person: its tries count from then.
        tries: Tries since `queued_at`.
        next_at: When it is tried next, as long as it is pending; None: never, or it is parked.
        ended_at: When it came to its end.
        attempts: The last 20, oldest first.
        redelivered: How often people ordered it again.
        parked_at: Since when it waits for a place of its endpoint, or for that to be switched on:
            it has neither a timer of its own then nor `next_at`, the endpoint has one for all.
    """

    endpoint: str
    event_id: str
    type: EventType
    body: str
    created_at: datetime
    queued_at: datetime
    state: DeliveryState = "pending"
    tries: int = 0
    next_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: tuple[Attempt, ...] = ()
    redelivered: int = 0
    parked_at: datetime | None = None


ENDPOINTS = Collection(
    "webhook_endpoints", WebhookEndpoint, (Index("created", ("created_at", "id")),)
)
DELIVERIES = Collection(
    "webhook_deliveries",
    WebhookDelivery,
    (
        Index("log", ("endpoint", "created_at", "id")),
        Index("state", ("endpoint", "state", "created_at", "id")),
        Index("type", ("endpoint", "type", "created_at", "id")),
        Index("due", ("state", "next_at", "id")),
        Index("parked", ("endpoint", "parked_at", "id")),
        Index("created", ("created_at", "id")),
    ),
)

WEBHOOKS_OUT = (ENDPOINTS, DELIVERIES)


def delivery_id(endpoint: str, event_id: str) -> str:
    """Return the id of an event's delivery to an endpoint: a repeat of the event has the same."""
    return derive_id("whd", endpoint, event_id)


def new_delivery(
    endpoint: WebhookEndpoint, event_id: str, kind: EventType, body: str, now: datetime
) -> WebhookDelivery:
    """Return the delivery of an event to *endpoint*, to be tried at once where that is on."""
    return WebhookDelivery(
        id=delivery_id(endpoint.id, event_id),
        workspace=endpoint.workspace,
        endpoint=endpoint.id,
        event_id=event_id,
        type=kind,
        body=body,
        created_at=now,
        queued_at=now,
        next_at=now if endpoint.enabled else None,
        parked_at=None if endpoint.enabled else now,
    )


def parked(delivery: WebhookDelivery, now: datetime) -> WebhookDelivery:
    """Return *delivery* as one that waits until its endpoint has a place for it."""
    return msgspec.structs.replace(delivery, next_at=None, parked_at=now)


def taken_up(delivery: WebhookDelivery, now: datetime) -> WebhookDelivery:
    """Return a parked delivery as one that is due."""
    return msgspec.structs.replace(delivery, next_at=now, parked_at=None)


def first_parked(endpoint: str, limit: int) -> tuple[Where, Page]:
    """Return what finds the deliveries of *endpoint* that were parked first."""
    return {"endpoint": endpoint, "parked_at": Range(ge=_EVER)}, Page(order="parked", limit=limit)


def records(endpoint: WebhookEndpoint, now: datetime) -> bool:
    """Tell whether events are noted for *endpoint* now.

    For one that a person switched off they are not; for one that is off because it failed they
    wait until it is switched on, but nothing is noted any more once that took too long.
    """
    if endpoint.enabled:
        return True
    noted = NOTED.get(endpoint.disabled_reason)
    off_at = endpoint.disabled_at or endpoint.created_at
    return noted is not None and now - off_at < noted


def wants(
    endpoint: WebhookEndpoint, kind: EventType, channel: str, account: str, at: datetime
) -> bool:
    """Tell whether *endpoint*, for which events are noted, gets what happened at *at*."""
    return (
        at >= endpoint.created_at
        and (not endpoint.events or kind in endpoint.events)
        and (not channel or not endpoint.channels or channel in endpoint.channels)
        and (not account or not endpoint.accounts or account in endpoint.accounts)
    )


def sealed_for(workspace: str, endpoint: str) -> str:
    """Return the context that a secret is sealed in, so that it opens for no other endpoint."""
    return f"webhook:{workspace}/{endpoint}"


_OFF: Mapping[str, str] = {
    "gone": "it answered 410, that it is gone",
    "failing": "it took nothing for five days",
}


def disabled_fact(endpoint: WebhookEndpoint, reason: Disabler, now: datetime) -> Fact:
    """Return the fact that *endpoint* is switched off for its failures; `detail` is for people.

    Its id is the same however often the same failing is found out.
    """
    since = endpoint.failing_since or endpoint.created_at
    return Fact(
        fact_id=f"{endpoint.id}:disabled:{int(since.timestamp())}",
        type="webhook.disabled",
        workspace=endpoint.workspace,
        session=endpoint.id,
        at=now,
        actor="system",
        because=reason,
        detail=f"The webhook endpoint {_name(endpoint)} is switched off: {_OFF[reason]}.",
    )


def _name(endpoint: WebhookEndpoint) -> str:
    host = urlsplit(endpoint.url).hostname or ""
    return f"{endpoint.description} ({host})" if endpoint.description else host
