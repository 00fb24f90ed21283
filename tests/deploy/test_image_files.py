"""The installed package holds everything that runs: what the image is made of is a wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = {
    "the console's page": "services/desk/console/index.html",
    "the console's words": "services/desk/console/words/zh-Hant",
    "the web chat's parts": "services/ingest/plugin/",
}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel, built offline from a copy of what is tracked."""
    tracked = subprocess.run(
        ["git", "ls-files", "libs", "services", "pyproject.toml", "README.md", "LICENSE"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout.splitlines()
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in tracked:
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--wheel-dir", str(out), str(source)]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    (wheel,) = out.glob("relaydesk-*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def shipped() -> list[str]:
    """Files that run or are read: Python, pages, words, pictures; not the folders' own notes."""
    listed = subprocess.run(
        ["git", "ls-files", "libs", "services"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout.splitlines()
    return [name for name in listed if (ROOT / name).is_file() and not name.endswith(".md")]


def test_every_file_of_the_code_is_in_the_wheel(packed: set[str]) -> None:
    assert sorted(set(shipped()) - packed) == []


@pytest.mark.parametrize("start", NEEDED.values(), ids=NEEDED)
def test_what_pages_need_is_in_the_wheel(packed: set[str], start: str) -> None:
    assert [name for name in packed if name.startswith(start)]


def test_no_cache_and_no_secret_is_in_the_wheel(packed: set[str]) -> None:
    assert [name for name in packed if "__pycache__" in name or Path(name).name[0] == "."] == []
