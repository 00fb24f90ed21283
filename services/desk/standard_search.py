"""Finding standard messages while somebody types.

Every word that is typed is the beginning of a word of the title, the text or the folder's name.
Those whose title begins with what is typed come first, then those with the longest typed word in
the title, then those in a folder of that name, then those with it in the text; by title in each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

import msgspec

from libs.common.later import STANDARD_MESSAGES, StandardMessage
from libs.common.standard import LONGEST_KEY, finds, name_key
from libs.common.store.api import In, Page, Range, Store, Value, Where, cursor
from libs.common.words import above, query_words, words_of

_PAGE = 100

Stage = tuple[str, Where]
"""The index that orders a walk, and its conditions."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for.

    Attributes:
        text: What was typed; empty: everything, by folder and place.
        folders: The names of the folders that are searched, by id; those in none have the id "".
        limit: Most messages.
    """

    workspace: str
    text: str
    folders: Mapping[str, str]
    limit: int


async def search(store: Store, wanted: Wanted) -> tuple[list[StandardMessage], bool]:
    """Return what is found, the best first, and whether there is more."""
    asked = query_words(wanted.text)
    words = (*asked.words, *asked.begins)
    if wanted.text.strip() and not words:  # signs alone are in no word
        return [], False
    of_folder = {id_: words_of((name,)) for id_, name in wanted.folders.items()}
    stages = _stages(wanted, words, of_folder) if words else await _everything(store, wanted)
    found: dict[str, StandardMessage] = {}
    for stage in stages:
        async for one in _walk(store, wanted.workspace, stage):
            own = (*one.words, *of_folder.get(one.folder, ()))
            if one.id in found or not all(finds(word, own) for word in words):
                continue
            if len(found) == wanted.limit:
                return list(found.values()), True
            found[one.id] = one
    return list(found.values()), False


async def _everything(store: Store, wanted: Wanted) -> list[Stage]:
    held = await store.group_count(STANDARD_MESSAGES, wanted.workspace, {}, by="folder")
    return [("folder", {"folder": id_}) for id_ in wanted.folders if held.get(id_)]


def _stages(
    wanted: Wanted, words: Sequence[str], of_folder: Mapping[str, Sequence[str]]
) -> list[Stage]:
    folders = In(tuple(wanted.folders))
    pivot = max(words, key=len)
    named = tuple(id_ for id_, own in of_folder.items() if finds(pivot, own))
    stages: list[Stage] = [
        ("title_key", {"title_key": _from(name_key(wanted.text)[:LONGEST_KEY]), "folder": folders}),
        ("title", {"title_words": _from(pivot), "folder": folders}),
    ]
    if named:
        stages.append(("title", {"folder": In(named)}))
    return [*stages, ("title", {"words": _from(pivot), "folder": folders})]


def _from(beginning: str) -> Range:
    return Range(ge=beginning, lt=above(beginning))


async def _walk(store: Store, workspace: str, stage: Stage) -> AsyncIterator[StandardMessage]:
    order, where = stage
    after: tuple[Value, ...] | None = None
    while True:
        page = Page(order=order, after=after, limit=_PAGE)
        rows = await store.find(STANDARD_MESSAGES, workspace, where, page)
        for row in rows:
            yield row
        if len(rows) < _PAGE:
            return
        after = cursor(STANDARD_MESSAGES, order, rows[-1])
