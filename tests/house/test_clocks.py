"""Our clock against the NATS server's: what an answer tells, and services whose clock is off."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import signal
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest

from libs.common.bus.client import Bus, open_bus
from libs.common.clocks import SKEW, SKEW_ERROR, Skew, Watch, measure, measuring, skew
from libs.common.errors import GatewayError
from libs.common.seal import new_key_setting

ANSWERS = {
    "both agree, the answer came at once": ((100.0, 100.0, 0.0), (0.0, 0.0)),
    "both agree: the server told its time half way": ((100.0, 100.2, 0.4), (0.0, 0.2)),
    "the server is ahead": ((100.0, 103.1, 0.2), (3.0, 0.1)),
    "the server is behind": ((100.0, 97.1, 0.2), (-3.0, 0.1)),
    "a slow answer tells little": ((100.0, 100.0, 10.0), (-5.0, 5.0)),
}


@pytest.mark.parametrize(("asked", "told"), ANSWERS.values(), ids=ANSWERS)
def test_what_an_answer_tells(asked: tuple[float, float, float], told: tuple[float, float]) -> None:
    found = skew(*asked)
    assert (found.ahead_s, found.error_s) == pytest.approx(told)


APART = {
    "a second is no matter": (Skew(1.0, 0.0), False),
    "more than a second is": (Skew(1.1, 0.0), True),
    "behind as well": (Skew(-1.1, 0.0), True),
    "not where the answer was too slow to tell": (Skew(5.0, 4.5), False),
}


@pytest.mark.parametrize(("found", "apart"), APART.values(), ids=APART)
def test_when_clocks_are_apart(found: Skew, apart: bool) -> None:
    assert found.apart is apart


def test_it_is_logged_once_when_clocks_come_apart_and_once_when_they_agree(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watch = Watch()
    with caplog.at_level(logging.INFO):
        for ahead_s in (0.1, 0.2, 3.0, 4.0, 0.3, 0.1, -9.0):
            watch.note(Skew(ahead_s, 0.01))
    told = [(record.levelname, record.message) for record in caplog.records]
    assert told == [
        ("WARNING", "clock.apart"),
        ("INFO", "clock.agrees"),
        ("WARNING", "clock.apart"),
    ]
    assert "9.0 s behind this machine's" in vars(caplog.records[-1])["reason"]
    assert SKEW._value.get() == -9.0


OFFSETS = {"as it is": 0.0, "two hours ahead": 7200.0, "three seconds behind": -3.0}


@pytest.mark.parametrize("ours_ahead_s", OFFSETS.values(), ids=OFFSETS)
async def test_a_clock_is_measured_against_a_real_server(
    nats_url: str, ours_ahead_s: float
) -> None:
    async with open_bus(nats_url, name="test") as bus:
        found = await measure(bus, lambda: time.time() + ours_ahead_s)
    assert abs(found.ahead_s + ours_ahead_s) <= found.error_s + 0.005, "one machine has one clock"
    assert found.error_s < 1
    assert found.apart is (ours_ahead_s != 0)


async def test_without_an_answer_there_is_no_measurement(nats_url: str) -> None:
    async with open_bus(nats_url, name="test", provision=False) as bus:
        await bus.connection.end()
        with pytest.raises(GatewayError):
            await measure(bus)


async def test_it_is_measured_again_and_again_once_there_is_a_bus(nats_url: str) -> None:
    buses: list[Bus | None] = [None]
    ahead_s = 0.0
    SKEW.set(math.nan)

    async def shows(wanted: float) -> None:
        async with asyncio.timeout(10):
            while not math.isclose(SKEW._value.get(), wanted, abs_tol=0.9):  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async with (
        open_bus(nats_url, name="test") as bus,
        measuring(lambda: buses[0], lambda: time.time() + ahead_s, every_s=0.05),
    ):
        await asyncio.sleep(0.12)
        assert math.isnan(SKEW._value.get()), "no bus, no measurement"
        buses[0] = bus
        await shows(0.0)
        ahead_s = 60.0
        await shows(-60.0)
    assert SKEW_ERROR._value.get() < 1


SHIFTED = """
import time

_real = time.time
time.time = lambda: _real() + 5.0
"""
"""Runs before all else of a process: its clock is five seconds ahead."""

GAUGE = re.compile(r"^relaydesk_clock_skew_seconds (\S+)$", re.MULTILINE)


@pytest.mark.parametrize("service", ["scheduler", "desk", "ingest"])
async def test_a_service_whose_clock_is_off_shows_and_logs_it(
    nats_url: str, tmp_path: Path, service: str
) -> None:
    """Router and notifier open what they stand on as the scheduler does."""
    (tmp_path / "sitecustomize.py").write_text(SHIFTED)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("RELAYDESK_")}
    environ |= {
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]),
        "RELAYDESK_NATS_URL": nats_url,
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'relaydesk.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
        "RELAYDESK_PORT_FILE": str(tmp_path / "ports.json"),
        "RELAYDESK_PORT": "0",
        "RELAYDESK_ADMIN_PORT": "0",
        "RELAYDESK_SPOOL_DIR": str(tmp_path / "spool"),
    }
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"services.{service}"),
            env=environ,
            stdout=output,
            stderr=output,
        )
    try:
        async with asyncio.timeout(30):
            shown = await _skew_shown(tmp_path / "ports.json")
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
    assert shown == pytest.approx(-5.0, abs=0.5)
    assert log.read_text().count("clock.apart") == 1


async def _skew_shown(ports: Path) -> float:
    while not ports.exists():  # noqa: ASYNC110 (another process writes it)
        await asyncio.sleep(0.05)
    admin = msgspec.json.decode(ports.read_bytes())["admin"]
    async with aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"http://127.0.0.1:{admin}/metrics") as answer:
                found = GAUGE.search(await answer.text())
            assert found is not None, "it is declared by every service"
            if not math.isnan(float(found[1])):
                return float(found[1])
            await asyncio.sleep(0.05)
