"""Who changes a document may say which version they saw: `ETag` and `If-Match`, on every route."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from services.desk.api.route import Route
from services.desk.api.table import ROUTES
from tests.desk.matrix import Things, body_of, path_of, things_of
from tests.desk.test_recorded import CHANGES
from tests.desk.world import Answer, World

STALE, NONE = '"999999"', "yesterday's"
COMMAND = "a command to a session, which one router carries out after the other"
NEVER = "it never changes: there is nothing to be stale"
OWN = "one's own, set as a whole"
UNVERSIONED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "assign",
            "bot",
            "unsnooze",
            "read",
            "remove_one",
            "tags",
            "patch_session_note",
            "delete_session_note",
        ),
        COMMAND,
    ),
    **dict.fromkeys(
        (
            "lift_suppression",
            "revoke_invitation",
            "end_logins",
            "end_login",
            "revoke_token",
            "push_unsubscribe",
        ),
        NEVER,
    ),
    **dict.fromkeys(("presence_say", "change_password", "patch_me", "alerts_unmute"), OWN),
    **dict.fromkeys(("order_folders", "order_folder"), "it names all that are there, each once"),
}
"""Routes that change something and take no `If-Match`, and why."""
SHOWN_BY: Mapping[str, str] = {
    "/rules/order": "/rules",
    "/contacts/{id}/tags/{tag}": "/contacts/{id}",
}
"""Where the version of what a path changes is shown, if not by the path itself."""
BODIES: Mapping[str, Any] = {
    "put_rules": {"items": [{"id": "olgas-own", "actions": [{"do": "tag", "tag": "ours"}]}]},
    "order_rules": {"ids": ["olgas-own"]},
    "put_inbox_default": {"filter": ""},
}


def versioned() -> list[Route]:
    """Return what changes a document, what deletes one behind all others."""
    found = [route for route in ROUTES if route.method in {"PUT", "PATCH", "DELETE"}]
    found = [route for route in found if route.name not in UNVERSIONED]
    return sorted(found, key=lambda route: (route.method == "DELETE", -route.path.count("/")))


def test_d30_whatever_changes_a_document_takes_a_version() -> None:
    assert {route.name for route in versioned() if "If-Match" not in route.headers} == set()
    assert set(UNVERSIONED) <= {route.name for route in ROUTES}


async def test_d30_a_change_of_another_version_is_refused_and_what_is_no_version_too(
    world: World,
) -> None:
    things = await things_of(world, "olga")
    routes = versioned()
    wrong = [problem for route in routes async for problem in refuses(world, route, things)]
    for route in routes:
        answer = await changes(world, route, things, "*")
        if answer.status >= 300 and route.name not in ASKS:
            wrong.append(f"{route.name} *: {answer.status} {answer.body[:200]!r}")
    assert not wrong, "\n".join(wrong)


async def refuses(world: World, route: Route, things: Things) -> AsyncIterator[str]:
    """Yield what is wrong with how *route* tells and takes versions."""
    where = SHOWN_BY.get(route.path, route.path)
    shown = await world.call("GET", path_of(where, things), "olga")
    if not shown.headers.get("ETag", "").startswith('"'):
        yield f"GET {where}: {shown.status}, and no ETag"
    stale = await changes(world, route, things, STALE)
    if (stale.status, stale.json.get("code")) != (412, "changed_meanwhile"):
        yield f"{route.name} stale: {stale.status} {stale.body[:200]!r}"
    none = await changes(world, route, things, NONE)
    if none.status != 422 or none.json["facts"].get("field") != "If-Match":
        yield f"{route.name} no version: {none.status} {none.body[:200]!r}"


async def changes(world: World, route: Route, things: Things, version: str) -> Answer:
    body = BODIES.get(route.name) or CHANGES.get(route.name) or body_of(route)
    path, headers = path_of(route.path, things), {"If-Match": version}
    return await world.call(route.method, path, "olga", body=body, headers=headers)


ASKS = frozenset({"delete_folder", "delete_broadcast"})
"""What is deleted once that is confirmed, or while it is a draft: not for want of a version."""
