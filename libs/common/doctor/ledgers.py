"""What the ledgers say, in words: whether all that was taken is somewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from libs.common.doctor.findings import Check, note, ok, wrong
from libs.common.documents import SYSTEM
from libs.common.ledger.page import LEDGERS, MOST_MISSING, Ledger, Missed
from libs.common.store.api import Store
from libs.common.subjects import INBOUND, OUTBOUND

NAMED = 5
"""Missing messages that are named in one line; `relaydesk ledger` names all."""
_WHAT = {
    INBOUND.name: ("events in", "relaydesk replay --event ID"),
    OUTBOUND.name: ("messages out", "ask the visitor, or send again from the session"),
}


async def read_ledgers(store: Store) -> list[Ledger]:
    """Return the ledgers that there are.

    Raises:
        StoreUnavailableError: The store is away.
    """
    found = await store.get_many(LEDGERS, SYSTEM, list(_WHAT))
    return [found[name] for name in _WHAT if name in found]


def look_at_ledgers(ledgers: Iterable[Ledger]) -> Iterator[Check]:
    """Yield whether anything is missing; one check for each ledger."""
    known = {ledger.id: ledger for ledger in ledgers}
    for name, (what, repair) in _WHAT.items():
        if name in known:
            yield _check(f"ledger of {what}", known[name], repair)
        else:
            yield note(f"ledger of {what}", "has not begun: the service makes it once it runs")


def words_of(missed: Missed) -> str:
    """Say which message is missing, without its content."""
    event = missed.event or f"unreadable, {missed.subject}"
    return (
        f"{event}  workspace {missed.workspace or '?'}  account {missed.account or '?'}  "
        f"taken {_time(missed.stored_at)}  sequence {missed.sequence}"
    )


def _check(name: str, ledger: Ledger, repair: str) -> Check:
    passed = sum(ledger.passed.values())
    if not ledger.missing:
        gaps = f"; {ledger.expired} places were empty" if ledger.expired else ""
        return ok(name, f"{passed} passed, none is missing{gaps}")
    count = len(ledger.missing)
    named = "; ".join(words_of(one) for one in ledger.missing[:NAMED])
    more = f"; and {count - NAMED} more, see `relaydesk ledger`" if count > NAMED else ""
    full = ""
    if count >= MOST_MISSING:
        full = "; the list is full, so the ledger stands still until it gets shorter"
    return wrong(
        name, f"{count} of {passed} are settled and nowhere: {named}{more}{full}; repair: {repair}"
    )


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
