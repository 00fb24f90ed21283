"""The API does what its own specification says, whatever the specification allows to be sent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import checks

from services.desk.api.openapi import BASE_PATH, openapi_document
from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from tests.desk.world import World
from tests.soak import sized

EACH = sized(2, 40)
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


@pytest.mark.parametrize("share", range(SHARES))
async def test_d30_what_the_specification_allows_is_answered_as_it_says(
    world: World, share: int
) -> None:
    session = await world.writes("hello")
    schema = schemathesis.openapi.from_dict(openapi_document())
    chance = random.Random(share)  # noqa: S311 (repeatable, no secret)
    known = [session.id, session.contact, "agt-amy", "nothing"]
    wrong: list[str] = []
    statuses: set[int] = set()

    def ask(route: Route) -> None:
        operation = schema[BASE_PATH + route.path][route.method]
        for case in requests_of(operation):
            if "id" in case.path_parameters and chance.random() < 0.8:
                case.path_parameters["id"] = chance.choice(known)
            case.headers.update({"Authorization": f"Bearer {world.tokens['olga']}"})
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
