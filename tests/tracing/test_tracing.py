"""The trace context from hop to hop, and what tracing may not do: cost, block, delay, leak."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import os
import signal
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from libs.common import tracing, tracing_export
from libs.common.admin import EXPOSITION, exposed, listening
from libs.common.channel import HttpCall
from libs.common.http import allowed_base, open_door
from libs.common.logs import JsonLines
from tests.tracing.sink import listening as collecting

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def _left_as_found() -> Iterator[None]:
    tracing.enter("")
    yield
    tracing.enter("")
    tracing.record_with(None)


CONTEXTS = {
    "as the specification shows it": (GIVEN, GIVEN),
    "one that is not sampled": (GIVEN[:-2] + "00", GIVEN[:-2] + "00"),
    "none": ("", ""),
    "no trace": (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
    "no span": (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", ""),
    "a forbidden version": ("ff" + GIVEN[2:], ""),
    "capital letters": (GIVEN.upper(), ""),
    "a line break": (GIVEN + "\r\nNats-Msg-Id: 1", ""),
    "too long": (GIVEN + "-00", ""),
    "words": ("sampled please", ""),
}


@pytest.mark.parametrize(("given", "taken"), CONTEXTS.values(), ids=CONTEXTS)
def test_d30_a_context_is_taken_only_as_it_should_be(given: str, taken: str) -> None:
    assert tracing.carried({"traceparent": given}) == taken


def test_without_a_recorder_the_context_goes_on_as_it_came() -> None:
    with tracing.request("a request", {"traceparent": GIVEN}) as span:
        assert tracing.here() == GIVEN
        assert tracing.told() == {"traceparent": GIVEN}
        assert span is tracing.SILENT
    with tracing.request("another on the same connection", {}):
        assert tracing.told() == {}


EXEMPLARS = {
    "a sampled trace": (GIVEN, {"trace_id": GIVEN[3:35]}),
    "one that nobody keeps": (GIVEN[:-2] + "00", None),
    "none": ("", None),
}


@pytest.mark.parametrize(("given", "labels"), EXEMPLARS.values(), ids=EXEMPLARS)
def test_an_exemplar_names_a_trace_that_is_kept(given: str, labels: dict[str, str] | None) -> None:
    assert tracing.exemplar(given) == labels


def test_a_log_line_names_its_trace() -> None:
    record = logging.makeLogRecord({"msg": "event", "name": "root"})
    assert "trace_id" not in json.loads(JsonLines("test").format(record))
    tracing.enter(GIVEN)
    assert json.loads(JsonLines("test").format(record))["trace_id"] == GIVEN[3:35]


ACCEPTS = {
    "": EXPOSITION,
    "*/*": EXPOSITION,
    "text/plain": EXPOSITION,
    "application/openmetrics-text;q=0,text/plain": EXPOSITION,
    "application/openmetrics-text; version=1.0.0; q=0.75,text/plain;q=0.5": "openmetrics",
    "text/plain;q=0.1,application/openmetrics-text": "openmetrics",
}


@pytest.mark.parametrize(("accept", "kind"), ACCEPTS.items(), ids=ACCEPTS)
def test_openmetrics_is_for_whoever_takes_it(accept: str, kind: str) -> None:
    page, told = exposed(accept)
    assert kind in told
    assert page.endswith(b"# EOF\n") == (kind == "openmetrics")


WISHES = {
    "not asked for": ({}, ""),
    "switched off": ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED"),
    "no exporter": ({"OTEL_TRACES_EXPORTER": "none"}, "OTEL_TRACES_EXPORTER"),
    "a protocol that we do not speak": ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf"),
}


@pytest.mark.parametrize(("environ", "told"), WISHES.values(), ids=WISHES)
def test_a_wish_that_cannot_be_met_is_told_and_stops_nothing(
    environ: dict[str, str], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    if environ:
        environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **environ}
    tracing_export.begin("test", "1", environ)()
    assert not tracing.recording()
    reasons = [str(record.__dict__["reason"]) for record in caplog.records]
    assert [told in reason for reason in reasons] == ([True] if told else [])


def test_without_the_package_it_is_off_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    tracing_export.begin("test", "1", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"})()
    assert not tracing.recording()
    assert "is not installed" in str(caplog.records[0].__dict__["reason"])


def test_a_silent_span_costs_next_to_nothing_beside_a_json_line() -> None:
    def spanned() -> None:
        with tracing.span("name", "producer", tracing.NOTHING):
            pass

    encode = json.JSONEncoder().encode
    body = {"entry": [{"id": "1", "messaging": [{"message": {"text": "word " * 20}}]}]}
    silent = min(timeit.repeat(spanned, number=20_000, repeat=5))
    line = min(timeit.repeat(lambda: encode(body), number=20_000, repeat=5))
    assert silent < line / 3


async def test_d30_no_header_of_a_trace_goes_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[dict[str, str]] = []

    async def provider(request: web.Request) -> web.Response:
        heard.append({name.lower(): value for name, value in request.headers.items()})
        return web.Response(text="{}")

    app = web.Application()
    app.router.add_post("/send", provider)
    async with collecting() as sink, listening(app, "127.0.0.1", 0) as port, open_door() as door:
        end = await recorded(monkeypatch, sink.url)
        base = f"http://127.0.0.1:{port}"
        call = HttpCall(method="POST", url=f"{base}/send?token=secret-token", body=b"{}")
        with tracing.span("outer", parent=GIVEN):
            await door.perform(call, timeout_s=5, allow=allowed_base(base))
        await asyncio.to_thread(end)
        assert [one.name for one in sink.spans] == ["HTTP POST", "outer"]
        assert b"secret-token" not in sink.raw
    assert heard
    assert not {"traceparent", "tracestate", "baggage"} & set(heard[0])


async def recorded(
    monkeypatch: pytest.MonkeyPatch, url: str, **settings: str
) -> Callable[[], None]:
    for name, value in {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **settings}.items():
        monkeypatch.setenv(name, value)
    end = tracing_export.begin("test", "1", os.environ)
    assert tracing.recording()
    return end


async def test_attributes_that_are_not_known_are_dropped_and_errors_told_by_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with collecting() as sink:
        end = await recorded(monkeypatch, sink.url)
        about: dict[str, tracing.Value] = {"text": "hello", "relaydesk.verb": "x" * 900}
        with contextlib.suppress(ValueError), tracing.span("one", attributes=about) as span:
            span.set({"phone": "+4912345"})
            raise ValueError("the visitor's words")
        await asyncio.to_thread(end)
        (one,) = sink.spans
        assert one.failed
        assert one.attributes == {"relaydesk.verb": "x" * 200, "error.type": "ValueError"}
        assert b"words" not in sink.raw


SAMPLERS = {
    "all": ("always_on", GIVEN, "01", 1),
    "none": ("always_off", GIVEN, "00", 0),
    "as the caller says: yes": ("parentbased_always_off", GIVEN, "01", 1),
    "as the caller says: no": ("parentbased_always_on", GIVEN[:-2] + "00", "00", 0),
}


@pytest.mark.parametrize(("sampler", "given", "flags", "kept"), SAMPLERS.values(), ids=SAMPLERS)
async def test_d30_the_sampler_decides_and_the_next_hop_hears_of_it(
    monkeypatch: pytest.MonkeyPatch, sampler: str, given: str, flags: str, kept: int
) -> None:
    async with collecting() as sink:
        end = await recorded(monkeypatch, sink.url, OTEL_TRACES_SAMPLER=sampler)
        with tracing.request("one", {"traceparent": given}):
            told = tracing.here()
        await asyncio.to_thread(end)
        assert told[3:35] == given[3:35]
        assert told[-2:] == flags
        assert len(sink.spans) == kept


async def test_a_slow_collector_blocks_nothing_and_the_queue_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with collecting() as sink:
        sink.pause_s = 30.0
        settings = {"OTEL_BSP_MAX_QUEUE_SIZE": "64", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "32"}
        end = await recorded(monkeypatch, sink.url, **settings)
        began = time.monotonic()
        for _ in range(5_000):
            with tracing.span("one"):
                pass
        spent = time.monotonic() - began
        assert spent < 3.0, "5,000 spans"
        began = time.monotonic()
        await asyncio.to_thread(end)
        assert time.monotonic() - began < tracing_export.END_WITHIN_S + 1.0
        assert len(sink.spans) <= 64 + 2 * 32


COLLECTORS = ("dead", "slow")


@pytest.mark.parametrize("collector", COLLECTORS)
async def test_a_collector_does_not_delay_the_end_of_a_service(
    collector: str, tmp_path: Path
) -> None:
    async with collecting() as sink:
        sink.pause_s = 30.0
        url = sink.url if collector == "slow" else "http://127.0.0.1:1"
        port_file = tmp_path / "ports.json"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.ingest"),
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")},
                "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                "OTEL_BSP_SCHEDULE_DELAY": "100",
                "RELAYDESK_PORT": "0",
                "RELAYDESK_ADMIN_PORT": "0",
                "RELAYDESK_PORT_FILE": str(port_file),
                "RELAYDESK_SPOOL_DIR": str(tmp_path),
                "RELAYDESK_SECRET_KEY": f"k1:{base64.b64encode(bytes(32)).decode()}",
                "RELAYDESK_NATS_URL": "nats://127.0.0.1:1",
            },
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(40):
                while not port_file.exists():
                    assert process.returncode is None, await process.communicate()
                    await asyncio.sleep(0.05)
            await knocked(json.loads(port_file.read_bytes())["port"])
            await asyncio.sleep(0.5)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            log, _ = await asyncio.wait_for(process.communicate(), 15)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert time.monotonic() - began < 6.0
        assert process.returncode == 0
        assert b'"tracing.on"' in log
        assert log.count(b"opentelemetry") <= 4


async def knocked(port: int) -> None:
    """Ask for what is not there, which is a span."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /webhooks/line/none HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 ")
    writer.close()
