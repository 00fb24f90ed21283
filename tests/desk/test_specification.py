"""The API does what its own specification says, whatever the specification allows to be sent."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import checks

from services.desk.api.openapi import BASE_PATH, openapi_document
from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from tests.desk.matrix import Things, things_of
from tests.desk.test_matrix import REFERENCES
from tests.desk.world import World
from tests.soak import sized

EACH = sized(1, 40)
"""Requests to each route."""
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
LEFT_OUT = {
    "login": "it is throttled by address",
    "logout": "it ends the login that asks",
}
LOGIN = "olga's login"
PEOPLE = ("olga", "olga", "olga", "olga", "adam", "lena", "amy", "rita", "")
"""Who asks; nobody: an owner's browser, with its cookie."""
WAIT_S = 20.0
SHARES = 2


def asked(share: int) -> Iterator[Route]:
    routes = [route for route in ROUTES if route.name not in LEFT_OUT and not route.streams]
    yield from routes[share::SHARES]


def requests_of(operation: Any) -> list[Any]:
    """Return requests that the specification allows, the same ones each time."""
    found: list[Any] = []

    @seed(1)
    @settings(
        max_examples=EACH,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def collect(case: Any) -> None:
        found.append(case)

    collect()
    return found


def put_ids(case: Any, route: Route, things: Things, chance: random.Random) -> None:
    """Put ids that are there, of the right kind or of another one, into most of the places."""
    path = route.path
    for at in re.finditer(r"\{(\w+)\}", path):
        drawn = chance.random()
        if drawn < 0.75 and path[: at.start()] in things:
            case.path_parameters[at[1]] = things[path[: at.start()]]
        elif drawn < 0.9:
            case.path_parameters[at[1]] = chance.choice([*things.values(), "nothing"])
    for part in (case.body, case.query):
        for name in set(part if isinstance(part, dict) else ()) & REFERENCES.keys():
            if chance.random() < 0.6:
                id_ = things[REFERENCES[name]]
                part[name] = [id_] if isinstance(part[name], list) else id_


async def cookie_of(world: World) -> dict[str, str]:
    """Return the headers of an owner's browser."""
    cookie = {"Cookie": f"relaydesk={world.tokens[LOGIN]}"}
    me = await world.call("GET", "/me", headers=cookie)
    return {**cookie, "X-CSRF-Token": me.json["csrf"]}


@pytest.mark.parametrize("share", range(SHARES))
async def test_d30_what_the_specification_allows_is_answered_as_it_says(
    world: World, share: int
) -> None:
    things = await things_of(world, "olga")
    cookie = await cookie_of(world)
    schema = schemathesis.openapi.from_dict(openapi_document())
    chance = random.Random(share)  # noqa: S311 (repeatable, no secret)
    wrong: list[str] = []
    statuses: set[int] = set()

    def ask(route: Route) -> None:
        operation = schema[BASE_PATH + route.path][route.method]
        for case in requests_of(operation):
            put_ids(case, route, things, chance)
            asks_as = chance.choice(PEOPLE)
            named = {"Authorization": f"Bearer {world.tokens[asks_as]}"} if asks_as else cookie
            case.headers.update(named)
            answer = case.call(base_url=world.base, timeout=WAIT_S)
            statuses.add(answer.status_code)
            try:
                case.validate_response(answer, checks=CHECKS)
            except (AssertionError, BaseExceptionGroup) as error:
                wrong.append(f"{route.name}: {error}\n{answer.content[:500]}")

    for route in asked(share):
        await asyncio.to_thread(ask, route)
    assert not wrong, "\n\n".join(wrong)
    assert 200 in statuses
