"""The order of folders and of what is in them, and deleting a folder with all of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from libs.common.documents import AUDIT
from libs.common.errors import InvalidInputError
from libs.common.later import FOLDERS, STANDARD_MESSAGES, STANDARD_USES, Folder, StandardMessage
from libs.common.standard import sees
from libs.common.store.api import Collection, Page, cursor
from services.desk.api.act import confirmation_required, is_confirmed
from services.desk.api.folder_body import (
    MOST_MESSAGES,
    DeleteQuery,
    FolderGone,
    FolderOrder,
    ItemOrder,
    Ordered,
)
from services.desk.api.problem import RefusalError
from services.desk.api.route import Call, Reply
from services.desk.audited import entry, remove
from services.desk.policy_store import expected_version
from services.desk.standard_read import NONE, all_folders, folder_of, reader_of

_PAGE = 500

P = TypeVar("P", Folder, StandardMessage)


# --- order -------------------------------------------------------------------------------------


async def order_folders(call: Call) -> Reply:
    """Order the folders; a repeat changes nothing.

    Raises:
        InvalidInputError: They are not all of the folders, each once.
        RefusalError: 409, somebody changes one right now.
    """
    body: FolderOrder = call.body
    reader = await reader_of(call)
    found = await all_folders(call.desk.store.port, call.who.workspace)
    seen = [one for one in found.values() if sees(one, reader)]
    return await _ordered(call, FOLDERS, seen, body.folders, "folders")


async def order_messages(call: Call) -> Reply:
    """Order the messages of a folder, or with `none` those in no folder (B34).

    Raises:
        InvalidInputError: They are not all of its messages, each once.
        NotFoundError: No such folder in this workspace.
        RefusalError: 409, somebody changes one right now.
    """
    body: ItemOrder = call.body
    wanted = call.params["id"]
    folder = "" if wanted == NONE else (await folder_of(call, wanted)).id
    found = await _items(call, folder)
    return await _ordered(call, STANDARD_MESSAGES, found, body.messages, "messages")


async def _ordered(
    call: Call, collection: Collection[P], found: Sequence[P], wanted: Sequence[str], field: str
) -> Reply:
    by_id = {one.id: one for one in found}
    if len(set(wanted)) != len(wanted) or set(wanted) != set(by_id):
        allowed = f"the ids of all {len(found)} that are there, each once"
        raise InvalidInputError(f"{field}: name {allowed}.", field=field, allowed=allowed)
    fresh = [
        msgspec.structs.replace(by_id[id_], place=place)
        for place, id_ in enumerate(wanted)
        if by_id[id_].place != place
    ]
    if not fresh:
        return Reply(body=Ordered(moved=0))
    about = f"folder:{call.params.get('id', 'all')}"
    before = [one.id for one in found]
    port = call.desk.store.port
    await port.insert(AUDIT, entry(call, "folder.order", about, before, wanted))
    refused: dict[str, str] = {}
    for start in range(0, len(fresh), _PAGE):
        refused |= await port.replace_many(collection, fresh[start : start + _PAGE])
    if refused:
        raise RefusalError(409, "changed_meanwhile", "Others make changes right now; try again.")
    return Reply(body=Ordered(moved=len(fresh)))


# --- deleting ----------------------------------------------------------------------------------


async def delete(call: Call) -> Reply:
    """Delete a folder with what is in it, once that is confirmed (B39); the record keeps all.

    Raises:
        NotFoundError: No such folder in this workspace.
        RefusalError: 409 `confirmation_required` with `token`, `expires_at`, `count` and
            `summary`; 412, `If-Match` names another version.
    """
    query: DeleteQuery = call.query
    found = await folder_of(call, call.params["id"])
    expected = expected_version(call)
    if expected is not None and found.rev != expected:
        raise RefusalError(412, "changed_meanwhile", "It was changed since; read it again.")
    port = call.desk.store.port
    where = {"folder": found.id}
    count = await port.count(STANDARD_MESSAGES, found.workspace, where, limit=2 * MOST_MESSAGES)
    context = f"folder:{found.workspace}/{found.id}:{count}:{call.who.agent}"
    if not is_confirmed(call, query.confirm, context):
        raise _unconfirmed(call, found, context, count)
    deleted = await _empty(call, found)
    await remove(call, FOLDERS, found, entry(call, "folder.delete", f"folder:{found.id}", found))
    deleted += await _empty(call, found)  # what came in meanwhile
    return Reply(body=FolderGone(deleted=deleted))


def _unconfirmed(call: Call, found: Folder, context: str, count: int) -> RefusalError:
    things = "1 standard message" if count == 1 else f"{count} standard messages"
    refusal = confirmation_required(call, context, f"Delete the folder {found.name} with {things}?")
    refusal.detail = "Repeat the call with `confirm` set to this token to delete the folder."
    refusal.facts = {**refusal.facts, "count": str(count)}
    return refusal


async def _empty(call: Call, folder: Folder) -> int:
    """Delete what is in *folder*; each has its own record, so that a crash loses none."""
    port = call.desk.store.port
    deleted = 0
    while True:
        page = Page(order="folder", limit=_PAGE)
        found = await port.find(STANDARD_MESSAGES, folder.workspace, {"folder": folder.id}, page)
        if not found:
            return deleted
        records = [
            entry(call, "standard_message.delete", f"standard_message:{one.id}", one)
            for one in found
        ]
        await port.insert_many(AUDIT, records)
        for one in found:
            deleted += await port.delete(STANDARD_MESSAGES, folder.workspace, one.id)
            await port.delete(STANDARD_USES, folder.workspace, one.id)


async def _items(call: Call, folder: str) -> list[StandardMessage]:
    found: list[StandardMessage] = []
    after: tuple[str | int | bool | datetime, ...] | None = None
    while True:
        page = Page(order="folder", after=after, limit=_PAGE)
        rows = await call.desk.store.port.find(
            STANDARD_MESSAGES, call.who.workspace, {"folder": folder}, page
        )
        found += rows
        if len(rows) < _PAGE:
            return found
        after = cursor(STANDARD_MESSAGES, "folder", rows[-1])
