"""A headless Chromium, one for a file of tests, and agents who sit before it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = f"none of {', '.join(NAMES)} is installed; `make browser` says how"


def binary() -> str:
    """Return the browser's path; without one, tests fail where CI is set, else they are skipped."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Start it, and end it with the block."""
    path = binary()
    with tempfile.TemporaryDirectory() as home:  # its crash reports and caches go with it
        env = {**os.environ, "HOME": home}
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=path, args=list(ARGS), env=dict(env)
            )
            try:
                yield browser
            finally:
                await browser.close()
