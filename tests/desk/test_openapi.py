"""The OpenAPI document: sound by itself, and about exactly the routes there are (D30)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from services.desk.api.openapi import BASE_PATH, document, openapi_document
from services.desk.api.problem import PROBLEM_TYPE
from services.desk.api.route import RANK
from services.desk.api.table import ROUTES
from services.desk.server import build
from tests.desk.matrix import path_of, things_of
from tests.desk.world import World

JSON = "application/json"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "$ref":
                yield item
            yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def test_d30_the_document_names_exactly_the_routes_of_the_table() -> None:
    described = {(method, path) for method, path, _ in operations()}
    assert described == {(route.method, BASE_PATH + route.path) for route in ROUTES}


PAGES = ("/", "/sw.js", "/assets/{version}{slash}{name}", "/unsubscribe")
"""The console, and where the links of emails lead."""


async def test_d30_and_exactly_the_routes_that_are_served(world: World) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in build(world.desk, ROUTES).router.routes()
        if route.resource is not None
    }
    described = {(method, path) for method, path, _ in operations()}
    assert served - described == {
        *{(method, path) for path in PAGES for method in ("GET", "HEAD")},
        ("POST", "/unsubscribe"),
        ("*", "/{path}"),
        ("GET", "/files/{workspace}/{id}/{name}"),  # links, and pages of visitors, are no API
        ("HEAD", "/files/{workspace}/{id}/{name}"),
        ("GET", "/files/preview.png"),
        ("HEAD", "/files/preview.png"),
        ("POST", "/files/web/{account}"),
        ("OPTIONS", "/files/web/{account}"),
    }
    assert described <= served


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    found = openapi_document()
    named = {f"#/components/schemas/{name}" for name in found["components"]["schemas"]}
    assert set(references(found)) == named


def test_operation_ids_are_unique_and_words() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z_]+", name) for name in ids)


def test_only_the_public_routes_need_no_credential() -> None:
    public = {(m, p) for m, p, operation in operations() if operation.get("security") == []}
    assert public == {
        ("POST", "/api/v1/login"),
        ("GET", "/api/v1/login"),
        ("GET", "/api/v1/login/oidc"),
        ("GET", "/api/v1/login/oidc/callback"),
        ("POST", "/api/v1/invitations/accept"),
        ("POST", "/api/v1/password-resets"),
        ("POST", "/api/v1/password-resets/done"),
        ("GET", "/api/v1/openapi.json"),
        ("POST", "/api/v1/bots/{workspace}/{bot}/answers"),  # signed instead
    }
    assert openapi_document()["security"] == [{"bearer": []}, {"cookie": []}]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_tells_its_role_its_parameters_and_its_failures(route: Any) -> None:
    operation = openapi_document()["paths"][BASE_PATH + route.path][route.method.lower()]
    assert operation["summary"]
    if route.role is not None:
        assert f"role {route.role}" in operation["description"]
        assert {"401", "403"} <= set(operation["responses"])
    templated = set(re.findall(r"\{(\w+)\}", route.path))
    named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
    assert named == templated
    assert ("404" in operation["responses"]) >= bool(templated)
    assert ("requestBody" in operation) == (route.body is not None or route.uploads)
    keyed = [p for p in operation["parameters"] if p["name"] == "Idempotency-Key"]
    assert [p["required"] for p in keyed] in ([], [route.needs_key])
    for status, answer in operation["responses"].items():
        assert answer["description"]
        if int(status) >= 400:
            schema = answer["content"][PROBLEM_TYPE]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}


def test_bodies_are_described_as_strictly_as_they_are_read() -> None:
    schemas = openapi_document()["components"]["schemas"]
    for _, _, operation in operations():
        body = operation.get("requestBody")
        if body and JSON in body["content"] and operation["operationId"] != "bot_answer":
            # bots may say more, and files are no JSON
            name = body["content"][JSON]["schema"]["$ref"].rpartition("/")[2]
            assert schemas[name]["additionalProperties"] is False, name


def test_a_second_document_of_other_routes_does_not_disturb_the_first() -> None:
    first = msgspec.json.encode(openapi_document())
    assert len(document(ROUTES[:3])["paths"]) == 3
    assert msgspec.json.encode(openapi_document()) == first


async def test_it_is_served_without_a_credential(world: World) -> None:
    answer = await world.call("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (
        200,
        "application/json",
    )
    assert answer.body == msgspec.json.encode(openapi_document())
    index = await world.call("GET", f"{world.base}/")
    assert (index.status, "/api/v1/openapi.json" in index.body.decode()) == (200, True)


def test_roles_are_ordered() -> None:
    assert sorted(RANK, key=lambda role: RANK[role]) == [
        "read_only",
        "agent",
        "lead",
        "admin",
        "owner",
    ]


def fits(value: Any, schema: dict[str, Any], where: str = "$") -> Iterator[str]:
    """Yield where *value* does not fit: the part of JSON Schema that the document uses."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from fits(value, openapi_document()["components"]["schemas"][name], where)
    elif "anyOf" in schema:
        if all(list(fits(value, option, where)) for option in schema["anyOf"]):
            yield f"{where}: none of the options"
    elif "enum" in schema or "const" in schema:
        if value not in schema.get("enum", [schema.get("const")]):
            yield f"{where}: {value!r}"
    else:
        yield from _fits_type(value, schema, where)


KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def _fits_type(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    kind = schema.get("type")
    if kind and not isinstance(value, KINDS[kind]):
        yield f"{where}: {type(value).__name__} is no {kind}"
    elif kind == "object":
        yield from _fits_object(value, schema, where)
    elif kind == "array" and isinstance(schema.get("items"), dict):
        for n, item in enumerate(value):
            yield from fits(item, schema["items"], f"{where}[{n}]")


def _fits_object(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    properties = schema.get("properties", {})
    yield from (f"{where}.{n} is missing" for n in schema.get("required", ()) if n not in value)
    for name, item in value.items():
        extra = schema.get("additionalProperties", {})
        if name in properties:
            yield from fits(item, properties[name], f"{where}.{name}")
        elif isinstance(extra, dict) and extra:
            yield from fits(item, extra, f"{where}.{name}")
        elif properties:
            yield f"{where}.{name} is not described"


EMPTY = frozenset({"job_result", "trace_raw", "openapi"})
"""What the examples have none of, and the document itself."""


async def test_d30_what_is_answered_is_what_the_document_describes(world: World) -> None:
    things = await things_of(world, "olga")
    await world.call("PATCH", "/settings", "olga", body={"auto_hosting": False})
    for route in ROUTES:
        shown = route.method == "GET" and not route.streams and 200 in route.answers
        if not shown or route.name in EMPTY:
            continue
        path = path_of(route.path, things)
        query = [("q", "plan")] if route.name == "search" else []
        answer = await world.call("GET", path, "olga", query=query)
        assert answer.status == 200, route.name
        operation = openapi_document()["paths"][BASE_PATH + route.path]["get"]
        content = operation["responses"]["200"]["content"]
        assert answer.headers["Content-Type"].partition(";")[0] in content, route.name
        if JSON not in content:
            continue
        schema = content[JSON]["schema"]
        assert list(fits(answer.json, schema)) == [], route.name
    refused = await world.call("GET", "/sessions/none", "olga")
    problem = {"$ref": "#/components/schemas/Problem"}
    assert list(fits(refused.json, problem)) == []
    assert list(fits({"status": "x"}, problem))  # the check itself can fail
