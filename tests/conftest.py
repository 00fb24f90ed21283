"""What the whole suite shares: the engines that tests run against."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.engines", "tests.nats_server", "tests.provider_stub"]

LONGEST_FIRST = ("/chaos/", "/e2e/", "test_differential", "test_crash", "/simulate/", "test_faults")
"""Files of few tests that take long: begun last, they would leave all but one worker idle."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; those of a file stay together and in order."""
    items.sort(key=lambda item: not any(part in str(item.path) for part in LONGEST_FIRST))
