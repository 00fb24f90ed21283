"""What the whole suite shares: the engines that tests run against, and their order."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BYTECODE = Path(__file__).parents[1] / ".pytest_cache" / "bytecode"
"""Compiled modules, of ours and of all that we import, kept from run to run.

Where the environment forbids to write bytecode (PYTHONDONTWRITEBYTECODE), each of the hundreds of
processes that the tests start compiles them all again, which is a third of what its start costs.
"""
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix = str(BYTECODE)
sys.dont_write_bytecode = False

GARBAGE_AFTER = 50_000
"""Objects made since the last look for garbage: at Python's 700 the looks take a tenth of a test,
most of which makes an application or a store, and throws all of it away together."""
gc.set_threshold(GARBAGE_AFTER)

pytest_plugins = [
    "tests.console.browser",
    "tests.engines",
    "tests.nats_server",
    "tests.provider_stub",
]

LONGEST_FIRST = (
    "/rolling/",
    "/chaos/",
    "test_alerts_live",
    "test_dashboards_live",
    "/tracing/test_stack",
    "/e2e/",
    "/console/",
    "/plugin/",
    "test_takeover",
    "test_differential",
    "test_redelivery",
    "test_crash",
    "test_bots_crash",
    "test_a_ninth_channel",
    "/scheduler/test_",
    "/test_bulk",
    "test_conformance.py",
    "test_refused",
    "test_front.py",
    "test_contract",
    "notifier/test_offline.py",
    "test_mail_alerts",
    "test_attention_live",
    "test_hooks.py",
    "test_idle_races",
    "test_queue_",
    "/simulate/",
    "test_faults",
)
"""Files of few tests that take long: begun last, they would leave all but one worker idle."""

ONE_STACK = "/e2e/"
OWN_STACK = ("test_restart", "test_alerts")
"""Files that share an installation, which costs ten seconds of CPU, go to one worker."""


def pytest_configure() -> None:
    """Let no example of a property fail for its time: a busy machine is slow, and not wrong."""
    from hypothesis import settings  # noqa: PLC0415 (compiled where the bytecode is kept)

    settings.register_profile("untimed", deadline=None)
    settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Iterator[None]:
    """Look for no garbage among ten thousand tests that stay: it takes a third of collecting them.

    Each of the workers collects all; what a run makes later is looked through as ever.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; those of a file stay together and in order."""
    items.sort(key=lambda item: not any(part in str(item.path) for part in LONGEST_FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute by file, as `loadfile` does, but what shares an installation together."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling  # noqa: PLC0415 only where it is in use

    scheduler = LoadFileScheduling(config, log)
    by_file = scheduler._split_scope
    scheduler._split_scope = lambda nodeid: _shared(by_file(nodeid))
    return scheduler


def _shared(file: str) -> str:
    alone = any(name in file for name in OWN_STACK)
    return ONE_STACK if ONE_STACK in f"/{file}" and not alone else file
