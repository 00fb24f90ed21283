"""What reports count of a session, as the session stands; of an open one so far. Pure."""

from __future__ import annotations

import msgspec

from libs.common.documents import Session
from libs.common.figures import SessionFigures, instant, split


def figures_of(session: Session) -> SessionFigures:
    """Return what reports count of *session*, as it is written."""
    course = session.course
    if session.list == "ended" and not course.ended_by:
        course = msgspec.structs.replace(course, ended_by="scheduled")
    ended_at = session.ended_at if session.list == "ended" else None
    latest = max((split(key)[0] for key in course.counts), default=0)
    return SessionFigures(
        id=session.id,
        workspace=session.workspace,
        of=session.rev,
        channel=session.channel,
        account=session.account,
        team=session.team,
        owner=session.owner or "",
        created_at=session.created_at,
        ended_at=ended_at,
        active_until=max(ended_at, instant(latest)) if ended_at else None,
        end_reason=session.end_reason,
        course=course,
        survey=session.survey,
    )
