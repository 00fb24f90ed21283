"""Ingest in this process, with small limits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.ingest.throttle import Throttle
from tests.ingest.harness import MAX_BODY, Here, ingest_here


@pytest.fixture
async def here(nats_url: str, tmp_path: Path) -> AsyncIterator[Here]:
    folder = tmp_path / "spool"
    async with ingest_here(
        nats_url, folder, max_body_bytes=MAX_BODY, read_timeout_s=0.5
    ) as running:
        yield running


@pytest.fixture
def standing_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no time go by for limits, so that a slow machine does not refill what a test takes."""
    allow = Throttle.allow
    monkeypatch.setattr(Throttle, "allow", lambda self, key, _now: allow(self, key, 0.0))
