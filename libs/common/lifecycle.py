"""Start and stop of a service: signals, the parent's death, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import msgspec
import uvloop

from libs.common import tracing_export
from libs.common.config import Settings, describe, load
from libs.common.errors import SettingsError
from libs.common.logs import set_up
from libs.common.loop import watching_loop
from libs.common.stopping import Stop

log = logging.getLogger(__name__)

S = TypeVar("S", bound=Settings)

EXIT_SETTINGS = 2
GC_THRESHOLD = 50_000
"""A collection each 50,000 allocations instead of 700: a third off the latency tail."""


def main(service: str, kind: type[S], serve: Callable[[S, asyncio.Event], Awaitable[None]]) -> int:
    """Run *serve(settings, stop)* until a signal; return the exit code.

    `--settings` prints the settings instead. A wrong setting ends with code 2 and one line that
    names the variable; it never becomes ready.
    """
    try:
        if "--settings" in sys.argv[1:]:
            print(describe(service, os.environ))  # noqa: T201 (what the command is for)
            return 0
        settings = load(kind, os.environ)
    except SettingsError as error:
        print(f"{service}: {error.detail}", file=sys.stderr)  # noqa: T201 (no log before settings)
        return EXIT_SETTINGS
    set_up(service, settings.log_level)
    end_tracing = tracing_export.begin(service, version("relaydesk"), os.environ)
    try:
        return uvloop.run(_run(settings, serve))
    finally:
        end_tracing()


async def _run(settings: S, serve: Callable[[S, asyncio.Event], Awaitable[None]]) -> int:
    stop = Stop(settings.drain_s if hasattr(settings, "port") else 0.0)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop, stop, number)
    watch = asyncio.create_task(_watch_parent(settings.parent_pid, stop))
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
    log.info("service.starting", extra={"pid": os.getpid()})
    try:
        async with watching_loop():
            await serve(settings, stop)
    except SettingsError as error:
        log.error("service.refused", extra={"reason": error.detail})  # noqa: TRY400 (a setting)
        return EXIT_SETTINGS
    finally:
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
    log.info("service.stopped")
    return 0


SAME_S = 1.0
"""Within this time a repeat counts as the same: supervisors signal a whole group of processes, and
the parent among them passes it on."""


def asked_to_stop(stop: Stop, number: signal.Signals) -> None:
    """Begin to stop; whoever asks again, more than a second later, does not want to wait."""
    if stop.begun:
        if stop.begun_s_ago() < SAME_S:
            return
        log.warning("service.cut_short")
        os._exit(128 + number)  # as a shell tells of a signal; process 1 ignores its own signals
    log.info("service.stopping", extra={"drain_s": stop.drain_s})
    stop.begin()


async def _watch_parent(parent_pid: int, stop: asyncio.Event) -> None:
    while parent_pid and not stop.is_set():
        if os.getppid() != parent_pid:
            log.warning("service.orphaned")
            stop.set()
        await asyncio.sleep(0.5)


def write_ports(path: str, **ports: int) -> None:
    """Tell the starter which ports were bound; written whole or not at all."""
    if not path:
        return
    target = Path(path)
    draft = target.with_suffix(".tmp")
    draft.write_bytes(msgspec.json.encode({"pid": os.getpid(), **ports}))
    draft.replace(target)
