"""Telling about defects of our own: their kind and place, never what they were working on."""

from __future__ import annotations

import logging
import time
import traceback

log = logging.getLogger(__name__)

QUIET_S = 60.0
_PLACES = 200

_told: dict[str, float] = {}


def report(event: str, error: BaseException) -> None:
    """Log *event* with the kind and place of *error*, each place at most once a minute.

    The exception's own text is left out: it may quote a message.
    """
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "unknown"
    now = time.monotonic()
    if now - _told.get(place, float("-inf")) < QUIET_S:
        return
    if len(_told) >= _PLACES:
        _told.clear()
    _told[place] = now
    log.error(event, extra={"error": type(error).__name__, "place": place})
