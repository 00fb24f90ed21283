"""The files of an outgoing message, as its channel is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from libs.common.channel import Account, OutgoingFile
from libs.common.documents import ATTACHMENTS, Attachment
from libs.common.errors import RejectedError
from libs.common.events import ContentPart, MediaPart, SendRequest, TemplatePart
from libs.common.files.links import sign
from libs.common.files.preview import PREVIEW_PATH
from libs.common.store.api import Store

LINK_LIFE_S = 24 * 3600.0
"""Providers fetch a file at once, and again for minutes or hours where they could not."""
PREVIEW_BYTES = 1_000_000
"""A larger picture is no preview of itself: LINE takes 1 MB (Messaging API, "Image message").

Read as the smaller megabyte, since LINE does not say which one it means.
"""


class Content:
    """Looks up attachments and signs links to them.

    Args:
        store: Where `ATTACHMENTS` is.
        keys: Keys of links, from `links.link_keys`.
        public_url: Address at which the world reaches this installation; empty: none.
    """

    def __init__(self, store: Store, keys: Sequence[bytes], public_url: str) -> None:
        self._store = store
        self._keys = keys
        self._public_url = public_url.rstrip("/")

    async def files(
        self, request: SendRequest, account: Account, since: datetime
    ) -> dict[str, OutgoingFile]:
        """Return the files of *request* by attachment id, with links that live on from *since*.

        Raises:
            RejectedError: `file_missing`: one is not stored in this workspace.
            StoreUnavailableError: The store is away.
        """
        return {
            file_id: await self._file(request, account, file_id, since)
            for file_id in attached(request.parts)
        }

    async def _file(
        self, request: SendRequest, account: Account, file_id: str, since: datetime
    ) -> OutgoingFile:
        found = await self._store.get(ATTACHMENTS, request.workspace, file_id)
        if found is None or found.state != "stored":
            raise RejectedError("a file of the message is not stored", reason="file_missing")
        link = self._link(found, account, since)
        return OutgoingFile(
            id=file_id,
            name=found.name,
            mime_type=found.mime_type,
            size_bytes=found.size_bytes,
            link=link,
            preview_link=self._public_url + PREVIEW_PATH if link and _needs_preview(found) else "",
            duration_ms=found.duration_ms,
        )

    def _link(self, found: Attachment, account: Account, since: datetime) -> str:
        """Return the signed link; empty where the account's provider could not fetch it.

        Providers take https only. An account with an address of its own (`api_base`) talks to a
        stand-in, which fetches from wherever it is told to.
        """
        reachable = self._public_url.startswith("https://") or account.api_base
        if not (self._public_url and reachable):
            return ""
        expires = since + timedelta(seconds=LINK_LIFE_S)
        path = sign(self._keys, found.workspace, found.id, expires, name=found.name)
        return self._public_url + path


def _needs_preview(file: Attachment) -> bool:
    """Tell whether a still picture must stand for *file*: a film, or too large to be its own."""
    return file.kind == "video" or (file.kind == "image" and file.size_bytes > PREVIEW_BYTES)


def attached(parts: Iterable[ContentPart]) -> tuple[str, ...]:
    """Return the ids of the stored files that *parts* name, each once, in order."""
    media = (part.header_media if isinstance(part, TemplatePart) else part for part in parts)
    ids = (part.attachment for part in media if isinstance(part, MediaPart) and part.attachment)
    return tuple(dict.fromkeys(ids))
