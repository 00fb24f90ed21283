"""One's own logins: where they are, and ending them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from libs.common.documents import TOKENS, AccessToken
from libs.common.errors import NotFoundError
from libs.common.store.api import Page, Where, cursor
from services.desk.api.push import forget_login
from services.desk.api.route import Call, Reply
from services.desk.audited import entry, remove

MOST = 500
"""Logins that are listed."""
_PAGE = Page(order="kind", limit=MOST)


class LoginView(msgspec.Struct, frozen=True, kw_only=True):
    """A login.

    Attributes:
        device: The browser as it calls itself. `address`: the TCP peer it came from.
        last_used_at: A few minutes coarse.
        current: The login of this request.
    """

    id: str
    device: str
    address: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    current: bool


class LoginList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; of more than `MOST`, some."""

    items: tuple[LoginView, ...]
    next: str | None = None


async def logins(call: Call) -> Reply:
    """List the caller's logins."""
    now = call.desk.now()
    found = [one for one in await _mine(call) if one.expires_at is None or one.expires_at > now]
    found.sort(key=lambda one: (one.created_at, one.id), reverse=True)
    return Reply(body=LoginList(items=tuple(_view(call, one) for one in found)))


async def end(call: Call) -> Reply:
    """End one of the caller's logins: its cookie and its token stop working.

    Raises:
        NotFoundError: The caller has no such login.
    """
    found = await call.desk.store.token(call.who.workspace, call.params["id"])
    if found is None or found.kind != "session" or found.agent != call.who.agent:
        raise NotFoundError("There is no such login.")
    await _end(call, found)
    return Reply(status=204)


async def end_others(call: Call) -> Reply:
    """End all of the caller's logins but the one of this request."""
    port, workspace = call.desk.store.port, call.who.workspace
    found = await _mine(call)
    while found:
        for one in found:
            if one.id != call.who.token_id:
                await _end(call, one)
        behind = msgspec.structs.replace(_PAGE, after=cursor(TOKENS, "kind", found[-1]))
        found = await port.find(TOKENS, workspace, _where(call), behind)
    return Reply(status=204)


async def _mine(call: Call) -> list[AccessToken]:
    return await call.desk.store.port.find(TOKENS, call.who.workspace, _where(call), _PAGE)


def _where(call: Call) -> Where:
    return {"kind": "session", "agent": call.who.agent}


async def _end(call: Call, found: AccessToken) -> None:
    shown: dict[str, Any] = msgspec.to_builtins(_view(call, found))
    record = entry(call, "login.end", f"login:{found.id}", shown)
    await remove(call, TOKENS, found, record)
    await forget_login(call.desk.store.port, call.who.workspace, found.id)


def _view(call: Call, doc: AccessToken) -> LoginView:
    return LoginView(
        id=doc.id,
        device=doc.device,
        address=doc.address,
        created_at=doc.created_at,
        expires_at=doc.expires_at,
        last_used_at=doc.last_used_at,
        current=doc.id == call.who.token_id,
    )
