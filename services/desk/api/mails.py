"""Addresses that get no mail: told by a mail provider's relay or a person, listed, lifted."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from libs.common.errors import NotFoundError, StaleRevisionError, UniqueConflictError
from libs.common.mail_bytes import check_address
from libs.common.mails import (
    SUPPRESSIONS,
    Suppression,
    SuppressionReason,
    SuppressionScope,
    covered,
    suppression_id,
)
from libs.common.store.api import Page
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.audited import TRIES, entry, remove, write


class Bounce(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A mail that came back for good (`bounced`), or whose reader called it spam."""

    address: Annotated[Plain, Meta(max_length=320)]
    reason: Literal["bounced", "complaint", "manual"] = "bounced"


class SuppressionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page, newest first; with `address`, that one alone."""

    address: Annotated[Plain, Meta(max_length=320)] = ""
    cursor: Cursor = ""
    limit: Limit = 50


class SuppressionView(msgspec.Struct, frozen=True, kw_only=True):
    """An address that gets no mail, covered; of `scope` `visitor` no replies to visitors only.

    Attributes:
        until: When it may be tried again; null: when it is lifted.
        code: The mail server's refusal; 0: none.
    """

    id: str
    address: str
    scope: SuppressionScope
    reason: SuppressionReason
    since: datetime
    until: datetime | None
    code: int


class SuppressionList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: tuple[SuppressionView, ...]
    next: str | None


async def record(call: Call) -> Reply:
    """Remember that an address gets no mail, until that is lifted.

    Raises:
        InvalidInputError: It is no address.
        RefusalError: 409, others change it all the time.
    """
    body: Bounce = call.body
    address = check_address(body.address, "address")
    wanted = Suppression(
        id=suppression_id(address),
        workspace=call.who.workspace,
        reason=body.reason,
        shown=covered(address),
        since=_whole_ms(call.desk.now()),
    )
    for _ in range(TRIES):
        before = await call.desk.store.port.get(SUPPRESSIONS, call.who.workspace, wanted.id)
        if before is not None and before.until is None and before.reason == body.reason:
            return Reply(body=_view(before))
        doc = msgspec.structs.replace(wanted, rev=before.rev if before else 0)
        note = entry(
            call,
            "mail.suppress",
            f"suppression:{wanted.id}",
            _view(before) if before else None,
            _view(doc),
        )
        try:
            return Reply(body=_view(await write(call, SUPPRESSIONS, doc, note)))
        except (StaleRevisionError, UniqueConflictError):
            continue
    raise RefusalError(409, "changed_meanwhile", "Others make changes right now; try again.")


async def suppressions(call: Call) -> Reply:
    """Show the addresses that get no mail.

    Raises:
        InvalidInputError: `address` is none.
    """
    query: SuppressionQuery = call.query
    port, workspace = call.desk.store.port, call.who.workspace
    if query.address:
        address = check_address(query.address, "address")
        scopes: tuple[SuppressionScope, ...] = ("all", "visitor")
        ids = [suppression_id(address, scope) for scope in scopes]
        named = await port.get_many(SUPPRESSIONS, workspace, ids)
        return Reply(body=SuppressionList(items=tuple(map(_view, named.values())), next=None))
    page = Page(
        order="since", descending=True, after=time_cursor(query.cursor), limit=query.limit + 1
    )
    found = await port.find(SUPPRESSIONS, workspace, {}, page)
    shown = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        body=SuppressionList(
            items=tuple(map(_view, shown)),
            next=write_cursor(shown[-1].since, shown[-1].id) if more else None,
        )
    )


async def lift(call: Call) -> Reply:
    """Let an address get mail again.

    Raises:
        NotFoundError: It is not suppressed in this workspace.
    """
    found = await call.desk.store.port.get(SUPPRESSIONS, call.who.workspace, call.params["id"])
    if found is None:
        raise NotFoundError("There is no such address here.")
    note = entry(call, "mail.lift", f"suppression:{found.id}", _view(found))
    await remove(call, SUPPRESSIONS, found, note)
    return Reply(status=204)


def _whole_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def _view(doc: Suppression) -> SuppressionView:
    return SuppressionView(
        id=doc.id,
        address=doc.shown,
        scope=doc.scope,
        reason=doc.reason,
        since=doc.since,
        until=doc.until,
        code=doc.code,
    )
