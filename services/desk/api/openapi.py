"""The OpenAPI 3.1 document, made from the route table and the types it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from services.desk.api.examples import example_of
from services.desk.api.openapi_webhooks import KINDS, webhooks
from services.desk.api.problem import PROBLEM_TYPE, Problem
from services.desk.api.route import Call, Reply, Route
from services.desk.api.schemas import REF, Schemas, schemas_of

BASE_PATH = "/api/v1"
VERSION = "1.0.0"
_PARAM = re.compile(r"\{(\w+)\}")

_DESCRIPTION = """\
People's side of Relaydesk. Send `Authorization: Bearer rdk_…`, or log in and go on with the
cookie, sending the login's `csrf` as `X-CSRF-Token` with every change.

Lists answer `{"items", "next"}`; hand `next` back as `cursor` for the page behind. Whatever is not
a success is a problem (RFC 9457) with a stable `code`. What belongs to another workspace does not
exist: its id is answered like any unknown one. Repeat a request that got no answer with the same
`Idempotency-Key`. Answers to a credential say in `RateLimit-Limit`, `RateLimit-Remaining` and
`RateLimit-Reset` (seconds) how many requests are left.
"""

_STATUS = {
    200: "Done",
    201: "Stored now; the same key again answers 200",
    202: "Taken, now or when it first came",
    204: "Done, nothing to say",
    303: "Go on where `Location` says",
    400: "The request cannot be read: no JSON, bad UTF-8, a missing header",
    401: "No valid credential",
    403: "The role does not reach, or X-CSRF-Token or Origin is wrong",
    404: "No such thing in this workspace",
    408: "The body did not arrive in time",
    413: "The body is too large",
    415: "The body is not application/json, or is compressed",
    422: "A field is wrong; `facts` names it and what is allowed",
    429: "Too many requests; wait as long as Retry-After says",
    500: "A bug; `facts.error_id` finds it in the log",
    503: "A dependency does not answer; wait as long as Retry-After says",
}


_FILE = {
    "multipart/form-data": {
        "schema": {
            "type": "object",
            "properties": {
                "file": {"type": "string", "contentMediaType": "application/octet-stream"}
            },
            "required": ["file"],
        }
    },
    "application/octet-stream": {"schema": {}},
}


async def openapi(_call: Call) -> Reply:
    """Serve the document."""
    return Reply(body=openapi_document())


@cache
def openapi_document() -> dict[str, Any]:
    """Return the document; do not change it."""
    from services.desk.api.table import ROUTES  # noqa: PLC0415 the table names this module

    return document(ROUTES)


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the OpenAPI document of *routes*."""
    routes = tuple(routes)
    answered = [kind for route in routes for kind in _answers(route)]
    asked = [route.body for route in routes if route.body is not None]
    schemas = schemas_of([*answered, *KINDS, Problem], asked)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, schemas)
        paths.setdefault(BASE_PATH + route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Relaydesk",
            "version": VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "webhooks": webhooks(schemas),
        "components": {
            "schemas": dict(schemas.components),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "relaydesk"},
            },
        },
        "security": [{"bearer": []}, {"cookie": []}],
    }


def _answers(route: Route) -> list[Any]:
    """Return the types of answers that get a schema."""
    return [kind for kind in route.answers.values() if kind not in {None, bytes, dict}]


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    least = "without any credential" if route.role is None else f"role {route.role} or above"
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"{route.summary}; {least}.",
        "parameters": [*_path_params(route), *_query_params(route), *_header_params(route)],
        "responses": {
            **{
                str(s): _success(s, kind, schemas.answers, route)
                for s, kind in route.answers.items()
            },
            **{str(s): _failure(words) for s, words in sorted(problems_of(route).items())},
        },
    }
    if route.deprecated is not None:
        found["deprecated"] = True
        found["description"] += (
            f" Deprecated since {route.deprecated.since:%Y-%m-%d}, gone after"
            f" {route.deprecated.sunset:%Y-%m-%d}: use {route.deprecated.instead}."
        )
    if route.role is None:
        found["security"] = []
    if route.uploads:
        found["requestBody"] = {"required": True, "content": _FILE}
    if route.body is not None:
        shown = {
            "schema": schemas.requests[route.body],
            "example": example_of(route.body, request=True),
        }
        content = {"application/json": shown}
        found["requestBody"] = {"required": not route.body_optional, "content": content}
    return found


def problems_of(route: Route) -> dict[int, str]:
    """Return the statuses of failure that *route* may answer, with their meaning."""
    statuses = {500, 503}
    if route.role is not None:
        statuses |= {401, 403, 429}
        if route.method != "GET":
            statuses.add(422)  # a key or a version in a header may be none
    if _PARAM.search(route.path) or (route.role is not None and route.body is not None):
        statuses.add(404)  # what a body names may be unknown, too
    if route.query is not None or route.body is not None or route.needs_key:
        statuses |= {400, 422}
    if route.body is not None or route.uploads:
        statuses |= {400, 408, 413, 415, 422}
    found = {status: _STATUS[status] for status in statuses}
    if route.body is not None:
        found[413] = f"The body is larger than {route.body_most // 1024} KiB"
    return found | dict(route.problems)


def _path_params(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAM.findall(route.path)
    ]


def _query_params(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    hints = get_type_hints(route.query, include_extras=True)
    found = []
    for field in msgspec.structs.fields(route.query):
        schema = dict(msgspec.json.schema(hints[field.name]))
        if field.default is not msgspec.NODEFAULT and field.default not in {(), ""}:
            schema["default"] = field.default
        param = {"name": field.encode_name, "in": "query", "required": False}
        if description := schema.pop("description", ""):
            param["description"] = description
        if _is_multiple(hints[field.name]):  # several by comma or by repetition
            param |= {"style": "form", "explode": False}
        found.append({**param, "schema": schema})
    return found


def _is_multiple(hint: Any) -> bool:
    return tuple in {get_origin(hint), *(get_origin(arg) for arg in get_args(hint))}


def _header_params(route: Route) -> list[dict[str, Any]]:
    headers = dict(route.headers)
    if route.method != "GET" and route.role is not None:
        headers["X-CSRF-Token"] = "The login's `csrf`; needed with the cookie only"
    if route.needs_key or ("/sessions/{id}/" in route.path and route.method != "GET"):
        headers["Idempotency-Key"] = "1 to 128 visible ASCII characters; repeats have no effect"
    return [
        {
            "name": name,
            "in": "header",
            "required": route.needs_key and name == "Idempotency-Key",
            "description": words,
            "schema": {"type": "string"},
        }
        for name, words in headers.items()
    ]


def _success(status: int, kind: Any, by_kind: Mapping[Any, Any], route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {"description": _STATUS[status]}
    if kind is bytes:
        found["content"] = {
            media: {"schema": {"type": "string", "contentMediaType": media}}
            for media in route.media
        }
    elif route.streams:
        found["content"] = {"text/event-stream": {"schema": by_kind[kind]}}
    elif kind is dict:
        found["content"] = {"application/json": {"schema": {"type": "object"}}}
    elif kind is not None:
        shown = {"schema": by_kind[kind], "example": example_of(kind)}
        found["content"] = {"application/json": shown}
    return found


def _failure(words: str) -> dict[str, Any]:
    schema = {"$ref": REF.format(name="Problem")}
    return {"description": words, "content": {PROBLEM_TYPE: {"schema": schema}}}
