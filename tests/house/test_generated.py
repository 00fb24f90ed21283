"""The generated documents say what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs.generate import documents

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name", ["openapi.json", "asyncapi.json", "configuration.md", "metrics.md"]
)
def test_a_generated_document_is_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    assert written == documents()[name], f"docs/{name} is old: run `make docs`"
