"""What holds for every route: how many requests, from which pages, and what will go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from libs.common.errors import SettingsError
from services.desk.api.examples import example_of
from services.desk.api.openapi import document
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Deprecation, Reply, Route
from services.desk.api.table import ROUTES
from services.desk.cors import origins_of
from services.desk.rates import Rates
from services.desk.server import deprecation_headers
from tests.desk.world import World, open_world

PAGE = "https://tools.example.com"


@pytest.fixture
async def narrow(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """A world whose agents may make five requests in a minute, with a page of another origin."""
    pages = f"{PAGE}, https://other.example.com"
    async with open_world(nats_url, ready_url, requests_per_minute=5, cors_origins=pages) as made:
        yield made


async def test_d30_an_agent_has_so_many_requests_a_minute_and_every_answer_says_how_many(
    narrow: World,
) -> None:
    seen = [await narrow.call("GET", "/me", "amy") for _ in range(5)]
    assert [answer.status for answer in seen] == [200] * 5
    assert [answer.headers["RateLimit-Remaining"] for answer in seen] == ["4", "3", "2", "1", "0"]
    assert {answer.headers["RateLimit-Limit"] for answer in seen} == {"5"}

    refused = await narrow.call("GET", "/sessions", "amy")

    assert (refused.status, refused.json["code"]) == (429, "too_many_requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 12
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert (await narrow.call("GET", "/me", "bob")).status == 200


async def test_d30_a_refusal_tells_the_rate_too(narrow: World) -> None:
    missing = await narrow.call("GET", "/sessions/ses-none", "amy")
    assert (missing.status, missing.headers["RateLimit-Remaining"]) == (404, "4")


def test_d30_requests_are_regained_over_the_minute() -> None:
    now = 0.0
    rates = Rates(60, lambda: now)
    for _ in range(60):
        rates.take("acme", "amy")
    with pytest.raises(RefusalError):
        rates.take("acme", "amy")
    now = 2.0
    left = [rates.take("acme", "amy") for _ in range(2)]
    assert [rate.remaining for rate in left if rate] == [1, 0]
    assert left[-1] is not None
    assert left[-1].reset_s == 60


def test_d30_an_address_that_proves_nothing_is_made_to_wait() -> None:
    rates = Rates(0, lambda: 0.0)
    assert rates.take("acme", "amy") is None
    for _ in range(300):
        rates.unproven("192.0.2.7")
    with pytest.raises(RefusalError) as refused:
        rates.unproven("192.0.2.7")
    assert refused.value.status == 429
    rates.unproven("192.0.2.8")


PREFLIGHTS = {
    "a page that is named may call": (PAGE, 204, PAGE),
    "a page that is not named may not": ("https://evil.example.com", 401, None),
    "a name within a name is another page": (f"{PAGE}.evil.example", 401, None),
    "a page without an origin of its own may not": ("null", 401, None),
}


@pytest.mark.parametrize(("origin", "status", "allowed"), PREFLIGHTS.values(), ids=PREFLIGHTS)
async def test_d30_pages_of_other_origins_ask_first(
    narrow: World, origin: str, status: int, allowed: str | None
) -> None:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization",
    }
    answer = await narrow.call("OPTIONS", "/settings", headers=headers)
    assert answer.status == status
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


async def test_d30_no_page_of_another_origin_is_named_by_default(world: World) -> None:
    answer = await world.call("GET", "/me", "amy", headers={"Origin": PAGE})
    assert "Access-Control-Allow-Origin" not in answer.headers


WRONG_ORIGINS = {
    "all pages": "*",
    "a path": "https://tools.example.com/app",
    "no scheme": "tools.example.com",
    "another scheme": "ftp://tools.example.com",
}


@pytest.mark.parametrize("origins", WRONG_ORIGINS.values(), ids=WRONG_ORIGINS)
def test_d30_an_origin_that_is_none_stops_the_start(origins: str) -> None:
    with pytest.raises(SettingsError, match="RELAYDESK_CORS_ORIGINS"):
        origins_of(origins)


TYPES = {
    f"{route.name} {'takes' if request else 'answers'} {getattr(kind, '__name__', kind)}": (
        kind,
        request,
    )
    for route in ROUTES
    for kind, request in ((route.body, True), *((kind, False) for kind in route.answers.values()))
    if kind not in {None, bytes, dict}
}


def test_d30_every_example_in_the_document_is_valid_for_its_type() -> None:
    wrong = {}
    for name, (kind, request) in TYPES.items():
        try:
            msgspec.convert(example_of(kind, request=request), kind)
        except (LookupError, msgspec.ValidationError) as error:
            wrong[name] = str(error)
    assert not wrong
    assert len(TYPES) > 100


def test_d30_a_route_that_will_go_says_so() -> None:
    async def gone(_call: Call) -> Reply:
        return Reply()

    since = datetime(2026, 1, 2, tzinfo=UTC)
    going = Deprecation(since=since, sunset=since + timedelta(days=180), instead="GET /accounts")
    route = Route(
        name="old",
        method="GET",
        path="/old",
        handler=gone,
        role="agent",
        summary="Old",
        answers={204: None},
        deprecated=going,
    )
    assert deprecation_headers(going) == {
        "Deprecation": "@1767312000",
        "Sunset": "Wed, 01 Jul 2026 00:00:00 GMT",
    }
    operation = document([route])["paths"]["/api/v1/old"]["get"]
    assert operation["deprecated"] is True
    assert "GET /accounts" in operation["description"]
