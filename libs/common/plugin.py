"""How the web chat plugin looks and behaves on a customer's pages: settings of a workspace."""

from __future__ import annotations

from typing import Literal

import msgspec

KNOWN_FIELDS = ("name", "email", "phone")
"""Fields of the form that become the contact's own; others are told in the first message."""


class PluginField(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the form before a conversation.

    Attributes:
        id: `name`, `email`, `phone`, or a word of one's own for anything else.
        label: What it is called; empty, of the three known ones only: in the visitor's language.
        required: No conversation begins without it.
    """

    id: str
    label: str = ""
    required: bool = False


class PreChat(msgspec.Struct, frozen=True, kw_only=True):
    """The form before a conversation; an identified visitor is not asked what is known.

    Attributes:
        when: `offline`: only while nobody is there, see `Plugin.offline_when`.
        text: What stands above it; empty: our own words.
    """

    when: Literal["always", "offline", "never"] = "never"
    text: str = ""
    fields: tuple[PluginField, ...] = (
        PluginField(id="name"),
        PluginField(id="email", required=True),
    )


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """The chat window of a website.

    Attributes:
        title: Stands above the conversation; empty: the account's name.
        welcome: Said before the first message; empty: our own words, in the visitor's language.
        launcher: Words beside the button; empty: the button alone.
        colour: `#rrggbb` of button, head and the visitor's words; the ink on it is chosen to fit.
        position: Corner of the page; `end` is left where the page is written from right to left.
        theme: `auto` follows the visitor's device.
        language: `en`, `zh-Hant`, `ar`; empty: that of the page, else of the browser.
        avatar: A small picture beside our words: a PNG, base64; empty: none.
        sound: Answers sound from the beginning; else only for who switches it on.
        offline_when: `hours`: outside business hours; `nobody`: and while no agent is online.
        offline_mode: `chat`: it says so and goes on; `email`: it asks for an address as well.
        offline_text: What it says then; empty: our own words.
        pre_chat: The form before a conversation.
        origins: Origins (`https://shop.example`) whose pages may use it; none: all.
    """

    title: str = ""
    welcome: str = ""
    launcher: str = ""
    colour: str = "#1a56db"
    position: Literal["end", "start"] = "end"
    theme: Literal["auto", "light", "dark"] = "auto"
    language: Literal["", "en", "zh-Hant", "ar"] = ""
    avatar: str = ""
    sound: bool = False
    offline_when: Literal["never", "hours", "nobody"] = "hours"
    offline_mode: Literal["chat", "email"] = "chat"
    offline_text: str = ""
    pre_chat: PreChat = PreChat()
    origins: tuple[str, ...] = ()
