"""Files of messages: storing uploads, making links, and sweeping what nobody has sent."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from libs.common.documents import ATTACHMENTS, MESSAGES, SESSIONS, Attachment
from libs.common.errors import FileRefusedError, StaleRevisionError, UniqueConflictError
from libs.common.events import MediaKind
from libs.common.files.api import Files
from libs.common.files.check import HEAD_BYTES, allowed
from libs.common.files.links import Linked, link_keys, sign, verify
from libs.common.ids import derive_id
from libs.common.shown_files import AttachmentView, attached
from libs.common.store.api import Page, Store
from services.desk.api.problem import RefusalError

log = logging.getLogger(__name__)

UNSENT_LIFE = timedelta(hours=24)
"""An upload that nobody has sent by then is deleted."""
LINK_STEP = timedelta(hours=1)
"""Links change as often, so that a browser that looks again finds the file in its cache; each
works for one to two hours."""
SENDING = "sending:"
"""Begins what stands for a message whose command is not answered yet."""
BROKEN_OFF = timedelta(minutes=10)
"""No upload takes longer: one that is not whole by then never will be."""
_WAITS, _WAIT_S = 50, 0.1
_TRIES = 3
_PAGE = 200
_VISITORS_SESSIONS = 20


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is being uploaded, at most `limit` bytes."""

    workspace: str
    file_id: str
    owner: str
    name: str
    chunks: AsyncIterator[bytes]
    limit: int
    account: str = ""
    by_visitor: bool = False


class Attachments:
    """The attachments of all workspaces; every method takes the caller's workspace: the wall."""

    def __init__(self, store: Store, files: Files, secret_key: str) -> None:
        self.files = files
        self._store = store
        self._keys = link_keys(secret_key)

    # --- reading -------------------------------------------------------------------------------

    async def found(self, workspace: str, ids: Sequence[str]) -> dict[str, Attachment]:
        """Return those of the attachments that this workspace has."""
        return await self._store.get_many(ATTACHMENTS, workspace, ids) if ids else {}

    async def sendable(self, workspace: str, ids: Sequence[str]) -> dict[str, Attachment]:
        """Return those that people of this workspace uploaded to be sent."""
        found = await self.found(workspace, ids)
        return {
            file.id: file
            for file in found.values()
            if file.direction == "out" and file.state == "stored"
        }

    async def views(
        self, workspace: str, ids: Sequence[str], now: datetime
    ) -> dict[str, AttachmentView]:
        """Return what people are shown of these, with links that work now."""
        found = await self.found(workspace, ids)
        return {file.id: self.view(file, now) for file in found.values()}

    def view(self, file: Attachment, now: datetime) -> AttachmentView:
        """Return what people are shown of *file*."""
        url, until = "", None
        if file.state == "stored":
            until = link_end(now)
            url = sign(self._keys, file.workspace, file.id, until, name=file.name)
        return AttachmentView(
            id=file.id,
            kind=file.kind,
            name=file.name,
            mime_type=file.mime_type,
            size_bytes=file.size_bytes,
            state=file.state,
            reason=file.reason,
            url=url,
            url_expires_at=until,
        )

    async def linked(
        self, path: str, query: dict[str, str], now: datetime
    ) -> tuple[Linked, Attachment] | None:
        """Return the stored file that a link opens; None whatever is wrong with it."""
        link = verify(self._keys, path, query, now)
        if link is None:
            return None
        file = await self._store.get(ATTACHMENTS, link.workspace, link.file_id)
        return (link, file) if file is not None and file.state == "stored" else None

    # --- uploading -----------------------------------------------------------------------------

    async def keep(self, incoming: Incoming, now: datetime) -> Attachment:
        """Store an upload whole, or nothing of it.

        The document comes first, so that bytes are never stored that no sweep would find.

        Raises:
            FileRefusedError: Too large, or of a type that is not allowed.
            StoreUnavailableError: Store or file store is away.
        """
        checked = _Checked(incoming)
        await checked.begin()
        draft = await self._store.insert(ATTACHMENTS, _draft(incoming, checked, now))
        return await self._fill(draft, incoming, checked)

    async def keep_once(self, incoming: Incoming, now: datetime) -> tuple[Attachment, str]:
        """Store an upload as `keep`, but where one of its id is there, only read it.

        Returns the stored one, and where that was there before, the SHA-256 of the new one.

        Raises:
            FileRefusedError: Too large, or of a type that is not allowed.
            RefusalError: 409, the one before is still coming in.
            StoreUnavailableError: Store or file store is away.
        """
        checked = _Checked(incoming)
        await checked.begin()
        try:
            draft = await self._store.insert(ATTACHMENTS, _draft(incoming, checked, now))
        except UniqueConflictError:
            async for _ in checked.chunks():
                pass
            return await self._ended(incoming, now), checked.sha256
        return await self._fill(draft, incoming, checked), ""

    async def _ended(self, incoming: Incoming, now: datetime) -> Attachment:
        """Return the upload that was there before, once it is whole.

        Raises:
            RefusalError: 409, it is still coming in, or was broken off.
        """
        before = None
        for _ in range(_WAITS):
            before = await self._store.get(ATTACHMENTS, incoming.workspace, incoming.file_id)
            if before is None or before.state == "stored":
                break
            await asyncio.sleep(_WAIT_S)
        if before is not None and before.state == "stored":
            return before
        if before is not None and before.created_at < now - BROKEN_OFF:
            await self._delete(before)  # the process that took it died: the next repeat stores it
        text = "The first request with this key is still being taken; try again."
        raise RefusalError(409, "changed_meanwhile", text, headers={"Retry-After": "2"})

    async def _fill(self, draft: Attachment, incoming: Incoming, checked: _Checked) -> Attachment:
        try:
            size = await self.files.put(incoming.workspace, incoming.file_id, checked.chunks())
        except BaseException:
            await self._store.delete(ATTACHMENTS, incoming.workspace, incoming.file_id)
            raise
        draft.state, draft.size_bytes, draft.sha256 = "stored", size, checked.sha256
        return await self._store.replace(ATTACHMENTS, draft)

    # --- sending -------------------------------------------------------------------------------

    async def claim(self, files: Iterable[Attachment], message: str) -> list[Attachment]:
        """Note that *message* sends these; return those that no message had before.

        This comes before the command: a file that may have been sent is never swept.
        """
        fresh = [
            msgspec.structs.replace(file, message=message) for file in files if not file.message
        ]
        if not fresh:
            return []
        refused = await self._store.replace_many(ATTACHMENTS, fresh)
        ours = [file for file in fresh if file.id not in refused]
        return [msgspec.structs.replace(file, rev=file.rev + 1) for file in ours]

    async def settle(self, workspace: str, ids: Sequence[str], message: str) -> None:
        """Note the message that did take them, where none is noted yet."""
        for _ in range(_TRIES):
            found = await self.found(workspace, ids)
            unsettled = [
                msgspec.structs.replace(file, message=message)
                for file in found.values()
                if not file.message or file.message.startswith(SENDING)
            ]
            if not unsettled or not await self._store.replace_many(ATTACHMENTS, unsettled):
                return

    async def release(self, claimed: Sequence[Attachment]) -> None:
        """Take `claim` back: the command was refused."""
        if claimed:
            freed = [msgspec.structs.replace(file, message="") for file in claimed]
            await self._store.replace_many(ATTACHMENTS, freed)

    # --- sweeping ------------------------------------------------------------------------------

    async def sweep(self, workspace: str, now: datetime) -> int:
        """Delete uploads of *workspace* that nobody sent in time; return how many.

        Raises:
            StoreUnavailableError: Store or file store is away.
        """
        swept = 0
        page: Page | None = Page(order="message", limit=_PAGE)
        while page is not None:
            found = await self._store.find(ATTACHMENTS, workspace, {"message": ""}, page)
            for file in found:
                if file.created_at <= now - UNSENT_LIFE and not await self._is_sent(file):
                    swept += await self._delete(file)
            last = found[-1] if len(found) == _PAGE else None
            after = ("", last.part, last.id) if last else None
            page = msgspec.structs.replace(page, after=after) if after else None
        return swept

    async def _is_sent(self, file: Attachment) -> bool:
        """Tell whether a visitor's message has the file, and note which one."""
        if file.direction == "out":
            return False
        visitor = file.owner.removeprefix("visitor:")
        newest = Page(order="visitor", descending=True, limit=_VISITORS_SESSIONS)
        where = {"account": file.account, "visitor": visitor}
        for session in await self._store.find(SESSIONS, file.workspace, where, newest):
            message = await self._message_with(file, session.id)
            if message:
                await self.claim([file], message)
                return True
        return False

    async def _message_with(self, file: Attachment, session: str) -> str:
        page = Page(order="timeline", descending=True, limit=_PAGE)
        while True:
            found = await self._store.find(MESSAGES, file.workspace, {"timeline": session}, page)
            for message in found:
                if file.id in attached([message]):
                    return message.id
            if len(found) < _PAGE or found[-1].received_at < file.created_at:
                return ""
            last = found[-1]
            after = (session, last.occurred_at, last.sequence, last.id)
            page = msgspec.structs.replace(page, after=after)

    async def _delete(self, file: Attachment) -> int:
        """Delete unless somebody sends it right now: whoever writes the document first wins."""
        gone = msgspec.structs.replace(file, state="failed", reason="gone")
        try:
            await self._store.replace(ATTACHMENTS, gone)
        except StaleRevisionError:
            return 0
        await self.files.delete(file.workspace, file.id)
        await self._store.delete(ATTACHMENTS, file.workspace, file.id)
        return 1


def _draft(incoming: Incoming, checked: _Checked, now: datetime) -> Attachment:
    return Attachment(
        id=incoming.file_id,
        workspace=incoming.workspace,
        account=incoming.account,
        direction="in" if incoming.by_visitor else "out",
        state="pending",
        kind=checked.kind,
        name=incoming.name,
        mime_type=checked.mime_type,
        owner=incoming.owner,
        created_at=now,
    )


def new_file_id(workspace: str) -> str:
    """Return an id that nobody can guess."""
    return derive_id("att", workspace, secrets.token_hex(16))


def link_end(now: datetime) -> datetime:
    """Return when a link that is made now ends: on a full step, one to two steps away."""
    begun = now.replace(minute=0, second=0, microsecond=0)
    return begun + 2 * LINK_STEP


class _Checked:
    """Chunks of an upload that are looked at as they pass."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._head = bytearray()
        self._hash = hashlib.sha256()
        self._ended = False
        self.kind: MediaKind = "file"
        self.mime_type = ""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def begin(self) -> None:
        """Read the beginning and judge the type.

        Raises:
            FileRefusedError: Name or content are not allowed.
        """
        given = self._incoming
        async for chunk in given.chunks:
            self._head += chunk
            if len(self._head) >= HEAD_BYTES:
                break
        else:
            self._ended = True
        head = bytes(self._head[:HEAD_BYTES])
        self.kind, self.mime_type = allowed(given.name, head, len(self._head), limit=given.limit)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the whole file, from its beginning.

        Raises:
            FileRefusedError: It grows beyond the limit.
        """
        size = len(self._head)
        self._hash.update(self._head)
        yield bytes(self._head)
        if self._ended:
            return
        async for chunk in self._incoming.chunks:
            size += len(chunk)
            if size > self._incoming.limit:
                limit = self._incoming.limit
                raise FileRefusedError(
                    f"The file is larger than {limit} bytes.",
                    code="too_large",
                    limit_bytes=str(limit),
                )
            self._hash.update(chunk)
            yield chunk
