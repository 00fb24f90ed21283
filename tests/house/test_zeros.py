"""What a freshly started service tells: each closed counter at 0, and never too many lines (H8).

Interpreters of their own, as the forge has imported the metrics of all services at once.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import time
from collections import Counter as Tally
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import pytest
from prometheus_client import Counter
from prometheus_client.parser import text_string_to_metric_families

from libs.common.config import SERVICES
from libs.common.seal import new_key_setting
from tests.nats_server import NatsProcess

ROOT = Path(__file__).parents[2]
START_S = 60.0
MOST_LINES = 2_000

OPEN = {
    "relaydesk_router_transitions_total": "lists times lists times 50 words",
    "relaydesk_desk_requests_total": "several hundred routes",
    "relaydesk_scheduler_retries_total": "the router's codes of refusal",
    **dict.fromkeys(
        (
            "relaydesk_ledger_accepted_total",
            "relaydesk_ledger_events_total",
            "relaydesk_sends_ledger_queued_total",
            "relaydesk_sends_ledger_sends_total",
        ),
        "durable sums: they begin with the first look; a 0 before that would be an increase",
    ),
}
"""Counters that begin with their first count, and why."""

Lines = dict[str, list[float]]
"""The values of each name's lines."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Lines]]:
    """Start all services at once; what each says on /metrics once it is ready."""
    folder = tmp_path_factory.mktemp("zeros")
    nats = NatsProcess(folder / "nats")
    nats.start()
    processes = {name: _start(name, folder, nats.url) for name in SERVICES}
    try:
        yield {name: _scraped(folder / f"{name}.json") for name in SERVICES}
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(20)
        nats.stop()


def _start(name: str, folder: Path, nats_url: str) -> subprocess.Popen[bytes]:
    own = {
        "RELAYDESK_NATS_URL": nats_url,
        "RELAYDESK_STORE_URL": f"sqlite:///{folder / 'store.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_SPOOL_DIR": str(folder / "spool"),
        "RELAYDESK_PORT_FILE": str(folder / f"{name}.json"),
        "RELAYDESK_PORT": "0",
    }
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")} | own
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"services.{name}"],
            cwd=ROOT,
            env=environ,
            stdout=log,
            stderr=log,
        )


def _scraped(ports: Path) -> Lines:
    deadline = time.monotonic() + START_S
    port = 0
    while True:
        try:
            port = msgspec.json.decode(ports.read_bytes())["admin"]
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                break
        except (OSError, URLError):
            assert time.monotonic() < deadline, ports.with_suffix(".log").read_text()[-2000:]
            time.sleep(0.1)
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: Lines = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample.value)
    return found


def _counters(service: str) -> Iterator[Counter]:
    package = importlib.import_module(f"services.{service}")
    for found in pkgutil.iter_modules(package.__path__):
        if found.name.endswith("metrics"):
            module = importlib.import_module(f"services.{service}.{found.name}")
            yield from (value for value in vars(module).values() if isinstance(value, Counter))


@pytest.mark.parametrize("service", SERVICES)
def test_d14_closed_counters_of_a_fresh_service_stand_at_zero(
    told: dict[str, Lines], service: str
) -> None:
    for counter in _counters(service):
        name = f"{next(iter(counter.describe())).name}_total"
        if name in OPEN:
            continue
        assert told[service].get(name), f"{name} is not there before its first count"
    counts = {
        name: sum(values) for name, values in told[service].items() if name.endswith("_total")
    }
    ours = {name: count for name, count in counts.items() if name.startswith("relaydesk_")}
    assert ours
    failed = {name for name, count in ours.items() if count and "failed" in name}
    assert not failed


@pytest.mark.parametrize("service", SERVICES)
def test_h8_service_tells_no_more_lines_than_it_may(told: dict[str, Lines], service: str) -> None:
    lines = Tally({name: len(values) for name, values in told[service].items()})

    assert lines.total() <= MOST_LINES, lines.most_common(5)


@pytest.mark.parametrize("service", SERVICES)
def test_d14_service_tells_of_its_process(told: dict[str, Lines], service: str) -> None:
    assert told[service]["relaydesk_build_info"] == [1.0]
    for name in (
        "relaydesk_loop_lag_seconds",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "python_gc_collections_total",
    ):
        assert name in told[service], name


def test_d14_open_counters_are_still_there() -> None:
    """A name that was changed must not excuse another."""
    names = {
        f"{next(iter(counter.describe())).name}_total"
        for service in SERVICES
        for counter in _counters(service)
    }

    assert set(OPEN) <= names
