"""Who may do what: nobody without a credential, each role up to its reach, nobody over the wall."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from libs.common.documents import AGENTS, TOKENS
from libs.common.store.api import Page
from services.desk.api.route import RANK, Route
from services.desk.api.table import ROUTES
from services.desk.server import build
from tests.desk.world import PASSWORD, PEOPLE, Answer, World, open_world


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """A desk of each test's own: some change what belongs to no workspace."""
    async with open_world(nats_url, ready_url) as made:
        yield made


PUBLIC = {
    ("GET", "/files/preview.png"),
    ("HEAD", "/files/preview.png"),
    ("GET", "/"),
    ("HEAD", "/"),
    ("GET", "/sw.js"),
    ("HEAD", "/sw.js"),
    ("GET", "/assets/{version}{slash}{name}"),
    ("HEAD", "/assets/{version}{slash}{name}"),
    ("POST", "/api/v1/login"),
    ("GET", "/api/v1/login"),  # what the page of it offers
    ("POST", "/api/v1/invitations/accept"),
    ("POST", "/api/v1/password-resets"),
    ("POST", "/api/v1/password-resets/done"),
    ("GET", "/api/v1/openapi.json"),
    ("OPTIONS", "/files/web/{account}"),  # a browser asks before it sends the visitor's token
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")

LEAST_ROLE = {
    "POST /login": None,
    "POST /mail/bounces": "admin",
    "GET /mail/suppressions": "admin",
    "DELETE /mail/suppressions/{id}": "admin",
    "GET /webhook-endpoints": "admin",
    "POST /webhook-endpoints": "admin",
    "GET /webhook-endpoints/{id}": "admin",
    "PATCH /webhook-endpoints/{id}": "admin",
    "DELETE /webhook-endpoints/{id}": "admin",
    "POST /webhook-endpoints/{id}/rotate-secret": "admin",
    "POST /webhook-endpoints/{id}/test": "admin",
    "GET /webhook-endpoints/{id}/deliveries": "admin",
    "GET /webhook-endpoints/{id}/deliveries/{delivery}": "admin",
    "POST /webhook-endpoints/{id}/deliveries/{delivery}/redeliver": "admin",
    "POST /webhook-endpoints/{id}/redeliver": "admin",
    "POST /bots/{workspace}/{bot}/answers": None,  # signed by the bot instead
    "GET /login": None,
    "GET /login/oidc": None,
    "GET /login/oidc/callback": None,
    "GET /invitations": "admin",
    "POST /invitations": "admin",
    "DELETE /invitations/{id}": "admin",
    "POST /invitations/{id}/resend": "admin",
    "POST /invitations/accept": None,  # whoever has the link
    "POST /password-resets": None,  # who has forgotten theirs
    "POST /password-resets/done": None,  # whoever has the link
    "PUT /me/password": "read_only",
    "GET /me/sessions": "read_only",
    "DELETE /me/sessions": "read_only",
    "DELETE /me/sessions/{id}": "read_only",
    "GET /tokens": "read_only",
    "POST /tokens": "read_only",
    "DELETE /tokens/{id}": "read_only",
    "POST /logout": "read_only",
    "GET /me": "read_only",
    "PATCH /me": "read_only",
    "GET /openapi.json": None,
    "GET /accounts": "read_only",
    "POST /accounts": "admin",
    "GET /accounts/{slug}": "admin",
    "PATCH /accounts/{slug}": "admin",
    "DELETE /accounts/{slug}": "admin",
    "POST /accounts/{slug}/test": "admin",
    "GET /channels/kinds": "admin",
    "GET /channels": "read_only",
    "GET /agents": "read_only",
    "GET /tags": "read_only",
    "POST /tags": "agent",
    "GET /tags/{id}": "read_only",
    "PATCH /tags/{id}": "lead",
    "DELETE /tags/{id}": "lead",
    "GET /broadcasts": "lead",
    "POST /broadcasts": "lead",
    "POST /broadcasts/count": "lead",
    "GET /broadcasts/{id}": "lead",
    "PATCH /broadcasts/{id}": "lead",
    "DELETE /broadcasts/{id}": "lead",
    "POST /broadcasts/{id}/start": "lead",
    "POST /broadcasts/{id}/pause": "lead",
    "POST /broadcasts/{id}/resume": "lead",
    "POST /broadcasts/{id}/cancel": "lead",
    "POST /broadcasts/{id}/copy": "lead",
    "GET /broadcasts/{id}/recipients": "lead",
    "GET /contacts": "read_only",
    "POST /contacts/tags": "agent",
    "GET /contacts/{id}": "read_only",
    "PATCH /contacts/{id}": "agent",
    "PUT /contacts/{id}/tags/{tag}": "agent",
    "DELETE /contacts/{id}/tags/{tag}": "agent",
    "GET /contacts/{id}/messages": "read_only",
    "POST /attachments": "agent",
    "GET /attachments/{id}": "read_only",
    "GET /unread": "read_only",
    "GET /sessions": "read_only",
    "GET /sessions/{id}": "read_only",
    "GET /sessions/{id}/why": "read_only",
    "GET /sessions/{id}/messages": "read_only",
    "POST /sessions/{id}/messages": "agent",
    "POST /sessions/{id}/messages/{message}/retry": "agent",
    "POST /sessions/{id}/typing": "agent",
    "POST /sessions/{id}/open": "agent",
    "POST /sessions/{id}/claim": "agent",
    "PUT /sessions/{id}/assignees": "agent",
    "PUT /sessions/{id}/bot": "agent",
    "POST /sessions/{id}/end": "agent",
    "POST /sessions/{id}/snooze": "agent",
    "DELETE /sessions/{id}/snooze": "agent",
    "POST /sessions/{id}/restore": "agent",
    "PUT /sessions/{id}/read": "agent",
    "POST /sessions/{id}/remove": "agent",
    "DELETE /sessions/{id}/assignees/{agent}": "agent",
    "POST /sessions/{id}/handoff": "agent",
    "PUT /sessions/{id}/tags": "agent",
    "POST /sessions/bulk": "agent",
    "GET /bots": "read_only",
    "POST /bots": "lead",
    "GET /bots/{id}": "lead",
    "PUT /bots/{id}": "lead",
    "DELETE /bots/{id}": "lead",
    "POST /bots/{id}/secret": "admin",
    "POST /bots/{id}/try": "lead",
    "GET /decisions/{id}": "lead",
    "POST /rules/dry-run": "lead",
    "POST /rules/simulate": "lead",
    "POST /termination/preview": "lead",
    "POST /termination/undo": "lead",
    "GET /settings": "read_only",
    "PATCH /settings": "admin",
    "GET /agents/{id}": "read_only",
    "PATCH /agents/{id}": "admin",
    "GET /teams": "lead",
    "GET /teams/{id}": "lead",
    "PUT /teams/{id}": "lead",
    "DELETE /teams/{id}": "lead",
    "GET /calendars": "lead",
    "GET /calendars/{id}": "lead",
    "PUT /calendars/{id}": "lead",
    "DELETE /calendars/{id}": "lead",
    "GET /rules": "lead",
    "PUT /rules": "lead",
    "PUT /rules/order": "lead",
    "GET /rules/{id}": "lead",
    "PUT /rules/{id}": "lead",
    "DELETE /rules/{id}": "lead",
    "GET /trace/{id}": "agent",
    "GET /trace/{id}/raw": "lead",
    "GET /audit": "lead",
    "GET /audit/export": "admin",
    "GET /presence": "read_only",
    "PUT /presence": "agent",
    "POST /sessions/{id}/notes": "agent",
    "GET /push-subscriptions/key": "read_only",
    "GET /push-subscriptions": "read_only",
    "POST /push-subscriptions": "read_only",
    "DELETE /push-subscriptions/{id}": "read_only",
    "GET /alerts/stream": "read_only",
    "GET /alerts/preferences": "read_only",
    "PUT /alerts/preferences": "read_only",
    "PATCH /alerts/preferences": "read_only",
    "POST /alerts/mute": "read_only",
    "DELETE /alerts/mute": "read_only",
    "POST /alerts/test": "read_only",
    "GET /scheduled-messages": "read_only",
    "POST /scheduled-messages": "agent",
    "GET /scheduled-messages/{id}": "read_only",
    "PATCH /scheduled-messages/{id}": "agent",
    "POST /scheduled-messages/{id}/cancel": "agent",
    "GET /standard-messages": "read_only",
    "POST /standard-messages": "lead",
    "GET /standard-messages/{id}": "read_only",
    "PATCH /standard-messages/{id}": "lead",
    "DELETE /standard-messages/{id}": "lead",
    "GET /standard-messages/template.xlsx": "lead",
    "GET /standard-messages/export.xlsx": "lead",
    "POST /standard-messages/import": "lead",
    "POST /standard-messages/preview": "agent",
    "GET /standard-messages/folders": "read_only",
    "POST /standard-messages/folders": "lead",
    "PUT /standard-messages/folders/order": "lead",
    "GET /standard-messages/folders/{id}": "read_only",
    "PATCH /standard-messages/folders/{id}": "lead",
    "DELETE /standard-messages/folders/{id}": "lead",
    "PUT /standard-messages/folders/{id}/order": "lead",
    "GET /sessions/{id}/standard-messages": "read_only",
    "POST /sessions/{id}/standard-messages/{item}/render": "agent",
    "GET /settings/history": "admin",
    "POST /settings/restore": "admin",
    "GET /jobs": "read_only",
    "GET /jobs/{id}": "read_only",
    "POST /jobs/{id}/cancel": "agent",
    "GET /jobs/{id}/result": "read_only",
    "GET /jobs/{id}/errors": "read_only",
    "POST /contacts/import": "lead",
    "GET /contacts/import/template.xlsx": "read_only",
    "GET /contacts/export": "agent",
    "POST /contacts/export": "agent",
    "POST /contacts": "agent",
    "GET /contact-fields": "read_only",
    "POST /contact-fields": "lead",
    "GET /contact-fields/{id}": "read_only",
    "PATCH /contact-fields/{id}": "lead",
    "DELETE /contact-fields/{id}": "lead",
    "GET /contacts/{id}/notes": "read_only",
    "POST /contacts/{id}/notes": "agent",
    "GET /contacts/{id}/notes/{note}": "read_only",
    "PATCH /contacts/{id}/notes/{note}": "agent",
    "DELETE /contacts/{id}/notes/{note}": "agent",
    "GET /sessions/{id}/notes/{note}": "read_only",
    "PATCH /sessions/{id}/notes/{note}": "agent",
    "DELETE /sessions/{id}/notes/{note}": "agent",
    "GET /contacts/{id}/duplicates": "read_only",
    "GET /contacts/{id}/merges": "read_only",
    "POST /contacts/{id}/merge": "agent",
    "POST /contacts/{id}/unmerge": "agent",
    "POST /contacts/{id}/erase": "admin",
    "GET /inbox": "read_only",
    "GET /inbox/stream": "read_only",
    "GET /filters": "read_only",
    "POST /filters": "read_only",
    "GET /filters/{id}": "read_only",
    "PATCH /filters/{id}": "read_only",
    "DELETE /filters/{id}": "read_only",
    "GET /inbox/default": "read_only",
    "PUT /inbox/default": "read_only",
    "GET /reports": "lead",
    "GET /reports/{name}": "lead",
    "GET /search": "read_only",
}


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


def test_the_table_grants_exactly_this() -> None:
    assert {named(route): route.role for route in ROUTES} == LEAST_ROLE


def test_whoever_only_reads_may_change_nothing_but_their_own_login_and_alerts() -> None:
    signed = {"POST /bots/{workspace}/{bot}/answers"}
    alerts = {
        "PUT /alerts/preferences",
        "PATCH /alerts/preferences",
        "POST /alerts/mute",
        "DELETE /alerts/mute",
        "POST /alerts/test",
        "POST /push-subscriptions",
        "DELETE /push-subscriptions/{id}",
    }
    changing = {named(r) for r in ROUTES if r.method != "GET" and r.role in {"read_only", None}}
    own = {
        "POST /login",
        "POST /logout",
        "POST /invitations/accept",
        "POST /password-resets",
        "POST /password-resets/done",
        "PUT /me/password",
        "PATCH /me",
        "DELETE /me/sessions",
        "DELETE /me/sessions/{id}",
        "POST /tokens",
        "DELETE /tokens/{id}",
    }
    sight = {  # what their own inbox shows first
        "POST /filters",
        "PATCH /filters/{id}",
        "DELETE /filters/{id}",
        "PUT /inbox/default",
    }
    assert changing - signed - alerts - sight == own


async def test_g2_without_a_credential_only_the_public_list_answers(world: World) -> None:
    app = build(world.desk, ROUTES)
    paths = {resource.canonical for resource in app.router.resources()}
    paths |= {
        "/api",
        "/api/v1",
        "/api/v1/nothing",
        "/metrics",
        "/livez",
        "/api/v1/me/",
        "//api/v1/me",
    }
    answers = {}
    for path in paths:
        for method in METHODS:
            known = path.replace("{version}{slash}{name}", "app.js")
            where = re.sub(r"\{\w+\}", "some-id", known)
            found = await world.call(method, world.base + where)
            answers[(method, path)] = found.status
    assert len(answers) > 200
    shut = {401, 404, 429}  # who proves nothing so often waits; what is open asks for no proof
    open_to_all = {key for key, status in answers.items() if status not in shut}
    assert open_to_all == PUBLIC


@pytest.mark.parametrize("who", PEOPLE)
async def test_d24_each_role_reaches_its_routes_and_no_others(world: World, who: str) -> None:
    for route in ROUTES:
        answer = await world.call(route.method, re.sub(r"\{\w+\}", "some-id", route.path), who)
        denied = route.role is not None and RANK[PEOPLE[who]] < RANK[route.role]
        assert (answer.status == 403) == denied, named(route)
        assert answer.status != 401 or route.role is None, named(route)
        if denied:
            assert answer.json["facts"] == {"needs": route.role}


# --- credentials ---------------------------------------------------------------------------------

CREDENTIALS = {
    "nothing": {},
    "an empty header": {"Authorization": ""},
    "a scheme alone": {"Authorization": "Bearer"},
    "another scheme": {"Authorization": "Basic {token}"},
    "a cut token": {"Authorization": "Bearer {cut}"},
    "another secret": {"Authorization": "Bearer {other_secret}"},
    "a token of another workspace under this one's name": {"Authorization": "Bearer {moved}"},
    "an expired token": {"Authorization": "Bearer {expired}"},
    "a disabled agent's token": {"Authorization": "Bearer {disabled}"},
    "the system's workspace": {"Authorization": "Bearer rdk__system_abc_" + "a" * 43},
    "an API token as a cookie": {"Cookie": "relaydesk={token}"},
    "a user named by a header": {"X-User": "agt-olga", "X-Forwarded-User": "agt-olga"},
    "a right cookie behind a wrong bearer": {
        "Authorization": "Bearer x",
        "Cookie": "relaydesk={login}",
    },
}


@pytest.mark.parametrize("given", CREDENTIALS.values(), ids=CREDENTIALS)
async def test_what_proves_nothing_gets_the_one_answer(world: World, given: dict[str, str]) -> None:
    token = world.tokens["amy"]
    amy = await world.store.get(AGENTS, world.workspace, "agt-amy")
    assert amy is not None
    gone = msgspec.structs.replace(amy, id="agt-gone", email_key="gone@x", disabled=True, rev=0)
    await world.store.insert(AGENTS, gone)
    texts = {
        "token": token,
        "cut": token[:-1],
        "other_secret": token.rpartition("_")[0] + "_" + "A" * 43,
        "moved": world.tokens["zoe"].replace(world.other, world.workspace),
        "expired": await world.token(amy, expires_at=datetime.now(UTC) - timedelta(seconds=1)),
        "disabled": await world.token(gone),
        "login": await world.token(amy, kind="session"),
    }
    headers = {name: value.format(**texts) for name, value in given.items()}
    answer = await world.call("GET", "/me", headers=headers)
    bare = await world.call("GET", "/me")
    assert (answer.status, answer.body) == (401, bare.body)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_login_lives_longer_while_it_is_used_and_never_over_thirty_days(
    world: World,
) -> None:
    amy = await world.store.get(AGENTS, world.workspace, "agt-amy")
    assert amy is not None
    now = datetime.now(UTC)
    world.tokens["used"] = await world.token(
        amy, kind="session", expires_at=now + timedelta(hours=1)
    )
    await world.get("/me", "used")
    where = {"agent": "agt-amy"}
    stored = await world.store.find(TOKENS, world.workspace, where, Page(order="agent"))
    [token] = [token for token in stored if token.kind == "session"]
    assert token.expires_at is not None
    assert token.expires_at > now + timedelta(hours=11)
    old = msgspec.structs.replace(
        token, created_at=now - timedelta(days=30), expires_at=now + timedelta(seconds=5)
    )
    await world.store.replace(TOKENS, old)
    await world.get("/me", "used")
    again = await world.store.get(TOKENS, world.workspace, token.id)
    assert again is not None
    assert again.expires_at == old.expires_at


# --- browsers ------------------------------------------------------------------------------------

CSRF = {
    "the right token changes": ({"X-CSRF-Token": "{csrf}"}, 200),
    "no token": ({}, 403),
    "an empty token": ({"X-CSRF-Token": ""}, 403),
    "another login's token": ({"X-CSRF-Token": "{others}"}, 403),
    "a foreign origin, whatever the token": (
        {"X-CSRF-Token": "{csrf}", "Origin": "https://evil.example"},
        403,
    ),
    "the origin null": ({"X-CSRF-Token": "{csrf}", "Origin": "null"}, 403),
    "a host that only begins like ours": (
        {"X-CSRF-Token": "{csrf}", "Origin": "{origin}.evil.example"},
        403,
    ),
    "our own origin": ({"X-CSRF-Token": "{csrf}", "Origin": "{origin}"}, 200),
    "fetch metadata of another site": (
        {"X-CSRF-Token": "{csrf}", "Sec-Fetch-Site": "cross-site"},
        403,
    ),
    "a forwarded host does not make a foreign origin ours": (
        {
            "X-CSRF-Token": "{csrf}",
            "Origin": "https://evil.example",
            "X-Forwarded-Host": "evil.example",
        },
        403,
    ),
}


@pytest.mark.parametrize(("given", "status"), CSRF.values(), ids=CSRF)
async def test_g12_a_browser_changes_only_with_its_own_token_from_our_own_page(
    world: World, given: dict[str, str], status: int
) -> None:
    logins = []
    for name in ("adam", "olga"):
        body = {"email": world.email(name), "password": PASSWORD}
        logins.append((await world.call("POST", "/login", body=body)).json)
    origin = world.base
    texts = {"csrf": logins[0]["csrf"], "others": logins[1]["csrf"], "origin": origin}
    headers = {name: value.format(**texts) for name, value in given.items()}
    headers["Cookie"] = f"relaydesk={logins[0]['token']}"
    answer = await world.call("PATCH", "/settings", body={"auto_hosting": False}, headers=headers)
    assert answer.status == status
    settings = await world.get("/settings", "adam")
    assert settings["auto_hosting"] == (status != 200)


async def test_a_cookie_reads_without_a_csrf_token_and_is_told_its_own(world: World) -> None:
    body = {"email": world.email("amy"), "password": PASSWORD}
    login = (await world.call("POST", "/login", body=body)).json
    headers = {"Cookie": f"relaydesk={login['token']}"}
    answer = await world.call("GET", "/me", headers=headers)
    assert (answer.status, answer.json["csrf"]) == (200, login["csrf"])


async def test_every_answer_carries_the_security_headers_and_none_opens_to_other_origins(
    world: World,
) -> None:
    origin = {"Origin": "https://evil.example"}
    for method, path, who in (
        ("GET", "/me", "amy"),
        ("GET", "/me", ""),
        ("GET", "/nothing", "amy"),
        ("OPTIONS", "/me", ""),
        ("GET", "/openapi.json", ""),
    ):
        answer = await world.call(method, path, who, headers=origin)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert "aiohttp" not in answer.headers["Server"]


# --- the wall (I12) ------------------------------------------------------------------------------


async def foreign_ids(world: World) -> dict[str, str]:
    """Return ids that exist in the other workspace, and only there; see `matrix` for all others."""
    session = await world.writes("secret plan", workspace=world.other, visitor="V9")
    return {
        "session": session.id,
        "agent": "agt-zoe",
        "account": world.slug("line", world.other),
    }


def alike(text: str) -> str:
    """Return another id of the same shape."""
    return re.sub(r"[a-z0-9](?=[a-z0-9]{0,5}$)", "7", text, flags=re.IGNORECASE)


def same(one: Answer, other: Answer) -> bool:
    ours, theirs = dict(one.headers), dict(other.headers)
    ours.pop("Date", None)
    theirs.pop("Date", None)
    return (one.status, one.body, ours) == (other.status, other.body, theirs)


@pytest.mark.parametrize("query", ["account", "assignee", "cursor"])
async def test_g13_nor_does_a_query_reach_over_the_wall(world: World, query: str) -> None:
    ids = await foreign_ids(world)
    await world.writes("ours")
    used = {"account": ids["account"], "assignee": ids["agent"]}
    if query == "cursor":
        for n in range(3):
            await world.writes(f"more {n}", workspace=world.other, visitor=f"V{n}")
        page = await world.get("/sessions", "zoe", limit=1)
        pairs = [[("cursor", page["next"]), ("limit", "1")], [("limit", "1")]]
    else:
        pairs = [[(query, used[query])], [(query, alike(used[query]))]]
    foreign, other = [await world.call("GET", "/sessions", "olga", query=pair) for pair in pairs]
    assert foreign.status == 200
    assert same(foreign, other)
    assert ids["session"].encode() not in foreign.body


async def test_an_idempotency_key_of_another_agent_or_workspace_says_nothing(world: World) -> None:
    ids = await foreign_ids(world)
    ours = await world.writes("ours")
    assert (await world.send(ids["session"], "theirs", "zoe", key="k-1")).status == 201
    assert (await world.send(ours.id, "ours", "amy", key="k-1")).status == 201
    assert (await world.send(ours.id, "ours", "bob", key="k-1")).status == 201
