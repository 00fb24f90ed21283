"""From what a file says of one thing to its document: as it is to be, given as it is.

What a file has no word for (where a visitor's calls failed, when something was made) stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from libs.common import standard
from libs.common.attached import part_of
from libs.common.contact_documents import ContactField
from libs.common.documents import AccountDocument, Agent, Attachment, Bot, Tag
from libs.common.errors import SettingsError
from libs.common.events import ContentPart, MediaPart, TextPart
from libs.common.ids import derive_id
from libs.common.later import Folder, StandardMessage
from libs.common.rules.folding import fold
from libs.common.saved_filters import SavedFilter
from libs.common.webhooks import Disabler, WebhookEndpoint
from libs.common.workspace_entries import (
    BotInFile,
    EndpointInFile,
    FieldInFile,
    FilterInFile,
    FolderInFile,
    StandardInFile,
    StoredFile,
    TagInFile,
)
from libs.common.workspace_file import AccountInFile, AgentEntry, templates_of
from libs.common.workspace_secrets import Vault


class Here(msgspec.Struct, frozen=True, kw_only=True):
    """What things are made with.

    `ids` finds an agent by address (in small letters), `emails` the other way round; `files` are
    the uploaded ones that the file names.
    """

    workspace: str
    now: datetime
    vault: Vault
    ids: Mapping[str, str]
    emails: Mapping[str, str]
    files: Mapping[str, Attachment]

    def agent_id(self, name: str) -> str:
        """Return the id of an agent by address or id; a new address has the one it will get."""
        if "@" not in name:
            return name
        return self.ids.get(name.lower()) or derive_id("agt", self.workspace, name.lower())

    def agent_name(self, id_: str) -> str:
        """Return how a file names the agent: by address, or what cannot be found as it is."""
        return self.emails.get(id_, id_)


_OPTIONAL = (
    *("limit", "teams", "skills", "languages", "priority"),
    *("channels", "accounts", "team_only"),
)


def account(entry: AccountInFile, found: AccountDocument | None, here: Here) -> AccountDocument:
    """Return the account."""
    sealed = here.vault.account(here.workspace, entry.slug, entry.secrets, found)
    return AccountDocument(
        id=entry.slug,
        workspace=here.workspace,
        rev=found.rev if found else 0,
        channel=entry.channel,
        external_id=entry.external_id,
        name=entry.name,
        app=entry.app,
        api_base=entry.api_base,
        enabled=entry.enabled,
        features=entry.features,
        templates=templates_of(entry),
        sealed=sealed,
        secrets_at=since(sealed, found, here.now),
        digest=found.digest if found else "",
    )


def since(
    sealed: Mapping[str, str], found: AccountDocument | None, now: datetime
) -> dict[str, datetime]:
    """Return since when each secret is set; of old ones that may not be known."""
    held, known = (found.sealed, found.secrets_at) if found else ({}, {})
    fresh = {name: now for name, text in sealed.items() if held.get(name) != text}
    return {name: at for name, at in known.items() if name in sealed} | fresh


def agent(entry: AgentEntry, found: Agent | None, here: Here) -> Agent:
    """Return the agent; what the entry leaves out stays."""
    blank = found or Agent(
        id=here.agent_id(entry.email),
        workspace=here.workspace,
        name="",
        email="",
        email_key=entry.email.lower(),
        role=entry.role,
    )
    given = {name: getattr(entry, name) for name in _OPTIONAL if getattr(entry, name) is not None}
    return replace(
        blank,
        name=entry.name,
        email=entry.email,
        role=entry.role,
        disabled=entry.disabled,
        password_hash=here.vault.password(entry.password, entry.email, found),
        **given,
    )


def bot(entry: BotInFile, found: Bot | None, here: Here) -> Bot:
    """Return the bot.

    Raises:
        SettingsError: It is of another kind, or has no secret; names the place.
    """
    where = f"bots[{entry.id}]"
    if found is not None and found.kind != entry.kind:
        raise SettingsError(f"{where}.kind: a bot stays of its kind; allowed: {found.kind}")
    given = {name: getattr(entry, name) for name in entry.__struct_fields__ if name != "secret"}
    made = Bot(workspace=here.workspace, rev=found.rev if found else 0, **given)
    sealed = here.vault.bot(entry.secret, made, found)
    if made.kind == "webhook" and not sealed:
        raise SettingsError(f"{where}.secret: is missing; a webhook bot needs one")
    return replace(made, sealed=sealed)


def tag(entry: TagInFile, found: Tag | None, here: Here) -> Tag:
    """Return the tag."""
    key = fold(entry.name)
    id_ = entry.id or derive_id("tag", here.workspace, "file", key)
    blank = found or Tag(id=id_, workspace=here.workspace, name="", name_key="")
    return replace(blank, name=entry.name, name_key=key, color=entry.color)


def folder(entry: FolderInFile, found: Folder | None, here: Here) -> Folder:
    """Return the folder."""
    blank = found or Folder(
        id=entry.id,
        workspace=here.workspace,
        name="",
        name_key="",
        created_at=here.now,
        updated_at=here.now,
    )
    after = replace(
        blank,
        name=entry.name,
        name_key=standard.name_key(entry.name),
        channels=entry.channels,
        teams=entry.teams,
        users=tuple(map(here.agent_id, entry.users)),
        place=entry.place,
    )
    return after if after == found else replace(after, updated_at=here.now)


def standard_message(
    entry: StandardInFile, found: StandardMessage | None, here: Here
) -> StandardMessage:
    """Return the standard message.

    Raises:
        SettingsError: It names a file that is not there.
    """
    blank = found or StandardMessage(
        id=entry.id,
        workspace=here.workspace,
        title="",
        parts=(),
        created_at=here.now,
        updated_at=here.now,
    )
    same = (entry.text, entry.attachments) == texts_of(blank.parts)
    after = standard.keyed(
        replace(
            blank,
            title=entry.title,
            folder=entry.folder,
            place=entry.place,
            parts=blank.parts if same and found else _parts(entry, here.files),
        )
    )
    return after if after == found else replace(after, updated_at=here.now)


def texts_of(parts: tuple[ContentPart, ...]) -> tuple[str, tuple[StoredFile, ...]]:
    """Return the text and the files of a standard message, as a file writes them."""
    files: list[StoredFile] = []
    text = ""
    for place, part in enumerate(parts):
        if isinstance(part, MediaPart):
            files.append(StoredFile(id=part.attachment))
        elif isinstance(part, TextPart) and files and place + 1 < len(parts):
            files[-1] = StoredFile(id=files[-1].id, caption=part.text)
        elif isinstance(part, TextPart):
            text = part.text
    return text, tuple(files)


def _parts(entry: StandardInFile, files: Mapping[str, Attachment]) -> tuple[ContentPart, ...]:
    parts: list[ContentPart] = []
    for place, one in enumerate(entry.attachments):
        stored = files.get(one.id)
        if stored is None or stored.direction != "out" or stored.state != "stored":
            raise SettingsError(
                f"standard_messages[{entry.id}].attachments[{place}].id: {one.id!r} is no uploaded "
                "file of this workspace; upload it first, or leave it out"
            )
        parts.append(part_of(stored))
        if one.caption.strip():
            parts.append(TextPart(text=one.caption))
    if entry.text.strip():
        parts.append(TextPart(text=entry.text))
    return tuple(parts)


def endpoint(entry: EndpointInFile, found: WebhookEndpoint | None, here: Here) -> WebhookEndpoint:
    """Return the webhook endpoint; one that is switched on begins anew, whatever failed before."""
    given = {
        name: getattr(entry, name)
        for name in ("url", "description", "events", "channels", "accounts", "per_s")
    }
    blank = found or WebhookEndpoint(
        id=entry.id, workspace=here.workspace, url="", created_at=here.now
    )
    after = replace(blank, **given, secrets=here.vault.endpoint(entry.secret, blank, found))
    if entry.enabled == after.enabled:
        return after
    off: Disabler = "" if entry.enabled else "person"
    return replace(
        after,
        enabled=entry.enabled,
        disabled_reason=off,
        disabled_at=None if entry.enabled else here.now,
        failing_since=None if entry.enabled else after.failing_since,
    )


def contact_field(entry: FieldInFile, found: ContactField | None, here: Here) -> ContactField:
    """Return the definition.

    Raises:
        SettingsError: It is of another type: what contacts have would not be of it.
    """
    if found is not None and found.type != entry.type:
        raise SettingsError(
            f"contact_fields[{entry.name}].type: a field keeps its type; allowed: {found.type}"
        )
    id_ = derive_id("fld", here.workspace, "file", entry.name)
    blank = found or ContactField(id=id_, workspace=here.workspace, name=entry.name)
    return replace(
        blank, label=entry.label, type=entry.type, choices=entry.choices, order=entry.order
    )


def shared_filter(entry: FilterInFile, found: SavedFilter | None, here: Here) -> SavedFilter:
    """Return the filter."""
    blank = found or SavedFilter(
        id=entry.id,
        workspace=here.workspace,
        place="",
        agent="",
        name="",
        query=entry.query,
        created_at=here.now,
    )
    return replace(blank, name=entry.name, query=entry.query)


Make = Callable[[Any, Any, Here], Any]
