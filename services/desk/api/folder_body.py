"""What a folder of standard messages is made of, and how it is shown."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.later import Folder
from libs.common.standard import Reader, is_for
from services.desk.api.compose import Id
from services.desk.api.read import Plain

MOST_OF_SCOPE = 200
MOST_MESSAGES = 5000
"""Standard messages of one workspace."""

Name = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$", min_length=1, max_length=100)
]
Ids = Annotated[tuple[Id, ...], Meta(max_length=MOST_OF_SCOPE)]
Place = Annotated[int, Meta(ge=0, le=1_000_000)]
Token = Annotated[str, Meta(max_length=1000)]


class NewFolder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder, and who sees it: one of each of these that is given.

    Attributes:
        channels: Kinds of channel, such as `line`; empty: all.
        teams: Ids of teams; empty: all.
        users: Ids of the agents in charge; empty: all.
        place: Orders the folders; left out: behind the last.
    """

    name: Name
    channels: Ids = ()
    teams: Ids = ()
    users: Ids = ()
    place: Place | UnsetType = UNSET


class FolderPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays."""

    name: Name | UnsetType = UNSET
    channels: Ids | UnsetType = UNSET
    teams: Ids | UnsetType = UNSET
    users: Ids | UnsetType = UNSET
    place: Place | UnsetType = UNSET


class FolderView(msgspec.Struct, frozen=True, kw_only=True):
    """A folder; `messages` counts what is in it, `yours`: its teams and users have the caller."""

    id: str
    name: str
    channels: tuple[str, ...]
    teams: tuple[str, ...]
    users: tuple[str, ...]
    place: int
    messages: int
    yours: bool
    created_at: datetime
    updated_at: datetime


class FolderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters compose by AND; each keeps those folders that are for all, too."""

    channel: Annotated[Plain, Meta(max_length=48, description="Of this kind of channel")] = ""
    team: Annotated[Plain, Meta(max_length=48, description="Of this team, by its id")] = ""
    user: Annotated[Plain, Meta(max_length=100, description="Of this agent, or `me`")] = ""
    q: Annotated[Plain, Meta(max_length=100, description="Words that begin as these do")] = ""


class FolderList(msgspec.Struct, frozen=True, kw_only=True):
    """Every folder that the caller sees, in order; `none` counts messages that are in none."""

    items: tuple[FolderView, ...]
    none: int
    next: str | None = None


class FolderOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of all folders, each once, as they are to stand."""

    folders: Annotated[tuple[Id, ...], Meta(max_length=500)]


class ItemOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ids of all messages of the folder, each once, as they are to stand."""

    messages: Annotated[tuple[Id, ...], Meta(max_length=MOST_MESSAGES)]


class Ordered(msgspec.Struct, frozen=True, kw_only=True):
    """How many stand elsewhere than before."""

    moved: int


class DeleteQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Deleting a folder is asked for twice: `confirm` repeats the token of the refused call."""

    confirm: Annotated[Token, Meta(description="The `facts.token` of the refusal")] = ""


class FolderGone(msgspec.Struct, frozen=True, kw_only=True):
    """How many standard messages went with the folder."""

    deleted: int


def folder_view(found: Folder, messages: int, reader: Reader) -> FolderView:
    """Return a folder as it is shown."""
    return FolderView(
        id=found.id,
        name=found.name,
        channels=found.channels,
        teams=found.teams,
        users=found.users,
        place=found.place,
        messages=messages,
        yours=is_for(found, reader),
        created_at=found.created_at,
        updated_at=found.updated_at,
    )
