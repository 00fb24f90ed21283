"""The indexes of the MongoDB engine: created at open, compared with what is there.

An index over a field that may be None is partial ("has a value"), so that it holds no others and
a unique one lets them be. The filter is a range, which every query over the index repeats.
"""

from __future__ import annotations

from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection

from libs.common.errors import SettingsError
from libs.common.store.api import Index
from libs.common.store.fields import Spec
from libs.common.store.mongo_query import present

Raw = AsyncCollection[dict[str, Any]]


async def prepare(collection: Raw, spec: Spec[Any]) -> None:
    """Create the missing indexes of a collection.

    Raises:
        SettingsError: An index exists and is declared differently; names it.
        pymongo.errors.PyMongoError: The server does not answer or refuses.
    """
    existing = await collection.index_information()
    missing = []
    for index in spec.indexes:
        options = _options(spec, index)
        found = existing.get(index.name)
        if found is None:
            missing.append((index, options))
        elif not _same(found, options):
            text = f"{spec.name}: index {index.name} exists and is declared differently"
            raise SettingsError(text)
    if missing:
        await _fill_defaults(collection, spec, [index for index, _ in missing])
        await collection.create_indexes([IndexModel(**options) for _, options in missing])


async def _fill_defaults(collection: Raw, spec: Spec[Any], indexes: list[Index]) -> None:
    """Give older documents the default of a newly indexed field, as reading them would."""
    fields = {field.name: field for index in indexes for field in spec.of(index)}
    for field in fields.values():
        if field.default is not None:
            lacking = {field.name: {"$exists": False}}
            await collection.update_many(lacking, {"$set": {field.name: field.default}})


def _options(spec: Spec[Any], index: Index) -> dict[str, Any]:
    fields = spec.sorted_by(index)
    options: dict[str, Any] = {
        "name": index.name,
        "keys": [("workspace", 1), *((field.name, 1) for field in fields)],
    }
    if index.unique:
        options["unique"] = True
    only = {field.name: present(field) for field in fields if field.nullable}
    return options | {"partialFilterExpression": only} if only else options


def _same(found: Any, wanted: dict[str, Any]) -> bool:
    return (
        [(name, way) for name, way in found["key"]] == wanted["keys"]
        and bool(found.get("unique")) == bool(wanted.get("unique"))
        and _plain(found.get("partialFilterExpression")) == wanted.get("partialFilterExpression")
    )


def _plain(found: Any) -> Any:
    """Turn the driver's ordered documents into dictionaries."""
    return (
        {name: _plain(part) for name, part in found.items()} if hasattr(found, "items") else found
    )
