"""What webhook endpoints were told: the log, tests, and telling again by id and by range."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from libs.common.documents import AUDIT
from libs.common.errors import InvalidInputError, NotFoundError, StaleRevisionError
from libs.common.store.api import In, Page, Range, Where
from libs.common.webhook_events import TestData, body_of
from libs.common.webhook_queue import arm, arm_parked
from libs.common.webhooks import (
    DELIVERIES,
    KEPT,
    Attempt,
    DeliveryState,
    EventType,
    WebhookDelivery,
    WebhookEndpoint,
    new_delivery,
    parked,
)
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.read import checked_key
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.api.webhook_endpoints import one_endpoint
from services.desk.audited import REPLAYED, entry
from services.desk.scheduling import utc

MOST_AGAIN = 500
"""Deliveries that one request has told again."""
_TRIES = 5
_LOST: tuple[DeliveryState, ...] = ("failed", "cancelled")

States = Annotated[tuple[DeliveryState, ...], Meta(min_length=1, max_length=4)]


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page of the log; states and types compose by AND, the values of one by OR."""

    state: tuple[DeliveryState, ...] = ()
    type: tuple[EventType, ...] = ()
    cursor: Cursor = ""
    limit: Limit = 50


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery; `id` is the `webhook-id` of each of its tries.

    Attributes:
        tries: Tries since it was created, or told again.
        next_at: When it is tried next; null: it is not, or it waits for a place of its endpoint.
        redelivered: How often people had it told again.
        last: The newest try.
    """

    id: str
    event_id: str
    type: EventType
    state: DeliveryState
    tries: int
    created_at: datetime
    next_at: datetime | None
    ended_at: datetime | None
    redelivered: int
    last: Attempt | None


class DeliveryDetail(DeliveryRow, frozen=True, kw_only=True):
    """A delivery with its body, exactly as it is sent, and its last 20 tries, oldest first."""

    body: str
    attempts: tuple[Attempt, ...]


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: tuple[DeliveryRow, ...]
    next: str | None


class Again(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell again what was created from `since` up to `until` (now) and stands in `states`."""

    since: datetime
    until: datetime | None = None
    states: States = _LOST
    cursor: Cursor = ""


class ToldAgain(msgspec.Struct, frozen=True, kw_only=True):
    """How many are told again; with `next`, repeat the request with it as `cursor`."""

    count: int
    next: str | None


# --- reading -----------------------------------------------------------------------------------


async def deliveries(call: Call) -> Reply:
    """Show one page of what an endpoint was told.

    Raises:
        NotFoundError: No such endpoint in this workspace.
    """
    query: DeliveryQuery = call.query
    endpoint = await one_endpoint(call)
    where: dict[str, Any] = {"endpoint": endpoint.id}
    where |= {"state": In(query.state)} if query.state else {}
    where |= {"type": In(query.type)} if query.type else {}
    page = Page(
        order="log", descending=True, after=_after(endpoint, query.cursor), limit=query.limit + 1
    )
    found = await call.desk.store.port.find(DELIVERIES, endpoint.workspace, where, page)
    shown = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        body=DeliveryList(
            items=tuple(_row(one) for one in shown), next=_place(shown[-1]) if more else None
        )
    )


async def delivery(call: Call) -> Reply:
    """Show a delivery with its tries.

    Raises:
        NotFoundError: No such delivery to this endpoint.
    """
    return Reply(body=_detail(await _delivery(call)))


# --- telling -----------------------------------------------------------------------------------


async def send_test(call: Call) -> Reply:
    """Tell an endpoint a test, `webhook.test`; the log shows what came of it.

    Raises:
        NotFoundError: No such endpoint in this workspace.
        RefusalError: 409 `endpoint_disabled`, it is off.
    """
    endpoint = await _enabled(call)
    now, who = call.desk.now(), call.who.agent
    body = body_of("webhook.test", now, TestData(endpoint=endpoint.id, agent=who))
    given = call.headers.get("idempotency-key", "")
    mark = f"{who}:{checked_key(given)}" if given else secrets.token_hex(16)
    made = new_delivery(endpoint, f"test:{mark}", "webhook.test", body, now)
    there = await call.desk.store.port.insert_many(DELIVERIES, [made])  # where it is a repeat
    await arm(call.desk.bus, made, now)
    found = await call.desk.store.port.get(DELIVERIES, made.workspace, made.id)
    return Reply(body=_row(found or made), status=202, headers=REPLAYED if there else {})


async def redeliver(call: Call) -> Reply:
    """Tell a delivery again, with the same `webhook-id`, whatever came of it before.

    Raises:
        NotFoundError: No such delivery to this endpoint.
        RefusalError: 409 `endpoint_disabled`, the endpoint is off; 409 `changed_meanwhile`.
    """
    endpoint = await _enabled(call)
    for _ in range(_TRIES):
        before = await _delivery(call)
        again = _reopened(before, call.desk.now())
        try:
            again = await call.desk.store.port.replace(DELIVERIES, again)
        except StaleRevisionError:
            continue
        await arm(call.desk.bus, again, call.desk.now())
        await _record(call, endpoint, {"delivery": again.id})
        return Reply(body=_row(again), status=202)
    raise RefusalError(409, "changed_meanwhile", "It is being sent right now; try again.")


async def redeliver_range(call: Call) -> Reply:
    """Tell again what was not delivered in a span of time, up to 500 a request.

    Raises:
        InvalidInputError: `until` is not behind `since`, or a time has no offset or is absurd.
        NotFoundError: No such endpoint in this workspace.
        RefusalError: 409 `endpoint_disabled`, it is off.
    """
    body: Again = call.body
    endpoint = await _enabled(call)
    where: Where = {
        "endpoint": endpoint.id,
        "created_at": _span(body, call.desk.now()),
        "state": In(body.states),
    }
    page = Page(order="log", after=_after(endpoint, body.cursor), limit=MOST_AGAIN)
    port = call.desk.store.port
    found = await port.find(DELIVERIES, endpoint.workspace, where, page)
    now = call.desk.now()
    again = [parked(_reopened(one, now), now) for one in found]
    refused = await port.replace_many(DELIVERIES, again) if again else {}
    told = [one for one in again if one.id not in refused]
    if told:
        await arm_parked(call.desk.bus, endpoint, now)
        await _record(call, endpoint, {"since": body.since, "count": len(told)})
    more = len(found) == MOST_AGAIN
    return Reply(
        body=ToldAgain(count=len(told), next=_place(found[-1]) if more else None), status=202
    )


# --- parts -------------------------------------------------------------------------------------


async def _enabled(call: Call) -> WebhookEndpoint:
    found = await one_endpoint(call)
    if not found.enabled:
        raise RefusalError(409, "endpoint_disabled", "The endpoint is off; switch it on first.")
    return found


async def _delivery(call: Call) -> WebhookDelivery:
    endpoint = await one_endpoint(call)
    port = call.desk.store.port
    found = await port.get(DELIVERIES, endpoint.workspace, call.params["delivery"])
    if found is None or found.endpoint != endpoint.id:
        raise NotFoundError("There is no such delivery.")
    return found


def _reopened(before: WebhookDelivery, now: datetime) -> WebhookDelivery:
    return replace(
        before,
        state="pending",
        tries=0,
        queued_at=now,
        next_at=now,
        parked_at=None,
        ended_at=None,
        redelivered=before.redelivered + 1,
    )


def _span(body: Again, now: datetime) -> Range:
    """Return the span that is meant, no longer than the log goes back.

    Raises:
        InvalidInputError: It is none.
    """
    since = utc(body.since, "since")
    until = now if body.until is None else utc(body.until, "until")
    if until <= since:
        raise InvalidInputError(
            "until: must be after since.", field="until", allowed="a time after `since`"
        )
    return Range(ge=max(since, now - KEPT), lt=until)


def _after(endpoint: WebhookEndpoint, cursor: str) -> tuple[str, datetime, str] | None:
    place = time_cursor(cursor)
    return (endpoint.id, *place) if place else None


def _place(one: WebhookDelivery) -> str:
    return write_cursor(one.created_at, one.id)


async def _record(call: Call, endpoint: WebhookEndpoint, what: dict[str, Any]) -> None:
    about = f"webhook_endpoint:{endpoint.id}"
    record = entry(call, "webhook_endpoint.redeliver", about, None, what)
    await call.desk.store.port.insert(AUDIT, record)


def _row(one: WebhookDelivery) -> DeliveryRow:
    return DeliveryRow(
        id=one.id,
        event_id=one.event_id,
        type=one.type,
        state=one.state,
        tries=one.tries,
        created_at=one.created_at,
        next_at=one.next_at,
        ended_at=one.ended_at,
        redelivered=one.redelivered,
        last=one.attempts[-1] if one.attempts else None,
    )


def _detail(one: WebhookDelivery) -> DeliveryDetail:
    row = msgspec.structs.asdict(_row(one))
    return DeliveryDetail(**row, body=one.body, attempts=one.attempts)
