"""The page of the runbooks: it lists all of them, and says where what they have one type runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.k8s_objects import ROOT

PAGE = ROOT / "docs/operations/runbooks.md"
BOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
ROW = re.compile(r"^\| \w+ \| (?P<page>[^|]*) \| (?P<ticket>[^|]*) \|$", re.MULTILINE)
LINK = re.compile(r"\[([\w-]+)\]\(\.\./runbooks/\1\.md\)")
SPEECH = {"Page: somebody gets up.": "page", "Ticket: in working hours.": "ticket"}
BASH = shutil.which("bash") or "/bin/bash"
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def listed() -> Iterator[tuple[str, str]]:
    """Yield each runbook's name on the page, with how bad its column says it is."""
    for row in ROW.finditer(PAGE.read_text()):
        for severity in ("page", "ticket"):
            yield from ((name, severity) for name in LINK.findall(row[severity]))


def test_d14_every_runbook_is_listed_by_how_bad_it_is() -> None:
    severities = {
        book.stem: severity
        for book in BOOKS
        for words, severity in SPEECH.items()
        if words in book.read_text()
    }
    found = list(listed())
    assert dict(found) == severities
    assert len(found) == len(severities)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_d14_a_runbook_with_commands_says_where_they_run(book: Path) -> None:
    text = book.read_text()
    has_commands = bool(re.search(r"`relaydesk\s\S", text))
    assert ("](../operations/runbooks.md)" in text) == has_commands


PAGES = sorted((ROOT / "docs/operations").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_shell_can_read_what_a_page_has_one_type(page: Path) -> None:
    for block in SHELL.findall(page.read_text()):
        read = subprocess.run(
            [BASH, "-n"], input=block, capture_output=True, text=True, timeout=10, check=False
        )
        assert read.returncode == 0, read.stderr


def test_a_password_that_a_page_uses_is_read_on_that_page() -> None:
    """What is typed after the other is enough: no variable comes from nowhere."""
    for page in PAGES:
        typed = "\n".join(SHELL.findall(page.read_text()))
        used = set(re.findall(r"\$(\w+_PASSWORD)\b", typed))
        assert used <= set(re.findall(r"^(\w+)=", typed, re.MULTILINE)), page.name
