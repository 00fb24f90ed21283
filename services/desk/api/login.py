"""Logging in and out, and who one is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.credentials import (
    PASSWORD_MAX,
    new_secret,
    new_token_id,
    secret_hash,
    token_text,
)
from libs.common.documents import AccessToken, Agent, Role
from libs.common.errors import InvalidInputError
from libs.common.saved_filters import FilterValues
from services.desk import metrics
from services.desk.api.problem import RefusalError
from services.desk.api.push import forget_login
from services.desk.api.read import Plain
from services.desk.api.route import Call, Cookie, Reply
from services.desk.auth import check_same_site, csrf_token
from services.desk.inbox_choice import choice_of, shown_first

log = logging.getLogger(__name__)

CANDIDATES = 3
"""Workspaces tried for an address that names none; always as many hashes, found or not."""


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who logs in; `workspace` is only needed by who works in several."""

    email: Annotated[Plain, Meta(min_length=1, max_length=254)]
    password: Annotated[str, Meta(min_length=1, max_length=PASSWORD_MAX)]
    workspace: Annotated[Plain, Meta(max_length=48)] = ""

    def __repr__(self) -> str:
        """Show nothing."""
        return "Credentials(...)"


class AgentName(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as others see them."""

    id: str
    name: str


class LoggedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A login, which ends at `expires_at` unless it is used.

    A browser goes on with the cookie and sends `csrf` as `X-CSRF-Token` with every change; a
    script goes on with `token` as a bearer token.
    """

    agent: AgentName
    workspace: str
    role: Role
    csrf: str
    token: str
    expires_at: datetime


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """The caller. `inbox` is what a fresh login shows: filters of `GET /sessions` (B23).

    `default_filter` is its value of `with`; empty where that has none, or both.
    """

    agent: AgentName
    workspace: str
    role: Role
    default_filter: str
    inbox: FilterValues
    csrf: str


async def login(call: Call) -> Reply:
    """Prove who one is by address and password.

    Raises:
        RefusalError: 401 whatever is wrong; 409 when the password is right in one of several
            workspaces, so that one must be named; 429 after too many tries.
    """
    given: Credentials = call.body
    check_same_site(call.headers)
    email_key = given.email.strip().lower()
    if not email_key:
        raise InvalidInputError("email: must not be blank.", field="email", allowed="an address")
    _take_try(call, email_key)
    candidates = await _candidates(call, given.workspace, email_key)
    agents = [await call.desk.store.agent_by_email(name, email_key) for name in candidates]
    matching = await call.desk.passwords.matching(
        agents, given.password, tries=1 if given.workspace else CANDIDATES
    )
    if not matching:
        metrics.LOGINS.labels("wrong").inc()
        raise RefusalError(
            401,
            "wrong_login",
            "Address or password is wrong.",
        )
    call.desk.throttle.succeeded(email_key, call.remote)
    if len(candidates) > 1:
        metrics.LOGINS.labels("ambiguous").inc()
        raise RefusalError(
            409,
            "workspace_needed",
            "Name the workspace to log in to.",
            field="workspace",
            workspaces=", ".join(agent.workspace for agent in matching),
        )
    metrics.LOGINS.labels("ok").inc()
    return await logged_in(call, matching[0])


async def logout(call: Call) -> Reply:
    """End this login: its cookie and its token stop working.

    Raises:
        RefusalError: 409, the caller uses an API token, which is revoked and not logged out.
    """
    if call.who.kind != "session":
        raise RefusalError(409, "not_a_login", "An API token is revoked, not logged out.")
    await call.desk.store.remove_token(call.who.workspace, call.who.token_id)
    await forget_login(call.desk.store.port, call.who.workspace, call.who.token_id)
    return Reply(status=204, cookie=Cookie(value="", max_age_s=0))


async def me(call: Call) -> Reply:
    """Tell who the caller is."""
    who, port = call.who, call.desk.store.port
    choice = await choice_of(port, who.workspace, who.agent)
    _, query = await shown_first(port, who.workspace, who.agent, who.scope, choice)
    return Reply(
        body=Me(
            agent=AgentName(id=who.agent, name=who.name),
            workspace=who.workspace,
            role=who.role,
            default_filter=query.parties[0] if len(query.parties) == 1 else "",
            inbox=query,
            csrf=who.csrf,
        )
    )


def device_of(headers: Mapping[str, str]) -> str:
    """Return the browser as it calls itself, short and printable, for its agent to know it by."""
    said = headers.get("user-agent", "").encode("ascii", "ignore").decode()
    return "".join(c for c in said if c.isprintable())[:200]


def _take_try(call: Call, email_key: str) -> None:
    if not call.remote:
        raise RefusalError(400, "no_address", "The caller's address is not known.")
    wait_s = call.desk.throttle.take(email_key, call.remote)
    if wait_s:
        metrics.LOGINS.labels("throttled").inc()
        raise too_many(wait_s)


def too_many(wait_s: int) -> RefusalError:
    """Return the refusal of who tries too often."""
    return RefusalError(
        429,
        "too_many_logins",
        "Too many tries. Wait, then try again.",
        headers={"Retry-After": str(wait_s)},
        retry_after_s=str(wait_s),
    )


async def _candidates(call: Call, workspace: str, email_key: str) -> tuple[str, ...]:
    if workspace:
        return (workspace,)
    return (await call.desk.store.workspaces_of(email_key))[:CANDIDATES]


async def logged_in(call: Call, agent: Agent) -> Reply:
    """Answer with a fresh login of *agent*, who has proven who they are."""
    now = call.desk.now()
    ttl_s = call.desk.settings.session_ttl_s
    secret = new_secret()
    token = AccessToken(
        id=new_token_id(),
        workspace=agent.workspace,
        agent=agent.id,
        kind="session",
        name="login",
        secret_hash=secret_hash(secret),
        created_at=now,
        expires_at=now + timedelta(seconds=ttl_s),
        last_used_at=now,
        device=device_of(call.headers),
        address=call.remote,
    )
    await call.desk.store.drop_expired_tokens(agent.workspace, agent.id, now)
    await call.desk.store.add_token(token)
    text = token_text(agent.workspace, token.id, secret)
    log.info("desk.login", extra={"workspace": agent.workspace, "agent": agent.id})
    return Reply(
        body=LoggedIn(
            agent=AgentName(id=agent.id, name=agent.name),
            workspace=agent.workspace,
            role=agent.role,
            csrf=csrf_token(secret),
            token=text,
            expires_at=now + timedelta(seconds=ttl_s),
        ),
        cookie=Cookie(value=text, max_age_s=ttl_s),
    )
