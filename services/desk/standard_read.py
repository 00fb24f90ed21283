"""Reading folders and standard messages as their reader may see them."""

from __future__ import annotations

from collections.abc import Mapping

from libs.common.errors import NotFoundError
from libs.common.later import FOLDERS, STANDARD_MESSAGES, Folder, StandardMessage
from libs.common.standard import Reader, sees
from libs.common.store.api import Page, Store
from services.desk.api.route import RANK, Call

MOST_FOLDERS = 499
"""Folders of one workspace: with "in none" as many as a query may choose from."""
NONE = "none"
"""Stands for no folder in paths and queries."""

Folders = Mapping[str, Folder]
"""Folders by id, in their order."""


async def reader_of(call: Call, *, keeps: bool | None = None) -> Reader:
    """Return who looks at folders; leads and above keep them, unless said otherwise."""
    agent = await call.desk.store.agent(call.who.workspace, call.who.agent)
    return Reader(
        agent=call.who.agent,
        teams=agent.teams if agent else (),
        channels=call.who.scope.channels,
        keeps=RANK[call.who.role] >= RANK["lead"] if keeps is None else keeps,
    )


async def all_folders(store: Store, workspace: str) -> dict[str, Folder]:
    """Return the folders of *workspace* by id, in their order."""
    page = Page(order="place", limit=MOST_FOLDERS + 100)
    return {one.id: one for one in await store.find(FOLDERS, workspace, {}, page)}


async def folder_of(call: Call, wanted: str) -> Folder:
    """Return the folder of this id.

    Raises:
        NotFoundError: This workspace has none, or the caller does not see it.
    """
    found = await call.desk.store.port.get(FOLDERS, call.who.workspace, wanted)
    if found is None or not sees(found, await reader_of(call)):
        raise NotFoundError("There is no such folder.")
    return found


async def message_of(call: Call, wanted: str, channel: str = "") -> StandardMessage:
    """Return the standard message of this id; of *channel* only, where one is given.

    Raises:
        NotFoundError: This workspace has none, or the caller does not see its folder.
    """
    found = await call.desk.store.port.get(STANDARD_MESSAGES, call.who.workspace, wanted)
    if found is None or not await _is_seen(call, found, channel):
        raise NotFoundError("There is no such standard message.")
    return found


async def _is_seen(call: Call, found: StandardMessage, channel: str) -> bool:
    if not found.folder:
        return True
    folder = await call.desk.store.port.get(FOLDERS, found.workspace, found.folder)
    reader = await reader_of(call)
    return reader.keeps and not channel if folder is None else sees(folder, reader, channel)
