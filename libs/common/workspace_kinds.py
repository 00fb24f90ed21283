"""The kinds of things that a file names one by one: where they lie, how they are made and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from libs.common import workspace_made as made
from libs.common import workspace_shown as shown
from libs.common.contact_documents import CONTACT_FIELDS
from libs.common.documents import ACCOUNTS, AGENTS, BOTS, TAGS
from libs.common.later import FOLDERS, STANDARD_MESSAGES
from libs.common.rules.folding import fold
from libs.common.saved_filters import SAVED_FILTERS
from libs.common.store.api import Collection, Document
from libs.common.webhooks import ENDPOINTS
from libs.common.workspace_entries import FieldInFile, TagInFile
from libs.common.workspace_file import AccountInFile, AgentEntry, WorkspaceFile
from libs.common.workspace_made import Here, Make
from libs.common.workspace_shown import Name, Shown
from libs.common.workspace_state import State


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind.

    Attributes:
        word: Before the id in the name of an object; `part` is the file's list, and the state's.
        id_of: The id of the document that an entry is about, where there is one.
        unique: Fields that no two documents of the workspace may have the same.
        secrets: What is sealed in a document, by the field's name.
    """

    word: str
    part: str
    collection: Collection[Any]
    make: Make
    show: Callable[[Any, Name], Shown]
    id_of: Callable[[Any, State, Here], str]
    unique: tuple[str, ...] = ()
    secrets: Callable[[Any], Mapping[str, str]] = lambda _document: {}

    def held(self, state: State) -> dict[str, Any]:
        """Return the documents of the kind by id."""
        found: dict[str, Any] = getattr(state, self.part)
        return found

    def entries(self, file: WorkspaceFile) -> tuple[Any, ...]:
        """Return what the file says; nothing where it leaves the list out."""
        return getattr(file, self.part) or ()

    def is_given(self, file: WorkspaceFile) -> bool:
        """Tell whether the file has the list: then what is not in it can be pruned.

        People and accounts are not pruned by an empty list.
        """
        given = getattr(file, self.part)
        return bool(given) if self.part in _NEVER_EMPTY else given is not None

    def name(self, document: Document) -> str:
        """Return what the file, and people, call a document."""
        return f"{self.word}:{getattr(document, 'email_key', document.id)}"


_NEVER_EMPTY = ("agents", "accounts")


def _own_id(entry: Any, _state: State, _here: Here) -> str:
    return str(entry.id)


def _agent_id(entry: AgentEntry, _state: State, here: Here) -> str:
    return here.agent_id(entry.email)


def _slug(entry: AccountInFile, _state: State, _here: Here) -> str:
    return entry.slug


def _tag_id(entry: TagInFile, state: State, _here: Here) -> str:
    if entry.id:
        return entry.id
    key = fold(entry.name)
    return next((tag.id for tag in state.tags.values() if tag.name_key == key), "")


def _field_id(entry: FieldInFile, state: State, _here: Here) -> str:
    found = state.contact_fields.values()
    return next((field.id for field in found if field.name == entry.name), "")


def _account_secrets(found: Any) -> Mapping[str, str]:
    return {f"secrets.{name}": sealed for name, sealed in found.sealed.items()}


def _endpoint_secrets(found: Any) -> Mapping[str, str]:
    return {"secret": found.secrets[0].sealed} if found.secrets else {}


KINDS: tuple[Kind, ...] = (
    Kind(
        word="account",
        part="accounts",
        collection=ACCOUNTS,
        make=made.account,
        show=shown.account,
        id_of=_slug,
        unique=("channel", "external_id"),
        secrets=_account_secrets,
    ),
    Kind(
        word="agent",
        part="agents",
        collection=AGENTS,
        make=made.agent,
        show=shown.agent,
        id_of=_agent_id,
        unique=("email_key",),
        secrets=lambda found: {"password": found.password_hash} if found.password_hash else {},
    ),
    Kind(
        word="bot",
        part="bots",
        collection=BOTS,
        make=made.bot,
        show=shown.bot,
        id_of=_own_id,
        secrets=lambda found: dict(found.sealed),
    ),
    Kind(
        word="tag",
        part="tags",
        collection=TAGS,
        make=made.tag,
        show=shown.tag,
        id_of=_tag_id,
        unique=("name_key",),
    ),
    Kind(
        word="folder",
        part="folders",
        collection=FOLDERS,
        make=made.folder,
        show=shown.folder,
        id_of=_own_id,
        unique=("name_key",),
    ),
    Kind(
        word="standard_message",
        part="standard_messages",
        collection=STANDARD_MESSAGES,
        make=made.standard_message,
        show=shown.standard_message,
        id_of=_own_id,
    ),
    Kind(
        word="webhook_endpoint",
        part="webhook_endpoints",
        collection=ENDPOINTS,
        make=made.endpoint,
        show=shown.endpoint,
        id_of=_own_id,
        secrets=_endpoint_secrets,
    ),
    Kind(
        word="contact_field",
        part="contact_fields",
        collection=CONTACT_FIELDS,
        make=made.contact_field,
        show=shown.contact_field,
        id_of=_field_id,
        unique=("name",),
    ),
    Kind(
        word="filter",
        part="shared_filters",
        collection=SAVED_FILTERS,
        make=made.shared_filter,
        show=shown.shared_filter,
        id_of=_own_id,
    ),
)
BY_PART: Mapping[str, Kind] = {kind.part: kind for kind in KINDS}
