"""What stands in a workspace file beside accounts, people and rules: an entry each."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from libs.common.contact_documents import FieldType
from libs.common.documents import FaqEntry, FlowStep
from libs.common.errors import SettingsError
from libs.common.policy import BotKind
from libs.common.saved_filters import FilterValues
from libs.common.webhooks import EventType

KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""An id that a file may give: stable, whatever the name becomes."""


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One form for all: a misspelt field is refused."""


class SecretRef(_Entry, frozen=True, kw_only=True):
    """Where a secret is: an environment variable, a file, or (for trials) the value itself."""

    env: str = ""
    file: str = ""
    value: str = ""

    def __repr__(self) -> str:
        """Hide a literal value."""
        return f"SecretRef(env={self.env!r}, file={self.file!r})"

    def found(self, where: str) -> str:
        """Return the secret; empty where it is absent.

        Raises:
            SettingsError: Not exactly one source; names *where*.
        """
        if sum(map(bool, (self.env, self.file, self.value))) != 1:
            raise SettingsError(f"{where}: give exactly one of env, file, value")
        if self.env:
            return os.environ.get(self.env, "")
        if self.file:
            path = Path(self.file)
            return path.read_text().rstrip("\n") if path.is_file() else ""
        return self.value

    def read(self, where: str) -> str:
        """Return the secret.

        Raises:
            SettingsError: Not exactly one source, or the source is absent or empty; names *where*.
        """
        found = self.found(where)
        if not found:
            raise SettingsError(f"{where}: {self.env or self.file} is absent or empty")
        return found


class BotInFile(_Entry, frozen=True, kw_only=True):
    """A bot; see `Bot` for the meaning of its fields. `secret` signs the calls of a webhook bot."""

    id: str
    name: str
    kind: BotKind
    enabled: bool = True
    channels: tuple[str, ...] = ()
    automation: bool = False
    faq: tuple[FaqEntry, ...] = ()
    fuzzy: int = 85
    misses: int = 1
    start: str = ""
    steps: tuple[FlowStep, ...] = ()
    layout: dict[str, tuple[int, int]] = {}
    url: str = ""
    secret: SecretRef | None = None


class FolderInFile(_Entry, frozen=True, kw_only=True):
    """A folder of standard messages; `users` are addresses, or ids, of agents."""

    id: str
    name: str
    channels: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    place: int = 0


class StoredFile(_Entry, frozen=True, kw_only=True):
    """A file that is uploaded already, by its id, and what stands below it."""

    id: str
    caption: str = ""


class StandardInFile(_Entry, frozen=True, kw_only=True):
    """A standard message: a text with variables, files, or both. `folder` is the id of one."""

    id: str
    title: str
    folder: str = ""
    place: int = 0
    text: str = ""
    attachments: tuple[StoredFile, ...] = ()


class TagInFile(_Entry, frozen=True, kw_only=True):
    """A tag. Without `id` it is known by its name, and cannot be renamed."""

    name: str
    color: str = ""
    id: str = ""


class EndpointInFile(_Entry, frozen=True, kw_only=True):
    """Where events are to go; `secret` signs them, and must be given for a new one."""

    id: str
    url: str
    description: str = ""
    events: tuple[EventType, ...] = ()
    channels: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    per_s: int = 0
    enabled: bool = True
    secret: SecretRef | None = None


class FieldInFile(_Entry, frozen=True, kw_only=True):
    """One of the workspace's own facts of contacts; known by its name, which never changes."""

    name: str
    label: str = ""
    type: FieldType = "text"
    choices: tuple[str, ...] = ()
    order: int = 0


class FilterInFile(_Entry, frozen=True, kw_only=True):
    """A filter of the inbox that all agents are offered."""

    id: str
    name: str
    query: FilterValues
