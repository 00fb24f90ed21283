"""Where Prometheus, promtool and amtool are, and a Prometheus that runs for a test.

They are taken from PATH, else from where `make prometheus` unpacks them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UNPACKED = ROOT / ".venv" / "prometheus" / "usr" / "bin"
TAKES_S = 60.0


def binary(name: str) -> str:
    """Return the path of a program, or skip the test; in CI (`CI` is set) it fails instead."""
    found = shutil.which(name) or shutil.which(name, path=str(UNPACKED))
    if found:
        return found
    missing = f"{name} is not installed: `make prometheus`"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def checked(name: str, args: Sequence[str | Path]) -> str:
    """Run a program to its end; return what it says.

    Raises:
        AssertionError: Its exit code is not 0; says what it said.
    """
    done = subprocess.run(
        [binary(name), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=TAKES_S,
        check=False,
    )
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    return told
