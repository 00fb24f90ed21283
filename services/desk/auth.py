"""Who asks, and may they: tokens, the browser's cookie, cross-site protection, roles.

Nothing here trusts a forwarding header, and every failure to prove who asks reads the same.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from libs.common.credentials import TokenParts, parse_token, secret_hash
from libs.common.documents import AGENTS, TOKENS, AccessToken, Agent, Role
from libs.common.errors import ForbiddenError
from services.desk.api.problem import RefusalError
from services.desk.api.route import RANK, Principal
from services.desk.scope import scope_of
from services.desk.store import DeskStore

UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
SAME_SITE = frozenset({"same-origin", "none"})
LONGEST = timedelta(days=30)
"""A browser session ends then, however much it is used."""
USE_NOTED_EACH = timedelta(minutes=5)
"""How coarse `AccessToken.last_used_at` is, so that reading writes nothing most of the time."""
_NO_HASH = secret_hash("")


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """A token as the request carries it, and whether a browser sends it by itself."""

    parts: TokenParts
    by_cookie: bool


def credential(headers: Mapping[str, str], cookie: str) -> Credential | None:
    """Return the request's credential; an `Authorization` header wins over the cookie."""
    given = headers.get("authorization", "")
    scheme, _, text = given.partition(" ")
    if given:
        parts = parse_token(text.strip()) if scheme.lower() == "bearer" else None
        return Credential(parts=parts, by_cookie=False) if parts else None
    parts = parse_token(cookie)
    return Credential(parts=parts, by_cookie=True) if parts else None


def unauthenticated() -> RefusalError:
    """Return the one answer to every credential that proves nothing."""
    return RefusalError(
        401,
        "unauthenticated",
        "Log in, or send a valid bearer token.",
        headers={"WWW-Authenticate": "Bearer"},
    )


async def authenticate(
    store: DeskStore, given: Credential | None, now: datetime, session_ttl_s: int
) -> Principal:
    """Return who the credential belongs to; a browser session in use lives longer.

    Raises:
        RefusalError: 401, whatever is wrong with it.
    """
    if given is None:
        raise unauthenticated()
    token = await store.token(given.parts.workspace, given.parts.token_id)
    if not _proven(token, given.parts.secret) or token is None or _expired(token, now):
        raise unauthenticated()
    if given.by_cookie and token.kind != "session":  # an API token is not for browsers
        raise unauthenticated()
    agent = await store.agent(token.workspace, token.agent)
    if agent is None or agent.disabled:
        raise unauthenticated()
    await _note_use(store, token, now, timedelta(seconds=session_ttl_s))
    return principal_of(agent, token, given)


async def still_good(store: DeskStore, who: Principal, now: datetime) -> bool:
    """Tell whether *who*'s credential still proves what it proved, for what goes on for long.

    It takes a moment: those who ask in it are looked at together.

    Raises:
        StoreUnavailableError: It cannot be known now.
    """
    token, agent = await asyncio.gather(
        store.together.get(TOKENS, who.workspace, who.token_id),
        store.together.get(AGENTS, who.workspace, who.agent),
    )
    if token is None or _expired(token, now):
        return False
    return agent is not None and not agent.disabled


def principal_of(agent: Agent, token: AccessToken, given: Credential) -> Principal:
    """Return the caller that this agent is."""
    return Principal(
        workspace=agent.workspace,
        agent=agent.id,
        name=agent.name,
        role=agent.role,
        by="cookie" if given.by_cookie else "bearer",
        token_id=token.id,
        kind=token.kind,
        csrf=csrf_token(given.parts.secret) if given.by_cookie else "",
        scopes=token.scopes,
        scope=scope_of(agent),
    )


def csrf_token(secret: str) -> str:
    """Return what a browser repeats in `X-CSRF-Token`: derived, so nothing needs storing."""
    digest = hmac.digest(secret.encode(), b"relaydesk csrf", "sha256")
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def check_same_site(headers: Mapping[str, str]) -> None:
    """Refuse what a browser sends from another site.

    Raises:
        ForbiddenError: `Origin` is not this host, or `Sec-Fetch-Site` says another site.
    """
    origin = headers.get("origin")
    host = headers.get("host", "")
    foreign = origin is not None and (not host or origin.partition("://")[2] != host)
    if foreign or headers.get("sec-fetch-site", "none") not in SAME_SITE:
        raise ForbiddenError("Requests from other sites are refused.", reason="cross_site")


def check_csrf(who: Principal, method: str, headers: Mapping[str, str]) -> None:
    """Refuse a browser's change that does not prove it comes from our own page.

    Raises:
        ForbiddenError: It comes from another site, or lacks the right `X-CSRF-Token`.
    """
    if who.by != "cookie" or method not in UNSAFE:
        return
    check_same_site(headers)
    given = headers.get("x-csrf-token", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(given, who.csrf.encode()):
        raise ForbiddenError("The header X-CSRF-Token is missing or wrong.", reason="csrf")


def check_role(who: Principal, least: Role) -> None:
    """Refuse a caller whose role does not reach.

    Raises:
        ForbiddenError: Names the least role that may.
    """
    if RANK[who.role] < RANK[least]:
        raise ForbiddenError(f"This needs the role {least} or above.", needs=least)


def _proven(token: AccessToken | None, secret: str) -> bool:
    """Compare by hash in constant time; an absent token costs the same."""
    stored = token.secret_hash if token else _NO_HASH
    return hmac.compare_digest(stored, secret_hash(secret)) and token is not None


def _expired(token: AccessToken, now: datetime) -> bool:
    return token.expires_at is not None and token.expires_at <= now


async def _note_use(store: DeskStore, token: AccessToken, now: datetime, ttl: timedelta) -> None:
    """Note that a token is used, coarsely, and move a browser session's end.

    The end moves at most once in a twentieth of its life. One write does both, and when somebody
    was faster, theirs stands.
    """
    until = _until(token, now, ttl)
    used = token.last_used_at
    if until == token.expires_at and used is not None and now - used < USE_NOTED_EACH:
        return
    await store.note_use(msgspec.structs.replace(token, last_used_at=now, expires_at=until))


def _until(token: AccessToken, now: datetime, ttl: timedelta) -> datetime | None:
    if token.kind != "session" or token.expires_at is None:
        return token.expires_at
    until = min(now + ttl, token.created_at + LONGEST)
    return until if until - token.expires_at > ttl / 20 else token.expires_at
