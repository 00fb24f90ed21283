"""Which versions of the project may use a store: its schema, and who may still work with it.

The entry `schema` of the directory says the schema that `relaydesk migrate` last made, and the
oldest schema whose processes may read and write beside it. A process that knows only an older one
does not start, and neither does one that has forgotten how to read what is there.
"""

from __future__ import annotations

import msgspec

from libs.common.documents import DIRECTORY, SYSTEM, DirectoryEntry
from libs.common.errors import SettingsError, StaleRevisionError, UniqueConflictError
from libs.common.store.api import Store

SCHEMA = 1
"""Of this version. Raised with a change that `docs/operations/upgrade.md` calls one of schema."""
BESIDE = 1
"""The oldest schema whose processes may work on a store that this version has migrated."""
READS = 1
"""The oldest schema that this version can read."""
_ID = "schema"


class Marked(msgspec.Struct, frozen=True):
    """What a store says of itself."""

    schema: int
    beside: int


async def marked(store: Store) -> Marked | None:
    """Return what the store says of itself; None: it was never migrated.

    Raises:
        SettingsError: It says nothing that can be read.
    """
    entry = await store.get(DIRECTORY, SYSTEM, _ID)
    return None if entry is None else _read(entry)


def _read(entry: DirectoryEntry) -> Marked:
    numbers = [int(text) for text in entry.targets if text.isascii() and text.isdecimal()]
    if len(numbers) != len(entry.targets) or len(numbers) not in {1, 2}:
        raise SettingsError("the store's entry `schema` cannot be read: is it Relaydesk's?")
    return Marked(numbers[0], numbers[-1])


async def check_schema(store: Store) -> None:
    """Refuse a store that this version must not work on; one without a mark is a new one.

    Raises:
        SettingsError: Says which version is needed, and what to run.
    """
    found = await marked(store)
    if found is not None:
        _check(found)


def _check(found: Marked) -> None:
    if found.beside > SCHEMA:
        raise SettingsError(
            f"the store has schema {found.schema}, which needs processes of schema {found.beside} "
            f"or newer; this version has {SCHEMA}: run the newer version, or restore the backup "
            "that was made before the upgrade"
        )
    if found.schema < READS:
        raise SettingsError(
            f"the store has schema {found.schema}; this version reads {READS} to {SCHEMA}: run "
            "`relaydesk migrate` of the version in between first"
        )


async def mark_schema(store: Store) -> None:
    """Note the schema of this version; a store that a newer one has migrated stays as it is.

    Raises:
        SettingsError: This version must not work on the store.
    """
    entry = DirectoryEntry(
        id=_ID, workspace=SYSTEM, kind="schema", targets=(str(SCHEMA), str(BESIDE))
    )
    try:
        await store.insert(DIRECTORY, entry)
    except UniqueConflictError:
        await _raise_mark(store)


async def _raise_mark(store: Store) -> None:
    while (entry := await store.get(DIRECTORY, SYSTEM, _ID)) is not None:
        found = _read(entry)
        _check(found)
        if found.schema >= SCHEMA:
            return
        raised = msgspec.structs.replace(entry, targets=(str(SCHEMA), str(BESIDE)))
        try:
            await store.replace(DIRECTORY, raised)
        except StaleRevisionError:
            continue
        return
