"""Which version of Relaydesk runs here, and on which Python, as a metric."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import Gauge

BUILD = Gauge(
    "relaydesk_build_info",
    "1, with the version of Relaydesk and of Python that this process runs. It began at "
    "`process_start_time_seconds`.",
    ("version", "python"),
)


def _version() -> str:
    try:
        return version("relaydesk")
    except PackageNotFoundError:  # run from its sources, without being installed
        return "0"


def show() -> None:
    """Tell it from now on."""
    BUILD.labels(_version(), platform.python_version()).set(1)
