"""Standard messages as an agent takes them in a session (B08): theirs only, filled in."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta

from libs.common.documents import Contact, Session
from libs.common.errors import CommandError, InvalidInputError, NotFoundError
from libs.common.events import ContentPart
from libs.common.later import Folder, StandardMessage
from libs.common.outgoing import calls_of
from libs.common.shown_files import AttachmentView
from libs.common.standard import Reader, is_for, sees, text_of
from libs.common.variables import Missing, missing, rendered, values_of
from libs.common.wrong_field import wrong_field
from services.desk.api.compose import FileBody, NewMessage, compose
from services.desk.api.messages import given_of
from services.desk.api.problem import Problem, problem_of
from services.desk.api.read import Plain, checked_key
from services.desk.api.route import RANK, Call, Reply
from services.desk.api.standard_body import StandardView, file_ids, views
from services.desk.api.standard_messages import as_message
from services.desk.api.visible import session_of
from services.desk.standard_read import NONE, all_folders, message_of, reader_of
from services.desk.standard_search import Wanted, search
from services.desk.standard_uses import Use, count


class PickQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is typed, and where it is looked for."""

    q: Annotated[
        Plain,
        Meta(max_length=100, description="Beginnings of words of title, text or folder's name"),
    ] = ""
    folder: Annotated[
        Plain, Meta(max_length=100, description="In this folder; `none`: in no folder")
    ] = ""
    all: Annotated[
        bool, Meta(description="Folders of others on this channel, too; leads and above")
    ] = False
    limit: Annotated[int, Meta(ge=1, le=200, description="Most messages")] = 50


class PickFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder to choose from; not `yours`: its teams or users do not have the caller."""

    id: str
    name: str
    yours: bool


class PickList(msgspec.Struct, frozen=True, kw_only=True):
    """The folders in order, and the messages: the best match first, or by folder and place."""

    folders: tuple[PickFolder, ...]
    items: tuple[StandardView, ...]
    more: bool


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What `POST /sessions/{id}/messages` takes to send it."""

    text: str
    attachments: tuple[FileBody, ...]
    standard_message: str


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A standard message filled in for the session's contact and the caller.

    Attributes:
        missing: Variables of which nothing is known, with what stands there in their place.
        takes: The channel takes it as it is; else `problem` says what is wrong.
        calls: How many messages of the provider it becomes; 0 where it is not taken.
        body: What sends it, and counts that it was.
    """

    id: str
    title: str
    text: str
    parts: tuple[ContentPart, ...]
    attachments: tuple[AttachmentView, ...]
    missing: tuple[Missing, ...]
    takes: bool
    problem: Problem | None
    calls: int
    body: Ready


async def pick(call: Call) -> Reply:
    """List what the caller may take in the session, found by what they type.

    Raises:
        NotFoundError: No such session in this workspace.
        InvalidInputError: No such folder for this session; `all` by who is no lead.
    """
    query: PickQuery = call.query
    session = await session_of(call)
    reader = await reader_of(call, keeps=_keeps(call, query))
    held = await all_folders(call.desk.store.port, session.workspace)
    seen = {id_: one for id_, one in held.items() if sees(one, reader, session.channel)}
    names = {id_: one.name for id_, one in seen.items()} | {"": ""}
    wanted = Wanted(
        workspace=session.workspace,
        text=query.q,
        folders=_narrowed(names, query.folder),
        limit=query.limit,
    )
    found, more = await search(call.desk.store.port, wanted)
    return Reply(
        body=PickList(
            folders=tuple(_folder(one, reader) for one in seen.values()),
            items=await views(call, found),
            more=more,
        )
    )


async def render(call: Call) -> Reply:
    """Fill a standard message in for the session, and count that it was picked.

    Raises:
        NotFoundError: No such session, or no such standard message for it.
    """
    session = await session_of(call)
    item = await message_of(call, call.params["item"], session.channel)
    values = values_of(
        await _contact(call, session),
        call.who.name,
        await _account_name(call, session),
        session.channel,
    )
    parts = rendered(item.parts, values)
    body, (problem, calls) = as_message(parts), await _fit(call, session, as_message(parts))
    files = await call.desk.attachments.views(item.workspace, file_ids(item), call.desk.now())
    await count(call.desk.store.port, _picked(call, session, item))
    return Reply(
        body=Rendered(
            id=item.id,
            title=item.title,
            text=text_of(parts),
            parts=parts,
            attachments=tuple(files[id_] for id_ in file_ids(item) if id_ in files),
            missing=tuple(missing(item.parts, values)),
            takes=problem is None,
            problem=problem,
            calls=calls,
            body=Ready(
                text=body.text,
                attachments=tuple(
                    FileBody(id=one) if isinstance(one, str) else one for one in body.attachments
                ),
                standard_message=item.id,
            ),
        )
    )


def _keeps(call: Call, query: PickQuery) -> bool:
    if query.all and RANK[call.who.role] < RANK["lead"]:
        raise InvalidInputError(
            "all: only leads and above see folders of others.", field="all", allowed="false"
        )
    return query.all


def _narrowed(names: dict[str, str], folder: str) -> dict[str, str]:
    if not folder:
        return names
    wanted = "" if folder == NONE else folder
    if wanted not in names:
        raise InvalidInputError(
            "folder: there is no such folder for this session.",
            field="folder",
            allowed=f"ids of `folders` of this answer, or {NONE}",
        )
    return {wanted: names[wanted]}


def _folder(found: Folder, reader: Reader) -> PickFolder:
    return PickFolder(id=found.id, name=found.name, yours=is_for(found, reader))


async def _contact(call: Call, session: Session) -> Contact | None:
    with suppress(NotFoundError):
        return await call.desk.store.contact(session.workspace, session.contact)
    return None


async def _account_name(call: Call, session: Session) -> str:
    account = await call.desk.store.account(session.workspace, session.account)
    return account.name if account else ""


async def _fit(call: Call, session: Session, body: NewMessage) -> tuple[Problem | None, int]:
    """Return why the channel does not take it, and how many messages it becomes."""
    try:
        _check_lengths(body)
        files = await call.desk.attachments.sendable(session.workspace, body.files())
        given = await given_of(call, session, files)
        parts = compose(body, given)
    except CommandError as error:
        return problem_of(error), 0
    return None, calls_of(given.channel, parts)


def _check_lengths(body: NewMessage) -> None:
    """Refuse what the values have made longer than a message may be.

    Raises:
        InvalidInputError: Names the field.
    """
    try:
        msgspec.json.decode(msgspec.json.encode(body), type=NewMessage)
    except msgspec.ValidationError as error:
        raise wrong_field(NewMessage, str(error), msgspec.to_builtins(body)) from None


def _picked(call: Call, session: Session, item: StandardMessage) -> Use:
    given = call.headers.get("idempotency-key", "")
    key = f"{call.who.agent}/{checked_key(given)}" if given else secrets.token_hex(8)
    return Use(
        workspace=session.workspace, item=item.id, kind="picked", key=key, at=call.desk.now()
    )
