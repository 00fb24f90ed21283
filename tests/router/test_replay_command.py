"""`relaydesk replay` as it is typed: a process of its own, on real servers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from libs.common import subjects
from libs.common.bus.client import open_bus
from libs.common.cli.main import main
from libs.common.documents import COLLECTIONS, SESSIONS
from libs.common.seal import new_key_setting
from libs.common.store.api import Page
from libs.common.store.open import open_store
from tests.nats_server import NatsProcess
from tests.router.rig import WORKSPACE, arrived, said

ROOT = Path(__file__).parents[2]


async def _publish(url: str) -> None:
    async with open_bus(url, name="test", publish_timeout_s=10) as bus:
        inbound = arrived(said("hello", 1, key="e1"))
        where = subjects.inbound(WORKSPACE, "line", inbound.account, "U1")
        await bus.publish(where, msgspec.json.encode(inbound), msg_id="1")


async def _sessions(url: str) -> list[str]:
    async with open_store(url, COLLECTIONS) as store:
        found = await store.find(SESSIONS, WORKSPACE, {}, Page(order="updated"))
        return [one.visitor for one in found]


def test_d06_the_command_repairs_says_so_and_exits(
    nats_process: NatsProcess, tmp_path: Path
) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RELAYDESK_")}
    env |= {
        "RELAYDESK_NATS_URL": nats_process.url,
        "RELAYDESK_STORE_URL": f"sqlite:///{tmp_path / 'store.db'}",
        "RELAYDESK_SECRET_KEY": new_key_setting(),
    }
    asyncio.run(_publish(nats_process.url))

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "libs.common.cli.main", "replay", *words]
        return subprocess.run(
            [*command, "--settle-s", "0"],
            cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    told = run("--all", "--dry-run")
    assert (told.returncode, "1 events would be folded" in told.stdout) == (0, True), told.stderr
    assert asyncio.run(_sessions(env["RELAYDESK_STORE_URL"])) == []
    assert run("--event", "e1").returncode == 0
    assert asyncio.run(_sessions(env["RELAYDESK_STORE_URL"])) == ["U1"]
    lost = run("--event", "e9")
    assert (lost.returncode, "no stream tells of e9" in lost.stderr) == (1, True)


WRONG = {
    "since without an account": ["--all", "--since", "2h"],
    "raw of one session": ["--session", "ses_1", "--from", "raw"],
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_what_does_not_go_together_is_refused(words: list[str]) -> None:
    assert main(["replay", *words]) == 2
