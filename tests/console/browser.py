"""A headless Chromium, one for a worker: each file of tests has it in turn, and leaves no page."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
SHELL = "chromium-headless-shell"
"""Debian's, which draws no window: where it is installed, a page costs half as much CPU in it."""
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


def binary(*, notifies: bool = False) -> str:
    """Return the browser's path; without one, tests fail where CI is set, else they are skipped.

    What *notifies* is a whole browser: the shell has no notifications.
    """
    for name in NAMES if notifies else (SHELL, *NAMES):
        if found := shutil.which(name):
            return found
    if os.environ.get("CI"):
        pytest.fail(MISSING)
    pytest.skip(MISSING)


@asynccontextmanager
async def open_browser(*, notifies: bool = False) -> AsyncIterator[Browser]:
    """Start it, and end it with the block; see `binary`."""
    path = binary(notifies=notifies)
    with tempfile.TemporaryDirectory() as home:  # its crash reports and caches go with it
        env = {**os.environ, "HOME": home}
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=path, args=list(ARGS), env=dict(env)
            )
            # what fades and slides costs a fifth of all; a test of it may ask for it
            still = partial(browser.new_context, reduced_motion="reduce")
            browser.new_context = still  # type: ignore[method-assign]
            try:
                yield browser
            finally:
                await browser.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Start it once for all files of a worker: that costs as much as a dozen pages."""
    async with open_browser() as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def browser(chromium: Browser) -> AsyncIterator[Browser]:
    """Lend it to a file of tests; no page of theirs stays open, and asks a desk that is gone."""
    yield chromium
    for context in chromium.contexts:
        await context.close()
