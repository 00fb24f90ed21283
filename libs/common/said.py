"""What a timeline entry says in words, for search: the texts of its parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from libs.common.documents import Message
from libs.common.events import (
    ActionPart,
    ChoicesPart,
    ContactPart,
    ContentPart,
    LocationPart,
    MediaPart,
    MessageEdited,
    OrderPart,
    SharePart,
    TemplatePart,
    TextPart,
)
from libs.common.words import words_of


def texts_of(parts: Iterable[ContentPart]) -> Iterator[str]:
    """Yield what a reader sees in words: texts, captions, names of files, titles of buttons."""
    for part in parts:
        found = _TEXTS.get(type(part))
        if found is not None:
            yield from found(part)


def words_said(entry: Message) -> tuple[str, ...]:
    """Return what *entry* is found by: of messages, notes, and edits, which bring new content.

    What happened to the session says nothing of its own.
    """
    if entry.kind in {"message", "note"}:
        return words_of(texts_of(entry.parts))
    if isinstance(entry.event, MessageEdited):
        return words_of(texts_of(entry.event.parts))
    return ()


def _choices(part: ChoicesPart) -> Iterator[str]:
    yield part.text
    for choice in part.choices:
        yield choice.title
        yield choice.description


_TEXTS: dict[type, Callable[[Any], Iterable[str]]] = {
    TextPart: lambda part: (part.text,),
    MediaPart: lambda part: (part.name,),
    LocationPart: lambda part: (part.name, part.address),
    ContactPart: lambda part: (part.name, *part.phones, *part.emails),
    ActionPart: lambda part: (part.title,),
    SharePart: lambda part: (part.title, part.description, part.url),
    OrderPart: lambda part: (part.note,),
    ChoicesPart: _choices,
    TemplatePart: lambda part: (part.text, *part.buttons),
}
