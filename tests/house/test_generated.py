"""The generated documents say what the code says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))

from generate import documents  # noqa: E402 (found through the line above)


@pytest.mark.parametrize(
    "name", ["openapi.json", "asyncapi.json", "configuration.md", "metrics.md"]
)
def test_a_generated_document_is_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    assert written == documents()[name], f"docs/{name} is old: run `make docs`"
