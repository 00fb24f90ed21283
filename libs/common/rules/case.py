"""A session as rules may look at it: for the router, which decides, and for dry runs. Pure."""

from __future__ import annotations

from typing import Literal

from libs.common.documents import Session
from libs.common.policy import Case

Trigger = Literal["opened", "message", "handoff", "queued"]

_FIELDS = ("name", "email", "phone")


def case_of(session: Session, trigger: Trigger, *, text: str = "", behind: bool = False) -> Case:
    """Return *session* as rules may look at it.

    *text* is what the visitor says now; *behind* tells that others wait already.
    """
    contact = {field: getattr(session, f"contact_{field}") for field in _FIELDS}
    referral = session.referral
    owned = trigger != "opened" and session.list == "assigned"
    return Case(
        trigger=trigger,
        session=session.id,
        channel=session.channel,
        account=session.account,
        list="" if trigger == "opened" else session.list,
        text=text,
        language=session.contact_language,
        tags=session.tags,
        fields={field: value for field, value in contact.items() if value},
        returning=session.returning,
        last_owner=session.last_owner,
        referral_source=referral.source if referral else "",
        referral_ref=referral.ref if referral else "",
        standby=session.standby,
        removed=dict(session.removed),
        team=session.team,
        skill=session.skill,
        agent=session.wanted,
        said=session.said,
        behind=behind,
        owner=(session.owner or "") if owned else "",
        answered_at=session.answered_at if owned else None,
    )
