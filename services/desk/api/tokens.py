"""API tokens: for programs, named, scoped, expiring; the secret is shown once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from libs.common.credentials import new_secret, new_token_id, secret_hash, token_text
from libs.common.documents import TOKENS, AccessToken
from libs.common.errors import InvalidInputError, NotFoundError, UniqueConflictError
from libs.common.store.api import Page, Where, cursor
from services.desk.api.cursor import text_cursor, write_text_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.push import forget_login
from services.desk.api.read import Plain
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.audited import REPLAYED, entry, key_conflict, new_id, remove, write
from services.desk.token_scopes import resource_of

MOST = 50
"""API tokens of one agent."""
LONGEST_DAYS = 365
_AT_ONCE = 500
EVERYBODY = "all"

Scope = Annotated[str, Meta(pattern=r"^(\*|[a-z][a-z-]*):(read|write)$", max_length=60)]


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token of the caller's own; it never opens more than the caller's role.

    Attributes:
        name: What it is for.
        scopes: What it opens: `<resource>:read` or `:write`, by the first part of a path; `*` is
            every resource. None: all that the role does.
        expires_in_days: How long it lives.
    """

    name: Annotated[Plain, Meta(min_length=1, max_length=100)]
    scopes: Annotated[tuple[Scope, ...], Meta(max_length=50)] = ()
    expires_in_days: Annotated[int, Meta(ge=1, le=LONGEST_DAYS)]


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token; `last_used_at` is a few minutes coarse, null where it never was."""

    id: str
    agent: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class TokenMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new token; `secret` is what the program sends, in the first answer alone, else empty."""

    token: TokenView
    secret: str


class TokenQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Whose: empty for the caller's own; admins name an agent, or `all`."""

    agent: Annotated[Plain, Meta(max_length=100)] = ""
    cursor: Cursor = ""
    limit: Limit = 50


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """By agent, then id."""

    items: tuple[TokenView, ...]
    next: str | None


async def create(call: Call) -> Reply:
    """Make a token; with an `Idempotency-Key` a repeat answers 200 with the one it made.

    The repeat has no secret, of which only a hash is kept: whoever lost the first answer revokes
    the token.

    Raises:
        InvalidInputError: The name is blank, or a scope names no resource.
        RefusalError: 409 `not_a_login`, a token makes no tokens; `too_many`;
            `idempotency_conflict`.
    """
    body: NewToken = call.body
    check_login(call)
    _check(body)
    id_ = _token_id(call)
    before = await call.desk.store.token(call.who.workspace, id_)
    if before is not None:
        return _replayed(before, body)
    mine = await _found(call, {"agent": call.who.agent, "kind": "api"}, None, MOST + 1)
    if len(mine) >= MOST:
        raise RefusalError(409, "too_many", f"You have {MOST} tokens.", allowed=f"at most {MOST}")
    now, secret = call.desk.now(), new_secret()
    doc = AccessToken(
        id=id_,
        workspace=call.who.workspace,
        agent=call.who.agent,
        kind="api",
        name=body.name.strip(),
        secret_hash=secret_hash(secret),
        created_at=now,
        expires_at=now + timedelta(days=body.expires_in_days),
        scopes=_scopes(body),
    )
    record = entry(call, "token.create", f"token:{doc.id}", None, _shown(doc))
    try:
        made = await write(call, TOKENS, doc, record)
    except UniqueConflictError:  # the same request, at the same time
        there = await call.desk.store.token(call.who.workspace, id_)
        return _replayed(there, body) if there else key_conflict()
    text = token_text(made.workspace, made.id, secret)
    return Reply(body=TokenMade(token=view(made), secret=text), status=201)


async def tokens(call: Call) -> Reply:
    """List API tokens.

    Raises:
        NotFoundError: Somebody below admin names another agent.
    """
    query: TokenQuery = call.query
    whose = query.agent or call.who.agent
    if whose != call.who.agent and not _is_admin(call):
        raise NotFoundError("There is no such agent.")
    where = {"kind": "api"} if whose == EVERYBODY else {"kind": "api", "agent": whose}
    found = await _found(call, where, text_cursor(query.cursor), query.limit + 1)
    page = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        body=TokenList(
            items=tuple(map(view, page)),
            next=write_text_cursor(page[-1].agent, page[-1].id) if more else None,
        )
    )


async def revoke(call: Call) -> Reply:
    """Revoke a token, one's own or, as admin, anybody's: it opens nothing any more.

    Raises:
        NotFoundError: No such token in this workspace, or not the caller's.
    """
    found = await call.desk.store.token(call.who.workspace, call.params["id"])
    owned = found is not None and (found.agent == call.who.agent or _is_admin(call))
    if found is None or found.kind != "api" or not owned:
        raise NotFoundError("There is no such token.")
    await remove(
        call, TOKENS, found, entry(call, "token.revoke", f"token:{found.id}", _shown(found))
    )
    return Reply(status=204)


# --- for others --------------------------------------------------------------------------------


def check_unscoped(call: Call) -> None:
    """Refuse what would let a token that opens a little make one that opens all.

    Raises:
        RefusalError: 409, the caller uses an API token with scopes.
    """
    if call.who.scopes:
        raise RefusalError(
            409, "not_a_login", "Log in for this: a token with scopes gives nobody a role."
        )


def check_login(call: Call) -> None:
    """Refuse what only a person who has logged in may do.

    Raises:
        RefusalError: 409, the caller uses an API token.
    """
    if call.who.kind != "session":
        raise RefusalError(
            409, "not_a_login", "Log in for this: an API token does not manage access."
        )


async def end_all(call: Call, workspace: str, agent: str, *, but: str = "", api: bool) -> int:
    """Delete the agent's logins, and with *api* the tokens, all *but* one; return how many."""
    port, ended = call.desk.store.port, 0
    for kind in ("session", "api") if api else ("session",):
        where: Where = {"kind": kind, "agent": agent}
        page = Page(order="kind", limit=_AT_ONCE)
        found = await port.find(TOKENS, workspace, where, page)
        while found:  # what comes behind the last of a page; the page itself is gone by then
            for token in found:
                if token.id != but:
                    ended += await port.delete(TOKENS, workspace, token.id)
                    await forget_login(port, workspace, token.id)
            behind = msgspec.structs.replace(page, after=cursor(TOKENS, "kind", found[-1]))
            found = await port.find(TOKENS, workspace, where, behind)
    return ended


def view(doc: AccessToken) -> TokenView:
    """Return what people see of a token."""
    return TokenView(**{name: getattr(doc, name) for name in TokenView.__struct_fields__})


# --- inside ------------------------------------------------------------------------------------


def _token_id(call: Call) -> str:
    """Return the id of what the request makes: 24 letters and digits, no underscore."""
    if not call.headers.get("idempotency-key"):
        return new_token_id()
    return new_id(call, "tok").rpartition("_")[2][:24]


def _replayed(before: AccessToken, body: NewToken) -> Reply:
    """Answer with the token of the first request, which is never changed, or refuse the key."""
    until = before.created_at + timedelta(days=body.expires_in_days)
    same = (body.name.strip(), _scopes(body), until)
    if same != (before.name, before.scopes, before.expires_at):
        key_conflict()
    return Reply(body=TokenMade(token=view(before), secret=""), headers=REPLAYED)


def _scopes(body: NewToken) -> tuple[str, ...]:
    return tuple(dict.fromkeys(body.scopes))


def _is_admin(call: Call) -> bool:
    return RANK[call.who.role] >= RANK["admin"]


async def _found(
    call: Call, where: Where, after: tuple[str, str] | None, limit: int
) -> Sequence[AccessToken]:
    behind = None if after is None else ("api", *after)
    page = Page(order="kind", after=behind, limit=limit)
    return await call.desk.store.port.find(TOKENS, call.who.workspace, where, page)


def _check(body: NewToken) -> None:
    if not body.name.strip():
        raise InvalidInputError("name: must not be blank.", field="name", allowed="some text")
    for place, scope in enumerate(body.scopes):
        if scope.partition(":")[0] not in resources():
            raise InvalidInputError(
                "scopes: there is no such resource.",
                field=f"scopes.{place}",
                allowed=", ".join(sorted(resources())),
            )


@cache
def resources() -> frozenset[str]:
    """Return what scopes may name: the first segments of all paths, and `*`."""
    from services.desk.api.table import ROUTES  # noqa: PLC0415 the table names this module

    return frozenset({"*", *(resource_of(route.path) for route in ROUTES if route.role)})


def _shown(doc: AccessToken) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(view(doc))
    return shown
