"""Files to send: uploaded first, then named in a message."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.errors import NotFoundError
from libs.common.shown_files import AttachmentView
from services.desk.api.read import Plain
from services.desk.api.route import Call, Reply
from services.desk.api.visible import sees_file
from services.desk.attachments import Incoming, new_file_id
from services.desk.audited import REPLAYED, key_conflict, new_id


class UploadQuery(msgspec.Struct, frozen=True, kw_only=True):
    """The file's name, where the body is the file itself."""

    name: Annotated[
        Plain, Meta(max_length=255, description="Name with extension; a form brings its own")
    ] = ""


class AttachmentDetail(AttachmentView, frozen=True, kw_only=True):
    """A file with who uploaded it; `message` is the one that has it, empty while nobody sent it."""

    owner: str
    message: str
    created_at: datetime


async def upload(call: Call) -> Reply:
    """Store a file; it is deleted after a day unless it is sent.

    With an `Idempotency-Key` a repeat answers 200 with the file that the first one stored.

    Raises:
        FileRefusedError: 413 or 415, with the reason.
        RefusalError: 409, `idempotency_conflict`, or the first request is not over.
    """
    coming = call.upload
    if coming is None:
        raise LookupError("the route takes no upload")
    stored, repeated = await call.desk.attachments.keep_once(
        Incoming(
            workspace=call.who.workspace,
            file_id=_file_id(call),
            owner=f"agent:{call.who.agent}",
            name=coming.name,
            chunks=coming.chunks,
            limit=call.desk.settings.upload_max_bytes,
        ),
        call.desk.now(),
    )
    view = call.desk.attachments.view(stored, call.desk.now())
    if not repeated:
        return Reply(status=201, body=view)
    if (stored.sha256, stored.name) != (repeated, coming.name):
        key_conflict()
    return Reply(body=view, headers=REPLAYED)


def _file_id(call: Call) -> str:
    """Return an id that nobody can guess who does not know the key."""
    given = call.headers.get("idempotency-key", "")
    return new_id(call, "att") if given else new_file_id(call.who.workspace)


async def attachment(call: Call) -> Reply:
    """Show a file's state, with a link that works for an hour or two.

    Raises:
        NotFoundError: No such attachment in this workspace.
    """
    kept = call.desk.attachments
    found = (await kept.found(call.who.workspace, (call.params["id"],))).get(call.params["id"])
    if found is None or not await sees_file(call, found):
        raise NotFoundError("There is no such attachment.")
    view = msgspec.structs.asdict(kept.view(found, call.desk.now()))
    detail = AttachmentDetail(
        **view, owner=found.owner, message=found.message, created_at=found.created_at
    )
    return Reply(body=detail)
