"""A router that folds events and does nothing else: no decision, no word to anybody. For replay.

The same code places the events as in the live router; what it would say goes nowhere, and what it
would decide is switched off, as what was decided is on HISTORY.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

import msgspec

from libs.common.bus.delivery import PubAck
from libs.common.channel import Account
from libs.common.documents import Session
from libs.common.policy import Policy
from libs.common.store.api import Collection, Document, Store
from libs.common.switches import ChannelSettings, Survey
from services.router.batch import Batch
from services.router.draft import cleared
from services.router.outbox import Outbox
from services.router.rooms import Rooms
from services.router.seats import Seats

D = TypeVar("D", bound=Document)


class Silence:
    """A bus that confirms everything and publishes nothing."""

    def publish_soon(
        self,
        subject: str,  # noqa: ARG002 (the port's)
        data: bytes,  # noqa: ARG002
        *,
        msg_id: str,  # noqa: ARG002
        headers: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> asyncio.Future[PubAck]:
        """See `Bus.publish_soon`."""
        future: asyncio.Future[PubAck] = asyncio.get_running_loop().create_future()
        future.set_result(PubAck(sequence=0, duplicate=False))
        return future


class Unsaid:
    """A store whose sessions are written with an empty outbox: no sweeper ever says them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        """Do all else as the store does."""
        return getattr(self._store, name)

    async def insert_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """See `Store.insert_many`."""
        return await self._store.insert_many(collection, [_unsaid(doc) for doc in docs])

    async def replace_many(self, collection: Collection[D], docs: Sequence[D]) -> dict[str, str]:
        """See `Store.replace_many`."""
        return await self._store.replace_many(collection, [_unsaid(doc) for doc in docs])


def _unsaid(doc: D) -> D:
    return cast("D", cleared(doc)) if isinstance(doc, Session) else doc


def quiet(policy: Policy) -> Policy:
    """Return *policy* without all that decides, speaks or assigns; its clocks still hold."""
    settings = policy.settings
    still = msgspec.structs.replace(
        settings,
        auto_assign=False,
        calendar="",
        survey=Survey(),
        channels=_still(settings.channels),
        accounts=_still(settings.accounts),
    )
    return Policy(version=policy.version, settings=still)


def _still(overrides: dict[str, ChannelSettings]) -> dict[str, ChannelSettings]:
    return {
        name: msgspec.structs.replace(one, auto_assign=False) for name, one in overrides.items()
    }


def quiet_batch(
    store: Store,
    policy: Callable[[str], Policy],
    account: Callable[[str], Account | None],
    now: Callable[[], datetime],
    sibling: Callable[[str], str] = str,
) -> Batch:
    """Return what folds events into *store*, by the clock *now*, and says nothing."""
    written = cast("Store", Unsaid(store))
    known: dict[str, tuple[Policy, Policy]] = {}

    def still(workspace: str) -> Policy:
        found = policy(workspace)
        if workspace not in known or known[workspace][0] is not found:
            known[workspace] = (found, quiet(found))
        return known[workspace][1]

    seats = Seats(written, now)
    outbox = Outbox(written, Silence(), now, seats=seats)
    rooms = Rooms(still, seats, account=account, quiet=True)
    return Batch(written, outbox, rooms, now, sibling=sibling)
