"""A real Prometheus with the shipped rules, whose minutes last a second, and a stand-in to scrape.

Rewritten in a copy of the rules, by `hastened`, are durations alone: of `for`, `keep_firing_for`
and `interval`, in ranges `[15m]` and behind `offset`. A minute becomes a second (at least one; a
range at least four scrapes). Expressions and bounds stay what they are, those in seconds too: an
age of 60 is 60.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from libs.common.admin import listening
from tests.prometheus import ROOT, binary

FASTER = 60
LEAST_RANGE_S = 8
SCRAPE = "2s"
"""Also how long a scrape may take, which a loaded machine needs."""
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_RANGE = re.compile(r"\[(\d+)([smhd])\]")
_PLAIN = re.compile(r"\b(for:|keep_firing_for:|interval:|offset) (\d+)([smhd])\b")


def hastened(rules: str) -> str:
    """Return the text of a rule file in which a minute is a second."""
    spans = _RANGE.sub(lambda found: f"[{_seconds(found[1], found[2], LEAST_RANGE_S)}s]", rules)
    return _PLAIN.sub(lambda found: f"{found[1]} {_seconds(found[2], found[3], 1)}s", spans)


def _seconds(number: str, unit: str, least: int) -> int:
    return max(least, int(number) * _UNIT_S[unit] // FASTER)


class Watcher:
    """Asks Prometheus which alerts fire.

    `seen` has labels and texts of each that did, by its name and by `<name>:<service>`.
    """

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.seen: dict[str, dict[str, str]] = {}
        self._http = http

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        async with self._http.get(f"{self.url}/api/v1/alerts") as answer:
            alerts: list[dict[str, Any]] = (await answer.json())["data"]["alerts"]
        now = [alert for alert in alerts if alert["state"] == "firing"]
        for alert in now:
            name = alert["labels"]["alertname"]
            said = {**alert["labels"], **alert["annotations"]}
            self.seen[name] = self.seen[f"{name}:{said.get('service', '')}"] = said
        return {alert["labels"]["alertname"] for alert in now}

    async def until_quiet(self, alerts: set[str], within_s: float = 60.0) -> None:
        """Wait until none of *alerts* fires, and forget what has; raises as `until`.

        Before the first scrape all services are absent.
        """
        await asyncio.sleep(3)
        await self._wait(lambda now: not now & alerts, within_s, alerts)
        self.seen.clear()

    async def until(self, wanted: set[str], within_s: float = 45.0) -> None:
        """Wait until each of *wanted* has fired at least once.

        Raises:
            AssertionError: Not in time; says which did not.
        """
        await self._wait(lambda _now: wanted <= set(self.seen), within_s, wanted)

    async def until_over(self, alert: str, within_s: float = 30.0) -> None:
        """Wait until *alert* does not fire any more; raises as `until`."""
        await self._wait(lambda now: alert not in now, within_s, {alert})

    async def _wait(
        self, done: Callable[[set[str]], bool], within_s: float, wanted: set[str]
    ) -> None:
        deadline = time.monotonic() + within_s
        while not done(now := await self.firing()):
            left = sorted(wanted - set(self.seen)) or sorted(wanted)
            assert time.monotonic() < deadline, f"waited for {left}; firing: {sorted(now)}"
            await asyncio.sleep(0.5)


@asynccontextmanager
async def standing_in(series: Callable[[], str]) -> AsyncIterator[int]:
    """Serve what *series* returns under /metrics; yields the port."""

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(text=series(), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    async with listening(app, "127.0.0.1", 0) as port:
        yield port


@asynccontextmanager
async def prometheus(
    folder: Path, targets: Mapping[str, str], stand_in: str
) -> AsyncIterator[Watcher]:
    """Run Prometheus with the shipped rules until the block ends.

    Args:
        folder: For its files.
        targets: Addresses of the services' admin ports, by service.
        stand_in: Address of a stand-in; its own labels count, as those of a service would.
    """
    program = binary("prometheus")
    rules = folder / "rules"
    rules.mkdir(parents=True)
    for path in (ROOT / "deploy/prometheus/rules").glob("*.yml"):
        (rules / path.name).write_text(hastened(path.read_text()))
    scraped = [{"targets": [to], "labels": {"service": name}} for name, to in targets.items()]
    config = {
        "global": {
            "scrape_interval": SCRAPE,
            "scrape_timeout": SCRAPE,
            "evaluation_interval": "1s",
        },
        "rule_files": [f"{rules}/*.yml"],
        "scrape_configs": [
            {"job_name": "relaydesk", "static_configs": scraped},
            {
                "job_name": "stand-in",
                "honor_labels": True,
                "static_configs": [{"targets": [stand_in]}],
            },
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    port = _free_port()
    with (folder / "prometheus.log").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=output,
            stderr=output,
        )
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as http:
            watcher = Watcher(f"http://127.0.0.1:{port}", http)
            await _ready(watcher.url, http, folder / "prometheus.log")
            yield watcher
    finally:
        if process.returncode is None:
            process.kill()  # nobody reads its storage again
        await process.wait()


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


async def _ready(url: str, http: aiohttp.ClientSession, log: Path) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            async with http.get(f"{url}/-/ready") as answer:
                if answer.ok:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError(f"Prometheus is not ready: {log.read_text()[-2000:]}")
