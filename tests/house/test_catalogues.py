"""The console's words: every language has all of them, and every word that a view names exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from libs.common.alerts import DEFAULTS

CONSOLE = Path(__file__).parents[2] / "services" / "desk" / "console"
WORDS = CONSOLE / "words"
FIRST = "en"
LANGUAGES = sorted(path.name for path in WORDS.iterdir() if path.is_dir())
AREAS = sorted(path.stem for path in (WORDS / FIRST).glob("*.js"))
FORMS = {
    "en": {"one", "other"},
    "zh-Hant": {"other"},
    "ar": {"zero", "one", "two", "few", "many", "other"},
}
ENTRY = re.compile(r'^  "([\w.:-]+)":\s*(.+?),?$', re.MULTILINE)
NAMES = re.compile(r"\{(\w+)\}")


@cache
def catalogue(language: str, area: str) -> dict[str, Any]:
    """Return the words of an area; its module is JSON but for its first line and its commas."""
    text = (WORDS / language / f"{area}.js").read_text()
    body = re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
    body = body.replace("export default", "", 1).strip().rstrip(";")
    body = re.sub(r"([{,]\s*)([A-Za-z_]\w*)(\s*:)", _quoted, body)
    found: dict[str, Any] = json.loads(re.sub(r",(\s*})", r"\1", body))
    return found


def _quoted(found: re.Match[str]) -> str:
    return f'{found[1]}"{found[2]}"{found[3]}'


def names(value: Any) -> set[str]:
    texts = value.values() if isinstance(value, dict) else [value]
    return {name for text in texts for name in NAMES.findall(text)}


@pytest.mark.parametrize("language", [one for one in LANGUAGES if one != FIRST])
@pytest.mark.parametrize("area", AREAS)
def test_every_language_has_the_same_words_with_the_same_names(area: str, language: str) -> None:
    ours, theirs = catalogue(FIRST, area), catalogue(language, area)
    assert sorted(theirs) == sorted(ours)
    assert [key for key in ours if names(ours[key]) != names(theirs[key])] == []
    assert [key for key, value in theirs.items() if not value] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_counted_has_every_form_of_its_language(language: str) -> None:
    lacking = {
        key: sorted(FORMS[language] - set(value))
        for area in AREAS
        for key, value in catalogue(language, area).items()
        if isinstance(value, dict) and not set(value) >= FORMS[language]
    }
    assert lacking == {}


def test_no_word_stands_in_two_areas() -> None:
    seen: dict[str, str] = {}
    twice = [
        (key, seen[key], area)
        for area in AREAS
        for key in catalogue(FIRST, area)
        if seen.setdefault(key, area) != area
    ]
    assert twice == []


def test_every_word_that_a_view_names_exists() -> None:
    known = {key for area in AREAS for key in catalogue(FIRST, area)}
    called = re.compile(r"""\bt\(\s*["']([\w.:-]+)["']""")
    begun = re.compile(r"\bt\(\s*`([\w.:-]+\.)\$\{")
    lacking = set()
    for path in CONSOLE.rglob("*.js"):
        if {"vendor", "words"} & set(path.relative_to(CONSOLE).parts):
            continue
        text = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.MULTILINE)
        lacking |= {(path.name, key) for key in called.findall(text) if key not in known}
        lacking |= {
            (path.name, f"{start}…")
            for start in begun.findall(text)
            if not any(key.startswith(start) for key in known)
        }
    assert lacking == set()


def test_every_view_names_the_areas_of_its_words() -> None:
    routes = (CONSOLE / "routes.js").read_text()
    named = set(re.findall(r'"(\w+)"', " ".join(re.findall(r"words: \[([^\]]*)\]", routes))))
    assert named <= set(AREAS)


def test_what_the_console_takes_for_the_defaults_of_alerts_is_that() -> None:
    view = (CONSOLE / "alerts" / "workspace.js").read_text()
    ours = json.loads("{" + view.split("const OURS = {")[1].split("};")[0].rstrip(" ,\n") + "}")
    shown = {name: ours.get(name, ["browser", "email"]) for name in DEFAULTS}
    assert shown == {name: list(default.methods) for name, default in DEFAULTS.items()}
    assert set(ours) <= set(DEFAULTS)


def test_every_module_can_be_read() -> None:
    """Node reads each as a module, where there is one: a slip in a view that no test opens."""
    node = shutil.which("node")
    if not node:
        pytest.skip("no node")
    program = (
        "import { readFileSync } from 'node:fs'; import vm from 'node:vm';"
        "for (const path of process.argv.slice(1))"
        " new vm.SourceTextModule(readFileSync(path, 'utf8'), { identifier: path });"
    )
    paths = [str(path) for path in CONSOLE.rglob("*.js") if path.name != "sw.js"]
    command = [node, "--experimental-vm-modules", "--no-warnings", "--input-type=module", "-e"]
    done = subprocess.run(
        [*command, program, "--", *paths], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
