"""How a channel brings its own simulation: a module `simulated` in its folder.

It has `sign(account, body, now)`, which returns the provider's request, and may have `KINDS`, the
bodies by kind (`text` first), and `VISITOR`, a visitor id of the provider's form. The channels of
`signing` and `bodies` need none.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

_CHANNELS = "libs.common.channels"


def simulated(channel: str) -> Any:
    """Return the channel's module, or None where it brings none."""
    name = f"{_CHANNELS}.{channel}.simulated"
    if not channel.isidentifier() or find_spec(f"{_CHANNELS}.{channel}") is None:
        return None
    return import_module(name) if find_spec(name) is not None else None
