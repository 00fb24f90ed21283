"""How an agent stands, by what is kept of them: for the router, which decides, and for dry runs."""

from __future__ import annotations

from datetime import datetime

from libs.common.documents import Load
from libs.common.policy import Standing

LONG_AGO = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
"""Since when somebody is idle who never had a session."""


def standing_of(agent: str, load: Load | None, state: str) -> Standing:
    """Return how the agent stands; *state* is `online`, `away`, or anything else for absent."""
    return Standing(
        id=agent,
        online=state == "online",
        away=state == "away",
        load=len(load.held) if load else 0,
        idle_since=load.idle_since if load else LONG_AGO,
        turn=load.turn if load else 0,
    )
