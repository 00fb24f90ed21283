"""The HTTP shell: one door that finds the route, asks who calls, reads, and answers.

Default deny: a request reaches a handler only through its row of the table, whose role is checked
first. What has no row is a 404, and below `/api` a 401 to whoever has not proven who they are.
"""

from __future__ import annotations

import asyncio
import http
import logging
import re
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC
from email.utils import format_datetime
from typing import Any

import msgspec
from aiohttp import web

from libs.common import tracing
from libs.common.errors import BusUnavailableError, CommandError, StoreUnavailableError
from services.desk import metrics
from services.desk.api.openapi import BASE_PATH
from services.desk.api.problem import (
    PROBLEM_TYPE,
    Problem,
    RefusalError,
    problem,
    problem_of,
    unavailable,
)
from services.desk.api.read import read_body, read_query
from services.desk.api.route import (
    MAX_BODY,
    Call,
    Deprecation,
    Desk,
    Principal,
    Reply,
    Route,
    Uploaded,
)
from services.desk.auth import UNSAFE, authenticate, check_csrf, check_role, credential
from services.desk.console import add_console
from services.desk.cors import answering, origins_of, shared_headers
from services.desk.filedoor import Work, add_file_routes
from services.desk.incoming import uploaded
from services.desk.rates import Rate, Rates
from services.desk.repeated import answered
from services.desk.token_scopes import check_scopes
from services.desk.unsubscribe import add_unsubscribe

log = logging.getLogger(__name__)

ASIDE = 64 * 1024
"""Bytes above which a body is read where nobody else waits for it."""
BODY_WITHIN_S = 10.0
JSON_TYPES = frozenset({"application/json", "application/merge-patch+json"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED = "unmatched"
RATE = web.RequestKey("rate", Rate)
_PARAM = re.compile(r"\{(\w+)\}")

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "relaydesk",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HSTS = "max-age=31536000"


def build(desk: Desk, routes: Sequence[Route]) -> web.Application:
    """Return the application that serves *routes* below `/api/v1`, and the console at `/`."""
    door = Door(desk, routes)
    app = web.Application(client_max_size=MAX_BODY)
    for route in routes:
        app.router.add_route(
            route.method, _template(route), door.serving(route), expect_handler=_expect
        )
    add_file_routes(app, desk, door.guarding, _expect)
    add_unsubscribe(app, desk, door.guarding, _expect)
    add_console(app, door.guarding, _expect)
    app.router.add_route("*", "/{path:.*}", door.serving(None), expect_handler=_expect)

    origins = origins_of(desk.settings.cors_origins)

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(_told(request, origins))
        for name, value in _HEADERS.items():
            if name == "Server" or name not in response.headers:
                response.headers[name] = value
        if desk.settings.secure_cookies:
            response.headers["Strict-Transport-Security"] = _HSTS

    async def end_streams(_app: web.Application) -> None:
        desk.live.streams.close()

    app.middlewares.append(answering(origins, BASE_PATH))
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(end_streams)
    return app


class Door:
    """Serves every request the same way; whatever goes wrong becomes a problem."""

    def __init__(self, desk: Desk, routes: Sequence[Route]) -> None:
        self._desk = desk
        self._cookie = "__Host-relaydesk" if desk.settings.secure_cookies else "relaydesk"
        self._known = [(_pattern(route), route.method) for route in routes]
        self._rates = Rates(desk.settings.requests_per_minute, time.monotonic)

    def serving(self, route: Route | None) -> Any:
        """Return the aiohttp handler of *route*; None: of everything that has no row."""

        async def work(request: web.Request) -> web.StreamResponse:
            reply = await self._serve(request, route)
            if route is not None and route.deprecated is not None:
                noted = {**reply.headers, **deprecation_headers(route.deprecated)}
                reply = msgspec.structs.replace(reply, headers=noted)
            return await reply.stream(request) if reply.stream else self._response(reply)

        return self.guarding(route.name if route else UNMATCHED, work)

    def guarding(self, name: str, work: Work) -> Any:
        """Return the handler that counts *work* and answers with a problem for what it raises."""

        async def handle(request: web.Request) -> web.StreamResponse:
            started = time.perf_counter()
            about: dict[str, tracing.Value] = {"http.route": name}
            with tracing.request(f"{request.method} {name}"[:80], request.headers, about) as span:
                response = await _answer(request, name, work)
                span.set({"http.response.status_code": response.status})
                if response.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
                    span.fail(str(response.status))
            method = request.method if request.method in METHODS else "other"
            metrics.REQUESTS.labels(name, method, f"{response.status // 100}xx").inc()
            seconds = time.perf_counter() - started
            metrics.SECONDS.labels(name).observe(seconds)
            _note(name, request.method, response.status, seconds)
            return response

        return handle

    async def _serve(self, request: web.Request, route: Route | None) -> Reply:
        headers = {name.lower(): value for name, value in request.headers.items()}
        if route is None:
            return await self._unmatched(request, headers)
        who = None
        if route.role is not None:
            who = await self._caller(request, headers)
            check_role(who, route.role)
            check_scopes(who, route)
            check_csrf(who, request.method, headers)
        return await answered(
            route,
            Call(
                desk=self._desk,
                principal=who,
                params=dict(request.match_info),
                headers=headers,
                remote=request.remote or "",
                query=read_query(route.query or _NoQuery, request.query.items()),
                body=await _body(request, route),
                upload=await self._upload(request, route),
            ),
        )

    async def _upload(self, request: web.Request, route: Route) -> Uploaded | None:
        limit = self._desk.settings.upload_max_bytes
        return await uploaded(request, limit) if route.uploads else None

    async def _caller(self, request: web.Request, headers: Mapping[str, str]) -> Principal:
        given = credential(headers, request.cookies.get(self._cookie, ""))
        desk = self._desk
        try:
            who = await authenticate(desk.store, given, desk.now(), desk.settings.session_ttl_s)
        except RefusalError:
            self._rates.unproven(request.remote or "")
            raise
        rate = self._rates.take(who.workspace, who.agent)
        if rate is not None:
            request[RATE] = rate
        return who

    async def _unmatched(self, request: web.Request, headers: Mapping[str, str]) -> Reply:
        if not request.path.startswith("/api"):
            raise RefusalError(404, "no_such_route", "There is nothing here.")
        await self._caller(request, headers)
        allowed = sorted({m for pattern, m in self._known if pattern.fullmatch(request.path)})
        if allowed:
            raise RefusalError(
                405,
                "method_not_allowed",
                f"This takes {', '.join(allowed)}.",
                headers={"Allow": ", ".join(allowed)},
                allowed=", ".join(allowed),
            )
        raise RefusalError(
            404, "no_such_route", "There is no such route; see /api/v1/openapi.json."
        )

    def _response(self, reply: Reply) -> web.Response:
        body = reply.body
        if body is not None and not isinstance(body, bytes):
            body = msgspec.json.encode(body)
        response = web.Response(status=reply.status, body=body, headers=dict(reply.headers))
        if body is not None:
            response.content_type = reply.content_type
        if reply.cookie is not None:
            response.set_cookie(
                self._cookie,
                reply.cookie.value,
                max_age=reply.cookie.max_age_s,
                path="/",
                httponly=True,
                samesite="Lax",
                secure=self._desk.settings.secure_cookies,
            )
        return response


async def _answer(request: web.Request, name: str, work: Work) -> web.StreamResponse:
    try:
        _refuse_unreadable(request)
        return await work(request)
    except CommandError as error:
        headers = error.headers if isinstance(error, RefusalError) else {}
        return _problem_response(problem_of(error), headers)
    except (StoreUnavailableError, BusUnavailableError) as error:
        log.warning("desk.unavailable", extra={"code": error.code})
        refusal = unavailable("A part of the service does not answer right now.")
        return _problem_response(problem_of(refusal), refusal.headers)
    except Exception as error:  # noqa: BLE001 the boundary: a bug is one answer, told once
        return _bug(error, name)


def _note(name: str, method: str, status: int, seconds: float) -> None:
    """Leave a line for every change that was made; reading and being refused are only counted."""
    level = (
        logging.INFO if method in UNSAFE and status < http.HTTPStatus.BAD_REQUEST else logging.DEBUG
    )
    told = {"route": name, "status": status, "took_ms": round(seconds * 1000, 1)}
    log.log(level, "desk.request", extra=told)


class _NoQuery(msgspec.Struct, frozen=True):
    """A route without query parameters."""


async def _expect(request: web.Request) -> web.StreamResponse | None:
    """Answer `Expect: 100-continue`; anything else gets a problem like every refusal."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        found = problem(417, "expectation_failed", "Only 100-continue can be expected.")
        return _problem_response(found, {})
    if request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return None


async def _body(request: web.Request, route: Route) -> Any:
    """Read and check the body that *route* takes.

    Raises:
        RefusalError: 400, 408, 413 or 415.
        InvalidInputError: 422, a field is wrong.
    """
    if route.body is None:
        return None
    raw = await _raw_body(request, route.body_most)
    if route.raw:
        return raw
    if not raw and route.body_optional:
        return route.body()
    if request.content_type not in JSON_TYPES:
        raise RefusalError(415, "unsupported_media_type", "Send application/json.")
    if len(raw) > ASIDE:
        return await asyncio.to_thread(read_body, route.body, raw)
    return read_body(route.body, raw)


async def _raw_body(request: web.Request, most: int) -> bytes:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RefusalError(415, "unsupported_media_type", "Send the body uncompressed.")
    if request.content_length is not None and request.content_length > most:
        raise _too_large(most)
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await request.clone(client_max_size=most).read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(most) from None
    except TimeoutError:
        raise RefusalError(408, "body_too_slow", "The body did not arrive in time.") from None
    except (web.RequestPayloadError, ConnectionError):  # a lost connection too
        raise RefusalError(400, "malformed_body", "The body was cut off or is damaged.") from None


def _too_large(most: int) -> RefusalError:
    return RefusalError(
        413, "body_too_large", f"The body is larger than {most} bytes.", allowed=str(most)
    )


def _refuse_unreadable(request: web.Request) -> None:
    """Refuse what no store keeps as text: half characters and U+0000 in the path or the query.

    Raises:
        RefusalError: 400.
    """
    pairs = request.query.items()
    text = "".join((*request.match_info.values(), *(part for pair in pairs for part in pair)))
    try:
        text.encode()
    except UnicodeEncodeError:
        text = "\0"
    if "\0" in text:
        raise RefusalError(400, "malformed_path", "The address is not valid text in UTF-8.")


def _problem_response(found: Problem, headers: Mapping[str, str]) -> web.Response:
    response = web.Response(
        status=found.status, body=msgspec.json.encode(found), headers=dict(headers)
    )
    response.content_type = PROBLEM_TYPE
    return response


def _bug(error: Exception, name: str) -> web.Response:
    """Log where it happened, never what was being handled: a message may hold the text."""
    error_id = uuid.uuid4().hex
    log.error(
        "desk.bug",
        extra={
            "error_id": error_id,
            "route": name,
            "kind": type(error).__name__,
            "where": "".join(traceback.format_tb(error.__traceback__)[-6:]),
        },
    )
    return _problem_response(
        problem(500, "bug", "This is a fault of ours.", {"error_id": error_id}), {}
    )


def _told(request: web.Request, origins: frozenset[str]) -> dict[str, str]:
    if not request.path.startswith(BASE_PATH):
        return {}
    rate = request.get(RATE)
    return shared_headers(origins, request.headers) | (dict(rate.headers()) if rate else {})


def deprecation_headers(found: Deprecation) -> dict[str, str]:
    """Return how an answer tells that its route will go (RFC 9745, RFC 8594)."""
    return {
        "Deprecation": f"@{int(found.since.timestamp())}",
        "Sunset": format_datetime(found.sunset.astimezone(UTC), usegmt=True),
    }


def _template(route: Route) -> str:
    """Return the path as aiohttp takes it; an id is whatever stands between two slashes."""
    return _PARAM.sub(r"{\1:[^/]+}", BASE_PATH + route.path)


def _pattern(route: Route) -> re.Pattern[str]:
    return re.compile(_PARAM.sub("[^/]+", BASE_PATH + route.path))
