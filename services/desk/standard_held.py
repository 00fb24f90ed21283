"""What a workspace has of standard messages, as an import and an export need it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from libs.common.later import STANDARD_MESSAGES, Folder, StandardMessage
from libs.common.standard import text_of
from libs.common.store.api import Page, Store, Value, cursor
from services.desk.jobs import Work
from services.desk.standard_read import all_folders
from services.desk.standard_rows import Known, by_name

_PAGE = 500


class Held(msgspec.Struct, kw_only=True):
    """Folders by the key of their name, and messages: what made each, by folder and text.

    `places` has the place behind the last message, by the id of the folder.
    """

    folders: dict[str, Folder]
    messages: dict[tuple[str, str], str]
    places: dict[str, int]


def key_of(text: str) -> str:
    """Return what a message is known by in its folder, however lines end."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


async def held_of(store: Store, workspace: str) -> Held:
    """Return what there is."""
    folders = await all_folders(store, workspace)
    held = Held(folders={one.name_key: one for one in folders.values()}, messages={}, places={})
    async for one in in_order(store, workspace):
        held.messages[one.folder, key_of(text_of(one.parts))] = one.digest
        held.places[one.folder] = max(held.places.get(one.folder, 0), one.place + 1)
    return held


async def in_order(store: Store, workspace: str) -> AsyncIterator[StandardMessage]:
    """Yield every standard message, by folder and place."""
    after: tuple[Value, ...] | None = None
    while True:
        page = Page(order="folder", after=after, limit=_PAGE)
        rows = await store.find(STANDARD_MESSAGES, workspace, {}, page)
        for row in rows:
            yield row
        if len(rows) < _PAGE:
            return
        after = cursor(STANDARD_MESSAGES, "folder", rows[-1])


async def known_of(work: Work) -> Known:
    """Return what the names in a file may stand for, for the job's agent."""
    desk, workspace = work.desk, work.workspace
    policy = await desk.store.policy(workspace)
    agents = await desk.store.all_agents(workspace)
    channels = work.scope.channels or tuple(desk.channels)
    return Known(
        channels=by_name((one, (one, one.replace("_", " "))) for one in channels),
        teams=by_name((team.id, (team.id, team.name)) for team in policy.teams),
        users=by_name(
            (one.id, (one.id, one.name, one.email)) for one in agents if not one.disabled
        ),
    )
