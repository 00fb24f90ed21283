"""From a document to what a file says of it: for the export, and for showing a difference.

Secrets are left out; they are named by reference, see `libs.common.workspace_export`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from libs.common.contact_documents import ContactField
from libs.common.documents import AccountDocument, Agent, Bot, Tag, Workspace
from libs.common.later import Folder, StandardMessage
from libs.common.policy import AssignToAgent, Notify, Rule
from libs.common.saved_filters import SavedFilter
from libs.common.webhooks import WebhookEndpoint
from libs.common.workspace_entries import (
    BotInFile,
    EndpointInFile,
    FieldInFile,
    FilterInFile,
    FolderInFile,
    StandardInFile,
    TagInFile,
)
from libs.common.workspace_file import AccountInFile, AgentEntry, TemplateInFile
from libs.common.workspace_made import texts_of

Shown = dict[str, Any]
"""An entry of a file as plain values, every field of it."""
Name = Callable[[str], str]
"""Returns how a file names an agent, by id."""

ORDER = "(order)"
"""Behind the place of a list, in place of a field: the ids of its entries."""


def workspace(found: Workspace) -> Shown:
    """Return the name and the switches; since when idle time counts no file says."""
    settings = _without(found.settings)
    settings["termination"].pop("since", None)
    return {"name": found.name, "settings": settings}


def account(found: AccountDocument, _name: Name) -> Shown:
    """Return the account."""
    entry = AccountInFile(
        slug=found.id,
        templates=msgspec.convert(
            msgspec.to_builtins(found.templates), tuple[TemplateInFile, ...], strict=True
        ),
        **_fields(found, AccountInFile, ("slug", "templates", "secrets")),
    )
    return _without(entry, "secrets")


def agent(found: Agent, _name: Name) -> Shown:
    """Return the agent."""
    entry = AgentEntry(**_fields(found, AgentEntry, ("password",)))
    return _without(entry, "password")


def bot(found: Bot, _name: Name) -> Shown:
    """Return the bot."""
    return _without(BotInFile(**_fields(found, BotInFile, ("secret",))), "secret")


def tag(found: Tag, _name: Name) -> Shown:
    """Return the tag."""
    return _without(TagInFile(**_fields(found, TagInFile)))


def folder(found: Folder, name: Name) -> Shown:
    """Return the folder, its users by address."""
    shown = _without(FolderInFile(**_fields(found, FolderInFile)))
    shown["users"] = [name(user) for user in found.users]
    return shown


def standard_message(found: StandardMessage, _name: Name) -> Shown:
    """Return the standard message."""
    text, files = texts_of(found.parts)
    kept = _fields(found, StandardInFile, ("text", "attachments"))
    return _without(StandardInFile(text=text, attachments=files, **kept))


def endpoint(found: WebhookEndpoint, _name: Name) -> Shown:
    """Return the webhook endpoint."""
    return _without(EndpointInFile(**_fields(found, EndpointInFile, ("secret",))), "secret")


def contact_field(found: ContactField, _name: Name) -> Shown:
    """Return the definition."""
    return _without(FieldInFile(**_fields(found, FieldInFile)))


def shared_filter(found: SavedFilter, _name: Name) -> Shown:
    """Return the filter."""
    return _without(FilterInFile(**_fields(found, FilterInFile)))


def rule(found: Rule, name: Name) -> Shown:
    """Return the rule, its agents by address."""
    actions = tuple(
        msgspec.structs.replace(action, agent=name(action.agent))
        if isinstance(action, AssignToAgent)
        else msgspec.structs.replace(action, agents=tuple(map(name, action.agents)))
        if isinstance(action, Notify)
        else action
        for action in found.actions
    )
    return _without(msgspec.structs.replace(found, actions=actions))


def part(found: msgspec.Struct, _name: Name) -> Shown:
    """Return a team or calendar."""
    return _without(found)


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Return the leaves of *value* by their place, as `faq[greeting].answers`.

    The entries of a list that all have ids go by these; `<list>(order)` then holds them in order.
    """
    if isinstance(value, Mapping) and value:
        found: dict[str, Any] = {}
        for name, inner in value.items():
            found |= flat(inner, f"{place}.{name}" if place else str(name))
        return found
    if isinstance(value, list) and value and all(_id_of(one) for one in value):
        found = {f"{place}{ORDER}": [_id_of(one) for one in value]}
        for one in value:
            found |= flat(one, f"{place}[{_id_of(one)}]")
        return found
    return {place: value}


def _id_of(one: Any) -> str:
    return str(one.get("id", "")) if isinstance(one, Mapping) else ""


def _fields(
    found: msgspec.Struct, kind: type[msgspec.Struct], omit: tuple[str, ...] = ()
) -> dict[str, Any]:
    return {name: getattr(found, name) for name in kind.__struct_fields__ if name not in omit}


def _without(entry: msgspec.Struct, *names: str) -> Shown:
    """Return an entry as JSON would have it."""
    shown: Shown = msgspec.json.decode(msgspec.json.encode(entry))
    for name in names:
        shown.pop(name, None)
    return shown
