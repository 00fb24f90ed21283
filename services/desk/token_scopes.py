"""What an API token may open, besides its agent's role: `<resource>:read` and `<resource>:write`.

The resource of a route is the first segment of its path; `write` opens reading, too, and `*` stands
for every resource. Without scopes a token opens all that the role does.
"""

from __future__ import annotations

from collections.abc import Sequence

from libs.common.errors import ForbiddenError
from services.desk.api.route import Principal, Route

OPEN_TO_ALL = frozenset({"me"})
"""Whom a token belongs to is no secret from it: `GET /me`."""


def resource_of(path: str) -> str:
    """Return the resource of a route's path: `contacts` of `/contacts/{id}`."""
    return path.split("/")[1].partition(".")[0]


def needed(route: Route) -> str:
    """Return the scope that *route* takes; empty: none."""
    if route.name in OPEN_TO_ALL:
        return ""
    verb = "read" if route.method == "GET" else "write"
    return f"{resource_of(route.path)}:{verb}"


def opens(scopes: Sequence[str], scope: str) -> bool:
    """Tell whether *scopes* have *scope*, by themselves, by `write`, or by `*`."""
    resource, _, verb = scope.partition(":")
    verbs = ("write", "read") if verb == "read" else ("write",)
    return any(f"{name}:{each}" in scopes for name in (resource, "*") for each in verbs)


def check_scopes(who: Principal, route: Route) -> None:
    """Refuse a token that is not for this.

    Raises:
        ForbiddenError: `facts.scope` names what it would take.
    """
    scope = needed(route)
    if who.scopes and scope and not opens(who.scopes, scope):
        raise ForbiddenError(f"This token needs the scope {scope}.", scope=scope)
