"""Pages of other origins: none may call the API, but those that the installation names.

They call with a bearer token. The cookie is never sent along, so a login of the console is nothing
that another page could use (Fetch standard, CORS protocol).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from libs.common.errors import SettingsError

_ALLOWED = "Authorization, Content-Type, If-Match, Idempotency-Key, Last-Event-ID"
_EXPOSED = (
    "ETag, Retry-After, Location, Idempotent-Replayed, Deprecation, Sunset, "
    "RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset"
)
_METHODS = "GET, POST, PUT, PATCH, DELETE"
_AGE_S = 600


def origins_of(setting: str) -> frozenset[str]:
    """Return the origins that *setting*, a list with commas, names.

    Raises:
        SettingsError: One is no origin such as `https://desk.example.com`.
    """
    found = frozenset(part.strip() for part in setting.split(",") if part.strip())
    for origin in found:
        parts = urlsplit(origin)
        if parts.scheme not in {"http", "https"} or origin != f"{parts.scheme}://{parts.netloc}":
            raise SettingsError(
                f"RELAYDESK_CORS_ORIGINS: {origin!r} is no origin; allowed: https://host[:port]"
            )
    return found


def shared_headers(origins: frozenset[str], headers: Mapping[str, str]) -> dict[str, str]:
    """Return what an answer says to a page of another origin; nothing where none is named."""
    if not origins:
        return {}
    found = {"Vary": "Origin"}
    origin = headers.get("Origin", "")
    if origin in origins:
        found["Access-Control-Allow-Origin"] = origin
        found["Access-Control-Expose-Headers"] = _EXPOSED
    return found


def answering(origins: frozenset[str], below: str) -> Any:
    """Return the middleware that answers pages of *origins* which ask before they call."""

    @web.middleware
    async def answer(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        asked = None
        if request.method == "OPTIONS" and request.path.startswith(below):
            asked = preflight(origins, request.headers)
        return await handler(request) if asked is None else web.Response(status=204, headers=asked)

    return answer


def preflight(origins: frozenset[str], headers: Mapping[str, str]) -> dict[str, str] | None:
    """Return the answer to a page that asks before it calls; None: it is not to be answered."""
    if headers.get("Origin", "") not in origins or "Access-Control-Request-Method" not in headers:
        return None
    return {
        "Access-Control-Allow-Methods": _METHODS,
        "Access-Control-Allow-Headers": _ALLOWED,
        "Access-Control-Max-Age": str(_AGE_S),
    }
