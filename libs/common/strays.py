"""What came of a visitor before their first session: it waits in a timeline of its own.

A follower who never wrote has nothing else. That they have blocked the account stands there alone,
and is looked for before anything is sent to them.
"""

from __future__ import annotations

from collections.abc import Collection

from libs.common.documents import MESSAGES
from libs.common.events import ContactChanged, InboundEvent
from libs.common.store.api import Cursor, In, Page, Store, cursor

_BLOCKS = {
    "unfollow": True,
    "leave": True,
    "opt_out": True,
    "follow": False,
    "join": False,
    "opt_in": False,
}
_KEYS = 500
_ROWS = 1000

Place = tuple[str, str]
"""An account and a visitor of it."""


def waiting_key(account: str, visitor: str) -> str:
    """Return the `timeline` of what comes before there is a session to belong to."""
    return f"waiting:{account}|{visitor}"


def blocking(event: InboundEvent | None) -> bool | None:
    """Tell whether by *event* the visitor has blocked the account; None where it does not say.

    An `opt_out` with a detail is about one kind of message only.
    """
    if not isinstance(event, ContactChanged):
        return None
    if event.change in {"opt_out", "opt_in"} and event.detail:
        return None
    return _BLOCKS.get(event.change)


async def blocked_strangers(store: Store, workspace: str, places: Collection[Place]) -> set[Place]:
    """Return which of *places*, where there never was a session, have blocked the account.

    The newest word on it counts, as it does in a session.

    Raises:
        StoreUnavailableError: The store is away.
    """
    by_key = {waiting_key(*place): place for place in places}
    keys = tuple(by_key)
    said: dict[str, bool] = {}
    for start in range(0, len(keys), _KEYS):
        await _read(store, workspace, keys[start : start + _KEYS], said)
    return {by_key[key] for key, blocked in said.items() if blocked}


async def _read(store: Store, workspace: str, keys: tuple[str, ...], said: dict[str, bool]) -> None:
    """Note in *said* the newest word of each of *keys*."""
    after: Cursor | None = None
    while True:
        page = Page(order="timeline", after=after, limit=_ROWS)
        rows = await store.find(MESSAGES, workspace, {"timeline": In(keys)}, page)
        for row in rows:  # the oldest first
            blocked = blocking(row.event)
            if blocked is not None and row.timeline is not None:
                said[row.timeline] = blocked
        if len(rows) < _ROWS:
            return
        after = cursor(MESSAGES, "timeline", rows[-1])
