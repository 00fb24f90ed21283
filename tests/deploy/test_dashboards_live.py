"""Every metric of the dashboards is on the live pages, and a real Prometheus has an answer."""

from __future__ import annotations

import asyncio
import math
import re
import subprocess
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.deploy.board_checks import expressions, panels, unknown_metrics
from tests.deploy.test_dashboards import NAMES, WRITTEN
from tests.e2e.stack import Stack, running, until
from tests.e2e.talk import say
from tests.prometheus import binary

pytestmark = pytest.mark.asyncio(loop_scope="session")

SERVICES = ("ingest", "router", "notifier", "scheduler", "desk")
QUIET = frozenset({"JetStream storage (B)", "Deploys"})
"""A limit that this server does not tell, and a change of version: there is none."""
ANSWERED_WITHIN_S = 120.0
PROBE = """
groups:
- name: probe
  rules:
  - {alert: RelaydeskProbe, expr: vector(1)}
"""


def admin_port(stack: Stack, service: str) -> int:
    ports = msgspec.json.decode((stack.data_dir / f"{service}.ports.json").read_bytes())
    return int(ports["admin"])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running(tmp_path_factory.mktemp("boards"), RELAYDESK_WATCH_S="1") as started:
        yield started


@pytest.mark.parametrize("service", SERVICES)
async def test_c05_promtool_finds_nothing_wrong_with_the_metrics(
    stack: Stack, service: str
) -> None:
    page = await stack.metrics(service)
    done = await asyncio.to_thread(
        subprocess.run,
        [binary("promtool"), "check", "metrics"],
        input=page,
        text=True,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
async def test_c05_every_metric_of_a_dashboard_is_on_a_live_page(stack: Stack, name: str) -> None:
    told: set[str] = set()
    for service in SERVICES:
        page = await stack.metrics(service)
        told |= set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))
    assert unknown_metrics(WRITTEN[name], told) == []


async def test_c05_every_panel_of_the_overview_has_an_answer(stack: Stack, tmp_path: Path) -> None:
    wanted = [(w, e) for w, e in expressions(WRITTEN["overview"], every="10s") if w not in QUIET]
    deadline = time.monotonic() + ANSWERED_WITHIN_S
    with prometheus(stack, tmp_path) as process:
        base = await until(lambda: listening_at(process.pid), "Prometheus listens")
        while wanted and time.monotonic() < deadline:
            await traffic(stack)
            wanted = [(w, e) for w, e in wanted if not await answered(stack, base, e)]
    assert wanted == []
    assert len(panels(WRITTEN["overview"])) > 20


async def answered(stack: Stack, base: str, expr: str) -> bool:
    """Tell whether the Prometheus at *base* has at least one figure for *expr*."""
    url = f"{base}/api/v1/query"
    async with stack.http.get(url, params={"query": expr.replace("[5m]", "[10s]")}) as answer:
        told = await answer.json()
    assert answer.status == 200, told
    return any(not math.isnan(float(r["value"][1])) for r in told["data"]["result"])


async def traffic(stack: Stack) -> None:
    """A visitor writes, an agent looks and answers."""
    mark = uuid.uuid4().hex[:12]

    async def taken() -> bool:  # repeated as a provider does: a busy machine may answer 503
        return await say(stack, "line", f"v{mark}", f"m{mark}", f"hello {mark}") == 200

    await until(taken, "the webhook as accepted")

    async def session() -> Any:
        _, page = await stack.api("GET", "/sessions?channel=line")
        rows = [r for r in page["items"] if r["last_message"]["excerpt"] == f"hello {mark}"]
        return rows[0]["id"] if rows else None

    id_ = await until(session, "the session")
    body = {"text": "good day"}
    await stack.api("POST", f"/sessions/{id_}/messages", body=body, key=mark)


@contextmanager
def prometheus(stack: Stack, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Scrape the stack every second; yields the process, which may not listen yet."""
    targets = [
        {
            "targets": [f"127.0.0.1:{admin_port(stack, service)}"],
            "labels": {"job": "relaydesk", "service": service},
        }
        for service in SERVICES
    ]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["probe.yml"],
        "scrape_configs": [{"job_name": "relaydesk", "static_configs": targets}],
    }
    (folder / "probe.yml").write_text(PROBE)
    (folder / "prometheus.yml").write_bytes(msgspec.json.encode(config))
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                binary("prometheus"),
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--log.level=info",
            ],
            stdout=output,
            stderr=output,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


async def listening_at(pid: int) -> str:
    """Return the address that a process listens on, "" before it does.

    As the kernel tells it: the process logs port 0.
    """
    inodes = {
        link.readlink().name[8:-1]
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink() and str(link.readlink()).startswith("socket:")
    }
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        parts = line.split()
        if parts[3] == "0A" and parts[9] in inodes:
            return f"http://127.0.0.1:{int(parts[1].split(':')[1], 16)}"
    return ""
