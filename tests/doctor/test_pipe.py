"""`relaydesk ... | head`: who reads may end early."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from libs.common.cli.main import READER_GONE

ROOT = Path(__file__).parents[2]
COMMANDS = {
    "a command that prints": ["serve", "--settings"],
    "one service's settings": ["serve", "ingest", "--settings"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS)
def test_a_reader_that_ends_early_ends_the_command_without_a_word(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "libs.common.cli.main", *words],
            cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (READER_GONE, "")
