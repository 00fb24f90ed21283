"""What a collection's indexed fields hold, and the form of a value inside an index.

Both engines compare index values in this form: text by code point, integers, booleans, and times
as UTC text of fixed width (27 characters, microseconds), whose order is the order of time. Neither
engine's own date type is used: BSON dates end at milliseconds, SQLite has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from typing import Any, Generic, Literal, TypeVar

import msgspec
from msgspec import inspect

from libs.common.errors import MalformedPayloadError
from libs.common.store.api import Collection, Document, Index

Kind = Literal["text", "integer", "boolean", "time"]
Scalar = str | int | bool
"""A value in the form it has inside an index."""

D = TypeVar("D", bound=Document)

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_INTEGERS = range(-(2**63), 2**63)
_KINDS: dict[type, Kind] = {
    inspect.StrType: "text",
    inspect.IntType: "integer",
    inspect.BoolType: "boolean",
    inspect.DateTimeType: "time",
}
_LOWEST: dict[Kind, Scalar] = {
    "text": "",
    "time": "",
    "integer": _INTEGERS.start,
    "boolean": False,
}
_LITERAL_KINDS: dict[type, Kind] = {str: "text", int: "integer"}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and "\0" not in value else None


def _integer(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool) or value not in _INTEGERS:
        return None
    return value


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _time(value: object) -> str | None:
    if not isinstance(value, datetime) or value.tzinfo is None:
        return None
    utc = value if value.tzinfo is UTC else value.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


FORMS: dict[Kind, Callable[[object], Scalar | None]] = {
    "text": _text,
    "integer": _integer,
    "boolean": _boolean,
    "time": _time,
}
"""From a value to its index form, by kind; None for a value that does not fit."""


class Field(msgspec.Struct, frozen=True):
    """An indexed field. `default` is what a document written before the field existed holds."""

    name: str
    kind: Kind
    nullable: bool = False
    multikey: bool = False
    default: Scalar | None = None

    @property
    def lowest(self) -> Scalar:
        """The least value of the kind, so that "has a value" is a range over the index."""
        return _LOWEST[self.kind]

    def scalar(self, value: object) -> Scalar:
        """Return one value in index form.

        Raises:
            ValueError: Not of the field's kind; a time without a zone; an integer beyond 64 bits;
                text with a NUL.
        """
        form = FORMS[self.kind](value)
        if form is None:
            raise self.refusal(value)
        return form

    def refusal(self, value: object) -> ValueError:
        """Return the failure for a value that the field cannot hold."""
        return ValueError(f"{self.name} takes {self.kind}, not this {type(value).__name__}")

    def optional(self, value: object) -> Scalar | None:
        """Return one value in index form, None for None.

        Raises:
            ValueError: As `scalar`.
        """
        return None if value is None else self.scalar(value)

    def scalars(self, doc: Document) -> list[Scalar]:
        """Return what a multikey field holds in *doc*, in its order.

        Raises:
            ValueError: As `scalar`.
        """
        return [self.scalar(value) for value in getattr(doc, self.name) or ()]


ID = Field("id", "text")
"""The primary key; the last word of an order that would otherwise have ties."""


class Spec(Generic[D]):
    """A checked collection: its fields, its indexes, and how a document is read back.

    Raises:
        ValueError: A declaration that the engines cannot hold; the text says which.
    """

    def __init__(self, collection: Collection[D]) -> None:
        self.name = collection.name
        self.kind = collection.kind
        self.indexes = collection.indexes
        self.known = _known_fields(collection)
        names = [name for index in self.indexes for name in index.fields]
        self.fields = _fields(collection, names)
        self.shape = blake2b(",".join(sorted(self.known)).encode(), digest_size=8).hexdigest()
        for index in self.indexes:
            self._check(index)

    def of(self, index: Index) -> tuple[Field, ...]:
        """Return the fields of one of the indexes, in order."""
        return tuple(self.fields[name] for name in index.fields)

    def sorted_by(self, index: Index) -> tuple[Field, ...]:
        """Return the fields of an index, closed by the id where they alone would have ties."""
        ends = () if index.unique or "id" in index.fields else (ID,)
        return self.of(index) + ends

    def violated(self, names: Iterable[str]) -> str:
        """Return the unique index over exactly these fields; `id` for the primary key."""
        wanted = tuple(name for name in names if name != "workspace")
        for index in self.indexes:
            if index.unique and index.fields == wanted:
                return index.name
        return "id"

    def unreadable(self, error: Exception) -> MalformedPayloadError:
        """Return the failure for a stored document that this version cannot read."""
        return MalformedPayloadError(
            f"a document of {self.name} does not fit: {type(error).__name__}"
        )

    def _check(self, index: Index) -> None:
        fields = self.of(index)
        if not fields or not _NAME.fullmatch(index.name) or len(set(fields)) != len(fields):
            raise ValueError(f"{self.name}: index {index.name} has a bad name or fields")
        if sum(field.multikey for field in fields) > (0 if index.unique else 1):
            raise ValueError(f"{self.name}: index {index.name} has too many multikey fields")


@cache
def _checked(collection: Collection[Any]) -> Spec[Any]:
    """Return the collection's one Spec: it never changes, and takes longer than a file to open."""
    return Spec(collection)


class Specs:
    """The collections that a store was opened with."""

    def __init__(self, collections: Sequence[Collection[Any]]) -> None:
        self._by_name: dict[str, Spec[Any]] = {c.name: _checked(c) for c in collections}
        if len(self._by_name) != len(collections):
            raise ValueError("two collections have the same name")

    def __iter__(self) -> Iterator[Spec[Any]]:
        """Iterate over all of them, in the order given."""
        return iter(self._by_name.values())

    def of(self, collection: Collection[D]) -> Spec[D]:
        """Return the checked collection.

        Raises:
            LookupError: The store was opened without it.
        """
        spec = self._by_name.get(collection.name)
        if spec is None or spec.kind is not collection.kind:
            raise LookupError(f"the store was opened without {collection.name}")
        return spec


def check_workspace(workspace: str) -> str:
    """Return the workspace of a query.

    Raises:
        ValueError: Empty, or with a slash or NUL in it: no document can be there.
    """
    if not workspace or "/" in workspace or "\0" in workspace:
        raise ValueError("a workspace is not empty and has no slash")
    return workspace


def check_keys(docs: Iterable[Document]) -> None:
    """Check the primary keys of the documents of one call.

    Raises:
        ValueError: An empty id or workspace, a workspace with `/`, a NUL, or an id given twice
            (the answer of a batch is by id, so it could not tell the two apart).
    """
    seen = set()
    for doc in docs:
        check_workspace(doc.workspace)
        if not doc.id or "\0" in doc.id:
            raise ValueError("a document needs an id without a NUL")
        if doc.id in seen:
            raise ValueError(f"{doc.id} stands twice in one call")
        seen.add(doc.id)


def _known_fields(collection: Collection[Any]) -> frozenset[str]:
    config = collection.kind.__struct_config__
    names = collection.kind.__struct_fields__
    if not _NAME.fullmatch(collection.name) or "__" in collection.name:
        raise ValueError(f"{collection.name!r} cannot name a collection")
    if config.forbid_unknown_fields or collection.kind.__struct_encode_fields__ != names:
        raise ValueError(f"{collection.name}: renamed or forbidden fields are not supported")
    return frozenset(names)


def _fields(collection: Collection[Any], names: Iterable[str]) -> dict[str, Field]:
    declared = {field.name: field for field in msgspec.structs.fields(collection.kind)}
    unknown = set(names) - declared.keys()
    if unknown:
        raise ValueError(f"{collection.name} has no field {unknown.pop()} to index")
    return {name: _field(collection.name, declared[name]) for name in dict.fromkeys(names)}


def _field(owner: str, declared: msgspec.structs.FieldInfo) -> Field:
    union = inspect.type_info(declared.type)  # not the whole document's: that takes 20 ms and more
    choices = union.types if isinstance(union, inspect.UnionType) else (union,)
    plain = [choice for choice in choices if not isinstance(choice, inspect.NoneType)]
    multikey = len(plain) == 1 and isinstance(plain[0], inspect.VarTupleType)
    if isinstance(plain[0], inspect.VarTupleType):
        plain = [plain[0].item_type, *plain[1:]]
    kinds = {_kind(choice) for choice in plain}
    kind = kinds.pop() if len(kinds) == 1 else None
    if kind is None or not _NAME.fullmatch(declared.name):
        raise ValueError(f"{owner}.{declared.name} is of a type that cannot be indexed")
    field = Field(declared.name, kind, nullable=len(choices) > len(plain), multikey=multikey)
    if multikey or declared.default in (None, msgspec.NODEFAULT):
        return field
    return msgspec.structs.replace(field, default=field.scalar(declared.default))


def _kind(declared: inspect.Type) -> Kind | None:
    if isinstance(declared, inspect.LiteralType):
        kinds = {_LITERAL_KINDS.get(type(value)) for value in declared.values}
        return kinds.pop() if len(kinds) == 1 else None
    return _KINDS.get(type(declared))
