"""The compiler from `Query` to MongoDB filters, and the form of a stored document.

A document is stored under its own field names, with `_id` = `<workspace>/<id>`, indexed values in
index form, and two fields for the writer: `_born`, the stamp of its insertion, and `_writes`, the
stamps of the newest replacements. By a stamp a writer whose answer got lost recognises its own.
"""

from __future__ import annotations

from typing import Any

import msgspec

from libs.common.store.api import Document
from libs.common.store.fields import Field, Scalar, Spec, check_workspace
from libs.common.store.query import Also, Between, Condition, Equal, OneOf, Query, Values

Filter = dict[str, Any]

STAMPS = 16
"""How many replacements may overtake a lost answer before its writer cannot be sure any more."""


def key(workspace: str, doc_id: str) -> str:
    """Return `_id`; unambiguous because a workspace has no slash.

    Raises:
        ValueError: It has one.
    """
    return f"{check_workspace(workspace)}/{doc_id}"


def stored(spec: Spec[Any], doc: Document, rev: int) -> dict[str, Any]:
    """Return the fields that MongoDB stores for *doc* at *rev*.

    Raises:
        ValueError: An indexed field holds what it cannot.
    """
    fields: dict[str, Any] = msgspec.to_builtins(doc, str_keys=True)
    for field in spec.fields.values():
        if field.multikey:
            fields[field.name] = field.scalars(doc)
        else:
            fields[field.name] = field.optional(getattr(doc, field.name))
    fields["rev"] = rev
    return fields


def change(spec: Spec[Any], fields: dict[str, Any], stamp: int) -> dict[str, Any]:
    """Return the update that makes the stored document equal to *fields*.

    It names each field that this version knows, so fields of a newer version stay.
    """
    absent = sorted(spec.known - fields.keys())
    update: dict[str, Any] = {
        "$set": fields,
        "$push": {"_writes": {"$each": [stamp], "$slice": -STAMPS}},
    }
    return update | {"$unset": dict.fromkeys(absent, "")} if absent else update


def present(field: Field) -> Filter:
    """Return the clause for "has a value", as the range that an index serves."""
    return {"$gte": field.lowest}


def match(query: Query) -> Filter:
    """Return the filter of a query, with its bound where it has one."""
    clauses: list[Filter] = [{"workspace": query.workspace}]
    clauses += [{condition.field.name: _clause(condition)} for condition in query.conditions]
    if query.after:
        clauses += _behind(query, query.after)
    merged: Filter = {}
    rest = []
    for clause in clauses:
        if clause.keys() & merged.keys():
            rest.append(clause)
        else:
            merged |= clause
    return merged | {"$and": rest} if rest else merged


def sort(query: Query) -> list[tuple[str, int]]:
    """Return the sort keys of a page."""
    return [(field.name, -1 if query.descending else 1) for field in query.order]


def between(wanted: Values, after: str | None, below: str | None) -> Filter:
    """Return the filter for a document with one of the values *after* one and *below* another."""
    ends: Filter = {"$gte": wanted.ge} if after is None else {"$gt": after}
    limit = wanted.lt if below is None else below
    if limit is not None:
        ends["$lt"] = limit
    field = wanted.field
    ends = {"$elemMatch": ends} if field.multikey else ends
    return {"workspace": wanted.workspace, field.name: ends}


def fits(ends: Filter, value: str) -> bool:
    """Tell whether *value* is between the ends that `between` has set."""
    ends = ends.get("$elemMatch", ends)
    return (
        value >= ends.get("$gte", "")
        and ("$gt" not in ends or value > ends["$gt"])
        and ("$lt" not in ends or value < ends["$lt"])
    )


def listed(value: Any) -> list[str]:
    """Return what a field holds, one value or several."""
    return value if isinstance(value, list) else [value]


def _clause(condition: Condition) -> Any:
    match condition:
        case Equal(value=value) | Also(value=value):
            return value
        case OneOf(values=values):
            return {"$in": list(values)}
        case Between(field=field, ge=None, lt=None):
            return present(field)
        case Between(field=field, ge=ge, lt=lt):
            bounds = {"$gte": ge, "$lt": lt}
            given = {name: end for name, end in bounds.items() if end is not None}
            return {"$elemMatch": given} if field.multikey else given


def _behind(query: Query, after: tuple[Scalar, ...]) -> list[Filter]:
    """Return "(a, b, c) behind (x, y, z)" as one alternative for each length of equal prefix.

    The bound on the first field alone follows from them; it is what lets an index skip ahead.
    """
    sign = "$lt" if query.descending else "$gt"
    names = [field.name for field in query.order]
    alternatives: list[Filter] = [
        dict(zip(names[:n], after[:n], strict=True)) | {names[n]: {sign: after[n]}}
        for n in range(len(names))
    ]
    return [{names[0]: {f"{sign}e": after[0]}}, {"$or": alternatives}]
