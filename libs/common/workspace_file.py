"""A workspace as a YAML file: its shape, and every way in which one can be wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import yaml
from msgspec import Meta

from libs.common.channel import Channel, MessageTemplate
from libs.common.channels import CHANNELS
from libs.common.documents import ChannelSettings, Role, Settings
from libs.common.errors import SettingsError
from libs.common.ids import is_slug
from libs.common.policy import Calendar, Rule, Team
from libs.common.rules.folding import fold
from libs.common.standard import name_key
from libs.common.strict import unknown_fields
from libs.common.workspace_entries import KEY as KEY  # noqa: PLC0414 (re-exported)
from libs.common.workspace_entries import (
    BotInFile,
    EndpointInFile,
    FieldInFile,
    FilterInFile,
    FolderInFile,
    StandardInFile,
    TagInFile,
)
from libs.common.workspace_entries import SecretRef as SecretRef  # noqa: PLC0414 (re-exported)
from libs.common.wrong_field import allowed_at

FEATURES = ("human_agent",)
"""What a provider may have granted to an account."""
MAX_BYTES = 4 * 1024 * 1024


class AgentEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person. Without `password` the person cannot log in with one; tokens still work.

    What is not given from `limit` on stays as it is.
    """

    name: str
    email: str
    role: Role = "agent"
    password: SecretRef | None = None
    disabled: bool = False
    limit: Annotated[int, Meta(ge=0, le=1000)] | None = None
    teams: tuple[str, ...] | None = None
    skills: tuple[str, ...] | None = None
    languages: tuple[str, ...] | None = None
    priority: int | None = None
    channels: tuple[str, ...] | None = None
    accounts: tuple[str, ...] | None = None
    team_only: bool | None = None


class TemplateInFile(MessageTemplate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message template; a misspelt field is refused."""


class AccountInFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A connected account; see `Account` for the meaning of its fields."""

    slug: str
    channel: str
    external_id: str
    name: str = ""
    app: str = ""
    api_base: str = ""
    enabled: bool = True
    features: tuple[str, ...] = ()
    templates: tuple[TemplateInFile, ...] = ()
    secrets: dict[str, SecretRef] = {}


class ChannelSettingsInFile(ChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a channel overrides; a misspelt switch is refused."""


class SettingsInFile(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The switches; a misspelt one is refused."""

    channels: dict[str, ChannelSettingsInFile] = {}  # type: ignore[assignment]
    accounts: dict[str, ChannelSettingsInFile] = {}  # type: ignore[assignment]


class WorkspaceFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file. What it does not name stays as it is.

    Rules may name agents by their address.
    """

    workspace: str
    name: str = ""
    settings: SettingsInFile | None = None
    teams: tuple[Team, ...] | None = None
    calendars: tuple[Calendar, ...] | None = None
    rules: tuple[Rule, ...] | None = None
    agents: tuple[AgentEntry, ...] = ()
    accounts: tuple[AccountInFile, ...] = ()
    bots: tuple[BotInFile, ...] | None = None
    tags: tuple[TagInFile, ...] | None = None
    folders: tuple[FolderInFile, ...] | None = None
    standard_messages: tuple[StandardInFile, ...] | None = None
    contact_fields: tuple[FieldInFile, ...] | None = None
    webhook_endpoints: tuple[EndpointInFile, ...] | None = None
    shared_filters: tuple[FilterInFile, ...] | None = None


KEYED = ("bots", "folders", "standard_messages", "webhook_endpoints", "shared_filters")
"""Parts whose entries have ids of the file's choosing."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its surprises: 18:00 is no number, 2026-12-25 no date, the key `on` a word.

    Both are safe to leave out: what is built is still only plain data.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, in which no key stands twice: of two, YAML keeps the last.

        Raises:
            SettingsError: One does; names it with its lines.
        """
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                raise SettingsError(
                    f"{key.value!r} stands twice, in line {seen[key.value]} and in line {line}; "
                    "allowed: once, with all that belongs to it"
                )
            seen[key.value] = line
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping whose keys are words, whatever they would be as values."""
        if isinstance(node, yaml.MappingNode):
            self.flatten_mapping(node)
            for key, _value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    key.tag = _WORD
        return super().construct_mapping(node, deep)


_MERGE = "tag:yaml.org,2002:merge"
_WORD = "tag:yaml.org,2002:str"
_INT = "tag:yaml.org,2002:int"
_OWN = {"tag:yaml.org,2002:timestamp", _INT}
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in _OWN]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?(?:0|[1-9][0-9]*)$"), list("-+0123456789"))


def read_workspace_file(text: bytes) -> WorkspaceFile:
    """Parse and check a file whole, before anything is written.

    Raises:
        SettingsError: Names the place and what is allowed there.
    """
    if len(text) > MAX_BYTES:
        raise SettingsError(f"the file is larger than {MAX_BYTES} bytes")
    try:
        found: Any = yaml.load(text, _Loader)  # noqa: S506 (it is a safe one)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise SettingsError(f"the file is not YAML{place}") from None
    try:
        file = msgspec.convert(found, WorkspaceFile)
    except msgspec.ValidationError as error:
        allowed = allowed_at(WorkspaceFile, str(error), found)
        raise SettingsError(f"{error}; allowed: {allowed}" if allowed else str(error)) from None
    for unknown in unknown_fields(file, found):
        place = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in unknown.steps)[1:]
        raise SettingsError(f"{place}: is not known; allowed: {unknown.allowed}")
    for problem in problems(file):
        raise SettingsError(problem)
    return file


def templates_of(account: AccountInFile) -> tuple[MessageTemplate, ...]:
    """Return the templates as they are stored."""
    return msgspec.convert(msgspec.to_builtins(account.templates), tuple[MessageTemplate, ...])


def settings_of(file: WorkspaceFile) -> Settings | None:
    """Return the switches as they are stored."""
    return msgspec.convert(msgspec.to_builtins(file.settings), Settings) if file.settings else None


def problems(file: WorkspaceFile) -> Iterator[str]:
    """Yield what is wrong beyond the shape, a sentence each."""
    if not is_slug(file.workspace):
        yield f"workspace: {file.workspace!r} is not a slug (a-z, 0-9 and -, 1 to 48 characters)"
    yield from _repeated("accounts.slug", (account.slug for account in file.accounts))
    yield from _repeated("agents.email", (agent.email.lower() for agent in file.agents))
    yield from _repeated(
        "accounts.external_id", (f"{a.channel} {a.external_id}" for a in file.accounts)
    )
    for agent in file.agents:
        if "@" not in agent.email or any(c.isspace() for c in agent.email):
            yield f"agents: {agent.email!r} is not an e-mail address"
    for name in sorted(set(file.settings.channels if file.settings else ()) - set(CHANNELS)):
        yield f"settings.channels: {name!r} is not one of {', '.join(sorted(CHANNELS))}"
    for account in file.accounts:
        yield from account_problems(account)
    yield from _key_problems(file)


def _key_problems(file: WorkspaceFile) -> Iterator[str]:
    for part in KEYED:
        ids = [entry.id for entry in getattr(file, part) or ()]
        yield from _repeated(f"{part}.id", ids)
        for id_ in ids:
            if not KEY.fullmatch(id_):
                yield f"{part}: {id_[:70]!r} is no id; allowed: 1 to 64 of a-z, A-Z, 0-9, - and _"
    yield from _repeated("tags.name", (fold(tag.name) for tag in file.tags or ()))
    yield from _repeated("tags.id", (tag.id for tag in file.tags or () if tag.id))
    yield from _repeated("contact_fields.name", (one.name for one in file.contact_fields or ()))
    yield from _repeated("folders.name", (name_key(folder.name) for folder in file.folders or ()))


def _repeated(where: str, names: Iterable[str]) -> Iterator[str]:
    for name, times in Counter(names).items():
        if times > 1:
            yield f"{where}: {name!r} stands {times} times"


def account_problems(account: AccountInFile) -> Iterator[str]:
    """Yield what is wrong with an account: `accounts[slug].field: what; allowed: what`."""
    where = f"accounts[{account.slug}]"
    if not is_slug(account.slug):
        yield f"{where}.slug: only a-z, 0-9 and -, 1 to 48 characters"
    channel = CHANNELS.get(account.channel)
    if channel is None:
        yield f"{where}.channel: {account.channel!r} is not one of {', '.join(sorted(CHANNELS))}"
        return
    if not account.external_id:
        yield f"{where}.external_id: must not be empty"
    if channel.addressees is not None and not is_slug(account.app):
        yield f"{where}.app: {account.channel} needs the app's slug; it names the webhook URL"
    yield from base_problems(where, account.api_base)
    yield from _name_problems(account, channel)


def base_problems(where: str, api_base: str) -> Iterator[str]:
    """Yield what is wrong with what stands in for a provider's address."""
    if api_base and urlsplit(api_base).scheme not in {"http", "https"}:
        yield f"{where}.api_base: must be an http or https address"


def _name_problems(account: AccountInFile, channel: Channel) -> Iterator[str]:
    where = f"accounts[{account.slug}]"
    for name in sorted(set(account.features) - set(FEATURES)):
        yield f"{where}.features: {name!r} is not one of {', '.join(FEATURES)}"
    known = {*channel.secrets, *channel.optional_secrets}
    for name in sorted(set(channel.secrets) - set(account.secrets)):
        yield f"{where}.secrets: {name} is missing; needed are {', '.join(channel.secrets)}"
    for name in sorted(set(account.secrets) - known):
        yield f"{where}.secrets: {name} is unknown; allowed are {', '.join(sorted(known))}"
