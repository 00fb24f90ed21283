"""Lists are alike: `items` and `next`, `limit` from 1 to 200, and cursors that are of this list."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from tests.desk.matrix import path_of, things_of
from tests.desk.world import World

WHOLE = frozenset({"reports", "pick_standard_messages"})
"""Answers with `items` that never have a second page: what is offered, not what is kept."""
MOST = 200


def names(kind: Any) -> tuple[str, ...]:
    return tuple(getattr(kind, "__struct_fields__", ()))


def lists() -> Iterator[Route]:
    for route in ROUTES:
        kinds = [kind for kind in route.answers.values() if kind not in {None, bytes, dict}]
        if route.method == "GET" and any("items" in names(kind) for kind in kinds):
            yield route


def paged() -> list[Route]:
    return [route for route in lists() if "cursor" in names(route.query)]


def test_d30_every_list_answers_items_and_next() -> None:
    odd = [r.name for r in lists() if "next" not in names(r.answers[200]) and r.name not in WHOLE]
    assert odd == []
    assert all("limit" in names(route.query) for route in paged())
    assert len(paged()) > 12


def forged(place: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


CURSORS = {
    "no cursor at all": "yesterday",
    "no base64": "%%%",
    "base64 of nothing that is JSON": "AAAA",
    "an object": forged({"id": "x"}),
    "the wrong parts": forged([[1], {"a": 1}, None, "x", 5]),
    "a place that no store takes": forged([-1, "x\0"]),
    "a very long one": "A" * 3000,
}
LIMITS = {"none": "0", "too many": str(MOST + 1), "less than none": "-1", "a word": "all"}


async def test_d30_a_cursor_that_is_none_and_a_limit_that_is_too_high_are_refused_by_name(
    world: World,
) -> None:
    things = await things_of(world, "olga")
    wrong: list[str] = []
    for route in paged():
        path = path_of(route.path, things)
        asked = [("cursor", text, name) for name, text in CURSORS.items()]
        asked += [("limit", text, name) for name, text in LIMITS.items()]
        for field, text, name in asked:
            answer = await world.call("GET", path, "olga", query=[(field, text)])
            if answer.status != 422 or answer.json["facts"].get("field") != field:
                wrong.append(f"{route.name}, {field} {name}: {answer.status} {answer.body[:150]!r}")
        for limit in ("1", str(MOST)):
            answer = await world.call("GET", path, "olga", query=[("limit", limit)])
            if answer.status != 200 or set(answer.json) < {"items", "next"}:
                wrong.append(f"{route.name}, limit {limit}: {answer.status} {answer.body[:150]!r}")
    assert not wrong, "\n".join(wrong)
