"""One step: from what was told, or from time alone, to the document as it is to be. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from libs.common.alerts import Attention
from libs.common.documents import Session
from services.notifier.attention import News, Outcome, Round, Step
from services.notifier.attention_ladder import climb, next_rung
from services.notifier.attention_say import Asks
from services.notifier.attention_who import Around

LONG = 8
"""Alerts in an outbox that is worth a write of its own to be rid of."""
FACTS = 48
"""Ids that are remembered: more than come together of one session."""


def step(
    before: Attention, session: Session | None, news: Sequence[News], around: Around, permits: Asks
) -> Step:
    """Return what follows from *news* that are not known yet, and from what is due by now.

    Args:
        before: As stored, its outbox told; without a revision where nothing is.
        session: As it is now; None for what is about none, and where there is none any more.
        news: Facts, in any order.
        around: People, switches, preferences, presence and time.
        permits: The storm breaker.
    """
    making = Round(before, session, around, permits)
    fresh = [one for one in news if one.fact.fact_id not in before.facts]
    making.heed([one.fact for one in fresh])
    said: dict[str, Outcome] = {}
    for one in sorted(fresh, key=lambda one: one.fact.at):
        said[one.fact.fact_id] = making.take(one)
    making.look()
    climb(making)
    outcomes = tuple(said.get(one.fact.fact_id, "known") for one in news)
    after = making.finished()
    due = _earlier(making.due(), next_rung(making))
    if not _is_changed(before, after):
        return Step(before, outcomes, due)
    ids = (*before.facts, *(one.fact.fact_id for one in fresh))
    after = msgspec.structs.replace(after, facts=ids[-FACTS:], updated_at=around.now)
    return Step(after, outcomes, due, after.outbox, tuple(making.cleared), making.held)


def _is_changed(before: Attention, after: Attention) -> bool:
    """Tell whether there is anything to write; what has merely lapsed can wait.

    A long outbox, which was told by now, is dropped, as all that comes has to read it.
    """
    same = (before.watches, before.began_at, before.burst)
    return (
        bool(after.outbox)
        or len(before.outbox) > LONG
        or same != (after.watches, after.began_at, after.burst)
    )


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    return min((at for at in (one, other) if at is not None), default=None)
