"""Whether a session's visitor was asked how it was, and what they said."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.documents import Session


class SurveyView(msgspec.Struct, frozen=True, kw_only=True):
    """The question and its answer.

    Attributes:
        asked_at, until: When it was asked, and until when an answer counts.
        agent: Whom it is about (id).
        score: 1 (bad) to 5 (very good), the last answer; null: none yet.
    """

    asked_at: datetime
    until: datetime
    agent: str
    score: int | None
    answered_at: datetime | None


def survey_of(session: Session) -> SurveyView | None:
    """Return what there is of it; None: nobody was asked, or the question did not go out."""
    asked = session.survey
    if asked is None or asked.over:
        return None
    return SurveyView(
        asked_at=asked.at,
        until=asked.until,
        agent=asked.agent,
        score=asked.score,
        answered_at=asked.answered_at,
    )
