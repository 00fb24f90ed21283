"""What keeps a bot in bounds: its budget, and no talk with a machine or with its own echo.

What was said lately is kept in `Session.bot_state` under `@said`, `@heard`, `@echoes`, `@again`
and `@quick`, as hashes, numbers and times.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from libs.common.bots.words import fold
from libs.common.documents import Session
from libs.common.switches import Settings

Verdict = Literal["", "bot_budget", "bot_loop"]

MOST_ECHOES = 3
"""Our own words in a row."""
MOST_AGAIN = 5
"""The same words in a row, as an automatic answer has."""
AUTOMATIC = 10
"""Letters that a text has at least to count as repeated: people tap "Next" again and again."""
MOST_QUICK = 5
"""Answers in a row within a second of ours, which no person types."""
QUICK_S = 1.0
REMEMBERED = 8
"""Texts of ours."""

SAID = "@said"
HEARD = "@heard"
_SAID_AT = "@said_at"
_ECHOES = "@echoes"
_AGAIN = "@again"
_QUICK = "@quick"


def verdict(session: Session, settings: Settings, text: str, now: datetime) -> Verdict:
    """Say why the bot must not answer the visitor's *text*, and a human is asked; empty: it may.

    `bot_budget`: it has sent `settings.bot_messages` in this session. `bot_loop`: what answers it
    is a machine, or its own echo. Ask before `heard` notes the text.
    """
    state = heard(session.bot_state, text, now)
    if (
        _count(state, _ECHOES) >= MOST_ECHOES
        or _count(state, _AGAIN) >= MOST_AGAIN
        or _count(state, _QUICK) >= MOST_QUICK
    ):
        return "bot_loop"
    return "" if room(session, settings) else "bot_budget"


def room(session: Session, settings: Settings) -> int:
    """Return how many messages the bot may still send in this session."""
    return max(0, settings.bot_messages - session.bot_sent)


def is_own(state: Mapping[str, str], text: str) -> bool:
    """Tell whether *text* is among the last that the bot said."""
    mark = _mark(text)
    return bool(mark) and mark in state.get(SAID, "").split()


def heard(state: Mapping[str, str], text: str, now: datetime) -> dict[str, str]:
    """Return *state* with a visitor's text noted; each row begins anew where it breaks."""
    mark = _mark(text)
    at = _time(state.get(_SAID_AT, ""))
    quick = at is not None and 0 <= (now - at).total_seconds() < QUICK_S
    again = len(fold(text)) >= AUTOMATIC and mark == state.get(HEARD, "")
    noted = dict(state)
    noted[_ECHOES] = str(_count(state, _ECHOES) + 1 if is_own(state, text) else 0)
    noted[_AGAIN] = str(_count(state, _AGAIN) + 1 if again else 1)
    noted[HEARD] = mark
    if at is not None:  # of several texts of theirs after one of ours, the first is the answer
        noted[_QUICK] = str(_count(state, _QUICK) + 1 if quick else 0)
        noted.pop(_SAID_AT)
    return noted


def said(state: Mapping[str, str], text: str, now: datetime) -> dict[str, str]:
    """Return *state* with a text of the bot noted."""
    mark = _mark(text)
    before = [one for one in state.get(SAID, "").split() if one != mark]
    marks = [*before, mark] if mark else before
    noted = {**state, _SAID_AT: now.astimezone(UTC).isoformat()}
    return {**noted, SAID: " ".join(marks[-REMEMBERED:])}


def _mark(text: str) -> str:
    """Return a short hash of what a text says; empty where it has no letters or digits."""
    folded = fold(text)
    if not folded:
        return ""
    return hashlib.blake2b(folded.encode(), digest_size=8).hexdigest()


def _count(state: Mapping[str, str], name: str) -> int:
    text = state.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
