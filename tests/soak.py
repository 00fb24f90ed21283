"""How much the long tests do: enough to find a fault by default, many times as much in a soak.

`make soak` sets `RELAYDESK_SOAK=1` and runs the files that ask here.
"""

from __future__ import annotations

import os

SOAK = os.environ.get("RELAYDESK_SOAK", "") not in {"", "0"}


def sized(default: int, soak: int) -> int:
    """Return how many of something a test takes in this run."""
    return soak if SOAK else default
