"""What a standard message is made of, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.events import ContentPart, MediaPart
from libs.common.later import STANDARD_USES, StandardMessage, StandardUse
from libs.common.shown_files import AttachmentView
from libs.common.standard import text_of
from services.desk.api.compose import MOST_FILES, TEXT_LIMIT, FileBody, Id
from services.desk.api.folder_body import Place
from services.desk.api.read import Plain
from services.desk.api.route import Call
from services.desk.api.sessions import Cursor, Limit

Title = Annotated[
    str, Meta(pattern=r"^[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*$", min_length=1, max_length=100)
]
Text = Annotated[Plain, Meta(max_length=TEXT_LIMIT)]
Files = Annotated[tuple[Id | FileBody, ...], Meta(max_length=MOST_FILES)]
InFolder = Annotated[Plain, Meta(max_length=100)]
Order = Literal["title", "place", "used"]


class NewStandardMessage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A canned reply: a text with variables, uploaded files, or both.

    Attributes:
        folder: The id of its folder; empty: in none, for all to see.
        place: Orders those of a folder; left out: behind the last.
    """

    title: Title
    text: Text = ""
    attachments: Files = ()
    folder: InFolder = ""
    place: Place | UnsetType = UNSET


class StandardPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change; what is left out stays. In another `folder` it comes behind the last."""

    title: Title | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    attachments: Files | UnsetType = UNSET
    folder: InFolder | UnsetType = UNSET
    place: Place | UnsetType = UNSET


class Uses(msgspec.Struct, frozen=True, kw_only=True):
    """How often agents took it into their field, and sent it; when that was last."""

    picked: int = 0
    sent: int = 0
    last_used_at: datetime | None = None


class StandardView(msgspec.Struct, frozen=True, kw_only=True):
    """A standard message; `text` is its text parts, a line each."""

    id: str
    title: str
    text: str
    parts: tuple[ContentPart, ...]
    attachments: tuple[AttachmentView, ...]
    folder: str
    place: int
    uses: Uses
    created_at: datetime
    updated_at: datetime


class StandardQuery(msgspec.Struct, frozen=True, kw_only=True):
    """One page."""

    q: Annotated[
        Plain, Meta(max_length=100, description="Words that the title has, whatever their case")
    ] = ""
    folder: Annotated[
        Plain, Meta(max_length=100, description="In this folder; `none`: in no folder")
    ] = ""
    order: Annotated[
        Order,
        Meta(description="`place`: as they stand in the folder; `used`: the most often sent first"),
    ] = "title"
    cursor: Cursor = ""
    limit: Limit = 50


class StandardList(msgspec.Struct, frozen=True, kw_only=True):
    """Standard messages in the order that was asked for."""

    items: tuple[StandardView, ...]
    next: str | None


def file_ids(found: StandardMessage) -> list[str]:
    """Return the ids of the files in it."""
    return [part.attachment for part in found.parts if isinstance(part, MediaPart)]


def uses_of(found: StandardUse | None) -> Uses:
    """Return how often something was used."""
    if found is None:
        return Uses()
    return Uses(picked=found.picked, sent=found.sent, last_used_at=found.last_used_at)


async def views(call: Call, found: Sequence[StandardMessage]) -> tuple[StandardView, ...]:
    """Return standard messages as they are shown, with links to their files and their use."""
    workspace = call.who.workspace
    ids = {id_: None for one in found for id_ in file_ids(one)}
    files = await call.desk.attachments.views(workspace, tuple(ids), call.desk.now())
    items = [one.id for one in found]
    uses = await call.desk.store.port.get_many(STANDARD_USES, workspace, items) if items else {}
    return tuple(
        StandardView(
            id=one.id,
            title=one.title,
            text=text_of(one.parts),
            parts=one.parts,
            attachments=tuple(files[id_] for id_ in file_ids(one) if id_ in files),
            folder=one.folder,
            place=one.place,
            uses=uses_of(uses.get(one.id)),
            created_at=one.created_at,
            updated_at=one.updated_at,
        )
        for one in found
    )
