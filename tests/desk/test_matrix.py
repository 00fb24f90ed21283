"""The tenant wall (I12) and every lesser one, over every route there is: made from the table.

Whatever a route takes an id of, in its path, its query or its body, answers of what is behind a
wall are byte for byte those of an id that nobody has. See `matrix` for what a new route needs.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from libs.common.documents import AGENTS, SESSIONS
from services.desk.api.route import RANK, Route
from services.desk.api.table import ROUTES
from services.desk.token_scopes import needed
from tests.desk.matrix import (
    ANY_ID,
    OF_OURS,
    PUBLIC,
    SAME_AS_DONE,
    Things,
    alike,
    body_of,
    filled,
    things_of,
)
from tests.desk.world import PEOPLE, Answer, World, open_world

WITH_IDS = [
    route
    for route in ROUTES
    if "{" in route.path
    and route.name not in PUBLIC
    and route.path.partition("{")[0] not in OF_OURS
]
HEADERS = frozenset({"date", "ratelimit-remaining", "ratelimit-reset"})


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """Desk without a limit of requests: the matrix asks more than anybody."""
    async with open_world(nats_url, ready_url, requests_per_minute=0) as made:
        yield made


async def asked(
    world: World, route: Route, path: str, who: str, *, body: Any = None, **query: str
) -> Answer:
    given = body_of(route) if body is None else body
    return await world.call(
        route.method,
        path,
        who,
        body=given,
        headers={"Idempotency-Key": uuid.uuid4().hex},
        query=[(name.rstrip("_"), value) for name, value in query.items()],
    )


def same(one: Answer, other: Answer) -> bool:
    """Tell whether two answers are alike in every byte that the request decides."""
    headers = [
        {name: value for name, value in found.headers.items() if name.lower() not in HEADERS}
        for found in (one, other)
    ]
    return (one.status, one.body, headers[0]) == (other.status, other.body, headers[1])


def alike_but(one: Answer, other: Answer, ids: tuple[str, str]) -> bool:
    """Tell whether answers are alike but for the callers' own words, which they may repeat.

    What was made anew has an id and times of its own.
    """
    bodies = []
    for answer, id_ in zip((one, other), ids, strict=True):
        body = answer.body.replace(id_.encode(), b"<id>")
        bodies.append(_FRESH.sub(b"<fresh>", body) if answer.status in {200, 201, 202} else body)
    return (one.status, bodies[0]) == (other.status, bodies[1])


_FRESH = re.compile(
    rb'[a-z]{3}_[a-z2-7]{26}|"20\d\d-\d\d-\d\dT[^"]*"|"(?:sequence|number)":\d+|[0-9a-f]{32}'
)


def text(answer: Answer) -> str:
    return f"{answer.status} {answer.body.decode(errors='replace')[:200]}"


async def test_i12_an_id_of_another_workspace_is_answered_like_one_that_nobody_has(
    world: World,
) -> None:
    theirs = await things_of(world, "zoe")
    wrong: list[str] = []
    for who, role in PEOPLE.items():
        for route in WITH_IDS:
            if route.name in ANY_ID:
                continue
            reached = RANK[role] >= RANK[route.role or "read_only"]
            foreign = await asked(world, route, filled(route.path, theirs), who)
            random = await asked(world, route, filled(route.path, theirs, alike), who)
            if not reached and foreign.status != 403:
                wrong.append(f"{who} {route.name}: {text(foreign)}, and not 403")
            if not same(foreign, random):
                wrong.append(f"{who} {route.name}: {text(foreign)} is not {text(random)}")
            if reached:
                wanted = SAME_AS_DONE.get(route.name, 404)
                if random.status != wanted:
                    wrong.append(
                        f"{who} {route.name}: {text(random)}, and not {wanted}: give it a body "
                        "that would be taken in BODIES, or its answer in SAME_AS_DONE"
                    )
    assert not wrong, "\n".join(wrong)
    await stand(world, theirs, "zoe")


async def stand(world: World, things: Things, who: str) -> None:
    """Check that all of *things* are there, so that it was them whom others did not find."""
    lost = []
    for route in WITH_IDS:
        if route.method == "GET" and route.name not in NOT_SHOWN:
            name = "zoe's login" if route.path.startswith("/me/") else who
            answer = await asked(world, route, filled(route.path, things), name)
            if answer.status != 200:
                lost.append(f"{route.name}: {text(answer)}")
    assert not lost, "\n".join(lost)


NOT_SHOWN = frozenset({"job_result", "job_errors", "trace_raw"})
"""What the examples have none of: a job without a result, a message without a webhook."""


async def test_i12_nor_is_the_second_id_of_a_path_looked_up_elsewhere(world: World) -> None:
    ours, theirs = await things_of(world, "olga"), await things_of(world, "zoe")
    wrong = []
    for route in WITH_IDS:
        if route.path.count("{") < 2:
            continue
        last = route.path.rpartition("{")[0]
        mixed = {**ours, last: theirs[last]}
        foreign = await asked(world, route, filled(route.path, mixed), "olga")
        random = await asked(world, route, filled(route.path, mixed, alike), "olga")
        if not same(foreign, random):
            wrong.append(f"{route.name}: {text(foreign)} is not {text(random)}")
    assert not wrong, "\n".join(wrong)


# --- ids in bodies and queries -------------------------------------------------------------------

REFERENCES: Mapping[str, str] = {
    "session": "/sessions/",
    "ids": "/sessions/",
    "reply_to": "/sessions/{id}/messages/",
    "contact": "/contacts/",
    "contacts": "/contacts/",
    "agent": "/agents/",
    "agents": "/agents/",
    "assignee": "/agents/",
    "assignees": "/agents/",
    "mentions": "/agents/",
    "author": "/agents/",
    "user": "/agents/",
    "users": "/agents/",
    "tag": "/tags/",
    "tags": "/tags/",
    "bot": "/bots/",
    "team": "/teams/",
    "teams": "/teams/",
    "calendar": "/calendars/",
    "folder": "/standard-messages/folders/",
    "folders": "/standard-messages/folders/",
    "standard_message": "/standard-messages/",
    "attachments": "/attachments/",
    "filter": "/filters/",
    "object": "/rules/",
}
"""Fields that name something by its id, and the path before such ids."""


def fields_of(kind: Any) -> Iterator[tuple[str, bool]]:
    """Yield each field that names something, and whether it takes several."""
    for field in msgspec.structs.fields(kind) if hasattr(kind, "__struct_fields__") else ():
        if field.encode_name in REFERENCES:
            yield field.encode_name, "tuple[" in str(field.type).lower()


def with_field(body: Any, name: str, value: Any) -> Any:
    """Return *body* with one field, and without what cannot stand beside it."""
    without = {"session": ("contact", "account"), "contact": ("session",)}.get(name, ())
    return {**{k: v for k, v in (body or {}).items() if k not in without}, name: value}


async def test_i12_nor_does_an_id_in_a_body_or_a_query_reach_over_the_wall(world: World) -> None:
    ours, theirs = await things_of(world, "olga"), await things_of(world, "zoe")
    wrong: list[str] = []
    asks = 0
    for route, name, ask in references(world, ours):
        prefix = REFERENCES[name]
        ids = theirs[prefix], alike(theirs[prefix])
        foreign, random = await ask(ids[0]), await ask(ids[1])
        if not alike_but(foreign, random, ids) or foreign.status == 500:
            wrong.append(f"{route.name}.{name}: {text(foreign)} is not {text(random)}")
        asks += 1
    assert not wrong, "\n".join(wrong)
    assert asks > 40


def references(world: World, ours: Things) -> Iterator[tuple[Route, str, Callable[[str], Any]]]:
    """Yield every (route, field) that names something, and how to ask with an id of it."""
    for route in ROUTES:
        if route.name in PUBLIC or route.streams or route.uploads:
            continue
        path = filled(route.path, ours) if route in WITH_IDS else route.path
        for name, several in fields_of(route.body):
            yield route, name, _by_body(world, route, path, name, several=several)
        for name, _ in fields_of(route.query):
            yield route, name, _by_query(world, route, path, name)


def _by_body(
    world: World, route: Route, path: str, name: str, *, several: bool
) -> Callable[[str], Any]:
    def ask(id_: str) -> Any:
        body = with_field(body_of(route), name, [id_] if several else id_)
        return asked(world, route, path, "olga", body=body)

    return ask


def _by_query(world: World, route: Route, path: str, name: str) -> Callable[[str], Any]:
    return lambda id_: asked(world, route, path, "olga", **{name: id_})


# --- what is out of scope ------------------------------------------------------------------------

LIMITED = {
    "another channel": {"channels": ("messenger",)},
    "another account": {"accounts": ("nowhere",)},
    "another team": {"team_only": True, "teams": ()},
}
SCOPED = frozenset(
    {
        "/sessions/",
        "/contacts/",
        "/trace/",
        "/broadcasts/",
        "/decisions/",
        "/jobs/",
        "/scheduled-messages/",
    }
)
"""What belongs to an account, by the path before its id."""


@pytest.mark.parametrize("limits", LIMITED.values(), ids=LIMITED)
async def test_d24_what_is_out_of_scope_is_answered_like_an_id_that_nobody_has(
    world: World, limits: dict[str, Any]
) -> None:
    ours = await things_of(world, "olga")
    lena = await world.store.get(AGENTS, world.workspace, "agt-lena")
    assert lena is not None
    await world.store.replace(AGENTS, msgspec.structs.replace(lena, **limits))
    scoped = SCOPED
    if "team_only" in limits:  # teams are asked for sessions; contacts and broadcasts have none
        scoped = SCOPED - {"/contacts/", "/broadcasts/", "/trace/"}
        session = await world.store.get(SESSIONS, world.workspace, ours["/sessions/"])
        assert session is not None
        await world.store.replace(SESSIONS, msgspec.structs.replace(session, team="vip"))
    wrong = []
    for route in WITH_IDS:
        first = route.path.partition("{")[0]
        if first not in scoped or RANK[route.role or "read_only"] > RANK["lead"]:
            continue
        near = await asked(world, route, filled(route.path, ours), "lena")
        other = {**ours, first: alike(ours[first])}
        random = await asked(world, route, filled(route.path, other), "lena")
        if not same(near, random):
            wrong.append(f"{route.name}: {text(near)} is not {text(random)}")
    assert not wrong, "\n".join(wrong)


# --- tokens --------------------------------------------------------------------------------------


async def test_d24_a_token_opens_what_its_scopes_say_and_nothing_else(world: World) -> None:
    ours = await things_of(world, "olga")
    olga = await world.store.get(AGENTS, world.workspace, "agt-olga")
    assert olga is not None
    scopes = {needed(route) for route in ROUTES if route.role} - {""}
    for scope in scopes:
        world.tokens[scope] = await world.token(olga, scopes=(scope,))
    world.tokens["other"] = await world.token(olga, scopes=("nothing:write",))
    world.tokens["*:read"] = await world.token(olga, scopes=("*:read",))
    wrong = []
    for route in ROUTES:
        scope = needed(route)
        if route.role is None or not scope:
            continue
        path = filled(route.path, ours, alike) if route in WITH_IDS else route.path
        shut = await world.call(route.method, path, "other")
        if (shut.status, shut.json["facts"]) != (403, {"scope": scope}):
            wrong.append(f"{route.name}: {text(shut)}, and not 403 for {scope}")
        reads = await world.call(route.method, path, "*:read")
        if (reads.status == 403) != (route.method != "GET"):
            wrong.append(f"{route.name} by *:read: {text(reads)}")
        if route in WITH_IDS or route.method == "GET":
            opens = await world.call(route.method, path, scope)
            if opens.status == 403:
                wrong.append(f"{route.name} by {scope}: {text(opens)}")
    assert not wrong, "\n".join(wrong)
