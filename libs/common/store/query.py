"""A checked query, the same for both engines: values in index form, order, bound.

Everything that the port does not offer is refused here, so that neither engine ever guesses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from libs.common.store.api import All, Document, In, Index, Page, Range, Value, Where
from libs.common.store.fields import Field, Scalar, Spec, check_workspace

MAX_VALUES = 500
MAX_ALL = 20
MAX_LIMIT = 1000
MAX_SKIP = 10_000
_HIGHEST = chr(0x10FFFF)


class Equal(msgspec.Struct, frozen=True):
    """The field equals `value`; multikey: contains it."""

    field: Field
    value: Scalar


class Also(msgspec.Struct, frozen=True):
    """The multikey field contains `value`, besides the one whose entries are walked."""

    field: Field
    value: Scalar


class OneOf(msgspec.Struct, frozen=True):
    """The field equals one of `values`; multikey: contains one of them."""

    field: Field
    values: tuple[Scalar, ...]


class Between(msgspec.Struct, frozen=True):
    """`ge` <= field < `lt`; without both, the field has a value. Multikey: one value does."""

    field: Field
    ge: Scalar | None = None
    lt: Scalar | None = None


Condition = Equal | Also | OneOf | Between


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What to search and, for a page, in which order and behind which values.

    Attributes:
        walk: The multikey field whose entries are walked; there is an `Equal` for it.
        index: The index that orders the rows; None where order does not matter.
        order: The fields that the rows are sorted by, all in one direction.
        after: The values of `order` in the last row of the page before.
    """

    workspace: str
    conditions: tuple[Condition, ...]
    walk: Field | None = None
    index: Index | None = None
    order: tuple[Field, ...] = ()
    after: tuple[Scalar, ...] | None = None
    descending: bool = False
    limit: int = 0
    skip: int = 0

    @property
    def is_empty(self) -> bool:
        """Tell that nothing can match: no value to choose from, or behind a single document."""
        return self.after == () or any(
            isinstance(condition, OneOf) and not condition.values for condition in self.conditions
        )


def parse_where(spec: Spec[Any], workspace: str, where: Where) -> Query:
    """Check the conditions of a query without order.

    Raises:
        LookupError: A field that no index declares.
        ValueError: No workspace, a value that the field cannot hold, or too many.
    """
    conditions = tuple(c for name, wanted in where.items() for c in _conditions(spec, name, wanted))
    walk = next((c.field for c in conditions if isinstance(c, Equal) and c.field.multikey), None)
    return Query(workspace=check_workspace(workspace), conditions=conditions, walk=walk)


def parse_find(spec: Spec[Any], workspace: str, where: Where, page: Page) -> Query:
    """Check the conditions and the page of a query.

    Raises:
        LookupError: A field or an order that no index serves.
        ValueError: A value that a field cannot hold, a bad cursor or limit.
    """
    if not 1 <= page.limit <= MAX_LIMIT:
        raise ValueError(f"limit is 1 to {MAX_LIMIT}, not {page.limit}")
    if not 0 <= page.skip <= MAX_SKIP:
        raise ValueError(f"skip is 0 to {MAX_SKIP}, not {page.skip}")
    index = _index(spec, page.order)
    query = parse_where(spec, workspace, where)
    fixed = {c.field.name for c in query.conditions if isinstance(c, Equal)}
    fields = spec.of(index)
    walk = next((field for field in fields if field.multikey), None)
    if walk and walk.name not in fixed:
        raise LookupError(f"{spec.name}: order {index.name} needs one value for {walk.name}")
    order = tuple(field for field in spec.sorted_by(index) if field.name not in fixed)
    bound = {condition.field.name for condition in query.conditions}
    present = tuple(Between(f) for f in fields if f.nullable and f.name not in bound)
    return msgspec.structs.replace(
        query,
        conditions=query.conditions + present,
        walk=walk,
        index=index,
        order=order,
        after=_after(index, fields, order, page),
        descending=page.descending,
        limit=page.limit,
        skip=page.skip,
    )


def parse_group(spec: Spec[Any], workspace: str, where: Where, by: str) -> tuple[Query, Field]:
    """Check the conditions of a grouped count, and the field it groups by.

    Raises:
        LookupError: A field that no index declares.
        ValueError: No workspace, a value that the field cannot hold, or too many.
    """
    field = _field(spec, by)
    query = parse_where(spec, workspace, where)
    if not field.nullable or by in where:
        return query, field
    present = (*query.conditions, Between(field))
    return msgspec.structs.replace(query, conditions=present), field


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """Which values of `field` to list, by which index."""

    workspace: str
    field: Field
    index: Index
    ge: str
    lt: str | None
    limit: int


def parse_values(spec: Spec[Any], workspace: str, name: str, within: Range, limit: int) -> Values:
    """Check what values are to be listed.

    Raises:
        LookupError: The field is no text, or begins no index.
        ValueError: No workspace, an end that the field cannot hold, or a bad limit.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit is 1 to {MAX_LIMIT}, not {limit}")
    field = _field(spec, name)
    index = next((index for index in spec.indexes if _lists(spec, index, name)), None)
    if index is None or field.kind != "text":
        raise LookupError(f"{spec.name} has no index that lists the values of {name}")
    ge, lt = (None if end is None else str(field.scalar(end)) for end in (within.ge, within.lt))
    return Values(
        workspace=check_workspace(workspace),
        field=field,
        index=index,
        ge=ge or "",
        lt=lt,
        limit=limit,
    )


def page_key(query: Query, doc: Document) -> tuple[Scalar, ...]:
    """Return what a page is sorted by, for one of its rows."""
    return tuple(field.scalar(getattr(doc, field.name)) for field in query.order)


def group_text(field: Field, value: Scalar) -> str:
    """Return the name of a group: the value's text; `true` or `false` for a boolean."""
    return ("true" if value else "false") if field.kind == "boolean" else str(value)


def _index(spec: Spec[Any], name: str) -> Index:
    for index in spec.indexes:
        if index.name == name:
            return index
    raise LookupError(f"{spec.name} has no index {name}")


def _lists(spec: Spec[Any], index: Index, name: str) -> bool:
    """Tell whether *index* begins with the field and leaves no document with a value out."""
    first, *rest = spec.of(index)
    return first.name == name and not any(field.nullable for field in rest)


def _field(spec: Spec[Any], name: str) -> Field:
    field = spec.fields.get(name)
    if field is None:
        raise LookupError(f"{spec.name} has no index over {name}")
    return field


def _conditions(spec: Spec[Any], name: str, wanted: Value | In | All | Range) -> list[Condition]:
    if not isinstance(wanted, All):
        return [_condition(spec, name, wanted)]
    field = _field(spec, name)
    if not field.multikey:
        raise LookupError(f"{spec.name}.{name} holds one value only")
    number = len(wanted.values) + len(wanted.begins)
    if not 1 <= number <= MAX_ALL:
        raise ValueError(f"{name}: {number} values, 1 to {MAX_ALL}")
    if wanted.begins and field.kind != "text":
        raise LookupError(f"{spec.name}.{name} is no text, which alone begins with something")
    held = list(dict.fromkeys(map(field.scalar, wanted.values)))
    found: list[Condition] = [Equal(field, first) for first in held[:1]]
    found += [Also(field, value) for value in held[1:]]
    begins = (str(field.scalar(begin)) for begin in wanted.begins)
    return [*found, *(Between(field, begin, begin + _HIGHEST) for begin in begins)]


def _condition(spec: Spec[Any], name: str, wanted: Value | In | Range) -> Condition:
    field = _field(spec, name)
    if isinstance(wanted, In):
        values = tuple(dict.fromkeys(map(field.scalar, wanted.values)))
        if len(values) > MAX_VALUES:
            raise ValueError(f"{name}: {len(values)} values, at most {MAX_VALUES}")
        return OneOf(field, values)
    if isinstance(wanted, Range):
        ge, lt = (None if end is None else field.scalar(end) for end in (wanted.ge, wanted.lt))
        return Between(field, ge, lt)
    return Equal(field, field.scalar(wanted))


def _after(
    index: Index, fields: Sequence[Field], order: Sequence[Field], page: Page
) -> tuple[Scalar, ...] | None:
    if page.after is None:
        return None
    if not index.unique and "id" not in index.fields:
        raise ValueError(f"index {index.name} has ties: without id in it, there is no next page")
    if len(page.after) != len(fields):
        raise ValueError(f"a cursor of {index.name} has {len(fields)} values")
    values = zip(fields, page.after, strict=True)
    return tuple(field.scalar(value) for field, value in values if field in order)
