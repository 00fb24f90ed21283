"""Who waits in the queue, in its order, without reading all who wait for the same absent agents."""

from __future__ import annotations

from heapq import heappop, heappush

from libs.common.documents import SESSIONS, Session
from libs.common.store.api import Cursor, Page, Store, cursor

FIRST = 10
"""Sessions that are read at first: mostly one place is free."""
PAGE = 100
_LAST = "~"
"""Behind every key of the queue."""

_Head = tuple[str, str, int, Session]
"""The next one of a need, behind what the queue is ordered by, and a number of its own.

One whose need changes between two reads is met under both.
"""


class Waiting:
    """One walk along the queue of a workspace, by priority, then by age.

    It begins with the queue as it stands. What is behind its first few is read by need: of those
    who need the same agents, one after the other, until the caller says that nobody can take them.
    So a walk costs no more than there are different needs, however many wait.
    """

    def __init__(self, store: Store, workspace: str) -> None:
        self._store = store
        self._workspace = workspace
        self._ahead: list[Session] = []
        self._heads: list[_Head] = []
        self._pushed = 0
        self._rows: dict[str, list[Session]] = {}
        self._skipped: set[str] = set()
        self._begun = False
        self._more = True
        self._passed: Cursor = ()

    def skip(self, session: Session) -> None:
        """Leave out whoever needs the same agents as *session*."""
        if session.queue_need is not None:
            self._skipped.add(session.queue_need)

    async def next(self) -> Session | None:
        """Return the next one; None: there is no more.

        Raises:
            StoreUnavailableError: The store is away.
        """
        if not self._begun:
            self._begun = True
            await self._begin()
        while self._ahead:
            session = self._ahead.pop()
            if session.queue_need not in self._skipped:
                return session
        if self._more:
            self._more = False
            await self._part()
        return await self._merged()

    async def _begin(self) -> None:
        page = Page(order="queue", limit=FIRST)
        rows = await self._store.find(SESSIONS, self._workspace, {}, page)
        self._ahead = rows[::-1]
        self._more = len(rows) == FIRST
        if rows:
            self._passed = cursor(SESSIONS, "queue", rows[-1])

    async def _part(self) -> None:
        """Find the first of each need behind the first few."""
        after: Cursor | None = None
        while True:
            page = Page(order="need", after=after, limit=1)
            rows = await self._store.find(SESSIONS, self._workspace, {}, page)
            if not rows:
                return
            need = rows[0].queue_need or ""
            after = (need, _LAST, "")
            if need in self._skipped:
                continue
            if cursor(SESSIONS, "queue", rows[0]) > self._passed:
                self._push(rows[0])
            else:
                await self._follow(need, (need, *self._passed), FIRST)

    async def _merged(self) -> Session | None:
        while self._heads:
            *_, session = heappop(self._heads)
            need = session.queue_need or ""
            if need in self._skipped:
                continue
            rows = self._rows.get(need)
            if rows:
                self._push(rows.pop())
            else:
                await self._follow(need, cursor(SESSIONS, "need", session), PAGE)
            return session
        return None

    async def _follow(self, need: str, after: Cursor, limit: int) -> None:
        """Read on in a need."""
        page = Page(order="need", after=after, limit=limit)
        rows = await self._store.find(SESSIONS, self._workspace, {"queue_need": need}, page)
        if rows:
            self._push(rows[0])
            self._rows[need] = rows[:0:-1]

    def _push(self, session: Session) -> None:
        self._pushed += 1
        heappush(self._heads, (session.queue_key or "", session.id, self._pushed, session))
