"""How a job that somebody waits for says that it is over: as a fact, of which they are alerted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from libs.common import subjects
from libs.common.bus.client import Bus
from libs.common.events import Fact

DONE = "done"
FAILED = "failed"


async def told(  # noqa: PLR0913 (what the fact says)
    bus: Bus,
    workspace: str,
    job: str,
    *,
    agent: str,
    counts: Mapping[str, int],
    ok: bool,
    now: datetime,
) -> None:
    """Tell that an import is over; said again, as after a crash, it is still told once.

    A job of more than an hour that says so again much later than `EVENTS.duplicate_window_s` is
    recognised by its fact id.

    Args:
        bus: Where it is told.
        workspace: Whose import it was.
        job: Its id, unique for a run, one token of a subject.
        agent: Who began it, and is alerted.
        counts: Rows `created`, `updated` and `failed`.
        ok: It came to its end; else it was given up, with the counts up to then.
        now: When it was over.

    Raises:
        BusUnavailableError: It was not confirmed; say it again.
    """
    fact = Fact(
        fact_id=f"import:{job}",
        type="import.finished",
        workspace=workspace,
        session=job,
        at=now,
        actor=f"agent:{agent}",
        status=DONE if ok else FAILED,
        notify=(agent,),
        counts=dict(counts),
    )
    subject = subjects.fact(workspace, fact.type, job)
    await bus.publish(subject, msgspec.json.encode(fact), msg_id=fact.fact_id)
