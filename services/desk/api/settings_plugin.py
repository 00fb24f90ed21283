"""The web chat plugin: its part of `PATCH /settings`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from libs.common.errors import InvalidInputError
from libs.common.plugin import KNOWN_FIELDS, Plugin, PluginField, PreChat
from libs.common.rules.check_plugin import (
    AVATAR_MOST,
    COLOUR,
    FIELD_ID,
    FIELDS_MOST,
    FORM_TEXT_MOST,
    LABEL_MOST,
    ORIGINS_MOST,
    TEXTS,
    is_origin,
    is_picture,
)
from libs.common.switches import Settings
from services.desk.api.read import Plain
from services.desk.api.settings_alerts import merged


class PluginFieldBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field of the form: `name`, `email`, `phone`, or one of your own, which needs a label."""

    id: Annotated[str, Meta(pattern=FIELD_ID)]
    label: Annotated[Plain, Meta(max_length=LABEL_MOST)] = ""
    required: bool = False


class PreChatPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The form before a conversation; what is not named stays. `fields`: all of them."""

    when: Literal["always", "offline", "never"] | UnsetType = UNSET
    text: Annotated[Plain, Meta(max_length=FORM_TEXT_MOST)] | UnsetType = UNSET
    fields: Annotated[tuple[PluginFieldBody, ...], Meta(max_length=FIELDS_MOST)] | UnsetType = UNSET


class PluginPatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the chat window looks and behaves; what is not named stays. See `Plugin`."""

    title: Annotated[Plain, Meta(max_length=TEXTS["title"])] | UnsetType = UNSET
    welcome: Annotated[Plain, Meta(max_length=TEXTS["welcome"])] | UnsetType = UNSET
    launcher: Annotated[Plain, Meta(max_length=TEXTS["launcher"])] | UnsetType = UNSET
    colour: Annotated[str, Meta(pattern=COLOUR)] | UnsetType = UNSET
    position: Literal["end", "start"] | UnsetType = UNSET
    theme: Literal["auto", "light", "dark"] | UnsetType = UNSET
    language: Literal["", "en", "zh-Hant", "ar"] | UnsetType = UNSET
    avatar: Annotated[Plain, Meta(max_length=AVATAR_MOST)] | UnsetType = UNSET
    sound: bool | UnsetType = UNSET
    offline_when: Literal["never", "hours", "nobody"] | UnsetType = UNSET
    offline_mode: Literal["chat", "email"] | UnsetType = UNSET
    offline_text: Annotated[Plain, Meta(max_length=TEXTS["offline_text"])] | UnsetType = UNSET
    pre_chat: PreChatPatch | UnsetType = UNSET
    origins: Annotated[tuple[Plain, ...], Meta(max_length=ORIGINS_MOST)] | UnsetType = UNSET


Plugins = dict[str, PluginPatch | None]


def plugin(before: Settings, patch: PluginPatch | UnsetType) -> Plugin:
    """Return how the plugin is after *patch*."""
    return _patched(before.plugin, patch, "plugin")


def plugins(before: Settings, patch: Plugins | UnsetType) -> dict[str, Plugin]:
    """Return the plugins of accounts of their own; a new one begins as the workspace's."""
    found = dict(before.plugins)
    for slug, change in ({} if isinstance(patch, UnsetType) else patch).items():
        own = found.pop(slug, before.plugin)
        if change is not None:
            found[slug] = _patched(own, change, f"plugins.{slug[:50]}")
    return dict(sorted(found.items()))


def _patched(before: Plugin, patch: PluginPatch | UnsetType, place: str) -> Plugin:
    if isinstance(patch, UnsetType):
        return before
    after = merged(before, patch, omit=("pre_chat",))
    if not isinstance(patch.pre_chat, UnsetType):
        form = _form(before.pre_chat, patch.pre_chat, f"{place}.pre_chat")
        after = msgspec.structs.replace(after, pre_chat=form)
    _check(after, place)
    return after


def _form(before: PreChat, patch: PreChatPatch, place: str) -> PreChat:
    after = merged(before, patch, omit=("fields",))
    if isinstance(patch.fields, UnsetType):
        return after
    seen: set[str] = set()
    for number, field in enumerate(patch.fields):
        at = f"{place}.fields[{number}]"
        if field.id in seen:
            raise _refused(f"{at}.id", "is there twice", "each field once")
        seen.add(field.id)
        if field.id not in KNOWN_FIELDS and not field.label.strip():
            raise _refused(f"{at}.label", "is blank", "what the visitor is asked for")
    fields = tuple(PluginField(**msgspec.structs.asdict(field)) for field in patch.fields)
    return msgspec.structs.replace(after, fields=fields)


def _check(after: Plugin, place: str) -> None:
    if after.avatar and not is_picture(after.avatar):
        raise _refused(f"{place}.avatar", "is no picture", "a PNG file, written in base64")
    for number, origin in enumerate(after.origins):
        if not is_origin(origin):
            allowed = "like https://shop.example, in lower case, without a path"
            raise _refused(f"{place}.origins[{number}]", "is no origin", allowed)


def _refused(field: str, what: str, allowed: str) -> InvalidInputError:
    return InvalidInputError(f"{field} {what}; allowed: {allowed}.", field=field, allowed=allowed)
