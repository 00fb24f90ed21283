"""Random requests to every route: refused or served, never a bug."""

from __future__ import annotations

import random
import string
from typing import Any

import msgspec
import pytest

from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from tests.desk.world import World
from tests.soak import sized

ROUNDS = sized(6, 50)
ODD = [
    "",
    "a",
    "agt-amy",
    "\0",
    "a" * 300,
    "$where",
    "../../etc",
    "٣",
    "👩‍👩‍👧",
    "\u202e",
    "'; --",
    "%00",
    "true",
    "-1",
    "1e999",
]


def some_text(chance: random.Random) -> str:
    if chance.random() < 0.7:
        return chance.choice(ODD)
    return "".join(chance.choices(string.printable, k=chance.randrange(40)))


def some_value(chance: random.Random, depth: int = 0) -> Any:
    flat: list[Any] = [
        None,
        chance.random() < 0.5,
        chance.choice([0, -1, 7, 2**31, 2**63 - 1, -(2**63)]),
        chance.uniform(-1e300, 1e300),
        some_text(chance),
        some_text(chance),
    ]
    if depth == 3 or chance.random() < 0.7:
        return chance.choice(flat)
    if chance.random() < 0.5:
        return [some_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    names = chance.choices(["$gt", "text", "a.b", "__proto__", ""], k=2)
    return {name: some_value(chance, depth + 1) for name in names}


def some_body(chance: random.Random, route: Route) -> bytes | None:
    if route.body is None or chance.random() < 0.05:
        return None
    if chance.random() < 0.1:
        return chance.randbytes(chance.randrange(200))
    names = [field.encode_name for field in msgspec.structs.fields(route.body)]
    chosen = chance.sample(names, chance.randrange(len(names) + 1))
    body = {name: some_value(chance) for name in chosen}
    if chance.random() < 0.1:
        body[some_text(chance)] = some_value(chance)
    return msgspec.json.encode(body)


def some_query(chance: random.Random, route: Route) -> list[tuple[str, str]]:
    if route.query is None:
        return []
    names = [field.encode_name for field in msgspec.structs.fields(route.query)]
    return [(chance.choice(names), some_text(chance)) for _ in range(chance.randrange(4))]


@pytest.mark.parametrize("seed", [1, 2])
async def test_f11_no_random_request_finds_a_bug(
    world: World, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(seed)  # noqa: S311  # repeatable, no secret
    session = await world.writes("hello")
    ids = [session.id, session.contact, "e-U1-hello", "nothing", "~", "a%20b", "%F0%9F%91%A9"]
    seen: dict[int, int] = {}
    for route in [route for route in ROUTES if route.name not in {"login", "logout"}] * ROUNDS:
        answer = await world.call(
            route.method,
            route.path.replace("{id}", chance.choice(ids)),
            "olga",
            raw=some_body(chance, route),
            query=some_query(chance, route),
            headers={"Idempotency-Key": chance.choice(["k", "", "x" * 200, f"k{chance.random()}"])},
        )
        assert answer.status < 500, (route.name, answer.body)
        if "json" in answer.headers.get("Content-Type", ""):
            assert answer.body == b"" or answer.json is not None
        seen[answer.status] = seen.get(answer.status, 0) + 1
    assert {200, 404, 422} <= set(seen), seen
    assert not [record for record in caplog.records if record.message == "desk.bug"]
    assert (await world.get(f"/sessions/{session.id}"))["id"] == session.id
