"""What the matrix of roles, scopes and workspaces needs to ask every route: ids, and bodies.

A new route mostly needs nothing here. One whose path takes an id of a new kind needs that a `POST`
of the collection makes one from the generated example of its body, or a line in `MADE`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from libs.common.documents import AGENTS, DECISIONS
from libs.common.jobs import JOBS, Job
from libs.common.store.api import Page
from services.desk.api.examples import example_of
from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from services.desk.report_bits import REPORTS
from tests.desk.test_push_subscriptions import browser
from tests.desk.world import Answer, World

_PARAM = re.compile(r"\{\w+\}")
FIRST = ("/sessions/", "/contacts/")
"""Made before the others, which may be about them."""
LATER = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0).isoformat()

Things = dict[str, str]
"""Ids of one workspace by the path before them: `/sessions/`, `/sessions/{id}/messages/`."""

PUBLIC = frozenset(route.name for route in ROUTES if route.role is None)
ANY_ID = frozenset({"put_team", "put_calendar", "put_rule"})
"""Any id can be taken there, see test_teams; what another workspace has is no matter."""
OF_OURS = frozenset({"/reports/"})
"""Paths before a word of our own, which is the same in every workspace and no id."""
SAME_AS_DONE: Mapping[str, int] = {}
"""What a route answers where an id is unknown, unless 404: what is gone already is gone, say."""

BODIES: dict[str, Any] = {
    "snooze": {"until": LATER},
    "put_bot": {"name": "Helper", "kind": "webhook", "url": "https://bot.example/hook"},
    "patch_bot": {"name": "Helper"},
    "patch_scheduled_message": {"name": "Ours"},
    "patch_broadcast": {"name": "Ours"},
    "patch_agent": {"limit": 3},
    "assign": {"assignees": []},
    "remove": {"agents": ["agt-bob"]},
    "tags": {"add": ["vip"]},
    "bot": {"on": False},
    "end": {},
    "send": {"text": "hello"},
    "note": {"text": "hello"},
    "patch_contact": {"zone": "Asia/Tokyo"},
    "patch_account": {"name": "Ours"},
    "patch_webhook_endpoint": {"enabled": False},
    "redeliver_webhooks": {"since": "2026-01-01T00:00:00Z"},
}
"""Bodies that the generated example does not do for."""


def prefixes() -> list[str]:
    """Return every path before an id, the shortest first."""
    paths = {route.path for route in ROUTES if route.name not in PUBLIC}
    found = {path[: at.start()] for path in paths for at in _PARAM.finditer(path)}
    found -= OF_OURS
    return sorted(found, key=lambda prefix: (prefix.count("{"), prefix not in FIRST, prefix))


def filled(path: str, things: Mapping[str, str], change: Callable[[str], str] = str) -> str:
    """Return *path* with the ids of *things*, the last of them changed."""
    last = list(_PARAM.finditer(path))[-1].start()

    def put(at: re.Match[str]) -> str:
        found = things[path[: at.start()]]
        return change(found) if at.start() == last else found

    return _PARAM.sub(put, path)


def path_of(path: str, things: Mapping[str, str]) -> str:
    """Return *path* with the ids of *things*, and with a word of ours where it takes one."""
    if path.partition("{")[0] in OF_OURS:
        return _PARAM.sub(next(iter(REPORTS)), path)
    return filled(path, things) if "{" in path else path


def alike(text: str) -> str:
    """Return another id of the same shape."""
    return re.sub(r"[a-z0-9](?=[a-z0-9]{0,5}$)", "7", text, flags=re.IGNORECASE)


def body_of(route: Route) -> Any:
    """Return a body that *route* takes; None: it takes none."""
    if route.name in BODIES:
        return BODIES[route.name]
    return None if route.body is None else example_of(route.body, request=True)


async def things_of(world: World, who: str) -> Things:
    """Furnish the workspace of *who*, an owner, with one of each; return their ids.

    Raises:
        AssertionError: Names the route for which there is nothing, and what to do.
    """
    found: Things = {}
    lacking: list[str] = []
    for prefix in prefixes():
        try:
            found[prefix] = await MADE.get(prefix, _posted)(world, who, found, prefix)
        except (AssertionError, LookupError) as error:
            lacking.append(f"{prefix}{{id}}: {error}")
    assert not lacking, f"{LACKING}\n" + "\n".join(lacking)
    return found


LACKING = """\
The matrix has no example of what these paths name. Let the POST of the collection make one from
the generated example of its body, or add a line to MADE in tests/desk/matrix.py:"""


Maker = Callable[[World, str, Things, str], Awaitable[str]]


async def _posted(world: World, who: str, found: Things, prefix: str) -> str:
    """Make one by the collection's own `POST`, or find one in its list."""
    path = prefix[:-1]
    route = next((r for r in ROUTES if (r.method, r.path) == ("POST", path)), None)
    assert route is not None, "there is no such POST"
    where = _fit(path, found)
    return id_in(await _asked(world, "POST", where, who, body_of(route)))


def _fit(path: str, found: Things) -> str:
    return _PARAM.sub(lambda at: found[path[: at.start()]], path)


async def _asked(world: World, method: str, path: str, who: str, body: Any = None) -> Answer:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    answer = await world.call(method, path, who, body=body, headers=headers)
    assert answer.status in {200, 201, 202}, f"{method} {path}: {answer.body.decode()[:300]}"
    return answer


def id_in(answer: Answer) -> str:
    made = answer.json
    if "id" not in made:
        made = next(part for part in made.values() if isinstance(part, dict) and "id" in part)
    return str(made["id"])


def _workspace(world: World, who: str) -> str:
    return world.other if who == "zoe" else world.workspace


async def _session(world: World, who: str, _found: Things, _prefix: str) -> str:
    visitor = f"V-{who}"
    made = await world.writes("secret plan", workspace=_workspace(world, who), visitor=visitor)
    return made.id


async def _contact(world: World, who: str, _found: Things, _prefix: str) -> str:
    visitor = f"V-{who}"
    made = await world.writes("another one", workspace=_workspace(world, who), visitor=visitor)
    return str(made.contact)


async def _message(world: World, who: str, found: Things, _prefix: str) -> str:
    body = {"text": "an answer"}
    return id_in(await _asked(world, "POST", _fit("/sessions/{id}/messages", found), who, body))


async def _agent(_world: World, who: str, _found: Things, _prefix: str) -> str:
    return f"agt-{who}"


async def _attachment(world: World, who: str, _found: Things, _prefix: str) -> str:
    sent = await world.call(
        "POST",
        "/attachments",
        who,
        raw=b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n%%EOF\n",
        query=[("name", "plan.pdf")],
        headers={"Content-Type": "application/octet-stream"},
    )
    assert sent.status == 201, sent.body
    return id_in(sent)


async def _trace(_world: World, who: str, _found: Things, _prefix: str) -> str:
    return f"m-V-{who}-secret plan"


def _put(body: Any) -> Maker:
    async def make(world: World, who: str, _found: Things, prefix: str) -> str:
        id_ = f"{who}s-own"
        await _asked(world, "PUT", f"{prefix}{id_}", who, body)
        return id_

    return make


def _made(body: Callable[[Things], Any]) -> Maker:
    async def make(world: World, who: str, found: Things, prefix: str) -> str:
        return id_in(await _asked(world, "POST", prefix[:-1], who, body(found)))

    return make


async def _decision(world: World, who: str, _found: Things, _prefix: str) -> str:
    [first, *_] = await world.store.find(
        DECISIONS, _workspace(world, who), {}, Page(order="at", limit=1)
    )
    return first.id


async def _login(world: World, who: str, _found: Things, _prefix: str) -> str:
    agent = await world.store.get(AGENTS, _workspace(world, who), f"agt-{who}")
    assert agent is not None
    text = await world.token(agent, kind="session", expires_at=datetime.now(UTC) + timedelta(1))
    world.tokens[f"{who}'s login"] = text
    return text.split("_")[2]


async def _token(world: World, who: str, _found: Things, _prefix: str) -> str:
    agent = await world.store.get(AGENTS, _workspace(world, who), f"agt-{who}")
    assert agent is not None
    return (await world.token(agent, name="more")).split("_")[2]


async def _first(world: World, who: str, _found: Things, prefix: str) -> str:
    """Take the first of the list."""
    return str((await world.get(prefix[:-1], who))["items"][0]["id"])


async def _bounced(world: World, who: str, found: Things, prefix: str) -> str:
    body = {"address": f"gone@{_workspace(world, who)}.example", "reason": "bounced"}
    await _asked(world, "POST", "/mail/bounces", who, body)
    return await _first(world, who, found, prefix)


async def _delivery(world: World, who: str, found: Things, _prefix: str) -> str:
    return id_in(await _asked(world, "POST", _fit("/webhook-endpoints/{id}/test", found), who))


async def _job(world: World, who: str, _found: Things, _prefix: str) -> str:
    now = datetime.now(UTC)
    made = Job(
        id=f"job_{uuid.uuid4().hex[:26]}",
        workspace=_workspace(world, who),
        kind="contacts.export",
        agent=f"agt-{who}",
        state="done",
        created_at=now,
        expires_at=now + timedelta(days=1),
    )
    return (await world.store.insert(JOBS, made)).id


async def _contacts_tag(_world: World, _who: str, found: Things, _prefix: str) -> str:
    return found["/tags/"]


_HOOK = {"url": "https://hooks.example/relaydesk"}


async def _account(world: World, who: str, _found: Things, _prefix: str) -> str:
    slug = f"more-{uuid.uuid4().hex[:8]}"
    return id_in(await _asked(world, "POST", "/accounts", who, {"slug": slug, "channel": "web"}))


MADE: Mapping[str, Maker] = {
    "/accounts/": _account,
    "/sessions/": _session,
    "/contacts/": _contact,
    "/sessions/{id}/messages/": _message,
    "/sessions/{id}/assignees/": _agent,
    "/contacts/{id}/tags/": _contacts_tag,
    "/agents/": _agent,
    "/attachments/": _attachment,
    "/trace/": _trace,
    "/teams/": _put({"name": "Ours"}),
    "/calendars/": _put({"spans": [{"days": [0], "opens": "09:00", "closes": "17:00"}]}),
    "/rules/": _put({"actions": [{"do": "tag", "tag": "ours"}]}),
    "/decisions/": _decision,
    "/me/sessions/": _login,
    "/tokens/": _token,
    "/mail/suppressions/": _bounced,
    "/jobs/": _job,
    "/broadcasts/": _made(lambda _: {"name": "News", "audience": {}, "text": "hello"}),
    "/bots/": _made(
        lambda _: {"name": "Helper", "kind": "webhook", "url": "https://bot.example/hook"}
    ),
    "/scheduled-messages/": _made(
        lambda found: {"session": found["/sessions/"], "name": "Call", "text": "hi", "at": LATER}
    ),
    "/webhook-endpoints/": _made(lambda _: _HOOK),
    "/webhook-endpoints/{id}/deliveries/": _delivery,
    "/push-subscriptions/": _made(lambda _: browser()),
    "/standard-messages/": _made(lambda _: {"title": "Hello", "text": "hello"}),
    "/sessions/{id}/standard-messages/": _contacts_tag,
}
"""How one of a kind is made where its own `POST` does not from the generated example."""
