"""What no route may do in its own way: methods, parameters, fields, types and codings of bodies."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from tests.desk.matrix import body_of, path_of, things_of
from tests.desk.world import World

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


def asked() -> Iterator[Route]:
    for route in ROUTES:
        if route.role is not None and not route.streams:
            yield route


async def test_d30_a_method_that_a_path_does_not_take_is_told_which_it_does(world: World) -> None:
    things = await things_of(world, "olga")
    paths: dict[str, set[str]] = {}
    for route in asked():
        paths.setdefault(path_of(route.path, things), set()).add(route.method)
    patterns = {re.sub(r"\{\w+\}", "[^/]+", route.path) for route in asked()}
    wrong: list[str] = []
    for path, taken in paths.items():
        if sum(bool(re.fullmatch(pattern, path)) for pattern in patterns) > 1:
            continue  # a word where others have an id: that is what it is with other methods
        for method in sorted(METHODS - taken):
            answer = await world.call(method, path, "olga")
            allowed = set(answer.headers.get("Allow", "").split(", "))
            if answer.status != 405 or not allowed >= taken or method in allowed:
                wrong.append(f"{method} {path}: {answer.status} {sorted(allowed)}")
    assert not wrong, "\n".join(wrong)


REFUSED: Mapping[str, tuple[int, str]] = {
    "an unknown parameter": (422, "invalid_input"),
    "an unknown field": (422, "invalid_input"),
    "another type": (415, "unsupported_media_type"),
    "a compressed body": (415, "unsupported_media_type"),
    "no JSON": (400, "malformed_json"),
}


async def test_d30_what_is_unknown_or_cannot_be_read_is_refused_alike_everywhere(
    world: World,
) -> None:
    things = await things_of(world, "olga")
    wrong: list[str] = []
    for route in asked():
        path = path_of(route.path, things)
        for name, sent in requests(route).items():
            answer = await world.call(route.method, path, "olga", **sent)
            if (answer.status, answer.json.get("code")) != REFUSED[name]:
                wrong.append(f"{route.name}, {name}: {answer.status} {answer.body[:200]!r}")
            elif answer.status == 422 and "nobodys" not in answer.json["facts"]["field"]:
                wrong.append(f"{route.name}, {name}: {answer.body[:200]!r}")
    assert not wrong, "\n".join(wrong)


def requests(route: Route) -> dict[str, dict[str, Any]]:
    """Return what *route* is sent, by what is wrong with it."""
    body = body_of(route)
    headers = {"Idempotency-Key": "k"}
    unknown = {"query": [("nobodys", "1")], "headers": headers}
    found: dict[str, dict[str, Any]] = {"an unknown parameter": {**unknown, "body": body}}
    if route.uploads or route.body is None or route.raw:
        return {} if route.uploads else found
    raw = msgspec.json.encode(body)
    text = {**headers, "Content-Type": "text/plain"}
    packed = {**headers, "Content-Encoding": "gzip"}
    return found | {
        "an unknown field": {"body": {**body, "nobodys": 1}, "headers": headers},
        "another type": {"raw": raw, "headers": text},
        "a compressed body": {"raw": gzip.compress(raw), "headers": packed},
        "no JSON": {"raw": b"{", "headers": headers},
    }
