"""Five processes, a collector beside: a conversation is one trace, and nothing of it leaks."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from tests.e2e.stack import Stack, running, until
from tests.e2e.talk import account_of
from tests.e2e.talk import say as say_once
from tests.tracing.sink import Seen, Sink, listening

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVICES = ("ingest", "router", "notifier", "scheduler", "desk")
OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}


class Observed(NamedTuple):
    stack: Stack
    sink: Sink


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Observed]:
    async with listening() as sink:
        environ = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=mine",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        folder = tmp_path_factory.mktemp("traced")
        async with running(folder, typed=False, **environ) as stack:
            yield Observed(stack, sink)


async def say(stack: Stack, channel: str, visitor: str, message_id: str, text: str) -> int:
    """Say it as a provider does, which repeats what a busy machine refused."""

    async def taken() -> int:
        status = await say_once(stack, channel, visitor, message_id, text)
        return 0 if status == 503 else status

    return int(await until(taken, "an answer other than 503"))


async def trace_with(sink: Sink, names: set[tuple[str, str]]) -> list[Seen]:
    """Return the spans of a whole trace that has all *names*: (service, span) each."""

    async def found() -> list[Seen] | None:
        for spans in sink.traces().values():
            told = {(one.service.removeprefix("relaydesk-"), one.name) for one in spans}
            if names <= told and whole(spans):
                return spans
        return None

    spans: list[Seen] = await until(found, f"a whole trace of {names}")
    return spans


def whole(spans: list[Seen]) -> bool:
    """Tell whether every span but one has its parent in the trace, or a caller outside."""
    known = {one.span for one in spans}
    return sum(one.parent not in known for one in spans) == 1


async def helper(stack: Stack, word: str, answer: str) -> None:
    """Set up a bot that answers *word*."""
    bot = {
        "name": "Helper",
        "kind": "faq",
        "channels": ["line"],
        "automation": True,
        "faq": [{"id": "one", "keywords": [word], "answers": [answer]}],
    }
    status, made = await stack.api("POST", "/bots", role="owner", body=bot)
    assert status == 201, made


async def test_d30_a_webhook_that_a_bot_answers_is_one_trace(seen: Observed) -> None:
    stack, sink = seen
    word, answer = f"w{uuid.uuid4().hex[:8]}", f"because-{uuid.uuid4().hex}"
    await helper(stack, word, answer)
    mark = uuid.uuid4().hex[:12]
    assert await say(stack, "line", f"v{mark}", f"m{mark}", f"why {word}") == 200

    async def answered() -> bool:
        slug = stack.account("line")["slug"]
        return answer in str(await stack.sent(slug))

    await until(answered, "the bot's answer at the provider")
    names = {
        ("ingest", "webhook line"),
        ("ingest", "publish INBOUND"),
        ("router", "route event"),
        ("notifier", "process OUTBOUND sender"),
        ("notifier", "HTTP POST"),
    }
    spans = await trace_with(sink, names)
    call = next(one for one in spans if one.name == "HTTP POST")
    assert call.attributes["http.response.status_code"] == 200
    batches = [one for one in sink.spans if one.name == "route batch"]
    assert any(spans[0].trace in one.links for one in batches)


async def test_d30_an_agents_reply_is_one_trace_that_goes_on_with_the_callers(
    seen: Observed,
) -> None:
    stack, sink = seen
    mark = uuid.uuid4().hex[:12]
    assert await say(stack, "messenger", f"v{mark}", f"m{mark}", f"ask {mark}") == 200

    async def session() -> str:
        _, page = await stack.api("GET", "/sessions?channel=messenger")
        rows = [r["id"] for r in page["items"] if r["last_message"]["excerpt"] == f"ask {mark}"]
        return str(rows[0]) if rows else ""

    id_ = await until(session, "the session")
    trace, parent = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    headers = {
        "Authorization": f"Bearer {stack.agent('agent')['token']}",
        "Idempotency-Key": mark,
        "traceparent": f"00-{trace}-{parent}-01",
    }
    url = f"{stack.base_url}/api/v1/sessions/{id_}/messages"
    async with stack.http.post(url, json={"text": "hello"}, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        sent = await answer.json()

    async def told() -> bool:
        spans = sink.traces().get(trace, [])
        return {"desk", "router", "notifier"} <= {
            one.service.removeprefix("relaydesk-") for one in spans
        } and (any(one.name == "HTTP POST" for one in spans) and whole(spans))

    await until(told, "the caller's trace through three services")
    spans = sink.traces()[trace]
    roots = [one for one in spans if one.parent == parent]
    assert [one.service for one in roots] == ["relaydesk-desk"]

    async def shown() -> bool:
        _, body = await stack.api("GET", f"/trace/{sent['id']}")
        return [one["trace_id"] for one in body["entries"]] == [trace]

    await until(shown, "the trace's id in GET /trace")


async def test_d30_the_trace_of_a_webhook_is_shown_and_stands_in_the_log(seen: Observed) -> None:
    stack, _ = seen
    mark, trace = uuid.uuid4().hex[:12], ""
    assert await say(stack, "messenger", f"v{mark}", f"m{mark}", f"shown {mark}") == 200

    async def known() -> str:
        _, page = await stack.api("GET", "/sessions?channel=messenger")
        rows = [r for r in page["items"] if r["last_message"]["excerpt"] == f"shown {mark}"]
        if not rows:
            return ""
        _, page = await stack.api("GET", f"/sessions/{rows[0]['id']}/messages")
        ids = [m["provider_ids"] for m in page["items"] if m["kind"] == "message"]
        _, found = await stack.api("GET", f"/trace/{ids[0][0]}")
        return str(found["raw"]["trace_id"]) if found.get("raw") else ""

    trace = await until(known, "the trace's id")
    assert re.fullmatch(r"[0-9a-f]{32}", trace)
    log = (stack.data_dir / "notifier.log").read_text()
    delivered = [line for line in log.splitlines() if '"message.delivered"' in line]
    assert delivered
    assert all(re.search(r'"trace_id":"[0-9a-f]{32}"', line) for line in delivered)


async def test_i13_no_text_no_contact_and_no_secret_is_in_a_span(seen: Observed) -> None:
    stack, sink = seen
    sentinel = f"Sentinel{uuid.uuid4().hex}"
    visitor = f"visitor{uuid.uuid4().hex}"
    for channel in ("line", "messenger", "telegram", "whatsapp"):
        await say(stack, channel, f"{visitor}", f"m{uuid.uuid4().hex[:12]}", sentinel)
    await stack.api("GET", f"/sessions?q={sentinel}")
    await asyncio.sleep(1.5)  # what is to come has come: spans leave each 0.2 s
    assert b"webhook line" in sink.raw
    assert sentinel.encode() not in sink.raw
    assert visitor.encode() not in sink.raw
    for agent in stack.demo["agents"]:
        assert agent["token"].encode() not in sink.raw
        assert agent["email"].encode() not in sink.raw
    for channel in ("line", "messenger", "telegram"):
        for secret in account_of(stack, channel).secrets.values():
            assert secret.encode() not in sink.raw


async def test_d30_the_collector_is_told_who_speaks_as_the_variables_say(seen: Observed) -> None:
    await trace_with(seen.sink, {("ingest", "webhook line"), ("router", "route event")})
    told = {one["service.name"]: one for one in seen.sink.resources}
    assert set(told) >= {f"relaydesk-{name}" for name in ("ingest", "router", "notifier", "desk")}
    for resource in told.values():
        assert resource["service.version"]
        assert resource["service.instance.id"]
        assert resource["deployment.environment"] == "test"
    assert all(headers.get("x-tenant") == "mine" for headers in seen.sink.headers)


async def scraped(stack: Stack, service: str, headers: dict[str, str]) -> tuple[str, str]:
    ports = (stack.data_dir / f"{service}.ports.json").read_text()
    admin = re.search(r'"admin": ?(\d+)', ports)
    assert admin is not None
    url = f"http://127.0.0.1:{admin[1]}/metrics"
    async with stack.http.get(url, headers=headers) as answer:
        return answer.headers["Content-Type"], await answer.text()


EXEMPLARS = {
    "ingest": "relaydesk_ingest_request_seconds_bucket",
    "router": "relaydesk_router_received_to_stored_seconds_bucket",
    "notifier": "relaydesk_sender_calls_seconds_bucket",
}


@pytest.mark.parametrize("service", EXEMPLARS)
async def test_d14_exemplars_lead_to_traces_where_the_scraper_asks(
    seen: Observed, service: str
) -> None:
    kind, page = await scraped(seen.stack, service, OPENMETRICS)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert page.endswith("# EOF\n")
    found = re.findall(
        rf'^{EXEMPLARS[service]}{{.*}} \S+ # {{trace_id="([0-9a-f]{{32}})"}} \S+ \S+$',
        page,
        re.MULTILINE,
    )
    assert found
    assert set(found) & set(seen.sink.traces())


@pytest.mark.parametrize("service", SERVICES)
async def test_d14_who_does_not_ask_gets_the_classic_page(seen: Observed, service: str) -> None:
    kind, page = await scraped(seen.stack, service, {})
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert " # {" not in page
    assert "_created" not in page
