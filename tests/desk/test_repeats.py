"""Whoever asks again with the same `Idempotency-Key` makes nothing twice, whatever it is."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import msgspec
import pytest

from libs.common.documents import AUDIT
from services.desk.api.openapi import openapi_document
from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from tests.desk.matrix import LATER, Things, id_in, things_of
from tests.desk.standard_books import HEADER, xlsx
from tests.desk.world import Answer, World, open_world

PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n%%EOF\n"
BOT = {"kind": "webhook", "url": "https://bot.example/hook"}
SLUG = f"web-{uuid.uuid4().hex[:8]}"
LOGINS = ("create_token",)
"""Made only by whoever has logged in."""


class Made(msgspec.Struct, frozen=True):
    """A request that makes something, and one that makes something else; None: there is none."""

    one: Any
    other: Any = None
    query: tuple[tuple[str, str], ...] = ()


def texts(**more: Any) -> Made:
    return Made({"text": "one", **more}, {"text": "other", **more})


def names(**more: Any) -> Made:
    return Made({"name": "One", **more}, {"name": "Other", **more})


REQUESTS: Mapping[str, Made] = {
    "upload": Made(PDF, PDF + b"other", (("name", "plan.pdf"),)),
    "send": texts(),
    "note": texts(),
    "create_bot": names(**BOT),
    "start_contacts_export": Made(None),
    "import_contacts": Made(
        b"name,email\nEve,eve@example.org\n", b"name,email\nKim,kim@example.org\n"
    ),
    "import_standard_messages": Made(
        xlsx((HEADER, ("line", "Hello", "", "", "hi"))),
        xlsx((HEADER, ("line", "Hello", "", "", "other"))),
    ),
    "create_account": Made(
        {"slug": SLUG, "channel": "web"}, {"slug": SLUG, "channel": "web", "name": "Other"}
    ),
    "create_tag": names(),
    "create_contact": names(),
    "create_contact_field": Made({"name": "one", "type": "text"}, {"name": "two", "type": "text"}),
    "create_contact_note": texts(),
    "create_filter": names(query={"channel": ["line"]}),
    "create_broadcast": names(audience={}, text="hello"),
    "copy_broadcast": names(),
    "invite": Made({"email": "kim@one.example", "role": "agent"}, {"email": "lee@two.example"}),
    "create_token": names(expires_in_days=3),
    "schedule": names(text="hello", at=LATER),
    "create_folder": names(),
    "create_standard_message": Made({"title": "One", "text": "a"}, {"title": "Two", "text": "a"}),
    "create_webhook_endpoint": Made(
        {"url": "https://hooks.example/one"}, {"url": "https://hooks.example/other"}
    ),
    "send_test_webhook": Made({}),
}
NO_KEY: Mapping[str, str] = {
    "erase_contact": "it asks for a confirmation first, and whoever is erased once stays so",
    "retry": "a message is sent again once, whoever asks and however often: see test_actions",
    "push_subscribe": "a browser is one by its own address: see test_push_subscriptions",
    "alerts_test": "nothing lasts of it",
    "redeliver_webhook": "it makes nothing: a delivery keeps its webhook-id",
    "redeliver_webhooks": "it makes nothing: deliveries keep their webhook-ids",
    "ask_password_reset": "who has no credential has no keys; mails are limited",
    "bot_answer": "its webhook-id says which one it is: see test_bot_answers",
}
"""What makes nothing, or tells a repeat by itself."""


def makes(route: Route) -> bool:
    return route.method == "POST" and bool({201, 202} & route.answers.keys())


def asked(things: Things) -> Iterator[tuple[Route, str, Made]]:
    for route in ROUTES:
        if route.name in REQUESTS:
            path = route.path
            for prefix, id_ in things.items():
                path = path.replace(f"{prefix}{{id}}", f"{prefix}{id_}")
            yield route, path, REQUESTS[route.name]


def test_d30_every_route_that_makes_something_is_asked_twice_here() -> None:
    assert {route.name for route in ROUTES if makes(route)} == {*REQUESTS, *NO_KEY}


def test_d30_each_of_them_is_described_with_its_key_and_its_conflict() -> None:
    paths = openapi_document()["paths"]
    operations = {found["operationId"]: found for path in paths.values() for found in path.values()}
    for name, request in REQUESTS.items():
        found = operations[name]
        assert "Idempotency-Key" in {param["name"] for param in found["parameters"]}, name
        assert request.other is None or "idempotency_conflict" in str(found["responses"]), name


@pytest.fixture
async def world(nats_url: str, ready_url: str) -> AsyncIterator[World]:
    """Desk without a limit of requests."""
    async with open_world(nats_url, ready_url) as made:
        yield made


async def ask(world: World, who: str, path: str, body: Any, request: Made, key: str) -> Answer:
    headers = {"Idempotency-Key": key}
    if isinstance(body, bytes):
        headers["Content-Type"] = "application/octet-stream"
        query = request.query or (("name", "file.csv"),)
        return await world.call("POST", path, who, raw=body, headers=headers, query=query)
    return await world.call("POST", path, who, body=body, headers=headers)


def asker(route: Route) -> str:
    return "olga's login" if route.name in LOGINS else "olga"


def told(answer: Answer) -> str:
    return f"{answer.status} {answer.body.decode()[:200]}"


def replayed(answer: Answer) -> bool:
    return answer.headers.get("Idempotent-Replayed") == "true"


async def test_d30_a_repeat_makes_nothing_and_another_request_with_its_key_is_refused(
    world: World,
) -> None:
    things = await things_of(world, "olga")
    wrong: list[str] = []
    for route, path, request in asked(things):
        one = filled(request.one, things, route)
        other = filled(request.other, things, route)
        filled_in = msgspec.structs.replace(request, one=one, other=other)
        found = [problem async for problem in again(world, route, path, filled_in)]
        wrong.extend(f"{route.name}: {problem}" for problem in found)
    assert not wrong, "\n".join(wrong)


async def again(world: World, route: Route, path: str, request: Made) -> AsyncIterator[str]:
    """Ask for the same again, for another thing, and as somebody else; yield what is wrong."""
    who, key = asker(route), f"key-{route.name}"
    first = await ask(world, who, path, request.one, request, key)
    if first.status not in {201, 202} or replayed(first):
        yield f"first {told(first)}"
        return
    records = await world.store.count(AUDIT, world.workspace, {}, limit=1000)
    second = await ask(world, who, path, request.one, request, key)
    if not replayed(second) or id_in(second) != id_in(first):
        yield f"again {told(second)}"
    if await world.store.count(AUDIT, world.workspace, {}, limit=1000) != records:
        yield "the repeat left a record"
    if request.other is not None:
        refused = await ask(world, who, path, request.other, request, key)
        if (refused.status, refused.json.get("code")) != (409, "idempotency_conflict"):
            yield f"other {told(refused)}"
    theirs = await ask(world, "adam", path, request.one, request, key)
    if replayed(theirs) or b"idempotency_conflict" in theirs.body:
        yield f"another agent's key {told(theirs)}"


async def test_d30_two_at_the_same_time_make_one(world: World) -> None:
    things = await things_of(world, "olga")
    wrong: list[str] = []
    for route, path, request in asked(things):
        who = asker(route)
        one, key = filled(request.one, things, route), uuid.uuid4().hex
        both = await asyncio.gather(*(ask(world, who, path, one, request, key) for _ in range(2)))
        if any(answer.status not in {200, 201, 202} for answer in both):
            wrong.append(f"{route.name}: {' | '.join(map(told, both))}")
        elif len({id_in(answer) for answer in both}) != 1:
            wrong.append(f"{route.name}: two were made")
        elif sorted(map(replayed, both)) != [False, True]:
            wrong.append(f"{route.name}: {list(map(replayed, both))}")
    assert not wrong, "\n".join(wrong)


async def test_d30_a_key_of_one_workspace_is_none_of_another(world: World) -> None:
    body = {"name": "VIP"}
    first, second = [
        await ask(world, who, "/tags", body, Made(body), "same") for who in ("olga", "zoe")
    ]
    assert (first.status, second.status) == (201, 201)
    assert id_in(first) != id_in(second)


def filled(body: Any, things: Things, route: Route) -> Any:
    """Return *body* with what only the world knows."""
    if route.name == "schedule":
        return {**body, "session": things["/sessions/"]}
    return body
