"""What an apply of a file takes before it writes: names of the installation, and uploaded files."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import msgspec

from libs.common.documents import ATTACHMENTS, DIRECTORY, SYSTEM, Attachment, DirectoryEntry
from libs.common.errors import SettingsError, StaleRevisionError, UniqueConflictError
from libs.common.store.api import Store
from libs.common.workspace_file import WorkspaceFile

_PASSES = 10


async def claim(store: Store, file: WorkspaceFile) -> None:
    """Take the names that are unique in the installation, once all are seen to be free.

    What is claimed for an apply that then finds itself too late stays with the workspace.

    Raises:
        SettingsError: Another workspace has one.
    """
    kinds = _unique_names(file)
    known = await held(store, file)
    for name in [name for name in kinds if name not in known]:
        entry = DirectoryEntry(
            id=name, workspace=SYSTEM, kind=kinds[name], targets=(file.workspace,)
        )
        try:
            await store.insert(DIRECTORY, entry)
        except UniqueConflictError:
            found = await store.get(DIRECTORY, SYSTEM, name)
            if found is None or found.targets != (file.workspace,):
                raise SettingsError(f"{name} belongs to another workspace") from None
    for agent in file.agents:
        await _login(store, agent.email.lower(), file.workspace)


async def held(store: Store, file: WorkspaceFile) -> set[str]:
    """Return which names that are unique in the installation the workspace has already.

    Raises:
        SettingsError: Another workspace has one.
    """
    entries = await store.get_many(DIRECTORY, SYSTEM, sorted(_unique_names(file)))
    for name, entry in entries.items():
        if entry.targets != (file.workspace,):
            raise SettingsError(f"{name} belongs to another workspace")
    return set(entries)


async def _login(store: Store, email_key: str, workspace: str) -> None:
    name = f"login:{email_key}"
    for _ in range(_PASSES):
        found = await store.get(DIRECTORY, SYSTEM, name)
        if found is not None and workspace in found.targets:
            return
        targets = (*(found.targets if found else ()), workspace)
        entry = found or DirectoryEntry(id=name, workspace=SYSTEM, kind="login")
        after = msgspec.structs.replace(entry, targets=targets)
        with contextlib.suppress(StaleRevisionError, UniqueConflictError):
            await (store.replace(DIRECTORY, after) if found else store.insert(DIRECTORY, after))


async def keep_files(store: Store, file: WorkspaceFile, files: Mapping[str, Attachment]) -> None:
    """Note which standard message has a file, else it is swept as an upload that nobody sent.

    Raises:
        SettingsError: It was taken or swept just now.
    """
    users = {
        one.id: f"standard_message:{message.id}"
        for message in file.standard_messages or ()
        for one in message.attachments
    }
    for id_, user in users.items():
        found = files[id_]
        if found.message:
            continue
        try:
            await store.replace(ATTACHMENTS, msgspec.structs.replace(found, message=user))
        except StaleRevisionError:
            raise SettingsError(f"the file {id_} was used at the same time: plan again") from None


def _unique_names(file: WorkspaceFile) -> dict[str, str]:
    """Return the names of the file that are unique in the installation, with their kinds."""
    names = {f"workspace:{file.workspace}": "workspace"}
    return names | {f"account:{account.slug}": "account" for account in file.accounts}
