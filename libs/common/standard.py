"""Standard messages and their folders: who sees which, and what they are found by. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from libs.common.events import ContentPart, TextPart
from libs.common.later import Folder, StandardMessage
from libs.common.words import fold, words_of

LONGEST_KEY = 100


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks at folders.

    Attributes:
        agent, teams: Their id, and the ids of their teams.
        channels: The kinds of channel that they see at all; empty: every one.
        keeps: They keep the folders, so that they see those of others, too.
    """

    agent: str
    teams: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    keeps: bool = False


def is_for(folder: Folder, reader: Reader) -> bool:
    """Tell whether the folder's teams and users have *reader*: one of each that is given."""
    of_team = not folder.teams or any(team in folder.teams for team in reader.teams)
    return of_team and (not folder.users or reader.agent in folder.users)


def is_on(folder: Folder, channel: str) -> bool:
    """Tell whether the folder is for *channel*."""
    return not folder.channels or channel in folder.channels


def sees(folder: Folder, reader: Reader, channel: str = "") -> bool:
    """Tell whether *reader* sees the folder; of *channel* only, where one is given."""
    if channel and not is_on(folder, channel):
        return False
    if reader.channels and not any(is_on(folder, one) for one in reader.channels):
        return False
    return reader.keeps or is_for(folder, reader)


def name_key(name: str) -> str:
    """Return what makes a folder's name unique, whatever its case, accents and spaces."""
    return " ".join(fold(name).split())


def text_of(parts: Iterable[ContentPart]) -> str:
    """Return the texts of *parts*, a line each."""
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def keyed(message: StandardMessage) -> StandardMessage:
    """Return *message* with what it is found by set; itself where it is so."""
    title_words = words_of((message.title,))
    keys = {
        "title_key": name_key(message.title)[:LONGEST_KEY],
        "title_words": title_words,
        "words": words_of((message.title, text_of(message.parts))),
    }
    if all(getattr(message, name) == value for name, value in keys.items()):
        return message
    return msgspec.structs.replace(message, **keys)


def finds(wanted: str, words: Iterable[str]) -> bool:
    """Tell whether a word of *words* begins with *wanted*."""
    return any(word.startswith(wanted) for word in words)
