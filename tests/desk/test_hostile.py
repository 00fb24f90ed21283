"""Hostile requests: every one gets a problem that names what is wrong; none gets a 5xx."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from typing import Any

import msgspec
import pytest

from libs.common.errors import StoreUnavailableError
from services.desk.api.problem import PROBLEM_TYPE
from services.desk.api.route import MAX_BODY, Call, Reply
from services.desk.api.table import ROUTES
from tests.desk.world import Answer, World, serving

DEEP = 100_000


def is_problem(answer: Answer, status: int, code: str) -> None:
    assert answer.headers["Content-Type"] == PROBLEM_TYPE
    found = answer.json
    assert (answer.status, found["status"], found["code"]) == (status, status, code), found
    assert found["type"] == f"urn:relaydesk:problem:{code}"
    assert found["title"]
    assert found["detail"]
    assert "Traceback" not in str(found)


BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 400, "malformed_json"),
    "no JSON": (b"hello", 400, "malformed_json"),
    "cut JSON": (b'{"text":"a', 400, "malformed_json"),
    "two values": (b'{"text":"a"}{"text":"b"}', 400, "malformed_json"),
    "a byte-order mark": (b'\xef\xbb\xbf{"text":"a"}', 400, "malformed_json"),
    "broken UTF-8": (b'{"text":"\xff\xfe"}', 400, "malformed_json"),
    "half a character": (b'{"text":"\\ud83d"}', 400, "malformed_json"),
    "UTF-16": ('{"text":"a"}'.encode("utf-16"), 400, "malformed_json"),
    "no number": (b'{"text":NaN}', 400, "malformed_json"),
    "an endless number": (b'{"private":' + b"9" * 5000 + b"}", 422, "invalid_input"),
    "an infinite number": (b'{"private":1e999}', 422, "invalid_input"),
    "a list nested too deep": (b"[" * DEEP, 422, "invalid_input"),
    "a field nested too deep": (b'{"text":' + b"[" * DEEP, 422, "invalid_input"),
    "attachments nested too deep": (b'{"attachments":' + b"[" * DEEP, 422, "invalid_input"),
    "an operator": (b'{"text":{"$gt":""}}', 422, "invalid_input"),
    "a code operator": (b'{"text":{"$where":"sleep(1000)"}}', 422, "invalid_input"),
    "an operator as a field": (b'{"$set":{"text":"a"}}', 422, "invalid_input"),
    "a path as a field": (b'{"actor.id":"agt-olga"}', 422, "invalid_input"),
    "a prototype": (b'{"__proto__":{"text":"a"},"text":"a"}', 422, "invalid_input"),
    "a hundred thousand fields": (
        b"{" + b",".join(b'"%d":1' % n for n in range(20_000)) + b"}",
        422,
        "invalid_input",
    ),
    "a list": (b"[]", 422, "invalid_input"),
    "null": (b"null", 422, "invalid_input"),
    "a field twice, the last one wrong": (b'{"text":"a","text":5}', 422, "invalid_input"),
    "a body that is too large": (b'{"text":"' + b"a" * MAX_BODY + b'"}', 413, "body_too_large"),
}


@pytest.mark.parametrize(("raw", "status", "code"), BODIES.values(), ids=BODIES)
async def test_f_a_hostile_body_is_refused_by_name(
    world: World, raw: bytes, status: int, code: str
) -> None:
    session = await world.writes("hello")
    path = f"/sessions/{session.id}/messages"
    answer = await world.call("POST", path, "amy", raw=raw, headers={"Idempotency-Key": "k"})
    is_problem(answer, status, code)
    if status == 422:
        assert answer.json["facts"]["field"]
    shown = await world.get(path)
    assert [entry["text"] for entry in shown["items"]] == ["hello"]


OPERATORS = [{"$gt": ""}, {"$ne": None}, {"$regex": "(a+)+$"}, ["amy"], 7, True, None]


@pytest.mark.parametrize("value", OPERATORS, ids=str)
@pytest.mark.parametrize("field", ["email", "password", "workspace"])
async def test_g9_an_operator_is_no_credential(world: World, field: str, value: Any) -> None:
    body = {"email": world.email("amy"), "password": "x", field: value}
    answer = await world.call("POST", "/login", body=body)
    is_problem(answer, 422, "invalid_input")
    assert answer.json["facts"]["field"] == field


async def test_g9_a_pattern_in_a_filter_matches_only_itself(world: World) -> None:
    await world.writes("hello")
    for text in ("(a+)+$", ".*", "$ne", "'; --", "*"):
        found = await world.call("GET", "/sessions", "amy", query=[("account", text)])
        assert (found.status, found.json["items"]) == (200, [])


TYPES = {
    "no content type": None,
    "a form": "application/x-www-form-urlencoded",
    "plain text, which a foreign page may send": "text/plain",
    "XML": "application/xml",
    "something like JSON": "application/jsonp",
}


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
async def test_g12_only_json_is_read(world: World, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {"Content-Type": ""}
    raw = b'{"auto_hosting":false}'
    answer = await world.call("PATCH", "/settings", "adam", raw=raw, headers=headers)
    is_problem(answer, 415, "unsupported_media_type")
    assert (await world.get("/settings"))["auto_hosting"] is True


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "gzip, gzip", "x"])
async def test_f2_a_compressed_body_is_refused_unread(world: World, coding: str) -> None:
    headers = {"Content-Encoding": coding}
    answer = await world.call("PATCH", "/settings", "adam", raw=b"\x1f\x8b", headers=headers)
    is_problem(answer, 415, "unsupported_media_type")


PATHS: dict[str, tuple[str, str, str, int, str]] = {
    "an unknown route": ("GET", "/nothing", "amy", 404, "no_such_route"),
    "an unknown version": ("GET", "/../v2/me", "amy", 404, "no_such_route"),
    "a slash too many": ("GET", "/me/", "amy", 404, "no_such_route"),
    "the wrong method": ("DELETE", "/me", "amy", 405, "method_not_allowed"),
    "a method nobody knows": ("PROPFIND", "/me", "amy", 405, "method_not_allowed"),
    "tracing": ("TRACE", "/settings", "amy", 405, "method_not_allowed"),
    "an unknown route without a credential": ("GET", "/nothing", "", 401, "unauthenticated"),
    "the wrong method without a credential": ("DELETE", "/me", "", 401, "unauthenticated"),
    "an id with NUL": ("GET", "/sessions/a%00b", "amy", 400, "malformed_path"),
    "a traced id with NUL": ("GET", "/trace/a%00b", "amy", 400, "malformed_path"),
    "a filter with NUL": ("GET", "/sessions?account=a%00b", "amy", 400, "malformed_path"),
    "an id of broken UTF-8": ("GET", "/sessions/%ff%fe", "amy", 404, "not_found"),
    "an id with a path": ("GET", "/sessions/..%2f..%2fme", "amy", 404, "not_found"),
    "an id with an operator": ("GET", "/sessions/%7B%22$gt%22:%22%22%7D", "amy", 404, "not_found"),
    "an endless id": ("GET", "/sessions/" + "a" * 6000, "amy", 404, "not_found"),
    "an endless traced id": ("GET", "/trace/" + "a" * 6000, "amy", 404, "not_found"),
    "an ingest id of the far future": ("GET", "/trace/" + "7" + "Z" * 25, "amy", 404, "not_found"),
    "a parameter nobody knows": ("GET", "/me?admin=true", "amy", 422, "invalid_input"),
    "a parameter of broken UTF-8": ("GET", "/sessions?channel=%ff", "amy", 422, "invalid_input"),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "who", "status", "code"), PATHS.values(), ids=PATHS)
async def test_f10_a_hostile_path_is_a_problem_too(
    world: World, method: str, path: str, who: str, status: int, code: str
) -> None:
    text = await exchange(world, method, f"/api/v1{path}", who)
    head, _, body = text.partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status, text
    assert PROBLEM_TYPE.encode() in head
    assert msgspec.json.decode(body)["code"] == code
    if status == 405:
        assert re.search(rb"\r\nAllow: [A-Z, ]+\r\n", head)


async def exchange(
    world: World, method: str, target: str, who: str, body: bytes = b"", *more: str
) -> bytes:
    """Send a request as raw bytes: no client tidies it up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    lines = [f"{method} {target} HTTP/1.1", "Host: desk", "Connection: close", *more]
    if who:
        lines.append(f"Authorization: Bearer {world.tokens[who]}")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


CURSORS = {
    "a time without a zone": ["2026-01-01T00:00:00", "x"],
    "a time with a zone": ["0001-01-01T00:00:00+14:00", "x"],
    "a time before all": [-1, "x"],
    "a time after all": [2**70, "x"],
    "no time": [1e300, "x"],
    "an id with NUL": [1, "a\0b"],
    "an id that is an operator": [1, {"$gt": ""}],
    "too few": [1],
    "too many": [1, "x", "y"],
    "a number before all": [1, -(2**63), "x"],
    "a number after all": [1, 2**64, "x"],
    "an object": {"at": 1, "id": "x"},
}


@pytest.mark.parametrize("place", CURSORS.values(), ids=CURSORS)
async def test_a_forged_cursor_is_refused_by_name(world: World, place: Any) -> None:
    session = await world.writes("hello")
    forged = base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()
    for path in ("/sessions", f"/sessions/{session.id}/messages", "/audit"):
        answer = await world.call("GET", path, "olga", query=[("cursor", forged)])
        is_problem(answer, 422, "invalid_input")
        assert answer.json["facts"]["field"] == "cursor"


async def test_what_is_no_http_is_refused_without_a_trace(world: World) -> None:
    for line in ("BREW /api/v1/me", "GET", "GET /api/v1/me HTTP/9.9\r\nX"):
        text = await exchange(world, line, "", "")
        assert text.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")), text
        assert b"Traceback" not in text


async def test_u0000_is_refused_in_every_text_that_reaches_the_store(world: World) -> None:
    session = await world.writes("hello")
    bodies = {
        ("POST", "/login"): {"email": "a\0@x", "password": "x"},
        ("PUT", f"/sessions/{session.id}/assignees"): {"assignees": ["agt\0"]},
        ("POST", f"/sessions/{session.id}/messages"): {"text": "a", "reply_to": "m\0"},
    }
    for (method, path), body in bodies.items():
        headers = {"Idempotency-Key": "k"}
        answer = await world.call(method, path, "amy", body=body, headers=headers)
        is_problem(answer, 422, "invalid_input")
        assert "U+0000" in answer.json["facts"]["allowed"]


async def test_an_expectation_that_nobody_can_meet_is_a_problem(world: World) -> None:
    for target in ("/api/v1/me", "/", "/nothing"):
        text = await exchange(world, "GET", target, "amy", b"", "Expect: miracles")
        assert text.startswith(b"HTTP/1.1 417")
        assert PROBLEM_TYPE.encode() in text


async def test_a_body_may_be_waited_for_with_100_continue(world: World) -> None:
    text = await exchange(
        world,
        "PATCH",
        "/api/v1/settings",
        "adam",
        b'{"auto_hosting":false}',
        "Content-Type: application/json",
        "Expect: 100-continue",
    )
    assert text.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")


async def test_a_chunked_body_has_the_same_limit(world: World) -> None:
    async def chunks() -> Any:
        for _ in range(40):
            yield b"a" * 16_384

    headers = {
        "Authorization": f"Bearer {world.tokens['adam']}",
        "Content-Type": "application/json",
    }
    async with world.http.patch("/api/v1/settings", data=chunks(), headers=headers) as answer:
        assert answer.status == 413
        assert answer.headers["Content-Type"] == PROBLEM_TYPE


async def test_a_body_that_never_comes_is_given_up_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.desk.server.BODY_WITHIN_S", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(
        b"PATCH /api/v1/settings HTTP/1.1\r\nHost: desk\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\nAuthorization: Bearer " + world.tokens["adam"].encode()
        + b'\r\n\r\n{"auto'
    )  # fmt: skip
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    writer.close()
    assert head.startswith(b"HTTP/1.1 408")


async def test_g14_metrics_and_health_are_not_on_the_public_port(world: World) -> None:
    for path in ("/metrics", "/livez", "/readyz", "/admin"):
        assert (await exchange(world, "GET", path, "olga")).startswith(b"HTTP/1.1 404")


# --- bugs ----------------------------------------------------------------------------------------


async def broken(call: Call) -> Reply:
    raise RuntimeError(call.headers["x-content"])


async def test_a_bug_is_one_answer_with_an_id_and_one_log_line_without_the_content(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    routes = [msgspec.structs.replace(r, handler=broken) if r.name == "me" else r for r in ROUTES]
    with caplog.at_level(logging.INFO):
        async with serving(world.desk, routes) as port:
            url = f"http://127.0.0.1:{port}/api/v1/me"
            headers = {"X-Content": "secret text"}
            answer = await world.call("GET", url, "amy", headers=headers)
    is_problem(answer, 500, "bug")
    error_id = answer.json["facts"]["error_id"]
    [record] = [record for record in caplog.records if record.message == "desk.bug"]
    assert vars(record)["error_id"] == error_id
    assert vars(record)["kind"] == "RuntimeError"
    assert "broken" in vars(record)["where"]
    assert "secret text" not in caplog.text + str(vars(record)) + answer.body.decode()


async def test_a_store_that_does_not_answer_is_a_503_and_no_bug(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async def away(_call: Call) -> Reply:
        raise StoreUnavailableError("away")

    routes = [msgspec.structs.replace(r, handler=away) if r.name == "me" else r for r in ROUTES]
    async with serving(world.desk, routes) as port:
        answer = await world.call("GET", f"http://127.0.0.1:{port}/api/v1/me", "amy")
    is_problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "1"
    assert not [record for record in caplog.records if record.message == "desk.bug"]
