"""How long the owner of a session has left the visitor without an answer. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from libs.common.documents import Session
from services.router.draft import Draft


def watch(draft: Draft, now: datetime) -> None:
    """Keep `awaiting_since` with the silent owner's timer, and `answered_at`, for this write.

    To be called once, after all else that the write does. A stretch without an answer begins with
    the visitor's first message that no agent has answered, when another owner gets the session
    unanswered, or when it comes back so after a snooze or its end; it ends with an agent's reply.
    There is one timer for a stretch, armed at its begin.
    """
    session, base = draft.session, draft.base
    patience = draft.settings.silent_owner_s
    session.awaiting_since = _awaiting(draft, now)
    if session.list == "assigned" and draft.is_answered:
        session.answered_at = now
    elif session.owner != base.owner:
        session.answered_at = None
    if session.awaiting_since is None or patience <= 0:
        if "silent_owner" in session.due:
            draft.disarm("silent_owner")
    elif (session.owner, session.awaiting_since) != (base.owner, base.awaiting_since):
        draft.arm("silent_owner", session.awaiting_since + timedelta(seconds=patience))


def _awaiting(draft: Draft, now: datetime) -> datetime | None:
    session, base = draft.session, draft.base
    if session.list != "assigned" or session.snoozed_until is not None or draft.is_answered:
        return None
    if session.owner != base.owner or _is_back(base):
        return now if _is_unanswered(draft) else None
    if base.awaiting_since is None and session.inbound > base.inbound:
        return draft.heard_at or now
    return base.awaiting_since


def _is_back(base: Session) -> bool:
    """Tell whether it had ended, or was put aside, until this write."""
    return base.list == "ended" or base.snoozed_until is not None


def _is_unanswered(draft: Draft) -> bool:
    """Tell whether the visitor waits for an agent, as far as the session knows."""
    session, base = draft.session, draft.base
    if base.owner is not None and session.inbound == base.inbound and not _is_back(base):
        return base.awaiting_since is not None
    last = session.last_message
    return session.inbound > 0 and (last is None or last.sender != "agent")
