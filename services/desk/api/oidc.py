"""The two steps of a login by a provider: out to it, and back from it."""

from __future__ import annotations

import hmac
import logging
import secrets
from datetime import timedelta
from http.cookies import CookieError, SimpleCookie
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.credentials import secret_hash
from libs.common.documents import AUDIT, Agent, Role
from libs.common.errors import NotFoundError, UniqueConflictError
from libs.common.ids import derive_id
from libs.common.people import OIDC_LINKS, OIDC_LOGINS, OidcLink, OidcLogin, oidc_link_id
from libs.common.store.api import Page, Range
from libs.common.workspace_policy import agent_id
from services.desk import metrics
from services.desk.api.accepting import accept_by
from services.desk.api.login import logged_in, too_many
from services.desk.api.problem import RefusalError, unavailable
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.audited import By, entry_by
from services.desk.newcomer import add_agent
from services.desk.oidc import Begun, Oidc, OidcAwayError, OidcError, Person

log = logging.getLogger(__name__)

WITHIN = timedelta(minutes=10)
PATH = "/api/v1/login/oidc"
COOKIE = "relaydesk-oidc"
HOME = "/"
"""Where a login ends: never where a request says, so that ours leads nowhere else."""
_SWEPT = 50
Text = Annotated[Plain, Meta(max_length=4000)]


class OidcReturn(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider sends the browser back with; all but the first four is not looked at."""

    state: Text = ""
    code: Text = ""
    error: Text = ""
    iss: Text = ""
    error_description: Text = ""
    error_uri: Text = ""
    session_state: Text = ""
    scope: Text = ""
    authuser: Text = ""
    hd: Text = ""
    prompt: Text = ""


class LoginWays(msgspec.Struct, frozen=True, kw_only=True):
    """How one can log in: always by password, and by the provider where one is set up."""

    password: bool
    oidc: bool


async def ways(call: Call) -> Reply:
    """Say what a form to log in should offer."""
    return Reply(body=LoginWays(password=True, oidc=call.desk.oidc is not None))


async def begin(call: Call) -> Reply:
    """Send the browser to the provider.

    Raises:
        NotFoundError: No provider is set up.
        RefusalError: 429: this network address asks too often; 503: the provider is away.
    """
    oidc = _provider(call)
    if wait_s := call.desk.doors.begins(call.remote):
        raise too_many(wait_s)
    await _sweep(call, oidc.workspace)
    browser = secrets.token_urlsafe(32)
    begun = Begun(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
    )
    try:
        where = await oidc.address(begun)
    except OidcAwayError as error:
        raise _away(error) from None
    await call.desk.store.port.insert(
        OIDC_LOGINS,
        OidcLogin(
            id=_login_id(begun.state),
            workspace=oidc.workspace,
            nonce=begun.nonce,
            verifier=begun.verifier,
            browser=secret_hash(browser),
            expires_at=call.desk.now() + WITHIN,
        ),
    )
    cookie = _cookie(call, browser, int(WITHIN.total_seconds()))
    return Reply(status=303, headers={"Location": where, "Set-Cookie": cookie})


async def back(call: Call) -> Reply:
    """Log in whom the provider has proven, and go on to the console.

    Raises:
        NotFoundError: No provider is set up.
        RefusalError: 403 `login_refused`, whatever is wrong; 503: the provider is away.
    """
    oidc = _provider(call)
    query: OidcReturn = call.query
    try:
        begun = await _begun(call, oidc, query)
        person = await oidc.person(query.code, begun.nonce, begun.verifier)
        agent = await _agent(call, oidc, person)
    except OidcError as error:
        metrics.LOGINS.labels("oidc_refused").inc()
        log.warning("desk.oidc_refused", extra={"reason": str(error)})
        raise RefusalError(
            403, "login_refused", "This login is refused. Begin it again, or ask an admin."
        ) from None
    except OidcAwayError as error:
        raise _away(error) from None
    metrics.LOGINS.labels("oidc").inc()
    done = await logged_in(call, agent)
    headers = {"Location": HOME, "Set-Cookie": _cookie(call, "", 0)}
    return Reply(status=303, headers=headers, cookie=done.cookie)


# --- the login that was begun --------------------------------------------------------------------


async def _begun(call: Call, oidc: Oidc, query: OidcReturn) -> OidcLogin:
    """Return the login that comes back, which then is over.

    Raises:
        OidcError: It was not begun here, by this browser, lately, or it comes twice.
    """
    port, id_ = call.desk.store.port, _login_id(query.state)
    found = await port.get(OIDC_LOGINS, oidc.workspace, id_) if query.state else None
    if found is None or not await port.delete(OIDC_LOGINS, oidc.workspace, id_):
        raise OidcError("no such login was begun, or it came back already")
    if not hmac.compare_digest(found.browser, secret_hash(_browser(call))):
        raise OidcError("another browser began it")
    if found.expires_at <= call.desk.now():
        raise OidcError("it was begun too long ago")
    if query.iss and query.iss.rstrip("/") != oidc.issuer:
        raise OidcError("another issuer answers")
    if query.error or not query.code:
        raise OidcError("the provider refuses it")
    return found


async def _sweep(call: Call, workspace: str) -> None:
    """Forget logins that did not come back; nobody else looks at them."""
    port = call.desk.store.port
    old = {"expires_at": Range(lt=call.desk.now())}
    page = Page(order="expires", limit=_SWEPT)
    for one in await port.find(OIDC_LOGINS, workspace, old, page):
        await port.delete(OIDC_LOGINS, workspace, one.id)


def _login_id(state: str) -> str:
    return derive_id("oil", state)


def _browser(call: Call) -> str:
    try:
        found = SimpleCookie(call.headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _cookie(call: Call, value: str, max_age_s: int) -> str:
    secure = "; Secure" if call.desk.settings.secure_cookies else ""
    return f"{COOKIE}={value}; Path={PATH}; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"


# --- whom it is ----------------------------------------------------------------------------------


async def _agent(call: Call, oidc: Oidc, person: Person) -> Agent:
    """Return the agent who *person* is; who comes for the first time is linked for good.

    Raises:
        OidcError: They do not work here, or not any more, or the address is another's by now.
    """
    store = call.desk.store
    link_id = oidc_link_id(oidc.workspace, oidc.issuer, person.subject)
    link = await store.port.get(OIDC_LINKS, oidc.workspace, link_id)
    if link is not None:
        agent = await store.agent(oidc.workspace, link.agent)
    else:
        agent = await store.agent_by_email(oidc.workspace, person.email)
        agent = agent or await _newcomer(call, oidc, person)
        await _link(call, agent, link_id)
    if agent is None or agent.disabled:
        raise OidcError("whoever it is does not work here any more")
    return agent


async def _newcomer(call: Call, oidc: Oidc, person: Person) -> Agent:
    """Make an agent of who is invited, or of anybody where the settings say so."""
    invited = await accept_by(call, oidc.workspace, person.email, person.name)
    if invited is not None:
        return invited
    if not oidc.role:
        raise OidcError("whoever it is neither works here nor is invited")
    agent = Agent(
        id=agent_id(oidc.workspace, person.email),
        workspace=oidc.workspace,
        name=person.name,
        email=person.email,
        email_key=person.email,
        role=msgspec.convert(oidc.role, Role),
    )
    made = await add_agent(call.desk, agent, "oidc.join")
    if made is None:
        raise OidcError("somebody with the address came just now")
    return made


async def _link(call: Call, agent: Agent | None, link_id: str) -> None:
    """Keep whose account it is, so that whoever has the address later is not taken for them."""
    if agent is None or agent.disabled:
        raise OidcError("whoever it is does not work here any more")
    port, workspace = call.desk.store.port, agent.workspace
    page = Page(order="agent", limit=1)
    if await port.find(OIDC_LINKS, workspace, {"agent": agent.id}, page):
        raise OidcError("the agent of this address is another account of the provider's")
    who = By(workspace, f"agent:{agent.id}", call.desk.now())
    record = entry_by(who, "oidc.link", f"agent:{agent.id}")
    await port.insert(AUDIT, record)
    try:
        link = OidcLink(id=link_id, workspace=workspace, agent=agent.id, linked_at=who.at)
        await port.insert(OIDC_LINKS, link)
    except UniqueConflictError:  # the same account, at the same time
        await port.delete(AUDIT, workspace, record.id)


def _provider(call: Call) -> Oidc:
    if call.desk.oidc is None:
        raise NotFoundError("There is no provider to log in by.")
    return call.desk.oidc


def _away(error: OidcAwayError) -> RefusalError:
    log.warning("desk.oidc_away", extra={"reason": str(error)})
    return unavailable("The provider does not answer right now.", retry_after_s=10)
