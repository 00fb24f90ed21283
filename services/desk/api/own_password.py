"""Passwords: one's own, changed with the old one, or set anew by a link to one's address."""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.credentials import PASSWORD_MAX, secret_hash
from libs.common.documents import AGENTS, AUDIT, Agent
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.people import RESET_WITHIN, RESETS, Letter, PasswordReset, new_link, parse_link
from libs.common.store.api import Page
from services.desk.api.accepting import Link, NewPassword, link_gone
from services.desk.api.login import CANDIDATES, logged_in, too_many
from services.desk.api.problem import RefusalError
from services.desk.api.read import Plain
from services.desk.api.route import Call, Desk, Reply
from services.desk.api.tokens import check_login, end_all
from services.desk.audited import By, entry_by
from services.desk.auth import check_same_site
from services.desk.letters import new_key, page_url, post

_TRIES = 8
_OLD = 20


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The password until now and the new one; with `end_tokens` the API tokens end, too."""

    old: Annotated[str, Meta(min_length=1, max_length=PASSWORD_MAX)]
    new: NewPassword
    end_tokens: bool = False

    def __repr__(self) -> str:
        """Show nothing."""
        return "PasswordChange(...)"


class ResetAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose password is forgotten; `workspace` only where the mail is to be about one alone."""

    email: Annotated[Plain, Meta(min_length=1, max_length=254)]
    workspace: Annotated[Plain, Meta(max_length=48)] = ""


class ResetDone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `token` of the link, and the new password."""

    token: Link
    password: NewPassword

    def __repr__(self) -> str:
        """Show nothing."""
        return "ResetDone(...)"


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """That a mail comes if the address is known; whether it is, nobody is told."""

    detail: str = "If somebody here has this address, a mail is on its way."


async def change(call: Call) -> Reply:
    """Change one's own password; all other logins end.

    Raises:
        RefusalError: 409 `not_a_login` or `no_password`; 403 `wrong_password`; 429.
    """
    body: PasswordChange = call.body
    check_login(call)
    agent = await call.desk.store.agent(call.who.workspace, call.who.agent)
    if agent is None or not agent.password_hash:
        raise RefusalError(409, "no_password", "You have none: ask for a link to set one.")
    key, address = f"{agent.workspace}/{agent.id}", call.remote or "unknown"
    if wait_s := call.desk.throttle.take(key, address):
        raise too_many(wait_s)
    if not await call.desk.passwords.matching([agent], body.old, tries=1):
        raise RefusalError(403, "wrong_password", "The old password is wrong.", field="old")
    call.desk.throttle.succeeded(key, address)
    hashed = await call.desk.passwords.hashed(body.new)
    await _set(call.desk, agent, hashed, "password.change")
    await end_all(call, agent.workspace, agent.id, but=call.who.token_id, api=body.end_tokens)
    return Reply(status=204)


async def ask(call: Call) -> Reply:
    """Have a link mailed to who forgot their password; the answer is always the same.

    What it takes to find out whether somebody has the address is done after the answer.

    Raises:
        RefusalError: 429: this network address asks too often, whomever for.
    """
    body: ResetAsked = call.body
    check_same_site(call.headers)
    if wait_s := call.desk.doors.asks(call.remote):
        raise too_many(wait_s)
    email_key = body.email.strip().lower()
    if email_key and call.desk.doors.may_mail(email_key):
        call.desk.behind.start(_mail(call.desk, email_key, body.workspace))
    return Reply(body=Taken(), status=202)


async def reset(call: Call) -> Reply:
    """Set a new password by a link, once; all logins and API tokens end, and a new login begins.

    Raises:
        RefusalError: 404 `link_gone`, whatever is wrong with the link; 429.
    """
    body: ResetDone = call.body
    check_same_site(call.headers)
    if wait_s := call.desk.doors.tries(call.remote):
        raise too_many(wait_s)
    found = await _opened(call, body.token)
    agent = await call.desk.store.agent(found.workspace, found.agent)
    if agent is None or agent.disabled:
        raise link_gone()
    hashed = await call.desk.passwords.hashed(body.password)
    if not await call.desk.store.port.delete(RESETS, found.workspace, found.id):
        raise link_gone()  # somebody was faster: it is used once
    after = await _set(call.desk, agent, hashed, "password.reset")
    await end_all(call, agent.workspace, agent.id, api=True)
    return await logged_in(call, after)


# --- inside ------------------------------------------------------------------------------------


async def _mail(desk: Desk, email_key: str, workspace: str) -> None:
    """Mail a link for each workspace in which somebody has the address."""
    names = (workspace,) if workspace else await desk.store.workspaces_of(email_key)
    for name in names[:CANDIDATES]:
        agent = await desk.store.agent_by_email(name, email_key)
        if agent is not None and not agent.disabled and page_url(desk, "reset", ""):
            await _mail_one(desk, agent)


async def _mail_one(desk: Desk, agent: Agent) -> None:
    port, now = desk.store.port, desk.now()
    page = Page(order="agent", limit=_OLD)
    for old in await port.find(RESETS, agent.workspace, {"agent": agent.id}, page):
        await port.delete(RESETS, agent.workspace, old.id)  # the newest link alone opens
    secret = new_link("rst", agent.workspace)
    made = PasswordReset(
        id=secret.id,
        workspace=agent.workspace,
        agent=agent.id,
        secret_hash=secret.hash,
        created_at=now,
        expires_at=now + RESET_WITHIN,
    )
    who = By(agent.workspace, "system", now)
    await port.insert(AUDIT, entry_by(who, "password.reset_asked", f"agent:{agent.id}"))
    await port.insert(RESETS, made)
    told = Letter(
        kind="reset",
        key=new_key(),
        workspace=agent.workspace,
        to=agent.email,
        to_name=agent.name,
        url=page_url(desk, "reset", secret.text),
        expires_at=made.expires_at,
    )
    await post(desk, told, agent.id)


async def _opened(call: Call, text: str) -> PasswordReset:
    parts = parse_link("rst", text)
    if parts is None:
        raise link_gone()
    found = await call.desk.store.port.get(RESETS, parts.workspace, parts.token_id)
    kept = found.secret_hash if found else secret_hash("")
    fits = hmac.compare_digest(kept, secret_hash(parts.secret))
    if found is None or not fits or _over(found, call.desk.now()):
        raise link_gone()
    return found


def _over(found: PasswordReset, now: datetime) -> bool:
    return found.expires_at <= now


async def _set(desk: Desk, agent: Agent, hashed: str, action: str) -> Agent:
    """Write the new password with its record, which says that and not what.

    Raises:
        RefusalError: 409, others change the agent all the time.
    """
    port = desk.store.port
    who = By(agent.workspace, f"agent:{agent.id}", desk.now())
    record = entry_by(who, action, f"agent:{agent.id}")
    await port.insert(AUDIT, record)
    current: Agent | None = agent
    for _ in range(_TRIES):
        if current is None or current.disabled:
            break
        try:
            return await port.replace(
                AGENTS, msgspec.structs.replace(current, password_hash=hashed)
            )
        except (StaleRevisionError, UniqueConflictError):
            current = await desk.store.agent(agent.workspace, agent.id)
    await port.delete(AUDIT, record.workspace, record.id)
    raise RefusalError(409, "changed_meanwhile", "Others make changes right now; try again.")
