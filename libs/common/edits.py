"""Edits of a message: which one stands, and what it said before."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

from libs.common.documents import Message
from libs.common.events import ContentPart, MessageEdited, TextPart
from libs.common.shown_files import shown_parts


def edits_in_order(edits: Iterable[Message]) -> list[Message]:
    """Return the *edits* of one message by (version, time): the last one stands."""
    return sorted((m for m in edits if isinstance(m.event, MessageEdited)), key=_place)


def _place(edit: Message) -> tuple[int, datetime, int, str]:
    version = edit.event.version if isinstance(edit.event, MessageEdited) else 0
    return (version, edit.occurred_at, edit.sequence, edit.id)


def former_texts(message: Message, edits: list[Message]) -> tuple[str, ...]:
    """Return what *message* said before each of *edits*, which are in order; oldest first.

    A text that an edit left as it was (that of a picture's caption, say) stands once.
    """
    texts = [text_of(shown_parts(one)) for one in (message, *edits)]
    return tuple(text for text, after in pairwise(texts) if text != after)


def text_of(parts: Iterable[ContentPart]) -> str:
    """Return the text parts, a line each."""
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))
