"""`relaydesk replay`: rebuild sessions and messages from the streams. Run by the command line.

Nothing is published, so nothing is sent, told or armed again; the store gets what it lacks and
keeps what it has, so that running it twice, or beside live services, is harmless. Not so where the
store is an older one: it is brought up to the streams before anybody writes to it, see
docs/operations/backup.md. With routers on it such a run ends with words.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from libs.common.bus.client import Bus, open_bus
from libs.common.config import RouterSettings, load
from libs.common.directory import Directory, watched
from libs.common.documents import COLLECTIONS, CONTACTS, IDENTITIES, MESSAGES, SESSIONS, Session
from libs.common.erased import Erased, erasure_keys, watched_erased
from libs.common.errors import GatewayError, NotFoundError, PermanentError, StaleRevisionError
from libs.common.events import Inbound
from libs.common.seal import Sealer
from libs.common.store.api import Store
from libs.common.store.open import open_store
from libs.common.subjects import HISTORY
from services.router.app import messages_of_page
from services.router.batch import Batch
from services.router.entry import Arrival
from services.router.history import decode_was
from services.router.quiet import quiet_batch
from services.router.replay_lost import put_back
from services.router.replay_raw import read_again
from services.router.replay_restore import Found, Restorer
from services.router.replay_sent import Sent
from services.router.replay_source import Item, Wanted, merged
from services.router.scratch import Scratch, entry_id

BATCH = 200
TRIES = 5
TELL_EVERY_S = 5.0
KINDS = (SESSIONS, MESSAGES, IDENTITIES, CONTACTS)

Tell = Callable[[str], None]


class Replayer:
    """One run.

    Args:
        bus: The streams.
        store: What is to be mended.
        directory: Policies and accounts.
        erased: Who was erased since: nothing of theirs comes back.
        tell: Told how it gets on.
    """

    def __init__(
        self, bus: Bus, store: Store, directory: Directory, erased: Erased, tell: Tell
    ) -> None:
        self._bus = bus
        self._store = store
        self._directory = directory
        self._erased = erased
        self._tell = tell
        self._told_at = 0.0
        self._at = datetime.now(UTC)

    async def run(self, wanted: Wanted) -> Found:
        """Rebuild what is *wanted*; return what was found and done.

        Raises:
            NotFoundError: What it names is in no stream.
            GatewayError: The bus or the store is away; what was done stays, run it again.
        """
        found = Found()
        if wanted.what == "event" or wanted.source == "raw":
            await self._repair_named(wanted, found)
        else:
            await self._rebuild(wanted, found)
        if wanted.what == "account" and not found.events:
            self._see_account(wanted.names[0])
        return found

    def _see_account(self, slug: str) -> None:
        if self._directory.known(slug) is None:
            raise NotFoundError(f"there is no account {slug}, and no stream tells of it")

    async def _rebuild(self, wanted: Wanted, found: Found) -> None:
        account = await self._account(wanted)
        async with self._beside() as scratch:
            await self._fill(scratch, wanted, account, found)
            only = wanted.names[0] if wanted.what == "session" else ""
            if only and only not in scratch.snapped:
                raise NotFoundError(f"no stream tells of the session {only} (any more)")
            repair = partial(self._repair, found=found)
            for workspace in sorted({a.inbound.workspace for a in scratch.events.values()}):
                restorer = Restorer(
                    self._bus, self._store, scratch, repair, only=only, dry_run=wanted.dry_run
                )
                await restorer.run(workspace, found)
                sent = Sent(self._store, scratch, only=only, dry_run=wanted.dry_run)
                await sent.run(workspace, found)

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[Scratch]:
        """Make a scratch in a temporary file."""
        sibling = partial(messages_of_page, self._directory)
        with tempfile.TemporaryDirectory(prefix="relaydesk-replay-") as folder:
            async with open_store(f"sqlite:///{Path(folder) / 'scratch.db'}", KINDS) as store:
                yield Scratch(store, self._directory.policy, self._directory.known, sibling)

    async def _account(self, wanted: Wanted) -> str:
        """Return whose events are needed; empty: everybody's."""
        if wanted.what == "account":
            return wanted.names[0]
        if wanted.what == "all":
            return ""
        rows = await self._bus.read(HISTORY, f"was.*.{wanted.names[0]}", limit=1)
        if not rows:
            raise NotFoundError(f"no stream tells of the session {wanted.names[0]} (any more)")
        return decode_was(rows[0].data).session.account

    async def _fill(self, scratch: Scratch, wanted: Wanted, account: str, found: Found) -> None:
        until = datetime.now(UTC) - timedelta(seconds=wanted.settle_s)
        waiting: list[Arrival] = []
        at = until
        async for item in self._paced(merged(self._bus, account, wanted.since, until), wanted):
            if item.arrival is not None and not self._erased.drops(item.arrival.inbound):
                found.events += 1
                waiting.append(item.arrival)
                at = item.at
            if waiting and (item.was is not None or len(waiting) >= BATCH):
                await scratch.fold(waiting, at)
                waiting = []
            if item.was is not None and not self._is_erased(item.was.session):
                found.writes += 1
                await scratch.lay_over(item.was, item.at)
            self._say(f"{found.events} events, {found.writes} writes read")
        if waiting:
            await scratch.fold(waiting, at)

    async def _paced(self, items: AsyncIterator[Item], wanted: Wanted) -> AsyncIterator[Item]:
        began, count = time.monotonic(), 0
        async for item in items:
            yield item
            count += 1
            if wanted.rate and count % 50 == 0:
                await asyncio.sleep(max(began + count / wanted.rate - time.monotonic(), 0))

    async def _repair_named(self, wanted: Wanted, found: Found) -> None:
        """Bring single events into the store as it stands."""
        until = datetime.now(UTC) - timedelta(seconds=wanted.settle_s)
        account = wanted.names[0] if wanted.what == "account" else ""
        names = frozenset(wanted.names if wanted.what == "event" else ())
        seen: set[str] = set()
        lacking: dict[tuple[str, str], dict[str, Arrival]] = {}
        source = merged(self._bus, account, wanted.since, until)
        if wanted.source == "raw":
            source = read_again(self._bus, self._directory, account, wanted.since, until)
        async for item in self._paced(source, wanted):
            arrival = item.arrival
            if arrival is None or self._erased.drops(arrival.inbound):
                continue
            called = _called(arrival.inbound)
            if names and not names & called:
                continue
            seen |= names & called
            found.events += 1
            if await self._lacks(arrival):
                inbound = arrival.inbound
                of_account = lacking.setdefault((inbound.workspace, inbound.account), {})
                of_account.setdefault(entry_id(inbound), arrival)
            self._say(f"{found.events} events looked at")
        for (workspace, slug), events in lacking.items():
            await self._bring_in(workspace, slug, events, wanted, found)
        if names - seen:
            raise NotFoundError(f"no stream tells of {', '.join(sorted(names - seen))} (any more)")

    async def _bring_in(
        self, workspace: str, account: str, events: dict[str, Arrival], wanted: Wanted, found: Found
    ) -> None:
        """Let *events*, by entry, be in the store: as their session counted them, else anew.

        Raises:
            PermanentError: Some did not come in.
        """
        async with self._beside() as scratch:
            await self._fill(scratch, msgspec.structs.replace(wanted, since=None), account, Found())
            dry = wanted.dry_run
            counted = await put_back(self._store, scratch, workspace, events, dry_run=dry)
        found.entries += len(counted)
        fresh = [arrival for id_, arrival in events.items() if id_ not in counted]
        found.repaired += len(fresh)
        if wanted.dry_run:
            return
        await self._repair(fresh, found=found)
        out = [one.inbound.event.event_id for one in events.values() if await self._lacks(one)]
        if out:
            raise PermanentError(
                f"{len(out)} events are not in the store though their sessions count them "
                f"({out[0]}): replay --session, --account or --all"
            )

    async def _lacks(self, arrival: Arrival) -> bool:
        """Tell whether an event has no entry; one with an entry is looked at by the fold."""
        inbound = arrival.inbound
        return await self._store.get(MESSAGES, inbound.workspace, entry_id(inbound)) is None

    async def _repair(self, arrivals: Sequence[Arrival], *, found: Found) -> None:  # noqa: ARG002
        """Fold *arrivals* into the store, in order, as the router would have, saying nothing."""
        sibling = partial(messages_of_page, self._directory)
        directory = self._directory
        batch = quiet_batch(
            self._store, directory.policy, directory.known, lambda: self._at, sibling
        )
        for first in range(0, len(arrivals), BATCH):
            some = arrivals[first : first + BATCH]
            self._at = some[-1].inbound.received_at
            for workspace in sorted({one.inbound.workspace for one in some}):
                placed = [
                    msgspec.structs.replace(one, place=place)
                    for place, one in enumerate(some)
                    if one.inbound.workspace == workspace
                ]
                await _apply(batch, workspace, placed)

    def _is_erased(self, session: Session) -> bool:
        since = self._erased.since(session.workspace, session.account, session.visitor)
        return since is not None and session.created_at < since

    def _say(self, words: str) -> None:
        if time.monotonic() - self._told_at > TELL_EVERY_S:
            self._told_at = time.monotonic()
            self._tell(words)


def _called(inbound: Inbound) -> set[str]:
    """Return what an event goes by; its id also as the provider tells it, without our prefix."""
    event_id = inbound.event.event_id
    return {event_id, event_id.partition(":")[2], inbound.ingest_id, entry_id(inbound)} - {""}


async def _apply(batch: Batch, workspace: str, arrivals: Sequence[Arrival]) -> None:
    """Apply *arrivals* until each has a result.

    Raises:
        StaleRevisionError: Some lose every race; what was done stays, run it again.
    """
    for _ in range(TRIES):
        results = await batch.apply(workspace, arrivals)
        arrivals = [one for one in arrivals if one.place not in results]
        if not arrivals:
            return
    raise StaleRevisionError(f"{len(arrivals)} events were not folded: others write their sessions")


async def replay(settings: RouterSettings, wanted: Wanted, tell: Tell) -> Found:
    """Connect, run once, and return what was found and done; raises as `Replayer.run`."""
    async with AsyncExitStack() as opened:
        bus = await opened.enter_async_context(
            open_bus(settings.nats_url, name="replay", provision=False)
        )
        store = await opened.enter_async_context(open_store(settings.store_url, COLLECTIONS))
        sealer = Sealer.from_setting(settings.secret_key)
        directory = await opened.enter_async_context(watched(bus, sealer))
        await directory.complete.wait()
        keys = erasure_keys(settings.secret_key)
        erased = await opened.enter_async_context(watched_erased(bus, keys))
        await erased.complete.wait()
        return await Replayer(bus, store, directory, erased, tell).run(wanted)


def lines(found: Found, *, dry_run: bool) -> list[str]:
    """Return what was found in words."""
    would = "would be " if dry_run else ""
    told = [
        f"read: {found.events} events, {found.writes} writes of sessions",
        f"sessions: {found.sessions} looked at, {found.restored} {would}restored",
        f"entries: {found.entries} {would}restored, {found.repaired} events {would}folded again",
        f"people: {found.contacts} contacts and {found.identities} identities {would}restored",
    ]
    if found.sends or found.later:
        told.append(
            f"went out already: {found.sends} messages {would}marked as sent, "
            f"{found.later} scheduled messages, recipients and emails {would}settled"
        )
    if found.stale:
        told.append(f"{found.stale} of the sessions stood at an earlier write")
    if found.forked:
        told.append(
            f"{found.forked} of these were written since, and {'would ' if dry_run else ''}stand "
            "so: who owns them, and whether they are ended, is as it was set there"
        )
    if found.superseded:
        told.append(f"{found.superseded} are stored as ended: the visitor has another one open")
    return told


def main(text: str) -> int:
    """Run what *text*, a `Wanted` as JSON, names; return the exit code."""
    wanted = msgspec.json.decode(text, type=Wanted)

    def tell(words: str) -> None:
        print(words, file=sys.stderr, flush=True)  # noqa: T201 (a command)

    try:
        found = asyncio.run(replay(load(RouterSettings, os.environ), wanted, tell))
    except GatewayError as error:
        tell(f"relaydesk: {error.detail}")
        return 2 if error.code == "settings" else 1
    print("\n".join(lines(found, dry_run=wanted.dry_run)))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
