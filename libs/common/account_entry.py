"""Telling the services of one account that has changed: its entry in the directory's bucket."""

from __future__ import annotations

import msgspec

from libs.common.bus.client import Bus
from libs.common.documents import ACCOUNTS
from libs.common.errors import StaleRevisionError
from libs.common.store.api import Store
from libs.common.subjects import ACCOUNTS_KV
from libs.common.workspace import directory_entry

_TRIES = 5


async def publish_account(store: Store, bus: Bus, workspace: str, slug: str) -> None:
    """Make the bucket say of an account what the store says.

    The bucket is read first, as by `publish_directory`: an entry that somebody else wrote in
    between is looked at again. What is left over after some tries the reconciler mends.

    Raises:
        BusUnavailableError: The bucket could not be read or written.
    """
    for _ in range(_TRIES):
        present = await bus.kv_get(ACCOUNTS_KV, slug)
        found = await store.get(ACCOUNTS, workspace, slug)
        if found is None:
            if present is not None:
                await bus.kv_delete(ACCOUNTS_KV, slug)
            return
        value = msgspec.json.encode(directory_entry(found))
        if present is not None and present.value == value:
            return
        try:
            revision = present.revision if present else None
            await bus.kv_put(ACCOUNTS_KV, slug, value, expected_revision=revision)
        except StaleRevisionError:
            continue
        return
