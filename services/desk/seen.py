"""An agent looks at a session of which they had read everything: alerts of it have done their work.

What is read anew the router tells. Where nothing is new it has nothing to write; an alert may wait
nevertheless, of an assignment, a mention or a request for a human.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from libs.common import subjects
from libs.common.alerts import ATTENTION
from libs.common.bus.client import Bus
from libs.common.documents import Session
from libs.common.events import Fact
from libs.common.store.api import Store


async def look(bus: Bus, store: Store, session: Session, agent: str, now: datetime) -> None:
    """Tell that *agent* has looked, if an alert of the session waits for them.

    However often they look at it as it stands, that is one fact: its id names the state of the
    session's alerts.

    Raises:
        BusUnavailableError: It is perhaps not told.
        StoreUnavailableError: It is not.
    """
    attention = await store.get(ATTENTION, session.workspace, session.id)
    if attention is None or not any(watch.agent == agent for watch in attention.watches):
        return
    fact = Fact(
        fact_id=f"{session.id}:looked:{attention.rev}:{agent}",
        type="session.read",
        workspace=session.workspace,
        session=session.id,
        at=now,
        actor=f"agent:{agent}",
        list=session.list,
        owner=session.owner or "",
        assignees=session.assignee_ids,
        bot=session.bot,
        epoch=session.epoch,
        rev=session.rev,
    )
    subject = subjects.fact(session.workspace, fact.type, session.id)
    await bus.publish(subject, msgspec.json.encode(fact), msg_id=fact.fact_id)
