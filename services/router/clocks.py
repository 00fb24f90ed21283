"""The clocks of a session, kept with each write: snooze, silent owner, idle end. Pure."""

from __future__ import annotations

from datetime import datetime

from services.router import idle, silence, snooze
from services.router.draft import Draft


def keep(draft: Draft, now: datetime) -> None:
    """Keep the session's timers for this write; to be called once, after all else that it does."""
    snooze.watch(draft, now)
    silence.watch(draft, now)
    idle.watch(draft, now)
