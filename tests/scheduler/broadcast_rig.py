"""What tests of broadcasts share: a workspace with contacts, and the services as processes."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from libs.common.armed import arm_again
from libs.common.broadcasts import started
from libs.common.bus.client import Bus
from libs.common.channel import Account
from libs.common.directory import AccountEntry, seal_context
from libs.common.documents import (
    ACCOUNTS,
    CONTACTS,
    DIRECTORY,
    IDENTITIES,
    SESSIONS,
    SYSTEM,
    AccountDocument,
    Contact,
    DirectoryEntry,
    Identity,
    Session,
)
from libs.common.errors import StaleRevisionError
from libs.common.events import TextPart
from libs.common.ids import derive_id
from libs.common.later import BROADCASTS, RECIPIENTS, Audience, Broadcast, Recipient
from libs.common.policy import Policy
from libs.common.seal import Sealer
from libs.common.store.api import Cursor, Page, Store, cursor
from libs.common.subjects import ACCOUNTS_KV, POLICY_KV
from libs.common.switches import Settings
from tests.router.processes import Process
from tests.scheduler.rig import Scheduler
from tests.simulate.accounts import account

T = TypeVar("T")
TAG = "tag_vip"
AGO = timedelta(hours=2)


class Notifier(Process):
    """One notifier process."""

    module = "services.notifier"


class Services:
    """A router, a notifier and a scheduler on one NATS server and one store."""

    def __init__(self, folder: Path, nats_url: str, key: str) -> None:
        self.store_url = f"sqlite:///{folder / 'store.db'}"
        self.nats_url = nats_url
        self.key = key
        environ = {
            "RELAYDESK_NATS_URL": nats_url,
            "RELAYDESK_STORE_URL": self.store_url,
            "RELAYDESK_SECRET_KEY": key,
            "RELAYDESK_LOG_LEVEL": "warning",
        }
        self.router = Process("router", folder, environ)
        self.notifier = Notifier("notifier", folder, environ)
        self.scheduler = Scheduler("scheduler", folder, environ)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Start all, and stop them at the end."""
        processes = (self.router, self.notifier, self.scheduler)
        with ThreadPoolExecutor() as threads:
            begun = [threads.submit(process.start) for process in processes]
        try:
            for one in begun:
                one.result()
            yield
        finally:
            with ThreadPoolExecutor() as threads:
                codes = list(threads.map(lambda process: process.stop(), processes))
        assert codes == [0, 0, 0]


class Town:
    """A workspace of the test's own, its accounts, contacts and broadcasts."""

    def __init__(self, bus: Bus, store: Store, key: str) -> None:
        self.bus = bus
        self.store = store
        self.workspace = f"w{uuid.uuid4().hex[:8]}"
        self._sealer = Sealer.from_setting(key)

    async def settle(self, **settings: Any) -> None:
        """Set the switches, and let the services know of the workspace."""
        entry = DirectoryEntry(
            id=f"workspace:{self.workspace}",
            workspace=SYSTEM,
            kind="workspace",
            targets=(self.workspace,),
        )
        await self.store.insert(DIRECTORY, entry)
        policy = Policy(settings=Settings(**settings))
        await self.bus.kv_put(POLICY_KV, self.workspace, msgspec.json.encode(policy))

    async def connect(self, channel: str, api_base: Callable[[str], str], **more: Any) -> Account:
        """Connect an account of *channel*, in the store and for the services."""
        slug = f"{self.workspace}-{channel.replace('_', '-')}"
        of = msgspec.structs.replace(
            account(channel, slug=slug, api_base=api_base(slug)), workspace=self.workspace, **more
        )
        entry = AccountEntry(
            workspace=of.workspace,
            slug=slug,
            channel=channel,
            external_id=of.external_id,
            app=of.app,
            api_base=of.api_base,
            templates=of.templates,
            sealed={
                name: self._sealer.seal(value, seal_context(of.workspace, slug, name))
                for name, value in of.secrets.items()
            },
        )
        document = AccountDocument(
            id=slug, workspace=self.workspace, channel=channel, external_id=of.external_id
        )
        await self.store.insert(ACCOUNTS, document)
        await self.bus.kv_put(ACCOUNTS_KV, slug, msgspec.json.encode(entry))
        await asyncio.sleep(0.3)  # until the watches have brought it
        return of

    async def people(self, count: int, of: Account, *, tagged: bool = True, **more: Any) -> None:
        """Store followers of an account, of whom none has written yet."""
        contacts, identities = [], []
        for number in range(count):
            contact = self.contact(f"{of.slug}-{tagged}-{number}", tagged=tagged, **more)
            contacts.append(contact)
            identities.append(self.identity(contact, of, f"U-{tagged}-{number}"))
        for start in range(0, count, 200):
            await self.store.insert_many(CONTACTS, contacts[start : start + 200])
            await self.store.insert_many(IDENTITIES, identities[start : start + 200])

    def contact(self, name: str, *, tagged: bool = True, **more: Any) -> Contact:
        """Return a contact."""
        return Contact(
            id=derive_id("con", self.workspace, name),
            workspace=self.workspace,
            name=name,
            tags=(TAG,) if tagged else (),
            first_seen_at=datetime.now(UTC),
            **more,
        )

    def identity(self, contact: Contact, of: Account, visitor: str) -> Identity:
        """Return the identity of a contact on an account."""
        return Identity(
            id=derive_id("idn", self.workspace, of.slug, visitor),
            workspace=self.workspace,
            account=of.slug,
            channel=of.channel,
            visitor=visitor,
            contact=contact.id,
            first_seen_at=contact.first_seen_at,
        )

    async def talked(self, contact: Contact, of: Account, visitor: str, **more: Any) -> Session:
        """Store an open session of a contact, who wrote some time ago."""
        at = datetime.now(UTC) - AGO
        session = Session(
            **{
                "id": derive_id("ses", self.workspace, of.slug, visitor),
                "workspace": self.workspace,
                "account": of.slug,
                "channel": of.channel,
                "visitor": visitor,
                "contact": contact.id,
                "list": "unassigned",
                "open_key": f"{of.slug}|{visitor}",
                "created_at": at,
                "updated_at": at,
                "last_inbound_at": at,
                "window_at": at,
                **more,
            }
        )
        return await self.store.insert(SESSIONS, session)

    def draft(self, text: str = "hello", **more: Any) -> Broadcast:
        """Return a broadcast that has not been started."""
        now = datetime.now(UTC)
        return Broadcast(
            **{
                "id": f"brd_{uuid.uuid4().hex}",
                "workspace": self.workspace,
                "name": "news",
                "author": "amy",
                "author_name": "Amy",
                "audience": Audience(tags=(TAG,)),
                "parts": (TextPart(text=text),),
                "created_at": now,
                "updated_at": now,
                **more,
            }
        )

    async def start(self, broadcast: Broadcast) -> Broadcast:
        """Store and start it, as desk does."""
        ready = started(broadcast, datetime.now(UTC))
        assert ready is not None
        written = await self.store.insert(BROADCASTS, ready)
        return await arm_again(self.bus, self.store, BROADCASTS, written)

    async def act(
        self, broadcast: Broadcast, change: Callable[[Broadcast, datetime], Broadcast | None]
    ) -> Broadcast:
        """Change it by compare-and-set, as desk does; arm what there is to arm."""
        while True:
            stored = await self.broadcast(broadcast.id)
            after = change(stored, datetime.now(UTC))
            assert after is not None
            try:
                written = await self.store.replace(BROADCASTS, after)
            except StaleRevisionError:
                continue
            return await arm_again(self.bus, self.store, BROADCASTS, written)

    async def broadcast(self, id_: str) -> Broadcast:
        """Return it as it is stored."""
        found = await self.store.get(BROADCASTS, self.workspace, id_)
        assert found is not None
        return found

    async def in_state(self, broadcast: Broadcast, *states: str, within_s: float = 30) -> Broadcast:
        """Wait until it stands in one of *states*."""

        async def there() -> Broadcast | None:
            found = await self.broadcast(broadcast.id)
            return found if found.state in states else None

        return await until(there, f"{states}", within_s=within_s)

    async def recipients(self, broadcast: Broadcast) -> list[Recipient]:
        """Return all of its recipients."""
        found: list[Recipient] = []
        after: Cursor | None = None
        while True:
            page = Page(order="broadcast", after=after, limit=1000)
            where = {"broadcast": broadcast.id}
            rows = await self.store.find(RECIPIENTS, self.workspace, where, page)
            found += rows
            if len(rows) < 1000:
                return found
            after = cursor(RECIPIENTS, "broadcast", rows[-1])

    async def states(self, broadcast: Broadcast) -> Counter[str]:
        """Return how many recipients stand in each state."""
        return Counter(row.state for row in await self.recipients(broadcast))


async def until(
    found: Callable[[], Awaitable[T | None]], what: str, *, within_s: float = 30.0
) -> T:
    """Ask *found* again and again; return its first answer that is something."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                answer = await found()
                if answer:
                    return answer
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {within_s} s: {what}") from None
