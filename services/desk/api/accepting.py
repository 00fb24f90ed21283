"""Accepting an invitation: whoever has its link becomes an agent, once."""

from __future__ import annotations

import hmac
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.credentials import PASSWORD_MAX, PASSWORD_MIN, secret_hash
from libs.common.documents import Agent
from libs.common.errors import InvalidInputError, StaleRevisionError
from libs.common.people import INVITATIONS, Invitation, parse_link
from libs.common.store.api import Page
from libs.common.workspace_policy import agent_id
from services.desk.api.login import logged_in, too_many
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import RANK, Call, Reply
from services.desk.auth import check_same_site
from services.desk.newcomer import add_agent

NewPassword = Annotated[str, Meta(min_length=PASSWORD_MIN, max_length=PASSWORD_MAX)]
Link = Annotated[Plain, Meta(min_length=1, max_length=300)]


class Acceptance(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `token` of the link, what to be called, and a password of one's own."""

    token: Link
    name: Annotated[Plain, Meta(min_length=1, max_length=200)]
    password: NewPassword

    def __repr__(self) -> str:
        """Show nothing."""
        return "Acceptance(...)"


async def accept(call: Call) -> Reply:
    """Become an agent, and be logged in.

    Raises:
        InvalidInputError: The name is blank.
        RefusalError: 404 `link_gone`, whatever is wrong with the link; 409 `already_here`; 429.
    """
    body: Acceptance = call.body
    check_same_site(call.headers)
    if wait_s := call.desk.doors.tries(call.remote):
        raise too_many(wait_s)
    if not body.name.strip():
        raise InvalidInputError("name: must not be blank.", field="name", allowed="some text")
    found = await _opened(call, body.token)
    hashed = await call.desk.passwords.hashed(body.password)
    made = await _made(call, found, body.name.strip(), hashed)
    return await logged_in(call, made)


async def accept_by(call: Call, workspace: str, email_key: str, name: str) -> Agent | None:
    """Make an agent of whoever is invited and has proven the address otherwise; None: nobody is.

    Raises:
        RefusalError: It was used or taken back just now.
    """
    page = Page(order="email", limit=50)
    where = {"email_key": email_key}
    for found in await call.desk.store.port.find(INVITATIONS, workspace, where, page):
        if await _stands(call, found):
            return await _made(call, found, name, "")
    return None


def link_gone() -> RefusalError:
    """Return the one answer to every link that opens nothing."""
    return RefusalError(
        404, "link_gone", "This link is not valid, or not any more. Ask for another one."
    )


async def _opened(call: Call, text: str) -> Invitation:
    """Return the invitation that a link opens.

    Raises:
        RefusalError: 404, whatever is wrong with it.
    """
    parts = parse_link("inv", text)
    if parts is None:
        raise link_gone()
    found = await call.desk.store.port.get(INVITATIONS, parts.workspace, parts.token_id)
    kept = found.secret_hash if found else secret_hash("")
    fits = hmac.compare_digest(kept, secret_hash(parts.secret))
    if found is None or not fits or not await _stands(call, found):
        raise link_gone()
    return found


async def _stands(call: Call, found: Invitation) -> bool:
    """Tell whether it may be accepted now: who invites might still do so."""
    if found.state != "pending" or found.expires_at <= call.desk.now():
        return False
    by = await call.desk.store.agent(found.workspace, found.by)
    least = max(RANK[found.role], RANK["admin"])
    return by is not None and not by.disabled and RANK[by.role] >= least


async def _made(call: Call, found: Invitation, name: str, hashed: str) -> Agent:
    """Make the agent. The invitation is used up first: of two at once, one gets in.

    Raises:
        RefusalError: 404, it was used or taken back just now; 409, they work here already.
    """
    known = {team.id for team in (await call.desk.store.policy(found.workspace)).teams}
    agent = Agent(
        id=agent_id(found.workspace, found.email),
        workspace=found.workspace,
        name=name,
        email=found.email,
        email_key=found.email_key,
        role=found.role,
        password_hash=hashed,
        teams=tuple(team for team in found.teams if team in known),
        channels=found.channels,
        accounts=found.accounts,
        team_only=found.team_only,
    )
    used = msgspec.structs.replace(found, state="accepted", agent=agent.id)
    try:
        await call.desk.store.port.replace(INVITATIONS, used)
    except StaleRevisionError:
        raise link_gone() from None
    made = await add_agent(call.desk, agent, "invitation.accept")
    if made is None:
        raise RefusalError(
            409, "already_here", "Somebody with this address works here already; log in instead."
        )
    return made
