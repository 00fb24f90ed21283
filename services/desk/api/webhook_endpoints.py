"""Webhook endpoints: where a workspace's events go; every change on record, without secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import replace

from libs.common.bots.check import LONGEST_URL, url_problems
from libs.common.bots.secrets import fresh_secret
from libs.common.documents import ACCOUNTS
from libs.common.errors import InvalidInputError, NotFoundError, UniqueConflictError
from libs.common.store.api import Page
from libs.common.webhook_queue import arm_parked, changed
from libs.common.webhooks import (
    ENDPOINTS,
    MOST_ENDPOINTS,
    MOST_SECRETS,
    OLD_SIGNS,
    Disabler,
    EventType,
    WebhookEndpoint,
    WebhookSecret,
    sealed_for,
)
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import CHANNEL_NAMES, Name
from services.desk.audited import digest_of, entry, key_conflict, new_id, remove, retried, write
from services.desk.policy_store import etag

Url = Annotated[Plain, Meta(min_length=1, max_length=LONGEST_URL)]
Words = Annotated[Plain, Meta(max_length=200)]
Types = Annotated[tuple[EventType, ...], Meta(max_length=50, description="Empty: all")]
Names = Annotated[tuple[Name, ...], Meta(max_length=100, description="Empty: all")]
PerSecond = Annotated[int, Meta(ge=0, le=1000, description="0: no limit")]


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events are to go: an https address of a public host.

    `events`, `channels` and `accounts` choose; empty ones choose all. `per_s` is the most calls a
    second that each notifier makes.
    """

    url: Url
    description: Words = ""
    events: Types = ()
    channels: Names = ()
    accounts: Names = ()
    per_s: PerSecond = 0
    enabled: bool = True


class EndpointPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays.

    Whoever switches an endpoint on that failed lets it begin anew: what waited for it goes out.
    """

    url: Url | UnsetType = UNSET
    description: Words | UnsetType = UNSET
    events: Types | UnsetType = UNSET
    channels: Names | UnsetType = UNSET
    accounts: Names | UnsetType = UNSET
    per_s: PerSecond | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint.

    Attributes:
        disabled_reason: Why it is off: a `person`, `failing` for days, or `gone` (it answered 410).
        failing_since: Since when every try has failed; null: the last one succeeded.
        secrets: How many secrets sign now: 2 or more within a day of a new one. Not shown.
        secret: The new secret, in the one answer that makes it; else empty.
    """

    id: str
    url: str
    description: str
    events: tuple[EventType, ...]
    channels: tuple[str, ...]
    accounts: tuple[str, ...]
    per_s: int
    enabled: bool
    disabled_reason: Disabler
    disabled_at: datetime | None
    failing_since: datetime | None
    secrets: int
    created_at: datetime
    version: int
    secret: str = ""


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    """Every endpoint, the oldest first."""

    items: tuple[EndpointView, ...]
    next: str | None = None


class EndpointSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The new secret, shown once; until `old_until` the one before it signs, too."""

    secret: str
    old_until: datetime


# --- reading -----------------------------------------------------------------------------------


async def endpoints(call: Call) -> Reply:
    """List the endpoints."""
    found = await _all(call)
    return Reply(body=EndpointList(items=tuple(view(call, one) for one in found)))


async def endpoint(call: Call) -> Reply:
    """Show one endpoint; `ETag` names its version.

    Raises:
        NotFoundError: No such endpoint in this workspace.
    """
    found = await one_endpoint(call)
    return Reply(body=view(call, found), headers=etag(found))


async def one_endpoint(call: Call) -> WebhookEndpoint:
    """Return the endpoint that the path names.

    Raises:
        NotFoundError: No such endpoint in this workspace.
    """
    port = call.desk.store.port
    found = await port.get(ENDPOINTS, call.who.workspace, call.params["id"])
    if found is None:
        raise NotFoundError("There is no such webhook endpoint.")
    return found


# --- changing ----------------------------------------------------------------------------------


async def create(call: Call) -> Reply:
    """Make an endpoint; its secret is in this answer and never again.

    With an `Idempotency-Key` a repeat answers 200 with the endpoint that the first one made.

    Raises:
        InvalidInputError: A field is wrong; names it.
        RefusalError: 409 `idempotency_conflict`, the key made another one; 409 `too_many`.
    """
    body: NewEndpoint = call.body
    await _check(call, body)
    made, secret = _made(call, body)
    before = await call.desk.store.port.get(ENDPOINTS, made.workspace, made.id)
    if before is not None:
        return _replayed(call, before, made)
    if len(await _all(call)) >= MOST_ENDPOINTS:
        allowed = f"at most {MOST_ENDPOINTS} webhook endpoints"
        raise RefusalError(409, "too_many", f"There may be {MOST_ENDPOINTS}.", allowed=allowed)
    try:
        made = await _written(call, made, "webhook_endpoint.create", None)
    except UniqueConflictError:  # the same request, at the same time
        return _replayed(call, await _again(call, made.id), made)
    body_shown = replace(view(call, made), secret=secret)
    return Reply(body=body_shown, status=201, headers=etag(made))


async def patch(call: Call) -> Reply:
    """Change an endpoint, or switch it on or off.

    Raises:
        InvalidInputError: A field is wrong; names it.
        NotFoundError: No such endpoint in this workspace.
        RefusalError: 412, `If-Match` names another version.
    """
    body: EndpointPatch = call.body
    await _check(call, body)
    woken: list[WebhookEndpoint] = []

    async def step(before: WebhookEndpoint) -> WebhookEndpoint:
        after = _patched(before, body, call.desk.now())
        if after == before:
            return before
        after = await _written(call, after, "webhook_endpoint.patch", before)
        if after.enabled and not before.enabled:
            woken.append(after)
        return after

    after = await retried(call, lambda: one_endpoint(call), step)
    for one in woken:
        await arm_parked(call.desk.bus, one, call.desk.now())
    return Reply(body=view(call, after), headers=etag(after))


async def delete(call: Call) -> Reply:
    """Delete an endpoint; what still waits for it is cancelled.

    Raises:
        NotFoundError: No such endpoint in this workspace.
        RefusalError: 412, `If-Match` names another version.
    """

    async def step(found: WebhookEndpoint) -> WebhookEndpoint:
        about = f"webhook_endpoint:{found.id}"
        record = entry(call, "webhook_endpoint.delete", about, _recorded(call, found))
        await remove(call, ENDPOINTS, found, record)
        return found

    gone = await retried(call, lambda: one_endpoint(call), step)
    changed(call.desk.bus, gone.workspace)
    await arm_parked(call.desk.bus, gone, call.desk.now())
    return Reply(status=204)


async def rotate(call: Call) -> Reply:
    """Give an endpoint a new secret; those that sign go on beside it, each for a day in all.

    Raises:
        NotFoundError: No such endpoint in this workspace.
        RefusalError: 412, `If-Match` names another version; 409 `too_many`, five sign already.
    """
    fresh, now = fresh_secret(), call.desk.now()
    until = now + OLD_SIGNS

    async def step(before: WebhookEndpoint) -> WebhookEndpoint:
        newest = _sealed(call, before.id, fresh)
        older = tuple(
            replace(one, until=one.until or until)
            for one in before.secrets
            if one.until is None or one.until > now
        )
        if len(older) >= MOST_SECRETS:
            allowed = f"at most {MOST_SECRETS} secrets that sign at the same time"
            raise RefusalError(409, "too_many", "It was changed too often today.", allowed=allowed)
        after = replace(before, secrets=(newest, *older))
        return await _written(call, after, "webhook_endpoint.secret", before)

    after = await retried(call, lambda: one_endpoint(call), step)
    return Reply(body=EndpointSecret(secret=fresh, old_until=until), headers=etag(after))


# --- parts -------------------------------------------------------------------------------------


def view(call: Call, found: WebhookEndpoint) -> EndpointView:
    """Return the endpoint as it is shown."""
    now = call.desk.now()
    return EndpointView(
        id=found.id,
        url=found.url,
        description=found.description,
        events=found.events,
        channels=found.channels,
        accounts=found.accounts,
        per_s=found.per_s,
        enabled=found.enabled,
        disabled_reason=found.disabled_reason,
        disabled_at=found.disabled_at,
        failing_since=found.failing_since,
        secrets=sum(one.until is None or one.until > now for one in found.secrets),
        created_at=found.created_at,
        version=found.rev,
    )


async def _all(call: Call) -> list[WebhookEndpoint]:
    page = Page(order="created", limit=2 * MOST_ENDPOINTS)
    return await call.desk.store.port.find(ENDPOINTS, call.who.workspace, {}, page)


async def _check(call: Call, body: NewEndpoint | EndpointPatch) -> None:
    """Check what the schema cannot.

    Raises:
        InvalidInputError: A field is wrong; names it.
    """
    if body.url is not UNSET:
        for problem in url_problems(body.url, local=call.desk.settings.local_webhooks):
            text, _, allowed = problem.partition("; ")
            allowed = allowed or f"at most {LONGEST_URL} characters"
            raise InvalidInputError(f"{text}.", field="url", allowed=allowed)
    for name in () if body.channels is UNSET else body.channels:
        if name not in CHANNEL_NAMES:
            raise _unknown("channels", name, ", ".join(CHANNEL_NAMES))
    wanted = () if body.accounts is UNSET else body.accounts
    known = await call.desk.store.port.get_many(ACCOUNTS, call.who.workspace, wanted)
    for name in wanted:
        if name not in known:
            raise _unknown("accounts", name, "slugs of connected accounts")


def _unknown(field: str, name: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: there is no {name!r}.", field=field, allowed=allowed)


def _made(call: Call, body: NewEndpoint) -> tuple[WebhookEndpoint, str]:
    """Return the endpoint and its secret."""
    id_, secret, now = new_id(call, "hook"), fresh_secret(), call.desk.now()
    made = WebhookEndpoint(
        id=id_,
        workspace=call.who.workspace,
        url=body.url,
        description=body.description,
        events=tuple(dict.fromkeys(body.events)),
        channels=tuple(dict.fromkeys(body.channels)),
        accounts=tuple(dict.fromkeys(body.accounts)),
        per_s=body.per_s,
        enabled=body.enabled,
        disabled_reason="" if body.enabled else "person",
        disabled_at=None if body.enabled else now,
        secrets=(_sealed(call, id_, secret),),
        created_at=now,
        digest=digest_of(body),
    )
    return made, secret


def _patched(before: WebhookEndpoint, body: EndpointPatch, now: datetime) -> WebhookEndpoint:
    names = ("url", "description", "events", "channels", "accounts", "per_s")
    given = {name: getattr(body, name) for name in names if getattr(body, name) is not UNSET}
    after = replace(before, **given)
    if body.enabled is True and not before.enabled:
        return replace(
            after, enabled=True, disabled_reason="", disabled_at=None, failing_since=None
        )
    if body.enabled is False and (before.enabled or before.disabled_reason != "person"):
        return replace(after, enabled=False, disabled_reason="person", disabled_at=now)
    return after


def _sealed(call: Call, endpoint_id: str, secret: str) -> WebhookSecret:
    context = sealed_for(call.who.workspace, endpoint_id)
    return WebhookSecret(sealed=call.desk.sealer.seal(secret, context))


async def _written(
    call: Call, after: WebhookEndpoint, action: str, before: WebhookEndpoint | None
) -> WebhookEndpoint:
    """Write the endpoint with its record, and tell the notifiers.

    Raises:
        StaleRevisionError: Somebody changed it since it was read.
        UniqueConflictError: It is there already.
    """
    shown = _recorded(call, before) if before else None
    record = entry(call, action, f"webhook_endpoint:{after.id}", shown, _recorded(call, after))
    done = await write(call, ENDPOINTS, after, record)
    changed(call.desk.bus, done.workspace)
    return done


def _recorded(call: Call, found: WebhookEndpoint) -> dict[str, Any]:
    """Return what the record says: all but secrets, which the query of an address may hold."""
    shown: dict[str, Any] = msgspec.to_builtins(view(call, found))
    del shown["secret"], shown["version"]
    shown["url"] = found.url.partition("?")[0]
    return shown


async def _again(call: Call, endpoint_id: str) -> WebhookEndpoint:
    found = await call.desk.store.port.get(ENDPOINTS, call.who.workspace, endpoint_id)
    return found or key_conflict()


def _replayed(call: Call, before: WebhookEndpoint, made: WebhookEndpoint) -> Reply:
    """Answer with the endpoint of the first request, as it is by now; without its secret."""
    if before.digest != made.digest:
        key_conflict()
    headers = {**etag(before), "Idempotent-Replayed": "true"}
    return Reply(body=view(call, before), headers=headers)
