"""The worker that fetches visitors' files, those that expire first before the others.

A file is claimed by writing when it may be tried again (`fetch_at`) a lease ahead, guarded by
`rev`; the claim is renewed while the fetch lasts. Whoever dies leaves a claim that runs out, so any
replica finds the file again.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from libs.common.documents import ATTACHMENTS, MESSAGES, Attachment
from libs.common.errors import (
    GatewayError,
    NotSentError,
    StaleRevisionError,
    StoreUnavailableError,
)
from libs.common.events import MediaPart
from libs.common.store.api import Cursor, Page, Range, Store, Where, cursor
from services.notifier import metrics
from services.notifier.media_claim import Claim
from services.notifier.media_fetch import Means, fetch
from services.notifier.media_outcome import after_failure, failed, stored

log = logging.getLogger(__name__)

AT_ONCE = 16
AT_ONCE_PER_WORKSPACE = 8
AT_ONCE_PER_ACCOUNT = 2
AGAIN_PER_ACCOUNT = 1
"""Of those, how many that failed before: a slow server must not stand before fresh files."""
SWEEP_EVERY_S = 5.0
"""How often all workspaces are looked at: for what a replica that died has left."""
_PAGE = 100
_PAGES = 10
_MARGIN_S = 0.01
_ON_S = 0.2
_FAR = timedelta(days=1)
"""Beyond every pause; an upload that is under way waits for nobody, and has no time at all."""


class Worker:
    """Fetches what is due until `stop`.

    Args:
        store: Where files are noted.
        means: What fetching needs.
        workspaces: Returns those to look at.
        now: UTC.
    """

    def __init__(
        self,
        store: Store,
        means: Means,
        workspaces: Callable[[], Iterable[str]],
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._means = means
        self._workspaces = workspaces
        self._now = now
        self._behind: dict[str, Cursor] = {}
        self._looks: list[tuple[float, str]] = []
        self._running: dict[str, asyncio.Task[None]] = {}
        self._shares: Counter[str] = Counter()
        self._wake = asyncio.Event()

    def noted(self, workspace: str, *, in_s: float = 0.0) -> None:
        """Look at a workspace soon."""
        heapq.heappush(self._looks, (time.monotonic() + in_s, workspace))
        self._wake.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until *stop*; what is being fetched then is given back."""
        stopping = asyncio.create_task(stop.wait())
        swept_at = 0.0
        try:
            while not stop.is_set():
                if time.monotonic() >= swept_at + SWEEP_EVERY_S:
                    swept_at = time.monotonic()
                    await self._sweep()
                await self._fill()
                await self._pause(stopping, swept_at + SWEEP_EVERY_S)
        finally:
            stopping.cancel()
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _sweep(self) -> None:
        pending = 0
        for workspace in self._workspaces():
            self.noted(workspace)
            with suppress(StoreUnavailableError):
                to_fetch: Where = {"state": "pending", "fetch_at": Range(lt=self._now() + _FAR)}
                pending += await self._store.count(ATTACHMENTS, workspace, to_fetch)
        metrics.MEDIA_PENDING.set(pending)

    async def _pause(self, stopping: asyncio.Task[object], until: float) -> None:
        """Wait for news, for what is due next, or for a stop."""
        self._wake.clear()
        full = len(self._running) >= AT_ONCE
        due = (
            until if full or not self._looks else min(until, self._looks[0][0])
        ) - time.monotonic()
        waking = asyncio.create_task(self._wake.wait())
        await asyncio.wait(
            {stopping, waking}, timeout=max(due, 0), return_when=asyncio.FIRST_COMPLETED
        )
        waking.cancel()

    async def _fill(self) -> None:
        """Begin what is due while there is room."""
        clock = time.monotonic()
        due = set()
        while self._looks and self._looks[0][0] <= clock:
            due.add(heapq.heappop(self._looks)[1])
        for workspace in due:
            try:
                await self._begin(workspace)
            except StoreUnavailableError as error:
                log.warning("media.store_away", extra={"reason": error.detail})
                self.noted(workspace, in_s=1.0)

    async def _begin(self, workspace: str) -> None:
        """Take what is due; where that is much, look on behind it soon, and then from the front."""
        after = self._behind.pop(workspace, None)
        for _ in range(_PAGES):
            page = Page(order="expiring", after=after, limit=_PAGE)
            where: Where = {"state": "pending", "fetch_at": Range(lt=self._now())}
            found = await self._store.find(ATTACHMENTS, workspace, where, page)
            for doc in found:
                if len(self._running) >= AT_ONCE:
                    self.noted(workspace)  # looked at again as soon as there is room
                    return
                await self._take(doc)
            if len(found) < _PAGE:
                return
            after = cursor(ATTACHMENTS, "expiring", found[-1])
        if after is not None:  # else an account without room would hide the others behind it
            self._behind[workspace] = after
            self.noted(workspace, in_s=_ON_S)

    async def _take(self, doc: Attachment) -> None:
        key = f"{doc.workspace}/{doc.id}"
        if key in self._running or not self._has_share(doc):
            return
        claim = Claim(self._store, doc, self._now)
        if await claim.take():
            self._shares.update(list(_shares(doc)))
            task = self._running[key] = asyncio.create_task(self._work(claim))
            task.add_done_callback(lambda _: self._done(key, doc))

    def _has_share(self, doc: Attachment) -> bool:
        return all(self._shares[name] < most for name, most in _shares(doc).items())

    def _done(self, key: str, doc: Attachment) -> None:
        del self._running[key]
        self._shares -= Counter(list(_shares(doc)))  # forgets those at zero
        self.noted(doc.workspace)

    async def _work(self, claim: Claim) -> None:
        try:
            async with claim.kept():
                ended = await self._outcome(claim.doc)
            await claim.settle(ended)
        except asyncio.CancelledError:
            await claim.give_back()
            raise
        except (StaleRevisionError, StoreUnavailableError) as error:  # found again after the lease
            log.warning("media.not_settled", extra={"file": claim.doc.id, "reason": error.code})
        else:
            if ended.fetch_at is not None:
                pause_s = (ended.fetch_at - self._now()).total_seconds()
                self.noted(ended.workspace, in_s=max(pause_s, 0.0) + _MARGIN_S)

    async def _outcome(self, doc: Attachment) -> Attachment:
        """Try once; return what the file's document is to say."""
        channel = metrics.channel_label(self._channel(doc))
        began = time.monotonic()
        ended = await self._tried(doc)
        metrics.MEDIA_SECONDS.labels(channel).observe(time.monotonic() - began)
        label = "again" if ended.state == "pending" else ended.reason or "stored"
        metrics.MEDIA_FETCHED.labels(channel, label).inc()
        if ended.state == "stored":
            metrics.MEDIA_BYTES.labels(channel).inc(ended.size_bytes)
        extra = {"file": doc.id, "account": doc.account, "outcome": label, "tries": doc.tries}
        log.info("media.fetched", extra=extra)
        return ended

    async def _tried(self, doc: Attachment) -> Attachment:
        if doc.fetch_before is not None and self._now() >= doc.fetch_before:
            return failed(doc, "gone")
        try:
            part = await self._part(doc)
            if part is None:
                return failed(doc, "gone")
            return stored(doc, part, await fetch(self._means, doc, part))
        except GatewayError as error:
            return after_failure(doc, error, self._now())
        except Exception:  # a bug of ours or of a channel: it must not be tried without a pause
            log.exception("media.bug", extra={"file": doc.id, "account": doc.account})
            return after_failure(doc, NotSentError("a bug"), self._now())

    async def _part(self, doc: Attachment) -> MediaPart | None:
        message = await self._store.get(MESSAGES, doc.workspace, doc.message)
        parts = message.parts if message else ()
        part = parts[doc.part] if doc.part < len(parts) else None
        return part if isinstance(part, MediaPart) else None

    def _channel(self, doc: Attachment) -> str:
        account = self._means.account(doc.account)
        return account.channel if account else ""


def _shares(doc: Attachment) -> dict[str, int]:
    """Return the shares that a fetch of *doc*, as it was found, takes from, and their sizes."""
    shares = {
        f"workspace {doc.workspace}": AT_ONCE_PER_WORKSPACE,
        f"account {doc.account}": AT_ONCE_PER_ACCOUNT,
    }
    if doc.tries:
        shares[f"again {doc.account}"] = AGAIN_PER_ACCOUNT
    return shares
