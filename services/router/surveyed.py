"""That a contact is asked at most once a week, on whatever account, by whichever router."""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common.documents import CONTACTS, Session
from libs.common.errors import StaleRevisionError, UniqueConflictError
from libs.common.figures import SURVEY_GATES, SurveyGate
from libs.common.ids import derive_id
from libs.common.store.api import Page, Store
from libs.common.surveys import WEEK

_FORMER = 50
"""Contacts that became part of this one, that are looked at."""


async def may_ask(store: Store, session: Session, now: datetime) -> bool:
    """Tell whether nobody has asked the contact, or one that became part of it, for a week."""
    page = Page(order="merged", limit=_FORMER)
    former = await store.find(CONTACTS, session.workspace, {"merged_into": session.contact}, page)
    ids = [_id(session.workspace, one) for one in (session.contact, *(c.id for c in former))]
    gates = await store.get_many(SURVEY_GATES, session.workspace, ids)
    return all(_is_free(gate, session, now) for gate in gates.values())


async def claim(store: Store, session: Session, now: datetime) -> bool:
    """Note, before the question is written, that *session* asks; False: another was faster.

    A crash behind it leaves the contact unasked; the same session may claim again.
    """
    gate = SurveyGate(
        id=_id(session.workspace, session.contact),
        workspace=session.workspace,
        contact=session.contact,
        session=session.id,
        asked_at=now,
    )
    known = await store.get(SURVEY_GATES, session.workspace, gate.id)
    if known is not None and not _is_free(known, session, now):
        return False
    try:
        if known is None:
            await store.insert(SURVEY_GATES, gate)
        else:
            await store.replace(SURVEY_GATES, msgspec.structs.replace(gate, rev=known.rev))
    except (StaleRevisionError, UniqueConflictError):
        return False
    return True


def _is_free(gate: SurveyGate, session: Session, now: datetime) -> bool:
    return gate.session == session.id or now - gate.asked_at >= WEEK


def _id(workspace: str, contact: str) -> str:
    return derive_id("srv", workspace, contact)
