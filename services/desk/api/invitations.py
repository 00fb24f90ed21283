"""Invitations: whom an admin asks to work here, by a link that is shown once and mailed."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from libs.common.documents import Role
from libs.common.errors import ForbiddenError, InvalidInputError, NotFoundError, UniqueConflictError
from libs.common.people import (
    INVITATIONS,
    INVITED_FOR,
    Invitation,
    InvitationState,
    Letter,
    Secret,
    new_link,
)
from libs.common.store.api import Page
from services.desk.api.cursor import time_cursor, write_cursor
from services.desk.api.members import Word, check_scope, fields_of
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.sessions import Cursor, Limit
from services.desk.api.tokens import check_unscoped
from services.desk.audited import digest_of, entry, key_conflict, new_id, retried, write
from services.desk.letters import new_key, page_url, post

_ADDRESS = re.compile(r"[^\s@<>\"(),;:\\\x00-\x1f]{1,64}@[^\s@<>\"(),;:\\\x00-\x1f.][^\s@]{0,188}")


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to invite, as what, and what they will see; `role` is at most the caller's own."""

    email: Annotated[Plain, Meta(min_length=3, max_length=254)]
    role: Role = "agent"
    teams: Annotated[tuple[Word, ...], Meta(max_length=50)] = ()
    channels: Annotated[tuple[Word, ...], Meta(max_length=50)] = ()
    accounts: Annotated[tuple[Word, ...], Meta(max_length=200)] = ()
    team_only: bool = False


class InvitationView(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation.

    Attributes:
        state: `expired` is one that was not accepted in time; it can be sent again.
        mailed_at: When a mail was asked for; null: nobody mails it, hand the link over.
        agent: Whom it made (id), once it was accepted.
    """

    id: str
    email: str
    role: Role
    teams: tuple[str, ...]
    channels: tuple[str, ...]
    accounts: tuple[str, ...]
    team_only: bool
    state: Literal["pending", "accepted", "revoked", "expired"]
    by: str
    by_name: str
    created_at: datetime
    expires_at: datetime
    mailed_at: datetime | None
    agent: str


class Invited(msgspec.Struct, frozen=True, kw_only=True):
    """What was made: `token` is in this answer alone, and with it `url`, the console's page for it.

    Both are empty where a key is repeated. `mailed`: a mail was asked for.
    """

    invitation: InvitationView
    token: str
    url: str
    mailed: bool


class InvitationQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page, newest first."""

    state: Literal["", "pending", "accepted", "revoked"] = ""
    cursor: Cursor = ""
    limit: Limit = 50


class InvitationList(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first."""

    items: tuple[InvitationView, ...]
    next: str | None


async def invitations(call: Call) -> Reply:
    """List invitations."""
    query: InvitationQuery = call.query
    after = time_cursor(query.cursor)
    lead = (query.state,) if query.state else ()
    page = Page(
        order="state" if query.state else "created",
        descending=True,
        after=None if after is None else (*lead, *after),
        limit=query.limit + 1,
    )
    where = {"state": query.state} if query.state else {}
    found = await call.desk.store.port.find(INVITATIONS, call.who.workspace, where, page)
    shown = found[: query.limit]
    more = len(found) > query.limit
    return Reply(
        body=InvitationList(
            items=tuple(view(one, call.desk.now()) for one in shown),
            next=write_cursor(shown[-1].created_at, shown[-1].id) if more else None,
        )
    )


async def invite(call: Call) -> Reply:
    """Invite somebody; with an `Idempotency-Key` a repeat answers 200, without the link.

    Raises:
        InvalidInputError: No address, an unknown team, channel or account.
        ForbiddenError: The role is above the caller's own.
        RefusalError: 409: they work here already, or are invited already; the caller is a token
            with scopes.
    """
    check_unscoped(call)
    body: NewInvitation = call.body
    fields = await _checked(call, body)
    id_, digest = _plain(new_id(call, "inv")), digest_of(body)
    known = await call.desk.store.port.get(INVITATIONS, call.who.workspace, id_)
    if known is not None:
        return _replayed(call, known, digest)
    await _refuse_known(call, fields["email_key"])
    now = call.desk.now()
    secret = new_link("inv", call.who.workspace, id_)
    doc = Invitation(
        id=id_,
        workspace=call.who.workspace,
        **fields,
        secret_hash=secret.hash,
        by=call.who.agent,
        by_name=call.who.name,
        created_at=now,
        expires_at=now + INVITED_FOR,
        mailed_at=_mailed_at(call),
        digest=digest,
    )
    record = entry(call, "invitation.create", f"invitation:{doc.id}", None, shown_of(doc))
    try:
        doc = await write(call, INVITATIONS, doc, record)
    except UniqueConflictError:  # the same request, at the same time
        return _replayed(call, await _one(call, doc.id), digest)
    return await _told(call, doc, secret, status=201)


async def revoke(call: Call) -> Reply:
    """Take an invitation back: its link opens nothing any more; taken back it stays so.

    Raises:
        NotFoundError: No such invitation in this workspace.
        RefusalError: 409 `already_accepted`.
    """

    async def step(before: Invitation) -> Invitation:
        _refuse_accepted(before)
        if before.state == "revoked":
            return before
        after = msgspec.structs.replace(before, state="revoked")
        shown = shown_of(before), shown_of(after)
        record = entry(call, "invitation.revoke", f"invitation:{before.id}", *shown)
        return await write(call, INVITATIONS, after, record)

    await retried(call, lambda: _one(call), step)
    return Reply(status=204)


async def resend(call: Call) -> Reply:
    """Make and mail a new link, for another seven days; the old one opens nothing any more.

    Raises:
        NotFoundError: No such invitation in this workspace.
        ForbiddenError: Its role is above the caller's own.
        RefusalError: 409 `already_accepted`.
    """
    check_unscoped(call)
    secret = new_link("inv", call.who.workspace, (await _one(call)).id)

    async def step(before: Invitation) -> Invitation:
        _refuse_accepted(before)
        _check_role(call, before.role)
        now = call.desk.now()
        after = msgspec.structs.replace(
            before,
            state="pending",
            secret_hash=secret.hash,
            expires_at=now + INVITED_FOR,
            by=call.who.agent,
            by_name=call.who.name,
            mailed_at=_mailed_at(call),
        )
        shown = shown_of(before), shown_of(after)
        record = entry(call, "invitation.resend", f"invitation:{before.id}", *shown)
        return await write(call, INVITATIONS, after, record)

    return await _told(call, await retried(call, lambda: _one(call), step), secret)


# --- parts -------------------------------------------------------------------------------------


def address_of(email: str) -> str:
    """Return the address without what stands around it.

    Raises:
        InvalidInputError: It is none.
    """
    found = email.strip()
    if not _ADDRESS.fullmatch(found):
        raise InvalidInputError(
            "email: this is no email address.", field="email", allowed="one such as eve@example.org"
        )
    return found


def view(doc: Invitation, now: datetime) -> InvitationView:
    """Return what admins see of it."""
    own = {name: getattr(doc, name) for name in InvitationView.__struct_fields__}
    if doc.state == "pending" and doc.expires_at <= now:
        own["state"] = "expired"
    return InvitationView(**own)


def shown_of(doc: Invitation) -> dict[str, Any]:
    """Return what the record says of it: no secret."""
    hidden = {"secret_hash", "digest", "rev", "workspace", "id", "email_key"}
    return {name: getattr(doc, name) for name in doc.__struct_fields__ if name not in hidden}


async def _checked(call: Call, body: NewInvitation) -> dict[str, Any]:
    email = address_of(body.email)
    fields = fields_of(body)
    _check_role(call, body.role)
    await check_scope(call, fields)
    known = {team.id for team in (await call.desk.store.policy(call.who.workspace)).teams}
    for place, team in enumerate(body.teams):
        if team not in known:
            raise InvalidInputError(
                "teams: there is no such team.", field=f"teams.{place}", allowed="`GET /teams`"
            )
    return {**fields, "email": email, "email_key": email.lower()}


def _check_role(call: Call, role: Role) -> None:
    if RANK[role] > RANK[call.who.role]:
        raise ForbiddenError(f"Only the role {role} or above may invite one.", needs=role)


async def _refuse_known(call: Call, email_key: str) -> None:
    """Refuse whoever works here, or is invited already."""
    workspace, store = call.who.workspace, call.desk.store
    if await store.agent_by_email(workspace, email_key) is not None:
        raise RefusalError(
            409,
            "already_here",
            "Somebody with this address works here; a disabled agent is enabled again instead.",
            field="email",
        )
    page = Page(order="email", limit=50)
    for one in await store.port.find(INVITATIONS, workspace, {"email_key": email_key}, page):
        if one.state == "pending" and one.expires_at > call.desk.now():
            raise RefusalError(
                409,
                "already_invited",
                "This address is invited already: send that one again, or take it back first.",
                field="email",
                invitation=one.id,
            )


def _mailed_at(call: Call) -> datetime | None:
    return call.desk.now() if call.desk.settings.public_url else None


async def _one(call: Call, id_: str = "") -> Invitation:
    wanted = id_ or call.params["id"]
    found = await call.desk.store.port.get(INVITATIONS, call.who.workspace, wanted)
    if found is None:
        raise NotFoundError("There is no such invitation.")
    return found


def _refuse_accepted(doc: Invitation) -> None:
    accepted: InvitationState = "accepted"
    if doc.state == accepted:
        raise RefusalError(409, "already_accepted", "It was accepted; disable the agent instead.")


def _replayed(call: Call, known: Invitation, digest: str) -> Reply:
    if known.digest != digest:
        key_conflict()
    body = Invited(
        invitation=view(known, call.desk.now()),
        token="",
        url="",
        mailed=known.mailed_at is not None,
    )
    return Reply(body=body, headers={"Idempotent-Replayed": "true"})


async def _told(call: Call, doc: Invitation, secret: Secret, *, status: int = 200) -> Reply:
    """Ask for the mail, and hand out the link for once."""
    url = page_url(call.desk, "invitation", secret.text)
    told = Letter(
        kind="invitation",
        key=new_key(),
        workspace=doc.workspace,
        to=doc.email,
        by=doc.by_name,
        url=url,
        expires_at=doc.expires_at,
    )
    mailed = await post(call.desk, told, doc.id)
    shown = view(doc, call.desk.now())
    body = Invited(invitation=shown, token=secret.text, url=url, mailed=mailed)
    return Reply(body=body, status=status)


def _plain(id_: str) -> str:
    """Return an id as the text of a link can hold it: lower-case letters and digits."""
    return "".join(c for c in id_.lower() if c.isascii() and c.isalnum())
