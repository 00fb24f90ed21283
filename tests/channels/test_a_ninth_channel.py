"""docs/adding-a-channel.md works as it stands: its files make a channel that conforms."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs/adding-a-channel.md").read_text()
BLOCK = re.compile(
    r"^`(?P<path>[\w./-]+)`\n\n(?P<fence>`{3,})\w+\n(?P<text>.*?)^(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
REGISTRY = "libs/common/channels/__init__.py"
SUITE = (
    "tests/channels/test_conformance.py",
    "tests/channels/test_conformance_sending.py",
    "tests/channels/test_conformance_content.py",
    "tests/simulate/test_bodies.py",
    "tests/simulate/test_plans.py",
)
LEAST = 45


def files() -> dict[str, str]:
    """Return the guide's files by path."""
    return {found["path"]: found["text"] for found in BLOCK.finditer(GUIDE)}


def test_the_guide_is_one_folder_one_folder_of_fixtures_and_one_line() -> None:
    folders = {path.split("pigeon/")[0] for path in files() if "pigeon/" in path}
    assert folders == {"libs/common/channels/", "tests/channels/"}
    assert {path for path in files() if "pigeon/" not in path} == {"registry"}


def of(project: Path) -> dict[str, str]:
    """Return the environment that finds *project*; its bytecode is used once, so it is not kept."""
    return {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with the guide's channel added."""
    copy = tmp_path_factory.mktemp("ninth")
    ignored = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in ("libs", "services", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", copy)
    found = files()
    line = found.pop("registry")
    registry = copy / REGISTRY
    registry.write_text(registry.read_text() + "\n" + line)
    for path, text in found.items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text(text)
    return copy


def test_c01_d28_a_ninth_channel_conforms_by_its_folder_and_a_line(project: Path) -> None:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "RELAYDESK_"))}
    done = subprocess.run(  # our own interpreter and files
        [
            sys.executable,
            *(
                "-m",
                "pytest",
                "-q",
                "-k",
                "pigeon or registered or folder",
                "-p",
                "no:cacheprovider",
            ),
            *SUITE,
        ],
        cwd=project,
        env={**clean, **of(project)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= LEAST


def test_a_ninth_channel_is_played_and_listed(project: Path) -> None:
    done = subprocess.run(  # our own interpreter and files
        [sys.executable, "-m", "libs.common.cli.main", "simulate", "pigeon", "--list"],
        cwd=project,
        env={**os.environ, **of(project)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "  image" in done.stdout.splitlines()
