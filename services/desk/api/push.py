"""Web Push: an agent's browsers, in which alerts are shown although no page is open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.errors import (
    InvalidInputError,
    NotFoundError,
    StaleRevisionError,
    UniqueConflictError,
)
from libs.common.push_keys import auth_problem, point_problem, vapid_keys
from libs.common.pushes import (
    MOST_ENDPOINT,
    SUBSCRIPTIONS,
    Endpoint,
    PushHosts,
    PushSubscription,
    seal_context,
    subscription_id,
)
from libs.common.store.api import Page, Store
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply

MOST = 10
"""Browsers of an agent."""
_USER_AGENT = 120
_TRIES = 5

KeyText = Annotated[Plain, Meta(max_length=200)]


class PushKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a browser subscribes with: `applicationServerKey`, base64url."""

    key: str


class BrowserKeys(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The browser's keys, base64url: a point of P-256 in 65 bytes, and 16 bytes."""

    p256dh: KeyText
    auth: KeyText


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `PushSubscription.toJSON()` gives in a browser.

    `key` is the `applicationServerKey` it was made with, where the page knows; else the present
    one is taken. A browser may add `expirationTime`, which is not used.
    """

    endpoint: Annotated[Plain, Meta(min_length=1, max_length=MOST_ENDPOINT)]
    keys: BrowserKeys
    key: KeyText = ""
    expirationTime: float | None = None  # noqa: N815 (the browser's own name)


class SubscriptionView(msgspec.Struct, frozen=True, kw_only=True):
    """A browser of the caller. `host` is its push service; the address itself is never shown.

    `current`: it is of the login that asks.
    """

    id: str
    host: str
    user_agent: str
    created_at: datetime
    last_ok_at: datetime | None
    failures: int
    current: bool


class SubscriptionList(msgspec.Struct, frozen=True, kw_only=True):
    """All of the caller's, oldest first."""

    items: tuple[SubscriptionView, ...]
    next: str | None = None


async def key(call: Call) -> Reply:
    """Return the key with which browsers subscribe."""
    return Reply(body=PushKey(key=_keys(call)[0]))


async def subscriptions(call: Call) -> Reply:
    """List the caller's browsers."""
    found = await _own(call)
    return Reply(body=SubscriptionList(items=tuple(_view(call, each) for each in found)))


async def subscribe(call: Call) -> Reply:
    """Take up a browser; 201, or 200 where it was known, which is the caller's from now on.

    Raises:
        InvalidInputError: A key is none, or the address is of no push service that may be called.
    """
    body: NewSubscription = call.body
    _check(call, body)
    port = call.desk.store.port
    for _ in range(_TRIES):
        known = await port.get(SUBSCRIPTIONS, call.who.workspace, subscription_id(body.endpoint))
        made = _made(call, body, known)
        try:
            if known is not None:
                stored, status = await port.replace(SUBSCRIPTIONS, made), 200
            else:
                stored, status = await port.insert(SUBSCRIPTIONS, made), 201
        except (StaleRevisionError, UniqueConflictError):
            continue  # two tabs of the browser subscribe at once
        await _drop_most_idle(call, stored.id)
        return Reply(status=status, body=_view(call, stored))
    raise StaleRevisionError("the subscription keeps changing")


async def unsubscribe(call: Call) -> Reply:
    """Forget one of the caller's browsers.

    Raises:
        NotFoundError: No such subscription of the caller.
    """
    port, workspace = call.desk.store.port, call.who.workspace
    found = await port.get(SUBSCRIPTIONS, workspace, call.params["id"])
    if found is None or found.agent != call.who.agent:
        raise NotFoundError("no such subscription")
    await port.delete(SUBSCRIPTIONS, workspace, found.id)
    return Reply(status=204)


async def forget_login(store: Store, workspace: str, token: str) -> None:
    """End the pushes to the browsers that subscribed with a login which is over."""
    for found in await store.find(
        SUBSCRIPTIONS, workspace, {"token": token}, Page(order="token", limit=MOST * 2)
    ):
        await store.delete(SUBSCRIPTIONS, workspace, found.id)


def _check(call: Call, body: NewSubscription) -> None:
    """Refuse what could not be pushed to.

    Raises:
        InvalidInputError: Names the field.
    """
    hosts = PushHosts(call.desk.settings.push_hosts)
    if not hosts.permits(body.endpoint):
        allowed = f"https addresses of {', '.join(hosts.names)}"
        raise _wrong("endpoint", "is of no push service that may be called", allowed)
    rules: dict[str, tuple[str, Callable[[str], str]]] = {
        "keys.p256dh": (body.keys.p256dh, point_problem),
        "keys.auth": (body.keys.auth, auth_problem),
    }
    for field, (value, rule) in rules.items():
        if problem := rule(value):
            raise _wrong(field, problem, "the browser's own key, base64url")
    if body.key and body.key.rstrip("=") not in _keys(call):
        raise _wrong("key", "is not ours any more; subscribe again", _keys(call)[0])


def _made(call: Call, body: NewSubscription, known: PushSubscription | None) -> PushSubscription:
    """Return what is stored: a new one, or *known* as it is now; its key never changes."""
    workspace, id_ = call.who.workspace, subscription_id(body.endpoint)
    endpoint = Endpoint(url=body.endpoint, p256dh=body.keys.p256dh, auth=body.keys.auth)
    text = msgspec.json.encode(endpoint).decode()
    same = known is not None and known.agent == call.who.agent
    return PushSubscription(
        id=id_,
        workspace=workspace,
        rev=known.rev if known else 0,
        agent=call.who.agent,
        sealed=call.desk.sealer.seal(text, seal_context(workspace, id_)),
        host=body.endpoint.split("/")[2].lower(),
        key=body.key.rstrip("=") or (known.key if known else _keys(call)[0]),
        token=call.who.token_id if call.who.kind == "session" else "",
        user_agent=_shortened(call.headers.get("user-agent", "")),
        created_at=known.created_at if known and same else call.desk.now(),
        last_ok_at=known.last_ok_at if known and same else None,
    )


async def _drop_most_idle(call: Call, kept: str) -> None:
    """Forget the agent's browsers above `MOST`: those in which nothing arrived for longest."""
    found = await _own(call)
    others = [each for each in found if each.id != kept]
    others.sort(key=lambda each: (each.last_ok_at or each.created_at, each.id))
    for each in others[: max(len(found) - MOST, 0)]:
        await call.desk.store.port.delete(SUBSCRIPTIONS, call.who.workspace, each.id)


async def _own(call: Call) -> list[PushSubscription]:
    return await call.desk.store.port.find(
        SUBSCRIPTIONS,
        call.who.workspace,
        {"agent": call.who.agent},
        Page(order="agent", limit=MOST * 5),
    )


def _keys(call: Call) -> list[str]:
    return list(vapid_keys(call.desk.settings.secret_key))


def _view(call: Call, found: PushSubscription) -> SubscriptionView:
    return SubscriptionView(
        id=found.id,
        host=found.host,
        user_agent=found.user_agent,
        created_at=found.created_at,
        last_ok_at=found.last_ok_at,
        failures=found.failures,
        current=found.token == call.who.token_id,
    )


def _shortened(text: str) -> str:
    plain = "".join(letter for letter in text if letter.isprintable())
    return plain[:_USER_AGENT]


def _wrong(field: str, problem: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field}: {problem}.", field=field, allowed=allowed)
